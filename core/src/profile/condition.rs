//! Conditions and option values as they are written in profile files.

use std::sync::Arc;

use super::{Condition, OptionValue, Vocabulary};
use crate::inventory::fields::suggestion;
use crate::inventory::problem::Code;
use crate::inventory::report::Report;
use crate::inventory::tree::{Key, Node, Value};

/// Reads a condition: a mapping of which every key must hold. `OPTION: VALUE` or `OPTION: [VALUE, …]`; `all:` and `any:`
/// take lists of mappings, `not:` one.
pub(super) fn read(report: &Report, node: &Node, words: &Vocabulary) -> Option<Condition> {
    let entries = match &node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        _ => {
            let finding = node.wrong_type("a mapping such as `{ cni: [canal, flannel] }`");
            report.add(finding.help("leave it out where the row is always needed"));
            return None;
        }
    };
    let terms: Vec<Option<Condition>> = entries.iter().map(|(key, node)| term(report, key, node, words)).collect();
    let mut terms: Vec<Condition> = terms.into_iter().collect::<Option<_>>()?;
    match (terms.pop(), terms.is_empty()) {
        (Some(only), true) => Some(only),
        (last, _) => {
            terms.extend(last);
            Some(Condition::All(terms))
        }
    }
}

fn term(report: &Report, key: &Key, node: &Node, words: &Vocabulary) -> Option<Condition> {
    let each = || -> Option<Vec<Condition>> {
        let read = node.entries(report).iter().map(|item| read(report, item, words));
        read.collect::<Vec<_>>().into_iter().collect()
    };
    match key.text.as_str() {
        "all" => each().map(Condition::All),
        "any" => each().map(Condition::Any),
        "not" => read(report, node, words).map(|inner| Condition::Not(Box::new(inner))),
        _ => {
            let option = option(report, key, words)?;
            let items = node.items(report);
            if items.is_empty() {
                report.add(node.place.error(Code::BadValue, format!("`{option}` has no value")));
                return None;
            }
            let values: Vec<_> = items.iter().map(|item| value(report, &option, item, words)).collect();
            values.into_iter().collect::<Option<_>>().map(|values| Condition::Is(option, values))
        }
    }
}

/// An option's name, as a key.
pub(super) fn option(report: &Report, key: &Key, words: &Vocabulary) -> Option<Arc<str>> {
    let found = words.options.get_key_value(key.text.as_str()).map(|(option, _)| Arc::clone(option));
    if found.is_none() {
        report.add(key.unknown("option", words.options.keys().map(|option| &**option)));
    }
    found
}

/// A value that the option may have.
pub(super) fn value(report: &Report, option: &str, node: &Node, words: &Vocabulary) -> Option<OptionValue> {
    let value = match &node.value {
        Value::Bool(value) => OptionValue::Bool(*value),
        _ => OptionValue::Word(node.text(report)?.into()),
    };
    if let Err(message) = words.check_option(option, &value) {
        let known = words.options.get(option).map(|kind| kind.words.as_slice()).unwrap_or_default();
        let help = match known {
            [] => Some("write `true` or `false`".to_owned()),
            known => suggestion(&value.to_string(), known.iter().map(|word| &**word)),
        };
        report.add(node.place.error(Code::UnknownWord, message).maybe_help(help));
        return None;
    }
    Some(value)
}

//! Nodes become typed values; what is missing, left over or of another type is reported.

use std::collections::HashSet;
use std::fmt::Display;

use super::problem::Code;
use super::report::{Finding, Place, Report};
use super::tree::{Key, Node, Value};

impl Node {
    /// A text; a number or `true` must be quoted to be one.
    pub fn text(&self, report: &Report) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Bool(_) => {
                let written = self.written().unwrap_or_default();
                let why = if written.contains('.') { ": unquoted, YAML reads 2.10 as 2.1" } else { "" };
                report.add(self.wrong_type("a quoted text").help(format!("write \"{written}\"{why}")));
                None
            }
            Value::Empty | Value::List(_) | Value::Map(_) => {
                report.add(self.wrong_type("a text"));
                None
            }
        }
    }

    /// A text, number or `true` as the user wrote it: traffic, ports and words of options.
    pub fn word(&self, report: &Report) -> Option<&str> {
        if self.written().is_none() {
            report.add(self.wrong_type("a text"));
        }
        self.written()
    }

    /// `true` or `false`.
    pub fn boolean(&self, report: &Report) -> Option<bool> {
        match &self.value {
            Value::Bool(value) => Some(*value),
            other => {
                let help = match other {
                    Value::Text(text) if ["true", "yes", "on"].contains(&text.as_str()) => {
                        Some("write `true`, without quotes")
                    }
                    Value::Text(text) if ["false", "no", "off"].contains(&text.as_str()) => {
                        Some("write `false`, without quotes")
                    }
                    _ => None,
                };
                report.add(self.wrong_type("`true` or `false`").maybe_help(help.map(str::to_owned)));
                None
            }
        }
    }

    /// A whole number from 1.
    pub fn count(&self, report: &Report) -> Option<u32> {
        let count = match &self.value {
            Value::Number(text) => text.parse().ok().filter(|n| *n > 0),
            _ => None,
        };
        if count.is_none() {
            report.add(self.wrong_type("a whole number from 1"));
        }
        count
    }

    /// The items of a list; one value stands for a list of one, nothing for an empty list.
    pub fn items(&self, report: &Report) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Empty => &[],
            Value::Text(_) | Value::Bool(_) | Value::Number(_) => std::slice::from_ref(self),
            Value::Map(_) => {
                report.add(self.wrong_type("a list"));
                &[]
            }
        }
    }

    /// The items of a list of mappings.
    pub fn entries(&self, report: &Report) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Empty => &[],
            _ => {
                report.add(self.wrong_type("a list").help("start each entry with `- `"));
                &[]
            }
        }
    }

    /// The keys and values of a mapping whose keys are the user's; nothing stands for an empty one.
    pub fn named(&self, report: &Report) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Empty => &[],
            _ => {
                report.add(self.wrong_type("a mapping").help("write `key: value` lines below it"));
                &[]
            }
        }
    }

    /// A mapping whose keys are known; nothing stands for an empty one.
    pub fn fields<'a>(&'a self, report: &'a Report) -> Option<Fields<'a>> {
        match &self.value {
            Value::Map(_) | Value::Empty => Some(Fields { report, node: self, known: Vec::new() }),
            _ => {
                report.add(self.wrong_type("a mapping").help("write `key: value` lines below it"));
                None
            }
        }
    }

    /// A text that `read` makes a value of; what it objects is the message.
    pub fn read<T, E: Display>(&self, report: &Report, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match read(self.text(report)?) {
            Ok(value) => Some(value),
            Err(error) => {
                report.add(self.place.error(Code::BadValue, error.to_string()));
                None
            }
        }
    }

    /// One of a few words; `what` names the kind of word.
    pub fn choice<T: Copy>(&self, report: &Report, what: &str, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(report)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            report.add(self.unknown(what, words.iter().map(|(word, _)| *word)));
        }
        found
    }

    /// The finding that this word is none of `known`; `what` names the kind of word.
    pub fn unknown<'k>(&self, what: &str, known: impl IntoIterator<Item = &'k str>) -> Finding {
        self.place.unknown(what, self.written().unwrap_or_default(), known)
    }

    /// The finding that this must be something else.
    pub fn wrong_type(&self, wanted: &str) -> Finding {
        let found = match &self.value {
            Value::Empty => "empty".to_owned(),
            Value::Text(text) => format!("the text `{}`", shortened(text)),
            Value::Bool(value) => format!("`{value}`"),
            Value::Number(text) => format!("the number {text}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        };
        self.place.error(Code::WrongType, format!("{} must be {wanted}, and is {found}", self.place.path.subject()))
    }

    fn written(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text),
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            Value::Empty | Value::List(_) | Value::Map(_) => None,
        }
    }
}

impl Key {
    /// The finding that this key is none of `known`; `what` names the kind of word.
    pub fn unknown<'k>(&self, what: &str, known: impl IntoIterator<Item = &'k str>) -> Finding {
        self.place.unknown(what, &self.text, known)
    }
}

impl Place {
    fn unknown<'k>(&self, what: &str, word: &str, known: impl IntoIterator<Item = &'k str>) -> Finding {
        let finding = self.error(Code::UnknownWord, format!("unknown {what}: `{}`", shortened(word)));
        finding.maybe_help(suggestion(word, known))
    }
}

/// A mapping being read: each key is asked for, and what nobody asked for is unknown.
pub(crate) struct Fields<'a> {
    report: &'a Report,
    node: &'a Node,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The value of a key, where it stands.
    pub fn get(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        match &self.node.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The value of a key that must stand; `help` shows what to write.
    pub fn require(&mut self, key: &'static str, help: &str) -> Option<&'a Node> {
        let node = self.get(key);
        if node.is_none() {
            self.report.add(self.node.place.error(Code::Missing, format!("`{key}` is missing")).help(help));
        }
        node
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        self.finish_but(|_| false);
    }

    /// Reports the keys that nobody asked for, but for those that are ignored.
    pub fn finish_but(self, ignored: impl Fn(&str) -> bool) {
        let Value::Map(entries) = &self.node.value else { return };
        let is_unknown = |key: &Key| !self.known.contains(&key.text.as_str()) && !ignored(&key.text);
        for (at, (key, _)) in entries.iter().enumerate().filter(|(_, (key, _))| is_unknown(key)) {
            let (before, here) = entries.split_at(at);
            if key.alone && before.last().is_some_and(|(before, _)| before.alone && is_unknown(before)) {
                // Told with the first of them.
                continue;
            }
            let finding = key.place.error(Code::UnknownKey, format!("unknown key: `{}`", shortened(&key.text)));
            let help = cut_at_comma(before, here);
            self.report.add(finding.maybe_help(help.or_else(|| suggestion(&key.text, self.known.iter().copied()))));
        }
    }
}

/// What to write where keys that stand alone are the rest of the value before them: `{ why: one, two }`.
fn cut_at_comma(before: &[(Key, Node)], here: &[(Key, Node)]) -> Option<String> {
    let (key, value) = before.last()?;
    let rest = here.iter().map(|(key, _)| key).take_while(|key| key.alone).map(|key| key.text.as_str());
    let parts: Vec<&str> = std::iter::once(value.written()?).chain(rest).collect();
    let (key, text) = (&key.text, shortened(&parts.join(", ")));
    let help = format!("a comma ends a value: write `{key}: \"{text}\"` for one text, `{key}: [{text}]` for several");
    (parts.len() > 1).then_some(help)
}

/// Words, sorted, that fit on a line of help.
const LISTED: usize = 16;

/// What may have been meant: the nearest of the known words, or all of them where they are few, each once.
pub fn suggestion<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let mut told = HashSet::new();
    let known: Vec<&str> = known.into_iter().filter(|word| told.insert(*word)).collect();
    if let Some(near) = nearest(word, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    match known.len() {
        0 => None,
        1..=LISTED => Some(format!("known: {}", known.join(", "))),
        n => Some(format!("known: {} and {} more", known[..LISTED].join(", "), n - LISTED)),
    }
}

/// The word that `word` is a slip of: at most a third of its letters differ, case and `_` for `-` apart.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let word = plain(word);
    // Longer than any word: not worth comparing letter by letter.
    if word.len() > 255 {
        return None;
    }
    let distances = known.into_iter().map(|k| (strsim::osa_distance(&word, &plain(k)), k));
    let slip = |(distance, k): &(usize, &str)| *distance <= (k.chars().count().min(word.chars().count()) / 3).max(1);
    distances.filter(slip).min_by_key(|(distance, _)| *distance).map(|(_, k)| k)
}

fn shortened(text: &str) -> String {
    let mut line: String = text.lines().next().unwrap_or_default().chars().take(60).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_a_slip_away() {
        let words = ["etcd", "worker", "controlplane", "k3s-server"];
        assert_eq!(nearest("wroker", words), Some("worker"));
        assert_eq!(nearest("K3S_Server", words), Some("k3s-server"));
        assert_eq!(nearest("control-plane", words), Some("controlplane"));
        assert_eq!(nearest("database", words), None);
    }

    #[test]
    fn a_word_that_stands_twice_is_told_once() {
        assert_eq!(suggestion("zzz", ["b", "a", "b"]).as_deref(), Some("known: b, a"));
    }

    #[test]
    fn a_long_list_of_words_is_cut() {
        let words: Vec<String> = (100..120).map(|n| format!("word{n}{n}")).collect();
        let help = suggestion("zzz", words.iter().map(String::as_str));
        assert!(help.is_some_and(|h| h.ends_with("and 4 more")), "sixteen of twenty are named");
    }
}

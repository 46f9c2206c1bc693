//! What a cluster's options are, and whether a row's condition holds, doesn't, or hangs on one that nobody set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::inventory::{Cluster, NodeGroup};
use crate::profile::{Condition, OptionDefault, OptionValue, Vocabulary};

/// The option that a group may state for itself ([`NodeGroup::multihomed`]).
fn multihomed_option() -> &'static str {
    &Vocabulary::shipped().multihomed_option
}

/// Whether the nodes of a group of this cluster have several interfaces: the group's own word, else the cluster's.
pub(crate) fn multihomed(cluster: &Cluster, group: &NodeGroup) -> bool {
    group.multihomed.unwrap_or_else(|| {
        let values = Facts::new(cluster).values(multihomed_option(), None);
        values.is_some_and(|values| values.contains(&OptionValue::Bool(true)))
    })
}

/// Whether a condition holds for the cluster, or may hold once an option is set.
pub(crate) fn may_be_open(cluster: &Cluster, condition: &Condition) -> bool {
    Facts::new(cluster).decide(condition, None).state != State::Closed
}

/// Whether a row is open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closed,
    /// It is closed, and these options, which nobody set, could open it; sorted.
    Undecided(Vec<Arc<str>>),
}

/// Whether a row is open, and which option, value and source that rests on where nobody set it.
pub(super) struct Decision {
    pub(super) state: State,
    pub(super) assumed: Vec<(Arc<str>, String, String)>,
}

/// What is known of one cluster.
pub(super) struct Facts<'a> {
    cluster: &'a Cluster,
}

impl<'a> Facts<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// The option's values as far as they don't rest on the product's default.
    pub(super) fn values(&self, option: &str, multihomed: Option<bool>) -> Option<Vec<OptionValue>> {
        if let Some(word) = multihomed.filter(|_| option == multihomed_option()) {
            return Some(vec![OptionValue::Bool(word)]);
        }
        if let Some(fixed) = self.cluster.profile.fixes.get(option) {
            return Some(vec![fixed.clone()]);
        }
        if let Some(set) = self.cluster.options.get(option).filter(|values| !values.is_empty()) {
            return Some(set.clone());
        }
        let kind = Vocabulary::shipped().options.get(option)?;
        if !kind.follows.is_empty() {
            let played = self.cluster.groups.values().flat_map(|group| &group.roles);
            return Some(vec![OptionValue::Bool(played.into_iter().any(|role| kind.follows.contains(role)))]);
        }
        kind.default.clone().map(|value| vec![value])
    }

    fn default(&self, option: &str) -> Option<&OptionDefault> {
        default_in(&self.cluster.profile.defaults, option, &|option| self.values(option, None))
    }

    /// Decides a condition; `multihomed` is the word of the group that the row is local to.
    pub(super) fn decide(&self, condition: &Condition, multihomed: Option<bool>) -> Decision {
        let set = |option: &str| self.values(option, multihomed);
        let set_or_default =
            |option: &str| set(option).or_else(|| self.default(option).map(|default| vec![default.value.clone()]));
        let hangs_on = match evaluate(condition, &set_or_default) {
            Truth::Unknown(options) => options,
            known => {
                let state = if known == Truth::Yes { State::Open } else { State::Closed };
                return Decision { state, assumed: self.assumed_in(evaluate(condition, &set)) };
            }
        };
        let unset_is_false = |option: &str| set_or_default(option).or_else(|| Some(Vec::new()));
        if evaluate(condition, &unset_is_false) == Truth::Yes {
            let source = "nobody set it, and the row excludes only some values";
            let unset = hangs_on.into_iter().map(|option| (option, "unset".to_owned(), source.to_owned()));
            return Decision { state: State::Open, assumed: unset.collect() };
        }
        Decision { state: State::Undecided(hangs_on.into_iter().collect()), assumed: Vec::new() }
    }

    /// The defaults without which the truth would be unknown.
    fn assumed_in(&self, without: Truth) -> Vec<(Arc<str>, String, String)> {
        let Truth::Unknown(options) = without else { return Vec::new() };
        let defaults = options.iter().filter_map(|option| self.default(option));
        defaults.map(|d| (d.option.clone(), d.value.to_string(), d.source.clone())).collect()
    }
}

/// The first default of an option that holds; it sees what those before it are.
fn default_in<'a>(
    defaults: &'a [OptionDefault],
    option: &str,
    set: &dyn Fn(&str) -> Option<Vec<OptionValue>>,
) -> Option<&'a OptionDefault> {
    let last = defaults.iter().rposition(|default| *default.option == *option)?;
    let mut found: BTreeMap<&str, &OptionDefault> = BTreeMap::new();
    for default in defaults.iter().take(last + 1) {
        let values = |option: &str| set(option).or_else(|| found.get(option).map(|d| vec![d.value.clone()]));
        if !found.contains_key(&*default.option) && evaluate(&default.when, &values) == Truth::Yes {
            found.insert(&default.option, default);
        }
    }
    found.get(option).copied()
}

#[derive(Debug, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    /// It hangs on these options.
    Unknown(BTreeSet<Arc<str>>),
}

/// Three-valued: `values` gives `None` for an option whose value is unknown.
fn evaluate(condition: &Condition, values: &impl Fn(&str) -> Option<Vec<OptionValue>>) -> Truth {
    match condition {
        Condition::Is(option, wanted) => match values(option) {
            None => Truth::Unknown(BTreeSet::from([option.clone()])),
            Some(given) if given.iter().any(|value| wanted.contains(value)) => Truth::Yes,
            Some(_) => Truth::No,
        },
        Condition::Not(inner) => match evaluate(inner, values) {
            Truth::Yes => Truth::No,
            Truth::No => Truth::Yes,
            unknown => unknown,
        },
        Condition::All(list) => fold(list, values, &Truth::No, Truth::Yes),
        Condition::Any(list) => fold(list, values, &Truth::Yes, Truth::No),
    }
}

/// `settles`: the truth that one term is enough for; `otherwise`: when no term has it and none is unknown.
fn fold(
    list: &[Condition],
    values: &impl Fn(&str) -> Option<Vec<OptionValue>>,
    settles: &Truth,
    otherwise: Truth,
) -> Truth {
    let mut hangs_on = BTreeSet::new();
    for term in list {
        match evaluate(term, values) {
            truth if truth == *settles => return truth,
            Truth::Unknown(options) => hangs_on.extend(options),
            Truth::Yes | Truth::No => {}
        }
    }
    if hangs_on.is_empty() { otherwise } else { Truth::Unknown(hangs_on) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default(option: &str, value: &str, when: Condition) -> OptionDefault {
        let (option, value) = (option.into(), OptionValue::Word(value.into()));
        OptionDefault { option, value, when, source: String::new() }
    }

    fn is(option: &str, value: &str) -> Condition {
        Condition::Is(option.into(), vec![OptionValue::Word(value.into())])
    }

    #[test]
    fn a_default_sees_those_before_it_and_no_other() {
        let all = [
            default("a", "early", is("b", "x")),
            default("b", "x", Condition::always()),
            default("b", "y", Condition::always()),
            default("a", "late", is("b", "x")),
        ];
        let found = |option| default_in(&all, option, &|_| None).map(|d| d.value.to_string());
        assert_eq!((found("a").as_deref(), found("b").as_deref()), (Some("late"), Some("x")));
        let set = |option: &str| (option == "b").then(|| vec![OptionValue::Word("y".into())]);
        assert_eq!(default_in(&all, "a", &set), None);
    }

    #[test]
    fn defaults_that_hang_on_each_other_many_times_over_take_no_time() {
        let one = |i: usize| {
            let (option, other) = if i.is_multiple_of(2) { ("a", "b") } else { ("b", "a") };
            default(option, "x", is(other, "y"))
        };
        let all: Vec<OptionDefault> = (0..10_000).map(one).collect();
        assert_eq!(default_in(&all, "a", &|_| None), None);
    }
}

//! One connection: whether it is let through, by what, whether it is required, and what stands in its way.

mod asked;
mod end;
mod question;
mod required;
mod rules;
mod scan;

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::Desired;
use crate::document::RuleEntry;
use crate::flow::{Flows, Reason, Unopened, Why};
use crate::guard::{Guard, GuardsInForce};
use crate::inventory::{EgressMode, Inventory, Ownership};
use crate::link::scope;
use crate::name::{ClusterName, NetworkName};
use crate::observed::{Observed, Scope, ScopeGroup};
use crate::pack::Pack;
use crate::packets::TrafficSet;
use crate::rule::{Atoms, Direction};
use crate::traffic::Traffic;

use asked::Asked;
use end::Look;
use required::Required;

pub use question::{Question, QuestionError};

/// What a question is put to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// What the clouds have, beside what the inventory asks for.
    Both,
    /// Only what the clouds have.
    Observed,
    /// Only what the inventory asks for.
    Desired,
}

/// An inventory, all that follows from it, and a question about it.
pub struct Case<'a> {
    /// The inventory.
    pub inventory: &'a Inventory,
    /// What it requires.
    pub flows: &'a Flows,
    /// The rules for that.
    pub desired: &'a Desired,
    /// What must not be open to public addresses.
    pub guards: &'a GuardsInForce,
    /// The question.
    pub question: &'a Question,
    /// What it is put to.
    pub sight: Sight,
}

/// What was read of one network.
pub struct Reading<'a> {
    /// Every name of `read` is of these.
    pub atoms: Atoms,
    /// The network and its cloud's pure half, or why it couldn't be read.
    pub read: Result<(Observed, &'a dyn Pack), String>,
}

/// What a question comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is let through.
    Allowed,
    /// Some of it surely isn't.
    Denied,
    /// What was read doesn't tell.
    Unknown,
}

impl Verdict {
    /// `allowed`, `denied` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }

    fn of(all: &TrafficSet, allowed: &TrafficSet, denied: &TrafficSet) -> Self {
        if !denied.is_empty() {
            Self::Denied
        } else if all.difference(allowed).is_empty() {
            Self::Allowed
        } else {
            Self::Unknown
        }
    }
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it comes to at all ends together.
    pub verdict: Verdict,
    /// The part of the traffic that the inventory requires.
    pub required: Vec<Traffic>,
    /// Whether that is all of it.
    pub all_required: bool,
    /// What was looked at: out of groups, then into groups.
    pub ends: Vec<EndAnswer>,
    /// The rows behind what is required, sorted.
    pub rows: Vec<Row>,
    /// Rows that are not opened and ask for some of it, sorted.
    pub unopened: Vec<Unopened>,
    /// What else decides and was not looked at.
    pub not_checked: Vec<String>,
}

/// What one group says to a question, in one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct EndAnswer {
    /// Where.
    pub network: NetworkName,
    /// The group, by its name.
    pub security_group: String,
    /// Its id, where it was read.
    pub id: Option<String>,
    /// Out of it, or into it.
    pub direction: Direction,
    /// What it comes to here.
    pub verdict: Verdict,
    /// The part that is let through.
    pub allowed: Vec<Traffic>,
    /// The part that surely isn't.
    pub denied: Vec<Traffic>,
    /// The rest.
    pub unknown: Vec<Traffic>,
    /// The rules that let some of it through; with the rows that require it as their reasons.
    pub by: Vec<RuleEntry>,
    /// What would let the denied part through; with the rows that require it as their reasons.
    pub missing: Vec<RuleEntry>,
    /// What else there is to say, in an order for people.
    pub hurdles: Vec<Hurdle>,
}

/// What stands in the way, or keeps the answer back.
#[derive(Debug, Clone, PartialEq)]
pub enum Hurdle {
    /// The network couldn't be read.
    Unreadable(String),
    /// The group isn't there.
    NoGroup,
    /// Another inventory writes the group's rules.
    External,
    /// The other end can't be written as a rule.
    Unresolved(Why),
    /// A rule lets some of it through, under a condition that only the cloud knows: `if 10.1.2.3 is a node of web`.
    Perhaps(Box<RuleEntry>, String),
    /// Something of others denies some of it before anything lets it through.
    Denies {
        /// What.
        name: String,
        /// Its place among the network's rules; `None`: before all of them.
        priority: Option<u32>,
        /// Surely; otherwise something that was not read may decide before it.
        certain: bool,
    },
    /// Something that may let anything through, because its rules can't be read.
    UnreadableRule {
        /// What.
        name: String,
        /// Why not.
        why: String,
    },
    /// A guard forbids some of it.
    Guard(Guard),
}

/// A row that requires some of a question's traffic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Which, and why.
    pub reason: Reason,
    /// Who says so; empty for a rule of the user's own.
    pub source: String,
    /// The part that it requires.
    pub traffic: Vec<Traffic>,
    /// Stays on the node: needs no rule.
    pub local: bool,
}

/// What must be read for an answer, by network.
pub fn scopes(case: &Case<'_>) -> BTreeMap<NetworkName, Scope> {
    let asked = Asked::of(case.inventory, case.question);
    let (owner, clusters) = (&case.inventory.owner, case.inventory.written());
    let mut scopes: BTreeMap<NetworkName, Scope> = BTreeMap::new();
    for (network, group) in asked.ends.keys().map(|(network, group, _)| (network, group)) {
        let scope = scopes.entry(network.clone()).or_insert_with(|| {
            let mut scope = scope(case.desired, network, owner, &clusters);
            // Ids of rules are told of shared groups.
            scope.groups.iter_mut().for_each(|g| g.ownership = Some(Ownership::Exclusive));
            scope
        });
        let ownership = Some(Ownership::Shared);
        match scope.groups.iter_mut().find(|g| g.group == *group) {
            Some(known) => known.ownership = ownership,
            None => scope.groups.push(ScopeGroup { group: group.clone(), ownership }),
        }
    }
    for (network, group) in asked.named_groups() {
        if let Some(scope) = scopes.get_mut(network)
            && scope.groups.iter().all(|known| known.group != group)
        {
            scope.groups.push(ScopeGroup { group, ownership: Some(Ownership::Exclusive) });
        }
    }
    scopes
}

/// Answers a question from what was read of the networks that [`scopes`] names; from nothing where only what is desired
/// is asked for. `beside` is what decides in a network beside its rules.
pub fn explain<'b>(
    case: &Case<'_>,
    readings: BTreeMap<NetworkName, Reading<'_>>,
    beside: impl Fn(&NetworkName) -> &'b [&'b str],
) -> Answer {
    let required = Required::of(case);
    let asked = Asked::of(case.inventory, case.question);
    let mut look = Look::new(case, readings, &required.rows);
    let all: TrafficSet = case.question.traffic.iter().copied().collect();
    let mut ends = Vec::with_capacity(asked.ends.len());
    let (mut allowed, mut denied) = (all.clone(), TrafficSet::default());
    let mut of_ends = BTreeSet::new();
    for (place, end) in &asked.ends {
        let found = look.end(place, end, &asked);
        allowed = allowed.intersection(&found.allowed);
        denied = denied.union(&found.denied);
        of_ends.extend(found.not_checked);
        ends.push(found.answer);
    }
    ends.sort_by_key(|end| (std::cmp::Reverse(end.direction), end.network.clone(), end.security_group.clone()));
    let verdict = if ends.is_empty() { Verdict::Unknown } else { Verdict::of(&all, &allowed, &denied) };
    let not_checked = beside_rules(case, &ends, beside).into_iter().chain(of_ends).collect();
    let with_reasons = case.sight != Sight::Observed;
    Answer {
        verdict,
        all_required: all.difference(&required.traffic).is_empty(),
        required: required.traffic.traffics(),
        rows: if with_reasons { required.named(case.inventory) } else { Vec::new() },
        unopened: if with_reasons { unopened(case, &asked, &all) } else { Vec::new() },
        not_checked,
        ends,
    }
}

/// Rows that are not opened and would let some of it into a group that is asked about, or out of one whose egress is strict.
fn unopened(case: &Case<'_>, asked: &Asked, all: &TrafficSet) -> Vec<Unopened> {
    let strict =
        |cluster: &ClusterName| case.inventory.clusters.get(cluster).is_some_and(|c| c.egress == EgressMode::Strict);
    let ends: BTreeSet<_> =
        asked.ends.iter().flat_map(|((_, _, way), end)| end.members.iter().map(move |m| (m, *way))).collect();
    let is_asked = |row: &&Unopened| {
        row.asks.iter().any(|ask| {
            let narrowed = ask.direction == Direction::Ingress || strict(&ask.cluster);
            let member = (ask.cluster.clone(), ask.group.clone());
            narrowed && ends.contains(&(&member, ask.direction)) && !all.within(ask.traffic).is_empty()
        })
    };
    let rows = case.flows.unopened.iter().chain(&case.desired.unopened).filter(is_asked);
    let rows: BTreeSet<Unopened> = rows.map(|row| Unopened { asks: Vec::new(), ..row.clone() }).collect();
    rows.into_iter().collect()
}

/// What decides beside rules in the networks of the ends, and ends that are nobody's here.
fn beside_rules<'b>(
    case: &Case<'_>,
    ends: &[EndAnswer],
    beside: impl Fn(&NetworkName) -> &'b [&'b str],
) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let networks: BTreeSet<&NetworkName> = ends.iter().map(|end| &end.network).collect();
    for word in networks.into_iter().flat_map(|network| beside(network).iter().map(|word| (*word).to_owned())) {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    let checked = |direction| ends.iter().any(|end| end.direction == direction);
    let Question { from, to, .. } = case.question;
    if !checked(Direction::Egress) {
        all.push(format!("what {from} lets out"));
    }
    if !checked(Direction::Ingress) {
        all.push(format!("what {to} lets in"));
    }
    if case.sight == Sight::Desired {
        all.push("what the cloud has now".to_owned());
    }
    all
}

#[cfg(test)]
mod tests;

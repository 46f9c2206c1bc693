//! The pure half of a provider: how it groups changes into calls, and what its rules can say.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::name::{Mark, Origin};
use crate::observed::{Observed, ObservedGroup};
use crate::plan::{Action, StepRule};
use crate::rule::{Atom, Atoms, Direction, Family, PeerKind, Rule};
use crate::traffic::{ICMP, ICMPV6, Protocol};

/// Packs one group's changes into the fewest API calls of a cloud.
pub trait Pack {
    /// What this cloud's rules can say.
    fn dialect(&self) -> &Dialect;

    /// The fewest calls that carry out `changes`, in any order: the planner orders them.
    ///
    /// Pure: the same changes in the same place give the same calls.
    fn pack(&self, changes: &GroupChanges, at: &Site<'_>) -> Vec<Call>;

    /// Why this cloud has no rule that says `rule` in a group of this name, as the end of a sentence; `None`: it has one.
    /// `peer` is the text of the rule's atom; empty for addresses.
    fn unsayable(&self, _rule: &Rule, _group: &str, _peer: &str) -> Option<String> {
        None
    }

    /// How many steps of a kind one call carries out, where they don't depend on each other.
    fn at_once(&self, _action: Action) -> NonZeroUsize {
        NonZeroUsize::MIN
    }

    /// What a reference to a group of this name is in this cloud's rules.
    fn reference(&self, _group: &str) -> PeerKind {
        PeerKind::Group
    }

    /// Why this cloud makes no group of this name, as the end of a sentence; `None`: it does.
    fn refuses_name(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Where changes go.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The group as it was read, before the first of its changes; `None`: it doesn't exist.
    pub group: Option<&'a ObservedGroup>,
    /// The network as it was read.
    pub network: &'a Observed,
    /// The texts of atoms.
    pub atoms: &'a Atoms,
}

/// What a cloud's rules can say.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// A reference to a group or list matches both families at once (AWS, GCP); otherwise each family is a rule (Neutron).
    pub references_match_both: bool,
    /// Rules that the cloud itself puts into a new group.
    pub default_rules: Vec<Rule>,
    /// The characters that a description may have, beside ASCII letters and digits; `None`: all printable ones.
    pub description_alphabet: Option<&'static str>,
    /// The longest description, in characters.
    pub description_length: usize,
    /// The mark of a rule stands in its description (Neutron, GCP), else in tags.
    pub marks_in_description: bool,
    /// How many of a group's rules a quota counts, given one rule: AWS counts by direction and family.
    pub quota: QuotaCount,
    /// Deleting a group deletes the rules elsewhere that refer to it (Neutron); otherwise it is refused (AWS).
    pub delete_cascades: bool,
    /// Descriptions of existing rules can be changed by a call of their own.
    pub updates_descriptions: bool,
    /// A group is but a name: it is there while a resource holds rules for it, its marks are those of its resources, and no
    /// call makes, marks or deletes it. The default rules are every group's, until a resource of ours denies them.
    pub groups_are_implicit: bool,
}

/// How a quota counts a group's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaCount {
    /// By direction and family; a reference counts in both families (AWS).
    ByDirectionAndFamily,
    /// All together.
    All,
}

/// All that is to change in one group.
#[derive(Debug, Clone, Default)]
pub struct GroupChanges {
    /// The group: the atom of its id, or of its name while it doesn't exist.
    pub group: Option<Atom>,
    /// Create the group, with this description.
    pub create: Option<String>,
    /// Marks that the group gets.
    pub group_marks: Vec<(Mark, Origin)>,
    /// Marks that the group loses.
    pub group_unmarks: Vec<Mark>,
    /// For groups that are but names: the marks of what is made for them, and how we hold the group.
    pub marks: Vec<(Mark, Origin)>,
    /// Rules to add, with description and marks.
    pub adds: Vec<StepRule>,
    /// Rules to remove.
    pub removes: Vec<StepRule>,
    /// Existing rules that get our marks beside others'.
    pub joins: Vec<StepRule>,
    /// Existing rules that lose our marks and stay for others.
    pub leaves: Vec<StepRule>,
    /// Existing rules that get a new description.
    pub descriptions: Vec<StepRule>,
    /// Delete the group.
    pub delete: bool,
}

/// One API call, not yet ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What it does.
    pub action: Action,
    /// The direction of its rules, where it has rules of one.
    pub direction: Option<Direction>,
    /// The cloud's own object, where that is not the group: one that is there changes, or goes when nothing is left in it;
    /// one that isn't there is made.
    pub resource: Option<String>,
    /// Rules that are there after it.
    pub adds: Vec<StepRule>,
    /// Rules that are gone after it.
    pub removes: Vec<StepRule>,
    /// Marks that the group gets.
    pub group_marks: Vec<(Mark, Origin)>,
    /// Marks that the group loses.
    pub group_unmarks: Vec<Mark>,
    /// The description of the new group or resource; of a resource that is there, its new one where that changes.
    pub description: Option<String>,
}

impl Call {
    /// A call with nothing in it yet.
    pub fn new(action: Action, direction: Option<Direction>) -> Self {
        Self {
            action,
            direction,
            resource: None,
            adds: Vec::new(),
            removes: Vec::new(),
            group_marks: Vec::new(),
            group_unmarks: Vec::new(),
            description: None,
        }
    }
}

/// The calls of a cloud whose calls take any number of rules of one group and one direction: AWS, the simulated cloud.
///
/// A new group: create with its marks, one add. A changed one: at most one add and one remove a direction, and one call
/// each for marks and descriptions.
pub fn one_call_a_direction(changes: &GroupChanges, dialect: &Dialect) -> Vec<Call> {
    let mut calls = Vec::new();
    if let Some(description) = &changes.create {
        let mut call = Call::new(Action::CreateGroup, None);
        call.description = Some(description.clone());
        call.group_marks = changes.group_marks.clone();
        call.adds = dialect.default_rules.iter().map(|rule| StepRule::plain(*rule)).collect();
        calls.push(call);
    } else if !changes.group_marks.is_empty() {
        let group_marks = changes.group_marks.clone();
        calls.push(Call { group_marks, ..Call::new(Action::SetMarks, None) });
    }
    for (action, adds, removes) in [
        (Action::AddRules, &changes.adds, &Vec::new()),
        (Action::SetMarks, &changes.joins, &Vec::new()),
        (Action::SetMarks, &Vec::new(), &changes.leaves),
        (Action::RemoveRules, &Vec::new(), &changes.removes),
        (Action::UpdateDescriptions, &changes.descriptions, &Vec::new()),
    ] {
        for direction in [Direction::Ingress, Direction::Egress] {
            let of = |rules: &[StepRule]| -> Vec<StepRule> {
                rules.iter().filter(|r| r.rule.direction == direction).cloned().collect()
            };
            let (adds, removes) = (of(adds), of(removes));
            if !adds.is_empty() || !removes.is_empty() {
                calls.push(Call { adds, removes, ..Call::new(action, Some(direction)) });
            }
        }
    }
    if !changes.group_unmarks.is_empty() {
        let group_unmarks = changes.group_unmarks.clone();
        calls.push(Call { group_unmarks, ..Call::new(Action::SetMarks, None) });
    }
    if changes.delete {
        calls.push(Call::new(Action::DeleteGroup, None));
    }
    calls
}

impl StepRule {
    /// A rule without description, marks or reasons.
    pub fn plain(rule: Rule) -> Self {
        Self { rule, id: None, description: String::new(), marks: Vec::new(), reasons: Arc::default(), resource: None }
    }
}

impl Dialect {
    /// The rules that say in this cloud what `rule` says: a reference for both families is one rule or two. ICMP is of IPv4,
    /// ICMPv6 of IPv6.
    pub fn project(&self, rule: Rule) -> impl Iterator<Item = Rule> + use<> {
        use crate::rule::RulePeer::{Addresses, Opaque};
        let peers = match rule.peer {
            Addresses(_) => [Some(rule.peer), None],
            Opaque(kind, atom, _) if self.references_match_both => [Some(Opaque(kind, atom, Family::Both)), None],
            Opaque(kind, atom, Family::Both) if rule.traffic.protocol() == Protocol::Number(ICMP) => {
                [Some(Opaque(kind, atom, Family::Ipv4)), None]
            }
            Opaque(kind, atom, Family::Both) if rule.traffic.protocol() == Protocol::Number(ICMPV6) => {
                [Some(Opaque(kind, atom, Family::Ipv6)), None]
            }
            Opaque(kind, atom, Family::Both) => {
                [Some(Opaque(kind, atom, Family::Ipv4)), Some(Opaque(kind, atom, Family::Ipv6))]
            }
            Opaque(..) => [Some(rule.peer), None],
        };
        peers.into_iter().flatten().map(move |peer| Rule { peer, ..rule })
    }
}

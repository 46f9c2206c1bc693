//! A plan: steps, each one API call or its share of one, in a partial order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::flow::Reason;
use crate::name::{Mark, NetworkName, Origin, RuleId};
use crate::rule::{Atom, Direction, Rule};

/// A step's number within its plan, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Create the group; `adds` are the rules that the cloud puts into a new group by itself.
    CreateGroup,
    /// Put our marks on the group, take them off it, or put them on (`adds`) or off (`removes`) rules that others have too.
    SetMarks,
    /// Add `adds`.
    AddRules,
    /// Remove `removes`.
    RemoveRules,
    /// Remove `removes` and add `adds` at once.
    ReplaceRules,
    /// Give the rules in `adds`, which exist, the descriptions that stand there.
    UpdateDescriptions,
    /// Delete the group; `removes` are the rules that go with it.
    DeleteGroup,
}

/// One API call, or its share of one that carries out several such steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// Where.
    pub network: NetworkName,
    /// The group: the atom of its id, or of its name while it doesn't exist.
    pub group: Atom,
    /// The direction of its rules, where it has rules of one.
    pub direction: Option<Direction>,
    /// What it does.
    pub action: Action,
    /// Steps that must be done before.
    pub depends_on: Vec<StepId>,
    /// The cloud's own object that the call touches, where that is not the group (a GCP firewall rule).
    pub resource: Option<String>,
    /// Rules that are there after it.
    pub adds: Vec<StepRule>,
    /// Rules that are gone after it.
    pub removes: Vec<StepRule>,
    /// For `create_group` and `set_marks`: the marks that the group gets, and how we came to it.
    pub group_marks: Vec<(Mark, Origin)>,
    /// For `set_marks`: the marks that the group loses.
    pub group_unmarks: Vec<Mark>,
    /// The description of the group that `create_group` makes; of a resource, the one that it gets.
    pub description: Option<String>,
    /// For `delete_group`, where the cloud cascades: rules of other groups that go with the group, by their group.
    pub cascade: BTreeMap<Atom, Vec<StepRule>>,
}

impl Step {
    /// How many rules of other groups go with the group that it deletes.
    pub fn goes_along(&self) -> usize {
        self.cascade.values().map(Vec::len).sum()
    }
}

/// The steps of each group, in their order.
pub fn by_group(steps: &[Step]) -> BTreeMap<(&NetworkName, Atom), Vec<&Step>> {
    let mut groups: BTreeMap<_, Vec<&Step>> = BTreeMap::new();
    steps.iter().for_each(|step| groups.entry((&step.network, step.group)).or_default().push(step));
    groups
}

/// The rules that steps of one group only move from one resource to another: both added and removed.
pub fn moved(steps: &[&Step]) -> BTreeSet<Rule> {
    let of = |action: fn(Action) -> bool| steps.iter().filter(move |s| action(s.action));
    let adding = of(|action| matches!(action, Action::AddRules | Action::ReplaceRules));
    let removing = of(|action| matches!(action, Action::RemoveRules | Action::ReplaceRules));
    let added: BTreeSet<Rule> = adding.flat_map(|s| &s.adds).map(|r| r.rule).collect();
    removing.flat_map(|s| &s.removes).map(|r| r.rule).filter(|rule| added.contains(rule)).collect()
}

/// A rule in a step, with all that a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRule {
    /// What it lets through.
    pub rule: Rule,
    /// The observed rule's id, where it is known.
    pub id: Option<RuleId>,
    /// The description that the rule has (removes) or gets (adds).
    pub description: String,
    /// Our marks that the rule gets.
    pub marks: Vec<Mark>,
    /// Why.
    pub reasons: Arc<[Reason]>,
    /// The resource that holds the observed rule; `None` for what is added.
    pub resource: Option<Arc<str>>,
}

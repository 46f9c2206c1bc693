//! Differences become a plan: steps in a partial order, what each group was and will be, and the proof.

mod again;
mod back;
mod blast;
mod build;
mod destroy;
mod draft;
mod error;
mod going;
mod group;
mod order;
mod orphan;
mod quota;
mod rollback;
mod shadow;
mod shard;
mod step;
mod undo;
mod waves;

pub use again::{again, all_of};
pub use build::{NetworkInput, PlanOptions, plan};
pub use destroy::{Destruction, destroy, split_flows};
pub use error::{NetworkCount, PlanError};
pub use orphan::{Orphan, Prune};
pub use quota::{QuotaUse, quota_use};
pub use rollback::{Begun, rollback, rollback_scopes};
pub use shard::Shard;
pub use step::*;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use crate::desired::{DesiredRule, Elsewhere};
use crate::diff::{Fate, GroupDiff};
use crate::flow::{Assumed, Flow, Unopened, WithoutMembers};
use crate::inventory::{Network, Ownership};
use crate::name::{ClusterName, NodeGroupName, Owner};
use crate::observed::{Observed, ObservedGroup};
use crate::proof::Proof;
use crate::rule::{Atom, Atoms, Cidr};

/// What would change, in which order, and why that is safe.
#[derive(Debug)]
pub struct Plan {
    /// Whose.
    pub owner: Owner,
    /// The clusters that stand in the inventory: with the owner, whose marks are ours.
    pub clusters: BTreeSet<ClusterName>,
    /// Ranges that are not public, beside the private ones.
    pub trusted: Vec<Cidr>,
    /// In the inventory's order.
    pub networks: Vec<NetworkPlan>,
    /// In an order that keeps every `depends_on`.
    pub steps: Vec<Step>,
    /// About every state in between.
    pub proof: Proof,
    /// Where what the proof calls required is from.
    pub required: Required,
    /// Rows that are not opened.
    pub unopened: Vec<Unopened>,
    /// Roles of the profiles that no group plays: their rows drop out.
    pub without_members: Vec<WithoutMembers>,
    /// Options that got a default.
    pub assumed: Vec<Assumed>,
    /// Flows into clusters that are not ours to write.
    pub elsewhere: Vec<Flow>,
    /// Flows that are lost with what is destroyed.
    pub lost: Vec<Flow>,
    /// What a person should know: expired entries, guards set aside, marks of clusters that are gone.
    pub notes: Vec<String>,
    /// Why apply will refuse without `--max-removals`; `None`: it won't.
    pub blast: Option<String>,
}

impl Plan {
    /// What every plan has; what only some have is empty.
    fn new(
        owner: Owner,
        clusters: BTreeSet<ClusterName>,
        trusted: Vec<Cidr>,
        (networks, steps, proof): (Vec<NetworkPlan>, Vec<Step>, Proof),
    ) -> Self {
        Self {
            owner,
            clusters,
            trusted,
            networks,
            steps,
            proof,
            required: Required::Inventory,
            unopened: Vec::new(),
            without_members: Vec::new(),
            assumed: Vec::new(),
            elsewhere: Vec::new(),
            lost: Vec::new(),
            notes: Vec::new(),
            blast: None,
        }
    }

    /// Whether nothing is to be added or removed.
    pub fn in_sync(&self) -> bool {
        self.steps.iter().all(|s| matches!(s.action, Action::SetMarks | Action::UpdateDescriptions))
    }

    /// How many calls carry it out when none is refused or repeated; looks that a call takes first don't count.
    ///
    /// Nothing needs to be done before a group is made, so those of a network are made together.
    pub fn calls(&self) -> usize {
        let of_network = |network: &NetworkPlan| {
            let steps = self.steps.iter().filter(|step| step.network == network.network.name);
            let (groups, others): (Vec<&Step>, Vec<&Step>) = steps.partition(|step| step.action == Action::CreateGroup);
            groups.len().div_ceil(network.groups_at_once.get()) + others.len()
        };
        self.networks.iter().map(of_network).sum()
    }

    /// How many rules are added, how many removed, in whatever group.
    pub fn counts(&self) -> (usize, usize) {
        let (mut adds, mut removes) = (0, 0);
        for steps in by_group(&self.steps).values() {
            let moved = moved(steps);
            let of = |rules: &[StepRule]| rules.iter().filter(|r| !moved.contains(&r.rule)).count();
            let changing =
                || steps.iter().filter(|s| !matches!(s.action, Action::SetMarks | Action::UpdateDescriptions));
            adds += changing().filter(|s| s.action != Action::CreateGroup).map(|s| of(&s.adds)).sum::<usize>();
            removes += changing().map(|s| of(&s.removes) + s.goes_along()).sum::<usize>();
        }
        (adds, removes)
    }

    /// How many of the removed rules are others': those in groups that are deleted, where that is known, and those that refer
    /// to such groups.
    pub fn takes_of_others(&self) -> usize {
        let deletions = self.steps.iter().filter(|step| step.action == Action::DeleteGroup);
        let inside = |step: &Step| {
            let network = self.networks.iter().find(|network| network.network.name == step.network);
            let group = network.and_then(|network| network.groups.iter().find(|group| group.atom == step.group));
            group.map_or(0, |group| group.diff.fates.iter().filter(|fate| **fate == Fate::Foreign).count())
        };
        deletions.map(|step| inside(step) + step.goes_along()).sum()
    }
}

/// Where what a plan must not cut is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// The inventory asks for it.
    Inventory,
    /// A run that is rolled back found it.
    Before,
}

/// One network's part of a plan.
#[derive(Debug)]
pub struct NetworkPlan {
    /// The inventory's network.
    pub network: Network,
    /// What was read, or why it couldn't be.
    pub observed: Result<Observed, String>,
    /// Names that rules point into.
    pub atoms: Atoms,
    /// Groups of other networks that rules name while nobody knows their ids.
    pub elsewhere: BTreeMap<Atom, Elsewhere>,
    /// Groups that the inventory names, sorted by name; then, with `--prune`, orphans.
    pub groups: Vec<GroupPlan>,
    /// Groups that carry our mark and that the inventory no longer names, sorted by id.
    pub orphans: Vec<Orphan>,
    /// API calls that reading took.
    pub calls: u64,
    /// How many groups one call makes.
    groups_at_once: NonZeroUsize,
    /// Where each observed group stands.
    places: BTreeMap<Atom, usize>,
    /// Observed groups of a name that others have, too.
    twins: BTreeSet<Atom>,
}

impl NetworkPlan {
    /// A network as it was read, without plans for its groups.
    pub(crate) fn of(network: Network, observed: Result<Observed, String>, atoms: Atoms) -> Self {
        let read = observed.as_ref().map(|o| o.groups.as_slice()).unwrap_or_default();
        let places = read.iter().enumerate().map(|(i, g)| (g.atom, i)).collect();
        let mut by_name: BTreeMap<&str, Vec<Atom>> = BTreeMap::new();
        read.iter().for_each(|group| by_name.entry(group.name.as_str()).or_default().push(group.atom));
        let twins = by_name.into_values().filter(|atoms| atoms.len() > 1).flatten().collect();
        let (elsewhere, groups, orphans) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (calls, groups_at_once) = (0, NonZeroUsize::MIN);
        Self { network, observed, atoms, elsewhere, groups, orphans, calls, groups_at_once, places, twins }
    }

    /// The observed group of an atom.
    pub fn observed_group(&self, atom: Atom) -> Option<&ObservedGroup> {
        self.observed.as_ref().ok()?.groups.get(*self.places.get(&atom)?)
    }

    /// What people call a group: its name where one group has it, else the atom's own text.
    pub fn group_name(&self, atom: Atom) -> &str {
        match self.observed_group(atom) {
            Some(group) if !self.twins.contains(&atom) => group.name.as_str(),
            _ => self.atoms.text(atom),
        }
    }
}

/// What no rollback brings back: the ids of groups that steps delete.
fn ids_lost(networks: &[NetworkPlan], steps: &[Step]) -> Vec<String> {
    let lost = deleted(networks, steps).map(|ObservedGroup { id, name, .. }| {
        format!("`{name}` loses its id {id} for good: a rollback makes the group again under another")
    });
    lost.collect()
}

/// Words that let a group take others' rules along, and that name no group which is deleted.
fn words_for_nothing(networks: &[NetworkPlan], steps: &[Step], words: &BTreeSet<String>) -> Vec<String> {
    let named: BTreeSet<&str> =
        deleted(networks, steps).flat_map(|group| [group.name.as_str(), group.id.as_str()]).collect();
    let unused = words.iter().filter(|word| !named.contains(word.as_str()));
    unused.map(|word| format!("--cascade {word}: no group of that name or id is deleted")).collect()
}

fn deleted<'a>(networks: &'a [NetworkPlan], steps: &'a [Step]) -> impl Iterator<Item = &'a ObservedGroup> {
    let deletions = steps.iter().filter(|step| step.action == Action::DeleteGroup);
    deletions.filter_map(|step| networks.iter().find(|n| n.network.name == step.network)?.observed_group(step.group))
}

/// How a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupStatus {
    /// It will be made.
    Create,
    /// It was another's and becomes ours alone.
    Adopt,
    /// Some rules change.
    Change,
    /// Nothing to add or remove.
    InSync,
    /// It will be deleted.
    Delete,
    /// `--cluster` leaves it out.
    Skipped,
}

/// One group's part of a plan.
#[derive(Debug)]
pub struct GroupPlan {
    /// The atom that rules name it by.
    pub atom: Atom,
    /// The name, or the id where the inventory gives that.
    pub security_group: String,
    /// Node groups that use it; none use an orphan.
    pub members: Vec<(ClusterName, NodeGroupName)>,
    /// Who decides on its rules.
    pub ownership: Ownership,
    /// How it stands.
    pub status: GroupStatus,
    /// Rule by rule.
    pub diff: GroupDiff,
    /// Everything that must be let through, before any stand-in.
    pub wanted: Vec<DesiredRule>,
    /// Rules now.
    pub rules_before: usize,
    /// Rules when the plan is done.
    pub rules_after: usize,
    /// The fuller count of those that a quota limits, when the plan is done.
    pub quota: Option<QuotaUse>,
    /// Outbound is neither open nor ours to open.
    pub outbound_closed: bool,
    /// Rules whose descriptions differ and stay.
    pub stale_descriptions: usize,
}

#[cfg(test)]
mod model;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod wrong_planner;

//! What exists becomes an inventory: groups are recognised by their rules, and what no row explains becomes a rule of its own.

mod compare;
mod evidence;
mod leftover;
mod peers;
mod search;
#[cfg(test)]
mod tests;
mod together;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use crate::inventory::{Inventory, Network, Ownership};
use crate::name::{ClusterName, NodeGroupName, Owner};
use crate::observed::{Observed, ObservedGroup, Ours};
use crate::pack::Pack;
use crate::profile::Catalog;
use crate::rule::Atoms;
use crate::traffic::Traffic;
use crate::writer::of_group;

use compare::Case;

pub use evidence::undecided;
pub use together::slug;

/// What is to be taken over.
pub struct Found<'a> {
    /// Whose the inventory will be.
    pub owner: Owner,
    /// Where the groups are.
    pub network: Network,
    /// The groups of the network.
    pub observed: &'a Observed,
    /// The names that its rules point into.
    pub atoms: &'a Atoms,
    /// What the network's cloud can say.
    pub pack: &'a dyn Pack,
    /// The profiles to compare with.
    pub catalog: &'a Catalog,
    /// Today.
    pub today: Date,
    /// Names or ids of the groups that are a cluster's; empty: all groups are looked at, and those that look like none are
    /// left out.
    pub only: BTreeSet<String>,
    /// The profile; `None`: the one that explains most.
    pub profile: Option<String>,
    /// The name of the only cluster, or the beginning of the names of several.
    pub cluster: Option<ClusterName>,
}

/// An inventory of what was found, and why it says what it says.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// Nothing that it says takes away what was found, but for `guarded`.
    pub inventory: Inventory,
    /// What speaks for each cluster.
    pub evidence: BTreeMap<ClusterName, Evidence>,
    /// Groups that are in no cluster, by name, and why not; sorted.
    pub left_out: Vec<(String, String)>,
    /// Rules of the cloud that the inventory does not take over, since a guard forbids them.
    pub guarded: Vec<Guarded>,
}

/// A rule of the cloud that a guard forbids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guarded {
    /// The group's cluster.
    pub cluster: ClusterName,
    /// The group.
    pub group: NodeGroupName,
    /// From where.
    pub from: String,
    /// On what.
    pub traffic: Traffic,
    /// The guard's name.
    pub guard: Arc<str>,
    /// It carries a mark of ours: the next plan removes it, although the group is shared.
    pub ours: bool,
}

/// What speaks for a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Rules that are missing, over all groups: what the next plan adds.
    pub missing: usize,
    /// What the explanation leaves open, to compare with `others`.
    pub rank: Rank,
    /// Other profiles, with what each leaves open; the nearest first.
    pub others: Vec<(String, Rank)>,
    /// By group.
    pub groups: BTreeMap<NodeGroupName, GroupEvidence>,
    /// Options that are set, with the rows that are open because of them.
    pub options: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Options that nobody knows, with the rows that hang on them.
    pub undecided: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Evidence {
    fn of_group(&mut self, group: &NodeGroupName) -> &mut GroupEvidence {
        self.groups.entry(group.clone()).or_default()
    }
}

/// What speaks for a group's roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupEvidence {
    /// Rows whose traffic is wholly open from where the profile wants it, sorted.
    pub open: Vec<Arc<str>>,
    /// Rows of which something is missing, sorted.
    pub missing: Vec<Arc<str>>,
    /// How many of its rules no row explains: they became rules of the cluster.
    pub unexplained: usize,
    /// How many of its rules a guard forbids.
    pub guarded: usize,
    /// How many are left alone: known other writers', and those that the inventory has no word for.
    pub left_alone: usize,
}

/// What an explanation leaves open; the least is the best. One that leaves nothing missing and nothing unexplained comes
/// before any that does, or the next plan would change groups that are right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Roles that the profile is about and no group has.
    needs: usize,
    /// Something is missing or unexplained.
    inexact: bool,
    /// Rules that tell of a role that no group plays.
    signs: usize,
    /// How much is missing or unexplained, and what hangs on a peer that nobody knows.
    cost: usize,
}

impl Rank {
    fn is_exact(self) -> bool {
        self.needs == 0 && !self.inexact
    }
}

/// Why nothing can be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// No group has that name or id.
    #[error("network `{network}` has no group `{group}`")]
    NoSuchGroup {
        /// The network.
        network: String,
        /// The name.
        group: String,
    },
    /// There is nothing to look at.
    #[error("the network has no groups")]
    NoGroups,
    /// Every group is rsgsync's already, or a known other writer's: names, and why.
    #[error("each group of the network is left out: {}", some(.0))]
    AllLeftOut(LeftOut),
    /// Nothing looks like a cluster.
    #[error("none of the {0} groups looks like a cluster's")]
    NothingRecognised(usize),
    /// The profile is none.
    #[error(transparent)]
    Profile(#[from] crate::profile::PickError),
}

/// The first few of them.
fn some(left_out: &LeftOut) -> String {
    const NAMED: usize = 5;
    let mut texts: Vec<String> = left_out.iter().take(NAMED).map(|(name, why)| format!("`{name}` ({why})")).collect();
    if left_out.len() > NAMED {
        texts.push(format!("and {} more", left_out.len() - NAMED));
    }
    texts.join(", ")
}

impl AdoptError {
    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            Self::NoSuchGroup { .. } => "give names or ids as the cloud lists them".to_owned(),
            Self::NoGroups => "check the place that --network names: region and VPC, project, or state file".to_owned(),
            Self::AllLeftOut(_) => "name those that are to stand in this inventory all the same with --group".to_owned(),
            Self::NothingRecognised(_) => {
                "name the groups of one cluster with --group and what runs on it with --profile; `rsgsync profile list` \
                 shows the profiles"
                    .to_owned()
            }
            Self::Profile(_) => "`rsgsync profile list` shows the names".to_owned(),
        }
    }
}

/// Works out the inventory of what was found.
///
/// Errors when a group that was asked for isn't there, when there is none to look at, and when none looks like a cluster's.
pub fn adopt(found: &Found<'_>) -> Result<Adoption, AdoptError> {
    let (candidates, left_out) = candidates(found)?;
    let count = candidates.len();
    if count == 0 {
        return Err(if left_out.is_empty() { AdoptError::NoGroups } else { AdoptError::AllLeftOut(left_out) });
    }
    let case = Case::new(found);
    let mut adoption = together::clusters(&case, candidates, left_out)?;
    if adoption.inventory.clusters.is_empty() {
        return Err(AdoptError::NothingRecognised(count));
    }
    for name in adoption.inventory.clusters.keys().cloned().collect::<Vec<_>>() {
        peers::define(&case, &mut adoption.inventory, &name);
    }
    evidence::collect(&case, &mut adoption);
    leftover::take_over(&case, &mut adoption);
    stay_shared(&case, &mut adoption.inventory);
    Ok(adoption)
}

/// Says `shared` of a group that a mark of ours would make exclusive: its rules would no longer stay as they are. And of one
/// that carries another's mark: it can't be exclusive.
fn stay_shared(case: &Case<'_>, inventory: &mut Inventory) {
    let clusters = inventory.written();
    let ours = Ours { owner: &case.found.owner, clusters: &clusters };
    for group in inventory.clusters.values_mut().flat_map(|cluster| cluster.groups.values_mut()) {
        let Some(observed) = case.group(group.security_group.as_str()) else { continue };
        if observed.ownership(None, ours) == Ownership::Exclusive || observed.other_mark(ours).is_some() {
            group.ownership = Some(Ownership::Shared);
        }
    }
}

type LeftOut = Vec<(String, String)>;

/// The groups that may be a cluster's, and those that can't.
fn candidates<'a>(found: &Found<'a>) -> Result<(Vec<&'a ObservedGroup>, LeftOut), AdoptError> {
    let groups = &found.observed.groups;
    for word in &found.only {
        if !groups.iter().any(|g| g.name.as_str() == word || g.id.as_str() == word) {
            return Err(AdoptError::NoSuchGroup { network: found.network.name.to_string(), group: word.clone() });
        }
    }
    if !found.only.is_empty() {
        let asked = |g: &&ObservedGroup| found.only.contains(g.name.as_str()) || found.only.contains(g.id.as_str());
        return Ok((groups.iter().filter(asked).collect(), Vec::new()));
    }
    let (mut candidates, mut left_out) = (Vec::new(), Vec::new());
    for group in groups {
        if let Some(mark) = group.marks.first() {
            left_out.push((group.name.to_string(), format!("rsgsync has it already, as {}", mark.mark)));
        } else if let Some(writer) = of_group(group.name.as_str()).filter(|writer| writer.rules.is_empty()) {
            left_out.push((group.name.to_string(), format!("it is another's: {}", writer.why)));
        } else {
            candidates.push(group);
        }
    }
    Ok((candidates, left_out))
}

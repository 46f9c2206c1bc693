//! Groups that carry our mark and that the inventory no longer names, and what `--prune` does with them.

use std::collections::BTreeSet;

use super::going::{Doomed, Going, unmarked};
use crate::diff::Fate;
use crate::inventory::{Inventory, Peer};
use crate::link::Linked;
use crate::name::GroupMark;
use crate::observed::{Observed, ObservedGroup, Ours};
use crate::rule::Atom;

/// A group that carries a mark of our owner and that the inventory doesn't name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The atom of its id.
    pub atom: Atom,
    /// The owner's marks on it, sorted; at least one.
    pub marks: Vec<GroupMark>,
    /// What `--prune` does with it.
    pub prune: Prune,
    /// How many of its rules go with that.
    pub rules: usize,
}

/// What `--prune` does with an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prune {
    /// Deletes it: rsgsync made it, and nobody else's mark is on it.
    Delete,
    /// Removes the rules that carry our mark and no other, and takes our mark off the group.
    Clear,
    /// Nothing: only clusters have marked it that are not in the inventory.
    Keep,
}

/// Names and ids of groups that the inventory speaks of without writing them.
fn spoken_of(inventory: &Inventory) -> BTreeSet<&str> {
    let peers = inventory.clusters.values().flat_map(|cluster| cluster.peers.values());
    let peers = peers.filter_map(|peer| match peer {
        Peer::SecurityGroup { group, account: _ } => Some(group.as_str()),
        Peer::Tag(tag) => Some(tag.as_str()),
        Peer::Cidrs(_) | Peer::NodeGroup { .. } => None,
        Peer::PrefixList(_) | Peer::AddressGroup(_) | Peer::ServiceAccount(_) => None,
    });
    let external = inventory.clusters.values().filter(|cluster| cluster.external);
    peers.chain(external.flat_map(|c| c.groups.values().map(|group| group.security_group.as_str()))).collect()
}

/// The orphans of one network, in the order in which its groups were read.
pub(super) fn orphans(
    inventory: &Inventory,
    observed: &Observed,
    linked: &[Linked<'_>],
    ours: Ours<'_>,
) -> Vec<Orphan> {
    let (managed, spoken_of): (BTreeSet<Atom>, _) = (linked.iter().map(|l| l.atom).collect(), spoken_of(inventory));
    let named = |group: &&ObservedGroup| {
        let texts = [group.name.as_str(), group.id.as_str()];
        managed.contains(&group.atom) || texts.iter().any(|text| spoken_of.contains(text))
    };
    let unnamed = observed.groups.iter().filter(|group| !named(group));
    unnamed.filter_map(|group| orphan(inventory, group, ours)).collect()
}

fn orphan(inventory: &Inventory, group: &ObservedGroup, ours: Ours<'_>) -> Option<Orphan> {
    // What carries the mark of an `external` cluster, another inventory writes.
    let counts = |m: &&GroupMark| {
        m.mark.owner == *ours.owner && (ours.is(&m.mark) || !inventory.clusters.contains_key(&m.mark.cluster))
    };
    let marks: Vec<GroupMark> = group.marks.iter().filter(counts).cloned().collect();
    let (prune, rules) = if marks.is_empty() {
        return None;
    } else if group.resources.is_empty() && group.is_only_made_by(ours) {
        (Prune::Delete, group.rules.len())
    } else if marks.iter().any(|m| ours.is(&m.mark)) {
        let fates = unmarked(group, ours).fates;
        let goes = if group.is_in_our_resources(ours) { Prune::Delete } else { Prune::Clear };
        (goes, fates.iter().filter(|fate| **fate == Fate::Remove).count())
    } else {
        (Prune::Keep, 0)
    };
    Some(Orphan { atom: group.atom, marks, prune, rules })
}

/// The orphans that `--prune` deletes.
pub(super) fn deleted(orphans: &[Orphan]) -> BTreeSet<Atom> {
    orphans.iter().filter(|orphan| orphan.prune == Prune::Delete).map(|orphan| orphan.atom).collect()
}

/// The orphans that something goes of.
pub(super) fn pruned<'a>(
    orphans: &[Orphan],
    observed: &'a Observed,
    ours: Ours<'a>,
    doomed: &'a Doomed,
) -> Vec<Going<'a>> {
    let goes = |atom: Atom| orphans.iter().any(|orphan| orphan.atom == atom && orphan.prune != Prune::Keep);
    let going = observed.groups.iter().filter(|group| goes(group.atom)).map(|group| Going {
        group,
        security_group: group.name.to_string(),
        members: &[],
        ownership: group.ownership(None, ours),
        stays: None,
        ours,
        marks_read: false,
        leaving: ours.clusters,
        doomed,
    });
    going.collect()
}

//! What speaks for the roles and options of an inventory that was made from what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::compare::Case;
use super::{Adoption, GroupEvidence};
use crate::flow::{Flows, Why};
use crate::name::ClusterName;
use crate::packets::PacketSet;
use crate::profile::ProfileRow;
use crate::rule::Direction;

/// Fills in what speaks for each cluster.
pub(super) fn collect(case: &Case<'_>, adoption: &mut Adoption) {
    let wish = case.wish(&adoption.inventory);
    for cluster in adoption.inventory.clusters.values() {
        let evidence = adoption.evidence.entry(cluster.name.clone()).or_default();
        evidence.missing = 0;
        let mut open_rows: BTreeSet<Arc<str>> = BTreeSet::new();
        for (group, observed) in case.members(cluster) {
            let (mut open, mut missing) = (BTreeSet::new(), BTreeSet::new());
            let wanted = wish.rules.get(&observed.atom).map(Vec::as_slice).unwrap_or_default();
            let inbound = || wanted.iter().filter(|wanted| wanted.rule.direction == Direction::Ingress);
            for wanted in inbound() {
                let rows = wanted.reasons.iter().map(|reason| reason.row.clone());
                if case.carries(observed.atom, &wanted.rule) { open.extend(rows) } else { missing.extend(rows) }
            }
            let fewest = PacketSet::of(inbound().map(|wanted| wanted.rule)).cover(Direction::Ingress);
            evidence.missing += fewest.iter().filter(|rule| !case.carries(observed.atom, rule)).count();
            open_rows.extend(open.difference(&missing).cloned());
            let of_group = GroupEvidence {
                open: open.difference(&missing).cloned().collect(),
                missing: missing.into_iter().collect(),
                ..GroupEvidence::default()
            };
            evidence.groups.insert(group, of_group);
        }
        for option in cluster.options.keys() {
            let hangs = |row: &&ProfileRow| row.condition.options().contains(&option) && open_rows.contains(&row.id);
            let rows: BTreeSet<Arc<str>> = cluster.profile.rows.iter().filter(hangs).map(|r| r.id.clone()).collect();
            evidence.options.insert(option.clone(), rows.into_iter().collect());
        }
        evidence.undecided = undecided(&wish.flows, &cluster.name);
    }
}

/// The options that a cluster leaves open, each with the rows that hang on it.
pub fn undecided(flows: &Flows, cluster: &ClusterName) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
    let mut undecided: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
    for unopened in flows.unopened.iter().filter(|unopened| unopened.cluster == *cluster) {
        let Why::OptionNotSet(options) = &unopened.why else { continue };
        for option in options {
            undecided.entry(option.clone()).or_default().insert(unopened.row.clone());
        }
    }
    undecided
}

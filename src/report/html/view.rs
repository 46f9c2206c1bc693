//! A plan's groups, with the names of both ends, as all parts of the page show them.

use std::collections::{BTreeMap, BTreeSet};

use rsgsync_core::inventory::{Inventory, Peer, PeerName};
use rsgsync_core::name::ClusterName;
use rsgsync_core::observed::ObservedRule;
use rsgsync_core::plan::{GroupPlan, GroupStatus, NetworkPlan, Plan};
use rsgsync_core::rule::{Atom, Cidr, Direction, RulePeer};

use super::cell::{Cell, Standing, cells};
use crate::report::text;

/// One group of a plan.
pub struct Group<'a> {
    pub network: &'a NetworkPlan,
    pub plan: &'a GroupPlan,
    /// The rules that are there, in the cloud's order.
    pub rules: Vec<(&'a ObservedRule, Standing)>,
    /// Inbound, by other end.
    pub inbound: BTreeMap<RulePeer, Cell>,
    /// Outbound where that is narrowed, by other end.
    pub outbound: BTreeMap<RulePeer, Cell>,
}

impl<'a> Group<'a> {
    fn of(network: &'a NetworkPlan, plan: &'a GroupPlan) -> Self {
        let observed = network.observed_group(plan.atom).map(|g| g.rules.as_slice()).unwrap_or_default();
        let standing = |fate| if plan.status == GroupStatus::Delete { Standing::TooWide } else { Standing::of(fate) };
        let rules: Vec<_> = observed.iter().zip(&plan.diff.fates).map(|(rule, fate)| (rule, standing(*fate))).collect();
        let there: Vec<_> = rules.iter().map(|(rule, standing)| (rule.rule, *standing)).collect();
        let cells = |direction| cells(direction, &plan.diff.required, &there);
        Self { network, plan, inbound: cells(Direction::Ingress), outbound: cells(Direction::Egress), rules }
    }

    /// What people call it.
    pub fn name(&self) -> &'a str {
        self.network.group_name(self.plan.atom)
    }

    /// `prod/etcd`, for each node group that uses it.
    pub fn members(&self) -> Vec<String> {
        self.plan.members.iter().map(|(cluster, group)| format!("{cluster}/{group}")).collect()
    }

    /// The clusters that use it, each once; an orphan has none.
    pub fn clusters(&self) -> BTreeSet<&'a ClusterName> {
        self.plan.members.iter().map(|(cluster, _)| cluster).collect()
    }

    /// Whether the plan changes it.
    pub fn changes(&self) -> bool {
        !matches!(self.plan.status, GroupStatus::InSync | GroupStatus::Skipped)
    }

    /// What in it needs a look first.
    pub fn worst(&self) -> Standing {
        self.inbound.values().chain(self.outbound.values()).map(Cell::worst).min().unwrap_or(Standing::Open)
    }
}

/// All groups, in the plan's order.
pub fn groups(plan: &Plan) -> Vec<Group<'_>> {
    plan.networks.iter().flat_map(|n| n.groups.iter().map(move |group| Group::of(n, group))).collect()
}

/// What the inventory calls the ends of a network's rules.
pub struct Names<'a> {
    network: &'a NetworkPlan,
    ranges: BTreeMap<Cidr, BTreeSet<PeerName>>,
    places: BTreeMap<Atom, usize>,
}

impl<'a> Names<'a> {
    pub fn of(network: &'a NetworkPlan, inventory: &Inventory) -> Self {
        let mut ranges: BTreeMap<Cidr, BTreeSet<PeerName>> = BTreeMap::new();
        let clusters = inventory.clusters.values().filter(|cluster| cluster.network == network.network.name);
        for (name, peer) in clusters.flat_map(|cluster| &cluster.peers) {
            let Peer::Cidrs(cidrs) = peer else { continue };
            cidrs.iter().for_each(|cidr| _ = ranges.entry(*cidr).or_default().insert(name.clone()));
        }
        let places = network.groups.iter().enumerate().map(|(place, group)| (group.atom, place)).collect();
        Self { network, ranges, places }
    }

    /// Its name in the cloud, or its addresses.
    pub fn name(&self, end: RulePeer) -> String {
        text::peer(self.network, end)
    }

    /// What the inventory calls it: node groups, or peers.
    pub fn also(&self, end: RulePeer) -> Vec<String> {
        match end {
            RulePeer::Addresses(cidr) => {
                let world = [Cidr::ANY_V4, Cidr::ANY_V6].contains(&cidr).then(|| "everybody".to_owned());
                let peers = self.ranges.get(&cidr).into_iter().flatten().map(ToString::to_string);
                world.into_iter().chain(peers).collect()
            }
            RulePeer::Opaque(..) => {
                let group = self.place(end).and_then(|place| self.network.groups.get(place));
                let members = group.into_iter().flat_map(|group| &group.members);
                members.map(|(cluster, group)| format!("{cluster}/{group}")).collect()
            }
        }
    }

    /// Where the network's plan has it, if it is one of its groups.
    pub fn place(&self, end: RulePeer) -> Option<usize> {
        self.places.get(&end.group()?).copied()
    }

    /// Groups of the plan come first, in its order; then other names; then ranges.
    pub fn rank(&self, end: RulePeer) -> (usize, RulePeer) {
        let others = self.network.groups.len();
        let rank = match end {
            RulePeer::Opaque(..) => self.place(end).unwrap_or(others),
            RulePeer::Addresses(_) => others + 1,
        };
        (rank, end)
    }
}

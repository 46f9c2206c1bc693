//! A question becomes the rules that would answer it with yes, group by group.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Question;
use crate::desired::{Desired, DesiredNetwork, desired};
use crate::flow::{Ask, Candidate, Flow, Flows, Reason, Side, Why};
use crate::inventory::{EgressMode, Inventory, SecurityGroup};
use crate::link::names_another_account;
use crate::name::{ClusterName, NetworkName, NodeGroupName};
use crate::rule::{Direction, Family, RulePeer};
use crate::traffic::Traffic;

/// A group, and whether packets leave it or arrive.
pub(super) type Place = (NetworkName, SecurityGroup, Direction);

/// What is asked of every group.
pub(super) struct Asked {
    pub ends: BTreeMap<Place, AskedEnd>,
    /// The names that peers point into, by network.
    pub networks: BTreeMap<NetworkName, DesiredNetwork>,
}

/// What is asked of one group.
#[derive(Default)]
pub(super) struct AskedEnd {
    /// The node groups that use it, sorted.
    pub members: Vec<(ClusterName, NodeGroupName)>,
    /// The other ends, each with its traffic; all of them must pass.
    pub peers: BTreeMap<RulePeer, Vec<Traffic>>,
    /// Other ends that can't be written as a rule: why, in which family, with their traffic.
    pub unknown: BTreeMap<(Why, Family), Vec<Traffic>>,
}

/// The inventory as if every group were ours and every cluster's egress strict: each end of a flow is a rule then.
fn at_both_ends(inventory: &Inventory) -> Inventory {
    let mut inventory = inventory.clone();
    for cluster in inventory.clusters.values_mut() {
        cluster.external = false;
        cluster.egress = EgressMode::Strict;
    }
    inventory
}

/// The same, as if node groups that share a security group had one each: what is required is so of node groups.
pub(super) fn apart(inventory: &Inventory) -> Inventory {
    let mut inventory = at_both_ends(inventory);
    let mut used: BTreeMap<(NetworkName, SecurityGroup), usize> = BTreeMap::new();
    let groups =
        inventory.clusters.values().flat_map(|c| c.groups.values().map(move |g| (&c.network, &g.security_group)));
    groups.for_each(|(network, group)| *used.entry((network.clone(), group.clone())).or_default() += 1);
    for cluster in inventory.clusters.values_mut() {
        for group in cluster.groups.values_mut() {
            let shared = used.get(&(cluster.network.clone(), group.security_group.clone())).is_some_and(|n| *n > 1);
            if let Ok(own) = SecurityGroup::parse(&format!("{}/{}", cluster.name, group.name))
                && shared
            {
                group.security_group = own;
            }
        }
    }
    inventory
}

impl Asked {
    pub fn of(inventory: &Inventory, question: &Question) -> Self {
        let inventory = at_both_ends(inventory);
        let reason = Reason {
            cluster: question.cluster.clone(),
            profile: Arc::default(),
            row: Arc::default(),
            why: Arc::default(),
        };
        let (mut flows, mut without) = (Flows::default(), Vec::new());
        for (from, to) in &question.pairs {
            match (from, to) {
                (Side::End(from), Side::End(to)) => flows.flows.extend(question.traffic.iter().map(|traffic| Flow {
                    cluster: question.cluster.clone(),
                    from: from.clone(),
                    to: to.clone(),
                    traffic: *traffic,
                    reason: reason.clone(),
                    local: false,
                })),
                (Side::Missing(why), _) | (_, Side::Missing(why)) => {
                    let candidate = Candidate { from: from.clone(), to: to.clone(), local: false };
                    without.extend(candidate.asks(&question.traffic).into_iter().map(|ask| (why.clone(), ask)));
                }
            }
        }
        flows.flows.sort();
        flows.flows.dedup();
        let Desired { networks, unopened, elsewhere: _ } = desired(&inventory, &flows);
        let mut asked = Self { ends: BTreeMap::new(), networks };
        asked.take_rules();
        let unopened = unopened.into_iter().flat_map(|row| row.asks.into_iter().map(move |ask| (row.why.clone(), ask)));
        without.into_iter().chain(unopened).for_each(|(why, ask)| asked.without_peer(&inventory, why, &ask));
        asked
    }

    /// Groups that other ends are by name, of the same network: what is read gives their ids.
    pub fn named_groups(&self) -> impl Iterator<Item = (&NetworkName, SecurityGroup)> {
        let peers = self.ends.iter().flat_map(|((network, ..), end)| end.peers.keys().map(move |peer| (network, peer)));
        peers.filter_map(|(network, peer)| {
            let (names, atom) = (self.networks.get(network)?, peer.group()?);
            let text = names.atoms.text(atom);
            let here = !names.elsewhere.contains_key(&atom) && !names_another_account(text);
            let group = SecurityGroup::parse(text).ok().filter(|group| matches!(group, SecurityGroup::Name(_)));
            Some((network, group.filter(|_| here)?))
        })
    }

    fn take_rules(&mut self) {
        for (name, network) in &mut self.networks {
            for group in std::mem::take(&mut network.groups) {
                for rule in group.rules.iter().map(|rule| rule.rule) {
                    let place = (name.clone(), group.security_group.clone(), rule.direction);
                    let end = self.ends.entry(place).or_default();
                    end.members.clone_from(&group.members);
                    end.peers.entry(rule.peer).or_default().push(rule.traffic);
                }
            }
        }
    }

    fn without_peer(&mut self, inventory: &Inventory, why: Why, ask: &Ask) {
        let Some(cluster) = inventory.clusters.get(&ask.cluster) else { return };
        let Some(group) = cluster.groups.get(&ask.group) else { return };
        let end = self.ends.entry((cluster.network.clone(), group.security_group.clone(), ask.direction)).or_default();
        let member = (ask.cluster.clone(), ask.group.clone());
        if !end.members.contains(&member) {
            end.members.push(member);
            end.members.sort();
        }
        let traffic = end.unknown.entry((why, cluster.family())).or_default();
        if !traffic.contains(&ask.traffic) {
            traffic.push(ask.traffic);
        }
    }
}

//! The ends of a row or rule become pairs of groups, peers and ranges: the flows that it would have if it is open.

use std::sync::Arc;

use crate::inventory::{Cluster, EndWord, ExtraRule, Inventory, NodeGroup, Waived};
use crate::name::NodeGroupName;
use crate::profile::{DerivedPeer, OptionValue, ProfileRow, Selector, Vocabulary};
use crate::rule::Direction;
use crate::traffic::Traffic;

use super::option::Facts;
use super::{Ask, End, Why};

/// One end of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Side {
    End(End),
    /// The inventory doesn't say who that is.
    Missing(Why),
}

/// A flow that a row would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) from: Side,
    pub(crate) to: Side,
    pub(crate) local: bool,
}

impl Candidate {
    /// The group of `cluster` that is reached, where it is one.
    pub(super) fn to_group<'a>(&self, cluster: &'a Cluster) -> Option<&'a NodeGroup> {
        own_group(&self.to, cluster).and_then(|name| cluster.groups.get(name))
    }

    /// What it would open: into the group that is reached, out of the group that reaches.
    pub(crate) fn asks(&self, traffic: &[Traffic]) -> Vec<Ask> {
        let ends = [(&self.to, Direction::Ingress), (&self.from, Direction::Egress)];
        let groups = ends.into_iter().filter_map(|(side, direction)| match side {
            Side::End(End::Group(cluster, group)) => Some((cluster, group, direction)),
            _ => None,
        });
        let asks = groups.flat_map(|(cluster, group, direction)| {
            traffic.iter().map(move |traffic| Ask {
                cluster: cluster.clone(),
                group: group.clone(),
                direction,
                traffic: *traffic,
            })
        });
        asks.collect()
    }

    /// Whether a waiver for these groups hits it: by the group that is reached, else by the one that reaches.
    fn is_of(&self, groups: &[NodeGroupName], cluster: &Cluster) -> bool {
        let group = own_group(&self.to, cluster).or_else(|| own_group(&self.from, cluster));
        groups.is_empty() || group.is_some_and(|group| groups.contains(group))
    }
}

fn own_group<'a>(side: &'a Side, cluster: &Cluster) -> Option<&'a NodeGroupName> {
    match side {
        Side::End(End::Group(c, group)) if *c == cluster.name => Some(group),
        _ => None,
    }
}

/// The candidates of a profile row, narrowed and without those that are waived; none where a role has no members.
pub(super) fn of_row(inventory: &Inventory, cluster: &Cluster, row: &ProfileRow) -> Vec<Candidate> {
    let names_row = |word: &str| row.is_named(word);
    let ends = Ends { inventory, cluster, from_role: row.from_role.as_ref() };
    let narrowed: Vec<&EndWord> =
        cluster.narrow.iter().filter(|n| names_row(&n.row)).flat_map(|narrowing| &narrowing.from).collect();
    let mut candidates = Vec::new();
    for to in &row.to {
        if narrowed.is_empty() {
            for from in &row.from {
                candidates.extend(ends.pairs(from, to));
            }
        } else {
            let froms: Vec<Side> = narrowed.iter().flat_map(|word| ends.of_word(word)).collect();
            candidates.extend(cross(&froms, &ends.of_selector(to)));
        }
    }
    let waived = |candidate: &Candidate| {
        let waivers = cluster.waive.iter().filter(|w| matches!(&w.what, Waived::Row(word) if names_row(word)));
        waivers.into_iter().any(|waiver| candidate.is_of(&waiver.groups, cluster))
    };
    candidates.retain(|candidate| !waived(candidate));
    candidates
}

/// The candidates of a rule of the user's own.
pub(super) fn of_rule(inventory: &Inventory, cluster: &Cluster, rule: &ExtraRule) -> Vec<Candidate> {
    let ends = Ends { inventory, cluster, from_role: None };
    let sides = |words: &[EndWord]| -> Vec<Side> { words.iter().flat_map(|word| ends.of_word(word)).collect() };
    cross(&sides(&rule.from), &sides(&rule.to))
}

/// Who a name is to a cluster: a DNS name of its rows, or a peer, defined or derived.
pub(crate) fn named(inventory: &Inventory, cluster: &Cluster, name: &Arc<str>) -> Vec<Side> {
    let ends = Ends { inventory, cluster, from_role: None };
    let dns = Selector::Name(name.clone());
    let in_rows = cluster.profile.rows.iter().any(|row| row.from.contains(&dns) || row.to.contains(&dns));
    if in_rows { ends.of_selector(&dns) } else { ends.of_peer(name, None) }
}

fn cross(froms: &[Side], tos: &[Side]) -> Vec<Candidate> {
    let pair = |from: &Side, to: &Side| Candidate { from: from.clone(), to: to.clone(), local: false };
    froms.iter().flat_map(|from| tos.iter().map(move |to| pair(from, to))).collect()
}

struct Ends<'a> {
    inventory: &'a Inventory,
    cluster: &'a Cluster,
    /// Of a cluster that stands for a source only the groups of this role.
    from_role: Option<&'a Arc<str>>,
}

impl Ends<'_> {
    fn pairs(&self, from: &Selector, to: &Selector) -> Vec<Candidate> {
        let to_itself = |groups: Vec<Side>, local: bool| -> Vec<Candidate> {
            groups.into_iter().map(|to| Candidate { from: Side::End(End::SelfGroup), to, local }).collect()
        };
        match (from, to) {
            (Selector::SelfNode, to) => to_itself(self.of_selector(to), true),
            (from, Selector::SelfNode) => to_itself(self.of_selector(from), true),
            (Selector::SelfGroup, Selector::SelfGroup) => to_itself(self.all(), false),
            // Packets of pods and services carry addresses of the cluster network, and cross the nodes' own interfaces.
            (Selector::Net(_), Selector::Net(_)) => {
                let into = cross(&self.of_selector(from), &self.all());
                into.into_iter().chain(cross(&self.all(), &self.of_selector(to))).collect()
            }
            (Selector::Peer(peer), to) => cross(&self.of_peer(peer, self.from_role), &self.of_selector(to)),
            (from, to) => cross(&self.of_selector(from), &self.of_selector(to)),
        }
    }

    fn of_selector(&self, selector: &Selector) -> Vec<Side> {
        match selector {
            Selector::Role(role) => self.of_role(role),
            Selector::Peer(peer) => self.of_peer(peer, None),
            Selector::Cidr(cidr) => vec![Side::End(End::Cidr(*cidr))],
            Selector::Name(name) if self.cluster.peers.contains_key(name) => vec![Side::End(End::Peer(name.clone()))],
            Selector::Name(name) => vec![Side::End(End::Name(name.clone()))],
            Selector::Net(net) => match self.cluster.cidrs.get(&**net) {
                Some(ranges) => ranges.iter().map(|cidr| Side::End(End::Cidr(*cidr))).collect(),
                None => vec![Side::Missing(Why::NetworkRangeUnknown(net.clone()))],
            },
            Selector::SelfNode | Selector::SelfGroup => self.all(),
        }
    }

    fn of_word(&self, word: &EndWord) -> Vec<Side> {
        match word {
            EndWord::Group(group) => vec![Side::End(End::Group(self.cluster.name.clone(), group.clone()))],
            EndWord::Peer(peer) => self.of_peer(peer, None),
            EndWord::Cidr(cidr) => vec![Side::End(End::Cidr(*cidr))],
            EndWord::Every => self.all(),
        }
    }

    fn all(&self) -> Vec<Side> {
        groups_of(self.cluster, |_| true)
    }

    fn of_role(&self, role: &str) -> Vec<Side> {
        let words = Vocabulary::shipped();
        if *role == *words.every_role {
            return self.all();
        }
        let plays = |group: &NodeGroup| group.roles.iter().any(|r| **r == *role);
        let own = groups_of(self.cluster, plays);
        if !own.is_empty() || *role != *words.managing_role {
            return own;
        }
        let managing = self.cluster.rancher.as_ref().and_then(|name| self.inventory.clusters.get(name));
        let theirs = managing.map(|cluster| groups_of(cluster, plays)).unwrap_or_default();
        if theirs.is_empty() { vec![Side::Missing(Why::RancherUnknown)] } else { theirs }
    }

    /// `role`: of the groups that stand for a peer only those that play it.
    fn of_peer(&self, peer: &Arc<str>, role: Option<&Arc<str>>) -> Vec<Side> {
        let plays = |group: &NodeGroup| role.is_none_or(|role| group.roles.contains(role));
        if self.cluster.peers.contains_key(peer) {
            return vec![Side::End(End::Peer(peer.clone()))];
        }
        let derived = match Vocabulary::shipped().derived.get(peer) {
            None => Vec::new(),
            // Groups there are; that none plays the role is no riddle.
            Some(DerivedPeer::Own) => return groups_of(self.cluster, plays),
            Some(DerivedPeer::Managed { wanted, prefer }) => {
                // The managing cluster's own options may say that there are none such.
                let own = Facts::new(self.cluster);
                let excluded = |(option, values): (&Arc<str>, &Vec<OptionValue>)| {
                    let set = self.cluster.options.get(option).and_then(|_| own.values(option, None));
                    set.is_some_and(|set| !set.iter().any(|v| values.contains(v)))
                };
                if wanted.iter().any(excluded) {
                    return Vec::new();
                }
                let managed = self.inventory.clusters.values().filter(|cluster| {
                    let facts = Facts::new(cluster);
                    let has = |option: &str| facts.values(option, None).unwrap_or_default();
                    cluster.rancher.as_ref() == Some(&self.cluster.name)
                        && wanted.iter().all(|(option, values)| has(option).iter().any(|v| values.contains(v)))
                });
                let preferred = |cluster: &Cluster| {
                    let some = groups_of(cluster, |group| group.roles.iter().any(|role| prefer.contains(role)));
                    if some.is_empty() { groups_of(cluster, plays) } else { some }
                };
                managed.flat_map(preferred).collect()
            }
        };
        if derived.is_empty() { vec![Side::Missing(Why::PeerUndefined(peer.clone()))] } else { derived }
    }
}

fn groups_of(cluster: &Cluster, wanted: impl Fn(&NodeGroup) -> bool) -> Vec<Side> {
    let groups = cluster.groups.values().filter(|group| wanted(group));
    groups.map(|group| Side::End(End::Group(cluster.name.clone(), group.name.clone()))).collect()
}

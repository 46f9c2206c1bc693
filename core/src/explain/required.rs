//! The part of a question's traffic that the inventory requires, and the rows behind it.

use std::collections::{BTreeMap, BTreeSet};

use super::asked::{Asked, AskedEnd, Place, apart};
use super::end::{by_family, credited, party};
use super::rules::{decider, desired_group};
use super::scan::{Decider, scan};
use super::{Case, Row};
use crate::desired::{Desired, desired, known_addresses};
use crate::flow::{End, Flow, Flows, Reason, Side, Why};
use crate::inventory::Inventory;
use crate::packets::TrafficSet;
use crate::rule::{Atom, Cidr, Direction, RulePeer};
use crate::traffic::Traffic;

/// What is required of a question's traffic.
pub(super) struct Required {
    pub traffic: TrafficSet,
    /// By reason, sorted; each with its part.
    pub rows: Vec<(Reason, TrafficSet)>,
    /// Of those, rows of traffic that stays on the node.
    local: BTreeSet<Reason>,
}

impl Required {
    /// Asks what every flow needs at both of its ends whether all of the question's packets are among it. Where the other end
    /// is a group as well, what is required arrives there.
    pub fn of(case: &Case<'_>) -> Self {
        let inventory = apart(case.inventory);
        let asked = Asked::of(&inventory, case.question);
        let mut needs = desired(&inventory, case.flows);
        let arrives = asked.ends.keys().any(|(_, _, direction)| *direction == Direction::Ingress);
        let way = if arrives { Direction::Ingress } else { Direction::Egress };
        let all: TrafficSet = case.question.traffic.iter().copied().collect();
        let ends: Vec<_> = asked.ends.iter().filter(|((_, _, direction), _)| *direction == way).collect();
        let mut found =
            Found { traffic: if ends.is_empty() { TrafficSet::default() } else { all.clone() }, ..Found::default() };
        for (place, end) in ends {
            found.rules(&inventory, &mut needs, &asked, (place, end));
            found.names(case.flows, end, &all);
        }
        let mut local = BTreeSet::new();
        for (reason, traffic) in on_the_node(case) {
            let part = all.within(traffic);
            found.traffic = found.traffic.union(&part);
            local.insert(reason.clone());
            found.row(&reason, &part);
        }
        Self { traffic: found.traffic, rows: found.rows.into_iter().collect(), local }
    }

    /// The rows with their sources.
    pub fn named(&self, inventory: &Inventory) -> Vec<Row> {
        let rows = self.rows.iter().map(|(reason, traffic)| {
            let source = inventory.source(reason).unwrap_or_default().to_owned();
            let (local, traffic) = (self.local.contains(reason), traffic.traffics());
            Row { reason: reason.clone(), source, traffic, local }
        });
        rows.collect()
    }
}

#[derive(Default)]
struct Found {
    traffic: TrafficSet,
    rows: BTreeMap<Reason, TrafficSet>,
}

impl Found {
    fn row(&mut self, reason: &Reason, part: &TrafficSet) {
        if !part.is_empty() {
            let known = self.rows.entry(reason.clone()).or_default();
            *known = known.union(part);
        }
    }

    /// What the rules of one group that flows need have of it.
    fn rules(&mut self, inventory: &Inventory, needs: &mut Desired, asked: &Asked, (place, end): (&Place, &AskedEnd)) {
        let (network, group, direction) = place;
        let needed = desired_group(needs, network, group).map(|g| g.rules.clone()).unwrap_or_default();
        let needed: Vec<_> = needed.into_iter().filter(|needed| needed.rule.direction == *direction).collect();
        let deciders: Vec<Decider> = needed.iter().map(|needed| decider(needed.rule, u32::MAX)).collect();
        let names = needs.networks.entry(network.clone()).or_default();
        let known = known_addresses(inventory);
        let known = known.get(network).into_iter().flatten();
        let known = known.filter_map(|(g, all)| Some((names.atoms.get(g.as_str())?, all.iter().copied().collect())));
        let members: BTreeMap<Atom, Vec<Cidr>> = known.collect();
        for (peer, traffic) in &end.peers {
            let peer = match peer {
                RulePeer::Opaque(kind, atom, family) => {
                    let text = asked.networks.get(network).map_or("", |n| n.atoms.text(*atom));
                    RulePeer::Opaque(*kind, names.atoms.intern(text), *family)
                }
                RulePeer::Addresses(range) => RulePeer::Addresses(*range),
            };
            for (family, traffic) in by_family(peer.family(), &traffic.iter().copied().collect()) {
                let found = scan(&deciders, &party(peer, &members), family, &traffic, &members);
                self.traffic = self.traffic.difference(&traffic.difference(&found.allowed));
                for place in credited(&found, &deciders) {
                    let part = found.allowed.within(needed[place].rule.traffic);
                    needed[place].reasons.iter().for_each(|reason| self.row(reason, &part));
                }
            }
        }
    }

    /// What flows to a DNS name have of it, for which there is no rule; nothing where nobody says who the other end is.
    fn names(&mut self, flows: &Flows, end: &AskedEnd, all: &TrafficSet) {
        for (why, _) in end.unknown.keys() {
            let leaves = |flow: &&Flow| {
                let named = matches!((&flow.to, why), (End::Name(to), Why::NameNeedsCidrs(name)) if to == name);
                named && end.members.iter().any(|(c, g)| matches!(&flow.from, End::Group(a, b) if a == c && b == g))
            };
            let mut parts = TrafficSet::default();
            for flow in flows.flows.iter().filter(leaves) {
                let part = all.within(flow.traffic);
                self.row(&flow.reason, &part);
                parts = parts.union(&part);
            }
            self.traffic = self.traffic.intersection(&parts);
        }
    }
}

/// Rows of traffic that stays on the node, where both ends are the same group.
fn on_the_node(case: &Case<'_>) -> Vec<(Reason, Traffic)> {
    let is_itself = |group: &End| {
        let same = |side: &Side| matches!(side, Side::End(end) if end == group);
        case.question.pairs.iter().any(|(from, to)| same(from) && same(to))
    };
    let flows = case.flows.flows.iter().filter(|flow| flow.local && is_itself(&flow.to));
    flows.map(|flow| (flow.reason.clone(), flow.traffic)).collect()
}

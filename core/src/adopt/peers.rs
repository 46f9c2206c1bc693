//! Who the parties are that a profile's rows speak of: those from whom all of their traffic is open already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::compare::{Case, Wish};
use crate::flow::{Ask, Why};
use crate::guard::judge;
use crate::inventory::{Inventory, Peer, SecurityGroup};
use crate::name::ClusterName;
use crate::rule::{Atom, Cidr, Direction, Family, PeerKind, Rule, RulePeer};

/// Defines each party of the cluster's rows from whom everything is open that its rows ask for: that opens nothing.
pub(super) fn define(case: &Case<'_>, inventory: &mut Inventory, cluster: &ClusterName) {
    let wish = case.wish(inventory);
    let asks = asks(&wish, cluster);
    for (name, asks) in asks {
        let Some(peer) = who(case, inventory, cluster, &asks) else { continue };
        let before = judge(&case.wish(inventory).desired, inventory, case.found.today).refused.len();
        let Some(of) = inventory.clusters.get_mut(cluster) else { return };
        of.peers.insert(name.clone(), peer);
        let after = case.wish(inventory);
        let refused = judge(&after.desired, inventory, case.found.today).refused.len() > before;
        let opens = opens(case, &after) > opens(case, &wish);
        if let Some(of) = inventory.clusters.get_mut(cluster).filter(|_| refused || opens) {
            of.peers.remove(&name);
        }
    }
}

fn opens(case: &Case<'_>, wish: &Wish) -> usize {
    let all = wish.rules.iter().flat_map(|(group, rules)| rules.iter().map(move |rule| (*group, rule)));
    all.filter(|(group, rule)| !case.carries(*group, &rule.rule)).count()
}

/// What rows ask for of each party that nobody has defined.
fn asks(wish: &Wish, cluster: &ClusterName) -> BTreeMap<Arc<str>, BTreeSet<Ask>> {
    let mut asks: BTreeMap<Arc<str>, BTreeSet<Ask>> = BTreeMap::new();
    for unopened in wish.flows.unopened.iter().filter(|u| u.cluster == *cluster) {
        let Why::PeerUndefined(peer) = &unopened.why else { continue };
        let inbound = unopened.asks.iter().filter(|ask| ask.direction == Direction::Ingress);
        asks.entry(peer.clone()).or_default().extend(inbound.cloned());
    }
    asks.retain(|_, asks| !asks.is_empty());
    asks
}

/// From whom all of this is open: address ranges, else one group that is none of the cluster's.
fn who(case: &Case<'_>, inventory: &Inventory, cluster: &ClusterName, asks: &BTreeSet<Ask>) -> Option<Peer> {
    let of = inventory.clusters.get(cluster)?;
    let members = case.members(of);
    let group_of = |ask: &Ask| members.iter().find(|(name, _)| *name == ask.group).map(|(_, group)| *group);
    let mut sources: BTreeSet<RulePeer> = BTreeSet::new();
    for group in asks.iter().filter_map(group_of) {
        sources
            .extend(group.rules.iter().map(|r| r.rule).filter(|r| r.direction == Direction::Ingress).map(|r| r.peer));
    }
    let open_for_all = |peer: &RulePeer| {
        asks.iter().all(|ask| {
            let rule = Rule { direction: Direction::Ingress, peer: *peer, traffic: ask.traffic };
            group_of(ask).is_some_and(|group| case.carries(group.atom, &rule))
        })
    };
    sources.retain(open_for_all);
    let ranges: Vec<Cidr> = sources
        .iter()
        .filter_map(|source| match source {
            RulePeer::Addresses(cidr) => Some(*cidr),
            RulePeer::Opaque(..) => None,
        })
        .collect();
    // A range inside another says nothing more.
    let outer = |cidr: &&Cidr| !ranges.iter().any(|other| other != *cidr && other.contains(**cidr));
    let ranges: Vec<Cidr> = ranges.iter().filter(outer).copied().collect();
    if !ranges.is_empty() {
        return Some(Peer::Cidrs(ranges));
    }
    let ours: BTreeSet<Atom> =
        inventory.clusters.values().flat_map(|c| case.members(c)).map(|(_, group)| group.atom).collect();
    let others = sources.iter().filter(|source| source.group().is_none_or(|atom| !ours.contains(&atom)));
    others.filter_map(|source| peer_of(case, *source)).next()
}

/// A source that is no address range, as an inventory names it.
pub(super) fn peer_of(case: &Case<'_>, source: RulePeer) -> Option<Peer> {
    let RulePeer::Opaque(kind, atom, _) = source else { return None };
    let text = case.found.atoms.text(atom);
    match kind {
        PeerKind::PrefixList => Some(Peer::PrefixList(text.to_owned())),
        PeerKind::AddressGroup => Some(Peer::AddressGroup(text.to_owned())),
        PeerKind::ServiceAccount => Some(Peer::ServiceAccount(text.to_owned())),
        PeerKind::Group => {
            if let Some(group) = case.group(text) {
                return Some(Peer::SecurityGroup { group: case.word(group), account: None });
            }
            let (account, id) = match text.rsplit_once('/') {
                Some((account, id)) => (Some(account.to_owned()), id),
                None => (None, text),
            };
            SecurityGroup::parse(id).ok().map(|group| Peer::SecurityGroup { group, account })
        }
    }
}

/// A source of both families, so that one is not two.
pub(super) fn whatever_family(source: RulePeer) -> RulePeer {
    match source {
        RulePeer::Opaque(kind, atom, _) => RulePeer::Opaque(kind, atom, Family::Both),
        addresses @ RulePeer::Addresses(_) => addresses,
    }
}

//! What no row explains: it becomes a rule of the inventory, so that nothing is taken away by being taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::compare::Case;
use super::peers::{peer_of, whatever_family};
use super::together::{free, slug};
use super::{Adoption, Guarded};
use crate::guard::judge;
use crate::inventory::{Cluster, EndWord, ExtraRule, Ignore, Inventory, NodeGroup, Peer, PeerName};
use crate::name::{ClusterName, NodeGroupName};
use crate::observed::Ours;
use crate::rule::{Atom, Rule, RulePeer};
use crate::traffic::Traffic;

/// Why a rule stands in the inventory whose own description says nothing.
const FOUND: &str = "found in the group, explained by no row";

/// One rule that a cluster gets of its own.
#[derive(Clone)]
struct Piece {
    group: NodeGroupName,
    from: EndWord,
    traffic: Traffic,
    why: String,
}

/// Writes what no row explains into each cluster's `rules`, but for what a guard forbids: guards judge each rule by itself.
pub(super) fn take_over(case: &Case<'_>, adoption: &mut Adoption) {
    let names: Vec<ClusterName> = adoption.inventory.clusters.keys().cloned().collect();
    let mut pieces: BTreeMap<ClusterName, Vec<Piece>> = BTreeMap::new();
    for name in &names {
        let found = pieces_of(case, &mut adoption.inventory, name);
        pieces.insert(name.clone(), found);
    }
    write(&mut adoption.inventory, &pieces);
    adoption.guarded = guarded(case, &adoption.inventory);
    for (name, pieces) in &mut pieces {
        let forbidden = |piece: &Piece| adoption.guarded.iter().any(|guarded| guarded.is(name, piece));
        let (left, kept): (Vec<Piece>, Vec<Piece>) = std::mem::take(pieces).into_iter().partition(forbidden);
        let groups = adoption.evidence.entry(name.clone()).or_default();
        kept.iter().for_each(|piece| groups.of_group(&piece.group).unexplained += 1);
        left.iter().for_each(|piece| groups.of_group(&piece.group).guarded += 1);
        *pieces = kept;
    }
    write(&mut adoption.inventory, &pieces);
    for name in &names {
        leave_alone(case, adoption, name);
    }
}

impl Guarded {
    fn is(&self, cluster: &ClusterName, piece: &Piece) -> bool {
        let here = self.cluster == *cluster && self.group == piece.group;
        here && self.from == word(&piece.from) && self.traffic == piece.traffic
    }
}

/// The rules of the cluster's groups that nothing explains; defines the peers that they name.
fn pieces_of(case: &Case<'_>, inventory: &mut Inventory, name: &ClusterName) -> Vec<Piece> {
    let wish = case.wish(inventory);
    let clusters = inventory.written();
    let ours = Ours { owner: &case.found.owner, clusters: &clusters };
    let Some(cluster) = inventory.clusters.get(name) else { return Vec::new() };
    let mut named: BTreeMap<RulePeer, PeerName> = BTreeMap::new();
    let mut pieces = Vec::new();
    let mut peers = cluster.peers.clone();
    for (group, observed) in case.members(cluster) {
        let strange: BTreeSet<Rule> = case.unexplained(observed, &wish).into_iter().collect();
        for (rule, claim) in observed.rules.iter().zip(observed.claims(ours)) {
            if claim.writer || !strange.contains(&rule.rule) {
                continue;
            }
            let Some(from) = end(case, inventory, cluster, rule.rule.peer, &mut peers, &mut named) else { continue };
            let why = rule.description.trim();
            let why = if why.is_empty() { FOUND } else { why };
            pieces.push(Piece { group: group.clone(), from, traffic: rule.rule.traffic, why: why.to_owned() });
        }
    }
    if let Some(cluster) = inventory.clusters.get_mut(name) {
        cluster.peers = peers;
    }
    pieces
}

/// How the cluster's rules name a source: a group of its own, a range, or a peer that is defined for it.
fn end(
    case: &Case<'_>,
    inventory: &Inventory,
    cluster: &Cluster,
    source: RulePeer,
    peers: &mut BTreeMap<PeerName, Peer>,
    named: &mut BTreeMap<RulePeer, PeerName>,
) -> Option<EndWord> {
    let of = |cluster: &Cluster, atom: Atom| {
        case.members(cluster).into_iter().find(|(_, group)| group.atom == atom).map(|(name, _)| name)
    };
    let atom = match source {
        RulePeer::Addresses(cidr) => return Some(EndWord::Cidr(cidr)),
        RulePeer::Opaque(_, atom, _) => source.group().map_or(atom, |group| group),
    };
    let own = source.group().and_then(|atom| of(cluster, atom));
    if let Some(group) = own {
        return Some(EndWord::Group(group));
    }
    let source = whatever_family(source);
    if let Some(name) = named.get(&source) {
        return Some(EndWord::Peer(name.clone()));
    }
    let other = inventory.clusters.values().find_map(|other| Some((other.name.clone(), of(other, atom)?)));
    let (word, peer) = match other.filter(|_| source.group().is_some()) {
        Some((cluster, group)) => (format!("{cluster}-{group}"), Peer::NodeGroup { cluster, group: Some(group) }),
        None => (
            case.group(case.found.atoms.text(atom))
                .map_or_else(|| case.found.atoms.text(atom).to_owned(), |group| group.name.to_string()),
            peer_of(case, source)?,
        ),
    };
    let name: PeerName = free(&slug(&word, "found"), |name| {
        let name: PeerName = name.into();
        let vocabulary = crate::profile::Vocabulary::shipped();
        let taken = peers.contains_key(&name)
            || cluster.groups.contains_key(&*name)
            || vocabulary.peers.contains(&name)
            || inventory.clusters.values().any(|c| c.peers.contains_key(&name));
        (!taken).then_some(name)
    });
    peers.insert(name.clone(), peer);
    named.insert(source, name.clone());
    Some(EndWord::Peer(name))
}

/// The pieces as few rules: what comes from one party for one reason to the same groups is one.
fn write(inventory: &mut Inventory, pieces: &BTreeMap<ClusterName, Vec<Piece>>) {
    for (name, pieces) in pieces {
        let mut by_traffic: BTreeMap<(String, String, Traffic), (EndWord, BTreeSet<NodeGroupName>)> = BTreeMap::new();
        for piece in pieces {
            let key = (word(&piece.from), piece.why.clone(), piece.traffic);
            by_traffic
                .entry(key)
                .or_insert_with(|| (piece.from.clone(), BTreeSet::new()))
                .1
                .insert(piece.group.clone());
        }
        type Alike = (String, String, BTreeSet<NodeGroupName>);
        let mut rules: BTreeMap<Alike, (EndWord, Vec<Traffic>)> = BTreeMap::new();
        for ((word, why, traffic), (from, groups)) in by_traffic {
            rules.entry((word, why, groups)).or_insert_with(|| (from, Vec::new())).1.push(traffic);
        }
        let rules = rules.into_iter().map(|((_, why, groups), (from, allow))| ExtraRule {
            from: vec![from],
            to: groups.into_iter().map(EndWord::Group).collect(),
            allow,
            why,
            ticket: None,
            until: None,
        });
        if let Some(cluster) = inventory.clusters.get_mut(name) {
            cluster.rules = rules.collect();
        }
    }
}

/// How an end of a rule is written.
pub(super) fn word(end: &EndWord) -> String {
    match end {
        EndWord::Group(group) => group.to_string(),
        EndWord::Peer(peer) => peer.to_string(),
        EndWord::Cidr(cidr) => cidr.to_string(),
        EndWord::Every => "*".to_owned(),
    }
}

/// The rules of the inventory's own that a guard forbids.
fn guarded(case: &Case<'_>, inventory: &Inventory) -> Vec<Guarded> {
    let desired = case.wish(inventory).desired;
    let clusters = inventory.written();
    let ours = Ours { owner: &case.found.owner, clusters: &clusters };
    let is_ours = |group: &NodeGroup, rule: Rule| {
        let observed = case.group(group.security_group.as_str()).into_iter();
        let mut claims = observed.flat_map(|observed| observed.rules.iter().zip(observed.claims(ours)));
        claims.any(|(found, claim)| found.rule == rule && claim.ours && !claim.others)
    };
    let mut found: BTreeSet<Guarded> = BTreeSet::new();
    for breach in judge(&desired, inventory, case.found.today).refused {
        let RulePeer::Addresses(cidr) = breach.rule.peer else { continue };
        for cluster in inventory.clusters.values() {
            let here = cluster.groups.values().filter(|group| group.security_group == breach.security_group);
            found.extend(here.map(|group| Guarded {
                cluster: cluster.name.clone(),
                group: group.name.clone(),
                from: cidr.to_string(),
                traffic: breach.rule.traffic,
                guard: Arc::clone(&breach.guard),
                ours: is_ours(group, breach.rule),
            }));
        }
    }
    found.into_iter().collect()
}

/// What still can't be said in the inventory's words is left alone by `ignore`; known other writers' rules are anyway.
fn leave_alone(case: &Case<'_>, adoption: &mut Adoption, name: &ClusterName) {
    let wish = case.wish(&adoption.inventory);
    let clusters = adoption.inventory.written();
    let ours = Ours { owner: &case.found.owner, clusters: &clusters };
    let Some(cluster) = adoption.inventory.clusters.get_mut(name) else { return };
    let evidence = adoption.evidence.entry(name.clone()).or_default();
    let mut ignore: BTreeSet<(NodeGroupName, Traffic)> = BTreeSet::new();
    for (group, observed) in case.members(cluster) {
        let strange: BTreeSet<Rule> = case.unexplained(observed, &wish).into_iter().collect();
        for (found, claim) in observed.rules.iter().zip(observed.claims(ours)) {
            let rule = found.rule;
            let is_guarded = |g: &Guarded| {
                let here = g.cluster == *name && g.group == group && g.traffic == rule.traffic;
                here && matches!(rule.peer, RulePeer::Addresses(cidr) if cidr.to_string() == g.from)
            };
            if !strange.contains(&rule) || adoption.guarded.iter().any(is_guarded) {
                continue;
            }
            evidence.of_group(&group).left_alone += 1;
            if !claim.writer {
                ignore.insert((group.clone(), rule.traffic));
            }
        }
    }
    let why = "found in the group, and of a source that this inventory has no word for";
    let ignore = ignore.into_iter().map(|(group, traffic)| Ignore { group, traffic, why: why.to_owned(), until: None });
    cluster.ignore = ignore.collect();
}

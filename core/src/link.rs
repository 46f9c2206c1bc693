//! Names become what the cloud calls them: a desired group meets the observed one.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{DesiredGroup, DesiredNetwork, DesiredRule};
use crate::diff::{Wanted, open_outbound};
use crate::inventory::{EgressMode, Ownership, SecurityGroup};
use crate::name::{ClusterName, Owner};
use crate::observed::{Observed, ObservedGroup, Ours, Scope, ScopeGroup};
use crate::pack::Dialect;
use crate::rule::{Atom, Family, PeerKind, Rule, RulePeer};

/// What to read of a network: its groups, and those that their rules name without managing them.
pub fn scope(network: &DesiredNetwork, owner: &Owner, clusters: &BTreeSet<ClusterName>) -> Scope {
    let managed = network.groups.iter().map(|g| ScopeGroup { group: g.security_group.clone(), ownership: g.ownership });
    let names: BTreeSet<&str> = network.groups.iter().map(|g| g.security_group.as_str()).collect();
    let peers: BTreeSet<SecurityGroup> = peer_groups(network)
        .filter(|text| !names.contains(text))
        .filter_map(|text| SecurityGroup::parse(text).ok())
        .filter(|group| matches!(group, SecurityGroup::Name(_)) && !names_another_account(group.as_str()))
        .collect();
    let peers = peers.into_iter().map(|group| ScopeGroup { group, ownership: Some(Ownership::Exclusive) });
    Scope { owner: owner.clone(), clusters: clusters.clone(), groups: managed.chain(peers).collect() }
}

fn peer_groups(network: &DesiredNetwork) -> impl Iterator<Item = &str> {
    let rules = network.groups.iter().flat_map(|g| &g.rules);
    rules.filter_map(|r| r.rule.peer.group()).map(|atom| network.atoms.text(atom))
}

/// `ACCOUNT/ID`: a group of another account, by its id.
pub(crate) fn names_another_account(text: &str) -> bool {
    text.rsplit_once('/').is_some_and(|(_, id)| matches!(SecurityGroup::parse(id), Ok(SecurityGroup::Id(_))))
}

/// A rule names a group that is neither there nor to be made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error(
    "security group `{peer}`, which rules of `{group}` refer to, does not exist and no cluster of the inventory has it"
)]
pub struct MissingPeer {
    /// The group whose rules name it.
    pub group: String,
    /// The name.
    pub peer: String,
}

/// A desired group beside the observed one.
#[derive(Debug)]
pub struct Linked<'a> {
    /// The inventory's side.
    pub desired: &'a DesiredGroup,
    /// The cloud's side; `None`: it doesn't exist.
    pub observed: Option<&'a ObservedGroup>,
    /// The atom that rules name it by: its id's, or its name's while it doesn't exist.
    pub atom: Atom,
    /// What it should have, in the cloud's dialect.
    pub wanted: Wanted,
}

/// Writes references that only the observation can resolve as the cloud lists them: a group of another network that is
/// linked by reference (`NETWORK/NAME`, ids in `elsewhere`), and our own account's groups without the account.
pub fn settle_references(network: &mut DesiredNetwork, account: Option<&str>, elsewhere: &BTreeMap<String, String>) {
    let DesiredNetwork { atoms, groups } = network;
    for rule in groups.iter_mut().flat_map(|g| &mut g.rules) {
        let RulePeer::Opaque(PeerKind::Group, atom, family) = rule.rule.peer else { continue };
        let text = atoms.text(atom);
        let own = account.and_then(|account| text.strip_prefix(account)?.strip_prefix('/'));
        let own = own.filter(|_| names_another_account(text));
        if let Some(id) = elsewhere.get(text).map(String::as_str).or(own).map(str::to_owned) {
            rule.rule.peer = RulePeer::Opaque(PeerKind::Group, atoms.intern(&id), family);
        }
    }
}

/// What can't be linked.
#[derive(Debug, Default)]
pub struct Unlinked {
    /// Rules name groups that are neither there nor to be made.
    pub peers: BTreeSet<MissingPeer>,
    /// The inventory names one group in two ways: by these.
    pub twice: Vec<(String, String)>,
}

/// Sets every desired group beside the observed one, and writes its rules in the cloud's dialect.
pub fn link<'a>(
    network: &'a DesiredNetwork,
    observed: &'a Observed,
    ours: Ours<'_>,
    dialect: &Dialect,
) -> (Vec<Linked<'a>>, Unlinked) {
    let by_text: BTreeMap<&str, &ObservedGroup> =
        observed.groups.iter().flat_map(|g| [(g.name.as_str(), g), (g.id.as_str(), g)]).collect();
    let find = |text: &str| by_text.get(text).copied();
    let managed: BTreeSet<Atom> = network.groups.iter().map(|g| g.atom).collect();
    let resolve = |atom: Atom| find(network.atoms.text(atom)).map_or(atom, |g| g.atom);
    let mut unlinked = Unlinked::default();
    let mut seen: BTreeMap<Atom, &str> = BTreeMap::new();
    let mut linked = Vec::with_capacity(network.groups.len());
    for desired in &network.groups {
        let name = desired.security_group.as_str();
        let observed = find(name);
        let atom = observed.map_or(desired.atom, |g| g.atom);
        if let Some(first) = seen.insert(atom, name) {
            unlinked.twice.push((first.to_owned(), name.to_owned()));
        }
        let mut wanted = Wanted {
            egress: desired.egress,
            held: desired.held.clone(),
            ignored: desired.ignored.clone(),
            ..Wanted::default()
        };
        let mut families: BTreeMap<Rule, Family> = BTreeMap::new();
        for rule in &desired.rules {
            let peer = match rule.rule.peer {
                RulePeer::Opaque(PeerKind::Group, atom, family) => {
                    let text = network.atoms.text(atom);
                    let named = matches!(SecurityGroup::parse(text), Ok(SecurityGroup::Name(_)));
                    if named && !managed.contains(&atom) && find(text).is_none() && !names_another_account(text) {
                        unlinked.peers.insert(MissingPeer { group: name.to_owned(), peer: text.to_owned() });
                    }
                    RulePeer::Opaque(PeerKind::Group, resolve(atom), family)
                }
                other => other,
            };
            for projected in dialect.project(Rule { peer, ..rule.rule }) {
                let needs = rule.rule.peer.family();
                let family = families.entry(projected).or_insert(needs);
                *family = if family.contains(needs) { *family } else { Family::Both };
                if let Some(known) = rule.rule.peer.group().and_then(|g| desired.addresses.get(&g)) {
                    wanted.addresses.insert(projected, known.clone());
                }
                wanted.rules.push(DesiredRule { rule: projected, reasons: rule.reasons.clone() });
            }
        }
        // Addresses stand for a reference only where they are known in every family that its flows have.
        wanted.addresses.retain(|rule, known| {
            let needs = families.get(rule).copied().unwrap_or(Family::Both);
            known.retain(|cidr| needs.contains(cidr.family()));
            needs.each().iter().all(|family| known.iter().any(|cidr| cidr.family() == *family))
        });
        let ours_from_the_start = observed.is_none_or(|g| g.made_by(ours));
        if desired.egress == EgressMode::Open && ours_from_the_start {
            let mut open = open_outbound(desired.family);
            open.retain(|o| wanted.rules.iter().all(|r| r.rule != *o));
            wanted.rules.extend(open.into_iter().map(|rule| DesiredRule { rule, reasons: Vec::new() }));
        }
        wanted.rules.sort_by_key(|r| r.rule);
        linked.push(Linked { desired, observed, atom, wanted });
    }
    (linked, unlinked)
}

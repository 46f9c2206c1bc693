//! Names become what the cloud calls them: a desired group meets the observed one.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{DesiredGroup, DesiredNetwork};
use crate::diff::{Wanted, open_outbound};
use crate::inventory::{EgressMode, Ownership, SecurityGroup};
use crate::name::Owner;
use crate::observed::{Observed, ObservedGroup, Scope, ScopeGroup};
use crate::pack::Dialect;
use crate::rule::{Atom, PeerKind, Rule, RulePeer};

/// What to read of a network: its groups, and those that their rules name without managing them.
pub fn scope(network: &DesiredNetwork, owner: &Owner) -> Scope {
    let managed = network.groups.iter().map(|g| ScopeGroup { group: g.security_group.clone(), ownership: g.ownership });
    let names: BTreeSet<&str> = network.groups.iter().map(|g| g.security_group.as_str()).collect();
    let peers: BTreeSet<SecurityGroup> = peer_groups(network)
        .filter(|text| !names.contains(text))
        .filter_map(|text| SecurityGroup::parse(text).ok())
        .filter(|group| matches!(group, SecurityGroup::Name(_)) && !names_another_account(group.as_str()))
        .collect();
    let peers = peers.into_iter().map(|group| ScopeGroup { group, ownership: Some(Ownership::Exclusive) });
    Scope { owner: owner.clone(), groups: managed.chain(peers).collect() }
}

fn peer_groups(network: &DesiredNetwork) -> impl Iterator<Item = &str> {
    let rules = network.groups.iter().flat_map(|g| &g.rules);
    rules.filter_map(|r| r.rule.peer.group()).map(|atom| network.atoms.text(atom))
}

/// `ACCOUNT/ID`: a group of another account, by its id.
fn names_another_account(text: &str) -> bool {
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

/// Sets every desired group beside the observed one, and writes its rules in the cloud's dialect.
///
/// Errors when a rule names a group that is neither there nor to be made; all of them at once.
pub fn link<'a>(
    network: &'a DesiredNetwork,
    observed: &'a Observed,
    owner: &Owner,
    dialect: &Dialect,
) -> Result<Vec<Linked<'a>>, Vec<MissingPeer>> {
    let by_text: BTreeMap<&str, &ObservedGroup> =
        observed.groups.iter().flat_map(|g| [(g.name.as_str(), g), (g.id.as_str(), g)]).collect();
    let find = |text: &str| by_text.get(text).copied();
    let managed: BTreeSet<Atom> = network.groups.iter().map(|g| g.atom).collect();
    let resolve = |atom: Atom| find(network.atoms.text(atom)).map_or(atom, |g| g.atom);
    let mut missing = BTreeSet::new();

    let linked = network.groups.iter().map(|desired| {
        let observed = find(desired.security_group.as_str());
        let mut wanted = Wanted {
            egress: desired.egress,
            held: desired.held.clone(),
            ignored: desired.ignored.clone(),
            addresses: desired.addresses.iter().map(|(atom, cidrs)| (resolve(*atom), cidrs.clone())).collect(),
            ..Wanted::default()
        };
        for rule in &desired.rules {
            let peer = match rule.rule.peer {
                RulePeer::Opaque(PeerKind::Group, atom, family) => {
                    let text = network.atoms.text(atom);
                    let named = matches!(SecurityGroup::parse(text), Ok(SecurityGroup::Name(_)));
                    if named && !managed.contains(&atom) && find(text).is_none() && !names_another_account(text) {
                        missing
                            .insert(MissingPeer { group: desired.security_group.to_string(), peer: text.to_owned() });
                    }
                    RulePeer::Opaque(PeerKind::Group, resolve(atom), family)
                }
                other => other,
            };
            let projected = dialect.project(Rule { peer, ..rule.rule });
            wanted
                .rules
                .extend(projected.map(|r| crate::desired::DesiredRule { rule: r, reasons: rule.reasons.clone() }));
        }
        let ours_from_the_start = observed.is_none_or(|g| g.made_by(owner));
        if desired.egress == EgressMode::Open && ours_from_the_start {
            let open = open_outbound(desired.family).into_iter().filter(|o| wanted.rules.iter().all(|r| r.rule != *o));
            let open: Vec<Rule> = open.collect();
            wanted.rules.extend(open.into_iter().map(|rule| crate::desired::DesiredRule { rule, reasons: Vec::new() }));
        }
        wanted.rules.sort_by_key(|r| r.rule);
        Linked { desired, observed, atom: observed.map_or(desired.atom, |g| g.atom), wanted }
    });
    let linked: Vec<Linked<'a>> = linked.collect();
    if missing.is_empty() { Ok(linked) } else { Err(missing.into_iter().collect()) }
}

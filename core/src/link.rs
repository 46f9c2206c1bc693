//! Names become what the cloud calls them: a desired group meets the observed one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::desired::{Desired, DesiredGroup, DesiredNetwork, DesiredRule, Elsewhere};
use crate::diff::{Wanted, open_outbound};
use crate::inventory::{EgressMode, Ownership, SecurityGroup};
use crate::name::{ClusterName, GroupId, NetworkName, Owner};
use crate::observed::{Observed, ObservedGroup, Ours, Scope, ScopeGroup};
use crate::pack::Pack;
use crate::rule::{Atom, Cidr, Family, PeerKind, Rule, RulePeer};

/// What to read of a network: its groups, those that their rules name without managing them, those that other networks
/// refer to by name, and whatever carries a mark of the owner.
pub fn scope(desired: &Desired, network: &NetworkName, owner: &Owner, clusters: &BTreeSet<ClusterName>) -> Scope {
    let none = DesiredNetwork::default();
    let wish = desired.networks.get(network).unwrap_or(&none);
    let managed = wish.groups.iter().map(|g| ScopeGroup { group: g.security_group.clone(), ownership: g.ownership });
    let names: BTreeSet<&str> = wish.groups.iter().map(|g| g.security_group.as_str()).collect();
    let theirs = desired.networks.values().flat_map(|n| n.elsewhere.values()).filter(|e| e.network == *network);
    let peers: BTreeSet<SecurityGroup> = peer_groups(wish)
        .filter(|atom| !wish.elsewhere.contains_key(atom))
        .filter_map(|atom| SecurityGroup::parse(wish.atoms.text(atom)).ok())
        .chain(theirs.map(|e| SecurityGroup::Name(e.group.clone())))
        .filter(|group| !names.contains(group.as_str()))
        .filter(|group| matches!(group, SecurityGroup::Name(_)) && !names_another_account(group.as_str()))
        .collect();
    let peers = peers.into_iter().map(|group| ScopeGroup { group, ownership: Some(Ownership::Exclusive) });
    let groups = managed.chain(peers).collect();
    Scope { owner: owner.clone(), clusters: clusters.clone(), groups, marked: true, whole: false }
}

fn peer_groups(network: &DesiredNetwork) -> impl Iterator<Item = Atom> {
    network.groups.iter().flat_map(|g| &g.rules).filter_map(|r| r.rule.peer.group())
}

/// `ACCOUNT/ID`: a group of another account, by its id.
pub(crate) fn names_another_account(text: &str) -> bool {
    text.rsplit_once('/').is_some_and(|(_, id)| matches!(SecurityGroup::parse(id), Ok(SecurityGroup::Id(_))))
}

/// A rule names a group that is neither there nor to be made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error(
    "security group `{peer}`, which rules of `{group}` refer to, does not exist, and rsgsync isn't the one to make it"
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

/// Where a group that another network refers to by name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// The cloud has it.
    There {
        /// Its id.
        id: GroupId,
        /// The account or project that it is in, where the cloud told.
        account: Option<String>,
    },
    /// This plan makes it.
    ToBeMade,
}

/// Writes references that only the observation can resolve as the cloud lists them: groups of other networks by their
/// ids, and our own account's groups without the account. A group that this plan makes keeps its name.
///
/// Rules whose other end nobody has are taken out of their group, which holds what is observed of such traffic: each is
/// returned, with the group's place and who it should have been.
pub fn settle_references(
    network: &mut DesiredNetwork,
    account: Option<&str>,
    whereabouts: &BTreeMap<Elsewhere, Whereabouts>,
) -> Vec<(usize, DesiredRule, Elsewhere)> {
    let DesiredNetwork { atoms, groups, elsewhere } = network;
    let mut lost = Vec::new();
    for (place, group) in groups.iter_mut().enumerate() {
        group.rules.retain_mut(|rule| {
            let RulePeer::Opaque(PeerKind::Group, atom, family) = rule.rule.peer else { return true };
            let text = match elsewhere.get(&atom).map(|e| (e, whereabouts.get(e))) {
                Some((_, Some(Whereabouts::ToBeMade))) => return true,
                Some((_, Some(Whereabouts::There { id, account: theirs }))) => match theirs.as_deref() {
                    Some(theirs) if account.is_some_and(|own| own != theirs) => format!("{theirs}/{id}"),
                    _ => id.to_string(),
                },
                Some((elsewhere, None)) => {
                    group.held.push((rule.rule.direction, rule.rule.traffic));
                    lost.push((place, rule.clone(), elsewhere.clone()));
                    return false;
                }
                None => match own_group(atoms.text(atom), account) {
                    Some(id) => id.to_owned(),
                    None => return true,
                },
            };
            rule.rule.peer = RulePeer::Opaque(PeerKind::Group, atoms.intern(&text), family);
            true
        });
        group.held.sort_unstable();
        group.held.dedup();
    }
    lost
}

/// The id of `ACCOUNT/ID`, where the account is our own.
pub(crate) fn own_group<'a>(text: &'a str, account: Option<&str>) -> Option<&'a str> {
    let id = text.strip_prefix(account?)?.strip_prefix('/')?;
    names_another_account(text).then_some(id)
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
    pack: &dyn Pack,
) -> (Vec<Linked<'a>>, Unlinked) {
    let dialect = pack.dialect();
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
            rules: Vec::with_capacity(desired.rules.len()),
            held: desired.held.clone(),
            ignored: desired.ignored.clone(),
            ..Wanted::default()
        };
        let mut families: BTreeMap<Rule, Family> = BTreeMap::new();
        let by_range = !desired.addresses.is_empty();
        for of_peer in desired.rules.chunk_by(|a, b| a.rule.peer == b.rule.peer) {
            let peer = match of_peer[0].rule.peer {
                RulePeer::Opaque(PeerKind::Group, atom, family) => {
                    let text = network.atoms.text(atom);
                    let named = matches!(SecurityGroup::parse(text), Ok(SecurityGroup::Name(_)));
                    let known = managed.contains(&atom) || network.elsewhere.contains_key(&atom);
                    let known = known || dialect.groups_are_implicit;
                    if named && !known && find(text).is_none() && !names_another_account(text) {
                        unlinked.peers.insert(MissingPeer { group: name.to_owned(), peer: text.to_owned() });
                    }
                    RulePeer::Opaque(pack.reference(text), resolve(atom), family)
                }
                other => other,
            };
            for rule in of_peer {
                let reasons = &rule.reasons;
                let known = rule.rule.peer.group().and_then(|g| Some((g, desired.addresses.get(&g)?)));
                let asked = Rule { peer, ..rule.rule };
                let ranges = known.and_then(|(peer, known)| {
                    let unsayable = pack.unsayable(&asked, name, network.atoms.text(peer)).is_some();
                    if unsayable { in_ranges(asked, known) } else { None }
                });
                for rule in ranges.iter().flatten() {
                    wanted.rules.push(DesiredRule { rule: *rule, reasons: reasons.clone() });
                }
                for projected in dialect.project(asked).filter(|_| ranges.is_none()) {
                    if by_range {
                        let needs = rule.rule.peer.family();
                        let family = families.entry(projected).or_insert(needs);
                        *family = if family.contains(needs) { *family } else { Family::Both };
                    }
                    if let Some((_, known)) = known {
                        wanted.addresses.insert(projected, known.clone());
                    }
                    wanted.rules.push(DesiredRule { rule: projected, reasons: reasons.clone() });
                }
            }
        }
        // Addresses stand for a reference only where they are known in every family that its flows have.
        wanted.addresses.retain(|rule, known| {
            let needs = families.get(rule).copied().unwrap_or(Family::Both);
            known.retain(|cidr| needs.contains(cidr.family()));
            needs.each().iter().all(|family| known.iter().any(|cidr| cidr.family() == *family))
        });
        let ours_from_the_start = observed.is_none_or(|g| g.made_by(ours) || !g.exists(dialect));
        let denied = observed.is_some_and(|g| g.denied().next().is_some());
        if desired.egress == EgressMode::Open && (ours_from_the_start || denied) {
            let mut open = if denied { dialect.default_rules.clone() } else { open_outbound(desired.family) };
            open.retain(|o| wanted.rules.iter().all(|r| r.rule != *o));
            wanted.rules.extend(open.into_iter().map(|rule| DesiredRule { rule, reasons: Arc::default() }));
        }
        wanted.rules.sort_by_key(|r| r.rule);
        linked.push(Linked { desired, observed, atom, wanted });
    }
    (linked, unlinked)
}

/// The rule for a group's addresses; `None` where they aren't known in every family that it has.
fn in_ranges(rule: Rule, known: &[Cidr]) -> Option<Vec<Rule>> {
    let families = rule.peer.family();
    let known: Vec<Cidr> = known.iter().copied().filter(|cidr| families.contains(cidr.family())).collect();
    let all = families.each().iter().all(|family| known.iter().any(|cidr| cidr.family() == *family));
    all.then(|| known.into_iter().map(|cidr| Rule { peer: RulePeer::Addresses(cidr), ..rule }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::network_name;
    use crate::name::{GroupName, NodeGroupName};
    use crate::rule::Direction;
    use crate::testing::reason;
    use crate::traffic::Traffic;

    const ID: &str = "sg-0123456789abcdef0";

    /// A network whose one group refers to these.
    fn network(peers: &[&str]) -> DesiredNetwork {
        let mut network = DesiredNetwork::default();
        let rules = peers.iter().map(|peer| {
            let atom = match peer.split_once(" of ") {
                Some((name, of)) => network.elsewhere(&network_name(of), &GroupName::new(name).unwrap()),
                None => network.atoms.intern(peer),
            };
            let peer = RulePeer::Opaque(PeerKind::Group, atom, Family::Ipv4);
            let rule = Rule { direction: Direction::Ingress, peer, traffic: Traffic::parse("22/tcp").unwrap() };
            DesiredRule { rule, reasons: [reason("because")].into() }
        });
        let rules = rules.collect();
        let atom = network.atoms.intern("web");
        network.groups.push(DesiredGroup {
            security_group: SecurityGroup::parse("web").unwrap(),
            atom,
            members: vec![(ClusterName::new("prod").unwrap(), NodeGroupName::new("web").unwrap())],
            ownership: None,
            create: false,
            egress: EgressMode::Open,
            family: Family::Ipv4,
            rules,
            held: Vec::new(),
            ignored: Vec::new(),
            addresses: BTreeMap::new(),
        });
        network
    }

    /// What the references become in account `1111` while the hub's `db` is there, in account `account`.
    fn settled(peers: &[&str], account: Option<&str>) -> (Vec<String>, DesiredNetwork, usize) {
        let mut network = network(peers);
        let db = Elsewhere { network: network_name("hub"), group: GroupName::new("db").unwrap() };
        let new = Elsewhere { network: network_name("hub"), group: GroupName::new("new").unwrap() };
        let there = Whereabouts::There { id: GroupId::new(ID).unwrap(), account: account.map(str::to_owned) };
        let known = BTreeMap::from([(db, there), (new, Whereabouts::ToBeMade)]);
        let lost = settle_references(&mut network, Some("1111"), &known).len();
        let peers = network.groups[0].rules.iter().filter_map(|r| r.rule.peer.group());
        (peers.map(|atom| network.atoms.text(atom).to_owned()).collect(), network, lost)
    }

    #[test]
    fn a_group_of_another_network_is_named_by_its_id() {
        assert_eq!(settled(&["db of hub"], Some("1111")).0, [ID]);
        assert_eq!(settled(&["db of hub"], None).0, [ID]);
    }

    #[test]
    fn a_group_of_another_account_is_named_behind_it() {
        assert_eq!(settled(&["db of hub"], Some("2222")).0, [format!("2222/{ID}")]);
        assert_eq!(settled(&[&format!("2222/{ID}")], None).0, [format!("2222/{ID}")]);
    }

    #[test]
    fn our_own_account_is_left_out() {
        assert_eq!(settled(&[&format!("1111/{ID}")], None).0, [ID]);
        assert_eq!(settled(&["1111/web"], None).0, ["1111/web"], "a name, not an account's group");
    }

    #[test]
    fn a_group_that_this_plan_makes_keeps_its_name() {
        let (peers, network, lost) = settled(&["new of hub"], None);
        assert_eq!((peers.len(), lost), (1, 0));
        let atom = network.groups[0].rules[0].rule.peer.group().unwrap();
        assert_eq!(network.elsewhere[&atom].group.as_str(), "new");
    }

    #[test]
    fn what_nobody_has_is_taken_out_and_its_traffic_held() {
        let (peers, network, lost) = settled(&["web", "none of hub"], None);
        assert_eq!((peers, lost), (vec!["web".to_owned()], 1));
        assert_eq!(network.groups[0].held, [(Direction::Ingress, Traffic::parse("22/tcp").unwrap())]);
    }

    #[test]
    fn a_network_is_read_for_what_others_refer_to() {
        let mut desired = Desired::default();
        desired.networks.insert(network_name("eu"), network(&["db of hub", "other", ID, "2222/sg-1"]));
        let owner = Owner::new("platform").unwrap();
        let names = |network: &str| -> Vec<String> {
            let scope = scope(&desired, &network_name(network), &owner, &BTreeSet::new());
            scope.groups.iter().map(|g| g.group.to_string()).collect()
        };
        assert_eq!(names("eu"), ["web", "other"]);
        assert_eq!(names("hub"), ["db"]);
    }
}

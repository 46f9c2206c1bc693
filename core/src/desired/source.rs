//! The other end of a rule: a reference where the network has the group, addresses where it doesn't.

use super::DesiredNetwork;
use crate::flow::{Why, multihomed};
use crate::inventory::{Cluster, Inventory, Link, NodeGroup, Peer, SecurityGroup};
use crate::rule::{Atom, Atoms, Cidr, Direction, Family, PeerKind, RulePeer};

/// Who stands at the other end of a rule.
pub(super) enum Source<'a> {
    Group(&'a Cluster, &'a NodeGroup),
    Peer(&'a Peer),
    Range(Cidr),
}

impl Source<'_> {
    /// How a rule in a group of cluster `at` names it; an error where it has no name there.
    pub(super) fn peers(
        &self,
        inventory: &Inventory,
        direction: Direction,
        at: &Cluster,
        names: &mut DesiredNetwork,
    ) -> Result<Vec<RulePeer>, Why> {
        let family = at.family();
        match self {
            Self::Range(cidr) => Ok(vec![RulePeer::Addresses(*cidr)]),
            Self::Group(cluster, group) => group_peers(inventory, direction, at, (cluster, group), names),
            Self::Peer(peer) => Ok(named_peers(peer, family, &mut names.atoms)),
        }
    }
}

fn named_peers(peer: &Peer, family: Family, atoms: &mut Atoms) -> Vec<RulePeer> {
    let mut opaque = |kind, text: &str| vec![RulePeer::Opaque(kind, atoms.intern(text), family)];
    match peer {
        Peer::Cidrs(ranges) => ranges.iter().map(|cidr| RulePeer::Addresses(*cidr)).collect(),
        Peer::SecurityGroup { group, account: None } => opaque(PeerKind::Group, group.as_str()),
        Peer::SecurityGroup { group, account: Some(account) } => opaque(PeerKind::Group, &format!("{account}/{group}")),
        Peer::PrefixList(id) => opaque(PeerKind::PrefixList, id),
        Peer::AddressGroup(id) => opaque(PeerKind::AddressGroup, id),
        Peer::Tag(tag) => opaque(PeerKind::Group, tag),
        Peer::ServiceAccount(account) => opaque(PeerKind::ServiceAccount, account),
        // The caller has put the groups themselves in its place.
        Peer::NodeGroup { .. } => Vec::new(),
    }
}

fn group_peers(
    inventory: &Inventory,
    direction: Direction,
    at: &Cluster,
    (cluster, group): (&Cluster, &NodeGroup),
    names: &mut DesiredNetwork,
) -> Result<Vec<RulePeer>, Why> {
    // The connection has the families of the cluster that opens it.
    let family = if direction == Direction::Ingress { cluster.family() } else { at.family() };
    let ranges = |ranges: &[Cidr]| -> Vec<RulePeer> {
        let of_family = ranges.iter().filter(|cidr| family.contains(cidr.family()));
        of_family.map(|cidr| RulePeer::Addresses(*cidr)).collect()
    };
    let addresses = &group.addresses;
    if cluster.network == at.network {
        let mut peers =
            vec![RulePeer::Opaque(PeerKind::Group, names.atoms.intern(group.security_group.as_str()), family)];
        // A reference matches the private interface only.
        if multihomed(cluster, group) {
            peers.extend(ranges(&addresses.private));
            peers.extend(ranges(&addresses.public));
        }
        return Ok(peers);
    }
    match linked_addresses(inventory, direction, at, (cluster, group)) {
        None => {
            let atom = foreign_reference(inventory, at, cluster, &group.security_group, names);
            Ok(vec![RulePeer::Opaque(PeerKind::Group, atom, family)])
        }
        Some(ranges) if ranges.is_empty() => Err(Why::NoAddresses(cluster.name.clone(), group.name.clone())),
        Some(ranges) => Ok(ranges.into_iter().map(RulePeer::Addresses).collect()),
    }
}

/// The addresses by which cluster `at` sees a group of another network, none where they are not known; `None`: it refers to
/// the group itself.
pub(crate) fn linked_addresses(
    inventory: &Inventory,
    direction: Direction,
    at: &Cluster,
    (cluster, group): (&Cluster, &NodeGroup),
) -> Option<Vec<Cidr>> {
    let (source, destination) = if direction == Direction::Ingress { (cluster, at) } else { (at, cluster) };
    let network = inventory.networks.get(&source.network);
    let link = network.and_then(|n| n.links.get(&destination.network)).copied().unwrap_or_default();
    let ranges: &[Cidr] = match link {
        Link::Reference => return None,
        Link::Private => &group.addresses.private,
        Link::Public if !group.addresses.public.is_empty() => &group.addresses.public,
        // Address translation hides who connects, not who is connected to.
        Link::Public if direction == Direction::Ingress => network.map(|n| n.nat.as_slice()).unwrap_or_default(),
        Link::Public => &[],
    };
    let family = source.family();
    Some(ranges.iter().filter(|cidr| family.contains(cidr.family())).copied().collect())
}

/// What stands for a group of another network: its id, behind the account where that differs, where the inventory says it.
fn foreign_reference(
    inventory: &Inventory,
    at: &Cluster,
    cluster: &Cluster,
    group: &SecurityGroup,
    names: &mut DesiredNetwork,
) -> Atom {
    let account = |cluster: &Cluster| inventory.networks.get(&cluster.network)?.at.get("account")?.as_str();
    match (group, account(cluster)) {
        (SecurityGroup::Id(id), Some(theirs)) if account(at) != Some(theirs) => {
            names.atoms.intern(&format!("{theirs}/{id}"))
        }
        (SecurityGroup::Id(id), _) => names.atoms.intern(id.as_str()),
        (SecurityGroup::Name(name), _) => names.elsewhere(&cluster.network, name),
    }
}

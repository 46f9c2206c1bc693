//! Firewall rules of Compute Engine become core's, and the other way round; nowhere else do the two meet.
//!
//! A resource is a full cross product: each of its sources with each of its protocols and ports.

use std::collections::{BTreeMap, BTreeSet};

use rsgsync_core::rule::{Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::{ICMP, ICMPV6, PortRange, Protocol, SCTP, TCP, Traffic, UDP};

use crate::wire::{Entry, Firewall, Way};

/// Compute Engine's names for protocols; its `ipip` is not IANA's protocol 4.
const NAMES: [(&str, u8); 7] =
    [("tcp", TCP), ("udp", UDP), ("icmp", ICMP), ("esp", 50), ("ah", 51), ("ipip", 94), ("sctp", SCTP)];

/// Why a resource can't be said in core's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the protocol `{0}`")]
    Protocol(String),
    #[error("the ports `{ports}` of {protocol}")]
    Ports { protocol: String, ports: String },
    #[error("the address range `{0}`")]
    Range(String),
    #[error("a direction that is neither INGRESS nor EGRESS")]
    Direction,
    #[error("sources and destinations at once")]
    BothEnds,
    #[error("nothing that it allows or denies")]
    Nothing,
}

/// Which instances a resource is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Targets<'a> {
    /// Every instance of the network.
    Everyone,
    /// Those with one tag, or with one service account.
    One(&'a str),
    /// Those with one of several.
    Several,
}

impl Firewall {
    pub fn targets(&self) -> Targets<'_> {
        let mut names = self.target_tags.iter().chain(&self.target_service_accounts);
        match (names.next(), names.next()) {
            (None, _) => Targets::Everyone,
            (Some(name), None) => Targets::One(name),
            (Some(_), Some(_)) => Targets::Several,
        }
    }

    /// The same for whatever its packets' other end is: what it narrows beside sources, or beside destinations, is left out.
    pub fn without_other_end(&self) -> Self {
        let mut wider = self.clone();
        match wider.direction {
            Way::Ingress => wider.destination_ranges.clear(),
            Way::Egress | Way::Unknown => {
                wider.source_ranges.clear();
                wider.source_tags.clear();
                wider.source_service_accounts.clear();
            }
        }
        wider
    }

    /// Whether it is of the network of that name: the link's host and project may be written in several ways.
    pub fn is_of(&self, network: &str) -> bool {
        self.network.rsplit_once('/').is_some_and(|(_, name)| name == network)
    }
}

/// What a resource lets through, or denies: its whole cross product.
pub(crate) fn rules_of(firewall: &Firewall, atoms: &mut Atoms) -> Result<BTreeSet<Rule>, Unreadable> {
    let direction = direction_of(firewall)?;
    let (peers, traffic) = (peers_of(firewall, atoms)?, traffic_of(firewall)?);
    let rule = |peer: RulePeer| traffic.iter().map(move |traffic| Rule { direction, peer, traffic: *traffic });
    Ok(peers.into_iter().flat_map(rule).collect())
}

pub(crate) fn direction_of(firewall: &Firewall) -> Result<Direction, Unreadable> {
    match firewall.direction {
        Way::Ingress => Ok(Direction::Ingress),
        Way::Egress => Ok(Direction::Egress),
        Way::Unknown => Err(Unreadable::Direction),
    }
}

/// Its sources, or its destinations; without any it is for every IPv4 address. Host bits are cut off.
pub(crate) fn peers_of(firewall: &Firewall, atoms: &mut Atoms) -> Result<BTreeSet<RulePeer>, Unreadable> {
    let (ranges, narrowed_by) = match firewall.direction {
        Way::Ingress => (&firewall.source_ranges, firewall.destination_ranges.len()),
        _ => (
            &firewall.destination_ranges,
            firewall.source_ranges.len() + firewall.source_tags.len() + firewall.source_service_accounts.len(),
        ),
    };
    if narrowed_by > 0 {
        return Err(Unreadable::BothEnds);
    }
    let mut peers = BTreeSet::new();
    for range in ranges {
        peers.insert(RulePeer::Addresses(Cidr::parse(range).ok_or_else(|| Unreadable::Range(range.clone()))?));
    }
    for (kind, names) in
        [(PeerKind::Group, &firewall.source_tags), (PeerKind::ServiceAccount, &firewall.source_service_accounts)]
    {
        peers.extend(names.iter().map(|name| RulePeer::Opaque(kind, atoms.intern(name), Family::Both)));
    }
    if peers.is_empty() {
        peers.insert(RulePeer::Addresses(Cidr::ANY_V4));
    }
    Ok(peers)
}

/// What it allows or denies, an entry's ports one by one, as they are written.
pub(crate) fn traffic_of(firewall: &Firewall) -> Result<BTreeSet<Traffic>, Unreadable> {
    let mut traffic = BTreeSet::new();
    for entry in firewall.allowed.iter().chain(&firewall.denied) {
        add_traffic(&entry.protocol, &entry.ports, &mut traffic)?;
    }
    if traffic.is_empty() { Err(Unreadable::Nothing) } else { Ok(traffic) }
}

pub(crate) fn add_traffic(word: &str, ports: &[String], traffic: &mut BTreeSet<Traffic>) -> Result<(), Unreadable> {
    let protocol = protocol_of(word).ok_or_else(|| Unreadable::Protocol(word.to_owned()))?;
    if ports.is_empty() {
        traffic.insert(Traffic::whole(protocol));
    }
    for text in ports {
        let range = port_range(text).filter(|_| protocol.has_ports());
        let range = range.ok_or_else(|| Unreadable::Ports { protocol: word.to_owned(), ports: text.clone() })?;
        traffic.insert(Traffic::on_ports(protocol, range));
    }
    Ok(())
}

fn protocol_of(word: &str) -> Option<Protocol> {
    let word = word.to_ascii_lowercase();
    if word == "all" {
        return Some(Protocol::All);
    }
    let by_name = NAMES.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    by_name.or_else(|| word.parse().ok()).map(Protocol::Number)
}

fn port_range(text: &str) -> Option<PortRange> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    PortRange::new(from.trim().parse().ok()?, to.trim().parse().ok()?)
}

/// Why Compute Engine has no rule that says this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsayable {
    #[error("Google Cloud has no types and codes of ICMP: {0}")]
    IcmpType(Traffic),
    #[error("Google Cloud has no ports but those of tcp, udp and sctp: {0}")]
    Ports(Traffic),
    #[error("Google Cloud has no rules for {0} over {1}")]
    Family(Traffic, &'static str),
    #[error("Google Cloud has no rules for {0}")]
    Peer(&'static str),
    #[error("Google Cloud has no groups as destinations: state the `addresses` of those nodes")]
    Destination,
}

/// Why Compute Engine has no rule that says this one; `None`: it has one.
pub(crate) fn unsayable(rule: &Rule) -> Option<Unsayable> {
    match (rule.peer, rule.direction) {
        (RulePeer::Opaque(PeerKind::PrefixList, ..), _) => return Some(Unsayable::Peer("prefix lists")),
        (RulePeer::Opaque(PeerKind::AddressGroup, ..), _) => return Some(Unsayable::Peer("address groups")),
        (RulePeer::Opaque(..), Direction::Egress) => return Some(Unsayable::Destination),
        (RulePeer::Opaque(PeerKind::Group | PeerKind::ServiceAccount, ..) | RulePeer::Addresses(_), _) => {}
    }
    match (rule.traffic.protocol(), rule.peer.family()) {
        (Protocol::Number(ICMP), Family::Ipv6) => return Some(Unsayable::Family(rule.traffic, "IPv6")),
        (Protocol::Number(ICMPV6), Family::Ipv4) => return Some(Unsayable::Family(rule.traffic, "IPv4")),
        _ => {}
    }
    match (rule.traffic.protocol(), rule.traffic.ports()) {
        (Protocol::Number(TCP | UDP | SCTP), _) | (_, None | Some(PortRange::ALL)) => {}
        (_, Some(_)) => return Some(Unsayable::Ports(rule.traffic)),
    }
    let narrow = rule.traffic.icmp_type_code().is_some_and(|type_code| type_code != (None, None));
    narrow.then_some(Unsayable::IcmpType(rule.traffic))
}

/// An entry for each protocol; one that is there as a whole and in parts has two.
pub(crate) fn entries(traffic: &BTreeSet<Traffic>) -> Vec<Entry> {
    let mut ports: BTreeMap<(Protocol, bool), Vec<String>> = BTreeMap::new();
    for traffic in traffic {
        let part = traffic.ports().filter(|ports| *ports != PortRange::ALL);
        let of_protocol = ports.entry((traffic.protocol(), part.is_some())).or_default();
        of_protocol.extend(part.map(|ports| ports.to_string()));
    }
    ports.into_iter().map(|((protocol, _), ports)| Entry { protocol: word(protocol), ports }).collect()
}

/// Numbers for all but what Compute Engine has a name for.
fn word(protocol: Protocol) -> String {
    match protocol {
        Protocol::All => "all".to_owned(),
        Protocol::Number(number) => {
            let name = NAMES.iter().find(|(_, named)| *named == number).map(|(name, _)| (*name).to_owned());
            name.unwrap_or_else(|| number.to_string())
        }
    }
}

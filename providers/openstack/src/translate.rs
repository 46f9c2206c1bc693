//! Neutron's rules become core's, and the other way round; nowhere else do the two meet.

use rsgsync_core::rule::{Atom, Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::{ICMP, ICMPV6, PortRange, Protocol, TCP, Traffic, UDP};

use crate::wire::{EtherType, Says, Way};

/// Why a rule that Neutron lists can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("a rule for the protocol `{0}`")]
    Protocol(String),
    #[error("a rule for {protocol} from {from} to {to}")]
    Ports { protocol: Protocol, from: String, to: String },
    #[error("a rule for the address range `{0}`")]
    Range(String),
}

/// Why a rule can't be said to Neutron.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsayable {
    #[error("OpenStack has no rules for {0}")]
    Peer(&'static str),
    #[error("OpenStack has no port 0: {0}")]
    PortZero(Traffic),
    #[error("OpenStack takes {0} for all of its protocol: write it without ports")]
    AlmostAll(Traffic),
    #[error("OpenStack has no rules for {0} over {1}")]
    Family(Traffic, &'static str),
    #[error("the group `{0}` is not known")]
    NoSuchGroup(String),
}

/// What a listed rule lets through, in core's words.
///
/// A range is folded: Neutron keeps the host bits of `10.1.2.3/8`, and matches `10.0.0.0/8`.
pub(crate) fn rule_of(says: &Says, atoms: &mut Atoms) -> Result<Rule, Unreadable> {
    let family = match says.ethertype {
        EtherType::IPv4 => Family::Ipv4,
        EtherType::IPv6 => Family::Ipv6,
    };
    let peer = if let Some(id) = &says.remote_group_id {
        RulePeer::Opaque(PeerKind::Group, atoms.intern(id), family)
    } else if let Some(id) = &says.remote_address_group_id {
        RulePeer::Opaque(PeerKind::AddressGroup, atoms.intern(id), family)
    } else {
        RulePeer::Addresses(match &says.remote_ip_prefix {
            Some(prefix) => Cidr::parse(prefix).ok_or_else(|| Unreadable::Range(prefix.clone()))?,
            None if family == Family::Ipv4 => Cidr::ANY_V4,
            None => Cidr::ANY_V6,
        })
    };
    let direction = match says.direction {
        Way::Ingress => Direction::Ingress,
        Way::Egress => Direction::Egress,
    };
    Ok(Rule { direction, peer, traffic: traffic(says, family)? })
}

fn traffic(says: &Says, family: Family) -> Result<Traffic, Unreadable> {
    let protocol = match &says.protocol {
        None => return Ok(Traffic::ALL),
        Some(word) => number(word, family).ok_or_else(|| Unreadable::Protocol(word.clone()))?,
    };
    let (from, to) = (says.port_range_min, says.port_range_max);
    let protocol = Protocol::Number(protocol);
    let wrong = || {
        let text = |port: Option<i64>| port.map_or("nothing".to_owned(), |port| port.to_string());
        Unreadable::Ports { protocol, from: text(from), to: text(to) }
    };
    if protocol.is_icmp() {
        let byte = |n: Option<i64>| n.map(|n| u8::try_from(n).map_err(|_| wrong())).transpose();
        return Ok(Traffic::icmp(protocol == Protocol::Number(ICMPV6), byte(from)?, byte(to)?));
    }
    match (from, to) {
        (None, None) => Ok(Traffic::whole(protocol)),
        // Neutron itself takes them for the same: a second of the two is a duplicate.
        (Some(1), Some(65535)) => Ok(Traffic::whole(protocol)),
        (Some(from), Some(to)) if protocol.has_ports() => {
            let port = |port: i64| u16::try_from(port).map_err(|_| wrong());
            let ports = PortRange::new(port(from)?, port(to)?).ok_or_else(wrong)?;
            Ok(Traffic::on_ports(protocol, ports))
        }
        // Neutron refuses to be told such a rule.
        _ => Err(wrong()),
    }
}

/// The number of a protocol; ICMP over IPv6 is ICMPv6 to Neutron, whatever it was called.
fn number(word: &str, family: Family) -> Option<u8> {
    match Protocol::of_cloud(word)? {
        // Neutron's word for all of them is none.
        Protocol::All => None,
        Protocol::Number(ICMP) if family == Family::Ipv6 => Some(ICMPV6),
        Protocol::Number(number) => Some(number),
    }
}

/// A rule in Neutron's words; `group` gives the id of a group that core names by an atom.
pub(crate) fn says(rule: &Rule, atoms: &Atoms, group: impl Fn(Atom) -> Option<String>) -> Result<Says, Unsayable> {
    if let Some(why) = unsayable(rule) {
        return Err(why);
    }
    let (protocol, port_range_min, port_range_max) = protocol_and_ports(rule.traffic);
    let mut says = Says {
        direction: match rule.direction {
            Direction::Ingress => Way::Ingress,
            Direction::Egress => Way::Egress,
        },
        ethertype: if rule.peer.family() == Family::Ipv6 { EtherType::IPv6 } else { EtherType::IPv4 },
        protocol,
        port_range_min,
        port_range_max,
        remote_ip_prefix: None,
        remote_group_id: None,
        remote_address_group_id: None,
    };
    match rule.peer {
        RulePeer::Addresses(cidr) => says.remote_ip_prefix = Some(cidr.to_string()),
        RulePeer::Opaque(PeerKind::Group, atom, _) => {
            let id = group(atom).ok_or_else(|| Unsayable::NoSuchGroup(atoms.text(atom).to_owned()))?;
            says.remote_group_id = Some(id);
        }
        RulePeer::Opaque(_, atom, _) => says.remote_address_group_id = Some(atoms.text(atom).to_owned()),
    }
    Ok(says)
}

/// Numbers for all but the four that Neutron itself stores by name: drivers disagree on what some names mean.
fn protocol_and_ports(traffic: Traffic) -> (Option<String>, Option<i64>, Option<i64>) {
    let protocol = match traffic.protocol() {
        Protocol::All => return (None, None, None),
        Protocol::Number(TCP) => "tcp".to_owned(),
        Protocol::Number(UDP) => "udp".to_owned(),
        Protocol::Number(ICMP) => "icmp".to_owned(),
        Protocol::Number(ICMPV6) => "ipv6-icmp".to_owned(),
        Protocol::Number(number) => number.to_string(),
    };
    let (from, to) = match (traffic.ports(), traffic.icmp_type_code()) {
        (Some(ports), _) if ports != PortRange::ALL => (Some(ports.from().into()), Some(ports.to().into())),
        (_, Some((kind, code))) => (kind.map(i64::from), code.map(i64::from)),
        _ => (None, None),
    };
    (Some(protocol), from, to)
}

/// Why Neutron has no rule that says this one.
pub(crate) fn unsayable(rule: &Rule) -> Option<Unsayable> {
    match rule.peer {
        RulePeer::Opaque(PeerKind::PrefixList, ..) => return Some(Unsayable::Peer("prefix lists")),
        RulePeer::Opaque(PeerKind::ServiceAccount, ..) => return Some(Unsayable::Peer("service accounts")),
        RulePeer::Opaque(PeerKind::Group | PeerKind::AddressGroup, ..) | RulePeer::Addresses(_) => {}
    }
    match (rule.traffic.protocol(), rule.peer.family()) {
        (_, Family::Both) => return Some(Unsayable::Family(rule.traffic, "both families at once")),
        (Protocol::Number(ICMP), Family::Ipv6) => return Some(Unsayable::Family(rule.traffic, "IPv6")),
        (Protocol::Number(ICMPV6), Family::Ipv4) => return Some(Unsayable::Family(rule.traffic, "IPv4")),
        _ => {}
    }
    match rule.traffic.ports() {
        Some(ports) if ports == PortRange::ALL => None,
        Some(ports) if ports.from() == 0 => Some(Unsayable::PortZero(rule.traffic)),
        Some(ports) if (ports.from(), ports.to()) == (1, u16::MAX) => Some(Unsayable::AlmostAll(rule.traffic)),
        _ => None,
    }
}

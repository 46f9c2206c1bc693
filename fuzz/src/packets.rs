//! Rules as sets of packets, by asking of every packet of a small universe whether a rule lets it through.

use std::net::IpAddr;

use rsgsync_core::rule::{Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::{Protocol, Traffic};

use crate::network::{GROUPS, LIST, Names};

/// The lowest of the universe's ports: Docker and etcd, which guards speak of, are among them.
pub const FIRST_PORT: u16 = 2374;
/// How many ports rules may name; one more stands for all above.
pub const PORTS: u8 = 8;

/// Protocol and port, or ICMP type and code.
type Point = (u8, u16);

fn points() -> impl Iterator<Item = Point> {
    let ports = || (0..=u16::from(PORTS)).map(|port| FIRST_PORT + port);
    let others = [(1, 8 << 8), (1, (8 << 8) + 1), (1, 0), (58, 128 << 8), (50, 0)];
    ports().map(|port| (6, port)).chain(ports().map(|port| (17, port))).chain(others)
}

/// The other end of a packet.
#[derive(Clone, Copy)]
enum End {
    Address(IpAddr),
    Group(usize, Family),
    List(Family),
}

fn ends() -> impl Iterator<Item = End> {
    let addresses = (0..=8)
        .flat_map(|last: u16| [IpAddr::from([10, 0, 0, last as u8]), IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last])]);
    let public = ["203.0.113.1", "2001:db8::1"].map(|text| text.parse().expect("an address"));
    let families = [Family::Ipv4, Family::Ipv6];
    let groups = (0..GROUPS).flat_map(move |group| families.map(|family| End::Group(group, family)));
    addresses.chain(public).map(End::Address).chain(groups).chain(families.map(End::List))
}

/// Packets of the universe, both directions.
#[derive(Clone, PartialEq, Eq)]
pub struct Packets(Vec<u64>);

impl Packets {
    /// What rules let through.
    pub fn of<'a>(rules: impl IntoIterator<Item = &'a Rule>, names: &Names) -> Self {
        let mut packets = Self::none();
        for rule in rules {
            let ends = ends().enumerate().filter(|(_, end)| is_peer(rule.peer, *end, names));
            let ends = ends.fold(0, |bits, (bit, _)| bits | 1 << bit);
            packets.add(rule.direction, rule.traffic, ends);
        }
        packets
    }

    /// Every packet of some traffic.
    pub fn on(direction: Direction, traffic: Traffic) -> Self {
        let mut packets = Self::none();
        packets.add(direction, traffic, u64::MAX);
        packets
    }

    /// Every packet of a direction.
    pub fn all(direction: Direction) -> Self {
        Self::on(direction, Traffic::ALL)
    }

    pub fn none() -> Self {
        Self(vec![0; 2 * points().count()])
    }

    fn add(&mut self, direction: Direction, traffic: Traffic, ends: u64) {
        let skip = if direction == Direction::Ingress { 0 } else { points().count() };
        for (bits, point) in self.0[skip..].iter_mut().zip(points()) {
            *bits |= if is_on(traffic, point) { ends } else { 0 };
        }
    }

    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    pub fn or(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a | b).collect())
    }

    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & !b).collect())
    }

    pub fn is_within(&self, other: &Self) -> bool {
        self.without(other).is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }
}

fn is_on(traffic: Traffic, (protocol, port): Point) -> bool {
    if traffic.protocol() != Protocol::Number(protocol) {
        return traffic.protocol() == Protocol::All;
    }
    let [kind, code] = port.to_be_bytes();
    let of_port = traffic.ports().is_none_or(|ports| (ports.from()..=ports.to()).contains(&port));
    let of_kind =
        traffic.icmp_type_code().is_none_or(|(t, c)| t.is_none_or(|t| t == kind) && c.is_none_or(|c| c == code));
    of_port && of_kind
}

fn is_peer(peer: RulePeer, end: End, names: &Names) -> bool {
    match (peer, end) {
        (RulePeer::Addresses(range), End::Address(address)) => range.net().contains(&address),
        (RulePeer::Opaque(PeerKind::Group, atom, families), End::Group(group, family)) => {
            names.group(atom) == Some(group) && families.contains(family)
        }
        (RulePeer::Opaque(PeerKind::PrefixList, atom, families), End::List(family)) => {
            names.atoms.text(atom) == LIST && families.contains(family)
        }
        _ => false,
    }
}

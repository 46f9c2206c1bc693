//! A rule as a small value that can be copied, and the table of names that it points into.

use std::fmt;
use std::net::IpAddr;

use indexmap::IndexSet;
use ipnet::IpNet;

use crate::traffic::Traffic;

/// Which way the packets go, seen from the nodes of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Into the group's nodes.
    Ingress,
    /// Out of the group's nodes.
    Egress,
}

impl Direction {
    /// `ingress` or `egress`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// Address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
    /// Both.
    Both,
}

impl Family {
    /// `ipv4`, `ipv6` or `both`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Both => "both",
        }
    }

    /// The single families in this one.
    pub fn each(self) -> &'static [Family] {
        match self {
            Self::Ipv4 => &[Self::Ipv4],
            Self::Ipv6 => &[Self::Ipv6],
            Self::Both => &[Self::Ipv4, Self::Ipv6],
        }
    }

    /// Whether every family of `other` is in this one.
    pub fn contains(self, other: Family) -> bool {
        self == Self::Both || self == other
    }
}

/// An address range in canonical form: no host bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Every IPv4 address.
    pub const ANY_V4: Self = Self(IpNet::new_assert(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0));
    /// Every IPv6 address.
    pub const ANY_V6: Self = Self(IpNet::new_assert(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 0));

    /// The range, its host bits cut off.
    pub fn new(net: IpNet) -> Self {
        Self(net.trunc())
    }

    /// Reads `10.0.0.0/8` or a bare address; host bits are cut off ([`Cidr::is_canonical`] says whether there were any).
    pub fn parse(text: &str) -> Option<Self> {
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
        Some(Self::new(net))
    }

    /// Whether `text` already is what [`Cidr::parse`] makes of it, host bits apart from spelling.
    pub fn is_canonical(text: &str) -> bool {
        text.parse::<IpNet>().is_ok_and(|net| net.trunc() == net) || text.parse::<IpAddr>().is_ok()
    }

    /// The range.
    pub fn net(self) -> IpNet {
        self.0
    }

    /// Its family.
    pub fn family(self) -> Family {
        match self.0 {
            IpNet::V4(_) => Family::Ipv4,
            IpNet::V6(_) => Family::Ipv6,
        }
    }

    /// The first and last address as numbers, both included, within the family.
    pub fn bounds(self) -> (u128, u128) {
        match self.0 {
            IpNet::V4(net) => (u32::from(net.network()).into(), u32::from(net.broadcast()).into()),
            IpNet::V6(net) => (net.network().into(), net.broadcast().into()),
        }
    }

    /// Whether every address of `other` is in this range.
    pub fn contains(self, other: Cidr) -> bool {
        self.0.contains(&other.0)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A name of one network, by its place in [`Atoms`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Atom(u32);

/// The names of one network that rules point at: group ids and names, prefix lists, address groups, service accounts.
///
/// A group is interned by its id where that is known, else by its name; another account's group is `ACCOUNT/ID`.
#[derive(Debug, Clone, Default)]
pub struct Atoms {
    texts: IndexSet<Box<str>>,
}

impl Atoms {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The atom of a text; the same text always gives the same atom.
    pub fn intern(&mut self, text: &str) -> Atom {
        let index = match self.texts.get_index_of(text) {
            Some(index) => index,
            None => self.texts.insert_full(text.into()).0,
        };
        Atom(u32::try_from(index).expect("fewer than four billion names fit in memory"))
    }

    /// The atom of a text, where it has one.
    pub fn get(&self, text: &str) -> Option<Atom> {
        self.texts.get_index_of(text).and_then(|i| u32::try_from(i).ok()).map(Atom)
    }

    /// The text of an atom of this table; empty for another table's.
    pub fn text(&self, atom: Atom) -> &str {
        self.texts.get_index(atom.0 as usize).map_or("", |text| text)
    }
}

/// What kind of name an opaque peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerKind {
    /// A security group (on GCP: a network tag).
    Group,
    /// A managed prefix list (AWS).
    PrefixList,
    /// An address group (OpenStack).
    AddressGroup,
    /// A service account (GCP).
    ServiceAccount,
}

/// The other end of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RulePeer {
    /// Addresses.
    Addresses(Cidr),
    /// A name that only the cloud can resolve, for the families that the rule matches.
    Opaque(PeerKind, Atom, Family),
}

impl RulePeer {
    /// The families that the rule matches.
    pub fn family(self) -> Family {
        match self {
            Self::Addresses(cidr) => cidr.family(),
            Self::Opaque(_, _, family) => family,
        }
    }

    /// The group, where the peer is one.
    pub fn group(self) -> Option<Atom> {
        match self {
            Self::Opaque(PeerKind::Group, atom, _) => Some(atom),
            _ => None,
        }
    }
}

/// What a cloud stores: direction, traffic and the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    /// Which way.
    pub direction: Direction,
    /// The other end.
    pub peer: RulePeer,
    /// Protocol and ports.
    pub traffic: Traffic,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_cut_off() {
        assert_eq!(Cidr::parse("10.1.2.3/16"), Cidr::parse("10.1.0.0/16"));
        assert_eq!(Cidr::parse("2001:0DB8:0:0::/32"), Cidr::parse("2001:db8::/32"));
        assert!(!Cidr::is_canonical("10.1.2.3/16"));
        assert_eq!(Cidr::parse("192.0.2.1").map(|c| c.to_string()).as_deref(), Some("192.0.2.1/32"));
        assert_eq!(Cidr::parse("10.0.0.0/33"), None);
    }

    #[test]
    fn bounds_are_inclusive() {
        assert_eq!(Cidr::parse("10.0.0.0/30").map(Cidr::bounds), Some((0x0A00_0000, 0x0A00_0003)));
    }

    #[test]
    fn the_same_text_is_the_same_atom() {
        let mut atoms = Atoms::new();
        let (a, b) = (atoms.intern("sg-1"), atoms.intern("sg-2"));
        assert_ne!(a, b);
        assert_eq!(atoms.intern("sg-1"), a);
        assert_eq!(atoms.text(b), "sg-2");
    }

    #[test]
    fn a_rule_is_small() {
        assert!(std::mem::size_of::<Rule>() <= 32, "{}", std::mem::size_of::<Rule>());
    }
}

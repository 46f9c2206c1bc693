//! What a rule or flow lets through, as an interval on one line: protocol × port (or ICMP type and code).

use std::fmt;

/// An IP protocol number, or every protocol.
///
/// Source: IANA protocol numbers; `all` is what the clouds write as `-1`, `any` or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Every protocol.
    All,
    /// One protocol by its IANA number, 0–255.
    Number(u8),
}

/// The protocol with the number 1.
pub const ICMP: u8 = 1;
/// The protocol with the number 6.
pub const TCP: u8 = 6;
/// The protocol with the number 17.
pub const UDP: u8 = 17;
/// The protocol with the number 33.
pub const DCCP: u8 = 33;
/// The protocol with the number 132.
pub const SCTP: u8 = 132;
/// The protocol with the number 136.
pub const UDPLITE: u8 = 136;
/// The protocol with the number 58.
pub const ICMPV6: u8 = 58;

const NAMES: [(u8, &str); 10] = [
    (ICMP, "icmp"),
    (TCP, "tcp"),
    (UDP, "udp"),
    (ICMPV6, "icmpv6"),
    (4, "ipip"),
    (50, "esp"),
    (51, "ah"),
    (DCCP, "dccp"),
    (SCTP, "sctp"),
    (UDPLITE, "udplite"),
];

/// Names that clouds have beside those, sorted. Source: neutron-lib, `IP_PROTOCOL_MAP`.
const NAMES_OF_CLOUDS: [(&str, u8); 15] = [
    ("egp", 8),
    ("gre", 47),
    ("hopopt", 0),
    ("igmp", 2),
    ("ip", 0),
    ("ipv6-encap", 41),
    ("ipv6-frag", 44),
    ("ipv6-icmp", ICMPV6),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("ipv6-route", 43),
    ("ospf", 89),
    ("pgm", 113),
    ("rsvp", 46),
    ("vrrp", 112),
];

impl Protocol {
    /// Reads a name of the vocabulary (`tcp`, `icmpv6`, `esp`, `ipip`, `all` …), or a number 0–255, or `-1` for all.
    pub fn parse(word: &str) -> Option<Self> {
        if word == "all" || word == "-1" {
            return Some(Self::All);
        }
        let by_name = NAMES.iter().find(|(_, name)| *name == word).map(|(number, _)| *number);
        by_name.or_else(|| word.parse().ok()).map(Self::Number)
    }

    /// Reads what a cloud may call a protocol, in any case: as [`Protocol::parse`], and also `ipv6-icmp`, `gre`, `vrrp` …
    pub fn of_cloud(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let by_name = NAMES_OF_CLOUDS.iter().find(|(name, _)| *name == word).map(|(_, number)| Self::Number(*number));
        by_name.or_else(|| Self::parse(&word))
    }

    /// Whether ports mean something for this protocol: tcp, udp, dccp, sctp and udplite.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::Number(TCP | UDP | DCCP | SCTP | UDPLITE))
    }

    /// Whether type and code mean something for this protocol.
    pub fn is_icmp(self) -> bool {
        matches!(self, Self::Number(ICMP | ICMPV6))
    }

    /// The word of the JSON contract: `tcp`, `udp`, `icmp`, `icmpv6`, `all`, else the number.
    pub fn contract_word(self) -> String {
        match self {
            Self::Number(n @ (ICMP | TCP | UDP | ICMPV6)) => named(n).unwrap_or_default().to_owned(),
            Self::All => "all".to_owned(),
            Self::Number(n) => n.to_string(),
        }
    }
}

fn named(number: u8) -> Option<&'static str> {
    NAMES.iter().find(|(n, _)| *n == number).map(|(_, name)| *name)
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Number(n) => match named(*n) {
                Some(name) => f.write_str(name),
                None => write!(f, "proto/{n}"),
            },
        }
    }
}

/// Ports, inclusive on both ends, 0–65535, never reversed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    from: u16,
    to: u16,
}

impl PortRange {
    /// Every port.
    pub const ALL: Self = Self { from: 0, to: u16::MAX };

    /// A range from `from` to `to`, both included; `None` when reversed.
    pub fn new(from: u16, to: u16) -> Option<Self> {
        (from <= to).then_some(Self { from, to })
    }

    /// The range of one port.
    pub fn single(port: u16) -> Self {
        Self { from: port, to: port }
    }

    /// The lowest port.
    pub fn from(self) -> u16 {
        self.from
    }

    /// The highest port.
    pub fn to(self) -> u16 {
        self.to
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to { write!(f, "{}", self.from) } else { write!(f, "{}-{}", self.from, self.to) }
    }
}

/// Protocol and ports, or ICMP type and code: one rule's worth of traffic.
///
/// Held as an inclusive interval of points; a point is `protocol number × 65536 + port`, where the port of ICMP is
/// `type × 256 + code`. It is either everything, or within one protocol; all of a protocol without ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Traffic {
    lo: u32,
    hi: u32,
}

/// The highest point of the line of traffic.
pub const LAST_POINT: u32 = 0xFF_FFFF;

impl Traffic {
    /// Everything.
    pub const ALL: Self = Self { lo: 0, hi: LAST_POINT };

    /// TCP on these ports.
    pub fn tcp(ports: PortRange) -> Self {
        Self::within(TCP, ports.from, ports.to)
    }

    /// UDP on these ports.
    pub fn udp(ports: PortRange) -> Self {
        Self::within(UDP, ports.from, ports.to)
    }

    /// All of a protocol.
    pub fn whole(protocol: Protocol) -> Self {
        match protocol {
            Protocol::All => Self::ALL,
            Protocol::Number(n) => Self::within(n, 0, u16::MAX),
        }
    }

    /// A protocol on some ports; the ports are dropped where the protocol has none, as the clouds do.
    pub fn on_ports(protocol: Protocol, ports: PortRange) -> Self {
        match protocol {
            Protocol::Number(n) if protocol.has_ports() => Self::within(n, ports.from, ports.to),
            _ => Self::whole(protocol),
        }
    }

    /// ICMP or ICMPv6 of a type and code; without a code every code, without a type everything.
    pub fn icmp(v6: bool, kind: Option<u8>, code: Option<u8>) -> Self {
        let number = if v6 { ICMPV6 } else { ICMP };
        match (kind, code) {
            (None, _) => Self::within(number, 0, u16::MAX),
            (Some(t), None) => Self::within(number, u16::from(t) << 8, (u16::from(t) << 8) | 0xFF),
            (Some(t), Some(c)) => {
                Self::within(number, (u16::from(t) << 8) | u16::from(c), (u16::from(t) << 8) | u16::from(c))
            }
        }
    }

    fn within(number: u8, from: u16, to: u16) -> Self {
        let base = u32::from(number) << 16;
        Self { lo: base | u32::from(from), hi: base | u32::from(to) }
    }

    /// The pieces, each a legal traffic, whose union is exactly the points `lo..=hi`.
    ///
    /// Cuts at the bounds of protocols and of ICMP types. A part of a protocol without ports never occurs: every legal
    /// traffic covers such a protocol wholly, and so does every union and difference of them.
    pub(crate) fn pieces(lo: u32, hi: u32) -> Vec<Self> {
        if lo == 0 && hi == LAST_POINT {
            return vec![Self::ALL];
        }
        let mut pieces = Vec::new();
        for number in (lo >> 16)..=(hi >> 16) {
            let base = number << 16;
            let (from, to) = (lo.max(base) & 0xFFFF, hi.min(base | 0xFFFF) & 0xFFFF);
            if number == u32::from(ICMP) || number == u32::from(ICMPV6) {
                icmp_pieces(base, from, to, &mut pieces);
            } else {
                pieces.push(Self { lo: base | from, hi: base | to });
            }
        }
        pieces
    }

    /// The narrowest legal traffic that has a point: one port, one ICMP type and code, else the whole protocol.
    pub fn at(point: u32) -> Self {
        let number = ((point & LAST_POINT) >> 16) as u8;
        let protocol = Protocol::Number(number);
        if protocol.has_ports() || protocol.is_icmp() { Self { lo: point, hi: point } } else { Self::whole(protocol) }
    }

    /// The protocol.
    pub fn protocol(self) -> Protocol {
        if self == Self::ALL { Protocol::All } else { Protocol::Number((self.lo >> 16) as u8) }
    }

    /// The ports, where the protocol has ports.
    pub fn ports(self) -> Option<PortRange> {
        self.protocol().has_ports().then_some(PortRange { from: self.lo as u16, to: self.hi as u16 })
    }

    /// Type and code, where the protocol is ICMP; `None` inside means any.
    pub fn icmp_type_code(self) -> Option<(Option<u8>, Option<u8>)> {
        if !self.protocol().is_icmp() {
            return None;
        }
        let (lo, hi) = (self.lo as u16, self.hi as u16);
        Some(match (lo, hi) {
            (0, u16::MAX) => (None, None),
            _ if lo == hi => (Some((lo >> 8) as u8), Some(lo as u8)),
            _ => (Some((lo >> 8) as u8), None),
        })
    }

    /// The first and last point, both included.
    pub fn points(self) -> (u32, u32) {
        (self.lo, self.hi)
    }

    /// Reads `22/tcp`, `30000-32767/udp`, `icmp`, `icmp/8`, `icmp/8/0`, `esp`, `tcp`, `proto/47` or `all`.
    ///
    /// `tcp+udp` is two: [`Traffic::parse_list`] takes it.
    pub fn parse(text: &str) -> Result<Self, TrafficError> {
        match Self::parse_list(text)?.as_slice() {
            [one] => Ok(*one),
            _ => Err(TrafficError::Several(text.to_owned())),
        }
    }

    /// As [`Traffic::parse`], where `…/tcp+udp` gives two.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, TrafficError> {
        let unknown = |word: &str| TrafficError::UnknownProtocol(word.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        // A bare number is more likely a port whose protocol was forgotten.
        let first = Protocol::parse(parts[0]).filter(|_| parts[0].parse::<i64>().is_err());
        match (first, parts.as_slice()) {
            (_, [ports, protocols])
                if protocols.split('+').all(|p| Protocol::parse(p).is_some_and(Protocol::has_ports)) =>
            {
                let ports = parse_ports(ports)?;
                Ok(protocols.split('+').filter_map(Protocol::parse).map(|p| Self::on_ports(p, ports)).collect())
            }
            (_, ["proto", number]) => {
                let number = number.parse().map_err(|_| unknown(text))?;
                Ok(vec![Self::whole(Protocol::Number(number))])
            }
            (Some(protocol), [_]) => Ok(vec![Self::whole(protocol)]),
            (Some(protocol), [_, rest @ ..]) if protocol.is_icmp() && rest.len() <= 2 => {
                let number = |s: &str| s.parse::<u8>().map_err(|_| TrafficError::Icmp(s.to_owned()));
                let kind = rest.first().map(|s| number(s)).transpose()?;
                let code = rest.get(1).map(|s| number(s)).transpose()?;
                Ok(vec![Self::icmp(protocol == Protocol::Number(ICMPV6), kind, code)])
            }
            (Some(protocol), [word, ports]) if protocol.has_ports() => {
                parse_ports(ports)?;
                Err(TrafficError::WrongWayRound { protocol: (*word).to_owned(), ports: (*ports).to_owned() })
            }
            (_, [_, protocol]) => Err(unknown(protocol)),
            _ => Err(unknown(text)),
        }
    }
}

fn icmp_pieces(base: u32, from: u32, to: u32, pieces: &mut Vec<Traffic>) {
    if from == 0 && to == 0xFFFF {
        pieces.push(Traffic { lo: base, hi: base | 0xFFFF });
        return;
    }
    for kind in (from >> 8)..=(to >> 8) {
        let (lo, hi) = (from.max(kind << 8), to.min((kind << 8) | 0xFF));
        if lo & 0xFF == 0 && hi & 0xFF == 0xFF {
            pieces.push(Traffic { lo: base | lo, hi: base | hi });
        } else {
            pieces.extend((lo..=hi).map(|point| Traffic { lo: base | point, hi: base | point }));
        }
    }
}

/// Reads `22` or `30000-32767`.
pub(crate) fn parse_ports(text: &str) -> Result<PortRange, TrafficError> {
    let port = |s: &str| match s.trim().parse::<u32>() {
        Ok(n) => u16::try_from(n).map_err(|_| TrafficError::PortTooHigh(n)),
        Err(_) => Err(TrafficError::NotAPort(s.to_owned())),
    };
    let (from, to) = match text.split_once('-') {
        Some((a, b)) => (port(a)?, port(b)?),
        None => (port(text)?, port(text)?),
    };
    PortRange::new(from, to).ok_or(TrafficError::Reversed { from, to })
}

impl fmt::Display for Traffic {
    /// The inventory's own notation: `2379-2380/tcp`, `icmp/8/0`, `esp`, `all`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol();
        if let Some(ports) = self.ports() {
            return if ports == PortRange::ALL { write!(f, "{protocol}") } else { write!(f, "{ports}/{protocol}") };
        }
        match self.icmp_type_code() {
            Some((Some(kind), Some(code))) => write!(f, "{protocol}/{kind}/{code}"),
            Some((Some(kind), None)) => write!(f, "{protocol}/{kind}"),
            _ => write!(f, "{protocol}"),
        }
    }
}

/// Why a text is no traffic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrafficError {
    /// A port above 65535.
    #[error("port {0} is above 65535")]
    PortTooHigh(u32),
    /// Not a number.
    #[error("`{0}` is not a port")]
    NotAPort(String),
    /// The first port is above the last.
    #[error("the range {from}-{to} is reversed")]
    Reversed {
        /// The first port as written.
        from: u16,
        /// The last port as written.
        to: u16,
    },
    /// The protocol stands before the ports.
    #[error("`{protocol}/{ports}` stands the wrong way round: write `{ports}/{protocol}`")]
    WrongWayRound {
        /// The protocol as written.
        protocol: String,
        /// The ports as written.
        ports: String,
    },
    /// A word that is no protocol.
    #[error("`{0}` is not traffic: write `22/tcp`, `30000-32767/tcp+udp`, `icmp/8/0`, `esp`, `proto/47` or `all`")]
    UnknownProtocol(String),
    /// An ICMP type or code out of range.
    #[error("`{0}` is not an ICMP type or code, 0-255")]
    Icmp(String),
    /// `tcp+udp` where one traffic is asked for.
    #[error("`{0}` is two kinds of traffic")]
    Several(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_reads_back_as_it_is_shown() {
        for text in [
            "22/tcp",
            "30000-32767/udp",
            "tcp",
            "icmp",
            "icmp/8",
            "icmp/8/0",
            "icmpv6/128/0",
            "esp",
            "ipip",
            "5001/dccp",
            "udplite",
            "proto/47",
            "all",
        ] {
            assert_eq!(Traffic::parse(text).map(|t| t.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn tcp_and_udp_are_two() {
        let both = Traffic::parse_list("53/tcp+udp");
        assert_eq!(both, Ok(vec![Traffic::tcp(PortRange::single(53)), Traffic::udp(PortRange::single(53))]));
    }

    #[test]
    fn ipip_is_protocol_four() {
        assert_eq!(Traffic::parse("ipip").map(|t| t.protocol()), Ok(Protocol::Number(4)));
        assert_eq!(Traffic::parse("proto/4"), Traffic::parse("ipip"));
    }

    #[test]
    fn clouds_have_more_names_than_the_vocabulary() {
        assert_eq!(Protocol::of_cloud("IPv6-ICMP"), Some(Protocol::Number(58)));
        assert_eq!(Protocol::of_cloud("vrrp"), Some(Protocol::Number(112)));
        assert_eq!(Protocol::of_cloud("TCP"), Protocol::parse("tcp"));
        assert_eq!((Protocol::of_cloud("112"), Protocol::of_cloud("quux")), (Some(Protocol::Number(112)), None));
        assert_eq!(Protocol::parse("vrrp"), None, "an inventory writes proto/112");
    }

    #[test]
    fn bad_traffic_says_why() {
        assert_eq!(Traffic::parse("70000/tcp"), Err(TrafficError::PortTooHigh(70000)));
        assert_eq!(Traffic::parse("20-10/tcp"), Err(TrafficError::Reversed { from: 20, to: 10 }));
        assert_eq!(Traffic::parse("x/tcp"), Err(TrafficError::NotAPort("x".to_owned())));
        for turned in ["tcp/2379", "udp/30000-32767"] {
            let (protocol, ports) = turned.split_once('/').unwrap();
            let expected = format!("`{turned}` stands the wrong way round: write `{ports}/{protocol}`");
            assert_eq!(Traffic::parse(turned).unwrap_err().to_string(), expected);
        }
        assert_eq!(Traffic::parse("tcp/x"), Err(TrafficError::NotAPort("x".to_owned())));
        assert!(matches!(Traffic::parse("22/tpc"), Err(TrafficError::UnknownProtocol(_))));
        assert!(matches!(Traffic::parse(""), Err(TrafficError::UnknownProtocol(_))));
        for bare in ["22", "0", "300", "-1", "proto/300"] {
            assert!(matches!(Traffic::parse(bare), Err(TrafficError::UnknownProtocol(_))), "{bare}");
        }
    }

    #[test]
    fn ports_of_a_protocol_without_ports_are_dropped() {
        assert_eq!(
            Traffic::on_ports(Protocol::Number(50), PortRange::single(22)),
            Traffic::whole(Protocol::Number(50))
        );
    }

    #[test]
    fn pieces_cut_at_protocols_and_icmp_types() {
        let (icmp, tcp) = (u32::from(ICMP) << 16, u32::from(TCP) << 16);
        let spelled: Vec<String> =
            Traffic::pieces(icmp | 0x0300, icmp | 0x0400).iter().map(ToString::to_string).collect();
        assert_eq!(spelled, ["icmp/3", "icmp/4/0"]);
        assert_eq!(Traffic::pieces(tcp | 22, tcp | 25), [Traffic::tcp(PortRange { from: 22, to: 25 })]);
        assert_eq!(Traffic::pieces(0, LAST_POINT), [Traffic::ALL]);
        assert_eq!(Traffic::pieces(0, LAST_POINT - 65_536).len(), 255);
    }
}

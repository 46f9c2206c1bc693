//! EC2's permissions become rules of the simulated cloud, one peer each, and the other way round.

use rsgsync_core::rule::{Cidr, Direction, Family};
use rsgsync_core::traffic::{ICMP, ICMPV6, PortRange, Protocol, TCP, Traffic, UDP};
use rsgsync_simulated::world::{GroupRule, Peer, Permission};

use crate::error::Refusal;
use crate::parameters::Parameters;
use crate::xml::Xml;

/// A rule that a call names. Without a description it has none.
pub(crate) type Named = (Permission, String);

/// What a permission may refer to.
pub(crate) trait Peers {
    /// The account that asks.
    fn account(&self) -> &str;
    /// The id of a group of the default VPC.
    fn named(&self, name: &str) -> Option<String>;
}

/// The rules of all permissions of a call.
pub(crate) fn read(
    parameters: &mut Parameters,
    direction: Direction,
    peers: &dyn Peers,
) -> Result<Vec<Named>, Refusal> {
    let mut rules = Vec::new();
    for mut permission in parameters.list("IpPermissions") {
        let traffic = traffic(&mut permission)?;
        let before = rules.len();
        for (list, read) in
            [("IpRanges", ipv4 as Read), ("Ipv6Ranges", ipv6), ("PrefixListIds", list), ("Groups", group)]
        {
            for mut element in permission.list(list) {
                let description = element.take("Description").unwrap_or_default();
                let peer = read(&mut element, peers)?;
                element.finish()?;
                rules.push((Permission { direction, traffic, peer }, description));
            }
        }
        permission.finish()?;
        if rules.len() == before {
            return Err(Refusal::new("MissingParameter", "Source group or CIDR IP address must be specified"));
        }
    }
    Ok(rules)
}

type Read = fn(&mut Parameters, &dyn Peers) -> Result<Peer, Refusal>;

fn ipv4(element: &mut Parameters, _: &dyn Peers) -> Result<Peer, Refusal> {
    range(&element.need("CidrIp")?, Family::Ipv4)
}

fn ipv6(element: &mut Parameters, _: &dyn Peers) -> Result<Peer, Refusal> {
    range(&element.need("CidrIpv6")?, Family::Ipv6)
}

/// Host bits are cut off, as AWS does.
fn range(text: &str, family: Family) -> Result<Peer, Refusal> {
    match Cidr::parse(text) {
        Some(cidr) if cidr.family() == family && text.contains('/') => Ok(Peer::Cidr(cidr)),
        _ => Err(Refusal::wrong(format!("CIDR block {text} is malformed"))),
    }
}

fn list(element: &mut Parameters, _: &dyn Peers) -> Result<Peer, Refusal> {
    element.need("PrefixListId").map(Peer::PrefixList)
}

fn group(element: &mut Parameters, peers: &dyn Peers) -> Result<Peer, Refusal> {
    let (id, name) = (element.take("GroupId"), element.take("GroupName"));
    let account = element.take("UserId").filter(|account| account != peers.account());
    // Only said where groups of several VPCs are meant.
    element.take("VpcId");
    Ok(match (id, name, account) {
        (Some(group), _, Some(account)) => Peer::OtherAccount { account, group },
        (Some(id), _, None) => Peer::Group(id),
        (None, Some(name), None) => Peer::Group(peers.named(&name).ok_or_else(|| Refusal::no_group(&name))?),
        _ => return Err(Refusal::new("MissingParameter", "A group is named by its id")),
    })
}

/// Protocol and ports. Source: EC2 API reference, IpPermission.
fn traffic(permission: &mut Parameters) -> Result<Traffic, Refusal> {
    let word = permission.need("IpProtocol")?;
    let from: Option<i32> = permission.number("FromPort")?;
    let to: Option<i32> = permission.number("ToPort")?;
    let number = match word.as_str() {
        "-1" => return Ok(Traffic::ALL),
        "tcp" => TCP,
        "udp" => UDP,
        "icmp" => ICMP,
        "icmpv6" => ICMPV6,
        other => other
            .parse()
            .map_err(|_| Refusal::wrong(format!("Invalid value '{other}' for IP protocol. Unknown protocol.")))?,
    };
    match (number, from, to) {
        (TCP | UDP, Some(from), Some(to)) => ports(number, from, to),
        (TCP | UDP, ..) => {
            Err(Refusal::wrong("Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange."))
        }
        (ICMP | ICMPV6, Some(kind), Some(code)) => icmp(number, kind, code),
        (ICMP | ICMPV6, ..) => {
            Err(Refusal::wrong("Invalid value 'Must specify both type and code with ICMP.' for portRange."))
        }
        // "Specifying a protocol number other than tcp, udp, icmp, or icmpv6 allows traffic on all ports".
        _ => Ok(Traffic::whole(Protocol::Number(number))),
    }
}

fn ports(number: u8, from: i32, to: i32) -> Result<Traffic, Refusal> {
    let port =
        |port: i32| u16::try_from(port).map_err(|_| Refusal::wrong(format!("TCP/UDP port ({port}) out of range")));
    let ports = PortRange::new(port(from)?, port(to)?);
    let ports = ports.ok_or_else(|| Refusal::wrong(format!("Invalid TCP/UDP port range ({from}:{to})")))?;
    Ok(Traffic::on_ports(Protocol::Number(number), ports))
}

fn icmp(number: u8, kind: i32, code: i32) -> Result<Traffic, Refusal> {
    let byte = |n: i32| match n {
        -1 => Ok(None),
        n => u8::try_from(n).map(Some).map_err(|_| Refusal::wrong(format!("ICMP type or code ({n}) out of range"))),
    };
    let (kind, code) = (byte(kind)?, byte(code)?);
    if kind.is_none() && code.is_some() {
        return Err(Refusal::wrong("An ICMP code must be -1 where the type is"));
    }
    Ok(Traffic::icmp(number == ICMPV6, kind, code))
}

/// The protocol, and ports or type and code where the protocol has them.
fn words(traffic: Traffic) -> (String, Option<(i32, i32)>) {
    let protocol = traffic.protocol();
    let word = match protocol {
        Protocol::All => "-1".to_owned(),
        Protocol::Number(_) => protocol.contract_word(),
    };
    let numbers = match (protocol, traffic.ports(), traffic.icmp_type_code()) {
        (Protocol::Number(TCP | UDP), Some(ports), _) => Some((ports.from().into(), ports.to().into())),
        (_, _, Some((kind, code))) => Some((kind.map_or(-1, i32::from), code.map_or(-1, i32::from))),
        _ => None,
    };
    (word, numbers)
}

/// Rules as `ipPermissions`: one entry for each traffic, with all its peers.
pub(crate) fn write_permissions<'a>(
    xml: &mut Xml,
    name: &str,
    rules: impl IntoIterator<Item = (&'a Permission, &'a str)>,
    account: &str,
) {
    let mut by_traffic: Vec<(Traffic, Vec<(&Peer, &str)>)> = Vec::new();
    for (permission, description) in rules {
        let peer = (&permission.peer, description);
        match by_traffic.iter_mut().find(|(traffic, _)| *traffic == permission.traffic) {
            Some((_, peers)) => peers.push(peer),
            None => by_traffic.push((permission.traffic, vec![peer])),
        }
    }
    xml.list(name, by_traffic, |xml, (traffic, peers)| {
        let (protocol, numbers) = words(traffic);
        xml.text("ipProtocol", protocol);
        if let Some((from, to)) = numbers {
            xml.text("fromPort", from);
            xml.text("toPort", to);
        }
        let of = |list: &'static str| peers.iter().filter(move |(peer, _)| place(peer) == list);
        for list in ["groups", "ipRanges", "ipv6Ranges", "prefixListIds"] {
            xml.list(list, of(list), |xml, (peer, description)| {
                match peer {
                    Peer::Cidr(cidr) if cidr.family() == Family::Ipv6 => xml.text("cidrIpv6", cidr),
                    Peer::Cidr(cidr) => xml.text("cidrIp", cidr),
                    Peer::Group(id) => pair(xml, account, id),
                    Peer::OtherAccount { account, group } => pair(xml, account, group),
                    Peer::PrefixList(id) | Peer::AddressGroup(id) | Peer::ServiceAccount(id) => {
                        xml.text("prefixListId", id);
                    }
                }
                xml.text_if_any("description", description);
            });
        }
    });
}

fn place(peer: &Peer) -> &'static str {
    match peer {
        Peer::Cidr(cidr) if cidr.family() == Family::Ipv6 => "ipv6Ranges",
        Peer::Cidr(_) => "ipRanges",
        Peer::Group(_) | Peer::OtherAccount { .. } => "groups",
        Peer::PrefixList(_) | Peer::AddressGroup(_) | Peer::ServiceAccount(_) => "prefixListIds",
    }
}

fn pair(xml: &mut Xml, account: &str, id: &str) {
    xml.text("userId", account);
    xml.text("groupId", id);
}

/// What `securityGroupRuleSet` and `revokedSecurityGroupRuleSet` have in common, but for references to groups.
pub(crate) fn write_rule(xml: &mut Xml, group: &str, rule: &GroupRule) {
    let (protocol, numbers) = words(rule.permission.traffic);
    let (from, to) = numbers.unwrap_or((-1, -1));
    xml.text("securityGroupRuleId", &rule.id);
    xml.text("groupId", group);
    xml.text("isEgress", rule.permission.direction == Direction::Egress);
    xml.text("ipProtocol", protocol);
    xml.text("fromPort", from);
    xml.text("toPort", to);
    match &rule.permission.peer {
        Peer::Cidr(cidr) if cidr.family() == Family::Ipv6 => xml.text("cidrIpv6", cidr),
        Peer::Cidr(cidr) => xml.text("cidrIpv4", cidr),
        Peer::PrefixList(id) | Peer::AddressGroup(id) | Peer::ServiceAccount(id) => xml.text("prefixListId", id),
        Peer::Group(_) | Peer::OtherAccount { .. } => {}
    }
    xml.text_if_any("description", &rule.description);
}

/// The values of a rule under a filter's name without `ip-permission.` or `egress.ip-permission.`.
pub(crate) fn filter_value(rule: &GroupRule, key: &str, account: &str) -> Option<String> {
    let (protocol, numbers) = words(rule.permission.traffic);
    match (key, &rule.permission.peer) {
        ("protocol", _) => Some(protocol),
        ("from-port", _) => numbers.map(|(from, _)| from.to_string()),
        ("to-port", _) => numbers.map(|(_, to)| to.to_string()),
        ("cidr", Peer::Cidr(cidr)) if cidr.family() == Family::Ipv4 => Some(cidr.to_string()),
        ("ipv6-cidr", Peer::Cidr(cidr)) if cidr.family() == Family::Ipv6 => Some(cidr.to_string()),
        ("group-id", Peer::Group(id) | Peer::OtherAccount { group: id, .. }) => Some(id.clone()),
        ("user-id", Peer::Group(_)) => Some(account.to_owned()),
        ("user-id", Peer::OtherAccount { account, .. }) => Some(account.clone()),
        ("prefix-list-id", Peer::PrefixList(id)) => Some(id.clone()),
        _ => None,
    }
}

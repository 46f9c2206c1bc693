//! EC2's permissions and tags become core's rules and marks, and the other way round; nowhere else do the two meet.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, PrefixListId, SecurityGroupRule, Tag, UserIdGroupPair};
use rsgsync_core::name::{GroupMark, Mark, Origin, Owner};
use rsgsync_core::plan::StepRule;
use rsgsync_core::rule::{Atom, Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::{PortRange, Protocol, TCP, Traffic, UDP};

/// What marks on groups and rules begin with; `OWNER/CLUSTER` follows.
const TAG_PREFIX: &str = "rsgsync:";

/// Why something that EC2 lists can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("a rule for the protocol `{0}`")]
    Protocol(String),
    #[error("a rule for {protocol} from {from} to {to}")]
    Ports { protocol: Protocol, from: i32, to: i32 },
    #[error("a rule for the address range `{0}`")]
    Range(String),
    #[error("a rule that refers to a group or prefix list without an id")]
    NoPeer,
}

/// Why a rule can't be said to EC2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsayable {
    /// "a protocol number other than tcp, udp, icmp, or icmpv6 allows traffic on all ports" (IpPermission).
    #[error("AWS would open all of {0}, whatever the ports: {1}")]
    Wider(Protocol, Traffic),
    #[error("AWS has no rules for {0}")]
    Peer(&'static str),
}

/// A group as a permission names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRef {
    pub id: String,
    /// Another account's.
    pub account: Option<String>,
}

impl GroupRef {
    /// The text that stands for it in [`Atoms`]: the id, or `ACCOUNT/ID`.
    pub fn text(&self) -> String {
        match &self.account {
            Some(account) => format!("{account}/{}", self.id),
            None => self.id.clone(),
        }
    }
}

/// One peer of a permission, as core and as EC2 say it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    pub rule: Rule,
    pub description: String,
    /// The same in EC2's own spelling, ready to be sent back.
    pub spelling: IpPermission,
}

/// The rules of a permission, one peer each; `account` owns the group.
pub(crate) fn listed(
    permission: &IpPermission,
    direction: Direction,
    account: &str,
    atoms: &mut Atoms,
) -> Result<Vec<Listed>, Unreadable> {
    let traffic = traffic(permission.ip_protocol(), permission.from_port(), permission.to_port())?;
    let mut rules = Vec::new();
    let mut add = |peer: RulePeer, description: Option<&str>, peer_of: &dyn Fn(&mut IpPermission)| {
        let mut spelling = IpPermission::builder()
            .set_ip_protocol(permission.ip_protocol.clone())
            .set_from_port(permission.from_port)
            .set_to_port(permission.to_port)
            .build();
        peer_of(&mut spelling);
        let rule = Rule { direction, peer, traffic };
        rules.push(Listed { rule, description: description.unwrap_or_default().to_owned(), spelling });
    };
    for range in permission.ip_ranges() {
        let peer = addresses(range.cidr_ip().unwrap_or_default())?;
        add(peer, range.description(), &|p| p.ip_ranges = Some(vec![range.clone()]));
    }
    for range in permission.ipv6_ranges() {
        let peer = addresses(range.cidr_ipv6().unwrap_or_default())?;
        add(peer, range.description(), &|p| p.ipv6_ranges = Some(vec![range.clone()]));
    }
    for list in permission.prefix_list_ids() {
        let peer = prefix_list(list.prefix_list_id().ok_or(Unreadable::NoPeer)?, atoms);
        add(peer, list.description(), &|p| p.prefix_list_ids = Some(vec![list.clone()]));
    }
    for pair in permission.user_id_group_pairs() {
        let peer = group(pair.group_id().ok_or(Unreadable::NoPeer)?, pair.user_id(), account, atoms);
        add(peer, pair.description(), &|p| p.user_id_group_pairs = Some(vec![pair.clone()]));
    }
    Ok(rules)
}

/// The rule of an entry of DescribeSecurityGroupRules; `account` owns the group.
pub(crate) fn rule_of(entry: &SecurityGroupRule, account: &str, atoms: &mut Atoms) -> Result<Rule, Unreadable> {
    let peer = if let Some(cidr) = entry.cidr_ipv4().or_else(|| entry.cidr_ipv6()) {
        addresses(cidr)?
    } else if let Some(id) = entry.prefix_list_id() {
        prefix_list(id, atoms)
    } else {
        let peer = entry.referenced_group_info().ok_or(Unreadable::NoPeer)?;
        group(peer.group_id().ok_or(Unreadable::NoPeer)?, peer.user_id(), account, atoms)
    };
    let direction = if entry.is_egress() == Some(true) { Direction::Egress } else { Direction::Ingress };
    Ok(Rule { direction, peer, traffic: traffic(entry.ip_protocol(), entry.from_port(), entry.to_port())? })
}

fn addresses(text: &str) -> Result<RulePeer, Unreadable> {
    Cidr::parse(text).map(RulePeer::Addresses).ok_or_else(|| Unreadable::Range(text.to_owned()))
}

fn prefix_list(id: &str, atoms: &mut Atoms) -> RulePeer {
    RulePeer::Opaque(PeerKind::PrefixList, atoms.intern(id), Family::Both)
}

/// A deleted group's reference has no account any more, and counts as ours.
fn group(id: &str, user: Option<&str>, account: &str, atoms: &mut Atoms) -> RulePeer {
    let foreign = user.filter(|user| !user.is_empty() && !account.is_empty() && *user != account);
    let text = GroupRef { id: id.to_owned(), account: foreign.map(str::to_owned) }.text();
    RulePeer::Opaque(PeerKind::Group, atoms.intern(&text), Family::Both)
}

/// What EC2's protocol and ports let through: `-1` is everything; ports count for tcp and udp alone, and are type and code
/// for ICMP; left out or -1 they are all.
fn traffic(protocol: Option<&str>, from: Option<i32>, to: Option<i32>) -> Result<Traffic, Unreadable> {
    let word = protocol.unwrap_or_default();
    let protocol = Protocol::parse(word).ok_or_else(|| Unreadable::Protocol(word.to_owned()))?;
    let (from, to) = (from.unwrap_or(-1), to.unwrap_or(-1));
    let wrong = || Unreadable::Ports { protocol, from, to };
    match protocol {
        Protocol::Number(TCP | UDP) if (from, to) == (-1, -1) => Ok(Traffic::whole(protocol)),
        Protocol::Number(TCP | UDP) => {
            let port = |port: i32| u16::try_from(port).map_err(|_| wrong());
            let ports = PortRange::new(port(from)?, port(to)?).ok_or_else(wrong)?;
            Ok(Traffic::on_ports(protocol, ports))
        }
        Protocol::Number(number) if protocol.is_icmp() => {
            let byte = |n: i32| if n == -1 { Ok(None) } else { u8::try_from(n).map(Some).map_err(|_| wrong()) };
            Ok(Traffic::icmp(number == rsgsync_core::traffic::ICMPV6, byte(from)?, byte(to)?))
        }
        _ => Ok(Traffic::whole(protocol)),
    }
}

/// Protocol, from and to as EC2 wants them.
fn ports(traffic: Traffic) -> Result<(String, Option<i32>, Option<i32>), Unsayable> {
    let protocol = traffic.protocol();
    let (from, to) = match (protocol, traffic.ports(), traffic.icmp_type_code()) {
        (Protocol::All, ..) => return Ok(("-1".to_owned(), None, None)),
        (Protocol::Number(TCP | UDP), Some(ports), _) => (i32::from(ports.from()), i32::from(ports.to())),
        (_, Some(ports), _) if ports != PortRange::ALL => return Err(Unsayable::Wider(protocol, traffic)),
        (_, _, Some((kind, code))) => (kind.map_or(-1, i32::from), code.map_or(-1, i32::from)),
        _ => (-1, -1),
    };
    Ok((protocol.contract_word(), Some(from), Some(to)))
}

/// Why EC2 has no rule that says this one.
pub(crate) fn unsayable(rule: &Rule) -> Option<Unsayable> {
    match rule.peer {
        RulePeer::Opaque(PeerKind::AddressGroup, ..) => Some(Unsayable::Peer("address groups")),
        RulePeer::Opaque(PeerKind::ServiceAccount, ..) => Some(Unsayable::Peer("service accounts")),
        RulePeer::Opaque(PeerKind::Group | PeerKind::PrefixList, ..) | RulePeer::Addresses(_) => {
            ports(rule.traffic).err()
        }
    }
}

/// The permissions that say `rules`, as few as can be: rules of the same traffic share one.
///
/// `groups` has every group that the rules refer to.
pub(crate) fn permissions<'a>(
    rules: impl IntoIterator<Item = &'a StepRule>,
    groups: &HashMap<Atom, GroupRef>,
    atoms: &Atoms,
) -> Result<Vec<IpPermission>, Unsayable> {
    let mut by_traffic: BTreeMap<Traffic, Vec<&StepRule>> = BTreeMap::new();
    for rule in rules {
        by_traffic.entry(rule.rule.traffic).or_default().push(rule);
    }
    by_traffic.into_iter().map(|(traffic, rules)| permission(traffic, &rules, groups, atoms)).collect()
}

fn permission(
    traffic: Traffic,
    rules: &[&StepRule],
    groups: &HashMap<Atom, GroupRef>,
    atoms: &Atoms,
) -> Result<IpPermission, Unsayable> {
    let (protocol, from, to) = ports(traffic)?;
    let mut permission = IpPermission::builder().ip_protocol(protocol).set_from_port(from).set_to_port(to);
    for rule in rules {
        let description = (!rule.description.is_empty()).then(|| rule.description.clone());
        permission = match rule.rule.peer {
            RulePeer::Addresses(cidr) if cidr.family() == Family::Ipv6 => {
                let range = Ipv6Range::builder().cidr_ipv6(cidr.to_string()).set_description(description);
                permission.ipv6_ranges(range.build())
            }
            RulePeer::Addresses(cidr) => {
                let range = IpRange::builder().cidr_ip(cidr.to_string()).set_description(description);
                permission.ip_ranges(range.build())
            }
            RulePeer::Opaque(PeerKind::Group, atom, _) => {
                let group = groups.get(&atom).ok_or(Unsayable::Peer("a group that is not known"))?;
                let pair = UserIdGroupPair::builder().group_id(&group.id).set_user_id(group.account.clone());
                permission.user_id_group_pairs(pair.set_description(description).build())
            }
            RulePeer::Opaque(PeerKind::PrefixList, atom, _) => {
                let list = PrefixListId::builder().prefix_list_id(atoms.text(atom)).set_description(description);
                permission.prefix_list_ids(list.build())
            }
            RulePeer::Opaque(PeerKind::AddressGroup, ..) => return Err(Unsayable::Peer("address groups")),
            RulePeer::Opaque(PeerKind::ServiceAccount, ..) => return Err(Unsayable::Peer("service accounts")),
        };
    }
    Ok(permission.build())
}

/// The marks in a group's tags, sorted. A mark whose value is none of ours counts as `joined`, which permits least.
pub(crate) fn group_marks(tags: &[Tag]) -> Vec<GroupMark> {
    let mut marks: Vec<GroupMark> = tags
        .iter()
        .filter_map(|tag| {
            let mark = mark_of(tag)?;
            Some(GroupMark { mark, origin: Origin::parse(tag.value().unwrap_or_default()).unwrap_or(Origin::Joined) })
        })
        .collect();
    marks.sort();
    marks
}

/// Whether a mark may stand beside these tags of a rule: AWS allows 50 tags, of which the last five are left to others.
pub(crate) fn has_room(tags: &[Tag]) -> bool {
    tags.len() < 45
}

/// The marks in a rule's tags, sorted.
pub(crate) fn rule_marks(tags: &[Tag]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = tags.iter().filter_map(mark_of).collect();
    marks.sort();
    marks
}

fn mark_of(tag: &Tag) -> Option<Mark> {
    Mark::parse(tag.key()?.strip_prefix(TAG_PREFIX)?)
}

/// The tag of a mark. On a group its value says how we came to it; on a rule nothing reads it.
pub(crate) fn tag(mark: &Mark, origin: Origin) -> Tag {
    Tag::builder().key(format!("{TAG_PREFIX}{mark}")).value(origin.as_str()).build()
}

/// The tag of a mark, whatever its value: what DeleteTags takes.
pub(crate) fn tag_key(mark: &Mark) -> Tag {
    Tag::builder().key(format!("{TAG_PREFIX}{mark}")).build()
}

/// The keys of all marks of an owner, as a filter's value; an owner's name has no wildcard in it.
pub(crate) fn any_tag_key(owner: &Owner) -> String {
    format!("{TAG_PREFIX}{owner}/*")
}

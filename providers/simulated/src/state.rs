//! The state file: JSON that people and tests write, read into a world that holds together, and back.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use rsgsync_core::rule::{Cidr, Direction, Family};
use rsgsync_core::traffic::{PortRange, Protocol, Traffic};
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::lag::{Earlier, Lag};
use crate::world::{Group, GroupRule, Peer, Permission, Quota, Tags, World, check_text};

/// The only version there is.
const VERSION: u64 = 1;
/// Counting on from here never ends.
const HIGHEST_LAST_ID: u64 = u64::MAX / 2;

/// All that a state file holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct State {
    pub world: World,
    pub faults: Faults,
    pub lag: Lag,
    pub latency_ms: u64,
}

/// What is wrong with a state file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateProblem {
    /// Not JSON, or not of the right shape.
    #[error("line {line}, column {column}{}: {message}", field.as_ref().map(|f| format!(", `{f}`")).unwrap_or_default())]
    Shape {
        /// From 1.
        line: usize,
        /// From 1; 0 before the first character of a line.
        column: usize,
        /// The path to the value, `groups[3].rules[0].peer`, where one was begun.
        field: Option<String>,
        /// What is wrong.
        message: String,
    },
    /// A version that this rsgsync doesn't know.
    #[error("`version` is {found}, this rsgsync knows 1: a newer rsgsync may have written it")]
    Version {
        /// As it stands there.
        found: u64,
    },
    /// A value that can't be.
    #[error("`{field}`: {message}")]
    Value {
        /// The path to the value.
        field: String,
        /// What is wrong.
        message: String,
    },
}

fn wrong<T>(field: impl Into<String>, message: impl Into<String>) -> Result<T, StateProblem> {
    Err(StateProblem::Value { field: field.into(), message: message.into() })
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileState {
    version: u64,
    #[serde(default)]
    groups: Vec<FileGroup>,
    #[serde(default)]
    quota: FileQuota,
    #[serde(default)]
    faults: Faults,
    #[serde(default)]
    latency_ms: u64,
    /// So that the id of something deleted is not given out again.
    #[serde(default)]
    last_id: u64,
    /// What reads still show where they lag, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<FileEarlier>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEarlier {
    /// Calls that it lasts.
    calls: u64,
    groups: Vec<FileGroup>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileQuota {
    rules_per_group: u32,
    groups: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<u32>,
}

impl Default for FileQuota {
    fn default() -> Self {
        Quota::default().into()
    }
}

impl From<Quota> for FileQuota {
    fn from(Quota { rules_per_group, groups, rules }: Quota) -> Self {
        Self { rules_per_group, groups, rules }
    }
}

impl From<FileQuota> for Quota {
    fn from(FileQuota { rules_per_group, groups, rules }: FileQuota) -> Self {
        Self { rules_per_group, groups, rules }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGroup {
    id: String,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    tags: Tags,
    /// How many network interfaces carry it.
    #[serde(default, skip_serializing_if = "is_zero")]
    interfaces: u64,
    #[serde(default)]
    rules: Vec<FileRule>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A rule as people write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRule {
    #[serde(default)]
    id: Option<String>,
    direction: FileDirection,
    #[serde(default)]
    pub tags: Tags,
    protocol: String,
    #[serde(default)]
    family: Option<FileFamily>,
    #[serde(default)]
    from_port: Option<u16>,
    #[serde(default)]
    to_port: Option<u16>,
    peer: FilePeer,
    #[serde(default)]
    pub description: String,
    /// A rule copied from a plan has them; a cloud doesn't.
    #[serde(default, skip_serializing)]
    reasons: serde::de::IgnoredAny,
    #[serde(default, skip_serializing)]
    marks: serde::de::IgnoredAny,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileDirection {
    Ingress,
    Egress,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileFamily {
    Ipv4,
    Ipv6,
    Both,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FilePeer {
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix_list: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account: Option<String>,
}

impl State {
    /// Reads a state file's bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, StateProblem> {
        // A file from the future may have keys that we don't know; its version is the better message.
        let VersionOnly { version } = parse(bytes)?;
        if version != VERSION {
            return Err(StateProblem::Version { found: version });
        }
        let file: FileState = parse(bytes)?;
        if let Some((field, problem)) = file.faults.problem() {
            return wrong(format!("faults.{field}"), problem);
        }
        let FileState { version: _, groups, quota, faults, latency_ms, last_id, earlier } = file;
        if last_id > HIGHEST_LAST_ID {
            return wrong("last_id", format!("{last_id} leaves no room for more ids"));
        }
        let quota = Quota::from(quota);
        let world = read_world(groups, "", quota, last_id)?;
        let mut lag = Lag::default();
        for (index, FileEarlier { calls, groups }) in earlier.into_iter().enumerate() {
            let at = format!("earlier[{index}]");
            if calls == 0 {
                return wrong(format!("{at}.calls"), "it would be over");
            }
            lag.0.push(Earlier { calls, world: read_world(groups, &format!("{at}."), quota, last_id)? });
        }
        Ok(Self { world, faults, lag, latency_ms })
    }

    /// Writes the state file.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut out, &self.to_file())?;
        out.write_all(b"\n")
    }

    /// The state file as a value.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.to_file()).expect("strings, numbers and lists are always JSON")
    }

    fn to_file(&self) -> FileState {
        let Self { world, faults, lag, latency_ms } = self;
        FileState {
            version: VERSION,
            groups: write_groups(world),
            quota: world.quota.into(),
            faults: faults.clone(),
            latency_ms: *latency_ms,
            last_id: world.last_id,
            earlier: lag.0.iter().map(|e| FileEarlier { calls: e.calls, groups: write_groups(&e.world) }).collect(),
        }
    }
}

fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, StateProblem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        shape(error.inner(), (path != ".").then_some(path))
    })?;
    json.end().map_err(|error| shape(&error, None))?;
    Ok(value)
}

fn shape(error: &serde_json::Error, field: Option<String>) -> StateProblem {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let message = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
    StateProblem::Shape { line, column, field, message }
}

/// The groups at `at`, which is empty or ends in a dot, as a world.
fn read_world(groups: Vec<FileGroup>, at: &str, quota: Quota, last_id: u64) -> Result<World, StateProblem> {
    let names = check_groups(&groups, at)?;
    let mut world = World::default();
    world.quota = quota;
    world.last_id = groups.iter().flat_map(ids).filter_map(number_of).fold(last_id, u64::max);
    for (index, group) in groups.into_iter().enumerate() {
        let group = read_group(group, &format!("{at}groups[{index}]"), &names, &mut world)?;
        world.insert(group);
    }
    Ok(world)
}

/// The id of every group by name and by id (no name looks like an id); errors when an id or name is illegal or there twice.
fn check_groups(groups: &[FileGroup], at: &str) -> Result<HashMap<String, String>, StateProblem> {
    let mut names = HashMap::new();
    let mut seen: HashMap<&str, String> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        let at = format!("{at}groups[{index}]");
        let hex = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if !group.id.strip_prefix("sg-").is_some_and(hex) {
            return wrong(format!("{at}.id"), format!("`{}` is no group id: `sg-` and hexadecimal digits", group.id));
        }
        if group.name.is_empty() || group.name.to_ascii_lowercase().starts_with("sg-") {
            return wrong(format!("{at}.name"), format!("`{}` is no group name: empty, or like an id", group.name));
        }
        for (what, text) in [("name", &group.name), ("description", &group.description)] {
            check_text(what, text).or_else(|refusal| wrong(format!("{at}.{what}"), refusal.message))?;
        }
        if names.insert(group.name.clone(), group.id.clone()).is_some() {
            return wrong(format!("{at}.name"), format!("another group is named `{}`", group.name));
        }
        names.insert(group.id.clone(), group.id.clone());
        let rule_ids = group
            .rules
            .iter()
            .enumerate()
            .filter_map(|(n, rule)| Some((rule.id.as_deref()?, format!("{at}.rules[{n}].id"))));
        for (id, place) in std::iter::once((group.id.as_str(), format!("{at}.id"))).chain(rule_ids) {
            if let Some(first) = seen.insert(id, place.clone()) {
                return wrong(place, format!("`{id}` is already the id at `{first}`"));
            }
        }
    }
    Ok(names)
}

fn ids(group: &FileGroup) -> impl Iterator<Item = &str> {
    std::iter::once(group.id.as_str()).chain(group.rules.iter().filter_map(|rule| rule.id.as_deref()))
}

/// The number of an id that our counter could have made; ids that people write may be anything.
fn number_of(id: &str) -> Option<u64> {
    const COUNTED: u64 = 1 << 48;
    let (_, digits) = id.rsplit_once('-')?;
    u64::from_str_radix(digits, 16).ok().filter(|number| *number < COUNTED)
}

fn read_group(
    group: FileGroup,
    at: &str,
    names: &HashMap<String, String>,
    world: &mut World,
) -> Result<Group, StateProblem> {
    let FileGroup { id, name, description, tags, interfaces, rules } = group;
    let mut seen = HashSet::new();
    let mut read = Vec::with_capacity(rules.len());
    for (index, rule) in rules.into_iter().enumerate() {
        let at = format!("{at}.rules[{index}]");
        let (id, tags, description) = (rule.id.clone(), rule.tags.clone(), rule.description.clone());
        let permission = read_permission(rule, &|name| names.get(name).cloned())
            .or_else(|(key, message)| wrong(format!("{at}.{key}"), message))?;
        check_text("rule description", &description)
            .or_else(|refusal| wrong(format!("{at}.description"), refusal.message))?;
        if !seen.insert(permission.clone()) {
            return wrong(at, "the group has this rule already");
        }
        let id = match id {
            Some(id) if id.is_empty() => return wrong(format!("{at}.id"), "an id is not empty"),
            Some(id) => id,
            None => world.fresh_id("sgr"),
        };
        read.push(GroupRule { id, permission, description, tags });
    }
    Ok(Group { id, name, description, tags, interfaces, rules: read })
}

/// What is wrong: the key, and the words.
type Wrong = (&'static str, String);

/// What a rule lets through; `resolve` gives the id of a group that it names.
pub(crate) fn read_permission(rule: FileRule, resolve: &dyn Fn(&str) -> Option<String>) -> Result<Permission, Wrong> {
    let FileRule {
        id: _,
        direction,
        tags: _,
        protocol,
        family,
        from_port,
        to_port,
        peer,
        description: _,
        reasons: _,
        marks: _,
    } = rule;
    let traffic = read_traffic(&protocol, from_port, to_port)?;
    let (peer, of_peer) = read_peer(peer, resolve)?;
    if family.is_some_and(|family| read_family(family) != of_peer) {
        return Err(("family", format!("this peer's family is {}", of_peer.as_str())));
    }
    let direction = match direction {
        FileDirection::Ingress => Direction::Ingress,
        FileDirection::Egress => Direction::Egress,
    };
    Ok(Permission { direction, traffic, peer })
}

fn read_traffic(word: &str, from: Option<u16>, to: Option<u16>) -> Result<Traffic, Wrong> {
    let Some(protocol) = Protocol::parse(word) else {
        return Err(("protocol", format!("`{word}` is no protocol: tcp, udp, icmp, icmpv6, all or a number 0-255")));
    };
    if protocol.has_ports() {
        return match (from, to) {
            (None, None) => Ok(Traffic::whole(protocol)),
            (Some(from), Some(to)) => PortRange::new(from, to)
                .map(|ports| Traffic::on_ports(protocol, ports))
                .ok_or(("to_port", format!("the range {from}-{to} is reversed"))),
            (Some(_), None) => Err(("to_port", "missing beside `from_port`".to_owned())),
            (None, Some(_)) => Err(("from_port", "missing beside `to_port`".to_owned())),
        };
    }
    if protocol.is_icmp() {
        let small = |key, n: Option<u16>| {
            n.map(u8::try_from).transpose().map_err(|_| (key, "an ICMP type or code is 0-255".to_owned()))
        };
        let (kind, code) = (small("from_port", from)?, small("to_port", to)?);
        if kind.is_none() && code.is_some() {
            return Err(("from_port", "a code needs a type".to_owned()));
        }
        return Ok(Traffic::icmp(protocol == Protocol::Number(rsgsync_core::traffic::ICMPV6), kind, code));
    }
    match (from, to) {
        (None, None) => Ok(Traffic::whole(protocol)),
        _ => Err(("from_port", format!("`{word}` has no ports"))),
    }
}

fn read_peer(peer: FilePeer, resolve: &dyn Fn(&str) -> Option<String>) -> Result<(Peer, Family), Wrong> {
    let FilePeer { cidr, security_group, account, prefix_list, address_group, service_account } = peer;
    let given = [&cidr, &security_group, &prefix_list, &address_group, &service_account];
    if given.iter().filter(|value| value.is_some()).count() != 1 {
        return Err(("peer", "one of cidr, security_group, prefix_list, address_group, service_account".to_owned()));
    }
    if given.iter().any(|value| value.as_ref().is_some_and(String::is_empty)) {
        return Err(("peer", "it is empty".to_owned()));
    }
    if account.is_some() && security_group.is_none() {
        return Err(("peer.account", "goes with `security_group`".to_owned()));
    }
    if let Some(cidr) = cidr {
        let range = Cidr::parse(&cidr).ok_or(("peer.cidr", format!("`{cidr}` is no address range")))?;
        return Ok((Peer::Cidr(range), range.family()));
    }
    let peer = if let Some(group) = security_group {
        if let Some(account) = account {
            Peer::OtherAccount { account, group }
        } else {
            let id = resolve(&group).ok_or_else(|| ("peer.security_group", format!("there is no group `{group}`")))?;
            Peer::Group(id)
        }
    } else if let Some(name) = prefix_list {
        Peer::PrefixList(name)
    } else if let Some(name) = address_group {
        Peer::AddressGroup(name)
    } else {
        Peer::ServiceAccount(service_account.unwrap_or_default())
    };
    Ok((peer, Family::Both))
}

fn read_family(family: FileFamily) -> Family {
    match family {
        FileFamily::Ipv4 => Family::Ipv4,
        FileFamily::Ipv6 => Family::Ipv6,
        FileFamily::Both => Family::Both,
    }
}

fn write_groups(world: &World) -> Vec<FileGroup> {
    world.groups().map(|group| write_group(group, world)).collect()
}

fn write_group(group: &Group, world: &World) -> FileGroup {
    let Group { id, name, description, tags, interfaces, rules } = group;
    FileGroup {
        id: id.clone(),
        name: name.clone(),
        description: description.clone(),
        tags: tags.clone(),
        interfaces: *interfaces,
        rules: rules.iter().map(|rule| write_rule(rule, world)).collect(),
    }
}

fn write_rule(rule: &GroupRule, world: &World) -> FileRule {
    let GroupRule { id, permission: Permission { direction, traffic, peer }, description, tags } = rule;
    let (from_port, to_port) = match (traffic.ports(), traffic.icmp_type_code()) {
        (Some(ports), _) => (Some(ports.from()), Some(ports.to())),
        (None, Some((kind, code))) => (kind.map(u16::from), code.map(u16::from)),
        (None, None) => (None, None),
    };
    let mut family = FileFamily::Both;
    let mut written = FilePeer::default();
    match peer {
        Peer::Cidr(cidr) => {
            family = if cidr.family() == Family::Ipv6 { FileFamily::Ipv6 } else { FileFamily::Ipv4 };
            written.cidr = Some(cidr.to_string());
        }
        // Names are unique here, so the contract's "name where it is unique" is always the name.
        Peer::Group(id) => written.security_group = Some(world.find(id).map_or(id.clone(), |g| g.name.clone())),
        Peer::OtherAccount { account, group } => {
            written.security_group = Some(group.clone());
            written.account = Some(account.clone());
        }
        Peer::PrefixList(name) => written.prefix_list = Some(name.clone()),
        Peer::AddressGroup(name) => written.address_group = Some(name.clone()),
        Peer::ServiceAccount(name) => written.service_account = Some(name.clone()),
    }
    FileRule {
        id: Some(id.clone()),
        direction: match direction {
            Direction::Ingress => FileDirection::Ingress,
            Direction::Egress => FileDirection::Egress,
        },
        tags: tags.clone(),
        protocol: traffic.protocol().contract_word(),
        family: Some(family),
        from_port,
        to_port,
        peer: written,
        description: description.clone(),
        reasons: serde::de::IgnoredAny,
        marks: serde::de::IgnoredAny,
    }
}

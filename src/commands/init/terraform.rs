//! `rsgsync init terraform`: from the security groups of a Terraform state file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rsgsync_core::name::{GroupId, GroupName};
use rsgsync_core::observed::{Observed, ObservedGroup, ObservedRule};
use rsgsync_core::pack::{Call, Dialect, GroupChanges, Pack, QuotaCount, Site};
use rsgsync_core::rule::{Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::{ICMPV6, PortRange, Protocol, Traffic};
use serde_json::Value;

use super::{Read, adopted, folder, network};
use crate::args::InitTerraformArgs;
use crate::commands::{Context, Exit};
use crate::failure::Failure;

/// Reads a state file, and writes an inventory of the groups in it that look like a cluster's.
pub fn run(context: &Context<'_>, args: &InitTerraformArgs) -> Result<Exit, Failure> {
    let asked = args.common.check()?;
    let mut found = State::read(&args.state)?.groups;
    let named = |group: &Found| args.groups.contains(&group.name) || args.groups.contains(&group.id);
    let places: BTreeSet<&String> =
        found.iter().filter(|g| args.groups.is_empty() || named(g)).map(|group| &group.place).collect();
    let place = match places.iter().collect::<Vec<_>>()[..] {
        [] => return Err(nothing(&args.state)),
        [place] => (*place).clone(),
        _ => {
            let places: Vec<String> = places.iter().map(|place| format!("`{place}`")).collect();
            let message = format!("{} has groups of several networks: {}", args.state.display(), places.join(", "));
            return Err(Failure::new(message, "name the groups of one of them with --group"));
        }
    };
    found.retain(|group| group.place == place);
    readable(&args.state, found.iter().filter(|group| args.groups.is_empty() || named(group)))?;
    let (written, _) = network(args.network.as_ref().unwrap_or(&place), context, folder(&args.common.out))?;
    let words = Words::of(&place);
    let mut atoms = Atoms::new();
    let observed = observed(&found, &mut atoms)?;
    let doubts = found.into_iter().filter(|group| !group.doubts.is_empty());
    let doubts = doubts.map(|group| (group.id, format!("{}: {DOUBT}", in_words(&group.doubts)))).collect();
    let read = Read { network: written, observed: &observed, atoms: &atoms, pack: &words, only: &args.groups, doubts };
    adopted(context, &args.common, asked, read)
}

/// Source: gophercloud issue 1775, and the provider's `resource_openstack_networking_secgroup_rule_v2.go`.
const DOUBT: &str = "a state has 0 for any as well as for 0; Terraform itself makes only the first, and a rule that was \
                     imported may be the other: `rsgsync init groups` reads the cloud";

fn in_words(texts: &BTreeSet<String>) -> String {
    texts.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn nothing(path: &Path) -> Failure {
    let message = format!("{} has no security group that was asked for", path.display());
    let help = "it is read for aws_security_group, openstack_networking_secgroup_v2 and google_compute_firewall, and their \
                rules; `rsgsync init groups` reads the cloud itself";
    Failure::new(message, help)
}

/// What can't be read of a group would be taken for not there, and removed once the group is exclusive.
fn readable<'a>(path: &Path, groups: impl Iterator<Item = &'a Found>) -> Result<(), Failure> {
    let unread = groups.flat_map(|g| g.unread.iter().map(move |what| format!("{what} in a rule of `{}`", g.name)));
    let unread: Vec<String> = unread.collect();
    if unread.is_empty() {
        return Ok(());
    }
    let message = format!("{}: can't read {}", path.display(), unread.join(", "));
    Err(Failure::new(message, "name other groups with --group, or let `rsgsync init groups` read the cloud itself"))
}

/// The groups of a state file.
struct State {
    groups: Vec<Found>,
}

/// A group with its rules.
struct Found {
    name: String,
    id: String,
    description: String,
    /// Where it is, as an inventory writes it.
    place: String,
    rules: Vec<FoundRule>,
    /// What its rules say and this program can't read.
    unread: BTreeSet<String>,
    /// What the state says of two things, and which of them it was read as.
    doubts: BTreeSet<String>,
}

impl Found {
    fn new(name: String, id: String, description: String, place: String) -> Self {
        Self { name, id, description, place, rules: Vec::new(), unread: BTreeSet::new(), doubts: BTreeSet::new() }
    }
}

type FoundRule = (Direction, Traffic, Source, String);

/// Who is at the other end of a rule.
#[derive(Clone)]
enum Source {
    Range(Cidr),
    Opaque(PeerKind, String, Family),
}

impl State {
    fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let again = "give a state file as `terraform state pull > state.json` writes it";
        let bytes = std::fs::read(path).map_err(|e| Failure::new(format!("can't read {shown}: {e}"), again))?;
        let state: Value = serde_json::from_slice(&bytes)
            .map_err(|e| Failure::new(format!("{shown} is no Terraform state: {e}"), again))?;
        if state.get("format_version").is_some() {
            let message = format!("{shown} is what `terraform show -json` prints, not a state");
            return Err(Failure::new(message, again));
        }
        if state.get("backend").is_some() {
            let message = format!("{shown} only says in which backend the state is");
            return Err(Failure::new(message, again));
        }
        match state.get("version").and_then(Value::as_u64) {
            Some(4) => {}
            Some(version) => {
                let message = format!("{shown} is a state of version {version}; this rsgsync reads version 4");
                return Err(Failure::new(message, "Terraform 0.12 and newer, and OpenTofu, write version 4"));
            }
            None => return Err(Failure::new(format!("{shown} is no Terraform state: it has no version"), again)),
        }
        let mut parts = Parts::default();
        for resource in list(&state, "resources").filter(|r| text(r, "mode") == "managed") {
            for attributes in list(resource, "instances").filter_map(|instance| instance.get("attributes")) {
                parts.take(text(resource, "type"), attributes);
            }
        }
        Ok(parts.into_state())
    }
}

/// What is known while the resources are read: their order says nothing.
#[derive(Default)]
struct Parts {
    groups: BTreeMap<Key, Found>,
    rules: Vec<(Key, Result<FoundRule, String>)>,
    doubts: Vec<(Key, String)>,
}

/// What tells a group from every other: its id, and its place too where the id is a name that other places have as well.
type Key = (String, String);

fn by_id(id: &str) -> Key {
    (String::new(), id.to_owned())
}

impl Parts {
    fn take(&mut self, kind: &str, at: &Value) {
        match kind {
            "aws_security_group" => self.aws_group(at),
            "aws_security_group_rule" => {
                let direction = if text(at, "type") == "egress" { Direction::Egress } else { Direction::Ingress };
                self.aws_rules(text(at, "security_group_id"), direction, at);
            }
            "aws_vpc_security_group_ingress_rule" => self.aws_rule(Direction::Ingress, at),
            "aws_vpc_security_group_egress_rule" => self.aws_rule(Direction::Egress, at),
            "openstack_networking_secgroup_v2" => {
                let region = text(at, "region");
                let place = if region.is_empty() { "{}".to_owned() } else { format!("{{ region: {region:?} }}") };
                self.group(at, format!("openstack: {place}"));
            }
            "openstack_networking_secgroup_rule_v2" => self.openstack_rule(at),
            "google_compute_firewall" => self.firewall(at),
            _ => {}
        }
    }

    fn group(&mut self, at: &Value, place: String) {
        let (id, name) = (text(at, "id").to_owned(), text(at, "name").to_owned());
        let description = text(at, "description").to_owned();
        self.groups.insert(by_id(&id), Found::new(name, id, description, place));
    }

    /// Keeps a rule of each source, and what can't be read of it.
    fn rule(
        &mut self,
        group: &Key,
        direction: Direction,
        traffic: Result<Traffic, String>,
        sources: Vec<Result<Source, String>>,
        description: &str,
    ) {
        let sources = if sources.is_empty() { vec![Err("no source".to_owned())] } else { sources };
        for source in sources {
            let both = traffic.clone().and_then(|traffic| Ok((direction, traffic, source?, description.to_owned())));
            self.rules.push((group.clone(), both));
        }
    }

    fn aws_group(&mut self, at: &Value) {
        let region = text(at, "arn").split(':').nth(3).unwrap_or_default();
        let keys = [("region", region), ("vpc", text(at, "vpc_id")), ("account", text(at, "owner_id"))];
        let keys: Vec<String> = keys
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}: {value:?}"))
            .collect();
        self.group(at, format!("aws: {{ {} }}", keys.join(", ")));
        for (key, direction) in [("ingress", Direction::Ingress), ("egress", Direction::Egress)] {
            for rule in list(at, key) {
                self.aws_rules(text(at, "id"), direction, rule);
            }
        }
    }

    /// A rule of several sources.
    fn aws_rules(&mut self, group: &str, direction: Direction, at: &Value) {
        let mut sources: Vec<Result<Source, String>> = Vec::new();
        for key in ["cidr_blocks", "ipv6_cidr_blocks"] {
            sources.extend(texts(at, key).map(range));
        }
        sources.extend(texts(at, "prefix_list_ids").map(|id| Ok(both(PeerKind::PrefixList, id))));
        sources.extend(texts(at, "security_groups").map(|id| Ok(both(PeerKind::Group, id))));
        let source = text(at, "source_security_group_id");
        sources.extend((!source.is_empty() && source != group).then(|| Ok(both(PeerKind::Group, source))));
        let itself = at.get("self").and_then(Value::as_bool) == Some(true) || source == group && !group.is_empty();
        sources.extend(itself.then(|| Ok(both(PeerKind::Group, group))));
        let traffic = traffic(text(at, "protocol"), number(at, "from_port"), number(at, "to_port"));
        self.rule(&by_id(group), direction, traffic, sources, text(at, "description"));
    }

    /// A rule of one source.
    fn aws_rule(&mut self, direction: Direction, at: &Value) {
        let keys = ["cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_security_group_id"];
        let given = keys.into_iter().map(|key| (key, text(at, key))).filter(|(_, text)| !text.is_empty());
        let sources = given.map(|(key, text)| match key {
            "prefix_list_id" => Ok(both(PeerKind::PrefixList, text)),
            "referenced_security_group_id" => Ok(both(PeerKind::Group, text)),
            _ => range(text),
        });
        let traffic = traffic(text(at, "ip_protocol"), number(at, "from_port"), number(at, "to_port"));
        let group = by_id(text(at, "security_group_id"));
        self.rule(&group, direction, traffic, sources.collect(), text(at, "description"));
    }

    fn openstack_rule(&mut self, at: &Value) {
        let family = if text(at, "ethertype") == "IPv6" { Family::Ipv6 } else { Family::Ipv4 };
        let direction = if text(at, "direction") == "egress" { Direction::Egress } else { Direction::Ingress };
        let word = match text(at, "protocol") {
            "icmp" | "1" if family == Family::Ipv6 => "icmpv6",
            word => word,
        };
        let is_icmp = protocol(word).is_some_and(Protocol::is_icmp);
        let given = (number(at, "port_range_min"), number(at, "port_range_max"));
        // The provider writes 0 where there is none, and sends none where 0 is written.
        let ports = match given {
            (None | Some(0), None | Some(0)) => (None, None),
            (kind, Some(0)) if is_icmp => (kind, None),
            given => given,
        };
        let of = |kind, key| {
            Some(text(at, key)).filter(|id| !id.is_empty()).map(|id| Source::Opaque(kind, id.to_owned(), family))
        };
        let everyone = if family == Family::Ipv6 { Cidr::ANY_V6 } else { Cidr::ANY_V4 };
        let source =
            of(PeerKind::Group, "remote_group_id").or_else(|| of(PeerKind::AddressGroup, "remote_address_group_id"));
        let source = match (source, text(at, "remote_ip_prefix")) {
            (Some(source), _) => Ok(source),
            (None, "") => Ok(Source::Range(everyone)),
            (None, prefix) => range(prefix),
        };
        let (group, traffic) = (by_id(text(at, "security_group_id")), traffic(word, ports.0, ports.1));
        if let (true, (Some(kind), Some(0)), Ok(traffic)) = (is_icmp, given, &traffic) {
            self.doubts.push((group.clone(), format!("{word} of type {kind} and code 0 is read as {traffic}")));
        }
        self.rule(&group, direction, traffic, vec![source], text(at, "description"));
    }

    /// A firewall is of a group where its only target is that tag or account.
    fn firewall(&mut self, at: &Value) {
        let tags: Vec<&str> = texts(at, "target_tags").collect();
        let accounts: Vec<&str> = texts(at, "target_service_accounts").collect();
        let group = match (&tags[..], &accounts[..]) {
            ([one], []) | ([], [one]) => (*one).to_owned(),
            _ => return,
        };
        if at.get("disabled").and_then(Value::as_bool) == Some(true) || list(at, "deny").next().is_some() {
            return;
        }
        let network = text(at, "network").rsplit('/').next().unwrap_or_default();
        let place = format!("gcp: {{ project: {:?}, network: {network:?} }}", text(at, "project"));
        let (name, id, key) = (group.clone(), group.clone(), (place.clone(), group));
        self.groups.entry(key.clone()).or_insert_with(|| Found::new(name, id, String::new(), place));
        let egress = text(at, "direction") == "EGRESS";
        let (direction, ranges) =
            if egress { (Direction::Egress, "destination_ranges") } else { (Direction::Ingress, "source_ranges") };
        let mut sources: Vec<Result<Source, String>> = texts(at, ranges).map(range).collect();
        sources.extend(texts(at, "source_tags").map(|tag| Ok(both(PeerKind::Group, tag))));
        sources.extend(texts(at, "source_service_accounts").map(|a| Ok(both(PeerKind::ServiceAccount, a))));
        for allowed in list(at, "allow") {
            let protocol = text(allowed, "protocol");
            let mut traffics: Vec<_> = texts(allowed, "ports").map(|ports| on_ports(protocol, ports)).collect();
            if traffics.is_empty() {
                traffics.push(traffic(protocol, None, None));
            }
            for traffic in traffics {
                self.rule(&key, direction, traffic, sources.clone(), text(at, "description"));
            }
        }
    }

    fn into_state(mut self) -> State {
        for (group, rule) in self.rules {
            if let Some(group) = self.groups.get_mut(&group) {
                match rule {
                    Ok(rule) => group.rules.push(rule),
                    Err(what) => _ = group.unread.insert(what),
                }
            }
        }
        for (group, doubt) in self.doubts {
            if let Some(group) = self.groups.get_mut(&group) {
                group.doubts.insert(doubt);
            }
        }
        State { groups: self.groups.into_values().collect() }
    }
}

fn both(kind: PeerKind, id: &str) -> Source {
    Source::Opaque(kind, id.to_owned(), Family::Both)
}

fn range(text: &str) -> Result<Source, String> {
    Cidr::parse(text).map(Source::Range).ok_or_else(|| format!("the address range `{text}`"))
}

fn protocol(word: &str) -> Option<Protocol> {
    let every = word.is_empty() || word.eq_ignore_ascii_case("any");
    if every { Some(Protocol::All) } else { Protocol::of_cloud(word) }
}

/// Ports as Google writes them: `80` or `8000-8080`.
fn on_ports(protocol: &str, ports: &str) -> Result<Traffic, String> {
    let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) => traffic(protocol, Some(from), Some(to)),
        _ => Err(format!("the ports `{ports}`")),
    }
}

/// Traffic as the providers write it: ports of 0 and 65535 or none are all, ICMP has its type and code in them.
fn traffic(word: &str, from: Option<i64>, to: Option<i64>) -> Result<Traffic, String> {
    let protocol = protocol(word).ok_or_else(|| format!("the protocol `{word}`"))?;
    let given = |n: Option<i64>| n.filter(|n| *n >= 0);
    let (from, to) = (given(from), given(to));
    between(protocol, from, to).ok_or_else(|| {
        let number = |n: Option<i64>| n.map_or_else(|| "any".to_owned(), |n| n.to_string());
        format!("the ports {} to {} of {protocol}", number(from), number(to))
    })
}

/// `None` where the protocol can't have such ports.
fn between(protocol: Protocol, from: Option<i64>, to: Option<i64>) -> Option<Traffic> {
    if protocol.is_icmp() {
        let number = |n: Option<i64>| n.map(u8::try_from).transpose().ok();
        let (kind, code) = (number(from)?, number(to)?);
        return Some(Traffic::icmp(protocol == Protocol::Number(ICMPV6), kind, code));
    }
    if !protocol.has_ports() || (from, to) == (None, None) {
        return Some(Traffic::whole(protocol));
    }
    let from = from.unwrap_or(0);
    let ports = PortRange::new(u16::try_from(from).ok()?, u16::try_from(to.unwrap_or(from)).ok()?)?;
    Some(Traffic::on_ports(protocol, ports))
}

fn text<'a>(at: &'a Value, key: &str) -> &'a str {
    at.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(at: &Value, key: &str) -> Option<i64> {
    at.get(key).and_then(Value::as_i64)
}

fn list<'a>(at: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    at.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn texts<'a>(at: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    list(at, key).filter_map(Value::as_str)
}

/// The groups as a cloud would list them.
fn observed(found: &[Found], atoms: &mut Atoms) -> Result<Observed, Failure> {
    let odd = |error: rsgsync_core::name::NameError| Failure::new(error.to_string(), "correct the state file");
    let mut groups = Vec::new();
    for Found { name, id, description, place: _, rules, unread: _, doubts: _ } in found {
        let mut seen: BTreeSet<Rule> = BTreeSet::new();
        let mut listed = Vec::new();
        for (direction, traffic, source, description) in rules {
            let peer = match source {
                Source::Range(cidr) => RulePeer::Addresses(*cidr),
                Source::Opaque(kind, text, family) => RulePeer::Opaque(*kind, atoms.intern(text), *family),
            };
            let rule = Rule { direction: *direction, peer, traffic: *traffic };
            // A rule of its own stands in its group's attributes as well.
            if seen.insert(rule) {
                listed.push(ObservedRule { description: description.clone(), ..ObservedRule::plain(rule) });
            }
        }
        groups.push(ObservedGroup {
            atom: atoms.intern(id),
            id: GroupId::new(id).map_err(odd)?,
            name: GroupName::new(name).map_err(odd)?,
            description: description.clone(),
            marks: Vec::new(),
            revision: None,
            rules: listed,
            resources: Vec::new(),
        });
    }
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Observed { groups, ..Observed::default() })
}

/// What the rules of a state's cloud can say; it makes no calls.
struct Words(Dialect);

impl Words {
    fn of(place: &str) -> Self {
        Self(Dialect {
            references_match_both: !place.starts_with("openstack"),
            default_rules: Vec::new(),
            description_alphabet: None,
            description_length: 255,
            marks_in_description: false,
            quota: QuotaCount::All,
            delete_cascades: false,
            updates_descriptions: false,
            groups_are_implicit: place.starts_with("gcp"),
        })
    }
}

impl Pack for Words {
    fn dialect(&self) -> &Dialect {
        &self.0
    }

    fn pack(&self, _: &GroupChanges, _: &Site<'_>) -> Vec<Call> {
        Vec::new()
    }

    fn reference(&self, group: &str) -> PeerKind {
        if self.0.groups_are_implicit && group.contains('@') { PeerKind::ServiceAccount } else { PeerKind::Group }
    }
}

//! A profile file becomes a [`Draft`]: every word checked, what it extends and composes not yet looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::condition;
use super::{
    Condition, Direction, Footnote, OptionDefault, Part, Port, Profile, ProfileKind, ProfileRow, Render, Selector,
    Version, VersionRange, Vocabulary,
};
use crate::inventory::problem::Code;
use crate::inventory::report::{Place, Report};
use crate::inventory::tree::{Node, Value};
use crate::rule::Cidr;
use crate::traffic::{self, Protocol};

/// A profile as its file says it. One file is one name and one range of versions; several files may share a name.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// Its own part.
    pub profile: Profile,
    /// `kind`, where it stands; a profile that extends another has that one's otherwise.
    pub kind: Option<ProfileKind>,
    /// `NAME`, or `NAME@VERSION` for one of several.
    pub extends: Option<String>,
    /// Rows of what it extends that it doesn't have.
    pub without: Vec<String>,
}

/// The words that a profile file may use.
pub(crate) struct Words<'a> {
    pub vocabulary: &'a Vocabulary,
    /// Peers that the inventory defines, beside those of the vocabulary.
    pub peers: Vec<&'a str>,
    /// There may be other peers: a file of the inventory could not be read.
    pub any_peer: bool,
    pub shipped: bool,
}

const REQUIRED: [(&str, &str); 3] = [("always", "always"), ("conditional", "conditional"), ("optional", "optional")];
const RENDER: [(&str, &str); 2] = [("host-firewall", "host-firewall"), ("security-group", "security-group")];
const ABOUT: [&str; 7] =
    ["distro", "provider", "group_name", "target_tag", "group_description", "group_tag", "rule_description"];
const SUBJECT: &str = "rancher";

/// Reads one profile file, all mistakes at once; `None` only beside one of them.
pub(crate) fn read(report: &Report, node: &Node, words: &Words<'_>) -> Option<Draft> {
    let reader = Reader { report, words };
    let mut fields = node.fields(report)?;
    let extends = reader.text(fields.get("extends"));
    let name = fields.require("name", "say how inventories name it: `name: ours`").and_then(|n| reader.name(n));
    let version = fields.get("version").and_then(|node| reader.version(node)).unwrap_or_default();
    let title = reader.text(fields.get("title"));
    let kind = match fields.get("kind") {
        Some(node) => node.choice(report, "kind of profile", &ProfileKind::WORDS),
        None if extends.is_some() => None,
        None => Some(ProfileKind::Requirements),
    };
    let subject = reader.text(fields.get("subject")).unwrap_or_else(|| SUBJECT.to_owned());
    let versions = fields.get("versions").and_then(|node| reader.versions(node)).unwrap_or_default();
    let basis = reader.text(fields.get("basis"));
    let source = fields.require("source", "say where the ports are from: a document, a ticket, a decision");
    let source = source.and_then(|node| reader.text(Some(node)));
    let roles = reader.roles(fields.get("roles"), true);
    let about = ABOUT.iter().filter_map(|key| Some((*key, reader.text(fields.get(key))?))).collect();
    let needs = reader.roles(fields.get("needs"), false);
    let mut fixes = BTreeMap::new();
    for (key, node) in fields.get("fixes").map(|node| node.named(report)).unwrap_or_default() {
        let Some(option) = condition::option(report, key, words.vocabulary) else { continue };
        fixes.extend(condition::value(report, &option, node, words.vocabulary).map(|value| (option, value)));
    }
    let without = reader.texts(fields.get("without"));
    if let (Some(node), None) = (fields.get("without"), &extends) {
        report.add(node.place.error(Code::Conflict, "`without` leaves out rows of what it `extends`"));
    }
    let compose = reader.entries(fields.get("compose"), |node| reader.part(node));
    let defaults = reader.entries(fields.get("defaults"), |node| reader.default(node));
    let see = reader.texts(fields.get("see"));
    let compare = reader.texts(fields.get("compare"));
    let seed = reader.texts(fields.get("seed"));
    let notes = reader.texts(fields.get("notes"));
    let footnotes = reader.entries(fields.get("footnotes"), |node| reader.footnote(node));
    let loopback = reader.texts(fields.get("loopback"));
    let host_firewall = fields.get("host_firewall").map(|node| node.named(report)).unwrap_or_default().iter();
    let host_firewall = host_firewall.map(|(key, node)| (key.text.clone(), reader.texts(Some(node)))).collect();
    let render = fields.get("render").and_then(|node| reader.render(node));
    let glossary = kind == Some(ProfileKind::Glossary);
    let rows_node = if extends.is_some() {
        fields.get("rows")
    } else {
        fields.require("rows", "list its rows; `rows: []` where it has none")
    };
    fields.finish();

    let mut ids = BTreeMap::new();
    let rows = reader.entries(rows_node, |node| {
        let (row, id) = reader.row(node, glossary)?;
        if let Some(first) = ids.insert(row.id.clone(), id.clone()) {
            let finding = id.error(Code::DuplicateKey, format!("another row has the id `{}`", row.id));
            report.add(finding.also(&first, "first").help("a row's id is unique within its profile"));
        }
        Some(row)
    });
    let name = name?;
    let profile = Profile {
        title: title.unwrap_or_else(|| name.to_string()),
        name,
        version,
        shipped: words.shipped,
        kind: kind.unwrap_or(ProfileKind::Requirements),
        subject,
        versions,
        basis,
        source: source?,
        roles,
        needs,
        fixes,
        defaults,
        compose,
        see: see.into_iter().map(Arc::from).collect(),
        compare: compare.into_iter().map(Arc::from).collect(),
        about,
        notes,
        footnotes,
        seed,
        loopback,
        host_firewall,
        render,
        rows,
    };
    Some(Draft { profile, kind, extends, without })
}

struct Reader<'a> {
    report: &'a Report,
    words: &'a Words<'a>,
}

impl Reader<'_> {
    /// A text that says something.
    fn text(&self, node: Option<&Node>) -> Option<String> {
        let node = node?;
        let text = node.text(self.report)?.trim();
        if text.is_empty() {
            self.report.add(node.place.error(Code::BadValue, format!("{} says nothing", node.place.path.subject())));
            return None;
        }
        Some(text.to_owned())
    }

    fn texts(&self, node: Option<&Node>) -> Vec<String> {
        let items = node.map(|node| node.items(self.report)).unwrap_or_default();
        items.iter().filter_map(|item| self.text(Some(item))).collect()
    }

    fn entries<'n, T>(&self, node: Option<&'n Node>, read: impl FnMut(&'n Node) -> Option<T>) -> Vec<T> {
        node.map(|node| node.entries(self.report)).unwrap_or_default().iter().filter_map(read).collect()
    }

    /// A name that can stand in `NAME@VERSION` and `NAME/ROW`.
    fn name(&self, node: &Node) -> Option<Arc<str>> {
        let text = node.text(self.report)?;
        let starts_right = text.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts_right || text.contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')) {
            let finding = node.place.error(Code::BadValue, format!("`{text}` is no name"));
            self.report.add(finding.help("use lower case letters, digits and `-`, a letter first"));
            return None;
        }
        Some(text.into())
    }

    fn version(&self, node: &Node) -> Option<String> {
        let text = node.text(self.report)?;
        if Version::parse(text).is_none() {
            let finding = node.place.error(Code::BadValue, format!("`{text}` is not a version"));
            self.report.add(finding.help("write it as \"2.4\" or \"2.4.8\""));
            return None;
        }
        Some(text.to_owned())
    }

    fn versions(&self, node: &Node) -> Option<VersionRange> {
        let text = node.text(self.report)?;
        let range = VersionRange::parse(text);
        if range.is_none() {
            let finding = node.place.error(Code::BadValue, format!("`{text}` is not a version range"));
            self.report.add(finding.help("write `\">=2.0 <2.6\"`, or one half of it"));
        }
        range
    }

    fn roles(&self, node: Option<&Node>, every: bool) -> Vec<Arc<str>> {
        let items = node.map(|node| node.items(self.report)).unwrap_or_default();
        items.iter().filter_map(|item| self.role(item, every)).collect()
    }

    fn role(&self, node: &Node, every: bool) -> Option<Arc<str>> {
        let words = self.words.vocabulary;
        let text = node.text(self.report)?;
        let known = || words.roles.iter().chain(every.then_some(&words.every_role));
        let found = known().find(|role| &***role == text).cloned();
        if found.is_none() {
            self.report.add(node.unknown("role", known().map(|role| &**role)));
        }
        found
    }

    fn part(&self, node: &Node) -> Option<Part> {
        let mut fields = node.fields(self.report)?;
        let profile = fields.require("profile", "name the add-on: `- { profile: cni-calico, when: { cni: calico } }`");
        let profile = profile.and_then(|node| self.text(Some(node)));
        let when = fields.get("when").map(|node| condition::read(self.report, node, self.words.vocabulary));
        fields.finish();
        Some(Part { profile: profile?.into(), when: when.unwrap_or_else(|| Some(Condition::always()))? })
    }

    fn default(&self, node: &Node) -> Option<OptionDefault> {
        let (report, words) = (self.report, self.words.vocabulary);
        let mut fields = node.fields(report)?;
        let option_node = fields.require("option", "name the option");
        let option = option_node.and_then(|node| {
            let text = node.text(report)?;
            let found = words.options.get_key_value(text).map(|(option, _)| Arc::clone(option));
            if found.is_none() {
                report.add(node.unknown("option", words.options.keys().map(|option| &**option)));
            }
            found
        });
        let value = fields.require("value", "say what the product does when nobody says anything");
        let value = value.zip(option.as_ref()).and_then(|(node, o)| condition::value(report, o, node, words));
        let when = fields.get("when").map(|node| condition::read(report, node, words));
        let source = fields.require("source", "say where the product documents this");
        let source = source.and_then(|node| self.text(Some(node)));
        fields.finish();
        let when = when.unwrap_or_else(|| Some(Condition::always()))?;
        Some(OptionDefault { option: option?, value: value?, when, source: source? })
    }

    fn footnote(&self, node: &Node) -> Option<Footnote> {
        let mut fields = node.fields(self.report)?;
        let seed = fields.require("seed", "name the note").and_then(|node| self.text(Some(node)));
        let text = fields.require("text", "say what it says").and_then(|node| self.text(Some(node)));
        let about = fields.get("about").and_then(|node| self.role(node, false));
        fields.finish();
        Some(Footnote { seed: seed?, text: text?, about })
    }

    fn render(&self, node: &Node) -> Option<Render> {
        let mut fields = node.fields(self.report)?;
        let mut text = |key| {
            let node = fields.require(key, "the file of a host firewall needs it")?;
            node.text(self.report).map(str::to_owned)
        };
        let (target, file, apply) = (text("target"), text("file"), text("apply"));
        let (tcp_variable, udp_variable) = (text("tcp_variable"), text("udp_variable"));
        let (range_separator, list_separator) = (text("range_separator"), text("list_separator"));
        let mut extra = BTreeMap::new();
        for (key, node) in fields.get("extra").map(|node| node.named(self.report)).unwrap_or_default() {
            extra.extend(node.text(self.report).map(|text| (key.text.clone(), text.to_owned())));
        }
        fields.finish();
        Some(Render {
            target: target?,
            file: file?,
            tcp_variable: tcp_variable?,
            udp_variable: udp_variable?,
            range_separator: range_separator?,
            list_separator: list_separator?,
            extra,
            apply: apply?,
        })
    }

    /// Reads a row; beside it where its id stands. A row is a flow from any of `from` to any of `to`, whichever end the
    /// source speaks of.
    fn row(&self, node: &Node, glossary: bool) -> Option<(ProfileRow, Place)> {
        let report = self.report;
        let mut fields = node.fields(report)?;
        let id_node = fields.require("id", "give the row a name: `id: etcd-client`");
        let id = id_node.and_then(|node| self.name(node));
        let mut ends = |key, help| {
            let node = if glossary { fields.get(key) } else { fields.require(key, help) };
            node.map(|node| self.selectors(node))
        };
        let from = ends("from", "say who opens the connection: a role, `peer:`, `cidr:`, `net:` or `self:`");
        let to = ends("to", "say who is reached: a role, `peer:`, `cidr:`, `fqdn:`, `net:` or `self:`");
        let from_role = fields.get("from_role").and_then(|node| self.role(node, false));
        let protocol = fields.require("protocol", "write tcp, udp, tcp+udp, icmp, esp, all or a protocol's number");
        let protocol = protocol.and_then(|node| self.protocol(node));
        let ports = fields.get("ports");
        let ports = protocol.as_deref().and_then(|protocol| self.ports(node, protocol, ports));
        let versions = fields.get("versions").and_then(|node| self.versions(node)).unwrap_or_default();
        let condition = fields.get("condition").map(|node| condition::read(report, node, self.words.vocabulary));
        let condition = condition.unwrap_or_else(|| Some(Condition::always()));
        let direction = fields.get("direction").and_then(|node| node.choice(report, "direction", &Direction::WORDS));
        let required = fields.get("required").and_then(|node| node.choice(report, "word for how needed", &REQUIRED));
        let purpose = fields.require("purpose", "say why it is needed, for whoever reads the plan");
        let purpose = purpose.and_then(|node| self.text(Some(node)));
        let seed = self.texts(fields.get("seed"));
        let evidence = self.text(fields.get("evidence"));
        let mut boolean = |key| fields.get(key).and_then(|node| node.boolean(report)).unwrap_or_default();
        let (forbid_public, deprecated_values) = (boolean("forbid_public"), boolean("deprecated_values"));
        let render = fields.get("render").map(|node| node.items(report)).unwrap_or_default();
        let render = render.iter().filter_map(|item| item.choice(report, "target", &RENDER)).map(str::to_owned);
        let render = render.collect();
        let note = self.text(fields.get("note"));
        fields.finish();

        let (from, to, condition) = (from.unwrap_or_default(), to.unwrap_or_default(), condition?);
        let usual = if condition.is_always() { "always" } else { "conditional" };
        let row = ProfileRow {
            id: id?,
            profile: "".into(),
            label: "".into(),
            shipped: self.words.shipped,
            versions,
            local: from.contains(&Selector::SelfNode)
                || (to.contains(&Selector::SelfNode) && from.iter().all(|end| matches!(end, Selector::Role(_)))),
            from,
            to,
            from_role,
            protocol: protocol?,
            ports: ports?,
            condition,
            direction,
            required: required.unwrap_or(usual).to_owned(),
            purpose: purpose?.into(),
            seed,
            evidence,
            forbid_public,
            deprecated_values,
            render,
            note,
        };
        Some((row, id_node?.place.clone()))
    }

    fn selectors(&self, node: &Node) -> Vec<Selector> {
        let items = node.items(self.report);
        if items.is_empty() {
            let finding = node.place.error(Code::BadValue, format!("{} names nobody", node.place.path.subject()));
            self.report.add(finding.help("name a role, `peer:`, `cidr:`, `fqdn:`, `net:` or `self:`"));
        }
        items.iter().filter_map(|item| self.selector(item)).collect()
    }

    fn selector(&self, node: &Node) -> Option<Selector> {
        let vocabulary = self.words.vocabulary;
        let word = node.text(self.report)?;
        let Some((kind, name)) = word.split_once(':') else {
            return self.role(node, true).map(Selector::Role);
        };
        let complain = |message: String, help: &str| {
            self.report.add(node.place.error(Code::BadValue, message).help(help));
            None
        };
        let unknown = |what: &str, known: &[&str]| {
            let bare = Node { place: node.place.clone(), value: Value::Text(name.to_owned()) };
            self.report.add(bare.unknown(what, known.iter().copied()));
            None
        };
        let nets: Vec<&str> = vocabulary.nets.iter().map(|net| &**net).collect();
        let peers: Vec<&str> =
            vocabulary.peers.iter().map(|peer| &**peer).chain(self.words.peers.iter().copied()).collect();
        match (kind, name) {
            ("peer", peer) if self.words.any_peer || peers.contains(&peer) => Some(Selector::Peer(peer.into())),
            ("peer", _) => unknown("peer", &peers),
            ("net", net) if nets.contains(&net) => Some(Selector::Net(net.into())),
            ("net", _) => unknown("cluster network", &nets),
            ("cidr", cidr) => match Cidr::parse(cidr) {
                Some(range) if Cidr::is_canonical(cidr) => Some(Selector::Cidr(range)),
                Some(range) => complain(format!("`{cidr}` has host bits"), &format!("write `cidr:{range}`")),
                None => complain(format!("`{cidr}` is no address range"), "write `cidr:10.0.0.0/8`"),
            },
            ("fqdn", name) if !name.is_empty() => Some(Selector::Name(name.into())),
            ("self", "node") => Some(Selector::SelfNode),
            ("self", "group") => Some(Selector::SelfGroup),
            _ => {
                let help = "write a role, `peer:`, `cidr:`, `fqdn:`, `net:`, `self:node` or `self:group`";
                complain(format!("`{word}` selects nothing"), help)
            }
        }
    }

    fn protocol(&self, node: &Node) -> Option<String> {
        let text = node.word(self.report)?;
        let words: BTreeSet<&str> = text.split('+').collect();
        if let Some(word) = words.iter().find(|word| Protocol::parse(word).is_none()) {
            let finding = node.place.error(Code::UnknownWord, format!("`{word}` is no protocol"));
            self.report.add(
                finding.help("write tcp, udp, tcp+udp, icmp, icmpv6, esp, ipip, sctp, dccp, udplite, all or a number"),
            );
            return None;
        }
        if words.len() > 1 && words.iter().any(|word| !Protocol::parse(word).is_some_and(Protocol::has_ports)) {
            let finding = node.place.error(Code::BadValue, format!("`{text}` are not protocols with the same ports"));
            self.report.add(finding.help("make it two rows"));
            return None;
        }
        Some(text.to_owned())
    }

    fn ports(&self, row: &Node, protocol: &str, node: Option<&Node>) -> Option<Vec<Port>> {
        let known = protocol.split('+').filter_map(Protocol::parse);
        let (with_ports, icmp) =
            known.fold((true, false), |(ports, icmp), p| (ports && p.has_ports(), icmp || p.is_icmp()));
        let items = node.map(|node| node.items(self.report)).unwrap_or_default();
        let place = node.map_or(&row.place, |node| &node.place);
        if with_ports && items.is_empty() {
            let finding = place.error(Code::Missing, format!("{protocol} needs ports"));
            self.report.add(finding.help("write `ports: [443]`, `[\"30000-32767\"]` or `[$symbol]`"));
            return None;
        }
        if !with_ports && !icmp && !items.is_empty() {
            let finding = place.error(Code::Conflict, format!("{protocol} has no ports"));
            self.report.add(finding.help("leave `ports` out"));
            return None;
        }
        items.iter().map(|item| self.port(item, icmp)).collect::<Vec<_>>().into_iter().collect()
    }

    fn port(&self, node: &Node, icmp: bool) -> Option<Port> {
        let text = node.word(self.report)?;
        let byte = |s: &str| s.parse::<u8>().ok();
        let port = match (icmp, text.split_once('/'), text.strip_prefix('$')) {
            (true, Some((kind, code)), _) => byte(kind).zip(byte(code)).map(|(k, c)| Port::Icmp(k, Some(c))),
            (true, None, _) => byte(text).map(|kind| Port::Icmp(kind, None)),
            (false, _, Some(symbol)) if !symbol.is_empty() => Some(Port::Symbol(symbol.into())),
            (false, ..) => match traffic::parse_ports(text) {
                Ok(range) => Some(Port::Range(range)),
                Err(error) => {
                    let help = "write a port, `443`, a range, `30000-32767`, or a symbol, `$endpoint_port`";
                    self.report.add(node.place.error(Code::BadValue, error.to_string()).help(help));
                    return None;
                }
            },
        };
        if port.is_none() {
            let finding = node.place.error(Code::BadValue, format!("`{text}` is no ICMP type or `TYPE/CODE`"));
            self.report.add(finding.help("write `8/0`; both are 0-255"));
        }
        port
    }
}

#[cfg(test)]
mod tests;

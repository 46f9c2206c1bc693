//! Clusters: their profile and the facts about them that decide its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;

use super::context::Context;
use super::exception::{self, Scope};
use super::fields::{Fields, suggestion};
use super::group::{self, Placed};
use super::index;
use super::peer::peer;
use super::problem::Code;
use super::tree::{Key, Node, Value};
use super::{Cluster, EgressMode, Peer, PeerName};
use crate::name::ClusterName;
use crate::profile::{OptionValue, PickError, Port, Profile, ProfileKind, Version};
use crate::rule::Cidr;
use crate::traffic::{PortRange, parse_ports};

const EGRESS: [(&str, EgressMode); 2] = [("open", EgressMode::Open), ("strict", EgressMode::Strict)];

/// Reads `clusters.NAME`; `peers` are those of the files.
pub(super) fn cluster(
    cx: &Context<'_>,
    peers: &BTreeMap<PeerName, Peer>,
    key: &Key,
    node: &Node,
) -> Option<(Cluster, Vec<Placed>)> {
    let name = cx.name(key, ClusterName::new);
    let mut fields = node.fields(cx.report)?;
    let network = fields.require("network", "name one of `networks`").and_then(|node| cx.network(node));
    let external = fields.get("external").and_then(|node| node.boolean(cx.report)).unwrap_or_default();
    let (profile, rancher_version) = profile(cx, &mut fields);
    let rancher = fields.get("rancher").and_then(|node| cx.cluster(node));
    let options = fields.get("options").map(|node| options(cx, profile.as_deref(), node)).unwrap_or_default();
    let values = fields.get("values").map(|node| values(cx, profile.as_deref(), node)).unwrap_or_default();
    let cidrs = fields.get("cidrs").map(|node| cidrs(cx, node)).unwrap_or_default();
    let egress = fields.get("egress").and_then(|node| node.choice(cx.report, "egress", &EGRESS)).unwrap_or_default();

    let own_peers = fields.get("peers");
    let mut all_peers = peers.clone();
    for (key, node) in own_peers.map(|node| node.named(cx.report)).unwrap_or_default() {
        all_peers.extend(peer(cx, key, node));
    }

    let groups_node = fields.require("groups", "name its node groups: `groups: { etcd: { roles: [etcd] } }`");
    let mut placed = Vec::new();
    if let Some(groups) = groups_node {
        for (group_key, group_node) in groups.named(cx.report) {
            placed.extend(group::group(cx, &key.text, profile.as_deref(), group_key, group_node));
        }
        if matches!(&groups.value, Value::Empty) || matches!(&groups.value, Value::Map(entries) if entries.is_empty()) {
            let finding = groups.place.error(Code::BadValue, "the cluster has no groups");
            cx.report.add(finding.help("name its node groups: `groups: { etcd: { roles: [etcd] } }`"));
        }
    }

    if let (Some(profile), Some(groups)) = (&profile, groups_node) {
        for role in profile.needs.iter().filter(|role| !placed.iter().any(|p| p.group.roles.contains(role))) {
            let message = format!("no group has the role `{role}`, which profile `{}` is about", profile.name);
            let help = format!("add it to the `roles` of the groups whose nodes are that: `roles: [{role}, …]`");
            cx.report.add(groups.place.error(Code::Missing, message).help(help));
        }
    }

    let scope = Scope {
        groups: index::keys(groups_node).collect(),
        peers: cx.index.peers.iter().copied().chain(index::keys(own_peers)).collect::<BTreeSet<_>>(),
        profile: profile.as_deref(),
    };
    let mut entries = |key| fields.get(key).map(|node| node.entries(cx.report)).unwrap_or_default().iter();
    let rules = entries("rules").filter_map(|node| exception::rule(cx, &scope, node)).collect();
    let waive = entries("waive").filter_map(|node| exception::waiver(cx, &scope, node)).collect();
    let narrow = entries("narrow").filter_map(|node| exception::narrowing(cx, &scope, node)).collect();
    let ignore = entries("ignore").flat_map(|node| exception::ignored(cx, &scope, node)).collect();
    fields.finish();

    let cluster = Cluster {
        name: name?,
        network: network?,
        external,
        profile: profile?,
        rancher_version,
        rancher,
        options,
        values,
        cidrs,
        egress,
        groups: placed.iter().map(|p| (p.group.name.clone(), p.group.clone())).collect::<IndexMap<_, _>>(),
        rules,
        waive,
        narrow,
        ignore,
        peers: all_peers,
    };
    Some((cluster, placed))
}

/// The profile that `profile` and `rancher_version` pick, and the version as written.
fn profile(cx: &Context<'_>, fields: &mut Fields<'_>) -> (Option<Arc<Profile>>, Option<Version>) {
    let profile = fields.require("profile", "`rsgsync profile list` shows the names");
    let version_node = fields.get("rancher_version");
    let version = version_node.and_then(|node| {
        let text = node.text(cx.report)?;
        let version = Version::parse(text);
        if version.is_none() {
            let finding = node.place.error(Code::BadValue, format!("`{text}` is not a version"));
            cx.report.add(finding.help("write it as \"2.4\" or \"2.4.8\""));
        }
        version
    });
    let Some((node, name)) = profile.and_then(|node| Some((node, node.text(cx.report)?))) else {
        return (None, version);
    };
    if version_node.is_some() && version.is_none() {
        // Its own error is told already; which version was meant is not known.
        if !cx.catalog.names().contains(&name) {
            cx.report.add(node.unknown("profile", cx.catalog.names()));
        }
        return (None, None);
    }
    match cx.catalog.find(name, version) {
        Ok(profile) => {
            if version.is_none() && !profile.version.is_empty() {
                let message = format!("`rancher_version` is missing: `{}`, the newest, is used", profile.label());
                let help = format!("write `rancher_version: \"{}\"`, or the version that runs", profile.version);
                cx.report.add(node.place.warning(Code::Doubtful, message).help(help));
            }
            (Some(profile), version)
        }
        Err(PickError::UnknownName(_)) => {
            cx.report.add(node.unknown("profile", cx.catalog.names()));
            (None, version)
        }
        Err(error @ PickError::NoSuchVersion { .. }) => {
            let PickError::NoSuchVersion { ranges, see, .. } = &error else { return (None, version) };
            let finding = version_node.unwrap_or(node).place.error(Code::UnknownWord, error.to_string());
            let see: Vec<String> = see.iter().map(|name| format!("`{name}`")).collect();
            let see = if see.is_empty() { String::new() } else { format!("; see also {}", see.join(", ")) };
            cx.report.add(finding.help(format!("it is for {}{see}", ranges.join(", "))));
            (None, version)
        }
        Err(error @ PickError::NotForClusters { .. }) => {
            let help = match &error {
                PickError::NotForClusters { kind, .. } => not_for_clusters(*kind),
                _ => "",
            };
            cx.report.add(node.place.error(Code::Conflict, error.to_string()).help(help));
            (None, version)
        }
    }
}

/// What to do instead of naming a profile of that kind.
fn not_for_clusters(kind: ProfileKind) -> &'static str {
    match kind {
        ProfileKind::CniAddon | ProfileKind::Addon | ProfileKind::OsAddon => {
            "it joins a cluster's profile by options such as `cni`; `rsgsync profile show` says by which"
        }
        ProfileKind::Glossary => "it lists ports without saying who needs them; `rsgsync profile show` prints it",
        ProfileKind::HostFirewall => "it says what to open on the host itself",
        ProfileKind::Requirements | ProfileKind::ProviderGroup => "`rsgsync profile list` shows the names",
    }
}

fn options(cx: &Context<'_>, profile: Option<&Profile>, node: &Node) -> BTreeMap<Arc<str>, Vec<OptionValue>> {
    let known = &cx.vocabulary().options;
    let mut options = BTreeMap::new();
    for (key, value) in node.named(cx.report) {
        let Some((option, kind)) = known.get_key_value(key.text.as_str()) else {
            cx.report.add(key.unknown("option", known.keys().map(|option| &**option)));
            continue;
        };
        let items = value.items(cx.report);
        if items.is_empty() && !matches!(value.value, Value::Map(_)) {
            let finding = value.place.error(Code::BadValue, format!("`{option}` has no value"));
            cx.report.add(finding.help("leave it out to mean that it is not known"));
        }
        if !kind.list && matches!(value.value, Value::List(_)) && !items.is_empty() {
            cx.report.add(value.wrong_type("one value").help("make it several clusters if they differ"));
            continue;
        }
        let values: Vec<_> = items.iter().filter_map(|item| option_value(cx, &kind.words, item)).collect();
        let fixed = profile.and_then(|profile| Some((profile, profile.fixes.get(option)?)));
        if let Some((profile, fixed)) = fixed.filter(|(_, fixed)| values.iter().any(|v| v != *fixed)) {
            let message = format!("profile `{}` is for `{option}: {fixed}`", profile.name);
            cx.report
                .add(value.place.error(Code::Conflict, message).help("leave the option out, or take another profile"));
        }
        if !values.is_empty() {
            options.insert(Arc::clone(option), values);
        }
    }
    options
}

fn option_value(cx: &Context<'_>, words: &[Arc<str>], node: &Node) -> Option<OptionValue> {
    if words.is_empty() {
        return node.boolean(cx.report).map(OptionValue::Bool);
    }
    let text = node.word(cx.report)?;
    let word = words.iter().find(|word| &***word == text);
    if word.is_none() {
        let what = format!("value of {}", node.place.path.subject());
        cx.report.add(node.unknown(&what, words.iter().map(|word| &**word)));
    }
    word.map(|word| OptionValue::Word(Arc::clone(word)))
}

/// Ports for the symbols of the profile.
fn values(cx: &Context<'_>, profile: Option<&Profile>, node: &Node) -> BTreeMap<String, PortRange> {
    let symbols: Option<BTreeSet<&str>> = profile.map(symbols);
    let mut values = BTreeMap::new();
    for (key, value) in node.named(cx.report) {
        if let Some(symbols) = symbols.as_ref().filter(|symbols| !symbols.contains(key.text.as_str())) {
            // No error: what one profile needs no value for, another version of it may.
            let finding = key.place.warning(Code::Doubtful, format!("no row of the profile needs `{}`", key.text));
            cx.report.add(finding.maybe_help(suggestion(&key.text, symbols.iter().copied())));
        }
        let Some(text) = value.word(cx.report) else { continue };
        match parse_ports(text) {
            Ok(ports) => {
                values.insert(key.text.clone(), ports);
            }
            Err(error) => {
                let finding = value.place.error(Code::BadValue, error.to_string());
                cx.report.add(finding.help("write a port, `443`, or a range, `30000-32767`; ports are 0-65535"));
            }
        }
    }
    values
}

fn symbols<'a>(profile: &'a Profile) -> BTreeSet<&'a str> {
    let ports = profile.rows.iter().flat_map(|row| &row.ports);
    let symbol = |port: &'a Port| match port {
        Port::Symbol(symbol) => Some(&**symbol),
        Port::Range(_) | Port::Icmp(..) => None,
    };
    ports.filter_map(symbol).collect()
}

/// Ranges of the cluster networks that rows may name.
fn cidrs(cx: &Context<'_>, node: &Node) -> BTreeMap<String, Vec<Cidr>> {
    let nets = &cx.vocabulary().nets;
    let mut cidrs = BTreeMap::new();
    for (key, value) in node.named(cx.report) {
        if !nets.iter().any(|net| **net == *key.text) {
            cx.report.add(key.unknown("cluster network", nets.iter().map(|net| &**net)));
        }
        cidrs.insert(key.text.clone(), cx.cidrs(value));
    }
    cidrs
}

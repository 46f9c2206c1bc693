//! An inventory as the YAML that a person goes on with: why each thing stands there, and what is still open, as comments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;

use super::leftover::word;
use super::{Adoption, GroupEvidence};
use crate::inventory::{Addresses, Cluster, EndWord, Inventory, Network, NodeGroup, Ownership, Peer};
use crate::name::{ClusterName, NodeGroupName};
use crate::profile::{OptionValue, Vocabulary};
use crate::rule::Cidr;

const WIDTH: usize = 118;

/// What is said about an inventory in its comments.
#[derive(Debug, Clone, Default)]
pub struct Remarks {
    /// On top.
    pub head: Vec<String>,
    /// Above the network.
    pub network: Vec<String>,
    /// By cluster.
    pub clusters: BTreeMap<ClusterName, ClusterRemarks>,
}

/// What is said about a cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterRemarks {
    /// Above its profile.
    pub profile: Vec<String>,
    /// Behind an option that is set.
    pub options: BTreeMap<Arc<str>, String>,
    /// Options that nobody has set, and what hangs on them.
    pub undecided: BTreeMap<Arc<str>, String>,
    /// Above a group.
    pub groups: BTreeMap<NodeGroupName, Vec<String>>,
    /// Below the cluster.
    pub end: Vec<String>,
}

impl ClusterRemarks {
    /// Names options that nobody knows, with the rows that hang on them.
    pub fn leave_open(&mut self, undecided: &BTreeMap<Arc<str>, BTreeSet<Arc<str>>>) {
        for (option, rows) in undecided {
            let rows: Vec<&str> = rows.iter().map(|row| &**row).collect();
            self.undecided.insert(option.clone(), format!("decides {}", rows.join(", ")));
        }
    }
}

impl Adoption {
    /// Why the inventory says what it says.
    pub fn remarks(&self) -> Remarks {
        let mut remarks = Remarks::default();
        remarks.head.push(
            "The security groups were read, and what their rules look like was guessed: read it, and correct it. \
             `rsgsync plan` shows what would change; it is empty where the groups are right."
                .to_owned(),
        );
        remarks.head.push(
            "The groups are `shared` until you say otherwise: rules that rsgsync didn't make stay as they are, and missing \
             ones are added. With `ownership: exclusive` a group is taken over: what is here stays, and from then on every \
             rule that this file doesn't ask for is removed."
                .to_owned(),
        );
        if !self.left_out.is_empty() {
            let names: Vec<String> = self.left_out.iter().map(|(name, why)| format!("{name} ({why})")).collect();
            remarks.head.push(format!("Left out: {}.", names.join(", ")));
        }
        for (name, evidence) in &self.evidence {
            let Some(cluster) = self.inventory.clusters.get(name) else { continue };
            let of_cluster = remarks.clusters.entry(name.clone()).or_default();
            let as_good = evidence.others.iter().filter(|(_, rank)| *rank <= evidence.rank).map(|(other, _)| &**other);
            let as_good: Vec<&str> = as_good.collect();
            let nearest = match (as_good.as_slice(), evidence.others.first()) {
                ([], None) => String::new(),
                ([], Some((next, _))) => format!("; next best: {next}"),
                (as_good, _) => format!("; the rules would fit {} as well", as_good.join(", ")),
            };
            of_cluster.profile.push(match evidence.missing {
                0 => format!("guessed: all that it asks for is open{nearest}"),
                1 => format!("guessed: 1 rule that it asks for is missing{nearest}"),
                n => format!("guessed: {n} rules that it asks for are missing{nearest}"),
            });
            for (group, evidence) in &evidence.groups {
                let roles = cluster.groups.get(group).map(|group| group.roles.join(", ")).unwrap_or_default();
                of_cluster.groups.insert(group.clone(), of_group(&roles, evidence));
            }
            for (option, rows) in &evidence.options {
                of_cluster.options.insert(option.clone(), format!("open: {}", rows.join(", ")));
            }
            of_cluster.leave_open(&evidence.undecided);
            for guarded in self.guarded.iter().filter(|guarded| guarded.cluster == *name) {
                let super::Guarded { cluster: _, group, from, traffic, guard, ours } = guarded;
                let until = if *ours {
                    "It carries our mark: the next plan removes it, unless a row that is not opened asks for it. To keep \
                     it, write it under `rules` and waive the guard."
                } else {
                    "It stays while the group is shared, and goes with `ownership: exclusive`."
                };
                of_cluster.end.push(format!(
                    "not taken over: {traffic} from {from} into {group}, which guard `{guard}` forbids. {until}"
                ));
            }
        }
        remarks
    }
}

fn of_group(roles: &str, evidence: &GroupEvidence) -> Vec<String> {
    let GroupEvidence { open, missing, unexplained, guarded, left_alone } = evidence;
    let rows = open.len() + missing.len();
    let mut lines =
        vec![format!("looks like {roles}: {} of {rows} rows are open as wanted: {}", open.len(), open.join(", "))];
    if !missing.is_empty() {
        lines.push(format!("missing: {}", missing.join(", ")));
    }
    let said = [
        (unexplained, "they stand under `rules`"),
        (guarded, "a guard forbids them: see below the cluster"),
        (left_alone, "they are left alone"),
    ];
    for (count, what) in said.into_iter().filter(|(count, _)| **count > 0) {
        lines.push(format!("rules that no row explains: {count}; {what}"));
    }
    lines
}

/// Writes an inventory of one network.
pub fn yaml(inventory: &Inventory, remarks: &Remarks) -> String {
    let mut out = String::new();
    comments(&mut out, 0, &remarks.head);
    let _ = writeln!(out, "version: 1\nowner: {}\n\nnetworks:", scalar(inventory.owner.as_str()));
    comments(&mut out, 2, &remarks.network);
    for network in inventory.networks.values() {
        write_network(&mut out, network);
    }
    out.push_str("\nclusters:\n");
    let none = ClusterRemarks::default();
    for (index, cluster) in inventory.clusters.values().enumerate() {
        out.push_str(if index > 0 { "\n" } else { "" });
        write_cluster(&mut out, cluster, remarks.clusters.get(&cluster.name).unwrap_or(&none));
    }
    out
}

fn write_network(out: &mut String, network: &Network) {
    let mut keys: Vec<String> =
        network.at.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
    if !network.quotas.is_empty() {
        let quotas: Vec<String> = network.quotas.iter().map(|(name, most)| format!("{name}: {most}")).collect();
        keys.push(format!("quotas: {{ {} }}", quotas.join(", ")));
    }
    let keys = if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) };
    let _ = writeln!(out, "  {}:\n    {}: {keys}", scalar(network.name.as_str()), network.provider);
}

fn write_cluster(out: &mut String, cluster: &Cluster, remarks: &ClusterRemarks) {
    let _ = writeln!(out, "  {}:\n    network: {}", scalar(cluster.name.as_str()), scalar(cluster.network.as_str()));
    comments(out, 4, &remarks.profile);
    let _ = writeln!(out, "    profile: {}", cluster.profile.name);
    if let Some(version) = &cluster.rancher_version {
        let _ = writeln!(out, "    rancher_version: \"{version}\"");
    }
    if let Some(rancher) = &cluster.rancher {
        let _ = writeln!(out, "    rancher: {}", scalar(rancher.as_str()));
    }
    write_options(out, cluster, remarks);
    out.push_str("    groups:\n");
    for group in cluster.groups.values() {
        write_group(out, group, remarks.groups.get(&group.name).map(Vec::as_slice).unwrap_or_default());
    }
    if !cluster.rules.is_empty() {
        out.push_str("    rules:\n");
        for rule in &cluster.rules {
            let ends = |ends: &[EndWord]| ends.iter().map(|end| scalar(&word(end))).collect::<Vec<_>>().join(", ");
            let allow: Vec<String> = rule.allow.iter().map(|traffic| scalar(&traffic.to_string())).collect();
            let (from, to, allow) = (ends(&rule.from), ends(&rule.to), allow.join(", "));
            let why = quoted(&rule.why);
            let _ = writeln!(out, "      - {{ from: [{from}], to: [{to}], allow: [{allow}], why: {why} }}");
        }
    }
    if !cluster.ignore.is_empty() {
        out.push_str("    ignore:\n");
        for ignore in &cluster.ignore {
            let (group, traffic) = (scalar(ignore.group.as_str()), scalar(&ignore.traffic.to_string()));
            let _ = writeln!(out, "      - {{ group: {group}, port: {traffic}, why: {} }}", quoted(&ignore.why));
        }
    }
    if !cluster.peers.is_empty() {
        out.push_str("    peers:\n");
        for (name, peer) in &cluster.peers {
            let _ = writeln!(out, "      {}: {}", scalar(name), peer_keys(peer));
        }
    }
    comments(out, 4, &remarks.end);
}

fn write_options(out: &mut String, cluster: &Cluster, remarks: &ClusterRemarks) {
    let known = &Vocabulary::shipped().options;
    let open: Vec<_> = remarks.undecided.iter().filter(|(option, _)| !cluster.options.contains_key(*option)).collect();
    if cluster.options.is_empty() {
        if !open.is_empty() {
            out.push_str("    # options:   # not known; what the groups let through of these rows is left alone\n");
        }
    } else {
        out.push_str("    options:\n");
    }
    for (option, values) in &cluster.options {
        let values: Vec<String> = values.iter().map(value).collect();
        let values = if values.len() == 1 { values.concat() } else { format!("[{}]", values.join(", ")) };
        let why = remarks.options.get(option).map(|why| format!(" # {}", plain(why))).unwrap_or_default();
        let _ = writeln!(out, "      {option}: {values}{why}");
    }
    for (option, why) in open {
        let words = known.get(option).map(|kind| kind.words.as_slice()).unwrap_or_default();
        let words = if words.is_empty() { "true | false".to_owned() } else { words.join(" | ") };
        let _ = writeln!(out, "    #   {option}: {words}   {}", plain(why));
    }
}

fn value(value: &OptionValue) -> String {
    match value {
        OptionValue::Bool(value) => value.to_string(),
        OptionValue::Word(word) => scalar(word),
    }
}

fn write_group(out: &mut String, group: &NodeGroup, remarks: &[String]) {
    let _ = writeln!(out, "      {}:", scalar(group.name.as_str()));
    comments(out, 8, remarks);
    let _ = writeln!(out, "        roles: [{}]", group.roles.join(", "));
    let word = group.security_group.as_str();
    let key = if word.contains('@') { "service_account" } else { "security_group" };
    let _ = writeln!(out, "        {key}: {}", scalar(word));
    match group.ownership {
        Some(ownership) => _ = writeln!(out, "        ownership: {}", ownership.as_str()),
        None => _ = writeln!(out, "        # ownership: {}", Ownership::Exclusive.as_str()),
    }
    let Addresses { private, public } = &group.addresses;
    let list = |ranges: &[Cidr]| ranges.iter().map(|cidr| scalar(&cidr.to_string())).collect::<Vec<_>>().join(", ");
    match (private.is_empty(), public.is_empty()) {
        (true, true) => {}
        (false, true) => _ = writeln!(out, "        addresses: [{}]", list(private)),
        _ => {
            let (private, public) = (list(private), list(public));
            let _ = writeln!(out, "        addresses: {{ private: [{private}], public: [{public}] }}");
        }
    }
}

fn peer_keys(peer: &Peer) -> String {
    match peer {
        Peer::Cidrs(ranges) => {
            let ranges: Vec<String> = ranges.iter().map(|cidr| scalar(&cidr.to_string())).collect();
            format!("{{ cidrs: [{}] }}", ranges.join(", "))
        }
        Peer::SecurityGroup { group, account: None } => format!("{{ security_group: {} }}", scalar(group.as_str())),
        Peer::SecurityGroup { group, account: Some(account) } => {
            format!("{{ security_group: {}, account: {} }}", scalar(group.as_str()), quoted(account))
        }
        Peer::NodeGroup { cluster, group: None } => format!("{{ cluster: {} }}", scalar(cluster.as_str())),
        Peer::NodeGroup { cluster, group: Some(group) } => {
            format!("{{ cluster: {}, group: {} }}", scalar(cluster.as_str()), scalar(group.as_str()))
        }
        Peer::PrefixList(id) => format!("{{ prefix_list: {} }}", scalar(id)),
        Peer::AddressGroup(id) => format!("{{ address_group: {} }}", scalar(id)),
        Peer::Tag(tag) => format!("{{ tag: {} }}", scalar(tag)),
        Peer::ServiceAccount(account) => format!("{{ service_account: {} }}", scalar(account)),
    }
}

/// A value of a network's key: a text, or the tags of one.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A text as YAML reads it back: as it is where nothing in it has a meaning.
fn scalar(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let starts = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let a_range = text.contains('/') && text.chars().next().is_some_and(|c| c.is_ascii_digit());
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_word = words.contains(&text.to_ascii_lowercase().as_str());
    if text.chars().all(harmless) && (starts || a_range) && !is_word { text.to_owned() } else { quoted(text) }
}

/// A text between quotes; YAML reads JSON's strings.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A text that stays in its comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn comments(out: &mut String, indent: usize, texts: &[String]) {
    for text in texts {
        let mut line = String::new();
        for word in plain(text).split_whitespace() {
            if !line.is_empty() && indent + 3 + line.chars().count() + word.chars().count() > WIDTH {
                let _ = writeln!(out, "{:indent$}# {line}", "");
                line.clear();
            }
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
        let _ = writeln!(out, "{:indent$}# {line}", "");
    }
}

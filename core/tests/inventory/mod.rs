//! Inventories for tests, as text, and what they open.

// Each test program uses its part.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use rsgsync_core::desired::{Desired, desired};
use rsgsync_core::flow::{End, Flows, flows};
use rsgsync_core::guard::judge;
use rsgsync_core::inventory::{self, Inventory, PlaceKind, ProviderSpec, Source};
use rsgsync_core::profile::{Catalog, Vocabulary};
use rsgsync_core::rule::{Direction, RulePeer};

#[path = "../../src/inventory/tests/providers.rs"]
mod providers;

pub const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 26);

/// An inventory with a cluster `it`, and perhaps a Rancher server `mgmt` that manages it.
#[derive(Debug, Clone)]
pub struct Text {
    profile: String,
    version: String,
    groups: Vec<String>,
    options: Vec<(String, String)>,
    values: Vec<String>,
    rules: Vec<String>,
    more: Vec<String>,
    rancher_groups: Vec<String>,
    peers: bool,
    derived: Vec<String>,
}

impl Text {
    /// Cluster `it` of a profile, without groups; every peer is defined, and every value.
    pub fn of(profile: &str) -> Self {
        Self {
            profile: profile.to_owned(),
            version: "2.4".to_owned(),
            groups: Vec::new(),
            options: Vec::new(),
            values: [
                "kube_api_endpoint_port: 443",
                "cluster_specific: 8080",
                "auth_provider_port: 636",
                "s3_port: 9000",
            ]
            .map(str::to_owned)
            .to_vec(),
            rules: Vec::new(),
            more: Vec::new(),
            rancher_groups: Vec::new(),
            peers: true,
            derived: Vec::new(),
        }
    }

    /// A downstream cluster of three groups with its Rancher server.
    pub fn downstream(profile: &str) -> Self {
        let mut text = Self::of(profile).group("workers", "worker");
        if !["downstream-hosted", "downstream-imported", "downstream-registered"].contains(&profile) {
            text = text.group("etcd", "etcd").group("control", "controlplane");
        }
        text.rancher_groups = vec!["server: { roles: [rancher-server, k3s-server] }".to_owned()];
        text.with("rancher_external_lb", "false")
    }

    /// A Rancher server on K3s.
    pub fn k3s() -> Self {
        Self::of("rancher-server-k3s").group("server", "rancher-server, k3s-server")
    }

    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    pub fn group(mut self, name: &str, roles: &str) -> Self {
        self.groups.push(format!("{name}: {{ roles: [{roles}] }}"));
        self
    }

    pub fn group_at(mut self, name: &str, roles: &str, addresses: &str) -> Self {
        self.groups.push(format!("{name}: {{ roles: [{roles}], addresses: {addresses} }}"));
        self
    }

    pub fn with_rancher_group(mut self, name: &str) -> Self {
        self.rancher_groups.push(format!("{name}: {{ roles: [rancher-server, k3s-server] }}"));
        self
    }

    /// Sets an option, or sets it anew.
    pub fn with(mut self, option: &str, value: &str) -> Self {
        self.options.retain(|(name, _)| name != option);
        self.options.push((option.to_owned(), value.to_owned()));
        self
    }

    pub fn without_peers(mut self) -> Self {
        self.peers = false;
        self
    }

    /// Peers that the inventory's clusters would stand for.
    pub fn with_peers(mut self, names: &[&str]) -> Self {
        self.derived = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub fn with_value(mut self, value: &str) -> Self {
        self.values.push(value.to_owned());
        self
    }

    pub fn with_rule(mut self, from: &str, allow: &str) -> Self {
        self.rules.push(format!("      - {{ from: {from:?}, to: \"*\", allow: [{allow}], why: because }}\n"));
        self
    }

    /// Lines of the cluster, as they are: `waive: [...]`.
    pub fn with_lines(mut self, lines: &str) -> Self {
        self.more.push(lines.to_owned());
        self
    }

    pub fn text(&self) -> String {
        let options: Vec<String> = self.options.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let mut text =
            String::from("version: 1\nowner: platform\nnetworks: { eu: { simulated: { state: s.json } } }\n");
        text.push_str("clusters:\n");
        if !self.rancher_groups.is_empty() {
            text.push_str("  mgmt:\n    network: eu\n    profile: rancher-server-k3s\n    rancher_version: \"2.4\"\n");
            text.push_str(&format!("    groups: {{ {} }}\n", self.rancher_groups.join(", ")));
        }
        text.push_str(&format!("  it:\n    network: eu\n    profile: {}\n", self.profile));
        text.push_str(&format!("    rancher_version: \"{}\"\n", self.version));
        if !self.rancher_groups.is_empty() {
            text.push_str("    rancher: mgmt\n");
        }
        text.push_str(&format!(
            "    options: {{ {} }}\n    values: {{ {} }}\n",
            options.join(", "),
            self.values.join(", ")
        ));
        text.push_str("    cidrs: { pod: [10.42.0.0/16], service: [10.43.0.0/16], cluster: [10.44.0.0/16] }\n");
        text.push_str(&format!("    groups: {{ {} }}\n", self.groups.join(", ")));
        if !self.rules.is_empty() {
            text.push_str("    rules:\n");
            self.rules.iter().for_each(|rule| text.push_str(rule));
        }
        self.more.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
        if self.peers {
            text.push_str("peers:\n");
            let words = Vocabulary::shipped();
            let defined = words.peers.iter().filter(|peer| !words.derived.contains_key(*peer)).map(|peer| &**peer);
            for peer in defined.chain(self.derived.iter().map(String::as_str)) {
                text.push_str(&format!("  {peer}: {{ cidrs: [198.51.100.0/24] }}\n"));
            }
        }
        text
    }

    pub fn parse(&self) -> Inventory {
        let text = self.text();
        try_parse(&text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
    }
}

pub fn try_parse(text: &str) -> Result<Inventory, inventory::Problems> {
    thread_local!(static CATALOG: Catalog = Catalog::shipped());
    let source = Source { path: "cluster.yaml".to_owned(), folder: PathBuf::new(), bytes: text.as_bytes().to_owned() };
    let read = |_: &std::path::Path| Err("no file".to_owned());
    let parsed = CATALOG.with(|catalog| inventory::parse(&[source], catalog, &providers::PROVIDERS, TODAY, &read));
    parsed.map(|parsed| parsed.inventory)
}

fn word(end: &End) -> String {
    match end {
        End::Group(cluster, group) => format!("{cluster}/{group}"),
        End::Peer(peer) => peer.to_string(),
        End::Cidr(cidr) => cidr.to_string(),
        End::Name(name) => name.to_string(),
        End::SelfGroup => "self".to_owned(),
    }
}

fn of_it(text: &Text) -> Flows {
    let mut found = flows(&text.parse(), TODAY);
    found.flows.retain(|flow| flow.cluster.as_str() == "it");
    found
}

/// `ROW FROM > TO TRAFFIC` of the cluster's flows that are of its profile's own rows.
pub fn show_rows(text: &Text) -> BTreeSet<String> {
    let own = |flow: &&rsgsync_core::flow::Flow| flow.reason.profile.split('@').next() == Some(&text.profile);
    let found = of_it(text);
    let own = found.flows.iter().filter(own);
    own.map(|f| format!("{} {} > {} {}", f.reason.row, word(&f.from), word(&f.to), f.traffic)).collect()
}

/// Rows of the profile's own that are open.
pub fn opened(text: &Text) -> BTreeSet<String> {
    show_rows(text).iter().filter_map(|line| line.split_once(' ')).map(|(row, _)| row.to_owned()).collect()
}

/// `PROFILE/ROW` of every open row, add-ons too.
pub fn opened_everywhere(text: &Text) -> BTreeSet<String> {
    let found = of_it(text);
    let name = |label: &str| label.split('@').next().unwrap_or(label).to_owned();
    found.flows.iter().map(|f| format!("{}/{}", name(&f.reason.profile), f.reason.row)).collect()
}

/// Rows of the profile's own that close, and that open, when an option changes.
pub fn rows_switched_by(text: &Text, option: &str, before: &str, after: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (before, after) = (opened(&text.clone().with(option, before)), opened(&text.clone().with(option, after)));
    (before.difference(&after).cloned().collect(), after.difference(&before).cloned().collect())
}

/// All ends of the cluster's flows.
pub fn sources_and_destinations(text: &Text) -> BTreeSet<String> {
    of_it(text).flows.iter().flat_map(|flow| [word(&flow.from), word(&flow.to)]).collect()
}

pub fn wish(text: &Text) -> (Inventory, Flows, Desired) {
    let inventory = text.parse();
    let flows = flows(&inventory, TODAY);
    let desired = desired(&inventory, &flows);
    (inventory, flows, desired)
}

/// `TRAFFIC from PEER` of all ingress rules, sorted.
pub fn rules(text: &Text) -> Vec<String> {
    let (_, _, desired) = wish(text);
    let mut lines = BTreeSet::new();
    for network in desired.networks.values() {
        for rule in network.groups.iter().flat_map(|group| &group.rules) {
            if rule.rule.direction == Direction::Ingress {
                let peer = match rule.rule.peer {
                    RulePeer::Addresses(cidr) => cidr.to_string(),
                    RulePeer::Opaque(_, atom, _) => network.atoms.text(atom).to_owned(),
                };
                lines.insert(format!("{} from {peer}", rule.rule.traffic));
            }
        }
    }
    lines.into_iter().collect()
}

/// Names of the guards that refuse, each once.
pub fn refused(text: &Text) -> Vec<String> {
    let (inventory, _, desired) = wish(text);
    let names: BTreeSet<String> =
        judge(&desired, &inventory, TODAY).refused.iter().map(|breach| breach.guard.to_string()).collect();
    names.into_iter().collect()
}

//! The firewall of a node itself, from the flows that reach its group.
//!
//! A host knows no groups: a source whose addresses the inventory doesn't have lets every address in, and that is said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::flow::{End, Flows};
use crate::inventory::{Cluster, Inventory, Peer};
use crate::matrix::{resolved, united, word};
use crate::name::{ClusterName, NodeGroupName};
use crate::profile::Render;
use crate::rule::{Cidr, Family};
use crate::traffic::{Protocol, TCP, Traffic, UDP};

/// What a node must let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRules {
    /// Whose nodes.
    pub cluster: ClusterName,
    /// Which of them.
    pub group: NodeGroupName,
    /// From every address.
    open: BTreeSet<Traffic>,
    /// From these ranges alone.
    narrow: BTreeMap<Cidr, BTreeSet<Traffic>>,
    /// Stays on the node.
    local: BTreeSet<Traffic>,
    /// Parties whose addresses are not known, with what is open to every address for their sake.
    unknown: BTreeMap<String, BTreeSet<Traffic>>,
}

/// The rules of a node of `group`; all that its security group lets in, and what stays on the node.
pub fn host_rules(inventory: &Inventory, flows: &Flows, cluster: &Cluster, group: &NodeGroupName) -> HostRules {
    let mut rules = HostRules {
        cluster: cluster.name.clone(),
        group: group.clone(),
        open: BTreeSet::new(),
        narrow: BTreeMap::new(),
        local: BTreeSet::new(),
        unknown: BTreeMap::new(),
    };
    let node = End::Group(cluster.name.clone(), group.clone());
    for flow in &flows.flows {
        let (from, to) = resolved(flow);
        if *to != node {
            continue;
        }
        if flow.local {
            rules.local.insert(flow.traffic);
            continue;
        }
        let own = inventory.clusters.get(&flow.cluster).unwrap_or(cluster);
        match addresses(inventory, own, from) {
            Some(ranges) if ranges.contains(&Cidr::ANY_V4) || ranges.contains(&Cidr::ANY_V6) => {
                rules.open.insert(flow.traffic);
            }
            Some(ranges) => ranges.into_iter().for_each(|range| {
                rules.narrow.entry(range).or_default().insert(flow.traffic);
            }),
            None => {
                rules.open.insert(flow.traffic);
                rules.unknown.entry(word(&cluster.name, from)).or_default().insert(flow.traffic);
            }
        }
    }
    rules
}

/// Where packets of this end come from; `None`: nobody says.
fn addresses(inventory: &Inventory, own: &Cluster, end: &End) -> Option<Vec<Cidr>> {
    let known = |ranges: Vec<Cidr>| (!ranges.is_empty()).then_some(ranges);
    let of_group = |cluster: &ClusterName, group: &NodeGroupName| {
        let addresses = &inventory.clusters.get(cluster)?.groups.get(group)?.addresses;
        known(addresses.private.iter().chain(&addresses.public).copied().collect())
    };
    match end {
        End::Cidr(range) => Some(vec![*range]),
        End::Group(cluster, group) => of_group(cluster, group),
        End::Peer(name) => match own.peers.get(name)? {
            Peer::Cidrs(ranges) => known(ranges.clone()),
            Peer::NodeGroup { cluster, group: Some(group) } => of_group(cluster, group),
            Peer::NodeGroup { cluster, group: None } => {
                let groups = inventory.clusters.get(cluster)?.groups.keys();
                groups.map(|group| of_group(cluster, group)).collect::<Option<Vec<_>>>().map(|all| all.concat())
            }
            Peer::SecurityGroup { .. }
            | Peer::PrefixList(_)
            | Peer::AddressGroup(_)
            | Peer::Tag(_)
            | Peer::ServiceAccount(_) => None,
        },
        End::Name(_) | End::SelfGroup => None,
    }
}

impl HostRules {
    /// The lines of SuSEfirewall2's file, which knows no sources.
    pub fn suse(&self, render: &Render) -> String {
        let mut out = self.head();
        for (range, traffic) in &self.narrow {
            let _ = writeln!(
                out,
                "# also to every address, since this file knows no sources: {} (asked for {range})",
                list(traffic)
            );
        }
        let all: BTreeSet<Traffic> =
            self.narrow.values().flatten().chain(&self.open).chain(&self.local).copied().collect();
        let ports = |of: Protocol| {
            let ranges = united(&all).into_iter().filter(|traffic| traffic.protocol() == of).filter_map(Traffic::ports);
            let words = ranges.map(|range| match (range.from(), range.to()) {
                (from, to) if from == to => from.to_string(),
                (from, to) => format!("{from}{}{to}", render.range_separator),
            });
            words.collect::<Vec<_>>().join(&render.list_separator)
        };
        let _ = writeln!(out, "# {}", render.file);
        let _ = writeln!(out, "{}=\"{}\"", render.tcp_variable, ports(Protocol::Number(TCP)));
        let _ = writeln!(out, "{}=\"{}\"", render.udp_variable, ports(Protocol::Number(UDP)));
        for (variable, value) in &render.extra {
            let _ = writeln!(out, "{variable}={value}");
        }
        for other in united(&all).into_iter().filter(|traffic| !traffic.protocol().has_ports()) {
            let _ = writeln!(out, "# not among these variables: {other}");
        }
        let _ = writeln!(out, "# then run: {}", render.apply);
        out
    }

    /// Commands for firewalld's default zone.
    pub fn firewalld(&self) -> String {
        let mut out = self.head();
        for traffic in united(&self.open) {
            let what = match traffic.ports() {
                Some(_) => format!("--add-port={}", port_and_protocol(traffic)),
                None => format!("--add-protocol={}", traffic.protocol().contract_word()),
            };
            let _ = writeln!(out, "firewall-cmd --permanent {what}");
        }
        for (range, traffic) in &self.narrow {
            let family = if range.family() == Family::Ipv6 { "ipv6" } else { "ipv4" };
            for traffic in united(traffic) {
                let what = match traffic.ports() {
                    Some(_) => {
                        let (port, protocol) = (ports(traffic), traffic.protocol().contract_word());
                        format!("port port=\"{port}\" protocol=\"{protocol}\"")
                    }
                    None => format!("protocol value=\"{}\"", traffic.protocol().contract_word()),
                };
                let rule = format!("rule family=\"{family}\" source address=\"{range}\" {what} accept");
                let _ = writeln!(out, "firewall-cmd --permanent --add-rich-rule='{rule}'");
            }
        }
        out.push_str("firewall-cmd --reload\n");
        out
    }

    /// A table for nftables: what it doesn't name is dropped on the way in.
    pub fn nftables(&self) -> String {
        let mut out = self.head();
        out.push_str("# everything else that comes in is dropped, SSH too where nothing below lets it in\n");
        out.push_str(
            "table inet rsgsync {\n  chain input {\n    type filter hook input priority filter; policy drop;\n",
        );
        out.push_str("    ct state established,related accept\n    iifname \"lo\" accept\n    meta l4proto { icmp, ipv6-icmp } accept\n");
        for traffic in united(&self.open) {
            let _ = writeln!(out, "    {} accept", nft(traffic));
        }
        for (range, traffic) in &self.narrow {
            let family = if range.family() == Family::Ipv6 { "ip6" } else { "ip" };
            for traffic in united(traffic) {
                let _ = writeln!(out, "    {family} saddr {range} {} accept", nft(traffic));
            }
        }
        out.push_str("  }\n}\n");
        out
    }

    fn head(&self) -> String {
        let mut out = format!("# What nodes of {}/{} must let in.\n", self.cluster, self.group);
        for (who, traffic) in &self.unknown {
            let _ = writeln!(out, "# open to every address, since those of {who} are not known: {}", list(traffic));
        }
        if !self.local.is_empty() {
            let _ = writeln!(out, "# stays on the node: {}", list(&self.local));
        }
        out
    }
}

fn list(traffic: &BTreeSet<Traffic>) -> String {
    united(traffic).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `443` or `30000-32767`.
fn ports(traffic: Traffic) -> String {
    match traffic.ports().map(|range| (range.from(), range.to())) {
        Some((from, to)) if from == to => from.to_string(),
        Some((from, to)) => format!("{from}-{to}"),
        None => String::new(),
    }
}

fn port_and_protocol(traffic: Traffic) -> String {
    format!("{}/{}", ports(traffic), traffic.protocol().contract_word())
}

fn nft(traffic: Traffic) -> String {
    let protocol = traffic.protocol();
    match traffic.ports() {
        Some(_) => format!("{} dport {}", protocol.contract_word(), ports(traffic)),
        None if traffic == Traffic::ALL => String::new(),
        None => format!("meta l4proto {}", protocol.contract_word()),
    }
}

#[cfg(test)]
mod tests;

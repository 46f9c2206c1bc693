//! The firewall of a node itself, from the flows that reach its group.
//!
//! A host knows no groups: a source whose addresses the inventory doesn't have lets every address in, and that is said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::desired::linked_addresses;
use crate::flow::{End, Flow, Flows, multihomed};
use crate::inventory::{Cluster, Inventory, NodeGroup, Peer};
use crate::matrix::{resolved, united, word};
use crate::name::{ClusterName, NodeGroupName};
use crate::profile::Render;
use crate::rule::{Cidr, Direction, Family};
use crate::traffic::{ICMP, ICMPV6, Protocol, TCP, Traffic, UDP, UDPLITE};

/// What a node must let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRules {
    /// Whose nodes.
    pub cluster: ClusterName,
    /// Which of them.
    pub group: NodeGroupName,
    /// From every address of either family.
    open: BTreeSet<Traffic>,
    /// From these ranges alone, which may be every address of one family.
    narrow: BTreeMap<Cidr, BTreeSet<Traffic>>,
    /// Stays on the node.
    local: BTreeSet<Traffic>,
    /// Parties whose addresses are not known, with what is open to every address for their sake.
    unknown: BTreeMap<String, BTreeSet<Traffic>>,
}

/// The rules of a node of `group`: all that its security group lets in but what is `withdrawn`, and what stays on the node.
pub fn host_rules(
    inventory: &Inventory,
    flows: &Flows,
    (cluster, group): (&Cluster, &NodeGroupName),
    withdrawn: &BTreeSet<(Cidr, Traffic)>,
) -> HostRules {
    let mut rules = HostRules {
        cluster: cluster.name.clone(),
        group: group.clone(),
        open: BTreeSet::new(),
        narrow: BTreeMap::new(),
        local: BTreeSet::new(),
        unknown: BTreeMap::new(),
    };
    for flow in &flows.flows {
        let (from, to) = resolved(flow);
        if !is_node(inventory, flow, to, &cluster.name, group) {
            continue;
        }
        if flow.local {
            rules.local.insert(flow.traffic);
            continue;
        }
        match addresses(inventory, flow, cluster, from) {
            Some(ranges) => {
                ranges.into_iter().filter(|range| !withdrawn.contains(&(*range, flow.traffic))).for_each(|range| {
                    rules.narrow.entry(range).or_default().insert(flow.traffic);
                })
            }
            None => {
                rules.open.insert(flow.traffic);
                rules.unknown.entry(word(&cluster.name, from)).or_default().insert(flow.traffic);
            }
        }
    }
    rules.join_families();
    rules
}

/// Whether an end of a flow is, or has, this group.
fn is_node(inventory: &Inventory, flow: &Flow, end: &End, cluster: &ClusterName, group: &NodeGroupName) -> bool {
    match end {
        End::Group(of, named) => of == cluster && named == group,
        End::Peer(name) => match peer(inventory, flow, name) {
            Some(Peer::NodeGroup { cluster: of, group: named }) => {
                of == cluster && named.as_ref().is_none_or(|named| named == group)
            }
            _ => false,
        },
        End::Cidr(_) | End::Name(_) | End::SelfGroup => false,
    }
}

fn peer<'a>(inventory: &'a Inventory, flow: &Flow, name: &str) -> Option<&'a Peer> {
    inventory.clusters.get(&flow.cluster)?.peers.get(name)
}

/// Where packets of this end come from, none where no rule is made for it; `None`: nobody says.
fn addresses(inventory: &Inventory, flow: &Flow, at: &Cluster, end: &End) -> Option<Vec<Cidr>> {
    match end {
        End::Cidr(range) => Some(vec![*range]),
        End::Group(cluster, group) => of_groups(inventory, at, cluster, Some(group)),
        End::Peer(name) => match peer(inventory, flow, name) {
            Some(Peer::Cidrs(ranges)) => Some(ranges.clone()),
            Some(Peer::NodeGroup { cluster, group }) => of_groups(inventory, at, cluster, group.as_ref()),
            Some(_) => None,
            None => Some(Vec::new()),
        },
        End::Name(_) => Some(Vec::new()),
        End::SelfGroup => None,
    }
}

fn of_groups(
    inventory: &Inventory,
    at: &Cluster,
    cluster: &ClusterName,
    group: Option<&NodeGroupName>,
) -> Option<Vec<Cidr>> {
    let cluster = inventory.clusters.get(cluster)?;
    let groups = cluster.groups.values().filter(|of| group.is_none_or(|name| *name == of.name));
    groups.map(|group| of_group(inventory, at, cluster, group)).collect::<Option<Vec<_>>>().map(|all| all.concat())
}

fn of_group(inventory: &Inventory, at: &Cluster, cluster: &Cluster, group: &NodeGroup) -> Option<Vec<Cidr>> {
    let linked = (cluster.network != at.network)
        .then(|| linked_addresses(inventory, Direction::Ingress, at, (cluster, group)))
        .flatten();
    if linked.is_some() {
        return linked;
    }
    let (private, public) = (&group.addresses.private, &group.addresses.public);
    let more = if multihomed(cluster, group) { public.as_slice() } else { &[] };
    (!private.is_empty()).then(|| private.iter().chain(more).copied().collect())
}

impl HostRules {
    /// What every address of both families may is open.
    fn join_families(&mut self) {
        let [v4, v6] = [Cidr::ANY_V4, Cidr::ANY_V6].map(|any| self.narrow.get(&any).cloned().unwrap_or_default());
        self.open.extend(v4.intersection(&v6));
        for any in [Cidr::ANY_V4, Cidr::ANY_V6] {
            self.narrow.entry(any).or_default().retain(|traffic| !self.open.contains(traffic));
        }
        self.narrow.retain(|_, traffic| !traffic.is_empty());
    }

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
        let everything = all.contains(&Traffic::ALL);
        let ports = |of: u8| {
            let of = Protocol::Number(of);
            let whole = everything.then(|| Traffic::whole(of));
            let named = united(&all).into_iter().filter(|traffic| traffic.protocol() == of).chain(whole);
            let words = named.filter_map(Traffic::ports).map(|range| match (range.from(), range.to()) {
                (from, to) if from == to => from.to_string(),
                (from, to) => format!("{from}{}{to}", render.range_separator),
            });
            words.collect::<Vec<_>>().join(&render.list_separator)
        };
        let _ = writeln!(out, "# {}", render.file);
        let _ = writeln!(out, "{}=\"{}\"", render.tcp_variable, ports(TCP));
        let _ = writeln!(out, "{}=\"{}\"", render.udp_variable, ports(UDP));
        for (variable, value) in &render.extra {
            let _ = writeln!(out, "{variable}={value}");
        }
        for other in united(&all) {
            match other.protocol() {
                Protocol::Number(TCP | UDP) => {}
                Protocol::All => out.push_str("# not among these variables: every other protocol\n"),
                Protocol::Number(_) => {
                    let _ = writeln!(out, "# not among these variables: {other}");
                }
            }
        }
        let _ = writeln!(out, "# then run: {}", render.apply);
        out
    }

    /// Commands for firewalld's default zone.
    pub fn firewalld(&self) -> String {
        let mut out = self.head();
        for traffic in united(&self.open) {
            firewalld_open(&mut out, traffic);
        }
        for (range, traffic) in &self.narrow {
            for traffic in united(traffic) {
                rich(&mut out, range.family(), Some(*range), traffic);
            }
        }
        out.push_str("firewall-cmd --reload\n");
        out
    }

    /// A table for nftables: what it doesn't name is dropped on the way in.
    pub fn nftables(&self) -> String {
        let mut out = self.head();
        out.push_str("# everything else that comes in is dropped, SSH too where nothing below lets it in\n");
        out.push_str(NFT_CHAIN);
        for traffic in united(&self.open) {
            let words: Vec<String> = nft(traffic).into_iter().chain(["accept".to_owned()]).collect();
            let _ = writeln!(out, "    {}", words.join(" "));
        }
        for (range, traffic) in &self.narrow {
            let source = match *range {
                Cidr::ANY_V4 => "meta nfproto ipv4".to_owned(),
                Cidr::ANY_V6 => "meta nfproto ipv6".to_owned(),
                range if range.family() == Family::Ipv6 => format!("ip6 saddr {range}"),
                range => format!("ip saddr {range}"),
            };
            for traffic in united(traffic) {
                if is_foreign(range.family(), traffic) {
                    let _ = writeln!(out, "    # no such packets: {traffic} from {range}");
                    continue;
                }
                let words: Vec<String> =
                    [source.clone()].into_iter().chain(nft(traffic)).chain(["accept".to_owned()]).collect();
                let _ = writeln!(out, "    {}", words.join(" "));
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

/// The chain's beginning. The table is made before it is removed, so that the file can be loaded any number of times.
///
/// Source of the types: RFC 4890, 4.4.1; RFC 792.
const NFT_CHAIN: &str = "\
table inet rsgsync
delete table inet rsgsync
table inet rsgsync {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname \"lo\" accept
    # from everyone, whatever is asked for: without ICMP's errors large packets get lost, without neighbour discovery no IPv6 works
    icmp type { 3, 11, 12 } accept
    icmpv6 type { 1-4, 130-136, 143 } accept
";

/// What a packet of this traffic matches; `None`: each does.
fn nft(traffic: Traffic) -> Option<String> {
    let protocol = traffic.protocol();
    Some(match (protocol, traffic.icmp_type_code()) {
        (Protocol::All, _) => return None,
        (Protocol::Number(number), Some((Some(kind), code))) => {
            let word = if number == ICMPV6 { "icmpv6" } else { "icmp" };
            let code = code.map(|code| format!(" {word} code {code}")).unwrap_or_default();
            format!("{word} type {kind}{code}")
        }
        (Protocol::Number(number), _) if traffic == Traffic::whole(protocol) => format!("meta l4proto {number}"),
        (Protocol::Number(_), _) => format!("{protocol} dport {}", ports(traffic)),
    })
}

/// Whether it is the ICMP of the other family.
fn is_foreign(family: Family, traffic: Traffic) -> bool {
    match traffic.protocol() {
        Protocol::Number(ICMP) => family == Family::Ipv6,
        Protocol::Number(ICMPV6) => family == Family::Ipv4,
        _ => false,
    }
}

/// Lets traffic of both families in.
fn firewalld_open(out: &mut String, traffic: Traffic) {
    let protocol = traffic.protocol();
    let _ = match protocol {
        Protocol::All => {
            rich(out, Family::Ipv4, Some(Cidr::ANY_V4), traffic);
            return rich(out, Family::Ipv6, Some(Cidr::ANY_V6), traffic);
        }
        Protocol::Number(ICMP) => return rich(out, Family::Ipv4, None, traffic),
        Protocol::Number(ICMPV6) => return rich(out, Family::Ipv6, None, traffic),
        Protocol::Number(number) if traffic.ports().is_none() || number == UDPLITE => {
            widened(out, traffic);
            writeln!(out, "firewall-cmd --permanent --add-protocol={number}")
        }
        Protocol::Number(_) => writeln!(out, "firewall-cmd --permanent --add-port={}/{protocol}", ports(traffic)),
    };
}

/// Lets traffic of one family in, from a range where there is one.
fn rich(out: &mut String, family: Family, range: Option<Cidr>, traffic: Traffic) {
    let source = range.map(|range| format!(" source address=\"{range}\"")).unwrap_or_default();
    if is_foreign(family, traffic) {
        let _ = writeln!(out, "# no such packets: {traffic} from {}", range.map(|r| r.to_string()).unwrap_or_default());
        return;
    }
    let what = match traffic.protocol() {
        Protocol::All => String::new(),
        protocol @ Protocol::Number(number) => match (traffic.ports(), icmp_name(traffic)) {
            (Some(_), _) if number != UDPLITE => format!(" port port=\"{}\" protocol=\"{protocol}\"", ports(traffic)),
            (_, Some(name)) => format!(" icmp-type name=\"{name}\""),
            _ => {
                widened(out, traffic);
                format!(" protocol value=\"{number}\"")
            }
        },
    };
    let family = family.as_str();
    let _ = writeln!(out, "firewall-cmd --permanent --add-rich-rule='rule family=\"{family}\"{source}{what} accept'");
}

/// Says where a whole protocol gets in for the sake of a part of it.
fn widened(out: &mut String, traffic: Traffic) {
    if traffic != Traffic::whole(traffic.protocol()) {
        let _ = writeln!(out, "# all of its protocol, since firewalld can't be as narrow as {traffic}:");
    }
}

/// firewalld's name for an ICMP type that is let in with every code there is of it.
fn icmp_name(traffic: Traffic) -> Option<&'static str> {
    let (Protocol::Number(number), (Some(kind), code)) = (traffic.protocol(), traffic.icmp_type_code()?) else {
        return None;
    };
    match (number, kind, code) {
        (ICMP, 8, None | Some(0)) | (ICMPV6, 128, None | Some(0)) => Some("echo-request"),
        (ICMP, 0, None | Some(0)) | (ICMPV6, 129, None | Some(0)) => Some("echo-reply"),
        (ICMP, 3, None) | (ICMPV6, 1, None) => Some("destination-unreachable"),
        (ICMP, 11, None) | (ICMPV6, 3, None) => Some("time-exceeded"),
        (ICMP, 12, None) | (ICMPV6, 4, None) => Some("parameter-problem"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

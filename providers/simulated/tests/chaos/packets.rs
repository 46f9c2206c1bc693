//! An independent reading of a state file: which packets of a small universe get through, one by one.

use std::collections::BTreeSet;

use serde_json::Value;

pub const PORTS: std::ops::RangeInclusive<u64> = 1..=6;
pub const ADDRESSES: [&str; 4] = ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"];
pub const GROUPS: [&str; 4] = ["alpha", "beta", "shared", "other"];

/// One packet: into or out of which group, on what, and who is at the other end (an address or a group).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    pub group: String,
    pub ingress: bool,
    pub protocol: &'static str,
    pub port: u64,
    pub peer: &'static str,
}

pub type Packets = BTreeSet<Packet>;

/// The packets that one rule of a state file lets into or out of `group`.
pub fn of_rule(group: &str, rule: &Value) -> Packets {
    let mut packets = Packets::new();
    for protocol in ["tcp", "udp"] {
        for port in PORTS {
            for peer in ADDRESSES.into_iter().chain(GROUPS) {
                if carries(rule, protocol, port, peer) {
                    let ingress = rule["direction"] == "ingress";
                    packets.insert(Packet { group: group.to_owned(), ingress, protocol, port, peer });
                }
            }
        }
    }
    packets
}

/// The packets that all rules of a state file let through.
pub fn open(state: &Value) -> Packets {
    groups(state).flat_map(|group| rules(group).flat_map(|rule| of_rule(name(group), rule))).collect()
}

pub fn groups(state: &Value) -> impl Iterator<Item = &Value> {
    state["groups"].as_array().into_iter().flatten()
}

pub fn rules(group: &Value) -> impl Iterator<Item = &Value> {
    group["rules"].as_array().into_iter().flatten()
}

pub fn name(group: &Value) -> &str {
    group["name"].as_str().unwrap()
}

fn carries(rule: &Value, protocol: &str, port: u64, peer: &str) -> bool {
    let on_port = match (rule["from_port"].as_u64(), rule["to_port"].as_u64()) {
        (Some(from), Some(to)) => from <= port && port <= to,
        _ => true,
    };
    let at_peer = match rule["peer"]["cidr"].as_str() {
        Some(range) => covers(range, peer),
        None => rule["peer"]["security_group"] == peer,
    };
    (rule["protocol"] == protocol || rule["protocol"] == "all") && on_port && at_peer
}

/// Whether an IPv4 range has the address; a group's name is none.
fn covers(range: &str, address: &str) -> bool {
    let number = |text: &str| text.parse::<std::net::Ipv4Addr>().ok().map(u32::from);
    let (base, length) = range.split_once('/').unwrap();
    let ignored = 32 - length.parse::<u32>().unwrap();
    let prefix = |address: u32| u64::from(address) >> ignored;
    number(address).is_some_and(|address| prefix(address) == prefix(number(base).unwrap()))
}

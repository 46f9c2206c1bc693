//! Rules to permissions and back.

use std::collections::HashMap;

use aws_sdk_ec2::types::{IpPermission, IpRange};
use proptest::prelude::*;
use rsgsync_core::plan::StepRule;
use rsgsync_core::rule::{Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::{PortRange, Protocol, Traffic};

use super::{ACCOUNT, described, group_peer, rule, rule_from};
use crate::translate::{GroupRef, Unsayable, listed, permissions};

/// The permissions of rules that refer to no group, as `protocol from to ranges`.
fn said(rules: &[StepRule]) -> Vec<String> {
    let permissions = permissions(rules, &HashMap::new(), &Atoms::new()).unwrap();
    let ports = |port: Option<i32>| port.map_or("none".to_owned(), |p| p.to_string());
    permissions
        .iter()
        .map(|p| {
            let ranges: Vec<&str> = p.ip_ranges().iter().filter_map(|r| r.cidr_ip()).collect();
            let protocol = p.ip_protocol().unwrap_or_default();
            format!("{protocol} {} {} {}", ports(p.from_port()), ports(p.to_port()), ranges.join(","))
        })
        .collect()
}

fn heard(protocol: &str, from: Option<i32>, to: Option<i32>) -> String {
    let permission = IpPermission::builder()
        .ip_protocol(protocol)
        .set_from_port(from)
        .set_to_port(to)
        .ip_ranges(IpRange::builder().cidr_ip("10.0.0.0/8").build())
        .build();
    listed(&permission, Direction::Ingress, ACCOUNT, &mut Atoms::new()).unwrap()[0].rule.traffic.to_string()
}

#[test]
fn protocols_are_said_as_ec2_wants_them() {
    for (traffic, expected) in [
        ("22-25/tcp", "tcp 22 25 10.0.0.0/8"),
        ("udp", "udp 0 65535 10.0.0.0/8"),
        ("icmp", "icmp -1 -1 10.0.0.0/8"),
        ("icmp/3", "icmp 3 -1 10.0.0.0/8"),
        ("icmp/8/0", "icmp 8 0 10.0.0.0/8"),
        ("icmpv6/128/0", "icmpv6 128 0 10.0.0.0/8"),
        ("esp", "50 -1 -1 10.0.0.0/8"),
        ("ipip", "4 -1 -1 10.0.0.0/8"),
        ("all", "-1 none none 10.0.0.0/8"),
    ] {
        assert_eq!(said(&[rule(traffic, "10.0.0.0/8")]), [expected], "{traffic}");
    }
}

#[test]
fn every_spelling_of_ec2_is_understood() {
    for (protocol, from, to, expected) in [
        ("-1", None, None, "all"),
        ("-1", Some(22), Some(22), "all"),
        ("6", Some(22), Some(22), "22/tcp"),
        ("tcp", None, None, "tcp"),
        ("tcp", Some(-1), Some(-1), "tcp"),
        ("udp", Some(0), Some(65535), "udp"),
        ("58", Some(128), Some(-1), "icmpv6/128"),
        ("icmp", Some(-1), Some(-1), "icmp"),
        ("icmpv6", None, None, "icmpv6"),
        ("50", Some(22), Some(22), "esp"),
        ("132", Some(22), Some(22), "sctp"),
    ] {
        assert_eq!(heard(protocol, from, to), expected, "{protocol} {from:?} {to:?}");
    }
}

#[test]
fn rules_of_one_traffic_share_a_permission() {
    let rules = [rule("22/tcp", "10.0.0.0/8"), rule("23/tcp", "10.0.0.0/8"), rule("22/tcp", "11.0.0.0/8")];
    assert_eq!(said(&rules), ["tcp 22 22 10.0.0.0/8,11.0.0.0/8", "tcp 23 23 10.0.0.0/8"]);
}

#[test]
fn ports_of_sctp_are_refused_because_aws_would_open_all() {
    let rules = [rule("5000/sctp", "10.0.0.0/8")];
    let error = permissions(&rules, &HashMap::new(), &Atoms::new()).unwrap_err();
    assert!(matches!(error, Unsayable::Wider(..)));
    assert_eq!(said(&[rule("sctp", "10.0.0.0/8")]), ["132 -1 -1 10.0.0.0/8"]);
}

#[test]
fn another_clouds_peers_are_refused() {
    let mut atoms = Atoms::new();
    let peer = RulePeer::Opaque(PeerKind::ServiceAccount, atoms.intern("x"), Family::Both);
    assert!(permissions(&[rule_from("22/tcp", peer)], &HashMap::new(), &atoms).is_err());
}

#[test]
fn another_accounts_group_is_said_with_its_account() {
    let mut atoms = Atoms::new();
    let peer = group_peer(&mut atoms, "444455556666/sg-2");
    let groups =
        [(peer.group().unwrap(), GroupRef { id: "sg-2".to_owned(), account: Some("444455556666".to_owned()) })].into();
    let said = permissions(&[described(rule_from("22/tcp", peer), "theirs")], &groups, &atoms).unwrap();
    let pair = &said[0].user_id_group_pairs()[0];
    assert_eq!(
        (pair.group_id(), pair.user_id(), pair.description()),
        (Some("sg-2"), Some("444455556666"), Some("theirs"))
    );
}

fn traffics() -> impl Strategy<Value = Traffic> {
    let ports = (any::<u16>(), any::<u16>()).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap());
    prop_oneof![
        Just(Traffic::ALL),
        ports.clone().prop_map(Traffic::tcp),
        ports.prop_map(Traffic::udp),
        (any::<bool>(), any::<Option<u8>>(), any::<Option<u8>>()).prop_map(|(v6, t, c)| Traffic::icmp(v6, t, c)),
        any::<u8>().prop_map(|number| Traffic::whole(Protocol::Number(number))),
    ]
}

/// Ranges, and groups and prefix lists by their place in [`PEERS`].
fn peers() -> impl Strategy<Value = (Option<Cidr>, usize)> {
    let range = prop_oneof![
        (any::<u32>(), 0..=32u8).prop_map(|(ip, len)| format!("{}/{len}", std::net::Ipv4Addr::from(ip))),
        (any::<u128>(), 0..=128u8).prop_map(|(ip, len)| format!("{}/{len}", std::net::Ipv6Addr::from(ip))),
    ];
    (proptest::option::of(range.prop_map(|text| Cidr::parse(&text).unwrap())), 0..PEERS.len())
}

const PEERS: [(PeerKind, &str); 4] = [
    (PeerKind::Group, "sg-1"),
    (PeerKind::Group, "sg-2"),
    (PeerKind::Group, "444455556666/sg-3"),
    (PeerKind::PrefixList, "pl-1"),
];

proptest! {
    /// What is said to EC2 reads back as the same rules with the same descriptions, whatever shares a permission.
    #[test]
    fn rules_survive_the_way_to_ec2_and_back(wanted in proptest::collection::vec((traffics(), peers(), "[a-z]{0,5}"), 0..20)) {
        let mut atoms = Atoms::new();
        let mut groups = HashMap::new();
        let mut rules: Vec<StepRule> = Vec::new();
        for (traffic, (range, n), description) in wanted {
            let (kind, text) = PEERS[n];
            let peer = range.map_or_else(|| RulePeer::Opaque(kind, atoms.intern(text), Family::Both), RulePeer::Addresses);
            if let Some(atom) = peer.group() {
                let (account, id) = text.split_once('/').map_or((None, text), |(a, id)| (Some(a.to_owned()), id));
                groups.insert(atom, GroupRef { id: id.to_owned(), account });
            }
            rules.push(described(StepRule::plain(Rule { direction: Direction::Ingress, peer, traffic }), &description));
        }
        let said = permissions(&rules, &groups, &atoms).unwrap();
        let mut back: Vec<(Rule, String)> = Vec::new();
        for permission in &said {
            let heard = listed(permission, Direction::Ingress, ACCOUNT, &mut atoms).unwrap();
            back.extend(heard.into_iter().map(|l| (l.rule, l.description)));
        }
        let mut sent: Vec<(Rule, String)> = rules.into_iter().map(|r| (r.rule, r.description)).collect();
        sent.sort();
        back.sort();
        prop_assert_eq!(sent, back);
        let traffics: std::collections::BTreeSet<(Option<&str>, Option<i32>, Option<i32>)> =
            said.iter().map(|p| (p.ip_protocol(), p.from_port(), p.to_port())).collect();
        prop_assert_eq!(traffics.len(), said.len(), "no two permissions of one traffic");
    }
}

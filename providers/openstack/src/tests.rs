//! Neutron's spellings against core's rules, and its refusals against what the engine is told.

use std::time::Duration;

use proptest::prelude::*;
use rsgsync_core::name::{GroupMark, Mark, Origin};
use rsgsync_core::rule::{Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::{PortRange, Protocol, Traffic};
use rsgsync_engine::ErrorKind;
use serde_json::{Value, json};

use crate::api::Answer;
use crate::error::refused;
use crate::marks::{group_marks, tag, tags_of, unmarked};
use crate::translate::{Unreadable, rule_of, says, unsayable};
use crate::wire::{Group, Says};

const GROUP: &str = "40bbb9c7-46dc-4147-a093-ef89d89fbd8b";

/// A rule as Neutron lists it; what `fields` leaves out is null.
fn listed(fields: &Value) -> Says {
    let mut rule = json!({
        "direction": "ingress", "ethertype": "IPv4", "protocol": null, "port_range_min": null, "port_range_max": null,
        "remote_ip_prefix": null, "remote_group_id": null, "remote_address_group_id": null, "normalized_cidr": null
    });
    rule.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(rule).unwrap()
}

fn read(fields: &Value) -> Result<Rule, Unreadable> {
    rule_of(&listed(fields), &mut Atoms::new())
}

fn traffic_of(fields: &Value) -> String {
    read(fields).unwrap().traffic.to_string()
}

fn peer_of(fields: &Value) -> RulePeer {
    read(fields).unwrap().peer
}

#[test]
fn null_is_everything_of_its_family() {
    assert_eq!(peer_of(&json!({})), RulePeer::Addresses(Cidr::ANY_V4));
    assert_eq!(peer_of(&json!({ "ethertype": "IPv6" })), RulePeer::Addresses(Cidr::ANY_V6));
    assert_eq!(traffic_of(&json!({})), "all");
}

#[test]
fn host_bits_are_folded() {
    assert_eq!(
        peer_of(&json!({ "remote_ip_prefix": "10.1.2.3/8" })),
        peer_of(&json!({ "remote_ip_prefix": "10.0.0.0/8" }))
    );
}

#[test]
fn protocols_are_known_by_name_and_number() {
    for (protocol, family, wanted) in [
        ("tcp", "IPv4", "tcp"),
        ("6", "IPv4", "tcp"),
        ("17", "IPv6", "udp"),
        ("ipip", "IPv4", "ipip"),
        ("4", "IPv4", "ipip"),
        ("94", "IPv4", "proto/94"),
        ("vrrp", "IPv4", "proto/112"),
        ("ipv6-icmp", "IPv6", "icmpv6"),
        ("icmp", "IPv6", "icmpv6"),
        ("icmp", "IPv4", "icmp"),
        ("esp", "IPv4", "esp"),
        ("255", "IPv4", "proto/255"),
    ] {
        assert_eq!(
            traffic_of(&json!({ "protocol": protocol, "ethertype": family })),
            wanted,
            "{protocol} over {family}"
        );
    }
    assert!(matches!(read(&json!({ "protocol": "foo" })), Err(Unreadable::Protocol(_))));
}

#[test]
fn ports_and_icmp_types() {
    let rule = |protocol: &str, min: Value, max: Value| json!({ "protocol": protocol, "port_range_min": min, "port_range_max": max });
    for (fields, wanted) in [
        (rule("tcp", json!(2379), json!(2380)), "2379-2380/tcp"),
        (rule("tcp", json!(null), json!(null)), "tcp"),
        // Neutron refuses each beside the other as a duplicate.
        (rule("tcp", json!(1), json!(65535)), "tcp"),
        (rule("132", json!(38412), json!(38412)), "38412/sctp"),
        (rule("dccp", json!(5001), json!(5001)), "5001/dccp"),
        (rule("dccp", json!(null), json!(null)), "dccp"),
        (rule("136", json!(1), json!(9)), "1-9/udplite"),
        (rule("icmp", json!(8), json!(0)), "icmp/8/0"),
        (rule("icmp", json!(8), json!(null)), "icmp/8"),
        (rule("icmp", json!(0), json!(0)), "icmp/0/0"),
    ] {
        assert_eq!(traffic_of(&fields), wanted);
    }
}

#[test]
fn ports_of_a_protocol_without_ports_are_not_taken_for_all_of_it() {
    let esp = json!({ "protocol": "esp", "port_range_min": 22, "port_range_max": 22 });
    assert!(matches!(read(&esp), Err(Unreadable::Ports { .. })));
}

#[test]
fn what_neutron_has_no_rule_for_is_said() {
    let from = |traffic: &str, cidr: &str| Rule {
        direction: Direction::Ingress,
        peer: RulePeer::Addresses(Cidr::parse(cidr).unwrap()),
        traffic: Traffic::parse(traffic).unwrap(),
    };
    let why = |rule: Rule| unsayable(&rule).map(|why| why.to_string());
    assert_eq!(why(from("22/tcp", "10.0.0.0/8")), None);
    assert_eq!(why(from("tcp", "10.0.0.0/8")), None);
    assert_eq!(why(from("icmp/8", "10.0.0.0/8")), None);
    assert_eq!(why(from("0-1023/tcp", "10.0.0.0/8")).unwrap(), "OpenStack has no port 0: 0-1023/tcp");
    assert!(why(from("1-65535/udp", "10.0.0.0/8")).unwrap().contains("1-65535/udp"));
    assert_eq!(why(from("icmp", "2001:db8::/32")).unwrap(), "OpenStack has no rules for icmp over IPv6");
    let mut atoms = Atoms::new();
    let list = RulePeer::Opaque(PeerKind::PrefixList, atoms.intern("pl-1"), Family::Both);
    assert_eq!(why(Rule { peer: list, ..from("22/tcp", "::/0") }).unwrap(), "OpenStack has no rules for prefix lists");
}

prop_compose! {
    fn traffics()(kind in 0..5, number in any::<u8>(), from in any::<u16>(), to in any::<u16>(), code in any::<Option<u8>>())
        -> Traffic {
        let ports = PortRange::new(from.min(to), from.max(to)).unwrap();
        match kind {
            0 => Traffic::ALL,
            1 => Traffic::tcp(ports),
            2 => Traffic::udp(ports),
            3 => Traffic::icmp(number % 2 == 0, code.map(|_| number), code),
            _ => Traffic::on_ports(Protocol::Number(number), ports),
        }
    }
}

prop_compose! {
    fn rules(atoms: Atoms)(
        ingress in any::<bool>(), traffic in traffics(), v6 in any::<bool>(), kind in 0..4, bits in any::<u128>(), length in 0..=32u8
    ) -> Rule {
        let family = if v6 { Family::Ipv6 } else { Family::Ipv4 };
        let address: std::net::IpAddr =
            if v6 { std::net::Ipv6Addr::from(bits).into() } else { std::net::Ipv4Addr::from(bits as u32).into() };
        let peer = match kind {
            0 => RulePeer::Opaque(PeerKind::Group, atoms.get(GROUP).unwrap(), family),
            1 => RulePeer::Opaque(PeerKind::AddressGroup, atoms.get("ag").unwrap(), family),
            _ => RulePeer::Addresses(Cidr::parse(&format!("{address}/{length}")).unwrap()),
        };
        Rule { direction: if ingress { Direction::Ingress } else { Direction::Egress }, peer, traffic }
    }
}

fn known() -> Atoms {
    let mut atoms = Atoms::new();
    atoms.intern(GROUP);
    atoms.intern("ag");
    atoms
}

proptest! {
    #[test]
    fn rules_survive_the_way_to_neutron_and_back(rule in rules(known())) {
        let mut atoms = known();
        let said = says(&rule, &atoms, |atom| Some(atoms.text(atom).to_owned()));
        match said {
            Err(why) => prop_assert_eq!(Some(why), unsayable(&rule)),
            Ok(said) => {
                prop_assert_eq!(unsayable(&rule), None);
                let sent: Says = serde_json::from_value(serde_json::to_value(&said).unwrap()).unwrap();
                prop_assert_eq!(rule_of(&sent, &mut atoms), Ok(rule));
            }
        }
    }
}

fn group(description: &str, tags: &[&str]) -> Group {
    serde_json::from_value(json!({ "id": GROUP, "name": "nodes", "description": description, "tags": tags })).unwrap()
}

fn mark(text: &str, origin: Origin) -> GroupMark {
    GroupMark { mark: Mark::parse(text).unwrap(), origin }
}

#[test]
fn marks_are_read_from_description_and_tags() {
    let both = group("nodes rsgsync:platform/prod made", &["env=prod", "rsgsync:web:shop:joined"]);
    assert_eq!(group_marks(&both), [mark("platform/prod", Origin::Made), mark("web/shop", Origin::Joined)]);
}

#[test]
fn the_origin_that_permits_most_counts() {
    let twice = group("", &["rsgsync:platform:prod:joined", "rsgsync:platform:prod:adopted"]);
    assert_eq!(group_marks(&twice), [mark("platform/prod", Origin::Adopted)]);
}

#[test]
fn tags_that_are_no_marks_are_nobody_s() {
    let others =
        group("", &["rsgsync", "rsgsync:platform", "rsgsync:platform:prod", "rsgsync:Platform:prod:made", "x:y:z"]);
    // `rsgsync:platform:prod` has no origin: it would be read as owner `platform` without a cluster.
    assert_eq!(group_marks(&others), []);
    let unknown = group("", &["rsgsync:platform:prod:borrowed"]);
    assert_eq!(group_marks(&unknown), [mark("platform/prod", Origin::Joined)]);
}

#[test]
fn marks_are_taken_off_and_the_rest_stays() {
    let prod = Mark::parse("platform/prod").unwrap();
    assert_eq!(tag(&prod, Origin::Joined), "rsgsync:platform:prod:joined");
    let marked = group(
        "nodes rsgsync:platform/prod made",
        &["env=prod", "rsgsync:platform:prod:joined", "rsgsync:web:shop:made"],
    );
    let marks = [prod];
    assert_eq!(tags_of(&marked, &marks).collect::<Vec<_>>(), ["rsgsync:platform:prod:joined"]);
    assert_eq!(unmarked(&marked, &marks).as_deref(), Some("nodes"));
    assert_eq!(unmarked(&group("nodes", &[]), &marks), None);
}

fn answer(status: u16, body: &str, retry_after: Option<u64>) -> Answer {
    let (retry_after, body) = (retry_after.map(Duration::from_secs), body.as_bytes().to_vec());
    Answer { status, request_id: Some("req-1".to_owned()), retry_after, body }
}

/// Answers of the measured Neutron and of what may stand in front of it.
#[test]
fn refusals_say_what_the_engine_does() {
    let over = r#"{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['security_group'].", "detail": ""}}"#;
    let bug = r#"{"NeutronError": {"type": "HTTPInternalServerError", "message": "Request Failed: internal server error while processing your request.", "detail": ""}}"#;
    let denied = r#"{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}"#;
    for (answer, kind, code) in [
        (answer(409, over, None), ErrorKind::Final, "OverQuota"),
        (answer(500, bug, None), ErrorKind::Transient, "HTTPInternalServerError"),
        (answer(503, "<html>busy</html>", Some(7)), ErrorKind::Throttled(Some(Duration::from_secs(7))), ""),
        (answer(503, "<html>busy</html>", None), ErrorKind::Transient, ""),
        (answer(429, "", Some(2)), ErrorKind::Throttled(Some(Duration::from_secs(2))), ""),
        (answer(429, "", None), ErrorKind::Throttled(None), ""),
        (answer(401, denied, None), ErrorKind::Final, "Unauthorized"),
        (answer(404, "", None), ErrorKind::Final, ""),
    ] {
        let refused = refused("reading".to_owned(), &answer);
        assert_eq!((refused.error.kind, refused.code.as_str()), (kind, code), "{answer:?}");
        assert_eq!(refused.error.request_id.as_deref(), Some("req-1"));
    }
}

#[test]
fn refusals_give_neutron_s_words_and_a_way_out() {
    let stale = r#"{"NeutronError": {"type": "RevisionNumberConstraintFailed", "message": "Constrained to 11, but current revision is 12", "detail": ""}}"#;
    let error = refused("deleting security group `nodes`".to_owned(), &answer(412, stale, None)).error;
    assert_eq!(error.kind, ErrorKind::Final);
    assert_eq!(
        error.to_string(),
        "deleting security group `nodes`: RevisionNumberConstraintFailed: Constrained to 11, but current revision is 12 \
         (request req-1)"
    );
    assert!(error.help.unwrap().contains("plan again"));
}

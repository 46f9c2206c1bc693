//! What is read, and what is sent, as JSON; what refusals mean.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use rsgsync_core::rule::{Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::{PortRange, Protocol, Traffic};
use rsgsync_engine::ErrorKind;
use serde_json::{Value, json};

use crate::api::Answer;
use crate::body::{Content, Target, Unsendable, deny};
use crate::error::{failed, refused};
use crate::translate::{Targets, Unreadable, rules_of, unsayable};
use crate::wire::{Firewall, Operation};

const NETWORK: &str = "projects/p/global/networks/default";

fn firewall(fields: Value) -> Firewall {
    serde_json::from_value(fields).unwrap()
}

/// Rules as `ingress 22/tcp 10.0.0.0/8`.
fn spelled(firewall: &Firewall) -> Result<BTreeSet<String>, Unreadable> {
    let mut atoms = Atoms::new();
    let rules = rules_of(firewall, &mut atoms)?;
    let spell = |rule: &Rule| {
        let peer = match rule.peer {
            RulePeer::Addresses(cidr) => cidr.to_string(),
            RulePeer::Opaque(PeerKind::ServiceAccount, atom, _) => format!("account {}", atoms.text(atom)),
            RulePeer::Opaque(_, atom, _) => format!("tag {}", atoms.text(atom)),
        };
        format!("{} {} {peer}", rule.direction.as_str(), rule.traffic)
    };
    Ok(rules.iter().map(spell).collect())
}

fn read(fields: Value) -> Result<BTreeSet<String>, Unreadable> {
    spelled(&firewall(fields))
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_resource_is_every_source_with_everything_it_allows() {
    let rules = read(json!({
        "direction": "INGRESS", "sourceRanges": ["10.0.0.0/8"], "sourceTags": ["web"],
        "allowed": [{ "IPProtocol": "tcp", "ports": ["22", "80-81"] }, { "IPProtocol": "icmp" }],
        "logConfig": { "enable": false }, "enableLogging": false, "whatever": [1],
    }));
    let expected = ["10.0.0.0/8", "tag web"];
    let expected =
        expected.iter().flat_map(|peer| ["22/tcp", "80-81/tcp", "icmp"].map(|t| format!("ingress {t} {peer}")));
    assert_eq!(rules.unwrap(), expected.collect());
    let accounts = json!({ "sourceServiceAccounts": ["a@b.c"], "allowed": [{ "IPProtocol": "all" }] });
    assert_eq!(read(accounts).unwrap(), set(&["ingress all account a@b.c"]));
}

#[test]
fn spellings_order_and_repetitions_are_one_set() {
    let one = read(json!({ "sourceRanges": ["10.1.2.3/8", "2001:0DB8::1/32"], "allowed": [
        { "IPProtocol": "TCP", "ports": ["443", "22-22"] }, { "IPProtocol": "6", "ports": ["22"] }] }));
    let other = read(json!({ "sourceRanges": ["2001:db8::/32", "10.0.0.0/8"], "allowed": [
        { "IPProtocol": "tcp", "ports": ["22"] }, { "IPProtocol": "tcp", "ports": ["443", "22"] }] }));
    assert_eq!(one.unwrap(), other.unwrap());
}

#[test]
fn protocols_have_the_cloud_s_own_numbers() {
    for (word, traffic) in [
        ("tcp", "tcp"),
        ("17", "udp"),
        ("1", "icmp"),
        ("58", "icmpv6"),
        ("esp", "esp"),
        ("50", "esp"),
        ("ah", "ah"),
        ("sctp", "sctp"),
        ("132", "sctp"),
        ("ipip", "proto/94"),
        ("4", "ipip"),
        ("47", "proto/47"),
        ("ALL", "all"),
    ] {
        let rules = read(json!({ "sourceTags": ["web"], "allowed": [{ "IPProtocol": word }] })).unwrap();
        let expected = Traffic::parse(traffic).unwrap();
        assert_eq!(rules, set(&[&format!("ingress {expected} tag web")]), "{word}");
    }
}

#[test]
fn outbound_goes_to_destinations() {
    let rules = read(
        json!({ "direction": "EGRESS", "destinationRanges": ["192.0.2.0/24"], "denied": [{ "IPProtocol": "all" }] }),
    );
    assert_eq!(rules.unwrap(), set(&["egress all 192.0.2.0/24"]));
}

#[test]
fn without_sources_it_is_open_to_everybody() {
    let rules = read(json!({ "allowed": [{ "IPProtocol": "esp" }] }));
    assert_eq!(rules.unwrap(), set(&["ingress esp 0.0.0.0/0"]));
}

#[test]
fn ports_that_google_has_no_rules_for_are_said() {
    let why = |traffic: &str| {
        let peer = RulePeer::Addresses(Cidr::parse("10.0.0.0/8").unwrap());
        unsayable(&Rule { direction: Direction::Ingress, peer, traffic: Traffic::parse(traffic).unwrap() })
    };
    assert_eq!(why("5000/sctp"), None);
    assert_eq!(why("dccp"), None);
    let said = why("5000/dccp").map(|why| why.to_string());
    assert_eq!(said.as_deref(), Some("Google Cloud has no ports but those of tcp, udp and sctp: 5000/dccp"));
}

#[test]
fn what_cannot_be_compared_is_no_rule() {
    let tcp = |ports: &str| json!([{ "IPProtocol": "tcp", "ports": [ports] }]);
    let unreadable = |fields: Value| read(fields).unwrap_err();
    for ports in ["x", "22-", "80-22", "65536"] {
        let error = unreadable(json!({ "sourceTags": ["web"], "allowed": tcp(ports) }));
        assert_eq!(error, Unreadable::Ports { protocol: "tcp".to_owned(), ports: ports.to_owned() });
    }
    let esp = json!([{ "IPProtocol": "esp", "ports": ["22"] }]);
    assert!(matches!(unreadable(json!({ "sourceTags": ["a"], "allowed": esp })), Unreadable::Ports { .. }));
    let word = json!([{ "IPProtocol": "quic" }]);
    assert_eq!(unreadable(json!({ "allowed": word })), Unreadable::Protocol("quic".to_owned()));
    assert_eq!(
        unreadable(json!({ "sourceRanges": ["10.0.0.0/33"], "allowed": tcp("1") })),
        Unreadable::Range("10.0.0.0/33".to_owned())
    );
    let both = json!({ "sourceRanges": ["10.0.0.0/8"], "destinationRanges": ["192.0.2.0/24"], "allowed": tcp("1") });
    assert_eq!(unreadable(both), Unreadable::BothEnds);
    let both = json!({ "direction": "EGRESS", "sourceRanges": ["10.0.0.0/8"], "destinationRanges": ["192.0.2.0/24"], "allowed": tcp("1") });
    assert_eq!(unreadable(both), Unreadable::BothEnds);
    assert_eq!(unreadable(json!({ "direction": "SIDEWAYS", "allowed": tcp("1") })), Unreadable::Direction);
    assert_eq!(unreadable(json!({ "sourceTags": ["a"] })), Unreadable::Nothing);
}

#[test]
fn targets_are_everyone_one_or_several() {
    assert_eq!(firewall(json!({})).targets(), Targets::Everyone);
    assert_eq!(firewall(json!({ "targetTags": ["web"] })).targets(), Targets::One("web"));
    assert_eq!(firewall(json!({ "targetServiceAccounts": ["a@b.c"] })).targets(), Targets::One("a@b.c"));
    assert_eq!(firewall(json!({ "targetTags": ["web", "db"] })).targets(), Targets::Several);
}

/// Rules of a group, from texts like `22/tcp 10.0.0.0/8` and `22/tcp web`.
fn rules(direction: Direction, texts: &[&str], atoms: &mut Atoms) -> BTreeSet<Rule> {
    let rule = |text: &&str| {
        let (traffic, peer) = text.split_once(' ').unwrap();
        let peer = match Cidr::parse(peer) {
            Some(cidr) => RulePeer::Addresses(cidr),
            None => RulePeer::Opaque(PeerKind::Group, atoms.intern(peer), Family::Both),
        };
        Rule { direction, peer, traffic: Traffic::parse(traffic).unwrap() }
    };
    texts.iter().map(rule).collect()
}

fn content(group: &str, direction: Direction, texts: &[&str]) -> Result<Content, Unsendable> {
    let mut atoms = Atoms::new();
    let rules = rules(direction, texts, &mut atoms);
    Content::of(group, &rules, &atoms)
}

#[test]
fn nothing_is_sent_without_a_source_or_a_target() {
    assert_eq!(content("web", Direction::Ingress, &[]).unwrap_err(), Unsendable::Without("sources"));
    assert_eq!(content("", Direction::Ingress, &["22/tcp 10.0.0.0/8"]).unwrap_err(), Unsendable::Without("targets"));
    assert_eq!(Target::new("").unwrap_err(), Unsendable::Without("targets"));
    // An atom of another table has no text.
    let foreign = rules(Direction::Ingress, &["22/tcp web"], &mut Atoms::new());
    assert!(matches!(Content::of("web", &foreign, &Atoms::new()).unwrap_err(), Unsendable::Without(_)));
}

#[test]
fn nothing_is_sent_that_the_cloud_would_take_for_more_or_less() {
    let ingress = |group, texts: &[&str]| content(group, Direction::Ingress, texts).unwrap_err();
    assert_eq!(ingress("web", &["22/tcp 10.0.0.0/8", "80/tcp 192.0.2.0/24"]), Unsendable::NoProduct);
    assert_eq!(ingress("web", &["22/tcp 10.0.0.0/8", "22/tcp 2001:db8::/32"]), Unsendable::Families);
    assert_eq!(ingress("web", &["22/tcp a@b.c"]), Unsendable::Mixed);
    assert_eq!(ingress("a@b.c", &["22/tcp web"]), Unsendable::Mixed);
    for text in ["icmp/8 10.0.0.0/8", "icmp 2001:db8::/32", "icmpv6 10.0.0.0/8"] {
        assert!(matches!(ingress("web", &[text]), Unsendable::Unsayable(_)), "{text}");
    }
    let egress = content("web", Direction::Egress, &["22/tcp db"]);
    assert!(matches!(egress.unwrap_err(), Unsendable::Unsayable(_)));
}

#[test]
fn an_insertion_says_all_that_it_needs() {
    let content =
        content("web", Direction::Ingress, &["22/tcp 10.0.0.0/8", "80-90/tcp 10.0.0.0/8", "esp 10.0.0.0/8"]).unwrap();
    assert_eq!(
        serde_json::to_value(content.insert("name", NETWORK, "why")).unwrap(),
        json!({
            "name": "name", "network": NETWORK, "description": "why", "priority": 1000, "direction": "INGRESS",
            "targetTags": ["web"], "sourceRanges": ["10.0.0.0/8"], "sourceTags": [], "sourceServiceAccounts": [],
            "allowed": [{ "IPProtocol": "tcp", "ports": ["22", "80-90"] }, { "IPProtocol": "esp" }],
        })
    );
}

#[test]
fn a_patch_from_ranges_to_tags_empties_the_ranges_and_leaves_alone_what_cannot_change() {
    let content = content("web", Direction::Ingress, &["22/tcp db", "22/tcp app"]).unwrap();
    assert_eq!(
        serde_json::to_value(content.patch("name", "why")).unwrap(),
        json!({
            "name": "name", "description": "why", "disabled": false, "targetTags": ["web"],
            "sourceRanges": [], "sourceTags": ["app", "db"], "sourceServiceAccounts": [],
            "allowed": [{ "IPProtocol": "tcp", "ports": ["22"] }],
        })
    );
}

#[test]
fn service_accounts_stand_beside_service_accounts() {
    let content = content("a@b.c", Direction::Ingress, &["22/tcp d@e.f", "22/tcp 10.0.0.0/8"]).unwrap();
    let body = serde_json::to_value(content.insert("name", NETWORK, "why")).unwrap();
    assert_eq!(body["targetServiceAccounts"], json!(["a@b.c"]));
    assert_eq!((&body["sourceServiceAccounts"], &body["sourceTags"]), (&json!(["d@e.f"]), &json!([])));
    assert_eq!(body.get("targetTags"), None);
}

#[test]
fn a_deny_of_ours_is_below_everything_and_for_one_group() {
    let target = Target::new("web").unwrap();
    let body = serde_json::to_value(deny(&target, Cidr::ANY_V6, "name", NETWORK, "why")).unwrap();
    assert_eq!(
        body,
        json!({
            "name": "name", "network": NETWORK, "description": "why", "priority": 65534, "direction": "EGRESS",
            "targetTags": ["web"], "destinationRanges": ["::/0"], "denied": [{ "IPProtocol": "all" }],
        })
    );
}

#[test]
fn a_protocol_that_is_there_whole_and_in_part_has_two_entries() {
    let content = content("web", Direction::Ingress, &["tcp db", "22/tcp db"]).unwrap();
    let stored = content.insert("name", NETWORK, "why").stored();
    assert_eq!(
        spelled(&stored).unwrap(),
        set(&[&format!("ingress {} tag db", Traffic::parse("tcp").unwrap()), "ingress 22/tcp tag db"])
    );
}

#[test]
fn order_is_no_other_rule_but_content_and_identity_are() {
    let base = || {
        json!({ "id": "1", "name": "n", "sourceTags": ["a", "b"], "targetTags": ["t"],
        "allowed": [{ "IPProtocol": "tcp", "ports": ["22", "80"] }] })
    };
    let with = |key: &str, value: Value| {
        let mut fields = base();
        fields[key] = value;
        firewall(fields)
    };
    let was = firewall(base());
    assert!(with("sourceTags", json!(["b", "a"])).is_still(&was));
    assert!(with("allowed", json!([{ "IPProtocol": "6", "ports": ["80", "22"] }])).is_still(&was));
    for other in [
        with("id", json!("2")),
        with("sourceTags", json!(["a"])),
        with("sourceRanges", json!(["10.0.0.0/8"])),
        with("targetTags", json!([])),
        with("disabled", json!(true)),
        with("priority", json!(900)),
        with("description", json!("x")),
        with("allowed", json!([{ "IPProtocol": "udp" }])),
    ] {
        assert!(!other.is_still(&was), "{other:?}");
    }
}

prop_compose! {
    fn peer()(kind in 0..3, byte in 0u8..4, length in 8u8..25) -> (u8, String) {
        match kind {
            0 => (0, format!("10.{byte}.0.0/{length}")),
            1 => (0, format!("192.0.{byte}.0/24")),
            _ => (1, ["db", "app", "web", "lb"][usize::from(byte)].to_owned()),
        }
    }
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let number = prop_oneof![Just(6u8), Just(17), Just(132), Just(50), Just(4), Just(94)];
    (number, 0u16..6, 0u16..6).prop_map(|(number, from, more)| {
        let ports = PortRange::new(from, from + more).unwrap_or(PortRange::ALL);
        Traffic::on_ports(Protocol::Number(number), ports)
    })
}

proptest! {
    /// What is sent says exactly the rules that were to be said.
    #[test]
    fn a_product_is_sent_and_read_back(
        peers in prop::collection::btree_set(peer(), 1..5),
        traffic in prop::collection::btree_set(traffic(), 1..5),
        out in any::<bool>(),
    ) {
        let mut atoms = Atoms::new();
        let direction = if out { Direction::Egress } else { Direction::Ingress };
        let peers: BTreeSet<RulePeer> = peers.iter().filter(|(kind, _)| !out || *kind == 0).map(|(kind, text)| match kind {
            0 => RulePeer::Addresses(Cidr::parse(text).unwrap()),
            _ => RulePeer::Opaque(PeerKind::Group, atoms.intern(text), Family::Both),
        }).collect();
        let rules: BTreeSet<Rule> = peers.iter()
            .flat_map(|peer| traffic.iter().map(move |traffic| Rule { direction, peer: *peer, traffic: *traffic }))
            .collect();
        match Content::of("web", &rules, &atoms) {
            Err(error) => prop_assert!(rules.is_empty(), "{}", error),
            Ok(content) => {
                let sent = serde_json::to_value(content.insert("n", NETWORK, "")).unwrap();
                prop_assert_eq!(rules_of(&firewall(sent), &mut atoms).unwrap(), rules.clone());
                prop_assert_eq!(rules_of(&content.patch("n", "").stored(), &mut atoms).unwrap(), rules.clone());
            }
        }
        // One rule less is no product, unless there is but one peer or one kind of traffic.
        if peers.len() > 1 && traffic.len() > 1 {
            let less: BTreeSet<Rule> = rules.iter().skip(1).copied().collect();
            prop_assert_eq!(Content::of("web", &less, &atoms).unwrap_err(), Unsendable::NoProduct);
        }
    }
}

fn answer(status: u16, retry_after: Option<u64>, body: &Value) -> Answer {
    Answer { status, retry_after: retry_after.map(Duration::from_secs), body: body.to_string().into_bytes() }
}

fn kind(status: u16, retry_after: Option<u64>, body: &Value) -> ErrorKind {
    refused("reading".to_owned(), &answer(status, retry_after, body)).error.kind
}

fn reason(reason: &str) -> Value {
    json!({ "error": { "code": 403, "message": "No.", "errors": [{ "message": "No.", "domain": "usageLimits", "reason": reason }] } })
}

#[test]
fn only_refusals_that_time_mends_are_tried_again() {
    let ten = Some(Duration::from_secs(10));
    assert_eq!(kind(403, Some(10), &reason("rateLimitExceeded")), ErrorKind::Throttled(ten));
    let detail = json!({ "error": { "message": "No.", "errors": [{ "reason": "forbidden" }],
        "details": [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED" }] } });
    assert_eq!(kind(403, None, &detail), ErrorKind::Throttled(None));
    assert_eq!(kind(429, Some(10), &Value::Null), ErrorKind::Throttled(ten));
    assert_eq!(kind(503, Some(10), &Value::Null), ErrorKind::Throttled(ten));
    assert_eq!(kind(503, None, &Value::Null), ErrorKind::Transient);
    assert_eq!(kind(500, None, &reason("backendError")), ErrorKind::Transient);
    assert_eq!(kind(400, None, &reason("resourceNotReady")), ErrorKind::Transient);
    for final_one in ["forbidden", "quotaExceeded", "accessNotConfigured", ""] {
        assert_eq!(kind(403, Some(10), &reason(final_one)), ErrorKind::Final, "{final_one}");
    }
    assert_eq!(kind(403, None, &json!("<html>")), ErrorKind::Final);
    for status in [400, 401, 404, 409, 412, 413] {
        assert_eq!(kind(status, None, &reason("x")), ErrorKind::Final, "{status}");
    }
}

#[test]
fn refusals_say_what_the_cloud_said_and_what_to_do() {
    let error = |status, body: &Value| refused("reading".to_owned(), &answer(status, None, body)).error;
    let help = |status, body: &Value| error(status, body).help.unwrap_or_default();
    assert_eq!(error(403, &reason("forbidden")).message, "forbidden: No.");
    assert!(help(403, &reason("forbidden")).contains("roles/compute.securityAdmin"));
    assert!(help(403, &reason("accessNotConfigured")).contains("gcloud services enable compute.googleapis.com"));
    assert!(help(401, &reason("authError")).contains("gcloud auth application-default login"));
    assert!(help(404, &json!("a proxy's page")).contains("project:"));
    assert!(help(400, &json!("a proxy's page")).contains("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"));
}

#[test]
fn an_operation_that_is_done_with_an_error_has_failed() {
    let operation = |fields: Value| {
        let mut all = json!({ "name": "operation-1", "status": "DONE" });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value::<Operation>(all).unwrap()
    };
    assert_eq!(failed("inserting", &operation(json!({}))), None);
    let quota = json!({ "error": { "errors": [{ "code": "QUOTA_EXCEEDED", "message": "Quota 'FIREWALLS' exceeded.  Limit: 5 globally." }] },
        "httpErrorStatusCode": 403, "httpErrorMessage": "FORBIDDEN" });
    let error = failed("inserting", &operation(quota)).unwrap();
    assert_eq!(error.kind, ErrorKind::Final);
    assert_eq!(
        error.to_string(),
        "inserting: QUOTA_EXCEEDED: Quota 'FIREWALLS' exceeded.  Limit: 5 globally. (request operation-1)"
    );
    let busy = json!({ "error": { "errors": [{ "code": "RESOURCE_NOT_READY", "message": "x" }] } });
    assert_eq!(failed("inserting", &operation(busy)).unwrap().kind, ErrorKind::Transient);
    let silent = json!({ "error": {}, "httpErrorStatusCode": 500 });
    assert_eq!(failed("inserting", &operation(silent)).unwrap().kind, ErrorKind::Transient);
}

//! Short spellings of rules, groups and steps, for tests.

use proptest::prelude::*;

use crate::desired::DesiredRule;
use crate::flow::Reason;
use crate::name::{ClusterName, GroupId, GroupMark, GroupName, Mark, NetworkName, Origin, RuleId};
use crate::observed::{ObservedGroup, ObservedRule};
use crate::pack::{Dialect, QuotaCount};
use crate::plan::{Action, Step, StepId, StepRule};
use crate::rule::{Atom, Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use crate::traffic::{PortRange, Protocol, Traffic};

/// The names that the spellings know.
pub fn atoms() -> Atoms {
    let mut atoms = Atoms::new();
    for name in ["web", "db", "etcd"] {
        atoms.intern(name);
    }
    atoms
}

pub fn atom(name: &str) -> Atom {
    atoms().get(name).unwrap()
}

/// `22/tcp from 10.0.0.0/8`, `all to 0.0.0.0/0`; a peer is a range, `g:web`, or `g4:web`, `g6:web` for one family.
pub fn rule(text: &str) -> Rule {
    let (direction, (traffic, peer)) = match text.split_once(" from ") {
        Some(parts) => (Direction::Ingress, parts),
        None => (Direction::Egress, text.split_once(" to ").unwrap()),
    };
    let group = |name, family| RulePeer::Opaque(PeerKind::Group, atom(name), family);
    let peer = match peer.split_once(':') {
        Some(("g", name)) => group(name, Family::Both),
        Some(("g4", name)) => group(name, Family::Ipv4),
        Some(("g6", name)) => group(name, Family::Ipv6),
        _ => RulePeer::Addresses(Cidr::parse(peer).unwrap()),
    };
    Rule { direction, peer, traffic: Traffic::parse(traffic).unwrap() }
}

pub fn rules(texts: &[&str]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = texts.iter().map(|t| rule(t)).collect();
    rules.sort();
    rules
}

pub fn reason(why: &str) -> Reason {
    Reason { cluster: ClusterName::new("prod").unwrap(), profile: "p@1".into(), row: "r".into(), why: why.into() }
}

pub fn desired(texts: &[&str]) -> Vec<DesiredRule> {
    rules(texts).into_iter().map(|rule| DesiredRule { rule, reasons: [reason("because")].into() }).collect()
}

/// Rules as a cloud lists them; `… # platform/prod, other/x` gives a rule its marks.
pub fn group(name: &str, texts: &[&str], made: bool) -> ObservedGroup {
    let rules = texts.iter().enumerate().map(|(i, text)| {
        let (text, marks) = text.split_once(" # ").unwrap_or((text, ""));
        ObservedRule {
            rule: rule(text),
            id: RuleId::new(&format!("sgr-{i}")).ok(),
            description: String::new(),
            marks: marks.split(", ").filter_map(Mark::parse).collect(),
            weight: 1,
            resource: None,
        }
    });
    let mark = GroupMark { mark: Mark::parse("platform/prod").unwrap(), origin: Origin::Made };
    ObservedGroup {
        atom: atom(name),
        id: GroupId::new(&format!("sg-{name}")).unwrap(),
        name: GroupName::new(name).unwrap(),
        description: String::new(),
        marks: if made { vec![mark] } else { Vec::new() },
        revision: None,
        rules: rules.collect(),
        resources: Vec::new(),
    }
}

pub fn network() -> NetworkName {
    NetworkName::new("eu").unwrap()
}

/// A step on a group, with its dependencies.
pub fn step(id: u32, group: &str, action: Action, adds: &[&str], removes: &[&str], depends_on: &[u32]) -> Step {
    let of = |texts: &[&str]| texts.iter().map(|t| StepRule::plain(rule(t))).collect::<Vec<_>>();
    Step {
        id: StepId(id),
        network: network(),
        group: atom(group),
        direction: None,
        action,
        depends_on: depends_on.iter().map(|id| StepId(*id)).collect(),
        resource: None,
        adds: of(adds),
        removes: of(removes),
        group_marks: Vec::new(),
        group_unmarks: Vec::new(),
        description: None,
    }
}

/// What AWS's rules can say.
pub fn aws_like() -> Dialect {
    Dialect {
        references_match_both: true,
        default_rules: vec![rule("all to 0.0.0.0/0")],
        description_alphabet: Some(" ._-:/()#,@[]+=&;{}!$*"),
        description_length: 255,
        marks_in_description: false,
        quota: QuotaCount::ByDirectionAndFamily,
        delete_cascades: false,
        updates_descriptions: true,
        groups_are_implicit: false,
    }
}

/// Rules of a small universe: 16 ports of two protocols, 16 addresses of each family, 3 groups.
pub fn small_rule() -> impl Strategy<Value = Rule> {
    let ports = (0u16..16, 0u16..16).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap());
    let traffic = (prop_oneof![3 => Just("tcp"), 2 => Just("udp"), 1 => Just("all")], ports)
        .prop_map(|(protocol, ports)| Traffic::on_ports(Protocol::parse(protocol).unwrap(), ports));
    let peer = prop_oneof![
        (0u32..16, 28u8..=32).prop_map(|(a, len)| format!("10.0.0.{a}/{len}")),
        (0u32..16, 124u8..=128).prop_map(|(a, len)| format!("fd00::{a:x}/{len}")),
        prop_oneof![Just("g:web"), Just("g:db"), Just("g4:web"), Just("g6:web"), Just("g:etcd")]
            .prop_map(str::to_owned),
    ];
    (traffic, peer).prop_map(|(traffic, peer)| Rule { traffic, ..rule(&format!("tcp from {peer}")) })
}

pub fn small_rules(most: usize) -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(small_rule(), 0..most)
}

/// Cases of each property: `RSGSYNC_CASES`, or as many as the test thinks enough.
#[expect(clippy::disallowed_methods, reason = "a test may be asked for more")]
pub fn cases(enough: u32) -> ProptestConfig {
    let cases = std::env::var("RSGSYNC_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(enough);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

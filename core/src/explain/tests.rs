use super::*;
use crate::desired::desired;
use crate::example::{TODAY, downstream, group as security_group};
use crate::flow::flows;
use crate::observed::{Foreign, Holds, ObservedGroup, Resource};
use crate::pack::Dialect;
use crate::plan::tests::Aws;
use crate::rule::Family;
use crate::testing::{atom, atoms, aws_like, group, rule};

/// `prod` with security groups `etcd`, `db` (its control plane) and `web` (its workers).
fn inventory() -> Inventory {
    let mut inventory = downstream("downstream-node-pools");
    for (name, group) in [("etcd", "etcd"), ("control", "db"), ("workers", "web")] {
        inventory.cluster("prod").group(name).security_group = security_group(group);
    }
    inventory
}

fn ask(inventory: &Inventory, sight: Sight, cloud: &Aws, observed: Observed, words: [&str; 3]) -> Answer {
    let [from, to, port] = words;
    let question = Question::read(inventory, from, to, port).unwrap();
    let flows = flows(inventory, TODAY);
    let desired = desired(inventory, &flows);
    let guards = GuardsInForce::of(&desired, inventory, TODAY);
    let case = Case { inventory, flows: &flows, desired: &desired, guards: &guards, question: &question, sight };
    let read = scopes(&case)
        .into_keys()
        .map(|name| (name, Reading { atoms: atoms(), read: Ok((observed.clone(), cloud as &dyn Pack)) }));
    explain(&case, if sight == Sight::Desired { BTreeMap::new() } else { read.collect() }, |_| &["routes"])
}

/// What a cloud with these groups says.
fn observed(groups: Vec<ObservedGroup>, denies: Vec<Foreign>, words: [&str; 3]) -> Answer {
    let observed = Observed { groups, denies, ..Observed::default() };
    ask(&inventory(), Sight::Both, &Aws(aws_like()), observed, words)
}

fn deny(name: &str, priority: Option<u32>, text: &str) -> Foreign {
    Foreign { name: name.to_owned(), priority, targets: None, rules: vec![rule(text)], certain: true }
}

fn open(name: &str, more: &[&str]) -> ObservedGroup {
    group(name, &[&["all to 0.0.0.0/0"], more].concat(), true)
}

const QUESTION: [&str; 3] = ["prod/workers", "prod/etcd", "22/tcp"];

#[test]
fn both_ends_must_let_it_through() {
    let etcd = || open("etcd", &["22/tcp from g:web"]);
    let verdict = |web: ObservedGroup| observed(vec![etcd(), web], vec![], QUESTION).verdict;
    assert_eq!(verdict(open("web", &[])), Verdict::Allowed);
    assert_eq!(verdict(group("web", &["443/tcp to g:etcd"], true)), Verdict::Denied);
    assert_eq!(verdict(group("web", &["22/tcp to g:etcd"], true)), Verdict::Allowed);
    assert_eq!(verdict(group("web", &["22/tcp to 10.0.0.0/8"], true)), Verdict::Unknown);
}

#[test]
fn ends_come_in_the_packet_s_order() {
    let answer = observed(vec![open("etcd", &[]), open("web", &[])], vec![], QUESTION);
    let ends: Vec<_> = answer.ends.iter().map(|end| (end.security_group.as_str(), end.direction)).collect();
    assert_eq!(ends, [("web", Direction::Egress), ("etcd", Direction::Ingress)]);
    assert_eq!(answer.not_checked, ["routes"]);
}

#[test]
fn what_others_deny_first_is_named() {
    let groups = || {
        let mut etcd = open("etcd", &["22/tcp from g:web"]);
        etcd.rules[1].resource = Some("ours".into());
        etcd.resources = vec![Resource {
            name: "ours".into(),
            direction: Direction::Ingress,
            holds: Holds::Rules,
            disabled: false,
            priority: 1000,
            marks: Vec::new(),
            description: String::new(),
        }];
        vec![etcd, open("web", &[])]
    };
    let denied = |priority| observed(groups(), vec![deny("no-ssh", priority, "22/tcp from 0.0.0.0/0")], QUESTION);
    assert_eq!(denied(Some(1001)).verdict, Verdict::Allowed);
    let answer = denied(Some(1000));
    let hurdle = Hurdle::Denies { name: "no-ssh".to_owned(), priority: Some(1000), certain: true };
    assert_eq!((answer.verdict, &answer.ends[1].hurdles[..]), (Verdict::Denied, &[hurdle][..]));
    assert_eq!(denied(None).verdict, Verdict::Denied);
    let perhaps = Foreign { certain: false, ..deny("no-ssh", None, "22/tcp from 0.0.0.0/0") };
    assert_eq!(observed(groups(), vec![perhaps], QUESTION).verdict, Verdict::Unknown);
    let of_others = Foreign { targets: Some([atom("db")].into()), ..deny("x", Some(1), "22/tcp from 0.0.0.0/0") };
    assert_eq!(observed(groups(), vec![of_others], QUESTION).verdict, Verdict::Allowed);
}

#[test]
fn what_cannot_be_read_may_let_anything_through() {
    let verdict = |disabled, port| {
        let mut etcd = open("etcd", &["22/tcp from g:web"]);
        etcd.resources = vec![Resource {
            name: "odd".into(),
            direction: Direction::Ingress,
            holds: Holds::Unreadable("sources and destinations at once".to_owned()),
            disabled,
            priority: 1000,
            marks: Vec::new(),
            description: String::new(),
        }];
        observed(vec![etcd, open("web", &[])], vec![], [QUESTION[0], QUESTION[1], port])
    };
    assert_eq!(
        (verdict(false, "22/tcp").verdict, verdict(true, "23/tcp").verdict),
        (Verdict::Allowed, Verdict::Denied)
    );
    let answer = verdict(false, "23/tcp");
    let hurdle = Hurdle::UnreadableRule { name: "odd".into(), why: "sources and destinations at once".into() };
    assert_eq!((answer.verdict, &answer.ends[1].hurdles[..]), (Verdict::Unknown, &[hurdle][..]));
}

#[test]
fn what_others_let_through_counts() {
    let all = |targets| Foreign { targets, ..deny("default-allow-ssh", Some(65_534), "22/tcp from 0.0.0.0/0") };
    let observed = |targets| Observed {
        groups: vec![open("etcd", &[]), open("web", &[])],
        allows: vec![all(targets)],
        ..Observed::default()
    };
    let answer = |targets| ask(&inventory(), Sight::Both, &Aws(aws_like()), observed(targets), QUESTION);
    let by = answer(None).ends[1].by[0].resource.clone();
    assert_eq!((answer(None).verdict, by.as_deref()), (Verdict::Allowed, Some("default-allow-ssh")));
    assert_eq!(answer(Some([atom("web"), atom("db")].into())).verdict, Verdict::Denied);
}

#[test]
fn what_we_deny_ourselves_counts() {
    let denial = Resource {
        name: "rsgsync-deny".into(),
        direction: Direction::Egress,
        holds: Holds::Denial(Family::Ipv4),
        disabled: false,
        priority: 65_534,
        marks: Vec::new(),
        description: String::new(),
    };
    let answer = |priority, disabled| {
        let resources = vec![Resource { disabled, ..denial.clone() }];
        let web = ObservedGroup { resources, ..group("web", &[], true) };
        let groups = vec![open("etcd", &["22/tcp from g:web"]), web];
        let allows = vec![deny("theirs", Some(priority), "22/tcp to 0.0.0.0/0")];
        let observed = Observed { groups, allows, ..Observed::default() };
        ask(&inventory(), Sight::Both, &Aws(aws_like()), observed, QUESTION).verdict
    };
    assert_eq!(answer(65_533, false), Verdict::Allowed);
    assert_eq!(answer(65_534, false), Verdict::Denied);
    assert_eq!(answer(65_534, true), Verdict::Allowed);
}

#[test]
fn a_group_that_is_but_a_name_is_there_with_what_every_group_has() {
    let cloud = Aws(Dialect { groups_are_implicit: true, ..aws_like() });
    let etcd = Observed { groups: vec![group("etcd", &["22/tcp from g:web"], true)], ..Observed::default() };
    let answer = ask(&inventory(), Sight::Both, &cloud, etcd.clone(), QUESTION);
    assert_eq!(answer.verdict, Verdict::Allowed, "{answer:?}");
    let answer = ask(&inventory(), Sight::Both, &Aws(aws_like()), etcd, QUESTION);
    assert_eq!((answer.verdict, &answer.ends[0].hurdles[..]), (Verdict::Denied, &[Hurdle::NoGroup][..]));
}

#[test]
fn a_cluster_of_both_families_needs_both() {
    let mut inventory = inventory();
    inventory.cluster("prod").set("ip_family", "dual");
    let verdict = |open: &str| {
        let etcd = group("etcd", &["22/tcp from g:web"], true);
        let web = group("web", &["all to 0.0.0.0/0", open], true);
        let observed = Observed { groups: vec![etcd, web], ..Observed::default() };
        ask(&inventory, Sight::Both, &Aws(aws_like()), observed, QUESTION).verdict
    };
    assert_eq!(verdict("all to ::/0"), Verdict::Allowed);
    assert_eq!(verdict("udp to ::/0"), Verdict::Denied);
}

#[test]
fn what_is_required_is_so_of_node_groups_though_they_share_a_security_group() {
    let mut inventory = inventory();
    for name in ["control", "workers"] {
        inventory.cluster("prod").group(name).security_group = security_group("web");
    }
    let required = |from: &str| {
        let answer =
            ask(&inventory, Sight::Desired, &Aws(aws_like()), Observed::default(), [from, "prod/etcd", "2379/tcp"]);
        (answer.verdict, answer.all_required)
    };
    assert_eq!(required("prod/control"), (Verdict::Allowed, true));
    assert_eq!(required("prod/workers"), (Verdict::Allowed, false), "the rule is for the group that they share");
}

#[test]
fn a_name_that_no_rule_can_hold_is_required_all_the_same() {
    let names = ["mgmt/server", "git.rancher.io", "443/tcp"];
    let answer = ask(&inventory(), Sight::Desired, &Aws(aws_like()), Observed::default(), names);
    assert_eq!((answer.verdict, answer.all_required), (Verdict::Allowed, true), "{answer:?}");
    assert!(answer.rows.iter().all(|row| !row.source.is_empty()) && !answer.rows.is_empty());
}

#[test]
fn traffic_that_stays_on_the_node_needs_no_rule() {
    let mut inventory = inventory();
    inventory.cluster("prod").set("multihomed", "true");
    inventory.cluster("prod").group("etcd").multihomed = Some(false);
    let of = |inventory: &Inventory| {
        let local = flows(inventory, TODAY).flows.into_iter().find(|flow| flow.local);
        local.map(|flow| flow.traffic.to_string())
    };
    let port = of(&inventory).expect("a row of the node's own traffic");
    let words = ["prod/etcd", "prod/control", port.as_str()];
    let answer = ask(&inventory, Sight::Desired, &Aws(aws_like()), Observed::default(), words);
    assert!(!answer.all_required, "it is another group");
    let words = ["prod/control", "prod/control", port.as_str()];
    let answer = ask(&inventory, Sight::Desired, &Aws(aws_like()), Observed::default(), words);
    assert!(answer.all_required && answer.rows.iter().any(|row| row.local), "{answer:?}");
}

#[test]
fn a_stateless_group_is_told() {
    let groups = vec![open("etcd", &["22/tcp from g:web"]), open("web", &[])];
    let observed = Observed { groups, stateless: [atom("etcd")].into(), ..Observed::default() };
    let answer = ask(&inventory(), Sight::Both, &Aws(aws_like()), observed, QUESTION);
    assert_eq!(answer.not_checked[1..], ["answers: etcd is stateless, they need rules of their own"]);
}

#[test]
fn groups_at_both_ends_and_their_peers_are_read() {
    let mut inventory = inventory();
    let balancer = crate::inventory::Peer::SecurityGroup { group: security_group("balancer"), account: None };
    inventory.cluster("prod").peers.insert("balancer".into(), balancer);
    let question = Question::read(&inventory, "balancer", "prod/etcd", "22/tcp").unwrap();
    let flows = flows(&inventory, TODAY);
    let desired = desired(&inventory, &flows);
    let guards = GuardsInForce::default();
    let (inventory, sight) = (&inventory, Sight::Both);
    let scopes =
        scopes(&Case { inventory, flows: &flows, desired: &desired, guards: &guards, question: &question, sight });
    let groups = &scopes.values().next().unwrap().groups;
    let shared: Vec<&str> =
        groups.iter().filter(|g| g.ownership == Some(Ownership::Shared)).map(|g| g.group.as_str()).collect();
    assert_eq!(shared, ["etcd"], "the ids of its rules are told");
    assert!(groups.iter().any(|g| g.group.as_str() == "balancer"));
}

//! The provider against LocalStack: the real SDK, wire format, ids, references and descriptions.
//!
//! Not a proof of atomicity, paging, quotas or throttling, which LocalStack lacks: the replayed answers in `src/tests` are.
//! `AWS_ENDPOINT_URL` says where it listens; without it `localstack/up aws` starts it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

use std::process::Command;
use std::sync::OnceLock;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use rsgsync_aws::Aws;
use rsgsync_core::inventory::{Network, SecurityGroup};
use rsgsync_core::name::{Mark, NetworkName, Origin, Owner};
use rsgsync_core::observed::{Observed, ObservedGroup, Scope, ScopeGroup};
use rsgsync_core::pack::{GroupChanges, Pack, Site};
use rsgsync_core::plan::{Step, StepId, StepRule};
use rsgsync_core::rule::{Atom, Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;
use rsgsync_engine::Cloud;

/// The default VPC of an account of its own.
struct Lab {
    aws: Aws,
    config: SdkConfig,
    atoms: Atoms,
}

fn endpoint() -> &'static str {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    ENDPOINT.get_or_init(|| {
        if let Ok(url) = std::env::var("AWS_ENDPOINT_URL") {
            return url;
        }
        let up = concat!(env!("CARGO_MANIFEST_DIR"), "/../../localstack/up");
        let output = Command::new(up).arg("aws").output().expect("localstack/up runs");
        assert!(output.status.success(), "localstack/up aws: {}", String::from_utf8_lossy(&output.stderr));
        let exports = String::from_utf8(output.stdout).expect("exports are text");
        let line = exports.lines().find_map(|line| line.strip_prefix("export AWS_ENDPOINT_URL="));
        line.expect("localstack/up aws exports AWS_ENDPOINT_URL").trim_matches(['\'', '"']).to_owned()
    })
}

impl Lab {
    /// LocalStack takes a key id of twelve digits as the account, each with a cloud of its own; the time and `test` make one
    /// that no earlier run has used.
    async fn new(test: u32) -> Self {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros();
        let account = format!("{:010}{test:02}", now % 10_000_000_000);
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(endpoint())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(account, "x", None, None, "test")))
            .load()
            .await;
        let network = Network {
            name: NetworkName::new("eu").unwrap(),
            provider: "aws",
            at: serde_json::Map::new(),
            quotas: Default::default(),
            nat: Vec::new(),
            links: Default::default(),
        };
        Self { aws: Aws::with_config(&network, config.clone()).unwrap(), config, atoms: Atoms::new() }
    }

    fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config)
    }

    async fn observe(&mut self, groups: &[&str]) -> Observed {
        let group = |text: &&str| ScopeGroup { group: SecurityGroup::parse(text).unwrap(), ownership: None };
        let scope = Scope {
            owner: Owner::new("platform").unwrap(),
            clusters: ["prod"].iter().filter_map(|c| rsgsync_core::name::ClusterName::new(c).ok()).collect(),
            groups: groups.iter().map(group).collect(),
            marked: false,
            whole: false,
        };
        self.aws.observe(&scope, &mut self.atoms).await.unwrap()
    }

    async fn one(&mut self, group: &str) -> ObservedGroup {
        let mut observed = self.observe(&[group]).await;
        assert_eq!(observed.groups.len(), 1);
        observed.groups.remove(0)
    }

    /// Packs the changes and carries out every call; gives how many there were.
    async fn change(&self, group: Atom, changes: GroupChanges) -> usize {
        let changes = GroupChanges { group: Some(group), ..changes };
        let (observed, atoms) = (Observed::default(), Atoms::new());
        let calls = self.aws.pack(&changes, &Site { group: None, network: &observed, atoms: &atoms });
        let count = calls.len();
        for call in calls {
            let step = Step {
                id: StepId(1),
                network: NetworkName::new("eu").unwrap(),
                group,
                direction: call.direction,
                action: call.action,
                depends_on: Vec::new(),
                resource: call.resource,
                adds: call.adds,
                removes: call.removes,
                group_marks: call.group_marks,
                group_unmarks: call.group_unmarks,
                description: call.description,
                cascade: std::collections::BTreeMap::new(),
            };
            self.aws.execute(&step, &self.atoms).await.unwrap();
        }
        count
    }

    async fn create(&mut self, name: &str) -> Atom {
        let atom = self.atoms.intern(name);
        let changes = GroupChanges {
            create: Some("made by a test".to_owned()),
            group_marks: vec![(mark(), Origin::Made)],
            ..GroupChanges::default()
        };
        self.change(atom, changes).await;
        atom
    }
}

fn mark() -> Mark {
    Mark::parse("platform/prod").unwrap()
}

fn rule(traffic: &str, peer: RulePeer, description: &str) -> StepRule {
    let rule = Rule { direction: Direction::Ingress, peer, traffic: Traffic::parse(traffic).unwrap() };
    StepRule { description: description.to_owned(), marks: vec![mark()], ..StepRule::plain(rule) }
}

fn range(cidr: &str) -> RulePeer {
    RulePeer::Addresses(Cidr::parse(cidr).unwrap())
}

fn opaque(kind: PeerKind, atom: Atom) -> RulePeer {
    RulePeer::Opaque(kind, atom, Family::Both)
}

fn adding(rules: Vec<StepRule>) -> GroupChanges {
    GroupChanges { adds: rules, ..GroupChanges::default() }
}

fn removing(rules: Vec<StepRule>) -> GroupChanges {
    GroupChanges { removes: rules, ..GroupChanges::default() }
}

/// The ingress rules, sorted, as `22/tcp 10.0.0.0/8 "ssh"`.
fn ingress(group: &ObservedGroup, atoms: &Atoms) -> Vec<String> {
    let mut spelled: Vec<String> = group
        .rules
        .iter()
        .filter(|r| r.rule.direction == Direction::Ingress)
        .map(|r| {
            let peer = match r.rule.peer {
                RulePeer::Addresses(cidr) => cidr.to_string(),
                RulePeer::Opaque(_, atom, _) => atoms.text(atom).to_owned(),
            };
            format!("{} {peer} {:?}", r.rule.traffic, r.description)
        })
        .collect();
    spelled.sort();
    spelled
}

#[tokio::test]
async fn from_empty_a_group_is_two_calls_and_reads_back() {
    let mut lab = Lab::new(1).await;
    assert!(lab.observe(&["rancher-nodes"]).await.groups.is_empty());
    let atom = lab.atoms.intern("rancher-nodes");
    let calls = lab.change(
        atom,
        GroupChanges {
            create: Some("nodes".to_owned()),
            group_marks: vec![(mark(), Origin::Made)],
            adds: vec![
                rule("22/tcp", range("0.0.0.0/0"), "ssh"),
                rule("22/tcp", range("2001:db8::/32"), "ssh over IPv6"),
                rule("30000-32767/udp", range("0.0.0.0/0"), ""),
                rule("2379-2380/tcp", opaque(PeerKind::Group, atom), "etcd"),
                rule("icmp/8/0", range("10.0.0.0/8"), "ping"),
                rule("icmpv6", range("2001:db8::/32"), ""),
                rule("esp", range("10.0.0.0/8"), "tunnel"),
            ],
            ..GroupChanges::default()
        },
    );
    assert_eq!(calls.await, 2);
    let group = lab.one("rancher-nodes").await;
    let id = group.id.as_str();
    assert_eq!(
        ingress(&group, &lab.atoms),
        [
            format!("22/tcp 0.0.0.0/0 {:?}", "ssh"),
            format!("22/tcp 2001:db8::/32 {:?}", "ssh over IPv6"),
            format!("2379-2380/tcp {id} {:?}", "etcd"),
            format!("30000-32767/udp 0.0.0.0/0 {:?}", ""),
            format!("esp 10.0.0.0/8 {:?}", "tunnel"),
            format!("icmp/8/0 10.0.0.0/8 {:?}", "ping"),
            format!("icmpv6 2001:db8::/32 {:?}", ""),
        ]
    );
    let egress: Vec<Rule> = group.rules.iter().map(|r| r.rule).filter(|r| r.direction == Direction::Egress).collect();
    assert_eq!(egress, lab.aws.dialect().default_rules);
    assert_eq!((group.marks[0].mark.clone(), group.marks[0].origin), (mark(), Origin::Made));
    assert_eq!(group.description, "nodes");
}

#[tokio::test]
async fn groups_refer_to_each_other_in_a_circle_and_let_go() {
    let mut lab = Lab::new(2).await;
    let (a, b) = (lab.create("a").await, lab.create("b").await);
    lab.change(a, adding(vec![rule("80/tcp", opaque(PeerKind::Group, b), "from b")])).await;
    lab.change(b, adding(vec![rule("80/tcp", opaque(PeerKind::Group, a), "from a")])).await;
    let (seen_a, seen_b) = (lab.one("a").await, lab.one("b").await);
    assert_eq!(ingress(&seen_a, &lab.atoms), [format!("80/tcp {} {:?}", seen_b.id, "from b")]);
    assert_eq!(ingress(&seen_b, &lab.atoms), [format!("80/tcp {} {:?}", seen_a.id, "from a")]);

    lab.change(a, removing(vec![rule("80/tcp", opaque(PeerKind::Group, seen_b.atom), "from b")])).await;
    assert!(ingress(&lab.one("a").await, &lab.atoms).is_empty());
    lab.change(b, GroupChanges { delete: true, ..GroupChanges::default() }).await;
    assert_eq!(lab.observe(&["a", "b"]).await.groups.len(), 1);
}

#[tokio::test]
async fn repeating_every_step_changes_nothing() {
    let mut lab = Lab::new(3).await;
    let group = lab.create("again").await;
    assert_eq!(lab.create("again").await, group);
    let rules = vec![rule("22/tcp", range("10.0.0.0/8"), "ssh"), rule("80/tcp", range("10.0.0.0/8"), "")];
    lab.change(group, adding(rules[..1].to_vec())).await;
    lab.change(group, adding(rules.clone())).await;
    lab.change(group, adding(rules.clone())).await;
    assert_eq!(ingress(&lab.one("again").await, &lab.atoms).len(), 2);
    lab.change(group, removing(rules[1..].to_vec())).await;
    lab.change(group, removing(rules.clone())).await;
    lab.change(group, removing(rules)).await;
    assert!(ingress(&lab.one("again").await, &lab.atoms).is_empty());
}

#[tokio::test]
async fn host_bits_that_localstack_keeps_do_not_hide_a_rule_from_its_removal() {
    let mut lab = Lab::new(4).await;
    let group = lab.create("bits").await;
    let id = lab.one("bits").await.id;
    let by_hand = lab.ec2().authorize_security_group_ingress().group_id(id.as_str());
    by_hand.ip_protocol("tcp").from_port(22).to_port(22).cidr_ip("10.1.2.3/16").send().await.unwrap();
    assert_eq!(ingress(&lab.one("bits").await, &lab.atoms), ["22/tcp 10.1.0.0/16 \"\""]);
    lab.change(group, removing(vec![rule("22/tcp", range("10.1.0.0/16"), "")])).await;
    assert!(ingress(&lab.one("bits").await, &lab.atoms).is_empty());
}

#[tokio::test]
async fn a_prefix_list_is_a_peer() {
    let mut lab = Lab::new(5).await;
    let group = lab.create("lists").await;
    let list = lab.ec2().create_managed_prefix_list().prefix_list_name("office").address_family("IPv4").max_entries(2);
    let list = list.send().await.unwrap().prefix_list.and_then(|list| list.prefix_list_id).unwrap();
    let peer = opaque(PeerKind::PrefixList, lab.atoms.intern(&list));
    lab.change(group, adding(vec![rule("443/tcp", peer, "")])).await;
    assert_eq!(ingress(&lab.one("lists").await, &lab.atoms), [format!("443/tcp {list} \"\"")]);
    lab.change(group, removing(vec![rule("443/tcp", peer, "")])).await;
    assert!(ingress(&lab.one("lists").await, &lab.atoms).is_empty());
}

#[tokio::test]
async fn descriptions_change_in_place() {
    let mut lab = Lab::new(6).await;
    let group = lab.create("words").await;
    lab.change(group, adding(vec![rule("22/tcp", range("10.0.0.0/8"), "old")])).await;
    let described = vec![rule("22/tcp", range("10.0.0.0/8"), "new (a-z) #1")];
    lab.change(group, GroupChanges { descriptions: described, ..GroupChanges::default() }).await;
    assert_eq!(ingress(&lab.one("words").await, &lab.atoms), ["22/tcp 10.0.0.0/8 \"new (a-z) #1\""]);
}

#[tokio::test]
async fn in_a_shared_group_only_rules_with_our_mark_have_it_and_go_by_id() {
    let mut lab = Lab::new(7).await;
    let vpc = lab.ec2().describe_vpcs().send().await.unwrap().vpcs.unwrap().remove(0).vpc_id.unwrap();
    let made =
        lab.ec2().create_security_group().group_name("theirs").description("x").vpc_id(vpc).send().await.unwrap();
    let id = made.group_id.unwrap();
    let by_hand = lab.ec2().authorize_security_group_ingress().group_id(&id);
    by_hand.ip_protocol("tcp").from_port(22).to_port(22).cidr_ip("10.0.0.0/8").send().await.unwrap();

    let group = lab.one("theirs").await.atom;
    let rules = vec![
        rule("80/tcp", range("10.0.0.0/8"), "http"),
        rule("80/tcp", opaque(PeerKind::Group, group), "http"),
        rule("443/tcp", range("2001:db8::/32"), "https"),
    ];
    lab.change(group, adding(rules)).await;
    let seen = lab.one("theirs").await;
    let ours = |seen: &ObservedGroup| -> Vec<StepRule> {
        let marked = seen.rules.iter().filter(|r| r.marks == [mark()]);
        marked.map(|r| StepRule { id: r.id.clone(), marks: r.marks.clone(), ..StepRule::plain(r.rule) }).collect()
    };
    assert_eq!(seen.rules.iter().filter(|r| r.id.is_some()).count(), 5, "three of ours, theirs, the default one");
    assert_eq!(ours(&seen).len(), 3);

    lab.change(group, GroupChanges { leaves: ours(&seen)[..1].to_vec(), ..GroupChanges::default() }).await;
    let seen = lab.one("theirs").await;
    assert_eq!(ours(&seen).len(), 2);
    lab.change(group, removing(ours(&seen))).await;
    let seen = lab.one("theirs").await;
    assert_eq!(ingress(&seen, &lab.atoms).len(), 2, "theirs, and the rule that lost our mark");
    assert!(ours(&seen).is_empty());
}

#[tokio::test]
async fn an_unknown_vpc_is_an_error_with_awss_code() {
    let lab = Lab::new(8).await;
    let mut at = serde_json::Map::new();
    at.insert("vpc".to_owned(), "vpc-0123456789abcdef0".into());
    let network = Network {
        name: NetworkName::new("eu").unwrap(),
        provider: "aws",
        at,
        quotas: Default::default(),
        nat: Vec::new(),
        links: Default::default(),
    };
    let aws = Aws::with_config(&network, lab.config.clone()).unwrap();
    let group = ScopeGroup { group: SecurityGroup::parse("g").unwrap(), ownership: None };
    let scope = Scope {
        owner: Owner::new("platform").unwrap(),
        clusters: ["prod"].iter().filter_map(|c| rsgsync_core::name::ClusterName::new(c).ok()).collect(),
        groups: vec![group],
        marked: false,
        whole: false,
    };
    let error = aws.observe(&scope, &mut Atoms::new()).await.unwrap_err();
    assert!(error.message.starts_with("InvalidVpcID.NotFound: "), "{}", error.message);
    assert!(error.request_id.is_some());
}

#[tokio::test]
async fn interfaces_that_carry_a_group_are_counted() {
    let mut lab = Lab::new(30).await;
    lab.create("carried").await;
    lab.create("idle").await;
    let (carried, idle) = (lab.one("carried").await.id, lab.one("idle").await.id);
    let ec2 = lab.ec2();
    let subnets = ec2.describe_subnets().send().await.unwrap();
    let subnet = subnets.subnets()[0].subnet_id().unwrap();
    for _ in 0..2 {
        ec2.create_network_interface().subnet_id(subnet).groups(carried.as_str()).send().await.unwrap();
    }
    let counts = lab.aws.attachments(&[carried.clone(), idle.clone()]).await.unwrap().unwrap();
    assert_eq!(counts, [(carried, 2), (idle, 0)].into());
    assert_eq!(lab.aws.calls()["DescribeNetworkInterfaces"], 1);
}

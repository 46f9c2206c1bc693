use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;

use super::write::yaml;
use super::*;
use crate::desired::desired;
use crate::example::{self, TODAY, network_name};
use crate::flow::flows;
use crate::guard::{GuardsInForce, judge};
use crate::inventory::{Cluster, PlaceKind, ProviderSpec, Source, parse};
use crate::name::{GroupId, GroupMark, GroupName, Mark, Origin};
use crate::observed::ObservedRule;
use crate::packets::PacketSet;
use crate::plan::tests::Aws;
use crate::plan::{NetworkInput, PlanOptions, plan};
use crate::profile::{OptionValue, Version, Vocabulary};
use crate::rule::{Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use crate::testing::{aws_like, cases};

const SIMULATED: ProviderSpec = ProviderSpec {
    word: "simulated",
    keys: &[("state", PlaceKind::Path)],
    required: &[],
    most: &[],
    absent: None,
    groups_are_names: false,
    beside_rules: &[],
};

/// A cloud as people would write it down: groups by name, with `22/tcp from 10.0.0.0/8` or `22/tcp from web`; `made` marks
/// the group as one that the cluster `it` made.
type Cloud = BTreeMap<String, Vec<String>>;

const MADE: &str = "made";

fn of_it() -> Mark {
    Mark { owner: Owner::new("platform").unwrap(), cluster: ClusterName::new("it").unwrap() }
}

fn id(name: &str) -> String {
    let number = name.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("sg-{number:016x}")
}

fn observe(cloud: &Cloud, atoms: &mut Atoms) -> Observed {
    let mut groups = Vec::new();
    for (name, texts) in cloud {
        let made = texts.iter().any(|text| text == MADE);
        let rules = texts.iter().filter(|text| *text != MADE).map(|text| {
            let (direction, (traffic, peer)) = match text.split_once(" from ") {
                Some(parts) => (Direction::Ingress, parts),
                None => (Direction::Egress, text.split_once(" to ").unwrap()),
            };
            let peer = match Cidr::parse(peer) {
                Some(cidr) => RulePeer::Addresses(cidr),
                None => RulePeer::Opaque(PeerKind::Group, atoms.intern(&id(peer)), Family::Both),
            };
            ObservedRule::plain(Rule { direction, peer, traffic: Traffic::parse(traffic).unwrap() })
        });
        let rules = rules.collect();
        groups.push(ObservedGroup {
            atom: atoms.intern(&id(name)),
            id: GroupId::new(&id(name)).unwrap(),
            name: GroupName::new(name).unwrap(),
            description: String::new(),
            marks: made.then(|| GroupMark { mark: of_it(), origin: Origin::Made }).into_iter().collect(),
            revision: None,
            rules,
            resources: Vec::new(),
        });
    }
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    Observed { groups, ..Observed::default() }
}

/// What an apply of this inventory on an empty cloud leaves, without the marks.
fn applied(inventory: &Inventory) -> Cloud {
    let desired = desired(inventory, &flows(inventory, TODAY));
    let mut cloud = Cloud::new();
    for network in desired.networks.values() {
        for group in &network.groups {
            let mut lines = vec!["all to 0.0.0.0/0".to_owned()];
            for direction in [Direction::Ingress, Direction::Egress] {
                let of = group.rules.iter().map(|wanted| wanted.rule).filter(|rule| rule.direction == direction);
                for rule in PacketSet::of(of.flat_map(|rule| aws_like().project(rule))).cover(direction) {
                    let peer = match rule.peer {
                        RulePeer::Addresses(cidr) => cidr.to_string(),
                        RulePeer::Opaque(_, atom, _) => network.atoms.text(atom).to_owned(),
                    };
                    let word = if direction == Direction::Ingress { "from" } else { "to" };
                    lines.push(format!("{} {word} {peer}", rule.traffic));
                }
            }
            lines.sort();
            lines.dedup();
            cloud.insert(group.security_group.to_string(), lines);
        }
    }
    cloud
}

fn adopted(cloud: &Cloud, only: &[&str], profile: Option<&str>) -> Result<Adoption, AdoptError> {
    let mut atoms = Atoms::new();
    let observed = observe(cloud, &mut atoms);
    let found = Found {
        owner: Owner::new("platform").unwrap(),
        network: example::inventory().networks[&network_name("eu")].clone(),
        observed: &observed,
        atoms: &atoms,
        pack: &Aws(aws_like()),
        catalog: &Catalog::shipped(),
        today: TODAY,
        only: only.iter().map(|name| (*name).to_owned()).collect(),
        profile: profile.map(str::to_owned),
        cluster: Some(of_it().cluster),
    };
    adopt(&found)
}

fn read_back(text: &str) -> Inventory {
    let source = Source { path: "cluster.yaml".to_owned(), folder: PathBuf::new(), bytes: text.as_bytes().to_owned() };
    let parsed = parse(&[source], &Catalog::shipped(), &[SIMULATED], TODAY, &|_| Err("no file".to_owned()));
    parsed.unwrap_or_else(|problems| panic!("{problems:#?}\n{text}")).inventory
}

/// How many rules the next plan adds and removes.
fn next_plan(cloud: &Cloud, text: &str) -> (usize, usize) {
    let inventory = read_back(text);
    let flows = flows(&inventory, TODAY);
    let mut desired = desired(&inventory, &flows);
    let refused = judge(&desired, &inventory, TODAY).refused;
    assert!(refused.is_empty(), "{refused:?}\n{text}");
    let guards = GuardsInForce::of(&desired, &inventory, TODAY);
    let network = inventory.networks[0].clone();
    let observed = observe(cloud, &mut desired.networks.entry(network.name.clone()).or_default().atoms);
    let aws = Aws(aws_like());
    let inputs = vec![NetworkInput { network, observed: Ok(observed), pack: &aws, calls: 1 }];
    let plan = plan(&inventory, &flows, desired, inputs, &guards, &PlanOptions::default());
    plan.unwrap_or_else(|errors| panic!("{errors:?}\n{text}")).counts()
}

fn exclusive(text: &str) -> String {
    text.replace("# ownership: exclusive", "ownership: exclusive")
}

fn any_of<T: Clone + std::fmt::Debug + 'static>(list: Vec<T>) -> impl Strategy<Value = T> {
    proptest::sample::select(list)
}

/// A cluster of any profile that ships: any version, any roles, any options.
fn any_cluster(name: &'static str) -> impl Strategy<Value = Cluster> {
    let catalog = Catalog::shipped();
    let tables: Vec<(String, Option<Version>)> = catalog
        .names()
        .iter()
        .flat_map(|name| {
            catalog.tables(name).into_iter().map(move |table| ((*name).to_owned(), Version::parse(&table.version)))
        })
        .collect();
    any_of(tables).prop_flat_map(move |(profile, version)| {
        let profile = Catalog::shipped().find(&profile, version).unwrap();
        let words = Vocabulary::shipped();
        let named = profile.roles.iter().chain(&profile.needs).filter(|role| **role != words.every_role);
        let mut roles: Vec<Arc<str>> = named.cloned().collect();
        roles.is_empty().then(|| roles.push("worker".into()));
        let options: BTreeSet<Arc<str>> =
            profile.rows.iter().flat_map(|row| row.condition.options()).cloned().collect();
        let options: Vec<Arc<str>> =
            options.into_iter().filter(|o| !profile.fixes.contains_key(o) && **o != *"multihomed").collect();
        let group = proptest::sample::subsequence(roles.clone(), 1..=roles.len());
        let groups = proptest::collection::vec(group, 1..=3);
        let values = proptest::collection::vec((any::<bool>(), any::<proptest::sample::Index>()), options.len());
        let ranges = vec![vec!["198.51.100.0/24"], vec!["203.0.113.0/24", "10.9.0.0/16"], vec![], vec!["0.0.0.0/0"]];
        let peers = proptest::collection::vec(any_of(ranges), words.peers.len());
        (groups, values, peers).prop_map(move |(groups, values, peers)| {
            let mut inventory = example::inventory();
            let cluster = inventory.add_cluster(name, "rke2");
            cluster.profile = profile.clone();
            cluster.rancher_version = version;
            for (index, roles) in groups.iter().enumerate() {
                let mut roles: Vec<&str> = roles.iter().map(|role| &**role).collect();
                let needs = profile.needs.iter().map(|role| &**role).filter(|role| index == 0 && !roles.contains(role));
                let needs: Vec<&str> = needs.collect();
                roles.extend(needs);
                cluster.add_group(["one", "two", "three"][index], &roles);
            }
            for (option, (set, value)) in options.iter().zip(&values).filter(|(_, (set, _))| *set) {
                let kind = &words.options[option];
                let value = match kind.words.as_slice() {
                    [] => OptionValue::Bool(value.index(2) == 0),
                    words => OptionValue::Word(words[value.index(words.len())].clone()),
                };
                let _ = set;
                cluster.options.insert(option.clone(), vec![value]);
            }
            for (peer, ranges) in
                words.peers.iter().zip(&peers).filter(|(p, r)| !r.is_empty() && !words.derived.contains_key(*p))
            {
                cluster.peer(peer, ranges);
            }
            cluster.value("kube_api_endpoint_port", 443).value("cluster_specific", 8080);
            cluster.clone()
        })
    })
}

fn with(clusters: impl IntoIterator<Item = Cluster>) -> Inventory {
    let mut inventory = example::inventory();
    for cluster in clusters {
        inventory.clusters.insert(cluster.name.clone(), cluster);
    }
    inventory
}

fn is_guarded(inventory: &Inventory) -> bool {
    let desired = desired(inventory, &flows(inventory, TODAY));
    !judge(&desired, inventory, TODAY).refused.is_empty()
}

/// The nodes of a K3s cluster, with more rules.
fn nodes(more: &[&str]) -> Cloud {
    let rules = ["all to 0.0.0.0/0", "6443/tcp from nodes", "10250/tcp from nodes", "8472/udp from nodes"];
    let rules = rules.iter().chain(more).map(|rule| (*rule).to_owned());
    Cloud::from([("nodes".to_owned(), rules.collect())])
}

#[test]
fn a_group_that_its_mark_makes_exclusive_is_written_as_shared() {
    let cloud = nodes(&["2375/tcp from 203.0.113.0/24", MADE]);
    let adoption = adopted(&cloud, &["nodes"], Some("k3s")).unwrap();
    let text = yaml(&adoption.inventory, &adoption.remarks());
    assert!(text.contains("\n        ownership: shared\n"), "{text}");
    assert_eq!(next_plan(&cloud, &text), (0, 0), "{text}");
}

#[test]
fn only_what_a_guard_forbids_by_itself_is_not_taken_over() {
    let cloud = nodes(&["all from 203.0.113.0/24", "12345/tcp from 203.0.113.0/24"]);
    let adoption = adopted(&cloud, &["nodes"], Some("k3s")).unwrap();
    let named: BTreeSet<String> = adoption.guarded.iter().map(|g| format!("{} from {}", g.traffic, g.from)).collect();
    assert_eq!(named, BTreeSet::from(["all from 203.0.113.0/24".to_owned()]));
    let text = yaml(&adoption.inventory, &adoption.remarks());
    assert!(text.contains("from: [203.0.113.0/24], to: [nodes], allow: [12345/tcp]"), "{text}");
}

proptest! {
    #![proptest_config(cases(12))]

    /// What an apply made is taken over without a change, whether the groups are shared or become ours alone; but for what
    /// the file itself says is missing, where another profile than the one that made them explains them as well.
    #[test]
    fn groups_that_are_right_stay_as_they_are(cluster in any_cluster("it")) {
        let inventory = with([cluster]);
        prop_assume!(!is_guarded(&inventory));
        let cloud = applied(&inventory);
        let only: Vec<&str> = cloud.keys().map(String::as_str).collect();
        let Ok(adoption) = adopted(&cloud, &only, None) else { panic!("{cloud:?}") };
        let text = yaml(&adoption.inventory, &adoption.remarks());
        let missing: usize = adoption.evidence.values().map(|evidence| evidence.missing).sum();
        prop_assert_eq!(next_plan(&cloud, &text), (missing, 0), "shared\n{}\n{:#?}", text, cloud);
        prop_assert_eq!(next_plan(&cloud, &exclusive(&text)), (missing, 0), "exclusive\n{}\n{:#?}", text, cloud);
    }
}

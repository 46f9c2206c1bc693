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
use crate::plan::{Action, NetworkInput, PlanOptions, StepRule, plan};
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

/// A cloud as people would write it down: groups by name, with `22/tcp from 10.0.0.0/8` or `22/tcp from web`. Behind ` # `
/// stand the marks of a rule; a line that is `# platform/it made` is a mark of the group.
type Cloud = BTreeMap<String, Vec<String>>;

fn group_mark(line: &str) -> Option<GroupMark> {
    let (mark, origin) = line.strip_prefix("# ")?.split_once(' ')?;
    Some(GroupMark { mark: Mark::parse(mark)?, origin: Origin::parse(origin)? })
}

fn id(name: &str) -> String {
    let number = name.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("sg-{number:016x}")
}

fn observe(cloud: &Cloud, atoms: &mut Atoms) -> Observed {
    let mut groups = Vec::new();
    for (name, lines) in cloud {
        let rules = lines.iter().filter(|line| group_mark(line).is_none()).map(|line| {
            let (text, marks) = line.split_once(" # ").unwrap_or((line, ""));
            let marks = marks.split(", ").filter_map(Mark::parse).collect();
            ObservedRule { marks, ..ObservedRule::plain(rule(text, atoms)) }
        });
        let rules = rules.collect();
        groups.push(ObservedGroup {
            atom: atoms.intern(&id(name)),
            id: GroupId::new(&id(name)).unwrap(),
            name: GroupName::new(name).unwrap(),
            description: String::new(),
            marks: lines.iter().filter_map(|line| group_mark(line)).collect(),
            revision: None,
            rules,
            resources: Vec::new(),
        });
    }
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    Observed { groups, ..Observed::default() }
}

fn rule(text: &str, atoms: &mut Atoms) -> Rule {
    let (direction, (traffic, peer)) = match text.split_once(" from ") {
        Some(parts) => (Direction::Ingress, parts),
        None => (Direction::Egress, text.split_once(" to ").unwrap()),
    };
    let peer = match Cidr::parse(peer) {
        Some(cidr) => RulePeer::Addresses(cidr),
        None => RulePeer::Opaque(PeerKind::Group, atoms.intern(&id(peer)), Family::Both),
    };
    Rule { direction, peer, traffic: Traffic::parse(traffic).unwrap() }
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
        cluster: Some(ClusterName::new("it").unwrap()),
    };
    adopt(&found)
}

fn read_back(text: &str) -> Inventory {
    let source = Source { path: "cluster.yaml".to_owned(), folder: PathBuf::new(), bytes: text.as_bytes().to_owned() };
    let parsed = parse(&[source], &Catalog::shipped(), &[SIMULATED], TODAY, &|_| Err("no file".to_owned()));
    parsed.unwrap_or_else(|problems| panic!("{problems:#?}\n{text}")).inventory
}

/// Rules of a plan: the security group, and the rule as a [`Cloud`] has it.
type Changes = BTreeSet<(String, String)>;

/// What the next plan adds and removes.
fn next_plan(cloud: &Cloud, text: &str) -> (Changes, Changes) {
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
    let plan = plan.unwrap_or_else(|errors| panic!("{errors:?}\n{text}\n{cloud:#?}"));
    let (mut adds, mut removes) = (Changes::new(), Changes::new());
    let network = &plan.networks[0];
    for step in plan.steps.iter().filter(|s| !matches!(s.action, Action::SetMarks | Action::UpdateDescriptions)) {
        let said = |rule: &StepRule| {
            let peer = match rule.rule.peer {
                RulePeer::Addresses(cidr) => cidr.to_string(),
                RulePeer::Opaque(_, atom, _) => network.group_name(atom).to_owned(),
            };
            (network.group_name(step.group).to_owned(), format!("{} from {peer}", rule.rule.traffic))
        };
        adds.extend(step.adds.iter().map(said));
        removes.extend(step.removes.iter().map(said));
    }
    (adds, removes)
}

fn nothing() -> (Changes, Changes) {
    (Changes::new(), Changes::new())
}

/// What a person makes of it who lets rsgsync decide alone wherever the file offers that.
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
    let cloud = nodes(&["2375/tcp from 203.0.113.0/24", "# platform/it made"]);
    let adoption = adopted(&cloud, &["nodes"], Some("k3s")).unwrap();
    let text = yaml(&adoption.inventory, &adoption.remarks());
    assert!(text.contains("\n        ownership: shared\n"), "{text}");
    assert_eq!(next_plan(&cloud, &text), nothing(), "{text}");
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

/// Groups, from lines that say into which, on what, and from which.
fn groups(lines: &[&str]) -> Cloud {
    let mut cloud = Cloud::new();
    for line in lines {
        let (into, rest) = line.split_once(": ").unwrap();
        let (traffics, from) = rest.split_once(" from ").unwrap();
        for traffic in traffics.split(", ") {
            for from in from.split(", ") {
                cloud.entry(into.to_owned()).or_default().push(format!("{traffic} from {from}"));
            }
        }
    }
    cloud
}

#[test]
fn a_port_that_only_servers_of_rke2_have_says_what_they_are() {
    // All that RKE asks for is open. RKE2 wants 2381 and 9099 as well.
    let both = "10250/tcp, 8472/udp from s, a";
    let cloud = groups(&[&format!("s: 6443/tcp, 9345/tcp, {both}"), "s: 2379-2380/tcp from s", &format!("a: {both}")]);
    for only in [&["s", "a"][..], &["s"]] {
        let adoption = adopted(&cloud, only, None).unwrap();
        let cluster = &adoption.inventory.clusters[0];
        assert!(cluster.profile.name.ends_with("rke2"), "{only:?}: {}", cluster.profile.name);
        let servers = cluster.groups.values().find(|group| group.security_group.as_str() == "s").unwrap();
        assert!(servers.roles.iter().any(|role| **role == *"rke2-server"), "{only:?}");
    }
}

#[test]
fn a_profile_that_fits_comes_before_one_that_lacks_a_rule() {
    // Servers and agents of K3s without VXLAN. For kubeadm but one rule is missing: 6443 among the servers.
    let all = "10250/tcp from one, two, three";
    let cloud = groups(&[
        &format!("one: {all}"),
        &format!("two: {all}"),
        "two: 6443/tcp from one, three",
        &format!("three: {all}"),
    ]);
    let adoption = adopted(&cloud, &["one", "two", "three"], None).unwrap();
    let text = yaml(&adoption.inventory, &adoption.remarks());
    assert_eq!(next_plan(&cloud, &text), nothing(), "{text}");
}

/// What else may stand in a group: what guards forbid, and what they don't.
const MORE: [&str; 7] = [
    "2376/tcp from 0.0.0.0/0",
    "10250/tcp from 0.0.0.0/0",
    "2379-2380/tcp from 198.51.100.0/24",
    "8472/udp from 203.0.113.0/24",
    "all from 203.0.113.0/24",
    "12345/tcp from 198.51.100.7/32",
    "22/tcp from 0.0.0.0/0",
];

/// Marks of a group and of one of its rules, by luck.
fn any_marks() -> impl Strategy<Value = (Option<&'static str>, &'static str)> {
    let of_group = [
        None,
        Some("# platform/it made"),
        Some("# platform/it adopted"),
        Some("# platform/it joined"),
        Some("# platform/gone made"),
        Some("# others/it joined"),
    ];
    let of_rule = ["", " # platform/it", " # platform/it, others/it", " # others/it", " # platform/gone"];
    (any_of(of_group.to_vec()), any_of(of_rule.to_vec()))
}

/// Groups of one cluster of any profile, as they are after an apply.
fn any_cloud() -> impl Strategy<Value = Cloud> {
    let right = any_cluster("it").prop_map(|cluster| with([cluster])).prop_filter("a guard", |it| !is_guarded(it));
    right.prop_map(|inventory| applied(&inventory))
}

/// The same, with marks of rsgsync on them: a rule has one only where its group has, as an apply would do it.
fn any_marked() -> impl Strategy<Value = Cloud> {
    let marks = proptest::collection::vec((any_marks(), proptest::collection::vec(any::<bool>(), 30)), 3);
    (any_cloud(), marks).prop_map(|(mut cloud, marks)| {
        for (lines, ((of_group, of_rule), has)) in cloud.values_mut().zip(marks) {
            let Some(of_group) = of_group else { continue };
            for (line, _) in lines.iter_mut().zip(has.into_iter().cycle()).filter(|(_, has)| *has) {
                line.push_str(of_rule);
            }
            lines.push(of_group.to_owned());
        }
        cloud
    })
}

proptest! {
    #![proptest_config(cases(12))]

    /// What an apply made is taken over without a change, whether the groups are shared or become ours alone.
    #[test]
    fn groups_that_are_right_stay_as_they_are(cloud in any_marked()) {
        let only: Vec<&str> = cloud.keys().map(String::as_str).collect();
        let Ok(adoption) = adopted(&cloud, &only, None) else { panic!("{cloud:?}") };
        let text = yaml(&adoption.inventory, &adoption.remarks());
        prop_assert_eq!(next_plan(&cloud, &text), nothing(), "shared\n{}\n{:#?}", text, cloud);
        prop_assert_eq!(next_plan(&cloud, &exclusive(&text)), nothing(), "exclusive\n{}\n{:#?}", text, cloud);
    }

    /// Whatever else stands in the groups: what goes is what the file calls not taken over, and only where it says so.
    #[test]
    fn only_what_a_guard_forbids_goes(
        cloud in any_marked(),
        more in proptest::collection::vec((any::<proptest::sample::Index>(), any_of(MORE.to_vec()), any::<bool>()), 1..5),
    ) {
        let mut cloud = cloud;
        for (group, line, marked) in more {
            let index = group.index(cloud.len());
            let lines = cloud.values_mut().nth(index).unwrap();
            let has = |rule: &str| lines.iter().any(|line| line.split(" # ").next() == Some(rule));
            if !has(line) {
                let mark = if marked && lines.iter().any(|l| group_mark(l).is_some()) { " # platform/it" } else { "" };
                lines.push(format!("{line}{mark}"));
            }
        }
        let only: Vec<&str> = cloud.keys().map(String::as_str).collect();
        let Ok(adoption) = adopted(&cloud, &only, None) else { panic!("{cloud:?}") };
        let text = yaml(&adoption.inventory, &adoption.remarks());
        let group = |guarded: &Guarded| {
            adoption.inventory.clusters[&guarded.cluster].groups[&guarded.group].security_group.to_string()
        };
        let named = |guarded: &Guarded| (group(guarded), format!("{} from {}", guarded.traffic, guarded.from));
        let goes: Changes = adoption.guarded.iter().filter(|guarded| guarded.ours).map(named).collect();
        let may_go: Changes = adoption.guarded.iter().map(named).collect();
        let missing: usize = adoption.evidence.values().map(|evidence| evidence.missing).sum();

        let (adds, removes) = next_plan(&cloud, &text);
        prop_assert!(removes.is_subset(&goes), "shared {:?}\n{}\n{:#?}", removes, text, cloud);
        // What goes may have been wide enough to do the job of a rule that is asked for.
        if removes.is_empty() {
            prop_assert_eq!(adds.len(), missing, "shared {:?}\n{}\n{:#?}", adds, text, cloud);
        }
        let (_, removes) = next_plan(&cloud, &exclusive(&text));
        prop_assert!(removes.is_subset(&may_go), "exclusive {:?}\n{}\n{:#?}", removes, text, cloud);
    }
}

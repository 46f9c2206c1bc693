//! One inventory with its network on each cloud: the same flows, and plans that differ in what a cloud's rules can say.
//!
//! LocalStack and OpenStack must be running and their exports set: `bash tests/run.sh` does both. Nothing is written.

#![allow(clippy::unwrap_used, reason = "a test fails where its scene does")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use support::Scene;

const INVENTORY: &str = r#"
version: 1
owner: platform
networks: { lab: { NETWORK } }
clusters:
  prod:
    network: lab
    profile: downstream-custom-nodes
    rancher_version: "2.4"
    options: { cni: canal, rancher_external_lb: false, nodeport_services: false, ip_family: FAMILY }
    groups:
      etcd:    { roles: [etcd] }
      control: { roles: [controlplane] }
      workers: { roles: [worker] }
    rules:
      - { from: monitoring, to: workers, allow: [icmp/8/0, 9100/tcp], why: probes, ticket: NET-7 }
    peers:
      kube-api-clients: { cidrs: [203.0.113.0/24, "2001:db8::/32"] }
      workload-clients: { cidrs: ["0.0.0.0/0", "::/0"] }
      monitoring: { cluster: prod, group: control }
"#;

const CLOUDS: [&str; 3] = ["simulated: { state: cloud.json }", "aws: {}", "openstack: { cloud: demo }"];

struct Plan(Value);

/// A rule that a plan adds, as every cloud says it: group, direction, protocol, ports, peer.
type Said = [String; 6];

impl Plan {
    fn of(network: &str, family: &str) -> (Value, Self) {
        let mut scene = Scene::new(&INVENTORY.replace("NETWORK", network).replace("FAMILY", family));
        for (name, value) in std::env::vars() {
            if name.starts_with("AWS_") || name.starts_with("OS_") || name.eq_ignore_ascii_case("no_proxy") {
                scene.set(&name, &value);
            }
        }
        assert!(
            std::env::var_os("AWS_ENDPOINT_URL").is_some() && std::env::var_os("OS_CLIENT_CONFIG_FILE").is_some(),
            "the clouds are not there: run `bash tests/run.sh`"
        );
        // An account that no other test takes.
        scene.set("AWS_ACCESS_KEY_ID", "999999999999");
        let json = |command: &str| scene.run(&[command, "--format", "json"]).exits(0).json();
        (json("matrix"), Self(json("plan")))
    }

    fn steps(&self, action: &str) -> impl Iterator<Item = &Value> {
        self.0["steps"].as_array().unwrap().iter().filter(move |step| step["action"] == action)
    }

    /// Rules to add, each with its group; of those that let everything out, which differ, none.
    fn adds(&self) -> Vec<(&str, &Value)> {
        let rules = self.steps("add_rules").flat_map(|step| {
            let group = step["security_group"].as_str().unwrap();
            step["rules"].as_array().unwrap().iter().map(move |rule| (group, rule))
        });
        rules.filter(|(_, rule)| rule["direction"] == "ingress").collect()
    }

    /// What is added, and in which families.
    fn said(&self) -> BTreeMap<Said, BTreeSet<String>> {
        let mut said: BTreeMap<Said, BTreeSet<String>> = BTreeMap::new();
        for (group, rule) in self.adds() {
            let word = |key: &str| rule[key].to_string();
            let said_so = [
                group.to_owned(),
                word("direction"),
                word("protocol"),
                word("from_port"),
                word("to_port"),
                word("peer"),
            ];
            let family = rule["family"].as_str().unwrap().to_owned();
            assert!(said.entry(said_so).or_default().insert(family), "twice: {rule}");
        }
        said
    }
}

fn is_reference(said: &Said) -> bool {
    said[5].contains("security_group")
}

#[test]
fn one_inventory_asks_the_same_of_every_cloud() {
    for family in ["ipv4", "dual"] {
        let [(flows, simulated), aws, openstack] = CLOUDS.map(|cloud| Plan::of(cloud, family));
        assert!(flows["flows"].as_array().unwrap().len() > 20, "{flows}");
        assert_eq!(aws.0, flows, "flows on AWS, {family}");
        assert_eq!(openstack.0, flows, "flows on OpenStack, {family}");
        for (name, plan) in [("AWS", &aws.1), ("OpenStack", &openstack.1)] {
            for key in ["unopened", "assumed", "without_members", "guards", "notes", "needed_elsewhere"] {
                assert_eq!(plan.0[key], simulated.0[key], "{key} on {name}, {family}");
            }
            let statuses = |plan: &Plan| {
                let groups = plan.0["groups"].as_array().unwrap().clone();
                groups
                    .iter()
                    .map(|g| (g["security_group"].clone(), g["status"].clone(), g["ownership"].clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(statuses(plan), statuses(&simulated), "{name}, {family}");
            assert_eq!(plan.0["proof"]["holds"], true);
        }
        assert_eq!(aws.1.said(), simulated.said(), "{family}");

        // Families: a reference is of both on AWS and one rule for each family of the cluster on Neutron, where ICMP is
        // IPv4's alone. All else is the same.
        let mut expected = aws.1.said();
        for (said, families) in &mut expected {
            if is_reference(said) {
                assert_eq!(*families, ["both".to_owned()].into(), "{said:?}");
                let both = family == "dual" && said[2] != "\"icmp\"";
                *families = ["ipv4", "ipv6"].into_iter().take(1 + usize::from(both)).map(str::to_owned).collect();
            }
        }
        assert_eq!(openstack.1.said(), expected, "{family}");
    }
}

/// What else differs, and no more: rules of the cloud's own, marks, and quotas.
#[test]
fn what_a_cloud_does_by_itself_and_where_it_keeps_marks_differ() {
    let [simulated, aws, openstack] = CLOUDS.map(|cloud| Plan::of(cloud, "dual").1);
    let out = |plan: &Plan, action: &str| -> Vec<(String, BTreeSet<String>)> {
        let rules = plan.steps(action).map(|step| {
            let rules = step["rules"].as_array().unwrap().iter().filter(|rule| rule["direction"] == "egress");
            let cidr = |rule: &Value| rule["peer"]["cidr"].as_str().unwrap().to_owned();
            (step["security_group"].as_str().unwrap().to_owned(), rules.map(cidr).collect::<BTreeSet<_>>())
        });
        rules.filter(|(_, cidrs)| !cidrs.is_empty()).collect()
    };
    let of_each = |cidrs: &[&str]| -> Vec<(String, BTreeSet<String>)> {
        let cidrs: BTreeSet<String> = cidrs.iter().map(|cidr| (*cidr).to_owned()).collect();
        ["prod-control", "prod-etcd", "prod-workers"].map(|group| (group.to_owned(), cidrs.clone())).into()
    };
    for plan in [&simulated, &aws] {
        assert_eq!(out(plan, "create_group"), of_each(&["0.0.0.0/0"]));
        assert_eq!(out(plan, "add_rules"), of_each(&["::/0"]));
    }
    assert_eq!(out(&openstack, "create_group"), of_each(&["0.0.0.0/0", "::/0"]));
    assert_eq!(out(&openstack, "add_rules"), []);

    let mark = serde_json::json!(["platform/prod"]);
    let words = |plan: &Plan| {
        let words = plan.adds().into_iter().map(|(group, rule)| {
            assert_eq!(rule["marks"], mark, "{rule}");
            let key = format!("{group} {} {} {}", rule["protocol"], rule["from_port"], rule["peer"]);
            (key, rule["description"].as_str().unwrap().to_owned())
        });
        words.collect::<BTreeMap<_, _>>()
    };
    let in_tags = words(&aws);
    assert_eq!(words(&simulated), in_tags);
    let in_descriptions = in_tags.into_iter().map(|(key, words)| (key, format!("{words} rsgsync:platform/prod")));
    assert_eq!(words(&openstack), in_descriptions.collect());

    let quotas = |plan: &Plan| plan.0["networks"][0]["quotas"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(quotas(&openstack), Vec::<String>::new(), "`demo` has none, and Neutron limits no single group");
    assert!(quotas(&aws).contains(&"rules_per_group".to_owned()), "{:?}", quotas(&aws));
    let limit = |plan: &Plan| plan.0["groups"][0]["quota"].clone();
    assert_eq!((limit(&aws), limit(&simulated), limit(&openstack)), (60.into(), 60.into(), Value::Null));
}

//! The binary against real Keystone and Neutron, its results read with python-openstacksdk.
//!
//! `localstack/up openstack` must be running and its exports set: `bash tests/run.sh` does both. Each test has a project
//! of its own, made by the cloud's administrator.

#![allow(clippy::unwrap_used, reason = "a test fails where its scene does")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use project::Project;
use serde_json::{Value, json};
use support::Ran;
use support::proxy::Fate;

mod cascade;
mod catalog;
mod credentials;
mod luck;
mod owners;
mod permissions;
mod project;
mod quotas;
mod races;
mod rules;
mod services;
mod tls;
mod trouble;

/// How often each call was made, by the client's own log.
fn calls(ran: &Ran) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in ran.stderr.lines().filter(|line| line.contains("calling Neutron")) {
        let call = line.split("call=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        *counts.entry(call.to_owned()).or_default() += 1;
    }
    counts
}

fn counted<const N: usize>(calls: [(&str, usize); N]) -> BTreeMap<String, usize> {
    calls.into_iter().map(|(call, count)| (call.to_owned(), count)).collect()
}

fn set(rules: &[&str]) -> BTreeSet<String> {
    rules.iter().map(|rule| (*rule).to_owned()).collect()
}

const LIST: &str = "GET /v2.0/security-groups";
const QUOTAS: &str = "GET /v2.0/quotas/{}/details.json";
const OUT: [&str; 2] = ["egress IPv4 * *-* *", "egress IPv6 * *-* *"];

/// A cluster of three groups that refer to each other in circles.
fn circle(family: &str) -> String {
    support::inventories::circle("openstack: { cloud: demo, region: RegionOne, project: PROJECT }", family)
}

/// One group, `nodes`, with what the documentation of Rancher's EC2 driver lists.
const NODES: &str = r#"
version: 1
owner: platform
networks: { lab: { openstack: { cloud: demo, project: PROJECT } } }
clusters:
  nodes:
    network: lab
    profile: rancher-nodes-ec2-sg
    rancher_version: "2.4"
    groups:
      all: { roles: [etcd, controlplane, worker], security_group: nodes }
"#;

/// The seed's table of Rancher's EC2 security group: 12 inbound rules, and Neutron's own two.
fn nodes_table() -> BTreeSet<String> {
    let mut rules = set(&[
        "ingress IPv4 tcp 22-22 0.0.0.0/0",
        "ingress IPv4 tcp 80-80 0.0.0.0/0",
        "ingress IPv4 tcp 443-443 0.0.0.0/0",
        "ingress IPv4 tcp 2376-2376 0.0.0.0/0",
        "ingress IPv4 tcp 2379-2380 nodes",
        "ingress IPv4 udp 4789-4789 nodes",
        "ingress IPv4 tcp 6443-6443 0.0.0.0/0",
        "ingress IPv4 udp 8472-8472 nodes",
        "ingress IPv4 tcp 10250-10252 nodes",
        "ingress IPv4 tcp 10256-10256 nodes",
        "ingress IPv4 tcp 30000-32767 0.0.0.0/0",
        "ingress IPv4 udp 30000-32767 0.0.0.0/0",
    ]);
    rules.extend(set(&OUT));
    rules
}

#[test]
fn what_stands_is_explained_and_taken_over() {
    let project = Project::new("read", &circle("ipv4"));
    project.run(&["apply"]).exits(0);
    support::reading::explains(&project.scene, "denied");
    for owner in ["platform", "sales"] {
        support::reading::adopts(
            &project.scene,
            &format!("openstack: {{ cloud: demo, project: {} }}", project.name),
            owner,
        );
    }
}

#[test]
fn from_empty_the_documented_table_and_then_nothing_to_do() {
    let mut project = Project::new("empty", NODES);
    project.scene.set("RUST_LOG", "rsgsync_openstack=debug");
    let planned = project.run(&["plan", "--detailed-exitcode"]).exits(2);
    assert_eq!(calls(&planned), counted([(LIST, 1), (QUOTAS, 1)]));
    let applied = project.run(&["apply"]).exits(0);
    let made = calls(&applied);
    assert_eq!((made["POST /v2.0/security-groups"], made["POST /v2.0/security-group-rules"]), (1, 1), "{made:?}");
    assert_eq!(project.rules()["nodes"], nodes_table());
    let group = &project.groups()["nodes"];
    assert!(group["description"].as_str().unwrap().ends_with(" rsgsync:platform/nodes made"), "{group}");
    assert_eq!(group["tags"], json!([]));
    let rules = group["security_group_rules"].as_array().unwrap();
    let ssh = rules.iter().find(|rule| rule["port_range_min"] == 22).unwrap();
    assert_eq!(ssh["description"], "SSH provisioning rsgsync:platform/nodes");
    for command in [["plan", "--detailed-exitcode"].as_slice(), &["drift"], &["apply"]] {
        let again = project.run(command).exits(0);
        assert!(calls(&again).keys().all(|call| call.starts_with("GET ")), "{command:?}: {:?}", calls(&again));
    }
}

#[test]
fn drift_is_repaired_both_ways_with_a_call_each() {
    let mut project = Project::new("drift", NODES);
    project.run(&["apply"]).exits(0);
    let id = project.id("nodes");
    project
        .make_rule(&id, &json!({ "port_range_min": 9999, "port_range_max": 9999, "remote_ip_prefix": "10.1.2.3/8" }));
    let drift = project.run(&["drift", "--format", "json"]).exits(2).json();
    assert_eq!(drift["drift"][0]["kind"], "unexpected");
    assert_eq!(drift["drift"][0]["rule"]["peer"]["cidr"], "10.0.0.0/8");
    project.delete_rule_on("nodes", 6443);
    project.scene.set("RUST_LOG", "rsgsync_openstack=debug");
    let repaired = project.run(&["apply"]).exits(0);
    let made = calls(&repaired);
    assert_eq!(
        (made["POST /v2.0/security-group-rules"], made["DELETE /v2.0/security-group-rules/{}"]),
        (1, 1),
        "{made:?}"
    );
    assert_eq!(project.rules()["nodes"], nodes_table());
}

#[test]
fn groups_that_refer_to_each_other_are_made_and_destroyed() {
    let project = Project::new("circle", &circle("ipv4"));
    project.run(&["apply"]).exits(0);
    let rules = project.rules();
    assert!(rules["prod-etcd"].contains("ingress IPv4 tcp 2379-2380 prod-control"), "{rules:?}");
    assert!(rules["prod-control"].contains("ingress IPv4 tcp 6443-6443 prod-etcd"), "{rules:?}");
    let of_both = |rule: &String| rule.starts_with("ingress IPv6") && rule.contains("prod-");
    assert!(!rules.values().flatten().any(of_both), "{rules:?}");
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    project.run(&["destroy", "--yes"]).exits(0);
    assert_eq!(project.groups(), BTreeMap::new());
}

#[test]
fn both_families_are_rules_of_their_own() {
    let project = Project::new("dual", &circle("dual"));
    project.run(&["apply"]).exits(0);
    let rules = project.rules();
    for rule in ["ingress IPv4 tcp 443-443 0.0.0.0/0", "ingress IPv6 tcp 443-443 ::/0"] {
        assert!(rules["prod-workers"].contains(rule), "{rule} is not in {rules:?}");
    }
    for family in ["IPv4", "IPv6"] {
        assert!(rules["prod-etcd"].contains(&format!("ingress {family} tcp 2379-2380 prod-control")), "{rules:?}");
    }
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_cluster_of_ipv6_alone_opens_nothing_to_ipv4() {
    let peers = circle("ipv6").replace("203.0.113.0/24", "\"2001:db8::/32\"").replace("\"0.0.0.0/0\", ", "");
    let project = Project::new("ipv6", &peers);
    project.run(&["apply"]).exits(0);
    let rules = project.rules();
    assert!(rules["prod-etcd"].contains("ingress IPv6 tcp 2379-2380 prod-control"), "{rules:?}");
    assert!(rules["prod-workers"].contains("ingress IPv6 tcp 443-443 ::/0"), "{rules:?}");
    assert!(!rules.values().flatten().any(|rule| rule.starts_with("ingress IPv4")), "{rules:?}");
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn foreign_rules_of_a_shared_group_are_kept() {
    let project = Project::new("shared", NODES);
    let id = project.make_group("nodes");
    project.make_rule(&id, &json!({ "port_range_min": 22, "port_range_max": 22, "remote_ip_prefix": "192.0.2.0/24" }));
    // Theirs does the job of one of ours.
    project.make_rule(&id, &json!({ "port_range_min": 80, "port_range_max": 80 }));
    project.call("PUT", &format!("/security-groups/{id}/tags/env=prod"), &Value::Null);
    project.run(&["plan"]).exits(0).says("shared");
    project.run(&["apply"]).exits(0);
    let mut expected = nodes_table();
    expected.remove("ingress IPv4 tcp 80-80 0.0.0.0/0");
    expected.extend(set(&["ingress IPv4 tcp 22-22 192.0.2.0/24", "ingress IPv4 tcp 80-80 *"]));
    assert_eq!(project.rules()["nodes"], expected);
    let tags = |project: &Project| {
        let tags = project.groups()["nodes"]["tags"].as_array().unwrap().clone();
        tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(tags(&project), set(&["env=prod", "rsgsync:platform:nodes:joined"]));
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    project.run(&["destroy", "--yes"]).exits(0);
    let mut left = set(&OUT);
    left.extend(set(&["ingress IPv4 tcp 22-22 192.0.2.0/24", "ingress IPv4 tcp 80-80 *"]));
    assert_eq!(project.rules()["nodes"], left, "only what carries our mark goes");
    assert_eq!(tags(&project), set(&["env=prod"]));
}

#[test]
fn a_group_that_existed_is_adopted_when_the_inventory_says_so() {
    let project =
        Project::new("adopt", &NODES.replace("security_group: nodes", "security_group: nodes, ownership: exclusive"));
    let id = project.make_group("nodes");
    project.make_rule(&id, &json!({ "port_range_min": 8443, "port_range_max": 8443 }));
    project.run(&["plan"]).exits(0).says("ADOPTS").says("1 rule will go");
    project.run(&["apply"]).exits(0);
    assert_eq!(project.rules()["nodes"], nodes_table());
    assert_eq!(project.groups()["nodes"]["tags"], json!(["rsgsync:platform:nodes:adopted"]));
    assert_eq!(project.groups()["nodes"]["id"], json!(id), "the group itself stays");
}

#[test]
fn two_groups_of_one_name_are_an_error_that_lists_both() {
    let project = Project::new("twice", NODES);
    let (one, two) = (project.make_group("nodes"), project.make_group("nodes"));
    project.run(&["plan"]).exits(1).complains(&one).complains(&two).complains("write the id");
    project.write(&NODES.replace("security_group: nodes", &format!("security_group: {one}")));
    project.run(&["apply"]).exits(0);
    let rules = |id: &str| {
        let groups = project.listed();
        let group = groups.iter().find(|group| group["id"] == id).unwrap().clone();
        group["security_group_rules"].as_array().unwrap().len()
    };
    assert_eq!((rules(&one), rules(&two)), (14, 2));
}

#[test]
fn a_group_in_use_is_not_deleted_and_neutron_s_reason_is_shown() {
    let project = Project::new("in-use", NODES);
    project.run(&["apply"]).exits(0);
    let nodes = project.id("nodes");
    let network = project.call("POST", "/networks", &json!({ "network": { "name": "net" } }));
    let port = json!({ "port": { "network_id": network["network"]["id"], "security_groups": [nodes] } });
    project.call("POST", "/ports", &port);
    project.run(&["destroy", "--yes"]).exits(3).complains("SecurityGroupInUse").complains("openstack port list");
    assert!(project.groups().contains_key("nodes"));
}

#[test]
fn more_rules_than_a_call_takes_are_sent_in_parts() {
    let cidrs = (0..130).map(|i| format!("198.51.100.{i}/32")).step_by(2).collect::<Vec<_>>().join(", ");
    let inventory = circle("ipv4").replace("203.0.113.0/24", &format!("203.0.113.0/24, {cidrs}"));
    let rule = "\n    rules:\n      - { from: kube-api-clients, to: control, allow: [9999/tcp], why: scraping, ticket: NET-7 }";
    let inventory = inventory.replace("\n    peers:", &format!("{rule}\n    peers:"));
    let mut project = Project::new("bulk", &inventory);
    project.scene.set("RUST_LOG", "rsgsync_openstack=debug");
    let applied = project.run(&["apply"]).exits(0);
    let ingress = project.rules()["prod-control"].iter().filter(|rule| rule.starts_with("ingress")).count();
    assert!((101..=200).contains(&ingress), "{ingress}");
    // Two parts for `control`, one for each of the others.
    assert_eq!(calls(&applied)["POST /v2.0/security-group-rules"], 4, "{:?}", calls(&applied));
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_hundred_groups_are_made_with_one_call_and_filled_with_one_each() {
    let mut inventory = String::from(
        "version: 1\nowner: platform\nnetworks: { lab: { openstack: { cloud: demo, project: PROJECT } } }\nclusters:\n",
    );
    for i in 0..25 {
        inventory.push_str(&format!(
            "  c{i}:\n    network: lab\n    profile: rancher-nodes-ec2-sg\n    rancher_version: \"2.4\"\n    groups:\n"
        ));
        for name in ["a", "b", "c", "d"] {
            inventory.push_str(&format!("      {name}: {{ roles: [worker] }}\n"));
        }
    }
    let mut project = Project::new("hundred", &inventory);
    project.scene.set("RUST_LOG", "rsgsync_openstack=debug");
    let planned = project.run(&["plan"]).exits(0);
    assert_eq!(calls(&planned), counted([(LIST, 1), (QUOTAS, 1)]));
    let proxy = project.through(|_, _| Fate::Pass);
    let applied = project.run(&["apply"]).exits(0);
    // What was there, and the room for more; all groups, the rules of each; what is there now.
    let made = [("POST /v2.0/security-groups", 1), ("POST /v2.0/security-group-rules", 100)];
    assert_eq!(calls(&applied), counted([(LIST, 2), (QUOTAS, 1), made[0], made[1]]));
    assert_eq!(proxy.total(), 104, "no call but these reaches Neutron");
    let applied = applied.says("in 101 calls").says("Applied in 101 calls");
    assert!(applied.stdout.contains("100 groups to create"), "{}", applied.stdout);
    let planned = project.run(&["plan", "--detailed-exitcode"]).exits(0);
    assert_eq!(calls(&planned), counted([(LIST, 1)]), "nothing is planned that needs room");
    let groups = project.groups();
    assert_eq!(groups.len(), 100);
    assert!(groups.values().all(|group| group["security_group_rules"].as_array().unwrap().len() >= 12));
}

#[test]
fn a_group_that_left_the_inventory_is_an_orphan_and_prune_deletes_it() {
    let project = Project::new("orphan", NODES);
    project.run(&["apply"]).exits(0);
    project.write(&NODES.replace("security_group: nodes", "security_group: renamed"));
    project.run(&["apply"]).exits(0).says("orphan nodes");
    project.run(&["apply", "--prune", "--max-removals", "20"]).exits(0);
    assert_eq!(project.groups().into_keys().collect::<Vec<_>>(), ["renamed"]);
}

/// What is wrong with the user's own settings is found out by the first call, and said with a way out.
#[test]
fn wrong_settings_are_named() {
    let mut project = Project::new("wrong", NODES);
    project.write(&NODES.replace("cloud: demo", "cloud: demoo"));
    project.run(&["plan"]).exits(1).complains("no cloud `demoo`").complains("`demo`").complains("clouds.yaml");
    project.write(&NODES.replace("cloud: demo", "cloud: demo, region: Mars"));
    project.run(&["plan"]).exits(1).complains("no region `Mars`").complains("`RegionOne`");
    project.write(&NODES.replace("project: PROJECT", "project: nobodys"));
    project.run(&["plan"]).exits(1).complains("401").complains("project").complains("help:");
    project.write(NODES);
    project.clouds(|file| file.replace("demo-password", "wrong-password"));
    let denied = project.run(&["plan"]).exits(1).complains("401").complains("check user, password");
    assert!(!denied.stderr.contains("wrong-password"), "{}", denied.stderr);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    project.clouds(|file| {
        let url = file.lines().find_map(|line| line.trim().strip_prefix("auth_url: ")).unwrap();
        file.replace(url, &format!("http://127.0.0.1:{port}/v3"))
    });
    project.run(&["plan"]).exits(1).complains(&format!("http://127.0.0.1:{port}")).complains("help:");
    project.clouds(|_| "clouds: [".to_owned());
    project.run(&["plan"]).exits(1).complains("clouds.yaml").complains("help:");
    assert_eq!(project.groups(), BTreeMap::new());
}

//! The simulated cloud as a test sees it: the state file, rule by rule, and every call that reached it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Ran, Scene};

/// The group of Rancher's EC2 node driver, alone in network `lab`, whose cloud is `cloud.json`.
pub const NODES: &str = r#"version: 1
owner: platform
networks:
  lab: { simulated: { state: cloud.json } }
clusters:
  nodes:
    network: lab
    profile: rancher-nodes-ec2-sg
    rancher_version: "2.4"
    groups:
      all: { roles: [etcd, controlplane, worker], security_group: rancher-nodes }
"#;

/// What Rancher's documentation lists for that group, inbound (v2.0-v2.4, Rancher AWS EC2 Security Group).
pub const NODES_INBOUND: [&str; 12] = [
    "in 10250-10252/tcp rancher-nodes",
    "in 10256/tcp rancher-nodes",
    "in 22/tcp 0.0.0.0/0",
    "in 2376/tcp 0.0.0.0/0",
    "in 2379-2380/tcp rancher-nodes",
    "in 30000-32767/tcp 0.0.0.0/0",
    "in 30000-32767/udp 0.0.0.0/0",
    "in 443/tcp 0.0.0.0/0",
    "in 4789/udp rancher-nodes",
    "in 6443/tcp 0.0.0.0/0",
    "in 80/tcp 0.0.0.0/0",
    "in 8472/udp rancher-nodes",
];

/// What the cloud itself puts into a new group.
pub const ALL_OUT: &str = "out all 0.0.0.0/0";

/// A downstream cluster of three groups that refer to each other; all its rows can be opened but those that need a Rancher.
pub const PROD: &str = r#"version: 1
owner: platform
networks:
  lab: { simulated: { state: cloud.json } }
clusters:
  prod:
    network: lab
    profile: downstream-node-pools
    rancher_version: "2.4"
    options: { cni: canal, rancher_external_lb: false, authorized_cluster_endpoint: true, nodeport_services: false }
    groups:
      etcd: { roles: [etcd] }
      control: { roles: [controlplane] }
      workers: { roles: [worker] }
peers:
  kube-api-clients: { cidrs: [203.0.113.0/24] }
  workload-clients: { cidrs: [198.51.100.0/24] }
"#;

/// A scene on a cloud whose state file is `cloud.json`, and which tells of every call.
pub fn scene(inventory: &str) -> Scene {
    let mut scene = Scene::new(inventory);
    scene.set("RUST_LOG", "rsgsync_simulated=debug");
    scene
}

/// A scene in which the inventory was applied.
#[track_caller]
pub fn applied(inventory: &str) -> Scene {
    let scene = scene(inventory);
    scene.run(&["apply"]).exits(0);
    scene
}

/// The state file.
#[track_caller]
pub fn state(scene: &Scene) -> Value {
    serde_json::from_slice(&scene.read("cloud.json").expect("a state file")).unwrap()
}

/// Changes the state file by hand.
#[track_caller]
pub fn by_hand(scene: &Scene, change: impl FnOnce(&mut Value)) {
    let mut state = state(scene);
    change(&mut state);
    scene.write("cloud.json", state.to_string());
}

/// A group in a state, by name.
#[track_caller]
pub fn group<'a>(state: &'a mut Value, name: &str) -> &'a mut Value {
    let groups = state["groups"].as_array_mut().unwrap();
    groups.iter_mut().find(|group| group["name"] == name).unwrap_or_else(|| panic!("there is no group {name}"))
}

/// The rules of a group in a state.
#[track_caller]
pub fn rules<'a>(state: &'a mut Value, name: &str) -> &'a mut Vec<Value> {
    group(state, name)["rules"].as_array_mut().unwrap()
}

/// An inbound TCP rule as somebody makes it by hand.
pub fn tcp(port: u16, cidr: &str) -> Value {
    json!({ "direction": "ingress", "protocol": "tcp", "from_port": port, "to_port": port, "peer": { "cidr": cidr } })
}

/// A state with these groups.
pub fn with_groups(groups: Value) -> String {
    json!({ "version": 1, "groups": groups }).to_string()
}

/// `in 22/tcp 0.0.0.0/0` of every rule of a group in the state file, sorted; groups by name.
#[track_caller]
pub fn rules_of(scene: &Scene, name: &str) -> Vec<String> {
    let mut state = state(scene);
    let ids = state["groups"].as_array().unwrap().iter();
    let names: BTreeMap<String, String> =
        ids.map(|g| (g["id"].as_str().unwrap().to_owned(), g["name"].as_str().unwrap().to_owned())).collect();
    let mut lines: Vec<String> = rules(&mut state, name).iter().map(|rule| spell(rule, &names)).collect();
    lines.sort();
    lines
}

fn spell(rule: &Value, names: &BTreeMap<String, String>) -> String {
    let way = if rule["direction"] == "ingress" { "in" } else { "out" };
    let protocol = rule["protocol"].as_str().unwrap();
    let traffic = match (rule["from_port"].as_u64(), rule["to_port"].as_u64()) {
        (Some(from), Some(to)) if from == to => format!("{from}/{protocol}"),
        (Some(from), Some(to)) => format!("{from}-{to}/{protocol}"),
        _ => protocol.to_owned(),
    };
    let peer = rule["peer"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
    format!("{way} {traffic} {}", names.get(peer).map_or(peer, String::as_str))
}

/// The names of all groups, sorted.
#[track_caller]
pub fn group_names(scene: &Scene) -> Vec<String> {
    let state = state(scene);
    let names = state["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Every call that reached the cloud, by EC2's name, in order; from the cloud's own log.
pub fn calls(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().filter_map(|line| line.split_once("kind=\"")?.1.split_once('"')).map(|(kind, _)| kind).collect()
}

/// Of those, the ones that change something.
pub fn mutating(ran: &Ran) -> Vec<&str> {
    let reads = ["DescribeSecurityGroups", "DescribeSecurityGroupRules"];
    calls(ran).into_iter().filter(|kind| !reads.contains(kind)).collect()
}

/// Of those, the ones that change which packets are let through: all but descriptions and marks.
pub fn decisive(ran: &Ran) -> Vec<&str> {
    let words = |kind: &&str| !kind.starts_with("UpdateSecurityGroupRuleDescriptions") && !kind.ends_with("Tags");
    mutating(ran).into_iter().filter(words).collect()
}

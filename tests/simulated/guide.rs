//! The guide's recipes, on simulated clouds: what it and the README show of a plan is what the program prints.

use serde_json::json;

use crate::cloud::tcp;
use crate::support::{Ran, Scene};

const GUIDE: &str = include_str!("../../docs/guide.md");
const README: &str = include_str!("../../README.md");

/// What a page shows as output below a heading: indented lines that are no commands, and stand in no fence.
fn shown(page: &'static str, heading: &str) -> Vec<&'static str> {
    let (_, below) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = below.split("\n## ").next().unwrap();
    let lines = section.split("```").step_by(2).flat_map(str::lines).filter_map(|line| line.strip_prefix("    "));
    lines.filter(|line| !line.contains("rsgsync ") && line.trim() != "…").collect()
}

/// Fails the test unless each line that the page shows below the heading is one of the program's.
#[track_caller]
fn assert_shown(page: &'static str, heading: &str, least: usize, ran: &[Ran]) {
    let lines = shown(page, heading);
    assert!(lines.len() >= least, "{heading}: only {} lines were found", lines.len());
    let printed: Vec<&str> = ran.iter().flat_map(|ran| ran.stdout.lines()).collect();
    for line in lines {
        assert!(printed.contains(&line), "{heading}: `{line}` is not in\n{}", printed.join("\n"));
    }
}

/// An example with a simulated cloud, in a file of the network's name, in place of each real one.
pub fn simulated(example: &str) -> String {
    let mut network = "";
    let lines = example.lines().map(|line| {
        let key = line.trim_start().split(':').next().unwrap();
        match line.len() - line.trim_start().len() {
            2 => network = key,
            4 if ["aws", "gcp", "openstack"].contains(&key) => {
                return format!("    simulated: {{ state: {network}.json }}\n");
            }
            _ => {}
        }
        format!("{line}\n")
    });
    lines.collect()
}

#[test]
fn what_the_readme_shows_of_a_drift() {
    let scene = Scene::new("");
    scene.write("examples/quickstart.yaml", include_str!("../../examples/quickstart.yaml"));
    let state = "examples/quickstart-cloud.json";
    scene.run(&["apply", "-i", "examples/quickstart.yaml"]).exits(0);
    let mut cloud: serde_json::Value = serde_json::from_slice(&scene.read(state).unwrap()).unwrap();
    let groups = cloud["groups"].as_array_mut().unwrap();
    let etcd = groups.iter_mut().find(|group| group["name"] == "prod-etcd").unwrap();
    let rules = etcd["rules"].as_array_mut().unwrap();
    rules.retain(|rule| rule["from_port"] != 10250);
    rules.push(tcp(2379, "0.0.0.0/0"));
    scene.write(state, cloud.to_string());
    assert_shown(README, "What you see", 10, &[scene.run(&["drift", "-i", "examples/quickstart.yaml"]).exits(2)]);
}

/// The first block of YAML on the page that is an inventory.
fn inventory(page: &str) -> &str {
    page.split("```yaml\n").find(|block| block.starts_with("version: 1\n")).unwrap().split("```").next().unwrap()
}

#[test]
fn the_inventory_of_the_readme_runs_as_it_stands() {
    let scene = Scene::new(inventory(README));
    let validated = scene.run(&["validate"]).exits(0);
    assert_eq!(validated.stderr, "");
    scene.run(&["apply"]).exits(0).says("in sync");
}

#[test]
fn a_first_plan() {
    let example = include_str!("../../examples/quickstart.yaml");
    let scene = Scene::new(example);
    scene.run(&["plan"]).exits(0).says("5 groups to create");
    scene.run(&["apply"]).exits(0).says("Applied in 10 calls; in sync.");
    assert_eq!(scene.run(&["drift"]).exits(0).stdout, "");
    scene.write("cluster.yaml", example.replace("cni: canal", "cni: calico"));
    assert_shown(GUIDE, "A first plan in five minutes", 6, &[scene.run(&["plan"]).exits(0)]);
}

/// A cloud that has the load balancer's group.
pub fn with_load_balancer() -> String {
    json!({ "version": 1, "groups": [{ "id": "sg-0a1b2c3d4e5f60718", "name": "nlb" }] }).to_string()
}

#[test]
fn behind_a_network_load_balancer() {
    let scene = Scene::new(&simulated(include_str!("../../examples/rke2-behind-nlb.yaml")));
    scene.write("eu.json", with_load_balancer());
    let ran = scene.run(&["plan"]).exits(0).says("World  opens nothing").says("+ prod-server  new group · 14 rules");
    let (_, server) = ran.stdout.split_once("+ prod-server").unwrap();
    assert_eq!(server.matches("from sg-0a1b2c3d4e5f60718").count(), 2);
}

#[test]
fn rancher_and_its_clusters_elsewhere() {
    let scene = Scene::new(&simulated(include_str!("../../examples/rancher-many-clouds.yaml")));
    assert_shown(
        GUIDE,
        "Rancher with clusters in other VPCs, accounts and clouds",
        8,
        &[scene.run(&["plan"]).exits(0)],
    );
    scene.run(&["apply"]).exits(0).says("in sync");
    let inventory = String::from_utf8(scene.read("cluster.yaml").unwrap()).unwrap();
    scene.write("cluster.yaml", inventory.replace("    nat: [192.0.2.20/32]\n", ""));
    scene.run(&["validate"]).exits(0).says("other network: add addresses to data/agent, or a link");
}

#[test]
fn floating_ips() {
    let inventory = simulated(include_str!("../../examples/openstack-floating-ips.yaml"));
    let ask = ["explain", "--from", "198.51.100.34", "--to", "prod/server", "--port", "9345/tcp", "--desired"];
    let scene = Scene::new(&inventory);
    scene.run(&ask).exits(0).says("allowed, once the inventory is applied").says("in 9345/tcp from 198.51.100.32/28");
    scene
        .run(&["plan"])
        .exits(0)
        .says("in  22/tcp            from 192.0.2.10/32")
        .says("needed elsewhere  rancher/server");
    let without: Vec<&str> = inventory.lines().filter(|line| !line.contains("from: nodes-outside")).collect();
    scene.write("cluster.yaml", without.join("\n").replace("    rules: #", "    # "));
    scene.run(&ask).exits(0).says("denied, once the inventory is applied");
    scene.write("cluster.yaml", inventory.replace("agent: { roles", "agent: { multihomed: true, roles"));
    scene.run(&["validate"]).exits(1).complains("forbids");
}

/// A cloud in which the node driver has made `rancher-nodes`, with some of its rules.
pub fn driver() -> String {
    let world = r#""protocol": "tcp", "peer": { "cidr": "0.0.0.0/0" }"#;
    let nodes = r#""protocol": "tcp", "peer": { "security_group": "rancher-nodes" }"#;
    let rule = |what: &str, from: u16, to: u16| {
        format!(r#"{{ "direction": "ingress", {what}, "from_port": {from}, "to_port": {to} }}"#)
    };
    let rules = [rule(world, 22, 22), rule(world, 80, 80), rule(nodes, 9345, 9345), rule(nodes, 2379, 2380)].join(", ");
    let out = r#"{ "direction": "egress", "protocol": "all", "peer": { "cidr": "0.0.0.0/0" } }"#;
    let server = r#"{ "id": "sg-0000000a", "name": "rancher-server", "rules": [] }"#;
    let driver = format!(r#"{{ "id": "sg-0000000b", "name": "rancher-nodes", "rules": [{out}, {rules}] }}"#);
    format!(r#"{{ "version": 1, "groups": [{server}, {driver}] }}"#)
}

#[test]
fn teams_in_one_group() {
    let scene = Scene::new("");
    scene.write("platform.yaml", simulated(include_str!("../../examples/shared-nodes/platform.yaml")));
    scene.write("sales.yaml", simulated(include_str!("../../examples/shared-nodes/sales.yaml")));
    scene.write("ec2.json", driver());
    scene.run(&["apply", "-i", "platform.yaml"]).exits(0);
    let joins = scene.run(&["plan", "-i", "sales.yaml"]).exits(0);
    scene.run(&["apply", "-i", "sales.yaml"]).exits(0);
    let leaves = scene.run(&["destroy", "-i", "platform.yaml", "--cluster", "tools", "--yes"]).exits(0);
    assert_shown(GUIDE, "Teams that share `rancher-nodes`", 9, &[joins, leaves]);
    scene.run(&["drift", "-i", "sales.yaml"]).exits(0);
}

#[test]
fn a_profile_of_ones_own() {
    let scene = Scene::new(include_str!("../../examples/own-profile/cluster.yaml"));
    scene.write("ports.yaml", include_str!("../../examples/own-profile/ports.yaml"));
    scene.write("guards.yaml", include_str!("../../examples/own-profile/guards.yaml"));
    scene.run(&["validate", "--strict"]).exits(0);
    scene.run(&["plan"]).exits(0).says("node-exporter, scraped from outside the cluster  [metrics]");
    let inventory = include_str!("../../examples/own-profile/cluster.yaml");
    scene.write("cluster.yaml", inventory.replace("10.9.0.0/28", "8.8.8.0/28"));
    let refused = "guard `node-exporter-public` forbids 9796/tcp from 8.8.8.0/28 on `prod-agent`";
    assert!(GUIDE.contains(refused));
    scene.run(&["validate"]).exits(1).complains(refused);
}

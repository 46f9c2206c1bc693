//! The plan as people see it, whole.

use serde_json::json;

use crate::cloud::{NODES, applied, by_hand, group, rules, scene, tcp};
use crate::support::{Ran, Scene};

/// The digest hangs on every letter of the profiles: it has tests of its own.
fn without_digest(ran: &Ran) -> String {
    let line = |line: &str| if line.starts_with("Digest ") { "Digest […]" } else { line }.to_owned() + "\n";
    ran.stdout.lines().map(line).collect()
}

fn plan(scene: &Scene) -> String {
    without_digest(&scene.run(&["plan"]).exits(0))
}

#[test]
fn the_quickstart_on_an_empty_cloud() {
    let scene = scene(include_str!("../../examples/quickstart.yaml"));
    insta::assert_snapshot!(plan(&scene));
}

#[test]
fn a_shared_group_with_rules_of_others_one_missing_and_one_too_wide() {
    let inventory = NODES
        .replace("security_group: rancher-nodes", "security_group: rancher-nodes, ownership: shared, create: true");
    let scene = applied(&inventory);
    by_hand(&scene, |state| {
        let rules = rules(state, "rancher-nodes");
        rules.retain(|rule| rule["from_port"] != 6443);
        rules.iter_mut().find(|rule| rule["from_port"] == 2379).unwrap()["to_port"] = json!(2400);
        rules.extend([tcp(9000, "192.0.2.0/24"), tcp(9001, "192.0.2.0/24")]);
        group(state, "rancher-nodes")["tags"] = json!({ "rsgsync:platform/nodes": "joined" });
    });
    insta::assert_snapshot!(plan(&scene));
}

#[test]
fn a_group_that_is_adopted() {
    let scene =
        scene(&NODES.replace("security_group: rancher-nodes", "security_group: rancher-nodes, ownership: exclusive"));
    let out = json!({ "direction": "egress", "protocol": "all", "peer": { "cidr": "0.0.0.0/0" } });
    let theirs = [tcp(22, "0.0.0.0/0"), tcp(9000, "0.0.0.0/0"), tcp(9002, "192.0.2.0/24"), out];
    let group = json!({ "id": "sg-0a1b", "name": "rancher-nodes", "rules": theirs });
    scene.write("cloud.json", crate::cloud::with_groups(json!([group])));
    insta::assert_snapshot!(plan(&scene));
}

#[test]
fn a_cloud_in_sync() {
    insta::assert_snapshot!(plan(&applied(NODES)));
}

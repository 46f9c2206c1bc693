//! Groups of one network in rules of another: by reference, whether they exist, are made in the same run, or neither.

use serde_json::Value;

use crate::support::Scene;

const INVENTORY: &str = "
version: 1
owner: platform
networks:
  edge: { simulated: { state: edge.json } }
  hub:
    simulated: { state: hub.json }
    links: { edge: reference }
clusters:
  d:
    network: edge
    profile: ours
    groups: { b: { roles: [worker], security_group: b } }
    peers: { far: { cluster: mgmt, group: a } }
    rules:
      - { from: far, to: b, allow: [9100/tcp], why: metrics }
      - { from: far, to: b, allow: [9200/tcp], why: logs }
  mgmt:
    network: hub
    profile: ours
    groups: { a: { roles: [worker], security_group: a } }
profiles: [./ours.yaml]
";

const PROFILE: &str = "
name: ours
source: the test
rows: []
";

fn scene(inventory: &str) -> Scene {
    let scene = Scene::new(inventory);
    scene.write("ours.yaml", PROFILE);
    scene
}

/// Who may reach `b` on this port, as the state file has it.
fn peers(scene: &Scene, port: u16) -> Vec<Value> {
    let state: Value = serde_json::from_slice(&scene.read("edge.json").unwrap()).unwrap();
    let rules = state["groups"].as_array().unwrap().iter().flat_map(|g| g["rules"].as_array().unwrap());
    rules.filter(|r| r["from_port"] == port).map(|r| r["peer"].clone()).collect()
}

#[test]
fn a_group_made_in_the_same_run_is_referred_to_by_its_id() {
    let scene = scene(INVENTORY);
    let plan = scene.run(&["plan", "--format", "json"]).exits(0).json();
    let step = |network: &str, action: &str| {
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().find(|s| s["network"] == network && s["action"] == action).unwrap().clone()
    };
    let made = step("hub", "create_group")["id"].clone();
    assert!(step("edge", "add_rules")["depends_on"].as_array().unwrap().contains(&made), "{plan}");

    scene.run(&["apply"]).exits(0);
    let hub: Value = serde_json::from_slice(&scene.read("hub.json").unwrap()).unwrap();
    let id = hub["groups"][0]["id"].as_str().unwrap();
    for port in [9100, 9200] {
        assert_eq!(peers(&scene, port), [serde_json::json!({ "security_group": id, "account": "hub" })]);
    }
    scene.run(&["plan", "--detailed-exitcode"]).exits(0);
    scene.run(&["drift"]).exits(0);
}

#[test]
fn a_saved_plan_knows_groups_that_another_network_makes_and_its_run_can_be_rolled_back() {
    let scene = scene(INVENTORY);
    scene.run(&["plan", "--out", "plan.json"]).exits(0);
    scene.run(&["apply", "plan.json"]).exits(0);
    let listed = peers(&scene, 9100);
    assert_eq!(listed.len(), 1);
    scene.run(&["apply", "plan.json"]).exits(0);
    scene.run(&["plan", "--detailed-exitcode"]).exits(0);

    scene.run(&["rollback", scene.journals().pop().unwrap().to_str().unwrap(), "--yes"]).exits(0);
    for file in ["edge.json", "hub.json"] {
        let state: Value = serde_json::from_slice(&scene.read(file).unwrap()).unwrap();
        assert_eq!(state["groups"], serde_json::json!([]), "{file}");
    }
}

#[test]
fn a_group_that_cluster_leaves_out_is_not_referred_to_until_it_is_there() {
    let scene = scene(INVENTORY);
    let ran = scene.run(&["apply", "--cluster", "d"]).exits(0);
    let ran = ran.says("not opened").says("a isn't in hub");
    assert!(!ran.stdout.contains("9100/tcp from"), "{}", ran.stdout);
    assert_eq!(peers(&scene, 9100), Vec::<Value>::new());
    scene.run(&["apply"]).exits(0);
    assert_eq!(peers(&scene, 9100).len(), 1);
}

#[test]
fn a_group_of_an_external_cluster_is_read_though_nothing_else_is_of_its_network() {
    let external = INVENTORY.replace("  mgmt:\n", "  mgmt:\n    external: true\n");
    let scene = scene(&external);
    let plan = scene.run(&["plan", "--format", "json"]).exits(0).json();
    let why = |plan: &Value| plan["unopened"].as_array().unwrap().iter().map(|u| u["why"].clone()).collect::<Vec<_>>();
    assert_eq!(why(&plan), ["no such group: a in network hub", "no such group: a in network hub"]);

    let hub = r#"{ "version": 1, "groups": [ { "id": "sg-abc", "name": "a", "rules": [] } ] }"#;
    scene.write("hub.json", hub);
    let plan = scene.run(&["plan", "--format", "json"]).exits(0).json();
    assert_eq!(why(&plan), Vec::<Value>::new());
    scene.run(&["apply"]).exits(0);
    assert_eq!(peers(&scene, 9100), [serde_json::json!({ "security_group": "sg-abc", "account": "hub" })]);
    assert_eq!(scene.read("hub.json").unwrap(), hub.as_bytes(), "an external cluster is never written");
}

#[test]
fn a_network_that_cannot_be_read_takes_no_rule_away_from_another() {
    let scene = scene(INVENTORY);
    scene.run(&["apply"]).exits(0);
    let mut hub: Value = serde_json::from_slice(&scene.read("hub.json").unwrap()).unwrap();
    hub["faults"] = serde_json::json!({ "schedule": [{ "kind": "DescribeSecurityGroups", "fault": "denied" }] });
    scene.write("hub.json", hub.to_string());
    let plan = scene.run(&["plan", "--format", "json"]).json();
    assert_eq!(plan["networks"][1]["status"], "error", "{plan}");
    assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{plan}");
    assert_eq!(peers(&scene, 9100).len(), 1);
}

#[cfg(feature = "aws")]
#[test]
fn a_reference_into_another_providers_network_is_refused() {
    let inventory = INVENTORY.replace("  edge: { simulated: { state: edge.json } }", "  edge: { aws: {} }");
    scene(&inventory).run(&["validate"]).exits(1).complains("its groups can't be referred to");
}

//! `explain` and `init groups`, which only read, where the groups of [`circle`](super::inventories::circle) stand.

use serde_json::{Value, json};

use super::Scene;

const GROUPS: [&str; 3] = ["prod-etcd", "prod-control", "prod-workers"];

/// Asks why connections between groups that were made from `cluster.yaml` are allowed or not; `unasked`: what is said of one
/// inside that nothing asks for.
#[track_caller]
pub fn explains(scene: &Scene, unasked: &str) {
    let ask = |from: &str, to: &str, port: &str| -> Value {
        scene.run(&["explain", "--from", from, "--to", to, "--port", port, "--format", "json"]).exits(0).json()
    };
    for (from, to, port, verdict, required) in [
        ("prod/control", "prod/etcd", "2379/tcp", "allowed", true),
        ("203.0.113.7", "prod/control", "6443/tcp", "allowed", true),
        ("198.51.100.7", "prod/etcd", "2379/tcp", "denied", false),
        ("prod/workers", "prod/etcd", "9999/tcp", unasked, false),
    ] {
        let answer = ask(from, to, port);
        let told = (&answer["verdict"], &answer["required"]);
        assert_eq!(told, (&json!(verdict), &json!(required)), "{from} to {to} on {port}: {answer}");
    }
    let answer = ask("prod/control", "prod/etcd", "2379/tcp");
    let by = answer["by"].as_array().unwrap();
    let inbound = by.iter().find(|rule| rule["direction"] == "ingress").unwrap();
    let name = inbound["id"].as_str().or_else(|| inbound["resource"].as_str());
    assert!(name.is_some_and(|name| !name.is_empty()), "what the cloud calls it: {inbound}");
    assert_eq!(inbound["peer"], json!({ "security_group": "prod-control" }));
    assert_eq!(inbound["reasons"][0]["row"], "controlplane-etcd-client");
}

/// Writes an inventory for those groups, which leaves their rules alone; `place` is the network.
#[track_caller]
pub fn adopts(scene: &Scene, place: &str, owner: &str) {
    let file = format!("{owner}.yaml");
    scene
        .run(&["init", "groups", "--network", place, "--owner", owner, "--out", &file, "--group", &GROUPS.join(",")])
        .exits(0)
        .says("nothing missing");
    scene.run(&["validate", "--inventory", &file]).exits(0);
    let plan = scene.run(&["plan", "--inventory", &file, "--format", "json"]).exits(0).json();
    let text = String::from_utf8(scene.read(&file).unwrap()).unwrap();
    for group in GROUPS {
        assert!(text.contains(group), "{group} is not in\n{text}");
    }
    let steps = plan["steps"].as_array().unwrap().iter().filter(|step| step["action"] != "set_marks");
    assert_eq!(steps.collect::<Vec<_>>(), Vec::<&Value>::new(), "{text}");
}

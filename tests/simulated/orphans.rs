//! What is left of groups that the inventory no longer names: reported, and pruned when asked.

use serde_json::{Value, json};

use crate::cloud::{
    ALL_OUT, NODES, PROD, applied, by_hand, decisive, group, group_names, mutating, rules, rules_of, scene, state, tcp,
    with_groups,
};
use crate::support::Scene;

/// The inventory of PROD without its workers, in whose cloud the workers' group still is.
fn without_workers() -> Scene {
    let scene = applied(PROD);
    scene.write("cluster.yaml", PROD.replace("      workers: { roles: [worker] }\n", ""));
    // What only the workers needed elsewhere goes first, so that the group itself is all that is left.
    scene.run(&["apply", "--max-removals", "99"]).exits(0);
    scene
}

const LEFT: [&str; 3] = ["prod-control", "prod-etcd", "prod-workers"];

fn orphans(scene: &Scene, arguments: &[&str]) -> Vec<Value> {
    let ran = scene.run(&[arguments, &["--format", "json"]].concat());
    ran.json()["orphans"].as_array().unwrap().clone()
}

#[test]
fn an_orphan_is_reported_and_is_no_drift() {
    let scene = without_workers();
    scene.run(&["plan", "--detailed-exitcode"]).exits(0).says("orphan prod-workers").says("made for platform/prod");
    scene.run(&["drift", "-v"]).exits(0).says("orphan prod-workers").says("--prune deletes it");
    let apply = scene.run(&["apply"]).exits(0).says("orphan prod-workers");
    assert_eq!(mutating(&apply), [""; 0]);
    assert_eq!(group_names(&scene), LEFT);
    let told = orphans(&scene, &["plan"]);
    assert_eq!(told.len(), 1);
    let kept = rules_of(&scene, "prod-workers").len();
    let expected = json!({ "network": "lab", "security_group": "prod-workers", "id": told[0]["id"],
                           "marks": ["platform/prod=made"], "prune": "delete", "rules": kept });
    assert_eq!(told[0], expected);
}

#[test]
fn prune_deletes_what_we_made_once_the_user_has_named_the_number() {
    let scene = without_workers();
    let goes = rules_of(&scene, "prod-workers").len().to_string();
    let before = scene.read("cloud.json");
    scene.run(&["apply", "--prune"]).exits(1).complains(&format!("--max-removals {goes}"));
    assert_eq!(scene.read("cloud.json"), before);
    let apply = scene.run(&["apply", "--prune", "--max-removals", &goes]).exits(0).says("deleted with");
    assert_eq!(decisive(&apply), ["DeleteSecurityGroup"]);
    assert_eq!(group_names(&scene), ["prod-control", "prod-etcd"]);
    scene.run(&["plan", "--prune", "--detailed-exitcode"]).exits(0).says("nothing to do");
}

#[test]
fn with_prune_an_orphan_is_pending_in_every_report() {
    let scene = without_workers();
    scene.run(&["plan", "--prune", "--detailed-exitcode"]).exits(2);
    let drift = scene.run(&["drift", "--prune", "--format", "json"]).exits(2).json();
    let kinds: Vec<_> = drift["drift"].as_array().unwrap().iter().map(|d| (&d["kind"], &d["security_group"])).collect();
    assert_eq!(kinds, [(&json!("group_unexpected"), &json!("prod-workers"))]);
    let entry = drift["groups"].as_array().unwrap().iter().find(|g| g["status"] == "delete").unwrap();
    assert_eq!(entry["security_group"], "prod-workers");
    assert_eq!((&entry["cluster"], &entry["group"]), (&json!("prod"), &Value::Null));
    assert_eq!(entry["rules_after"], 0);
}

#[test]
fn references_to_an_orphan_go_before_it() {
    let scene = applied(PROD);
    scene.write("cluster.yaml", PROD.replace("      workers: { roles: [worker] }\n", ""));
    assert!(rules_of(&scene, "prod-etcd").iter().any(|rule| rule.ends_with("prod-workers")));
    scene.run(&["apply", "--prune", "--max-removals", "99"]).exits(0);
    assert_eq!(group_names(&scene), ["prod-control", "prod-etcd"]);
    scene.run(&["drift", "--prune"]).exits(0);
}

#[test]
fn a_renamed_group_is_made_first_and_its_old_one_pruned() {
    let scene = applied(PROD);
    scene.write("cluster.yaml", PROD.replace("workers: { roles: [worker] }", "nodes: { roles: [worker] }"));
    scene.run(&["apply", "--prune", "--max-removals", "99"]).exits(0);
    assert_eq!(group_names(&scene), ["prod-control", "prod-etcd", "prod-nodes"]);
    scene.run(&["drift", "--prune"]).exits(0);
}

#[test]
fn a_saved_prune_proves_itself() {
    let scene = without_workers();
    scene.run(&["plan", "--prune", "--out", "plan.json"]).exits(0);
    scene.run(&["prove", "plan.json"]).exits(0);
}

/// A group that somebody else made and that we keep rules in, which the inventory no longer names.
fn joined() -> Scene {
    let before = NODES.replace("security_group: rancher-nodes", "security_group: theirs, ownership: shared");
    let scene = scene(&before);
    let out = json!({ "direction": "egress", "protocol": "all", "peer": { "cidr": "0.0.0.0/0" } });
    let theirs = json!({ "id": "sg-0a", "name": "theirs", "rules": [tcp(9000, "198.51.100.0/24"), out] });
    scene.write("cloud.json", with_groups(json!([theirs])));
    scene.run(&["apply"]).exits(0);
    scene.write("cluster.yaml", NODES);
    scene.run(&["apply"]).exits(0);
    scene
}

#[test]
fn prune_takes_only_our_rules_and_our_mark_from_a_group_that_we_joined() {
    let scene = joined();
    assert_eq!(orphans(&scene, &["plan"])[0]["prune"], "clear");
    scene.run(&["plan"]).exits(0).says("orphan theirs").says("removes 12 rules of ours and our mark");
    let apply = scene.run(&["apply", "--prune", "--max-removals", "12"]).exits(0);
    assert_eq!(decisive(&apply), ["RevokeSecurityGroupIngress"]);
    assert_eq!(rules_of(&scene, "theirs"), ["in 9000/tcp 198.51.100.0/24", ALL_OUT]);
    assert_eq!(group(&mut state(&scene), "theirs")["tags"], json!({}));
    let again = scene.run(&["apply", "--prune"]).exits(0);
    assert_eq!(mutating(&again), [""; 0]);
    assert_eq!(orphans(&scene, &["plan"]), [] as [Value; 0]);
}

#[test]
fn a_rule_of_two_owners_stays_for_the_other() {
    let scene = joined();
    by_hand(&scene, |state| {
        for rule in rules(state, "theirs").iter_mut().filter(|rule| rule["from_port"] == 22) {
            rule["tags"]["rsgsync:sales/shop"] = json!("made");
        }
        group(state, "theirs")["tags"]["rsgsync:sales/shop"] = json!("joined");
    });
    scene.run(&["apply", "--prune", "--max-removals", "11"]).exits(0);
    assert_eq!(rules_of(&scene, "theirs"), ["in 22/tcp 0.0.0.0/0", "in 9000/tcp 198.51.100.0/24", ALL_OUT]);
    let left = group(&mut state(&scene), "theirs").clone();
    assert_eq!(left["tags"], json!({ "rsgsync:sales/shop": "joined" }));
    let shared = left["rules"].as_array().unwrap().iter().find(|rule| rule["from_port"] == 22).unwrap();
    assert_eq!(shared["tags"], json!({ "rsgsync:sales/shop": "made" }));
    scene.run(&["drift", "--prune"]).exits(0);
}

#[test]
fn a_group_that_another_owner_joined_is_not_deleted() {
    let scene = without_workers();
    by_hand(&scene, |state| group(state, "prod-workers")["tags"]["rsgsync:sales/shop"] = json!("joined"));
    scene.run(&["apply", "--prune", "--max-removals", "99"]).exits(0);
    assert_eq!(group_names(&scene), LEFT);
    assert_eq!(group(&mut state(&scene), "prod-workers")["tags"], json!({ "rsgsync:sales/shop": "joined" }));
}

#[test]
fn what_a_cluster_left_behind_is_told_and_never_pruned() {
    let scene = applied(&format!(
        "{NODES}  old:\n    network: lab\n    profile: rancher-nodes-ec2-sg\n    \
                                  rancher_version: \"2.4\"\n    groups:\n      all: {{ roles: [worker] }}\n"
    ));
    scene.write("cluster.yaml", NODES);
    scene.run(&["plan"]).exits(0).says("marked by platform/old  old-all").says("destroy a cluster before it leaves");
    let before = scene.read("cloud.json");
    let apply = scene.run(&["apply", "--prune", "--max-removals", "99"]).exits(0);
    assert_eq!(mutating(&apply), [""; 0]);
    assert_eq!(scene.read("cloud.json"), before);
    assert_eq!(orphans(&scene, &["plan", "--prune"])[0]["prune"], "keep");
}

#[test]
fn a_foreign_rule_that_names_an_orphan_refuses_its_deletion() {
    let scene = without_workers();
    by_hand(&scene, |state| {
        let id = group(state, "prod-workers")["id"].clone();
        let theirs = json!({ "direction": "ingress", "protocol": "tcp", "from_port": 9000, "to_port": 9000,
                             "peer": { "security_group": id } });
        group(state, "prod-etcd")["tags"] = json!({});
        rules(state, "prod-etcd").push(theirs);
    });
    let before = scene.read("cloud.json");
    let refused = scene.run(&["apply", "--prune", "--max-removals", "99"]).exits(1);
    refused.complains("`prod-workers`").complains("`prod-etcd`").complains("help: ");
    assert_eq!(scene.read("cloud.json"), before);
}

#[test]
fn a_network_that_no_cluster_uses_any_more_is_read_when_pruning() {
    let two = PROD.replace("networks:\n", "networks:\n  old: { simulated: { state: old.json } }\n");
    let scene = scene(&two.replace("network: lab", "network: old"));
    scene.run(&["apply"]).exits(0);
    scene.write("cluster.yaml", two);
    scene.run(&["apply"]).exits(0);
    assert_eq!(orphans(&scene, &["plan"]), [] as [Value; 0]);
    assert_eq!(orphans(&scene, &["plan", "--prune"]).len(), 3);
    scene.run(&["apply", "--prune", "--max-removals", "99"]).exits(0);
    let old: Value = serde_json::from_slice(&scene.read("old.json").unwrap()).unwrap();
    assert_eq!(old["groups"], json!([]));
    assert_eq!(group_names(&scene), LEFT);
}

#[test]
fn destroy_leaves_orphans_and_says_so() {
    let scene = applied(NODES);
    scene.write("cluster.yaml", NODES.replace("rancher-nodes }", "renamed }"));
    scene.run(&["apply"]).exits(0);
    scene.run(&["destroy", "--yes"]).exits(0).says("orphan rancher-nodes");
    assert_eq!(group_names(&scene), ["rancher-nodes"]);
    scene.run(&["destroy", "--yes"]).exits(0).says("nothing to destroy").says("orphan rancher-nodes");
}

#[test]
fn an_orphan_that_refers_to_a_group_keeps_it_from_being_destroyed_and_the_way_out_is_told() {
    let scene = applied(PROD);
    scene.write("cluster.yaml", PROD.replace("workers: { roles: [worker] }", "nodes: { roles: [worker] }"));
    scene.run(&["apply", "--max-removals", "99"]).exits(0);
    let before = scene.read("cloud.json");
    scene.run(&["destroy", "--yes"]).exits(1).complains("`prod-workers`").complains("--prune");
    assert_eq!(scene.read("cloud.json"), before);
    scene.run(&["apply", "--prune", "--max-removals", "99"]).exits(0);
    scene.run(&["destroy", "--yes"]).exits(0);
    assert_eq!(group_names(&scene), [""; 0]);
}

#[test]
fn prune_goes_with_neither_cluster_nor_add_only() {
    let scene = without_workers();
    let before = scene.read("cloud.json");
    for other in [&["--cluster", "prod"][..], &["--add-only"]] {
        for command in ["plan", "apply"] {
            scene.run(&[&[command, "--prune"], other].concat()).exits(1).complains("--prune");
        }
    }
    scene.run(&["drift", "--prune", "--cluster", "prod"]).exits(1).complains("--prune");
    assert_eq!(scene.read("cloud.json"), before);
}

#[test]
fn without_clusters_the_networks_are_still_read_for_orphans() {
    let scene = applied(NODES);
    let (head, _) = NODES.split_once("clusters:").unwrap();
    scene.write("cluster.yaml", head);
    scene.run(&["drift", "-v"]).exits(0).says("marked by platform/nodes  rancher-nodes");
}

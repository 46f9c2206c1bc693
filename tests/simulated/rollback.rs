//! A run that is rolled back leaves what was there before it, but for what others have changed since.

use std::fs;

use serde_json::{Value, json};

use crate::cloud::{
    ALL_OUT, NODES, PROD, applied, by_hand, calls, group, group_names, mutating, rules, rules_of, scene, state, tcp,
    with_groups,
};
use crate::support::Scene;

/// The rules of all groups, read from the state file.
fn everything(scene: &Scene) -> Vec<(String, Vec<String>)> {
    group_names(scene).into_iter().map(|name| (name.clone(), rules_of(scene, &name))).collect()
}

/// The newest journal.
fn journal(scene: &Scene) -> String {
    scene.journals().pop().unwrap().display().to_string()
}

/// PROD applied, and then changed by hand in all three groups: something missing, something wider, something too much.
fn drifted() -> Scene {
    let scene = applied(PROD);
    by_hand(&scene, |state| {
        rules(state, "prod-etcd").retain(|rule| rule["from_port"] != 2379);
        let control = rules(state, "prod-control");
        let kubelet = control.iter_mut().find(|rule| rule["from_port"] == 10250).unwrap();
        kubelet["to_port"] = json!(10260);
        kubelet["description"] = json!("by hand");
        rules(state, "prod-workers").push(tcp(8081, "192.0.2.0/24"));
    });
    scene
}

fn kill(scene: &Scene, call: usize, fault: &str) {
    by_hand(scene, |state| state["faults"] = json!({ "schedule": [{ "call": call, "fault": fault }] }));
}

#[test]
fn groups_that_the_run_made_are_deleted() {
    let scene = applied(PROD);
    let ran = scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    ran.says("3 groups to delete").says("Rolled back in").says("loses its id");
    assert_eq!(group_names(&scene), [""; 0]);
}

#[test]
fn rules_come_back_and_go_as_they_were() {
    let scene = drifted();
    let before = everything(&scene);
    scene.run(&["apply"]).exits(0);
    assert_ne!(everything(&scene), before);
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    assert_eq!(everything(&scene), before);
    let described = |rule: &&Value| rule["description"] == "by hand";
    assert_eq!(rules(&mut state(&scene), "prod-control").iter().filter(described).count(), 1);
}

#[test]
fn the_proof_is_about_what_the_run_found_and_what_still_holds_of_it() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        rules(state, "rancher-nodes").retain(|rule| rule["from_port"] != 6443);
        rules(state, "rancher-nodes").extend([tcp(8081, "192.0.2.0/24"), tcp(8082, "192.0.2.0/24")]);
    });
    scene.run(&["apply"]).exits(0);
    // The run found 13 rules less one, and two that it took away.
    let proof = "Proof  12 of 14 rules from before the run hold now, and what of them holds is not cut at any step · nothing opens \
                 but what was open then · ";
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0).says(proof);
}

#[test]
fn a_rollback_has_its_own_journal_and_can_be_rolled_back() {
    let scene = drifted();
    scene.run(&["apply"]).exits(0);
    let applied = everything(&scene);
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    assert!(fs::read_to_string(journal(&scene)).unwrap().contains("\"command\":\"rollback\""));
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    assert_eq!(everything(&scene), applied);
    scene.run(&["drift"]).exits(0);
}

#[test]
fn a_run_is_rolled_back_once() {
    let scene = drifted();
    scene.run(&["apply"]).exits(0);
    let path = journal(&scene);
    scene.run(&["rollback", &path, "--yes"]).exits(0);
    let again = scene.run(&["rollback", &path, "--yes"]).exits(0).says("nothing to roll back");
    assert_eq!(mutating(&again), [""; 0]);
}

#[test]
fn a_run_killed_at_any_call_is_rolled_back() {
    let whole = calls(&drifted().run(&["apply"]).exits(0)).len();
    for fault in ["kill", "kill_before"] {
        // Before the second call nothing is journaled but the plan.
        for call in 2..=whole {
            let scene = drifted();
            let before = everything(&scene);
            kill(&scene, call, fault);
            scene.run(&["apply"]).exits(137);
            scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
            assert_eq!(everything(&scene), before, "{fault} at {call}");
        }
    }
}

#[test]
fn a_run_that_makes_groups_and_is_killed_at_any_call_is_rolled_back() {
    let whole = calls(&scene(PROD).run(&["apply"]).exits(0)).len();
    for fault in ["kill", "kill_before"] {
        for call in 2..=whole {
            let scene = scene(PROD);
            let faults = json!({ "schedule": [{ "call": call, "fault": fault }] });
            scene.write("cloud.json", json!({ "version": 1, "faults": faults }).to_string());
            scene.run(&["apply"]).exits(137);
            scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
            assert_eq!(group_names(&scene), [""; 0], "{fault} at {call}");
        }
    }
}

#[test]
fn a_rollback_killed_at_any_call_is_finished_by_the_next() {
    let scene = drifted();
    let before = everything(&scene);
    scene.run(&["apply"]).exits(0);
    let whole = calls(&scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0)).len();
    for call in 2..=whole {
        let scene = drifted();
        scene.run(&["apply"]).exits(0);
        let path = journal(&scene);
        kill(&scene, call, "kill");
        scene.run(&["rollback", &path, "--yes"]).exits(137);
        scene.run(&["rollback", &path, "--yes"]).exits(0);
        assert_eq!(everything(&scene), before, "killed at {call}");
    }
}

#[test]
fn a_destruction_is_rolled_back_with_new_ids_and_its_plan_said_so() {
    let scene = applied(PROD);
    let before = everything(&scene);
    scene.run(&["destroy"]).exits(1).says("loses its id sg-");
    scene.run(&["destroy", "--yes"]).exits(0);
    assert_eq!(group_names(&scene), [""; 0]);
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0).says("made again under a new id");
    assert_eq!(everything(&scene), before);
    scene.run(&["drift"]).exits(0);
}

#[test]
fn a_destruction_killed_at_any_call_is_rolled_back() {
    let before = everything(&applied(PROD));
    let whole = calls(&applied(PROD).run(&["destroy", "--yes"]).exits(0)).len();
    for call in 3..=whole {
        let scene = applied(PROD);
        kill(&scene, call, "kill");
        scene.run(&["destroy", "--yes"]).exits(137);
        scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
        assert_eq!(everything(&scene), before, "killed at {call}");
    }
}

#[test]
fn pruned_groups_come_back() {
    let scene = applied(PROD);
    let before = everything(&scene);
    scene.write("cluster.yaml", PROD.replace("      workers: { roles: [worker] }\n", ""));
    scene.run(&["apply", "--prune", "--max-removals", "99"]).exits(0).says("loses its id");
    assert_eq!(group_names(&scene), ["prod-control", "prod-etcd"]);
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    assert_eq!(everything(&scene), before);
}

/// PROD applied, and the kubelet of the workers opened to the world; the next apply closes it.
fn opened_to_the_world() -> Scene {
    let scene = applied(PROD);
    by_hand(&scene, |state| rules(state, "prod-workers").push(tcp(10250, "0.0.0.0/0")));
    scene.run(&["apply"]).exits(0);
    scene
}

const KUBELET: &str = "in 10250/tcp 0.0.0.0/0";

#[test]
fn what_a_guard_forbids_does_not_come_back() {
    let scene = opened_to_the_world();
    let ran = scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    ran.says("does not come back").says("--restore-guarded kubelet-public");
    assert!(!rules_of(&scene, "prod-workers").contains(&KUBELET.to_owned()));
}

#[test]
fn what_a_guard_forbids_comes_back_when_it_is_named() {
    let scene = opened_to_the_world();
    let path = journal(&scene);
    scene
        .run(&["rollback", &path, "--yes", "--restore-guarded", "kubelet-publik"])
        .exits(1)
        .complains("kubelet-public");
    scene.run(&["rollback", &path, "--yes", "--restore-guarded", "etcd-public"]).exits(0).says("does not come back");
    scene.run(&["rollback", &path, "--yes", "--restore-guarded", "kubelet-public"]).exits(0);
    assert!(rules_of(&scene, "prod-workers").contains(&KUBELET.to_owned()));
}

/// A group that somebody else made.
fn found() -> Value {
    let out = json!({ "direction": "egress", "protocol": "all", "peer": { "cidr": "0.0.0.0/0" } });
    let rules = [tcp(22, "198.51.100.0/24"), tcp(9000, "198.51.100.0/24"), out];
    json!({ "id": "sg-0a", "name": "rancher-nodes", "description": "by hand", "rules": rules })
}

fn on_found_group(extra: &str) -> Scene {
    let own = NODES.replace("security_group: rancher-nodes", &format!("security_group: rancher-nodes, {extra}"));
    let scene = scene(&own);
    scene.write("cloud.json", with_groups(json!([found()])));
    scene
}

const THEIRS: [&str; 3] = ["in 22/tcp 198.51.100.0/24", "in 9000/tcp 198.51.100.0/24", ALL_OUT];

#[test]
fn a_group_that_was_joined_or_adopted_is_as_it_was() {
    for extra in ["ownership: shared", "ownership: exclusive"] {
        let scene = on_found_group(extra);
        scene.run(&["apply"]).exits(0);
        assert_ne!(rules_of(&scene, "rancher-nodes"), THEIRS);
        scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
        assert_eq!(rules_of(&scene, "rancher-nodes"), THEIRS, "{extra}");
        assert_eq!(group(&mut state(&scene), "rancher-nodes")["tags"], json!({}), "{extra}");
        let tags: Vec<Value> = rules(&mut state(&scene), "rancher-nodes").iter().map(|r| r["tags"].clone()).collect();
        assert_eq!(tags, [json!({}), json!({}), json!({})], "{extra}");
    }
}

#[test]
fn our_rule_in_a_shared_group_comes_back_with_our_mark() {
    let scene = on_found_group("ownership: shared");
    scene.run(&["apply"]).exits(0);
    let before = everything(&scene);
    let waived = "    waive:\n      - { row: kube-api, why: nobody calls it from outside }\npeers: {}\n";
    let inventory = String::from_utf8(scene.read("cluster.yaml").unwrap()).unwrap();
    scene.write("cluster.yaml", inventory.clone() + waived);
    scene.run(&["apply"]).exits(0);
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    assert_eq!(everything(&scene), before);
    let mut state = state(&scene);
    let back = rules(&mut state, "rancher-nodes").iter().find(|r| r["from_port"] == 6443).unwrap();
    assert_eq!(back["tags"], json!({ "rsgsync:platform/nodes": "" }));
    scene.write("cluster.yaml", inventory);
    scene.run(&["drift"]).exits(0);
}

#[test]
fn a_rule_that_we_joined_is_its_owners_alone_again() {
    let scene = on_found_group("ownership: shared");
    by_hand(&scene, |state| {
        let mut theirs = tcp(6443, "0.0.0.0/0");
        theirs["tags"] = json!({ "rsgsync:sales/shop": "" });
        rules(state, "rancher-nodes").push(theirs);
    });
    let tags = |scene: &Scene| {
        let mut state = state(scene);
        rules(&mut state, "rancher-nodes").iter().find(|r| r["from_port"] == 6443).unwrap()["tags"].clone()
    };
    let before = everything(&scene);
    scene.run(&["apply"]).exits(0);
    assert_eq!(tags(&scene), json!({ "rsgsync:platform/nodes": "", "rsgsync:sales/shop": "" }));
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    assert_eq!(tags(&scene), json!({ "rsgsync:sales/shop": "" }));
    assert_eq!(everything(&scene), before);
}

#[test]
fn descriptions_that_the_run_wrote_are_set_back() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        let rules = rules(state, "rancher-nodes");
        rules.iter_mut().find(|rule| rule["from_port"] == 6443).unwrap()["description"] = json!("by hand");
        rules.push(tcp(8081, "192.0.2.0/24"));
    });
    let api = |scene: &Scene| {
        let mut state = state(scene);
        rules(&mut state, "rancher-nodes").iter().find(|r| r["from_port"] == 6443).unwrap()["description"].clone()
    };
    scene.run(&["apply"]).exits(0);
    assert_ne!(api(&scene), "by hand");
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    assert_eq!(api(&scene), "by hand");
}

#[test]
fn a_killed_run_that_was_rolled_back_is_not_unfinished() {
    let scene = drifted();
    kill(&scene, 3, "kill");
    scene.run(&["apply"]).exits(137);
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    let next = scene.run(&["apply"]).exits(0);
    assert!(!next.stderr.contains("unfinished"), "{}", next.stderr);
}

#[test]
fn what_others_changed_since_is_respected_and_told() {
    let scene = on_found_group("ownership: shared");
    scene.run(&["apply"]).exits(0);
    by_hand(&scene, |state| {
        let rules = rules(state, "rancher-nodes");
        rules.retain(|rule| rule["from_port"] != 9000);
        rules.push(tcp(9001, "198.51.100.0/24"));
    });
    let ran = scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    ran.says("in 9001/tcp from 198.51.100.0/24 was added by others since, and stays")
        .says("in 9000/tcp from 198.51.100.0/24 was removed by others since, and stays away");
    let expected = ["in 22/tcp 198.51.100.0/24", "in 9001/tcp 198.51.100.0/24", ALL_OUT];
    assert_eq!(rules_of(&scene, "rancher-nodes"), expected);
}

#[test]
fn a_group_that_the_run_made_stays_when_something_foreign_is_in_it_or_refers_to_it() {
    let scene = applied(PROD);
    by_hand(&scene, |state| {
        rules(state, "prod-etcd").push(tcp(9001, "198.51.100.0/24"));
        let refers = json!({ "direction": "ingress", "protocol": "tcp", "from_port": 9002, "to_port": 9002,
                             "peer": { "security_group": group(state, "prod-control")["id"] } });
        rules(state, "prod-etcd").push(refers);
    });
    let ran = scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    ran.says("`prod-etcd` stays").says("`prod-control` stays");
    assert_eq!(group_names(&scene), ["prod-control", "prod-etcd"]);
    assert_eq!(rules_of(&scene, "prod-control"), [ALL_OUT]);
    let theirs = ["in 9001/tcp 198.51.100.0/24", "in 9002/tcp prod-control", ALL_OUT];
    assert_eq!(rules_of(&scene, "prod-etcd"), theirs);
}

#[test]
fn a_group_that_others_deleted_or_made_again_is_left_alone() {
    let scene = applied(NODES);
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(8081, "192.0.2.0/24")));
    scene.run(&["apply"]).exits(0);
    by_hand(&scene, |state| state["groups"] = json!([found()]));
    let before = everything(&scene);
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0).says("left alone");
    assert_eq!(everything(&scene), before);
}

#[test]
fn without_a_terminal_rollback_wants_yes() {
    let scene = drifted();
    scene.run(&["apply"]).exits(0);
    let before = scene.read("cloud.json");
    scene.run(&["rollback", &journal(&scene)]).exits(1).complains("--yes").says("Proof");
    assert_eq!(scene.read("cloud.json"), before);
}

#[test]
fn no_inventory_is_needed() {
    let scene = applied(NODES);
    fs::remove_file(scene.path("cluster.yaml")).unwrap();
    scene.run(&["rollback", &journal(&scene), "--yes"]).exits(0);
    assert_eq!(group_names(&scene), [""; 0]);
}

#[test]
fn another_place_is_refused() {
    let scene = applied(NODES);
    let before = scene.read("cloud.json");
    let elsewhere = scene.path("state");
    let output = scene.command(&["rollback", &journal(&scene), "--yes"]).current_dir(elsewhere).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("run it in the same folder"), "{stderr}");
    assert_eq!(scene.read("cloud.json"), before);
}

#[test]
fn a_rollback_that_fails_half_way_ends_with_3_and_is_finished_later() {
    let scene = drifted();
    let before = everything(&scene);
    scene.run(&["apply"]).exits(0);
    let path = journal(&scene);
    by_hand(&scene, |state| {
        state["faults"] = json!({ "schedule": [{ "kind": "AuthorizeSecurityGroupIngress", "fault": "denied" }] });
    });
    scene.run(&["rollback", &path, "--yes"]).exits(3).complains("UnauthorizedOperation");
    scene.run(&["rollback", &path, "--yes"]).exits(0);
    assert_eq!(everything(&scene), before);
}

#[test]
fn a_missing_journal_is_an_error_that_says_where_they_are() {
    scene(NODES).run(&["rollback", "nowhere.jsonl", "--yes"]).exits(1).complains("nowhere.jsonl").complains("help:");
}

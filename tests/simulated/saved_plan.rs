//! A saved plan carries out what it lists and nothing else, or is refused because the cloud has changed.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::cloud::{
    NODES, NODES_INBOUND, PROD, applied, by_hand, calls, group, group_names, mutating, rules, rules_of, scene, state,
    tcp, with_groups,
};
use crate::support::{Scene, assert_private};

/// Saves a plan, and takes the inventory away: the file must do.
fn saved(scene: &Scene) -> Value {
    let plan = scene.run(&["plan", "--out", "plan.json", "--format", "json"]).exits(0).json();
    fs::rename(scene.path("cluster.yaml"), scene.path("put-away.yaml")).unwrap();
    plan
}

/// A group that somebody else made, shared with us.
fn shared() -> Scene {
    let shared = "security_group: rancher-nodes, ownership: shared";
    let scene = scene(&NODES.replace("security_group: rancher-nodes", shared));
    let found = json!({ "id": "sg-0a", "name": "rancher-nodes", "rules": [tcp(9000, "198.51.100.0/24")] });
    scene.write("cloud.json", with_groups(json!([found])));
    scene
}

#[track_caller]
fn refused(scene: &Scene, why: &str) {
    let before = scene.read("cloud.json");
    let ran = scene.run(&["apply", "plan.json"]).exits(1).complains(why).complains("make a new plan");
    assert_eq!(mutating(&ran), [""; 0]);
    assert_eq!(scene.read("cloud.json"), before);
    assert_eq!(scene.journals().len(), 0);
}

#[test]
fn what_was_saved_is_carried_out_and_needs_no_inventory() {
    let scene = scene(PROD);
    let plan = saved(&scene);
    let listed: Vec<&Value> = plan["steps"].as_array().unwrap().iter().map(|step| &step["action"]).collect();
    let ran = scene.run(&["apply", "plan.json"]).exits(0).says("the plan is carried out");
    assert_eq!(mutating(&ran).len(), listed.len());
    assert_eq!(group_names(&scene), ["prod-control", "prod-etcd", "prod-workers"]);
    fs::rename(scene.path("put-away.yaml"), scene.path("cluster.yaml")).unwrap();
    let drift = scene.run(&["drift", "--format", "json"]).exits(0).json();
    assert_eq!(drift["drift"], json!([]));
    // The description of a new group is in the file, too.
    let described = group(&mut state(&scene), "prod-etcd")["description"].as_str().unwrap().to_owned();
    assert!(described.contains("prod/etcd"), "{described}");
}

#[test]
fn an_inventory_beside_a_saved_plan_is_refused_on_the_command_line_only() {
    let mut scene = scene(PROD);
    saved(&scene);
    for arguments in
        [&["apply", "plan.json", "-i", "put-away.yaml"][..], &["-i", "put-away.yaml", "apply", "plan.json"]]
    {
        let ran = scene.run(arguments).exits(1).complains("PLAN and --inventory don't go together");
        assert!(ran.stderr.contains("a saved plan needs no inventory"), "{}", ran.stderr);
        assert_eq!(calls(&ran), [""; 0]);
    }
    scene.set("RSGSYNC_INVENTORY", "nowhere.yaml");
    scene.run(&["apply", "plan.json"]).exits(0).says("the plan is carried out");
}

#[test]
fn a_plan_that_is_carried_out_already_makes_no_call_that_writes() {
    let scene = scene(PROD);
    saved(&scene);
    scene.run(&["apply", "plan.json"]).exits(0);
    let before = scene.read("cloud.json");
    let ran = scene.run(&["apply", "plan.json"]).exits(0);
    assert_eq!(mutating(&ran), [""; 0]);
    assert_eq!(scene.read("cloud.json"), before);
    let report = scene.run(&["apply", "plan.json", "--format", "json"]).exits(0).json();
    assert_eq!(report["steps"], json!([]));
    fs::rename(scene.path("put-away.yaml"), scene.path("cluster.yaml")).unwrap();
    let anew = scene.run(&["plan", "--format", "json"]).exits(0).json();
    let quotas = |document: &Value| {
        let groups = document["groups"].as_array().unwrap().iter();
        groups.map(|g| (g["security_group"].to_string(), g["quota"].clone())).collect::<BTreeMap<_, _>>()
    };
    assert!(quotas(&anew).values().all(|quota| quota.as_u64() > Some(0)), "{anew}");
    assert_eq!(quotas(&report), quotas(&anew));
}

#[test]
fn the_journal_of_a_saved_plan_can_be_rolled_back() {
    let scene = applied(PROD);
    by_hand(&scene, |state| {
        rules(state, "prod-etcd").retain(|rule| rule["from_port"] != 2379);
        rules(state, "prod-workers").push(tcp(8081, "192.0.2.0/24"));
    });
    let before = ["prod-etcd", "prod-workers"].map(|name| rules_of(&scene, name));
    let plan = saved(&scene);
    scene.run(&["apply", "plan.json"]).exits(0);
    let journal = scene.journals().pop().unwrap();
    let header = fs::read_to_string(&journal).unwrap();
    assert!(header.contains(plan["digest"].as_str().unwrap()), "the journal names the plan that was reviewed");
    scene.run(&["rollback", journal.to_str().unwrap(), "--yes"]).exits(0);
    assert_eq!(["prod-etcd", "prod-workers"].map(|name| rules_of(&scene, name)), before);
}

#[test]
fn what_others_do_elsewhere_in_a_shared_group_does_not_matter() {
    let scene = shared();
    saved(&scene);
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(9001, "198.51.100.0/24")));
    by_hand(&scene, |state| rules(state, "rancher-nodes").retain(|rule| rule["from_port"] != 9000));
    scene.run(&["apply", "plan.json"]).exits(0);
    let rules = rules_of(&scene, "rancher-nodes");
    assert!(NODES_INBOUND.iter().all(|rule| rules.iter().any(|r| r == rule)), "{rules:?}");
    assert!(rules.contains(&"in 9001/tcp 198.51.100.0/24".to_owned()), "{rules:?}");
}

#[test]
fn what_others_do_for_us_reads_the_same_when_the_plan_is_made_and_when_it_is_applied() {
    let scene = shared();
    by_hand(&scene, |state| {
        let mut co_owned = tcp(443, "0.0.0.0/0");
        co_owned["tags"] = json!({ "rsgsync:sales/shop": "made" });
        rules(state, "rancher-nodes").extend([tcp(22, "0.0.0.0/0"), co_owned]);
    });
    let made = scene.run(&["plan", "--out", "plan.json"]).exits(0);
    let made = made
        .says("1 kept · 1 foreign, left alone · 1 foreign, needed")
        .says("foreign, needed: SSH provisioning  [ssh]");
    let of_group = |text: &str| -> Vec<String> {
        let of_others =
            |line: &&str| line.starts_with("~ ") || line.starts_with("    · ") || line.starts_with("    = ");
        text.lines().filter(of_others).map(str::to_owned).collect()
    };
    let applied = scene.run(&["apply", "plan.json"]).exits(0);
    assert_eq!(of_group(&applied.stdout), of_group(&made.stdout));
    assert_eq!(of_group(&made.stdout).len(), 4);
}

#[test]
fn others_who_open_what_the_plan_was_to_open_make_it_another() {
    let scene = shared();
    saved(&scene);
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(443, "0.0.0.0/0")));
    refused(&scene, "in 443/tcp from 0.0.0.0/0, somebody else's, is new");
}

#[test]
fn a_rule_of_ours_that_has_come_or_gone_makes_it_another() {
    let scene = applied(NODES);
    fs::remove_file(scene.journals().pop().unwrap()).unwrap();
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(8081, "192.0.2.0/24")));
    saved(&scene);
    let planned = scene.read("cloud.json").unwrap();

    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(8083, "192.0.2.0/24")));
    refused(&scene, "in 8083/tcp from 192.0.2.0/24 is new");

    scene.write("cloud.json", &planned);
    by_hand(&scene, |state| rules(state, "rancher-nodes").retain(|rule| rule["from_port"] != 6443));
    refused(&scene, "in 6443/tcp from 0.0.0.0/0 is gone");

    // It needs both: what the plan keeps was taken away beside what it removes.
    scene.write("cloud.json", &planned);
    by_hand(&scene, |state| {
        rules(state, "rancher-nodes").retain(|r| ![8081, 6443].contains(&r["from_port"].as_u64().unwrap_or(0)))
    });
    refused(&scene, "in 6443/tcp from 0.0.0.0/0 is gone");

    // Who undid both finds the plan as it was reviewed.
    scene.write("cloud.json", &planned);
    scene.run(&["apply", "plan.json"]).exits(0);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1);
}

#[test]
fn a_respelled_rule_is_no_difference() {
    let scene = applied(NODES);
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(8081, "192.0.2.0/24")));
    saved(&scene);
    // 2379-2380 in two rules.
    by_hand(&scene, |state| {
        let rules = rules(state, "rancher-nodes");
        let etcd = rules.iter().position(|rule| rule["from_port"] == 2379).unwrap();
        let mut second = rules[etcd].clone();
        rules[etcd]["to_port"] = json!(2379);
        (second["from_port"], second["id"]) = (json!(2380), json!("sgr-0b"));
        rules.push(second);
    });
    scene.run(&["apply", "plan.json"]).exits(0);
    assert!(!rules_of(&scene, "rancher-nodes").contains(&"in 8081/tcp 192.0.2.0/24".to_owned()));
}

#[test]
fn a_group_that_has_come_or_gone_makes_it_another() {
    let scene = scene(PROD);
    saved(&scene);
    scene.write("cloud.json", with_groups(json!([{ "id": "sg-0a", "name": "prod-etcd", "rules": [] }])));
    refused(&scene, "somebody has made a group of that name");

    let scene = applied(PROD);
    fs::remove_file(scene.journals().pop().unwrap()).unwrap();
    by_hand(&scene, |state| rules(state, "prod-etcd").push(tcp(8081, "192.0.2.0/24")));
    saved(&scene);
    by_hand(&scene, |state| group(state, "prod-etcd")["id"] = json!("sg-0b"));
    refused(&scene, "it is gone");
}

#[test]
fn half_a_plan_is_refused_and_apply_goes_on_from_there() {
    let scene = scene(PROD);
    scene.write(
        "cloud.json",
        json!({ "version": 1, "groups": [], "faults": { "schedule": [{ "call": 4, "fault": "kill" }] } }).to_string(),
    );
    saved(&scene);
    scene.run(&["apply", "plan.json"]).exits(137);
    by_hand(&scene, |state| state["faults"] = json!({}));
    scene.run(&["apply", "plan.json"]).exits(1).complains("it is there by now");
    fs::rename(scene.path("put-away.yaml"), scene.path("cluster.yaml")).unwrap();
    scene.run(&["apply"]).exits(0).complains("unfinished: ");
    scene.run(&["drift"]).exits(0);
}

#[test]
fn removals_that_the_reviewer_did_not_allow_are_refused() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        let rules = rules(state, "rancher-nodes");
        rules.extend((8100..8112).map(|port| tcp(port, "192.0.2.0/24")));
    });
    scene.run(&["plan", "--out", "allowed.json", "--max-removals", "12"]).exits(0);
    saved(&scene);
    let before = scene.read("cloud.json");
    scene.run(&["apply", "plan.json"]).exits(1).complains("12 rules would go");
    scene.run(&["apply", "plan.json", "--max-removals", "11"]).exits(1).complains("12 rules would go");
    assert_eq!(scene.read("cloud.json"), before);
    scene.run(&["apply", "allowed.json"]).exits(0);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1);
}

#[test]
fn a_file_that_is_no_plan_is_one_clear_error() {
    let scene = scene(NODES);
    saved(&scene);
    let text = String::from_utf8(scene.read("plan.json").unwrap()).unwrap();
    for (contents, complaint) in [
        ("", "not a saved plan"),
        ("{}", "no `version`"),
        (&*text.replace("6443", "6444"), "damaged"),
        (&*text.replacen("\"version\": 1", "\"version\": 2", 1), "version 2"),
    ] {
        scene.write("plan.json", contents);
        let ran = scene.run(&["apply", "plan.json"]).exits(1).complains(complaint).complains("plan --out");
        assert_eq!(calls(&ran), [""; 0]);
    }
    scene.run(&["apply", "nowhere.json"]).exits(1).complains("can't read plan nowhere.json");
    scene.run(&["apply", "plan.json", "--cluster", "nodes"]).exits(1).complains("cannot be used with");
}

#[test]
fn the_digest_must_be_that_of_the_file_where_it_is_given() {
    let scene = scene(NODES);
    let digest = saved(&scene)["digest"].as_str().unwrap().to_owned();
    scene.run(&["apply", "plan.json", "--expect", &"0".repeat(64)]).exits(1).complains("digest");
    assert_eq!(scene.read("cloud.json"), None);
    scene.run(&["apply", "plan.json", "--expect", &digest[..12]]).exits(0);
    // Of a plan that is carried out already, too; and before any cloud is read.
    let other = scene.run(&["apply", "plan.json", "--expect", &"0".repeat(64)]).exits(1).complains("digest");
    assert_eq!(calls(&other), [""; 0]);
    scene.run(&["apply", "plan.json", "--expect", &digest[..12]]).exits(0);
}

#[test]
fn what_is_no_digest_is_refused_before_the_cloud_is_read() {
    let scene = scene(NODES);
    let long = "0".repeat(65);
    for (expected, complaint) in [("zzz", "not a digest"), ("0a0a0a0", "too short"), (&long, "longer")] {
        let ran = scene.run(&["apply", "--expect", expected]).exits(1).complains(complaint);
        assert_eq!(calls(&ran), [""; 0]);
    }
}

#[test]
fn the_saved_plan_of_a_cloud_in_sync_has_nothing_to_do() {
    let scene = applied(NODES);
    saved(&scene);
    let ran = scene.run(&["apply", "plan.json"]).exits(0).says("nothing to do");
    assert!(!ran.stdout.contains("could be read"), "{}", ran.stdout);
}

#[test]
fn a_saved_plan_is_private() {
    let scene = scene(NODES);
    saved(&scene);
    assert_private(&scene.path("plan.json"));
}

//! What a cloud that fails does to a run: nothing that the next run doesn't mend.

use serde_json::{Value, json};

use crate::cloud::{
    NODES, NODES_INBOUND, PROD, applied, by_hand, calls, group_names, mutating, rules, rules_of, scene, tcp,
};
use crate::support::{Scene, assert_private};

/// A scene with an empty cloud in which these calls go wrong.
fn with_faults(inventory: &str, schedule: Value) -> Scene {
    let scene = scene(inventory);
    scene.write("cloud.json", json!({ "version": 1, "faults": { "schedule": schedule } }).to_string());
    scene
}

/// The rules of all groups.
fn everything(scene: &Scene) -> Vec<(String, Vec<String>)> {
    group_names(scene).into_iter().map(|name| (name.clone(), rules_of(scene, &name))).collect()
}

/// The events of the only journal.
#[track_caller]
fn journal(scene: &Scene) -> Vec<Value> {
    let journals = scene.journals();
    assert_eq!(journals.len(), 1);
    let text = std::fs::read_to_string(&journals[0]).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const DENIED: &str = r#"[{ "kind": "AuthorizeSecurityGroupIngress", "nth": 2, "fault": "denied" }]"#;

fn denied_half_way() -> Scene {
    with_faults(PROD, serde_json::from_str(DENIED).unwrap())
}

#[test]
fn a_call_that_fails_for_good_ends_with_3_and_the_clouds_words() {
    let scene = denied_half_way();
    let ran = scene.run(&["apply"]).exits(3);
    // Three groups and two of the three batches of rules.
    ran.complains("UnauthorizedOperation")
        .complains("simulated-")
        .complains("5 steps done, 1 left")
        .complains("apply again");
    assert_eq!(group_names(&scene), ["prod-control", "prod-etcd", "prod-workers"]);
}

#[test]
fn one_failure_stops_its_own_group_only() {
    let scene = denied_half_way();
    scene.run(&["apply"]).exits(3);
    let bare = everything(&scene).into_iter().filter(|(_, rules)| rules.len() == 1).count();
    assert_eq!(bare, 1);
}

#[test]
fn the_next_apply_goes_on_from_what_is_there() {
    let scene = denied_half_way();
    scene.run(&["apply"]).exits(3);
    let again = scene.run(&["apply"]).exits(0);
    assert_eq!(mutating(&again), ["AuthorizeSecurityGroupIngress"]);
    assert_eq!(everything(&scene), everything(&applied(PROD)));
}

#[test]
fn a_run_that_failed_has_its_journal_and_names_it() {
    let scene = denied_half_way();
    let ran = scene.run(&["apply"]).exits(3);
    let path = scene.journals().remove(0);
    assert!(ran.stderr.contains(&path.display().to_string()), "{}", ran.stderr);
    let events = journal(&scene);
    assert_eq!(events[0]["event"], "header");
    assert_eq!(events[0]["plan"]["steps"].as_array().map(Vec::len), Some(6));
    let failed: Vec<&Value> = events.iter().filter(|e| e["event"] == "outcome" && e["ok"] == false).collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["error"].as_str().unwrap().contains("UnauthorizedOperation"), "{}", failed[0]);
    assert_eq!(events.last().unwrap()["failed"], 1);
}

#[test]
#[cfg(unix)]
fn nobody_else_reads_a_journal() {
    let scene = applied(NODES);
    assert_private(&scene.journals()[0]);
}

#[test]
fn a_journal_goes_where_it_is_told() {
    let scene = scene(NODES);
    scene.run(&["apply", "--journal", "here/run.jsonl"]).exits(0).complains("here/run.jsonl");
    assert!(scene.read("here/run.jsonl").is_some());
    assert_eq!(scene.journals().len(), 0);
}

#[test]
fn without_a_place_for_the_journal_no_call_is_made() {
    let scene = scene(NODES);
    scene.write("taken", "a file, not a folder");
    let ran =
        scene.run(&["apply", "--journal", "taken/run.jsonl"]).exits(1).complains("journal").complains("--journal");
    assert_eq!(mutating(&ran), [""; 0]);
    assert_eq!(scene.read("cloud.json"), None);
}

#[test]
fn a_run_killed_at_any_call_is_finished_by_the_next() {
    let expected = everything(&applied(PROD));
    // Reading, three groups, three batches of rules, reading again.
    for fault in ["kill", "kill_before"] {
        for call in 1..=8 {
            let scene = with_faults(PROD, json!([{ "call": call, "fault": fault }]));
            let killed = scene.run(&["apply"]).exits(137);
            assert_eq!(calls(&killed).len(), call, "{fault} at {call}");
            scene.run(&["apply"]).exits(0);
            assert_eq!(everything(&scene), expected, "{fault} at {call}");
        }
    }
}

#[test]
fn a_destruction_killed_at_any_call_is_finished_by_the_next() {
    let applied = applied(PROD);
    let whole = calls(&applied.run(&["destroy", "--yes"]).exits(0)).len();
    assert!(whole > 5, "{whole} calls");
    for call in 1..=whole {
        let scene = with_faults(PROD, json!([]));
        scene.run(&["apply"]).exits(0);
        by_hand(&scene, |state| state["faults"] = json!({ "schedule": [{ "call": call, "fault": "kill" }] }));
        scene.run(&["destroy", "--yes"]).exits(137);
        scene.run(&["destroy", "--yes"]).exits(0);
        assert_eq!(group_names(&scene), [""; 0], "killed at {call}");
    }
}

#[test]
fn a_killed_run_leaves_the_step_that_it_was_about_in_its_journal() {
    let scene = with_faults(PROD, json!([{ "kind": "AuthorizeSecurityGroupIngress", "fault": "kill" }]));
    scene.run(&["apply"]).exits(137);
    let events = journal(&scene);
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert!(of("intent") > of("outcome"), "{events:?}");
    assert_eq!(of("end"), 0);
}

#[test]
fn a_run_that_was_killed_between_adding_and_removing_has_cut_nothing() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        let etcd = rules(state, "rancher-nodes").iter_mut().find(|rule| rule["from_port"] == 2379).unwrap();
        etcd["to_port"] = json!(2400);
        state["faults"] = json!({ "schedule": [{ "kind": "RevokeSecurityGroupIngress", "fault": "kill_before" }] });
    });
    scene.run(&["apply"]).exits(137);
    let rules = rules_of(&scene, "rancher-nodes");
    for rule in ["in 2379-2380/tcp rancher-nodes", "in 2379-2400/tcp rancher-nodes"] {
        assert!(rules.contains(&rule.to_owned()), "{rules:?}");
    }
    scene.run(&["apply"]).exits(0);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1);
}

#[test]
fn throttled_calls_are_made_again() {
    let scene = with_faults(PROD, json!([{ "call": 2, "fault": "throttle", "times": 3, "retry_after_ms": 10 }]));
    scene.run(&["apply"]).exits(0).complains("RequestLimitExceeded");
    assert_eq!(everything(&scene), everything(&applied(PROD)));
}

#[test]
fn a_throttled_reading_is_made_again() {
    let scene = with_faults(NODES, json!([{ "call": 1, "fault": "throttle" }]));
    let plan = scene.run(&["plan", "--detailed-exitcode"]).exits(2);
    assert_eq!(calls(&plan), ["DescribeSecurityGroups"; 2]);
}

#[test]
fn lost_answers_are_resolved_by_looking() {
    for kind in ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress"] {
        let scene = with_faults(PROD, json!([{ "kind": kind, "fault": "lost_answer" }]));
        scene.run(&["apply"]).exits(0);
        assert_eq!(everything(&scene), everything(&applied(PROD)), "{kind}");
    }
}

#[test]
fn a_lost_answer_to_a_removal_is_resolved_by_looking() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        rules(state, "rancher-nodes").push(tcp(8081, "192.0.2.0/24"));
        state["faults"] = json!({ "schedule": [{ "kind": "RevokeSecurityGroupIngress", "fault": "lost_answer" }] });
    });
    scene.run(&["apply"]).exits(0);
    scene.run(&["drift"]).exits(0);
}

#[test]
fn the_clouds_own_errors_and_silence_are_outlived() {
    let schedule = json!([{ "call": 2, "fault": "error_500" }, { "call": 4, "fault": "timeout" }]);
    let scene = with_faults(PROD, schedule);
    scene.run(&["apply"]).exits(0);
    assert_eq!(everything(&scene), everything(&applied(PROD)));
}

#[test]
fn a_denied_reading_is_an_error_that_says_what_was_tried() {
    let scene = with_faults(NODES, json!([{ "kind": "DescribeSecurityGroups", "fault": "denied", "times": 3 }]));
    for command in ["plan", "drift", "apply"] {
        scene.run(&[command]).exits(1).complains("UnauthorizedOperation").complains("`lab`").complains("simulated-1");
    }
    assert_eq!(group_names(&scene), [""; 0]);
}

#[test]
fn a_reading_that_fails_after_the_last_call_ends_unconfirmed_with_3() {
    let scene = with_faults(NODES, json!([{ "kind": "DescribeSecurityGroups", "nth": 2, "fault": "denied" }]));
    scene.run(&["apply"]).exits(3).complains("unconfirmed");
    scene.run(&["apply"]).exits(0).says("nothing to do");
}

#[test]
fn a_network_that_cannot_be_read_does_not_stop_the_others() {
    let second = NODES.replace("  lab: {", "  far: { simulated: { state: far.json } }\n  lab: {").replace(
        "clusters:\n",
        "clusters:\n  distant:\n    network: far\n    profile: rancher-nodes-ec2-sg\n    rancher_version: \"2.4\"\n    \
         groups:\n      all: { roles: [worker], security_group: distant }\n",
    );
    let scene = scene(&second);
    let schedule = json!([{ "kind": "DescribeSecurityGroups", "fault": "denied", "times": 2 }]);
    scene.write("far.json", json!({ "version": 1, "faults": { "schedule": schedule } }).to_string());
    let ran = scene.run(&["apply"]).exits(1).complains("UnauthorizedOperation");
    let ran = ran.complains("error: nothing was done in `far`, which could not be read\n");
    assert_eq!(ran.stderr.matches("UnauthorizedOperation").count(), 1, "{}", ran.stderr);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1);
}

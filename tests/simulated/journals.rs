//! Journals that killed runs leave: apply says so once, and goes on from what is there.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cloud::{NODES, PROD, applied, by_hand, mutating, rules, rules_of, scene, tcp};
use crate::support::{Scene, assert_private};

/// A run of the inventory that was killed when it had made `calls` calls.
fn killed(inventory: &str, calls: usize) -> Scene {
    let scene = scene(inventory);
    let faults = json!({ "schedule": [{ "call": calls, "fault": "kill" }] });
    scene.write("cloud.json", json!({ "version": 1, "faults": faults }).to_string());
    scene.run(&["apply"]).exits(137);
    scene
}

fn only_journal(scene: &Scene) -> PathBuf {
    let mut journals = scene.journals();
    assert_eq!(journals.len(), 1, "{journals:?}");
    journals.remove(0)
}

/// Puts this in the place of a line of a journal.
fn damage(path: &Path, line: usize, with: &str) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[line - 1] = with;
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn a_killed_run_is_named_by_the_next_apply_and_never_again() {
    // Reading, three groups, the first batch of rules.
    let scene = killed(PROD, 5);
    let path = only_journal(&scene);
    let next = scene
        .run(&["apply"])
        .exits(0)
        .complains("unfinished: apply was stopped at 20")
        .complains("going on from what is there (journal ");
    assert!(next.stderr.contains(&path.display().to_string()), "{}", next.stderr);
    let done = next.stderr.split_once(", ").and_then(|(_, rest)| rest.split_once(" of 6 steps done, ")).unwrap().0;
    // All that was under way at the kill is unknown: groups are made at once, rules as soon as their groups stand.
    assert!((0..=3).contains(&done.parse::<u32>().unwrap()), "{}", next.stderr);
    let third = scene.run(&["apply"]).exits(0);
    assert!(!third.stderr.contains("unfinished"), "{}", third.stderr);
}

#[test]
fn a_killed_run_whose_work_is_done_is_closed_without_a_call() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        rules(state, "rancher-nodes").push(tcp(8081, "192.0.2.0/24"));
        state["faults"] = json!({ "schedule": [{ "kind": "RevokeSecurityGroupIngress", "fault": "kill" }] });
    });
    scene.run(&["apply"]).exits(137);
    let next = scene.run(&["apply"]).exits(0).complains("0 of 1 steps done, 1 unknown").says("nothing to do");
    assert_eq!(mutating(&next), [""; 0]);
    assert!(!scene.run(&["apply"]).exits(0).stderr.contains("unfinished"));
}

#[test]
fn a_killed_destruction_is_named_by_the_next() {
    let scene = applied(PROD);
    by_hand(&scene, |state| state["faults"] = json!({ "schedule": [{ "call": 4, "fault": "kill" }] }));
    scene.run(&["destroy", "--yes"]).exits(137);
    scene.run(&["destroy", "--yes"]).exits(0).complains("unfinished: destroy was stopped");
    assert!(!scene.run(&["apply"]).exits(0).stderr.contains("unfinished"));
}

#[test]
fn plan_and_drift_leave_journals_alone() {
    let scene = killed(PROD, 5);
    let before = fs::read(only_journal(&scene)).unwrap();
    for command in ["plan", "drift"] {
        assert!(!scene.run(&[command]).stderr.contains("unfinished"), "{command}");
    }
    assert_eq!(fs::read(only_journal(&scene)).unwrap(), before);
}

#[test]
fn a_killed_run_on_other_groups_is_not_this_runs_business() {
    let scene = killed(PROD, 5);
    scene.write("nodes.yaml", NODES);
    let other = scene.run(&["apply", "--inventory", "nodes.yaml"]).exits(0);
    assert!(!other.stderr.contains("unfinished"), "{}", other.stderr);
    scene.run(&["apply"]).exits(0).complains("unfinished");
}

#[test]
fn a_journal_that_ends_within_a_line_is_passed_over() {
    let scene = killed(PROD, 5);
    let path = only_journal(&scene);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
    scene.run(&["apply"]).exits(0).complains("unfinished: apply was stopped");
    assert!(!scene.run(&["apply"]).exits(0).stderr.contains("unfinished"));
}

#[test]
fn an_empty_journal_is_noted_once() {
    for cut in [0, 100] {
        let scene = killed(PROD, 5);
        let path = only_journal(&scene);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..cut]).unwrap();
        scene.run(&["apply"]).exits(0).complains("stopped before its first call");
        assert!(!scene.run(&["apply"]).exits(0).stderr.contains("unfinished"));
        scene.run(&["rollback", path.to_str().unwrap(), "--yes"]).exits(0).says("nothing to roll back");
    }
}

#[test]
fn a_damaged_journal_is_a_warning_of_apply_and_an_error_of_rollback() {
    let future = r#"{"event":"header","version":9,"plan":{}}"#;
    for (line, with, says) in [(2, "{\"event\":\"intent\"", "line 2"), (1, future, "a journal of version 9")] {
        let scene = killed(PROD, 5);
        let path = only_journal(&scene);
        damage(&path, line, with);
        let before = fs::read(&path).unwrap();
        scene.run(&["rollback", path.to_str().unwrap(), "--yes"]).exits(1).complains(says).complains("help:");
        scene.run(&["apply"]).exits(0).complains("warning:").complains(says).complains("move it away");
        assert_eq!(fs::read(&path).unwrap(), before, "nothing is lost");
    }
}

#[test]
fn the_last_hundred_journals_are_kept_and_what_is_not_over() {
    let scene = scene(NODES);
    let over = "{\"event\":\"end\",\"done\":0,\"failed\":0,\"skipped\":0}\n";
    for number in 0..120 {
        scene.write(&format!("state/rsgsync/20200101T000000.{number:03}Z-platform-1.jsonl"), over);
    }
    scene.write("state/rsgsync/20190101T000000.000Z-platform-1.jsonl", "junk\n");
    scene.run(&["apply"]).exits(0);
    let journals = scene.journals();
    assert_eq!(journals.len(), 101);
    assert!(journals[0].ends_with("20190101T000000.000Z-platform-1.jsonl"), "{journals:?}");
    assert!(journals[1].ends_with("20200101T000000.021Z-platform-1.jsonl"), "{journals:?}");
}

#[test]
fn a_journal_holds_no_secret_and_is_its_owners() {
    let mut scene = scene(PROD);
    for variable in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OS_PASSWORD"] {
        scene.set(variable, "wJalrXUtnFEMI");
    }
    scene.run(&["apply"]).exits(0);
    let path = only_journal(&scene);
    assert!(!fs::read_to_string(&path).unwrap().contains("wJalrXUtnFEMI"));
    #[cfg(unix)]
    assert_private(&path);
}

#[test]
fn additions_are_read_back_in_the_journal_before_removals_begin() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        let etcd = rules(state, "rancher-nodes").iter_mut().find(|rule| rule["from_port"] == 2379).unwrap();
        etcd["to_port"] = json!(2400);
    });
    scene.run(&["apply"]).exits(0);
    assert!(rules_of(&scene, "rancher-nodes").contains(&"in 2379-2380/tcp rancher-nodes".to_owned()));
    let text = fs::read_to_string(&scene.journals()[1]).unwrap();
    let at = |word: &str| text.find(&format!("\"event\":\"{word}\"")).unwrap();
    assert!(at("read_back") < text.rfind("\"event\":\"intent\"").unwrap(), "{text}");
    assert!(at("intent") < at("read_back"));
}

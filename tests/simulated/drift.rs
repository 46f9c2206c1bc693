//! Drift for cron: silence in sync, a word where people look, numbers where machines look.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;

use crate::cloud::{NODES, PROD, applied, by_hand, calls, group, mutating, rules, scene, tcp};
use crate::support::Scene;

/// PROD in sync but for a rule that is missing and one that nothing requires.
fn drifted() -> Scene {
    let scene = applied(PROD);
    by_hand(&scene, |state| {
        rules(state, "prod-etcd").retain(|rule| rule["from_port"] != 2379);
        rules(state, "prod-workers").push(tcp(8081, "192.0.2.0/24"));
    });
    scene
}

#[test]
fn in_sync_it_says_nothing_unless_it_is_asked() {
    let scene = applied(NODES);
    for format in ["text", "markdown", "chat"] {
        assert_eq!(scene.run(&["drift", "--format", format]).exits(0).stdout, "", "{format}");
    }
    scene.run(&["drift", "-v"]).exits(0).says("1 group in sync");
    assert_eq!(scene.run(&["drift", "--format", "json"]).exits(0).json()["drift"], json!([]));
}

#[test]
fn a_chat_message_is_one_paragraph() {
    let scene = drifted();
    let said = scene.run(&["drift", "--format", "chat"]).exits(2).stdout;
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.starts_with("rsgsync (platform): "), "{said}");
    for part in [
        "1 rule unexpected",
        "lab/prod-etcd misses in 2379",
        "lab/prod-workers has in 8081/tcp from 192.0.2.0/24, required by nothing.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    by_hand(&scene, |state| rules(state, "prod-workers").extend((8100..8108).map(|port| tcp(port, "192.0.2.0/24"))));
    let more = scene.run(&["drift", "--format", "chat"]).exits(2).stdout;
    assert!(more.contains("9 rules unexpected") && more.trim_end().ends_with(" more."), "{more}");
}

#[test]
fn markdown_has_a_row_for_each_difference() {
    let scene = drifted();
    let differences = scene.run(&["drift", "--format", "json"]).exits(2).json()["drift"].as_array().unwrap().len();
    let text = scene.run(&["drift", "--format", "markdown"]).exits(2).stdout;
    let rows = text.lines().filter(|line| line.starts_with("| lab | ")).count();
    assert_eq!(rows, differences, "{text}");
    assert!(
        text.contains("| lab | prod-workers | unexpected | in 8081/tcp from 192.0.2.0/24 | required by nothing |"),
        "{text}"
    );
}

#[test]
fn a_plan_in_markdown_names_its_digest_and_puts_the_signs_first() {
    let scene = drifted();
    let digest = scene.run(&["plan", "--format", "json"]).exits(0).json()["digest"].as_str().unwrap()[..16].to_owned();
    let text = scene.run(&["plan", "--format", "markdown"]).exits(0).stdout;
    assert!(text.starts_with(&format!("### rsgsync plan `{digest}`\n\n```diff\n")), "{text}");
    let sign = |sign: char, part: &str| text.lines().any(|line| line.starts_with(sign) && line.contains(part));
    assert!(sign('+', "2379") && sign('-', "8081/tcp") && sign('!', "prod-workers"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn formats_that_a_command_lacks_are_refused_by_name() {
    let scene = scene(NODES);
    scene
        .run(&["plan", "--format", "chat"])
        .exits(1)
        .complains("--format chat")
        .complains("text, json, markdown, html");
    scene.run(&["apply", "--format", "markdown"]).exits(1).complains("text, json");
    scene.run(&["validate", "--format", "html"]).exits(1).complains("text, json");
    assert_eq!(scene.read("cloud.json"), None);
}

/// A metric's value, whose labels contain this.
#[track_caller]
fn metric(scene: &Scene, name: &str, label: &str) -> Option<f64> {
    let text = fs::read_to_string(scene.path("rsgsync.prom")).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")) && line.contains(label))?;
    line.rsplit_once(' ').unwrap().1.parse().ok()
}

#[test]
fn metrics_count_what_was_found() {
    let scene = drifted();
    let drift = scene.run(&["drift", "--metrics", "rsgsync.prom", "--format", "json"]).exits(2);
    let of = |kind: &str| drift.json()["drift"].as_array().unwrap().iter().filter(|d| d["kind"] == kind).count();
    let lab = r#"network="lab""#;
    for (name, expected) in [
        ("rsgsync_drift_network_read", 1),
        ("rsgsync_drift_groups", 3),
        ("rsgsync_drift_groups_missing", 0),
        ("rsgsync_drift_rules_missing", of("missing")),
        ("rsgsync_drift_rules_unexpected", of("unexpected")),
        ("rsgsync_drift_api_calls", calls(&drift).len()),
    ] {
        assert_eq!(metric(&scene, name, lab), Some(f64::from(u32::try_from(expected).unwrap())), "{name}");
    }
    assert!(metric(&scene, "rsgsync_drift_duration_seconds", "platform").is_some());
    // The collector runs as another user.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(scene.path("rsgsync.prom")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }
}

#[test]
fn the_last_success_outlives_a_run_that_fails() {
    let scene = applied(NODES);
    let success = "rsgsync_drift_last_success_timestamp_seconds";
    let run = |code| {
        scene.run(&["drift", "--metrics", "rsgsync.prom"]).exits(code);
        metric(&scene, success, "platform")
    };
    let first = run(0);
    assert!(first.is_some());
    by_hand(&scene, |state| {
        state["faults"] = json!({ "schedule": [{ "kind": "DescribeSecurityGroups", "fault": "denied" }] })
    });
    assert_eq!(run(1), first);
    assert_eq!(metric(&scene, "rsgsync_drift_network_read", "lab"), Some(0.0));
}

/// NODES in `lab`, and a group in another network that can't be read.
fn half_unread() -> Scene {
    let second = NODES.replace("  lab: {", "  far: { simulated: { state: far.json } }\n  lab: {").replace(
        "clusters:\n",
        "clusters:\n  distant:\n    network: far\n    profile: rancher-nodes-ec2-sg\n    rancher_version: \"2.4\"\n    \
         groups:\n      all: { roles: [worker], security_group: distant }\n",
    );
    let scene = scene(&second);
    scene.run(&["apply"]).exits(0);
    let schedule = json!([{ "kind": "DescribeSecurityGroups", "fault": "denied", "times": 9 }]);
    scene.write("far.json", json!({ "version": 1, "faults": { "schedule": schedule } }).to_string());
    scene
}

#[test]
fn a_network_that_cannot_be_read_is_an_error_beside_the_drift_of_the_others() {
    let scene = half_unread();
    for command in ["plan", "drift", "apply"] {
        let told = scene.run(&[command]).exits(1).complains("`far`").says("could not be read: stderr says why");
        let why = "You are not authorized to perform this operation.";
        assert_eq!((told.stdout.matches(why).count(), told.stderr.matches(why).count()), (0, 1), "{command}");
    }
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(8081, "192.0.2.0/24")));
    let drift = scene.run(&["drift", "--format", "json"]).exits(1).json();
    let networks = drift["networks"].as_array().unwrap();
    let status = |name: &str| networks.iter().find(|n| n["name"] == name).unwrap()["status"].clone();
    assert_eq!((status("lab"), status("far")), (json!("ok"), json!("error")));
    assert_eq!(drift["drift"].as_array().unwrap().len(), 1);
    for format in ["chat", "markdown"] {
        let told = scene.run(&["drift", "--format", format]).exits(1);
        told.says("1 network could not be read").says("UnauthorizedOperation").says("8081/tcp");
    }
}

#[test]
fn groups_that_no_interface_carries_are_warned_of() {
    let scene = applied(PROD);
    by_hand(&scene, |state| {
        group(state, "prod-etcd")["interfaces"] = json!(3);
        group(state, "prod-workers")["interfaces"] = json!(1);
    });
    let ran = scene.run(&["drift", "--attachments", "--format", "json"]).exits(0).complains("`prod-control`");
    assert!(!ran.stderr.contains("`prod-etcd`"), "{}", ran.stderr);
    let drift = ran.json();
    let counts = drift["attachments"].as_array().unwrap().iter();
    let counts: Vec<_> =
        counts.map(|a| (a["security_group"].as_str().unwrap(), a["interfaces"].as_u64().unwrap())).collect();
    assert_eq!(counts.len(), 3);
    for expected in [("prod-etcd", 3), ("prod-workers", 1), ("prod-control", 0)] {
        assert!(counts.contains(&expected), "{counts:?}");
    }
    assert_eq!(calls(&ran).iter().filter(|kind| **kind == "DescribeNetworkInterfaces").count(), 1);
    assert!(scene.run(&["drift", "--format", "json"]).exits(0).json().get("attachments").is_none());
}

#[test]
fn interfaces_are_counted_again_when_the_cloud_fails_and_only_of_the_shards_groups() {
    let scene = applied(PROD);
    let schedule = json!([{ "kind": "DescribeNetworkInterfaces", "fault": "error_500", "times": 2 }]);
    by_hand(&scene, |state| state["faults"] = json!({ "schedule": schedule }));
    let counted = |shard: &str| {
        let ran = scene.run(&["drift", "--attachments", "--shard", shard, "--format", "json"]).exits(0);
        ran.json()["attachments"].as_array().unwrap().iter().map(|a| a["security_group"].to_string()).collect()
    };
    let (first, second): (BTreeSet<String>, BTreeSet<String>) = (counted("0/2"), counted("1/2"));
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    assert_eq!(first.len() + second.len(), 3);
}

#[test]
fn an_endpoint_that_hangs_ends_in_an_error() {
    let scene = applied(NODES);
    by_hand(&scene, |state| state["latency_ms"] = json!(3_600_000));
    let ran = scene.run(&["drift", "--timeout", "1"]).exits(1).complains("not done after 1 s").complains("--timeout");
    assert_eq!(mutating(&ran), [""; 0]);
}

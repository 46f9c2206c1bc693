//! The HTML report in a real browser: it renders, filters work by keyboard, axe-core finds no barrier, nothing is fetched.
//!
//! `localstack/up browser` must have been run and its exports set: `bash tests/run.sh` does both.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where its scene does")]

#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use support::Scene;
use support::reports::{drifted, hostile, in_sync, wide};

/// Writes the report of `arguments` and lets a browser look at it. `expected`: how many rules stand how, words that some
/// rules have, and a group.
#[track_caller]
fn check(scene: &Scene, arguments: &[&str], code: i32, expected: &Value) {
    if std::env::var_os("RSGSYNC_BROWSER_MODULES").is_none() {
        panic!(
            "the browser is not there: run `bash tests/run.sh`, or `out=$(localstack/up browser) && eval \"$out\"` first"
        );
    }
    let page = scene.run(&[arguments, &["--format", "html"]].concat()).exits(code).stdout;
    let page = scene.write("report.html", page);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/browser/check.js");
    let output = Command::new("node").arg(script).arg(page).arg(expected.to_string()).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// 12 inbound rules of the table and the cloud's own outbound one.
#[test]
fn a_cloud_in_sync() {
    let expected = json!({ "rules": { "open": 13 }, "words": "etcd client", "group": "rancher-nodes" });
    check(&in_sync(), &["drift"], 0, &expected);
}

/// Of 52 rules and one that is missing: one too wide, one foreign; and one foreign that lets everything out.
#[test]
fn a_cloud_with_drift() {
    let rules = json!({ "missing": 1, "wide": 1, "foreign": 2, "open": 49 });
    check(&drifted(), &["drift"], 2, &json!({ "rules": rules, "words": "kubelet prod-control", "group": "prod-etcd" }));
}

/// 12 rules of the table and two of the inventory's own are missing; what is there is one too wide, and outbound.
#[test]
fn hostile_names_and_a_network_that_cannot_be_read() {
    let rules = json!({ "missing": 14, "wide": 1, "open": 1 });
    let expected = json!({ "rules": rules, "words": "<script>alert(3)", "group": "rancher-nodes" });
    check(&hostile(), &["plan"], 1, &expected);
}

/// On an empty cloud every rule is missing that the plan adds.
#[test]
fn a_cluster_of_many_groups() {
    let scene = wide();
    let steps = scene.run(&["plan", "--format", "json"]).exits(0).json()["steps"].take();
    let adds = steps.as_array().unwrap().iter().filter(|step| step["action"] == "add_rules");
    let missing: usize = adds.map(|step| step["rules"].as_array().unwrap().len()).sum();
    let expected = json!({ "rules": { "missing": missing }, "words": "etcd client", "group": "prod-w7" });
    check(&scene, &["plan"], 0, &expected);
}

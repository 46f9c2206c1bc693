//! A fleet in parts: whatever their order, together they do what one run does.

use serde_json::Value;

use crate::cloud::{PROD, applied, group_names, mutating, rules_of, scene};
use crate::support::Scene;

const GROUPS: [&str; 3] = ["prod-control", "prod-etcd", "prod-workers"];

/// The groups that have steps in a part's plan.
fn touched(scene: &Scene, shard: &str) -> Vec<String> {
    let plan = scene.run(&["plan", "--shard", shard, "--format", "json"]).exits(0).json();
    let mut names: Vec<String> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["security_group"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn every_group_is_in_one_part() {
    let scene = scene(PROD);
    let mut all: Vec<String> = ["0/3", "1/3", "2/3"].iter().flat_map(|shard| touched(&scene, shard)).collect();
    all.sort();
    assert_eq!(all, GROUPS);
    assert_eq!(touched(&scene, "0/1"), GROUPS);
}

#[test]
fn rules_wait_for_groups_of_other_parts_and_come_in_the_next_run() {
    let scene = scene(PROD);
    let whole = applied(PROD);
    // The parts of a fleet that have a group, last part first.
    let parts: Vec<&str> =
        ["2/3", "1/3", "0/3"].into_iter().filter(|shard| !touched(&scene, shard).is_empty()).collect();
    assert!(parts.len() > 1, "the test needs groups in several parts");
    let first = scene.run(&["apply", "--shard", parts[0]]).exits(3).complains("groups that other shards make");
    first.says("not opened").says("yet");
    for part in &parts[1..] {
        let code = i32::from(part != parts.last().unwrap()) * 3;
        scene.run(&["apply", "--shard", part]).exits(code);
    }
    assert_eq!(group_names(&scene), GROUPS);
    for part in &parts {
        scene.run(&["apply", "--shard", part]).exits(0);
    }
    for name in GROUPS {
        assert_eq!(rules_of(&scene, name), rules_of(&whole, name), "{name}");
    }
    scene.run(&["drift"]).exits(0);
}

#[test]
fn a_part_leaves_the_others_drift_alone() {
    let scene = applied(PROD);
    let of_group = |name: &str| {
        let plans = ["0/3", "1/3", "2/3"].into_iter();
        plans
            .filter(|shard| {
                let empty = self::scene(PROD);
                touched(&empty, shard).contains(&name.to_owned())
            })
            .collect::<Vec<_>>()[0]
    };
    crate::cloud::by_hand(&scene, |state: &mut Value| {
        crate::cloud::rules(state, "prod-etcd").push(crate::cloud::tcp(8081, "192.0.2.0/24"));
    });
    let (own, other) = (of_group("prod-etcd"), of_group("prod-workers"));
    assert_ne!(own, other, "the test needs the two in different parts");
    let ran = scene.run(&["apply", "--shard", other]).exits(0);
    assert_eq!(mutating(&ran), [""; 0]);
    scene.run(&["drift", "--shard", other]).exits(0);
    scene.run(&["drift", "--shard", own]).exits(2);
    scene.run(&["apply", "--shard", own]).exits(0);
    scene.run(&["drift"]).exits(0);
}

#[test]
fn what_is_no_part_is_an_error() {
    let scene = scene(PROD);
    for shard in ["3/3", "x", "1"] {
        scene.run(&["apply", "--shard", shard]).exits(1).complains("counted from 0");
    }
    assert_eq!(scene.read("cloud.json"), None);
}

//! What stands between a plan and its calls: guards, quotas, the number of removals.

use serde_json::json;

use crate::cloud::{
    ALL_OUT, NODES, NODES_INBOUND, PROD, applied, by_hand, decisive, rules, rules_of, scene, tcp, with_groups,
};
use crate::support::Scene;

/// A scene in sync, but for so many rules that somebody made by hand in a group of 13.
fn with_extra_rules(how_many: u16) -> Scene {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        rules(state, "rancher-nodes").extend((0..how_many).map(|n| tcp(8100 + 2 * n, "192.0.2.0/24")))
    });
    scene
}

#[track_caller]
fn assert_refused(scene: &Scene, arguments: &[&str], why: &str) {
    let before = scene.read("cloud.json");
    let ran = scene.run(arguments).exits(1).complains(why);
    assert_eq!(decisive(&ran), [""; 0]);
    assert_eq!(scene.read("cloud.json"), before, "nothing may be changed");
}

#[test]
fn eleven_removals_are_refused() {
    let scene = with_extra_rules(11);
    scene.run(&["plan"]).exits(0).says("apply will refuse").says("--max-removals");
    assert_refused(&scene, &["apply"], "11 rules would go, more than 10");
    assert_refused(&scene, &["apply"], "--max-removals 11");
}

#[test]
fn more_than_a_third_of_a_group_is_refused() {
    // 7 of 20.
    assert_refused(&with_extra_rules(7), &["apply"], "more than a third");
}

#[test]
fn a_third_of_a_group_or_less_is_removed() {
    // 6 of 19.
    let scene = with_extra_rules(6);
    scene.run(&["apply"]).exits(0);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1);
}

#[test]
fn max_removals_sets_the_number() {
    let scene = with_extra_rules(11);
    assert_refused(&scene, &["apply", "--max-removals", "10"], "--max-removals is 10");
    scene.run(&["apply", "--max-removals", "11"]).exits(0);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1);
}

#[test]
fn max_removals_lifts_the_third_too() {
    with_extra_rules(7).run(&["apply", "--max-removals", "7"]).exits(0);
}

#[test]
fn max_removals_zero_refuses_one() {
    assert_refused(&with_extra_rules(1), &["apply", "--max-removals", "0"], "1 rule");
}

#[test]
fn a_group_is_not_left_without_any_rule() {
    // These workers need nothing: no ingress, no NodePorts, no overlay, no control plane that calls them.
    let inventory = "version: 1\nowner: platform\nnetworks:\n  lab: { simulated: { state: cloud.json } }\nclusters:\n  idle:\n    \
                     network: lab\n    profile: downstream-node-pools\n    rancher_version: \"2.4\"\n    egress: strict\n    \
                     options: { cni: other, ingress: false, nodeport_services: false, rancher_external_lb: false }\n    \
                     groups:\n      workers: { roles: [worker] }\n";
    let scene = scene(inventory);
    let group = json!({ "id": "sg-0a", "name": "idle-workers", "tags": { "rsgsync:platform/idle": "made" },
                        "rules": [tcp(9000, "192.0.2.0/24")] });
    scene.write("cloud.json", with_groups(json!([group])));
    assert_refused(&scene, &["apply"], "no rule left");
    scene.run(&["apply", "--max-removals", "1"]).exits(0);
    assert_eq!(rules_of(&scene, "idle-workers"), [""; 0]);
}

#[test]
fn add_only_adds_and_removes_nothing() {
    let scene = with_extra_rules(11);
    by_hand(&scene, |state| rules(state, "rancher-nodes").retain(|rule| rule["from_port"] != 6443));
    let apply = scene.run(&["apply", "--add-only"]).exits(0);
    assert_eq!(decisive(&apply), ["AuthorizeSecurityGroupIngress"]);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1 + 11);
}

#[test]
fn redundant_rules_stay_until_tidy() {
    let scene = applied(NODES);
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(22, "192.0.2.0/24")));
    scene.run(&["drift"]).exits(0);
    scene.run(&["apply"]).exits(0);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 2);
    let tidy = scene.run(&["apply", "--tidy"]).exits(0);
    assert_eq!(decisive(&tidy), ["RevokeSecurityGroupIngress"]);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1);
}

#[test]
fn a_tidy_cloud_has_nothing_left_to_tidy() {
    let scene = applied(NODES);
    scene.run(&["apply", "--tidy"]).exits(0);
    let before = scene.read("cloud.json");
    scene.run(&["apply", "--tidy"]).exits(0).says("nothing to do");
    assert_eq!(scene.read("cloud.json"), before);
}

#[test]
fn the_quotas_arithmetic_is_shown_and_nothing_is_changed() {
    let scene = scene(NODES);
    scene.write("cloud.json", json!({ "version": 1, "quota": { "rules_per_group": 10 } }).to_string());
    // 12 inbound rules into a group of none, where 10 fit.
    for part in ["`rancher-nodes`", "0 rules now", "12 to add", "quota is 10", "help: "] {
        assert_refused(&scene, &["apply"], part);
    }
}

#[test]
fn a_quota_that_is_just_enough_is_enough() {
    let scene = scene(NODES);
    scene.write("cloud.json", json!({ "version": 1, "quota": { "rules_per_group": 12 } }).to_string());
    scene.run(&["apply"]).exits(0).says("12 of 12");
}

#[test]
fn groups_that_the_network_has_no_room_for_are_refused_before_the_first_is_made() {
    let scene = scene(PROD);
    let group = |n: u8| json!({ "id": format!("sg-0{n}"), "name": format!("theirs-{n}") });
    let full = json!({ "version": 1, "groups": [group(1), group(2)], "quota": { "groups": 4 } });
    scene.write("cloud.json", full.to_string());
    for part in [
        "network `lab`",
        "no room for more groups: 2 now",
        "3 to add",
        "0 to remove",
        "5 at once",
        "quota is 4 (read)",
        "help: ",
    ] {
        assert_refused(&scene, &["apply"], part);
    }
    by_hand(&scene, |state| state["quota"]["groups"] = json!(5));
    scene.run(&["apply"]).exits(0);
    let quotas = scene.run(&["plan", "--format", "json"]).exits(0).json()["networks"][0]["quotas"].clone();
    assert_eq!(quotas["groups"], json!({ "at_most": 5, "source": "read", "used": 5 }));
    assert_eq!(quotas["rules_per_group"]["used"], json!(null));
}

#[test]
fn rules_of_all_groups_that_the_project_has_no_room_for_are_refused_with_the_arithmetic() {
    let scene = scene(NODES);
    let theirs = json!({ "id": "sg-0a", "name": "theirs", "rules": [tcp(9000, "198.51.100.0/24")] });
    scene.write("cloud.json", json!({ "version": 1, "groups": [theirs], "quota": { "rules": 13 } }).to_string());
    // Twelve of ours, and the one that the cloud puts into a new group.
    for part in ["no room for more rules: 1 now", "13 to add", "14 at once", "quota is 13 (read)"] {
        assert_refused(&scene, &["apply"], part);
    }
    by_hand(&scene, |state| state["quota"]["rules"] = json!(14));
    scene.run(&["apply"]).exits(0);
    let quotas = scene.run(&["plan", "--format", "json"]).exits(0).json()["networks"][0]["quotas"].clone();
    assert_eq!(quotas["rules"], json!({ "at_most": 14, "source": "read", "used": 14 }));
}

/// The group of the node driver, with one rule of the user's own.
fn with_rule(rule: &str, waive: &str) -> String {
    format!("{NODES}    rules:\n      - {{ {rule} }}\n{waive}")
}

const ETCD_TO_THE_WORLD: &str = "from: 0.0.0.0/0, to: all, allow: [2379/tcp], why: backup from anywhere";

#[test]
fn etcd_is_not_opened_to_the_world() {
    for command in [&["plan"][..], &["apply"], &["drift"], &["validate"], &["apply", "--max-removals", "99", "--yes"]] {
        let scene = scene(&with_rule(ETCD_TO_THE_WORLD, ""));
        let ran = scene.run(command).exits(1).complains("etcd-public").complains("2379/tcp").complains("0.0.0.0/0");
        assert!(ran.stderr.contains("waive"), "the way out is missing: {}", ran.stderr);
        assert_eq!(scene.read("cloud.json"), None);
    }
}

#[test]
fn half_of_the_world_is_the_world() {
    let scene = scene(&with_rule(&ETCD_TO_THE_WORLD.replace("0.0.0.0/0", "128.0.0.0/1"), ""));
    scene.run(&["apply"]).exits(1).complains("etcd-public");
}

#[test]
fn a_guard_that_is_waived_by_name_lets_the_rule_through_and_is_named() {
    let waive = "    waive:\n      - { guard: etcd-public, why: the lab has no secrets }\n";
    let scene = scene(&with_rule(ETCD_TO_THE_WORLD, waive));
    scene.run(&["apply"]).exits(0).says("etcd-public").says("the lab has no secrets");
    assert!(rules_of(&scene, "rancher-nodes").contains(&"in 2379/tcp 0.0.0.0/0".to_owned()));
}

#[test]
fn a_waiver_that_has_expired_opens_nothing_and_stops_nothing() {
    let waive = "    waive:\n      - { guard: etcd-public, why: for a day, until: 2020-01-01 }\n";
    let scene = scene(&with_rule(ETCD_TO_THE_WORLD, waive));
    scene.run(&["apply"]).exits(0);
    let mut expected = NODES_INBOUND.to_vec();
    expected.push(ALL_OUT);
    assert_eq!(rules_of(&scene, "rancher-nodes"), expected);
}

#[test]
fn what_a_shipped_row_itself_opens_to_the_world_is_said_with_the_way_to_narrow_it() {
    scene(NODES).run(&["plan"]).exits(0).says("docker-public").says("2376/tcp").says("narrow");
}

#[test]
fn a_narrowed_row_closes_what_it_no_longer_lets_in() {
    let scene = applied(NODES);
    let narrow = "    narrow:\n      - { row: nodeport-tcp, from: [office], why: no NodePorts from outside }\n";
    scene.write("cluster.yaml", format!("{NODES}{narrow}peers:\n  office: {{ cidrs: [198.51.100.0/24] }}\n"));
    scene.run(&["plan"]).exits(0).says("World  opens nothing · closes 30000-32767/tcp on rancher-nodes");
    scene.run(&["apply"]).exits(0);
    let rules = rules_of(&scene, "rancher-nodes");
    assert!(rules.contains(&"in 30000-32767/tcp 198.51.100.0/24".to_owned()), "{rules:?}");
    assert!(!rules.contains(&"in 30000-32767/tcp 0.0.0.0/0".to_owned()), "{rules:?}");
}

//! Whose rules and groups go and whose stay: shared, adopted, another owner's, destroyed.

use serde_json::{Value, json};

use crate::cloud::{
    ALL_OUT, NODES, NODES_INBOUND, PROD, applied, by_hand, decisive, group, group_names, mutating, rules, rules_of,
    scene, state, tcp, with_groups,
};
use crate::support::Scene;

/// A group that somebody else made: rules to SSH and to a port of their own, everything outbound.
fn found(name: &str) -> Value {
    let out = json!({ "direction": "egress", "protocol": "all", "peer": { "cidr": "0.0.0.0/0" } });
    let rules = [tcp(22, "198.51.100.0/24"), tcp(9000, "198.51.100.0/24"), out];
    json!({ "id": "sg-0a", "name": name, "description": "by hand", "rules": rules })
}

/// The inventory with this beside the group's name.
fn with(extra: &str) -> String {
    NODES.replace("security_group: rancher-nodes", &format!("security_group: rancher-nodes, {extra}"))
}

fn on_found_group(inventory: &str) -> Scene {
    let scene = scene(inventory);
    scene.write("cloud.json", with_groups(json!([found("rancher-nodes")])));
    scene
}

#[test]
fn a_foreign_rule_in_a_shared_group_is_kept_and_told() {
    let scene = on_found_group(&with("ownership: shared"));
    scene.run(&["plan"]).exits(0).says("foreign");
    scene.run(&["apply"]).exits(0);
    let rules = rules_of(&scene, "rancher-nodes");
    assert_eq!(rules.len(), NODES_INBOUND.len() + 3, "{rules:?}");
    assert!(rules.contains(&"in 9000/tcp 198.51.100.0/24".to_owned()));
    scene.run(&["drift"]).exits(0);
}

#[test]
fn a_group_that_existed_is_shared_unless_the_inventory_says_otherwise() {
    let scene = on_found_group(NODES);
    scene.run(&["apply"]).exits(0);
    assert!(rules_of(&scene, "rancher-nodes").contains(&"in 9000/tcp 198.51.100.0/24".to_owned()));
}

#[test]
fn our_own_rule_in_a_shared_group_goes_when_nothing_asks_for_it_any_more() {
    let scene = on_found_group(&with("ownership: shared"));
    scene.run(&["apply"]).exits(0);
    let waived = "    waive:\n      - { row: kube-api, why: nobody calls it from outside }\npeers: {}\n";
    scene.write("cluster.yaml", with("ownership: shared") + waived);
    let apply = scene.run(&["apply"]).exits(0);
    assert_eq!(decisive(&apply), ["RevokeSecurityGroupIngress"]);
    let rules = rules_of(&scene, "rancher-nodes");
    assert!(!rules.contains(&"in 6443/tcp 0.0.0.0/0".to_owned()), "{rules:?}");
    assert!(rules.contains(&"in 9000/tcp 198.51.100.0/24".to_owned()), "{rules:?}");
}

#[test]
fn a_foreign_rule_that_does_the_job_is_not_doubled() {
    let scene = scene(&with("ownership: shared"));
    let mut group = found("rancher-nodes");
    group["rules"][0]["peer"] = json!({ "cidr": "0.0.0.0/0" });
    scene.write("cloud.json", with_groups(json!([group])));
    scene.run(&["apply"]).exits(0);
    // 22/tcp from everywhere is theirs already; EC2 would refuse it twice.
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 2);
    assert_eq!(rules(&mut state(&scene), "rancher-nodes")[0]["tags"], json!({}));
}

#[test]
fn a_shared_group_that_does_not_exist_is_an_error() {
    let scene = scene(&with("ownership: shared"));
    scene.run(&["apply"]).exits(1).complains("does not exist").complains("create: true").complains("`rancher-nodes`");
    assert_eq!(scene.read("cloud.json"), None);
}

#[test]
fn a_shared_group_is_made_where_the_inventory_says_create() {
    let scene = scene(&with("ownership: shared, create: true"));
    scene.run(&["apply"]).exits(0);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1);
}

#[test]
fn adopting_says_how_many_rules_go() {
    let scene = on_found_group(&with("ownership: exclusive"));
    // Both inbound rules: SSH from one range is inside SSH from everywhere, so only 9000 goes.
    scene.run(&["plan"]).exits(0).says("ADOPTS").says("1 rule will go");
}

#[test]
fn an_adopted_group_has_our_rules_only() {
    let scene = on_found_group(&with("ownership: exclusive"));
    scene.run(&["apply"]).exits(0);
    let rules = rules_of(&scene, "rancher-nodes");
    assert!(!rules.contains(&"in 9000/tcp 198.51.100.0/24".to_owned()), "{rules:?}");
    assert_eq!(group(&mut state(&scene), "rancher-nodes")["tags"]["rsgsync:platform/nodes"], "adopted");
    scene.run(&["drift"]).exits(0);
}

#[test]
fn a_group_that_another_owner_made_is_not_taken_unasked() {
    let scene = scene(&with("ownership: exclusive"));
    let mut theirs = found("rancher-nodes");
    theirs["tags"] = json!({ "rsgsync:sales/shop": "made" });
    scene.write("cloud.json", with_groups(json!([theirs])));
    let before = scene.read("cloud.json");
    scene.run(&["apply"]).exits(1).complains("sales/shop").complains("--take-over");
    assert_eq!(scene.read("cloud.json"), before);
    scene.run(&["apply", "--take-over"]).exits(0);
}

#[test]
fn a_group_of_another_inventory_is_never_touched() {
    let scene = scene(NODES);
    scene.write("cloud.json", with_groups(json!([found("theirs")])));
    let before = state(&scene)["groups"][0].clone();
    scene.run(&["apply"]).exits(0);
    scene.run(&["destroy", "--yes"]).exits(0);
    let mut after = state(&scene)["groups"][0].clone();
    // The file is written with more detail than by hand.
    assert_eq!(after["rules"].as_array().map(Vec::len), Some(3));
    for key in ["id", "name", "description"] {
        assert_eq!(after[key].take(), before[key]);
    }
}

#[test]
fn destroy_without_a_terminal_wants_yes() {
    let scene = applied(NODES);
    let before = scene.read("cloud.json");
    scene.run(&["destroy"]).exits(1).complains("--yes");
    assert_eq!(scene.read("cloud.json"), before);
}

#[test]
fn destroy_removes_every_group_that_we_made() {
    let scene = applied(PROD);
    scene.run(&["destroy", "--yes"]).exits(0);
    assert_eq!(group_names(&scene), [""; 0]);
}

#[test]
fn destroying_twice_makes_no_call_that_changes_anything() {
    let scene = applied(PROD);
    scene.run(&["destroy", "--yes"]).exits(0);
    let again = scene.run(&["destroy", "--yes"]).exits(0);
    assert_eq!(mutating(&again), [""; 0]);
}

#[test]
fn destroy_leaves_a_group_that_was_there_before_us() {
    let scene = on_found_group(&with("ownership: shared"));
    scene.run(&["apply"]).exits(0);
    scene.run(&["destroy", "--yes"]).exits(0);
    let theirs = ["in 22/tcp 198.51.100.0/24", "in 9000/tcp 198.51.100.0/24", ALL_OUT];
    assert_eq!(rules_of(&scene, "rancher-nodes"), theirs);
}

/// Two clusters, one of which a Rancher server in the other manages.
const QUICKSTART: &str = include_str!("../../examples/quickstart.yaml");

#[test]
fn destroying_one_cluster_leaves_the_others_in_sync() {
    let scene = applied(&QUICKSTART.replace("quickstart-cloud.json", "cloud.json"));
    scene.run(&["destroy", "--cluster", "prod"]).exits(1).complains("--yes").says("lost");
    scene.run(&["destroy", "--cluster", "prod", "--yes"]).exits(0);
    assert_eq!(group_names(&scene), ["rancher-nodes", "rancher-server"]);
    scene.run(&["drift", "--cluster", "legacy"]).exits(0);
    let rules = rules_of(&scene, "rancher-server");
    assert!(!rules.iter().any(|rule| rule.contains("prod-")), "{rules:?}");
    assert!(rules.contains(&"in 6443/tcp rancher-server".to_owned()), "{rules:?}");
}

#[test]
fn destroying_one_of_two_clusters_of_a_group_takes_what_only_it_needed() {
    let second = "  more:\n    network: lab\n    profile: downstream-node-pools\n    rancher_version: \"2.4\"\n    options: { \
                  rancher_external_lb: false, nodeport_services: false, ingress: false }\n    rules:\n      - { from: \
                  192.0.2.0/24, to: workers, allow: [9797/tcp], why: metrics }\n    groups:\n      workers: { roles: \
                  [worker], security_group: rancher-nodes }\n";
    let scene = applied(&format!("{NODES}{second}"));
    assert!(rules_of(&scene, "rancher-nodes").contains(&"in 9797/tcp 192.0.2.0/24".to_owned()));
    scene.run(&["destroy", "--cluster", "more", "--yes"]).exits(0);
    let mut expected = NODES_INBOUND.to_vec();
    expected.push(ALL_OUT);
    assert_eq!(rules_of(&scene, "rancher-nodes"), expected);
}

#[test]
fn a_foreign_rule_that_names_our_group_stops_its_deletion_with_the_clouds_words() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        let id = group(state, "rancher-nodes")["id"].clone();
        let mut theirs = found("theirs");
        theirs["rules"][0]["peer"] = json!({ "security_group": id });
        state["groups"].as_array_mut().unwrap().push(theirs);
    });
    scene.run(&["destroy", "--yes"]).exits(3).complains("DependencyViolation").complains("rancher-nodes");
    assert_eq!(group_names(&scene), ["rancher-nodes", "theirs"]);
}

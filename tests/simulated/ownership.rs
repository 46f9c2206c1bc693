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
    let line = "    · in  9000/tcp          from 198.51.100.0/24            foreign, left alone\n";
    scene.run(&["plan"]).exits(0).says(line);
    scene.run(&["plan", "--format", "markdown"]).exits(0).says(line);
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
    let plan = scene.run(&["plan"]).exits(0);
    plan.says("    · in  22/tcp            from 0.0.0.0/0                  foreign, needed: SSH provisioning  [ssh]\n");
    scene.run(&["apply"]).exits(0);
    // 22/tcp from everywhere is theirs already; EC2 would refuse it twice.
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 2);
    assert_eq!(rules(&mut state(&scene), "rancher-nodes")[0]["tags"], json!({}));
}

#[test]
fn programs_are_told_which_foreign_rules_are_needed_and_by_which_rows() {
    let scene = on_found_group(&with("ownership: shared"));
    by_hand(&scene, |state| rules(state, "rancher-nodes")[0]["peer"] = json!({ "cidr": "0.0.0.0/0" }));
    let plan = scene.run(&["plan", "--format", "json"]).exits(0).json();
    let foreign = plan["foreign"][0]["rules"].as_array().unwrap().iter();
    let told = foreign.map(|rule| {
        let rows = rule["reasons"].as_array().unwrap().iter().map(|reason| reason["row"].as_str().unwrap());
        (rule["from_port"].as_u64(), rule.get("needed").cloned(), rows.collect::<Vec<_>>())
    });
    let needed = || Some(json!(true));
    let expected = [(Some(22), needed(), vec!["ssh"]), (Some(9000), None, vec![]), (None, needed(), vec!["all-out"])];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn of_very_many_foreign_rules_the_first_are_named() {
    let scene = on_found_group(&with("ownership: shared"));
    by_hand(&scene, |state| rules(state, "rancher-nodes").extend((9100..9120).map(|port| tcp(port, "192.0.2.0/24"))));
    let plan = scene.run(&["plan"]).exits(0);
    // 20 and the three that were there.
    assert_eq!(plan.stdout.matches("    · ").count(), 10, "{}", plan.stdout);
    plan.says("    … and 13 more of others; --format json has all\n");
    let json = scene.run(&["plan", "--format", "json"]).exits(0).json();
    assert_eq!(json["foreign"][0]["rules"].as_array().map(Vec::len), Some(23));
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
fn destroy_names_the_rules_of_others_that_go_with_a_group_before_it_asks() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        let mut theirs = tcp(9000, "198.51.100.0/24");
        theirs["description"] = json!("of the other team");
        rules(state, "rancher-nodes").push(theirs);
    });
    let asked = scene.run(&["destroy"]).exits(1).complains("--yes");
    let line = "    − in  9000/tcp          from 198.51.100.0/24            not ours: goes with the group; “of the other team”\n";
    let asked = asked.says("− rancher-nodes  deleted with 14 rules, 1 of them not ours\n").says(line);
    let asked = asked.says("14 to remove (1 not ours), in 1 call\n");
    assert_eq!(asked.stdout.matches("not ours: ").count(), 1, "{}", asked.stdout);
    let json = scene.run(&["destroy", "--format", "json"]).exits(1).json();
    assert_eq!(json["foreign"][0]["rules"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["foreign"][0]["rules"][0]["from_port"], 9000);
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
    let asked = scene.run(&["destroy", "--cluster", "prod"]).exits(1).complains("--yes");
    let lost: Vec<&str> = asked.stdout.lines().filter_map(|line| line.strip_prefix("lost  ")).collect();
    let ends: Vec<&str> = lost.iter().map(|line| line.split("  ").next().unwrap()).collect();
    // Those to and from what stays, and then those within the cluster.
    let expected = [
        "kube-api-clients → prod/control",
        "mgmt/server → prod/control",
        "mgmt/server → prod/etcd",
        "mgmt/server → prod/workers",
        "prod/control → mgmt/server",
        "prod/etcd → mgmt/server",
        "prod/workers → mgmt/server",
        "workload-clients → prod/workers",
        "prod/control → prod/control",
        "prod/control → prod/etcd",
        "prod/control → prod/workers",
        "prod/etcd → prod/control",
        "prod/etcd → prod/etcd",
        "prod/etcd → prod/workers",
        "prod/workers → prod/control",
        "prod/workers → prod/etcd",
        "prod/workers → prod/workers",
    ];
    assert_eq!(ends, expected);
    assert!(lost.contains(&"mgmt/server → prod/etcd                  22/tcp, 2376/tcp"), "{lost:?}");
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

//! From nothing to in sync, and back to it after somebody changed something by hand.

use serde_json::json;

use crate::cloud::{
    ALL_OUT, NODES, NODES_INBOUND, PROD, applied, by_hand, calls, decisive, group_names, mutating, rules, rules_of,
};
use crate::cloud::{scene, tcp};

#[test]
fn apply_makes_exactly_the_documented_rules() {
    let scene = applied(NODES);
    let mut expected = NODES_INBOUND.to_vec();
    expected.push(ALL_OUT);
    assert_eq!(rules_of(&scene, "rancher-nodes"), expected);
    assert_eq!(group_names(&scene), ["rancher-nodes"]);
}

#[test]
fn apply_says_that_all_is_in_sync() {
    scene(NODES).run(&["apply"]).exits(0).says("in sync");
}

#[test]
fn a_second_apply_makes_no_mutating_call_and_leaves_every_byte() {
    let scene = applied(NODES);
    let before = scene.read("cloud.json");
    let again = scene.run(&["apply"]).exits(0).says("nothing to do");
    assert_eq!(mutating(&again), [""; 0]);
    assert_eq!(scene.read("cloud.json"), before);
}

#[test]
fn a_second_apply_writes_no_journal() {
    let scene = applied(NODES);
    assert_eq!(scene.journals().len(), 1);
    scene.run(&["apply"]).exits(0);
    assert_eq!(scene.journals().len(), 1);
}

#[test]
fn plan_and_drift_write_nothing() {
    let scene = scene(NODES);
    scene.run(&["plan"]).exits(0);
    scene.run(&["drift"]).exits(2);
    assert_eq!(scene.read("cloud.json"), None);
    assert_eq!(scene.journals().len(), 0);
}

#[test]
fn plan_exits_with_2_before_and_0_after_where_that_was_asked_for() {
    let scene = scene(NODES);
    scene.run(&["plan", "--detailed-exitcode"]).exits(2);
    scene.run(&["apply"]).exits(0);
    scene.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_rule_that_was_made_by_hand_is_drift_and_goes() {
    let scene = applied(NODES);
    scene.run(&["drift"]).exits(0);
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(8081, "192.0.2.0/24")));
    scene.run(&["drift"]).exits(2).says("8081/tcp").says("192.0.2.0/24");
    let apply = scene.run(&["apply"]).exits(0);
    assert_eq!(decisive(&apply), ["RevokeSecurityGroupIngress"]);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1);
    scene.run(&["drift"]).exits(0);
}

#[test]
fn a_rule_that_was_removed_by_hand_is_drift_and_comes_back() {
    let scene = applied(NODES);
    let before = rules_of(&scene, "rancher-nodes");
    by_hand(&scene, |state| rules(state, "rancher-nodes").retain(|rule| rule["from_port"] != 6443));
    scene.run(&["drift"]).exits(2).says("6443/tcp");
    let apply = scene.run(&["apply"]).exits(0);
    assert_eq!(decisive(&apply), ["AuthorizeSecurityGroupIngress"]);
    assert_eq!(rules_of(&scene, "rancher-nodes"), before);
}

#[test]
fn a_wider_rule_is_replaced_without_ever_closing_what_is_needed() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        let etcd = rules(state, "rancher-nodes").iter_mut().find(|rule| rule["from_port"] == 2379).unwrap();
        etcd["to_port"] = json!(2400);
    });
    let apply = scene.run(&["apply"]).exits(0);
    assert_eq!(decisive(&apply), ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]);
    assert!(rules_of(&scene, "rancher-nodes").contains(&"in 2379-2380/tcp rancher-nodes".to_owned()));
    scene.run(&["drift"]).exits(0);
}

#[test]
fn the_same_packets_in_other_rules_are_no_drift() {
    let scene = applied(NODES);
    by_hand(&scene, |state| {
        let rules = rules(state, "rancher-nodes");
        let mut peer = rules.iter().find(|rule| rule["from_port"] == 2379).unwrap().clone();
        peer["id"] = json!("sgr-0123456789abcdef0");
        peer["from_port"] = json!(2380);
        rules.iter_mut().find(|rule| rule["from_port"] == 2379).unwrap()["to_port"] = json!(2379);
        rules.push(peer);
    });
    scene.run(&["drift"]).exits(0);
}

#[test]
fn groups_may_refer_to_each_other_in_a_circle() {
    let scene = applied(PROD);
    assert!(rules_of(&scene, "prod-control").contains(&"in 6443/tcp prod-etcd".to_owned()));
    assert!(rules_of(&scene, "prod-etcd").contains(&"in 2379-2380/tcp prod-control".to_owned()));
    scene.run(&["drift"]).exits(0);
}

#[test]
fn control_plane_gets_what_the_documentation_lists_and_no_more() {
    let scene = applied(PROD);
    // Rancher v2.0-v2.4, node pools: the rows to the control plane, without those from a Rancher server.
    let expected = [
        "in 10250/tcp prod-control",
        "in 6443/tcp 203.0.113.0/24",
        "in 6443/tcp prod-control",
        "in 6443/tcp prod-etcd",
        "in 6443/tcp prod-workers",
        "in 8472/udp prod-control",
        "in 8472/udp prod-etcd",
        "in 8472/udp prod-workers",
        ALL_OUT,
    ];
    assert_eq!(rules_of(&scene, "prod-control"), expected);
}

fn of_family(family: &str) -> String {
    let option = format!("options: {{ ip_family: {family}, cni");
    PROD.replace("options: { cni", &option).replace("[203.0.113.0/24]", "[203.0.113.0/24, \"2001:db8::/32\"]")
}

#[test]
fn a_dual_stack_cluster_opens_both_families() {
    let scene = applied(&of_family("dual"));
    let rules = rules_of(&scene, "prod-control");
    for rule in ["in 6443/tcp 203.0.113.0/24", "in 6443/tcp 2001:db8::/32", ALL_OUT, "out all ::/0"] {
        assert!(rules.contains(&rule.to_owned()), "{rule}: {rules:?}");
    }
    scene.run(&["drift"]).exits(0);
}

#[test]
fn ipv6_may_go_out_of_an_ipv6_cluster_only() {
    let goes_out = |family| rules_of(&applied(&of_family(family)), "prod-control").contains(&"out all ::/0".to_owned());
    assert!(goes_out("ipv6"));
    assert!(!goes_out("ipv4"));
}

#[test]
fn all_of_ipv4_never_means_all_of_ipv6() {
    let dual = "rancher_version: \"2.4\"\n    options: { ip_family: dual }";
    let scene = applied(&NODES.replace("rancher_version: \"2.4\"", dual));
    let rules = rules_of(&scene, "rancher-nodes");
    assert!(rules.contains(&"in 22/tcp 0.0.0.0/0".to_owned()), "{rules:?}");
    assert!(!rules.contains(&"in 22/tcp ::/0".to_owned()), "{rules:?}");
}

/// 25 clusters of 4 groups each.
fn fleet() -> String {
    let mut text =
        "version: 1\nowner: platform\nnetworks:\n  lab: { simulated: { state: cloud.json } }\nclusters:\n".to_owned();
    for n in 0..25 {
        text += &format!(
            "  c{n}:\n    network: lab\n    profile: downstream-node-pools\n    rancher_version: \"2.4\"\n    \
             options: {{ rancher_external_lb: false, nodeport_services: false }}\n    groups:\n      \
             etcd: {{ roles: [etcd] }}\n      control: {{ roles: [controlplane] }}\n      \
             workers: {{ roles: [worker] }}\n      gpu: {{ roles: [worker] }}\n"
        );
    }
    text + "peers:\n  kube-api-clients: { cidrs: [203.0.113.0/24] }\n  workload-clients: { cidrs: [198.51.100.0/24] }\n"
}

#[test]
fn a_hundred_new_groups_cost_two_mutating_calls_each_and_at_most_three_others() {
    let scene = scene(&fleet());
    let apply = scene.run(&["apply"]).exits(0);
    assert_eq!(group_names(&scene).len(), 100);
    let calls = calls(&apply);
    let of = |kind: &str| calls.iter().filter(|call| **call == kind).count();
    assert_eq!((of("CreateSecurityGroup"), of("AuthorizeSecurityGroupIngress")), (100, 100));
    assert_eq!(mutating(&apply).len(), 200);
    assert!(calls.len() <= 203, "{} calls", calls.len());
}

#[test]
fn a_hundred_groups_that_exist_are_read_in_one_call() {
    let scene = applied(&fleet());
    let plan = scene.run(&["plan", "--detailed-exitcode"]).exits(0);
    assert_eq!(calls(&plan), ["DescribeSecurityGroups"]);
}

//! What comes first where firewall rules and policies contradict each other.

use serde_json::{Value, json};

use crate::project::{NODES, Project, circle, rules};

/// Three groups that let out only what their nodes need of each other; `rest` stands behind the cluster's peers.
fn strict(rest: &str) -> String {
    let mut inventory = circle("ipv4").replace("    options:", "    egress: strict\n    options:");
    for (role, addresses) in [("etcd", "10.1.0.0/24"), ("controlplane", "10.1.1.0/24"), ("worker", "10.1.2.0/24")] {
        inventory = inventory.replace(&format!("[{role}] }}"), &format!("[{role}], addresses: [{addresses}] }}"));
    }
    inventory + rest
}

fn lets_out(range: &str, port: &str, priority: u32) -> Value {
    json!({ "direction": "EGRESS", "destinationRanges": [range], "priority": priority,
        "allowed": [{ "IPProtocol": "tcp", "ports": [port] }] })
}

#[test]
fn a_deny_of_ours_that_would_cut_what_others_let_out_is_refused() {
    for priority in [65534, 65535] {
        let project = Project::new("cuts", &strict(""));
        project.make("proxy", lets_out("192.0.2.0/24", "3128", priority));
        project.run(&["plan"]).exits(1).complains(&format!("`proxy` (priority {priority})")).complains("3128/tcp");
        project.run(&["apply", "--max-removals", "20", "--settle", "0"]).exits(1);
        assert_eq!(project.firewalls().len(), 1, "nothing was made");
        // What is let out by name, in the inventory, isn't cut.
        let rule = "      proxy: { cidrs: [192.0.2.0/24] }\n    \
                    rules: [{ from: \"*\", to: proxy, allow: [3128/tcp], why: updates, ticket: NET-7 }]\n";
        project.write(&strict(rule));
        project.run(&["apply", "--max-removals", "20", "--settle", "0"]).exits(0);
        project.run(&["plan", "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn what_others_let_out_before_a_deny_of_ours_stays_let_out() {
    let project = Project::new("before", &strict(""));
    project.make("proxy", lets_out("192.0.2.0/24", "3128", 65533));
    project.run(&["apply", "--max-removals", "20", "--settle", "0"]).exits(0);
    assert!(rules(&project.firewalls())["prod-workers"].contains("deny out all * 0.0.0.0/0"));
    // Written later behind our deny, it is told that it lets nothing out.
    project.others("proxy", json!({ "priority": 65534 }));
    project.run(&["plan", "--detailed-exitcode"]).exits(0).says("`proxy` (priority 65534)").says("3128/tcp");
}

#[test]
fn a_required_flow_that_a_deny_of_ours_would_cut_is_refused() {
    let project = Project::new("late", &strict("").replace("[worker],", "[worker], ownership: exclusive,"));
    let mut late = lets_out("10.1.1.0/24", "6443", 65535);
    late["targetTags"] = json!(["prod-workers"]);
    project.make("late", late);
    project.run(&["plan"]).exits(1).complains("`late` (priority 65535)").complains("6443/tcp");
    project.others("late", json!({ "priority": 1000 }));
    project.run(&["plan"]).exits(0);
}

#[test]
fn a_saved_plan_is_refused_when_others_would_be_cut_by_now() {
    let project = Project::new("saved-cut", &strict(""));
    project.run(&["plan", "--out", "plan.json"]).exits(0);
    project.make("proxy", lets_out("192.0.2.0/24", "3128", 65534));
    project
        .run(&["apply", "plan.json", "--max-removals", "20", "--settle", "0"])
        .exits(1)
        .complains("`proxy` (priority 65534)");
    assert_eq!(project.firewalls().len(), 1);
}

#[test]
fn narrowed_outbound_traffic_of_a_shared_group_is_told_to_stay_open() {
    let shared = |inventory: &str| inventory.replace("[worker]", "[worker], ownership: shared, create: true");
    let project = Project::new("shared-strict", &shared(&strict("")));
    let note = "`prod-workers` is shared: `egress: strict` narrows nothing there";
    let planned = project.run(&["plan"]).exits(0).says(note);
    assert!(!planned.stdout.contains("`prod-etcd` is shared"), "{}", planned.stdout);
    project.write(&shared(&circle("ipv4")));
    assert!(!project.run(&["plan"]).exits(0).stdout.contains("is shared: "));
}

/// A rule of a policy about inbound TCP.
fn decides(priority: u32, action: &str, ranges: &[&str], port: &str) -> Value {
    json!({ "action": action, "direction": "INGRESS", "priority": priority,
        "match": { "srcIpRanges": ranges, "layer4Configs": [{ "ipProtocol": "tcp", "ports": [port] }] } })
}

fn inherited(rules: &[Value]) -> Value {
    json!({ "inherited": { "default": [{ "name": "123", "shortName": "company", "type": "HIERARCHY", "rules": rules }] } })
}

#[test]
fn what_a_policy_lets_through_first_it_does_not_deny() {
    let project = Project::new("order", NODES);
    let denies = |rules: &[Value]| {
        project.set(inherited(rules));
        let plan = project.run(&["plan"]).exits(0).stdout;
        plan.lines().filter(|line| line.contains("company")).map(str::trim).collect::<Vec<_>>().join("\n")
    };
    let all = decides(20, "deny", &["0.0.0.0/0"], "2376");
    assert!(denies(std::slice::from_ref(&all)).contains("is denied by"));
    for action in ["allow", "goto_next"] {
        let first = |ranges: &[&str], port: &str| vec![decides(10, action, ranges, port), all.clone()];
        assert_eq!(denies(&first(&["0.0.0.0/0"], "2376")), "", "{action}");
        assert!(denies(&first(&["0.0.0.0/0"], "22")).contains("is denied by"), "{action}: other ports");
        assert!(denies(&first(&["10.0.0.0/8"], "2376")).contains("is denied by"), "{action}: the rest");
        // What only the cloud can judge may come first.
        let mut somewhere = decides(10, action, &["0.0.0.0/0"], "2376");
        somewhere["match"]["srcRegionCodes"] = json!(["CH"]);
        assert!(denies(&[somewhere, all.clone()]).contains("may be denied by"), "{action}");
    }
    // A deny that only the cloud can judge is told as such.
    let mut somewhere = decides(10, "deny", &["0.0.0.0/0"], "2376");
    somewhere["match"]["srcRegionCodes"] = json!(["CH"]);
    assert!(denies(&[somewhere]).contains("firewall policy company has 1 rule to deny by what"));
    // The order is that of priorities, not that of the list.
    let last = decides(30, "allow", &["0.0.0.0/0"], "2376");
    assert!(denies(&[last, all]).contains("is denied by"));
}

/// A project whose network `prod` has a policy of its own that denies 2376, and allows it where told so.
fn with_a_policy(test: &str, order: &str, first: &[Value]) -> Project {
    let project = Project::new(test, &NODES.replace("project: PROJECT", "project: PROJECT, network: prod"));
    project.make_network(
        json!({ "name": "prod", "autoCreateSubnetworks": false, "networkFirewallPolicyEnforcementOrder": order }),
    );
    let rules = [first, &[decides(20, "deny", &["0.0.0.0/0"], "2376")]].concat();
    project.change("/global/firewallPolicies", json!({ "name": "fence", "rules": rules }));
    let network = format!("projects/{}/global/networks/prod", project.name);
    project.change(
        "/global/firewallPolicies/fence/addAssociation",
        json!({ "name": "prod", "attachmentTarget": network }),
    );
    project
}

#[test]
fn a_network_s_own_policy_denies_where_it_comes_before_firewall_rules() {
    let project = with_a_policy("own", "BEFORE_CLASSIC_FIREWALL", &[]);
    let (ran, calls) = project.calls_of(|| project.run(&["plan"]));
    ran.exits(0).says("fence").says("2376/tcp").says("is denied by");
    assert_eq!((calls["networks.get"], calls.values().sum::<u64>()), (1, 4), "{calls:?}");
    project.run(&["apply"]).exits(0);
    assert_eq!(project.call("GET", "/global/firewallPolicies/fence", &Value::Null)["rules"][0]["action"], "deny");
    let allowed =
        with_a_policy("own-allowed", "BEFORE_CLASSIC_FIREWALL", &[decides(10, "allow", &["0.0.0.0/0"], "2376")]);
    assert!(!allowed.run(&["plan"]).exits(0).stdout.contains("fence"));
}

#[test]
fn a_network_s_own_policy_that_comes_after_firewall_rules_denies_nothing_of_ours() {
    let project = with_a_policy("after", "AFTER_CLASSIC_FIREWALL", &[]);
    assert!(!project.run(&["plan"]).exits(0).stdout.contains("fence"));
}

//! From an empty project to what the inventory needs, and back.

use serde_json::json;

use crate::project::{NODES, Project, READING, changes, circle, counted, name, nodes_table, rules, with_rule};
use crate::support::reading;

#[test]
fn what_stands_is_explained_and_taken_over() {
    let project = Project::new("read", &circle("ipv4"));
    project.run(&["apply"]).exits(0);
    // The default network lets addresses inside it in.
    reading::explains(&project.scene, "unknown");
    // A firewall rule has one mark: another owner would make rules of their own.
    reading::adopts(&project.scene, &format!("gcp: {{ project: {} }}", project.name), "platform");
}

#[test]
fn from_empty_the_documented_table_and_then_nothing_to_do() {
    let project = Project::new("empty", NODES);
    let (_, calls) = project.calls_of(|| project.run(&["plan", "--detailed-exitcode"]).exits(2));
    assert_eq!(calls, counted(READING));
    let (_, calls) = project.calls_of(|| project.run(&["apply"]).exits(0));
    // One for what comes from everywhere, one for what comes from the nodes themselves.
    assert_eq!(changes(&calls), counted([("firewalls.insert", 2), ("globalOperations.wait", 2)]));
    let firewalls = project.as_google_reads();
    assert_eq!(rules(&firewalls)["nodes"], nodes_table());
    assert_eq!(firewalls.len(), 2);
    for (name, firewall) in &firewalls {
        assert!(name.starts_with("rsgsync-platform-nodes-") && name.len() <= 63, "{name}");
        assert!(firewall["description"].as_str().unwrap().ends_with(" rsgsync:platform/nodes made"), "{firewall}");
        assert_eq!((&firewall["priority"], &firewall["targetTags"]), (&json!(1000), &json!(["nodes"])));
    }
    for command in [["plan", "--detailed-exitcode"].as_slice(), &["drift"], &["apply"]] {
        let (_, calls) = project.calls_of(|| project.run(command).exits(0));
        assert!(calls.keys().all(|call| counted(READING).contains_key(call)), "{command:?}: {calls:?}");
    }
    assert_eq!(project.firewalls(), firewalls, "nothing was touched");
}

#[test]
fn drift_is_repaired_both_ways_by_a_patch() {
    let project = Project::new("drift", NODES);
    project.run(&["apply"]).exits(0);
    let before = project.firewalls();
    // A port more and a port less, in the same firewall rule; spelling and order are no difference.
    let world = project.ours("0.0.0.0/0");
    let allowed = json!([{ "IPProtocol": "17", "ports": ["30000-32767"] }, { "IPProtocol": "tcp", "ports": ["30000-32767"] },
        { "IPProtocol": "tcp", "ports": ["9999", "2376", "443", "80", "22"] }]);
    project.others(name(&world), json!({ "allowed": allowed }));
    let drift = project.run(&["drift", "--format", "json"]).exits(2).json();
    let found: Vec<_> =
        drift["drift"].as_array().unwrap().iter().map(|d| (&d["kind"], &d["rule"]["from_port"])).collect();
    assert_eq!(found, [(&json!("missing"), &json!(6443)), (&json!("unexpected"), &json!(9999))], "{drift}");
    let (_, calls) = project.calls_of(|| project.run(&["apply"]).exits(0));
    assert_eq!(calls.get("firewalls.insert"), None, "{calls:?}");
    assert_eq!(rules(&project.firewalls())["nodes"], nodes_table());
    assert!(project.firewalls().keys().eq(before.keys()), "existing firewall rules keep their names");
    // One: read, patch, wait, read.
    let patched = [("firewalls.get", 2), ("firewalls.patch", 1), ("globalOperations.wait", 1)];
    assert_eq!(changes(&calls), counted(patched));
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn the_last_source_goes_with_its_firewall_rule() {
    let project = Project::new("last-source", &with_rule("192.0.2.0/24"));
    project.run(&["apply"]).exits(0);
    project.write(NODES);
    // Patched to have no source, it would be open to everybody.
    let (_, calls) = project.calls_of(|| project.run(&["apply"]).exits(0));
    assert_eq!(changes(&calls), counted([("firewalls.delete", 1), ("globalOperations.wait", 1)]));
    assert_eq!(rules(&project.firewalls())["nodes"], nodes_table());
}

#[test]
fn what_is_not_ours_to_say_of_a_firewall_rule_survives_a_patch() {
    let project = Project::new("survives", NODES);
    project.run(&["apply"]).exits(0);
    let ours = project.ours("0.0.0.0/0");
    let others = json!({ "priority": 900, "logConfig": { "enable": true, "metadata": "EXCLUDE_ALL_METADATA" },
        "allowed": [{ "IPProtocol": "tcp", "ports": ["22"] }] });
    project.others(name(&ours), others.clone());
    let (_, calls) = project.calls_of(|| project.run(&["apply"]).exits(0));
    assert_eq!(calls["firewalls.patch"], 1, "{calls:?}");
    let firewalls = project.firewalls();
    assert_eq!(rules(&firewalls)["nodes"], nodes_table());
    for field in ["priority", "logConfig"] {
        assert_eq!(firewalls[name(&ours)][field], others[field]);
    }
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn nodes_that_have_ipv6_only() {
    let project = Project::new("six", &circle("ipv6"));
    project.run(&["apply"]).exits(0);
    let made = rules(&project.firewalls());
    assert!(made["prod-workers"].contains("in tcp 443 ::/0"), "{made:?}");
    // A tag is of both families anyway.
    assert!(made["prod-etcd"].contains("in tcp 2379-2380 prod-control"), "{made:?}");
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_deleted_firewall_rule_is_made_again() {
    let project = Project::new("deleted", NODES);
    project.run(&["apply"]).exits(0);
    project.others(name(&project.ours("sourceTags")), json!(null));
    let (_, calls) = project.calls_of(|| project.run(&["apply"]).exits(0));
    assert_eq!((calls["firewalls.insert"], calls["globalOperations.wait"]), (1, 1), "{calls:?}");
    assert_eq!(rules(&project.firewalls())["nodes"], nodes_table());
}

#[test]
fn a_disabled_firewall_rule_is_drift_and_is_enabled_again() {
    let project = Project::new("disabled", NODES);
    project.run(&["apply"]).exits(0);
    let before = project.firewalls();
    project.others(name(&project.ours("sourceTags")), json!({ "disabled": true }));
    project.run(&["drift"]).exits(2).says("2379-2380/tcp");
    let (_, calls) = project.calls_of(|| project.run(&["apply"]).exits(0));
    let made = ["firewalls.get", "firewalls.patch", "globalOperations.wait"].map(|call| calls[call]);
    assert_eq!(made, [2, 1, 1], "{calls:?}");
    assert_eq!(project.as_google_reads(), before);
}

#[test]
fn groups_that_refer_to_each_other_are_made_and_destroyed() {
    let project = Project::new("circle", &circle("ipv4"));
    project.run(&["apply"]).exits(0);
    let made = rules(&project.as_google_reads());
    assert!(made["prod-etcd"].contains("in tcp 2379-2380 prod-control"), "{made:?}");
    assert!(made["prod-control"].contains("in tcp 6443 prod-etcd"), "{made:?}");
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    let (ran, calls) = project.calls_of(|| project.run(&["destroy", "--yes"]).exits(0));
    assert!(!ran.stdout.contains("not ours"), "nobody else has a rule here: {}", ran.stdout);
    assert_eq!(calls["firewalls.delete"], calls["globalOperations.wait"], "{calls:?}");
    assert!(project.firewalls().is_empty());
    project.run(&["destroy", "--yes"]).exits(0);
}

#[test]
fn both_families_stand_in_firewall_rules_of_their_own() {
    let project = Project::new("dual", &circle("dual"));
    project.run(&["apply"]).exits(0);
    let firewalls = project.as_google_reads();
    let made = rules(&firewalls);
    for rule in ["in tcp 443 0.0.0.0/0", "in tcp 443 ::/0"] {
        assert!(made["prod-workers"].contains(rule), "{rule} is not in {made:?}");
    }
    for firewall in firewalls.values() {
        let ranges: Vec<bool> = firewall["sourceRanges"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|range| range.as_str().unwrap().contains(':'))
            .collect();
        assert!(ranges.windows(2).all(|two| two[0] == two[1]), "{firewall}");
    }
    // A tag is of both families anyway.
    assert_eq!(
        made["prod-etcd"].iter().filter(|rule| rule.ends_with(" 2379-2380 prod-control")).count(),
        1,
        "{made:?}"
    );
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn service_accounts_are_groups_and_peers() {
    let account = |name: &str| format!("{name}@acme.iam.gserviceaccount.com");
    let mut inventory = circle("ipv4").replace(
        "workload-clients: { cidrs: [\"0.0.0.0/0\", \"::/0\"] }",
        &format!("workload-clients: {{ service_account: {} }}", account("clients")),
    );
    for (group, role) in [("etcd:   ", "etcd"), ("control:", "controlplane"), ("workers:", "worker")] {
        let old = format!("{group} {{ roles: [{role}] }}");
        assert!(inventory.contains(&old), "{old}");
        inventory =
            inventory.replace(&old, &format!("{group} {{ roles: [{role}], service_account: {} }}", account(role)));
    }
    let project = Project::new("accounts", &inventory);
    project.run(&["apply"]).exits(0);
    let firewalls = project.as_google_reads();
    let made = rules(&firewalls);
    let (etcd, control) = (account("etcd"), account("controlplane"));
    assert!(made[&etcd].contains(&format!("in tcp 2379-2380 {control}")), "{made:?}");
    assert!(made[&account("worker")].contains(&format!("in tcp 443 {}", account("clients"))), "{made:?}");
    for firewall in firewalls.values() {
        assert_eq!((firewall.get("targetTags"), firewall.get("sourceTags")), (None, None), "{firewall}");
    }
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    // A tag can't stand beside an account.
    let tagged = inventory.replace(&format!("service_account: {}", account("etcd")), "security_group: etcd");
    project.write(&tagged);
    project.run(&["plan"]).exits(1).complains("is a service account and").complains("addresses");
}

#[test]
fn ranges_become_tags_in_one_patch() {
    let rule = "    rules:\n      - { from: office, to: all, allow: [9100/tcp], why: scraping, ticket: NET-7 }\n";
    let with = |peer: &str| format!("{NODES}{rule}    peers: {{ office: {peer} }}\n");
    let project = Project::new("to-tags", &with("{ cidrs: [192.0.2.0/24, 198.51.100.0/24] }"));
    project.run(&["apply"]).exits(0);
    let before = project.ours("9100");
    project.write(&with("{ tag: bastion }"));
    let (_, calls) = project.calls_of(|| project.run(&["apply"]).exits(0));
    let after = project.as_google_reads();
    let mut expected = nodes_table();
    expected.insert("in tcp 9100 bastion".to_owned());
    assert_eq!(rules(&after)["nodes"], expected, "{calls:?}");
    assert_eq!(
        (calls.get("firewalls.insert"), calls.get("firewalls.delete"), calls["firewalls.patch"]),
        (None, None, 1)
    );
    assert_eq!(after[name(&before)].get("sourceRanges"), None, "never open to everybody, never both");
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn strict_egress_denies_and_open_egress_takes_the_deny_away() {
    let strict = circle("ipv4").replace("    options:", "    egress: strict\n    options:");
    let project = Project::new("strict", &strict);
    project.run(&["plan"]).exits(1).complains("no groups as destinations").complains("addresses");
    let strict = strict
        .replace("] }\n      control", "], addresses: [10.1.0.0/24] }\n      control")
        .replace("[controlplane] }", "[controlplane], addresses: [10.1.1.0/24] }")
        .replace("[worker] }", "[worker], addresses: [10.1.2.0/24] }");
    project.write(&strict);
    project.run(&["apply", "--max-removals", "20"]).exits(0);
    let made = rules(&project.as_google_reads());
    for group in ["prod-etcd", "prod-control", "prod-workers"] {
        let denied: Vec<&String> = made[group].iter().filter(|rule| rule.starts_with("deny")).collect();
        assert_eq!(denied, ["deny out all * 0.0.0.0/0", "deny out all * ::/0"], "{made:?}");
    }
    for deny in project.firewalls().values().filter(|firewall| firewall.get("denied").is_some()) {
        assert_eq!((&deny["priority"], deny["targetTags"].as_array().unwrap().len()), (&json!(65534), 1), "{deny}");
    }
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    project.write(&circle("ipv4"));
    project.run(&["apply", "--max-removals", "20"]).exits(0);
    let made = rules(&project.firewalls());
    assert!(!made.values().flatten().any(|rule| rule.starts_with("deny")), "{made:?}");
}

#[test]
fn a_group_that_left_the_inventory_is_an_orphan_and_prune_deletes_it() {
    let project = Project::new("orphan", NODES);
    project.run(&["apply"]).exits(0);
    project.write(&NODES.replace("security_group: nodes", "security_group: renamed"));
    project.run(&["apply"]).exits(0).says("orphan nodes");
    project.run(&["apply", "--prune", "--max-removals", "20"]).exits(0);
    assert!(rules(&project.firewalls()).into_keys().eq(["renamed"]));
}

#[test]
fn a_run_is_rolled_back() {
    let project = Project::new("rollback", NODES);
    project.run(&["apply"]).exits(0);
    let before = rules(&project.firewalls());
    let rule = "    rules:\n      - { from: office, to: all, allow: [9100/tcp], why: scraping, ticket: NET-7 }\n    \
                peers: { office: { cidrs: [192.0.2.0/24] } }\n";
    project.write(&format!("{NODES}{rule}"));
    project.run(&["apply"]).exits(0);
    assert!(rules(&project.firewalls())["nodes"].contains("in tcp 9100 192.0.2.0/24"));
    let journal = project.scene.journals().pop().unwrap();
    project.run(&["rollback", journal.to_str().unwrap(), "--yes"]).exits(0);
    assert_eq!(rules(&project.firewalls()), before);
}

#[test]
fn a_saved_plan_is_carried_out() {
    let rule = "    rules:\n      - { from: office, to: all, allow: [9100/tcp], why: scraping, ticket: NET-7 }\n    \
                peers: { office: { tag: bastion } }\n";
    let project = Project::new("saved", &format!("{NODES}{rule}"));
    project.run(&["plan", "--out", "plan.json"]).exits(0);
    project.run(&["apply", "plan.json"]).exits(0).says("the plan is carried out");
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    let before = project.firewalls();
    project.run(&["apply", "plan.json"]).exits(0);
    assert_eq!(project.firewalls(), before);
}

#[test]
fn firewall_rules_of_the_cloud_s_own_controllers_stay() {
    let project = Project::new("writers", NODES);
    project.run(&["apply"]).exits(0);
    let balancer = json!({
        "direction": "INGRESS", "sourceRanges": ["0.0.0.0/0"], "targetTags": ["nodes"],
        "allowed": [{ "IPProtocol": "tcp", "ports": ["8443"] }],
    });
    project.make("k8s-fw-a1b2c3", balancer);
    project.run(&["apply"]).exits(0);
    assert!(project.firewalls().contains_key("k8s-fw-a1b2c3"));
    project.run(&["drift"]).exits(0);
}

#[test]
fn a_long_list_is_read_page_by_page() {
    let project = Project::new("pages", NODES);
    project.run(&["apply"]).exits(0);
    project.set(json!({ "pageSize": 2 }));
    let (_, calls) = project.calls_of(|| project.run(&["plan", "--detailed-exitcode"]).exits(0));
    // Six firewall rules: the default network's four, and ours.
    assert_eq!(calls, counted([("firewalls.list", 3), ("networks.getEffectiveFirewalls", 1), ("projects.get", 1)]));
}

#[test]
fn a_hundred_groups_with_a_thousand_rules_cost_two_calls_for_each_firewall_rule() {
    let mut inventory =
        String::from("version: 1\nowner: platform\nnetworks: { lab: { gcp: { project: PROJECT } } }\nclusters:\n");
    for i in 0..25 {
        inventory.push_str(&format!(
            "  c{i}:\n    network: lab\n    profile: rancher-nodes-ec2-sg\n    rancher_version: \"2.4\"\n    groups:\n"
        ));
        for name in ["a", "b", "c", "d"] {
            inventory.push_str(&format!("      {name}: {{ roles: [worker] }}\n"));
        }
    }
    let project = Project::new("hundred", &inventory);
    project.set(json!({ "quotas": { "FIREWALLS": 1000 } }));
    let (_, calls) = project.calls_of(|| project.run(&["apply"]).exits(0));
    let made = project.firewalls();
    let by_group = rules(&made);
    assert_eq!(by_group.len(), 100);
    for (group, rules) in &by_group {
        let of_group = |rule: &String| rule.replace(" nodes", &format!(" {group}"));
        assert_eq!(*rules, nodes_table().iter().map(of_group).collect(), "{group}");
    }
    // One for what comes from everywhere, one for what comes from the nodes themselves.
    assert_eq!(changes(&calls), counted([("firewalls.insert", 200), ("globalOperations.wait", 200)]));
    let (_, calls) = project.calls_of(|| project.run(&["plan", "--detailed-exitcode"]).exits(0));
    assert_eq!(calls, counted(READING));
}

#[test]
fn a_plan_that_the_cloud_has_no_words_for_is_refused() {
    let rule = "    rules:\n      - { from: office, to: all, allow: [icmp/8], why: ping, ticket: NET-7 }\n    \
                peers: { office: { cidrs: [192.0.2.0/24] } }\n";
    let project = Project::new("icmp", &format!("{NODES}{rule}"));
    project.run(&["plan"]).exits(1).complains("no types and codes of ICMP");
    project.write(&NODES.replace("security_group: nodes", "security_group: Nodes_1"));
    project.run(&["plan"]).exits(1).complains("network tag");
    assert!(project.firewalls().is_empty());
}

#[test]
fn protocols_are_said_in_the_cloud_s_own_numbers() {
    // The cloud's `ipip` is another protocol than ours.
    let rule = "    rules:\n      - { from: office, to: all, allow: [ipip, esp, icmp], why: tunnels, ticket: NET-7 }\n    \
                peers: { office: { cidrs: [192.0.2.0/24] } }\n";
    let project = Project::new("protocols", &format!("{NODES}{rule}"));
    project.run(&["apply"]).exits(0);
    let made = rules(&project.firewalls());
    for rule in ["in 4 * 192.0.2.0/24", "in esp * 192.0.2.0/24", "in icmp * 192.0.2.0/24"] {
        assert!(made["nodes"].contains(rule), "{rule} is not in {made:?}");
    }
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

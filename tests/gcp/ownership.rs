//! What others have stays as it is, and what they deny is told.

use serde_json::json;

use crate::project::{NODES, Project, name, nodes_table, rules, set};

fn theirs(target: &str, port: &str, source: &str) -> serde_json::Value {
    json!({ "targetTags": [target], "sourceRanges": [source], "allowed": [{ "IPProtocol": "tcp", "ports": [port] }] })
}

#[test]
fn foreign_rules_of_a_shared_group_are_kept() {
    let project = Project::new("shared", NODES);
    project.make("theirs-ssh", theirs("nodes", "22", "192.0.2.0/24"));
    // Theirs does the job of one of ours.
    project.make("theirs-http", theirs("nodes", "80", "0.0.0.0/0"));
    project.run(&["plan"]).exits(0).says("shared");
    project.run(&["apply"]).exits(0);
    let mut expected = nodes_table();
    expected.insert("in tcp 22 192.0.2.0/24".to_owned());
    let firewalls = project.as_google_reads();
    assert_eq!(rules(&firewalls)["nodes"], expected);
    assert_eq!(firewalls["theirs-http"]["sourceRanges"], json!(["0.0.0.0/0"]));
    let ours: Vec<_> = firewalls.values().filter(|f| name(f).starts_with("rsgsync-")).collect();
    assert!(
        ours.iter().all(|f| f["description"].as_str().unwrap().ends_with("rsgsync:platform/nodes joined")),
        "{ours:?}"
    );
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    project.run(&["destroy", "--yes"]).exits(0);
    assert!(project.firewalls().into_keys().eq(["theirs-http", "theirs-ssh"]), "only what carries our mark goes");
}

#[test]
fn a_group_that_existed_is_adopted_when_the_inventory_says_so() {
    let project =
        Project::new("adopt", &NODES.replace("security_group: nodes", "security_group: nodes, ownership: exclusive"));
    project.make("theirs", theirs("nodes", "8443", "0.0.0.0/0"));
    project.run(&["plan"]).exits(0).says("ADOPTS").says("1 rule will go");
    project.run(&["apply", "--max-removals", "5"]).exits(0);
    let firewalls = project.firewalls();
    assert_eq!(rules(&firewalls)["nodes"], nodes_table());
    assert!(
        firewalls.values().all(|f| f["description"].as_str().unwrap().contains("rsgsync:platform/nodes adopted")),
        "{firewalls:?}"
    );
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn two_owners_share_a_tag_and_leave_each_other_alone() {
    let shared = "security_group: nodes, ownership: shared, create: true";
    let platform = NODES.replace("security_group: nodes", shared);
    let web = platform.replace("owner: platform", "owner: web").replace("  nodes:\n", "  shop:\n");
    let project = Project::new("owners", &platform);
    project.run(&["apply"]).exits(0);
    let first = project.firewalls();
    project.write(&web);
    project.run(&["apply"]).exits(0);
    let both = project.firewalls();
    for (name, firewall) in &first {
        assert_eq!(&both[name], firewall, "the first owner's are as they were");
    }
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    project.run(&["destroy", "--yes"]).exits(0);
    assert_eq!(project.as_google_reads(), first);
    project.write(&platform);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn resources_for_everybody_for_several_and_that_deny_are_in_no_group() {
    let project =
        Project::new("foreign", &NODES.replace("security_group: nodes", "security_group: nodes, ownership: exclusive"));
    let mut several = theirs("nodes", "8443", "0.0.0.0/0");
    several["targetTags"] = json!(["nodes", "others"]);
    project.make("several", several);
    let everybody = json!({ "sourceRanges": ["0.0.0.0/0"], "allowed": [{ "IPProtocol": "tcp", "ports": ["8080"] }] });
    project.make("everybody", everybody);
    let deny =
        json!({ "targetTags": ["nodes"], "sourceRanges": ["192.0.2.0/24"], "denied": [{ "IPProtocol": "all" }] });
    project.make("deny", deny);
    let before = project.firewalls();
    project.run(&["apply"]).exits(0);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    project.run(&["destroy", "--yes"]).exits(0);
    assert_eq!(project.as_google_reads(), before);
}

#[test]
fn a_deny_that_comes_first_is_told_and_left_alone() {
    let project = Project::new("deny", NODES);
    let deny = |priority: u32| {
        json!({ "targetTags": ["nodes"], "sourceRanges": ["0.0.0.0/0"], "priority": priority,
            "denied": [{ "IPProtocol": "TCP", "ports": ["6000-7000"] }] })
    };
    project.make("no-kube-api", deny(900));
    let planned = project.run(&["apply"]).exits(0).says("no-kube-api").says("6443/tcp").says("900");
    assert!(!planned.stdout.contains("nodes: 22/tcp is denied"), "{}", planned.stdout);
    assert_eq!(project.firewalls()["no-kube-api"]["denied"][0]["ports"], json!(["6000-7000"]));
    // What others let through first it doesn't deny.
    let first = json!({ "sourceRanges": ["0.0.0.0/0"], "priority": 800,
        "allowed": [{ "IPProtocol": "tcp", "ports": ["6443"] }] });
    project.make("kube-api-first", first);
    let planned = project.run(&["plan"]).exits(0);
    assert!(!planned.stdout.contains("no-kube-api"), "{}", planned.stdout);
    project.others("kube-api-first", json!({ "sourceRanges": ["192.0.2.0/24"] }));
    project.run(&["plan"]).exits(0).says("is denied by `no-kube-api` (priority 900)");
    // Whose other end can't be compared, it is told with a doubt.
    project.others("no-kube-api", json!({ "destinationRanges": ["10.0.0.0/8"] }));
    project.run(&["plan"]).exits(0).says("may be denied by `no-kube-api` (priority 900)");
    // One that comes later denies nothing of ours.
    project.others("no-kube-api", json!({ "priority": 2000 }));
    let planned = project.run(&["plan"]).exits(0);
    assert!(!planned.stdout.contains("no-kube-api"), "{}", planned.stdout);
}

#[test]
fn explain_counts_what_others_let_through_and_deny() {
    let project = Project::new("explain", NODES);
    project.run(&["apply"]).exits(0);
    let ask = || {
        let words =
            ["explain", "--from", "198.51.100.7", "--to", "nodes/all", "--port", "8443/tcp", "--format", "json"];
        let answer = project.run(&words).exits(0).json();
        let denied = answer["blocked_by"].as_array().unwrap().iter().find(|hurdle| hurdle["kind"] == "denied");
        let denied = denied.map_or(json!(null), |hurdle| hurdle["name"].clone());
        (answer["verdict"].clone(), answer["by"][0]["resource"].clone(), denied)
    };
    assert_eq!(ask(), (json!("denied"), json!(null), json!(null)));
    let table = json!([{ "IPProtocol": "tcp", "ports": ["8443"] }]);
    project.make("default-allow-8443", json!({ "priority": 65534, "sourceRanges": ["0.0.0.0/0"], "allowed": table }));
    assert_eq!(ask(), (json!("allowed"), json!("default-allow-8443"), json!(null)));
    project.make("no-8443", json!({ "priority": 900, "targetTags": ["nodes", "others"], "denied": table }));
    assert_eq!(ask(), (json!("denied"), json!(null), json!("no-8443")));
}

#[test]
fn what_the_organisation_denies_is_told() {
    let project = Project::new("policy", NODES);
    let rule = |action: &str, port: &str| {
        json!({ "action": action, "direction": "INGRESS", "priority": 10, "kind": "compute#firewallPolicyRule",
            "match": { "srcIpRanges": ["0.0.0.0/0"], "layer4Configs": [{ "ipProtocol": "tcp", "ports": [port] }] } })
    };
    let policy = json!({ "name": "123", "shortName": "company", "type": "HIERARCHY", "rules": [rule("deny", "2376")] });
    project.set(json!({ "inherited": { "default": [policy] } }));
    project.run(&["plan"]).exits(0).says("company").says("2376/tcp");
    // These credentials may not know: the plan says so.
    project.fault("networks.getEffectiveFirewalls", json!({ "then": "deny", "times": 9 }));
    let planned = project.run(&["plan"]).exits(0).says("firewall policies could not be read");
    assert!(!planned.stdout.contains("company"), "{}", planned.stdout);
}

#[test]
fn a_rule_of_an_exclusive_group_that_cannot_be_understood_is_an_error_that_names_it() {
    let exclusive = NODES.replace("security_group: nodes", "security_group: nodes, ownership: exclusive");
    let project = Project::new("opaque", &exclusive);
    project.make("odd", both_ends("others"));
    project.run(&["plan"]).exits(0);
    project.make("odd-too", both_ends("nodes"));
    project.run(&["plan"]).exits(1).complains("`odd-too`").complains("sources and destinations at once");
    project.write(&NODES.replace("security_group: nodes", "security_group: nodes, ownership: shared"));
    project.others("odd-too", json!(null));
    project.make("theirs", theirs("nodes", "8443", "192.0.2.0/24"));
    project.make("odd-too", both_ends("nodes"));
    project.run(&["apply"]).exits(0);
    let firewalls = project.firewalls();
    assert!(firewalls.contains_key("odd-too") && firewalls.contains_key("theirs"));
    assert!(rules(&firewalls)["nodes"].is_superset(&set(&["in tcp 8443 192.0.2.0/24"])));
}

fn both_ends(target: &str) -> serde_json::Value {
    json!({ "targetTags": [target], "sourceRanges": ["192.0.2.0/24"], "destinationRanges": ["198.51.100.0/24"],
        "allowed": [{ "IPProtocol": "tcp" }] })
}

#[test]
fn a_rule_that_cannot_be_understood_stops_nobody_who_only_refers_to_its_tag() {
    let rule = "    rules:\n      - { from: jump, to: all, allow: [9100/tcp], why: scraping, ticket: NET-7 }\n    \
                peers: { jump: { tag: bastion } }\n";
    let project = Project::new("referred", &format!("{NODES}{rule}"));
    project.make("odd", both_ends("bastion"));
    project.run(&["apply"]).exits(0);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    assert!(rules(&project.firewalls())["nodes"].contains("in tcp 9100 bastion"));
    // Of another controller, in a group that is ours alone.
    project.make("k8s-fw-a1b2c3", both_ends("nodes"));
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    project.run(&["destroy", "--yes"]).exits(0);
    assert!(project.firewalls().into_keys().eq(["k8s-fw-a1b2c3", "odd"]));
}

#[test]
fn a_rule_that_cannot_be_understood_does_not_disturb_reading_back() {
    let peers = "    peers: { one: { cidrs: [192.0.2.0/24] }, two: { cidrs: [198.51.100.0/24] } }\n";
    let with = |ports: &str| {
        let rule = |peer, ports| {
            format!("      - {{ from: {peer}, to: all, allow: [{ports}], why: scraping, ticket: NET-7 }}\n")
        };
        let shared = NODES.replace("security_group: nodes", "security_group: nodes, ownership: shared, create: true");
        format!("{shared}    rules:\n{}{}{peers}", rule("one", "9100/tcp, 9200/tcp"), rule("two", ports))
    };
    let project = Project::new("reading-back", &with("9100/tcp, 9200/tcp"));
    project.make("odd", both_ends("nodes"));
    project.run(&["apply"]).exits(0);
    // One firewall rule less what one of its sources loses is two: the new one is read back before the old one changes.
    project.write(&with("9100/tcp"));
    project.calls_of(|| project.run(&["apply", "--settle", "0"]).exits(0));
    let methods: Vec<_> = project.requests().into_iter().map(|request| request["method"].clone()).collect();
    let at = |wanted: &str| methods.iter().position(|method| method == wanted).unwrap();
    assert!(at("firewalls.insert") < at("firewalls.patch"), "{methods:?}");
    let made = rules(&project.firewalls());
    assert!(!made["nodes"].contains("in tcp 9200 198.51.100.0/24"), "{made:?}");
}

#[test]
fn what_two_firewall_rules_of_ours_say_is_redundant_and_tidied() {
    let project = Project::new("copies", NODES);
    project.run(&["apply"]).exits(0);
    let before = project.firewalls();
    let mut copy = project.ours("sourceTags");
    copy.as_object_mut()
        .unwrap()
        .retain(|key, _| ["description", "sourceTags", "targetTags", "allowed"].contains(&&**key));
    project.make("rsgsync-copy", copy);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    project.run(&["plan", "--tidy"]).exits(0).says("+0 −5");
    let (_, calls) = project.calls_of(|| project.run(&["apply", "--tidy", "--max-removals", "20"]).exits(0));
    assert_eq!((calls["firewalls.delete"], calls.get("firewalls.patch")), (1, None), "{calls:?}");
    assert_eq!(rules(&project.firewalls()), rules(&before));
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_rollback_takes_our_copy_of_another_owner_s_rule_away() {
    let shared = "security_group: nodes, ownership: shared, create: true";
    let platform = NODES.replace("security_group: nodes", shared);
    let project = Project::new("copy-back", &platform);
    project.run(&["apply"]).exits(0);
    let first = project.firewalls();
    project.write(&platform.replace("owner: platform", "owner: web").replace("  nodes:\n", "  shop:\n"));
    project.run(&["apply"]).exits(0);
    assert!(project.firewalls().len() > first.len());
    let journal = project.scene.journals().pop().unwrap();
    project.run(&["rollback", journal.to_str().unwrap(), "--yes"]).exits(0);
    assert_eq!(project.firewalls(), first);
}

#[test]
fn host_bits_and_spellings_are_no_difference() {
    let exclusive = NODES.replace("security_group: nodes", "security_group: nodes, ownership: exclusive");
    let project = Project::new("spelling", &exclusive);
    let table = json!([{ "IPProtocol": "TCP", "ports": ["22", "80-80", "443"] }, { "IPProtocol": "6", "ports": ["2376"] },
        { "IPProtocol": "tcp", "ports": ["6443", "30000-31000", "31001-32767"] }, { "IPProtocol": "17", "ports": ["30000-32767"] }]);
    project.make("world", json!({ "targetTags": ["nodes"], "sourceRanges": ["0.0.0.0/0"], "allowed": table }));
    let nodes = json!([{ "IPProtocol": "tcp", "ports": ["2379", "2380", "10250-10252", "10256"] },
        { "IPProtocol": "udp", "ports": ["4789", "8472"] }]);
    project.make("nodes", json!({ "targetTags": ["nodes"], "sourceTags": ["nodes"], "allowed": nodes }));
    let drift = project.run(&["drift", "--format", "json"]).json();
    assert_eq!(drift["drift"], json!([]), "{drift}");
}

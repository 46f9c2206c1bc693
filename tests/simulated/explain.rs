//! Why one connection is allowed or not, required or not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cloud::{NODES, PROD, applied, by_hand, group, rules, scene, tcp, with_groups};
use crate::support::{Ran, Scene};

/// The answer for programs.
#[track_caller]
fn ask(scene: &Scene, from: &str, to: &str, port: &str) -> Value {
    scene.run(&["explain", "--from", from, "--to", to, "--port", port, "--format", "json"]).exits(0).json()
}

/// The answer for people, which fits 100 columns but where it quotes a profile or a cloud.
#[track_caller]
fn told(scene: &Scene, from: &str, to: &str, port: &str, more: &[&str]) -> Ran {
    let arguments = [&["explain", "--from", from, "--to", to, "--port", port], more].concat();
    let ran = scene.run(&arguments).exits(0);
    let theirs = |line: &&str| line.contains("Port Requirements") || line.contains("could not be read");
    for line in ran.stdout.lines().filter(|line| !theirs(line)) {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
    ran
}

fn kinds(answer: &Value) -> Vec<&str> {
    answer["blocked_by"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect()
}

/// The inbound rules that let it through, as `2379-2380 prod-control`.
fn inbound(answer: &Value) -> Vec<String> {
    let by = answer["by"].as_array().unwrap().iter().filter(|rule| rule["direction"] == "ingress");
    let spell = |rule: &Value| {
        let peer = rule["peer"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
        format!("{}-{} {peer}", rule["from_port"], rule["to_port"])
    };
    by.map(spell).collect()
}

#[test]
fn an_allowed_connection_names_its_rules_with_ids_and_the_row_that_requires_it() {
    let scene = applied(PROD);
    let answer = ask(&scene, "prod/control", "prod/etcd", "2379/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("allowed"), &json!(true)));
    assert_eq!(answer["blocked_by"], json!([]));
    assert_eq!(inbound(&answer), ["2379-2380 prod-control"]);
    let rule = answer["by"].as_array().unwrap().iter().find(|rule| rule["direction"] == "ingress").unwrap();
    let mut state = crate::cloud::state(&scene);
    let there = rules(&mut state, "prod-etcd").iter().find(|r| r["id"] == rule["id"]).expect("an id of the cloud's");
    assert_eq!((&there["from_port"], &there["description"]), (&json!(2379), &rule["description"]));
    assert_eq!(rule["reasons"][0]["row"], "controlplane-etcd-client");

    let ran = told(&scene, "prod/control", "prod/etcd", "2379/tcp", &[]);
    assert!(ran.stdout.starts_with("allowed: prod/control can reach prod/etcd on 2379/tcp\n"), "{}", ran.stdout);
    let id = rule["id"].as_str().unwrap();
    ran.says(id).says("row controlplane-etcd-client of downstream-node-pools@2.4").says("etcd client requests");
}

#[test]
fn the_answer_for_programs_is_as_it_is_documented() {
    let scene = applied(PROD);
    let answer = ask(&scene, "203.0.113.7", "prod/control", "6443/tcp");
    let keys: BTreeSet<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["blocked_by", "by", "not_checked", "required", "verdict"]));
    let beside = ["network ACLs", "routes", "other security groups of an interface", "host firewalls"];
    let mut not_checked: Vec<&str> = beside.to_vec();
    not_checked.push("what 203.0.113.7 lets out");
    assert_eq!(answer["not_checked"], json!(not_checked));
    let rule = &answer["by"][0];
    let keys = rule.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<&str>>();
    let of_rule = ["id", "direction", "protocol", "family", "from_port", "to_port", "peer", "description", "reasons"];
    assert!(keys.is_superset(&of_rule.into()), "{rule}");
    assert_eq!((&rule["network"], &rule["security_group"]), (&json!("lab"), &json!("prod-control")));
}

#[test]
fn asking_reads_and_never_writes() {
    let scene = applied(PROD);
    let before = scene.read("cloud.json");
    let ran = told(&scene, "prod/control", "prod/etcd", "2379/tcp", &[]);
    assert_eq!(crate::cloud::mutating(&ran), Vec::<&str>::new());
    assert_eq!(scene.read("cloud.json"), before);
}

#[test]
fn what_nobody_requires_is_denied_because_it_is_missing() {
    let scene = applied(PROD);
    let answer = ask(&scene, "prod/workers", "prod/etcd", "2379/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("denied"), &json!(false)));
    assert_eq!(kinds(&answer), ["missing_rule"]);
    let missing = &answer["blocked_by"][0];
    assert_eq!(missing["security_group"], "prod-etcd");
    assert_eq!(
        (&missing["rule"]["peer"], &missing["rule"]["reasons"]),
        (&json!({ "security_group": "prod-workers" }), &json!([]))
    );
    told(&scene, "prod/workers", "prod/etcd", "2379/tcp", &[]).says("not required").says("missing");
}

#[test]
fn what_is_required_and_missing_is_told_with_its_row() {
    let scene = applied(PROD);
    by_hand(&scene, |state| rules(state, "prod-etcd").retain(|rule| rule["from_port"] != 2379));
    let answer = ask(&scene, "prod/control", "prod/etcd", "2379/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("denied"), &json!(true)));
    assert_eq!(answer["blocked_by"][0]["rule"]["reasons"][0]["row"], "controlplane-etcd-client");
    told(&scene, "prod/control", "prod/etcd", "2379/tcp", &[]).says("rsgsync plan");
    told(&scene, "prod/control", "prod/etcd", "2379/tcp", &["--desired"])
        .says("allowed, once the inventory is applied");
}

#[test]
fn a_row_whose_peer_is_undefined_is_named() {
    let without = PROD.replace("  kube-api-clients: { cidrs: [203.0.113.0/24] }\n", "");
    let scene = applied(&without);
    let answer = ask(&scene, "203.0.113.7", "prod/control", "6443/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("denied"), &json!(false)));
    let row = answer["blocked_by"].as_array().unwrap().iter().find(|e| e["kind"] == "not_opened").unwrap();
    assert_eq!((&row["row"], &row["why"]), (&json!("clients-kube-api"), &json!("peer undefined: kube-api-clients")));
    told(&scene, "203.0.113.7", "prod/control", "6443/tcp", &[]).says("not opened").says("add peers.kube-api-clients");
    // Whoever they are: some node may well be one of them.
    assert_eq!(ask(&scene, "kube-api-clients", "prod/control", "6443/tcp")["verdict"], "unknown");
    assert_eq!(ask(&scene, "kube-api-clients", "prod/control", "1/tcp")["verdict"], "denied");
}

#[test]
fn an_option_that_is_not_set_is_named() {
    let scene = applied(&PROD.replace(", nodeport_services: false", ""));
    let answer = ask(&scene, "workload-clients", "prod/workers", "30080/tcp");
    assert_eq!(answer["verdict"], "denied");
    let last = answer["blocked_by"].as_array().unwrap().last().unwrap();
    assert_eq!(last["why"], "option not set: nodeport_services");
}

#[test]
fn an_address_is_looked_for_in_ranges() {
    let scene = applied(PROD);
    let verdict = |from: &str| ask(&scene, from, "prod/control", "6443/tcp")["verdict"].clone();
    assert_eq!(verdict("203.0.113.7"), "allowed");
    assert_eq!(verdict("203.0.113.128/25"), "allowed");
    assert_eq!(verdict("203.0.112.0/23"), "denied", "half of it is");
    assert_eq!(verdict("203.0.114.7"), "denied");
    assert_eq!(verdict("kube-api-clients"), "allowed");
    assert_eq!(verdict("2001:db8::7"), "unknown", "a node may have it");
}

#[test]
fn a_private_address_may_be_a_node_s_until_their_addresses_are_known() {
    let scene = applied(PROD);
    let answer = ask(&scene, "10.1.2.3", "prod/etcd", "2379/tcp");
    assert_eq!(answer["verdict"], "unknown");
    assert_eq!(answer["blocked_by"][0]["why"], "if 10.1.2.3 is a node of prod-control");
    let known = PROD
        .replace("{ roles: [etcd] }", "{ roles: [etcd], addresses: [10.9.0.0/24] }")
        .replace("{ roles: [controlplane] }", "{ roles: [controlplane], addresses: [10.9.1.0/24] }");
    scene.write("cluster.yaml", known);
    assert_eq!(ask(&scene, "10.1.2.3", "prod/etcd", "2379/tcp")["verdict"], "denied");
    assert_eq!(ask(&scene, "10.9.1.3", "prod/etcd", "2379/tcp")["verdict"], "unknown");
}

#[test]
fn a_range_of_ports_is_allowed_only_if_all_of_it_is() {
    let scene = applied(PROD);
    let answer = ask(&scene, "prod/control", "prod/etcd", "2379-2390/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("denied"), &json!(false)));
    assert_eq!(inbound(&answer), ["2379-2380 prod-control"]);
    let missing = &answer["blocked_by"][0]["rule"];
    assert_eq!((&missing["from_port"], &missing["to_port"]), (&json!(2381), &json!(2390)));
    told(&scene, "prod/control", "prod/etcd", "2379-2390/tcp", &[])
        .says("lets through  2379-2380/tcp")
        .says("blocks        2381-2390/tcp")
        .says("required in part, 2379-2380/tcp");
    let answer = ask(&scene, "prod/control", "prod/etcd", "2379/tcp+udp");
    assert_eq!((&answer["verdict"], &answer["blocked_by"][0]["rule"]["protocol"]), (&json!("denied"), &json!("udp")));
}

#[test]
fn strict_egress_is_looked_at_where_it_leaves() {
    let strict = PROD.replace("    groups:", "    egress: strict\n    groups:");
    let scene = applied(&strict);
    assert_eq!(ask(&scene, "prod/control", "prod/etcd", "2379/tcp")["verdict"], "allowed");
    let answer = ask(&scene, "prod/workers", "192.0.2.1", "443/tcp");
    assert_eq!((&answer["verdict"], &answer["blocked_by"][0]["direction"]), (&json!("denied"), &json!("egress")));
    assert!(answer["not_checked"].as_array().unwrap().contains(&json!("what 192.0.2.1 lets in")), "{answer}");

    by_hand(&scene, |state| rules(state, "prod-control").retain(|rule| rule["direction"] == "ingress"));
    let answer = ask(&scene, "prod/control", "prod/etcd", "2379/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("denied"), &json!(true)));
    assert_eq!(answer["blocked_by"][0]["security_group"], "prod-control");
    assert_eq!(inbound(&answer), ["2379-2380 prod-control"], "the other end would let it in");
}

#[test]
fn a_guard_that_forbids_it_is_named() {
    let scene = applied(PROD);
    let answer = ask(&scene, "0.0.0.0/0", "prod/etcd", "2379/tcp");
    assert_eq!(kinds(&answer), ["missing_rule", "guard"]);
    assert_eq!(answer["blocked_by"][1]["guard"], "etcd-public");
    told(&scene, "198.51.100.7", "prod/etcd", "2379/tcp", &[]).says("etcd-public forbids it");
    // Somebody has opened it all the same.
    by_hand(&scene, |state| rules(state, "prod-etcd").push(tcp(2379, "0.0.0.0/0")));
    let answer = ask(&scene, "198.51.100.7", "prod/etcd", "2379/tcp");
    assert_eq!((&answer["verdict"], kinds(&answer)), (&json!("allowed"), vec!["guard"]));
}

#[test]
fn a_wish_that_a_guard_forbids_is_no_promise() {
    let open = "    rules:\n      - { from: world, to: etcd, allow: [2379/tcp], why: a slip }\npeers:\n  world: { cidrs: [0.0.0.0/0] }\n";
    let scene = scene(&PROD.replace("peers:\n", open));
    let arguments = ["explain", "--from", "world", "--to", "prod/etcd", "--port", "2379/tcp", "--desired"];
    scene.run(&arguments).exits(0).says("denied, once the inventory is applied").says("etcd-public forbids it");
}

#[test]
fn the_inventory_alone_is_asked_without_any_cloud() {
    let scene = scene(PROD);
    scene.write("cloud.json", "this is no state");
    let ran = told(&scene, "prod/control", "prod/etcd", "2379/tcp", &["--desired"]);
    assert_eq!(crate::cloud::calls(&ran), Vec::<&str>::new());
    ran.says("allowed, once the inventory is applied").says("what the cloud has now").says("etcd client requests");
    let ran = told(&scene, "prod/workers", "prod/etcd", "2379/tcp", &["--desired"]);
    ran.says("denied, once the inventory is applied");
}

#[test]
fn the_clouds_alone_are_asked_without_reasons() {
    let scene = applied(PROD);
    let ran = told(&scene, "prod/control", "prod/etcd", "2379/tcp", &["--observed"]).says("allowed:");
    assert!(!ran.stdout.contains("required") && !ran.stdout.contains("downstream-node-pools"), "{}", ran.stdout);
}

#[test]
fn a_group_that_is_not_there_lets_nothing_through() {
    let scene = scene(PROD);
    let answer = ask(&scene, "prod/control", "prod/etcd", "2379/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("denied"), &json!(true)));
    assert_eq!(kinds(&answer), ["no_group", "no_group"]);
    told(&scene, "prod/control", "prod/etcd", "2379/tcp", &[]).says("the group does not exist");
}

#[test]
fn a_network_that_cannot_be_read_makes_it_unknown() {
    let scene = applied(PROD);
    by_hand(&scene, |state| {
        state["faults"] = json!({ "schedule": [{ "kind": "DescribeSecurityGroups", "fault": "denied" }] });
    });
    let answer = ask(&scene, "prod/control", "prod/etcd", "2379/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("unknown"), &json!(true)));
    assert_eq!(kinds(&answer), ["unreadable", "unreadable"]);
    assert!(
        answer["blocked_by"][0]["why"].as_str().is_some_and(|why| why.contains("UnauthorizedOperation")),
        "{answer}"
    );
    scene.write("cloud.json", "this is no state");
    let ran =
        told(&scene, "prod/control", "prod/etcd", "2379/tcp", &[]).says("unknown: whether prod/control can reach");
    let ran = ran.says("could not be read: stderr says why").complains("help: ");
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{}", ran.stderr);
}

#[test]
fn others_rules_count_like_ours() {
    let scene =
        scene(&NODES.replace("security_group: rancher-nodes", "security_group: rancher-nodes, ownership: shared"));
    let mut theirs = tcp(8081, "192.0.2.0/24");
    theirs["description"] = json!("by hand (ticket 7)");
    scene.write("cloud.json", with_groups(json!([{ "id": "sg-0a", "name": "rancher-nodes", "rules": [theirs] }])));
    let answer = ask(&scene, "192.0.2.9", "nodes/all", "8081/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("allowed"), &json!(false)));
    told(&scene, "192.0.2.9", "nodes/all", "8081/tcp", &[]).says("“by hand (ticket 7)”");
}

#[test]
fn words_that_nobody_knows_are_told_the_nearest() {
    let scene = scene(PROD);
    let misuse =
        |from: &str, to: &str, port: &str| scene.run(&["explain", "--from", from, "--to", to, "--port", port]).exits(1);
    misuse("prod/contrl", "prod/etcd", "2379/tcp").complains("did you mean `prod/control`?");
    misuse("etcd", "prod/etcd", "2379/tcp").complains("did you mean `prod/etcd`?");
    misuse("kube-api-client", "prod/control", "6443/tcp").complains("did you mean `kube-api-clients`?");
    misuse("prod/etcd", "prod/control", "6443").complains("write `22/tcp`");
    misuse("10.1.2.3", "10.1.2.4", "22/tcp").complains("CLUSTER/GROUP");
    scene.run(&["explain", "--from", "prod/etcd", "--to", "prod/etcd"]).exits(1).complains("--port");
}

/// A network that refers to another's group in each of the three ways.
fn linked(link: &str) -> String {
    let inventory = r#"version: 1
owner: platform
networks:
  edge: { simulated: { state: edge.json } }
  hub:
    simulated: { state: hub.json }
    nat: [192.0.2.10/32]
    links: { edge: LINK }
clusters:
  mgmt:
    network: hub
    profile: k3s
    options: { cni: flannel, cni_backend: host-gw }
    groups:
      a: { roles: [k3s-server], security_group: a, addresses: [10.1.0.0/24] }
  down:
    network: edge
    profile: k3s
    options: { cni: flannel, cni_backend: host-gw }
    groups:
      d: { roles: [k3s-server], security_group: d }
    rules:
      - { from: agents, to: d, allow: [9100/tcp], why: metrics }
peers:
  agents: { cluster: mgmt, group: a }
"#;
    inventory.replace("LINK", link)
}

#[test]
fn links_say_how_one_network_s_groups_are_known_in_another() {
    for (link, peer) in [("private", "10.1.0.0/24"), ("public", "192.0.2.10/32")] {
        let scene = applied(&linked(link));
        let answer = ask(&scene, "mgmt/a", "down/d", "9100/tcp");
        assert_eq!((&answer["verdict"], &answer["required"]), (&json!("allowed"), &json!(true)), "{link}: {answer}");
        assert_eq!(inbound(&answer), [format!("9100-9100 {peer}")]);
    }
    let scene = applied(&linked("reference"));
    let answer = ask(&scene, "agents", "down/d", "9100/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("allowed"), &json!(true)), "{answer}");
    assert_eq!(ask(&scene, "agents", "down/d", "9101/tcp")["verdict"], "denied");
    // The hub can't be read: what its group is in the edge's rules isn't known.
    scene.write("hub.json", "this is no state");
    assert_eq!(ask(&scene, "mgmt/a", "down/d", "9100/tcp")["verdict"], "unknown");
}

#[test]
fn an_external_cluster_is_read_like_any_other() {
    let external = linked("private").replace("  down:\n", "  down:\n    external: true\n");
    let scene = scene(&external);
    let open = json!({ "id": "sg-0d", "name": "d", "rules": [tcp(9100, "10.1.0.0/16")] });
    scene.write("edge.json", with_groups(json!([open])));
    scene.write(
        "hub.json",
        with_groups(json!([{ "id": "sg-0a", "name": "a", "rules": [
        { "direction": "egress", "protocol": "all", "peer": { "cidr": "0.0.0.0/0" } }
    ] }])),
    );
    let answer = ask(&scene, "mgmt/a", "down/d", "9100/tcp");
    assert_eq!((&answer["verdict"], &answer["required"]), (&json!("allowed"), &json!(true)), "{answer}");
    let ran = told(&scene, "mgmt/a", "down/d", "9100/tcp", &["--desired"]);
    ran.says("unknown, once").says("its cluster is external");
}

#[test]
fn a_group_with_known_addresses_passes_ranges_around_them() {
    let known = PROD.replace("{ roles: [worker] }", "{ roles: [worker], addresses: [10.9.2.0/24] }");
    let scene = applied(&known);
    by_hand(&scene, |state| rules(state, "prod-etcd").push(tcp(9, "10.9.0.0/16")));
    assert_eq!(ask(&scene, "prod/workers", "prod/etcd", "9/tcp")["verdict"], "allowed");
    let answer = ask(&scene, "prod/control", "prod/etcd", "9/tcp");
    assert_eq!(
        (&answer["verdict"], &answer["blocked_by"][0]["why"]),
        (&json!("unknown"), &json!("if prod/control is in 10.9.0.0/16"))
    );
    by_hand(&scene, |state| assert!(group(state, "prod-etcd")["id"].is_string()));
}

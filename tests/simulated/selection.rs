//! Which files are read, which clusters get steps, what was reviewed, and what is left open for want of a word.

use serde_json::json;

use crate::cloud::{
    NODES, NODES_INBOUND, PROD, applied, by_hand, group_names, rules, rules_of, scene, tcp, with_groups,
};

const QUICKSTART: &str = include_str!("../../examples/quickstart.yaml");

fn quickstart() -> String {
    QUICKSTART.replace("quickstart-cloud.json", "cloud.json")
}

#[test]
fn cluster_narrows_the_steps() {
    let scene = scene(&quickstart());
    scene.run(&["apply", "--cluster", "legacy"]).exits(0);
    assert_eq!(group_names(&scene), ["rancher-nodes"]);
    scene.run(&["drift", "--cluster", "legacy"]).exits(0);
    scene.run(&["drift"]).exits(2);
}

#[test]
fn cluster_does_not_narrow_what_is_desired() {
    let scene = applied(&quickstart());
    by_hand(&scene, |state| rules(state, "rancher-server").push(tcp(8081, "192.0.2.0/24")));
    scene.run(&["drift", "--cluster", "prod"]).exits(0);
    scene.run(&["apply", "--cluster", "mgmt"]).exits(0);
    // What prod's agents need of the server is still wanted.
    let rules = rules_of(&scene, "rancher-server");
    assert!(rules.contains(&"in 443/tcp prod-workers".to_owned()), "{rules:?}");
    assert!(!rules.iter().any(|rule| rule.contains("8081")), "{rules:?}");
}

#[test]
fn a_group_that_cluster_leaves_unmade_is_named_before_any_call() {
    let scene = scene(&quickstart());
    // prod's nodes are reached from rancher-server, which belongs to mgmt.
    scene.run(&["apply", "--cluster", "prod"]).exits(1).complains("`rancher-server`").complains("help: ");
    assert_eq!(scene.read("cloud.json"), None);
}

#[test]
fn a_cluster_that_is_not_there_is_an_error_that_names_those_that_are() {
    let scene = scene(&quickstart());
    scene.run(&["apply", "--cluster", "prd"]).exits(1).complains("`prd`").complains("mgmt, prod, legacy");
    assert_eq!(scene.read("cloud.json"), None);
}

#[test]
fn expect_applies_only_what_was_reviewed() {
    let scene = scene(NODES);
    let digest = scene.run(&["plan", "--format", "json"]).exits(0).json()["digest"].as_str().unwrap().to_owned();
    by_wrong_digest(&scene, &"0".repeat(64));
    scene.run(&["apply", "--expect", &digest[..4]]).exits(1).complains("too short").complains("8 characters");
    assert_eq!(scene.read("cloud.json"), None);
    scene.run(&["apply", "--expect", &digest[..12]]).exits(0);
    // A pipeline that runs twice finds nothing to do.
    scene.run(&["apply", "--expect", &digest[..12]]).exits(0);
    assert_eq!(rules_of(&scene, "rancher-nodes").len(), NODES_INBOUND.len() + 1);
}

#[track_caller]
fn by_wrong_digest(scene: &crate::support::Scene, digest: &str) {
    scene.run(&["apply", "--expect", digest]).exits(1).complains("digest").complains("review");
    assert_eq!(scene.read("cloud.json"), None);
}

#[test]
fn a_plan_that_changed_since_its_review_is_refused() {
    let scene = applied(NODES);
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(8081, "192.0.2.0/24")));
    let digest = scene.run(&["plan", "--format", "json"]).json()["digest"].as_str().unwrap().to_owned();
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(8083, "192.0.2.0/24")));
    let before = scene.read("cloud.json");
    scene.run(&["apply", "--expect", &digest]).exits(1).complains("digest");
    assert_eq!(scene.read("cloud.json"), before);
}

/// PROD in two files: the cluster, and its peers.
fn in_two_files() -> (String, String) {
    let (cluster, peers) = PROD.split_once("peers:\n").unwrap();
    (cluster.to_owned(), format!("version: 1\nowner: platform\npeers:\n{peers}"))
}

#[test]
fn several_files_are_one_inventory() {
    let (cluster, peers) = in_two_files();
    let scene = scene(&cluster);
    scene.write("peers.yaml", peers);
    scene.run(&["apply", "--inventory", "cluster.yaml", "--inventory", "peers.yaml"]).exits(0);
    assert!(rules_of(&scene, "prod-control").contains(&"in 6443/tcp 203.0.113.0/24".to_owned()));
}

#[test]
fn a_folder_is_one_inventory() {
    let (cluster, peers) = in_two_files();
    let scene = scene("nothing: of this is read");
    scene.write("all/cluster.yaml", cluster);
    scene.write("all/peers.yml", peers);
    scene.write("all/notes.txt", "not: read");
    scene.run(&["apply", "-i", "all"]).exits(0);
    // The state file's path is relative to the inventory.
    assert!(scene.read("all/cloud.json").is_some());
    assert_eq!(scene.read("cloud.json"), None);
}

#[test]
fn a_variable_may_name_the_inventory() {
    let mut scene = scene("nothing: of this is read");
    scene.write("other.yaml", NODES);
    scene.set("RSGSYNC_INVENTORY", "other.yaml");
    scene.run(&["plan", "--detailed-exitcode"]).exits(2);
}

#[test]
fn the_flag_wins_over_the_variable() {
    let mut scene = scene(NODES);
    scene.set("RSGSYNC_INVENTORY", "nowhere.yaml");
    scene.run(&["plan", "--inventory", "cluster.yaml", "--detailed-exitcode"]).exits(2);
}

#[test]
fn an_inventory_that_is_not_there_is_an_error_with_a_way_out() {
    scene(NODES).run(&["plan", "-i", "nowhere.yaml"]).exits(1).complains("nowhere.yaml").complains("--inventory");
}

#[test]
fn validate_asks_no_cloud() {
    let scene = scene(NODES);
    scene.write("cloud.json", "this is no state");
    scene.run(&["validate"]).exits(0).says("valid: 1 cluster, 1 group");
}

#[test]
fn validate_strict_fails_on_rows_that_are_not_opened() {
    let without = PROD.replace("  kube-api-clients: { cidrs: [203.0.113.0/24] }\n", "");
    let scene = scene(&without);
    scene.run(&["validate"]).exits(0).says("kube-api-clients");
    let strict = scene.run(&["validate", "--strict"]).exits(1).says("kube-api-clients").complains("error: strict: ");
    let told = strict.stderr.split_once("error: strict: ").unwrap().1.lines().next().unwrap();
    assert!(told.ends_with(" not opened"), "{told}");
    let head = format!("fails --strict ({told}), otherwise valid: 1 cluster, 3 groups, ");
    assert!(strict.stdout.starts_with(&head), "{}", strict.stdout);
    for arguments in [&["validate", "--format", "json"][..], &["validate", "--strict", "--format", "json"]] {
        let report: serde_json::Value = serde_json::from_str(&scene.run(arguments).stdout).unwrap();
        assert_eq!((&report["valid"], &report["fails_strict"]), (&true.into(), &serde_json::json!([told])));
    }
    // They change no other exit code.
    scene.run(&["apply"]).exits(0);
    scene.run(&["drift"]).exits(0);
}

#[test]
fn validate_strict_fails_on_warnings() {
    let host_bits = NODES.replace("owner: platform", "owner: platform\ntrusted: [192.0.2.7/24]");
    let scene = scene(&host_bits);
    scene.run(&["validate"]).exits(0).complains("192.0.2.0/24");
    scene.run(&["validate", "--strict"]).exits(1);
}

#[test]
fn validate_strict_accepts_what_leaves_nothing_open() {
    let scene = scene(NODES);
    scene.run(&["validate", "--strict"]).exits(0).says("valid: 1 cluster, 1 group");
    let report = scene.run(&["validate", "--format", "json"]).exits(0).json();
    assert_eq!(report["fails_strict"], serde_json::json!([]));
}

#[test]
fn validate_tells_of_an_inventory_without_clusters() {
    let text = "version: 1\nnetworks: { lab: { simulated: { state: cloud.json } } }\n";
    scene(text).run(&["validate", "--strict"]).exits(0).says("[no-clusters]").says("name them under `clusters:`");
}

#[test]
fn an_option_that_is_missing_is_told_with_its_words() {
    let scene = scene(&PROD.replace(", nodeport_services: false", ""));
    scene.run(&["validate"]).exits(0).says("option not set: add options.nodeport_services (true or false)\n");
    let rancher = "    profile: rancher-server-k3s\n    options: { cni: flannel, cni_backend: vxlan }\n    rancher_version: \"2.4\"\n    \
                   groups: { server: { roles: [rancher-server, k3s-server] } }\n";
    let (head, _) = PROD.split_once("    profile:").unwrap();
    scene.write("cluster.yaml", head.to_owned() + rancher);
    scene.run(&["validate"]).exits(0).says("options.provisioner (node-driver, custom, hosted, imported)");
}

#[test]
fn validate_strict_fails_on_what_has_expired() {
    let expired = "    waive:\n      - { row: ssh, why: provisioned by image, until: 2020-01-01 }\n";
    let scene = scene(&format!("{NODES}{expired}"));
    scene.run(&["validate"]).exits(0);
    scene.run(&["validate", "--strict"]).exits(1).complains("2020-01-01");
}

#[test]
fn a_row_without_peer_is_reported_and_what_is_observed_of_it_is_held() {
    let without = PROD.replace("  kube-api-clients: { cidrs: [203.0.113.0/24] }\n", "");
    let scene = applied(&without);
    by_hand(&scene, |state| rules(state, "prod-control").push(tcp(6443, "192.0.2.0/24")));
    let report =
        scene.run(&["drift", "-v"]).exits(0).says("clients-kube-api").says("add peers.kube-api-clients").says("held");
    assert!(report.stdout.contains("192.0.2.0/24"), "{}", report.stdout);
    scene.run(&["apply"]).exits(0);
    assert!(rules_of(&scene, "prod-control").contains(&"in 6443/tcp 192.0.2.0/24".to_owned()));
}

#[test]
fn what_was_held_goes_once_the_peer_is_named() {
    let without = PROD.replace("  kube-api-clients: { cidrs: [203.0.113.0/24] }\n", "");
    let scene = applied(&without);
    by_hand(&scene, |state| rules(state, "prod-control").push(tcp(6443, "192.0.2.0/24")));
    scene.write("cluster.yaml", PROD);
    scene.run(&["apply"]).exits(0);
    let rules = rules_of(&scene, "prod-control");
    assert!(!rules.contains(&"in 6443/tcp 192.0.2.0/24".to_owned()), "{rules:?}");
    assert!(rules.contains(&"in 6443/tcp 203.0.113.0/24".to_owned()), "{rules:?}");
}

#[test]
fn an_option_without_value_is_undecided_and_what_it_would_open_is_held() {
    let undecided = PROD.replace(", nodeport_services: false", "");
    let scene = scene(&undecided);
    let group = json!({ "id": "sg-0a", "name": "prod-workers", "tags": { "rsgsync:platform/prod": "made" },
                        "rules": [tcp(30080, "192.0.2.0/24")] });
    scene.write("cloud.json", with_groups(json!([group])));
    scene.run(&["apply"]).exits(0).says("undecided").says("nodeport_services").says("held");
    assert!(rules_of(&scene, "prod-workers").contains(&"in 30080/tcp 192.0.2.0/24".to_owned()));
    scene.write("cluster.yaml", PROD);
    scene.run(&["apply"]).exits(0);
    assert!(!rules_of(&scene, "prod-workers").contains(&"in 30080/tcp 192.0.2.0/24".to_owned()));
}

#[test]
fn an_assumed_option_is_named_with_its_source() {
    scene(PROD).run(&["plan"]).exits(0).says("cni_backend=vxlan (RKE default");
}

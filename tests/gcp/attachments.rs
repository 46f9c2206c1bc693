//! Which network interfaces carry a group: `drift --attachments`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::project::{NODES, Project, READING, counted};
use crate::support::Ran;

const ACCOUNT: &str = "nodes@demo.iam.gserviceaccount.com";

/// [`NODES`], a cluster whose group is an account, and one that has no instances.
fn three() -> String {
    let nodes = NODES.split_once("clusters:\n").unwrap().1;
    let account = nodes
        .replace("  nodes:\n", "  run-as:\n")
        .replace("security_group: nodes", &format!("service_account: {ACCOUNT}"));
    let idle = nodes.replace("  nodes:\n", "  idle:\n").replace("security_group: nodes", "security_group: idle");
    format!("{NODES}{account}{idle}")
}

fn instance(name: &str, tags: &[&str], account: Option<&str>, networks: &[&str]) -> Value {
    let accounts: Vec<Value> = account.into_iter().map(|email| json!({ "email": email })).collect();
    let interfaces: Vec<Value> = networks.iter().map(|network| json!({ "network": network })).collect();
    json!({
        "name": name, "tags": { "items": tags }, "serviceAccounts": accounts, "networkInterfaces": interfaces,
    })
}

/// Interfaces by group.
fn interfaces(ran: &Ran) -> BTreeMap<String, u64> {
    let entries = ran.json()["attachments"].as_array().unwrap().clone();
    entries
        .iter()
        .map(|entry| (entry["security_group"].as_str().unwrap().to_owned(), entry["interfaces"].as_u64().unwrap()))
        .collect()
}

const COUNT: [&str; 4] = ["drift", "--attachments", "--format", "json"];

const HERE: &str = "global/networks/default";
const BESIDE: &str = "global/networks/beside";
const SHARED: &str = "projects/host/global/networks/default";

#[test]
fn interfaces_in_the_network_are_counted_by_tag_and_by_account() {
    let project = Project::new("attached", &three());
    project.make_network(json!({ "name": "beside" }));
    project.run(&["apply"]).exits(0);
    project.set(json!({ "instances": {
        "europe-west1-b": [
            instance("one", &["other", "nodes"], None, &[HERE]),
            instance("two", &["nodes"], None, &[HERE, HERE, BESIDE]),
            instance("both", &["nodes"], Some(ACCOUNT), &[HERE]),
            instance("bare", &[], None, &[HERE]),
        ],
        "us-east1-c": [
            instance("one", &[], Some(ACCOUNT), &[HERE]),
            instance("beside", &["nodes", "idle"], Some(ACCOUNT), &[BESIDE]),
            instance("shared", &["nodes", "idle"], Some(ACCOUNT), &[SHARED]),
            instance("alike", &["nodes-2", "idl"], Some("nodes@demo.example.com"), &[HERE]),
        ],
    } }));
    let (ran, calls) =
        project.calls_of(|| project.run(&COUNT).exits(0).complains("no network interface carries `idle`"));
    let counts = [("nodes", 4), (ACCOUNT, 2), ("idle", 0)];
    assert_eq!(interfaces(&ran), counted(counts));
    assert!(!ran.stderr.contains("`nodes`") && !ran.stderr.contains(ACCOUNT), "{}", ran.stderr);
    let expected = READING.into_iter().chain([("instances.aggregatedList", 1)]);
    assert_eq!(calls, expected.map(|(call, count)| (call.to_owned(), count)).collect());
}

#[test]
fn instances_are_counted_page_by_page() {
    let project = Project::new("attached-pages", NODES);
    project.run(&["apply"]).exits(0);
    let of_zone = |zone: &str, count: u32| -> Vec<Value> {
        (0..count).map(|number| instance(&format!("{zone}-{number}"), &["nodes"], None, &[HERE])).collect()
    };
    // The firewall rules are one page: the default network's four and two of ours.
    let zones = json!({ "europe-west1-b": of_zone("b", 6), "europe-west1-c": of_zone("c", 3) });
    project.set(json!({ "pageSize": 6, "instances": zones }));
    let (ran, calls) = project.calls_of(|| project.run(&COUNT).exits(0));
    assert_eq!(interfaces(&ran), counted([("nodes", 9)]));
    assert_eq!((calls["firewalls.list"], calls["instances.aggregatedList"]), (1, 2), "{calls:?}");
}

#[test]
fn a_project_without_instances_is_warned_of() {
    let project = Project::new("attached-none", NODES);
    project.run(&["apply"]).exits(0);
    let ran = project.run(&COUNT).exits(0).complains("no network interface carries `nodes`");
    assert_eq!(interfaces(&ran), counted([("nodes", 0)]));
}

#[test]
fn without_the_permission_nothing_is_counted_and_the_permission_is_named() {
    let project = Project::new("attached-denied", NODES);
    project.run(&["apply"]).exits(0);
    project.fault("instances.aggregatedList", json!({ "then": "deny" }));
    let (ran, calls) = project.calls_of(|| project.run(&["drift", "--attachments"]).exits(1));
    let ran = ran.complains("counting network interfaces").complains("'compute.instances.list'");
    ran.complains("roles/compute.networkViewer");
    assert_eq!(calls["instances.aggregatedList"], 1, "asking again won't help");
}

#[test]
fn a_busy_service_is_asked_again() {
    let project = Project::new("attached-busy", NODES);
    project.run(&["apply"]).exits(0);
    project.set(json!({ "instances": { "europe-west1-b": [instance("one", &["nodes"], None, &[HERE])] } }));
    project.fault("instances.aggregatedList", json!({ "then": { "error": { "status": 503 } } }));
    let (ran, calls) = project.calls_of(|| project.run(&COUNT).exits(0));
    assert_eq!(interfaces(&ran), counted([("nodes", 1)]));
    assert_eq!(calls["instances.aggregatedList"], 2);
}

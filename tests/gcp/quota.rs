//! The project's quota of firewall rules: whatever is about to make some looks at it first.

use serde_json::json;

use crate::project::{NODES, Project, circle, with_rule};

#[test]
fn quotas_are_looked_at_before_anything_is_made() {
    let project = Project::new("quota", &circle("ipv4"));
    project.set(json!({ "quotas": { "FIREWALLS": 6 } }));
    project.run(&["plan"]).exits(1).complains("6 (read)");
    project.run(&["apply"]).exits(1);
    assert!(project.firewalls().is_empty());
}

#[test]
fn a_quota_that_is_exceeded_half_way_leaves_a_journal_and_is_gone_on_from() {
    // The inventory says that there is more room than there is.
    let inventory = circle("ipv4").replace("project: PROJECT", "project: PROJECT, quotas: { resources: 100 }");
    let project = Project::new("half", &inventory);
    project.set(json!({ "quotas": { "FIREWALLS": 6 } }));
    project.run(&["apply"]).exits(3).complains("QUOTA_EXCEEDED").complains("Limit: 6").complains("ask for more");
    assert_eq!(project.scene.journals().len(), 1);
    assert_eq!(project.firewalls().len(), 2);
    project.set(json!({ "quotas": { "FIREWALLS": 100 } }));
    project.run(&["apply"]).exits(0);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

/// A second network of the project, and a cluster in it.
const ELSEWHERE: &str = r#"
  more:
    network: elsewhere
    profile: rancher-nodes-ec2-sg
    rancher_version: "2.4"
    groups:
      all: { roles: [etcd, controlplane, worker], security_group: more }
"#;

#[test]
fn networks_of_one_project_share_its_quota() {
    let networks = "gcp: { project: PROJECT } }, elsewhere: { gcp: { project: PROJECT, network: elsewhere } } }";
    let inventory = NODES.replace("gcp: { project: PROJECT } } }", networks) + ELSEWHERE.trim_start_matches('\n');
    let project = Project::new("two-networks", &inventory);
    project.make_network(json!({ "name": "elsewhere", "autoCreateSubnetworks": false }));
    // The default network's four are there; each network needs two.
    project.set(json!({ "quotas": { "FIREWALLS": 7 } }));
    project.run(&["plan"]).exits(1).complains("`lab` and `elsewhere`").complains("4 to add").complains("7 (read)");
    project.set(json!({ "quotas": { "FIREWALLS": 8 } }));
    project.run(&["apply"]).exits(0);
    assert_eq!(project.firewalls().len(), 4);
}

#[test]
fn a_rollback_that_has_no_room_is_refused_before_anything_is_made() {
    let project = Project::new("no-way-back", &with_rule("192.0.2.0/24"));
    project.run(&["apply"]).exits(0);
    project.write(NODES);
    project.run(&["apply"]).exits(0);
    let before = project.firewalls();
    project.set(json!({ "quotas": { "FIREWALLS": 4 + before.len() } }));
    let journal = project.scene.journals().pop().unwrap();
    let back = ["rollback", journal.to_str().unwrap(), "--yes"];
    let (ran, calls) = project.calls_of(|| project.run(&back));
    ran.exits(1).complains("no room").complains("6 (read)");
    assert_eq!(calls.get("firewalls.insert"), None, "{calls:?}");
    project.set(json!({ "quotas": { "FIREWALLS": 7 } }));
    project.run(&back).exits(0);
}

#[test]
fn a_saved_plan_that_has_no_room_any_more_is_refused() {
    let project = Project::new("saved-room", NODES);
    project.run(&["plan", "--out", "plan.json"]).exits(0);
    project.set(json!({ "quotas": { "FIREWALLS": 5 } }));
    let (ran, calls) = project.calls_of(|| project.run(&["apply", "plan.json"]));
    ran.exits(1).complains("no room").complains("5 (read)");
    assert_eq!(calls.get("firewalls.insert"), None, "{calls:?}");
}

#[test]
fn a_stated_quota_counts_where_the_project_does_not_tell() {
    let project =
        Project::new("untold", &NODES.replace("project: PROJECT", "project: PROJECT, quotas: { resources: 5 }"));
    project.fault("projects.get", json!({ "then": "deny", "times": 9 }));
    // Counted are the project's own: the default network's four.
    project.run(&["plan"]).exits(1).complains("4 now").complains("5 (configured)");
}

#[test]
fn more_addresses_than_google_takes_can_t_be_stated() {
    let stated = |most: u32| {
        NODES.replace("project: PROJECT", &format!("project: PROJECT, quotas: {{ addresses_per_resource: {most} }}"))
    };
    let project = Project::new("addresses", &stated(5001));
    project
        .run(&["validate"])
        .exits(1)
        .complains("cluster.yaml:4:")
        .complains("`addresses_per_resource`")
        .complains("5000");
    project.write(&stated(5000));
    project.run(&["validate"]).exits(0);
}

#[test]
fn too_long_a_list_is_refused_with_the_way_out() {
    let project = Project::new("too-long", NODES);
    let error = json!({ "error": { "status": 413, "reason": "uploadTooLarge", "message": "Value for field \
        'resource.sourceRanges' is too large: maximum size 256 element(s); actual size 257." } });
    project.fault("firewalls.insert", json!({ "then": error, "times": 2 }));
    project.run(&["apply"]).exits(3).complains("maximum size 256").complains("addresses_per_resource");
}

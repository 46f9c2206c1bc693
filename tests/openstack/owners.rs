//! One group, two owners, each with an inventory of their own.

use serde_json::json;

use crate::{NODES, OUT, Project, nodes_table, set};

/// The inventory of another owner, who needs SSH as well, and a port of their own.
const SALES: &str = r#"
version: 1
owner: sales
networks: { lab: { openstack: { cloud: demo, project: PROJECT } } }
clusters:
  shop:
    network: lab
    profile: rancher-nodes-ec2-sg
    rancher_version: "2.4"
    groups:
      all: { roles: [etcd, controlplane, worker], security_group: nodes }
    rules:
      - { from: office, to: all, allow: [9999/tcp], why: the shop's own, ticket: NET-7 }
    peers: { office: { cidrs: [192.0.2.0/24] } }
"#;
const SHOPS: &str = "ingress IPv4 tcp 9999-9999 192.0.2.0/24";

/// Both owners use `nodes`, which neither of them made.
fn both(test: &str) -> Project {
    let project = Project::new(test, NODES);
    project.make_group("nodes");
    project.scene.write("sales.yaml", SALES.replace("PROJECT", &project.name));
    project.run(&["apply"]).exits(0);
    project.run(&["apply", "-i", "sales.yaml"]).exits(0);
    project
}

fn with_shop() -> std::collections::BTreeSet<String> {
    let mut rules = nodes_table();
    rules.insert(SHOPS.to_owned());
    rules
}

fn tags(project: &Project) -> Vec<String> {
    let tags = project.groups()["nodes"]["tags"].as_array().unwrap().clone();
    tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

#[test]
fn two_owners_of_one_group_leave_each_other_alone() {
    let project = both("owners");
    assert_eq!(project.rules()["nodes"], with_shop(), "what both need is there once");
    assert_eq!(tags(&project), ["rsgsync:platform:nodes:joined", "rsgsync:sales:shop:joined"]);
    for inventory in ["cluster.yaml", "sales.yaml"] {
        project.run(&["plan", "--detailed-exitcode", "-i", inventory]).exits(0);
        project.run(&["drift", "-i", inventory]).exits(0);
    }
    // Each repairs what it needs, whoever made it.
    project.delete_rule_on("nodes", 22);
    project.run(&["drift", "-i", "sales.yaml"]).exits(2);
    project.run(&["apply", "-i", "sales.yaml"]).exits(0);
    assert_eq!(project.rules()["nodes"], with_shop());
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn an_owner_who_leaves_takes_no_rule_that_the_other_may_need() {
    let project = both("leaving");
    project.run(&["destroy", "--yes"]).exits(0);
    // A rule has one description, so nobody can say that it is sales' too: it stays.
    assert_eq!(project.rules()["nodes"], with_shop());
    assert_eq!(tags(&project), ["rsgsync:sales:shop:joined"]);
    project.run(&["plan", "--detailed-exitcode", "-i", "sales.yaml"]).exits(0);
    project.run(&["destroy", "--yes", "-i", "sales.yaml"]).exits(0);
    assert!(!project.rules()["nodes"].contains(SHOPS), "the last owner's own rules go");
    assert_eq!(tags(&project), Vec::<String>::new());
}

#[test]
fn an_exclusive_group_that_another_owner_joined_is_refused() {
    let project = Project::new("rivals", NODES);
    project.run(&["apply"]).exits(0);
    let theirs = SALES.replace("PROJECT", &project.name);
    project.scene.write("sales.yaml", &theirs);
    project.run(&["apply", "-i", "sales.yaml"]).exits(0);
    assert_eq!(project.rules()["nodes"], with_shop());
    project.run(&["plan"]).exits(1).complains("carries the mark of `sales/shop`");
    // Nor is it deleted.
    project.run(&["destroy", "--yes"]).exits(0);
    assert!(project.rules()["nodes"].contains(SHOPS));
    project
        .scene
        .write("sales.yaml", theirs.replace("security_group: nodes", "security_group: nodes, ownership: exclusive"));
    project.make_rule(&project.id("nodes"), &json!({ "port_range_min": 1, "port_range_max": 1 }));
    project.run(&["apply", "-i", "sales.yaml"]).exits(0);
    assert_eq!(project.rules()["nodes"], with_shop(), "once the first is gone, the other may take it over");
    assert!(project.rules()["nodes"].is_superset(&set(&OUT)));
}

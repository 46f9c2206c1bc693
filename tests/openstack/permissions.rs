//! The access rules among the examples are enough, and no more than that.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::credentials::cloud;
use crate::{NODES, OUT, Project, calls, nodes_table, set};

/// From now on rsgsync logs in with a credential that has this role and these access rules.
fn narrowed(project: &mut Project, role: &str, rules: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/permissions").join(rules);
    let id = project.sdk("demo", &project.name, &["credential", role, file.to_str().unwrap()]);
    let auth = format!(
        "      application_credential_id: {}\n      application_credential_secret: secret\n",
        id.as_str().unwrap()
    );
    project.clouds(|file| cloud(file, "    auth_type: v3applicationcredential\n", &auth));
}

#[test]
fn a_reader_with_the_rules_for_observing_sees_everything_and_changes_nothing() {
    let mut project = Project::new("observe", NODES);
    narrowed(&mut project, "reader", "openstack-observe.json");
    project.run(&["drift", "--attachments"]).exits(2).says("nodes");
    project.run(&["apply"]).exits(3).complains("access rules");
    assert!(project.listed().is_empty());
}

#[test]
fn a_whole_life_takes_all_rules_for_applying() {
    let mut project = Project::new("apply", NODES);
    narrowed(&mut project, "member", "openstack-apply.json");
    project.scene.set("RUST_LOG", "rsgsync_openstack=debug");
    let mut called = BTreeSet::new();
    let mut run = |project: &Project, arguments: &[&str]| {
        called.extend(calls(&project.run(arguments).exits(0)).into_keys());
    };

    // Two clusters in a group that we make; one leaves, then the other.
    let second = NODES.split_once("clusters:\n").unwrap().1.replace("  nodes:\n", "  more:\n");
    project.write(&(NODES.to_owned() + &second));
    run(&project, &["apply"]);
    assert_eq!(project.rules()["nodes"], nodes_table());
    let id = project.id("nodes");
    project.make_rule(&id, &json!({ "port_range_min": 6000, "port_range_max": 6000 }));
    run(&project, &["apply", "--settle", "0"]);
    run(&project, &["drift", "--attachments"]);
    run(&project, &["destroy", "--cluster", "more", "--yes"]);
    project.write(NODES);
    run(&project, &["destroy", "--yes"]);
    assert!(project.listed().is_empty());

    // A group that others made.
    project.make_group("nodes");
    run(&project, &["apply"]);
    run(&project, &["destroy", "--yes"]);
    assert_eq!(project.rules()["nodes"], set(&OUT));

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/permissions/openstack-apply.json");
    let rules: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let allowed = rules.iter().map(|rule| {
        format!("{} {}", rule["method"].as_str().unwrap(), rule["path"].as_str().unwrap().replace('*', "{}"))
    });
    assert_eq!(called, allowed.collect());
}

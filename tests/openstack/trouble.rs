//! Neutron and the way to it as they are on a bad day.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::proxy::{Fate, Proxy};
use crate::{LIST, NODES, Project, calls, circle, nodes_table};

pub const GROUPS: &str = "/v2.0/security-groups";
pub const RULES: &str = "/v2.0/security-group-rules";

impl Project {
    /// `127.0.0.1:9696`
    fn neutron(&self) -> String {
        format!("127.0.0.1:{}", std::fs::read_to_string(self.services().join("neutron.port")).unwrap().trim())
    }

    /// From now on rsgsync reaches Neutron through this.
    pub fn through(&mut self, decide: impl Fn(&str, usize) -> Fate + Send + 'static) -> Proxy {
        let proxy = Proxy::start(&self.neutron(), decide);
        self.clouds(|file| {
            let cloud = "demo:\n    region_name: RegionOne\n";
            assert!(file.contains(cloud), "{file}");
            file.replacen(cloud, &format!("{cloud}    network_endpoint_override: {}\n", proxy.url), 1)
        });
        proxy
    }
}

#[test]
fn errors_of_neutron_are_tried_again_after_as_long_as_it_asks_for() {
    let mut project = Project::new("errors", NODES);
    let proxy = project.through(|request, before| match (request, before) {
        ("GET /v2.0/security-groups", 0) => Fate::Refuse("500 Internal Server Error"),
        ("GET /v2.0/security-groups", 1) => Fate::Refuse("503 Service Unavailable\r\nRetry-After: 3"),
        ("POST /v2.0/security-groups", 0) => Fate::Refuse("503 Service Unavailable\r\nRetry-After: 2"),
        ("POST /v2.0/security-group-rules", 0) => Fate::Refuse("500 Internal Server Error"),
        ("POST /v2.0/security-group-rules", 1) => Fate::Refuse("429 Too Many Requests\r\nRetry-After: 2"),
        _ => Fate::Pass,
    });
    let start = Instant::now();
    project.run(&["apply"]).exits(0);
    assert!(start.elapsed() >= Duration::from_secs(3 + 2 + 2), "{:?}", start.elapsed());
    assert_eq!(project.rules()["nodes"], nodes_table());
    assert_eq!(proxy.count(&format!("POST {GROUPS}")), 2);
    assert_eq!(proxy.count(&format!("POST {RULES}")), 3);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_keystone_that_is_not_ready_is_asked_again() {
    let mut project = Project::new("keystone", NODES);
    let keystone =
        format!("127.0.0.1:{}", std::fs::read_to_string(project.services().join("keystone.port")).unwrap().trim());
    let proxy = Proxy::start(&keystone, |request, before| match (request, before) {
        ("GET /v3" | "GET /v3/" | "POST /v3/auth/tokens", 0) => Fate::Refuse("503 Service Unavailable"),
        _ => Fate::Pass,
    });
    project.clouds(|file| file.replacen(&format!("http://{keystone}"), &proxy.url, 1));
    project.run(&["plan"]).exits(0);
    assert_eq!(proxy.count("POST /v3/auth/tokens"), 2);
}

#[test]
fn what_was_done_though_the_answer_is_lost_is_not_done_twice() {
    let mut project = Project::new("lost", NODES);
    let proxy = project.through(|request, before| match (request, before) {
        ("POST /v2.0/security-groups" | "POST /v2.0/security-group-rules", 0) => Fate::Lose,
        _ => Fate::Pass,
    });
    project.run(&["apply"]).exits(0);
    assert_eq!(project.listed().len(), 1, "one group, although names are not unique");
    assert_eq!(project.rules()["nodes"], nodes_table());
    assert_eq!(proxy.count(&format!("POST {GROUPS}")), 1, "it was looked for");
    assert_eq!(proxy.count(&format!("POST {RULES}")), 2, "refused as there already");
}

#[test]
fn groups_that_were_made_together_though_the_answer_is_lost_are_not_made_twice() {
    let mut project = Project::new("lost-bulk", &circle("ipv4"));
    let proxy = project.through(|request, before| match (request, before) {
        ("POST /v2.0/security-groups", 0) => Fate::Lose,
        _ => Fate::Pass,
    });
    project.run(&["apply"]).exits(0);
    assert_eq!(proxy.count(&format!("POST {GROUPS}")), 1, "they were looked for");
    assert_eq!(proxy.count(&format!("GET {GROUPS}")), 3, "before, after the lost answer, and in the end");
    assert_eq!(project.listed().len(), 3);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    let journal = project.scene.journals().remove(0);
    project.run(&["rollback", "--yes", journal.to_str().unwrap()]).exits(0);
    assert_eq!(project.listed(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_group_that_neutron_refuses_keeps_no_other_from_being_made() {
    // To Neutron any spelling of `default` is the project's own group.
    let inventory = NODES.replace(
        "security_group: nodes }",
        "security_group: nodes }\n      two: { roles: [worker] }\n      bad: { roles: [worker], security_group: Default }\n      four: { roles: [worker] }",
    );
    let mut project = Project::new("refused", &inventory);
    let proxy = project.through(|_, _| Fate::Pass);
    let ran = project.run(&["apply"]).exits(3).complains("creating security group `Default`");
    assert_eq!(ran.stderr.matches("error:").count(), 1, "{}", ran.stderr);
    assert_eq!(project.groups().into_keys().collect::<Vec<_>>(), ["nodes", "nodes-four", "nodes-two"]);
    // All four; the two halves, one of which is refused; each of its two.
    assert_eq!(proxy.count(&format!("POST {GROUPS}")), 5);
    let journal = project.scene.journals().remove(0);
    project.run(&["rollback", "--yes", journal.to_str().unwrap()]).exits(0);
    assert_eq!(project.listed(), Vec::<serde_json::Value>::new());
}

#[test]
fn every_page_of_a_list_is_read() {
    let mut project = Project::new("pages", &circle("ipv4"));
    project.run(&["apply"]).exits(0);
    let id = project.id("prod-etcd");
    project.make_rule(&id, &json!({ "port_range_min": 9999, "port_range_max": 9999 }));
    // Neutron itself makes the pages and their links; one group each, so that none of ours shares one.
    let proxy = project.through(|request, before| match (request, before) {
        ("GET /v2.0/security-groups", 0) => Fate::PassWith("&limit=1"),
        _ => Fate::Pass,
    });
    project.scene.set("RUST_LOG", "rsgsync_openstack=debug");
    let planned = project.run(&["plan", "--format", "json"]).exits(0);
    let pages = proxy.count(&format!("GET {GROUPS}"));
    assert!(pages >= 4, "`default` and three of ours are on {pages} pages");
    assert_eq!(calls(&planned), crate::counted([(LIST, pages)]), "a removal needs no room");
    let plan = planned.json();
    let statuses: Vec<&str> =
        plan["groups"].as_array().unwrap().iter().map(|g| g["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["in_sync", "change", "in_sync"], "{}", plan["groups"]);
    assert_eq!(plan["steps"].as_array().unwrap().len(), 1, "nothing is missing: {}", plan["steps"]);
}

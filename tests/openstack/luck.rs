//! Bad luck on the way to real Neutron.

use serde_json::{Value, json};

use crate::support::Scene;
use crate::support::bad_luck::{Place, failures, kills};
use crate::support::proxy::{Fate, Proxy};
use crate::{NODES, Project, circle, nodes_table, set};

impl Place for Project {
    fn scene(&mut self) -> &mut Scene {
        &mut self.scene
    }

    fn through(&mut self, decide: impl Fn(&str, usize) -> Fate + Send + 'static) -> Proxy {
        self.through(decide)
    }

    fn assert_whole(&self) {
        let (rules, mut nodes) = (self.rules(), nodes_table());
        nodes.extend(set(&["ingress IPv4 tcp 8443-8443 192.0.2.0/24"]));
        assert_eq!(rules["nodes"], nodes);
        assert!(rules["prod-etcd"].contains("ingress IPv4 tcp 2379-2380 prod-control"), "{rules:?}");
        assert_eq!(self.listed().len(), 4, "no group is there twice");
    }

    fn others(&self) -> Vec<Value> {
        let mut group = self.groups()["nodes"].clone();
        let mut theirs = group["security_group_rules"].as_array().unwrap().clone();
        theirs.retain(|rule| !rule["description"].as_str().unwrap_or_default().contains("rsgsync:"));
        for ours_too in ["security_group_rules", "tags", "updated_at", "revision_number"] {
            group.as_object_mut().unwrap().remove(ours_too);
        }
        theirs.push(group);
        theirs
    }
}

/// A group of somebody else's to join, and three to make.
fn place(number: usize) -> Project {
    let made = circle("ipv4");
    let made = made.split_once("clusters:\n").unwrap().1;
    let project = Project::new(&format!("luck{number}"), &(NODES.to_owned() + made));
    let theirs = project.make_group("nodes");
    let fields = json!({ "port_range_min": 8443, "port_range_max": 8443, "remote_ip_prefix": "192.0.2.0/24" });
    project.make_rule(&theirs, &fields);
    project
}

#[test]
fn a_killed_apply_is_ended_by_the_next_one() {
    kills(place);
}

#[test]
fn calls_that_fail_at_random_are_outlived() {
    failures(place);
}

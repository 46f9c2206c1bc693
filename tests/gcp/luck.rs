//! Bad luck on the way to the server.

use serde_json::{Value, json};

use crate::project::{NODES, Project, circle, name, nodes_table, rules, server};
use crate::support::Scene;
use crate::support::bad_luck::{Place, failures, kills};
use crate::support::proxy::{Fate, Proxy};

impl Place for Project {
    fn scene(&mut self) -> &mut Scene {
        &mut self.scene
    }

    fn through(&mut self, decide: impl Fn(&str, usize) -> Fate + Send + 'static) -> Proxy {
        let proxy = Proxy::start(server().trim_start_matches("http://"), decide);
        self.scene.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", &format!("{}/compute/v1/", proxy.url));
        proxy
    }

    fn assert_whole(&self) {
        let (firewalls, mut nodes) = (self.firewalls(), nodes_table());
        nodes.insert("in tcp 8443 192.0.2.0/24".to_owned());
        let found = rules(&firewalls);
        assert_eq!(found["nodes"], nodes);
        assert!(found["prod-etcd"].contains("in tcp 2379-2380 prod-control"), "{found:?}");
    }

    fn others(&self) -> Vec<Value> {
        let all = self.call("GET", "/global/firewalls", &Value::Null)["items"].as_array().unwrap().clone();
        all.into_iter().filter(|firewall| !name(firewall).starts_with("rsgsync-")).collect()
    }
}

/// A tag that somebody else has a rule for, and three that are new.
fn place(number: usize) -> Project {
    let made = circle("ipv4");
    let made = made.split_once("clusters:\n").unwrap().1;
    let project = Project::new(&format!("luck{number}"), &(NODES.to_owned() + made));
    let traffic = json!([{ "IPProtocol": "tcp", "ports": ["8443"] }]);
    project.make("theirs", json!({ "targetTags": ["nodes"], "sourceRanges": ["192.0.2.0/24"], "allowed": traffic }));
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

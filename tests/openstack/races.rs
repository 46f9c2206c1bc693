//! Somebody else writes in the middle of a run.

use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Ran;
use crate::support::proxy::{Fate, Proxy};
use crate::trouble::{GROUPS, RULES};
use crate::{NODES, Project, nodes_table};

impl Project {
    /// Runs this; `act` happens when it makes the request for the time after `before` others like it, before Neutron sees
    /// that.
    pub fn meanwhile(
        &mut self,
        arguments: &[&str],
        (request, before): (String, usize),
        act: impl FnOnce(&Self),
    ) -> (Ran, Proxy) {
        let ((reached, moment), (go, wait)) = (channel(), channel());
        let proxy = self.through(move |seen, count| {
            if seen == request && count == before {
                reached.send(()).unwrap();
                wait.recv().unwrap();
            }
            Fate::Pass
        });
        let project = &*self;
        let ran = std::thread::scope(|scope| {
            let run = scope.spawn(|| project.run(arguments));
            moment.recv_timeout(Duration::from_secs(60)).unwrap();
            act(project);
            go.send(()).unwrap();
            run.join().unwrap()
        });
        (ran, proxy)
    }
}

#[test]
fn a_rule_that_somebody_adds_meanwhile_is_left_out_and_the_rest_is_sent() {
    let mut project = Project::new("duplicate", NODES);
    let mut theirs = String::new();
    let (ran, proxy) = project.meanwhile(&["apply"], (format!("POST {RULES}"), 0), |project| {
        // Without an address, which is 0.0.0.0/0 to Neutron.
        theirs = project.make_rule(&project.id("nodes"), &json!({ "port_range_min": 443, "port_range_max": 443 }));
    });
    ran.exits(0);
    assert_eq!(proxy.count(&format!("POST {RULES}")), 2, "all of them, and all but one");
    let mut expected = nodes_table();
    expected.remove("ingress IPv4 tcp 443-443 0.0.0.0/0");
    expected.insert("ingress IPv4 tcp 443-443 *".to_owned());
    assert_eq!(project.rules()["nodes"], expected);
    assert_eq!(project.rule_on("nodes", 443)["id"], theirs);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_rule_that_somebody_deletes_meanwhile_counts_as_removed() {
    let mut project = Project::new("gone", NODES);
    project.run(&["apply"]).exits(0);
    let nodes = project.id("nodes");
    let rule = project.make_rule(&nodes, &json!({ "port_range_min": 9999, "port_range_max": 9999 }));
    let request = format!("DELETE {RULES}/{rule}");
    let (ran, proxy) = project.meanwhile(&["apply"], (request.clone(), 0), |project| {
        project.call("DELETE", &format!("/security-group-rules/{rule}"), &Value::Null);
    });
    ran.exits(0);
    assert_eq!(proxy.count(&request), 1);
    assert_eq!(project.rules()["nodes"], nodes_table());
}

#[test]
fn rules_are_deleted_side_by_side_but_no_more_than_the_user_allows() {
    let mut project = Project::new("side", NODES);
    project.run(&["apply"]).exits(0);
    let nodes = project.id("nodes");
    for (allowed, arguments) in [(8, [].as_slice()), (3, &["--concurrency", "3"])] {
        let new = (9000..9012).map(|port| {
            json!({ "security_group_id": nodes, "direction": "ingress", "protocol": "tcp", "port_range_min": port, "port_range_max": port })
        });
        let new = json!({ "security_group_rules": new.collect::<Vec<_>>() });
        project.call("POST", "/security-group-rules", &new);
        let proxy = project.through(
            move |request, _| {
                if request.starts_with("DELETE ") { Fate::Meet(allowed) } else { Fate::Pass }
            },
        );
        project.run(&[&["apply", "--max-removals", "12"], arguments].concat()).exits(0);
        assert_eq!(proxy.most_at_once(), allowed);
        assert_eq!(project.rules()["nodes"], nodes_table());
    }
}

#[test]
fn a_description_that_somebody_changes_meanwhile_is_not_overwritten() {
    let mut project = Project::new("described", NODES);
    project.run(&["apply"]).exits(0);
    // With another owner's mark on it the group stays, and only our mark goes.
    let nodes = project.id("nodes");
    project.call("PUT", &format!("/security-groups/{nodes}/tags/rsgsync:sales:shop:joined"), &Value::Null);
    let describe = |project: &Project, text: &str| {
        let body = json!({ "security_group": { "description": text } });
        project.call("PUT", &format!("/security-groups/{nodes}"), &body);
    };
    let theirs = "ask sales first rsgsync:platform/nodes made";
    let destroy = ["destroy", "--yes"];
    let (ran, _proxy) =
        project.meanwhile(&destroy, (format!("PUT {GROUPS}/{nodes}"), 0), |project| describe(project, theirs));
    ran.exits(3).complains("somebody has changed the group meanwhile: plan again");
    assert_eq!(project.groups()["nodes"]["description"], theirs);
    project.run(&destroy).exits(0);
    assert_eq!(project.groups()["nodes"]["description"], "ask sales first");
}

/// Runs `destroy` of a group that `theirs` refers to; `act` happens when it first makes this request of `{}`, the group,
/// before Neutron sees that.
fn destroyed_while(test: &str, request: &str, act: impl FnOnce(&Project, &str, &str)) -> (Project, Ran) {
    let mut project = Project::new(test, NODES);
    project.run(&["apply"]).exits(0);
    let (theirs, nodes) = (project.make_group("theirs"), project.id("nodes"));
    project.make_rule(&theirs, &json!({ "remote_group_id": nodes, "port_range_min": 22, "port_range_max": 22 }));
    let (arguments, look) = (["destroy", "--yes", "--cascade", "nodes"], request.replace("{}", &nodes));
    let (ran, _proxy) = project.meanwhile(&arguments, (look, 0), |project| act(project, &theirs, &nodes));
    (project, ran)
}

#[test]
fn a_rule_that_nobody_planned_for_does_not_go_along() {
    let (project, ran) = destroyed_while("race", "GET /v2.0/security-groups/{}", |project, theirs, nodes| {
        project.make_rule(theirs, &json!({ "remote_group_id": nodes, "port_range_min": 23, "port_range_max": 23 }));
    });
    ran.exits(3).complains("a rule of `theirs`").complains("would go with it").complains("plan again");
    let rules = project.rules();
    assert!(rules["theirs"].contains("ingress IPv4 tcp 22-22 nodes"), "{rules:?}");
    assert!(rules["theirs"].contains("ingress IPv4 tcp 23-23 nodes"), "{rules:?}");
}

#[test]
fn a_group_that_somebody_changes_after_the_last_look_is_not_deleted() {
    let (project, ran) = destroyed_while("changed", "DELETE /v2.0/security-groups/{}", |project, _, nodes| {
        project.make_rule(nodes, &json!({ "port_range_min": 23, "port_range_max": 23 }));
    });
    ran.exits(3).complains("somebody has changed the group meanwhile: plan again");
    assert!(project.rules()["nodes"].contains("ingress IPv4 tcp 23-23 *"));
}

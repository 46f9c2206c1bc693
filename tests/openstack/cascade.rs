//! Deleting a group deletes the rules elsewhere that refer to it: refused, and by the user's word planned and undone.

use serde_json::{Value, json};

use crate::{NODES, Project, set};

/// `nodes` is ours. `theirs` has a rule that refers to it, and one that does not.
struct Referred {
    project: Project,
    theirs: String,
}

impl Referred {
    fn new(test: &str) -> Self {
        let project = Project::new(test, NODES);
        project.run(&["apply"]).exits(0);
        let theirs = project.make_group("theirs");
        let referred = Self { project, theirs };
        let ssh = json!({ "port_range_min": 22, "port_range_max": 22, "description": "ours sales rsgsync:sales/shop" });
        referred.refer(&ssh);
        referred.project.make_rule(&referred.theirs, &json!({ "port_range_min": 80, "port_range_max": 80 }));
        referred
    }

    fn refer(&self, fields: &Value) -> String {
        let mut rule = fields.clone();
        rule["remote_group_id"] = json!(self.project.id("nodes"));
        self.project.make_rule(&self.theirs, &rule)
    }

    /// What is left in `theirs` of inbound rules.
    fn inbound(&self) -> Vec<String> {
        self.project.rules()["theirs"].iter().filter(|rule| rule.starts_with("ingress")).cloned().collect()
    }
}

const HTTP: &str = "ingress IPv4 tcp 80-80 *";
const SSH: &str = "ingress IPv4 tcp 22-22 nodes";

#[test]
fn destroy_refuses_with_a_list_and_by_the_users_word_says_what_goes_along() {
    let referred = Referred::new("cascade-destroy");
    let project = &referred.project;
    let refused = project.run(&["destroy", "--yes"]).exits(1);
    refused.complains("rules of `theirs`").complains("in 22/tcp from nodes (not ours)").complains("--cascade nodes");
    assert_eq!(referred.inbound(), [SSH, HTTP]);
    let other = project.run(&["destroy", "--yes", "--cascade", "others"]).exits(1);
    other.complains("--cascade nodes");
    let done = project.run(&["destroy", "--yes", "--cascade", "nodes"]).exits(0);
    done.says("from nodes").says("on theirs, not ours: the cloud deletes it with the group").says("15 to remove");
    assert_eq!(project.groups().into_keys().collect::<Vec<_>>(), ["theirs"]);
    assert_eq!(referred.inbound(), [HTTP], "only what referred to the group");
    project.run(&["destroy", "--yes", "--cascade", "nodes"]).exits(0).says("nothing to destroy");
}

#[test]
fn what_went_along_comes_back_with_a_rollback() {
    let referred = Referred::new("cascade-back");
    let project = &referred.project;
    project.run(&["destroy", "--yes", "--cascade", "nodes"]).exits(0);
    let journal = project.scene.journals().pop().unwrap();
    let back = project.run(&["rollback", journal.to_str().unwrap(), "--yes"]).exits(0);
    back.says("made again under a new id");
    assert_eq!(project.rules()["nodes"], crate::nodes_table());
    assert_eq!(referred.inbound(), [SSH, HTTP], "it refers to the new group");
    let ssh = project.rule_on("theirs", 22);
    assert_eq!(ssh["description"], "ours sales rsgsync:sales/shop", "as its owner made it, mark and all");
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_rollback_keeps_the_group_that_the_run_made_and_others_refer_to() {
    let referred = Referred::new("cascade-stays");
    let project = &referred.project;
    let journal = project.scene.journals().pop().unwrap();
    let rollback = || project.run(&["rollback", journal.to_str().unwrap(), "--yes"]).exits(0);
    rollback().says("`nodes` stays, empty of what the run added");
    assert_eq!(project.rules()["nodes"], set(&crate::OUT));
    assert_eq!(referred.inbound(), [SSH, HTTP]);
    project.delete_rule_on("theirs", 22);
    rollback();
    assert_eq!(project.groups().into_keys().collect::<Vec<_>>(), ["theirs"], "nothing refers to it any more");
}

#[test]
fn prune_asks_for_the_word_and_for_the_number() {
    let referred = Referred::new("cascade-prune");
    let project = &referred.project;
    project.write(&NODES.replace("security_group: nodes", "security_group: renamed"));
    project.run(&["apply"]).exits(0).says("orphan nodes");
    project.run(&["plan", "--prune"]).exits(1).complains("in 22/tcp from nodes (not ours)");
    project.run(&["plan", "--cascade", "nodes"]).exits(1).complains("--prune");
    let cascade = ["--prune", "--cascade", "nodes"];
    let planned = project.run(&[&["plan", "--format", "json", "--out", "plan.json"][..], &cascade].concat()).exits(0);
    let plan = planned.json();
    let delete =
        plan["steps"].as_array().unwrap().iter().find(|step| step["action"] == "delete_group").unwrap().clone();
    assert_eq!(delete["rules"].as_array().unwrap().len(), 14);
    assert_eq!(delete["cascade"][0]["security_group"], "theirs");
    assert_eq!(delete["cascade"][0]["rules"][0]["peer"]["security_group"], "nodes");
    assert_eq!(plan["proof"]["holds"], true);
    project.run(&["prove", "plan.json"]).exits(0);
    let more = project.make_group("more");
    project.make_rule(
        &more,
        &json!({ "port_range_min": 23, "port_range_max": 23, "remote_group_id": project.id("nodes") }),
    );
    let apply = ["apply", "plan.json", "--max-removals", "15"];
    project.run(&apply).exits(1).complains("`more`").complains("in 23/tcp from nodes is new");
    project.call("DELETE", &format!("/security-groups/{more}"), &Value::Null);
    let refused = project.run(&[&["apply"][..], &cascade].concat()).exits(1);
    refused.complains("15 rules would go").complains("--max-removals 15");
    assert_eq!(referred.inbound(), [SSH, HTTP]);
    let drift = project.run(&[&["drift", "--format", "json"][..], &cascade].concat()).exits(2).json();
    assert_eq!(drift["drift"].as_array().unwrap().len(), 2, "{}", drift["drift"]);
    project.run(&[&["apply", "--max-removals", "15"][..], &cascade].concat()).exits(0);
    assert_eq!(project.groups().into_keys().collect::<Vec<_>>(), ["renamed", "theirs"]);
    assert_eq!(referred.inbound(), [HTTP]);
}

#[test]
fn ports_of_any_protocol_that_others_use_are_read_and_come_back() {
    let referred = Referred::new("cascade-dccp");
    let project = &referred.project;
    referred.refer(&json!({ "protocol": "dccp", "port_range_min": 5001, "port_range_max": 5002 }));
    let lite = json!({ "protocol": "136", "port_range_min": 7, "port_range_max": 7, "ethertype": "IPv6" });
    project.make_rule(&referred.theirs, &lite);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    project.run(&["destroy", "--yes"]).exits(1).complains("in 5001-5002/dccp from nodes (not ours)");
    project.run(&["destroy", "--yes", "--cascade", "nodes"]).exits(0);
    let (lite, dccp) = ("ingress IPv6 136 7-7 *", "ingress IPv4 33 5001-5002 nodes");
    assert_eq!(referred.inbound(), [HTTP, lite]);
    let journal = project.scene.journals().pop().unwrap();
    project.run(&["rollback", journal.to_str().unwrap(), "--yes"]).exits(0);
    assert_eq!(referred.inbound(), [dccp, SSH, HTTP, lite], "these ports, and no other");
}

#[test]
fn a_rule_of_ours_that_refers_goes_in_a_step_of_its_own() {
    // `hub` is shared with others and stays; its rule from `nodes` is ours.
    let hub = NODES.replace("    groups:\n", "    rules:\n      - { from: all, to: hub, allow: [9100/tcp], why: metrics, ticket: NET-7 }\n    groups:\n      hub: { roles: [worker], security_group: hub, ownership: shared }\n");
    let project = Project::new("cascade-ours", &hub);
    let id = project.make_group("hub");
    project.make_rule(&id, &json!({ "port_range_min": 80, "port_range_max": 80 }));
    project.run(&["apply"]).exits(0);
    assert!(project.rules()["hub"].contains("ingress IPv4 tcp 9100-9100 nodes"), "{:?}", project.rules());
    project.run(&["destroy", "--yes"]).exits(0);
    let mut left = set(&crate::OUT);
    left.insert(HTTP.to_owned());
    assert_eq!(project.rules()["hub"], left);
}

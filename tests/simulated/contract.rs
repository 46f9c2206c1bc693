//! The JSON that programs rely on: every promised key, with its type, in every entry.

use serde_json::{Value, json};

use crate::cloud::{NODES, PROD, applied, by_hand, group, rules, scene, tcp};
use crate::support::Scene;

/// Fails unless `value` has the shape, which is written as an example whose leaves are words.
///
/// A word is `text`, `count`, `bool`, `object`, or `=a|b` for one of these texts; `?` behind it allows null. A list's one
/// element is the shape of all of its elements. Keys beside those of the shape are fine: additions are no breach.
#[track_caller]
fn assert_shape(value: &Value, shape: &Value, at: &str) {
    match shape {
        Value::Object(keys) => {
            let object = value.as_object().unwrap_or_else(|| panic!("{at} is no object: {value}"));
            for (key, shape) in keys {
                let value = object.get(key).unwrap_or_else(|| panic!("{at}.{key} is missing"));
                assert_shape(value, shape, &format!("{at}.{key}"));
            }
        }
        Value::Array(of) => {
            let items = value.as_array().unwrap_or_else(|| panic!("{at} is no list: {value}"));
            for (index, item) in items.iter().enumerate() {
                assert_shape(item, &of[0], &format!("{at}[{index}]"));
            }
        }
        Value::String(word) => {
            let (word, may_be_null) = word.strip_suffix('?').map_or((word.as_str(), false), |word| (word, true));
            let fits = match word.strip_prefix('=') {
                Some(texts) => value.as_str().is_some_and(|text| texts.split('|').any(|one| one == text)),
                None => match word {
                    "text" => value.is_string(),
                    "count" => value.is_u64(),
                    "bool" => value.is_boolean(),
                    "object" => value.is_object(),
                    other => panic!("{other} is no word of a shape"),
                },
            };
            assert!(fits || (may_be_null && value.is_null()), "{at} is not {word}: {value}");
        }
        other => panic!("{other} is no shape"),
    }
}

/// RULE of the contract.
fn rule() -> Value {
    json!({
        "id": "text?", "direction": "=ingress|egress", "protocol": "text", "family": "=ipv4|ipv6|both",
        "from_port": "count?", "to_port": "count?", "peer": "object", "description": "text",
        "reasons": [{ "cluster": "text", "profile": "text", "row": "text", "why": "text" }],
    })
}

/// `plan --format json` of the contract.
fn plan() -> Value {
    json!({
        "version": "count", "digest": "text", "checksum": "text", "created_by": "text",
        "networks": [{ "name": "text", "provider": "text", "account": "text?", "at": "object", "status": "=ok|error",
                       "error": "text?", "quotas": "object" }],
        "groups": [{ "network": "text", "cluster": "text", "group": "text", "security_group": "text", "id": "text?",
                     "ownership": "=exclusive|shared", "status": "=create|adopt|change|in_sync|delete",
                     "rules_before": "count", "rules_after": "count", "quota": "count?", "quota_of": "text?" }],
        "orphans": [{ "network": "text", "security_group": "text", "id": "text", "marks": ["text"],
                      "prune": "=delete|clear|keep", "rules": "count" }],
        "steps": [{ "id": "count", "network": "text", "security_group": "text", "direction": "=ingress|egress?",
                    "action": "=create_group|set_marks|add_rules|remove_rules|replace_rules|update_descriptions|delete_group",
                    "depends_on": ["count"], "resource": "text?", "rules": [rule()], "removes": [rule()] }],
        "observed": [{ "network": "text", "security_group": "text", "id": "text", "revision": "text?", "marks": ["text"],
                       "rules": [rule()] }],
        "required": [{ "network": "text", "security_group": "text", "rules": [rule()] }],
        "guards": ["object"],
        "unopened": [{ "network": "text", "cluster": "text", "row": "text", "why": "text" }],
        "assumed": [{ "cluster": "text", "option": "text", "value": "text", "source": "text" }],
        "foreign": [{ "network": "text", "security_group": "text", "rules": [rule()] }],
        "proof": { "holds": "bool", "required_flows": "count", "held_before": "count", "kept": "count",
                   "opened_outside_desired": "count", "guards": "count", "assumptions": ["text"], "gaps": ["object"],
                   "witness": "object?" },
    })
}

/// A cluster with something of everything: a group to make, one to adopt, one in sync, a shared one with foreign rules, a
/// rule to remove, rows without peer, assumed options.
fn everything() -> Scene {
    let inventory = PROD
        .replace("  kube-api-clients: { cidrs: [203.0.113.0/24] }\n", "")
        .replace("workers: { roles: [worker] }", "workers: { roles: [worker], ownership: shared }")
        .replace("etcd: { roles: [etcd] }", "etcd: { roles: [etcd], ownership: exclusive }");
    let scene = applied(PROD);
    scene.write("cluster.yaml", inventory);
    by_hand(&scene, |state| {
        state["groups"].as_array_mut().unwrap().retain(|group| group["name"] != "prod-control");
        for name in ["prod-etcd", "prod-workers"] {
            rules(state, name).retain(|rule| rule["peer"].get("cidr").is_some());
            rules(state, name).push(tcp(9000, "192.0.2.0/24"));
            group(state, name)["tags"] = json!({});
        }
    });
    scene
}

fn plan_of(scene: &Scene) -> Value {
    scene.run(&["plan", "--format", "json"]).exits(0).json()
}

#[test]
fn a_plan_has_every_promised_key() {
    assert_shape(&plan_of(&everything()), &plan(), "plan");
}

#[test]
fn the_promise_is_tried_on_entries_of_every_list() {
    let document = plan_of(&everything());
    for list in ["networks", "groups", "steps", "observed", "required", "guards", "unopened", "assumed", "foreign"] {
        assert_ne!(document[list].as_array().map(Vec::len), Some(0), "{list} is empty");
    }
    let actions: Vec<&str> =
        document["steps"].as_array().unwrap().iter().map(|step| step["action"].as_str().unwrap()).collect();
    for action in ["create_group", "set_marks", "add_rules", "remove_rules"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
}

#[test]
fn empty_lists_are_lists() {
    let document = plan_of(&applied(NODES));
    assert_shape(&document, &plan(), "plan");
    for list in ["steps", "observed", "required", "unopened", "foreign"] {
        assert_eq!(document[list], json!([]), "{list}");
    }
    assert_eq!(document["proof"]["gaps"], json!([]));
}

#[test]
fn a_plan_says_what_made_it_and_in_which_version() {
    let document = plan_of(&scene(NODES));
    assert_eq!(document["version"], 1);
    assert_eq!(document["created_by"], concat!("rsgsync ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_new_groups_rules_are_all_there() {
    let document = plan_of(&scene(NODES));
    let group = &document["groups"][0];
    assert_eq!(group["status"], "create");
    assert_eq!(group["id"], Value::Null);
    // 12 inbound rules, and the one that the cloud itself makes.
    assert_eq!((&group["rules_before"], &group["rules_after"]), (&json!(0), &json!(13)));
    let adds = document["steps"].as_array().unwrap().iter().find(|step| step["action"] == "add_rules").unwrap();
    assert_eq!(adds["direction"], "ingress");
    let rules = adds["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 12);
    let etcd = rules.iter().find(|rule| rule["from_port"] == 2379).unwrap();
    assert_eq!(etcd["to_port"], 2380);
    assert_eq!(etcd["protocol"], "tcp");
    assert_eq!(etcd["peer"], json!({ "security_group": "rancher-nodes" }));
    assert_eq!(etcd["reasons"][0]["cluster"], "nodes");
    assert_eq!(etcd["reasons"][0]["profile"], "rancher-nodes-ec2-sg@2.4");
    assert_eq!(etcd["reasons"][0]["row"], "etcd");
}

#[test]
fn every_rule_has_one_peer() {
    fn visit(value: &Value, seen: &mut usize) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| visit(item, seen)),
            Value::Object(fields) => {
                if let Some(peer) = fields.get("peer").and_then(Value::as_object) {
                    *seen += 1;
                    let keys: Vec<&str> = peer.keys().map(String::as_str).filter(|key| *key != "account").collect();
                    let known = ["cidr", "security_group", "prefix_list", "address_group", "service_account"];
                    assert!(keys.len() == 1 && known.contains(&keys[0]), "{peer:?}");
                }
                fields.values().for_each(|value| visit(value, seen));
            }
            _ => {}
        }
    }
    let mut seen = 0;
    visit(&plan_of(&everything()), &mut seen);
    assert!(seen > 20, "{seen} rules");
}

#[test]
fn removed_rules_are_the_observed_ones() {
    let document = plan_of(&everything());
    let step = document["steps"].as_array().unwrap().iter().find(|step| step["action"] == "remove_rules").unwrap();
    let observed = document["observed"].as_array().unwrap().iter();
    let group = observed.clone().find(|group| group["security_group"] == step["security_group"]).unwrap();
    for removed in step["rules"].as_array().unwrap() {
        assert!(removed["id"].is_string(), "{removed}");
        assert!(group["rules"].as_array().unwrap().iter().any(|rule| rule == removed), "{removed}");
    }
}

#[test]
fn steps_depend_on_earlier_steps_only() {
    let document = plan_of(&everything());
    let mut done = Vec::new();
    for step in document["steps"].as_array().unwrap() {
        for needed in step["depends_on"].as_array().unwrap() {
            assert!(done.contains(needed), "step {} needs {needed}", step["id"]);
        }
        done.push(step["id"].clone());
    }
    assert_eq!(done.first(), Some(&json!(1)));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let scene = everything();
    let one = scene.run(&["plan", "--format", "json"]).exits(0).stdout;
    assert_eq!(one, scene.run(&["plan", "--format", "json"]).exits(0).stdout);
    let text = scene.run(&["plan"]).exits(0).stdout;
    assert_eq!(text, scene.run(&["plan"]).exits(0).stdout);
}

#[test]
fn the_digest_is_a_sha256_and_changes_with_the_steps() {
    let scene = applied(NODES);
    let in_sync = plan_of(&scene)["digest"].clone();
    let digits = in_sync.as_str().unwrap();
    assert!(digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{digits}");
    by_hand(&scene, |state| rules(state, "rancher-nodes").push(tcp(8081, "192.0.2.0/24")));
    assert_ne!(plan_of(&scene)["digest"], in_sync);
}

#[test]
fn the_digest_is_of_the_steps_not_of_what_they_leave_alone() {
    let scene = everything();
    let before = plan_of(&scene)["digest"].clone();
    by_hand(&scene, |state| rules(state, "prod-workers").push(tcp(9001, "192.0.2.0/24")));
    let after = plan_of(&scene);
    assert!(after["foreign"].to_string().contains("9001"), "{}", after["foreign"]);
    assert_eq!(after["digest"], before);
}

#[test]
fn a_saved_plan_is_what_was_printed() {
    let scene = everything();
    let printed = scene.run(&["plan", "--format", "json", "--out", "plan.json"]).exits(0).stdout;
    assert_eq!(String::from_utf8(scene.read("plan.json").unwrap()).unwrap(), printed);
}

#[test]
fn drift_has_the_plans_shape_and_what_differs() {
    let scene = everything();
    let document = scene.run(&["drift", "--format", "json"]).exits(2).json();
    assert_shape(&document, &plan(), "drift");
    let mut shape = json!({ "network": "text", "security_group": "text", "kind": "=missing|unexpected|group_missing" });
    shape["rule"] = json!("object?");
    assert_shape(&document["drift"], &json!([shape]), "drift.drift");
    for entry in document["drift"].as_array().unwrap() {
        match entry["kind"].as_str().unwrap() {
            "group_missing" => assert_eq!(entry["security_group"], "prod-control"),
            _ => assert_shape(&entry["rule"], &rule(), "drift.rule"),
        }
    }
}

#[test]
fn drift_names_each_difference_by_its_kind() {
    let scene = applied(NODES);
    assert_eq!(scene.run(&["drift", "--format", "json"]).exits(0).json()["drift"], json!([]));
    by_hand(&scene, |state| {
        rules(state, "rancher-nodes").retain(|rule| rule["from_port"] != 6443);
        rules(state, "rancher-nodes").push(tcp(8081, "192.0.2.0/24"));
    });
    let drift = scene.run(&["drift", "--format", "json"]).exits(2).json()["drift"].clone();
    let mut told: Vec<(String, u64)> = drift
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["kind"].as_str().unwrap().to_owned(), d["rule"]["from_port"].as_u64().unwrap()))
        .collect();
    told.sort();
    assert_eq!(told, [("missing".to_owned(), 6443), ("unexpected".to_owned(), 8081)]);
}

#[test]
fn json_stays_alone_on_stdout_when_applied() {
    let ran = scene(NODES).run(&["apply", "--format", "json"]).exits(0);
    assert_shape(&ran.json(), &plan(), "plan");
}

#[test]
fn a_network_that_could_not_be_read_is_in_the_document() {
    let scene = scene(NODES);
    let schedule = json!([{ "kind": "DescribeSecurityGroups", "fault": "denied" }]);
    scene.write("cloud.json", json!({ "version": 1, "faults": { "schedule": schedule } }).to_string());
    let document = scene.run(&["plan", "--format", "json"]).exits(1).json();
    assert_shape(&document, &plan(), "plan");
    assert_eq!(document["networks"][0]["status"], "error");
    assert!(document["networks"][0]["error"].as_str().unwrap().contains("UnauthorizedOperation"));
}

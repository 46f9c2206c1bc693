//! The policies that we tell people to use are enough, each for what it is for.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::account::Account;
use crate::cases::{EXAMPLE, foreign_group};

/// What `examples/permissions/aws-NAME.json` allows.
fn policy(name: &str) -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/permissions");
    let text = std::fs::read(folder.join(format!("aws-{name}.json"))).unwrap();
    let policy: Value = serde_json::from_slice(&text).unwrap();
    let actions = policy["Statement"].as_array().unwrap().iter().flat_map(|statement| match &statement["Action"] {
        Value::Array(actions) => actions.clone(),
        action => vec![action.clone()],
    });
    actions.collect()
}

#[test]
fn who_may_observe_can_plan_and_find_drift_and_nothing_else() {
    let account = Account::new(130, EXAMPLE);
    foreign_group(&account);
    account.run(&["apply"]).exits(0);
    account.authorize(&account.id("rancher-nodes"), "tcp", 9999, "10.0.0.0/8");
    account.settings(&json!({ "policy": policy("observe") }));
    account.run(&["plan", "--detailed-exitcode"]).exits(0);
    account.run(&["drift"]).exits(0);
    account.run(&["drift", "--attachments"]).exits(0);
    account.scene.write("more.yaml", EXAMPLE.replace("security_group: rancher-nodes", "security_group: more"));
    account.run(&["plan", "--detailed-exitcode", "--inventory", "more.yaml"]).exits(2);
    assert_eq!(account.refused("UnauthorizedOperation"), 0);
    let refused = account.run(&["apply", "--inventory", "more.yaml"]);
    assert!(matches!(refused.code, Some(1 | 3)), "{refused:?}");
    refused.complains("UnauthorizedOperation").complains("ec2:CreateSecurityGroup");
}

#[test]
fn who_may_apply_as_well_can_apply_roll_back_and_destroy() {
    let account = Account::new(131, EXAMPLE);
    foreign_group(&account);
    account.scene.write("own.yaml", EXAMPLE.replace("security_group: rancher-nodes", "security_group: own"));
    let both = [policy("observe"), policy("apply")].concat();
    account.settings(&json!({ "policy": both }));
    for inventory in ["cluster.yaml", "own.yaml"] {
        account.run(&["apply", "--inventory", inventory]).exits(0);
        let journal = account.scene.journals().pop().unwrap();
        account.run(&["rollback", "--yes", journal.to_str().unwrap()]).exits(0);
        account.run(&["apply", "--inventory", inventory]).exits(0);
        account.run(&["plan", "--detailed-exitcode", "--inventory", inventory]).exits(0);
        account.run(&["destroy", "--yes", "--inventory", inventory]).exits(0);
    }
    assert_eq!(account.groups().into_keys().collect::<Vec<_>>(), ["rancher-nodes"]);
    assert_eq!(account.refused("UnauthorizedOperation"), 0);
}

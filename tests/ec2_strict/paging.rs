//! Answers in many pages.

use serde_json::json;

use crate::account::{Account, calls, set, without_minus_one};
use crate::cases::{EXAMPLE, ec2_table, foreign_group};

#[test]
fn groups_and_rules_come_in_pages() {
    let mut account = Account::new(120, EXAMPLE);
    foreign_group(&account);
    account.settings(&json!({ "page": 5 }));
    account.scene.set("RUST_LOG", "rsgsync_aws=debug");
    account.run(&["apply"]).exits(0);
    let mut expected = ec2_table();
    expected.extend(set(&["in tcp 22-22 192.0.2.0/24", "in tcp 8443-8443 0.0.0.0/0"]));
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), expected);
    let planned = account.run(&["plan", "--detailed-exitcode"]).exits(0);
    assert_eq!(calls(&planned)["DescribeSecurityGroupRules"], 3, "15 rules by 5: {:?}", calls(&planned));
    account.run(&["destroy", "--yes"]).exits(0);
    let left = set(&["in tcp 22-22 192.0.2.0/24", "in tcp 8443-8443 0.0.0.0/0", "out -1 *-* 0.0.0.0/0"]);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), left);
}

#[test]
fn interfaces_keep_a_group_from_being_deleted() {
    let account = Account::new(121, EXAMPLE);
    account.run(&["apply"]).exits(0);
    let subnet = account.boto("describe_subnets", &json!({}))["Subnets"][0]["SubnetId"].clone();
    account.boto("create_network_interface", &json!({ "SubnetId": subnet, "Groups": [account.id("rancher-nodes")] }));
    account.run(&["destroy", "--yes"]).exits(3).complains("DependencyViolation");
    assert!(account.groups().contains_key("rancher-nodes"));
}

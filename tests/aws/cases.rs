//! What the binary does against any service that speaks EC2's protocol.
#![allow(clippy::unwrap_used, reason = "a test fails where its scene does")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::account::{Account, calls, mutating, set, without_minus_one};
use crate::support::{inventories, reading};

pub const EXAMPLE: &str = include_str!("../../examples/aws-rancher-nodes.yaml");

/// The seed's table of Rancher's EC2 security group: 13 rules.
pub fn ec2_table() -> BTreeSet<String> {
    set(&[
        "in tcp 22-22 0.0.0.0/0",
        "in tcp 80-80 0.0.0.0/0",
        "in tcp 443-443 0.0.0.0/0",
        "in tcp 2376-2376 0.0.0.0/0",
        "in tcp 2379-2380 rancher-nodes",
        "in udp 4789-4789 rancher-nodes",
        "in tcp 6443-6443 0.0.0.0/0",
        "in udp 8472-8472 rancher-nodes",
        "in tcp 10250-10252 rancher-nodes",
        "in tcp 10256-10256 rancher-nodes",
        "in tcp 30000-32767 0.0.0.0/0",
        "in udp 30000-32767 0.0.0.0/0",
        "out -1 *-* 0.0.0.0/0",
    ])
}

#[test]
fn the_example_leaves_exactly_the_documented_table() {
    let account = Account::new(1, EXAMPLE);
    account.run(&["plan", "--detailed-exitcode"]).exits(2);
    account.run(&["apply"]).exits(0);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), ec2_table());
    account.run(&["plan", "--detailed-exitcode"]).exits(0);
    account.run(&["drift"]).exits(0);
}

#[test]
fn a_second_apply_makes_no_mutating_call() {
    let mut account = Account::new(2, EXAMPLE);
    account.scene.set("RUST_LOG", "rsgsync_aws=debug");
    let first = account.run(&["apply"]).exits(0);
    assert_eq!(mutating(&calls(&first)), 2, "{:?}", calls(&first));
    let second = account.run(&["apply"]).exits(0);
    assert_eq!(mutating(&calls(&second)), 0, "{:?}", calls(&second));
}

#[test]
fn a_new_group_carries_our_mark_and_its_rules_say_why() {
    let account = Account::new(3, EXAMPLE);
    account.run(&["apply"]).exits(0);
    let group = &account.groups()["rancher-nodes"];
    assert_eq!(group["Tags"], json!([{ "Key": "rsgsync:platform/nodes", "Value": "made" }]));
    let ssh = group["IpPermissions"].as_array().unwrap().iter().find(|p| p["FromPort"] == 22).unwrap();
    assert_eq!(ssh["IpRanges"][0]["Description"], "SSH provisioning");
    let rules = account.boto("describe_security_group_rules", &json!({}));
    let marked =
        |r: &&Value| r["Tags"].as_array().is_some_and(|t| t.iter().any(|t| t["Key"] == "rsgsync:platform/nodes"));
    assert_eq!(rules["SecurityGroupRules"].as_array().unwrap().iter().filter(marked).count(), 12);
}

#[test]
fn a_rule_made_by_hand_is_drift_and_goes() {
    let account = Account::new(4, EXAMPLE);
    account.run(&["apply"]).exits(0);
    account.authorize(&account.id("rancher-nodes"), "tcp", 9999, "10.0.0.0/8");
    let drift = account.run(&["drift", "--format", "json"]).exits(2).json();
    assert_eq!(drift["drift"].as_array().unwrap().len(), 1);
    assert_eq!(drift["drift"][0]["kind"], "unexpected");
    assert_eq!(drift["drift"][0]["rule"]["from_port"], 9999);
    account.run(&["apply"]).exits(0);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), ec2_table());
}

#[test]
fn a_rule_removed_by_hand_comes_back_and_nothing_else_is_touched() {
    let mut account = Account::new(5, EXAMPLE);
    account.run(&["apply"]).exits(0);
    let range = json!([{ "CidrIp": "0.0.0.0/0" }]);
    let permission = json!({ "IpProtocol": "tcp", "FromPort": 6443, "ToPort": 6443, "IpRanges": range });
    let id = account.id("rancher-nodes");
    account.boto("revoke_security_group_ingress", &json!({ "GroupId": id, "IpPermissions": [permission] }));
    account.run(&["drift"]).exits(2);
    account.scene.set("RUST_LOG", "rsgsync_aws=debug");
    let repaired = account.run(&["apply"]).exits(0);
    assert_eq!(calls(&repaired).get("AuthorizeSecurityGroupIngress"), Some(&1));
    assert_eq!(mutating(&calls(&repaired)), 1, "{:?}", calls(&repaired));
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), ec2_table());
}

#[test]
fn a_rule_with_too_many_tags_does_its_job_unmarked() {
    let account = Account::new(40, EXAMPLE);
    let id = foreign_group(&account);
    account.authorize(&id, "tcp", 6443, "0.0.0.0/0");
    let filter = json!({ "Filters": [{ "Name": "group-id", "Values": [id] }] });
    let entry = || {
        let answer = account.boto("describe_security_group_rules", &filter);
        let entries = answer["SecurityGroupRules"].as_array().unwrap().clone();
        entries.into_iter().find(|entry| entry["FromPort"] == 6443).unwrap()
    };
    let theirs = (0..44).map(|i| json!({ "Key": format!("team-{i}"), "Value": "theirs" }));
    let tags: Vec<Value> = theirs.chain([json!({ "Key": "rsgsync:security/nodes", "Value": "made" })]).collect();
    account.boto("create_tags", &json!({ "Resources": [entry()["SecurityGroupRuleId"]], "Tags": tags }));
    account.run(&["apply"]).exits(0);
    assert_eq!(entry()["Tags"].as_array().unwrap().len(), 45);
    account.run(&["plan", "--detailed-exitcode"]).exits(0).says("2 foreign, needed");
    account.run(&["destroy", "--yes"]).exits(0);
    assert_eq!(entry()["Tags"].as_array().unwrap().len(), 45);
}

#[test]
fn a_renamed_group_is_an_orphan_and_prune_deletes_it() {
    let account = Account::new(14, EXAMPLE);
    account.run(&["apply"]).exits(0);
    account.scene.write("cluster.yaml", EXAMPLE.replace("security_group: rancher-nodes", "security_group: renamed"));
    account.run(&["apply"]).exits(0).says("orphan rancher-nodes");
    account.run(&["drift"]).exits(0);
    account.run(&["apply", "--prune", "--max-removals", "13"]).exits(0);
    assert_eq!(account.groups().into_keys().collect::<Vec<_>>(), ["renamed"]);
    account.run(&["plan", "--prune", "--detailed-exitcode"]).exits(0);
}

/// Three groups that refer to each other in circles.
pub fn circle(family: &str) -> String {
    inventories::circle("aws: {}", family)
}

#[test]
fn what_stands_is_explained_and_taken_over() {
    let account = Account::new(38, &circle("ipv4"));
    account.run(&["apply"]).exits(0);
    reading::explains(&account.scene, "denied");
    for owner in ["platform", "sales"] {
        reading::adopts(&account.scene, "aws: {}", owner);
    }
}

#[test]
fn groups_that_refer_to_each_other_are_made_and_destroyed() {
    let account = Account::new(6, &circle("ipv4"));
    account.run(&["apply"]).exits(0);
    assert!(account.rules("prod-etcd").contains("in tcp 2379-2380 prod-control"), "{:?}", account.rules("prod-etcd"));
    assert!(account.rules("prod-control").contains("in tcp 6443-6443 prod-etcd"));
    account.run(&["plan", "--detailed-exitcode"]).exits(0);
    account.run(&["destroy", "--yes"]).exits(0);
    assert_eq!(account.groups(), BTreeMap::new());
}

#[test]
fn both_families_are_written_and_read_back() {
    let account = Account::new(7, &circle("dual"));
    account.run(&["apply"]).exits(0);
    let rules = account.rules("prod-workers");
    for rule in ["in tcp 443-443 0.0.0.0/0", "in tcp 443-443 ::/0"] {
        assert!(rules.contains(rule), "{rule} is not in {rules:?}");
    }
    assert!(without_minus_one(rules).contains("out -1 *-* ::/0"));
    account.run(&["plan", "--detailed-exitcode"]).exits(0);
}

/// `rancher-nodes` as somebody else made it, with a rule of theirs.
pub fn foreign_group(account: &Account) -> String {
    let made =
        account.boto("create_security_group", &json!({ "GroupName": "rancher-nodes", "Description": "Rancher Nodes" }));
    let id = made["GroupId"].as_str().unwrap().to_owned();
    account.authorize(&id, "tcp", 22, "192.0.2.0/24");
    account.authorize(&id, "tcp", 8443, "0.0.0.0/0");
    id
}

#[test]
fn foreign_rules_of_a_shared_group_are_kept() {
    let account = Account::new(8, EXAMPLE);
    foreign_group(&account);
    account.run(&["plan"]).exits(0).says("shared");
    account.run(&["apply"]).exits(0);
    let mut expected = ec2_table();
    expected.extend(set(&["in tcp 22-22 192.0.2.0/24", "in tcp 8443-8443 0.0.0.0/0"]));
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), expected);
    account.run(&["plan", "--detailed-exitcode"]).exits(0);
    account.run(&["destroy", "--yes"]).exits(0);
    let left = set(&["in tcp 22-22 192.0.2.0/24", "in tcp 8443-8443 0.0.0.0/0", "out -1 *-* 0.0.0.0/0"]);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), left, "only what carries our mark goes");
}

#[test]
fn a_group_that_existed_is_adopted_when_the_inventory_says_so() {
    let exclusive =
        EXAMPLE.replace("security_group: rancher-nodes", "security_group: rancher-nodes, ownership: exclusive");
    let account = Account::new(9, &exclusive);
    let id = foreign_group(&account);
    account.run(&["plan"]).exits(0).says("ADOPTS").says("1 rule will go").says("1 redundant");
    account.run(&["apply"]).exits(0);
    // Their 22/tcp from 192.0.2.0/24 lets nothing unwanted through: the table has 22/tcp from everywhere.
    let mut expected = ec2_table();
    expected.extend(set(&["in tcp 22-22 192.0.2.0/24"]));
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), expected);
    account.run(&["apply", "--tidy"]).exits(0);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), ec2_table());
    let group = &account.groups()["rancher-nodes"];
    assert_eq!(group["GroupId"], json!(id), "the group itself stays");
    assert_eq!(group["Tags"], json!([{ "Key": "rsgsync:platform/nodes", "Value": "adopted" }]));
}

#[test]
fn a_hundred_groups_cost_two_calls_each_and_one_to_look_at() {
    let mut inventory =
        String::from("version: 1\nowner: platform\nnetworks: { ec2: { aws: { vpc: VPC } } }\nclusters:\n");
    for i in 0..25 {
        inventory.push_str(&format!(
            "  c{i}:\n    network: ec2\n    profile: rancher-nodes-ec2-sg\n    rancher_version: \"2.4\"\n    groups:\n"
        ));
        for name in ["a", "b", "c", "d"] {
            inventory.push_str(&format!("      {name}: {{ roles: [worker] }}\n"));
        }
    }
    let mut account = Account::new(10, &inventory);
    let vpcs = account.boto("describe_vpcs", &json!({}));
    account.scene.write("cluster.yaml", inventory.replace("VPC", vpcs["Vpcs"][0]["VpcId"].as_str().unwrap()));
    account.scene.set("RUST_LOG", "rsgsync_aws=debug");
    let applied = account.run(&["apply"]).exits(0);
    let made = calls(&applied);
    assert_eq!((made["CreateSecurityGroup"], made["AuthorizeSecurityGroupIngress"]), (100, 100), "{made:?}");
    assert_eq!(mutating(&made), 200);
    // Two to see that no group is there, though the VPC is; and in the end one to see that everything is.
    assert_eq!(made.values().sum::<usize>(), 200 + 2 + 1, "{made:?}");
    let planned = account.run(&["plan", "--detailed-exitcode"]).exits(0);
    assert_eq!(calls(&planned), BTreeMap::from([("DescribeSecurityGroups".to_owned(), 1)]));
    assert_eq!(account.groups().len(), 100);
}

#[test]
fn an_unknown_vpc_is_named_and_nothing_is_made() {
    let account = Account::new(11, &EXAMPLE.replace("aws: {}", "aws: { vpc: vpc-0123456789abcdef0 }"));
    account.run(&["apply"]).exits(1).complains("vpc-0123456789abcdef0").complains("help:");
    assert_eq!(account.groups(), BTreeMap::new());
}

#[test]
fn an_endpoint_that_nobody_serves_is_named() {
    let mut account = Account::new(12, EXAMPLE);
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_STS"] {
        account.scene.set(variable, "http://127.0.0.1:9");
    }
    account.run(&["plan"]).exits(1).complains("http://127.0.0.1:9").complains("help:");
}

#[test]
fn without_credentials_the_error_says_where_they_were_looked_for() {
    let mut account = Account::new(13, EXAMPLE);
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"] {
        account.scene.set(variable, "");
    }
    account.run(&["plan"]).exits(1).complains("credentials").complains("help:");
}

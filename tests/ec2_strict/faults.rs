//! What goes wrong on the way: every run ends well, or the next one does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::account::{Account, set, without_minus_one};
use crate::cases::{EXAMPLE, ec2_table, foreign_group};

/// Calls that the provider makes; each is made at least once below.
const CALLS: [&str; 10] = [
    "DescribeVpcs",
    "DescribeSecurityGroups",
    "DescribeSecurityGroupRules",
    "CreateSecurityGroup",
    "AuthorizeSecurityGroupIngress",
    "RevokeSecurityGroupIngress",
    "CreateTags",
    "DeleteTags",
    "DeleteSecurityGroup",
    "AuthorizeSecurityGroupEgress",
];

/// A group of somebody else's, joined; one of our own, made; a rule changed by hand and repaired; all destroyed. The
/// first time that a kind of call is made it fails in one way, and the repetition in the other.
#[track_caller]
fn whole_life_with(number: u64, ways: [Value; 2]) {
    let account = Account::new(number, EXAMPLE);
    let fail = |call: &str| (1..).zip(&ways).for_each(|(nth, then)| account.fault(call, nth, 1, then));
    let id = foreign_group(&account);
    let before = account.theirs(&id);
    CALLS.into_iter().for_each(fail);
    let apply = ["apply", "--settle", "0", "--max-removals", "100"];
    account.run(&apply).exits(0);
    let mut expected = ec2_table();
    expected.extend(set(&["in tcp 22-22 192.0.2.0/24", "in tcp 8443-8443 0.0.0.0/0"]));
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), expected);

    // Another owner wants the same, and leaves again: marks come beside ours, and go.
    account.scene.write("other.yaml", EXAMPLE.replace("owner: platform", "owner: security"));
    account.run(&["apply", "--inventory", "other.yaml"]).exits(0);
    account.run(&["destroy", "--yes", "--inventory", "other.yaml"]).exits(0);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), expected, "the other owner's leaving takes nothing");
    account.run(&["destroy", "--yes"]).exits(0);
    assert_eq!(account.theirs(&id), before, "what isn't ours is byte for byte as before");

    let own = EXAMPLE.replace("security_group: rancher-nodes", "security_group: own");
    account.scene.write("cluster.yaml", own);
    account.run(&apply).exits(0);
    account.authorize(&account.id("own"), "tcp", 9999, "10.0.0.0/8");
    let strange = json!({ "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{ "CidrIp": "0.0.0.0/0" }] });
    let own = account.id("own");
    let describe = json!({ "GroupId": own, "IpPermissions": [strange] });
    account.boto("update_security_group_rule_descriptions_ingress", &describe);
    fail("UpdateSecurityGroupRuleDescriptionsIngress");
    let everything = json!({ "IpProtocol": "-1", "IpRanges": [{ "CidrIp": "0.0.0.0/0" }] });
    account.boto("revoke_security_group_egress", &json!({ "GroupId": own, "IpPermissions": [everything] }));
    account.run(&apply).exits(0);
    let rules = without_minus_one(account.rules("own"));
    let in_itself: BTreeSet<String> = rules.iter().map(|rule| rule.replace(" own", " rancher-nodes")).collect();
    assert_eq!(in_itself, ec2_table());
    account.run(&["plan", "--detailed-exitcode"]).exits(0);
    account.run(&["destroy", "--yes"]).exits(0);
    assert!(!account.groups().contains_key("own"));
    assert_eq!(account.faults_left(), Vec::<Value>::new(), "every kind of call was made and failed twice");
}

#[test]
fn connections_are_reset_and_answers_are_lost() {
    whole_life_with(101, [json!("reset"), json!("lose")]);
}

#[test]
fn answers_end_in_the_middle_whether_http_says_so_or_not() {
    whole_life_with(102, [json!("half"), json!("garble")]);
}

#[test]
fn aws_is_not_there_for_a_moment_and_may_say_how_long() {
    let later = json!({ "error": { "status": 503, "retryAfter": 1 } });
    whole_life_with(103, [json!({ "error": { "status": 503 } }), later]);
}

#[test]
fn aws_has_an_internal_error_and_throttles() {
    let error = json!({ "error": { "status": 500, "code": "InternalError" } });
    whole_life_with(104, [error, json!({ "throttle": { "retryAfter": 1 } })]);
}

/// Groups that need a call each to be made and filled.
fn groups(count: usize) -> String {
    let mut inventory = String::from("version: 1\nowner: platform\nnetworks: { ec2: { aws: {} } }\nclusters:\n");
    for i in 0..count {
        inventory.push_str(&format!(
            "  c{i}: {{ network: ec2, profile: rancher-nodes-ec2-sg, rancher_version: \"2.4\", groups: {{ all: {{ roles: [worker] }} }} }}\n"
        ));
    }
    inventory
}

#[test]
fn when_request_tokens_run_out_apply_slows_down_and_ends() {
    let account = Account::new(110, &groups(20));
    account.settings(&json!({ "throttle": { "writes": { "size": 4, "refill": 10 } } }));
    account.run(&["apply"]).exits(0);
    let throttled = account.refused("RequestLimitExceeded");
    assert!((1..100).contains(&throttled), "{throttled} calls of 40 were throttled");
    assert_eq!(account.groups().len(), 20);
    account.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_new_group_is_waited_for_and_the_next_run_sees_what_reads_did_not_show() {
    let account = Account::new(111, EXAMPLE);
    account.settings(&json!({ "lag": 3, "staleWrites": true }));
    // After the last call reads still lag: that is no success, and no failure.
    account.run(&["apply"]).exits(3).complains("unconfirmed");
    assert!(account.refused("InvalidGroup.NotFound") > 0, "the group was not there at first");
    account.run(&["apply"]).exits(0);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), ec2_table());
}

#[test]
fn while_reads_lag_nothing_is_removed_before_its_replacement_is_seen() {
    let account = Account::new(114, EXAMPLE);
    account.run(&["apply"]).exits(0);
    let narrow =
        "    narrow: [{ row: ssh, from: [office], why: test }]\n    peers: { office: { cidrs: [198.51.100.0/24] } }\n";
    account.scene.write("cluster.yaml", format!("{EXAMPLE}{narrow}"));
    account.settings(&json!({ "lag": 6 }));
    let before = account.log().len();
    account.run(&["apply", "--settle", "0"]);
    let calls: Vec<String> =
        account.log()[before..].iter().map(|call| call["action"].as_str().unwrap().to_owned()).collect();
    let at = |action: &str| calls.iter().position(|call| call == action).unwrap();
    let (added, removed) = (at("AuthorizeSecurityGroupIngress"), at("RevokeSecurityGroupIngress"));
    // Six reads don't show the addition; the seventh does.
    assert_eq!(removed - added, 8, "{calls:?}");
    account.settings(&json!({}));
    account.run(&["apply"]).exits(0);
    let mut expected = ec2_table();
    expected.remove("in tcp 22-22 0.0.0.0/0");
    expected.extend(set(&["in tcp 22-22 198.51.100.0/24"]));
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), expected);
}

#[test]
fn a_call_that_hangs_is_made_again() {
    let account = Account::new(112, EXAMPLE);
    account.fault("AuthorizeSecurityGroupIngress", 1, 1, &json!("hang"));
    account.run(&["apply"]).exits(0);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), ec2_table());
}

#[test]
fn drift_does_not_hang_with_the_endpoint() {
    let account = Account::new(113, EXAMPLE);
    account.run(&["apply"]).exits(0);
    account.fault("DescribeSecurityGroups", 1, 100, &json!("hang"));
    let start = Instant::now();
    account.run(&["drift", "--timeout", "2"]).exits(1);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn credentials_that_end_and_clocks_that_are_wrong_stop_a_run_which_the_next_one_goes_on_with() {
    let told = [("RequestExpired", "fresh credentials"), ("AuthFailure", "clock")];
    for (number, (code, advice)) in (146..).zip(told) {
        let account = Account::new(number, EXAMPLE);
        let id = foreign_group(&account);
        let before = account.theirs(&id);
        let over = json!({ "error": { "status": 400, "code": code, "message": "Request has expired." } });
        account.fault("AuthorizeSecurityGroupIngress", 1, 1, &over);
        account.run(&["apply"]).exits(3).complains(code).complains(advice).complains("journal");
        account.run(&["apply"]).exits(0);
        account.run(&["plan", "--detailed-exitcode"]).exits(0);
        assert_eq!(account.theirs(&id), before);
    }
}

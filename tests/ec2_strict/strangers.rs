//! Somebody else writes between the plan and a call.

use serde_json::json;

use crate::account::{Account, set, without_minus_one};
use crate::cases::{EXAMPLE, ec2_table, foreign_group};

const SSH: &str = "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22&\
                   IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0";

#[test]
fn a_rule_that_a_stranger_adds_first_does_not_stop_the_others() {
    let account = Account::new(140, EXAMPLE);
    let write = format!("Action=AuthorizeSecurityGroupIngress&GroupName=rancher-nodes&{SSH}");
    account.fault("AuthorizeSecurityGroupIngress", 1, 1, &json!({ "writeBefore": write }));
    account.run(&["apply"]).exits(0);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), ec2_table());
    assert_eq!(account.refused("InvalidPermission.Duplicate"), 1, "the batch was refused whole");
    account.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_rule_that_a_stranger_removes_first_does_not_stop_the_others() {
    // Outside the default VPC a revoke is refused for one rule that isn't there.
    let account = Account::new(141, EXAMPLE);
    let vpc = account.boto("create_vpc", &json!({ "CidrBlock": "10.0.0.0/16" }))["Vpc"]["VpcId"].clone();
    let inventory = EXAMPLE.replace("aws: {}", &format!("aws: {{ vpc: {} }}", vpc.as_str().unwrap()));
    account.scene.write("cluster.yaml", inventory);
    account.run(&["apply"]).exits(0);
    let id = account.id("rancher-nodes");
    account.authorize(&id, "tcp", 9998, "10.0.0.0/8");
    account.authorize(&id, "tcp", 9999, "10.0.0.0/8");
    let gone = SSH.replace("22", "9999").replace("0.0.0.0/0", "10.0.0.0/8");
    let write = format!("Action=RevokeSecurityGroupIngress&GroupId={id}&{gone}");
    account.fault("RevokeSecurityGroupIngress", 1, 1, &json!({ "writeBefore": write }));
    account.run(&["apply", "--settle", "0"]).exits(0);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), ec2_table());
    assert_eq!(account.refused("InvalidPermission.NotFound"), 1, "the batch was refused whole");
}

#[test]
fn a_group_that_a_stranger_makes_first_is_not_taken() {
    let account = Account::new(142, EXAMPLE);
    let write = "Action=CreateSecurityGroup&GroupName=rancher-nodes&GroupDescription=theirs";
    account.fault("CreateSecurityGroup", 1, 1, &json!({ "writeBefore": write }));
    account.run(&["apply"]).exits(3).complains("is not ours");
    assert_eq!(account.rules("rancher-nodes").len(), 1, "nothing was added to their group");
    account.run(&["plan"]).exits(0).says("shared");
}

#[test]
fn what_a_stranger_adds_to_a_shared_group_meanwhile_stays() {
    let account = Account::new(143, EXAMPLE);
    let id = foreign_group(&account);
    account.run(&["apply"]).exits(0);
    let strange = SSH.replace("22", "9999");
    for (action, before) in [("DescribeSecurityGroups", "writeAfter"), ("RevokeSecurityGroupIngress", "writeBefore")] {
        let strange = strange.replace("9999", if before == "writeAfter" { "9998" } else { "9999" });
        let write = format!("Action=AuthorizeSecurityGroupIngress&GroupId={id}&{strange}");
        account.fault(action, 1, 1, &json!({ before: write }));
    }
    account.run(&["destroy", "--yes"]).exits(0);
    let left = set(&[
        "in tcp 22-22 192.0.2.0/24",
        "in tcp 8443-8443 0.0.0.0/0",
        "in tcp 9998-9998 0.0.0.0/0",
        "in tcp 9999-9999 0.0.0.0/0",
        "out -1 *-* 0.0.0.0/0",
    ]);
    assert_eq!(without_minus_one(account.rules("rancher-nodes")), left);
    assert_eq!(account.faults_left(), Vec::<serde_json::Value>::new());
}

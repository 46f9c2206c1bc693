//! Two owners at once in one group.

use std::process::Stdio;

use serde_json::json;

use crate::account::{Account, set, without_minus_one};
use crate::cases::{EXAMPLE, ec2_table, foreign_group};

/// Both owners want all rules of the example; the second one also a rule of its own.
fn second() -> String {
    let own = "    rules: [{ from: office, to: all, allow: [9100/tcp], why: metrics }]\n    peers: { office: { cidrs: [198.51.100.0/24] } }\n";
    format!("{}{own}", EXAMPLE.replace("owner: platform", "owner: security"))
}

#[test]
fn two_applies_at_once_both_end_well_and_either_owner_can_leave() {
    for (round, leaves) in ["cluster.yaml", "second.yaml"].into_iter().enumerate() {
        let account = Account::new(150 + round as u64, EXAMPLE);
        let id = foreign_group(&account);
        let before = account.theirs(&id);
        account.scene.write("second.yaml", second());
        // Slow enough that they meet in the middle.
        for action in ["AuthorizeSecurityGroupIngress", "DescribeSecurityGroups", "DescribeSecurityGroupRules"] {
            account.fault(action, 1, 100, &json!({ "delay": { "milliseconds": 100 } }));
        }
        let inventories = ["cluster.yaml", "second.yaml"];
        let runs = inventories.map(|inventory| {
            let mut command = account.scene.command(&["apply", "--settle", "0", "--inventory", inventory]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        for run in runs {
            let output = run.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let mut both = ec2_table();
        both.extend(set(&[
            "in tcp 22-22 192.0.2.0/24",
            "in tcp 8443-8443 0.0.0.0/0",
            "in tcp 9100-9100 198.51.100.0/24",
        ]));
        assert_eq!(without_minus_one(account.rules("rancher-nodes")), both);

        account.run(&["destroy", "--yes", "--inventory", leaves]).exits(0);
        let stays = inventories.into_iter().find(|inventory| *inventory != leaves).unwrap();
        if leaves == "second.yaml" {
            both.remove("in tcp 9100-9100 198.51.100.0/24");
        }
        assert_eq!(without_minus_one(account.rules("rancher-nodes")), both, "the rules of {stays} stay");
        account.run(&["plan", "--detailed-exitcode", "--inventory", stays]).exits(0);
        account.run(&["destroy", "--yes", "--inventory", stays]).exits(0);
        assert_eq!(account.theirs(&id), before, "what isn't ours is byte for byte as before");
    }
}

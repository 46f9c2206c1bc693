//! `kill -9` at random moments: the next apply ends what the killed one began.

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::account::{Account, set, without_minus_one};
use crate::cases::{EXAMPLE, circle, ec2_table, foreign_group};

const KILLS: u32 = 6;

/// A group to join and three to make.
fn inventory() -> String {
    let clusters = |text: &str| text.split_once("clusters:\n").unwrap().1.to_owned();
    format!("{}{}", EXAMPLE.trim_end(), "\n") + &clusters(&circle("ipv4")).replace("network: lab", "network: ec2")
}

/// An account where calls take long enough that kills fall between and into them.
fn scene(number: u64) -> (Account, String) {
    let account = Account::new(number, &inventory());
    let id = foreign_group(&account);
    for action in ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "DescribeSecurityGroups"] {
        account.fault(action, 1, 1000, &json!({ "delay": { "milliseconds": 30 } }));
    }
    (account, id)
}

#[test]
fn a_killed_apply_is_ended_by_the_next_one() {
    let (account, _) = scene(160);
    let start = Instant::now();
    account.run(&["apply"]).exits(0);
    let whole = start.elapsed();
    let chance = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    for kill in 0..KILLS {
        let (account, id) = scene(161 + u64::from(kill));
        let before = account.theirs(&id);
        let mut run = account.scene.command(&["apply"]);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Each kill falls anywhere in its share of the time.
        let share = whole / KILLS;
        let moment = share * kill + share.mul_f64(f64::from(chance.rotate_left(kill) % 1000) / 1000.0);
        std::thread::sleep(moment);
        run.kill().unwrap();
        run.wait().unwrap();
        account.run(&["apply"]).exits(0);
        assert_eq!(account.theirs(&id), before, "killed after {moment:?}");
        let mut expected = ec2_table();
        expected.extend(set(&["in tcp 22-22 192.0.2.0/24", "in tcp 8443-8443 0.0.0.0/0"]));
        assert_eq!(without_minus_one(account.rules("rancher-nodes")), expected, "killed after {moment:?}");
        account.run(&["plan", "--detailed-exitcode"]).exits(0);
    }
    assert!(whole > Duration::from_millis(100), "{whole:?}");
}

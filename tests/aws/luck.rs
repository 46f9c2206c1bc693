//! Bad luck on the way to a service that speaks EC2's protocol.
#![allow(clippy::unwrap_used, reason = "a test fails where its scene does")]

use serde_json::Value;

use crate::account::{Account, set, without_minus_one};
use crate::cases::{EXAMPLE, circle, ec2_table, foreign_group};
use crate::support::Scene;
use crate::support::bad_luck::{Place, failures, kills};
use crate::support::proxy::{Fate, Proxy};

impl Place for Account {
    fn scene(&mut self) -> &mut Scene {
        &mut self.scene
    }

    fn through(&mut self, decide: impl Fn(&str, usize) -> Fate + Send + 'static) -> Proxy {
        self.through(decide)
    }

    fn assert_whole(&self) {
        let mut expected = ec2_table();
        expected.extend(set(&["in tcp 22-22 192.0.2.0/24", "in tcp 8443-8443 0.0.0.0/0"]));
        assert_eq!(without_minus_one(self.rules("rancher-nodes")), expected);
        let etcd = self.rules("prod-etcd");
        assert!(etcd.contains("in tcp 2379-2380 prod-control"), "{etcd:?}");
        assert_eq!(self.groups().len(), 4);
    }

    fn others(&self) -> Vec<Value> {
        let mut group = self.groups()["rancher-nodes"].clone();
        let mut theirs = self.theirs(group["GroupId"].as_str().unwrap());
        for ours_too in ["IpPermissions", "Tags"] {
            group.as_object_mut().unwrap().remove(ours_too);
        }
        theirs.push(group);
        theirs
    }
}

/// A group of somebody else's to join, and three to make.
fn place(number: usize) -> Account {
    let made = circle("ipv4").replace("network: lab", "network: ec2");
    let made = made.split_once("clusters:\n").unwrap().1;
    let account = Account::new(160 + number as u64, &format!("{}\n{made}", EXAMPLE.trim_end()));
    foreign_group(&account);
    account
}

#[test]
fn a_killed_apply_is_ended_by_the_next_one() {
    kills(place);
}

#[test]
fn calls_that_fail_at_random_are_outlived() {
    failures(|_| place(20));
}

//! `render`: a node's own firewall.

use std::collections::BTreeSet;

use crate::cloud::{NODES, PROD, scene};

const HOSTS: [&str; 3] = ["suse", "firewalld", "nftables"];

#[test]
fn what_a_guard_forbids_is_printed_for_no_host() {
    let rule = "    rules:\n      - { from: 0.0.0.0/0, to: all, allow: [2379/tcp], why: backup from anywhere }\n";
    let scene = scene(&format!("{NODES}{rule}"));
    for host in HOSTS {
        let ran = scene.run(&["render", "--host", host, "--group", "nodes/all"]).exits(1).complains("etcd-public");
        assert_eq!(ran.stdout, "", "nothing that could be copied to a node");
    }
}

#[test]
fn a_group_that_is_not_there_is_named_with_the_nearest() {
    let ran = scene(PROD).run(&["render", "--host", "firewalld", "--group", "prod/etc"]).exits(1);
    ran.complains("prod/etc").complains("prod/etcd");
}

/// The same ports as the matrix has for the group, by another way through the program.
#[test]
fn a_host_lets_in_the_ports_of_the_matrix() {
    let scene = scene(PROD);
    let matrix = scene.run(&["matrix", "--format", "json"]).exits(0).json();
    for group in ["etcd", "control", "workers"] {
        let to = |flow: &&serde_json::Value| flow["local"] == false && flow["to"]["group"] == group;
        let flows = matrix["flows"].as_array().unwrap().iter().filter(to);
        let expected: BTreeSet<(String, u64)> = flows
            .flat_map(|flow| {
                let port = |key: &str| flow[key].as_u64().unwrap();
                let protocol = flow["protocol"].as_str().unwrap().to_owned();
                (port("from_port")..=port("to_port")).map(move |port| (protocol.clone(), port))
            })
            .collect();
        let table = scene.run(&["render", "--host", "nftables", "--group", &format!("prod/{group}")]).exits(0).stdout;
        let rules = table.lines().filter_map(|line| line.trim().strip_suffix(" accept")?.rsplit_once(" dport "));
        let open: BTreeSet<(String, u64)> = rules
            .flat_map(|(head, ports)| {
                let protocol = head.rsplit(' ').next().unwrap().to_owned();
                let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
                let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
                (from..=to).map(move |port| (protocol.clone(), port))
            })
            .collect();
        assert!(open.len() > 2, "{table}");
        assert_eq!(open, expected, "{group}: {table}");
    }
}

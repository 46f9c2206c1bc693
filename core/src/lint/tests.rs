use super::*;
use crate::desired::desired;
use crate::example::{TODAY, YESTERDAY, cidrs, downstream, ec2};
use crate::guard::judge;
use crate::inventory::{Narrowing, Peer, Waiver};

/// Codes and messages.
fn of(inventory: &Inventory) -> Vec<(String, String)> {
    let flows = flows(inventory, TODAY);
    let desired = desired(inventory, &flows);
    let verdict = judge(&desired, inventory, TODAY);
    let lints = lint(inventory, &flows, &desired, &verdict, TODAY);
    lints.into_iter().map(|lint| (lint.code.to_string(), lint.message)).collect()
}

fn messages(inventory: &Inventory, code: &str) -> Vec<String> {
    of(inventory).into_iter().filter(|(of, _)| of == code).map(|(_, message)| message).collect()
}

fn waiver(what: Waived, until: Option<Date>) -> Waiver {
    Waiver { what, groups: Vec::new(), why: "because".to_owned(), until }
}

#[test]
fn the_file_of_what_is_watched_is_right() {
    assert_eq!(WATCHED.iter().map(|watched| &*watched.name).collect::<Vec<_>>(), ["ssh-to-the-world"]);
}

#[test]
fn an_inventory_without_clusters_asks_for_nothing() {
    let mut inventory = ec2();
    assert_eq!(messages(&inventory, "no-clusters"), [""; 0]);
    inventory.clusters.clear();
    assert_eq!(messages(&inventory, "no-clusters").len(), 1);
}

#[test]
fn ssh_and_nodeports_of_the_ec2_group_are_open_to_the_world() {
    // Rancher's own table: 22, and NodePorts for tcp and udp, from any address.
    let inventory = ec2();
    let ssh = messages(&inventory, "ssh-to-the-world");
    assert_eq!(ssh.len(), 1);
    assert!(ssh[0].starts_with("22/tcp is open to 0.0.0.0/0 on `rancher-nodes`"), "{ssh:?}");
    let wide = messages(&inventory, "wide");
    assert_eq!(wide.len(), 2, "{wide:?}");
    assert!(wide.iter().all(|message| message.contains("30000-32767") && message.ends_with("2768 ports")), "{wide:?}");
}

#[test]
fn a_peer_that_nothing_is_about_is_unused() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod");
    prod.peers.insert("nobody".into(), Peer::Cidrs(cidrs(&["192.0.2.0/24"])));
    prod.peers.insert("office".into(), Peer::Cidrs(cidrs(&["192.0.2.0/24"])));
    prod.rule("office", "group:workers", "443/tcp");
    assert_eq!(messages(&inventory, "unused-peer"), ["peer `nobody`: no connection comes from it or goes to it"]);
}

#[test]
fn waivers_and_narrowings_of_rows_that_ask_for_nothing_are_told() {
    let mut inventory = downstream("downstream-node-pools");
    let rows: Vec<String> = flows(&inventory, TODAY)
        .flows
        .iter()
        .filter(|flow| flow.cluster.as_str() == "prod")
        .map(|flow| flow.reason.row.to_string())
        .collect();
    let prod = inventory.cluster("prod");
    prod.waive.push(waiver(Waived::Row(rows[0].clone()), None));
    prod.waive.push(waiver(Waived::Row("windows-overlay".to_owned()), None));
    prod.waive.push(waiver(Waived::Guard("etcd-public".to_owned()), None));
    let from = vec![EndWord::Every];
    prod.narrow.push(Narrowing { row: "nothing".to_owned(), from, why: "because".to_owned(), until: None });
    assert_eq!(
        messages(&inventory, "no-effect"),
        [
            "narrowing row `nothing` changes nothing: the row asks for nothing here",
            "the waiver of guard `etcd-public` changes nothing: no rule breaks it",
            "the waiver of row `windows-overlay` changes nothing: the row asks for nothing here",
        ]
    );
}

#[test]
fn a_guards_waiver_that_a_rule_needs_has_an_effect() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod");
    prod.rule("0.0.0.0/0", "group:workers", "10250/tcp");
    prod.waive.push(waiver(Waived::Guard("kubelet-public".to_owned()), None));
    assert_eq!(messages(&inventory, "no-effect"), [""; 0]);
}

#[test]
fn what_ends_within_a_month_is_told_and_what_has_ended_is_not() {
    let day = |days: i32| TODAY.checked_add(days.days()).expect("a date");
    for (until, told) in [(YESTERDAY, false), (TODAY, true), (day(30), true), (day(31), false)] {
        let mut inventory = downstream("downstream-node-pools");
        let prod = inventory.cluster("prod");
        prod.rule("10.0.0.0/8", "group:workers", "443/tcp");
        if let Some(rule) = prod.rules.last_mut() {
            rule.until = Some(until);
        }
        assert_eq!(messages(&inventory, "expires-soon").len(), usize::from(told), "{until}");
    }
}

#[test]
fn an_expired_waiver_of_a_guard_that_a_rule_breaks_had_an_effect() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod");
    prod.rule("0.0.0.0/0", "group:workers", "10250/tcp");
    prod.waive.push(waiver(Waived::Guard("kubelet-public".to_owned()), Some(YESTERDAY)));
    assert_eq!(messages(&inventory, "no-effect"), [""; 0]);
}

#[test]
fn a_peer_of_the_file_that_one_cluster_uses_and_another_overrides_is_used() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod").clone();
    for (name, range, used) in [("a", "192.0.2.0/24", true), ("b", "192.0.2.0/24", false), ("c", "10.9.0.0/16", true)] {
        let mut cluster = prod.clone();
        cluster.name = ClusterName::new(name).expect("a name");
        cluster.peers.insert("office".into(), Peer::Cidrs(cidrs(&[range])));
        if used {
            cluster.rule("office", "group:workers", "443/tcp");
        }
        inventory.clusters.insert(cluster.name.clone(), cluster);
    }
    assert_eq!(messages(&inventory, "unused-peer"), [""; 0]);
}

#[test]
fn a_rule_of_the_users_own_is_no_row_to_narrow() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").rule("0.0.0.0/0", "group:workers", "1000-2000/tcp");
    let flows = flows(&inventory, TODAY);
    let desired = desired(&inventory, &flows);
    let verdict = judge(&desired, &inventory, TODAY);
    let lints = lint(&inventory, &flows, &desired, &verdict, TODAY);
    let own: Vec<&Lint> = lints.iter().filter(|lint| lint.message.contains("1000-2000/tcp")).collect();
    assert_eq!(own.len(), 1, "{lints:?}");
    assert_eq!(own[0].help, "let only those in who need it: write them under `from` of rule 1");
}

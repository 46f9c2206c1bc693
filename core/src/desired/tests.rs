use super::*;
use crate::example::{
    TODAY, cidrs, cluster_name, downstream, ec2, group, group_name, inventory, network_name, traffic,
};
use crate::flow::flows;
use crate::inventory::Link;
use crate::rule::{PeerKind, RulePeer};

fn of(inventory: &Inventory) -> Desired {
    desired(inventory, &flows(inventory, TODAY))
}

fn find<'a>(desired: &'a Desired, network: &str, security_group: &str) -> Option<&'a DesiredGroup> {
    desired.networks.get(&network_name(network))?.groups.iter().find(|g| g.security_group.as_str() == security_group)
}

/// `in TRAFFIC PEER` of a group's rules, as far as `row` is a reason.
fn rules(inventory: &Inventory, network: &str, security_group: &str, row: &str) -> Vec<String> {
    let desired = of(inventory);
    let atoms = &desired.networks[&network_name(network)].atoms;
    let show = |peer: RulePeer| match peer {
        RulePeer::Addresses(cidr) => cidr.to_string(),
        RulePeer::Opaque(PeerKind::Group, atom, family) => format!("{} {}", atoms.text(atom), family.as_str()),
        RulePeer::Opaque(kind, atom, _) => format!("{kind:?} {}", atoms.text(atom)),
    };
    let group = find(&desired, network, security_group).expect("the group is there");
    let wanted = group.rules.iter().filter(|r| row.is_empty() || r.reasons.iter().any(|reason| &*reason.row == row));
    let mut lines: Vec<String> =
        wanted.map(|r| format!("{} {} {}", r.rule.direction.as_str(), r.rule.traffic, show(r.rule.peer))).collect();
    lines.sort();
    lines
}

fn why_not(inventory: &Inventory, row: &str) -> Vec<String> {
    let desired = of(inventory);
    desired.unopened.iter().filter(|u| &*u.row == row).map(|u| u.why.to_string()).collect()
}

#[test]
fn the_ec2_group_gets_the_thirteen_rules_of_rancher_s_table() {
    let mut table = [
        "ingress 22/tcp 0.0.0.0/0",
        "ingress 80/tcp 0.0.0.0/0",
        "ingress 443/tcp 0.0.0.0/0",
        "ingress 2376/tcp 0.0.0.0/0",
        "ingress 2379-2380/tcp rancher-nodes ipv4",
        "ingress 4789/udp rancher-nodes ipv4",
        "ingress 6443/tcp 0.0.0.0/0",
        "ingress 8472/udp rancher-nodes ipv4",
        "ingress 10250-10252/tcp rancher-nodes ipv4",
        "ingress 10256/tcp rancher-nodes ipv4",
        "ingress 30000-32767/tcp 0.0.0.0/0",
        "ingress 30000-32767/udp 0.0.0.0/0",
        "egress all 0.0.0.0/0",
    ];
    table.sort_unstable();
    assert_eq!(rules(&ec2(), "eu", "rancher-nodes", ""), table);
}

#[test]
fn a_flow_between_groups_is_a_reference_at_the_group_that_is_reached() {
    let inventory = downstream("downstream-node-pools");
    assert_eq!(
        rules(&inventory, "eu", "prod-etcd", "controlplane-etcd-client"),
        ["ingress 2379/tcp prod-control ipv4"]
    );
    assert_eq!(rules(&inventory, "eu", "prod-control", "controlplane-etcd-client"), [""; 0]);
    assert_eq!(rules(&inventory, "eu", "prod-etcd", "rancher-ssh"), ["ingress 22/tcp mgmt-server ipv4"]);
}

#[test]
fn groups_may_refer_to_each_other() {
    let inventory = downstream("downstream-node-pools");
    assert!(rules(&inventory, "eu", "prod-etcd", "").contains(&"ingress 8472/udp prod-workers ipv4".to_owned()));
    assert!(rules(&inventory, "eu", "prod-workers", "").contains(&"ingress 8472/udp prod-etcd ipv4".to_owned()));
}

#[test]
fn groups_on_one_security_group_take_the_union_and_refer_to_it() {
    let mut inventory = downstream("downstream-node-pools");
    for name in ["etcd", "control"] {
        inventory.cluster("prod").group(name).security_group = group("shared");
    }
    assert_eq!(rules(&inventory, "eu", "shared", "controlplane-etcd-client"), ["ingress 2379/tcp shared ipv4"]);
    let desired = of(&inventory);
    let members = find(&desired, "eu", "shared").map(|g| g.members.clone());
    let prod = |name| (cluster_name("prod"), group_name(name));
    assert_eq!(members, Some(vec![prod("control"), prod("etcd")]));
}

#[test]
fn one_rule_has_every_reason_that_it_is_there_for() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").group("etcd").security_group = group("shared");
    inventory.cluster("prod").group("control").security_group = group("shared");
    let desired = of(&inventory);
    let shared = find(&desired, "eu", "shared").expect("the group is there");
    let client = shared.rules.iter().find(|r| r.rule.traffic == traffic("2379/tcp")).expect("the rule is there");
    let rows: Vec<&str> = client.reasons.iter().map(|reason| &*reason.row).collect();
    assert_eq!(rows, ["controlplane-etcd-client", "etcd-etcd-client"]);
}

#[test]
fn groups_are_sorted_and_external_ones_are_not_among_them() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("mgmt").external = true;
    let desired = of(&inventory);
    let names: Vec<&str> =
        desired.networks[&network_name("eu")].groups.iter().map(|g| g.security_group.as_str()).collect();
    assert_eq!(names, ["prod-control", "prod-etcd", "prod-workers"]);
}

#[test]
fn what_an_external_cluster_would_need_is_listed() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("mgmt").external = true;
    inventory.cluster("prod").set("rancher_external_lb", "false");
    let desired = of(&inventory);
    let rows: Vec<&str> = desired.elsewhere.iter().map(|flow| &*flow.reason.row).collect();
    assert!(rows.contains(&"etcd-rancher-https"), "{rows:?}");
    assert!(!rows.contains(&"rancher-ssh"), "{rows:?}");
}

#[test]
fn a_reference_has_the_families_of_the_cluster_it_comes_from() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("mgmt").set("ip_family", "dual");
    inventory.cluster("prod").set("ip_family", "ipv6");
    assert_eq!(rules(&inventory, "eu", "prod-etcd", "rancher-ssh"), ["ingress 22/tcp mgmt-server both"]);
    assert_eq!(rules(&inventory, "eu", "prod-etcd", "etcd-etcd-peer"), ["ingress 2380/tcp prod-etcd ipv6"]);
    let desired = of(&inventory);
    assert_eq!(find(&desired, "eu", "prod-etcd").map(|g| g.family), Some(Family::Ipv6));
}

#[test]
fn a_group_of_clusters_of_both_families_has_both() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("mgmt").set("ip_family", "ipv6").group("server").security_group = group("prod-etcd");
    let desired = of(&inventory);
    assert_eq!(find(&desired, "eu", "prod-etcd").map(|g| g.family), Some(Family::Both));
}

#[test]
fn every_ipv4_address_is_no_ipv6_address() {
    let mut inventory = ec2();
    inventory.cluster("prod").set("ip_family", "dual");
    assert_eq!(rules(&inventory, "eu", "rancher-nodes", "ssh"), ["ingress 22/tcp 0.0.0.0/0"]);
}

#[test]
fn every_form_of_peer_has_its_form_of_rule() {
    let mut inventory = inventory();
    let prod = inventory.add_cluster("prod", "downstream-node-pools");
    prod.add_group("workers", &["worker"]);
    prod.peer("ranges", &["203.0.113.0/24", "2001:db8::/32"]);
    for (name, peer) in [
        ("lb", Peer::SecurityGroup { group: group("sg-0123456789abcdef0"), account: None }),
        ("theirs", Peer::SecurityGroup { group: group("sg-9"), account: Some("222233334444".to_owned()) }),
        ("list", Peer::PrefixList("pl-1".to_owned())),
        ("addresses", Peer::AddressGroup("ag-1".to_owned())),
        ("tag", Peer::Tag("bastion".to_owned())),
        ("account", Peer::ServiceAccount("a@b".to_owned())),
        ("nodes", Peer::NodeGroup { cluster: cluster_name("prod"), group: None }),
    ] {
        prod.peers.insert(name.into(), peer);
    }
    for (peer, expected) in [
        ("ranges", vec!["ingress 22/tcp 2001:db8::/32", "ingress 22/tcp 203.0.113.0/24"]),
        ("lb", vec!["ingress 22/tcp sg-0123456789abcdef0 ipv4"]),
        ("theirs", vec!["ingress 22/tcp 222233334444/sg-9 ipv4"]),
        ("list", vec!["ingress 22/tcp PrefixList pl-1"]),
        ("addresses", vec!["ingress 22/tcp AddressGroup ag-1"]),
        ("tag", vec!["ingress 22/tcp bastion ipv4"]),
        ("account", vec!["ingress 22/tcp ServiceAccount a@b"]),
        ("nodes", vec!["ingress 22/tcp prod-workers ipv4"]),
    ] {
        let mut inventory = inventory.clone();
        inventory.cluster("prod").rule(peer, "group:workers", "22/tcp");
        assert_eq!(rules(&inventory, "eu", "prod-workers", "1"), expected, "{peer}");
    }
}

#[test]
fn a_rule_to_a_peer_that_is_a_group_opens_that_group() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod");
    prod.peers.insert("hub".into(), Peer::NodeGroup { cluster: cluster_name("mgmt"), group: None });
    prod.rule("group:workers", "hub", "9000/tcp");
    assert_eq!(rules(&inventory, "eu", "mgmt-server", "1"), ["ingress 9000/tcp prod-workers ipv4"]);
}

/// `prod` in a network of its own, `us`.
fn apart() -> Inventory {
    let mut inventory = downstream("downstream-node-pools");
    inventory.add_network("us");
    inventory.cluster("prod").network = network_name("us");
    inventory
}

#[test]
fn across_networks_a_group_without_addresses_is_not_opened_and_held() {
    let inventory = apart();
    assert_eq!(rules(&inventory, "us", "prod-etcd", "rancher-ssh"), [""; 0]);
    assert_eq!(why_not(&inventory, "rancher-ssh"), ["addresses unknown: mgmt/server"]);
    let desired = of(&inventory);
    let held = find(&desired, "us", "prod-etcd").map(|g| g.held.clone()).unwrap_or_default();
    assert!(held.contains(&(Direction::Ingress, traffic("22/tcp"))), "{held:?}");
}

#[test]
fn across_networks_the_public_addresses_are_used_else_those_of_address_translation() {
    let mut inventory = apart();
    inventory.add_network("eu").nat.clear();
    inventory.networks.get_mut("eu").expect("it is there").nat = cidrs(&["192.0.2.10/32"]);
    assert_eq!(rules(&inventory, "us", "prod-etcd", "rancher-ssh"), ["ingress 22/tcp 192.0.2.10/32"]);
    inventory.cluster("mgmt").group("server").addresses.public = cidrs(&["192.0.2.77/32", "2001:db8::7/128"]);
    assert_eq!(rules(&inventory, "us", "prod-etcd", "rancher-ssh"), ["ingress 22/tcp 192.0.2.77/32"]);
}

#[test]
fn a_private_link_uses_private_addresses() {
    let mut inventory = apart();
    inventory.link("eu", "us", Link::Private);
    inventory.cluster("mgmt").group("server").addresses.private = cidrs(&["10.9.0.0/24"]);
    assert_eq!(rules(&inventory, "us", "prod-etcd", "rancher-ssh"), ["ingress 22/tcp 10.9.0.0/24"]);
}

#[test]
fn a_reference_link_names_the_group_of_the_other_network() {
    let mut inventory = apart();
    inventory.link("eu", "us", Link::Reference);
    assert_eq!(rules(&inventory, "us", "prod-etcd", "rancher-ssh"), ["ingress 22/tcp eu › mgmt-server ipv4"]);
    inventory.cluster("mgmt").group("server").security_group = group("sg-0a");
    assert_eq!(rules(&inventory, "us", "prod-etcd", "rancher-ssh"), ["ingress 22/tcp sg-0a ipv4"]);
    let eu = inventory.networks.get_mut("eu").expect("it is there");
    eu.at.insert("account".to_owned(), "111122223333".into());
    assert_eq!(rules(&inventory, "us", "prod-etcd", "rancher-ssh"), ["ingress 22/tcp 111122223333/sg-0a ipv4"]);
}

#[test]
fn local_traffic_needs_no_rule_unless_the_group_is_multihomed() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").set("host_firewall_strict", "true");
    assert_eq!(rules(&inventory, "eu", "prod-workers", "worker-canal-probe"), [""; 0]);
    let workers = inventory.cluster("prod").group("workers");
    workers.multihomed = Some(true);
    workers.addresses.private = cidrs(&["10.1.2.0/24"]);
    workers.addresses.public = cidrs(&["192.0.2.5/32"]);
    assert_eq!(
        rules(&inventory, "eu", "prod-workers", "worker-canal-probe"),
        ["ingress 9099/tcp 10.1.2.0/24", "ingress 9099/tcp 192.0.2.5/32", "ingress 9099/tcp prod-workers ipv4"]
    );
}

#[test]
fn a_multihomed_group_is_named_by_its_addresses_as_well() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod").set("multihomed", "true");
    prod.group("control").addresses.private = cidrs(&["10.1.1.0/24"]);
    assert_eq!(
        rules(&inventory, "eu", "prod-etcd", "controlplane-etcd-client"),
        ["ingress 2379/tcp 10.1.1.0/24", "ingress 2379/tcp prod-control ipv4"]
    );
}

#[test]
fn open_egress_needs_no_rule_and_reports_no_name() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").set("rancher_external_lb", "true").peer("rancher-external-lb", &["192.0.2.9/32"]);
    let desired = of(&inventory);
    let groups = &desired.networks[&network_name("eu")].groups;
    assert!(groups.iter().flat_map(|g| &g.rules).all(|r| r.rule.direction == Direction::Ingress));
    assert_eq!(desired.unopened, []);
}

#[test]
fn strict_egress_needs_a_rule_where_a_flow_leaves() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod");
    prod.egress = EgressMode::Strict;
    prod.set("rancher_external_lb", "true").peer("rancher-external-lb", &["192.0.2.9/32"]);
    assert_eq!(rules(&inventory, "eu", "prod-etcd", "etcd-kube-api"), ["egress 6443/tcp prod-control ipv4"]);
    assert_eq!(rules(&inventory, "eu", "prod-etcd", "etcd-rancher-lb-https"), ["egress 443/tcp 192.0.2.9/32"]);
    assert_eq!(
        rules(&inventory, "eu", "prod-etcd", "etcd-etcd-peer"),
        ["egress 2380/tcp prod-etcd ipv4", "ingress 2380/tcp prod-etcd ipv4"]
    );
    let desired = of(&inventory);
    assert_eq!(find(&desired, "eu", "prod-etcd").map(|g| g.egress), Some(EgressMode::Strict));
    assert_eq!(find(&desired, "eu", "mgmt-server").map(|g| g.egress), Some(EgressMode::Open));
}

#[test]
fn strict_egress_reports_a_name_until_it_has_ranges() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("mgmt").egress = EgressMode::Strict;
    assert_eq!(why_not(&inventory, "out-catalog"), ["name needs cidrs: git.rancher.io"]);
    inventory.cluster("mgmt").peer("git.rancher.io", &["192.0.2.1/32"]);
    assert_eq!(why_not(&inventory, "out-catalog"), [""; 0]);
    assert_eq!(rules(&inventory, "eu", "mgmt-server", "out-catalog"), ["egress 443/tcp 192.0.2.1/32"]);
}

#[test]
fn what_an_unopened_row_asks_for_is_held_in_its_group() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("mgmt").set("provisioner", "node-driver");
    let desired = of(&inventory);
    let held = |name| find(&desired, "eu", name).map(|g| g.held.clone()).unwrap_or_default();
    assert!(held("prod-control").contains(&(Direction::Ingress, traffic("6443/tcp"))));
    assert!(held("prod-workers").contains(&(Direction::Ingress, traffic("30000-32767/udp"))));
    assert_eq!(held("prod-etcd"), []);
}

#[test]
fn addresses_of_a_referenced_group_are_known_only_where_all_members_have_some() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").group("control").addresses.private = cidrs(&["10.1.1.0/24"]);
    let known = |inventory: &Inventory| {
        let desired = of(inventory);
        find(&desired, "eu", "prod-etcd").map(|g| g.addresses.values().flatten().copied().collect::<Vec<_>>())
    };
    assert_eq!(known(&inventory), Some(cidrs(&["10.1.1.0/24"])));
    inventory.cluster("prod").add_group("more", &["controlplane"]).security_group = group("prod-control");
    assert_eq!(known(&inventory), Some(Vec::new()));
}

#[test]
fn the_same_input_gives_the_same_output() {
    let inventory = downstream("downstream-custom-nodes");
    assert_eq!(format!("{:?}", of(&inventory)), format!("{:?}", of(&inventory)));
}

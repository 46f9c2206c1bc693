use super::*;
use crate::desired::desired;
use crate::example::{TODAY, YESTERDAY, cidrs, downstream, ec2, end, group_name, traffic};
use crate::flow::flows;

fn of(inventory: &Inventory) -> Desired {
    desired(inventory, &flows(inventory, TODAY))
}

fn refused(inventory: &Inventory) -> Vec<String> {
    let verdict = judge(&of(inventory), inventory, TODAY);
    verdict.refused.iter().map(|b| format!("{} {} {}", b.guard, b.traffic, b.security_group)).collect()
}

fn opened(from: &str, allow: &str) -> Inventory {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").rule(from, "group:workers", allow);
    inventory
}

#[test]
fn the_shipped_guards_are_right() {
    let traffic: BTreeMap<String, Vec<String>> = parse(TEXT)
        .expect("they parse")
        .iter()
        .map(|guard| (guard.name.to_string(), guard.traffic.iter().map(ToString::to_string).collect()))
        .collect();
    assert_eq!(traffic["vxlan-public"], ["8472/udp", "4789/udp"]);
    assert_eq!(traffic["etcd-public"], ["2379-2380/tcp"]);
    assert_eq!(traffic["kubelet-public"], ["10250/tcp", "10255/tcp"]);
    assert_eq!(traffic["docker-public"], ["2375-2376/tcp"]);
}

#[test]
fn an_address_is_public_outside_the_private_ranges() {
    for (range, public) in [
        ("0.0.0.0/0", true),
        ("::/0", true),
        ("10.0.0.0/8", false),
        ("10.0.0.0/7", true),
        ("172.31.255.255/32", false),
        ("172.32.0.0/32", true),
        ("192.168.0.0/16", false),
        ("100.64.0.0/10", false),
        ("100.128.0.0/32", true),
        ("127.0.0.1/32", false),
        ("169.254.169.254/32", false),
        ("fd00::/8", false),
        ("fe80::1/128", false),
        ("::1/128", false),
        ("2001:db8::/32", true),
    ] {
        assert_eq!(cidrs(&[range]).into_iter().map(|c| is_public(c, &[])).collect::<Vec<_>>(), [public], "{range}");
    }
}

#[test]
fn trusted_ranges_are_not_public_together_with_their_neighbours() {
    let trusted = cidrs(&["203.0.113.0/25", "203.0.113.128/25"]);
    assert!(!is_public(cidrs(&["203.0.113.0/24"])[0], &trusted));
    assert!(is_public(cidrs(&["203.0.112.0/23"])[0], &trusted));
}

#[test]
fn a_guarded_port_open_to_public_addresses_is_refused() {
    assert_eq!(refused(&opened("0.0.0.0/0", "2379/tcp")), ["etcd-public 2379/tcp prod-workers"]);
    assert_eq!(refused(&opened("2001:db8::/32", "8472/udp")), ["vxlan-public 8472/udp prod-workers"]);
}

#[test]
fn a_wide_rule_is_refused_for_each_guarded_part() {
    assert_eq!(
        refused(&opened("0.0.0.0/0", "10200-10255/tcp")),
        [
            "kubelet-public 10250/tcp prod-workers",
            "kubelet-public 10255/tcp prod-workers",
            "control-public 10249/tcp prod-workers",
            "control-public 10251-10252/tcp prod-workers",
            "probe-public 10254/tcp prod-workers"
        ]
    );
    assert!(refused(&opened("0.0.0.0/0", "all")).contains(&"docker-public 2375-2376/tcp prod-workers".to_owned()));
}

#[test]
fn private_trusted_and_unguarded_sources_pass() {
    assert_eq!(refused(&opened("10.0.0.0/8", "2379/tcp")), [""; 0]);
    assert_eq!(refused(&opened("0.0.0.0/0", "443/tcp")), [""; 0]);
    assert_eq!(refused(&opened("0.0.0.0/0", "8472/tcp")), [""; 0]);
    let mut inventory = opened("203.0.113.0/24", "2379/tcp");
    assert_eq!(refused(&inventory).len(), 1);
    inventory.trusted = cidrs(&["203.0.112.0/23"]);
    assert_eq!(refused(&inventory), [""; 0]);
}

#[test]
fn a_waiver_in_force_allows_and_is_said() {
    let mut inventory = opened("0.0.0.0/0", "10250/tcp");
    let waiver = inventory.cluster("prod").waive_guard("kubelet-public");
    (waiver.groups, waiver.until) = (vec![group_name("workers")], Some(TODAY));
    let verdict = judge(&of(&inventory), &inventory, TODAY);
    assert_eq!(verdict.refused, []);
    let allowed: Vec<&Allowed> = verdict.allowed.iter().map(|(_, by)| by).collect();
    assert_eq!(allowed, [&Allowed::Waiver("because".to_owned())]);
}

#[test]
fn a_waiver_for_other_groups_or_another_guard_does_not_allow() {
    let mut inventory = opened("0.0.0.0/0", "10250/tcp");
    inventory.cluster("prod").waive_guard("kubelet-public").groups = vec![group_name("etcd")];
    inventory.cluster("prod").waive_guard("etcd-public");
    assert_eq!(refused(&inventory).len(), 1);
}

#[test]
fn what_an_expired_waiver_allowed_is_withdrawn_not_refused() {
    let mut inventory = opened("0.0.0.0/0", "10240-10260/tcp");
    for guard in ["kubelet-public", "control-public", "probe-public"] {
        inventory.cluster("prod").waive_guard(guard).until = Some(YESTERDAY);
    }
    let mut desired = of(&inventory);
    let verdict = judge(&desired, &inventory, TODAY);
    assert_eq!(verdict.refused, []);
    withdraw(&mut desired, &verdict.expired);
    let groups = desired.networks.values().flat_map(|network| &network.groups);
    let own = groups.flat_map(|g| &g.rules).filter(|r| r.reasons.iter().any(|reason| &*reason.profile == "inventory"));
    let left: Vec<String> = own.map(|r| r.rule.traffic.to_string()).collect();
    assert_eq!(left, ["10240-10248/tcp", "10253/tcp", "10258/tcp", "10260/tcp"]);
}

#[test]
fn a_row_that_names_the_public_range_is_allowed_and_said() {
    let inventory = ec2();
    let verdict = judge(&of(&inventory), &inventory, TODAY);
    assert_eq!((verdict.refused.len(), verdict.expired.len()), (0, 0));
    let rows: Vec<String> = verdict
        .allowed
        .iter()
        .map(|(breach, by)| match by {
            Allowed::Row(reason) => format!("{} {} {}", breach.guard, breach.traffic, reason.row),
            Allowed::Waiver(why) => why.clone(),
        })
        .collect();
    assert_eq!(rows, ["docker-public 2376/tcp docker-tls"]);
}

#[test]
fn such_a_row_exempts_only_its_own_traffic_and_range() {
    let mut inventory = ec2();
    let prod = inventory.cluster("prod");
    prod.rule("198.51.100.0/24", "group:all", "2376/tcp");
    assert_eq!(refused(&inventory), [""; 0]);
    inventory.cluster("prod").rule("0.0.0.0/0", "group:all", "2375/tcp");
    inventory.cluster("prod").rule("::/0", "group:all", "2376/tcp");
    assert_eq!(refused(&inventory), ["docker-public 2375/tcp rancher-nodes", "docker-public 2376/tcp rancher-nodes"]);
}

#[test]
fn narrowed_to_trusted_peers_the_row_needs_no_exemption() {
    let mut inventory = ec2();
    inventory.trusted = cidrs(&["198.51.100.0/24"]);
    inventory.cluster("prod").narrow("docker-tls", "198.51.100.0/24").from = vec![end("198.51.100.0/24")];
    assert_eq!(judge(&of(&inventory), &inventory, TODAY), Verdict::default());
}

#[test]
fn the_guards_of_a_group_are_those_that_it_does_not_waive() {
    let mut inventory = ec2();
    inventory.cluster("prod").waive_guard("etcd-public");
    inventory.cluster("prod").waive_guard("vxlan-public").until = Some(YESTERDAY);
    let desired = of(&inventory);
    let group = desired.networks.values().flat_map(|n| &n.groups).next().expect("one group");
    let set = guard_set(group, &inventory, TODAY);
    let names: Vec<&str> = set.guards.iter().map(|guard| &*guard.name).collect();
    assert!(!names.contains(&"etcd-public") && names.contains(&"vxlan-public"), "{names:?}");
    assert!(set.exempt.contains(&(traffic("2376/tcp"), Cidr::ANY_V4)));
}

/// Breaches of a cluster on K3s with Flannel's WireGuard backend, one port of which is open to the world.
fn wireguard(port: &str) -> Inventory {
    let mut inventory = crate::example::inventory();
    let it = inventory.add_cluster("prod", "k3s");
    it.set("cni", "flannel").set("cni_backend", "wireguard").add_group("workers", &["k3s-agent", "k3s-server"]);
    it.rule("0.0.0.0/0", "group:workers", port);
    inventory
}

#[test]
fn a_row_that_forbids_public_ranges_is_a_guard_of_its_name() {
    assert_eq!(refused(&wireguard("51820/udp")), ["wireguard-v4 51820/udp prod-workers"]);
    let mut inventory = wireguard("51820/udp");
    inventory.cluster("prod").waive_guard("wireguard-v4");
    assert_eq!(refused(&inventory), [""; 0]);
}

#[test]
fn a_row_that_is_closed_forbids_nothing() {
    let mut inventory = wireguard("51820/udp");
    inventory.cluster("prod").set("cni_backend", "host-gw");
    assert_eq!(refused(&inventory), [""; 0]);
}

#[test]
fn what_a_named_guard_forbids_is_not_forbidden_twice() {
    let mut inventory = wireguard("8472/udp");
    inventory.cluster("prod").set("cni_backend", "vxlan");
    assert_eq!(refused(&inventory), ["vxlan-public 8472/udp prod-workers"]);
}

#[test]
fn a_guard_of_the_user_s_own_refuses_and_is_listed() {
    let mut inventory = opened("0.0.0.0/0", "4000/tcp");
    let guard = Guard {
        name: "agent-public".into(),
        traffic: vec![crate::example::traffic("4000/tcp")],
        why: "it runs commands".to_owned(),
        source: "NET-12".to_owned(),
    };
    inventory.guards.push(guard.clone());
    assert_eq!(refused(&inventory), ["agent-public 4000/tcp prod-workers"]);
    inventory.cluster("prod").waive_guard("agent-public").groups = vec![group_name("workers")];
    let in_force = GuardsInForce::of(&of(&inventory), &inventory, TODAY);
    assert!(in_force.all().any(|listed| *listed == guard));
    assert_eq!(set_aside(&in_force, &guard), ["eu/prod-workers"]);
}

#[test]
fn a_row_of_the_user_s_own_that_names_a_public_range_is_refused() {
    let mut inventory = ec2();
    assert_eq!(refused(&inventory), [""; 0]);
    let prod = inventory.cluster("prod");
    let mut own = (*prod.profile).clone();
    own.rows.iter_mut().for_each(|row| row.shipped = false);
    prod.profile = std::sync::Arc::new(own);
    assert_eq!(refused(&inventory), ["docker-public 2376/tcp rancher-nodes"]);
}

#[test]
fn every_port_that_the_sources_warn_of_has_a_guard() {
    let all: Vec<Traffic> = guards().iter().flat_map(|guard| &guard.traffic).copied().collect();
    for text in [
        "8472/udp",
        "4789/udp",
        "2379-2380/tcp",
        "10250/tcp",
        "10255/tcp",
        "2375-2376/tcp",
        "8443/tcp",
        "9443/tcp",
        "10249/tcp",
        "10256/tcp",
        "10257/tcp",
        "10259/tcp",
        "10251/tcp",
        "10252/tcp",
        "179/tcp",
        "6783/tcp",
        "6783-6784/udp",
        "9099/tcp",
        "9796/tcp",
        "10254/tcp",
    ] {
        assert_eq!(without(crate::example::traffic(text), &all), [], "{text}");
    }
    let catalog = crate::profile::Catalog::shipped();
    let common = catalog.tables("common-ports").remove(0);
    let warned = common.rows.iter().filter(|row| row.forbid_public).flat_map(crate::profile::show::traffic);
    for text in warned {
        let traffic = Traffic::parse_list(&text).expect("traffic");
        assert!(traffic.into_iter().all(|traffic| without(traffic, &all).is_empty()), "{text}");
    }
}

#[test]
fn a_row_s_guard_is_set_aside_in_groups_of_other_clusters() {
    let mut inventory = wireguard("443/tcp");
    inventory.add_cluster("other", "k3s").set("cni_backend", "vxlan").add_group("all", &["k3s-server"]);
    let in_force = GuardsInForce::of(&of(&inventory), &inventory, TODAY);
    let guard = in_force.all().find(|guard| &*guard.name == "wireguard-v4").expect("the row is open");
    assert_eq!(set_aside(&in_force, guard), ["eu/other-all"]);
    let etcd = in_force.all().find(|guard| &*guard.name == "etcd-public").expect("it ships");
    assert_eq!(set_aside(&in_force, etcd), [""; 0]);
}

/// Groups, `NETWORK/SECURITY_GROUP`, in which a guard is not in force.
fn set_aside(in_force: &GuardsInForce, guard: &Guard) -> Vec<String> {
    let aside = in_force.sets.iter().filter(|(_, set)| !set.has(guard));
    aside.map(|((network, group), _)| format!("{network}/{group}")).collect()
}

use super::*;
use crate::example::{TODAY, cidrs, downstream, group_name, inventory};
use crate::flow::flows;
use crate::profile::Catalog;

fn rules(inventory: &Inventory, group: &str) -> HostRules {
    let flows = flows(inventory, TODAY);
    let cluster = inventory.clusters.values().find(|c| c.name.as_str() == "prod").expect("it is there");
    host_rules(inventory, &flows, cluster, &group_name(group))
}

fn suse() -> Render {
    let profile = Catalog::shipped().tables("suse-host-firewall").into_iter().next().expect("it ships");
    profile.render.clone().expect("it says how")
}

/// What a shell reads from such a file: the words of a variable.
fn words<'a>(file: &'a str, variable: &str) -> Vec<&'a str> {
    let line = file.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix("=\"")?.strip_suffix('"'));
    line.expect("the variable is set").split(' ').collect()
}

#[test]
fn a_node_of_all_roles_needs_what_rancher_s_page_for_suse_sets_by_hand() {
    // Rancher v2.0-v2.4 Port Requirements, Opening SUSE Linux Ports.
    let tcp = "22 80 443 2376 2379 2380 6443 9099 9796 10250 10254 30000:32767";
    let mut inventory = inventory();
    inventory.add_cluster("mgmt", "rancher-server-k3s").add_group("server", &["rancher-server", "k3s-server"]);
    let prod = inventory.add_cluster("prod", "downstream-node-pools");
    prod.rancher = Some(crate::example::cluster_name("mgmt"));
    prod.set("cni", "canal").set("monitoring", "true").set("nodeport_services", "true").set("ingress", "true");
    prod.set("authorized_cluster_endpoint", "true").set("rancher_external_lb", "false");
    // Its list has what stays on the node, too: probes.
    prod.set("host_firewall_strict", "true");
    for peer in ["workload-clients", "kube-api-clients", "rancher-clients"] {
        prod.peers.insert(peer.into(), Peer::Cidrs(cidrs(&["0.0.0.0/0"])));
    }
    prod.rule("10.0.0.0/8", "group:all", "9796/tcp");
    prod.add_group("all", &["etcd", "controlplane", "worker"]);
    let file = rules(&inventory, "all").suse(&suse());
    let open: Vec<(u16, u16)> = words(&file, "FW_SERVICES_EXT_TCP")
        .into_iter()
        .map(|word| {
            let (from, to) = word.split_once(':').unwrap_or((word, word));
            (from.parse().expect("a port"), to.parse().expect("a port"))
        })
        .collect();
    for word in tcp.split(' ') {
        let port: u16 = word.split(':').next().and_then(|port| port.parse().ok()).expect("a port");
        assert!(open.iter().any(|(from, to)| (*from..=*to).contains(&port)), "{port} is not in {file}");
    }
    assert!(words(&file, "FW_SERVICES_EXT_UDP").contains(&"8472"), "{file}");
    assert!(file.contains("FW_ROUTE=yes") && file.contains("then run: SuSEfirewall2"), "{file}");
}

#[test]
fn a_source_with_addresses_is_narrow_and_one_without_is_said() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod");
    prod.set("cni", "canal");
    let control = group_name("control");
    prod.groups.get_mut(&control).expect("it is there").addresses.private = cidrs(&["10.1.3.0/24"]);
    let rules = rules(&inventory, "etcd");
    let nft = rules.nftables();
    assert!(nft.contains("ip saddr 10.1.3.0/24 tcp dport 2379"), "{nft}");
    // etcd's own nodes have no addresses: peers of etcd come from anywhere.
    assert!(nft.contains("\n    tcp dport 2379-2380 accept"), "{nft}");
    assert!(nft.contains("since those of etcd are not known: "), "{nft}");
    let firewalld = rules.firewalld();
    assert!(firewalld.contains("firewall-cmd --permanent --add-port=2379-2380/tcp\n"), "{firewalld}");
    let rich = "--add-rich-rule='rule family=\"ipv4\" source address=\"10.1.3.0/24\" port port=\"2379-2380\" protocol=\"tcp\" accept'";
    assert!(firewalld.contains(rich), "{firewalld}");
    assert!(firewalld.ends_with("firewall-cmd --reload\n"));
}

#[test]
fn traffic_without_ports_is_a_protocol() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").rule("10.0.0.0/8", "group:workers", "esp");
    let rules = rules(&inventory, "workers");
    assert!(rules.nftables().contains("ip saddr 10.0.0.0/8 meta l4proto 50 accept"), "{}", rules.nftables());
    assert!(rules.firewalld().contains("source address=\"10.0.0.0/8\" protocol value=\"50\" accept"));
    assert!(rules.suse(&suse()).contains("# not among these variables: "), "{}", rules.suse(&suse()));
}

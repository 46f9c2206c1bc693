use super::*;
use crate::example::{TODAY, cidrs, downstream, group_name, inventory};
use crate::flow::flows;
use crate::profile::Catalog;

fn rules(inventory: &Inventory, group: &str) -> HostRules {
    let flows = flows(inventory, TODAY);
    let cluster = inventory.clusters.values().find(|c| c.name.as_str() == "prod").expect("it is there");
    host_rules(inventory, &flows, (cluster, &group_name(group)), &BTreeSet::new())
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

/// Rules of `prod/workers` where each of these is let in.
fn with_rules(asked: &[(&str, &str)]) -> HostRules {
    let mut inventory = downstream("downstream-node-pools");
    for (from, traffic) in asked {
        inventory.cluster("prod").rule(from, "group:workers", traffic);
    }
    rules(&inventory, "workers")
}

#[test]
fn suse_opens_every_port_for_all_and_names_what_it_can_not() {
    let file = with_rules(&[("10.0.0.0/8", "all")]).suse(&suse());
    assert_eq!(words(&file, "FW_SERVICES_EXT_TCP"), ["0:65535"]);
    assert_eq!(words(&file, "FW_SERVICES_EXT_UDP"), ["0:65535"]);
    assert!(file.contains("# not among these variables: every other protocol\n"), "{file}");
    let file = with_rules(&[("10.0.0.0/8", "36412/sctp")]).suse(&suse());
    assert!(file.contains("# not among these variables: 36412/sctp\n"), "{file}");
}

#[test]
fn nftables_takes_each_protocol_and_each_type_as_it_is() {
    let asked = [
        ("10.0.0.0/8", "36412/sctp"),
        ("10.1.0.0/16", "icmp/8/0"),
        ("2001:db8::/32", "icmpv6/128"),
        ("2001:db8:1::/48", "icmp/8"),
        ("0.0.0.0/0", "8443/tcp"),
        ("10.2.0.0/16", "all"),
    ];
    let nft = with_rules(&asked).nftables();
    for line in [
        "ip saddr 10.0.0.0/8 sctp dport 36412 accept",
        "ip saddr 10.1.0.0/16 icmp type 8 icmp code 0 accept",
        "ip6 saddr 2001:db8::/32 icmpv6 type 128 accept",
        "# no such packets: icmp/8 from 2001:db8:1::/48",
        "meta nfproto ipv4 tcp dport 8443 accept",
        "ip saddr 10.2.0.0/16 accept",
    ] {
        assert!(nft.contains(&format!("\n    {line}\n")), "{line}: {nft}");
    }
    assert!(nft.contains("\ntable inet rsgsync\ndelete table inet rsgsync\ntable inet rsgsync {\n"), "{nft}");
    assert!(!nft.contains("{ icmp, ipv6-icmp }"), "{nft}");
}

#[test]
fn firewalld_gets_only_words_that_it_knows() {
    let asked = [
        ("10.0.0.0/8", "36412/sctp"),
        ("10.1.0.0/16", "icmp/8/0"),
        ("10.1.0.0/16", "icmp/3/4"),
        ("2001:db8::/32", "icmpv6"),
        ("0.0.0.0/0", "8443/tcp"),
        ("10.2.0.0/16", "all"),
    ];
    let file = with_rules(&asked).firewalld();
    for rule in [
        r#"family="ipv4" source address="10.0.0.0/8" port port="36412" protocol="sctp" accept"#,
        r#"family="ipv4" source address="10.1.0.0/16" icmp-type name="echo-request" accept"#,
        r#"family="ipv4" source address="10.1.0.0/16" protocol value="1" accept"#,
        r#"family="ipv6" source address="2001:db8::/32" protocol value="58" accept"#,
        r#"family="ipv4" source address="0.0.0.0/0" port port="8443" protocol="tcp" accept"#,
        r#"family="ipv4" source address="10.2.0.0/16" accept"#,
    ] {
        assert!(file.contains(&format!("'rule {rule}'\n")), "{rule}: {file}");
    }
    assert!(file.contains("since firewalld can't be as narrow as icmp/3/4:\n"), "{file}");
}

#[test]
fn every_address_of_both_families_is_open_and_of_one_is_not() {
    let both = with_rules(&[("0.0.0.0/0", "8443/tcp"), ("::/0", "8443/tcp")]);
    assert!(both.firewalld().contains("--add-port=8443/tcp\n"), "{}", both.firewalld());
    assert!(both.nftables().contains("\n    tcp dport 8443 accept\n"), "{}", both.nftables());
    let one = with_rules(&[("0.0.0.0/0", "8443/tcp")]);
    assert!(!one.firewalld().contains("--add-port=8443/tcp"), "{}", one.firewalld());
}

#[test]
fn what_is_withdrawn_does_not_get_in() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").rule("0.0.0.0/0", "group:workers", "8443/tcp");
    let withdrawn = [(Cidr::ANY_V4, Traffic::parse("8443/tcp").expect("it is one"))].into();
    let prod = &inventory.clusters[&crate::example::cluster_name("prod")];
    let rules = host_rules(&inventory, &flows(&inventory, TODAY), (prod, &group_name("workers")), &withdrawn);
    assert!(!rules.nftables().contains("8443"), "{}", rules.nftables());
}

#[test]
fn another_network_is_seen_by_the_addresses_that_its_security_group_lets_in() {
    use crate::inventory::Link;
    let mut inventory = downstream("downstream-node-pools");
    inventory.add_network("us");
    let (eu, us) = (crate::name::NetworkName::new("eu"), crate::name::NetworkName::new("us"));
    let (eu, us) = (eu.expect("a name"), us.expect("a name"));
    let server = inventory.add_cluster("far", "rancher-server-k3s");
    server.network = us.clone();
    server.add_group("server", &["rancher-server", "k3s-server"]).addresses.private = cidrs(&["10.9.0.0/24"]);
    let far = inventory.networks.get_mut(&us).expect("it is there");
    far.links.insert(eu, Link::Public);
    far.nat = cidrs(&["192.0.2.10/32"]);
    let peer = Peer::NodeGroup { cluster: crate::example::cluster_name("far"), group: None };
    inventory.cluster("prod").peers.insert("far".into(), peer);
    inventory.cluster("prod").rule("far", "group:workers", "9443/tcp");
    let nft = rules(&inventory, "workers").nftables();
    assert!(nft.contains("ip saddr 192.0.2.10/32 tcp dport 9443 accept"), "{nft}");
    assert!(!nft.contains("10.9.0.0/24"), "{nft}");
}

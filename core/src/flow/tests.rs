use super::*;
use crate::example::{TODAY, YESTERDAY, cidrs, downstream, ec2, group_name, inventory, traffic};
use crate::inventory::Inventory;
use crate::profile::{Condition, OptionValue, ProfileKind};

fn show(end: &End) -> String {
    match end {
        End::Group(cluster, group) => format!("{cluster}/{group}"),
        End::Peer(peer) => peer.to_string(),
        End::Cidr(cidr) => cidr.to_string(),
        End::Name(name) => name.to_string(),
        End::SelfGroup => "self".to_owned(),
    }
}

/// `FROM > TO TRAFFIC ROW` of one cluster's flows.
fn lines(inventory: &Inventory, cluster: &str) -> BTreeSet<String> {
    let flows = flows(inventory, TODAY).flows.into_iter().filter(|flow| flow.cluster.as_str() == cluster);
    flows.map(|f| format!("{} > {} {} {}", show(&f.from), show(&f.to), f.traffic, f.reason.row)).collect()
}

fn of_row(inventory: &Inventory, cluster: &str, row: &str) -> Vec<String> {
    let tail = format!(" {row}");
    lines(inventory, cluster).iter().filter_map(|line| line.strip_suffix(&tail)).map(str::to_owned).collect()
}

fn why_not(inventory: &Inventory, cluster: &str, row: &str) -> Vec<String> {
    let unopened = flows(inventory, TODAY).unopened;
    let of_row = unopened.iter().filter(|u| u.cluster.as_str() == cluster && &*u.row == row);
    of_row.map(|u| u.why.to_string()).collect()
}

fn asks(inventory: &Inventory, cluster: &str, row: &str) -> Vec<String> {
    let unopened = flows(inventory, TODAY).unopened;
    let of_row = unopened.iter().filter(|u| u.cluster.as_str() == cluster && &*u.row == row);
    let asks = of_row.flat_map(|u| &u.asks);
    asks.map(|a| format!("{} {}/{} {}", a.direction.as_str(), a.cluster, a.group, a.traffic)).collect()
}

fn assumed(inventory: &Inventory, cluster: &str) -> Vec<String> {
    let assumed = flows(inventory, TODAY).assumed;
    let of_cluster = assumed.iter().filter(|a| a.cluster.as_str() == cluster);
    of_cluster.map(|a| format!("{}={} ({})", a.option, a.value, a.source)).collect()
}

/// The rows whose flows differ when `change` is made to cluster `prod`.
fn changed_rows(profile: &str, before: &[(&str, &str)], option: &str, values: [&str; 2]) -> BTreeSet<String> {
    let with = |value: &str| {
        let mut inventory = downstream(profile);
        let prod = inventory.cluster("prod");
        for peer in ["workload-clients", "kube-api-clients", "rancher-external-lb"] {
            prod.peer(peer, &["198.51.100.0/24"]);
        }
        for (option, value) in before {
            prod.set(option, value);
        }
        prod.set(option, value);
        // Rows of add-ons have tests of their own.
        let mut own = (*prod.profile).clone();
        own.rows.retain(|row| row.profile == own.name);
        prod.profile = Arc::new(own);
        lines(&inventory, "prod")
    };
    let (a, b) = (with(values[0]), with(values[1]));
    a.symmetric_difference(&b).filter_map(|line| line.rsplit_once(' ')).map(|(_, row)| row.to_owned()).collect()
}

fn set(rows: &[&str]) -> BTreeSet<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

#[test]
fn the_ec2_group_has_the_thirteen_rows_of_rancher_s_table() {
    // "Rancher AWS EC2 Security Group" of Rancher v2.0-v2.4 Port Requirements; a group as source is the group itself.
    let table = [
        "0.0.0.0/0 > prod/all 22/tcp",
        "0.0.0.0/0 > prod/all 80/tcp",
        "0.0.0.0/0 > prod/all 443/tcp",
        "0.0.0.0/0 > prod/all 2376/tcp",
        "self > prod/all 2379-2380/tcp",
        "self > prod/all 4789/udp",
        "0.0.0.0/0 > prod/all 6443/tcp",
        "self > prod/all 8472/udp",
        "self > prod/all 10250-10252/tcp",
        "self > prod/all 10256/tcp",
        "0.0.0.0/0 > prod/all 30000-32767/tcp",
        "0.0.0.0/0 > prod/all 30000-32767/udp",
        "prod/all > 0.0.0.0/0 all",
    ];
    let lines = lines(&ec2(), "prod");
    let flows: BTreeSet<&str> = lines.iter().filter_map(|line| line.rsplit_once(' ')).map(|(flow, _)| flow).collect();
    assert_eq!(flows, BTreeSet::from(table));
}

#[test]
fn a_row_between_two_roles_joins_every_group_of_the_one_with_every_group_of_the_other() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").add_group("more", &["worker"]);
    assert_eq!(
        of_row(&inventory, "prod", "controlplane-kubelet"),
        [
            "prod/control > prod/control 10250/tcp",
            "prod/control > prod/etcd 10250/tcp",
            "prod/control > prod/more 10250/tcp",
            "prod/control > prod/workers 10250/tcp",
        ]
    );
}

#[test]
fn a_group_of_several_roles_reaches_itself() {
    let mut inventory = inventory();
    inventory.add_cluster("prod", "downstream-node-pools").add_group("all", &["etcd", "controlplane", "worker"]);
    assert_eq!(of_row(&inventory, "prod", "worker-kube-api"), ["prod/all > prod/all 6443/tcp"]);
}

#[test]
fn a_role_without_members_drops_out() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").groups.shift_remove("etcd");
    assert!(lines(&inventory, "prod").iter().all(|line| !line.contains("2379")));
    assert_eq!(why_not(&inventory, "prod", "controlplane-etcd-client"), [""; 0]);
}

#[test]
fn rancher_s_nodes_are_those_of_the_cluster_that_manages_this_one() {
    let inventory = downstream("downstream-node-pools");
    assert_eq!(
        of_row(&inventory, "prod", "rancher-ssh"),
        ["mgmt/server > prod/control 22/tcp", "mgmt/server > prod/etcd 22/tcp", "mgmt/server > prod/workers 22/tcp"]
    );
}

#[test]
fn without_rancher_its_rows_are_not_opened_and_their_traffic_is_asked_for() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").rancher = None;
    assert_eq!(of_row(&inventory, "prod", "rancher-docker-tls"), [""; 0]);
    assert_eq!(why_not(&inventory, "prod", "rancher-docker-tls"), ["rancher not set"]);
    assert_eq!(
        asks(&inventory, "prod", "rancher-docker-tls"),
        ["ingress prod/control 2376/tcp", "ingress prod/etcd 2376/tcp", "ingress prod/workers 2376/tcp"]
    );
}

#[test]
fn a_rancher_server_s_own_rows_speak_of_its_own_groups() {
    assert_eq!(
        of_row(&downstream("downstream-node-pools"), "mgmt", "https-rancher"),
        ["mgmt/server > mgmt/server 443/tcp"]
    );
}

#[test]
fn a_name_is_an_end_until_it_has_ranges() {
    let mut inventory = downstream("downstream-node-pools");
    assert_eq!(of_row(&inventory, "mgmt", "out-catalog"), ["mgmt/server > git.rancher.io 443/tcp"]);
    inventory.cluster("mgmt").peer("git.rancher.io", &["192.0.2.1/32"]);
    let flows = flows(&inventory, TODAY).flows;
    let catalog = flows.iter().find(|flow| &*flow.reason.row == "out-catalog").map(|flow| &flow.to);
    assert_eq!(catalog, Some(&End::Peer("git.rancher.io".into())));
}

#[test]
fn an_undefined_peer_is_reported_with_what_it_asks_for() {
    let mut inventory = downstream("downstream-node-pools");
    assert_eq!(why_not(&inventory, "prod", "clients-kube-api"), ["peer undefined: kube-api-clients"]);
    assert_eq!(asks(&inventory, "prod", "clients-kube-api"), ["ingress prod/control 6443/tcp"]);
    inventory.cluster("prod").peer("kube-api-clients", &["203.0.113.0/24"]);
    assert_eq!(of_row(&inventory, "prod", "clients-kube-api"), ["kube-api-clients > prod/control 6443/tcp"]);
    assert_eq!(why_not(&inventory, "prod", "clients-kube-api"), [""; 0]);
}

#[test]
fn a_row_with_several_sources_opens_those_that_are_known() {
    let inventory = downstream("downstream-node-pools");
    assert_eq!(
        why_not(&inventory, "mgmt", "https-rancher"),
        ["peer undefined: hosted-imported-clusters", "peer undefined: rancher-clients"]
    );
}

#[test]
fn a_rancher_that_manages_no_such_clusters_by_its_own_word_needs_no_such_peer() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("mgmt").set("provisioner", "node-driver");
    let found = flows(&inventory, TODAY);
    let undefined = found.unopened.iter().map(|u| u.why.to_string());
    assert_eq!(undefined.filter(|why| why.contains("hosted-imported-clusters")).count(), 0);
}

#[test]
fn clusters_that_a_rancher_server_manages_stand_for_its_peers() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("mgmt").set("provisioner", "custom,node-driver");
    assert_eq!(of_row(&inventory, "mgmt", "out-node-driver-ssh").len(), 3);
    inventory.cluster("prod").profile = downstream("downstream-custom-nodes").cluster("prod").profile.clone();
    assert_eq!(why_not(&inventory, "mgmt", "out-node-driver-ssh"), ["peer undefined: node-driver-nodes"]);
}

#[test]
fn ports_of_both_protocols_are_two_flows() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").set("nodeport_services", "true").peer("workload-clients", &["198.51.100.0/24"]);
    assert_eq!(
        of_row(&inventory, "prod", "clients-nodeport"),
        ["workload-clients > prod/workers 30000-32767/tcp", "workload-clients > prod/workers 30000-32767/udp"]
    );
}

#[test]
fn a_symbolic_port_takes_the_inventory_s_value() {
    let mut inventory = downstream("downstream-node-pools");
    let mgmt = inventory.cluster("mgmt").set("auth_provider", "true").peer("auth-provider", &["192.0.2.7/32"]);
    mgmt.value("auth_provider_port", 636);
    assert_eq!(of_row(&inventory, "mgmt", "out-auth-provider"), ["mgmt/server > auth-provider 636/tcp"]);
}

#[test]
fn a_symbolic_port_without_value_is_reported_and_asks_for_all_of_its_protocol() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("mgmt").set("auth_provider", "true").peer("auth-provider", &["192.0.2.7/32"]);
    assert_eq!(why_not(&inventory, "mgmt", "out-auth-provider"), ["port without value: auth_provider_port"]);
    assert_eq!(asks(&inventory, "mgmt", "out-auth-provider"), ["egress mgmt/server tcp"]);
}

#[test]
fn pod_traffic_comes_from_the_ranges_of_the_inventory() {
    let mut inventory = downstream("downstream-node-pools");
    let mgmt = inventory.cluster("mgmt").set("firewall", "true");
    mgmt.cidrs.insert("pod".to_owned(), cidrs(&["10.42.0.0/16"]));
    assert_eq!(
        of_row(&inventory, "mgmt", "pod-cidr-traffic"),
        ["10.42.0.0/16 > mgmt/server all", "mgmt/server > 10.42.0.0/16 all"]
    );
    assert_eq!(why_not(&inventory, "mgmt", "pod-cidr-traffic"), ["range unknown: cidrs.cluster"]);
}

#[test]
fn an_option_that_nobody_set_leaves_its_rows_undecided() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").peer("workload-clients", &["198.51.100.0/24"]);
    assert_eq!(why_not(&inventory, "prod", "clients-nodeport"), ["option not set: nodeport_services"]);
    assert_eq!(
        asks(&inventory, "prod", "clients-nodeport"),
        ["ingress prod/workers 30000-32767/tcp", "ingress prod/workers 30000-32767/udp"]
    );
    inventory.cluster("prod").set("nodeport_services", "false");
    assert_eq!(why_not(&inventory, "prod", "clients-nodeport"), [""; 0]);
}

#[test]
fn a_row_is_not_undecided_where_no_group_plays_its_role() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").groups.shift_remove("workers");
    assert_eq!(why_not(&inventory, "prod", "clients-nodeport"), [""; 0]);
}

#[test]
fn a_row_is_not_undecided_where_another_option_closes_it_anyway() {
    let mut inventory = downstream("downstream-custom-nodes");
    assert_eq!(why_not(&inventory, "prod", "worker-canal-probe"), [""; 0]);
    inventory.cluster("prod").set("multihomed", "true");
    assert_eq!(why_not(&inventory, "prod", "worker-canal-probe"), ["option not set: monitoring"]);
}

#[test]
fn the_product_s_default_opens_a_row_and_is_named() {
    let mut inventory = downstream("downstream-node-pools");
    assert_eq!(of_row(&inventory, "prod", "etcd-vxlan").len(), 3);
    assert!(assumed(&inventory, "prod").contains(&"cni=canal (RKE default)".to_owned()));
    assert!(assumed(&inventory, "mgmt").contains(&"metrics_server=true (K3s default)".to_owned()));
    inventory.cluster("mgmt").set("metrics_server", "false");
    assert!(!assumed(&inventory, "mgmt").iter().any(|line| line.starts_with("metrics_server")));
}

#[test]
fn a_default_may_hang_on_another_option() {
    let mut inventory = downstream("downstream-node-pools");
    assert_eq!(why_not(&inventory, "mgmt", "pod-cidr-traffic"), [""; 0]);
    let source = "Flannel backends: VXLAN and WireGuard encapsulate pod packets";
    assert!(assumed(&inventory, "mgmt").contains(&format!("firewall=false ({source})")));
    inventory.cluster("mgmt").set("cni", "other");
    assert_eq!(why_not(&inventory, "mgmt", "pod-cidr-traffic"), ["option not set: firewall"]);
}

#[test]
fn of_several_defaults_the_one_holds_whose_condition_does() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("mgmt").set("cni_backend", "host-gw");
    assert_eq!(
        why_not(&inventory, "mgmt", "pod-cidr-traffic"),
        ["range unknown: cidrs.cluster", "range unknown: cidrs.pod"]
    );
    let source = "Flannel backends: host-gw routes pod packets as they are";
    assert!(assumed(&inventory, "mgmt").contains(&format!("firewall=true ({source})")));
}

#[test]
fn a_default_that_decides_nothing_is_not_named() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").set("cni", "weave");
    assert!(!assumed(&inventory, "prod").iter().any(|line| line.starts_with("cni_backend")));
}

#[test]
fn a_row_that_excludes_a_value_is_open_while_nobody_sets_the_option() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod");
    let mut profile = (*prod.profile).clone();
    profile.rows.retain(|row| &*row.id == "etcd-kube-api");
    let is = Condition::Is("ssl_termination".into(), vec![OptionValue::Word("external_lb".into())]);
    profile.rows[0].condition = Condition::Not(Box::new(is));
    prod.profile = Arc::new(profile);
    assert_eq!(of_row(&inventory, "prod", "etcd-kube-api").len(), 1);
    assert_eq!(
        assumed(&inventory, "prod"),
        ["ssl_termination=unset (nobody set it, and the row excludes only some values)"]
    );
    inventory.cluster("prod").set("ssl_termination", "external_lb");
    assert_eq!(of_row(&inventory, "prod", "etcd-kube-api"), [""; 0]);
}

#[test]
fn agents_are_there_when_a_group_is() {
    let mut inventory = downstream("downstream-node-pools");
    assert_eq!(of_row(&inventory, "mgmt", "kube-api-from-agents"), [""; 0]);
    inventory.cluster("mgmt").add_group("agents", &["k3s-agent", "rancher-server"]);
    assert_eq!(of_row(&inventory, "mgmt", "kube-api-from-agents"), ["mgmt/agents > mgmt/server 6443/tcp"]);
}

#[test]
fn each_option_changes_exactly_its_rows_of_node_pools() {
    let rows = |option: &str, values| changed_rows("downstream-node-pools", &[], option, values);
    let rancher = ["etcd-rancher", "controlplane-rancher", "worker-rancher"];
    let direct = rancher.map(|row| format!("{row}-https"));
    let by_lb = rancher.map(|row| format!("{row}-lb-https"));
    assert_eq!(rows("rancher_external_lb", ["true", "false"]), direct.into_iter().chain(by_lb).collect());
    let vxlan = ["etcd-vxlan", "controlplane-vxlan", "worker-vxlan"];
    assert_eq!(rows("cni", ["canal", "calico"]), set(&vxlan));
    assert_eq!(rows("cni", ["canal", "flannel"]), set(&[]));
    assert_eq!(rows("cni_backend", ["vxlan", "host-gw"]), set(&vxlan));
    assert_eq!(rows("authorized_cluster_endpoint", ["true", "false"]), set(&["clients-kube-api"]));
    assert_eq!(rows("nodeport_services", ["true", "false"]), set(&["clients-nodeport"]));
    assert_eq!(rows("ingress", ["true", "false"]), set(&["clients-ingress-http", "clients-ingress-https"]));
    let local = [
        "etcd-canal-probe",
        "controlplane-canal-probe",
        "controlplane-ingress-probe",
        "worker-canal-probe",
        "worker-ingress-probe",
    ];
    assert_eq!(rows("multihomed", ["true", "false"]), set(&local));
    assert_eq!(rows("host_firewall_strict", ["true", "false"]), set(&local));
    assert_eq!(rows("monitoring", ["true", "false"]), set(&[]));
    assert_eq!(rows("windows", ["true", "false"]), set(&[]));
}

#[test]
fn windows_opens_the_overlay_rows_of_custom_nodes_unless_its_network_is_another() {
    let rows = |before: &[(&str, &str)]| changed_rows("downstream-custom-nodes", before, "windows", ["true", "false"]);
    let overlay = ["etcd-vxlan-windows", "controlplane-vxlan-windows", "worker-vxlan-windows"];
    assert_eq!(rows(&[]), set(&overlay));
    assert_eq!(rows(&[("windows_network", "host-gateway")]), set(&[]));
}

#[test]
fn a_group_s_own_word_on_multihomed_wins_for_its_local_rows() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").group("workers").multihomed = Some(true);
    assert_eq!(of_row(&inventory, "prod", "worker-canal-probe"), ["self > prod/workers 9099/tcp"]);
    assert_eq!(of_row(&inventory, "prod", "etcd-canal-probe"), [""; 0]);
    inventory.cluster("prod").set("multihomed", "true").group("workers").multihomed = Some(false);
    assert_eq!(of_row(&inventory, "prod", "worker-canal-probe"), [""; 0]);
    assert_eq!(of_row(&inventory, "prod", "etcd-canal-probe"), ["self > prod/etcd 9099/tcp"]);
}

#[test]
fn a_waived_row_is_neither_opened_nor_reported() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod");
    prod.waive_row("rancher-ssh");
    prod.waive_row("downstream-node-pools/clients-kube-api");
    assert_eq!(of_row(&inventory, "prod", "rancher-ssh"), [""; 0]);
    assert_eq!(why_not(&inventory, "prod", "clients-kube-api"), [""; 0]);
}

#[test]
fn a_waiver_for_some_groups_spares_the_others() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").waive_row("rancher-ssh").groups = vec![group_name("workers")];
    assert_eq!(
        of_row(&inventory, "prod", "rancher-ssh"),
        ["mgmt/server > prod/control 22/tcp", "mgmt/server > prod/etcd 22/tcp"]
    );
}

#[test]
fn an_expired_waiver_of_a_row_stays_in_force() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").waive_row("rancher-ssh").until = Some(YESTERDAY);
    assert_eq!(of_row(&inventory, "prod", "rancher-ssh"), [""; 0]);
}

#[test]
fn a_narrowed_row_comes_from_the_named_peers_only_even_expired() {
    let mut inventory = ec2();
    let prod = inventory.cluster("prod").peer("office", &["198.51.100.0/24"]);
    prod.narrow("ssh", "office").until = Some(YESTERDAY);
    assert_eq!(of_row(&inventory, "prod", "ssh"), ["office > prod/all 22/tcp"]);
    assert_eq!(of_row(&inventory, "prod", "http"), ["0.0.0.0/0 > prod/all 80/tcp"]);
}

#[test]
fn a_rule_of_the_user_s_own_is_a_flow_until_its_last_day() {
    let mut inventory = downstream("downstream-node-pools");
    let prod = inventory.cluster("prod").peer("monitoring", &["198.51.100.0/24"]);
    prod.rule("monitoring", "group:workers", "9796/tcp").until = Some(TODAY);
    prod.rule("monitoring", "group:etcd", "9796/tcp").until = Some(YESTERDAY);
    prod.rule("10.0.0.0/8", "*", "icmp").ticket = Some("NET-7".to_owned());
    assert_eq!(of_row(&inventory, "prod", "1"), ["monitoring > prod/workers 9796/tcp"]);
    assert_eq!(of_row(&inventory, "prod", "2"), [""; 0]);
    assert_eq!(of_row(&inventory, "prod", "NET-7").len(), 3);
}

#[test]
fn the_reason_of_a_flow_says_cluster_profile_row_and_purpose() {
    let flows = flows(&ec2(), TODAY).flows;
    let ssh = flows.iter().find(|flow| flow.traffic == traffic("22/tcp")).map(|flow| flow.reason.clone());
    let expected = Reason {
        cluster: crate::example::cluster_name("prod"),
        profile: "rancher-nodes-ec2-sg@2.4".into(),
        row: "ssh".into(),
        why: "SSH provisioning".into(),
    };
    assert_eq!(ssh, Some(expected));
    assert_eq!(ec2().cluster("prod").profile.kind, ProfileKind::ProviderGroup);
}

#[test]
fn roles_that_no_group_plays_are_listed() {
    let mut inventory = downstream("downstream-node-pools");
    inventory.cluster("prod").groups.shift_remove("etcd");
    let listed = flows(&inventory, TODAY).without_members;
    let of = |cluster: &str| {
        let of_cluster = listed.iter().filter(|w| w.cluster.as_str() == cluster);
        of_cluster.map(|w| w.role.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((of("prod"), of("mgmt")), (vec!["etcd".to_owned()], vec!["k3s-agent".to_owned()]));
}

#[test]
fn the_api_of_managed_clusters_is_their_control_plane_s_where_they_have_one() {
    let mut inventory = downstream("downstream-registered");
    let peer = |inventory: &Inventory| of_row(inventory, "mgmt", "out-hosted-kube-api");
    inventory.cluster("mgmt").set("provisioner", "imported");
    assert_eq!(peer(&inventory), ["mgmt/server > prod/control 6443/tcp"]);
    inventory.cluster("prod").groups.shift_remove("control");
    assert_eq!(peer(&inventory), ["mgmt/server > prod/etcd 6443/tcp", "mgmt/server > prod/workers 6443/tcp"]);
}

#[test]
fn agents_of_an_imported_cluster_connect_from_its_worker_nodes() {
    let mut inventory = downstream("downstream-registered");
    inventory.cluster("prod").set("rancher_external_lb", "false");
    assert_eq!(of_row(&inventory, "prod", "cluster-rancher-https"), ["prod/workers > mgmt/server 443/tcp"]);
    inventory.cluster("prod").groups.shift_remove("workers");
    assert_eq!(of_row(&inventory, "prod", "cluster-rancher-https"), [""; 0]);
    assert_eq!(why_not(&inventory, "prod", "cluster-rancher-https"), [""; 0]);
}

#[test]
fn the_same_flow_of_two_profiles_is_one_rule_with_two_reasons() {
    let mut inventory = inventory();
    inventory.add_cluster("mgmt", "rancher-server-rke2").add_group("all", &["rancher-server", "rke2-server"]);
    let flows = flows(&inventory, TODAY);
    let desired = crate::desired::desired(&inventory, &flows);
    let rules = desired.networks.values().flat_map(|network| &network.groups).flat_map(|group| &group.rules);
    let kubelet: Vec<_> = rules.filter(|rule| rule.rule.traffic == traffic("10250/tcp")).collect();
    let profiles: Vec<&str> = kubelet.iter().flat_map(|rule| &*rule.reasons).map(|reason| &*reason.profile).collect();
    assert_eq!((kubelet.len(), profiles), (1, vec!["rancher-server-rke2@2.6", "rke2"]));
}

#[test]
fn a_row_of_several_composed_profiles_is_reported_with_its_profile() {
    let mut inventory = inventory();
    inventory.add_cluster("mgmt", "rancher-server-rke2").add_group("all", &["rancher-server", "rke2-server"]);
    assert_eq!(why_not(&inventory, "mgmt", "rke2/nodeport"), ["option not set: nodeport_services"]);
    assert_eq!(why_not(&inventory, "mgmt", "rancher-server-rke2/nodeport"), ["option not set: nodeport_services"]);
}

#[test]
fn a_waiver_of_one_profile_s_row_leaves_the_other_s() {
    let mut inventory = inventory();
    let mgmt = inventory.add_cluster("mgmt", "rancher-server-rke2");
    mgmt.add_group("all", &["rancher-server", "rke2-server"]);
    mgmt.waive_row("rke2/kubelet");
    let flows = flows(&inventory, TODAY).flows;
    let profiles: Vec<&str> =
        flows.iter().filter(|flow| &*flow.reason.row == "kubelet").map(|flow| &*flow.reason.profile).collect();
    assert_eq!(profiles, ["rancher-server-rke2@2.6"]);
}

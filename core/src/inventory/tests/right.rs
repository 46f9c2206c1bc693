//! What a right inventory says.

use super::*;
use crate::name::GroupName;
use crate::profile::OptionValue;
use crate::rule::Cidr;
use crate::traffic::Traffic;

fn whole() -> Inventory {
    read(WHOLE).expect("the example is right").inventory
}

fn cidrs(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().filter_map(|text| Cidr::parse(text)).collect()
}

fn cluster(name: &str) -> Cluster {
    whole().clusters.shift_remove(name).expect("the cluster is there")
}

#[test]
fn files_are_kept_in_order() {
    let whole = whole();
    assert_eq!(whole.owner.as_str(), "platform");
    assert_eq!(whole.trusted, cidrs(&["203.0.113.0/24"]));
    assert_eq!(whole.networks.keys().map(|n| n.as_str()).collect::<Vec<_>>(), ["eu", "hub", "lab"]);
    assert_eq!(whole.clusters.keys().map(|n| n.as_str()).collect::<Vec<_>>(), ["mgmt", "prod", "elsewhere"]);
}

#[test]
fn the_example_has_only_the_warning_it_should_have() {
    let warnings = read(WHOLE).expect("the example is right").warnings;
    let told: Vec<&str> = warnings.iter().map(Problem::message).collect();
    assert_eq!(told, ["no row of the profile needs `kube_api_endpoint_port`"]);
}

#[test]
fn a_network_has_its_providers_keys_quotas_nat_and_links() {
    let whole = whole();
    let eu = &whole.networks["eu"];
    assert_eq!(eu.provider, "aws");
    assert_eq!(
        serde_json::Value::Object(eu.at.clone()),
        serde_json::json!({ "region": "eu-west-1", "vpc": "vpc-0a1b2c3d", "account": "111122223333" })
    );
    assert_eq!(eu.quotas.get("rules_per_group"), Some(&120));
    assert_eq!(eu.nat, cidrs(&["192.0.2.10/32"]));
    assert_eq!(eu.links.get("hub"), Some(&Link::Reference));
    assert_eq!(whole.networks["hub"].at["vpc"], serde_json::json!({ "tags": { "Name": "hub" } }));
}

#[test]
fn a_group_may_be_a_service_account_where_the_cloud_has_them() {
    let account = "nodes@acme-prod.iam.gserviceaccount.com";
    let text = changed("simulated: { state: cloud.json }", "gcp: { project: acme-prod }")
        .replace("cluster: mgmt, group: server", "cluster: mgmt")
        .replace(
            "    network: eu\n    profile: rancher-server-k3s",
            "    network: lab\n    profile: rancher-server-k3s",
        )
        .replace("security_group: rancher-server", &format!("service_account: {account}"));
    let group = &read(text).expect("right").inventory.clusters["mgmt"].groups["server"];
    assert_eq!(group.security_group, SecurityGroup::Name(GroupName::new(account).unwrap()));
}

#[test]
fn paths_are_relative_to_their_file() {
    let parsed = read_files(&[source("live/cluster.yaml", WHOLE)]).expect("right");
    assert_eq!(parsed.inventory.networks["lab"].at["state"], "live/cloud.json");
}

#[test]
fn a_cluster_has_its_profile_options_values_and_ranges() {
    let (mgmt, prod) = (cluster("mgmt"), cluster("prod"));
    assert_eq!(prod.profile.label(), "downstream-node-pools@2.4");
    assert_eq!(prod.rancher_version, crate::profile::Version::parse("2.4"));
    assert_eq!(prod.rancher, Some(mgmt.name));
    assert_eq!(prod.options["authorized_cluster_endpoint"], [OptionValue::Bool(true)]);
    assert_eq!(prod.options["cni"], [OptionValue::Word("canal".into())]);
    assert_eq!(mgmt.options["provisioner"].len(), 2);
    assert_eq!(prod.values["kube_api_endpoint_port"].to_string(), "443");
    assert_eq!(prod.cidrs["pod"], cidrs(&["10.42.0.0/16"]));
    assert!(cluster("elsewhere").external);
}

#[test]
fn a_group_has_its_roles_security_group_ownership_and_addresses() {
    let prod = cluster("prod");
    let workers = &prod.groups["workers"];
    assert_eq!(*workers.roles, ["worker".into()]);
    assert_eq!(workers.security_group.as_str(), "rancher-nodes");
    assert_eq!((workers.ownership, workers.create), (Some(Ownership::Shared), true));
    assert_eq!(workers.multihomed, Some(true));
    assert_eq!(workers.addresses, Addresses { private: cidrs(&["10.1.2.0/24"]), public: vec![] });
    let control = Addresses { private: cidrs(&["10.1.3.0/24"]), public: cidrs(&["192.0.2.11"]) };
    assert_eq!(prod.groups["control"].addresses, control);
}

#[test]
fn a_security_group_is_cluster_and_group_unless_named() {
    assert_eq!(cluster("prod").groups["etcd"].security_group.as_str(), "prod-etcd");
    assert!(matches!(cluster("elsewhere").groups["all"].security_group, SecurityGroup::Id(_)));
}

#[test]
fn rules_are_between_groups_peers_and_ranges() {
    let prod = cluster("prod");
    let first = &prod.rules[0];
    assert_eq!(first.from, [EndWord::Peer("monitoring".into())]);
    assert!(matches!(&first.to[..], [EndWord::Group(group)] if group.as_str() == "workers"));
    assert_eq!((first.why.as_str(), first.ticket.as_deref()), ("node-exporter", Some("NET-7")));
    assert_eq!(first.until, Some(jiff::civil::date(2027, 6, 30)));
    let second = &prod.rules[1];
    assert_eq!(second.to, [EndWord::Every]);
    assert!(matches!(&second.from[..], [EndWord::Cidr(_), EndWord::Group(_)]));
    let shown: Vec<String> = second.allow.iter().map(Traffic::to_string).collect();
    assert_eq!(shown, ["53/tcp", "53/udp", "icmp/8/0"]);
}

#[test]
fn exceptions_keep_what_they_are_about_and_why() {
    let prod = cluster("prod");
    assert_eq!(prod.waive[0].what, Waived::Row("rancher-ssh".to_owned()));
    assert_eq!(prod.waive[1].what, Waived::Guard("kubelet-public".to_owned()));
    assert_eq!(prod.waive[1].groups.len(), 1);
    assert_eq!(prod.narrow[0].row, "downstream-node-pools/clients-nodeport");
    assert_eq!(prod.narrow[0].from, [EndWord::Peer("monitoring".into())]);
    assert_eq!(prod.ignore[0].traffic.to_string(), "31999/tcp");
    assert_eq!(prod.ignore[0].why, "load balancer health check");
}

#[test]
fn a_clusters_peers_win_over_the_files() {
    assert_eq!(cluster("prod").peers["workload-clients"], Peer::Cidrs(cidrs(&["198.51.100.0/24"])));
    assert_eq!(cluster("mgmt").peers["workload-clients"], Peer::Cidrs(vec![Cidr::ANY_V4]));
}

#[test]
fn every_kind_of_peer_is_read() {
    let peers = cluster("mgmt").peers;
    assert_eq!(peers["office"], Peer::Cidrs(cidrs(&["198.51.100.7", "2001:db8:1::/48"])));
    assert!(matches!(&peers["rancher-external-lb"],
        Peer::SecurityGroup { group: SecurityGroup::Id(_), account: Some(account) } if account == "222233334444"));
    assert!(matches!(&peers["monitoring"], Peer::NodeGroup { cluster, group: Some(group) }
        if cluster.as_str() == "mgmt" && group.as_str() == "server"));
    assert_eq!(peers["lists"], Peer::PrefixList("pl-0123".to_owned()));
    assert_eq!(peers["members"], Peer::AddressGroup("members".to_owned()));
    assert_eq!(peers["bastion"], Peer::Tag("bastion".to_owned()));
    assert!(matches!(&peers["robot"], Peer::ServiceAccount(_)));
}

#[test]
fn the_owner_is_default_unless_named() {
    let parsed = read(changed("owner: platform\n", "")).expect("right");
    assert_eq!(parsed.inventory.owner.as_str(), "default");
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = changed("x-anything: ignored, so that YAML anchors can live there", "")
        .replacen("version: 1\n", "version: 1\nx-cni: &cni { cni: calico, windows: true }\n", 1)
        .replacen("options: { cni: canal, ", "options: { <<: *cni, cni: flannel, ", 1);
    let options = read(text).expect("right").inventory.clusters["prod"].options.clone();
    assert_eq!(options["windows"], [OptionValue::Bool(true)]);
    assert_eq!(options["cni"], [OptionValue::Word("flannel".into())], "the cluster's own word wins");
}

#[test]
fn a_byte_order_mark_is_no_error() {
    assert!(read(format!("\u{feff}{WHOLE}")).is_ok());
}

#[test]
fn windows_line_ends_are_no_error() {
    assert!(read(WHOLE.replace('\n', "\r\n")).is_ok());
}

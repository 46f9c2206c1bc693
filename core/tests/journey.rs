//! From an inventory's text to the rules of its groups.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rsgsync_core::desired::{Desired, desired};
use rsgsync_core::flow::{Flows, flows};
use rsgsync_core::inventory::{self, PlaceKind, ProviderSpec, Source};
use rsgsync_core::profile::Catalog;
use rsgsync_core::rule::{Direction, RulePeer};

#[path = "../src/inventory/tests/providers.rs"]
mod providers;

const INVENTORY: &str = r#"
version: 1
owner: platform
networks:
  eu:
    simulated: { state: cloud.json }
clusters:
  mgmt:
    network: eu
    profile: rancher-server-k3s
    rancher_version: "2.4"
    options: { cni: flannel, cni_backend: vxlan, ssl_termination: rancher }
    groups:
      server: { roles: [rancher-server, k3s-server], security_group: rancher-server }
  prod:
    network: eu
    profile: downstream-node-pools
    rancher_version: "2.4"
    rancher: mgmt
    options: { cni: canal, authorized_cluster_endpoint: true, rancher_external_lb: false }
    groups:
      etcd:    { roles: [etcd] }
      control: { roles: [controlplane] }
      workers: { roles: [worker], security_group: rancher-nodes, ownership: shared }
    rules:
      - { from: monitoring, to: workers, allow: [9796/tcp], why: node-exporter, ticket: NET-7, until: 2027-06-30 }
    waive:
      - { row: rancher-ssh, why: provisioned by image }
    narrow:
      - { row: clients-ingress-https, from: [office], why: nobody else }
    peers:
      workload-clients: { cidrs: [198.51.100.0/24] }
peers:
  kube-api-clients: { cidrs: [203.0.113.0/24, "2001:db8::/32"] }
  monitoring:       { cluster: mgmt, group: server }
  office:           { cidrs: [192.0.2.0/24] }
"#;

fn journey(text: &str) -> Result<(Flows, Desired), inventory::Problems> {
    let today = jiff::civil::date(2026, 11, 26);
    let source = Source { path: "cluster.yaml".to_owned(), folder: PathBuf::new(), bytes: text.as_bytes().to_owned() };
    let parsed =
        inventory::parse(&[source], &Catalog::shipped(), &providers::PROVIDERS, today, &|_| Err("no file".to_owned()));
    let inventory = parsed?.inventory;
    let flows = flows(&inventory, today);
    let desired = desired(&inventory, &flows);
    Ok((flows, desired))
}

/// `TRAFFIC from PEER` of each group's ingress rules.
fn rules(desired: &Desired) -> BTreeMap<String, Vec<String>> {
    let network = desired.networks.values().next().expect("one network");
    let show = |peer: RulePeer| match peer {
        RulePeer::Addresses(cidr) => cidr.to_string(),
        RulePeer::Opaque(_, atom, _) => network.atoms.text(atom).to_owned(),
    };
    let of = |group: &rsgsync_core::desired::DesiredGroup| {
        let ingress = group.rules.iter().filter(|r| r.rule.direction == Direction::Ingress);
        let mut lines: Vec<String> =
            ingress.map(|r| format!("{} from {}", r.rule.traffic, show(r.rule.peer))).collect();
        lines.sort();
        (group.security_group.to_string(), lines)
    };
    network.groups.iter().map(of).collect()
}

#[test]
fn a_rancher_server_and_its_downstream_cluster_get_the_rules_of_their_tables() -> Result<(), inventory::Problems> {
    let (_, desired) = journey(INVENTORY)?;
    let rules = rules(&desired);
    assert_eq!(
        rules["rancher-server"],
        [
            "10250/tcp from rancher-server",
            "443/tcp from prod-control",
            "443/tcp from prod-etcd",
            "443/tcp from rancher-nodes",
            "443/tcp from rancher-server",
            "6443/tcp from rancher-server",
            "8472/udp from rancher-server",
        ]
    );
    assert_eq!(
        rules["prod-etcd"],
        [
            "10250/tcp from prod-control",
            "2376/tcp from rancher-server",
            "2379/tcp from prod-control",
            "2379/tcp from prod-etcd",
            "2380/tcp from prod-control",
            "2380/tcp from prod-etcd",
            "8472/udp from prod-control",
            "8472/udp from prod-etcd",
            "8472/udp from rancher-nodes",
        ]
    );
    assert_eq!(
        rules["rancher-nodes"],
        [
            "10250/tcp from prod-control",
            "2376/tcp from rancher-server",
            "443/tcp from 192.0.2.0/24",
            "80/tcp from 198.51.100.0/24",
            "8472/udp from prod-control",
            "8472/udp from prod-etcd",
            "8472/udp from rancher-nodes",
            "9796/tcp from rancher-server",
        ]
    );
    Ok(())
}

#[test]
fn what_could_not_be_opened_is_told_by_row() -> Result<(), inventory::Problems> {
    let (flows, _) = journey(INVENTORY)?;
    let told: Vec<String> = flows.unopened.iter().map(|u| format!("{} {}: {}", u.cluster, u.row, u.why)).collect();
    assert_eq!(
        told,
        [
            "mgmt https-rancher: peer undefined: hosted-imported-clusters",
            "mgmt https-rancher: peer undefined: rancher-clients",
            "mgmt nodeport-recommended: option not set: nodeport_services",
            "mgmt out-auth-provider: option not set: auth_provider",
            "mgmt out-hosted-kube-api: option not set: provisioner",
            "mgmt out-node-driver-docker: option not set: provisioner",
            "mgmt out-node-driver-ssh: option not set: provisioner",
            "prod clients-nodeport: option not set: nodeport_services",
        ]
    );
    Ok(())
}

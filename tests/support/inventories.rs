//! Inventories that every cloud is tried with; `network` is what stands under the network's name.

/// A cluster of three groups that refer to each other in circles.
pub fn circle(network: &str, family: &str) -> String {
    let rest = r#"
    network: lab
    profile: downstream-custom-nodes
    rancher_version: "2.4"
    options: { cni: canal, rancher_external_lb: false, nodeport_services: false, ingress: true, ip_family: FAMILY }
    groups:
      etcd:    { roles: [etcd] }
      control: { roles: [controlplane] }
      workers: { roles: [worker] }
    peers:
      kube-api-clients: { cidrs: [203.0.113.0/24] }
      workload-clients: { cidrs: ["0.0.0.0/0", "::/0"] }
"#;
    let rest = rest.replace("FAMILY", family);
    format!("version: 1\nowner: platform\nnetworks: {{ lab: {{ {network} }} }}\nclusters:\n  prod:{rest}")
}

//! Nodes and what runs on them, in the words of inventories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rsgsync_core::adopt::slug;
use rsgsync_core::inventory::{Addresses, NodeGroup, Role, SecurityGroup};
use rsgsync_core::name::{ClusterName, GroupName, NodeGroupName};
use rsgsync_core::profile::{OptionValue, Profile};
use rsgsync_core::rule::Cidr;

use super::asked::{Answers, Node, Workload};

/// Labels of nodes: `node-role.kubernetes.io/ROLE`.
const ROLE_LABEL: &str = "node-role.kubernetes.io/";
/// A Rancher server, and the agent by which a Rancher server manages a cluster.
const RANCHER: (&str, &str) = ("cattle-system", "rancher");
const AGENT: (&str, &str) = ("cattle-system", "cattle-cluster-agent");

/// A distribution, and the profiles of its clusters.
struct Distribution {
    word: &'static str,
    server: &'static [&'static str],
    agent: &'static [&'static str],
    /// By itself, with a Rancher server on it, managed by one.
    profiles: [Option<&'static str>; 3],
}

/// What tells a distribution's nodes from others.
enum Sign {
    /// Their kubelets' versions have this in them.
    Kubelet(&'static str),
    /// They have this label.
    Label(&'static str),
}

static SIGNED: [(Sign, Distribution); 6] = [
    (
        Sign::Kubelet("+rke2"),
        Distribution {
            word: "RKE2",
            server: &["rke2-server"],
            agent: &["rke2-agent"],
            profiles: [Some("rke2"), Some("rancher-server-rke2"), Some("downstream-rke2")],
        },
    ),
    (
        Sign::Kubelet("+k3s"),
        Distribution {
            word: "K3s",
            server: &["k3s-server"],
            agent: &["k3s-agent"],
            profiles: [Some("k3s"), Some("rancher-server-k3s"), Some("downstream-k3s")],
        },
    ),
    (Sign::Kubelet("-eks-"), hosted("Amazon EKS")),
    (Sign::Kubelet("-gke."), hosted("Google Kubernetes Engine")),
    // Its kubelets' versions are plain. Source: Azure's page "Use labels in an AKS cluster", reserved system labels.
    (Sign::Label("kubernetes.azure.com/cluster"), hosted("Azure Kubernetes Service")),
    // RKE labels each node with exactly its roles, and writes `controlplane` without the hyphen that all others have.
    (
        Sign::Label("node-role.kubernetes.io/controlplane"),
        Distribution {
            word: "RKE",
            server: &[],
            agent: &["worker"],
            profiles: [Some("rke-roles"), Some("rancher-server-rke"), Some("downstream-custom-nodes")],
        },
    ),
];

/// What has no sign is taken for it. Its etcd runs on the control plane's nodes unless it is told of another.
static KUBEADM: Distribution = Distribution {
    word: "kubeadm",
    server: &["controlplane", "etcd"],
    agent: &["worker"],
    profiles: [Some("kubeadm"), None, None],
};

const fn hosted(word: &'static str) -> Distribution {
    Distribution { word, server: &["worker"], agent: &["worker"], profiles: [None, None, Some("downstream-hosted")] }
}

/// Names of daemon sets and deployments, and what they say.
const WORKLOADS: [(&str, &str, &str); 16] = [
    ("rke2-canal", "cni", "canal"),
    ("canal", "cni", "canal"),
    ("calico-node", "cni", "calico"),
    ("cilium", "cni", "cilium"),
    ("kube-flannel", "cni", "flannel"),
    ("kube-flannel-ds", "cni", "flannel"),
    ("rke2-flannel", "cni", "flannel"),
    ("weave-net", "cni", "weave"),
    ("metrics-server", "metrics_server", "true"),
    ("rke2-metrics-server", "metrics_server", "true"),
    ("hubble-relay", "hubble", "true"),
    ("calico-typha", "typha", "true"),
    ("nginx-ingress-controller", "ingress_controller", "nginx"),
    ("rke2-ingress-nginx-controller", "ingress_controller", "nginx"),
    ("ingress-nginx-controller", "ingress_controller", "nginx"),
    ("traefik", "ingress_controller", "traefik"),
];

/// What was seen of a cluster.
pub struct Seen {
    /// For people.
    pub distribution: String,
    of: &'static Distribution,
    /// The version of the Rancher server that runs on it.
    pub rancher: Option<String>,
    runs_rancher: bool,
    managed: bool,
    /// Options and why each has its value.
    pub options: BTreeMap<Arc<str>, (OptionValue, String)>,
    /// Nodes by their roles.
    nodes: BTreeMap<Vec<&'static str>, Nodes>,
}

#[derive(Default)]
struct Nodes {
    names: BTreeSet<String>,
    labels: BTreeSet<String>,
    private: BTreeSet<Cidr>,
    public: BTreeSet<Cidr>,
}

/// Translates what an API server answered.
pub fn seen(answers: &Answers) -> Seen {
    let (of, known_by) = of(&answers.nodes);
    let find = |(namespace, name): (&str, &str)| {
        answers.deployments.iter().find(|d| d.metadata.namespace == namespace && d.metadata.name == name)
    };
    let rancher = find(RANCHER);
    let tag = rancher.and_then(|deployment| deployment.images().find_map(tag)).map(str::to_owned);
    let mut seen = Seen {
        distribution: format!("{} ({known_by})", of.word),
        of,
        rancher: tag,
        runs_rancher: rancher.is_some(),
        managed: rancher.is_none() && find(AGENT).is_some(),
        options: BTreeMap::new(),
        nodes: BTreeMap::new(),
    };
    for node in &answers.nodes {
        seen.add(node);
    }
    seen.workloads(answers);
    seen.node_options(answers);
    seen
}

/// The version in `rancher/rancher:v2.6.5`.
fn tag(image: &str) -> Option<&str> {
    let (_, tag) = image.rsplit_once(':')?;
    tag.strip_prefix('v')
}

/// The distribution, and what says so.
fn of(nodes: &[Node]) -> (&'static Distribution, String) {
    let found = |sign: &Sign| match sign {
        Sign::Kubelet(word) => nodes.iter().any(|node| node.status.node_info.kubelet_version.contains(word)),
        Sign::Label(label) => nodes.iter().any(|node| node.metadata.labels.contains_key(*label)),
    };
    let kubelets: BTreeSet<&str> = nodes.iter().map(|node| node.status.node_info.kubelet_version.as_str()).collect();
    let kubelets = kubelets.into_iter().collect::<Vec<_>>().join(", ");
    match SIGNED.iter().find(|(sign, _)| found(sign)) {
        Some((Sign::Kubelet(_), of)) => (of, format!("kubelet {kubelets}")),
        Some((Sign::Label(label), of)) => (of, format!("kubelet {kubelets}, label {label}")),
        None => (&KUBEADM, format!("kubelet {kubelets}; a guess, since the nodes don't say what they are")),
    }
}

/// The roles that a node's labels say.
fn labels(node: &Node) -> BTreeSet<String> {
    let labels = node.metadata.labels.keys().filter_map(|label| label.strip_prefix(ROLE_LABEL));
    labels.map(str::to_owned).collect()
}

impl Seen {
    fn add(&mut self, node: &Node) {
        let of = self.of;
        let labels = labels(node);
        let is = |words: &[&str]| words.iter().any(|word| labels.contains(*word));
        let mut roles: Vec<&'static str> = Vec::new();
        if of.word == "RKE" {
            roles.extend(["etcd", "controlplane", "worker"].into_iter().filter(|role| labels.contains(*role)));
        }
        if roles.is_empty() {
            let server = is(&["control-plane", "controlplane", "master", "etcd"]);
            roles.extend(if server { of.server } else { of.agent });
        }
        let nodes = self.nodes.entry(roles).or_default();
        nodes.names.insert(node.metadata.name.clone());
        nodes.labels.extend(labels);
        for address in &node.status.addresses {
            let Some(cidr) = Cidr::parse(&address.address) else { continue };
            match address.kind.as_str() {
                "InternalIP" => _ = nodes.private.insert(cidr),
                "ExternalIP" => _ = nodes.public.insert(cidr),
                _ => {}
            }
        }
    }

    fn set(&mut self, option: &str, value: OptionValue, why: String) {
        self.options.entry(option.into()).or_insert((value, why));
    }

    fn workloads(&mut self, answers: &Answers) {
        let all = || answers.daemon_sets.iter().chain(&answers.deployments);
        for (name, option, value) in WORKLOADS {
            let Some(found) = all().find(|workload| workload.metadata.name == name) else { continue };
            let value = if value == "true" { OptionValue::Bool(true) } else { OptionValue::Word(value.into()) };
            self.set(option, value, of_workload(found));
        }
        if let Some(exporter) = all().find(|workload| workload.metadata.name.ends_with("node-exporter")) {
            self.set("monitoring", OptionValue::Bool(true), of_workload(exporter));
        }
        // That nothing known was found says nothing: it may run under another name.
        if let Some(why) = self.options.get("ingress_controller").map(|(_, why)| why.clone()) {
            self.set("ingress", OptionValue::Bool(true), why);
        }
    }

    fn node_options(&mut self, answers: &Answers) {
        if let Some(node) = answers.nodes.iter().find(|node| node.status.node_info.operating_system == "windows") {
            self.set("windows", OptionValue::Bool(true), format!("node {} runs Windows", node.metadata.name));
        }
        let ranges = answers.nodes.iter().flat_map(|node| &node.spec.pod_cidrs).filter_map(|text| Cidr::parse(text));
        let v6: BTreeSet<bool> = ranges.map(|cidr| cidr.net().addr().is_ipv6()).collect();
        let family = match (v6.contains(&false), v6.contains(&true)) {
            (true, true) => "dual",
            (false, true) => "ipv6",
            _ => return,
        };
        self.set("ip_family", OptionValue::Word(family.into()), "the families of the nodes' podCIDRs".to_owned());
    }

    /// The profile of such clusters, and why.
    pub fn profile(&self) -> Option<(&'static str, String)> {
        let [alone, with_rancher, managed] = self.of.profiles;
        let (name, why) = match (self.runs_rancher, self.managed) {
            (true, _) => (with_rancher?, format!("; {}/{} runs on it", RANCHER.0, RANCHER.1)),
            (false, true) => {
                (managed?, format!("; {}/{} runs on it, so a Rancher server manages it", AGENT.0, AGENT.1))
            }
            (false, false) => (alone?, String::new()),
        };
        Some((name, format!("{}{why}", self.distribution)))
    }

    /// The node groups, and what is said about each.
    pub fn groups(&self, cluster: &ClusterName, profile: &Profile) -> Vec<(NodeGroup, Vec<String>)> {
        let mut groups = Vec::new();
        for (roles, nodes) in &self.nodes {
            let words: BTreeSet<&str> = roles.iter().map(|role| role.rsplit('-').next().unwrap_or(role)).collect();
            let text = slug(&words.into_iter().collect::<Vec<_>>().join("-"), "nodes");
            let Ok(name) = NodeGroupName::new(&text) else { continue };
            let Ok(group) = GroupName::new(&format!("{cluster}-{name}")) else { continue };
            // What a profile is about and no kubelet says, the servers are taken to be.
            let is_server = self.of.word == "RKE" || self.of.server == roles.as_slice();
            let needs = profile.needs.iter().filter(|_| is_server);
            let named = roles.iter().map(|role| Arc::from(*role));
            let mut all: Vec<Role> = Vec::new();
            needs.cloned().chain(named).for_each(|role| {
                if !all.contains(&role) {
                    all.push(role)
                }
            });
            let private = nodes.private.iter().copied().collect();
            let public = nodes.public.iter().copied().collect();
            groups.push((
                NodeGroup {
                    name,
                    roles: all,
                    security_group: SecurityGroup::Name(group),
                    ownership: None,
                    create: false,
                    addresses: Addresses { private, public },
                    multihomed: None,
                },
                nodes.said(),
            ));
        }
        groups
    }
}

impl Nodes {
    fn said(&self) -> Vec<String> {
        let names: Vec<&str> = self.names.iter().take(8).map(String::as_str).collect();
        let more = self.names.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        let labels = if labels.is_empty() { "no role".to_owned() } else { labels.join(", ") };
        vec![
            format!("nodes {}{more}: {ROLE_LABEL} says {labels}", names.join(", ")),
            "name the security group that they have, if it isn't this one".to_owned(),
        ]
    }
}

fn of_workload(workload: &Workload) -> String {
    format!("{}/{} runs", workload.metadata.namespace, workload.metadata.name)
}

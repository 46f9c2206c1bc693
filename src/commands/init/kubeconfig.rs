//! `rsgsync init kubeconfig`: from a running cluster; three lists are read.

mod asked;
mod nodes;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rsgsync_core::adopt::write::{ClusterRemarks, Remarks};
use rsgsync_core::adopt::{slug, undecided};
use rsgsync_core::flow::flows;
use rsgsync_core::inventory::{Cluster, EgressMode, Inventory, Network};
use rsgsync_core::name::ClusterName;
use rsgsync_core::profile::{Catalog, OptionValue, Profile, Version};

use super::{finish, folder, network};
use crate::args::InitKubeconfigArgs;
use crate::commands::{Context, Exit};
use crate::failure::Failure;
use crate::report::count;
use asked::Answers;
use nodes::Seen;

const NO_PLACE: &str = "simulated: { state: cloud.json }";

/// Reads a cluster's nodes and what runs on them, and writes its inventory.
pub async fn run(context: &Context<'_>, args: &InitKubeconfigArgs) -> Result<Exit, Failure> {
    let asked = args.common.check()?;
    let (network, _) = network(args.network.as_deref().unwrap_or(NO_PLACE), context, folder(&args.common.out))?;
    let kubeconfig = match &args.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = kubeconfig.map_err(|error| unreadable(&error))?;
    let current = args.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unreadable(&error))?;
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|error| asked::failed(&server, "connecting", &error))?;
    let answers = asked::ask(&client, &server).await?;
    let seen = nodes::seen(&answers);
    let catalog = Catalog::shipped();
    let (profile, version, why) = profile(&catalog, args.common.profile.as_deref(), &seen)?;
    let name = asked.cluster.or_else(|| ClusterName::new(&slug(&current, "cluster")).ok());
    let name = name.ok_or_else(|| Failure::new("the cluster has no name", "give it one with --cluster"))?;

    let mut of_cluster = ClusterRemarks { profile: why, ..ClusterRemarks::default() };
    let mut options = BTreeMap::new();
    let asked_of = |option: &Arc<str>| profile.rows.iter().any(|row| row.condition.options().contains(&option));
    for (option, (value, why)) in &seen.options {
        if asked_of(option) && !profile.fixes.contains_key(option) {
            options.insert(option.clone(), vec![value.clone()]);
            of_cluster.options.insert(option.clone(), why.clone());
        }
    }
    let mut groups = IndexMap::new();
    for (group, why) in seen.groups(&name, &profile) {
        of_cluster.groups.insert(group.name.clone(), why);
        groups.insert(group.name.clone(), group);
    }
    let cluster = cluster(name.clone(), &network, profile, version, options, groups);
    let mut remarks = remarks(&server, args.network.is_none(), &answers);
    let inventory = Inventory {
        owner: asked.owner,
        trusted: Vec::new(),
        guards: Vec::new(),
        networks: IndexMap::from([(network.name.clone(), network)]),
        clusters: IndexMap::from([(name.clone(), cluster)]),
    };
    of_cluster.leave_open(&undecided(&flows(&inventory, context.today), &name));
    let summary = summary(&inventory, &of_cluster, &answers);
    remarks.clusters.insert(name, of_cluster);
    finish(context, &args.common, &inventory, &remarks, &summary)
}

fn unreadable(error: &kube::config::KubeconfigError) -> Failure {
    let help =
        "name the file with --kubeconfig and the context with --context; `kubectl config get-contexts` lists them";
    Failure::new(format!("can't read the kubeconfig: {error}"), help)
}

/// A profile, the version that picks it, and why.
type Picked = (Arc<Profile>, Option<Version>, Vec<String>);

/// The profile that was asked for, else that of what was seen, with the version of Rancher where that picks one.
fn profile(catalog: &Catalog, asked: Option<&str>, seen: &Seen) -> Result<Picked, Failure> {
    let (name, mut why) = match (asked, seen.profile()) {
        (Some(name), _) => (name, vec!["as it was asked for".to_owned()]),
        (None, Some((name, why))) => (name, vec![why]),
        (None, None) => {
            let message = format!("no table of ports is for {}", seen.distribution);
            return Err(Failure::new(message, "name one with --profile; `rsgsync profile list` shows them"));
        }
    };
    let version = seen.rancher.as_deref().and_then(Version::parse);
    let newest =
        catalog.find(name, None).map_err(|e| Failure::new(e.to_string(), "`rsgsync profile list` shows them"))?;
    let of_version = version.and_then(|version| Some((catalog.find(name, Some(version)).ok()?, version)));
    match of_version.filter(|(profile, _)| profile.subject == "rancher") {
        Some((profile, version)) => {
            why.push(format!("Rancher {version}: the tag of its image"));
            Ok((profile, Some(version), why))
        }
        None => Ok((newest, None, why)),
    }
}

fn cluster(
    name: ClusterName,
    network: &Network,
    profile: Arc<Profile>,
    rancher_version: Option<Version>,
    options: BTreeMap<Arc<str>, Vec<OptionValue>>,
    groups: IndexMap<rsgsync_core::name::NodeGroupName, rsgsync_core::inventory::NodeGroup>,
) -> Cluster {
    Cluster {
        name,
        network: network.name.clone(),
        external: false,
        profile,
        rancher_version,
        rancher: None,
        options,
        values: BTreeMap::new(),
        cidrs: BTreeMap::new(),
        egress: EgressMode::Open,
        groups,
        rules: Vec::new(),
        waive: Vec::new(),
        narrow: Vec::new(),
        ignore: Vec::new(),
        peers: BTreeMap::new(),
    }
}

fn remarks(server: &str, no_place: bool, answers: &Answers) -> Remarks {
    let head = format!(
        "Read from the API server {server}: {}. Kubernetes knows the nodes and what runs on them, but not their security \
         groups: say where these are and which they are, or let `rsgsync apply` make them.",
        count(answers.nodes.len(), "node")
    );
    let network = "not known: replace it by the place of the cluster's security groups, such as \
                   `aws: { region: eu-west-1, vpc: vpc-0a1b2c3d }`";
    let network = if no_place { vec![network.to_owned()] } else { Vec::new() };
    Remarks { head: vec![head], network, clusters: BTreeMap::new() }
}

fn summary(inventory: &Inventory, remarks: &ClusterRemarks, answers: &Answers) -> String {
    let mut out = String::new();
    for (name, cluster) in &inventory.clusters {
        out.push_str(&format!("{name}  {}  {}\n", cluster.profile.label(), remarks.profile.join("; ")));
        for group in cluster.groups.values() {
            let of_nodes = group.addresses.private.len() + group.addresses.public.len();
            out.push_str(&format!("  {}  {}  addresses: {of_nodes}\n", group.name, group.roles.join(", ")));
        }
        for (option, why) in &remarks.options {
            let values = cluster.options.get(option).into_iter().flatten();
            let values: Vec<String> = values.map(ToString::to_string).collect();
            out.push_str(&format!("  {option}: {}  {why}\n", values.join(", ")));
        }
        for option in remarks.undecided.keys() {
            out.push_str(&format!("  not known: {option}\n"));
        }
    }
    out.push_str(&format!("read {} in {}\n", count(answers.nodes.len(), "node"), count(answers.requests, "request")));
    out
}

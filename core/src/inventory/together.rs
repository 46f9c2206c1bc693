//! Files become one inventory: one owner, each name once, security groups that agree.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::cluster::cluster;
use super::context::Context;
use super::fields::nearest;
use super::group::Placed;
use super::network::network;
use super::peer::peer;
use super::problem::Code;
use super::report::Place;
use super::tree::{Key, Node, Value};
use super::{Cluster, EndWord, Inventory, Network, Ownership, Peer, PeerName, SecurityGroup};
use crate::name::{ClusterName, NetworkName, Owner};

/// The owner of an inventory that names none.
const DEFAULT_OWNER: &str = "default";
const VERSION: &str = "1";

/// The parts of a file's top level.
#[derive(Default)]
struct Top<'a> {
    owner: Option<&'a Node>,
    trusted: Option<&'a Node>,
    networks: &'a [(Key, Node)],
    clusters: &'a [(Key, Node)],
    peers: &'a [(Key, Node)],
}

/// Reads all files; `None` only beside an error in the report.
pub(super) fn inventory(cx: &Context<'_>, roots: &[Option<Node>]) -> Option<Inventory> {
    let tops: Vec<Top<'_>> = roots.iter().flatten().filter_map(|root| top(cx, root)).collect();
    let owner = owner(cx, &tops);
    let trusted = tops.iter().filter_map(|top| top.trusted).flat_map(|node| cx.cidrs(node)).collect();

    let mut networks = Once::new("network");
    for (key, node) in tops.iter().flat_map(|top| top.networks) {
        networks.add(cx, key, network(cx, key, node).map(|network| (network.name.clone(), network)), PartialEq::eq);
    }
    let mut peers = Once::new("peer");
    for (key, node) in tops.iter().flat_map(|top| top.peers) {
        peers.add(cx, key, peer(cx, key, node), PartialEq::eq);
    }
    let peer_keys: Vec<&Key> = tops.iter().flat_map(|top| top.peers).map(|(key, _)| key).collect();
    let peers: BTreeMap<PeerName, Peer> = peers.values().collect();
    let mut clusters = Once::new("cluster");
    for (key, node) in tops.iter().flat_map(|top| top.clusters) {
        let read =
            cluster(cx, &peers, key, node).map(|(cluster, placed)| (cluster.name.clone(), (cluster, placed, node)));
        clusters.add(cx, key, read, |(a, _, a_node), (b, _, b_node)| a_node.same(b_node) && a.peers == b.peers);
    }
    let clusters: Vec<(Cluster, Vec<Placed>)> =
        clusters.values().map(|(_, (cluster, placed, _))| (cluster, placed)).collect();

    if !tops.is_empty()
        && !cx.report.has_errors()
        && tops.iter().all(|top| top.networks.is_empty() && top.clusters.is_empty())
        && let Some(root) = roots.iter().flatten().next()
    {
        let finding = root.place.error(Code::Missing, "no networks and no clusters: there is nothing to keep true");
        cx.report.add(finding.help("name a cloud under `networks:`, and under `clusters:` what lives there"));
    }
    let networks: IndexMap<NetworkName, Network> = networks.values().collect();
    agree_on_security_groups(cx, &clusters);
    accounts_only_where_known(cx, &networks, &clusters);
    if owner.is_none() {
        warn_of_shared_groups(cx, &clusters);
    }
    warn_of_stray_peers(cx, &peer_keys, &clusters);
    Some(Inventory {
        owner: owner.or_else(|| Owner::new(DEFAULT_OWNER).ok())?,
        trusted,
        guards: cx.guards.to_vec(),
        networks: networks.into_iter().collect(),
        clusters: clusters.into_iter().map(|(cluster, _)| (cluster.name.clone(), cluster)).collect(),
    })
}

fn top<'a>(cx: &Context<'a>, root: &'a Node) -> Option<Top<'a>> {
    let mut fields = root.fields(cx.report)?;
    if let Some(version) = fields.require("version", "an inventory starts with `version: 1`") {
        match &version.value {
            Value::Number(text) if text == VERSION => {}
            Value::Number(text) => {
                let finding = version.place.error(Code::BadValue, format!("version {text} is not known"));
                cx.report.add(finding.help("this rsgsync reads `version: 1`"));
            }
            _ => cx.report.add(version.wrong_type("the number 1").help("write `version: 1`")),
        }
    }
    let owner = fields.get("owner");
    let trusted = fields.get("trusted");
    // Read before everything else: see `own`.
    fields.get("profiles");
    fields.get("guards");
    let mut named = |key| fields.get(key).map(|node: &'a Node| node.named(cx.report)).unwrap_or_default();
    let (networks, clusters, peers) = (named("networks"), named("clusters"), named("peers"));
    fields.finish_but(|key| key.starts_with("x-"));
    Some(Top { owner, trusted, networks, clusters, peers })
}

/// The owner that the files name; they may not differ.
fn owner(cx: &Context<'_>, tops: &[Top<'_>]) -> Option<Owner> {
    let mut first: Option<(Owner, &Place)> = None;
    for node in tops.iter().filter_map(|top| top.owner) {
        let Some(owner) = node.read(cx.report, Owner::new) else { continue };
        match &first {
            Some((other, place)) if *other != owner => {
                let finding =
                    node.place.error(Code::Conflict, format!("the owner is `{owner}` here and `{other}` there"));
                cx.report.add(finding.also(place, "there").help("files given together are one owner's inventory"));
            }
            Some(_) => {}
            None => first = Some((owner, &node.place)),
        }
    }
    first.map(|(owner, _)| owner)
}

/// Things by name; a name that stands in several files must mean the same.
struct Once<'a, K, V> {
    what: &'static str,
    things: IndexMap<K, (&'a Key, V)>,
}

impl<'a, K: std::hash::Hash + Eq, V> Once<'a, K, V> {
    fn new(what: &'static str) -> Self {
        Self { what, things: IndexMap::new() }
    }

    fn add(&mut self, cx: &Context<'_>, key: &'a Key, read: Option<(K, V)>, same: impl Fn(&V, &V) -> bool) {
        let Some((name, value)) = read else { return };
        match self.things.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert((key, value));
            }
            Entry::Occupied(entry) if same(&entry.get().1, &value) => {}
            Entry::Occupied(entry) => {
                let message = format!("{} `{}` is defined twice, and differently", self.what, key.text);
                let finding =
                    key.place.error(Code::Conflict, message).also(&entry.get().0.place, "the other definition");
                cx.report.add(finding.help("make the two equal, or remove one"));
            }
        }
    }

    fn values(self) -> impl Iterator<Item = (K, V)> {
        self.things.into_iter().map(|(name, (_, value))| (name, value))
    }
}

/// Groups that name the same security group of a network must say the same about whose it is.
fn agree_on_security_groups(cx: &Context<'_>, clusters: &[(Cluster, Vec<Placed>)]) {
    type Seen<'a> = (&'a ClusterName, bool, &'a Placed);
    let mut seen: HashMap<(&NetworkName, &SecurityGroup), Seen<'_>> = HashMap::new();
    for (cluster, placed) in clusters {
        for here in placed {
            let named = &here.group.security_group;
            let (other_cluster, external, there) =
                *seen.entry((&cluster.network, named)).or_insert((&cluster.name, cluster.external, here));
            let other = format!("`{other_cluster}/{}`", there.group.name);
            if here.group.ownership != there.group.ownership {
                let word = |o: Option<Ownership>| o.map_or("left open", Ownership::as_str);
                let message = format!(
                    "security group `{named}` is {} here and {} in {other}",
                    word(here.group.ownership),
                    word(there.group.ownership)
                );
                let finding = here.ownership.error(Code::Conflict, message).also(&there.ownership, "the other group");
                cx.report.add(finding.help("give both the same `ownership`"));
            } else if external != cluster.external {
                let message = format!("security group `{named}` is both ours and external: {other} names it too");
                let finding = here.security_group.error(Code::Conflict, message);
                cx.report.add(finding.also(&there.security_group, "the other group").help("name two groups"));
            }
        }
    }
}

/// Only some clouds have rules for service accounts.
fn accounts_only_where_known(
    cx: &Context<'_>,
    networks: &IndexMap<NetworkName, Network>,
    clusters: &[(Cluster, Vec<Placed>)],
) {
    for (cluster, placed) in clusters {
        let Some(network) = networks.get(&cluster.network) else { continue };
        let spec = cx.providers.iter().find(|spec| spec.word == network.provider);
        if spec.is_some_and(|spec| spec.groups_are_names) {
            continue;
        }
        for here in placed.iter().filter(|placed| placed.is_account) {
            let message = format!("`{}` has no rules for service accounts", network.provider);
            cx.report.add(here.security_group.error(Code::Conflict, message).help("write `security_group` instead"));
        }
    }
}

/// Whose rules are whose in a shared group is told by the owner's name, and `default` is everybody's.
fn warn_of_shared_groups(cx: &Context<'_>, clusters: &[(Cluster, Vec<Placed>)]) {
    for (_, placed) in clusters {
        for here in placed.iter().filter(|p| p.group.ownership == Some(Ownership::Shared)) {
            let message = format!("a shared group, and the inventory names no owner: `{DEFAULT_OWNER}` is used");
            let finding = here.ownership.warning(Code::Doubtful, message);
            cx.report.add(finding.help("add `owner: NAME` at the top, so that another inventory's rules stay apart"));
        }
    }
}

/// A peer that nothing refers to, with a name that is a slip of one that profiles know.
fn warn_of_stray_peers(cx: &Context<'_>, keys: &[&Key], clusters: &[(Cluster, Vec<Placed>)]) {
    let mut used = BTreeSet::new();
    for (cluster, _) in clusters {
        let rules = cluster.rules.iter().flat_map(|rule| rule.from.iter().chain(&rule.to));
        let ends = rules.chain(cluster.narrow.iter().flat_map(|narrowing| &narrowing.from));
        used.extend(ends.filter_map(|end| match end {
            EndWord::Peer(peer) => Some(&**peer),
            EndWord::Group(_) | EndWord::Cidr(_) | EndWord::Every => None,
        }));
    }
    let known = || cx.vocabulary().peers.iter().map(|peer| &**peer);
    for key in keys.iter().filter(|key| !used.contains(key.text.as_str()) && !known().any(|peer| peer == key.text)) {
        if cx.vocabulary().roles.iter().any(|role| **role == *key.text) {
            let message = format!("nothing refers to peer `{}`: rows mean the groups that play that role", key.text);
            let help = "nodes elsewhere are a cluster with `external: true`, and `addresses` in its groups";
            cx.report.add(key.place.warning(Code::Doubtful, message).help(help));
        } else if let Some(near) = nearest(&key.text, known()) {
            let finding = key.place.warning(Code::Doubtful, format!("nothing refers to peer `{}`", key.text));
            cx.report.add(finding.help(format!("did you mean `{near}`?")));
        }
    }
}

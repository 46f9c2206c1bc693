//! The names that all files together define, gathered first so that every reference can be checked where it stands.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Node, Value};

/// Names, whether or not what they name is right.
#[derive(Debug, Default)]
pub(super) struct Index<'a> {
    /// Network → its keys.
    pub networks: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// Cluster → its groups.
    pub clusters: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// The files' peers, without the clusters' own.
    pub peers: BTreeSet<&'a str>,
    /// A file could not be read: a name that is missing here may stand there.
    pub partial: bool,
}

impl<'a> Index<'a> {
    pub fn of(roots: &'a [Option<Node>]) -> Self {
        let mut index = Self { partial: roots.iter().any(Option::is_none), ..Self::default() };
        for root in roots.iter().flatten() {
            for (name, network) in entries(child(root, "networks")) {
                index.networks.entry(name).or_default().extend(keys(Some(network)));
            }
            index.peers.extend(keys(child(root, "peers")));
            for (name, cluster) in entries(child(root, "clusters")) {
                index.clusters.entry(name).or_default().extend(keys(child(cluster, "groups")));
            }
        }
        index
    }
}

/// The keys of a mapping; none of anything else.
pub(super) fn keys(node: Option<&Node>) -> impl Iterator<Item = &str> {
    entries(node).map(|(key, _)| key)
}

/// The value of a key, where the node is a mapping that has it.
pub(super) fn child<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    entries(Some(node)).find(|(k, _)| *k == key).map(|(_, node)| node)
}

fn entries(node: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    let entries: &[_] = match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    };
    entries.iter().map(|(key, node)| (key.text.as_str(), node))
}

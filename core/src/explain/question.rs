//! The words of a question become the ends that it asks about.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::flow::{End, Side, named};
use crate::inventory::{Cluster, Inventory, Peer, suggestion};
use crate::name::{ClusterName, NodeGroupName};
use crate::profile::{Selector, Vocabulary};
use crate::rule::Cidr;
use crate::traffic::{Traffic, TrafficError};

/// May `from` reach `to` on this traffic?
#[derive(Debug, Clone)]
pub struct Question {
    /// Who opens the connection, as asked.
    pub from: String,
    /// Who is reached, as asked.
    pub to: String,
    /// On what; one is not empty, `tcp+udp` is two.
    pub traffic: Vec<Traffic>,
    /// The cluster whose peers are meant.
    pub(super) cluster: ClusterName,
    pub(super) pairs: Pairs,
}

/// The ends that each end must reach.
pub(super) type Pairs = Vec<(Side, Side)>;

/// Why a question can't be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// The traffic is none.
    #[error("--port: {0}")]
    Traffic(TrafficError),
    /// A word that the inventory doesn't know.
    #[error("`{word}` is no group, peer or address")]
    Unknown {
        /// The word.
        word: String,
        /// What may have been meant.
        help: Option<String>,
    },
    /// A peer that clusters define each in its own way.
    #[error("cluster `{one}` and cluster `{two}` define these peers in different ways")]
    Ambiguous {
        /// One cluster.
        one: ClusterName,
        /// Another.
        two: ClusterName,
    },
    /// There is nothing to look at.
    #[error("neither `{from}` nor `{to}` is a group of the inventory")]
    NoGroup {
        /// Who opens the connection.
        from: String,
        /// Who is reached.
        to: String,
    },
}

impl QuestionError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Traffic(_) => "ports are 0-65535; traffic is written as in an inventory's `allow`".to_owned(),
            Self::Unknown { help, .. } => {
                help.clone().unwrap_or_else(|| "write CLUSTER/GROUP, a peer or an address".to_owned())
            }
            Self::Ambiguous { .. } => "name one end as CLUSTER/GROUP: its cluster's peers are meant then".to_owned(),
            Self::NoGroup { .. } => {
                "name at least one end as CLUSTER/GROUP: only its rules can be looked at".to_owned()
            }
        }
    }
}

/// An end as a person names it.
enum Word {
    Group(ClusterName, NodeGroupName),
    Range(Cidr),
    Name(Arc<str>),
}

impl Question {
    /// Reads a question: `CLUSTER/GROUP`, a peer or an address twice, and traffic as inventories write it.
    pub fn read(inventory: &Inventory, from: &str, to: &str, traffic: &str) -> Result<Self, QuestionError> {
        let traffic = Traffic::parse_list(traffic).map_err(QuestionError::Traffic)?;
        let words = (read_word(inventory, from)?, read_word(inventory, to)?);
        let (cluster, pairs) = match &words {
            (_, Word::Group(cluster, _)) | (Word::Group(cluster, _), _) => {
                (cluster.clone(), pairs(inventory, cluster, &words))
            }
            _ => between_peers(inventory, &words)?
                .ok_or_else(|| QuestionError::NoGroup { from: from.to_owned(), to: to.to_owned() })?,
        };
        Ok(Self { from: from.to_owned(), to: to.to_owned(), traffic, cluster, pairs })
    }
}

fn read_word(inventory: &Inventory, word: &str) -> Result<Word, QuestionError> {
    if let Some(range) = Cidr::parse(word) {
        return Ok(Word::Range(range));
    }
    let group = word.split_once('/').and_then(|(cluster, group)| {
        let cluster = inventory.clusters.get(cluster)?;
        Some(Word::Group(cluster.name.clone(), cluster.groups.get(group)?.name.clone()))
    });
    let known = || names(inventory).into_iter().find(|name| **name == *word).map(Word::Name);
    group.or_else(known).ok_or_else(|| unknown(inventory, word))
}

/// Peers that a cluster defines or the vocabulary has, and DNS names of rows.
fn names(inventory: &Inventory) -> BTreeSet<Arc<str>> {
    let clusters = inventory.clusters.values();
    let of_clusters = clusters.flat_map(|cluster| {
        let ends = cluster.profile.rows.iter().flat_map(|row| row.from.iter().chain(&row.to));
        let dns = ends.filter_map(|end| match end {
            Selector::Name(name) => Some(name),
            _ => None,
        });
        cluster.peers.keys().chain(dns)
    });
    of_clusters.chain(&Vocabulary::shipped().peers).cloned().collect()
}

fn unknown(inventory: &Inventory, word: &str) -> QuestionError {
    let groups: Vec<String> = inventory
        .clusters
        .values()
        .flat_map(|cluster| cluster.groups.keys().map(move |group| format!("{}/{group}", cluster.name)))
        .collect();
    let of_that_name = groups.iter().find(|group| group.rsplit_once('/').is_some_and(|(_, name)| name == word));
    let names = names(inventory);
    let known = groups.iter().map(String::as_str).chain(names.iter().map(|name| &**name));
    let help = of_that_name.map(|group| format!("did you mean `{group}`?")).or_else(|| suggestion(word, known));
    QuestionError::Unknown { word: word.to_owned(), help }
}

fn pairs(inventory: &Inventory, cluster: &ClusterName, (from, to): &(Word, Word)) -> Pairs {
    let Some(cluster) = inventory.clusters.get(cluster) else { return Vec::new() };
    let sides = |word: &Word| match word {
        Word::Group(cluster, group) => vec![Side::End(End::Group(cluster.clone(), group.clone()))],
        Word::Range(range) => vec![Side::End(End::Cidr(*range))],
        Word::Name(name) => named(inventory, cluster, name),
    };
    let tos = sides(to);
    sides(from).into_iter().flat_map(|from| tos.iter().map(move |to| (from.clone(), to.clone()))).collect()
}

/// The ends of a question without `CLUSTER/GROUP`, where all clusters that make a group of one of them agree on both.
fn between_peers(inventory: &Inventory, words: &(Word, Word)) -> Result<Option<(ClusterName, Pairs)>, QuestionError> {
    let mut found: Option<(&Cluster, Pairs)> = None;
    for cluster in inventory.clusters.values() {
        let pairs = pairs(inventory, &cluster.name, words);
        if !pairs.iter().any(|(from, to)| is_group(cluster, from) || is_group(cluster, to)) {
            continue;
        }
        match &found {
            None => found = Some((cluster, pairs)),
            Some((one, same)) if *same == pairs && peers(one, words) == peers(cluster, words) => {}
            Some((one, _)) => {
                return Err(QuestionError::Ambiguous { one: one.name.clone(), two: cluster.name.clone() });
            }
        }
    }
    Ok(found.map(|(cluster, pairs)| (cluster.name.clone(), pairs)))
}

fn is_group(cluster: &Cluster, side: &Side) -> bool {
    match side {
        Side::End(End::Group(..)) => true,
        Side::End(End::Peer(name)) => matches!(cluster.peers.get(name), Some(Peer::NodeGroup { .. })),
        Side::End(End::Cidr(_) | End::Name(_) | End::SelfGroup) | Side::Missing(_) => false,
    }
}

/// What a cluster says of the peers among the words.
fn peers<'i>(cluster: &'i Cluster, (from, to): &(Word, Word)) -> [Option<&'i Peer>; 2] {
    [from, to].map(|word| match word {
        Word::Name(name) => cluster.peers.get(name),
        Word::Group(..) | Word::Range(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::downstream;

    fn ask(from: &str, to: &str, port: &str) -> Result<Question, (String, String)> {
        let mut inventory = downstream("downstream-node-pools");
        inventory.cluster("prod").peer("office", &["203.0.113.0/24"]);
        let monitoring = Peer::NodeGroup { cluster: ClusterName::new("mgmt").unwrap(), group: None };
        inventory.cluster("prod").peers.insert("monitoring".into(), monitoring);
        Question::read(&inventory, from, to, port).map_err(|error| (error.to_string(), error.help()))
    }

    #[track_caller]
    fn refused(from: &str, to: &str, port: &str, help: &str) {
        let (_, said) = ask(from, to, port).unwrap_err();
        assert!(said.contains(help), "{said}");
    }

    #[test]
    fn a_slip_is_told_the_nearest_word() {
        refused("prod/etdc", "prod/control", "22/tcp", "did you mean `prod/etcd`?");
        refused("prod/control", "offce", "22/tcp", "did you mean `office`?");
        refused("etcd", "prod/control", "22/tcp", "did you mean `prod/etcd`?");
        refused("10.1.2", "prod/control", "22/tcp", "known: mgmt/server, prod/etcd");
        refused("prod/etcd", "prod/control", "22/tpc", "as in an inventory's `allow`");
    }

    #[test]
    fn one_end_must_be_a_group() {
        refused("office", "10.1.2.3", "22/tcp", "CLUSTER/GROUP");
        refused("10.1.2.3", "10.1.2.4", "22/tcp", "CLUSTER/GROUP");
        assert!(ask("monitoring", "10.1.2.3", "22/tcp").is_ok(), "it is a peer that is a group");
    }

    #[test]
    fn tcp_and_udp_are_two() {
        let question = ask("prod/etcd", "office", "30000-32767/tcp+udp").unwrap();
        assert_eq!((question.traffic.len(), question.pairs.len()), (2, 1));
    }
}

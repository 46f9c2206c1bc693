//! Profile × inventory: who must reach whom, on what, and why.

use std::sync::Arc;

use crate::name::{ClusterName, NetworkName, NodeGroupName};
use crate::rule::Cidr;
use crate::traffic::Traffic;

/// Why a rule is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Reason {
    /// The cluster that needs it.
    pub cluster: ClusterName,
    /// The profile with its version, `downstream-node-pools@2.4`; `inventory` for a rule of the user's own.
    pub profile: Arc<str>,
    /// The row's id; for a rule of the user's own its ticket or number.
    pub row: Arc<str>,
    /// The purpose.
    pub why: Arc<str>,
}

/// One required connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// The cluster whose row it is.
    pub cluster: ClusterName,
    /// Who opens the connection.
    pub from: End,
    /// Who is reached.
    pub to: End,
    /// On what.
    pub traffic: Traffic,
    /// Why.
    pub reason: Reason,
    /// Stays on the node: needs no rule, unless the group is multihomed.
    pub local: bool,
}

/// One end of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// A node group.
    Group(ClusterName, NodeGroupName),
    /// A named party.
    Peer(Arc<str>),
    /// An address range.
    Cidr(Cidr),
    /// A DNS name.
    Name(Arc<str>),
    /// The other end's own group.
    SelfGroup,
}

/// A row that was not opened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unopened {
    /// Where.
    pub network: NetworkName,
    /// Whose.
    pub cluster: ClusterName,
    /// The row, `ID` or `PROFILE/ID` where that is ambiguous.
    pub row: Arc<str>,
    /// Why not.
    pub why: Why,
    /// What it would open in which group, as far as that is known: such traffic is held.
    pub asks: Vec<(ClusterName, NodeGroupName, Traffic)>,
}

/// Why a row was not opened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// Its peer is not in the inventory.
    PeerUndefined(Arc<str>),
    /// Its condition hangs on options without a value.
    OptionNotSet(Vec<Arc<str>>),
    /// A symbolic port has no value.
    PortWithoutValue(Arc<str>),
    /// A cluster network has no range.
    NetworkRangeUnknown(Arc<str>),
    /// A reference across networks has no addresses to stand for it.
    NoAddresses(ClusterName, NodeGroupName),
    /// The other end's name can't stand in a rule.
    NameNeedsCidrs(Arc<str>),
    /// No cluster's Rancher manages this one (`rancher:` is not set).
    RancherUnknown,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PeerUndefined(peer) => write!(f, "peer undefined: {peer}"),
            Self::OptionNotSet(options) => write!(f, "option not set: {}", options.join(", ")),
            Self::PortWithoutValue(symbol) => write!(f, "port without value: {symbol}"),
            Self::NetworkRangeUnknown(net) => write!(f, "range unknown: cidrs.{net}"),
            Self::NoAddresses(cluster, group) => write!(f, "addresses unknown: {cluster}/{group}"),
            Self::NameNeedsCidrs(name) => write!(f, "name needs cidrs: {name}"),
            Self::RancherUnknown => f.write_str("rancher not set"),
        }
    }
}

/// An option that got the product's own default.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Assumed {
    /// Whose.
    pub cluster: ClusterName,
    /// Which.
    pub option: Arc<str>,
    /// The value.
    pub value: String,
    /// Where that default is documented.
    pub source: String,
}

/// What profiles ask of an inventory.
#[derive(Debug, Clone, Default)]
pub struct Flows {
    /// Required connections, sorted, no two alike.
    pub flows: Vec<Flow>,
    /// Rows that were not opened, sorted.
    pub unopened: Vec<Unopened>,
    /// Options that got a default, sorted; only those that decided a row.
    pub assumed: Vec<Assumed>,
}

//! Profile × inventory: who must reach whom, on what, and why.

mod candidate;
mod option;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use crate::inventory::{Cluster, Inventory, NodeGroup};
use crate::name::{ClusterName, GroupName, NetworkName, NodeGroupName};
use crate::profile::{Port, ProfileRow, Selector, Vocabulary};
use crate::rule::{Cidr, Direction};
use crate::traffic::{Protocol, Traffic};

use option::{Facts, State};

pub(crate) use candidate::{Candidate, Side, named};
pub(crate) use option::{may_be_open, multihomed};

/// What stands for the profile where the reason is a rule of the user's own.
pub const OWN: &str = "inventory";

/// Why a rule is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Reason {
    /// The cluster that needs it.
    pub cluster: ClusterName,
    /// The profile with its version, `downstream-node-pools@2.4`; [`OWN`] for a rule of the user's own.
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
    /// What it would open in which group, sorted: such traffic is held. All of the protocol where ports are unknown.
    pub asks: Vec<Ask>,
}

/// Traffic that an unopened row would open in a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ask {
    /// The group's cluster.
    pub cluster: ClusterName,
    /// The group.
    pub group: NodeGroupName,
    /// Into it, or out of it (which matters only where egress is strict).
    pub direction: Direction,
    /// On what.
    pub traffic: Traffic,
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
    /// A group of another network that rules refer to by name: nobody has it, and this plan doesn't make it.
    GroupNotThere(NetworkName, GroupName),
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
            Self::GroupNotThere(network, group) => write!(f, "no such group: {group} in network {network}"),
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
    /// Roles that rows speak of and no group plays, sorted: such rows drop out.
    pub without_members: Vec<WithoutMembers>,
}

/// A role of a cluster's profile that no group plays.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct WithoutMembers {
    /// Whose.
    pub cluster: ClusterName,
    /// The role.
    pub role: Arc<str>,
}

/// Works out every required connection of the inventory, and what could not be worked out.
///
/// `today` ends the user's own rules whose `until` is past; expired waivers and narrowings stay in force.
pub fn flows(inventory: &Inventory, today: Date) -> Flows {
    let mut found = Found::default();
    for cluster in inventory.clusters.values() {
        for row in &cluster.profile.rows {
            open_row(inventory, cluster, row, &mut found);
        }
        found.without_members.extend(without_members(cluster));
        open_own_rules(inventory, cluster, today, &mut found);
    }
    found.into_flows()
}

#[derive(Default)]
struct Found {
    flows: BTreeSet<Flow>,
    unopened: BTreeMap<(NetworkName, ClusterName, Arc<str>, Why), BTreeSet<Ask>>,
    assumed: BTreeSet<(ClusterName, Arc<str>, String, String)>,
    without_members: BTreeSet<WithoutMembers>,
}

impl Found {
    fn not_opened(&mut self, cluster: &Cluster, row: &Arc<str>, why: Why, asks: impl IntoIterator<Item = Ask>) {
        let key = (cluster.network.clone(), cluster.name.clone(), Arc::clone(row), why);
        self.unopened.entry(key).or_default().extend(asks);
    }

    fn into_flows(self) -> Flows {
        let unopened = self.unopened.into_iter().map(|((network, cluster, row, why), asks)| Unopened {
            network,
            cluster,
            row,
            why,
            asks: asks.into_iter().collect(),
        });
        let assumed = self.assumed.into_iter();
        Flows {
            flows: self.flows.into_iter().collect(),
            unopened: unopened.collect(),
            assumed: assumed
                .map(|(cluster, option, value, source)| Assumed { cluster, option, value, source })
                .collect(),
            without_members: self.without_members.into_iter().collect(),
        }
    }
}

/// Roles of the profile's own rows that no group of the cluster plays; the managing role may be another cluster's.
fn without_members(cluster: &Cluster) -> impl Iterator<Item = WithoutMembers> {
    let words = Vocabulary::shipped();
    let own = cluster.profile.rows.iter().filter(|row| row.profile == cluster.profile.name);
    let ends = own.flat_map(|row| row.from.iter().chain(&row.to));
    let roles = ends.filter_map(|end| match end {
        Selector::Role(role) => Some(role),
        _ => None,
    });
    let of_profile = cluster.profile.roles.iter().chain(roles);
    let elsewhere = |role: &Arc<str>| *role == words.every_role || *role == words.managing_role;
    let played = |role: &Arc<str>| cluster.groups.values().any(|group| group.roles.contains(role));
    let missing = of_profile.filter(move |role| !elsewhere(role) && !played(role));
    missing.map(|role| WithoutMembers { cluster: cluster.name.clone(), role: Arc::clone(role) })
}

fn open_row(inventory: &Inventory, cluster: &Cluster, row: &ProfileRow, found: &mut Found) {
    let word = cluster.profile.word_for(row);
    let reason = Reason {
        cluster: cluster.name.clone(),
        profile: row.label.clone(),
        row: row.id.clone(),
        why: row.purpose.clone(),
    };
    let traffic = RowTraffic::of(row, cluster);
    let facts = Facts::new(cluster);
    let of_cluster = facts.decide(&row.condition, None);
    for candidate in candidate::of_row(inventory, cluster, row) {
        let own = if candidate.local { candidate.to_group(cluster) } else { None };
        let decision = match own.and_then(|group: &NodeGroup| group.multihomed) {
            Some(word) => &facts.decide(&row.condition, Some(word)),
            None => &of_cluster,
        };
        found
            .assumed
            .extend(decision.assumed.iter().map(|(o, v, s)| (cluster.name.clone(), o.clone(), v.clone(), s.clone())));
        match &decision.state {
            State::Closed => {}
            State::Undecided(options) => {
                let why = Why::OptionNotSet(options.clone());
                found.not_opened(cluster, &word, why, candidate.asks(&traffic.asked()));
            }
            State::Open => open(cluster, &candidate, &traffic, (&reason, &word), found),
        }
    }
}

fn open_own_rules(inventory: &Inventory, cluster: &Cluster, today: Date, found: &mut Found) {
    for (index, rule) in cluster.rules.iter().enumerate() {
        if rule.until.is_some_and(|until| until < today) {
            continue;
        }
        let row = rule.ticket.clone().unwrap_or_else(|| (index + 1).to_string());
        let reason = Reason {
            cluster: cluster.name.clone(),
            profile: OWN.into(),
            row: row.into(),
            why: rule.why.as_str().into(),
        };
        let traffic = RowTraffic { known: rule.allow.clone(), ..RowTraffic::default() };
        for candidate in candidate::of_rule(inventory, cluster, rule) {
            open(cluster, &candidate, &traffic, (&reason, &reason.row), found);
        }
    }
}

fn open(
    cluster: &Cluster,
    candidate: &Candidate,
    traffic: &RowTraffic,
    (reason, word): (&Reason, &Arc<str>),
    found: &mut Found,
) {
    let (from, to) = match (&candidate.from, &candidate.to) {
        (Side::End(from), Side::End(to)) => (from, to),
        (Side::Missing(why), _) | (_, Side::Missing(why)) => {
            found.not_opened(cluster, word, why.clone(), candidate.asks(&traffic.asked()));
            return;
        }
    };
    for symbol in &traffic.without_value {
        let why = Why::PortWithoutValue(symbol.clone());
        found.not_opened(cluster, word, why, candidate.asks(&traffic.unknown));
    }
    found.flows.extend(traffic.known.iter().map(|traffic| Flow {
        cluster: cluster.name.clone(),
        from: from.clone(),
        to: to.clone(),
        traffic: *traffic,
        reason: reason.clone(),
        local: candidate.local,
    }));
}

/// The traffic of a row, once the inventory's values stand for its symbols.
#[derive(Default)]
pub(crate) struct RowTraffic {
    pub(crate) known: Vec<Traffic>,
    /// Symbols that have no value.
    without_value: Vec<Arc<str>>,
    /// What those may be: all of the row's protocols.
    unknown: Vec<Traffic>,
}

impl RowTraffic {
    pub(crate) fn of(row: &ProfileRow, cluster: &Cluster) -> Self {
        let protocols: Vec<Protocol> = row.protocol.split('+').filter_map(Protocol::parse).collect();
        let whole = || protocols.iter().map(|protocol| Traffic::whole(*protocol));
        let mut traffic = Self::default();
        if row.ports.is_empty() {
            traffic.known.extend(whole());
        }
        for port in &row.ports {
            let range = match port {
                Port::Range(range) => Some(*range),
                Port::Symbol(symbol) => cluster.values.get(&**symbol).copied(),
                Port::Icmp(kind, code) => {
                    let v6 = |protocol: &Protocol| *protocol == Protocol::Number(crate::traffic::ICMPV6);
                    traffic.known.extend(protocols.iter().map(|p| Traffic::icmp(v6(p), Some(*kind), *code)));
                    continue;
                }
            };
            match (range, port) {
                (Some(range), _) => traffic.known.extend(protocols.iter().map(|p| Traffic::on_ports(*p, range))),
                (None, Port::Symbol(symbol)) => traffic.without_value.push(symbol.clone()),
                (None, _) => {}
            }
        }
        if !traffic.without_value.is_empty() {
            traffic.unknown.extend(whole());
        }
        traffic
    }

    /// All that it may be.
    pub(crate) fn asked(&self) -> Vec<Traffic> {
        self.known.iter().chain(&self.unknown).copied().collect()
    }
}

#[cfg(test)]
mod tests;

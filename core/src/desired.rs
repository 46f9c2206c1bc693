//! Flows become rules, group by group: references where the cloud can express them, addresses where it cannot.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::flow::{Ask, End, Flow, Flows, Reason, Unopened, Why, multihomed};
use crate::inventory::{Cluster, EgressMode, Inventory, NodeGroup, Ownership, Peer, SecurityGroup};
use crate::name::{ClusterName, GroupName, NetworkName, NodeGroupName};
use crate::profile::ProfileKind;
use crate::rule::{Atom, Atoms, Cidr, Direction, Family, Rule};
use crate::traffic::Traffic;

pub(crate) use source::linked_addresses;

/// What every managed group should have.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// By network, in the inventory's order; groups sorted by security group.
    pub networks: BTreeMap<NetworkName, DesiredNetwork>,
    /// Rows that no rule was made for, because an end can't be written as one.
    pub unopened: Vec<Unopened>,
    /// Flows into groups of `external` clusters: needed there, never written.
    pub elsewhere: Vec<Flow>,
}

/// The groups of one network.
#[derive(Debug, Clone, Default)]
pub struct DesiredNetwork {
    /// Names that the rules point into.
    pub atoms: Atoms,
    /// Sorted by security group, no two of one.
    pub groups: Vec<DesiredGroup>,
    /// Groups of other networks that rules refer to by name: what stands for them until their ids are known.
    pub elsewhere: BTreeMap<Atom, Elsewhere>,
}

impl DesiredNetwork {
    /// What stands for a group of another network: `hub › mgmt-server`, which no AWS group can be called.
    pub(crate) fn elsewhere(&mut self, network: &NetworkName, group: &GroupName) -> Atom {
        let elsewhere = Elsewhere { network: network.clone(), group: group.clone() };
        let atom = self.atoms.intern(&elsewhere.to_string());
        self.elsewhere.entry(atom).or_insert(elsewhere);
        atom
    }
}

/// A group of another network, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Elsewhere {
    /// The other network.
    pub network: NetworkName,
    /// The group's name there.
    pub group: GroupName,
}

impl Elsewhere {
    const BETWEEN: &'static str = " › ";

    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (network, group) = text.split_once(Self::BETWEEN)?;
        Some(Self { network: NetworkName::new(network).ok()?, group: GroupName::new(group).ok()? })
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.network, Self::BETWEEN, self.group)
    }
}

/// One security group and the rules that it needs.
#[derive(Debug, Clone)]
pub struct DesiredGroup {
    /// Name or id.
    pub security_group: SecurityGroup,
    /// The atom of that text.
    pub atom: Atom,
    /// Node groups that use it, sorted; at least one.
    pub members: Vec<(ClusterName, NodeGroupName)>,
    /// The inventory's word; members agree.
    pub ownership: Option<Ownership>,
    /// A shared group may be created.
    pub create: bool,
    /// Strict only when every member's cluster is.
    pub egress: EgressMode,
    /// Families of its members' clusters together.
    pub family: Family,
    /// Rules, sorted, no two alike; ingress, and egress where a flow states it. A reference has the families that the flow
    /// needs; the cloud's dialect decides what that is in rules.
    pub rules: Vec<DesiredRule>,
    /// Traffic that rows ask for which were not opened: what is observed of it is kept, whatever its source.
    pub held: Vec<(Direction, Traffic)>,
    /// Traffic of the inventory's `ignore`: differences in it are left alone.
    pub ignored: Vec<Traffic>,
    /// Known private addresses of groups that rules refer to, for shared groups where a range may cover a reference.
    pub addresses: BTreeMap<Atom, Vec<Cidr>>,
}

/// A rule and why it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredRule {
    /// What must be let through.
    pub rule: Rule,
    /// Why, sorted; at least one.
    pub reasons: Arc<[Reason]>,
}

/// Turns flows into the rules that each managed group needs.
///
/// A flow becomes an ingress rule where it arrives, and where egress is strict (or the row is one of a provider's own
/// group and states it) an egress rule where it leaves.
pub fn desired(inventory: &Inventory, flows: &Flows) -> Desired {
    let mut build = Build::new(inventory);
    for flow in &flows.flows {
        build.ingress(flow);
        build.egress(flow);
    }
    build.finish(flows)
}

type GroupKey = (NetworkName, SecurityGroup);

struct Build<'a> {
    inventory: &'a Inventory,
    groups: BTreeMap<GroupKey, Parts<'a>>,
    networks: BTreeMap<NetworkName, DesiredNetwork>,
    elsewhere: BTreeSet<Flow>,
    unopened: BTreeMap<(NetworkName, ClusterName, Arc<str>, Why), BTreeSet<Ask>>,
}

/// A security group under construction.
struct Parts<'a> {
    members: Vec<(&'a Cluster, &'a NodeGroup)>,
    rules: BTreeMap<Rule, BTreeSet<Reason>>,
    held: BTreeSet<(Direction, Traffic)>,
}

impl Parts<'_> {
    fn egress(&self) -> EgressMode {
        let strict = self.members.iter().all(|(cluster, _)| cluster.egress == EgressMode::Strict);
        if strict { EgressMode::Strict } else { EgressMode::Open }
    }
}

impl<'a> Build<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        let mut groups: BTreeMap<GroupKey, Parts<'a>> = BTreeMap::new();
        for (cluster, group) in all_groups(inventory).filter(|(cluster, _)| !cluster.external) {
            let key = (cluster.network.clone(), group.security_group.clone());
            let parts = groups.entry(key).or_insert_with(|| Parts {
                members: Vec::new(),
                rules: BTreeMap::new(),
                held: BTreeSet::new(),
            });
            parts.members.push((cluster, group));
        }
        let mut networks: BTreeMap<NetworkName, DesiredNetwork> = BTreeMap::new();
        for (network, group) in groups.keys() {
            networks.entry(network.clone()).or_default().atoms.intern(group.as_str());
        }
        Self { inventory, groups, networks, elsewhere: BTreeSet::new(), unopened: BTreeMap::new() }
    }

    /// The groups that an end of a flow stands for; none where it is no group of the inventory.
    fn groups_at(&self, flow: &Flow, end: &End, other: &End) -> Vec<(&'a Cluster, &'a NodeGroup)> {
        match (end, other) {
            (End::SelfGroup, End::SelfGroup) => Vec::new(),
            (End::SelfGroup, other) => self.groups_at(flow, other, &End::SelfGroup),
            (End::Group(cluster, group), _) => self.find(cluster, Some(group)),
            (End::Peer(name), _) => match self.peer(flow, name) {
                Some(Peer::NodeGroup { cluster, group }) => self.find(cluster, group.as_ref()),
                _ => Vec::new(),
            },
            (End::Cidr(_) | End::Name(_), _) => Vec::new(),
        }
    }

    fn find(&self, cluster: &ClusterName, group: Option<&NodeGroupName>) -> Vec<(&'a Cluster, &'a NodeGroup)> {
        let Some(cluster) = self.inventory.clusters.get(cluster) else { return Vec::new() };
        let wanted = cluster.groups.values().filter(|g| group.is_none_or(|name| *name == g.name));
        wanted.map(|group| (cluster, group)).collect()
    }

    fn peer(&self, flow: &Flow, name: &str) -> Option<&'a Peer> {
        self.inventory.clusters.get(&flow.cluster)?.peers.get(name)
    }

    fn ingress(&mut self, flow: &Flow) {
        for (cluster, group) in self.groups_at(flow, &flow.to, &flow.from) {
            if cluster.external {
                self.elsewhere.insert(flow.clone());
            } else if !flow.local || multihomed(cluster, group) {
                self.add(flow, Direction::Ingress, (cluster, group), &flow.from);
            }
        }
    }

    fn egress(&mut self, flow: &Flow) {
        let of_provider = self.states_egress(flow);
        for (cluster, group) in self.groups_at(flow, &flow.from, &flow.to) {
            let Some(parts) = self.groups.get(&(cluster.network.clone(), group.security_group.clone())) else {
                continue;
            };
            let needed = of_provider || parts.egress() == EgressMode::Strict;
            if !cluster.external && needed && (!flow.local || multihomed(cluster, group)) {
                self.add(flow, Direction::Egress, (cluster, group), &flow.to);
            }
        }
    }

    /// A row about a provider's own group that names a range as its destination is an egress rule of that group.
    fn states_egress(&self, flow: &Flow) -> bool {
        let profile = self.inventory.clusters.get(&flow.cluster).map(|cluster| &cluster.profile);
        matches!(flow.to, End::Cidr(_))
            && profile.is_some_and(|p| p.kind == ProfileKind::ProviderGroup && *flow.reason.profile == *p.label())
    }

    fn add(&mut self, flow: &Flow, direction: Direction, at: (&'a Cluster, &'a NodeGroup), other: &End) {
        let (cluster, group) = at;
        let sources = match (other, direction) {
            (End::SelfGroup, _) => vec![source::Source::Group(cluster, group)],
            (End::Group(..), _) => {
                self.groups_at(flow, other, other).into_iter().map(|(c, g)| source::Source::Group(c, g)).collect()
            }
            (End::Peer(name), _) => match self.peer(flow, name) {
                Some(Peer::NodeGroup { .. }) => {
                    self.groups_at(flow, other, other).into_iter().map(|(c, g)| source::Source::Group(c, g)).collect()
                }
                Some(peer) => vec![source::Source::Peer(peer)],
                None => return self.not_opened(flow, direction, at, Why::PeerUndefined(name.clone())),
            },
            (End::Cidr(cidr), _) => vec![source::Source::Range(*cidr)],
            (End::Name(name), _) => return self.not_opened(flow, direction, at, Why::NameNeedsCidrs(name.clone())),
        };
        for source in sources {
            let network = self.networks.entry(cluster.network.clone()).or_default();
            match source.peers(self.inventory, direction, cluster, network) {
                Err(why) => self.not_opened(flow, direction, at, why),
                Ok(peers) => {
                    let key = (cluster.network.clone(), group.security_group.clone());
                    let Some(parts) = self.groups.get_mut(&key) else { continue };
                    for peer in peers {
                        let rule = Rule { direction, peer, traffic: flow.traffic };
                        parts.rules.entry(rule).or_default().insert(flow.reason.clone());
                    }
                }
            }
        }
    }

    fn not_opened(&mut self, flow: &Flow, direction: Direction, at: (&Cluster, &NodeGroup), why: Why) {
        let (cluster, group) = at;
        let row = row_word(self.inventory, &flow.reason);
        let key = (cluster.network.clone(), flow.cluster.clone(), row, why);
        let (cluster, group) = (cluster.name.clone(), group.name.clone());
        self.unopened.entry(key).or_default().insert(Ask { cluster, group, direction, traffic: flow.traffic });
    }

    fn finish(mut self, flows: &Flows) -> Desired {
        let unopened: Vec<Unopened> = std::mem::take(&mut self.unopened)
            .into_iter()
            .map(|((network, cluster, row, why), asks)| Unopened {
                network,
                cluster,
                row,
                why,
                asks: asks.into_iter().collect(),
            })
            .collect();
        for ask in flows.unopened.iter().chain(&unopened).flat_map(|unopened| &unopened.asks) {
            self.hold(ask);
        }
        let mut desired = Desired {
            networks: std::mem::take(&mut self.networks),
            unopened,
            elsewhere: std::mem::take(&mut self.elsewhere).into_iter().collect(),
        };
        let addresses = known_addresses(self.inventory);
        for ((network, security_group), parts) in self.groups {
            let known = addresses.get(&network);
            let of_network = desired.networks.entry(network.clone()).or_default();
            let group = finish_group(security_group, parts, &mut of_network.atoms, known);
            of_network.groups.push(group);
        }
        desired
    }

    fn hold(&mut self, ask: &Ask) {
        for (cluster, group) in self.find(&ask.cluster, Some(&ask.group)) {
            let key = (cluster.network.clone(), group.security_group.clone());
            if let Some(parts) = self.groups.get_mut(&key) {
                let narrowed = ask.direction == Direction::Ingress || parts.egress() == EgressMode::Strict;
                narrowed.then(|| parts.held.insert((ask.direction, ask.traffic)));
            }
        }
    }
}

/// How the inventory's own words name the row of a reason: `ID`, or `PROFILE/ID` where that is ambiguous.
pub(crate) fn row_word(inventory: &Inventory, reason: &Reason) -> std::sync::Arc<str> {
    let profile = inventory.clusters.get(&reason.cluster).map(|cluster| &cluster.profile);
    profile.and_then(|p| Some(p.word_for(p.row_of(reason)?))).unwrap_or_else(|| reason.row.clone())
}

fn finish_group(
    security_group: SecurityGroup,
    parts: Parts<'_>,
    atoms: &mut Atoms,
    known: Option<&BTreeMap<&SecurityGroup, BTreeSet<Cidr>>>,
) -> DesiredGroup {
    let mut members: Vec<_> = parts.members.iter().map(|(c, g)| (c.name.clone(), g.name.clone())).collect();
    members.sort();
    let mut families = parts.members.iter().map(|(cluster, _)| cluster.family());
    let first = families.next().unwrap_or(Family::Ipv4);
    let family = families.fold(first, |all, family| if all.contains(family) { all } else { widen(all, family) });
    let references: BTreeSet<Atom> = parts.rules.keys().filter_map(|rule| rule.peer.group()).collect();
    let addresses = known.into_iter().flatten().filter_map(|(group, ranges)| {
        let atom = atoms.get(group.as_str()).filter(|atom| references.contains(atom))?;
        Some((atom, ranges.iter().copied().collect()))
    });
    let ignored = parts.members.iter().flat_map(|(cluster, group)| {
        cluster.ignore.iter().filter(|ignore| ignore.group == group.name).map(|ignore| ignore.traffic)
    });
    let ignored: BTreeSet<Traffic> = ignored.collect();
    let ignored: Vec<Traffic> = ignored.into_iter().collect();
    DesiredGroup {
        addresses: addresses.collect(),
        atom: atoms.intern(security_group.as_str()),
        security_group,
        members,
        ownership: parts.members.iter().find_map(|(_, group)| group.ownership),
        create: parts.members.iter().any(|(_, group)| group.create),
        egress: parts.egress(),
        family,
        rules: parts
            .rules
            .into_iter()
            .map(|(rule, reasons)| DesiredRule { rule, reasons: reasons.into_iter().collect() })
            .collect(),
        held: parts.held.into_iter().collect(),
        ignored,
    }
}

fn widen(all: Family, family: Family) -> Family {
    if family.contains(all) { family } else { Family::Both }
}

fn all_groups(inventory: &Inventory) -> impl Iterator<Item = (&Cluster, &NodeGroup)> {
    inventory.clusters.values().flat_map(|cluster| cluster.groups.values().map(move |group| (cluster, group)))
}

/// Private addresses by network and security group, only where those of every member are known.
pub(crate) fn known_addresses(
    inventory: &Inventory,
) -> BTreeMap<NetworkName, BTreeMap<&SecurityGroup, BTreeSet<Cidr>>> {
    let mut known: BTreeMap<NetworkName, BTreeMap<&SecurityGroup, BTreeSet<Cidr>>> = BTreeMap::new();
    let mut gaps = BTreeSet::new();
    for (cluster, group) in all_groups(inventory) {
        let ranges = known.entry(cluster.network.clone()).or_default().entry(&group.security_group).or_default();
        ranges.extend(&group.addresses.private);
        if group.addresses.private.is_empty() {
            gaps.insert((&cluster.network, &group.security_group));
        }
    }
    for (network, group) in gaps {
        known.entry(network.clone()).or_default().remove(group);
    }
    known
}

#[cfg(test)]
mod tests;

//! A guessed inventory beside what was found: what it misses, and what it doesn't explain.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::{Found, Rank};
use crate::desired::{Desired, DesiredRule, desired};
use crate::flow::{Flows, Why, flows};
use crate::inventory::{Cluster, Inventory, Role, SecurityGroup};
use crate::name::{ClusterName, NodeGroupName};
use crate::observed::ObservedGroup;
use crate::packets::PacketSet;
use crate::profile::Vocabulary;
use crate::rule::{Atom, Atoms, Direction, Rule, RulePeer};
use crate::traffic::Traffic;

/// What was found, ready to be compared with guesses.
#[derive(Clone)]
pub(super) struct Case<'a> {
    pub found: &'a Found<'a>,
    by_text: BTreeMap<&'a str, &'a ObservedGroup>,
    packets: BTreeMap<(Atom, Direction), PacketSet>,
    /// The role that most profiles know: it stands for all where all have the same rows.
    pub commonest_role: Option<Role>,
    /// Other clusters, which are known already.
    around: Vec<Cluster>,
    /// Whose Rancher manages the clusters that are guessed.
    pub rancher: Option<ClusterName>,
}

/// What a guess wants, in the cloud's dialect.
pub(super) struct Wish {
    pub flows: Flows,
    pub desired: Desired,
    /// By observed group.
    pub rules: BTreeMap<Atom, Vec<DesiredRule>>,
}

/// How far a guess is from what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Distance {
    /// Rules that would be added.
    pub missing: usize,
    /// Rules that no row explains.
    pub unexplained: usize,
    /// Rules that a row would explain if its peer were known.
    pub of_a_peer: usize,
    /// Of both, those that tell of a role that no group of the guess plays.
    pub signs: usize,
    /// Roles that the profile is about and no group has.
    pub needs: usize,
}

impl Distance {
    pub fn rank(&self) -> Rank {
        let Self { missing, unexplained, of_a_peer, signs, needs } = *self;
        let apart = missing + unexplained;
        Rank { needs, inexact: apart > 0, signs, cost: 2 * apart + of_a_peer }
    }
}

impl std::iter::Sum for Distance {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            missing: sum.missing + one.missing,
            unexplained: sum.unexplained + one.unexplained,
            of_a_peer: sum.of_a_peer + one.of_a_peer,
            signs: sum.signs + one.signs,
            needs: sum.needs + one.needs,
        })
    }
}

impl<'a> Case<'a> {
    pub fn new(found: &'a Found<'a>) -> Self {
        let groups = &found.observed.groups;
        let mut by_text: BTreeMap<&str, &ObservedGroup> = BTreeMap::new();
        let mut twins: BTreeSet<&str> = BTreeSet::new();
        for group in groups {
            if by_text.insert(group.name.as_str(), group).is_some() {
                twins.insert(group.name.as_str());
            }
        }
        by_text.retain(|name, _| !twins.contains(name));
        by_text.extend(groups.iter().map(|group| (group.id.as_str(), group)));
        let both = groups.iter().flat_map(|g| [(g, Direction::Ingress), (g, Direction::Egress)]);
        let packets = both.map(|(group, direction)| {
            let rules = group.rules.iter().map(|r| r.rule).filter(|rule| rule.direction == direction);
            ((group.atom, direction), PacketSet::of(rules))
        });
        let catalog = found.catalog;
        let known: Vec<_> = catalog.names().iter().filter_map(|name| catalog.find(name, None).ok()).collect();
        let count = |role: &&Role| known.iter().filter(|profile| profile.roles.contains(role)).count();
        let commonest_role = Vocabulary::shipped().roles.iter().max_by_key(count).cloned();
        Self { found, by_text, packets: packets.collect(), commonest_role, around: Vec::new(), rancher: None }
    }

    /// How the inventory names a group: by its name, where no other group has it.
    pub fn word(&self, group: &ObservedGroup) -> SecurityGroup {
        let named = self.by_text.get(group.name.as_str()).is_some_and(|other| other.atom == group.atom);
        match SecurityGroup::parse(group.name.as_str()) {
            Ok(name @ SecurityGroup::Name(_)) if named => name,
            _ => SecurityGroup::Id(group.id.clone()),
        }
    }

    pub fn group(&self, text: &str) -> Option<&'a ObservedGroup> {
        self.by_text.get(text).copied()
    }

    /// Whether a group lets all packets of a rule through.
    pub fn carries(&self, group: Atom, rule: &Rule) -> bool {
        self.packets.get(&(group, rule.direction)).is_some_and(|packets| packets.carries(rule))
    }

    /// The same, among clusters that are known already, of which one manages what is guessed.
    pub fn among(&self, around: Vec<Cluster>, rancher: &ClusterName) -> Self {
        Self { around, rancher: Some(rancher.clone()), ..self.clone() }
    }

    /// An inventory of a guess and what is known around it.
    pub fn with(&self, cluster: &Cluster) -> Inventory {
        self.inventory(self.around.iter().chain([cluster]).cloned())
    }

    /// An inventory of these clusters and no other.
    pub fn inventory(&self, clusters: impl IntoIterator<Item = Cluster>) -> Inventory {
        let network = self.found.network.clone();
        Inventory {
            owner: self.found.owner.clone(),
            trusted: Vec::new(),
            guards: Vec::new(),
            networks: IndexMap::from([(network.name.clone(), network)]),
            clusters: clusters.into_iter().map(|cluster| (cluster.name.clone(), cluster)).collect(),
        }
    }

    /// What an inventory wants of the groups that were found.
    pub fn wish(&self, inventory: &Inventory) -> Wish {
        let flows = flows(inventory, self.found.today);
        let desired = desired(inventory, &flows);
        let mut rules = BTreeMap::new();
        let mut atoms = self.found.atoms.clone();
        for network in desired.networks.values() {
            for group in &network.groups {
                let Some(observed) = self.group(group.security_group.as_str()) else { continue };
                let found = group.rules.iter().flat_map(|wanted| {
                    let rule = Rule { peer: self.peer(wanted.rule.peer, &network.atoms, &mut atoms), ..wanted.rule };
                    let reasons = &wanted.reasons;
                    let dialect = self.found.pack.dialect();
                    dialect.project(rule).map(|rule| DesiredRule { rule, reasons: reasons.clone() }).collect::<Vec<_>>()
                });
                rules.insert(observed.atom, found.collect());
            }
        }
        Wish { flows, desired, rules }
    }

    /// A peer of a guess as the cloud lists it.
    fn peer(&self, peer: RulePeer, names: &Atoms, atoms: &mut Atoms) -> RulePeer {
        let RulePeer::Opaque(kind, atom, family) = peer else { return peer };
        let text = names.text(atom);
        match (peer.group(), self.group(text)) {
            (Some(_), Some(group)) => RulePeer::Opaque(self.found.pack.reference(text), group.atom, family),
            (Some(_), None) => RulePeer::Opaque(self.found.pack.reference(text), atoms.intern(text), family),
            (None, _) => RulePeer::Opaque(kind, atoms.intern(text), family),
        }
    }

    /// How far one cluster of a guess is from its groups.
    pub fn distance(&self, inventory: &Inventory, cluster: &Cluster) -> Distance {
        let wish = self.wish(inventory);
        let plays = |role| cluster.groups.values().any(|group| group.roles.contains(role));
        let needs = cluster.profile.needs.iter().filter(|role| !plays(role)).count();
        let mut distance = Distance { needs, ..Distance::default() };
        let signs = &Vocabulary::shipped().signs;
        let strange = |traffic| signs.get(&traffic).is_some_and(|roles| !roles.iter().any(plays));
        let members = self.members(cluster);
        let own: BTreeSet<Atom> = members.iter().map(|(_, group)| group.atom).collect();
        for (group, observed) in members {
            let wanted = wish.rules.get(&observed.atom).map(Vec::as_slice).unwrap_or_default();
            distance.missing += wanted.iter().filter(|w| !self.carries(observed.atom, &w.rule)).count();
            let of_peers = peer_traffic(&wish, &cluster.name, &group);
            for rule in self.unexplained(observed, &wish) {
                distance.signs += usize::from(strange(rule.traffic));
                let outside = rule.peer.group().is_none_or(|atom| !own.contains(&atom));
                let within = |asked: &Traffic| intersects(*asked, rule.traffic);
                if outside && of_peers.iter().any(within) {
                    distance.of_a_peer += 1;
                } else {
                    distance.unexplained += 1;
                }
            }
        }
        distance
    }

    /// The inbound rules of a group that let something through which no row wants. A row that is only open in part explains
    /// nothing.
    pub fn unexplained(&self, group: &ObservedGroup, wish: &Wish) -> Vec<Rule> {
        let wanted = wish.rules.get(&group.atom).map(Vec::as_slice).unwrap_or_default();
        let open = wanted.iter().map(|w| w.rule).filter(|rule| rule.direction == Direction::Ingress);
        let open = PacketSet::of(open.filter(|rule| self.carries(group.atom, rule)));
        let ingress = group.rules.iter().map(|r| r.rule).filter(|rule| rule.direction == Direction::Ingress);
        ingress.filter(|rule| !open.carries(rule)).collect()
    }

    /// Inbound traffic of the cluster's groups that is missing, or that no row explains.
    pub fn open_questions(&self, cluster: &Cluster) -> BTreeSet<Traffic> {
        let wish = self.wish(&self.with(cluster));
        let mut open = BTreeSet::new();
        for (_, group) in self.members(cluster) {
            open.extend(self.unexplained(group, &wish).into_iter().map(|rule| rule.traffic));
            let wanted = wish.rules.get(&group.atom).map(Vec::as_slice).unwrap_or_default();
            open.extend(
                wanted.iter().map(|w| w.rule).filter(|rule| !self.carries(group.atom, rule)).map(|r| r.traffic),
            );
        }
        open
    }

    /// The cluster's groups beside the observed ones.
    pub fn members(&self, cluster: &Cluster) -> Vec<(NodeGroupName, &'a ObservedGroup)> {
        let groups = cluster.groups.values();
        groups.filter_map(|group| Some((group.name.clone(), self.group(group.security_group.as_str())?))).collect()
    }
}

/// The inbound traffic that rows ask for in a group whose peer nobody knows.
fn peer_traffic(wish: &Wish, cluster: &ClusterName, group: &NodeGroupName) -> BTreeSet<Traffic> {
    let of_peers = wish.flows.unopened.iter().filter(|u| matches!(u.why, Why::PeerUndefined(_)));
    let asks = of_peers.flat_map(|unopened| &unopened.asks);
    let here = asks.filter(|ask| ask.cluster == *cluster && ask.group == *group && ask.direction == Direction::Ingress);
    here.map(|ask| ask.traffic).collect()
}

fn intersects(a: Traffic, b: Traffic) -> bool {
    let ((a_lo, a_hi), (b_lo, b_hi)) = (a.points(), b.points());
    a_lo <= b_hi && b_lo <= a_hi
}

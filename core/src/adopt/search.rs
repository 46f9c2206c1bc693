//! Which profile, roles and options explain a set of groups best.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::compare::{Case, Distance};
use super::together::words;
use super::{AdoptError, Rank};
use crate::flow::RowTraffic;
use crate::inventory::{Addresses, Cluster, EgressMode, NodeGroup, Role};
use crate::name::{ClusterName, NodeGroupName};
use crate::observed::ObservedGroup;
use crate::packets::TrafficSet;
use crate::profile::{OptionValue, PICKED_BY, Profile, Selector, Version, Vocabulary};
use crate::rule::{Direction, RulePeer};
use crate::traffic::Traffic;

/// How many profiles are looked at closely, whatever they leave open: of several that fit, the names of the groups choose.
const CLOSELY: usize = 5;

/// What explains a set of groups best.
pub(super) struct Explanation {
    pub cluster: Cluster,
    pub distance: Distance,
    /// Other profiles, and what each leaves open; the nearest first.
    pub others: Vec<(String, Rank)>,
}

/// Finds the profile, roles and options that explain the groups best; `profile`: no other.
pub(super) fn explain(
    case: &Case<'_>,
    name: &ClusterName,
    groups: &[(NodeGroupName, &ObservedGroup)],
) -> Result<Explanation, AdoptError> {
    let mut guesses: Vec<(Rank, Cluster)> = Vec::new();
    for (profile, version) in tables(case)? {
        let cluster = first_guess(case, name, groups, profile, version);
        guesses.push((distance(case, &cluster).rank(), cluster));
    }
    guesses.sort_by_key(|(rank, _)| *rank);
    let mut explained: Vec<(Rank, Cluster)> = Vec::new();
    for (index, (_, mut cluster)) in guesses.into_iter().enumerate() {
        let fits = || explained.iter().any(|(rank, _)| rank.is_exact());
        if index >= CLOSELY && (fits() || !may_fit(&cluster, groups)) {
            continue;
        }
        let rank = climb(case, &mut cluster);
        explained.push((rank, cluster));
    }
    let said = |cluster: &Cluster| {
        cluster.options.len() + cluster.groups.values().map(|group| group.roles.len()).sum::<usize>()
    };
    // Where several explain as much, the names decide, and then what says least.
    let hints = |cluster: &Cluster| groups.iter().map(|(name, group)| hints(cluster, name, group)).sum::<usize>();
    explained.sort_by_key(|(rank, cluster)| (*rank, Reverse(hints(cluster)), said(cluster), open_rows(case, cluster)));
    let mut explained = explained.into_iter();
    let Some((_, cluster)) = explained.next() else { return Err(AdoptError::NothingRecognised(groups.len())) };
    let mut others: Vec<(String, Rank)> = Vec::new();
    for (rank, other) in explained {
        let label = other.profile.label();
        if label != cluster.profile.label() && !others.iter().any(|(known, _)| *known == label) {
            others.push((label, rank));
        }
    }
    Ok(Explanation { distance: distance(case, &cluster), cluster, others })
}

/// Whether rows speak of every rule, whatever the options: else no guess of this profile explains them all.
fn may_fit(cluster: &Cluster, groups: &[(NodeGroupName, &ObservedGroup)]) -> bool {
    let spoken = |from: fn(&Selector) -> bool| -> TrafficSet {
        let rows = cluster.profile.rows.iter().filter(|row| row.from.iter().any(from));
        rows.flat_map(|row| RowTraffic::of(row, cluster).asked()).collect()
    };
    let of_ranges = spoken(|from| matches!(from, Selector::Peer(_) | Selector::Cidr(_) | Selector::Name(_)));
    let of_any = spoken(|_| true);
    let rules = groups.iter().flat_map(|(_, group)| &group.rules).map(|found| found.rule);
    rules.filter(|rule| rule.direction == Direction::Ingress).all(|rule| {
        let rows = if rule.peer.group().is_none() { &of_ranges } else { &of_any };
        !TrafficSet::from_iter([rule.traffic]).intersection(rows).is_empty()
    })
}

/// How many rows of the profile nobody knows whether to open.
fn open_rows(case: &Case<'_>, cluster: &Cluster) -> usize {
    case.wish(&case.with(cluster)).flows.unopened.len()
}

/// How many words of a group's name are words of its roles or of the profile.
fn hints(cluster: &Cluster, name: &NodeGroupName, group: &ObservedGroup) -> usize {
    let roles = cluster.groups.get(name).map(|group| group.roles.as_slice()).unwrap_or_default();
    let meant: Vec<&str> =
        roles.iter().flat_map(|role| role.split('-')).chain(cluster.profile.name.split('-')).collect();
    // `workers` is `worker`, `control` is `controlplane`; shorter words mean anything.
    let alike = |a: &str, b: &str| a == b || a.len().min(b.len()) >= 4 && (a.starts_with(b) || b.starts_with(a));
    words(group.name.as_str()).iter().filter(|word| meant.iter().any(|m| alike(word, m))).count()
}

fn distance(case: &Case<'_>, cluster: &Cluster) -> Distance {
    case.distance(&case.with(cluster), cluster)
}

/// A profile, and the version that picks it.
type Table = (Arc<Profile>, Option<Version>);

/// The profiles that a cluster can have, each for every range of versions in which its rows differ.
fn tables(case: &Case<'_>) -> Result<Vec<Table>, AdoptError> {
    let catalog = case.found.catalog;
    let names = match &case.found.profile {
        Some(name) => vec![name.as_str()],
        None => catalog.names(),
    };
    let mut tables: Vec<Table> = Vec::new();
    for name in names {
        let newest = catalog.find(name, None)?;
        for table in catalog.tables(name).into_iter().filter(|table| table.subject == PICKED_BY) {
            let ends = table.rows.iter().flat_map(|row| [row.versions.from, row.versions.below]).flatten();
            let own = Version::parse(&table.version);
            let versions: BTreeSet<Version> =
                ends.chain(own).filter(|version| table.versions.contains(*version)).collect();
            for version in versions.into_iter().rev() {
                let Ok(found) = catalog.find(name, Some(version)) else { continue };
                let known = |(other, _): &Table| other.name == found.name && other.rows == found.rows;
                if !tables.iter().any(known) {
                    tables.push((found, Some(version)));
                }
            }
        }
        if !tables.iter().any(|(other, _)| other.name == newest.name) {
            tables.push((newest, None));
        }
    }
    Ok(tables)
}

/// Each group with the roles whose rows it has by itself.
fn first_guess(
    case: &Case<'_>,
    name: &ClusterName,
    groups: &[(NodeGroupName, &ObservedGroup)],
    profile: Arc<Profile>,
    version: Option<Version>,
) -> Cluster {
    let mut cluster = Cluster {
        name: name.clone(),
        network: case.found.network.name.clone(),
        external: false,
        rancher_version: version,
        rancher: case.rancher.clone(),
        options: BTreeMap::new(),
        values: BTreeMap::new(),
        cidrs: BTreeMap::new(),
        egress: EgressMode::Open,
        groups: indexmap::IndexMap::new(),
        rules: Vec::new(),
        waive: Vec::new(),
        narrow: Vec::new(),
        ignore: Vec::new(),
        peers: BTreeMap::new(),
        profile,
    };
    let choices = role_choices(case, &cluster.profile);
    for (name, observed) in groups {
        let roles = choices.iter().min_by_key(|roles| alone(&cluster, observed, roles)).cloned().unwrap_or_default();
        let group = NodeGroup {
            name: name.clone(),
            roles,
            security_group: case.word(observed),
            ownership: None,
            create: false,
            addresses: Addresses::default(),
            multihomed: None,
        };
        cluster.groups.insert(name.clone(), group);
    }
    cluster
}

/// Every set of roles that a group of the profile may have, the small ones first.
fn role_choices(case: &Case<'_>, profile: &Profile) -> Vec<Vec<Role>> {
    let words = Vocabulary::shipped();
    let named = profile.roles.iter().chain(&profile.needs).filter(|role| **role != words.every_role);
    let mut roles: Vec<Role> = Vec::new();
    named.for_each(|role| {
        if !roles.contains(role) {
            roles.push(role.clone())
        }
    });
    if roles.is_empty() {
        roles.extend(case.commonest_role.clone());
    }
    let count = roles.len().min(8);
    let mut choices: Vec<Vec<Role>> = (1_usize..1 << count)
        .map(|bits| roles.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, r)| r.clone()).collect())
        .collect();
    choices.sort_by_key(Vec::len);
    choices
}

/// How far a group with these roles is from the rows that end in it, whoever sends.
fn alone(cluster: &Cluster, group: &ObservedGroup, roles: &[Role]) -> usize {
    let words = Vocabulary::shipped();
    let mut open: BTreeMap<RulePeer, Vec<Traffic>> = BTreeMap::new();
    let ingress: Vec<_> = group.rules.iter().map(|r| r.rule).filter(|r| r.direction == Direction::Ingress).collect();
    ingress.iter().for_each(|rule| open.entry(rule.peer).or_default().push(rule.traffic));
    let open: Vec<TrafficSet> = open.into_values().map(|list| list.into_iter().collect()).collect();
    let here = |end: &Selector| match end {
        Selector::Role(role) => *role == words.every_role || roles.contains(role),
        Selector::SelfGroup => true,
        Selector::Peer(_) | Selector::Cidr(_) | Selector::Name(_) | Selector::Net(_) | Selector::SelfNode => false,
    };
    let (mut missing, mut explained) = (0, TrafficSet::default());
    for row in cluster.profile.rows.iter().filter(|row| !row.local && row.to.iter().any(here)) {
        let asked: TrafficSet = RowTraffic::of(row, cluster).known.into_iter().collect();
        if open.iter().any(|set| asked.difference(set).is_empty()) {
            explained = explained.union(&asked);
        } else if row.condition.is_always() && row.from.iter().all(|end| matches!(end, Selector::Role(_))) {
            missing += 1;
        }
    }
    let strange = |rule: &&crate::rule::Rule| !TrafficSet::from_iter([rule.traffic]).difference(&explained).is_empty();
    missing + ingress.iter().filter(strange).count()
}

/// Changes one word after the other while that brings the cluster nearer; what is left open then.
fn climb(case: &Case<'_>, cluster: &mut Cluster) -> Rank {
    let profile = Arc::clone(&cluster.profile);
    let mut rank = distance(case, cluster).rank();
    while rank > Rank::default() {
        let before = rank;
        let options = options(case, cluster);
        for step in roles(case, cluster).iter().chain(&options) {
            try_move(case, cluster, &mut rank, &[step]);
        }
        if rank == before {
            for (index, first) in options.iter().enumerate() {
                for second in options.iter().skip(index + 1).filter(|second| first.belongs_to(second, &profile)) {
                    try_move(case, cluster, &mut rank, &[first, second]);
                }
            }
        }
        if rank == before {
            break;
        }
    }
    say_less(case, cluster, rank);
    rank
}

fn try_move(case: &Case<'_>, cluster: &mut Cluster, rank: &mut Rank, steps: &[&Move]) {
    if *rank == Rank::default() {
        return;
    }
    let mut moved = cluster.clone();
    steps.iter().for_each(|step| step.make(&mut moved));
    let nearer = distance(case, &moved).rank();
    if nearer < *rank {
        (*cluster, *rank) = (moved, nearer);
    }
}

/// Takes away options and roles that explain nothing.
fn say_less(case: &Case<'_>, cluster: &mut Cluster, rank: Rank) {
    for option in cluster.options.keys().cloned().collect::<Vec<_>>() {
        let mut without = cluster.clone();
        without.options.remove(&option);
        if distance(case, &without).rank() <= rank {
            *cluster = without;
        }
    }
    for (name, group) in cluster.groups.clone() {
        for role in &group.roles {
            let mut without = cluster.clone();
            let Some(group) = without.groups.get_mut(&name).filter(|group| group.roles.len() > 1) else { continue };
            group.roles.retain(|other| other != role);
            if distance(case, &without).rank() <= rank {
                *cluster = without;
            }
        }
    }
}

/// One word that can be changed.
enum Move {
    Roles(NodeGroupName, Vec<Role>),
    Option(Arc<str>, OptionValue),
}

impl Move {
    fn make(&self, cluster: &mut Cluster) {
        match self {
            Self::Roles(group, roles) => {
                if let Some(group) = cluster.groups.get_mut(group) {
                    group.roles.clone_from(roles);
                }
            }
            Self::Option(option, value) => {
                cluster.options.insert(option.clone(), vec![value.clone()]);
            }
        }
    }

    /// Whether both are options of which one row speaks.
    fn belongs_to(&self, other: &Self, profile: &Profile) -> bool {
        let (Self::Option(a, _), Self::Option(b, _)) = (self, other) else { return false };
        let both = |options: Vec<&Arc<str>>| options.contains(&a) && options.contains(&b);
        a != b && profile.rows.iter().any(|row| both(row.condition.options()))
    }
}

/// Each group with one role more, one less, or one alone.
fn roles(case: &Case<'_>, cluster: &Cluster) -> Vec<Move> {
    let choices = role_choices(case, &cluster.profile);
    let mut moves = Vec::new();
    for group in cluster.groups.values() {
        let near = |roles: &&Vec<Role>| {
            let differ = |a: &[Role], b: &[Role]| a.iter().filter(|role| !b.contains(role)).count();
            roles.len() == 1 || differ(roles, &group.roles) + differ(&group.roles, roles) == 1
        };
        let near = choices.iter().filter(near);
        moves.extend(near.map(|roles| Move::Roles(group.name.clone(), roles.clone())));
    }
    moves
}

/// The options on which rows hang that speak of what is not explained, or of what is missing.
fn options(case: &Case<'_>, cluster: &Cluster) -> Vec<Move> {
    let words = Vocabulary::shipped();
    let open: TrafficSet = case.open_questions(cluster).into_iter().collect();
    let mut options: Vec<&Arc<str>> = vec![&words.family_option];
    for row in &cluster.profile.rows {
        let asked: TrafficSet = RowTraffic::of(row, cluster).known.into_iter().collect();
        if asked.intersection(&open).is_empty() {
            continue;
        }
        for option in row.condition.options() {
            let follows = words.options.get(option).is_some_and(|kind| !kind.follows.is_empty());
            let free = *option != words.multihomed_option && !follows && !cluster.profile.fixes.contains_key(option);
            if free && !options.contains(&option) {
                options.push(option);
            }
        }
    }
    let values = |option: &Arc<str>| -> Vec<OptionValue> {
        match words.options.get(option).map(|kind| kind.words.as_slice()).unwrap_or_default() {
            [] => vec![OptionValue::Bool(true), OptionValue::Bool(false)],
            words => words.iter().cloned().map(OptionValue::Word).collect(),
        }
    };
    let moves =
        options.into_iter().flat_map(|option| values(option).into_iter().map(|v| Move::Option(option.clone(), v)));
    moves.collect()
}

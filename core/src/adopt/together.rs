//! Which groups are one cluster's: those that let each other in on the same traffic, and what refers to what.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Case, Distance};
use super::search::{Explanation, explain};
use super::{AdoptError, Adoption, Evidence, Rank};
use crate::inventory::Cluster;
use crate::name::{ClusterName, NodeGroupName};
use crate::observed::ObservedGroup;
use crate::packets::TrafficSet;
use crate::profile::Vocabulary;
use crate::rule::{Atom, Direction};

type Groups<'a> = Vec<&'a ObservedGroup>;

/// The clusters that the candidates form.
pub(super) fn clusters(
    case: &Case<'_>,
    candidates: Groups<'_>,
    mut left_out: Vec<(String, String)>,
) -> Result<Adoption, AdoptError> {
    let named = !case.found.only.is_empty();
    let mut taken: BTreeSet<ClusterName> = BTreeSet::new();
    let mut explained: Vec<Explanation> = Vec::new();
    let parts = if named { vec![candidates] } else { parts(&candidates, refer) };
    for part in parts {
        let pieces = self::parts(&part, let_each_other_in);
        let several = pieces.len() > 1;
        let mut better = if several { recognised(case, pieces, &taken, named)? } else { Vec::new() };
        let left = left_open(case, &part, &better);
        if !several || left > Rank::default() {
            let whole = recognised(case, vec![part.clone()], &taken, named)?;
            better = if left_open(case, &part, &whole) <= left { whole } else { better };
        }
        taken.extend(better.iter().map(|one| one.cluster.name.clone()));
        explained.extend(better);
    }
    let mut inventory = case.inventory(explained.iter().map(|one| one.cluster.clone()));
    find_rancher(case, &mut inventory.clusters);
    explain_managed(case, &mut inventory.clusters, &mut explained)?;
    let members: BTreeSet<Atom> =
        inventory.clusters.values().flat_map(|c| case.members(c)).map(|(_, group)| group.atom).collect();
    let known: BTreeSet<String> = left_out.iter().map(|(name, _)| name.clone()).collect();
    for group in &case.found.observed.groups {
        if !members.contains(&group.atom) && !known.contains(group.name.as_str()) {
            let why = if named && !case.found.only.contains(group.name.as_str()) {
                "not asked for"
            } else {
                "looks like no cluster's"
            };
            left_out.push((group.name.to_string(), why.to_owned()));
        }
    }
    left_out.sort();
    let evidence = explained.into_iter().map(|one| {
        let evidence = Evidence { rank: one.distance.rank(), others: one.others, ..Evidence::default() };
        (one.cluster.name, evidence)
    });
    Ok(Adoption { evidence: evidence.collect(), inventory, left_out, guarded: Vec::new() })
}

/// Explains each piece, without what is no cluster's.
fn recognised(
    case: &Case<'_>,
    pieces: Vec<Groups<'_>>,
    taken: &BTreeSet<ClusterName>,
    named: bool,
) -> Result<Vec<Explanation>, AdoptError> {
    let mut taken = taken.clone();
    let mut explained = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let name = cluster_name(case, &piece, &taken);
            let groups: Vec<(NodeGroupName, &ObservedGroup)> = group_names(&name, &piece);
            let one = explain(case, &name, &groups)?;
            let wish = case.wish(&case.inventory([one.cluster.clone()]));
            let speaks = |group: &ObservedGroup| {
                let rules = wish.rules.get(&group.atom).map(Vec::as_slice).unwrap_or_default();
                let of_nodes = rules.iter().filter(|w| w.rule.peer.group().is_some());
                of_nodes.partition::<Vec<_>, _>(|w| case.carries(group.atom, &w.rule))
            };
            let strange: Vec<Atom> =
                piece.iter().filter(|group| speaks(group).0.is_empty()).map(|group| group.atom).collect();
            let (open, missing) = piece.iter().fold((0, 0), |(open, missing), group| {
                let (here, not) = speaks(group);
                (open + here.len(), missing + not.len())
            });
            if named || case.found.profile.is_some() || (strange.is_empty() && open >= 3 && missing <= open) {
                taken.insert(name);
                explained.push(one);
                break;
            }
            if strange.is_empty() {
                break;
            }
            piece.retain(|group| !strange.contains(&group.atom));
        }
    }
    Ok(explained)
}

/// What these explanations leave open of the groups; all of a group that is in none of them.
fn left_open(case: &Case<'_>, groups: &[&ObservedGroup], explained: &[Explanation]) -> Rank {
    let mut clusters = case.inventory(explained.iter().map(|one| one.cluster.clone())).clusters;
    find_rancher(case, &mut clusters);
    let members: BTreeSet<Atom> =
        clusters.values().flat_map(|cluster| case.members(cluster)).map(|(_, group)| group.atom).collect();
    let strange = groups.iter().filter(|group| !members.contains(&group.atom)).flat_map(|group| &group.rules);
    let strange = strange.filter(|rule| rule.rule.direction == Direction::Ingress).count();
    let outside = Distance { unexplained: strange, ..Distance::default() };
    [distance(case, &clusters), outside].into_iter().sum::<Distance>().rank()
}

fn distance(case: &Case<'_>, clusters: &indexmap::IndexMap<ClusterName, Cluster>) -> Distance {
    let inventory = case.inventory(clusters.values().cloned());
    clusters.values().map(|cluster| case.distance(&inventory, cluster)).sum()
}

/// Says whose Rancher manages a cluster, where that explains more.
fn find_rancher(case: &Case<'_>, clusters: &mut indexmap::IndexMap<ClusterName, Cluster>) {
    let managing = &Vocabulary::shipped().managing_role;
    let manages = |cluster: &Cluster| cluster.groups.values().any(|group| group.roles.contains(managing));
    let managers: Vec<ClusterName> = clusters.values().filter(|c| manages(c)).map(|c| c.name.clone()).collect();
    let managed: Vec<ClusterName> = clusters.values().filter(|c| !manages(c)).map(|c| c.name.clone()).collect();
    let mut rank = distance(case, clusters).rank();
    for cluster in &managed {
        for manager in &managers {
            let mut linked = clusters.clone();
            if let Some(cluster) = linked.get_mut(cluster) {
                cluster.rancher = Some(manager.clone());
            }
            let nearer = distance(case, &linked).rank();
            if nearer < rank {
                (*clusters, rank) = (linked, nearer);
            }
        }
    }
}

/// Looks again at clusters into which a Rancher's groups are let: which rows that is depends on the profile.
fn explain_managed(
    case: &Case<'_>,
    clusters: &mut indexmap::IndexMap<ClusterName, Cluster>,
    explained: &mut [Explanation],
) -> Result<(), AdoptError> {
    let managing = &Vocabulary::shipped().managing_role;
    let manages = |cluster: &Cluster| cluster.groups.values().any(|group| group.roles.contains(managing));
    let (managers, managed): (Vec<Cluster>, Vec<Cluster>) = clusters.values().cloned().partition(manages);
    for (manager, cluster) in managers.iter().flat_map(|manager| managed.iter().map(move |cluster| (manager, cluster)))
    {
        let inventory = case.inventory(clusters.values().cloned());
        let wish = case.wish(&inventory);
        let theirs: BTreeSet<Atom> = case.members(manager).iter().map(|(_, group)| group.atom).collect();
        let groups = case.members(cluster);
        let strange = groups.iter().flat_map(|(_, group)| case.unexplained(group, &wish));
        if !strange.filter_map(|rule| rule.peer.group()).any(|atom| theirs.contains(&atom)) {
            continue;
        }
        let Some(now) = clusters.get(&cluster.name) else { continue };
        let rank = case.distance(&inventory, now).rank();
        let around = clusters.values().filter(|other| other.name != cluster.name).cloned().collect();
        let again = explain(&case.among(around, &manager.name), &cluster.name, &groups)?;
        if again.distance.rank() < rank {
            clusters.insert(cluster.name.clone(), again.cluster.clone());
            if let Some(one) = explained.iter_mut().find(|one| one.cluster.name == cluster.name) {
                *one = again;
            }
        }
    }
    Ok(())
}

/// Groups that belong together, directly or by others.
fn parts<'a>(groups: &[&'a ObservedGroup], together: fn(&ObservedGroup, &ObservedGroup) -> bool) -> Vec<Groups<'a>> {
    let mut parts: Vec<Groups<'a>> = Vec::new();
    for group in groups {
        let (joined, apart): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| part.iter().any(|other| together(group, other)));
        let mut joined: Groups<'a> = joined.into_iter().flatten().collect();
        joined.push(group);
        joined.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        parts = apart;
        parts.push(joined);
    }
    parts.sort_by(|a, b| a.first().map(|g| &g.name).cmp(&b.first().map(|g| &g.name)));
    parts
}

fn lets_in(group: &ObservedGroup, other: &ObservedGroup) -> TrafficSet {
    let from = group.rules.iter().map(|r| r.rule).filter(|r| r.direction == Direction::Ingress);
    from.filter(|rule| rule.peer.group() == Some(other.atom)).map(|rule| rule.traffic).collect()
}

fn refer(a: &ObservedGroup, b: &ObservedGroup) -> bool {
    !lets_in(a, b).is_empty() || !lets_in(b, a).is_empty()
}

/// Nodes of one cluster reach each other on the same ports (its network, its kubelets); another cluster's don't.
fn let_each_other_in(a: &ObservedGroup, b: &ObservedGroup) -> bool {
    !lets_in(a, b).intersection(&lets_in(b, a)).is_empty()
}

/// What the names of the groups begin with, as a name that is free.
fn cluster_name(case: &Case<'_>, groups: &[&ObservedGroup], taken: &BTreeSet<ClusterName>) -> ClusterName {
    let asked = case.found.cluster.as_ref().map(ToString::to_string);
    let words: Vec<Vec<String>> = groups.iter().map(|group| words(group.name.as_str())).collect();
    let first = words.first().cloned().unwrap_or_default();
    let shared = first.iter().enumerate().take_while(|(i, word)| words.iter().all(|w| w.get(*i) == Some(word)));
    let shared: Vec<String> = shared.map(|(_, word)| word.clone()).collect();
    // A group that is alone gives its last word to the group.
    let shared = if groups.len() == 1 && shared.len() > 1 { &shared[..shared.len() - 1] } else { &shared[..] };
    let name = asked.unwrap_or_else(|| slug(&shared.join("-"), "cluster"));
    free(&name, |name| ClusterName::new(name).ok().filter(|name| !taken.contains(name)))
}

/// What tells the groups from each other in their names.
fn group_names<'a>(cluster: &ClusterName, groups: &[&'a ObservedGroup]) -> Vec<(NodeGroupName, &'a ObservedGroup)> {
    let words_of_peers = &Vocabulary::shipped().peers;
    let mut taken: BTreeMap<NodeGroupName, ()> = BTreeMap::new();
    let mut named = Vec::new();
    for group in groups {
        let all = words(group.name.as_str()).join("-");
        let own = all.strip_prefix(cluster.as_str()).map_or(all.as_str(), |rest| rest.trim_start_matches('-'));
        let name = free(&slug(own, "nodes"), |name| {
            let name = NodeGroupName::new(name).ok()?;
            let unused = !taken.contains_key(&name) && words_of_peers.iter().all(|peer| **peer != *name.as_str());
            unused.then_some(name)
        });
        taken.insert(name.clone(), ());
        named.push((name, *group));
    }
    named
}

pub(super) fn words(name: &str) -> Vec<String> {
    let word = |part: &str| part.to_ascii_lowercase();
    name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).map(word).collect()
}

/// A text as a name that the inventory takes: `otherwise` where nothing of it is left.
pub fn slug(text: &str, otherwise: &str) -> String {
    let text = words(text).join("-");
    let text: String = text.chars().skip_while(|c| !c.is_ascii_lowercase()).take(24).collect();
    let text = text.trim_end_matches('-');
    if text.is_empty() { otherwise.to_owned() } else { text.to_owned() }
}

/// The name, or the first with a number behind it that `accept` takes.
pub(super) fn free<T>(name: &str, accept: impl Fn(&str) -> Option<T>) -> T {
    let numbered = (2_u64..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find_map(|name| accept(&name)).expect("numbers don't end, and what is taken does")
}

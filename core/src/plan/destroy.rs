//! What clusters have in the cloud becomes a plan to remove it.

use std::collections::{BTreeMap, BTreeSet};

use super::PlanError;
use super::build::{NetworkInput, case};
use super::order::{GroupCalls, order};
use super::{Action, GroupPlan, GroupStatus, NetworkPlan, Plan, StepRule};
use crate::desired::Desired;
use crate::diff::{Fate, GroupDiff, Ours, Wanted, diff};
use crate::flow::{End, Flow, Flows};
use crate::guard::GuardsInForce;
use crate::inventory::{EgressMode, Inventory, Ownership};
use crate::link::{Linked, link};
use crate::name::{ClusterName, Mark, NetworkName};
use crate::observed::ObservedGroup;
use crate::pack::{Call, GroupChanges};
use crate::proof::{Case, prove};
use crate::rule::Atom;

/// Flows that stay when these clusters are destroyed, and those that are lost.
pub fn split_flows(flows: &[Flow], destroyed: &BTreeSet<ClusterName>) -> (Vec<Flow>, Vec<Flow>) {
    let touches = |end: &End| matches!(end, End::Group(cluster, _) if destroyed.contains(cluster));
    let lost = |f: &Flow| destroyed.contains(&f.cluster) || touches(&f.from) || touches(&f.to);
    flows.iter().cloned().partition(|f| !lost(f))
}

/// Plans the removal of what rsgsync keeps for the clusters in `destroyed`.
///
/// Groups that it made are deleted; from others go the rules that carry our mark (so their marks must have been read).
/// `whole` is desired of the whole inventory, `rest` of the flows that stay.
pub fn destroy(
    inventory: &Inventory,
    flows: &Flows,
    mut whole: Desired,
    rest: &Desired,
    inputs: Vec<NetworkInput<'_>>,
    destroyed: &BTreeSet<ClusterName>,
) -> Result<Plan, Vec<PlanError>> {
    let clusters: BTreeSet<ClusterName> = inventory.clusters.keys().cloned().collect();
    let ours = Ours { owner: &inventory.owner, clusters: &clusters };
    let (mut networks, mut calls, mut cases, mut errors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let guards = GuardsInForce::default();
    for input in inputs {
        let name = input.network.name.clone();
        let wish = whole.networks.remove(&name).unwrap_or_default();
        let mut groups = Vec::new();
        if let Ok(observed) = &input.observed {
            let linked = match link(&wish, observed, &inventory.owner, input.pack.dialect()) {
                Ok(linked) => linked,
                Err(missing) => {
                    let named = |m| PlanError::MissingPeer { network: name.clone(), missing: m };
                    errors.extend(missing.into_iter().map(named));
                    continue;
                }
            };
            let mut changes = Vec::new();
            let goes = |l: &&Linked<'_>| {
                let made = l.observed.is_some_and(|group| group.made_by(ours.owner));
                made && l.desired.members.iter().all(|(cluster, _)| destroyed.contains(cluster))
            };
            let doomed: BTreeSet<Atom> = linked.iter().filter(goes).map(|l| l.atom).collect();
            for linked in &linked {
                let Some(group) = linked.observed else { continue };
                let delete = doomed.contains(&linked.atom);
                let (mut fates, required) = if delete {
                    (vec![Fate::Keep; group.rules.len()], Vec::new())
                } else {
                    fates(linked, group, rest, &name, ours, destroyed)
                };
                for (rule, fate) in group.rules.iter().zip(&mut fates).filter(|_| !delete) {
                    let Some(peer) = rule.rule.peer.group().filter(|peer| doomed.contains(peer)) else { continue };
                    if *fate == Fate::Foreign {
                        let from = linked.desired.security_group.to_string();
                        let to = observed.groups.iter().find(|g| g.atom == peer).map(|g| g.name.to_string());
                        let (network, group) = (name.clone(), to.unwrap_or_default());
                        errors.push(PlanError::StillReferenced { network, group, from });
                    }
                    *fate = Fate::Remove;
                }
                let removes = group.rules.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Remove);
                let removes: Vec<StepRule> = removes.map(|(r, _)| step_rule(r)).collect();
                let left = group.rules.len() - removes.len();
                groups.push(GroupPlan {
                    atom: linked.atom,
                    security_group: linked.desired.security_group.to_string(),
                    members: linked.desired.members.clone(),
                    ownership: group.ownership(linked.desired.ownership, ours.owner),
                    status: if delete {
                        GroupStatus::Delete
                    } else if removes.is_empty() {
                        GroupStatus::InSync
                    } else {
                        GroupStatus::Change
                    },
                    wanted: required.clone(),
                    rules_before: group.rules.len(),
                    rules_after: if delete { 0 } else { left },
                    quota: None,
                    outbound_closed: false,
                    stale_descriptions: 0,
                    diff: GroupDiff { fates, adds: Vec::new(), required },
                });
                let nobody_stays = linked.desired.members.iter().all(|(cluster, _)| destroyed.contains(cluster));
                let is_ours = |m: &Mark| m.owner == *ours.owner && destroyed.contains(&m.cluster);
                let seen = group.marks.iter().map(|m| m.mark.clone()).filter(is_ours);
                let group_unmarks = if nobody_stays && !delete { seen.collect() } else { Vec::new() };
                let group_changes = GroupChanges {
                    group: Some(linked.atom),
                    removes,
                    delete,
                    group_unmarks,
                    ..GroupChanges::default()
                };
                changes.push((group, group_changes));
            }
            for plan in &groups {
                let group = observed.groups.iter().find(|g| g.atom == plan.atom);
                cases.push(case(&name, plan, group, &guards));
            }
            let packed = deletions_in_order(changes).into_iter().map(|(changes, rules)| GroupCalls {
                network: name.clone(),
                group: changes.group.unwrap_or(rules.1),
                waves: vec![with_rules(input.pack.pack(&changes, &observed.limits), rules.0)],
            });
            calls.extend(packed);
        }
        networks.push(NetworkPlan {
            network: input.network,
            observed: input.observed,
            atoms: wish.atoms,
            groups,
            calls: input.calls,
        });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let steps = order(calls);
    let proof = prove(&Case { groups: cases, steps: &steps, trusted: &inventory.trusted, gaps: Vec::new() });
    Ok(Plan {
        owner: inventory.owner.clone(),
        trusted: inventory.trusted.clone(),
        networks,
        steps,
        proof,
        unopened: Vec::new(),
        assumed: Vec::new(),
        elsewhere: Vec::new(),
        lost: lost(flows, destroyed),
        notes: Vec::new(),
        blast: None,
    })
}

/// Flows that are lost; not those that another cluster's row asks for as well.
fn lost(flows: &Flows, destroyed: &BTreeSet<ClusterName>) -> Vec<Flow> {
    let (stays, mut lost) = split_flows(&flows.flows, destroyed);
    let asked: BTreeSet<_> = stays.iter().map(|f| (&f.from, &f.to, f.traffic)).collect();
    lost.retain(|f| !asked.contains(&(&f.from, &f.to, f.traffic)));
    lost
}

/// What becomes of each rule of a group that stays, and what is still required of it.
fn fates(
    linked: &Linked<'_>,
    group: &ObservedGroup,
    rest: &Desired,
    network: &NetworkName,
    ours: Ours<'_>,
    destroyed: &BTreeSet<ClusterName>,
) -> (Vec<Fate>, Vec<crate::desired::DesiredRule>) {
    if linked.desired.members.iter().all(|(cluster, _)| destroyed.contains(cluster)) {
        let nothing = Wanted { egress: EgressMode::Strict, ..Wanted::default() };
        return (diff(&nothing, group, Ownership::Shared, ours).fates, Vec::new());
    }
    // A group that stays loses what only the destroyed clusters wanted.
    let stays = rest.networks.get(network).and_then(|n| {
        let same = n.groups.iter().find(|g| g.security_group == linked.desired.security_group)?;
        Some(same.rules.iter().flat_map(|r| &r.reasons).cloned().collect::<BTreeSet<_>>())
    });
    let stays = stays.unwrap_or_default();
    let mut wanted = linked.wanted.clone();
    for rule in &mut wanted.rules {
        rule.reasons.retain(|reason| stays.contains(reason));
    }
    let lost: BTreeSet<_> = linked.wanted.rules.iter().filter(|r| !r.reasons.is_empty()).map(|r| r.rule).collect();
    wanted.rules.retain(|r| !r.reasons.is_empty() || !lost.contains(&r.rule));
    let ownership = group.ownership(linked.desired.ownership, ours.owner);
    let before = diff(&linked.wanted, group, ownership, ours);
    let after = diff(&wanted, group, ownership, ours);
    let was_wanted = |fate: &Fate| matches!(fate, Fate::Keep | Fate::Redundant);
    let fates = before.fates.iter().zip(&after.fates).map(|(before, after)| match (before, after) {
        (Fate::Foreign | Fate::Satisfies, _) => Fate::Foreign,
        (before, Fate::Remove) if was_wanted(before) => Fate::Remove,
        _ => Fate::Keep,
    });
    (fates.collect(), after.required)
}

fn step_rule(rule: &crate::observed::ObservedRule) -> StepRule {
    StepRule {
        rule: rule.rule,
        id: rule.id.clone(),
        description: rule.description.clone(),
        marks: rule.marks.clone(),
        reasons: Vec::new(),
    }
}

/// Groups in an order in which each can be deleted, and the rules that go with each; a circle of references is opened by
/// removing one group's references first.
fn deletions_in_order(changes: Vec<(&ObservedGroup, GroupChanges)>) -> Vec<(GroupChanges, (Vec<StepRule>, Atom))> {
    let (mut doomed, staying): (BTreeMap<Atom, _>, Vec<_>) = {
        let (doomed, staying): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, c)| c.delete);
        (doomed.into_iter().map(|(g, c)| (g.atom, (g, c))).collect(), staying)
    };
    let mut out: Vec<_> = staying.into_iter().map(|(g, c)| (c, (Vec::new(), g.atom))).collect();
    while !doomed.is_empty() {
        let refers = |from: &(&ObservedGroup, GroupChanges), to: Atom| {
            let gone = |r: &crate::rule::Rule| from.1.removes.iter().any(|x| x.rule == *r);
            from.0.atom != to && from.0.rules.iter().any(|r| r.rule.peer.group() == Some(to) && !gone(&r.rule))
        };
        let free = doomed.keys().copied().find(|atom| !doomed.values().any(|from| refers(from, *atom)));
        match free {
            Some(atom) => {
                let Some((group, changes)) = doomed.remove(&atom) else { break };
                let gone = |rule: &crate::rule::Rule| changes.removes.iter().any(|x| x.rule == *rule);
                let rest = group.rules.iter().filter(|r| !gone(&r.rule)).map(step_rule).collect();
                out.push((changes, (rest, atom)));
            }
            None => {
                let others: BTreeSet<Atom> = doomed.keys().copied().collect();
                let first = doomed.values_mut().find(|(group, changes)| {
                    let points =
                        |r: &crate::rule::Rule| r.peer.group().is_some_and(|g| g != group.atom && others.contains(&g));
                    changes.removes.is_empty() && group.rules.iter().any(|r| points(&r.rule))
                });
                let Some((group, changes)) = first else { break };
                let points =
                    |r: &crate::rule::Rule| r.peer.group().is_some_and(|g| g != group.atom && others.contains(&g));
                changes.removes = group.rules.iter().filter(|r| points(&r.rule)).map(step_rule).collect();
            }
        }
    }
    out
}

/// The deletion also says which rules go with the group.
fn with_rules(mut calls: Vec<Call>, rules: Vec<StepRule>) -> Vec<Call> {
    calls.iter_mut().filter(|call| call.action == Action::DeleteGroup).for_each(|call| call.removes.clone_from(&rules));
    calls
}

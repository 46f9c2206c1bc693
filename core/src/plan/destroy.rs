//! What clusters have in the cloud becomes a plan to remove it.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{NetworkInput, case, same_places, whereabouts};
use super::group::{marks, to_add};
use super::order::{GroupCalls, order};
use super::{Action, GroupPlan, GroupStatus, NetworkPlan, Plan, PlanError, StepRule};
use crate::desired::{Desired, DesiredNetwork, DesiredRule};
use crate::diff::{Fate, GroupDiff, Wanted, diff};
use crate::flow::{End, Flow, Flows, Reason};
use crate::guard::GuardsInForce;
use crate::inventory::{EgressMode, Inventory, Ownership, Peer};
use crate::link::{Linked, link, settle_references};
use crate::name::{ClusterName, Mark};
use crate::observed::{ObservedGroup, ObservedRule, Ours};
use crate::pack::{Call, Dialect, GroupChanges};
use crate::packets::overlap;
use crate::proof::{Case, prove};
use crate::rule::{Atom, Rule, RulePeer};

/// Flows that stay when these clusters are destroyed, and those that are lost.
pub fn split_flows(inventory: &Inventory, flows: &[Flow], destroyed: &BTreeSet<ClusterName>) -> (Vec<Flow>, Vec<Flow>) {
    let touches = |flow: &Flow, end: &End| match end {
        End::Group(cluster, _) => destroyed.contains(cluster),
        End::Peer(name) => {
            let peer = inventory.clusters.get(&flow.cluster).and_then(|c| c.peers.get(name));
            matches!(peer, Some(Peer::NodeGroup { cluster, .. }) if destroyed.contains(cluster))
        }
        End::Cidr(_) | End::Name(_) | End::SelfGroup => false,
    };
    let lost = |f: &Flow| destroyed.contains(&f.cluster) || touches(f, &f.from) || touches(f, &f.to);
    flows.iter().cloned().partition(|f| !lost(f))
}

/// Plans the removal of what rsgsync keeps for the clusters in `destroyed`.
///
/// Groups that it made, and that carry nobody else's mark, are deleted; from others go the rules that carry our mark (so
/// their marks must have been read). `whole` is desired of the whole inventory, `rest` of the flows that stay.
pub fn destroy(
    inventory: &Inventory,
    flows: &Flows,
    mut whole: Desired,
    rest: &Desired,
    inputs: Vec<NetworkInput<'_>>,
    guards: &GuardsInForce,
    destroyed: &BTreeSet<ClusterName>,
) -> Result<Plan, Vec<PlanError>> {
    let clusters: BTreeSet<ClusterName> = inventory.clusters.keys().cloned().collect();
    let ours = Ours { owner: &inventory.owner, clusters: &clusters };
    let (mut networks, mut calls, mut cases) = (Vec::new(), Vec::new(), Vec::new());
    let mut errors = same_places(&inputs);
    let whereabouts = whereabouts(&inputs, &whole, |_| false);
    for input in inputs {
        let name = input.network.name.clone();
        let mut wish = whole.networks.remove(&name).unwrap_or_default();
        let account = input.observed.as_ref().ok().and_then(|o| o.account.as_deref());
        settle_references(&mut wish, account, &whereabouts);
        let mut groups = Vec::new();
        if let Ok(observed) = &input.observed {
            let mut rest = rest.networks.get(&name).cloned().unwrap_or_default();
            settle_references(&mut rest, account, &whereabouts);
            let smaller = smaller(&wish, &rest);
            // A peer that is gone already needs nothing: nothing is added for it.
            let (linked, _) = link(&wish, observed, ours, input.pack.dialect());
            let (still, _) = link(&smaller, observed, ours, input.pack.dialect());
            let nobody_stays =
                |l: &Linked<'_>| l.desired.members.iter().all(|(cluster, _)| destroyed.contains(cluster));
            let goes = |l: &&Linked<'_>| {
                nobody_stays(l) && l.observed.is_some_and(|g| g.made_by(ours) && g.other_mark(ours).is_none())
            };
            let doomed: BTreeSet<Atom> = linked.iter().filter(goes).map(|l| l.atom).collect();
            let mut changes = Vec::new();
            for (linked, still) in linked.iter().zip(&still) {
                let Some(group) = linked.observed else { continue };
                let (nobody_stays, still) = (nobody_stays(linked), &still.wanted);
                let going = Going { linked, still, group, ours, destroyed, doomed: &doomed, nobody_stays };
                let mut part = going.part();
                for (peer, from) in std::mem::take(&mut part.stuck) {
                    let to = observed.groups.iter().find(|g| g.atom == peer).map(|g| g.name.to_string());
                    let (network, group) = (name.clone(), to.unwrap_or_default());
                    errors.push(PlanError::StillReferenced { network, group, from });
                }
                let (plan, change) = going.changes(part, input.pack.dialect());
                cases.push(case(&name, &plan, Some(group), guards));
                groups.push(plan);
                changes.push((group, change));
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
            elsewhere: wish.elsewhere,
            groups,
            calls: input.calls,
        });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let steps = order(calls, &BTreeMap::new());
    let proof = prove(&Case { groups: cases, steps: &steps, trusted: &inventory.trusted, gaps: Vec::new() });
    Ok(Plan {
        owner: inventory.owner.clone(),
        trusted: inventory.trusted.clone(),
        networks,
        steps,
        proof,
        unopened: Vec::new(),
        without_members: Vec::new(),
        assumed: Vec::new(),
        elsewhere: Vec::new(),
        lost: lost(inventory, flows, destroyed),
        notes: Vec::new(),
        blast: None,
    })
}

/// Flows that are lost; not those that another cluster's row asks for as well.
fn lost(inventory: &Inventory, flows: &Flows, destroyed: &BTreeSet<ClusterName>) -> Vec<Flow> {
    let (stays, mut lost) = split_flows(inventory, &flows.flows, destroyed);
    let asked: BTreeSet<_> = stays.iter().map(|f| (&f.from, &f.to, f.traffic)).collect();
    lost.retain(|f| !asked.contains(&(&f.from, &f.to, f.traffic)));
    lost
}

/// The wish without what only destroyed clusters asked for.
fn smaller(whole: &DesiredNetwork, rest: &DesiredNetwork) -> DesiredNetwork {
    let mut smaller = whole.clone();
    let here = |rule: Rule| {
        let RulePeer::Opaque(kind, atom, family) = rule.peer else { return Some(rule) };
        let atom = whole.atoms.get(rest.atoms.text(atom))?;
        Some(Rule { peer: RulePeer::Opaque(kind, atom, family), ..rule })
    };
    for group in &mut smaller.groups {
        let same = rest.groups.iter().find(|g| g.security_group == group.security_group);
        let stays: BTreeSet<(Rule, &Reason)> = same
            .iter()
            .flat_map(|g| g.rules.iter().filter_map(|r| Some((here(r.rule)?, &r.reasons))))
            .flat_map(|(rule, reasons)| reasons.iter().map(move |reason| (rule, reason)))
            .collect();
        for rule in &mut group.rules {
            rule.reasons.retain(|reason| stays.contains(&(rule.rule, reason)));
        }
        group.rules.retain(|rule| !rule.reasons.is_empty());
    }
    smaller
}

/// One group of which clusters are destroyed.
struct Going<'a> {
    linked: &'a Linked<'a>,
    /// What it should have without them.
    still: &'a Wanted,
    group: &'a ObservedGroup,
    ours: Ours<'a>,
    destroyed: &'a BTreeSet<ClusterName>,
    doomed: &'a BTreeSet<Atom>,
    nobody_stays: bool,
}

/// What becomes of a group's rules, and what is still required of it.
struct Part {
    diff: GroupDiff,
    /// Groups that rules refer to which are not ours to remove, and the group whose rules they are.
    stuck: Vec<(Atom, String)>,
}

impl Going<'_> {
    fn deleted(&self) -> bool {
        self.doomed.contains(&self.linked.atom)
    }

    fn part(&self) -> Part {
        let mut part = Part { diff: GroupDiff::default(), stuck: Vec::new() };
        part.diff = if self.deleted() {
            GroupDiff { fates: vec![Fate::Keep; self.group.rules.len()], ..GroupDiff::default() }
        } else if self.nobody_stays {
            let nothing = Wanted { egress: EgressMode::Strict, ..Wanted::default() };
            let only_marked = diff(&nothing, self.group, Ownership::Shared, self.ours);
            GroupDiff { required: Vec::new(), adds: Vec::new(), ..only_marked }
        } else {
            self.smaller()
        };
        if self.deleted() {
            return part;
        }
        for (rule, fate) in self.group.rules.iter().zip(&mut part.diff.fates) {
            let Some(peer) = rule.rule.peer.group().filter(|peer| self.doomed.contains(peer)) else { continue };
            let others = rule.marks.iter().any(|mark| !self.ours.is(mark));
            if others || *fate == Fate::Foreign {
                part.stuck.push((peer, self.linked.desired.security_group.to_string()));
            }
            *fate = Fate::Remove;
        }
        part
    }

    /// A group that others use as well loses what only the destroyed clusters wanted.
    fn smaller(&self) -> GroupDiff {
        let (linked, group) = (self.linked, self.group);
        let ownership = group.ownership(linked.desired.ownership, self.ours);
        let before = diff(&linked.wanted, group, ownership, self.ours);
        let after = diff(self.still, group, ownership, self.ours);
        let was_wanted = |fate: &Fate| matches!(fate, Fate::Keep | Fate::Redundant);
        let pairs = before.fates.iter().zip(&after.fates);
        let fates = pairs.map(|(before, after)| match (before, after) {
            (Fate::Foreign | Fate::Satisfies | Fate::Join, _) => Fate::Foreign,
            (before, Fate::Remove | Fate::Leave) if was_wanted(before) => *after,
            _ => Fate::Keep,
        });
        let fates: Vec<Fate> = fates.collect();
        let removed: Vec<Rule> =
            group.rules.iter().zip(&fates).filter(|(_, f)| **f == Fate::Remove).map(|(r, _)| r.rule).collect();
        // Only what a removed rule carried as well, and the rest still needs.
        let needed =
            |add: &DesiredRule| removed.iter().any(|r| r.direction == add.rule.direction && overlap(r, &add.rule));
        let adds = after.adds.into_iter().filter(needed).collect();
        GroupDiff { fates, adds, required: after.required }
    }

    fn changes(&self, part: Part, dialect: &Dialect) -> (GroupPlan, GroupChanges) {
        let (group, linked, delete) = (self.group, self.linked, self.deleted());
        let Part { diff, stuck: _ } = part;
        let gone = |m: &&Mark| m.owner == *self.ours.owner && self.destroyed.contains(&m.cluster);
        let with = |fate: Fate| group.rules.iter().zip(&diff.fates).filter(move |(_, f)| **f == fate).map(|(r, _)| r);
        let removes: Vec<StepRule> = with(Fate::Remove)
            .map(|r| step_rule(r, r.marks.iter().filter(|m| self.ours.is(m)).cloned().collect()))
            .collect();
        let staying = marks(linked, self.ours.owner);
        let staying: Vec<Mark> = staying.into_iter().filter(|m| !self.destroyed.contains(&m.cluster)).collect();
        let adds: Vec<StepRule> = diff.adds.iter().map(|add| to_add(add, &staying, dialect)).collect();
        // Rules that stay lose the marks of clusters that go; so does the group.
        let stays = group.rules.iter().zip(&diff.fates).filter(|(_, f)| **f != Fate::Remove);
        let leaves = stays.filter_map(|(r, _)| {
            let marks: Vec<Mark> = r.marks.iter().filter(gone).cloned().collect();
            (!marks.is_empty()).then(|| step_rule(r, marks))
        });
        let leaves: Vec<StepRule> = if delete { Vec::new() } else { leaves.collect() };
        let group_unmarks: Vec<Mark> =
            if delete { Vec::new() } else { group.marks.iter().map(|m| &m.mark).filter(gone).cloned().collect() };
        let origin = group.marks.iter().find(|m| self.ours.is(&m.mark)).map(|m| m.origin);
        let lacks = |m: &&Mark| !delete && !group_unmarks.is_empty() && group.marks.iter().all(|g| g.mark != **m);
        let group_marks = staying.iter().filter(lacks).filter_map(|m| Some((m.clone(), origin?))).collect();
        let left = group.rules.len() - removes.len() + adds.len();
        let idle = removes.is_empty() && adds.is_empty() && leaves.is_empty() && group_unmarks.is_empty();
        let plan = GroupPlan {
            atom: linked.atom,
            security_group: linked.desired.security_group.to_string(),
            members: linked.desired.members.clone(),
            ownership: group.ownership(linked.desired.ownership, self.ours),
            status: match (delete, idle) {
                (true, _) => GroupStatus::Delete,
                (_, true) => GroupStatus::InSync,
                _ => GroupStatus::Change,
            },
            wanted: diff.required.clone(),
            rules_before: group.rules.len(),
            rules_after: if delete { 0 } else { left },
            quota: None,
            outbound_closed: false,
            stale_descriptions: 0,
            diff,
        };
        let group = Some(linked.atom);
        (
            plan,
            GroupChanges {
                group,
                adds,
                removes,
                leaves,
                delete,
                group_marks,
                group_unmarks,
                ..GroupChanges::default()
            },
        )
    }
}

fn step_rule(rule: &ObservedRule, marks: Vec<Mark>) -> StepRule {
    let (id, description) = (rule.id.clone(), rule.description.clone());
    StepRule { rule: rule.rule, id, description, marks, reasons: Vec::new() }
}

/// Groups in an order in which each can be deleted, and the rules that go with each; a circle of references is opened by
/// removing one group's references first.
fn deletions_in_order(changes: Vec<(&ObservedGroup, GroupChanges)>) -> Vec<(GroupChanges, (Vec<StepRule>, Atom))> {
    let (mut doomed, staying): (BTreeMap<Atom, _>, Vec<_>) = {
        let (doomed, staying): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, c)| c.delete);
        (doomed.into_iter().map(|(g, c)| (g.atom, (g, c))).collect(), staying)
    };
    let plain = |rule: &ObservedRule| step_rule(rule, Vec::new());
    let mut out: Vec<_> = staying.into_iter().map(|(g, c)| (c, (Vec::new(), g.atom))).collect();
    while !doomed.is_empty() {
        let refers = |from: &(&ObservedGroup, GroupChanges), to: Atom| {
            let gone = |r: &Rule| from.1.removes.iter().any(|x| x.rule == *r);
            from.0.atom != to && from.0.rules.iter().any(|r| r.rule.peer.group() == Some(to) && !gone(&r.rule))
        };
        let free = doomed.keys().copied().find(|atom| !doomed.values().any(|from| refers(from, *atom)));
        match free {
            Some(atom) => {
                let Some((group, changes)) = doomed.remove(&atom) else { break };
                let gone = |rule: &Rule| changes.removes.iter().any(|x| x.rule == *rule);
                let rest = group.rules.iter().filter(|r| !gone(&r.rule)).map(plain).collect();
                out.push((changes, (rest, atom)));
            }
            None => {
                let others: BTreeSet<Atom> = doomed.keys().copied().collect();
                let points = |from: Atom, r: &Rule| r.peer.group().is_some_and(|g| g != from && others.contains(&g));
                let first = doomed.values_mut().find(|(group, changes)| {
                    changes.removes.is_empty() && group.rules.iter().any(|r| points(group.atom, &r.rule))
                });
                let Some((group, changes)) = first else { break };
                changes.removes = group.rules.iter().filter(|r| points(group.atom, &r.rule)).map(plain).collect();
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

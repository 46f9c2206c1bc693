//! A group that goes, whole or in part: what becomes of its rules, and in which order groups can be deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::group::{marks, to_add};
use super::{Action, GroupPlan, GroupStatus, StepRule};
use crate::desired::DesiredRule;
use crate::diff::{Fate, GroupDiff, Wanted, diff, open_outbound};
use crate::inventory::{EgressMode, Ownership};
use crate::name::{ClusterName, Mark, NodeGroupName};
use crate::observed::{Observed, ObservedGroup, ObservedRule, Ours};
use crate::pack::{Call, Dialect, GroupChanges};
use crate::packets::overlap;
use crate::rule::{Atom, Family, Rule};

/// One group that clusters leave, or that is an orphan.
pub(super) struct Going<'a> {
    pub group: &'a ObservedGroup,
    /// The name, or the id where the inventory gives that.
    pub security_group: String,
    /// Node groups that use it; none use an orphan.
    pub members: &'a [(ClusterName, NodeGroupName)],
    /// Who decides on its rules.
    pub ownership: Ownership,
    /// What is wanted by clusters that go on using it; `None`: there are none.
    pub stays: Option<Stays<'a>>,
    pub ours: Ours<'a>,
    /// Whose rules are whose was read: what carries no mark of ours is others'. In a group that is only deleted the marks
    /// of rules decide nothing, and may be left out.
    pub marks_read: bool,
    /// The clusters that leave it.
    pub leaving: &'a BTreeSet<ClusterName>,
    /// The groups that are deleted.
    pub doomed: &'a Doomed,
}

/// The groups of a network that are deleted.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    pub groups: BTreeSet<Atom>,
    /// Those of them that take others' rules along which refer to them: the cloud does so, and the user has said so.
    pub cascading: BTreeSet<Atom>,
}

impl Doomed {
    /// `words` are the names or ids of groups whose deletion may take others' rules along.
    pub fn new(groups: BTreeSet<Atom>, words: &BTreeSet<String>, observed: &Observed, dialect: &Dialect) -> Self {
        let named = |g: &&ObservedGroup| words.contains(g.name.as_str()) || words.contains(g.id.as_str());
        let named = observed.groups.iter().filter(named).map(|g| g.atom);
        let cascading = named.filter(|atom| dialect.delete_cascades && groups.contains(atom)).collect();
        Self { groups, cascading }
    }

    /// The deleted group that a rule refers to.
    pub fn peer(&self, rule: &Rule) -> Option<Atom> {
        rule.peer.group().filter(|peer| self.groups.contains(peer))
    }
}

/// A rule that stays, although it refers to a group that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stuck {
    pub rule: Rule,
    /// The group that it refers to.
    pub peer: Atom,
    pub why: &'static str,
}

/// Why a rule is stuck that only the user's word could let go.
pub(super) const NOT_OURS: &str = "not ours";

/// What a group should have with the clusters that leave it, and without.
pub(super) struct Stays<'a> {
    pub before: &'a Wanted,
    pub after: &'a Wanted,
}

impl Going<'_> {
    fn deleted(&self) -> bool {
        self.doomed.groups.contains(&self.group.atom)
    }

    /// What becomes of the group's rules, and what is still required of it; rules that stay and refer to doomed groups. Of a
    /// group that is deleted, all rules go; those are foreign that others have put there.
    pub fn diff(&self, dialect: &Dialect) -> (GroupDiff, Vec<Stuck>) {
        if self.deleted() {
            let others = |rule: &ObservedRule| {
                // In a VPC with IPv6, EC2 also lets a new group's packets out to ::/0.
                let of_the_cloud =
                    dialect.default_rules.contains(&rule.rule) || open_outbound(Family::Both).contains(&rule.rule);
                self.marks_read && !of_the_cloud && !rule.marks.iter().any(|mark| self.ours.is(mark))
            };
            let fate = |rule: &ObservedRule| if others(rule) { Fate::Foreign } else { Fate::Keep };
            let fates = self.group.rules.iter().map(fate).collect();
            return (GroupDiff { fates, ..GroupDiff::default() }, Vec::new());
        }
        let mut diff = match &self.stays {
            Some(stays) => self.smaller(stays),
            None => opened(unmarked(self.group, self.ours), self.group),
        };
        let stuck = release(&mut diff, self.group, self.doomed, self.ours);
        (diff, stuck)
    }

    /// A group that others use as well loses what only the clusters wanted that leave it.
    fn smaller(&self, stays: &Stays<'_>) -> GroupDiff {
        let before = diff(stays.before, self.group, self.ownership, self.ours);
        let after = diff(stays.after, self.group, self.ownership, self.ours);
        let was_wanted = |fate: &Fate| matches!(fate, Fate::Keep | Fate::Redundant);
        let pairs = before.fates.iter().zip(&after.fates);
        let fates = pairs.map(|(before, after)| match (before, after) {
            (Fate::Foreign | Fate::Satisfies | Fate::Join, _) => Fate::Foreign,
            (before, Fate::Remove | Fate::Leave) if was_wanted(before) => *after,
            _ => Fate::Keep,
        });
        let fates: Vec<Fate> = fates.collect();
        let removed: Vec<Rule> =
            self.group.rules.iter().zip(&fates).filter(|(_, f)| **f == Fate::Remove).map(|(r, _)| r.rule).collect();
        // Only what a removed rule carried as well, and the rest still needs.
        let needed =
            |add: &DesiredRule| removed.iter().any(|r| r.direction == add.rule.direction && overlap(r, &add.rule));
        let adds = after.adds.into_iter().filter(needed).collect();
        GroupDiff { fates, adds, required: after.required }
    }

    /// The group's part of the plan, and what is to change in it.
    pub fn changes(&self, mut diff: GroupDiff, dialect: &Dialect) -> (GroupPlan, GroupChanges) {
        let (group, delete) = (self.group, self.deleted());
        diff.project_adds(dialect);
        let gone = |m: &&Mark| m.owner == *self.ours.owner && self.leaving.contains(&m.cluster);
        let with = |fate: Fate| group.rules.iter().zip(&diff.fates).filter(move |(_, f)| **f == fate).map(|(r, _)| r);
        let removes: Vec<StepRule> = with(Fate::Remove).map(|r| removed(r, self.ours)).collect();
        let staying = marks(self.members, self.ours.owner);
        let staying: Vec<Mark> = staying.into_iter().filter(|m| !self.leaving.contains(&m.cluster)).collect();
        let adds: Vec<StepRule> = diff.adds.iter().map(|add| to_add(add, &staying, dialect)).collect();
        // Rules that stay lose the marks of clusters that go; so does the group.
        let stays = group.rules.iter().zip(&diff.fates).filter(|(_, f)| !matches!(f, Fate::Remove | Fate::Cascade));
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
        let left = group.rules.len() - removes.len() - with(Fate::Cascade).count() + adds.len();
        // A group that is but a name goes with the last of its resources.
        let gone_with_them = !removes.is_empty() && staying.is_empty() && group.is_in_our_resources(self.ours);
        let marks = staying.iter().filter_map(|m| Some((m.clone(), origin?))).collect();
        let idle = removes.is_empty() && adds.is_empty() && leaves.is_empty() && group_unmarks.is_empty();
        let plan = GroupPlan {
            atom: group.atom,
            security_group: self.security_group.clone(),
            members: self.members.to_vec(),
            ownership: self.ownership,
            status: match (delete || gone_with_them, idle) {
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
        let group = Some(group.atom);
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
                marks,
                ..GroupChanges::default()
            },
        )
    }
}

/// The fates of a group's rules when only those go that carry our mark, whoever the group belongs to.
pub(super) fn unmarked(group: &ObservedGroup, ours: Ours<'_>) -> GroupDiff {
    unwanted(group, Ownership::Shared, ours)
}

/// Gives back what resources of ours deny that go.
fn opened(mut diff: GroupDiff, group: &ObservedGroup) -> GroupDiff {
    let open = group.denied().flat_map(open_outbound);
    diff.adds.extend(open.map(|rule| DesiredRule { rule, reasons: Arc::default() }));
    diff.required.extend(diff.adds.iter().cloned());
    diff
}

/// The fates of a group's rules when nothing is wanted of it.
pub(super) fn unwanted(group: &ObservedGroup, ownership: Ownership, ours: Ours<'_>) -> GroupDiff {
    let nothing = Wanted { egress: EgressMode::Strict, ..Wanted::default() };
    diff(&nothing, group, ownership, ours)
}

/// Removes rules of ours that refer to groups which are deleted, lets others' go along where the user has said so, and gives
/// the rules that stay.
pub(super) fn release(diff: &mut GroupDiff, group: &ObservedGroup, doomed: &Doomed, ours: Ours<'_>) -> Vec<Stuck> {
    let GroupDiff { fates, adds, required } = diff;
    let added = adds.iter().map(|add| add.rule);
    let added = added.filter_map(|rule| Some(Stuck { rule, peer: doomed.peer(&rule)?, why: "to be added" }));
    let mut stuck: Vec<Stuck> = added.collect();
    for (rule, fate) in group.rules.iter().zip(fates) {
        let Some(peer) = doomed.peer(&rule.rule) else { continue };
        let needed =
            || required.iter().any(|r| r.rule.direction == rule.rule.direction && overlap(&r.rule, &rule.rule));
        let co_owned = || rule.marks.iter().any(|mark| !ours.is(mark));
        let why = match fate {
            Fate::Held => "held",
            Fate::Ignored => "ignored",
            Fate::Spared => "spared",
            _ if needed() => "needed",
            Fate::Foreign | Fate::Satisfies | Fate::Join | Fate::Cascade => NOT_OURS,
            Fate::Keep | Fate::Redundant | Fate::Remove | Fate::Leave | Fate::Outbound if co_owned() => NOT_OURS,
            Fate::Keep | Fate::Redundant | Fate::Remove | Fate::Leave | Fate::Outbound => {
                *fate = Fate::Remove;
                continue;
            }
        };
        if why == NOT_OURS && doomed.cascading.contains(&peer) {
            *fate = Fate::Cascade;
        } else {
            stuck.push(Stuck { rule: rule.rule, peer, why });
        }
    }
    stuck
}

/// A rule that a step removes: the marks that the plan saw tell the provider what is still ours when it comes to it.
fn removed(rule: &ObservedRule, ours: Ours<'_>) -> StepRule {
    step_rule(rule, rule.marks.iter().filter(|mark| ours.is(mark)).cloned().collect())
}

pub(super) fn step_rule(rule: &ObservedRule, marks: Vec<Mark>) -> StepRule {
    let ObservedRule { rule, id, description, marks: _, weight: _, resource } = rule.clone();
    StepRule { rule, id, description, marks, reasons: Arc::default(), resource }
}

/// A group that goes or changes while others are deleted.
pub(super) struct Leaving<'a> {
    pub group: &'a ObservedGroup,
    /// Who decides on its rules.
    pub ownership: Ownership,
    pub changes: GroupChanges,
}

impl Leaving<'_> {
    /// Its rules that stay until it goes itself.
    fn staying(&self) -> impl Iterator<Item = &ObservedRule> {
        let gone = |rule: &Rule| self.changes.removes.iter().any(|removed| removed.rule == *rule);
        self.group.rules.iter().filter(move |r| !gone(&r.rule))
    }

    fn refers_to(&self, peer: Atom) -> bool {
        self.group.atom != peer && self.staying().any(|r| r.rule.peer.group() == Some(peer))
    }

    /// Its rules that refer to some of these groups, but not to itself, and may go for their own sake.
    fn references(&self, groups: &BTreeSet<Atom>, ours: Ours<'_>) -> Vec<StepRule> {
        let away = |rule: &Rule| rule.peer.group().is_some_and(|g| g != self.group.atom && groups.contains(&g));
        let fates = unwanted(self.group, self.ownership, ours).fates;
        let may_go = self.group.rules.iter().zip(fates).filter(|(r, fate)| *fate == Fate::Remove && away(&r.rule));
        may_go.map(|(rule, _)| removed(rule, ours)).collect()
    }
}

/// A group, what changes in it, and which rules go with it.
pub(super) type Deletion = (Atom, GroupChanges, Vec<StepRule>);

/// Groups in an order in which each can be deleted, and the rules that go with each; a circle of references is opened by
/// removing one group's references first. Where only others' rules make a circle those are the error, by the group that they
/// are in.
pub(super) fn deletions_in_order(
    leaving: Vec<Leaving<'_>>,
    ours: Ours<'_>,
) -> Result<Vec<Deletion>, BTreeMap<Atom, Vec<Stuck>>> {
    let (doomed, staying): (Vec<_>, Vec<_>) = leaving.into_iter().partition(|one| one.changes.delete);
    let mut doomed: BTreeMap<Atom, Leaving<'_>> = doomed.into_iter().map(|one| (one.group.atom, one)).collect();
    let mut out: Vec<_> = staying.into_iter().map(|one| (one.group.atom, one.changes, Vec::new())).collect();
    while !doomed.is_empty() {
        let free = doomed.keys().copied().find(|atom| !doomed.values().any(|from| from.refers_to(*atom)));
        if let Some(one) = free.and_then(|atom| doomed.remove(&atom)) {
            let rest = one.staying().map(|r| step_rule(r, Vec::new())).collect();
            out.push((one.group.atom, one.changes, rest));
            continue;
        }
        let circle: BTreeSet<Atom> = doomed.keys().copied().collect();
        let closed = doomed.values_mut().filter(|one| one.changes.removes.is_empty());
        let opened = closed.map(|one| (one.references(&circle, ours), one)).find(|(refers, _)| !refers.is_empty());
        match opened {
            Some((refers, one)) => one.changes.removes = refers,
            None => return Err(kept(&doomed)),
        }
    }
    Ok(out)
}

/// The rules by which groups keep each other, by the group that they are in.
fn kept(doomed: &BTreeMap<Atom, Leaving<'_>>) -> BTreeMap<Atom, Vec<Stuck>> {
    let kept = |one: &Leaving<'_>| {
        let away = one.staying().filter_map(|r| Some((r.rule, r.rule.peer.group()?)));
        let away = away.filter(|(_, peer)| *peer != one.group.atom && doomed.contains_key(peer));
        away.map(|(rule, peer)| Stuck { rule, peer, why: "not ours, in a circle" }).collect()
    };
    doomed.iter().map(|(atom, one)| (*atom, kept(one))).collect()
}

/// The deletion also says which rules go with the group.
pub(super) fn with_rules(mut calls: Vec<Call>, rules: &[StepRule]) -> Vec<Call> {
    let deletions = calls.iter_mut().filter(|call| call.action == Action::DeleteGroup);
    deletions.for_each(|call| call.removes = rules.to_vec());
    calls
}

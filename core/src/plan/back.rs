//! One group on its way back to what it was: what is to change in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::StepRule;
use super::going::step_rule;
use super::undo::Undo;
use crate::diff::Fate;
use crate::flow::Reason;
use crate::inventory::Ownership;
use crate::name::{Mark, Origin};
use crate::observed::{ObservedGroup, ObservedRule, Ours};
use crate::pack::{Dialect, GroupChanges};
use crate::packets::PacketSet;
use crate::rule::{Atom, Direction, Rule};

/// One group on its way back.
pub(super) struct Back<'a> {
    /// What the run did to it.
    pub undo: &'a Undo<'a>,
    /// The group as it is, or as the cloud will make it.
    pub group: ObservedGroup,
    /// Who decides on its rules.
    pub ownership: Ownership,
    /// By the rules of `group`.
    pub fates: Vec<Fate>,
    /// Rules that come back.
    pub restores: Vec<ObservedRule>,
}

/// A group that was, as the cloud makes it anew.
pub(super) fn new_group(before: &ObservedGroup, atom: Atom, dialect: &Dialect) -> ObservedGroup {
    let rules = dialect.default_rules.iter().map(|rule| ObservedRule::plain(*rule));
    ObservedGroup { atom, marks: Vec::new(), rules: rules.collect(), ..before.clone() }
}

impl Back<'_> {
    /// Lets rules stay that alone carry what held before and holds now; these are returned.
    pub(super) fn spare(&mut self) -> Vec<Rule> {
        let mut spared = Vec::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            let of = |rules: &mut dyn Iterator<Item = Rule>| PacketSet::of(rules.filter(|r| r.direction == direction));
            let now = || self.group.rules.iter().map(|r| r.rule).zip(&self.fates);
            let left = &mut now().filter(|(_, fate)| **fate != Fate::Remove).map(|(rule, _)| rule);
            let held =
                of(&mut self.undo.was.iter().map(|r| r.rule)).intersection(&of(&mut now().map(|(rule, _)| rule)));
            let after = of(left).union(&of(&mut self.restores.iter().map(|r| r.rule)));
            let mut cut = held.difference(&after);
            for (rule, fate) in self.group.rules.iter().map(|r| r.rule).zip(&mut self.fates) {
                let carried = PacketSet::of([rule]);
                if *fate == Fate::Remove && rule.direction == direction && cut.intersects(&carried) {
                    *fate = Fate::Keep;
                    cut = cut.difference(&carried);
                    spared.push(rule);
                }
            }
        }
        spared
    }

    pub(super) fn changes(
        &self,
        ours: Ours<'_>,
        dialect: &Dialect,
        because: impl Fn(&str) -> Arc<[Reason]>,
    ) -> GroupChanges {
        let Self { undo, group, ownership: _, fates, restores } = self;
        let mine = |marks: &[Mark]| -> Vec<Mark> { marks.iter().filter(|m| ours.is(m)).cloned().collect() };
        let with = |fate: Fate| group.rules.iter().zip(fates).filter(move |(_, f)| **f == fate).map(|(r, _)| r);
        let of_run = |all: &BTreeMap<Rule, Vec<Mark>>, rule: &Rule| all.get(rule).map(|marks| mine(marks));
        // Rules of a group that is ours alone have our marks, which are not read there.
        let before = undo.before.map(|g| g.marks.as_slice()).unwrap_or_default();
        let taken: Vec<Mark> =
            before.iter().filter(|m| ours.is(&m.mark) && m.origin != Origin::Joined).map(|m| m.mark.clone()).collect();
        let restored = |rule: &ObservedRule| {
            let marks = if rule.marks.is_empty() { taken.clone() } else { mine(&rule.marks) };
            let reasons = because("was there before the run");
            StepRule { id: None, resource: None, reasons, ..step_rule(rule, marks) }
        };
        let removed = |rule: &ObservedRule| StepRule {
            reasons: because("the run added it"),
            ..step_rule(rule, mine(&rule.marks))
        };
        let described = group.rules.iter().zip(fates).filter_map(|(rule, fate)| {
            let old = &undo.was.iter().find(|w| w.rule == rule.rule)?.description;
            let is_runs = undo.described.get(&rule.rule) == Some(&rule.description);
            let stays = *fate != Fate::Remove && dialect.updates_descriptions;
            (is_runs && stays && rule.description != *old)
                .then(|| StepRule { description: old.clone(), ..step_rule(rule, Vec::new()) })
        });
        let mut changes = GroupChanges {
            group: Some(group.atom),
            adds: restores.iter().map(restored).collect(),
            removes: with(Fate::Remove).map(removed).collect(),
            joins: with(Fate::Join).map(|r| step_rule(r, of_run(&undo.left, &r.rule).unwrap_or_default())).collect(),
            leaves: with(Fate::Leave)
                .map(|r| step_rule(r, of_run(&undo.joined, &r.rule).unwrap_or_else(|| mine(&r.marks))))
                .collect(),
            descriptions: described.collect(),
            ..GroupChanges::default()
        };
        let holds = if before.iter().any(|m| ours.is(&m.mark)) { before } else { &group.marks };
        let holds = holds.iter().filter(|m| ours.is(&m.mark));
        changes.marks = holds.map(|m| (m.mark.clone(), m.origin)).collect();
        if let Some(before) = undo.before {
            if undo.remade {
                changes.create = Some(before.description.clone());
                changes.group_marks =
                    before.marks.iter().filter(|m| ours.is(&m.mark)).map(|m| (m.mark.clone(), m.origin)).collect();
            } else {
                (changes.group_marks, changes.group_unmarks) = self.group_marks(before, ours);
            }
        }
        changes
    }

    /// The marks of the group that come back, and those that go; a mark stays while something of ours is there that the
    /// run did not find.
    fn group_marks(&self, before: &ObservedGroup, ours: Ours<'_>) -> (Vec<(Mark, Origin)>, Vec<Mark>) {
        let Self { undo, group, ownership, fates, restores: _ } = self;
        let now = |mark: &Mark| group.marks.iter().find(|m| m.mark == *mark).map(|m| m.origin);
        let then = |mark: &Mark| before.marks.iter().find(|m| m.mark == *mark).map(|m| m.origin);
        let is_new = |rule: &ObservedRule| undo.was.iter().all(|w| w.rule != rule.rule);
        let is_ours =
            |rule: &ObservedRule| *ownership == Ownership::Exclusive || rule.marks.iter().any(|mark| ours.is(mark));
        let stays = group.rules.iter().zip(fates).filter(|(_, f)| !matches!(f, Fate::Remove | Fate::Leave));
        let needed = stays.into_iter().any(|(rule, _)| is_new(rule) && is_ours(rule));
        let changed = undo.marked.iter().filter(|(mark, origin)| now(mark) == Some(*origin) && !needed);
        let (mut back, mut off) = (Vec::new(), Vec::new());
        for (mark, origin) in changed {
            match then(mark) {
                None => off.push(mark.clone()),
                Some(old) if old != *origin => back.push((mark.clone(), old)),
                Some(_) => {}
            }
        }
        let lost = undo.unmarked.iter().filter(|mark| now(mark).is_none());
        back.extend(lost.filter_map(|mark| Some((mark.clone(), then(mark)?))));
        (back, off)
    }
}

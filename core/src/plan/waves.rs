//! Additions and removals of one group, in waves that its quota has room for.

use std::collections::BTreeSet;

use super::StepRule;
use super::quota::{QuotaUse, counts};
use crate::observed::Limits;
use crate::pack::Dialect;
use crate::packets::{PacketSet, overlap};
use crate::rule::Rule;

/// Additions, and the removals that come after them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wave {
    pub adds: Vec<StepRule>,
    pub removes: Vec<StepRule>,
}

/// What a quota allows.
#[derive(Clone)]
pub(super) struct Room<'a> {
    /// Rules that are there, each with its weight.
    pub present: Vec<(Rule, u32)>,
    pub dialect: &'a Dialect,
    pub limits: &'a Limits,
}

impl Room<'_> {
    /// A count that some additions raise above the quota. Nothing new needs no room, whatever is there already.
    pub fn overflow<'r>(&self, adds: impl IntoIterator<Item = &'r StepRule, IntoIter: Clone>) -> Option<QuotaUse> {
        let adds = adds.into_iter();
        adds.clone().next()?;
        let present = || self.present.iter().copied();
        let before = counts(present(), self.dialect, self.limits);
        let after = counts(present().chain(adds.map(|a| (a.rule, 1))), self.dialect, self.limits);
        let raised = before.into_iter().zip(after).filter(|(before, after)| after.used > before.used);
        raised.map(|(_, after)| after).find(|full| full.used > full.of)
    }

    fn carry_out(&mut self, wave: &Wave) {
        for remove in &wave.removes {
            if let Some(at) = self.present.iter().position(|(rule, _)| *rule == remove.rule) {
                self.present.swap_remove(at);
            }
        }
        self.present.extend(wave.adds.iter().map(|a| (a.rule, 1)));
    }
}

/// How often a rule is looked at where the first choice of removals leads nowhere: about a second's work.
const EFFORT: usize = 2_000_000;

/// Orders additions and removals so that none of `required` is cut and no quota is exceeded.
///
/// Everything at once where there is room. Otherwise rules are removed as soon as what they carry stands elsewhere, to make
/// room for the rest. Errors with the fullest count when no order is found: in a group of many rules there may be one beyond
/// [`EFFORT`].
pub(super) fn waves(
    room: Room<'_>,
    adds: Vec<StepRule>,
    removes: Vec<StepRule>,
    required: &[Rule],
) -> Result<Vec<Wave>, QuotaUse> {
    cheapest_first(room.clone(), adds.clone(), removes.clone(), required)
        .or_else(|full| any_order(&room, &Wave { adds, removes }, required).ok_or(full))
}

/// Takes in each wave all removals that there is room for.
fn cheapest_first(
    mut room: Room<'_>,
    mut adds: Vec<StepRule>,
    mut removes: Vec<StepRule>,
    required: &[Rule],
) -> Result<Vec<Wave>, QuotaUse> {
    let mut waves = Vec::new();
    while let Some(full) = room.overflow(&adds) {
        let wave = next(&room, &mut adds, &mut removes, required);
        if wave.removes.is_empty() {
            return Err(full);
        }
        room.carry_out(&wave);
        waves.push(wave);
    }
    waves.push(Wave { adds, removes });
    Ok(waves)
}

/// Tries single steps in every order, removals before additions.
fn any_order(room: &Room<'_>, all: &Wave, required: &[Rule]) -> Option<Vec<Wave>> {
    // The last addition finds no more room than there is when everything has gone that goes.
    let mut end = room.clone();
    end.carry_out(&Wave { adds: vec![], removes: all.removes.clone() });
    if end.overflow(&all.adds).is_some() {
        return None;
    }
    let (mut begun, mut seen, mut effort) = (vec![Vec::new()], BTreeSet::new(), 0);
    while let Some(steps) = begun.pop().filter(|_| effort < EFFORT) {
        let now = Begun::of(room, all, &steps);
        if now.room.overflow(&now.left.adds).is_none() {
            return Some(now.waves.into_iter().chain([now.left]).collect());
        }
        let standing: Vec<Rule> = now.room.present.iter().map(|(rule, _)| *rule).collect();
        let fits = |add: &StepRule| now.room.overflow([add]).is_none();
        let may_go = |remove: &StepRule| carried_alone(&remove.rule, &standing, required).is_empty();
        let adds = all.adds.iter().enumerate().filter(|(_, add)| fits(add)).map(|(i, _)| i);
        let removes = all.removes.iter().enumerate().filter(|(_, remove)| may_go(remove));
        let removes = removes.map(|(i, _)| all.adds.len() + i);
        effort += (1 + standing.len()) * (all.adds.len() + all.removes.len());
        for step in adds.chain(removes).filter(|step| !steps.contains(step)) {
            let then: Vec<usize> = steps.iter().copied().chain([step]).collect();
            effort += then.len();
            if seen.insert(then.iter().copied().collect::<BTreeSet<_>>()) {
                begun.push(then);
            }
        }
    }
    None
}

/// The first waves of an order.
struct Begun<'a> {
    waves: Vec<Wave>,
    room: Room<'a>,
    left: Wave,
}

impl<'a> Begun<'a> {
    /// Steps are numbered, additions before removals.
    fn of(room: &Room<'a>, all: &Wave, steps: &[usize]) -> Self {
        let (mut waves, mut room) = (Vec::<Wave>::new(), room.clone());
        for &step in steps {
            let mut one = Wave::default();
            match all.adds.get(step) {
                Some(add) => one.adds.push(add.clone()),
                None => one.removes.extend(all.removes.get(step - all.adds.len()).cloned()),
            }
            room.carry_out(&one);
            match waves.last_mut() {
                Some(last) if one.adds.is_empty() || last.removes.is_empty() => {
                    last.adds.extend(one.adds);
                    last.removes.extend(one.removes);
                }
                _ => waves.push(one),
            }
        }
        let left = |rules: &[StepRule], first: usize| {
            let undone = rules.iter().enumerate().filter(|(i, _)| !steps.contains(&(first + i)));
            undone.map(|(_, rule)| rule.clone()).collect()
        };
        let left = Wave { adds: left(&all.adds, 0), removes: left(&all.removes, all.adds.len()) };
        Self { waves, room, left }
    }
}

/// The removals that need the fewest additions first, as many as there is room for.
fn next(room: &Room<'_>, adds: &mut Vec<StepRule>, removes: &mut Vec<StepRule>, required: &[Rule]) -> Wave {
    let mut wave = Wave::default();
    let mut standing: Vec<Rule> = room.present.iter().map(|(rule, _)| *rule).collect();
    let mut ordered: Vec<(usize, StepRule)> =
        removes.drain(..).map(|r| (needed(&r.rule, &standing, adds, required).len(), r)).collect();
    ordered.sort_by_key(|(needs, remove)| (*needs, remove.rule));
    for (_, remove) in ordered {
        let needs = needed(&remove.rule, &standing, adds, required);
        let fits = room.overflow(wave.adds.iter().chain(&needs)).is_none();
        if !fits {
            removes.push(remove);
            continue;
        }
        adds.retain(|add| !needs.contains(add));
        standing.retain(|rule| *rule != remove.rule);
        standing.extend(needs.iter().map(|a| a.rule));
        wave.adds.extend(needs);
        wave.removes.push(remove);
    }
    wave
}

/// The pending additions that must stand before a rule goes: those that carry what it alone carries.
fn needed(remove: &Rule, standing: &[Rule], adds: &[StepRule], required: &[Rule]) -> Vec<StepRule> {
    let alone = carried_alone(remove, standing, required);
    let carries = |add: &&StepRule| {
        add.rule.direction == remove.direction
            && overlap(&add.rule, remove)
            && alone.intersects(&PacketSet::of([add.rule]))
    };
    let mut needed: Vec<StepRule> = adds.iter().filter(carries).cloned().collect();
    // What the others carry together may wait.
    for at in (0..needed.len()).rev() {
        let others = needed.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, add)| add.rule);
        if PacketSet::of(others).contains(&alone) {
            needed.remove(at);
        }
    }
    needed
}

/// What is required and no other rule that stands carries.
fn carried_alone(rule: &Rule, standing: &[Rule], required: &[Rule]) -> PacketSet {
    let same_way = |other: &&Rule| other.direction == rule.direction;
    let others = standing.iter().filter(same_way).filter(|other| *other != rule);
    PacketSet::of(required.iter().filter(same_way).copied())
        .intersection(&PacketSet::of([*rule]))
        .difference(&PacketSet::of(others.copied()))
}

#[cfg(test)]
mod tests;

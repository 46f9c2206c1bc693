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

/// How many orders of single steps are begun where the first choice of removals leads nowhere.
const TRIES: usize = 2000;

/// Orders additions and removals so that none of `required` is cut and no quota is exceeded.
///
/// Everything at once where there is room. Otherwise rules are removed as soon as what they carry stands elsewhere, to make
/// room for the rest. Errors with the fullest count when no order is found: a group with so many rules that its orders
/// outnumber [`TRIES`] may have one.
pub(super) fn waves(
    room: Room<'_>,
    adds: Vec<StepRule>,
    removes: Vec<StepRule>,
    required: &[Rule],
) -> Result<Vec<Wave>, QuotaUse> {
    cheapest_first(room.clone(), adds.clone(), removes.clone(), required)
        .or_else(|full| any_order(&room, Wave { adds, removes }, required).ok_or(full))
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
fn any_order(room: &Room<'_>, all: Wave, required: &[Rule]) -> Option<Vec<Wave>> {
    let mut begun = vec![Begun { waves: Vec::new(), room: room.clone(), left: all }];
    let mut seen = BTreeSet::new();
    while let Some(now) = begun.pop() {
        if now.room.overflow(&now.left.adds).is_none() {
            return Some(now.waves.into_iter().chain([now.left]).collect());
        }
        let standing: Vec<Rule> = now.room.present.iter().map(|(rule, _)| *rule).collect();
        let adds = now.left.adds.iter().filter(|add| now.room.overflow([*add]).is_none());
        let adds = adds.map(|add| Wave { adds: vec![add.clone()], removes: vec![] });
        let removes = now.left.removes.iter().filter(|r| carried_alone(&r.rule, &standing, required).is_empty());
        let removes = removes.map(|remove| Wave { adds: vec![], removes: vec![remove.clone()] });
        for then in adds.chain(removes).map(|step| now.after(step)) {
            if seen.len() < TRIES && seen.insert(then.state()) {
                begun.push(then);
            }
        }
    }
    None
}

/// The first waves of an order.
#[derive(Clone)]
struct Begun<'a> {
    waves: Vec<Wave>,
    room: Room<'a>,
    left: Wave,
}

impl Begun<'_> {
    fn after(&self, step: Wave) -> Self {
        let Self { mut waves, mut room, mut left } = self.clone();
        room.carry_out(&step);
        left.adds.retain(|add| !step.adds.contains(add));
        left.removes.retain(|remove| !step.removes.contains(remove));
        match waves.last_mut() {
            Some(last) if step.adds.is_empty() || last.removes.is_empty() => {
                last.adds.extend(step.adds);
                last.removes.extend(step.removes);
            }
            _ => waves.push(step),
        }
        Self { waves, room, left }
    }

    /// What is left to do, and so, whatever the order was, what is there.
    fn state(&self) -> (Vec<Rule>, Vec<Rule>) {
        let rules = |steps: &[StepRule]| steps.iter().map(|step| step.rule).collect();
        (rules(&self.left.adds), rules(&self.left.removes))
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

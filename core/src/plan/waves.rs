//! Additions and removals of one group, in waves that its quota has room for.

use super::StepRule;
use super::quota::{QuotaUse, counts};
use crate::observed::Limits;
use crate::pack::Dialect;
use crate::packets::{PacketSet, overlap};
use crate::rule::{Direction, Rule};

/// Additions, and the removals that come after them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wave {
    pub adds: Vec<StepRule>,
    pub removes: Vec<StepRule>,
}

/// What a quota allows.
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

/// Orders additions and removals so that none of `required` is cut and no quota is exceeded.
///
/// Everything at once where there is room. Otherwise rules are removed as soon as what they carry stands elsewhere, to make
/// room for the rest. Errors with the fullest count when no removal is possible any more.
pub(super) fn waves(
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
    let of = |direction: Direction, rules: &[Rule]| {
        PacketSet::of(rules.iter().copied().filter(|r| r.direction == direction && r != remove))
    };
    let direction = remove.direction;
    let alone = PacketSet::of(required.iter().copied().filter(|r| r.direction == direction))
        .intersection(&PacketSet::of([*remove]))
        .difference(&of(direction, standing));
    let carries = |add: &&StepRule| {
        add.rule.direction == direction && overlap(&add.rule, remove) && alone.intersects(&PacketSet::of([add.rule]))
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

#[cfg(test)]
mod tests;

//! Calls become steps: groups first, additions before removals, deletions last.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{Action, Step, StepId, StepRule};
use crate::name::NetworkName;
use crate::pack::Call;
use crate::rule::{Atom, Direction};

/// A group: its network, and its atom there.
pub(super) type Place = (NetworkName, Atom);

/// The calls of one group.
pub(super) struct GroupCalls {
    pub network: NetworkName,
    pub group: Atom,
    /// Later waves wait for the removals of earlier ones.
    pub waves: Vec<Vec<Call>>,
}

/// Numbers the calls in an order that keeps every dependency; `elsewhere` says which group of another network an atom
/// stands for.
pub(super) fn order(groups: Vec<GroupCalls>, elsewhere: &BTreeMap<Place, Place>) -> Vec<Step> {
    let mut steps: Vec<(usize, Step)> = Vec::new();
    for GroupCalls { network, group, waves } in groups {
        for (wave, call) in waves.into_iter().enumerate().flat_map(|(i, calls)| calls.into_iter().map(move |c| (i, c)))
        {
            let Call { action, direction, resource, adds, removes, group_marks, group_unmarks, description } = call;
            let (network, depends_on) = (network.clone(), Vec::new());
            let step = Step {
                id: StepId(0),
                network,
                group,
                direction,
                action,
                depends_on,
                resource,
                adds,
                removes,
                group_marks,
                group_unmarks,
                description,
            };
            steps.push((wave, step));
        }
    }
    // Deletions are last, whatever other groups have in waves.
    steps.sort_by_key(|(wave, step)| (step.action == Action::DeleteGroup, *wave, phase(step)));
    let mut steps: Vec<Step> = steps.into_iter().map(|(_, step)| step).collect();
    for (id, step) in (1..).zip(&mut steps) {
        step.id = StepId(id);
    }
    let dependencies = dependencies(&steps, elsewhere);
    steps.iter_mut().zip(dependencies).for_each(|(step, before)| step.depends_on = before);
    steps
}

fn phase(step: &Step) -> u8 {
    match step.action {
        Action::CreateGroup => 0,
        Action::SetMarks if !step.group_marks.is_empty() => 1,
        Action::AddRules => 2,
        Action::ReplaceRules => 3,
        Action::SetMarks if !step.adds.is_empty() => 4,
        Action::UpdateDescriptions => 5,
        Action::SetMarks if !step.removes.is_empty() => 6,
        Action::RemoveRules => 7,
        Action::SetMarks => 8,
        Action::DeleteGroup => 9,
    }
}

/// For each step, those that must be done before it.
fn dependencies<'a>(steps: &'a [Step], elsewhere: &'a BTreeMap<Place, Place>) -> Vec<Vec<StepId>> {
    type At<'a> = (&'a NetworkName, Atom);
    let mut created: BTreeMap<At<'a>, StepId> = BTreeMap::new();
    let mut added: BTreeMap<(At<'a>, Option<Direction>), Vec<StepId>> = BTreeMap::new();
    let mut replaced: BTreeMap<(At<'a>, Option<Direction>), Vec<StepId>> = BTreeMap::new();
    let mut removed: BTreeMap<At<'a>, Vec<StepId>> = BTreeMap::new();
    let mut of_group: BTreeMap<At<'a>, Vec<StepId>> = BTreeMap::new();
    let mut released: BTreeMap<At<'a>, Vec<StepId>> = BTreeMap::new();
    let mut dependencies = Vec::with_capacity(steps.len());
    for step in steps {
        let place = |group: Atom| (&step.network, group);
        let here = place(step.group);
        let of_direction = (here, step.direction);
        let mut before: Vec<StepId> = Vec::new();
        match step.action {
            Action::CreateGroup => {
                created.insert(here, step.id);
            }
            // A later wave: the earlier one made the room; some clouds count both directions together.
            Action::AddRules => before.extend(removed.get(&here).into_iter().flatten()),
            // What it takes away no other replacement carries: pack sees to that.
            Action::ReplaceRules => {
                before.extend(removed.get(&here).into_iter().flatten());
                before.extend(added.get(&of_direction).into_iter().flatten());
            }
            Action::RemoveRules => {
                before.extend(added.get(&of_direction).into_iter().flatten());
                before.extend(replaced.get(&of_direction).into_iter().flatten());
            }
            // The group's mark is what finds our rules again: it goes last.
            Action::SetMarks if !step.group_unmarks.is_empty() => {
                before.extend(of_group.get(&here).into_iter().flatten());
            }
            // After what else the plan does in the group, too: what a deletion finds there must be what it says.
            Action::DeleteGroup => {
                before.extend(released.get(&here).into_iter().flatten());
                before.extend(of_group.get(&here).into_iter().flatten());
            }
            _ => {}
        }
        if step.action != Action::CreateGroup {
            before.extend(created.get(&here));
            let place_of = |group: Atom| match elsewhere.get(&(step.network.clone(), group)) {
                Some((network, group)) => (network, *group),
                None => place(group),
            };
            before.extend(referred(&step.adds).into_iter().filter_map(|group| created.get(&place_of(group))));
        }
        if step.action == Action::RemoveRules {
            removed.entry(here).or_default().push(step.id);
        }
        if step.action == Action::AddRules || (step.action == Action::SetMarks && !step.adds.is_empty()) {
            added.entry(of_direction).or_default().push(step.id);
        }
        if step.action == Action::ReplaceRules {
            replaced.entry(of_direction).or_default().push(step.id);
        }
        for group in referred(&step.removes).into_iter().filter(|g| *g != step.group) {
            released.entry(place(group)).or_default().push(step.id);
        }
        of_group.entry(here).or_default().push(step.id);
        before.sort_unstable();
        before.dedup();
        dependencies.push(before);
    }
    dependencies
}

/// The groups that rules refer to.
fn referred(rules: &[StepRule]) -> BTreeSet<Atom> {
    rules.iter().filter_map(|r| r.rule.peer.group()).collect()
}

//! Calls become steps: groups first, additions before removals, deletions last.

use std::collections::BTreeMap;

use super::step::{Action, Step, StepId};
use crate::name::NetworkName;
use crate::pack::Call;
use crate::rule::{Atom, Direction};

/// The calls of one group.
pub(super) struct GroupCalls {
    pub network: NetworkName,
    pub group: Atom,
    pub calls: Vec<Call>,
}

/// Numbers the calls in an order that keeps every dependency.
pub(super) fn order(groups: Vec<GroupCalls>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for GroupCalls { network, group, calls } in groups {
        for call in calls {
            let Call { action, direction, resource, adds, removes, group_marks, description } = call;
            let (network, depends_on) = (network.clone(), Vec::new());
            steps.push(Step {
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
                description,
            });
        }
    }
    steps.sort_by_key(phase);
    for (id, step) in (1..).zip(&mut steps) {
        step.id = StepId(id);
    }
    depend(&mut steps);
    steps
}

fn phase(step: &Step) -> u8 {
    match step.action {
        Action::CreateGroup => 0,
        Action::SetMarks if step.direction.is_none() => 1,
        Action::AddRules | Action::ReplaceRules => 2,
        Action::SetMarks if !step.adds.is_empty() => 3,
        Action::UpdateDescriptions => 4,
        Action::SetMarks => 5,
        Action::RemoveRules => 6,
        Action::DeleteGroup => 7,
    }
}

fn depend(steps: &mut [Step]) {
    let mut created: BTreeMap<(NetworkName, Atom), StepId> = BTreeMap::new();
    let mut added: BTreeMap<(NetworkName, Atom, Option<Direction>), Vec<StepId>> = BTreeMap::new();
    let mut released: BTreeMap<(NetworkName, Atom), Vec<StepId>> = BTreeMap::new();
    for step in steps {
        let place = |group: Atom| (step.network.clone(), group);
        let of_direction = (step.network.clone(), step.group, step.direction);
        let mut before: Vec<StepId> = Vec::new();
        match step.action {
            Action::CreateGroup => {
                created.insert(place(step.group), step.id);
            }
            Action::RemoveRules => before.extend(added.get(&of_direction).into_iter().flatten()),
            Action::DeleteGroup => before.extend(released.get(&place(step.group)).into_iter().flatten()),
            _ => {}
        }
        if step.action != Action::CreateGroup {
            before.extend(created.get(&place(step.group)));
            let referred = step.adds.iter().filter_map(|a| a.rule.peer.group());
            before.extend(referred.filter_map(|group| created.get(&place(group))));
        }
        if matches!(step.action, Action::AddRules | Action::ReplaceRules) || phase(step) == 3 {
            added.entry(of_direction).or_default().push(step.id);
        }
        for group in step.removes.iter().filter_map(|r| r.rule.peer.group()).filter(|g| *g != step.group) {
            released.entry(place(group)).or_default().push(step.id);
        }
        before.sort_unstable();
        before.dedup();
        step.depends_on = before;
    }
}

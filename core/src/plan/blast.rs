//! How much a plan takes away, and whether apply wants the user's word for it.

use super::{Action, GroupStatus, NetworkPlan, Step, StepRule, by_group, moved};
use crate::diff::Fate;
use crate::rule::{Direction, Rule};

/// Why apply refuses to take so much away, unless told otherwise.
pub(super) fn blast(networks: &[NetworkPlan], steps: &[Step], max_removals: Option<usize>) -> Option<String> {
    let changes_rules = |s: &Step| !matches!(s.action, Action::SetMarks | Action::UpdateDescriptions);
    let by_group = by_group(steps);
    let gone = |steps: &[&Step]| -> Vec<Rule> {
        let moved = moved(steps);
        let all = steps.iter().filter(|s| changes_rules(s)).flat_map(|s| &s.removes).map(|r| r.rule);
        all.filter(|rule| !moved.contains(rule)).collect()
    };
    let total: usize = by_group.values().map(|steps| gone(steps).len()).sum();
    if let Some(most) = max_removals {
        return (total > most).then(|| format!("{total} rules would go, --max-removals is {most}"));
    }
    if total > 10 {
        return Some(format!("{total} rules would go, more than 10"));
    }
    for network in networks {
        for group in &network.groups {
            let Some(steps) = by_group.get(&(&network.network.name, group.atom)) else { continue };
            let of_group = || steps.iter().copied().filter(|s| changes_rules(s));
            let gone = gone(steps);
            let goes = gone.len();
            let ours =
                group.diff.fates.iter().filter(|f| !matches!(f, Fate::Foreign | Fate::Satisfies | Fate::Join)).count();
            let name = &group.security_group;
            if group.status == GroupStatus::Delete && goes > 0 {
                return Some(format!("`{name}` would be deleted, and {goes} rules with it"));
            }
            let emptied = |direction: Direction| {
                let observed = network.observed_group(group.atom).map(|g| g.rules.as_slice()).unwrap_or_default();
                let had = observed.iter().filter(|r| r.rule.direction == direction).count();
                let of = |rules: &[StepRule]| rules.iter().filter(|r| r.rule.direction == direction).count();
                let gone = gone.iter().filter(|r| r.direction == direction).count();
                let added: usize = of_group().map(|s| of(&s.adds)).sum();
                had > 0 && gone >= had && added == 0
            };
            if emptied(Direction::Ingress) || emptied(Direction::Egress) {
                return Some(format!("`{name}` would have no rule left in one direction"));
            }
            if ours > 6 && goes * 3 > ours {
                return Some(format!("{goes} of the {ours} rules of ours in `{name}` would go, more than a third"));
            }
        }
    }
    None
}

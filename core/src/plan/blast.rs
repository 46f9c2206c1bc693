//! How much a plan takes away, and whether apply wants the user's word for it.

use super::{Action, NetworkPlan, Step};
use crate::diff::Fate;

/// Why apply refuses to take so much away, unless told otherwise.
pub(super) fn blast(networks: &[NetworkPlan], steps: &[Step], max_removals: Option<usize>) -> Option<String> {
    let removing = || steps.iter().filter(|s| !matches!(s.action, Action::SetMarks | Action::UpdateDescriptions));
    let total: usize = removing().map(|s| s.removes.len()).sum();
    if let Some(most) = max_removals {
        return (total > most).then(|| format!("{total} rules would go, --max-removals is {most}"));
    }
    if total > 10 {
        return Some(format!("{total} rules would go, more than 10"));
    }
    for network in networks {
        for group in &network.groups {
            let of_group = removing().filter(|s| s.network == network.network.name && s.group == group.atom);
            let goes: usize = of_group.map(|s| s.removes.len()).sum();
            let ours =
                group.diff.fates.iter().filter(|f| !matches!(f, Fate::Foreign | Fate::Satisfies | Fate::Join)).count();
            let name = &group.security_group;
            if goes > 0 && group.rules_after == 0 {
                return Some(format!("`{name}` would have no rule left"));
            }
            if ours > 6 && goes * 3 > ours {
                return Some(format!("{goes} of the {ours} rules of ours in `{name}` would go, more than a third"));
            }
        }
    }
    None
}

//! How full a group is, and a network, as the cloud counts.

use std::collections::BTreeMap;

use super::order::GroupCalls;
use super::{Action, NetworkCount, NetworkPlan, PlanError};
use crate::observed::{Holds, Limits, Observed};
use crate::pack::{Call, Dialect, QuotaCount};
use crate::rule::{Direction, Family, Rule};

/// How full the fuller of a group's counts is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUse {
    /// Rules counted.
    pub used: u32,
    /// Rules allowed.
    pub of: u32,
    /// What is counted: `ingress ipv4`, or `rules`.
    pub what: String,
}

/// The fuller count of these rules, each with its weight; `None` where no quota is known.
pub fn quota_use(
    rules: impl Iterator<Item = (Rule, u32)> + Clone,
    dialect: &Dialect,
    limits: &Limits,
) -> Option<QuotaUse> {
    // The first of equals: inbound IPv4 before the rest.
    counts(rules, dialect, limits).into_iter().reduce(|full, next| if next.used > full.used { next } else { full })
}

/// Every count that a quota limits.
pub(super) fn counts(
    rules: impl Iterator<Item = (Rule, u32)> + Clone,
    dialect: &Dialect,
    limits: &Limits,
) -> Vec<QuotaUse> {
    let Some(of) = limits.rules_per_group.map(|l| l.at_most) else { return Vec::new() };
    if dialect.quota == QuotaCount::All {
        return vec![QuotaUse { used: rules.map(|(_, weight)| weight).sum(), of, what: "rules".to_owned() }];
    }
    let mut counts = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        for family in [Family::Ipv4, Family::Ipv6] {
            let counted = |rule: &Rule| rule.direction == direction && rule.peer.family().contains(family);
            let used = rules.clone().filter(|(rule, _)| counted(rule)).map(|(_, weight)| weight).sum();
            counts.push(QuotaUse { used, of, what: format!("{} {}", direction.as_str(), family.as_str()) });
        }
    }
    counts
}

/// Networks whose quotas have no room for what is added before anything is removed.
///
/// Groups don't wait for each other's removals, so all of them may be at their fullest at the same time.
pub(super) fn full_networks(networks: &[NetworkPlan], calls: &[GroupCalls]) -> Vec<PlanError> {
    let mut errors = Vec::new();
    for network in networks {
        let Ok(observed) = &network.observed else { continue };
        let calls = || calls.iter().filter(|c| c.network == network.network.name);
        let of = |action: Action| {
            let all = calls().flat_map(|c| c.waves.iter().flatten());
            all.filter(|call| call.action == action).count()
        };
        let (creates, deletes) = (of(Action::CreateGroup), of(Action::DeleteGroup));
        let adds = calls().flat_map(|c| c.waves.iter().flatten()).map(added).sum();
        let removes = calls().flat_map(|c| c.waves.iter().flatten()).map(removed).sum();
        let (limits, usage) = (&observed.limits, observed.usage);
        let (made, gone) = resources(observed, calls());
        for (what, limit, before, adds, removes, grows) in [
            (NetworkCount::Groups, limits.groups, usage.groups, creates, deletes, creates),
            (NetworkCount::Rules, limits.rules, usage.rules, adds, removes, calls().map(fullest).sum()),
            (NetworkCount::Resources, limits.resources, usage.resources, made, gone, made),
        ] {
            let (Some(limit), Some(before)) = (limit, before) else { continue };
            let peak = usize::try_from(before).unwrap_or(usize::MAX).saturating_add(grows);
            if grows > 0 && peak > usize::try_from(limit.at_most).unwrap_or(usize::MAX) {
                let network = network.network.name.clone();
                errors.push(PlanError::NetworkQuota { network, what, before, adds, removes, peak, limit });
            }
        }
    }
    errors
}

/// How many resources calls make, and how many go with their last rule.
fn resources<'a>(observed: &Observed, calls: impl Iterator<Item = &'a GroupCalls>) -> (usize, usize) {
    let (mut made, mut gone) = (0, 0);
    for GroupCalls { group, waves, .. } in calls {
        let group = observed.groups.iter().find(|g| g.atom == *group);
        for call in waves.iter().flatten() {
            let Some(name) = call.resource.as_deref() else { continue };
            let held = || group.iter().flat_map(|g| &g.rules).filter(|r| r.resource.as_deref() == Some(name)).count();
            match group.and_then(|g| g.resources.iter().find(|r| *r.name == *name)).map(|r| r.holds) {
                None => made += 1,
                Some(Holds::Denial(_)) => gone += usize::from(call.action == Action::AddRules),
                Some(Holds::Rules) => gone += usize::from(call.adds.is_empty() && removed(call) >= held()),
            }
        }
    }
    (made, gone)
}

/// Rules that are there after a call and were not before.
fn added(call: &Call) -> usize {
    if changes_rules(call) { call.adds.len() } else { 0 }
}

fn removed(call: &Call) -> usize {
    if changes_rules(call) { call.removes.len() } else { 0 }
}

fn changes_rules(call: &Call) -> bool {
    match call.action {
        Action::CreateGroup | Action::AddRules | Action::RemoveRules => true,
        Action::ReplaceRules | Action::DeleteGroup => true,
        Action::SetMarks | Action::UpdateDescriptions => false,
    }
}

/// By how many rules a group grows at most: a later wave waits for the removals of the earlier ones of its direction.
fn fullest(calls: &GroupCalls) -> usize {
    let mut by_direction: BTreeMap<Option<Direction>, (isize, isize)> = BTreeMap::new();
    for wave in &calls.waves {
        for call in wave {
            let (now, most) = by_direction.entry(call.direction).or_default();
            *now += added(call).cast_signed();
            *most = (*most).max(*now);
        }
        for call in wave {
            by_direction.entry(call.direction).or_default().0 -= removed(call).cast_signed();
        }
    }
    by_direction.values().map(|(_, most)| most.cast_unsigned()).sum()
}

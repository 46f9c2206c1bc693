//! How full a group is, and a network, as the cloud counts.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, NetworkCount, NetworkPlan, Plan, PlanError, Step};
use crate::name::NetworkName;
use crate::observed::{Holds, Limit, Limits, ObservedGroup, Usage};
use crate::pack::{Dialect, QuotaCount};
use crate::rule::{Atom, Direction, Family, Rule};

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

impl Plan {
    /// The networks in which it makes groups or adds rules: there a quota may have no room.
    pub fn growing(&self) -> BTreeSet<NetworkName> {
        let grows = |step: &&Step| step.action == Action::CreateGroup || added(step) > 0;
        self.steps.iter().filter(grows).map(|step| step.network.clone()).collect()
    }

    /// Takes in what a network's cloud tells of its quotas in so many calls, after the plan was made.
    pub fn learn_quotas(&mut self, network: &NetworkName, (limits, usage): (Limits, Usage), calls: u64) {
        for plan in self.networks.iter_mut().filter(|plan| plan.network.name == *network) {
            plan.calls += calls;
            if let Ok(observed) = &mut plan.observed {
                (observed.limits, observed.usage) = (limits, usage);
            }
        }
    }

    /// Errors where quotas that groups share have no room, with the arithmetic.
    pub fn fits(&self) -> Result<(), Vec<PlanError>> {
        let errors = too_full(&self.networks, &self.steps);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// Quotas that groups share and that have no room for the steps.
pub(super) fn too_full(networks: &[NetworkPlan], steps: &[Step]) -> Vec<PlanError> {
    full_networks(networks, steps).into_iter().chain(full_projects(networks, steps)).collect()
}

/// Networks whose quotas have no room for what is added before anything is removed.
///
/// Groups don't wait for each other's removals, so all of them may be at their fullest at the same time.
fn full_networks(networks: &[NetworkPlan], steps: &[Step]) -> Vec<PlanError> {
    let mut errors = Vec::new();
    for network in networks {
        let Ok(observed) = &network.observed else { continue };
        let steps: Vec<&Step> = steps.iter().filter(|step| step.network == network.network.name).collect();
        let of = |action: Action| steps.iter().filter(|step| step.action == action).count();
        let (creates, deletes) = (of(Action::CreateGroup), of(Action::DeleteGroup));
        let adds = steps.iter().map(|step| added(step)).sum();
        let removes = steps.iter().map(|step| removed(step)).sum();
        let (limits, usage) = (&observed.limits, observed.usage);
        for (what, limit, before, adds, removes, grows) in [
            (NetworkCount::Groups, limits.groups, usage.groups, creates, deletes, creates),
            (NetworkCount::Rules, limits.rules, usage.rules, adds, removes, fullest(&steps)),
        ] {
            let (Some(limit), Some(before)) = (limit, before) else { continue };
            let network = network.network.name.to_string();
            errors.extend(full(network, what, limit, before, (adds, removes), grows));
        }
    }
    errors
}

fn full(
    network: String,
    what: NetworkCount,
    limit: Limit,
    before: u32,
    (adds, removes): (usize, usize),
    grows: usize,
) -> Option<PlanError> {
    let peak = usize::try_from(before).unwrap_or(usize::MAX).saturating_add(grows);
    let is_full = grows > 0 && peak > usize::try_from(limit.at_most).unwrap_or(usize::MAX);
    is_full.then_some(PlanError::NetworkQuota { network, what, before, adds, removes, peak, limit })
}

/// Projects whose quota of resources has no room for all that steps make before anything goes; several networks may be of
/// one project.
fn full_projects(networks: &[NetworkPlan], steps: &[Step]) -> Vec<PlanError> {
    let mut projects: BTreeMap<_, Vec<&NetworkPlan>> = BTreeMap::new();
    for network in networks {
        let account = network.observed.as_ref().ok().and_then(|o| o.account.as_deref());
        // Of one whose project nobody knows, the quota is its own.
        let key = account.map_or((Some(&network.network.name), ""), |account| (None, account));
        projects.entry((network.network.provider, key)).or_default().push(network);
    }
    let mut errors = Vec::new();
    for networks in projects.values() {
        let observed = || networks.iter().filter_map(|n| n.observed.as_ref().ok());
        let limit = observed().filter_map(|o| o.limits.resources).min_by_key(|limit| limit.at_most);
        let (Some(limit), Some(before)) = (limit, observed().filter_map(|o| o.usage.resources).max()) else { continue };
        let counts = networks.iter().map(|network| (network, resources(network, steps)));
        let growing: Vec<_> = counts.filter(|(_, (made, gone))| made + gone > 0).collect();
        let (made, gone) = growing.iter().fold((0, 0), |(a, b), (_, (made, gone))| (a + made, b + gone));
        let names: Vec<&str> = growing.iter().map(|(n, _)| n.network.name.as_str()).collect();
        errors.extend(full(names.join("` and `"), NetworkCount::Resources, limit, before, (made, gone), made));
    }
    errors
}

/// How many resources of a network steps make, and how many go with their last rule.
fn resources(network: &NetworkPlan, steps: &[Step]) -> (usize, usize) {
    let (mut made, mut gone) = (BTreeSet::new(), 0);
    for step in steps.iter().filter(|step| step.network == network.network.name) {
        let Some(name) = step.resource.as_deref() else { continue };
        let group = network.observed_group(step.group);
        match group.and_then(|g| g.resources.iter().find(|r| *r.name == *name)).map(|r| &r.holds) {
            None => {
                made.insert(name);
            }
            Some(Holds::Denial(_)) => gone += usize::from(step.action == Action::AddRules),
            Some(Holds::Rules) => gone += usize::from(empties(step, name, group)),
            Some(Holds::Unreadable(_)) => {}
        }
    }
    (made.len(), gone)
}

/// Whether a step leaves nothing in a resource.
fn empties(step: &Step, name: &str, group: Option<&ObservedGroup>) -> bool {
    let held = group.into_iter().flat_map(|g| &g.rules).filter(|r| r.resource.as_deref() == Some(name)).count();
    step.action == Action::RemoveRules && step.removes.len() >= held
}

/// Rules that are there after a step and were not before.
fn added(step: &Step) -> usize {
    if changes_rules(step) { step.adds.len() } else { 0 }
}

fn removed(step: &Step) -> usize {
    if changes_rules(step) { step.removes.len() } else { 0 }
}

fn changes_rules(step: &Step) -> bool {
    match step.action {
        Action::CreateGroup | Action::AddRules | Action::RemoveRules => true,
        Action::ReplaceRules | Action::DeleteGroup => true,
        Action::SetMarks | Action::UpdateDescriptions => false,
    }
}

/// By how many rules groups grow at most. Those of one direction of a group follow each other: additions, removals, and so
/// again in a later wave, which waits for the removals of the earlier ones.
fn fullest(steps: &[&Step]) -> usize {
    let mut by_direction: BTreeMap<(Atom, Option<Direction>), (isize, isize)> = BTreeMap::new();
    for step in steps {
        let (now, most) = by_direction.entry((step.group, step.direction)).or_default();
        *now += added(step).cast_signed();
        *most = (*most).max(*now);
        *now -= removed(step).cast_signed();
    }
    by_direction.values().map(|(_, most)| most.cast_unsigned()).sum()
}

//! What a network lets out unless somebody denies it, and our own denies.

use std::collections::BTreeSet;

use rsgsync_core::describe::marks_in;
use rsgsync_core::diff::open_outbound;
use rsgsync_core::name::Mark;
use rsgsync_core::observed::Scope;
use rsgsync_core::plan::StepRule;
use rsgsync_core::rule::{Cidr, Direction, Family, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;

use crate::body::DENY_PRIORITY;
use crate::translate::{Targets, traffic_of};
use crate::wire::{Firewall, Way};

/// The two rules, one a family.
pub(crate) fn implied() -> Vec<Rule> {
    open_outbound(Family::Both)
}

/// Every address of the one family whose implied rule these are; `None`: they are something else.
pub(crate) fn family_of_implied(rules: &[StepRule]) -> Option<Cidr> {
    match rules {
        [StepRule { rule: Rule { direction: Direction::Egress, peer: RulePeer::Addresses(any), traffic }, .. }]
            if *traffic == Traffic::ALL && (*any == Cidr::ANY_V4 || *any == Cidr::ANY_V6) =>
        {
            Some(*any)
        }
        _ => None,
    }
}

/// The family, as all its addresses, whose implied rule this resource takes away from its group; `None`: it is no deny of
/// ours, or not of ours alone.
pub(crate) fn denies_implied(firewall: &Firewall, scope: &Scope) -> Option<Cidr> {
    let [range] = firewall.destination_ranges.as_slice() else { return None };
    let any = Cidr::parse(range).filter(|any| *any == Cidr::ANY_V4 || *any == Cidr::ANY_V6)?;
    let marks = marks_in(&firewall.description);
    // A read-back doesn't say which clusters are ours.
    let is_ours =
        |mark: &Mark| mark.owner == scope.owner && (scope.reads_back() || scope.clusters.contains(&mark.cluster));
    let ours = !marks.is_empty() && marks.iter().all(is_ours);
    let everything = firewall.allowed.is_empty() && traffic_of(firewall) == Ok(BTreeSet::from([Traffic::ALL]));
    let only = firewall.source_ranges.is_empty() && matches!(firewall.targets(), Targets::One(_));
    let outbound = firewall.direction == Way::Egress && firewall.priority.0 == DENY_PRIORITY;
    (ours && everything && only && outbound).then_some(any)
}

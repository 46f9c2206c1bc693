//! How full a group is, as its cloud counts.

use crate::observed::Limits;
use crate::pack::{Dialect, QuotaCount};
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

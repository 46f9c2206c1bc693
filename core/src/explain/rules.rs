//! The rules of a group, as the cloud has them or as they should be, in the order in which they decide.

use std::collections::BTreeSet;

use super::scan::Decider;
use crate::desired::{Desired, DesiredGroup};
use crate::diff::open_outbound;
use crate::document::{RuleEntry, rule_entry};
use crate::inventory::{EgressMode, SecurityGroup};
use crate::name::NetworkName;
use crate::observed::{Foreign, Holds, Observed, ObservedGroup, ObservedRule, Resource};
use crate::pack::Dialect;
use crate::plan::NetworkPlan;
use crate::rule::{Atom, Cidr, Direction, Rule, RulePeer};
use crate::traffic::Traffic;

/// The rules of a group in one direction, and where each is from.
pub(super) type Rules = Vec<(Decider, Origin)>;

/// Where something that decides is from.
pub(super) enum Origin {
    /// A rule that lets packets through.
    Rule(Box<RuleEntry>),
    /// Something of others that denies them, by its name.
    Deny(String),
    /// Something whose rules can't be read: its name, and why not.
    Unreadable(String, String),
}

/// A rule that lets packets through.
pub(super) fn decider(rule: Rule, priority: u32) -> Decider {
    Decider { rule, allows: true, priority: Some(priority), certain: true }
}

fn allows(rule: Rule, priority: u32, entry: RuleEntry) -> (Decider, Origin) {
    (decider(rule, priority), Origin::Rule(Box::new(entry)))
}

/// The rules that are in force for a group, those of others included.
pub(super) fn in_force(group: &ObservedGroup, observed: &Observed, names: &NetworkPlan, direction: Direction) -> Rules {
    let priority = |rule: &ObservedRule| {
        let resource = group.resources.iter().find(|r| Some(&r.name) == rule.resource.as_ref());
        resource.map_or(u32::MAX, |resource| resource.priority)
    };
    let rules = group.rules.iter().filter(|r| r.rule.direction == direction).map(|r| {
        let entry = RuleEntry {
            id: r.id.as_ref().map(ToString::to_string),
            description: r.description.clone(),
            resource: r.resource.as_deref().map(str::to_owned),
            marks: r.marks.iter().map(ToString::to_string).collect(),
            ..rule_entry(&r.rule, names)
        };
        allows(r.rule, priority(r), entry)
    });
    let here = || group.resources.iter().filter(|resource| resource.direction == direction && !resource.disabled);
    rules
        .chain(here().flat_map(unreadable))
        .chain(here().flat_map(denied))
        .chain(foreign(observed, names, Some(group.atom), direction))
        .collect()
}

/// What a resource of ours denies.
fn denied(resource: &Resource) -> Rules {
    let Holds::Denial(family) = resource.holds else { return Vec::new() };
    let rules = open_outbound(family).into_iter();
    let denied = rules.map(|rule| {
        let decider = Decider { rule, allows: false, priority: Some(resource.priority), certain: true };
        (decider, Origin::Deny(resource.name.to_string()))
    });
    denied.collect()
}

/// What a resource may let through that can't be read: anything.
fn unreadable(resource: &Resource) -> Rules {
    let Holds::Unreadable(why) = &resource.holds else { return Vec::new() };
    let everything = [Cidr::ANY_V4, Cidr::ANY_V6].into_iter().filter(|_| !resource.disabled).map(|range| {
        let (direction, peer) = (resource.direction, RulePeer::Addresses(range));
        let rule = Rule { direction, peer, traffic: Traffic::ALL };
        let decider = Decider { rule, allows: true, priority: Some(resource.priority), certain: false };
        (decider, Origin::Unreadable(resource.name.to_string(), why.clone()))
    });
    everything.collect()
}

/// What others deny to a group, and let through.
fn foreign(observed: &Observed, names: &NetworkPlan, group: Option<Atom>, direction: Direction) -> Rules {
    let is_meant = |foreign: &&Foreign| {
        let named = |targets: &BTreeSet<Atom>| group.is_some_and(|group| targets.contains(&group));
        foreign.targets.as_ref().is_none_or(named)
    };
    let rules = |all: &'_ [Foreign], allows: bool| -> Rules {
        let rules =
            all.iter().filter(is_meant).flat_map(|foreign| foreign.rules.iter().map(move |rule| (foreign, *rule)));
        let rules = rules.filter(|(_, rule)| rule.direction == direction).map(|(foreign, rule)| {
            let name = foreign.name.clone();
            let origin = if allows {
                Origin::Rule(Box::new(RuleEntry { resource: Some(name), ..rule_entry(&rule, names) }))
            } else {
                Origin::Deny(name)
            };
            (Decider { rule, allows, priority: foreign.priority, certain: foreign.certain }, origin)
        });
        rules.collect()
    };
    let mut all = rules(&observed.denies, false);
    all.extend(rules(&observed.allows, true));
    all
}

/// The rules of a group that is there as soon as it is named.
pub(super) fn implied(
    dialect: &Dialect,
    observed: &Observed,
    names: &NetworkPlan,
    group: Option<Atom>,
    direction: Direction,
) -> Rules {
    let rules = dialect.default_rules.iter().filter(|rule| rule.direction == direction);
    let rules = rules.map(|rule| allows(*rule, u32::MAX, rule_entry(rule, names)));
    rules.chain(foreign(observed, names, group, direction)).collect()
}

/// The rules that a group should have.
pub(super) fn wished(group: &DesiredGroup, names: &NetworkPlan, direction: Direction) -> Rules {
    let rules = group.rules.iter().map(|r| {
        let entry = RuleEntry { reasons: r.reasons.clone(), ..rule_entry(&r.rule, names) };
        allows(r.rule, u32::MAX, entry)
    });
    let open = if group.egress == EgressMode::Open { open_outbound(group.family) } else { Vec::new() };
    let open = open.iter().map(|rule| allows(*rule, u32::MAX, rule_entry(rule, names)));
    rules.chain(open).filter(|(decider, _)| decider.rule.direction == direction).collect()
}

pub(super) fn desired_group<'d>(
    desired: &'d Desired,
    network: &NetworkName,
    group: &SecurityGroup,
) -> Option<&'d DesiredGroup> {
    desired.networks.get(network)?.groups.iter().find(|g| g.security_group == *group)
}

/// The observed group of a name or id.
pub(super) fn find<'n>(names: &'n NetworkPlan, text: &str) -> Option<&'n ObservedGroup> {
    let observed = names.observed.as_ref().ok()?;
    observed.groups.iter().find(|g| g.name.as_str() == text || g.id.as_str() == text)
}

//! What others deny although it is required: never changed, but said.

use std::collections::BTreeSet;

use super::{GroupPlan, NetworkPlan};
use crate::observed::{Deny, ObservedGroup};
use crate::packets::overlap;
use crate::rule::{Cidr, Rule, RulePeer};

/// The priority of what is made.
const NEW: u32 = 1000;

/// Required flows that something of others denies, and what that is.
pub(super) fn shadowed(networks: &[NetworkPlan]) -> Vec<String> {
    let mut notes = BTreeSet::new();
    for network in networks {
        let Ok(observed) = &network.observed else { continue };
        for group in &network.groups {
            let there = network.observed_group(group.atom);
            for required in group.diff.required.iter().map(|r| r.rule) {
                let denies = observed.denies.iter().filter(|deny| wins(deny, group, there, &required));
                notes.extend(denies.filter_map(|deny| note(network, group, &required, deny)));
            }
        }
    }
    notes.into_iter().collect()
}

/// Whether a deny is for the group, and is looked at before all that lets the rule's packets through.
fn wins(deny: &Deny, group: &GroupPlan, there: Option<&ObservedGroup>, required: &Rule) -> bool {
    let Some(priority) = deny.priority else { return deny.is_for(group) };
    let priority_of = |name: Option<&str>| {
        let resource = there.into_iter().flat_map(|g| &g.resources).find(|r| Some(&*r.name) == name);
        resource.map_or(u32::MAX, |r| r.priority)
    };
    let standing = there.into_iter().flat_map(|g| &g.rules).filter(|r| r.rule.direction == required.direction);
    let standing = standing.filter(|r| overlap(&r.rule, required)).map(|r| priority_of(r.resource.as_deref()));
    let added = group.diff.adds.iter().filter(|add| add.rule.direction == required.direction);
    let added = added.filter(|add| overlap(&add.rule, required)).map(|_| NEW);
    deny.is_for(group) && standing.chain(added).min().is_none_or(|first| priority <= first)
}

impl Deny {
    fn is_for(&self, group: &GroupPlan) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.contains(&group.atom))
    }
}

fn note(network: &NetworkPlan, group: &GroupPlan, required: &Rule, deny: &Deny) -> Option<String> {
    let hits = deny.rules.iter().filter_map(|rule| hit(rule, required));
    let verb = if hits.max()? { "is denied" } else { "may be denied" };
    let (name, place) = (&group.security_group, deny.priority.map(|p| format!(" (priority {p})")).unwrap_or_default());
    let rule = super::undo::spell(required, |atom| network.group_name(atom));
    Some(format!("`{name}`: {rule} {verb} by `{}`{place}, which isn't ours: it stays", deny.name))
}

/// Whether a denied rule meets a required one: surely, or perhaps, where only the cloud knows a group's addresses.
fn hit(denied: &Rule, required: &Rule) -> Option<bool> {
    if denied.direction != required.direction {
        return None;
    }
    if overlap(denied, required) {
        return Some(true);
    }
    let by_name = |peer: RulePeer| matches!(peer, RulePeer::Opaque(..));
    let same_ports = overlap(&Rule { peer: required.peer, ..*denied }, required);
    let of_family = denied.peer.family().each().iter().any(|f| required.peer.family().contains(*f));
    let one_is_a_name = by_name(denied.peer) || by_name(required.peer);
    let everyone = denied.peer == RulePeer::Addresses(Cidr::ANY_V4) || denied.peer == RulePeer::Addresses(Cidr::ANY_V6);
    (same_ports && of_family && one_is_a_name).then_some(everyone)
}

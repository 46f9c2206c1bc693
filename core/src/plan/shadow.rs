//! What denies wins against: what others deny although it is required is said, and never changed; what a deny of ours would
//! cut that something else lets out is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, GroupPlan, NetworkPlan, PlanError, Step};
use crate::diff::open_outbound;
use crate::observed::{Foreign, ObservedGroup};
use crate::packets::{PacketSet, overlap};
use crate::rule::{Atom, Cidr, Direction, Rule, RulePeer};

/// The priority of what is made.
const NEW: u32 = 1000;

/// The priority at which a resource of ours denies.
const DENIAL: u32 = 65534;

/// Required flows that something of others denies, and what that is.
pub(super) fn shadowed(networks: &[NetworkPlan]) -> Vec<String> {
    let mut notes = BTreeSet::new();
    for network in networks {
        let Ok(observed) = &network.observed else { continue };
        for group in &network.groups {
            let there = network.observed_group(group.atom);
            for required in group.diff.required.iter().map(|r| r.rule) {
                let meets = |deny: &&Foreign| deny.rules.iter().any(|rule| hit(rule, &required).is_some());
                let denies = observed.denies.iter().filter(|deny| deny.is_for(group.atom)).filter(meets);
                notes.extend(denies.filter_map(|deny| {
                    let first = before(deny, group, there, &observed.allows, required.direction);
                    note(network, group, &required, &first, deny)
                }));
            }
        }
    }
    notes.into_iter().collect()
}

/// What is let through before a deny that is for the group is looked at.
fn before(
    deny: &Foreign,
    group: &GroupPlan,
    there: Option<&ObservedGroup>,
    allows: &[Foreign],
    direction: Direction,
) -> PacketSet {
    let Some(priority) = deny.priority else { return PacketSet::default() };
    let is_first = |name: Option<&str>| {
        let resource = there.into_iter().flat_map(|g| &g.resources).find(|r| Some(&*r.name) == name);
        resource.is_some_and(|r| r.priority < priority)
    };
    let standing = there.into_iter().flat_map(|g| &g.rules).filter(|r| is_first(r.resource.as_deref())).map(|r| r.rule);
    let added = group.diff.adds.iter().map(|add| add.rule).filter(|_| NEW < priority);
    let first = |allow: &&Foreign| allow.is_for(group.atom) && allow.certain && allow.priority < Some(priority);
    let others = allows.iter().filter(first).flat_map(|allow| allow.rules.iter().copied());
    PacketSet::of(standing.chain(added).chain(others).filter(|rule| rule.direction == direction))
}

impl Foreign {
    fn is_for(&self, group: Atom) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.contains(&group))
    }
}

/// What a deny meets of a required rule that nothing `first` has let through.
fn note(
    network: &NetworkPlan,
    group: &GroupPlan,
    required: &Rule,
    first: &PacketSet,
    deny: &Foreign,
) -> Option<String> {
    let left = |rules: &[Rule]| {
        let same_way = rules.iter().copied().filter(|rule| rule.direction == required.direction);
        PacketSet::of(same_way).difference(first).cover(required.direction)
    };
    let reached = left(&[*required]);
    let denied = left(&deny.rules);
    let hits = denied.iter().flat_map(|rule| reached.iter().filter_map(move |reached| hit(rule, reached)));
    let verb = if hits.max()? && deny.certain { "is denied" } else { "may be denied" };
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

/// What something lets out.
struct Outlet<'a> {
    by: &'a str,
    priority: u32,
    rules: Vec<Rule>,
}

/// Steps that would deny what something at or behind that deny's priority lets out: others', or of the group's own.
pub(super) fn denied(networks: &[NetworkPlan], steps: &[Step]) -> Vec<PlanError> {
    let mut errors = Vec::new();
    for step in steps.iter().filter(|step| step.action == Action::RemoveRules && step.resource.is_some()) {
        let Some(network) = networks.iter().find(|n| n.network.name == step.network) else { continue };
        for given in step.removes.iter().filter(|rule| rule.resource.is_none()).map(|rule| rule.rule) {
            errors.extend(cuts(network, step.group, &given, steps).into_iter().map(|cut| PlanError::Denied {
                network: step.network.clone(),
                group: network.group_name(step.group).to_owned(),
                by: cut.by.to_owned(),
                priority: cut.priority,
                rules: spelled(network, &cut.rules),
            }));
        }
    }
    errors
}

/// What a deny of ours that is there, and stays, cuts.
pub(super) fn denied_already(networks: &[NetworkPlan], steps: &[Step]) -> Vec<String> {
    let mut notes = Vec::new();
    for (network, group) in networks.iter().flat_map(|n| n.groups.iter().map(move |g| (n, g.atom))) {
        let of_group = |step: &&Step| step.network == network.network.name && step.group == group;
        let opened = |rule: &Rule| steps.iter().filter(of_group).flat_map(|s| &s.adds).any(|add| add.rule == *rule);
        let families = network.observed_group(group).into_iter().flat_map(ObservedGroup::denied);
        for given in families.flat_map(open_outbound).filter(|rule| !opened(rule)) {
            notes.extend(cuts(network, group, &given, steps).into_iter().map(|Outlet { by, priority, rules }| {
                let (name, rules) = (network.group_name(group), spelled(network, &rules));
                format!("`{name}`: {rules}, which `{by}` (priority {priority}) lets out, is denied by ours, which comes first")
            }));
        }
    }
    notes
}

fn spelled(network: &NetworkPlan, rules: &[Rule]) -> String {
    let spell = |rule| super::undo::spell(rule, |atom| network.group_name(atom));
    rules.iter().map(spell).collect::<Vec<_>>().join(", ")
}

/// What a deny of `given`, all outbound traffic of a family, cuts in a group when the steps are done, and who lets it out.
fn cuts<'a>(network: &'a NetworkPlan, group: Atom, given: &Rule, steps: &'a [Step]) -> Vec<Outlet<'a>> {
    let outbound = |rule: &Rule| rule.direction == Direction::Egress;
    let others = network.observed.iter().flat_map(|o| &o.allows).filter(|allow| allow.is_for(group));
    let others = others.map(|allow| (allow, allow.priority.unwrap_or_default()));
    // What only the cloud can judge is let out as far as that refuses a plan.
    let others = others.filter(|(allow, priority)| allow.certain || *priority >= DENIAL).map(|(allow, priority)| {
        let rules = allow.rules.iter().copied().filter(outbound).collect();
        Outlet { by: &allow.name, priority, rules }
    });
    let own = own(network, group, steps).into_iter().map(|(by, (priority, rules))| {
        let rules = rules.into_iter().filter(outbound).collect();
        Outlet { by, priority, rules }
    });
    let (late, early): (Vec<_>, Vec<_>) = own.chain(others).partition(|outlet| outlet.priority >= DENIAL);
    let early = PacketSet::of(early.into_iter().flat_map(|outlet| outlet.rules));
    let cut = |outlet: Outlet<'a>| {
        let rules = PacketSet::of(outlet.rules).within(given).difference(&early).cover(Direction::Egress);
        (!rules.is_empty()).then_some(Outlet { rules, ..outlet })
    };
    late.into_iter().filter_map(cut).collect()
}

/// What the resources of a group hold when the steps are done, with their priorities, by their names.
fn own<'a>(network: &'a NetworkPlan, group: Atom, steps: &'a [Step]) -> BTreeMap<&'a str, (u32, Vec<Rule>)> {
    let there = network.observed_group(group);
    let steps = || steps.iter().filter(|step| step.network == network.network.name && step.group == group);
    let goes = |name: &str, rule: &Rule| {
        steps().flat_map(|s| &s.removes).any(|gone| gone.resource.as_deref() == Some(name) && gone.rule == *rule)
    };
    let standing = there.into_iter().flat_map(|g| &g.rules).filter_map(|r| Some((r.resource.as_deref()?, r.rule)));
    let added = steps().filter_map(|s| Some((s.resource.as_deref()?, &s.adds)));
    let added = added.flat_map(|(name, adds)| adds.iter().map(move |add| (name, add.rule)));
    let mut own: BTreeMap<&str, (u32, Vec<Rule>)> = BTreeMap::new();
    for (name, rule) in standing.filter(|(name, rule)| !goes(name, rule)).chain(added) {
        own.entry(name).or_insert((NEW, Vec::new())).1.push(rule);
    }
    for resource in there.into_iter().flat_map(|g| &g.resources) {
        if let Some((priority, _)) = own.get_mut(&*resource.name) {
            *priority = resource.priority;
        }
    }
    own
}

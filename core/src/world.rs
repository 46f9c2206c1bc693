//! What a plan opens to, and closes from, public addresses.

use std::collections::BTreeSet;

use crate::guard::is_public;
use crate::packets::PacketSet;
use crate::plan::{Action, Plan, Step, by_group};
use crate::rule::{Cidr, Direction, Rule, RulePeer};

/// Traffic by group, as people read it: `22/tcp, 10250/tcp on rancher-nodes`; sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// Not open to public addresses before the plan, and open after it.
    pub opens: Vec<String>,
    /// Open to public addresses before the plan, and not after it.
    pub closes: Vec<String>,
}

/// What changes for public addresses, inbound.
pub fn world(plan: &Plan) -> World {
    let mut world = World::default();
    let by_group = by_group(&plan.steps);
    for network in &plan.networks {
        for group in &network.groups {
            let Some(of_group) = by_group.get(&(&network.network.name, group.atom)) else { continue };
            let changes_rules = |s: &&&Step| !matches!(s.action, Action::SetMarks | Action::UpdateDescriptions);
            let steps = || of_group.iter().filter(changes_rules);
            let observed = network.observed_group(group.atom).map(|g| g.rules.as_slice()).unwrap_or_default();
            let public = |rule: &Rule| rule.direction == Direction::Ingress && names_public(rule, &plan.trusted);
            let before = PacketSet::of(observed.iter().map(|r| r.rule).filter(public));
            let removed: BTreeSet<Rule> = steps().flat_map(|s| s.removes.iter().map(|r| r.rule)).collect();
            let stays = observed.iter().map(|r| r.rule).filter(|rule| !removed.contains(rule));
            let after = PacketSet::of(stays.chain(steps().flat_map(|s| s.adds.iter().map(|a| a.rule))).filter(public));
            let name = network.group_name(group.atom);
            let spell = |set: PacketSet| {
                let mut traffics: Vec<_> = set.cover(Direction::Ingress).into_iter().map(|r| r.traffic).collect();
                traffics.sort_unstable();
                traffics.dedup();
                let traffics: Vec<String> = traffics.iter().map(ToString::to_string).collect();
                (!traffics.is_empty()).then(|| format!("{} on {name}", traffics.join(", ")))
            };
            world.opens.extend(spell(after.difference(&before)));
            world.closes.extend(spell(before.difference(&after)));
        }
    }
    world
}

fn names_public(rule: &Rule, trusted: &[Cidr]) -> bool {
    matches!(rule.peer, RulePeer::Addresses(range) if is_public(range, trusted))
}

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
            let gone = steps().flat_map(|s| s.removes.iter().map(|r| (r.rule, r.resource.as_deref())));
            let gone: BTreeSet<(Rule, Option<&str>)> = gone.collect();
            let stays = observed.iter().filter(|r| !gone.contains(&(r.rule, r.resource.as_deref())));
            let after = PacketSet::of(
                stays.map(|r| r.rule).chain(steps().flat_map(|s| s.adds.iter().map(|a| a.rule))).filter(public),
            );
            let name = network.group_name(group.atom);
            let spell = |set: PacketSet| {
                let traffics: Vec<String> = set.traffic().traffics().iter().map(ToString::to_string).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{plan_of, wish};
    use crate::testing::group;

    /// What goes is 255 protocols on 128 ranges each, and all of them somewhere: people read one word.
    #[test]
    fn what_closes_around_two_ranges_is_said_in_an_instant() {
        let wide = group("web", &["all from ::/0", "all to 0.0.0.0/0"], true);
        let narrow = wish("web", &["all from 2001:db8::/32", "esp from 2001:db9::1"]);
        let world = world(&plan_of(vec![narrow], vec![wide]));
        assert_eq!(world, World { opens: Vec::new(), closes: vec!["all on web".to_owned()] });
    }

    #[test]
    fn traffic_of_many_sources_is_read_together() {
        let plan = plan_of(vec![wish("web", &["80/tcp from 192.0.2.0/24", "81/tcp from 198.51.100.0/24"])], vec![]);
        assert_eq!(world(&plan).opens, ["80-81/tcp on web"]);
    }
}

//! A plan is carried out step by step on a small network, and every state is held against what brute force says of it.

use rsgsync_core::desired::{Desired, DesiredGroup};
use rsgsync_core::diff::open_outbound;
use rsgsync_core::inventory::{EgressMode, Ownership};
use rsgsync_core::name::{ClusterName, GroupId, GroupMark, GroupName, Mark, Origin, Owner, RuleId};
use rsgsync_core::observed::{Observed, ObservedGroup, ObservedRule, Ours};
use rsgsync_core::pack::{Dialect, Pack, QuotaCount};
use rsgsync_core::plan::{Action, NetworkInput, Plan, PlanError, PlanOptions, Step, StepId, StepRule};
use rsgsync_core::rule::{Direction, Family, Rule, RulePeer};
use std::collections::BTreeSet;

use crate::network::{GROUPS, Group, Names, OWNER, Plain, Small, inventory, network};
use crate::packets::Packets;

/// One small network, a wish, and how they stand to each other.
pub struct Scene<'a> {
    small: &'a Small,
    pub names: Names,
    pub pack: Plain,
    pub options: PlanOptions,
    pub desired: Desired,
    owner: Owner,
    clusters: BTreeSet<ClusterName>,
    /// What is there now.
    groups: [Option<Group>; GROUPS],
}

impl<'a> Scene<'a> {
    pub fn new(small: &'a Small) -> Self {
        let (names, pack) = (Names::default(), small.pack());
        let (groups, desired) = (small.there(&names, pack.dialect()), small.desired(&names));
        let (owner, clusters) = (Owner::new(OWNER).expect("a name"), inventory().clusters.keys().cloned().collect());
        Self { small, names, pack, options: small.options(), desired, owner, clusters, groups }
    }

    fn ours(&self) -> Ours<'_> {
        Ours { owner: &self.owner, clusters: &self.clusters }
    }

    fn wishes(&self) -> impl Iterator<Item = (usize, &DesiredGroup)> {
        let groups = self.desired.networks.values().flat_map(|network| &network.groups);
        groups.filter_map(|wish| Some((self.names.group(wish.atom)?, wish)))
    }

    /// Who decides on the rules of a group that is there.
    fn ownership(&self, group: &Group, wish: &DesiredGroup) -> Ownership {
        let taken = |m: &GroupMark| self.ours().is(&m.mark) && m.origin != Origin::Joined;
        let by_mark = if group.marks.iter().any(taken) { Ownership::Exclusive } else { Ownership::Shared };
        wish.ownership.unwrap_or(by_mark)
    }

    /// What a provider would read: marks of rules in shared groups only.
    pub fn input(&self) -> NetworkInput<'_> {
        let read = |(which, group): (usize, &Option<Group>)| {
            let mut group = group.clone()?;
            let wish = self.wishes().find(|(of, _)| *of == which).map(|(_, wish)| wish);
            if wish.is_none_or(|wish| self.ownership(&group, wish) == Ownership::Exclusive) {
                group.rules.iter_mut().for_each(|rule| rule.marks.clear());
            }
            let atom = self.names.id(which);
            Some(ObservedGroup {
                atom,
                id: GroupId::new(self.names.atoms.text(atom)).expect("an id"),
                name: GroupName::new(self.names.name(which)).expect("a name"),
                description: String::new(),
                marks: group.marks,
                revision: None,
                rules: group.rules,
                resources: Vec::new(),
            })
        };
        let groups = self.groups.iter().enumerate().filter_map(read).collect();
        let observed = Observed { groups, limits: self.small.limits(), ..Observed::default() };
        NetworkInput {
            network: inventory().networks[&network()].clone(),
            observed: Ok(observed),
            pack: &self.pack,
            calls: 0,
        }
    }

    /// Whether the wish can't be had, whatever the quota.
    fn is_impossible(&self) -> bool {
        let is_wished = |group: usize| self.wishes().any(|(of, _)| of == group);
        self.wishes().any(|(which, wish)| {
            let refused = match &self.groups[which] {
                Some(group) => {
                    let others = group.marks.iter().any(|m| !self.ours().is(&m.mark));
                    others && !self.options.take_over && self.ownership(group, wish) == Ownership::Exclusive
                }
                None => {
                    wish.atom == self.names.id(which) || (wish.ownership == Some(Ownership::Shared) && !wish.create)
                }
            };
            let peers = wish.rules.iter().filter_map(|r| self.names.group(r.rule.peer.group()?));
            refused || peers.into_iter().any(|peer| self.groups[peer].is_none() && !is_wished(peer))
        })
    }

    /// Errors are those that must be, and say what is so.
    pub fn check_refusal(&self, errors: &[PlanError]) {
        assert!(!errors.is_empty());
        let hangs_on_steps = |error: &PlanError| match error {
            PlanError::Quota { before, adds, peak, of, .. } => {
                assert!(peak > of && before + adds > *of, "{error}");
                true
            }
            PlanError::LeftOut { .. } => {
                assert!(self.options.clusters.is_some(), "{error}");
                true
            }
            _ => false,
        };
        assert!(errors.iter().all(hangs_on_steps) != self.is_impossible(), "{errors:?}");
    }

    /// Carries the plan out in one of the orders that `depends_on` leaves open.
    pub fn carry_out(&mut self, plan: &Plan) {
        assert!(!self.is_impossible(), "planned although it can't be");
        let before = self.groups.clone();
        let bounds: Vec<Option<Bounds>> = (0..GROUPS).map(|group| self.bounds(group, plan)).collect();
        let mut done: BTreeSet<StepId> = BTreeSet::new();
        let mut order = self.small.order.iter().map(|byte| usize::from(*byte)).chain(std::iter::repeat(0));
        while done.len() < plan.steps.len() {
            let is_next = |s: &&Step| !done.contains(&s.id) && s.depends_on.iter().all(|d| done.contains(d));
            let next: Vec<&Step> = plan.steps.iter().filter(is_next).collect();
            assert!(!next.is_empty(), "steps wait for each other: {:?}", plan.steps);
            let step = next[order.next().unwrap_or(0) % next.len()];
            let group = self.names.group(step.group).expect("a group of the scene");
            self.step(step, group);
            done.insert(step.id);
            let now = self.packets(group);
            let bounds = bounds[group].as_ref().expect("only what is wished for is changed");
            assert!(bounds.kept.is_within(&now), "{step:?} cuts what is required");
            assert!(now.is_within(&bounds.open), "{step:?} opens what is neither there nor wanted");
        }
        for group in 0..GROUPS {
            self.check_end(group, before[group].as_ref());
        }
    }

    fn packets(&self, group: usize) -> Packets {
        let rules = self.groups[group].iter().flat_map(|group| group.rules.iter().map(|r| &r.rule));
        Packets::of(rules, &self.names)
    }

    /// What a group must let through in the end.
    fn wanted(&self, group: Option<&Group>, wish: &DesiredGroup) -> Vec<Rule> {
        let rules = wish.rules.iter().flat_map(|r| self.pack.dialect().project(r.rule));
        let made = |m: &GroupMark| self.ours().is(&m.mark) && m.origin == Origin::Made;
        let made = group.is_none_or(|group| group.marks.iter().any(made));
        let open = made && wish.egress == EgressMode::Open;
        rules.chain(open.then(|| open_outbound(wish.family)).into_iter().flatten()).collect()
    }

    fn bounds(&self, which: usize, plan: &Plan) -> Option<Bounds> {
        let (_, wish) = self.wishes().find(|(of, _)| *of == which)?;
        let group = self.groups[which].as_ref();
        let wanted = self.wanted(group, wish);
        let of_group = |atom| self.names.group(atom) == Some(which);
        let gaps = plan.proof.gaps.iter().filter(|(_, atom, _)| of_group(*atom)).map(|(_, _, rule)| rule);
        let gaps = Packets::of(gaps, &self.names);
        let (there, wanted) = (self.packets(which), Packets::of(&wanted, &self.names));
        let kept = there.and(&wanted).without(&gaps);
        let by_the_cloud = group.is_none().then(|| Packets::of(&self.pack.dialect().default_rules, &self.names));
        let open = by_the_cloud.iter().fold(there.or(&wanted), |open, more| open.or(more));
        Some(Bounds { kept, open })
    }

    /// Makes a call as the strictest cloud would: whole, or not at all.
    fn step(&mut self, step: &Step, which: usize) {
        let Step { action, adds, removes, group_marks, group_unmarks, .. } = step;
        if *action == Action::CreateGroup {
            assert!(self.groups[which].is_none(), "{step:?} makes what is there");
            self.groups[which] = Some(Group { marks: Vec::new(), rules: Vec::new() });
        }
        let peers = adds.iter().filter_map(|add| self.names.group(add.rule.peer.group()?));
        peers.into_iter().for_each(|peer| assert!(self.groups[peer].is_some(), "{step:?} names what isn't there"));
        let names = &self.names;
        let group = self.groups[which].as_mut().expect("the group is there");
        let full_before = counts(&group.rules, self.pack.dialect());
        let find = |rules: &[ObservedRule], wanted: &StepRule| {
            let same =
                |r: &ObservedRule| r.rule == names.by_id(wanted.rule) && (wanted.id.is_none() || r.id == wanted.id);
            rules.iter().position(same).unwrap_or_else(|| panic!("{step:?}: there is no {wanted:?}"))
        };
        match action {
            Action::CreateGroup | Action::AddRules => {
                for add in adds {
                    let rule = names.by_id(add.rule);
                    assert!(group.rules.iter().all(|r| r.rule != rule), "{step:?} adds {add:?} again");
                    let id = RuleId::new(&format!("sgr-{}-{}", step.id.0, group.rules.len())).ok();
                    let (description, marks) = (add.description.clone(), add.marks.clone());
                    group.rules.push(ObservedRule { rule, id, description, marks, weight: 1, resource: None });
                }
            }
            Action::RemoveRules => {
                for remove in removes {
                    let at = find(&group.rules, remove);
                    group.rules.remove(at);
                }
            }
            Action::SetMarks => {
                for add in adds {
                    let at = find(&group.rules, add);
                    let marks: BTreeSet<Mark> = group.rules[at].marks.iter().chain(&add.marks).cloned().collect();
                    group.rules[at].marks = marks.into_iter().collect();
                }
                for remove in removes {
                    let at = find(&group.rules, remove);
                    group.rules[at].marks.retain(|mark| !remove.marks.contains(mark));
                }
            }
            Action::UpdateDescriptions => {
                for add in adds {
                    let at = find(&group.rules, add);
                    group.rules[at].description.clone_from(&add.description);
                }
            }
            Action::ReplaceRules | Action::DeleteGroup => panic!("nobody asked for {step:?}"),
        }
        for (mark, origin) in group_marks {
            group.marks.retain(|m| m.mark != *mark);
            group.marks.push(GroupMark { mark: mark.clone(), origin: *origin });
        }
        group.marks.retain(|m| !group_unmarks.contains(&m.mark));
        group.marks.sort();
        if let (Action::AddRules, Some(limit)) = (action, self.small.limits().rules_per_group) {
            for (before, after) in full_before.into_iter().zip(counts(&group.rules, self.pack.dialect())) {
                assert!(after <= before || after <= limit.at_most, "{step:?} exceeds the quota");
            }
        }
    }

    /// Holds what a group has in the end against what it had and what was wanted.
    fn check_end(&self, which: usize, before: Option<&Group>) {
        let wish = self.wishes().find(|(of, _)| *of == which).map(|(_, wish)| wish);
        let only = &self.options.clusters;
        let selected = |wish: &&DesiredGroup| {
            only.as_ref().is_none_or(|only| wish.members.iter().any(|(cluster, _)| only.contains(cluster)))
        };
        let Some(wish) = wish.filter(selected) else {
            assert_eq!(self.groups[which].as_ref(), before, "nobody asked for a change");
            return;
        };
        let after = self.groups[which].as_ref().expect("a wished group is there in the end");
        let ownership = before.map_or(Ownership::Exclusive, |group| self.ownership(group, wish));
        for direction in [Direction::Ingress, Direction::Egress] {
            let of = |rules: &mut dyn Iterator<Item = &ObservedRule>| {
                let rules: Vec<Rule> = rules.map(|r| r.rule).filter(|r| r.direction == direction).collect();
                Packets::of(&rules, &self.names)
            };
            let there = of(&mut before.into_iter().flat_map(|group| &group.rules));
            let now = of(&mut after.rules.iter());
            let wanted = self.wanted(before, wish);
            let wanted = Packets::of(&wanted, &self.names).and(&Packets::all(direction));
            let held = wish.held.iter().filter(|(of, _)| *of == direction).map(|(_, traffic)| traffic);
            let ignored = wish.ignored.iter().filter(|_| direction == Direction::Ingress);
            let on = |all: Packets, traffic: &_| all.or(&Packets::on(direction, *traffic));
            let (held, ignored) = (held.fold(Packets::none(), on), ignored.fold(Packets::none(), on));
            let left_alone = held.or(&ignored);

            assert!(wanted.without(&ignored).is_within(&now), "what is wanted is there in the end");
            let theirs = |rule: &&ObservedRule| !self.is_ours(rule, ownership);
            let theirs: Vec<&ObservedRule> = before.into_iter().flat_map(|group| &group.rules).filter(theirs).collect();
            assert!(theirs.iter().all(|t| after.rules.iter().any(|r| r.id == t.id)), "what isn't ours stays");
            let narrowed = direction == Direction::Ingress || wish.egress == EgressMode::Strict;
            if self.options.add_only || !narrowed {
                assert!(there.is_within(&now), "what may not go stays");
            } else {
                assert!(there.and(&left_alone).is_within(&now), "what is held or ignored stays");
                let theirs = of(&mut theirs.into_iter());
                let unwanted = now.without(&wanted).without(&left_alone).without(&theirs);
                assert!(unwanted.is_empty(), "what is ours and unwanted goes");
            }
        }
    }

    /// Whether a rule that was there is ours to remove.
    fn is_ours(&self, rule: &ObservedRule, ownership: Ownership) -> bool {
        let exclusive = ownership == Ownership::Exclusive;
        let ours = rule.marks.iter().filter(|m| self.ours().is(m)).count();
        let writer = rule.description.starts_with("kubernetes.io/rule/") && (exclusive || ours == 0);
        !writer && (exclusive || (ours > 0 && ours == rule.marks.len()))
    }
}

struct Bounds {
    /// What must pass all the time.
    kept: Packets,
    /// What may ever pass.
    open: Packets,
}

/// What a quota counts.
fn counts(rules: &[ObservedRule], dialect: &Dialect) -> Vec<u32> {
    if dialect.quota == QuotaCount::All {
        return vec![rules.iter().map(|r| r.weight).sum()];
    }
    let has = |rule: &Rule, family| match rule.peer {
        RulePeer::Addresses(range) => range.net().addr().is_ipv6() == (family == Family::Ipv6),
        RulePeer::Opaque(_, _, Family::Both) => true,
        RulePeer::Opaque(_, _, of) => of == family,
    };
    let kinds = [Direction::Ingress, Direction::Egress].map(|d| [(d, Family::Ipv4), (d, Family::Ipv6)]);
    let count = |(direction, family)| {
        rules.iter().filter(|r| r.rule.direction == direction && has(&r.rule, family)).map(|r| r.weight).sum()
    };
    kinds.into_iter().flatten().map(count).collect()
}

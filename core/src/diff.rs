//! What a group has, against what it should have: the fate of every observed rule, and the fewest to add.

use std::cell::LazyCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::desired::DesiredRule;
use crate::flow::Reason;
use crate::inventory::{EgressMode, Ownership};
use crate::observed::{Claim, ObservedGroup, ObservedRule, Ours};
use crate::pack::Dialect;
use crate::packets::{PacketSet, TrafficSet, overlap, without_covered};
use crate::rule::{Cidr, Direction, Family, Rule, RulePeer};
use crate::traffic::Traffic;

/// What one group should have, in the cloud's dialect and with the network's own atoms.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Rules that must be let through, sorted.
    pub rules: Vec<DesiredRule>,
    /// Whether outbound traffic is narrowed.
    pub egress: EgressMode,
    /// Nothing may be removed: what should go is spared.
    pub add_only: bool,
    /// Traffic of rows that were not opened: what is observed of it stays.
    pub held: Vec<(Direction, Traffic)>,
    /// Inbound traffic whose differences are left alone.
    pub ignored: Vec<Traffic>,
    /// For references to groups whose addresses are known, in every family that the flow has: in a shared group a range
    /// that has them all stands for the reference.
    pub addresses: BTreeMap<Rule, Vec<Cidr>>,
}

/// What becomes of an observed rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// Wanted.
    Keep,
    /// Wanted, but the other rules that stay let all of it through.
    Redundant,
    /// Ours, and it lets something unwanted through.
    Remove,
    /// Asked for by a row that was not opened.
    Held,
    /// Unwanted, but the inventory says to leave it alone.
    Ignored,
    /// Unwanted, but the plan may only add.
    Spared,
    /// Not ours.
    Foreign,
    /// Not ours, and it does the job of a wanted rule.
    Satisfies,
    /// Another rsgsync owner's, and we need it too: it gets our mark beside theirs.
    Join,
    /// Ours and another owner's, and we need it no longer: it loses our mark.
    Leave,
    /// Outbound, where outbound is not narrowed.
    Outbound,
    /// Not ours, or not ours alone, and it goes with the group that it refers to, by the user's word.
    Cascade,
}

/// The difference in one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupDiff {
    /// By observed rule.
    pub fates: Vec<Fate>,
    /// The fewest rules for what is missing, sorted.
    pub adds: Vec<DesiredRule>,
    /// What must be let through when the diff is carried out; references that a range stands for are that range.
    pub required: Vec<DesiredRule>,
}

impl GroupDiff {
    /// Writes the additions as rules of the cloud: where it has none for both families at once, each is one or two.
    pub fn project_adds(&mut self, dialect: &Dialect) {
        let project = |add: DesiredRule| {
            let DesiredRule { rule, reasons } = add;
            dialect.project(rule).map(move |rule| DesiredRule { rule, reasons: reasons.clone() })
        };
        self.adds = std::mem::take(&mut self.adds).into_iter().flat_map(project).collect();
        self.adds.sort_by_key(|add| add.rule);
    }

    /// Why rules are required of which this one lets something through.
    pub fn reasons(&self, rule: &Rule) -> BTreeSet<&Reason> {
        let asks = |r: &&DesiredRule| r.rule.direction == rule.direction && overlap(&r.rule, rule);
        self.required.iter().filter(asks).flat_map(|r| &*r.reasons).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Ours,
    OursAndOthers,
    Others,
    Foreign,
}

fn holder(claim: Claim, ownership: Ownership) -> Holder {
    match claim {
        Claim { ours: false, writer: true, .. } => Holder::Foreign,
        Claim { writer: false, .. } if ownership == Ownership::Exclusive => Holder::Ours,
        Claim { ours: true, others: false, .. } => Holder::Ours,
        Claim { ours: true, others: true, .. } => Holder::OursAndOthers,
        Claim { ours: false, others: true, .. } => Holder::Others,
        Claim { ours: false, others: false, .. } => Holder::Foreign,
    }
}

/// The difference between what a group has and what it should have.
pub fn diff(wanted: &Wanted, observed: &ObservedGroup, ownership: Ownership, ours: Ours<'_>) -> GroupDiff {
    let holders: Vec<Holder> = observed.claims(ours).map(|claim| holder(claim, ownership)).collect();
    let mut out = GroupDiff { fates: vec![Fate::Foreign; holders.len()], adds: Vec::new(), required: Vec::new() };
    for direction in [Direction::Ingress, Direction::Egress] {
        let of_direction = |(i, r): (usize, &ObservedRule)| (r.rule.direction == direction).then_some(i);
        let indices: Vec<usize> = observed.rules.iter().enumerate().filter_map(of_direction).collect();
        let foreign = indices.iter().filter(|i| holders[**i] == Holder::Foreign).map(|i| observed.rules[*i].rule);
        let foreign = PacketSet::of(foreign);
        let required = wanted.rules.iter().filter(|r| r.rule.direction == direction);
        let required: Vec<DesiredRule> = if ownership == Ownership::Shared {
            required.flat_map(|rule| stand_in(rule, &foreign, &wanted.addresses)).collect()
        } else {
            required.cloned().collect()
        };
        side(wanted, direction, &required, observed, &indices, &holders, &mut out);
        out.required.extend(required);
    }
    out
}

/// The rule, or, where ranges of others' let all addresses of the group through that it refers to, those addresses.
fn stand_in(rule: &DesiredRule, foreign: &PacketSet, addresses: &BTreeMap<Rule, Vec<Cidr>>) -> Vec<DesiredRule> {
    let Some(known) = addresses.get(&rule.rule).filter(|known| !known.is_empty()) else { return vec![rule.clone()] };
    let ranges: Vec<Rule> = known.iter().map(|c| Rule { peer: RulePeer::Addresses(*c), ..rule.rule }).collect();
    if foreign.contains(&PacketSet::of(ranges.iter().copied())) {
        ranges.into_iter().map(|range| DesiredRule { rule: range, reasons: rule.reasons.clone() }).collect()
    } else {
        vec![rule.clone()]
    }
}

fn side(
    wanted: &Wanted,
    direction: Direction,
    required: &[DesiredRule],
    observed: &ObservedGroup,
    indices: &[usize],
    holders: &[Holder],
    out: &mut GroupDiff,
) {
    let rule = |i: usize| observed.rules[i].rule;
    // Most rules are found word for word: sets of packets are made for the rest.
    let wanted_rules = sorted(required.iter().map(|r| r.rule));
    let want = LazyCell::new(|| PacketSet::of(wanted_rules.iter().copied()));
    let is_wanted = |rule: Rule| wanted_rules.binary_search(&rule).is_ok() || want.carries(&rule);
    let open_egress = direction == Direction::Egress && wanted.egress == EgressMode::Open;
    let ignored: TrafficSet = match direction {
        Direction::Ingress => wanted.ignored.iter().copied().collect(),
        Direction::Egress => TrafficSet::default(),
    };
    let held: TrafficSet = wanted.held.iter().filter(|(d, _)| *d == direction).map(|(_, t)| *t).collect();

    for &i in indices {
        let unwanted = || PacketSet::of([rule(i)]).difference(&want);
        out.fates[i] = match holders[i] {
            Holder::Foreign | Holder::Others => Fate::Foreign,
            _ if is_wanted(rule(i)) => Fate::Keep,
            _ if open_egress => Fate::Outbound,
            _ if unwanted().except_on(&held).is_empty() => Fate::Held,
            _ if unwanted().except_on(&held).except_on(&ignored).is_empty() => Fate::Ignored,
            _ if wanted.add_only => Fate::Spared,
            Holder::Ours => Fate::Remove,
            Holder::OursAndOthers => Fate::Leave,
        };
    }

    // What a removed rule lets through of held or ignored traffic stays open in a rule of its own.
    let removed: Vec<Rule> = indices.iter().filter(|i| out.fates[**i] == Fate::Remove).map(|i| rule(*i)).collect();
    let stays_open = if removed.is_empty() || (held.is_empty() && ignored.is_empty()) {
        PacketSet::default()
    } else {
        let removed = PacketSet::of(removed);
        removed.on(&held).union(&removed.on(&ignored))
    };
    let stays = |fate: Fate, i: usize| !matches!(fate, Fate::Remove | Fate::Leave) && holders[i] != Holder::Others;
    let standing = sorted(indices.iter().filter(|i| stays(out.fates[**i], **i)).map(|i| rule(*i)));
    let absent = wanted_rules.iter().filter(|rule| standing.binary_search(rule).is_err());
    let mut missing = PacketSet::of(absent.copied());
    if !missing.is_empty() || !stays_open.is_empty() {
        let standing = PacketSet::of(standing);
        missing = missing.difference(&standing).except_on(&ignored).union(&stays_open.difference(&standing));
    }

    if indices.iter().any(|i| holders[*i] == Holder::Foreign) {
        for i in satisfying(&want, indices, holders, |i| out.fates[i] == Fate::Keep, rule) {
            out.fates[i] = Fate::Satisfies;
        }
    }
    for &i in indices {
        let carries = |missing: &PacketSet| !missing.within(&rule(i)).is_empty();
        let fate = match holders[i] {
            // What stands in another's resource is theirs alone: ours stands beside it.
            Holder::Others if observed.rules[i].resource.is_none() && carries(&missing) => Fate::Join,
            Holder::OursAndOthers if out.fates[i] == Fate::Leave && carries(&missing) => Fate::Keep,
            _ => continue,
        };
        out.fates[i] = fate;
        missing.remove(&rule(i));
    }

    let adds = match (missing.is_empty(), stays_open.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => fewest(&want, missing, direction),
        (false, false) => fewest(&want.union(&stays_open), missing, direction),
    };
    let kept = indices.iter().filter(|i| out.fates[**i] == Fate::Keep).map(|i| rule(*i));
    let needed = sorted(without_covered(kept.chain(adds.iter().copied()).collect()));
    let copies = copies(observed, indices, |i| out.fates[i] == Fate::Keep && holders[i] == Holder::Ours);
    for &i in indices {
        let is_needed = needed.binary_search(&rule(i)).is_ok() && !copies.contains(&i);
        if out.fates[i] == Fate::Keep && holders[i] == Holder::Ours && !is_needed {
            out.fates[i] = Fate::Redundant;
        }
    }

    for rule in adds {
        let asking: Vec<&DesiredRule> = required.iter().filter(|r| overlap(&r.rule, &rule)).collect();
        let reasons = match asking[..] {
            [one] => one.reasons.clone(),
            _ => asking.iter().flat_map(|r| r.reasons.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect(),
        };
        out.adds.push(DesiredRule { rule, reasons });
    }
}

/// Of rules that several resources hold, all but the one that is looked at first; of equals, that of the fullest resource.
fn copies(observed: &ObservedGroup, indices: &[usize], counts: impl Fn(usize) -> bool) -> BTreeSet<usize> {
    if observed.resources.is_empty() {
        return BTreeSet::new();
    }
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    observed.rules.iter().filter_map(|r| r.resource.as_deref()).for_each(|name| *held.entry(name).or_default() += 1);
    let priorities: BTreeMap<&str, u32> = observed.resources.iter().map(|r| (&*r.name, r.priority)).collect();
    let mut first: BTreeMap<Rule, Vec<_>> = BTreeMap::new();
    for &i in indices.iter().filter(|i| counts(**i)) {
        let Some(name) = observed.rules[i].resource.as_deref() else { continue };
        first.entry(observed.rules[i].rule).or_default().push((priorities.get(name), Reverse(held.get(name)), i));
    }
    first.values_mut().for_each(|places| places.sort_unstable());
    first.into_values().flat_map(|places| places.into_iter().skip(1)).map(|(_, _, i)| i).collect()
}

fn sorted(rules: impl IntoIterator<Item = Rule>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = rules.into_iter().collect();
    rules.sort_unstable();
    rules
}

/// The places of foreign rules that let something required through which no rule of ours does: those that [`diff`] says
/// satisfy.
pub(crate) fn satisfied(
    required: &[DesiredRule],
    observed: &ObservedGroup,
    ownership: Ownership,
    ours: Ours<'_>,
) -> BTreeSet<usize> {
    let holders: Vec<Holder> = observed.claims(ours).map(|claim| holder(claim, ownership)).collect();
    let rule = |i: usize| observed.rules[i].rule;
    let of_direction = |direction: Direction| {
        let indices: Vec<usize> = (0..holders.len()).filter(|i| rule(*i).direction == direction).collect();
        let want = required.iter().map(|r| r.rule).filter(|rule| rule.direction == direction);
        let want = PacketSet::of(want);
        satisfying(&want, &indices, &holders, |i| want.carries(&rule(i)), rule)
    };
    [Direction::Ingress, Direction::Egress].into_iter().flat_map(of_direction).collect()
}

/// The foreign rules that let something wanted through which no rule of ours does that is kept.
fn satisfying(
    want: &PacketSet,
    indices: &[usize],
    holders: &[Holder],
    kept: impl Fn(usize) -> bool,
    rule: impl Fn(usize) -> Rule,
) -> Vec<usize> {
    let ours = indices.iter().filter(|i| holders[**i] == Holder::Ours && kept(**i));
    let ours = PacketSet::of(ours.map(|i| rule(*i)));
    let foreign = indices.iter().copied().filter(|i| holders[*i] == Holder::Foreign);
    foreign.filter(|i| !want.within(&rule(*i)).difference(&ours).is_empty()).collect()
}

/// The fewest rules inside `goal` that let all of `missing` through: one for each rule of the goal's cover that is needed,
/// cut down to what is missing where that is one rule too.
fn fewest(goal: &PacketSet, mut missing: PacketSet, direction: Direction) -> Vec<Rule> {
    let mut adds = Vec::new();
    for rule in goal.cover(direction) {
        let here = missing.within(&rule);
        if here.is_empty() {
            continue;
        }
        let add = here.as_rule(direction).unwrap_or(rule);
        missing.remove(&add);
        adds.push(add);
    }
    adds.sort_unstable();
    adds
}

/// The rules that let everything out, for the families of a group.
pub fn open_outbound(family: Family) -> Vec<Rule> {
    let any = |cidr| Rule { direction: Direction::Egress, peer: RulePeer::Addresses(cidr), traffic: Traffic::ALL };
    let of = |f: &Family| any(if *f == Family::Ipv4 { Cidr::ANY_V4 } else { Cidr::ANY_V6 });
    family.each().iter().map(of).collect()
}

#[cfg(test)]
mod tests;

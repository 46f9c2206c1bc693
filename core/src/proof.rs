//! A plan is checked, packet class by packet class: nothing required is cut at any step, and nothing else opens.
//!
//! Reads only the fields of rules, steps and guards, and does its own interval arithmetic, so that a mistake in the
//! planner's algebra can't blind it. It looks at the partial order of the steps, not at one sequence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use crate::guard::GuardSet;
use crate::inventory::Ownership;
use crate::name::{NetworkName, RuleId};
use crate::observed::{Claim, ObservedGroup, ObservedRule, Ours};
use crate::plan::{Action, Step, StepId, by_group};
use crate::rule::{Atom, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use crate::traffic::Traffic;

/// All that a plan's safety hangs on.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// Every group that the plan or its requirements speak of.
    pub groups: Vec<GroupCase>,
    /// The plan's steps.
    pub steps: &'a [Step],
    /// Ranges that guards don't call public, beside the private ones.
    pub trusted: &'a [Cidr],
    /// Rules that are required and may be cut for a time, by the user's word.
    pub gaps: Vec<(NetworkName, Atom, Rule)>,
}

/// One group of a case.
#[derive(Debug, Clone)]
pub struct GroupCase {
    /// Where.
    pub network: NetworkName,
    /// Which.
    pub group: Atom,
    /// Rules that are there before the plan.
    pub observed: Vec<Seen>,
    /// Rules that must be let through.
    pub required: Vec<Rule>,
    /// What must not be open to public addresses.
    pub guards: GuardSet,
    /// Exclusive: every rule is ours to remove, but for those of known other writers.
    pub ownership: Ownership,
    /// rsgsync made the group for us, and nobody else's mark is on it: it is ours to delete.
    pub made: bool,
    /// Who claims its rules, by their place in `observed`; nobody claims the others.
    pub claims: BTreeMap<usize, Claim>,
}

/// A rule that is there before a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it lets through.
    pub rule: Rule,
    /// Its id, where it is known.
    pub id: Option<RuleId>,
    /// The resource that holds it; `None`: the group itself.
    pub resource: Option<Arc<str>>,
}

impl GroupCase {
    /// A group as it was read, of which nothing is required or guarded yet; `None`: it doesn't exist.
    pub fn new(
        network: NetworkName,
        group: Atom,
        observed: Option<&ObservedGroup>,
        ownership: Ownership,
        ours: Ours<'_>,
    ) -> Self {
        let claims = observed.into_iter().flat_map(|g| g.claims(ours).enumerate());
        let rules = observed.into_iter().flat_map(|g| &g.rules);
        Self {
            network,
            group,
            observed: rules.map(Seen::of).collect(),
            required: Vec::new(),
            guards: GuardSet::default(),
            ownership,
            made: observed.is_some_and(|g| g.is_only_made_by(ours)),
            claims: claims.filter(|(_, claim)| *claim != Claim::default()).collect(),
        }
    }

    /// Whether the observed rule at a place is ours to remove: the group is exclusive and the rule is no known other
    /// writer's, or it carries our mark and no other.
    fn may_remove(&self, at: usize) -> bool {
        let Claim { ours, others, writer } = self.claims.get(&at).copied().unwrap_or_default();
        (self.ownership == Ownership::Exclusive && !writer) || (ours && !others)
    }
}

impl Seen {
    fn of(observed: &ObservedRule) -> Self {
        let ObservedRule { rule, id, description: _, marks: _, weight: _, resource } = observed;
        Self { rule: *rule, id: id.clone(), resource: resource.clone() }
    }
}

/// What was found about a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Required rules.
    pub required_flows: usize,
    /// Of those, let through before the plan.
    pub held_before: usize,
    /// Of those, let through at every point of it.
    pub kept: usize,
    /// Packet classes that the plan opens although nothing wants them.
    pub opened_outside_desired: usize,
    /// Guards that were checked.
    pub guards: usize,
    /// Required rules that may be cut for a time, by the user's word.
    pub gaps: Vec<(NetworkName, Atom, Rule)>,
    /// A packet that shows what is wrong; `None`: the plan is safe.
    pub witness: Option<Witness>,
}

impl Proof {
    /// Whether the plan is safe.
    pub fn holds(&self) -> bool {
        self.witness.is_none()
    }
}

/// What every proof takes for granted.
pub const ASSUMPTIONS: &[&str] = &[
    "rules are as the cloud's API reports them between our calls",
    "network ACLs, routes, host firewalls, other groups on an interface and hierarchical policies are not looked at",
    "nobody else changes these groups meanwhile",
    "how fast the cloud spreads a rule to its hosts is not known: additions are read back and settle before removals",
    "a group that the plan creates carries no interface yet: the rules that the cloud gives it open nothing",
    "removing a rule may cut or spare connections that are open",
];

/// A packet that shows what is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// What happens to it.
    pub fault: Fault,
    /// In which network.
    pub network: NetworkName,
    /// In which group.
    pub group: Atom,
    /// At which step.
    pub step: StepId,
    /// The packet; `None` where the step is wrong about a group that has no rule.
    pub packet: Option<Packet>,
}

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A required packet that passes before the plan is cut at the step.
    Cut,
    /// The step opens a packet that is neither observed nor desired.
    Opened,
    /// The step opens a packet to public addresses that the named guard forbids.
    Guard(Arc<str>),
    /// The step deletes a group that a rule still refers to.
    Referenced,
    /// The step removes a rule, or deletes a group, that is not ours to take away.
    NotOurs,
    /// Two steps remove the same rule.
    RemovedTwice,
    /// The step touches a group, or removes a rule, that the case says nothing about.
    Unknown,
}

/// One packet, seen from the group's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    /// Which way.
    pub direction: Direction,
    /// Its other end.
    pub peer: PacketPeer,
    /// Its place on the line of traffic ([`Traffic::points`]).
    pub point: u32,
}

/// The other end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PacketPeer {
    /// An IPv4 or IPv6 address as a number.
    Address(Family, u128),
    /// A member of a group, list or account, by one family.
    Opaque(PeerKind, Atom, Family),
}

/// Whether a rule lets a packet through.
pub fn carries(rule: &Rule, packet: &Packet) -> bool {
    let (low, high) = rule.traffic.points();
    rule.direction == packet.direction
        && low <= packet.point
        && packet.point <= high
        && match (rule.peer, packet.peer) {
            (RulePeer::Addresses(range), PacketPeer::Address(family, address)) => {
                let (first, last) = range.bounds();
                range.family() == family && first <= address && address <= last
            }
            (RulePeer::Opaque(kind, atom, families), PacketPeer::Opaque(k, a, family)) => {
                kind == k && atom == a && (families == Family::Both || families == family)
            }
            _ => false,
        }
}

/// The lowest packet that a rule lets through.
fn one_of(rule: &Rule) -> Packet {
    let peer = match rule.peer {
        RulePeer::Addresses(range) => PacketPeer::Address(range.family(), range.bounds().0),
        RulePeer::Opaque(kind, atom, Family::Both) => PacketPeer::Opaque(kind, atom, Family::Ipv4),
        RulePeer::Opaque(kind, atom, family) => PacketPeer::Opaque(kind, atom, family),
    };
    Packet { direction: rule.direction, peer, point: rule.traffic.points().0 }
}

/// One packet of each class into which `others` divide the packets of `rule`.
///
/// Where an interval starts anew, or one ends, a class begins; the lowest corner of each stands for all of it.
fn classes<'a>(rule: &Rule, others: impl Iterator<Item = &'a Rule> + Clone) -> Vec<Packet> {
    let (low, high) = rule.traffic.points();
    let mut points = vec![low];
    for other in others.clone().filter(|o| o.direction == rule.direction) {
        let (l, h) = other.traffic.points();
        points.extend([l, h + 1].into_iter().filter(|p| low < *p && *p <= high));
    }
    points.sort_unstable();
    points.dedup();
    let peers: Vec<PacketPeer> = match rule.peer {
        RulePeer::Opaque(kind, atom, Family::Both) => {
            [Family::Ipv4, Family::Ipv6].map(|family| PacketPeer::Opaque(kind, atom, family)).into()
        }
        RulePeer::Opaque(kind, atom, family) => vec![PacketPeer::Opaque(kind, atom, family)],
        RulePeer::Addresses(range) => {
            let (first, last) = range.bounds();
            let mut starts = vec![first];
            for other in others.filter(|o| o.direction == rule.direction) {
                if let RulePeer::Addresses(o) = other.peer
                    && o.family() == range.family()
                {
                    let (f, l) = o.bounds();
                    starts
                        .extend([Some(f), l.checked_add(1)].into_iter().flatten().filter(|a| first < *a && *a <= last));
                }
            }
            starts.sort_unstable();
            starts.dedup();
            starts.into_iter().map(|a| PacketPeer::Address(range.family(), a)).collect()
        }
    };
    let direction = rule.direction;
    let all =
        peers.into_iter().flat_map(|peer| points.iter().map(move |point| Packet { direction, peer, point: *point }));
    all.collect()
}

/// Checks a plan; accepts it only when no order of its steps that keeps `depends_on` cuts or opens anything.
pub fn prove(case: &Case<'_>) -> Proof {
    let mut proof = Proof { gaps: case.gaps.clone(), ..Proof::default() };
    let mut witnesses: Vec<Witness> = Vec::new();
    let mut guards: BTreeSet<&str> = BTreeSet::new();
    let deleting = case.steps.iter().any(|s| s.action == Action::DeleteGroup);
    let closures = Closures::of(case.steps);
    let by_group = by_group(case.steps);
    for group in &case.groups {
        guards.extend(group.guards.guards.iter().map(|guard| &*guard.name));
        let steps = by_group.get(&(&group.network, group.group)).map_or(&[][..], Vec::as_slice);
        let of_group = GroupProof { case, group, steps, closures: &closures };
        let (held, kept, cut) = of_group.required();
        proof.required_flows += group.required.len();
        proof.held_before += held;
        proof.kept += kept;
        witnesses.extend(cut);
        let opened = of_group.opened();
        proof.opened_outside_desired += opened.len();
        witnesses.extend(opened);
        witnesses.extend(of_group.guarded());
        witnesses.extend(of_group.not_ours());
        for peer in if deleting { of_group.peers() } else { BTreeSet::new() } {
            let steps = by_group.get(&(&group.network, peer)).into_iter().flatten();
            let deletes = steps.filter(|s| s.action == Action::DeleteGroup);
            witnesses.extend(deletes.filter_map(|delete| of_group.referenced(delete)));
        }
    }
    witnesses.extend(unknown(case, &by_group));
    proof.guards = guards.len();
    proof.witness = witnesses.into_iter().next();
    proof
}

/// Steps that no group of the case answers for, and removals of what is neither there nor added.
fn unknown(case: &Case<'_>, by_group: &BTreeMap<(&NetworkName, Atom), Vec<&Step>>) -> Vec<Witness> {
    let known: BTreeMap<(&NetworkName, Atom), &GroupCase> =
        case.groups.iter().map(|g| ((&g.network, g.group), g)).collect();
    let mut witnesses = Vec::new();
    for ((network, group), steps) in by_group {
        let there = known.get(&(*network, *group)).map(|case| {
            let observed = case.observed.iter().map(|seen| &seen.rule);
            observed.chain(steps.iter().flat_map(|s| s.adds.iter().map(|a| &a.rule))).collect::<BTreeSet<&Rule>>()
        });
        for step in steps.iter().filter(|s| changes_rules(s)) {
            let packet = match &there {
                None => step.adds.iter().chain(&step.removes).next().map(|r| one_of(&r.rule)),
                Some(there) => match step.removes.iter().find(|r| !there.contains(&r.rule)) {
                    Some(missing) => Some(one_of(&missing.rule)),
                    None => continue,
                },
            };
            let network = (*network).clone();
            witnesses.push(Witness { fault: Fault::Unknown, network, group: *group, step: step.id, packet });
        }
    }
    witnesses
}

/// For each step, itself and all that must be done before it.
struct Closures(BTreeMap<StepId, BTreeSet<StepId>>);

impl Closures {
    fn of(steps: &[Step]) -> Self {
        let before: BTreeMap<StepId, &[StepId]> = steps.iter().map(|s| (s.id, s.depends_on.as_slice())).collect();
        let closure = |id: StepId| {
            let (mut seen, mut todo) = (BTreeSet::from([id]), vec![id]);
            while let Some(next) = todo.pop() {
                todo.extend(before.get(&next).into_iter().copied().flatten().filter(|b| seen.insert(**b)));
            }
            seen
        };
        Self(steps.iter().map(|s| (s.id, closure(s.id))).collect())
    }

    fn get(&self, id: StepId) -> impl Iterator<Item = StepId> + '_ {
        self.0.get(&id).into_iter().flatten().copied()
    }
}

struct GroupProof<'a> {
    case: &'a Case<'a>,
    group: &'a GroupCase,
    steps: &'a [&'a Step],
    closures: &'a Closures,
}

impl GroupProof<'_> {
    /// How many required rules hold before, how many at every point, and a witness for those that don't.
    fn required(&self) -> (usize, usize, Vec<Witness>) {
        let observed = || self.group.observed.iter().map(|seen| &seen.rule);
        let removers = self.removers();
        let is_gap = |rule: &Rule| {
            let same =
                |g: &&(NetworkName, Atom, Rule)| g.0 == self.group.network && g.1 == self.group.group && g.2 == *rule;
            self.case.gaps.iter().any(|g| same(&g))
        };
        // Rules that no step takes away; of those that two steps take away, all is looked at.
        let twice = removers.iter().any(|r| r.len() > 1);
        let stays = observed().zip(&removers).filter(|(_, r)| r.is_empty() && !twice);
        let mut stays: Vec<&Rule> = stays.map(|(rule, _)| rule).collect();
        stays.sort_unstable();
        let added = || self.steps.iter().flat_map(|s| s.adds.iter().map(|a| &a.rule));
        let (mut held, mut kept, mut cut) = (0, 0, Vec::new());
        for required in &self.group.required {
            // A rule that stays word for word lets all of itself through, before and at every step.
            if stays.binary_search(&required).is_ok() {
                held += 1;
                kept += usize::from(!is_gap(required));
                continue;
            }
            let packets = classes(required, observed().chain(added()));
            let was_held = packets.iter().all(|p| observed().any(|rule| carries(rule, p)));
            let faults: Vec<Witness> = if is_gap(required) {
                Vec::new()
            } else {
                packets.iter().filter_map(|p| self.cut(p, &removers)).collect()
            };
            held += usize::from(was_held);
            kept += usize::from(was_held && faults.is_empty() && !is_gap(required));
            cut.extend(faults);
        }
        (held, kept, cut)
    }

    /// For each observed rule the steps that take it away.
    fn removers(&self) -> Vec<Vec<&Step>> {
        let takes = |step: &Step, seen: &Seen| {
            let Seen { rule, id, resource: _ } = seen;
            let same = |r: &&crate::plan::StepRule| r.rule == *rule && (r.id.is_none() || id.is_none() || r.id == *id);
            let whole_group = step.action == Action::DeleteGroup;
            let marks_only = matches!(step.action, Action::SetMarks | Action::UpdateDescriptions);
            whole_group || (!marks_only && step.removes.iter().any(|r| same(&r)) && self.is_about(step, seen))
        };
        let of = |seen: &Seen| self.steps.iter().copied().filter(|s| takes(s, seen)).collect();
        self.group.observed.iter().map(of).collect()
    }

    /// Whether a step that takes such a rule away means this one: what stands in a resource goes with calls to that resource;
    /// what the group itself has, with calls to resources that have no such rule.
    fn is_about(&self, step: &Step, seen: &Seen) -> bool {
        let Some(resource) = step.resource.as_deref() else { return true };
        match seen.resource.as_deref() {
            Some(holder) => holder == resource,
            None => {
                let there = |o: &Seen| o.rule == seen.rule && o.resource.as_deref() == Some(resource);
                !self.group.observed.iter().any(there)
            }
        }
    }

    /// The step that takes away the last of what lets a packet through that passes before.
    fn cut(&self, packet: &Packet, removers: &[Vec<&Step>]) -> Option<Witness> {
        let observed = self.group.observed.iter().zip(removers);
        let carriers: Vec<&Vec<&Step>> =
            observed.filter(|(seen, _)| carries(&seen.rule, packet)).map(|(_, removers)| removers).collect();
        if carriers.is_empty() {
            return None;
        }
        // Whatever the removals leave goes with the group.
        let deletion = self.steps.iter().find(|s| s.action == Action::DeleteGroup);
        let by_deletion = || deletion.map(|delete| self.witness(Fault::Cut, delete.id, *packet));
        self.cut_by_removals(packet, &carriers).or_else(by_deletion)
    }

    /// A packet that doesn't pass in the earliest state in which all that carried it is removed.
    fn cut_by_removals(&self, packet: &Packet, carriers: &[&Vec<&Step>]) -> Option<Witness> {
        let mut gone: Vec<&Step> = Vec::new();
        for removers in carriers {
            let mut removals = removers.iter().filter(|s| s.action != Action::DeleteGroup);
            gone.push(removals.next()?);
            if let Some(second) = removals.next() {
                return Some(self.witness(Fault::RemovedTwice, second.id, *packet));
            }
        }
        let last = gone.iter().map(|s| s.id).max()?;
        let done: BTreeSet<StepId> = gone.iter().flat_map(|s| self.closures.get(s.id)).collect();
        let in_state = || self.steps.iter().filter(|s| done.contains(&s.id) && changes_rules(s));
        // What any other step takes away, out of the same resource, does not count, unless it surely did so before.
        let stands = |step: &Step, rule: &Rule| {
            let before: BTreeSet<StepId> = self.closures.get(step.id).collect();
            let takes = |s: &&&Step| {
                s.id != step.id
                    && s.action != Action::DeleteGroup
                    && changes_rules(s)
                    && (s.resource == step.resource || s.resource.is_none() || step.resource.is_none())
                    && s.removes.iter().any(|r| r.rule == *rule)
            };
            carries(rule, packet) && self.steps.iter().filter(takes).all(|s| before.contains(&s.id))
        };
        let held = in_state().any(|s| s.adds.iter().any(|a| stands(s, &a.rule)));
        (!held).then(|| self.witness(Fault::Cut, last, *packet))
    }

    /// Packets that are added although they are neither there before nor required.
    fn opened(&self) -> Vec<Witness> {
        let adding = self.steps.iter().filter(|s| changes_rules(s) && s.action != Action::CreateGroup);
        let mut adding = adding.filter(|s| !s.adds.is_empty()).peekable();
        if adding.peek().is_none() {
            return Vec::new();
        }
        let mut known: Vec<&Rule> =
            self.group.observed.iter().map(|seen| &seen.rule).chain(&self.group.required).collect();
        known.sort_unstable();
        let mut out = Vec::new();
        for step in adding {
            // What is known word for word opens nothing.
            for add in step.adds.iter().filter(|add| known.binary_search(&&add.rule).is_err()) {
                let packets = classes(&add.rule, known.iter().copied());
                let new = packets.into_iter().filter(|p| !known.iter().any(|rule| carries(rule, p)));
                out.extend(new.map(|p| self.witness(Fault::Opened, step.id, p)));
            }
        }
        out
    }

    /// A packet from a public address that is added although a guard forbids it.
    fn guarded(&self) -> Option<Witness> {
        if self.steps.is_empty() || self.group.guards.guards.is_empty() {
            return None;
        }
        let rule = |peer, traffic| Rule { direction: Direction::Ingress, peer, traffic };
        let range = |(traffic, cidr): &(Traffic, Cidr)| rule(RulePeer::Addresses(*cidr), *traffic);
        let exempt: Vec<Rule> = self.group.guards.exempt.iter().map(range).collect();
        let private = PRIVATE_RANGES.iter().copied().chain(self.case.trusted.iter().copied());
        // What is open already does not open.
        let there = self.group.observed.iter().map(|seen| seen.rule);
        let private = private.map(|cidr| rule(RulePeer::Addresses(cidr), Traffic::ALL));
        let harmless: Vec<Rule> = private.chain(exempt).chain(there).collect();
        for step in self.steps.iter().filter(|s| changes_rules(s)) {
            for add in step.adds.iter().map(|a| a.rule).filter(|r| r.direction == Direction::Ingress) {
                if !matches!(add.peer, RulePeer::Addresses(_)) {
                    continue;
                }
                for guard in &self.group.guards.guards {
                    let touches = |t: &&Traffic| {
                        let ((low, high), (first, last)) = (add.traffic.points(), t.points());
                        low <= last && first <= high
                    };
                    let forbidden = guard.traffic.iter().filter(touches).map(|t| rule(add.peer, *t));
                    let forbidden: Vec<Rule> = forbidden.collect();
                    if forbidden.is_empty() {
                        continue;
                    }
                    let packets = classes(&add, harmless.iter().chain(&forbidden));
                    let is_forbidden = |p: &Packet| forbidden.iter().any(|r| carries(r, p));
                    let hit = packets.into_iter().find(|p| is_forbidden(p) && !harmless.iter().any(|r| carries(r, p)));
                    if let Some(packet) = hit {
                        return Some(self.witness(Fault::Guard(guard.name.clone()), step.id, packet));
                    }
                }
            }
        }
        None
    }

    /// The groups that its rules refer to, before the plan or by an addition.
    fn peers(&self) -> BTreeSet<Atom> {
        let added = self.steps.iter().flat_map(|s| &s.adds).map(|a| &a.rule);
        let rules = self.group.observed.iter().map(|seen| &seen.rule).chain(added);
        rules.filter_map(|rule| rule.peer.group()).collect()
    }

    /// Rules, or the group, that are taken away and are not ours.
    fn not_ours(&self) -> Vec<Witness> {
        let takes =
            |step: &&Step| step.action == Action::DeleteGroup || (changes_rules(step) && !step.removes.is_empty());
        if !self.steps.iter().any(takes) {
            return Vec::new();
        }
        let mut out = Vec::new();
        if let Some(delete) = self.steps.iter().find(|s| s.action == Action::DeleteGroup && !self.group.made) {
            let packet = self.group.observed.first().map(|seen| one_of(&seen.rule));
            out.push(self.witness(Fault::NotOurs, delete.id, packet));
        }
        for (at, (seen, removers)) in self.group.observed.iter().zip(self.removers()).enumerate() {
            let removal = removers.iter().find(|s| s.action != Action::DeleteGroup);
            if let Some(step) = removal.filter(|_| !self.group.may_remove(at)) {
                out.push(self.witness(Fault::NotOurs, step.id, one_of(&seen.rule)));
            }
        }
        out
    }

    /// A rule of this group that still refers to the deleted one.
    fn referenced(&self, delete: &Step) -> Option<Witness> {
        if self.group.group == delete.group {
            return None;
        }
        let refers = |rule: &Rule| rule.peer.group() == Some(delete.group);
        let before: BTreeSet<StepId> = self.closures.get(delete.id).collect();
        let stays = |removers: &[&Step]| !removers.iter().any(|s| before.contains(&s.id));
        let observed = self.group.observed.iter().zip(self.removers());
        let left =
            observed.filter(|(seen, removers)| refers(&seen.rule) && stays(removers)).map(|(seen, _)| &seen.rule);
        let added =
            self.steps.iter().filter(|s| changes_rules(s)).flat_map(|s| &s.adds).map(|a| &a.rule).filter(|r| refers(r));
        let rule = left.chain(added).next()?;
        Some(self.witness(Fault::Referenced, delete.id, one_of(rule)))
    }

    fn witness(&self, fault: Fault, step: StepId, packet: impl Into<Option<Packet>>) -> Witness {
        let packet = packet.into();
        Witness { fault, network: self.group.network.clone(), group: self.group.group, step, packet }
    }
}

fn changes_rules(step: &Step) -> bool {
    !matches!(step.action, Action::SetMarks | Action::UpdateDescriptions)
}

/// Ranges that nobody outside can reach: RFC 1918, RFC 6598, loopback, link-local, ULA.
const PRIVATE: [&str; 9] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "::1/128",
    "fe80::/10",
    "fc00::/7",
];

static PRIVATE_RANGES: LazyLock<Vec<Cidr>> =
    LazyLock::new(|| PRIVATE.iter().filter_map(|text| Cidr::parse(text)).collect());

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

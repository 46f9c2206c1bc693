//! The proof against a naive twin, which walks every order of the steps of small plans, packet by packet.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::guard::Guard;
use crate::plan::StepRule;
use crate::testing::{atom, cases, network, small_rule, step};

const NAMES: [&str; 3] = ["web", "db", "etcd"];
/// The guards' public part of the universe, and what the inventory trusts of it.
const PUBLIC: [&str; 2] = ["192.0.2.0/28", "2001:db8::/124"];
const TRUSTED: &str = "192.0.2.8/29";

/// Single packets: 16 ports of two protocols and one point beyond them each, 16 private and 16 public addresses of each
/// family and one beyond them each, 3 groups. A row for each direction and peer, a bit for each point.
struct Universe {
    rows: Vec<(Direction, PacketPeer)>,
    points: Vec<u32>,
}

type Packets = Vec<u64>;

impl Universe {
    fn new() -> Self {
        let mut peers = Vec::new();
        for range in ["10.0.0.0/28", "172.16.0.1", "8.8.8.8", "fd00::/124", "fe80::1", "2600::1"].iter().chain(&PUBLIC)
        {
            let range = Cidr::parse(range).unwrap();
            let (first, last) = range.bounds();
            peers.extend((first..=last).map(|address| PacketPeer::Address(range.family(), address)));
        }
        for name in NAMES {
            let member = |family| PacketPeer::Opaque(PeerKind::Group, atom(name), family);
            peers.extend([Family::Ipv4, Family::Ipv6].map(member));
        }
        let rows = [Direction::Ingress, Direction::Egress].into_iter().flat_map(|d| peers.iter().map(move |p| (d, *p)));
        let ports = |protocol: u32| (0..16).chain([100]).map(move |port| protocol << 16 | port);
        Self { rows: rows.collect(), points: ports(6).chain(ports(17)).chain([1 << 16]).collect() }
    }

    fn of<'r>(&self, rules: impl Iterator<Item = &'r Rule> + Clone) -> Packets {
        let row = |(direction, peer): &(Direction, PacketPeer)| {
            let rules = rules.clone().filter(|r| r.direction == *direction && meets(r.peer, *peer));
            rules.fold(0, |bits, rule| bits | self.bits(rule.traffic))
        };
        self.rows.iter().map(row).collect()
    }

    fn bits(&self, traffic: Traffic) -> u64 {
        let (low, high) = traffic.points();
        let inside = self.points.iter().enumerate().filter(|(_, p)| low <= **p && **p <= high);
        inside.fold(0, |bits, (i, _)| bits | 1 << i)
    }

    /// Inbound packets from public addresses on some points.
    fn public(&self, points: u64) -> Packets {
        let is_public = |(direction, peer): &(Direction, PacketPeer)| *direction == Direction::Ingress && public(*peer);
        self.rows.iter().map(|row| if is_public(row) { points } else { 0 }).collect()
    }
}

fn public(peer: PacketPeer) -> bool {
    let beyond = ["8.8.8.8", "2600::1"].iter().chain(&PUBLIC);
    let inside = |text: &str| meets(RulePeer::Addresses(Cidr::parse(text).unwrap()), peer);
    beyond.copied().any(inside) && !inside(TRUSTED)
}

fn meets(rule: RulePeer, packet: PacketPeer) -> bool {
    match (rule, packet) {
        (RulePeer::Addresses(range), PacketPeer::Address(Family::Ipv4, a)) => {
            u32::try_from(a).is_ok_and(|a| range.net().contains(&std::net::IpAddr::V4(a.into())))
        }
        (RulePeer::Addresses(range), PacketPeer::Address(_, a)) => {
            range.net().contains(&std::net::IpAddr::V6(a.into()))
        }
        (RulePeer::Opaque(k, a, families), PacketPeer::Opaque(l, b, family)) => {
            (k, a) == (l, b) && families.each().contains(&family)
        }
        _ => false,
    }
}

fn lets(rule: &Rule, packet: &Packet) -> bool {
    let (low, high) = rule.traffic.points();
    rule.direction == packet.direction && (low..=high).contains(&packet.point) && meets(rule.peer, packet.peer)
}

fn minus(a: &Packets, b: &Packets) -> Packets {
    a.iter().zip(b).map(|(a, b)| a & !b).collect()
}

fn both(a: &Packets, b: &Packets) -> Packets {
    a.iter().zip(b).map(|(a, b)| a & b).collect()
}

fn has_some(a: &Packets) -> bool {
    a.iter().any(|bits| *bits != 0)
}

/// A rule that stands in a group at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Standing {
    rule: Rule,
    /// Its place in `observed`.
    observed: Option<usize>,
    /// The cloud put it there by itself when it made the group.
    by_the_cloud: bool,
}

/// The rules of each group of the case; `None`: deleted.
type State = Vec<Option<Vec<Standing>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Cut,
    Opened,
    Guard,
    Referenced,
    NotOurs,
}

fn kind(fault: &Fault) -> Kind {
    match fault {
        Fault::Cut => Kind::Cut,
        Fault::Opened => Kind::Opened,
        Fault::Guard(_) => Kind::Guard,
        Fault::Referenced => Kind::Referenced,
        Fault::NotOurs => Kind::NotOurs,
        Fault::RemovedTwice | Fault::Unknown => panic!("the plans have no {fault:?}"),
    }
}

/// What must and must not pass in a group.
struct Bounds {
    before: Packets,
    /// Required, gaps aside.
    uncut: Packets,
    /// Neither there before nor required.
    unwanted: Packets,
    /// Forbidden by a guard, and not there before.
    forbidden: Packets,
}

impl Bounds {
    fn of(case: &Case<'_>, group: &GroupCase, universe: &Universe) -> Self {
        let of = |rules: &mut dyn Iterator<Item = Rule>| universe.of(rules.collect::<Vec<_>>().iter());
        let before = of(&mut group.observed.iter().map(|(rule, _)| *rule));
        let everything = universe.rows.iter().map(|_| !0).collect();
        let wanted = of(&mut group.required.iter().copied());
        let exempt = group.guards.exempt.iter().map(|(traffic, range)| Rule {
            direction: Direction::Ingress,
            peer: RulePeer::Addresses(*range),
            traffic: *traffic,
        });
        let exempt = of(&mut exempt.into_iter());
        let guarded = group.guards.guards.iter().flat_map(|g| &g.traffic).map(|traffic| universe.bits(*traffic));
        let guarded = universe.public(guarded.fold(0, |all, bits| all | bits));
        Self {
            uncut: of(&mut group.required.iter().copied().filter(|r| !is_gap(case, group, r))),
            unwanted: minus(&minus(&everything, &before), &wanted),
            forbidden: minus(&minus(&guarded, &before), &exempt),
            before,
        }
    }
}

/// What a walk through every order finds.
struct Walk<'a> {
    case: &'a Case<'a>,
    universe: Universe,
    bounds: Vec<Bounds>,
    /// What each rule lets through.
    known: HashMap<Rule, Packets>,
    faults: BTreeSet<Kind>,
    /// Packets that pass before and don't at some moment, by group.
    cut: Vec<Packets>,
    /// Every step taken in every state: the step, and the states before and after.
    taken: HashSet<(StepId, State, State)>,
}

impl<'a> Walk<'a> {
    fn of(case: &'a Case<'a>) -> Self {
        let universe = Universe::new();
        let nothing = vec![0; universe.rows.len()];
        let cut = vec![nothing; case.groups.len()];
        let bounds = case.groups.iter().map(|g| Bounds::of(case, g, &universe)).collect();
        let (known, faults, taken) = (HashMap::new(), BTreeSet::new(), HashSet::new());
        let mut walk = Self { case, universe, bounds, known, faults, cut, taken };
        let standing = |(i, (rule, _)): (usize, &(Rule, Option<RuleId>))| Standing {
            rule: *rule,
            observed: Some(i),
            by_the_cloud: false,
        };
        let start: State =
            case.groups.iter().map(|g| Some(g.observed.iter().enumerate().map(standing).collect())).collect();
        let (mut seen, mut todo) = (HashSet::new(), vec![(BTreeSet::new(), start)]);
        while let Some((done, state)) = todo.pop() {
            walk.look(&state);
            for step in case.steps.iter().filter(|s| !done.contains(&s.id)) {
                if step.depends_on.iter().all(|d| done.contains(d)) {
                    let after = walk.take(step, &state);
                    let mut now = done.clone();
                    now.insert(step.id);
                    walk.taken.insert((step.id, state.clone(), after.clone()));
                    if seen.insert((now.clone(), after.clone())) {
                        todo.push((now, after));
                    }
                }
            }
        }
        walk
    }

    fn place(&self, group: Atom) -> usize {
        self.case.groups.iter().position(|g| g.group == group).unwrap()
    }

    fn take(&mut self, step: &Step, state: &State) -> State {
        let mut after = state.clone();
        let place = self.place(step.group);
        let group = &self.case.groups[place];
        if !changes_rules(step) {
            return after;
        }
        if step.action == Action::DeleteGroup {
            let refers = |(i, rules): (usize, &Option<Vec<Standing>>)| {
                i != place && rules.iter().flatten().any(|r| r.rule.peer.group() == Some(step.group))
            };
            self.take_along(step, &mut after);
            if after.iter().enumerate().any(refers) {
                self.faults.insert(Kind::Referenced);
            }
            if !group.made {
                self.faults.insert(Kind::NotOurs);
            }
            after[place] = None;
            return after;
        }
        let Some(rules) = &mut after[place] else { return after };
        rules.retain(|standing| {
            let id = standing.observed.and_then(|i| group.observed[i].1.clone());
            let same = |r: &&StepRule| r.rule == standing.rule && (r.id.is_none() || id.is_none() || r.id == id);
            let goes = step.removes.iter().any(|r| same(&r));
            if standing.observed.is_some_and(|i| goes && !ours_to_remove(group, i)) {
                self.faults.insert(Kind::NotOurs);
            }
            !goes
        });
        let by_the_cloud = step.action == Action::CreateGroup;
        for add in &step.adds {
            match rules.iter_mut().find(|r| r.rule == add.rule) {
                Some(there) => there.by_the_cloud &= by_the_cloud,
                None => rules.push(Standing { rule: add.rule, observed: None, by_the_cloud }),
            }
            let to = add.rule.peer.group().map(|peer| self.case.groups.iter().position(|g| g.group == peer));
            if to.flatten().is_some_and(|to| to != place && state[to].is_none()) {
                self.faults.insert(Kind::Referenced);
            }
        }
        rules.sort_by_key(|r| (r.rule, r.observed));
        after
    }

    /// The rules that go with a group, as its deletion says.
    fn take_along(&mut self, step: &Step, state: &mut State) {
        let word = self.case.cascades.contains(&(network(), step.group));
        for (group, rules) in self.case.groups.iter().zip(state) {
            let says = |(rule, id): &(Rule, Option<RuleId>)| {
                let same = |r: &&StepRule| r.rule == *rule && (r.id.is_none() || id.is_none() || r.id == *id);
                step.cascade.get(&group.group).into_iter().flatten().any(|r| same(&r))
            };
            let allowed = |rule: &Rule| word && rule.peer.group() == Some(step.group);
            if group.observed.iter().any(|observed| says(observed) && !allowed(&observed.0)) {
                self.faults.insert(Kind::NotOurs);
            }
            let stays = |standing: &Standing| standing.observed.is_none_or(|i| !says(&group.observed[i]));
            rules.iter_mut().for_each(|rules| rules.retain(stays));
        }
    }

    fn open<'r>(&mut self, rules: impl Iterator<Item = &'r Standing>) -> Packets {
        let mut open = vec![0; self.universe.rows.len()];
        for standing in rules {
            let packets =
                self.known.entry(standing.rule).or_insert_with(|| self.universe.of(std::iter::once(&standing.rule)));
            open.iter_mut().zip(packets).for_each(|(all, more)| *all |= *more);
        }
        open
    }

    fn look(&mut self, state: &State) {
        for (place, rules) in state.iter().enumerate() {
            let open = self.open(rules.iter().flatten());
            let by_us = self.open(rules.iter().flatten().filter(|r| !r.by_the_cloud));
            let Bounds { before, uncut, unwanted, forbidden } = &self.bounds[place];
            let cut = minus(before, &open);
            let found = [
                (Kind::Cut, both(&cut, uncut)),
                (Kind::Opened, both(&by_us, unwanted)),
                (Kind::Guard, both(&open, forbidden)),
            ];
            self.faults.extend(found.iter().filter(|(_, packets)| has_some(packets)).map(|(kind, _)| *kind));
            self.cut[place].iter_mut().zip(&cut).for_each(|(all, now)| *all |= now);
        }
    }

    /// How many required rules hold before, and how many at every moment.
    fn counts(&self) -> (usize, usize) {
        let (mut held, mut kept) = (0, 0);
        for ((group, cut), Bounds { before, .. }) in self.case.groups.iter().zip(&self.cut).zip(&self.bounds) {
            for rule in &group.required {
                let packets = self.universe.of(std::iter::once(rule));
                if !has_some(&minus(&packets, before)) {
                    held += 1;
                    kept += usize::from(!has_some(&both(&packets, cut)) && !is_gap(self.case, group, rule));
                }
            }
        }
        (held, kept)
    }

    /// Whether a witness's packet really fares so, in some order, at its step.
    fn shows(&self, witness: &Witness) -> bool {
        let place = self.place(witness.group);
        let group = &self.case.groups[place];
        let step = self.case.steps.iter().find(|s| s.id == witness.step).unwrap();
        let Some(packet) = witness.packet else { return group.observed.is_empty() };
        let before = group.observed.iter().any(|(rule, _)| lets(rule, &packet));
        let passes = |state: &State| state[place].iter().flatten().any(|r| lets(&r.rule, &packet));
        let adds = step.group == witness.group && step.adds.iter().any(|a| lets(&a.rule, &packet));
        match &witness.fault {
            Fault::Cut => {
                let required = group.required.iter().any(|r| lets(r, &packet) && !is_gap(self.case, group, r));
                let at = |(id, from, to): &(StepId, State, State)| *id == step.id && passes(from) && !passes(to);
                before && required && self.taken.iter().any(at)
            }
            Fault::Opened => adds && !before && !group.required.iter().any(|r| lets(r, &packet)),
            Fault::Guard(name) => {
                let guard = group.guards.guards.iter().find(|g| g.name == *name).unwrap();
                let forbidden =
                    guard.traffic.iter().any(|t| t.points().0 <= packet.point && packet.point <= t.points().1);
                let exempt = group.guards.exempt.iter().any(|(traffic, range)| {
                    meets(RulePeer::Addresses(*range), packet.peer)
                        && (traffic.points().0..=traffic.points().1).contains(&packet.point)
                });
                let harmless = PRIVATE.iter().chain([&TRUSTED]).map(|text| Cidr::parse(text).unwrap());
                let private = harmless.into_iter().any(|range| meets(RulePeer::Addresses(range), packet.peer));
                adds && forbidden && !before && !exempt && !private
            }
            Fault::Referenced => step.action == Action::DeleteGroup,
            Fault::NotOurs => before && group.observed.iter().any(|(rule, _)| lets(rule, &packet)),
            Fault::RemovedTwice | Fault::Unknown => false,
        }
    }
}

fn is_gap(case: &Case<'_>, group: &GroupCase, rule: &Rule) -> bool {
    case.gaps.contains(&(group.network.clone(), group.group, *rule))
}

fn ours_to_remove(group: &GroupCase, at: usize) -> bool {
    let claim = group.claims.get(&at).copied().unwrap_or_default();
    match group.ownership {
        Ownership::Exclusive if !claim.writer => true,
        _ => claim.ours && !claim.others,
    }
}

/// Rules of the universe, now and then public, everywhere or outbound.
fn any_rule() -> impl Strategy<Value = Rule> {
    (small_rule(), 0u8..8, 0u8..6).prop_map(|(mut rule, place, way)| {
        if let RulePeer::Addresses(range) = &mut rule.peer {
            let (v4, length) = (range.family() == Family::Ipv4, range.net().prefix_len());
            let last = range.bounds().0 & 15;
            let text = match (place, v4) {
                (0, true) => "0.0.0.0/0".to_owned(),
                (0, false) => "::/0".to_owned(),
                (1 | 2, true) => format!("192.0.2.{last}/{length}"),
                (1 | 2, false) => format!("2001:db8::{last:x}/{length}"),
                _ => range.to_string(),
            };
            *range = Cidr::parse(&text).unwrap();
        }
        if way == 0 {
            rule.direction = Direction::Egress;
        }
        rule
    })
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let word = || prop::bool::weighted(0.3);
    (prop::bool::weighted(0.7), word(), word()).prop_map(|(ours, others, writer)| Claim { ours, others, writer })
}

fn any_guards() -> impl Strategy<Value = GuardSet> {
    let traffic = |text| Traffic::parse(text).unwrap();
    let guard = |name: &str, text| Guard {
        name: name.into(),
        traffic: vec![traffic(text)],
        why: String::new(),
        source: String::new(),
    };
    let guards = [guard("low", "2-5/tcp"), guard("rest", "9-30/udp")];
    let exempt = vec![(traffic("3/tcp"), Cidr::ANY_V4), (traffic("10-12/udp"), Cidr::parse(PUBLIC[0]).unwrap())];
    (prop::sample::subsequence(guards.to_vec(), 0..=2), prop::sample::subsequence(exempt, 0..=2))
        .prop_map(|(guards, exempt)| GuardSet { guards, exempt })
}

prop_compose! {
    fn any_group()(
        observed in prop::collection::vec((any_rule(), any::<bool>()), 0..4),
        twin in prop::option::weighted(0.2, any::<Index>()),
        again in prop::collection::vec(any::<Index>(), 0..3),
        fresh in prop::collection::vec(any_rule(), 0..3),
        ownership in prop_oneof![3 => Just(Ownership::Exclusive), 1 => Just(Ownership::Shared)],
        made in prop::bool::weighted(0.8),
        claims in prop::collection::vec(prop::option::weighted(0.4, any_claim()), 4),
        guards in any_guards(),
    ) -> GroupCase {
        let mut rules: Vec<(Rule, bool)> = observed;
        rules.sort();
        rules.dedup_by_key(|(rule, _)| *rule);
        // Two rules that let the same through, as some clouds have them; told apart by their ids.
        if let Some(twin) = twin.filter(|_| !rules.is_empty()) {
            let at = twin.index(rules.len());
            rules[at].1 = true;
            rules.push(rules[at]);
        }
        let id = |i: usize| RuleId::new(&format!("r{i}")).ok();
        let observed: Vec<_> = rules.iter().enumerate().map(|(i, (rule, has))| (*rule, id(i).filter(|_| *has))).collect();
        let again = again.iter().filter(|_| !rules.is_empty()).map(|i| rules[i.index(rules.len())].0);
        let required: BTreeSet<Rule> = again.chain(fresh).collect();
        let claims = claims.into_iter().enumerate().filter_map(|(i, claim)| Some((i, claim?)));
        GroupCase {
            network: network(),
            group: atom("web"),
            observed,
            required: required.into_iter().collect(),
            guards,
            ownership,
            made,
            claims: claims.collect(),
        }
    }
}

/// A step in the making: its group, what it does, and which rules.
#[derive(Debug, Clone)]
struct Draft {
    group: usize,
    does: u8,
    picks: Vec<Index>,
    fresh: Rule,
    waits: u8,
    /// What a deletion says of the rules elsewhere that refer to the group: nothing, too much, or the truth.
    along: u8,
}

fn any_draft() -> impl Strategy<Value = Draft> {
    let waits = prop_oneof![Just(0xFF), any::<u8>()];
    (0usize..3, 0u8..18, prop::collection::vec(any::<Index>(), 1..3), any_rule(), waits, 0u8..6).prop_map(
        |(group, does, picks, fresh, waits, along)| Draft {
            group: group % 2 * group,
            does,
            picks,
            fresh,
            waits,
            along,
        },
    )
}

/// A case without its steps, and the steps.
type Small = (Vec<GroupCase>, Vec<Step>, Vec<(NetworkName, Atom, Rule)>, BTreeSet<(NetworkName, Atom)>);

/// Small plans; `takes_back`: steps may remove what others add.
fn small_plans(takes_back: bool) -> impl Strategy<Value = Small> {
    let groups = prop::collection::vec(any_group(), 3);
    let words = prop_oneof![Just(NAMES.to_vec()), prop::sample::subsequence(NAMES.to_vec(), 0..=2)];
    let drafts = prop::collection::vec(any_draft(), 0..6);
    (groups, drafts, any::<u16>(), words).prop_map(move |(mut groups, drafts, gaps, words)| {
        for (group, name) in groups.iter_mut().zip(NAMES) {
            group.group = atom(name);
        }
        let required = groups.iter().flat_map(|g| g.required.iter().map(|r| (network(), g.group, *r)));
        let gap = |(i, _): &(usize, _)| i % 4 == 0 && gaps & (1 << (i % 16)) != 0;
        let gaps = required.enumerate().filter(gap).map(|(_, gap)| gap).collect();
        let steps = draw(&groups, &drafts, takes_back);
        (groups, steps, gaps, words.into_iter().map(|name| (network(), atom(name))).collect())
    })
}

fn draw(groups: &[GroupCase], drafts: &[Draft], takes_back: bool) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut taken: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut deleted: BTreeSet<usize> = BTreeSet::new();
    for (i, draft) in drafts.iter().enumerate() {
        let (at, group) = (draft.group, &groups[draft.group]);
        let mut removes: Vec<StepRule> = Vec::new();
        let mut adds: Vec<StepRule> = Vec::new();
        let add = |pick: &Index| match group.required.len() {
            0 => draft.fresh,
            n => group.required[pick.index(n)],
        };
        let mut remove = |pick: &Index| {
            let place = pick.index(group.observed.len().max(1));
            let (rule, id) = group.observed.get(place)?;
            // Without its id, a rule means all that are equal.
            let equal: Vec<usize> = (0..group.observed.len()).filter(|i| group.observed[*i].0 == *rule).collect();
            let places = if id.is_some() { vec![place] } else { equal };
            let new = places.iter().all(|place| taken.insert((at, *place)));
            new.then(|| StepRule { id: id.clone(), ..StepRule::plain(*rule) })
        };
        let action = match draft.does {
            0..5 => {
                adds.extend(draft.picks.iter().map(|p| StepRule::plain(add(p))));
                Action::AddRules
            }
            5 => {
                adds.push(StepRule::plain(draft.fresh));
                Action::AddRules
            }
            6..11 => {
                removes.extend(draft.picks.iter().filter_map(&mut remove));
                if takes_back && draft.waits % 4 == 3 {
                    let of_group = steps.iter().filter(|s| s.group == group.group).flat_map(|s| &s.adds);
                    removes.extend(of_group.take(1).cloned());
                }
                Action::RemoveRules
            }
            11 | 12 => {
                adds.extend(draft.picks.iter().map(|p| StepRule::plain(add(p))));
                removes.extend(draft.picks.iter().filter_map(&mut remove));
                Action::ReplaceRules
            }
            13 => {
                let rules = group.observed.iter().map(|(rule, _)| StepRule::plain(*rule));
                removes.extend(rules);
                Action::SetMarks
            }
            14 if group.observed.is_empty() => {
                adds.push(StepRule::plain(crate::testing::rule("all to 0.0.0.0/0")));
                Action::CreateGroup
            }
            _ => Action::DeleteGroup,
        };
        // Nobody goes on with a group that is gone.
        if deleted.contains(&at) {
            continue;
        }
        let mut cascade: BTreeMap<Atom, Vec<StepRule>> = BTreeMap::new();
        if action == Action::DeleteGroup {
            deleted.insert(at);
            let from = |(other, _): &(usize, &GroupCase)| draft.along > 0 && !deleted.contains(other);
            for (other, from) in groups.iter().enumerate().filter(from) {
                for (place, (rule, id)) in from.observed.iter().enumerate() {
                    let says = draft.along == 1 || rule.peer.group() == Some(group.group);
                    let equal = (0..from.observed.len()).filter(|i| from.observed[*i].0 == *rule);
                    let places: Vec<usize> = if id.is_some() { vec![place] } else { equal.collect() };
                    if says && places.iter().all(|place| taken.insert((other, *place))) {
                        let rule = StepRule { id: id.clone(), ..StepRule::plain(*rule) };
                        cascade.entry(from.group).or_default().push(rule);
                    }
                }
            }
        }
        let id = StepId(i as u32 + 1);
        let waits_for = |s: &&Step| draft.waits & (1 << (s.id.0 % 8)) != 0;
        let depends_on = steps.iter().filter(waits_for).map(|s| s.id).collect();
        let plain = step(0, NAMES[at], action, &[], &[], &[]);
        steps.push(Step { id, depends_on, adds, removes, cascade, ..plain });
    }
    if !takes_back {
        // Neither may a step put back what another takes away, nor fill a group that goes.
        for i in 0..steps.len() {
            let others = steps.iter().filter(|s| s.id != steps[i].id && s.group == steps[i].group && changes_rules(s));
            let along = steps.iter().flat_map(|s| s.cascade.get(&steps[i].group)).flatten();
            let taken: BTreeSet<Rule> = others.flat_map(|s| &s.removes).chain(along).map(|r| r.rule).collect();
            let goes = deleted.iter().any(|at| groups[*at].group == steps[i].group);
            steps[i].adds.retain(|add| !goes && !taken.contains(&add.rule));
        }
    }
    steps
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn the_proof_accepts_exactly_the_plans_that_no_order_makes_unsafe((groups, steps, gaps, cascades) in small_plans(false)) {
        let trusted = [Cidr::parse(TRUSTED).unwrap()];
        let case = Case { groups, steps: &steps, trusted: &trusted, gaps, cascades };
        let (proof, walk) = (prove(&case), Walk::of(&case));
        prop_assert_eq!(proof.holds(), walk.faults.is_empty(), "{:?} against {:?}", proof.witness, walk.faults);
        prop_assert_eq!((proof.held_before, proof.kept), walk.counts());
        prop_assert_eq!(proof.opened_outside_desired > 0, walk.faults.contains(&Kind::Opened));
        if let Some(witness) = &proof.witness {
            prop_assert!(walk.faults.contains(&kind(&witness.fault)));
            prop_assert!(walk.shows(witness), "{witness:?}");
        }
    }

    #[test]
    fn the_proof_accepts_no_plan_that_some_order_makes_unsafe((groups, steps, gaps, cascades) in small_plans(true)) {
        let trusted = [Cidr::parse(TRUSTED).unwrap()];
        let case = Case { groups, steps: &steps, trusted: &trusted, gaps, cascades };
        let (proof, walk) = (prove(&case), Walk::of(&case));
        prop_assert!(!proof.holds() || walk.faults.is_empty(), "{:?}", walk.faults);
    }
}

/// The twin itself is right about the plainest of plans, and the plans that are drawn are of every kind.
#[test]
fn the_plans_that_are_drawn_are_safe_and_unsafe_in_every_way() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut safe, mut cascading, mut found) = (0, 0, BTreeSet::new());
    for _ in 0..400 {
        let (groups, steps, gaps, cascades) = small_plans(false).new_tree(&mut runner).unwrap().current();
        let case = Case { groups, steps: &steps, trusted: &[Cidr::parse(TRUSTED).unwrap()], gaps, cascades };
        let walk = Walk::of(&case);
        let busy = steps.iter().filter(|s| !s.removes.is_empty() && changes_rules(s)).count() > 0;
        safe += usize::from(walk.faults.is_empty() && busy && !walk.case.groups.iter().all(|g| g.required.is_empty()));
        cascading += usize::from(walk.faults.is_empty() && steps.iter().any(|s| !s.cascade.is_empty()));
        found.extend(walk.faults);
    }
    assert!(cascading > 0, "no safe plan takes rules along");
    assert!(safe > 20, "{safe} safe plans that remove something");
    assert_eq!(found.len(), 5, "{found:?}");
}

//! One group's rules, asked about the other ends of a question.

use std::collections::{BTreeMap, BTreeSet};

use super::asked::{Asked, AskedEnd, Place};
use super::rules::{Origin, Rules, desired_group, find, implied, in_force, wished};
use super::scan::{Decider, Found, Party, scan};
use super::{Case, EndAnswer, Hurdle, Reading, Sight, Verdict};
use crate::desired::known_addresses;
use crate::document::{RuleEntry, rule_entry};
use crate::flow::{Reason, Why};
use crate::guard::{Guard, is_public};
use crate::inventory::SecurityGroup;
use crate::link::own_group;
use crate::name::NetworkName;
use crate::observed::Observed;
use crate::pack::Pack;
use crate::packets::TrafficSet;
use crate::plan::NetworkPlan;
use crate::rule::{Atom, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use crate::traffic::{ICMP, ICMPV6, Protocol, Traffic};

/// What ends are asked with.
pub(super) struct Look<'a> {
    case: &'a Case<'a>,
    networks: BTreeMap<NetworkName, Seen<'a>>,
    rows: &'a [(Reason, TrafficSet)],
    /// Where the nodes of groups have their addresses, by network and the group's name or id.
    known: BTreeMap<NetworkName, BTreeMap<String, Vec<Cidr>>>,
}

/// A network, and its cloud's pure half where the cloud was asked.
struct Seen<'a> {
    names: NetworkPlan,
    pack: Option<&'a dyn Pack>,
}

/// What one end says.
pub(super) struct FoundEnd {
    pub answer: EndAnswer,
    pub allowed: TrafficSet,
    pub denied: TrafficSet,
    pub not_checked: Vec<String>,
}

impl<'a> Look<'a> {
    /// `rows` become the reasons of rules.
    pub fn new(
        case: &'a Case<'a>,
        readings: BTreeMap<NetworkName, Reading<'a>>,
        rows: &'a [(Reason, TrafficSet)],
    ) -> Self {
        let network = |name: &NetworkName| case.inventory.networks.get(name).cloned();
        let networks = if case.sight == Sight::Desired {
            let wished = case.desired.networks.iter().filter_map(|(name, wish)| {
                let names = NetworkPlan::of(network(name)?, Ok(Observed::default()), wish.atoms.clone());
                Some((name.clone(), Seen { names, pack: None }))
            });
            wished.collect()
        } else {
            let read = readings.into_iter().filter_map(|(name, Reading { atoms, read })| {
                let (observed, pack) = match read {
                    Ok((observed, pack)) => (Ok(observed), Some(pack)),
                    Err(why) => (Err(why), None),
                };
                Some((name.clone(), Seen { names: NetworkPlan::of(network(&name)?, observed, atoms), pack }))
            });
            read.collect()
        };
        let known = known_addresses(case.inventory).into_iter().map(|(network, groups)| {
            let groups = groups.into_iter().map(|(group, all)| (group.to_string(), all.into_iter().collect()));
            (network, groups.collect())
        });
        Self { case, networks, rows, known: known.collect() }
    }

    pub fn end(&mut self, place: &Place, end: &AskedEnd, asked: &Asked) -> FoundEnd {
        let (network, group, direction) = place;
        let all: TrafficSet = self.case.question.traffic.iter().copied().collect();
        let mut sum = Sum { allowed: all.clone(), ..Sum::default() };
        let rules = self.rules(network, group, *direction);
        match &rules {
            Err(hurdle) => {
                sum.allowed = TrafficSet::default();
                sum.denied = if *hurdle == Hurdle::NoGroup { all.clone() } else { TrafficSet::default() };
                sum.hurdles.push(hurdle.clone());
            }
            Ok(rules) => self.ask(place, end, asked, rules, &mut sum),
        }
        if *direction == Direction::Ingress && self.case.sight != Sight::Observed {
            let guards = self.guards(network, group, end);
            if self.case.sight == Sight::Desired {
                // A plan that a guard forbids is refused.
                let forbidden: TrafficSet = guards.iter().flat_map(|guard| &guard.traffic).copied().collect();
                sum.denied = sum.denied.union(&all.intersection(&forbidden));
                sum.allowed = sum.allowed.difference(&forbidden);
            }
            sum.hurdles.extend(guards.into_iter().map(Hurdle::Guard));
        }
        let with_reasons = |(entry, traffic): (RuleEntry, Traffic)| self.with_reasons(entry, traffic);
        let seen = self.networks.get(network).and_then(|seen| find(&seen.names, group.as_str()));
        sum.not_checked.extend(self.answers(network, group));
        let answer = EndAnswer {
            network: network.clone(),
            security_group: seen.map_or(group.to_string(), |g| g.name.to_string()),
            id: seen.map(|g| g.id.to_string()),
            direction: *direction,
            verdict: Verdict::of(&all, &sum.allowed, &sum.denied),
            allowed: sum.allowed.traffics(),
            denied: sum.denied.traffics(),
            unknown: all.difference(&sum.allowed).difference(&sum.denied).traffics(),
            by: sum.by.into_values().map(with_reasons).collect(),
            missing: sum.missing.into_iter().map(with_reasons).collect(),
            hurdles: sum.hurdles,
        };
        FoundEnd { answer, allowed: sum.allowed, denied: sum.denied, not_checked: sum.not_checked }
    }

    /// A rule with the rows that require some of its traffic; a desired one has its own.
    fn with_reasons(&self, entry: RuleEntry, traffic: Traffic) -> RuleEntry {
        if self.case.sight == Sight::Observed || !entry.reasons.is_empty() {
            return entry;
        }
        let wanted = self.rows.iter().filter(|(_, part)| !part.within(traffic).is_empty());
        RuleEntry { reasons: wanted.map(|(reason, _)| reason.clone()).collect(), ..entry }
    }

    /// What is to be said of answers, where a group doesn't know connections.
    fn answers(&self, network: &NetworkName, group: &SecurityGroup) -> Option<String> {
        let names = &self.networks.get(network)?.names;
        let (observed, there) = (names.observed.as_ref().ok()?, find(names, group.as_str())?);
        let told = || format!("answers: {group} is stateless, they need rules of their own");
        observed.stateless.contains(&there.atom).then(told)
    }

    /// The rules that are in force for a group, or that it should have; or what keeps them back.
    fn rules(&self, network: &NetworkName, group: &SecurityGroup, direction: Direction) -> Result<Rules, Hurdle> {
        if self.case.sight == Sight::Desired {
            let wish = desired_group(self.case.desired, network, group).ok_or(Hurdle::External)?;
            let names = &self.networks.get(network).ok_or(Hurdle::External)?.names;
            return Ok(wished(wish, names, direction));
        }
        let Some(seen) = self.networks.get(network) else {
            return Err(Hurdle::Unreadable("it was not read".to_owned()));
        };
        let observed = seen.names.observed.as_ref().map_err(|why| Hurdle::Unreadable(why.clone()))?;
        let dialect = seen.pack.map(Pack::dialect);
        match (find(&seen.names, group.as_str()), dialect) {
            (Some(there), _) => Ok(in_force(there, observed, &seen.names, direction)),
            (None, Some(dialect)) if dialect.groups_are_implicit => {
                let atom = seen.names.atoms.get(group.as_str());
                Ok(implied(dialect, observed, &seen.names, atom, direction))
            }
            (None, _) => Err(Hurdle::NoGroup),
        }
    }

    fn ask(&mut self, place: &Place, end: &AskedEnd, asked: &Asked, rules: &[(Decider, Origin)], sum: &mut Sum) {
        let (network, _, direction) = place;
        let deciders: Vec<Decider> = rules.iter().map(|(decider, _)| *decider).collect();
        let word = if *direction == Direction::Ingress { &self.case.question.from } else { &self.case.question.to };
        for (peer, traffic) in &end.peers {
            let traffic: TrafficSet = traffic.iter().copied().collect();
            let (peer, unresolved) = match self.translate(network, *peer, asked) {
                Ok(peer) => (Some(peer), None),
                Err(why) => (None, Some(why)),
            };
            let families = peer.map_or(Family::Both, RulePeer::family);
            let Some(seen) = self.networks.get(network) else { continue };
            let members = members(&seen.names, self.known.get(network));
            let party = peer.map_or(Party::Anybody, |peer| party(peer, &members));
            let mut denied = TrafficSet::default();
            for (family, of_family) in by_family(families, &traffic) {
                let found = scan(&deciders, &party, family, &of_family, &members);
                denied = denied.union(&found.denied);
                sum.take(&found, &of_family, rules, |rule| condition(rule, &party, word, &seen.names));
                sum.not_checked.extend(assumed_stranger(&party, &deciders, &of_family.difference(&found.allowed)));
            }
            if let Some(peer) = peer {
                let rules = denied.traffics().into_iter().map(|traffic| Rule { direction: *direction, peer, traffic });
                sum.missing.extend(rules.map(|rule| (rule_entry(&rule, &seen.names), rule.traffic)));
            }
            sum.hurdles.extend(unresolved.map(Hurdle::Unresolved));
        }
        for ((why, families), traffic) in &end.unknown {
            let Some(seen) = self.networks.get(network) else { continue };
            for (family, of_family) in by_family(*families, &traffic.iter().copied().collect()) {
                let found = scan(&deciders, &Party::Anybody, family, &of_family, &BTreeMap::new());
                sum.take(&found, &of_family, rules, |rule| condition(rule, &Party::Anybody, word, &seen.names));
            }
            sum.hurdles.push(Hurdle::Unresolved(why.clone()));
        }
    }

    /// A peer in the names of what was read.
    fn translate(&mut self, network: &NetworkName, peer: RulePeer, asked: &Asked) -> Result<RulePeer, Why> {
        let RulePeer::Opaque(kind, atom, family) = peer else { return Ok(peer) };
        let Some(of_network) = asked.networks.get(network) else { return Ok(peer) };
        let mut text = of_network.atoms.text(atom).to_owned();
        let account = |look: &Self, network| {
            let observed = look.networks.get(network).and_then(|seen| seen.names.observed.as_ref().ok());
            observed.and_then(|observed| observed.account.clone())
        };
        let own = account(self, network);
        if let Some(elsewhere) = of_network.elsewhere.get(&atom).filter(|_| self.case.sight != Sight::Desired) {
            let there =
                self.networks.get(&elsewhere.network).and_then(|seen| find(&seen.names, elsewhere.group.as_str()));
            let missing = || Why::GroupNotThere(elsewhere.network.clone(), elsewhere.group.clone());
            let id = there.ok_or_else(missing)?.id.to_string();
            text = match account(self, &elsewhere.network) {
                Some(theirs) if own.as_ref().is_some_and(|own| *own != theirs) => format!("{theirs}/{id}"),
                _ => id,
            };
        }
        let text = own_group(&text, own.as_deref()).unwrap_or(&text);
        let Some(seen) = self.networks.get_mut(network) else { return Ok(peer) };
        let kind = match (kind, seen.pack) {
            (PeerKind::Group, Some(pack)) => pack.reference(text),
            (kind, _) => kind,
        };
        let there = find(&seen.names, text).map(|group| group.atom);
        Ok(RulePeer::Opaque(kind, there.unwrap_or_else(|| seen.names.atoms.intern(text)), family))
    }

    /// Guards that forbid some of it into this group.
    fn guards(&self, network: &NetworkName, group: &SecurityGroup, end: &AskedEnd) -> Vec<Guard> {
        let Some(set) = self.case.guards.get(network, group.as_str()) else { return Vec::new() };
        let asked = end.peers.iter().flat_map(|(peer, all)| all.iter().map(|traffic| (*peer, *traffic)));
        let rules = asked.map(|(peer, traffic)| Rule { direction: Direction::Ingress, peer, traffic });
        let mut found: Vec<Guard> = Vec::new();
        for guard in rules.filter_map(|rule| set.forbids(&rule, &self.case.inventory.trusted)) {
            if !found.contains(guard) {
                found.push(guard.clone());
            }
        }
        found
    }
}

/// What the other ends of a group come to together.
#[derive(Default)]
struct Sum {
    allowed: TrafficSet,
    denied: TrafficSet,
    /// By their places.
    by: BTreeMap<usize, (RuleEntry, Traffic)>,
    missing: Vec<(RuleEntry, Traffic)>,
    hurdles: Vec<Hurdle>,
    not_checked: Vec<String>,
}

impl Sum {
    /// Takes in what one other end comes to: all of them must pass.
    fn take(
        &mut self,
        found: &Found,
        traffic: &TrafficSet,
        rules: &[(Decider, Origin)],
        condition: impl Fn(&Rule) -> String,
    ) {
        let stuck = traffic.difference(&found.allowed);
        self.allowed = self.allowed.difference(&stuck);
        self.denied = self.denied.union(&found.denied);
        let deciders: Vec<Decider> = rules.iter().map(|(decider, _)| *decider).collect();
        for place in credited(found, &deciders) {
            if let (decider, Origin::Rule(entry)) = &rules[place] {
                self.by.entry(place).or_insert_with(|| ((**entry).clone(), decider.rule.traffic));
            }
        }
        for place in found.sure.iter().chain(&found.perhaps) {
            let (decider, origin) = &rules[*place];
            let unknown = stuck.difference(&found.denied);
            let hurdle = match origin {
                Origin::Rule(entry)
                    if found.perhaps.contains(place) && !unknown.within(decider.rule.traffic).is_empty() =>
                {
                    Hurdle::Perhaps(entry.clone(), condition(&decider.rule))
                }
                Origin::Deny(name) if !stuck.within(decider.rule.traffic).is_empty() => Hurdle::Denies {
                    name: name.clone(),
                    priority: decider.priority,
                    certain: found.sure.contains(place),
                },
                Origin::Unreadable(name, why) if !unknown.is_empty() => {
                    Hurdle::UnreadableRule { name: name.clone(), why: why.clone() }
                }
                _ => continue,
            };
            if !self.hurdles.contains(&hurdle) {
                self.hurdles.push(hurdle);
            }
        }
    }
}

/// What lets the allowed part through: what surely does, and where that isn't all of it, what does so together.
pub(super) fn credited(found: &Found, deciders: &[Decider]) -> BTreeSet<usize> {
    let lets = |places: &BTreeSet<usize>| -> BTreeSet<usize> {
        places.iter().copied().filter(|place| deciders[*place].allows).collect()
    };
    let sure = lets(&found.sure);
    let by_them: TrafficSet = sure.iter().map(|place| deciders[*place].rule.traffic).collect();
    let rest = found.allowed.difference(&by_them);
    let together = lets(&found.perhaps).into_iter().filter(|p| !rest.within(deciders[*p].rule.traffic).is_empty());
    together.chain(sure.iter().copied()).collect()
}

/// Under which condition a rule lets a party through, where only the cloud knows whether it is about it.
fn condition(rule: &Rule, party: &Party, word: &str, names: &NetworkPlan) -> String {
    let who = match party {
        Party::Every(range) => address(*range),
        Party::Named(..) | Party::Anybody => word.to_owned(),
    };
    match rule.peer {
        RulePeer::Addresses(range) => format!("if {who} is in {}", address(range)),
        RulePeer::Opaque(PeerKind::Group | PeerKind::ServiceAccount, atom, _) => {
            format!("if {who} is a node of {}", names.group_name(atom))
        }
        RulePeer::Opaque(PeerKind::PrefixList | PeerKind::AddressGroup, atom, _) => {
            format!("if {} has {who}", names.atoms.text(atom))
        }
    }
}

/// A range, a single address without its length.
fn address(range: Cidr) -> String {
    let text = range.to_string();
    let (first, last) = range.bounds();
    if first == last { text.split('/').next().unwrap_or_default().to_owned() } else { text }
}

/// What a public address is taken for: no node's own, which only matters where a reference could let it through.
fn assumed_stranger(party: &Party, deciders: &[Decider], open: &TrafficSet) -> Option<String> {
    let Party::Every(range) = party else { return None };
    let refers = |decider: &&Decider| {
        let group = matches!(decider.rule.peer, RulePeer::Opaque(PeerKind::Group | PeerKind::ServiceAccount, ..));
        decider.allows && group && !open.within(decider.rule.traffic).is_empty()
    };
    let public = range.family() == Family::Ipv4 && is_public(*range, &[]);
    let matters = public && deciders.iter().any(|decider| refers(&decider));
    matters.then(|| format!("whether {} is a node's own address", address(*range)))
}

fn members(names: &NetworkPlan, known: Option<&BTreeMap<String, Vec<Cidr>>>) -> BTreeMap<Atom, Vec<Cidr>> {
    let known = known.into_iter().flatten().filter_map(|(text, ranges)| {
        let atom = find(names, text).map(|group| group.atom).or_else(|| names.atoms.get(text))?;
        Some((atom, ranges.clone()))
    });
    known.collect()
}

pub(super) fn party(peer: RulePeer, members: &BTreeMap<Atom, Vec<Cidr>>) -> Party {
    match peer {
        RulePeer::Addresses(range) => Party::Every(range),
        RulePeer::Opaque(kind, atom, _) => Party::Named(kind, atom, members.get(&atom).cloned().unwrap_or_default()),
    }
}

/// Traffic by its families: of both, ICMP is IPv4's and ICMPv6 IPv6's.
pub(super) fn by_family(families: Family, traffic: &TrafficSet) -> Vec<(Family, TrafficSet)> {
    let other = |family: &Family| if *family == Family::Ipv4 { ICMPV6 } else { ICMP };
    let part = |family: &Family| {
        let foreign = Traffic::whole(Protocol::Number(other(family)));
        if families == Family::Both { traffic.difference(&foreign.into()) } else { traffic.clone() }
    };
    families.each().iter().map(|family| (*family, part(family))).filter(|(_, part)| !part.is_empty()).collect()
}

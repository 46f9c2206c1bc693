//! The rules of one group become what they surely let through of a party's packets, and what they surely don't.

use std::collections::{BTreeMap, BTreeSet};

use crate::guard::PRIVATE_RANGES;
use crate::packets::TrafficSet;
use crate::rule::{Atom, Cidr, Family, PeerKind, Rule, RulePeer};

/// Something that decides about packets. The lower priority is looked at first; at the same, what denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decider {
    /// The packets that it is about.
    pub rule: Rule,
    /// It lets them through; otherwise it denies them.
    pub allows: bool,
    /// `None`: before all that have one.
    pub priority: Option<u32>,
    /// Nothing that was not read decides before it.
    pub certain: bool,
}

/// The other end of a group's packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Party {
    /// Every address of a range.
    Every(Cidr),
    /// A name that rules know it by, and where its addresses lie, as far as anybody says.
    Named(PeerKind, Atom, Vec<Cidr>),
    /// Nobody says who it is.
    Anybody,
}

/// What became of some traffic; the rest of it only the cloud can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Surely let through.
    pub allowed: TrafficSet,
    /// Surely not.
    pub denied: TrafficSet,
    /// By their places: what surely decided about some of it.
    pub sure: BTreeSet<usize>,
    /// By their places: what decided about some of it, if it is about the party.
    pub perhaps: BTreeSet<usize>,
}

/// Whether a decider is about a party's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meets {
    Never,
    Perhaps,
    Always,
}

/// Asks the rules of one group and direction about a party's traffic in one family, Ipv4 or Ipv6. `members` says where the
/// nodes of groups have their addresses.
///
/// Addresses are looked at in stretches that no range cuts.
pub(super) fn scan(
    deciders: &[Decider],
    party: &Party,
    family: Family,
    traffic: &TrafficSet,
    members: &BTreeMap<Atom, Vec<Cidr>>,
) -> Found {
    let concerned = |d: &Decider| d.rule.peer.family().contains(family) && !traffic.within(d.rule.traffic).is_empty();
    let mut order: Vec<usize> = (0..deciders.len()).filter(|i| concerned(&deciders[*i])).collect();
    order.sort_by_key(|i| rank(&deciders[*i]));
    let every = matches!(party, Party::Every(_));
    let mut found = Found::default();
    let (mut let_through, mut kept_out) = (TrafficSet::default(), TrafficSet::default());
    let mut always: Option<BTreeSet<usize>> = None;
    for stretch in stretches(deciders, &order, party, family, members) {
        let walked = walk(deciders, &order, traffic, |decider| meets(decider, party, stretch, members));
        found.perhaps.extend(&walked.hit);
        if every {
            found.denied = found.denied.union(&traffic.difference(&walked.let_through));
            found.sure.extend(walked.always.intersection(&walked.hit));
        }
        let_through = let_through.union(&walked.let_through);
        kept_out = kept_out.union(&walked.kept_out);
        always = Some(always.map_or(walked.always.clone(), |all| &all & &walked.always));
    }
    if !every {
        found.denied = traffic.difference(&let_through);
        found.sure = &always.unwrap_or_default() & &found.perhaps;
    }
    found.allowed = traffic.difference(&kept_out);
    found.perhaps = &found.perhaps - &found.sure;
    found
}

fn rank(decider: &Decider) -> (Option<u32>, bool) {
    (decider.priority, decider.allows)
}

/// What can become of traffic at one address.
#[derive(Default)]
struct Walked {
    let_through: TrafficSet,
    kept_out: TrafficSet,
    hit: BTreeSet<usize>,
    always: BTreeSet<usize>,
}

fn walk(deciders: &[Decider], order: &[usize], traffic: &TrafficSet, meets: impl Fn(&Decider) -> Meets) -> Walked {
    let mut open = traffic.clone();
    let mut walked = Walked::default();
    // Whoever is behind a name that decided before is decided about.
    let mut decided: BTreeMap<(PeerKind, Atom), TrafficSet> = BTreeMap::new();
    for level in order.chunk_by(|a, b| rank(&deciders[*a]) == rank(&deciders[*b])) {
        let mut settled = TrafficSet::default();
        let before = decided.clone();
        for (place, decider) in level.iter().map(|i| (*i, &deciders[*i])) {
            let meets = meets(decider);
            if meets == Meets::Never {
                continue;
            }
            if meets == Meets::Always && decider.certain {
                walked.always.insert(place);
            }
            let name = match decider.rule.peer {
                RulePeer::Opaque(kind, atom, _) if meets == Meets::Perhaps => Some((kind, atom)),
                _ => None,
            };
            let hit = open.within(decider.rule.traffic);
            let hit = match name.and_then(|name| before.get(&name)) {
                Some(spoken_for) => hit.difference(spoken_for),
                None => hit,
            };
            if hit.is_empty() {
                continue;
            }
            walked.hit.insert(place);
            let outcome = if decider.allows { &mut walked.let_through } else { &mut walked.kept_out };
            *outcome = outcome.union(&hit);
            if decider.certain {
                let known = name.map_or(&mut settled, |name| decided.entry(name).or_default());
                *known = known.union(&hit);
            }
        }
        open = open.difference(&settled);
    }
    walked.kept_out = walked.kept_out.union(&open);
    walked
}

fn meets(decider: &Decider, party: &Party, stretch: (u128, u128), members: &BTreeMap<Atom, Vec<Cidr>>) -> Meets {
    let (kind, atom, family) = match decider.rule.peer {
        RulePeer::Addresses(range) => return if covers(range, stretch) { Meets::Always } else { Meets::Never },
        RulePeer::Opaque(kind, atom, family) => (kind, atom, family),
    };
    let is_list = |kind| matches!(kind, PeerKind::PrefixList | PeerKind::AddressGroup);
    match party {
        Party::Named(k, a, _) if *k == kind && *a == atom => Meets::Always,
        // The other groups of its nodes are nobody's business here.
        Party::Named(k, ..) if !is_list(*k) && !is_list(kind) => Meets::Never,
        Party::Named(..) | Party::Anybody => Meets::Perhaps,
        Party::Every(_) if is_list(kind) => Meets::Perhaps,
        Party::Every(range) => {
            let here = |known: &Cidr| known.family() == range.family() && covers(*known, stretch);
            let known = members.get(&atom).filter(|all| all.iter().any(|c| c.family() == range.family()));
            let may_be_one = match known {
                Some(known) => known.iter().any(here),
                // References match what the network itself calls its nodes.
                None => range.family() == Family::Ipv6 || PRIVATE_RANGES.iter().any(here),
            };
            if may_be_one && family.contains(range.family()) { Meets::Perhaps } else { Meets::Never }
        }
    }
}

fn covers(range: Cidr, (first, last): (u128, u128)) -> bool {
    let bounds = range.bounds();
    bounds.0 <= first && last <= bounds.1
}

/// The addresses of a party, cut wherever a range that matters begins or ends; at least one.
fn stretches(
    deciders: &[Decider],
    order: &[usize],
    party: &Party,
    family: Family,
    members: &BTreeMap<Atom, Vec<Cidr>>,
) -> Vec<(u128, u128)> {
    let any = if family == Family::Ipv4 { Cidr::ANY_V4 } else { Cidr::ANY_V6 };
    let own: Vec<Cidr> = match party {
        Party::Every(range) => vec![*range],
        Party::Named(_, _, known) => known.iter().copied().filter(|range| range.family() == family).collect(),
        Party::Anybody => Vec::new(),
    };
    let own = if own.is_empty() { vec![any] } else { own };
    let ranges = order.iter().filter_map(|i| match deciders[*i].rule.peer {
        RulePeer::Addresses(range) => Some(range),
        RulePeer::Opaque(..) => None,
    });
    let all = ranges.chain(members.values().flatten().copied()).chain(PRIVATE_RANGES.iter().copied());
    let of_family = all.filter(|range| range.family() == family).chain(own.iter().copied()).map(Cidr::bounds);
    let mut starts: Vec<u128> =
        of_family.flat_map(|(first, last)| [Some(first), last.checked_add(1)]).flatten().collect();
    starts.sort_unstable();
    starts.dedup();
    let mut stretches = Vec::new();
    for (first, last) in own.into_iter().map(Cidr::bounds) {
        let within = starts.iter().copied().filter(|start| *start >= first && *start <= last);
        let within: Vec<u128> = within.collect();
        let ends = within.iter().skip(1).map(|next| next - 1).chain([last]);
        stretches.extend(within.iter().copied().zip(ends));
    }
    stretches
}

#[cfg(test)]
mod tests;

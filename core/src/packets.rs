//! Sets of rules as exact sets of packets: traffic × addresses, and traffic for each opaque peer.

use std::collections::BTreeSet;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::rule::{Atom, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use crate::traffic::{LAST_POINT, Traffic};

/// A set of points on the line of traffic: sorted, disjoint intervals that don't touch, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TrafficSet(Vec<(u32, u32)>);

impl TrafficSet {
    /// Everything.
    pub fn all() -> Self {
        Self(vec![(0, LAST_POINT)])
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every point of a traffic is in it.
    fn has(&self, traffic: Traffic) -> bool {
        let (lo, hi) = traffic.points();
        let at = self.0.partition_point(|i| i.1 < lo);
        self.0.get(at).is_some_and(|i| i.0 <= lo && hi <= i.1)
    }

    /// The points in either.
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// The points in both.
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut i, mut j, mut out) = (0, 0, Vec::new());
        while let (Some(a), Some(b)) = (self.0.get(i), other.0.get(j)) {
            let (lo, hi) = (a.0.max(b.0), a.1.min(b.1));
            if lo <= hi {
                out.push((lo, hi));
            }
            if a.1 < b.1 { i += 1 } else { j += 1 }
        }
        Self(out)
    }

    /// The points in this one that are not in `other`.
    pub fn difference(&self, other: &Self) -> Self {
        if self.is_empty() { Self::default() } else { self.intersection(&other.complement()) }
    }

    /// The points of a traffic that are in this set.
    pub(crate) fn within(&self, traffic: Traffic) -> Self {
        let (lo, hi) = traffic.points();
        self.iter().map(|i| (i.0.max(lo), i.1.min(hi))).filter(|i| i.0 <= i.1).collect()
    }

    fn complement(&self) -> Self {
        let (mut next, mut out) = (0, Vec::new());
        for &(lo, hi) in &self.0 {
            if next < lo {
                out.push((next, lo - 1));
            }
            next = hi + 1;
        }
        if next <= LAST_POINT {
            out.push((next, LAST_POINT));
        }
        Self(out)
    }

    /// The fewest traffics whose union is this set.
    pub fn traffics(&self) -> Vec<Traffic> {
        self.0.iter().flat_map(|&(lo, hi)| Traffic::pieces(lo, hi)).collect()
    }

    fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().copied()
    }
}

impl FromIterator<(u32, u32)> for TrafficSet {
    fn from_iter<I: IntoIterator<Item = (u32, u32)>>(intervals: I) -> Self {
        let mut intervals: Vec<_> = intervals.into_iter().collect();
        intervals.sort_unstable();
        intervals.dedup_by(|next, last| {
            let touches = next.0 <= last.1.saturating_add(1);
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
        Self(intervals)
    }
}

impl FromIterator<Traffic> for TrafficSet {
    fn from_iter<I: IntoIterator<Item = Traffic>>(traffics: I) -> Self {
        traffics.into_iter().map(Traffic::points).collect()
    }
}

impl From<Traffic> for TrafficSet {
    fn from(traffic: Traffic) -> Self {
        Self(vec![traffic.points()])
    }
}

/// Addresses of one family and the traffic of each: sorted, disjoint, never empty, equal neighbours merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct AddressMap(Vec<Stretch>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stretch {
    first: u128,
    last: u128,
    traffic: TrafficSet,
}

impl AddressMap {
    fn of(mut parts: Vec<(u128, u128, Traffic)>) -> Self {
        if let [(first, last, traffic)] = parts[..] {
            return Self(vec![Stretch { first, last, traffic: traffic.into() }]);
        }
        parts.sort_unstable();
        let starts = starts(parts.iter().map(|p| (p.0, p.1)));
        let (mut active, mut next, mut out) = (Vec::new(), 0, Self::default());
        for (i, &first) in starts.iter().enumerate() {
            active.retain(|p: &(u128, u128, Traffic)| p.1 >= first);
            while let Some(part) = parts.get(next).filter(|p| p.0 == first) {
                active.push(*part);
                next += 1;
            }
            let Some(last) = starts.get(i + 1).map(|s| s - 1).or_else(|| active.iter().map(|p| p.1).max()) else {
                break;
            };
            out.push(first, last, active.iter().map(|p| p.2).collect());
        }
        out
    }

    fn push(&mut self, first: u128, last: u128, traffic: TrafficSet) {
        if traffic.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(s) if s.last.checked_add(1) == Some(first) && s.traffic == traffic => s.last = last,
            _ => self.0.push(Stretch { first, last, traffic }),
        }
    }

    /// Whether every address from `first` to `last` has all of `traffic`.
    fn has(&self, (first, last): (u128, u128), traffic: Traffic) -> bool {
        let mut next = first;
        for stretch in &self.0[self.0.partition_point(|s| s.last < first)..] {
            if stretch.first > next || !stretch.traffic.has(traffic) {
                return false;
            }
            if stretch.last >= last {
                return true;
            }
            next = stretch.last + 1;
        }
        false
    }

    /// The part of some addresses and a traffic that is in this map.
    fn within(&self, (first, last): (u128, u128), traffic: Traffic) -> Self {
        let mut out = Self::default();
        for s in self.0[self.0.partition_point(|s| s.last < first)..].iter().take_while(|s| s.first <= last) {
            out.push(s.first.max(first), s.last.min(last), s.traffic.within(traffic));
        }
        out
    }

    /// Takes a traffic from some addresses.
    fn remove(&mut self, (first, last): (u128, u128), traffic: &TrafficSet) {
        for s in std::mem::take(&mut self.0) {
            if s.last < first || last < s.first {
                self.push(s.first, s.last, s.traffic);
                continue;
            }
            let rest = s.traffic.difference(traffic);
            if s.first < first {
                self.push(s.first, first - 1, s.traffic.clone());
            }
            self.push(s.first.max(first), s.last.min(last), rest);
            if last < s.last {
                self.push(last + 1, s.last, s.traffic);
            }
        }
    }

    fn combine(&self, other: &Self, op: impl Fn(&TrafficSet, &TrafficSet) -> TrafficSet) -> Self {
        let starts = starts([self, other].iter().flat_map(|m| &m.0).map(|s| (s.first, s.last)));
        let end = [self, other].iter().filter_map(|m| m.0.last()).map(|s| s.last).max().unwrap_or(0);
        let (mut i, mut j, mut out) = (0, 0, Self::default());
        for (k, &first) in starts.iter().enumerate() {
            if first > end {
                break;
            }
            let last = starts.get(k + 1).map_or(end, |s| s - 1);
            let (a, b) = (self.at(first, &mut i), other.at(first, &mut j));
            out.push(first, last, op(a, b));
        }
        out
    }

    /// The traffic at an address; `cursor` only moves on, so addresses must come sorted.
    fn at(&self, address: u128, cursor: &mut usize) -> &TrafficSet {
        while self.0.get(*cursor).is_some_and(|s| s.last < address) {
            *cursor += 1;
        }
        self.0.get(*cursor).filter(|s| s.first <= address).map_or(&NOTHING, |s| &s.traffic)
    }
}

/// Where stretches of addresses may begin: sorted, no two alike.
fn starts(bounds: impl Iterator<Item = (u128, u128)>) -> Vec<u128> {
    let mut starts: Vec<u128> = bounds.flat_map(|(first, last)| [Some(first), last.checked_add(1)]).flatten().collect();
    starts.sort_unstable();
    starts.dedup();
    starts
}

static NOTHING: TrafficSet = TrafficSet(Vec::new());

/// An opaque peer in a single family.
type Opaque = (PeerKind, Atom, Family);

/// Opaque peers and the traffic of each: sorted, no two alike, none without traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OpaqueMap(Vec<(Opaque, TrafficSet)>);

impl OpaqueMap {
    fn of(mut parts: Vec<(Opaque, Traffic)>) -> Self {
        parts.sort_unstable();
        let of_peer = parts.chunk_by(|a, b| a.0 == b.0);
        Self(of_peer.map(|parts| (parts[0].0, parts.iter().map(|p| p.1).collect())).collect())
    }

    fn at(&self, peer: &Opaque) -> &TrafficSet {
        self.0.binary_search_by(|(known, _)| known.cmp(peer)).map_or(&NOTHING, |i| &self.0[i].1)
    }

    /// Takes a traffic from a peer in some families.
    fn remove(&mut self, kind: PeerKind, atom: Atom, family: Family, traffic: &TrafficSet) {
        let hit = |(k, a, f): Opaque| k == kind && a == atom && family.contains(f);
        self.0.iter_mut().filter(|(peer, _)| hit(*peer)).for_each(|(_, own)| *own = own.difference(traffic));
        self.0.retain(|(_, own)| !own.is_empty());
    }

    fn combine(&self, other: &Self, op: impl Fn(&TrafficSet, &TrafficSet) -> TrafficSet) -> Self {
        let mut peers: Vec<Opaque> = self.0.iter().chain(&other.0).map(|(peer, _)| *peer).collect();
        peers.sort_unstable();
        peers.dedup();
        let both = peers.into_iter().map(|peer| (peer, op(self.at(&peer), other.at(&peer))));
        Self(both.filter(|(_, traffic)| !traffic.is_empty()).collect())
    }
}

/// The packets that rules of one direction let through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PacketSet {
    v4: AddressMap,
    v6: AddressMap,
    opaque: OpaqueMap,
}

impl PacketSet {
    /// What `rules` let through together; their directions are not looked at.
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Self {
        let (mut v4, mut v6, mut opaque) = (Vec::new(), Vec::new(), Vec::new());
        for rule in rules {
            match rule.peer {
                RulePeer::Addresses(cidr) => {
                    let (first, last) = cidr.bounds();
                    let parts = if cidr.family() == Family::Ipv4 { &mut v4 } else { &mut v6 };
                    parts.push((first, last, rule.traffic));
                }
                RulePeer::Opaque(kind, atom, family) => {
                    opaque.extend(family.each().iter().map(|family| ((kind, atom, *family), rule.traffic)));
                }
            }
        }
        Self { v4: AddressMap::of(v4), v6: AddressMap::of(v6), opaque: OpaqueMap::of(opaque) }
    }

    /// Whether no packet is in it.
    pub fn is_empty(&self) -> bool {
        self.v4.0.is_empty() && self.v6.0.is_empty() && self.opaque.0.is_empty()
    }

    /// The packets in either.
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, TrafficSet::union)
    }

    /// The packets in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, TrafficSet::intersection)
    }

    /// The packets in this one that are not in `other`.
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, TrafficSet::difference)
    }

    /// Whether every packet of `other` is in this one.
    pub fn contains(&self, other: &Self) -> bool {
        other.difference(self).is_empty()
    }

    /// Whether every packet of one rule is in this set; as [`PacketSet::contains`], without building a set.
    pub fn carries(&self, rule: &Rule) -> bool {
        match rule.peer {
            RulePeer::Opaque(kind, atom, family) => {
                family.each().iter().all(|family| self.opaque.at(&(kind, atom, *family)).has(rule.traffic))
            }
            RulePeer::Addresses(cidr) => {
                let map = if cidr.family() == Family::Ipv4 { &self.v4 } else { &self.v6 };
                map.has(cidr.bounds(), rule.traffic)
            }
        }
    }

    /// The packets of one rule that are in this set; as [`PacketSet::intersection`], but looks only where the rule is.
    pub fn within(&self, rule: &Rule) -> Self {
        let mut part = Self::default();
        match rule.peer {
            RulePeer::Opaque(kind, atom, family) => {
                let peers = family.each().iter().map(|family| (kind, atom, *family));
                let parts = peers.map(|peer| (peer, self.opaque.at(&peer).within(rule.traffic)));
                part.opaque = OpaqueMap(parts.filter(|(_, traffic)| !traffic.is_empty()).collect());
            }
            RulePeer::Addresses(cidr) if cidr.family() == Family::Ipv4 => {
                part.v4 = self.v4.within(cidr.bounds(), rule.traffic);
            }
            RulePeer::Addresses(cidr) => part.v6 = self.v6.within(cidr.bounds(), rule.traffic),
        }
        part
    }

    /// Takes the packets of one rule away; as [`PacketSet::difference`], in place.
    pub fn remove(&mut self, rule: &Rule) {
        let traffic = TrafficSet::from(rule.traffic);
        match rule.peer {
            RulePeer::Opaque(kind, atom, family) => self.opaque.remove(kind, atom, family, &traffic),
            RulePeer::Addresses(cidr) if cidr.family() == Family::Ipv4 => self.v4.remove(cidr.bounds(), &traffic),
            RulePeer::Addresses(cidr) => self.v6.remove(cidr.bounds(), &traffic),
        }
    }

    /// Whether some packet is in both.
    pub fn intersects(&self, other: &Self) -> bool {
        !self.intersection(other).is_empty()
    }

    /// The packets whose traffic is in `traffic`, whoever the peer.
    pub fn on(&self, traffic: &TrafficSet) -> Self {
        self.map(|own| own.intersection(traffic))
    }

    /// The packets whose traffic is not in `traffic`, whoever the peer.
    pub fn except_on(&self, traffic: &TrafficSet) -> Self {
        self.map(|own| own.difference(traffic))
    }

    fn map(&self, op: impl Fn(&TrafficSet) -> TrafficSet) -> Self {
        let addresses = |m: &AddressMap| {
            let mut out = AddressMap::default();
            m.0.iter().for_each(|s| out.push(s.first, s.last, op(&s.traffic)));
            out
        };
        let opaque = self.opaque.combine(&OpaqueMap::default(), |own, _| op(own));
        Self { v4: addresses(&self.v4), v6: addresses(&self.v6), opaque }
    }

    fn combine(&self, other: &Self, op: impl Fn(&TrafficSet, &TrafficSet) -> TrafficSet) -> Self {
        Self {
            v4: self.v4.combine(&other.v4, &op),
            v6: self.v6.combine(&other.v6, &op),
            opaque: self.opaque.combine(&other.opaque, &op),
        }
    }

    /// The rule that lets through exactly this set, where one does; as [`PacketSet::cover`], without every box that fits.
    pub fn as_rule(&self, direction: Direction) -> Option<Rule> {
        match (&self.v4.0[..], &self.v6.0[..], &self.opaque.0[..]) {
            ([stretch], [], []) => exactly(stretch, Family::Ipv4, direction),
            ([], [stretch], []) => exactly(stretch, Family::Ipv6, direction),
            ([], [], _) => match self.cover(direction)[..] {
                [one] => Some(one),
                _ => None,
            },
            _ => None,
        }
    }

    /// The traffic of all its packets, whoever the peer.
    pub fn traffic(&self) -> TrafficSet {
        let addresses = self.v4.0.iter().chain(&self.v6.0).map(|stretch| &stretch.traffic);
        addresses.chain(self.opaque.0.iter().map(|(_, traffic)| traffic)).flat_map(TrafficSet::iter).collect()
    }

    /// Rules that let through exactly this set: for each peer the fewest, none inside the others together; sorted.
    ///
    /// An opaque peer whose families have the same traffic gets one rule for both.
    pub fn cover(&self, direction: Direction) -> Vec<Rule> {
        let mut rules = Vec::new();
        for &((kind, atom, family), ref traffic) in &self.opaque.0 {
            let twin = |other| self.opaque.at(&(kind, atom, other));
            let family = match family {
                Family::Ipv4 if twin(Family::Ipv6) == traffic => Family::Both,
                Family::Ipv6 if twin(Family::Ipv4) == traffic => continue,
                single => single,
            };
            let peer = RulePeer::Opaque(kind, atom, family);
            rules.extend(traffic.traffics().into_iter().map(|traffic| Rule { direction, peer, traffic }));
        }
        for (map, family) in [(&self.v4, Family::Ipv4), (&self.v6, Family::Ipv6)] {
            rules.extend(address_cover(map, family, direction));
        }
        rules.sort_unstable();
        rules
    }
}

/// The rule that is a stretch, where one is.
fn exactly(stretch: &Stretch, family: Family, direction: Direction) -> Option<Rule> {
    let Stretch { first, last, traffic } = stretch;
    let ([traffic], [range]) = (&traffic.traffics()[..], &prefixes(*first, *last, family)[..]) else { return None };
    Some(Rule { direction, peer: RulePeer::Addresses(*range), traffic: *traffic })
}

/// Every largest box of a prefix and a traffic that fits, then without those that the others cover together.
fn address_cover(map: &AddressMap, family: Family, direction: Direction) -> Vec<Rule> {
    let traffics: BTreeSet<Traffic> = map.0.iter().flat_map(|s| s.traffic.traffics()).collect();
    let mut boxes: Vec<Rule> = Vec::new();
    for traffic in traffics {
        let mut runs: Vec<(u128, u128)> = Vec::new();
        for stretch in map.0.iter().filter(|s| s.traffic.has(traffic)) {
            match runs.last_mut() {
                Some(run) if run.1.checked_add(1) == Some(stretch.first) => run.1 = stretch.last,
                _ => runs.push((stretch.first, stretch.last)),
            }
        }
        let prefixes = runs.into_iter().flat_map(|(first, last)| prefixes(first, last, family));
        boxes.extend(prefixes.map(|cidr| Rule { direction, peer: RulePeer::Addresses(cidr), traffic }));
    }
    without_covered(boxes)
}

/// Drops rules that the rest cover together, the smallest first.
pub(crate) fn without_covered(mut rules: Vec<Rule>) -> Vec<Rule> {
    let place = |rule: &Rule| match rule.peer {
        RulePeer::Addresses(cidr) => (Some(cidr.family()), None),
        RulePeer::Opaque(kind, atom, _) => (None, Some((kind, atom))),
    };
    rules.sort_unstable_by_key(|rule| (place(rule), rule.traffic.points()));
    // A rule that begins behind all before it overlaps none of them.
    let mut reach = 0;
    let clusters = rules.chunk_by(|rule, next| {
        reach = reach.max(rule.traffic.points().1);
        let near = place(rule) == place(next) && next.traffic.points().0 <= reach;
        reach = if near { reach } else { 0 };
        near
    });
    let mut out = Vec::new();
    for near in clusters {
        if let [one] = near { out.push(*one) } else { out.extend(without_covered_near(near.to_vec())) }
    }
    out
}

fn without_covered_near(mut rules: Vec<Rule>) -> Vec<Rule> {
    let size = |rule: &Rule| {
        let (lo, hi) = rule.traffic.points();
        let length = match rule.peer {
            RulePeer::Addresses(cidr) => cidr.net().prefix_len(),
            RulePeer::Opaque(..) => 0,
        };
        (std::cmp::Reverse(length), hi - lo, *rule)
    };
    rules.sort_by_key(size);
    let mut at = 0;
    while at < rules.len() {
        let candidate = rules[at];
        let mut rest =
            rules.iter().enumerate().filter(|(i, r)| *i != at && overlap(r, &candidate)).map(|(_, r)| *r).peekable();
        if rest.peek().is_some() && PacketSet::of(rest).carries(&candidate) {
            rules.remove(at);
        } else {
            at += 1;
        }
    }
    rules
}

/// Whether two rules of one direction share a packet.
pub(crate) fn overlap(a: &Rule, b: &Rule) -> bool {
    let ((a_lo, a_hi), (b_lo, b_hi)) = (a.traffic.points(), b.traffic.points());
    let traffic = a_lo <= b_hi && b_lo <= a_hi;
    let peers = || match (a.peer, b.peer) {
        (RulePeer::Addresses(x), RulePeer::Addresses(y)) => x.contains(y) || y.contains(x),
        (RulePeer::Opaque(k, x, f), RulePeer::Opaque(l, y, g)) => k == l && x == y && (f.contains(g) || g.contains(f)),
        _ => false,
    };
    traffic && peers()
}

/// The fewest prefixes that make up the addresses `first..=last`.
fn prefixes(first: u128, last: u128, family: Family) -> Vec<Cidr> {
    if family == Family::Ipv4 {
        let v4 = |n: u128| u32::try_from(n).expect("IPv4 bounds are below 2^32");
        let subnets = ipnet::Ipv4Subnets::new(v4(first).into(), v4(last).into(), 0);
        subnets.map(|net: Ipv4Net| Cidr::new(net.into())).collect()
    } else {
        let subnets = ipnet::Ipv6Subnets::new(first.into(), last.into(), 0);
        subnets.map(|net: Ipv6Net| Cidr::new(net.into())).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;

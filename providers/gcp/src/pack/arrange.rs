//! Which firewall rule holds which of a group's rules when its changes are done.

use std::collections::{BTreeMap, BTreeSet};

use rsgsync_core::rule::{Direction, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;

use super::product::{Most, Product, Rows, products, rows, take};

/// A firewall rule that is there.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// What it lets through; nothing while it is disabled.
    pub before: BTreeSet<Rule>,
    /// What is to go from it.
    pub goes: BTreeSet<Rule>,
    /// Whether rules may go into it: it carries marks of ours and no other.
    pub takes: bool,
}

/// What firewall rules hold in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arrangement<'a> {
    /// Those that are there, by name, whose rules change; one without rules goes.
    pub changed: BTreeMap<&'a str, BTreeSet<Rule>>,
    /// New ones.
    pub new: Vec<BTreeSet<Rule>>,
}

/// The fewest changes after which the parts, and new ones, hold what they do without what goes, and all of `adds`.
///
/// A part that loses some of its rules keeps a product of what is left; the rest moves. What is missing goes into parts that
/// take it where they stay exact products, into such as have nothing left, else into new ones.
pub(super) fn arrange<'a>(
    parts: &BTreeMap<&'a str, Part>,
    adds: &BTreeSet<Rule>,
    direction: Direction,
    most: &Most,
) -> Arrangement<'a> {
    let mut frozen: BTreeSet<&str> = BTreeSet::new();
    loop {
        let arrangement = Draft::of(parts, adds, &frozen).finish(parts, direction, most);
        match relies_on_another(parts, &arrangement) {
            None => return arrangement,
            Some(name) => frozen.insert(name),
        };
    }
}

/// A part that would take rules in while another such part takes away or adds what it adds or takes away: neither could go
/// first.
fn relies_on_another<'a>(parts: &BTreeMap<&'a str, Part>, arrangement: &Arrangement<'a>) -> Option<&'a str> {
    let mut replaced: Vec<(Vec<Rule>, Vec<Rule>)> = Vec::new();
    for (name, after) in &arrangement.changed {
        let before = parts.get(name).map(|part| &part.before)?;
        let adds: Vec<Rule> = after.difference(before).copied().collect();
        let removes: Vec<Rule> = before.difference(after).copied().collect();
        if adds.is_empty() || removes.is_empty() {
            continue;
        }
        if replaced.iter().any(|(theirs, goes)| meet(&adds, goes) || meet(theirs, &removes)) {
            return Some(name);
        }
        replaced.push((adds, removes));
    }
    None
}

/// Whether some packet is in both.
fn meet(some: &[Rule], others: &[Rule]) -> bool {
    some.iter().any(|one| others.iter().any(|other| overlap(one, other)))
}

fn overlap(one: &Rule, other: &Rule) -> bool {
    let ((low, high), (first, last)) = (one.traffic.points(), other.traffic.points());
    let peers = match (one.peer, other.peer) {
        (RulePeer::Addresses(one), RulePeer::Addresses(other)) => one.contains(other) || other.contains(one),
        (one, other) => one == other,
    };
    one.direction == other.direction && low <= last && first <= high && peers
}

/// An arrangement in the making.
struct Draft<'a> {
    /// What each part holds so far.
    held: BTreeMap<&'a str, Product>,
    /// Parts that rules may go into.
    open: Vec<&'a str>,
    /// Parts that lose or gain something.
    touched: BTreeSet<&'a str>,
    /// What has no place yet.
    lacks: Rows,
}

impl<'a> Draft<'a> {
    fn of(parts: &BTreeMap<&'a str, Part>, adds: &BTreeSet<Rule>, frozen: &BTreeSet<&str>) -> Self {
        let (mut held, mut open, mut touched) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        let mut missing = adds.clone();
        for (name, part) in parts {
            let mut left = rows(part.before.difference(&part.goes));
            let keep = Product::largest(&left);
            take(&mut left, &keep);
            for (peer, traffic) in left {
                let direction = part.before.first().map(|rule| rule.direction);
                let rule = |traffic| Some(Rule { direction: direction?, peer, traffic });
                missing.extend(traffic.into_iter().filter_map(rule));
            }
            if !part.goes.is_empty() {
                touched.insert(*name);
            }
            if part.takes && !frozen.contains(name) {
                open.push(*name);
            }
            held.insert(*name, keep);
        }
        Self { held, open, touched, lacks: rows(&missing) }
    }

    fn finish(mut self, parts: &BTreeMap<&'a str, Part>, direction: Direction, most: &Most) -> Arrangement<'a> {
        while self.widen(most) {}
        let mut new = products(&self.lacks, most);
        self.refill(parts, &mut new);
        let Self { held, open: _, touched, lacks: _ } = self;
        let changed = held.into_iter().filter(|(name, _)| touched.contains(name));
        Arrangement {
            changed: changed.map(|(name, product)| (name, product.rules(direction))).collect(),
            new: new.iter().map(|product| product.rules(direction)).collect(),
        }
    }

    /// Lets one part take in what it can hold as an exact product, where that saves a new one.
    fn widen(&mut self, most: &Most) -> bool {
        if self.lacks.is_empty() {
            return false;
        }
        let needed = products(&self.lacks, most).len();
        for name in self.open.clone() {
            for wider in self.wider(name, most) {
                let mut lacks = self.lacks.clone();
                take(&mut lacks, &wider);
                if products(&lacks, most).len() < needed {
                    self.lacks = lacks;
                    self.touched.insert(name);
                    let held = self.held.entry(name).or_default();
                    held.peers.extend(wider.peers);
                    held.traffic.extend(wider.traffic);
                    return true;
                }
            }
        }
        false
    }

    /// What a part could take in: peers that lack just its traffic, or all of it; traffic that all its peers lack.
    fn wider(&self, name: &str, most: &Most) -> Vec<Product> {
        let Some(held) = self.held.get(name).filter(|held| !held.is_empty()) else { return Vec::new() };
        let mut all = Vec::new();
        let just = self.lacks.iter().filter(|(_, lacks)| **lacks == held.traffic);
        let whole = self.lacks.iter().filter(|(_, lacks)| lacks.is_superset(&held.traffic));
        for peers in [most.room(&held.peers, just.map(|(peer, _)| peer)), most.room(&held.peers, whole.map(|(p, _)| p))]
        {
            all.push(Product { peers, traffic: held.traffic.clone() });
        }
        let mut of_peers = held.peers.iter().map(|peer| self.lacks.get(peer).cloned().unwrap_or_default());
        let first = of_peers.next().unwrap_or_default();
        let common = of_peers.fold(first, |common, next| common.intersection(&next).copied().collect());
        all.push(Product { peers: held.peers.clone(), traffic: common });
        all.retain(|product| !product.is_empty());
        all
    }

    /// Puts new products into parts that have nothing left, each the one that is most like what the part was.
    fn refill(&mut self, parts: &BTreeMap<&'a str, Part>, new: &mut Vec<Product>) {
        for name in self.open.clone() {
            let Some(held) = self.held.get_mut(name).filter(|held| held.is_empty()) else { continue };
            let was = parts.get(name).map(|part| &part.before);
            let peers: BTreeSet<RulePeer> = was.into_iter().flatten().map(|rule| rule.peer).collect();
            let traffic: BTreeSet<Traffic> = was.into_iter().flatten().map(|rule| rule.traffic).collect();
            let likeness = |product: &Product| {
                product.peers.intersection(&peers).count() + product.traffic.intersection(&traffic).count()
            };
            let best = (0..new.len()).max_by_key(|at| (likeness(&new[*at]), std::cmp::Reverse(*at)));
            if let Some(best) = best {
                *held = new.remove(best);
                self.touched.insert(name);
            }
        }
    }
}

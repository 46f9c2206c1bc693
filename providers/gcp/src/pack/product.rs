//! Sets of peers and traffic become the fewest exact products that firewall rules can hold.

use std::collections::{BTreeMap, BTreeSet};

use rsgsync_core::rule::{Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;

/// What each peer is to be let through, or still lacks; no peer without traffic.
pub(super) type Rows = BTreeMap<RulePeer, BTreeSet<Traffic>>;

/// Every peer with all of the traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Product {
    pub peers: BTreeSet<RulePeer>,
    pub traffic: BTreeSet<Traffic>,
}

/// How many peers one firewall rule may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Address ranges, of one family.
    pub addresses: usize,
    pub tags: usize,
    pub accounts: usize,
}

/// Peers by what a firewall rule counts: addresses of each family, which don't mix, and names, which go with either.
#[derive(Default)]
struct Kinds {
    v4: Vec<RulePeer>,
    v6: Vec<RulePeer>,
    tags: Vec<RulePeer>,
    accounts: Vec<RulePeer>,
}

impl Kinds {
    fn of<'a>(peers: impl IntoIterator<Item = &'a RulePeer>) -> Self {
        let mut kinds = Self::default();
        for peer in peers {
            let kind = match peer {
                RulePeer::Addresses(cidr) if cidr.family() == Family::Ipv4 => &mut kinds.v4,
                RulePeer::Addresses(_) => &mut kinds.v6,
                RulePeer::Opaque(PeerKind::ServiceAccount, ..) => &mut kinds.accounts,
                RulePeer::Opaque(..) => &mut kinds.tags,
            };
            kind.push(*peer);
        }
        kinds
    }
}

impl Most {
    /// The fewest sets of these peers that a firewall rule can have.
    pub fn split(&self, peers: &BTreeSet<RulePeer>) -> Vec<BTreeSet<RulePeer>> {
        let Kinds { v4, v6, tags, accounts } = Kinds::of(peers);
        let ranges = v4.chunks(self.addresses).chain(v6.chunks(self.addresses));
        let mut sets: Vec<BTreeSet<RulePeer>> = ranges.map(|part| part.iter().copied().collect()).collect();
        let names = tags.chunks(self.tags).chain(accounts.chunks(self.accounts));
        for (at, names) in names.enumerate() {
            if at == sets.len() {
                sets.push(BTreeSet::new());
            }
            sets[at].extend(names);
        }
        sets
    }

    /// Those of `more`, in their order, that a firewall rule with `peers` has room for.
    pub fn room<'a>(
        &self,
        peers: &BTreeSet<RulePeer>,
        more: impl IntoIterator<Item = &'a RulePeer>,
    ) -> BTreeSet<RulePeer> {
        let Kinds { mut v4, mut v6, mut tags, mut accounts } = Kinds::of(peers);
        let mut fits = BTreeSet::new();
        for peer in more {
            let (of_kind, most, others) = match peer {
                RulePeer::Addresses(cidr) if cidr.family() == Family::Ipv4 => (&mut v4, self.addresses, &v6),
                RulePeer::Addresses(_) => (&mut v6, self.addresses, &v4),
                RulePeer::Opaque(PeerKind::ServiceAccount, ..) => (&mut accounts, self.accounts, &tags),
                RulePeer::Opaque(..) => (&mut tags, self.tags, &accounts),
            };
            if of_kind.len() < most && others.is_empty() {
                of_kind.push(*peer);
                fits.insert(*peer);
            }
        }
        fits
    }
}

impl Product {
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty() || self.traffic.is_empty()
    }

    fn size(&self) -> usize {
        self.peers.len() * self.traffic.len()
    }

    pub fn rules(&self, direction: Direction) -> BTreeSet<Rule> {
        let of = |peer: &RulePeer| {
            let peer = *peer;
            self.traffic.iter().map(move |traffic| Rule { direction, peer, traffic: *traffic })
        };
        self.peers.iter().flat_map(of).collect()
    }

    /// The largest product of peers with equal traffic, or of traffic with equal peers: all of `rows` where that is one.
    pub fn largest(rows: &Rows) -> Self {
        let all = by_equal_traffic(rows).into_iter().chain(by_equal_peers(rows));
        all.reduce(|largest, next| if next.size() > largest.size() { next } else { largest }).unwrap_or_default()
    }
}

/// The fewest products that are `rows` together: peers with equal traffic share some, or traffic with equal peers does.
pub(super) fn products(rows: &Rows, most: &Most) -> Vec<Product> {
    let split = |product: Product| {
        let parts = most.split(&product.peers).into_iter();
        parts.map(move |peers| Product { peers, traffic: product.traffic.clone() })
    };
    let by_traffic: Vec<Product> = by_equal_traffic(rows).into_iter().flat_map(split).collect();
    let by_peers: Vec<Product> = by_equal_peers(rows).into_iter().flat_map(split).collect();
    if by_peers.len() < by_traffic.len() { by_peers } else { by_traffic }
}

fn by_equal_traffic(rows: &Rows) -> Vec<Product> {
    let mut groups: BTreeMap<&BTreeSet<Traffic>, BTreeSet<RulePeer>> = BTreeMap::new();
    for (peer, traffic) in rows {
        groups.entry(traffic).or_default().insert(*peer);
    }
    groups.into_iter().map(|(traffic, peers)| Product { peers, traffic: traffic.clone() }).collect()
}

fn by_equal_peers(rows: &Rows) -> Vec<Product> {
    let mut columns: BTreeMap<Traffic, BTreeSet<RulePeer>> = BTreeMap::new();
    for (peer, traffic) in rows {
        traffic.iter().for_each(|traffic| {
            columns.entry(*traffic).or_default().insert(*peer);
        });
    }
    let mut groups: BTreeMap<BTreeSet<RulePeer>, BTreeSet<Traffic>> = BTreeMap::new();
    for (traffic, peers) in columns {
        groups.entry(peers).or_default().insert(traffic);
    }
    groups.into_iter().map(|(peers, traffic)| Product { peers, traffic }).collect()
}

/// The rules as rows.
pub(super) fn rows<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Rows {
    let mut rows = Rows::new();
    for rule in rules {
        rows.entry(rule.peer).or_default().insert(rule.traffic);
    }
    rows
}

/// Takes a product out of rows that have all of it.
pub(super) fn take(rows: &mut Rows, product: &Product) {
    for peer in &product.peers {
        if let Some(traffic) = rows.get_mut(peer) {
            traffic.retain(|one| !product.traffic.contains(one));
        }
    }
    rows.retain(|_, traffic| !traffic.is_empty());
}

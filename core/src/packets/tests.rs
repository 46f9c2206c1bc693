use proptest::prelude::*;

use super::*;
use crate::testing::{cases, rule, small_rules};
use crate::traffic::PortRange;

fn set(texts: &[&str]) -> PacketSet {
    PacketSet::of(texts.iter().map(|t| rule(t)))
}

fn check_cover(rules: &[&str], cover: &[&str]) {
    let mut expected: Vec<Rule> = cover.iter().map(|t| rule(t)).collect();
    expected.sort();
    assert_eq!(set(rules).cover(Direction::Ingress), expected);
}

#[test]
fn adjacent_ports_merge() {
    check_cover(&["2379/tcp from g:etcd", "2380/tcp from g:etcd"], &["2379-2380/tcp from g:etcd"]);
}

#[test]
fn ports_with_a_gap_stay_apart() {
    check_cover(&["10250/tcp from g:web", "10252/tcp from g:web"], &["10250/tcp from g:web", "10252/tcp from g:web"]);
}

#[test]
fn covered_rules_vanish() {
    check_cover(
        &["10250/tcp from g:web", "10250-10252/tcp from g:web", "22/tcp from 10.0.0.0/8", "22/tcp from 10.1.0.0/16"],
        &["10250-10252/tcp from g:web", "22/tcp from 10.0.0.0/8"],
    );
}

#[test]
fn sibling_prefixes_join() {
    check_cover(&["22/tcp from 10.0.0.0/9", "22/tcp from 10.128.0.0/9"], &["22/tcp from 10.0.0.0/8"]);
}

#[test]
fn neighbouring_prefixes_that_are_no_siblings_stay_apart() {
    let rules = ["22/tcp from 10.1.0.0/16", "22/tcp from 10.2.0.0/16"];
    check_cover(&rules, &rules);
}

#[test]
fn a_range_inside_another_keeps_only_what_it_adds() {
    check_cover(
        &["22/tcp from 10.0.0.0/8", "22-23/tcp from 10.1.0.0/16"],
        &["22/tcp from 10.0.0.0/8", "22-23/tcp from 10.1.0.0/16"],
    );
}

#[test]
fn tcp_all_and_udp_all_are_not_all() {
    let both = ["tcp from g:web", "udp from g:web"];
    check_cover(&both, &both);
    assert!(!set(&both).contains(&set(&["all from g:web"])));
    assert!(set(&["all from g:web"]).contains(&set(&both)));
}

#[test]
fn any_v4_is_not_any_v6() {
    assert!(!set(&["22/tcp from 0.0.0.0/0"]).intersects(&set(&["22/tcp from ::/0"])));
}

#[test]
fn a_group_and_a_range_do_not_cover_each_other() {
    assert!(!set(&["22/tcp from 0.0.0.0/0", "22/tcp from ::/0"]).intersects(&set(&["22/tcp from g:web"])));
}

#[test]
fn a_reference_for_each_family_is_one_for_both() {
    check_cover(&["22/tcp from g4:web", "22/tcp from g6:web"], &["22/tcp from g:web"]);
    check_cover(&["22/tcp from g4:web", "23/tcp from g6:web"], &["22/tcp from g4:web", "23/tcp from g6:web"]);
}

#[test]
fn the_last_address_is_an_address() {
    check_cover(
        &["22/tcp from 255.255.255.255", "22/tcp from ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
        &["22/tcp from 255.255.255.255", "22/tcp from ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
    );
    assert!(set(&["22/tcp from ::/0"]).contains(&set(&["22/tcp from ffff::/16"])));
}

/// A universe of 16 ports of two protocols, 16 addresses of each family and 3 groups, as single packets.
fn packets(rules: &[Rule]) -> BTreeSet<(u32, u8, u128)> {
    let mut out = BTreeSet::new();
    for rule in rules {
        let (lo, hi) = rule.traffic.points();
        for point in
            [6 << 16, 17 << 16].into_iter().flat_map(|base: u32| base..base + 16).filter(|p| (lo..=hi).contains(p))
        {
            match rule.peer {
                RulePeer::Addresses(cidr) => {
                    let base = if cidr.family() == Family::Ipv4 { 0x0A00_0000 } else { 0xFD00 << 112 };
                    let (first, last) = cidr.bounds();
                    let kind = if cidr.family() == Family::Ipv4 { 4 } else { 6 };
                    out.extend((base..base + 16).filter(|a| (first..=last).contains(a)).map(|a| (point, kind, a)));
                }
                RulePeer::Opaque(_, atom, family) => {
                    for f in family.each() {
                        let atom = format!("{atom:?}").bytes().map(u128::from).sum();
                        out.insert((point, if *f == Family::Ipv4 { 14 } else { 16 }, atom));
                    }
                }
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn set_operations_agree_with_single_packets(a in small_rules(10), b in small_rules(10)) {
        let (x, y) = (PacketSet::of(a.iter().copied()), PacketSet::of(b.iter().copied()));
        let (p, q) = (packets(&a), packets(&b));
        let spelled = |s: &PacketSet| packets(&s.cover(Direction::Ingress));
        prop_assert_eq!(spelled(&x.union(&y)), p.union(&q).copied().collect::<BTreeSet<_>>());
        prop_assert_eq!(spelled(&x.intersection(&y)), p.intersection(&q).copied().collect::<BTreeSet<_>>());
        prop_assert_eq!(spelled(&x.difference(&y)), p.difference(&q).copied().collect::<BTreeSet<_>>());
        prop_assert_eq!(x.contains(&y), y.difference(&x).is_empty());
        for rule in &b {
            prop_assert_eq!(x.carries(rule), x.contains(&PacketSet::of([*rule])));
        }
    }

    #[test]
    fn every_law_of_sets_holds(a in small_rules(8), b in small_rules(8), c in small_rules(8)) {
        let [a, b, c] = [a, b, c].map(PacketSet::of);
        let nothing = PacketSet::default();
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
        prop_assert_eq!(a.intersection(&b).intersection(&c), a.intersection(&b.intersection(&c)));
        prop_assert_eq!(a.intersection(&b.union(&c)), a.intersection(&b).union(&a.intersection(&c)));
        prop_assert_eq!(a.union(&b.intersection(&c)), a.union(&b).intersection(&a.union(&c)));
        prop_assert_eq!(a.difference(&b.union(&c)), a.difference(&b).intersection(&a.difference(&c)));
        prop_assert_eq!(a.difference(&b.intersection(&c)), a.difference(&b).union(&a.difference(&c)));
        prop_assert_eq!(a.difference(&b.difference(&c)), a.difference(&b).union(&a.intersection(&c)));
        prop_assert_eq!(a.union(&a.intersection(&b)), a.clone());
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert_eq!((a.union(&nothing), a.intersection(&nothing)), (a.clone(), nothing.clone()));
        prop_assert_eq!((a.difference(&a), a.union(&a)), (nothing, a.clone()));
        prop_assert_eq!(a.contains(&b), a.union(&b) == a);
        prop_assert_eq!(a.contains(&b) && b.contains(&a), a == b);
        prop_assert_eq!(a.intersects(&b), !a.intersection(&b).is_empty());
    }

    #[test]
    fn the_cover_of_one_peer_is_the_smallest(
        ports in prop::collection::vec((0u16..16, 0u16..16), 1..6),
        ranges in prop::collection::btree_set(0u32..16, 1..16),
        of_group in any::<bool>(),
    ) {
        // Ports: as many rules as there are runs, whatever the peer.
        let peer = if of_group { "g:web" } else { "10.0.0.0/28" };
        let range = |(a, b): &(u16, u16)| format!("{}-{}/tcp from {peer}", a.min(b), a.max(b));
        let texts: Vec<String> = ports.iter().map(range).collect();
        let open = |port: u16| ports.iter().any(|(a, b)| (a.min(b)..=a.max(b)).contains(&&port));
        let runs = (0..16).filter(|p| open(*p) && (*p == 0 || !open(p - 1))).count();
        let cover = |texts: &[String]| PacketSet::of(texts.iter().map(|t| rule(t))).cover(Direction::Ingress).len();
        prop_assert_eq!(cover(&texts), runs);
        // Addresses: a range of 2^n costs one rule where it is whole, else what its halves cost.
        let texts: Vec<String> = ranges.iter().map(|a| format!("22/tcp from 10.0.0.{a}")).collect();
        prop_assert_eq!(cover(&texts), fewest_prefixes(&ranges, 0, 16));
    }

    #[test]
    fn the_cover_is_exact_and_has_nothing_to_spare(a in prop_oneof![small_rules(3), small_rules(10)]) {
        let whole = PacketSet::of(a.iter().copied());
        let cover = whole.cover(Direction::Ingress);
        prop_assert_eq!(&PacketSet::of(cover.iter().copied()), &whole);
        prop_assert_eq!(whole.as_rule(Direction::Ingress), (cover.len() == 1).then(|| cover[0]));
        for i in 0..cover.len() {
            let rest = cover.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, r)| *r);
            prop_assert!(PacketSet::of(rest) != whole, "{:?} could go", cover[i]);
        }
    }

    #[test]
    fn order_splitting_and_repetition_make_no_difference(mut a in small_rules(10), seed in any::<u64>()) {
        let whole = PacketSet::of(a.iter().copied());
        let halves: Vec<Rule> = a.iter().flat_map(split).collect();
        a.extend(halves);
        let by = (seed as usize) % a.len().max(1);
        a.rotate_left(by);
        prop_assert_eq!(PacketSet::of(a), whole);
    }
}

fn fewest_prefixes(addresses: &BTreeSet<u32>, first: u32, size: u32) -> usize {
    match addresses.range(first..first + size).count() as u32 {
        0 => 0,
        whole if whole == size => 1,
        _ => {
            let half = size / 2;
            fewest_prefixes(addresses, first, half) + fewest_prefixes(addresses, first + half, half)
        }
    }
}

/// The same packets in two rules, where the ports or the prefix can be halved.
pub(crate) fn split(rule: &Rule) -> Vec<Rule> {
    let traffic = |from, to| Rule {
        traffic: Traffic::on_ports(rule.traffic.protocol(), PortRange::new(from, to).unwrap()),
        ..*rule
    };
    match (rule.traffic.ports(), rule.peer) {
        (Some(p), _) if p.from() < p.to() => vec![traffic(p.from(), p.from()), traffic(p.from() + 1, p.to())],
        (_, RulePeer::Addresses(cidr)) if cidr.net().prefix_len() < cidr.net().max_prefix_len() => {
            let halves = cidr.net().subnets(cidr.net().prefix_len() + 1).unwrap();
            halves.map(|net| Rule { peer: RulePeer::Addresses(Cidr::new(net)), ..*rule }).collect()
        }
        _ => vec![*rule],
    }
}

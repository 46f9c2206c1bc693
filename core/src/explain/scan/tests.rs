use proptest::prelude::*;

use super::*;
use crate::testing::{atom, cases, rule, small_rule};
use crate::traffic::Traffic;

fn allow(text: &str) -> Decider {
    Decider { rule: rule(text), allows: true, priority: Some(1000), certain: true }
}

fn deny(priority: u32, text: &str) -> Decider {
    Decider { allows: false, priority: Some(priority), ..allow(text) }
}

fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).unwrap()
}

fn web(known: &[&str]) -> Party {
    Party::Named(PeerKind::Group, atom("web"), known.iter().map(|text| cidr(text)).collect())
}

/// What is allowed, what is denied, and what nobody knows, of some traffic.
#[track_caller]
fn check(deciders: &[Decider], party: &Party, traffic: &str, [allowed, denied, unknown]: [&[&str]; 3]) {
    let asked: TrafficSet = Traffic::parse_list(traffic).unwrap().into_iter().collect();
    let found = scan(deciders, party, Family::Ipv4, &asked, &BTreeMap::new());
    let spelled = |set: &TrafficSet| set.traffics().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(spelled(&found.allowed), allowed, "allowed");
    assert_eq!(spelled(&found.denied), denied, "denied");
    assert_eq!(spelled(&asked.difference(&found.allowed).difference(&found.denied)), unknown, "unknown");
}

#[test]
fn a_range_is_let_through_where_all_of_it_is() {
    let rules = [allow("22-23/tcp from 10.0.0.0/9"), allow("22/tcp from 10.128.0.0/9")];
    let party = Party::Every(cidr("10.0.0.0/8"));
    check(&rules, &party, "22-24/tcp", [&["22/tcp"], &["23-24/tcp"], &[]]);
    check(&rules, &Party::Every(cidr("10.1.2.3")), "22-24/tcp", [&["22-23/tcp"], &["24/tcp"], &[]]);
}

#[test]
fn a_group_is_let_through_by_its_name_and_by_ranges_around_it() {
    check(&[allow("22/tcp from g:web")], &web(&[]), "22-23/tcp", [&["22/tcp"], &["23/tcp"], &[]]);
    check(&[allow("22/tcp from 0.0.0.0/0")], &web(&[]), "22/tcp", [&["22/tcp"], &[], &[]]);
    check(&[allow("22/tcp from 10.0.0.0/8")], &web(&["10.1.0.0/16"]), "22/tcp", [&["22/tcp"], &[], &[]]);
    check(&[allow("22/tcp from 10.0.0.0/8")], &web(&["192.168.0.0/16"]), "22/tcp", [&[], &["22/tcp"], &[]]);
    check(&[allow("22/tcp from 10.0.0.0/8")], &web(&[]), "22/tcp", [&[], &[], &["22/tcp"]]);
    check(&[allow("22/tcp from g:db")], &web(&[]), "22/tcp", [&[], &["22/tcp"], &[]]);
}

#[test]
fn a_private_address_may_be_a_node_s_and_a_public_one_is_not() {
    let rules = [allow("22/tcp from g:db")];
    check(&rules, &Party::Every(cidr("10.1.2.3")), "22/tcp", [&[], &[], &["22/tcp"]]);
    check(&rules, &Party::Every(cidr("203.0.113.5")), "22/tcp", [&[], &["22/tcp"], &[]]);
    check(&rules, &Party::Every(cidr("0.0.0.0/0")), "22/tcp", [&[], &["22/tcp"], &[]]);
}

#[test]
fn somebody_unknown_is_let_through_only_where_everybody_is() {
    check(&[allow("22/tcp from 0.0.0.0/0")], &Party::Anybody, "22/tcp", [&["22/tcp"], &[], &[]]);
    check(&[allow("22/tcp from 192.0.2.0/24")], &Party::Anybody, "22-23/tcp", [&[], &["23/tcp"], &["22/tcp"]]);
}

#[test]
fn what_denies_wins_at_its_priority_and_before() {
    let rules = [allow("22-24/tcp from g:web"), deny(1000, "22/tcp from 0.0.0.0/0"), deny(1001, "23/tcp from g:web")];
    check(&rules, &web(&[]), "22-24/tcp", [&["23-24/tcp"], &["22/tcp"], &[]]);
    let policy = Decider { priority: None, certain: false, ..deny(0, "24/tcp from 0.0.0.0/0") };
    check(&[rules[0], policy], &web(&[]), "22-24/tcp", [&["22-23/tcp"], &[], &["24/tcp"]]);
}

#[test]
fn a_name_that_would_have_denied_before_lets_nothing_through() {
    let rules = [deny(1, "22/tcp from g:db"), allow("22/tcp from g:db")];
    check(&rules, &Party::Every(cidr("10.1.2.3")), "22/tcp", [&[], &["22/tcp"], &[]]);
}

#[test]
fn rules_that_decide_are_named() {
    let rules = [allow("22/tcp from 10.0.0.0/8"), allow("22-23/tcp from g:web"), allow("443/tcp from g:web")];
    let ports = Traffic::parse("22/tcp").unwrap().into();
    let found = |party| scan(&rules, &party, Family::Ipv4, &ports, &BTreeMap::new());
    let of_group = found(web(&[]));
    assert_eq!((of_group.sure, of_group.perhaps), ([1].into(), [0].into()));
    let of_range = found(Party::Every(cidr("0.0.0.0/0")));
    assert_eq!((of_range.sure, of_range.perhaps), ([0].into(), [1].into()));
}

const GROUPS: [&str; 3] = ["web", "db", "etcd"];
/// Points of the small universe: ports 0 to 15 of two protocols, and one beyond.
const POINTS: [u32; 34] = {
    let mut points = [0; 34];
    let mut i = 0;
    while i < 17 {
        points[i] = 6 << 16 | i as u32;
        points[17 + i] = 17 << 16 | i as u32;
        i += 1;
    }
    points
};

/// One way the world may be: an address, the groups that it is in, and the uncertain deciders that are overruled.
struct Possible {
    address: Cidr,
    groups: Vec<Atom>,
    overruled: u32,
}

/// Looks at the rules one by one, in their order.
fn passes(deciders: &[Decider], world: &Possible, point: u32) -> bool {
    let about = |decider: &Decider| {
        let (lo, hi) = decider.rule.traffic.points();
        let peer = match decider.rule.peer {
            RulePeer::Addresses(range) => range.contains(world.address),
            RulePeer::Opaque(_, atom, family) => {
                world.groups.contains(&atom) && family.contains(world.address.family())
            }
        };
        (lo..=hi).contains(&point) && peer
    };
    let in_force = |(i, d): &(usize, &Decider)| (d.certain || world.overruled >> i & 1 == 0) && about(d);
    let first = deciders.iter().enumerate().filter(in_force).min_by_key(|(_, d)| (d.priority, d.allows));
    first.is_some_and(|(_, decider)| decider.allows)
}

/// Every way the world may be for a party; by address for a range, all together for the rest.
fn possible(deciders: &[Decider], party: &Party, members: &BTreeMap<Atom, Vec<Cidr>>, v6: bool) -> Vec<Vec<Possible>> {
    let spell = |host: u32| if v6 { format!("fd00::{host:x}") } else { format!("10.0.0.{host}") };
    // One that no small rule is about stands for the rest of the world.
    let all: Vec<Cidr> = (0..16).chain([99]).map(|host| cidr(&spell(host))).collect();
    let of_family = |ranges: &[Cidr]| ranges.iter().copied().filter(|r| (r.family() == Family::Ipv6) == v6).collect();
    let within = |ranges: Vec<Cidr>| {
        let inside = |a: &&Cidr| ranges.is_empty() || ranges.iter().any(|range| range.contains(**a));
        all.iter().filter(inside).copied().collect::<Vec<Cidr>>()
    };
    let own = match party {
        Party::Every(range) => within(vec![*range]),
        Party::Named(_, _, known) => within(of_family(known)),
        Party::Anybody => within(Vec::new()),
    };
    let uncertain = deciders.iter().enumerate().filter(|(_, d)| !d.certain).fold(0u32, |bits, (i, _)| bits | 1 << i);
    let worlds = own.into_iter().map(|address| {
        let may_be = |group: &Atom| {
            let known: Vec<Cidr> = members.get(group).map(|known| of_family(known)).unwrap_or_default();
            known.is_empty() || known.iter().any(|range| range.contains(address))
        };
        let candidates: Vec<Atom> = GROUPS
            .iter()
            .map(|name| atom(name))
            .filter(|g| match party {
                Party::Every(_) => may_be(g),
                Party::Anybody => true,
                Party::Named(..) => false,
            })
            .collect();
        let subsets = (0..1u32 << candidates.len()).map(|bits| {
            let chosen = candidates.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, g)| *g);
            match party {
                Party::Named(_, own, _) => vec![*own],
                _ => chosen.collect(),
            }
        });
        let coins = || (0..1u32 << deciders.len()).filter(|bits| bits & !uncertain == 0);
        let each = subsets.flat_map(|groups: Vec<Atom>| {
            coins().map(move |overruled| Possible { address, groups: groups.clone(), overruled }).collect::<Vec<_>>()
        });
        each.collect::<Vec<Possible>>()
    });
    let worlds: Vec<Vec<Possible>> = worlds.collect();
    if matches!(party, Party::Every(_)) { worlds } else { vec![worlds.into_iter().flatten().collect()] }
}

fn decider() -> impl Strategy<Value = Decider> {
    let kind = prop_oneof![4 => Just((true, Some(2), true)), 1 => Just((true, Some(1), true)),
        1 => Just((false, Some(1), true)), 1 => Just((false, Some(2), true)), 1 => Just((false, None, false))];
    (small_rule(), kind).prop_map(|(rule, (allows, priority, certain))| Decider { rule, allows, priority, certain })
}

fn party() -> impl Strategy<Value = Party> {
    let range = |v6: bool, host: u32, bits: u8| {
        if v6 { format!("fd00::{host:x}/{}", 128 - bits) } else { format!("10.0.0.{host}/{}", 32 - bits) }
    };
    prop_oneof![
        3 => (any::<bool>(), 0u32..16, 0u8..4).prop_map(move |(v6, host, bits)| Party::Every(cidr(&range(v6, host, bits)))),
        1 => Just(web(&[])),
        1 => (0u32..16, 0u8..4).prop_map(move |(host, bits)| web(&[&range(false, host, bits), &range(true, host, bits)])),
        1 => Just(Party::Anybody),
    ]
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_verdict_is_what_looking_at_the_rules_one_by_one_says(
        deciders in prop::collection::vec(decider(), 0..7),
        party in party(),
        known in prop::option::of((0u32..16, 0u8..4)),
        asked in small_rule(),
        v6 in any::<bool>(),
    ) {
        let v6 = if let Party::Every(range) = &party { range.family() == Family::Ipv6 } else { v6 };
        let family = if v6 { Family::Ipv6 } else { Family::Ipv4 };
        let members = known.map(|(host, bits)| (atom("db"), vec![
            cidr(&format!("10.0.0.{host}/{}", 32 - bits)), cidr(&format!("fd00::{host:x}/{}", 128 - bits)),
        ]));
        let members: BTreeMap<Atom, Vec<Cidr>> = members.into_iter().collect();
        let found = scan(&deciders, &party, family, &asked.traffic.into(), &members);
        let worlds = possible(&deciders, &party, &members, v6);
        let (lo, hi) = asked.traffic.points();
        for point in POINTS.into_iter().filter(|point| (lo..=hi).contains(point)) {
            let at = rule(&format!("{} from 10.0.0.0", Traffic::at(point))).traffic;
            let has = |set: &TrafficSet| !set.within(at).is_empty();
            let all = worlds.iter().flatten().all(|world| passes(&deciders, world, point));
            let some_never = worlds.iter().any(|of_one| of_one.iter().all(|world| !passes(&deciders, world, point)));
            prop_assert_eq!(has(&found.allowed), all, "allowed: {} {:?}", at, found);
            prop_assert_eq!(has(&found.denied), some_never, "denied: {} {:?}", at, found);
        }
        let named = found.sure.iter().chain(&found.perhaps).map(|i| &deciders[*i]).filter(|decider| decider.allows);
        let named: TrafficSet = named.map(|decider| decider.rule.traffic).collect();
        prop_assert!(found.allowed.difference(&named).is_empty(), "what lets it through is named: {:?}", found);
    }
}

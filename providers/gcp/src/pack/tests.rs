mod model;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::subsequence;
use rsgsync_core::pack::Call;
use rsgsync_core::plan::Action;
use rsgsync_core::rule::{Direction, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;

use self::model::{Held, MANY, OTHERS, OURS, World, changes, member, packed, peer, rule};
use super::mixes;

/// Ranges within ranges, both families, and tags.
const PEERS: [&str; 11] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.2.0.0/16",
    "192.0.2.0/24",
    "0.0.0.0/0",
    "fd00::/8",
    "fd00:1::/32",
    "::/0",
    "db",
    "etcd",
    "lb",
];
const TRAFFIC: [&str; 7] = ["22/tcp", "80/tcp", "1-100/tcp", "443/tcp", "tcp", "53/udp", "all"];

fn traffic(text: &str) -> Traffic {
    Traffic::parse(text).unwrap()
}

fn is_v4(peer: &RulePeer) -> Option<bool> {
    if let RulePeer::Addresses(cidr) = peer { Some(cidr.net().addr().is_ipv4()) } else { None }
}

/// Sources that one firewall rule may have.
fn any_sources() -> impl Strategy<Value = Vec<RulePeer>> {
    (subsequence(PEERS.to_vec(), 1..6), any::<bool>()).prop_filter_map("no source", |(peers, v4)| {
        let peers: Vec<RulePeer> = peers.into_iter().map(peer).filter(|p| is_v4(p).is_none_or(|is| is == v4)).collect();
        (!peers.is_empty()).then_some(peers)
    })
}

fn any_held() -> impl Strategy<Value = Held> {
    let marks = prop_oneof![4 => Just(Some(OURS)), 1 => Just(None), 1 => Just(Some(OTHERS))];
    let disabled = prop::bool::weighted(0.1);
    (any_sources(), subsequence(TRAFFIC.to_vec(), 1..4), marks, disabled, prop::bool::weighted(0.15)).prop_map(
        |(sources, entries, marks, disabled, out)| {
            let direction = if out { Direction::Egress } else { Direction::Ingress };
            let sources: Vec<RulePeer> = sources.into_iter().filter(|p| !out || is_v4(p).is_some()).collect();
            let sources = if sources.is_empty() { vec![peer("10.0.0.0/8")] } else { sources };
            let entries = entries.into_iter().map(traffic).collect();
            let described = marks.map(|mark| format!(" rsgsync:{mark} made")).unwrap_or_default();
            Held { direction, sources, entries, denies: false, description: format!("some{described}"), disabled }
        },
    )
}

fn any_world() -> impl Strategy<Value = World> {
    prop::collection::vec(any_held(), 0..5)
        .prop_map(|held| World(held.into_iter().enumerate().map(|(i, held)| (format!("fw-{i}"), held)).collect()))
}

fn any_rules() -> impl Strategy<Value = BTreeSet<Rule>> {
    let rule = (prop::sample::select(&PEERS[..]), prop::sample::select(&TRAFFIC[..]), prop::bool::weighted(0.1));
    prop::collection::btree_set(
        rule.prop_map(|(other, what, out)| {
            let out = out && is_v4(&peer(other)).is_some();
            let direction = if out { Direction::Egress } else { Direction::Ingress };
            Rule { direction, peer: peer(other), traffic: traffic(what) }
        }),
        0..14,
    )
}

/// A group, and what it should have: something new, or nearly what it has.
fn any_wish() -> impl Strategy<Value = (World, BTreeSet<Rule>)> {
    (any_world(), any_rules(), any::<bool>(), any::<u64>()).prop_map(|(world, rules, near, keep)| {
        let there = world.rules().into_iter().enumerate().filter(|(i, _)| near && keep >> (i % 64) & 1 == 1);
        let desired = there.map(|(_, rule)| rule).chain(rules.into_iter().take(if near { 3 } else { 14 })).collect();
        (world, desired)
    })
}

/// Single packets: one address in each range that no other of them has, a member of each tag; a few ports.
fn packets(rules: &BTreeSet<Rule>) -> BTreeSet<(Direction, usize, usize)> {
    let mut all = BTreeSet::new();
    for rule in rules {
        for (at, other) in ENDS.iter().enumerate() {
            let meets = match (rule.peer, other) {
                (RulePeer::Addresses(range), RulePeer::Addresses(address)) => range.contains(*address),
                (one, other) => one == *other,
            };
            for (port, point) in POINTS.iter().enumerate() {
                let (low, high) = rule.traffic.points();
                if meets && low <= *point && *point <= high {
                    all.insert((rule.direction, at, port));
                }
            }
        }
    }
    all
}

static ENDS: LazyLock<Vec<RulePeer>> = LazyLock::new(|| {
    let inside = ["10.9.9.9", "10.1.9.9", "10.2.9.9", "192.0.2.9", "8.8.8.8", "fd09::9", "fd00:1::9", "2600::9"];
    inside.into_iter().chain(["web", "db", "etcd", "lb"]).map(peer).collect()
});

static POINTS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let points = ["22/tcp", "80/tcp", "99/tcp", "443/tcp", "999/tcp", "53/udp", "54/udp", "esp"];
    points.into_iter().map(|text| traffic(text).points().0).collect()
});

/// The order that the planner keeps within a group and a direction.
fn phase(call: &Call) -> u8 {
    match call.action {
        Action::AddRules => 0,
        Action::ReplaceRules => 1,
        Action::RemoveRules => 2,
        other => panic!("no call of this test is {other:?}"),
    }
}

/// Carries calls out in one of the orders, and looks at every step.
fn walk(world: &World, calls: &[Call], addresses: usize, order: u64) -> World {
    let mut calls: Vec<&Call> = calls.iter().collect();
    calls.sort_by_key(|call| {
        (phase(call), order.rotate_left(call.resource.as_ref().unwrap().len() as u32 * 7), call.resource.clone())
    });
    if order % 2 == 1 {
        calls.reverse();
        calls.sort_by_key(|call| phase(call));
    }
    let mut now = world.clone();
    let mut states = vec![packets(&now.rules())];
    for call in calls {
        now.apply(call, addresses);
        states.push(packets(&now.rules()));
    }
    let (before, after) = (states[0].clone(), states[states.len() - 1].clone());
    for open in &states {
        assert!(open.is_subset(&before.union(&after).copied().collect()), "something else opens");
        assert!(open.is_superset(&before.intersection(&after).copied().collect()), "what stays is cut");
    }
    now
}

/// Peers with the same traffic share firewall rules, each family its own.
fn bound(rules: &BTreeSet<Rule>, addresses: usize) -> usize {
    let mut rows: BTreeMap<(Direction, RulePeer), BTreeSet<Traffic>> = BTreeMap::new();
    for rule in rules {
        rows.entry((rule.direction, rule.peer)).or_default().insert(rule.traffic);
    }
    let mut counts: BTreeMap<(Direction, BTreeSet<Traffic>), [usize; 3]> = BTreeMap::new();
    for ((direction, peer), traffic) in rows {
        let kind = is_v4(&peer).map_or(2, usize::from);
        counts.entry((direction, traffic)).or_default()[kind] += 1;
    }
    let of = |[v6, v4, tags]: [usize; 3]| (v4.div_ceil(addresses) + v6.div_ceil(addresses)).max(tags.div_ceil(30));
    counts.into_values().map(of).sum()
}

/// Cases of each property: `RSGSYNC_CASES`, or as many as the test thinks enough.
fn config(enough: u32) -> ProptestConfig {
    let cases = std::env::var("RSGSYNC_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(enough);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn the_group_has_exactly_what_is_wanted_and_nothing_is_cut_or_opened_on_the_way(
        (world, desired) in any_wish(), addresses in 1u32..5, shared in any::<bool>(), order in any::<u64>()
    ) {
        // In a shared group only what is ours may go; in no group what is another owner's.
        let may_go = |held: &Held| if shared { held.is_of(&[OURS]) } else { !held.is_of(&[OTHERS]) };
        let changes = changes(&world, &desired, may_go);
        let calls = packed(&world, &changes, addresses);
        prop_assert_eq!(&calls, &packed(&world, &changes, addresses));
        let touched: BTreeSet<_> = calls.iter().map(|call| call.resource.clone()).collect();
        prop_assert_eq!(touched.len(), calls.len(), "a resource is touched twice");
        let after = walk(&world, &calls, addresses as usize, order);
        let mut expected = desired;
        expected.extend(world.cells().filter(|(_, held, _)| !may_go(held)).map(|(_, _, rule)| rule));
        prop_assert_eq!(after.rules(), expected);
        for (name, held) in world.0.iter().filter(|(_, held)| !may_go(held)) {
            prop_assert_eq!(after.0.get(name), Some(held), "not ours to change");
        }
    }

    #[test]
    fn from_empty_it_takes_no_more_than_peers_with_equal_ports_side_by_side(desired in any_rules(), addresses in 1u32..5) {
        let world = World::default();
        let calls = packed(&world, &changes(&world, &desired, |_| true), addresses);
        prop_assert!(calls.len() <= bound(&desired, addresses as usize), "{} calls", calls.len());
        prop_assert_eq!(walk(&world, &calls, addresses as usize, 0).rules(), desired);
    }

    #[test]
    fn a_small_change_touches_few(desired in any_rules(), addresses in 2u32..5, one in any_rules(), at in any::<prop::sample::Index>()) {
        let empty = World::default();
        let made = walk(&empty, &packed(&empty, &changes(&empty, &desired, |_| true), addresses), addresses as usize, 0);
        prop_assert!(packed(&made, &changes(&made, &desired, |_| true), addresses).is_empty());
        let mut more = desired.clone();
        more.extend(one.into_iter().take(1));
        prop_assert!(packed(&made, &changes(&made, &more, |_| true), addresses).len() <= 1);
        let mut less: Vec<Rule> = desired.into_iter().collect();
        if !less.is_empty() {
            less.remove(at.index(less.len()));
        }
        let less = less.into_iter().collect();
        prop_assert!(packed(&made, &changes(&made, &less, |_| true), addresses).len() <= 2);
    }
}

/// Some of many tags, or service accounts, all with the same traffic.
fn crowd(members: &BTreeSet<usize>, accounts: bool, entries: &[&str]) -> BTreeSet<Rule> {
    let sources = members.iter().map(|at| peer(&member(*at, accounts)));
    let of =
        |peer| entries.iter().map(move |text| Rule { direction: Direction::Ingress, peer, traffic: traffic(text) });
    sources.flat_map(of).collect()
}

fn any_members() -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..MANY, 1..=MANY)
}

proptest! {
    #![proptest_config(config(100))]

    /// The model panics where a firewall rule would have more than the service takes: 30 tags, 10 accounts.
    #[test]
    fn more_tags_or_accounts_than_a_firewall_rule_takes_stand_in_several(
        before in any_members(), after in any_members(), accounts in any::<bool>(), order in any::<u64>(),
        entries in subsequence(TRAFFIC.to_vec(), 1..4), more in subsequence(TRAFFIC.to_vec(), 1..4),
    ) {
        let most = if accounts { 10 } else { 30 };
        let made = crowd(&before, accounts, &entries);
        let calls = packed(&World::default(), &changes(&World::default(), &made, |_| true), 4);
        prop_assert_eq!(calls.len(), before.len().div_ceil(most));
        let made = walk(&World::default(), &calls, 4, order);
        let desired = crowd(&after, accounts, &more);
        let calls = packed(&made, &changes(&made, &desired, |_| true), 4);
        prop_assert_eq!(walk(&made, &calls, 4, order).rules(), desired);
    }
}

#[test]
fn the_first_source_too_many_is_an_insertion() {
    for (accounts, most) in [(false, 30), (true, 10)] {
        let full: BTreeSet<usize> = (0..most).collect();
        let empty = World::default();
        let made = crowd(&full, accounts, &["22/tcp"]);
        let made = walk(&empty, &packed(&empty, &changes(&empty, &made, |_| true), 4), 4, 0);
        assert_eq!(made.0.len(), 1);
        let more = crowd(&(0..=most).collect(), accounts, &["22/tcp"]);
        let calls = packed(&made, &changes(&made, &more, |_| true), 4);
        assert_eq!(
            calls.iter().map(|call| (call.action, call.adds.len())).collect::<Vec<_>>(),
            [(Action::AddRules, 1)]
        );
        assert!(!made.0.contains_key(calls[0].resource.as_deref().unwrap()));
    }
}

fn world(held: &[(&str, &[&str], &[&str])]) -> World {
    let of = |(name, sources, entries): &(&str, &[&str], &[&str])| {
        let (sources, entries) = (sources.iter().map(|s| peer(s)), entries.iter().map(|e| traffic(e)));
        let description = format!("old rsgsync:{OURS} made");
        let (sources, entries, direction) = (sources.collect(), entries.collect(), Direction::Ingress);
        ((*name).to_owned(), Held { direction, sources, entries, denies: false, description, disabled: false })
    };
    World(held.iter().map(of).collect())
}

fn calls(world: &World, desired: &[&str]) -> Vec<Call> {
    packed(world, &changes(world, &desired.iter().map(|text| rule(text)).collect(), |_| true), 256)
}

fn done(calls: &[Call]) -> Vec<(Action, &str)> {
    calls.iter().map(|call| (call.action, call.resource.as_deref().unwrap())).collect()
}

#[test]
fn ranges_become_tags_in_one_patch() {
    let world = world(&[("fw", &["10.0.0.0/8"], &["22/tcp"])]);
    let calls = calls(&world, &["22/tcp from db"]);
    assert_eq!(done(&calls), [(Action::ReplaceRules, "fw")]);
    assert_eq!(
        (calls[0].adds[0].rule, calls[0].removes[0].rule),
        (rule("22/tcp from db"), rule("22/tcp from 10.0.0.0/8"))
    );
}

#[test]
fn a_new_peer_with_the_same_ports_goes_into_the_firewall_rule_that_has_them() {
    let world = world(&[("fw", &["10.0.0.0/8"], &["22/tcp"]), ("six", &["fd00::/8"], &["22/tcp"])]);
    let calls = calls(&world, &["22/tcp from 10.0.0.0/8", "22/tcp from fd00::/8", "22/tcp from 192.0.2.0/24"]);
    assert_eq!(done(&calls), [(Action::AddRules, "fw")]);
    assert_eq!(calls[0].description.as_deref(), Some("22/tcp; old rsgsync:platform/prod made"));
}

#[test]
fn a_new_port_of_all_peers_goes_into_their_firewall_rules() {
    let world = world(&[("fw", &["10.0.0.0/8", "db"], &["22/tcp"]), ("six", &["fd00::/8"], &["22/tcp"])]);
    let both = |peer: &str| [format!("22/tcp from {peer}"), format!("443/tcp from {peer}")];
    let desired: Vec<String> = ["10.0.0.0/8", "db", "fd00::/8"].into_iter().flat_map(both).collect();
    let calls = calls(&world, &desired.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(done(&calls), [(Action::AddRules, "fw"), (Action::AddRules, "six")]);
}

#[test]
fn what_is_left_of_a_product_moves_before_it_goes() {
    let world = world(&[("fw", &["10.0.0.0/8", "db", "lb"], &["22/tcp", "443/tcp"])]);
    let both = |peer: &str| [format!("22/tcp from {peer}"), format!("443/tcp from {peer}")];
    let mut desired: Vec<String> = ["10.0.0.0/8", "db"].into_iter().flat_map(both).collect();
    desired.push("22/tcp from lb".to_owned());
    let calls = calls(&world, &desired.iter().map(String::as_str).collect::<Vec<_>>());
    let actions: Vec<Action> = calls.iter().map(|call| call.action).collect();
    assert_eq!(actions, [Action::AddRules, Action::RemoveRules]);
    assert_eq!(calls[0].adds.iter().map(|r| r.rule).collect::<Vec<_>>(), [rule("22/tcp from lb")]);
    assert_eq!(calls[1].removes.len(), 2);
}

#[test]
fn two_patches_that_need_each_other_become_insertions_and_removals() {
    let wide = world(&[("a", &["10.0.0.0/8"], &["22/tcp"]), ("b", &["0.0.0.0/0"], &["443/tcp"])]);
    let calls = calls(&wide, &["22/tcp from 10.1.0.0/16", "443/tcp from 10.2.0.0/16"]);
    let replaced = calls.iter().filter(|call| call.action == Action::ReplaceRules);
    for order in 0..2 {
        walk(&wide, &calls, 256, order);
    }
    assert!(replaced.count() > 0);
}

#[test]
fn a_disabled_firewall_rule_of_ours_is_filled_anew() {
    let mut world = world(&[("fw", &["10.0.0.0/8"], &["22/tcp"])]);
    world.0.get_mut("fw").unwrap().disabled = true;
    assert_eq!(done(&calls(&world, &["443/tcp from db"])), [(Action::AddRules, "fw")]);
}

#[test]
fn names_are_the_same_for_the_same_and_never_taken() {
    let first = calls(&World::default(), &["22/tcp from db"]);
    let [Call { resource: Some(name), .. }] = &first[..] else { panic!("{first:?}") };
    // Ours, patched since: the name stands for other content now.
    let world = world(&[(name, &["10.0.0.0/8"], &["443/tcp"])]);
    let second = calls(&world, &["22/tcp from db", "443/tcp from 10.0.0.0/8"]);
    let [Call { resource: Some(other), .. }] = &second[..] else { panic!("{second:?}") };
    assert!(name.starts_with("rsgsync-platform-prod-") && other.starts_with("rsgsync-platform-prod-"));
    assert_ne!(name, other);
}

#[test]
fn a_tag_and_a_service_account_are_no_pair() {
    assert_eq!(mixes("web", "db"), None);
    assert_eq!(mixes("a@x.iam.gserviceaccount.com", "b@x.iam.gserviceaccount.com"), None);
    let why = mixes("web", "b@x.iam.gserviceaccount.com").unwrap();
    assert!(why.contains("`web` is a network tag") && why.contains("`addresses`"), "{why}");
}

/// Run it with `--nocapture` for the numbers.
#[test]
fn packing_takes_fewer_than_the_bound_all_in_all() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let (mut runner, mut made, mut most) = (TestRunner::deterministic(), 0, 0);
    for _ in 0..500 {
        let desired = any_rules().new_tree(&mut runner).unwrap().current();
        made += packed(&World::default(), &changes(&World::default(), &desired, |_| true), 256).len();
        most += bound(&desired, 256);
    }
    println!("{made} firewall rules for 500 random groups; peers with equal ports side by side would be {most}");
    assert!(made < most, "{made} of {most}");
}

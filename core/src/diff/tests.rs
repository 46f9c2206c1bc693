use proptest::prelude::*;

use super::*;
use crate::name::{ClusterName, Mark, Owner};
use crate::packets::tests::split;
use crate::testing::{cases, desired, group, rule, rules, small_rules};

fn wanted(texts: &[&str]) -> Wanted {
    Wanted { rules: desired(texts), ..Wanted::default() }
}

fn with_ours<T>(f: impl FnOnce(Ours<'_>) -> T) -> T {
    let owner = Owner::new("platform").unwrap();
    let clusters = ["prod", "staging"].map(|c| ClusterName::new(c).unwrap()).into();
    f(Ours { owner: &owner, clusters: &clusters })
}

/// The diff of a group: what is added, and the fate of each observed rule, in order.
fn check(wanted: &Wanted, ownership: Ownership, observed: &[&str], adds: &[&str], fates: &[Fate]) {
    let found = with_ours(|ours| diff(wanted, &group("web", observed, true), ownership, ours));
    assert_eq!(found.adds.iter().map(|a| a.rule).collect::<Vec<_>>(), rules(adds), "adds");
    assert_eq!(found.fates, fates, "fates");
}

const EXCLUSIVE: Ownership = Ownership::Exclusive;
const SHARED: Ownership = Ownership::Shared;

#[test]
fn what_is_missing_is_added() {
    check(
        &wanted(&["22/tcp from g:db", "80/tcp from g:db"]),
        EXCLUSIVE,
        &["22/tcp from g:db"],
        &["80/tcp from g:db"],
        &[Fate::Keep],
    );
}

/// What is missing here is 255 protocols on 125 prefixes each: only that it is not one rule matters.
#[test]
fn everything_around_two_holes_is_found_missing_in_an_instant() {
    let holes = ["all from fd00::/126", "esp from fd00::7"];
    check(&wanted(&["all from ::/0"]), EXCLUSIVE, &holes, &["all from ::/0"], &[Fate::Redundant, Fate::Redundant]);
}

#[test]
fn what_nothing_wants_is_removed_from_an_exclusive_group() {
    check(&wanted(&[]), EXCLUSIVE, &["22/tcp from 0.0.0.0/0"], &[], &[Fate::Remove]);
}

#[test]
fn two_rules_for_a_range_are_no_difference() {
    check(
        &wanted(&["2379-2380/tcp from g:etcd"]),
        EXCLUSIVE,
        &["2380/tcp from g:etcd", "2379/tcp from g:etcd"],
        &[],
        &[Fate::Keep, Fate::Keep],
    );
}

#[test]
fn one_range_for_two_rules_is_no_difference() {
    let wish = wanted(&["10250/tcp from g:web", "10251-10252/tcp from g:web"]);
    check(&wish, EXCLUSIVE, &["10250-10252/tcp from g:web"], &[], &[Fate::Keep]);
}

#[test]
fn half_a_range_gets_only_the_other_half() {
    let wish = wanted(&["2379-2380/tcp from g:etcd"]);
    check(&wish, EXCLUSIVE, &["2379/tcp from g:etcd"], &["2380/tcp from g:etcd"], &[Fate::Keep]);
}

#[test]
fn a_hole_on_both_sides_is_one_rule() {
    let wish = wanted(&["10250-10252/tcp from g:web"]);
    check(&wish, EXCLUSIVE, &["10251/tcp from g:web"], &["10250-10252/tcp from g:web"], &[Fate::Redundant]);
}

#[test]
fn a_wide_rule_is_split_into_the_narrow_wanted_ones() {
    check(
        &wanted(&["22/tcp from 10.1.0.0/16", "80/tcp from 10.0.0.0/8"]),
        EXCLUSIVE,
        &["tcp from 10.0.0.0/8"],
        &["22/tcp from 10.1.0.0/16", "80/tcp from 10.0.0.0/8"],
        &[Fate::Remove],
    );
}

#[test]
fn a_rule_inside_another_is_redundant() {
    let wish = wanted(&["10250-10252/tcp from g:web"]);
    check(
        &wish,
        EXCLUSIVE,
        &["10250-10252/tcp from g:web", "10251/tcp from g:web"],
        &[],
        &[Fate::Keep, Fate::Redundant],
    );
}

#[test]
fn a_range_does_not_stand_for_a_reference_in_an_exclusive_group() {
    let wish = wanted(&["22/tcp from g:db"]);
    check(&wish, EXCLUSIVE, &["22/tcp from 0.0.0.0/0"], &["22/tcp from g:db"], &[Fate::Remove]);
}

#[test]
fn a_foreign_range_stands_for_a_reference_in_a_shared_group_when_it_has_all_addresses() {
    let addresses = [(rule("22/tcp from g:db"), vec![Cidr::parse("10.1.2.0/24").unwrap()])].into();
    let known = Wanted { addresses, ..wanted(&["22/tcp from g:db"]) };
    check(&known, SHARED, &["22/tcp from 10.0.0.0/8"], &[], &[Fate::Satisfies]);
    check(&known, SHARED, &["22/tcp from 10.1.2.0/25"], &["22/tcp from g:db"], &[Fate::Foreign]);
    check(&wanted(&["22/tcp from g:db"]), SHARED, &["22/tcp from 10.0.0.0/8"], &["22/tcp from g:db"], &[Fate::Foreign]);
}

#[test]
fn a_foreign_rule_in_a_shared_group_is_left_alone() {
    check(&wanted(&[]), SHARED, &["22/tcp from 0.0.0.0/0"], &[], &[Fate::Foreign]);
}

#[test]
fn a_foreign_rule_that_does_the_job_satisfies() {
    check(&wanted(&["22/tcp from g:db"]), SHARED, &["20-30/tcp from g:db"], &[], &[Fate::Satisfies]);
}

#[test]
fn a_rule_of_ours_goes_when_nothing_wants_it() {
    check(&wanted(&[]), SHARED, &["22/tcp from g:db # platform/prod"], &[], &[Fate::Remove]);
    check(&wanted(&[]), SHARED, &["22/tcp from g:db # platform/prod, platform/staging"], &[], &[Fate::Remove]);
}

#[test]
fn a_rule_of_a_cluster_that_is_not_in_the_inventory_stays() {
    check(&wanted(&[]), SHARED, &["22/tcp from g:db # platform/gone"], &[], &[Fate::Foreign]);
}

#[test]
fn another_owners_rule_is_joined_when_we_need_it() {
    check(&wanted(&["22/tcp from g:db"]), SHARED, &["22/tcp from g:db # other/x"], &[], &[Fate::Join]);
    check(&wanted(&[]), SHARED, &["22/tcp from g:db # other/x"], &[], &[Fate::Foreign]);
}

#[test]
fn a_rule_with_anothers_mark_is_left_not_removed() {
    check(&wanted(&[]), SHARED, &["22/tcp from g:db # other/x, platform/prod"], &[], &[Fate::Leave]);
}

#[test]
fn traffic_of_an_unopened_row_is_held_whatever_its_source() {
    let held = vec![(Direction::Ingress, rule("30000-32767/tcp from g:db").traffic)];
    let wish = Wanted { held, ..wanted(&[]) };
    check(&wish, EXCLUSIVE, &["30000-32767/tcp from 0.0.0.0/0"], &[], &[Fate::Held]);
    check(&wish, EXCLUSIVE, &["tcp from 192.0.2.0/24"], &["30000-32767/tcp from 192.0.2.0/24"], &[Fate::Remove]);
}

#[test]
fn ignored_traffic_is_neither_removed_nor_added() {
    let ignored = vec![rule("31999/tcp from g:db").traffic];
    let wish = Wanted { ignored, ..wanted(&["31999/tcp from g:web"]) };
    check(&wish, EXCLUSIVE, &["31999/tcp from 0.0.0.0/0"], &[], &[Fate::Ignored]);
}

#[test]
fn a_known_other_writers_rule_is_foreign_even_in_an_exclusive_group() {
    let mut have = group("web", &["22/tcp from g:db", "23/tcp from g:db"], true);
    have.rules[0].description = "kubernetes.io/rule/nlb/client=lb-1".to_owned();
    let found = with_ours(|ours| diff(&wanted(&[]), &have, EXCLUSIVE, ours));
    assert_eq!(found.fates, [Fate::Foreign, Fate::Remove]);
}

#[test]
fn addresses_of_one_family_do_not_stand_for_a_flow_of_both() {
    // What link leaves of the known addresses decides; none are left here.
    let wish = wanted(&["22/tcp from g:db"]);
    check(&wish, SHARED, &["22/tcp from 0.0.0.0/0"], &["22/tcp from g:db"], &[Fate::Foreign]);
}

#[test]
fn an_addition_only_plan_adds_nothing_that_a_spared_rule_carries() {
    let wish = Wanted { add_only: true, ..wanted(&["22/tcp from 10.0.0.0/8", "80/tcp from g:db"]) };
    check(&wish, EXCLUSIVE, &["tcp from 10.0.0.0/8"], &["80/tcp from g:db"], &[Fate::Spared]);
}

#[test]
fn a_rule_has_the_reasons_of_what_it_lets_something_through_of() {
    let asked = [
        ("ssh", "22/tcp from g:db"),
        ("http", "80/tcp from g:db"),
        ("office", "22/tcp from 10.0.0.0/8"),
        ("out", "22/tcp to g:db"),
    ];
    let because = |why: &str| [crate::testing::reason(why)].into();
    let mut rules = asked.map(|(why, text)| DesiredRule { rule: rule(text), reasons: because(why) });
    rules.sort_by_key(|r| r.rule);
    let wish = Wanted { rules: rules.into(), ..Wanted::default() };
    let diff = with_ours(|ours| diff(&wish, &group("web", &["20-30/tcp from g:db"], true), SHARED, ours));
    let whys = |text: &str| diff.reasons(&rule(text)).into_iter().map(|r| r.why.to_string()).collect::<Vec<_>>();
    assert_eq!(whys("20-30/tcp from g:db"), ["ssh"]);
    assert_eq!(whys("tcp from g:db"), ["http", "ssh"]);
    assert_eq!(whys("443/tcp from g:db"), [""; 0]);
}

#[test]
fn outbound_is_not_narrowed_unless_strict() {
    let one = "443/tcp to 192.0.2.1/32";
    check(&wanted(&["all to 0.0.0.0/0"]), EXCLUSIVE, &[one], &["all to 0.0.0.0/0"], &[Fate::Redundant]);
    check(&wanted(&[one]), EXCLUSIVE, &["all to 0.0.0.0/0"], &[], &[Fate::Outbound]);
    let strict = Wanted { egress: EgressMode::Strict, ..wanted(&[one]) };
    check(&strict, EXCLUSIVE, &["all to 0.0.0.0/0"], &[one], &[Fate::Remove]);
}

fn as_observed(found: &[Rule]) -> ObservedGroup {
    let rules = found.iter().map(|rule| ObservedRule {
        rule: *rule,
        id: None,
        description: String::new(),
        marks: Vec::new(),
        weight: 1,
        resource: None,
    });
    ObservedGroup { rules: rules.collect(), ..group("web", &[], true) }
}

fn wish(rules: &[Rule]) -> Wanted {
    let rules = rules.iter().map(|rule| DesiredRule { rule: *rule, reasons: Default::default() }).collect();
    Wanted { rules, ..Wanted::default() }
}

fn carried_out(found: &GroupDiff, observed: &ObservedGroup) -> Vec<Rule> {
    let stays = observed.rules.iter().zip(&found.fates).filter(|(_, fate)| **fate != Fate::Remove).map(|(r, _)| r.rule);
    stays.chain(found.adds.iter().map(|a| a.rule)).collect()
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn carrying_the_diff_out_gives_what_was_wanted(want in small_rules(8), have in small_rules(8)) {
        let observed = as_observed(&have);
        let found = with_ours(|ours| diff(&wish(&want), &observed, EXCLUSIVE, ours));
        prop_assert_eq!(PacketSet::of(carried_out(&found, &observed)), PacketSet::of(want.iter().copied()));
    }

    #[test]
    fn the_second_diff_is_empty(want in small_rules(8), have in small_rules(8)) {
        let observed = as_observed(&have);
        let found = with_ours(|ours| diff(&wish(&want), &observed, EXCLUSIVE, ours));
        let after = as_observed(&carried_out(&found, &observed));
        let again = with_ours(|ours| diff(&wish(&want), &after, EXCLUSIVE, ours));
        prop_assert!(again.adds.is_empty());
        prop_assert!(!again.fates.contains(&Fate::Remove));
    }

    #[test]
    fn what_satisfies_is_found_again_with_what_is_required(
        want in small_rules(8),
        have in small_rules(8),
        marked in any::<u8>(),
    ) {
        let mut observed = as_observed(&have);
        let ours = observed.rules.iter_mut().enumerate().filter(|(i, _)| marked & (1 << (i % 8)) != 0);
        ours.for_each(|(_, rule)| rule.marks = vec![Mark::parse("platform/prod").unwrap()]);
        let found = with_ours(|ours| diff(&wish(&want), &observed, SHARED, ours));
        let said = found.fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Satisfies).map(|(i, _)| i);
        let again = with_ours(|ours| satisfied(&found.required, &observed, SHARED, ours));
        prop_assert_eq!(again, said.collect::<BTreeSet<_>>());
    }

    #[test]
    fn no_spelling_splitting_merging_or_order_makes_a_difference(
        want in small_rules(8),
        halves in any::<(u8, u8)>(),
        turn in any::<prop::sample::Index>(),
    ) {
        let some = |bits: u8| move |(i, rule): (usize, &Rule)| {
            if bits & (1 << (i % 8)) != 0 { split(rule) } else { vec![*rule] }
        };
        let once: Vec<Rule> = want.iter().enumerate().flat_map(some(halves.0)).collect();
        let mut have: Vec<Rule> = once.iter().enumerate().flat_map(some(halves.1)).collect();
        if halves.0 % 2 == 0 {
            // Merged as far as can be, beside some of the pieces.
            have.truncate(3);
            have.extend(PacketSet::of(want.iter().copied()).cover(Direction::Ingress));
        }
        let turn = turn.index(have.len().max(1));
        have.rotate_left(turn);
        let found = with_ours(|ours| diff(&wish(&want), &as_observed(&have), EXCLUSIVE, ours));
        prop_assert!(found.adds.is_empty(), "{:?}", found.adds);
        prop_assert!(found.fates.iter().all(|fate| matches!(fate, Fate::Keep | Fate::Redundant)), "{:?}", found.fates);
    }

    #[test]
    fn no_more_rules_are_added_than_the_wish_has(want in small_rules(8), have in small_rules(8)) {
        let cover = PacketSet::of(want.iter().copied()).cover(Direction::Ingress).len();
        let found = with_ours(|ours| diff(&wish(&want), &as_observed(&have), EXCLUSIVE, ours));
        prop_assert!(found.adds.len() <= cover);
    }

    #[test]
    fn a_rule_that_is_wanted_whole_is_never_removed(want in small_rules(8), have in small_rules(8)) {
        let packets = PacketSet::of(want.iter().copied());
        let found = with_ours(|ours| diff(&wish(&want), &as_observed(&have), EXCLUSIVE, ours));
        for (rule, fate) in have.iter().zip(&found.fates) {
            prop_assert_eq!(*fate == Fate::Remove, !packets.contains(&PacketSet::of([*rule])));
        }
    }

    #[test]
    fn in_a_shared_group_what_was_wanted_passes_and_nothing_foreign_goes(want in small_rules(8), have in small_rules(8)) {
        let observed = as_observed(&have);
        let found = with_ours(|ours| diff(&wish(&want), &observed, SHARED, ours));
        prop_assert!(PacketSet::of(carried_out(&found, &observed)).contains(&PacketSet::of(want.iter().copied())));
        prop_assert!(found.fates.iter().all(|f| matches!(f, Fate::Foreign | Fate::Satisfies)));
    }
}

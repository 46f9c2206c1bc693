use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::desired::DesiredRule;
use crate::diff::{Fate, GroupDiff, Wanted, diff};
use crate::inventory::{EgressMode, Ownership};
use crate::name::Owner;
use crate::observed::{Limit, LimitSource, ObservedGroup, ObservedRule, Ours};
use crate::pack::QuotaCount;
use crate::rule::{Direction, Family, RulePeer};
use crate::testing::{aws_like, cases, group, rule, rules, small_rule};
use crate::traffic::{PortRange, Traffic};

fn check(most: u32, have: &[&str], adds: &[&str], removes: &[&str], required: &[&str]) -> Result<Vec<String>, u32> {
    let dialect = aws_like();
    let limit = Limit { at_most: most, source: LimitSource::Assumed };
    let limits = Limits { rules_per_group: Some(limit), ..Limits::default() };
    let present = have.iter().map(|t| (rule(t), 1)).collect();
    let of = |texts: &[&str]| texts.iter().map(|t| StepRule::plain(rule(t))).collect();
    let room = Room { present, dialect: &dialect, limits: &limits };
    let waves = waves(room, of(adds), of(removes), &rules(required)).map_err(|full| full.used)?;
    let spell = |w: &Wave| format!("+{} -{}", w.adds.len(), w.removes.len());
    Ok(waves.iter().map(spell).collect())
}

#[test]
fn with_room_there_is_one_wave() {
    let waves =
        check(3, &["1-9/tcp from g:web"], &["2/tcp from g:web", "5/tcp from g:web"], &["1-9/tcp from g:web"], &[]);
    assert_eq!(waves, Ok(vec!["+2 -1".to_owned()]));
}

#[test]
fn what_carries_nothing_required_goes_first_when_there_is_no_room() {
    let have = ["1/tcp from g:db", "3/tcp from g:db"];
    let adds = ["5/tcp from g:web", "7/tcp from g:web"];
    assert_eq!(check(2, &have, &adds, &have, &adds), Ok(vec!["+0 -2".to_owned(), "+2 -0".to_owned()]));
}

#[test]
fn a_replacement_takes_turns_where_there_is_room_for_one() {
    let have = ["1-2/tcp from g:db", "5-6/tcp from g:db"];
    let adds = ["1/tcp from g:db", "5/tcp from g:db"];
    // Three rules at most: one narrow rule, then its wide one goes, then the other.
    assert_eq!(check(3, &have, &adds, &have, &adds), Ok(vec!["+1 -1".to_owned(), "+1 -1".to_owned()]));
}

#[test]
fn without_any_room_a_replacement_is_refused_with_the_count() {
    assert_eq!(
        check(1, &["1-2/tcp from g:db"], &["1/tcp from g:db"], &["1-2/tcp from g:db"], &["1/tcp from g:db"]),
        Err(2)
    );
}

#[test]
fn what_carries_the_most_alone_may_have_to_stay_until_its_replacement_stands() {
    // Removing 1-9/tcp first, which the other two carry as well, would leave both of them and no room for 1/tcp.
    let have = ["1-9/tcp from 10.0.0.0/29", "all from 10.0.0.0/30", "all from 10.0.0.4/30"];
    let want = ["1/tcp from 10.0.0.0/29"];
    assert_eq!(check(2, &have, &want, &have, &want), Ok(vec!["+0 -2".to_owned(), "+1 -1".to_owned()]));
}

#[test]
fn only_counts_that_additions_raise_matter() {
    let have = ["1/tcp to 192.0.2.1", "3/tcp to 192.0.2.1"];
    assert_eq!(check(1, &have, &["1/tcp from g:db"], &[], &[]), Ok(vec!["+1 -0".to_owned()]));
}

#[test]
fn a_group_that_is_too_full_already_may_still_lose_rules() {
    assert_eq!(
        check(1, &["1/tcp from g:db", "3/tcp from g:db"], &[], &["1/tcp from g:db"], &[]),
        Ok(vec!["+0 -1".to_owned()])
    );
}

#[test]
fn more_than_the_quota_holds_is_refused_at_once() {
    let want: Vec<String> = (0..1100).map(|i| format!("{}/tcp from g:db", 20 * i)).collect();
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    assert_eq!(check(1000, &[], &want, &[], &want), Err(1100));
}

#[test]
fn a_large_group_without_an_order_is_refused_after_some_effort() {
    let have: Vec<String> = (0..300).map(|i| format!("{}-{}/tcp from g:db", 20 * i, 20 * i + 9)).collect();
    let want: Vec<String> = (0..300).map(|i| format!("{}/tcp from g:db", 20 * i)).collect();
    let texts = |all: &'static [String]| -> Vec<&'static str> { all.iter().map(String::as_str).collect() };
    let (have, want) = (texts(have.leak()), texts(want.leak()));
    assert_eq!(check(300, &have, &want, &have, &want), Err(600));
}

/// A group under a quota: what is there, what comes, what goes, and what must not be cut.
#[derive(Debug, Clone)]
struct Tight {
    have: Vec<Rule>,
    adds: Vec<Rule>,
    removes: Vec<Rule>,
    required: Vec<Rule>,
    most: u32,
    all: bool,
}

prop_compose! {
    /// The difference between two small groups, as [`diff`] has it.
    fn tight()(
        have in prop::collection::btree_set(two_ways(), 1..6),
        fresh in prop::collection::vec(two_ways(), 0..3),
        again in prop::collection::vec((any::<Index>(), 0..3u8), 0..4),
        room in 0u32..4,
        all in any::<bool>(),
    ) -> Tight {
        let have: Vec<Rule> = have.into_iter().collect();
        let part = |(index, part): (Index, u8)| {
            let rule = &have[index.index(have.len())];
            if part == 0 { Some(*rule) } else { half(rule, part == 1) }
        };
        let want: BTreeSet<Rule> = fresh.into_iter().chain(again.into_iter().filter_map(part)).collect();
        let want = want.into_iter().map(|rule| DesiredRule { rule, reasons: [].into() }).collect();
        let wanted = Wanted { rules: want, egress: EgressMode::Strict, ..Wanted::default() };
        let observed = as_observed(&have);
        let (owner, clusters) = (Owner::new("platform").unwrap(), BTreeSet::new());
        let ours = Ours { owner: &owner, clusters: &clusters };
        let GroupDiff { fates, adds, required } = diff(&wanted, &observed, Ownership::Exclusive, ours);
        let goes = have.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Remove);
        Tight {
            removes: goes.map(|(rule, _)| *rule).collect(),
            adds: adds.into_iter().map(|add| add.rule).collect(),
            required: required.into_iter().map(|r| r.rule).collect(),
            most: u32::try_from(have.len()).unwrap() + room - 1,
            have,
            all,
        }
    }
}

fn as_observed(have: &[Rule]) -> ObservedGroup {
    let there = |rule: &Rule| ObservedRule::plain(*rule);
    ObservedGroup { rules: have.iter().map(there).collect(), ..group("web", &[], true) }
}

fn two_ways() -> impl Strategy<Value = Rule> {
    (small_rule(), any::<bool>())
        .prop_map(|(rule, out)| Rule { direction: if out { Direction::Egress } else { Direction::Ingress }, ..rule })
}

/// The lower or upper half of a rule's ports.
fn half(wide: &Rule, low: bool) -> Option<Rule> {
    let ports = wide.traffic.ports()?;
    let middle = ports.from() + (ports.to() - ports.from()) / 2;
    let (from, to) = if low { (ports.from(), middle) } else { (middle + 1, ports.to()) };
    let range = PortRange::new(from, to)?;
    Some(Rule { traffic: Traffic::on_ports(wide.traffic.protocol(), range), ..*wide })
}

/// Additions and removals that are done, by their places; the twin of [`waves`] looks at every order of them.
struct Orders<'a> {
    of: &'a Tight,
    before: BTreeSet<Rule>,
}

impl Orders<'_> {
    fn standing(&self, adds: u32, removes: u32) -> Vec<Rule> {
        let done = |bits: u32| move |(i, rule): (usize, &Rule)| (bits & (1 << i) != 0).then_some(*rule);
        let gone: Vec<Rule> = self.of.removes.iter().enumerate().filter_map(done(removes)).collect();
        let stays = self.of.have.iter().copied().filter(|rule| !gone.contains(rule));
        stays.chain(self.of.adds.iter().enumerate().filter_map(done(adds))).collect()
    }

    /// How many rules each quota counts.
    fn counts(&self, rules: &[Rule]) -> Vec<usize> {
        if self.of.all {
            return vec![rules.len()];
        }
        let kinds = [Direction::Ingress, Direction::Egress].into_iter();
        let kinds = kinds.flat_map(|d| [false, true].map(|v6| (d, v6)));
        let in_family = |rule: &Rule, v6: bool| match rule.peer {
            RulePeer::Addresses(range) => range.net().addr().is_ipv6() == v6,
            RulePeer::Opaque(_, _, family) => family.each().iter().any(|f| (*f == Family::Ipv6) == v6),
        };
        kinds.map(|(d, v6)| rules.iter().filter(|r| r.direction == d && in_family(r, v6)).count()).collect()
    }

    /// Whether nothing that is required and passes before is cut.
    fn keeps(&self, rules: &[Rule]) -> bool {
        [Direction::Ingress, Direction::Egress].into_iter().all(|d| {
            let of = |rules: &mut dyn Iterator<Item = Rule>| PacketSet::of(rules.filter(|r| r.direction == d));
            let required = of(&mut self.of.required.iter().copied());
            let held = of(&mut self.before.iter().copied()).intersection(&required);
            of(&mut rules.iter().copied()).contains(&held)
        })
    }

    /// Whether an addition in this state takes no count further above the quota.
    fn fits(&self, before: &[Rule], after: &[Rule]) -> bool {
        let most = self.of.most as usize;
        self.counts(before).iter().zip(self.counts(after)).all(|(before, after)| after <= most || after <= *before)
    }

    /// Whether some order, one addition or removal at a time, does all of it.
    fn some(&self) -> bool {
        let (adds, removes) = ((1 << self.of.adds.len()) - 1, (1 << self.of.removes.len()) - 1);
        let (mut seen, mut todo) = (BTreeSet::from([(0u32, 0u32)]), vec![(0u32, 0u32)]);
        while let Some((a, r)) = todo.pop() {
            if (a, r) == (adds, removes) {
                return true;
            }
            let now = self.standing(a, r);
            let more = (0..self.of.adds.len()).map(|i| (a | 1 << i, r));
            let fewer = (0..self.of.removes.len()).map(|i| (a, r | 1 << i));
            for next in more.chain(fewer).filter(|next| *next != (a, r)) {
                let then = self.standing(next.0, next.1);
                let allowed = if next.0 != a { self.fits(&now, &then) } else { self.keeps(&then) };
                if allowed && seen.insert(next) {
                    todo.push(next);
                }
            }
        }
        false
    }
}

fn plan(tight: &Tight) -> Result<Vec<Wave>, QuotaUse> {
    let quota = if tight.all { QuotaCount::All } else { QuotaCount::ByDirectionAndFamily };
    let dialect = Dialect { quota, ..aws_like() };
    let limit = Limit { at_most: tight.most, source: LimitSource::Assumed };
    let limits = Limits { rules_per_group: Some(limit), ..Limits::default() };
    let present = tight.have.iter().map(|rule| (*rule, 1)).collect();
    let of = |rules: &[Rule]| rules.iter().map(|rule| StepRule::plain(*rule)).collect();
    let room = Room { present, dialect: &dialect, limits: &limits };
    waves(room, of(&tight.adds), of(&tight.removes), &tight.required)
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn waves_are_found_exactly_when_some_order_keeps_quota_and_flows(tight in tight()) {
        let orders = Orders { of: &tight, before: tight.have.iter().copied().collect() };
        match plan(&tight) {
            Err(_) => prop_assert!(!orders.some(), "there is an order"),
            Ok(waves) => {
                let mut standing = tight.have.clone();
                let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
                for wave in waves {
                    let mut full = standing.clone();
                    full.extend(wave.adds.iter().map(|a| a.rule));
                    prop_assert!(orders.fits(&standing, &full), "{} > {}", full.len(), tight.most);
                    full.retain(|rule| wave.removes.iter().all(|r| r.rule != *rule));
                    prop_assert!(orders.keeps(&full));
                    standing = full;
                    added.extend(wave.adds.iter().map(|a| a.rule));
                    removed.extend(wave.removes.iter().map(|r| r.rule));
                }
                prop_assert_eq!(added, tight.adds.iter().copied().collect());
                prop_assert_eq!(removed, tight.removes.iter().copied().collect());
            }
        }
    }
}

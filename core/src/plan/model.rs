//! Small plans of the real planner, walked through in every order, with the members of groups by their addresses.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

use super::tests::{Aws, inventory, wish, wishes};
use super::*;
use crate::desired::DesiredGroup;
use crate::flow::Flows;
use crate::guard::GuardsInForce;
use crate::inventory::{EgressMode, Inventory};
use crate::name::{GroupMark, Mark, Origin, RuleId};
use crate::observed::{Limit, LimitSource, Limits};
use crate::pack::{Dialect, QuotaCount};
use crate::rule::{Direction, Family, PeerKind, Rule, RulePeer};
use crate::testing::{atom, aws_like, cases, group, network, small_rule};

/// Made once: it reads the profiles.
static INVENTORY: LazyLock<Inventory> = LazyLock::new(inventory);
/// The known addresses of `db`'s members.
const MEMBERS: &str = "10.0.0.4/30";

/// A quota that is in nobody's way.
const AMPLE: u32 = 60;

/// Who sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sender {
    /// A node of a group; of `db` with its address.
    Node(Atom, Option<u128>),
    /// Somebody with an address of which nothing else is known.
    Address(u128),
}

/// A packet: who sends it, and its point on the line of traffic.
type Packet = (Sender, u32);

fn senders() -> impl Iterator<Item = Sender> {
    let range = |text| Cidr::parse(text).unwrap().bounds();
    let ((first, last), (from, to)) = (range("10.0.0.0/28"), range(MEMBERS));
    let of_db = (from..=to).map(|address| Sender::Node(atom("db"), Some(address)));
    (first..=last).map(Sender::Address).chain(of_db).chain(["web", "etcd"].map(|g| Sender::Node(atom(g), None)))
}

/// As a cloud judges: a rule for a range lets nodes in by their addresses.
fn by_address(peer: RulePeer, sender: Sender) -> bool {
    let has = |range: Cidr, address| (range.bounds().0..=range.bounds().1).contains(&address);
    match (peer, sender) {
        (RulePeer::Addresses(range), Sender::Address(address) | Sender::Node(_, Some(address))) => has(range, address),
        (RulePeer::Addresses(_), Sender::Node(_, None)) => false,
        (RulePeer::Opaque(_, group, _), Sender::Node(node, _)) => group == node,
        (RulePeer::Opaque(..), Sender::Address(_)) => false,
    }
}

/// As the proof judges: a node of a group is let in by references only.
fn by_name(peer: RulePeer, sender: Sender) -> bool {
    by_address(peer, sender) && !matches!((peer, sender), (RulePeer::Addresses(_), Sender::Node(..)))
}

fn packets<'r>(rules: impl Iterator<Item = &'r Rule>, meets: impl Fn(RulePeer, Sender) -> bool) -> BTreeSet<Packet> {
    let mut out = BTreeSet::new();
    for rule in rules.filter(|r| r.direction == Direction::Ingress) {
        let (low, high) = rule.traffic.points();
        let points = [6u32 << 16, 17 << 16].into_iter().flat_map(|base| base..base + 16);
        let points: Vec<u32> = points.filter(|p| (low..=high).contains(p)).collect();
        let senders = senders().filter(|sender| meets(rule.peer, *sender));
        out.extend(senders.flat_map(|sender| points.iter().map(move |point| (sender, *point))));
    }
    out
}

/// Inbound IPv4 only, as a cloud shows it or as a flow asks for it.
fn v4_rule(families: Family) -> impl Strategy<Value = Rule> {
    small_rule().prop_map(move |mut rule| {
        rule.peer = match rule.peer {
            RulePeer::Opaque(kind, atom, _) => RulePeer::Opaque(kind, atom, families),
            RulePeer::Addresses(range) if range.family() == Family::Ipv6 => {
                RulePeer::Opaque(PeerKind::Group, atom("db"), families)
            }
            range => range,
        };
        rule
    })
}

#[derive(Debug, Clone)]
struct Scene {
    group: ObservedGroup,
    wanted: Vec<Rule>,
    known: bool,
    most: u32,
    all: bool,
    options: (bool, bool),
}

prop_compose! {
    fn scene()(
        rules in prop::collection::btree_set(v4_rule(Family::Both), 0..5),
        marks in prop::collection::vec(prop::sample::subsequence(vec!["platform/prod", "sales/shop"], 0..=2), 5),
        fresh in prop::collection::vec(v4_rule(Family::Ipv4), 0..3),
        again in prop::collection::vec(any::<Index>(), 0..3),
        made in any::<bool>(),
        known in any::<bool>(),
        room in prop_oneof![Just(4), 0u32..4],
        all in any::<bool>(),
        options in any::<(bool, bool)>(),
    ) -> Scene {
        let rules: Vec<Rule> = rules.into_iter().collect();
        let again = again.iter().filter(|_| !rules.is_empty()).map(|i| rules[i.index(rules.len())]);
        let again = again.map(|rule| match rule.peer {
            RulePeer::Opaque(kind, atom, _) => Rule { peer: RulePeer::Opaque(kind, atom, Family::Ipv4), ..rule },
            RulePeer::Addresses(_) => rule,
        });
        let wanted: BTreeSet<Rule> = again.chain(fresh).collect();
        let mut group = group("web", &[], made);
        let there = |(i, (rule, marks)): (usize, (&Rule, Vec<&str>))| crate::observed::ObservedRule {
            rule: *rule,
            id: RuleId::new(&format!("sgr-{i}")).ok(),
            description: String::new(),
            // Marks are read where they decide: in shared groups.
            marks: if made { Vec::new() } else { marks.into_iter().filter_map(Mark::parse).collect() },
            weight: 1,
            resource: None,
        };
        let most = if room == 4 { AMPLE } else { u32::try_from(rules.len()).unwrap() + room };
        group.rules = rules.iter().zip(marks).enumerate().map(there).collect();
        if !made {
            group.marks = vec![GroupMark { mark: Mark::parse("platform/prod").unwrap(), origin: Origin::Joined }];
        }
        Scene { group, wanted: wanted.into_iter().collect(), known, most, all, options }
    }
}

fn planned(scene: &Scene) -> Result<Plan, Vec<PlanError>> {
    let mut web = DesiredGroup { egress: EgressMode::Strict, ..wish("web", &[]) };
    let reasons = || [crate::testing::reason("because")].into();
    web.rules = scene.wanted.iter().map(|rule| DesiredRule { rule: *rule, reasons: reasons() }).collect();
    if scene.known {
        web.addresses = [(atom("db"), vec![Cidr::parse(MEMBERS).unwrap()])].into();
    }
    let others = ["db", "etcd"].map(|name| DesiredGroup { egress: EgressMode::Strict, ..wish(name, &[]) });
    let quota = if scene.all { QuotaCount::All } else { QuotaCount::ByDirectionAndFamily };
    let aws = Aws(Dialect { quota, ..aws_like() });
    let there = ["db", "etcd"].map(|name| group(name, &[], true));
    let limit = Limit { at_most: scene.most, source: LimitSource::Assumed };
    let observed = Observed {
        groups: there.into_iter().chain([scene.group.clone()]).collect(),
        limits: Limits { rules_per_group: Some(limit), ..Limits::default() },
        ..Observed::default()
    };
    let (tidy, add_only) = scene.options;
    let options = PlanOptions { tidy, add_only, ..PlanOptions::default() };
    let desired = wishes(std::iter::once(web).chain(others).collect());
    let network = INVENTORY.networks[&network()].clone();
    let inputs = vec![NetworkInput { network, observed: Ok(observed), pack: &aws, calls: 1 }];
    super::plan(&INVENTORY, &Flows::default(), desired, inputs, &GuardsInForce::default(), &options)
}

/// The rules of `web` after every set of steps that can have been carried out at some moment.
fn moments(scene: &Scene, steps: &[Step]) -> HashSet<Vec<Rule>> {
    let all = (0u32..1 << steps.len()).map(|bits| -> BTreeSet<StepId> {
        steps.iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, s)| s.id).collect()
    });
    let allowed = |done: &BTreeSet<StepId>| {
        steps.iter().filter(|s| done.contains(&s.id)).all(|s| s.depends_on.iter().all(|d| done.contains(d)))
    };
    let rules = |done: BTreeSet<StepId>| {
        let steps = || steps.iter().filter(|s| done.contains(&s.id));
        let gone =
            |rule: &Rule| steps().any(|s| s.action == Action::RemoveRules && s.removes.iter().any(|r| r.rule == *rule));
        let stays = scene.group.rules.iter().map(|r| r.rule).filter(|rule| !gone(rule));
        let added = steps().filter(|s| s.action == Action::AddRules).flat_map(|s| &s.adds).map(|a| a.rule);
        stays.chain(added).collect()
    };
    all.filter(allowed).map(rules).collect()
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn no_order_of_a_plan_cuts_opens_overfills_or_touches_what_is_not_ours(scene in scene()) {
        let plan = match planned(&scene) {
            Ok(plan) => plan,
            Err(errors) => {
                prop_assert!(errors.iter().all(|e| matches!(e, PlanError::Quota { .. })), "{errors:?}");
                return Ok(());
            }
        };
        prop_assert!(plan.proof.holds(), "refused wrongly: {:?}", plan.proof.witness);
        let observed = || scene.group.rules.iter().map(|r| &r.rule);
        let (before, wanted) = (packets(observed(), by_address), packets(scene.wanted.iter(), by_address));
        let (named, asked) = (packets(observed(), by_name), packets(scene.wanted.iter(), by_name));
        let count = scene.group.rules.len();
        for rules in moments(&scene, &plan.steps) {
            let (open, open_by_name) = (packets(rules.iter(), by_address), packets(rules.iter(), by_name));
            // A range and a reference don't stand for each other where a quota leaves no room to have both for a while.
            let lost = |p: &&Packet| {
                let by_name = asked.contains(p) && named.contains(p) && !open_by_name.contains(p);
                if scene.most == AMPLE { wanted.contains(p) } else { by_name }
            };
            let cut = before.difference(&open).find(lost);
            prop_assert_eq!(cut, None, "cut at {:?}", rules);
            let opened = open.difference(&before).find(|p| !wanted.contains(p));
            prop_assert_eq!(opened, None, "opened at {:?}", rules);
            // Whatever the quota counts, inbound IPv4 rules and references count.
            prop_assert!(rules.len() <= count.max(scene.most as usize), "{} rules", rules.len());
        }
        let removed: Vec<&StepRule> =
            plan.steps.iter().filter(|s| s.action == Action::RemoveRules).flat_map(|s| &s.removes).collect();
        for rule in &removed {
            let theirs = scene.group.rules.iter().find(|r| r.id == rule.id).unwrap();
            let only_ours = theirs.marks.iter().map(ToString::to_string).eq(["platform/prod"]);
            let exclusive = scene.group.marks.iter().any(|m| m.origin == Origin::Made);
            prop_assert!(exclusive || only_ours, "{theirs:?} isn't ours");
        }
        let gone = |rule: &Rule| removed.iter().any(|r| r.rule == *rule);
        let stays = scene.group.rules.iter().map(|r| r.rule).filter(|rule| !gone(rule));
        let added = plan.steps.iter().filter(|s| s.action == Action::AddRules).flat_map(|s| &s.adds).map(|a| a.rule);
        let end: Vec<Rule> = stays.chain(added).collect();
        prop_assert!(packets(end.iter(), by_address).is_superset(&wanted), "in the end, all that is wanted passes");
    }
}

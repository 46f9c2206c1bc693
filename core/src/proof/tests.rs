use proptest::prelude::*;

use super::*;
use crate::plan::StepRule;
use crate::testing::{atom, cases, network, rule, rules, small_rule, small_rules, step};

/// A rule of a cloud where each is its own object.
fn seen(rule: Rule) -> Seen {
    Seen { rule, id: None, resource: None }
}

fn case_of(group: &str, observed: &[&str], required: &[&str]) -> GroupCase {
    let observed = observed.iter().map(|t| seen(rule(t))).collect();
    GroupCase {
        network: network(),
        group: atom(group),
        observed,
        required: rules(required),
        guards: GuardSet::default(),
        ownership: Ownership::Exclusive,
        made: true,
        claims: BTreeMap::new(),
    }
}

fn proof_of(groups: Vec<GroupCase>, steps: &[Step]) -> Proof {
    prove(&Case { groups, steps, trusted: &[], gaps: Vec::new() })
}

fn fault(groups: Vec<GroupCase>, steps: &[Step]) -> Option<(Fault, u32)> {
    proof_of(groups, steps).witness.map(|w| (w.fault, w.step.0))
}

const ADD: Action = Action::AddRules;
const REMOVE: Action = Action::RemoveRules;

#[test]
fn a_rule_may_move_from_one_resource_to_another_but_not_go_first() {
    let mut web = case_of("web", &["22/tcp from 10.0.0.0/8"], &["22/tcp from 10.0.0.0/8"]);
    web.observed[0].resource = Some("old".into());
    let of = |resource: &str, step: Step| Step { resource: Some(resource.to_owned()), ..step };
    let moves = |waits: &[u32]| {
        let insert = step(1, "web", Action::AddRules, &["22/tcp from 10.0.0.0/8"], &[], &[]);
        let patch = step(2, "web", Action::RemoveRules, &[], &["22/tcp from 10.0.0.0/8"], waits);
        [of("new", insert), of("old", patch)]
    };
    let fault = |steps: &[Step]| fault(vec![web.clone()], steps).map(|(fault, _)| fault);
    assert_eq!(fault(&moves(&[1])), None);
    assert_eq!(fault(&moves(&[])), Some(Fault::Cut));
    // What goes is of the resource that the call is to.
    let [insert, _] = moves(&[1]);
    let back = of("new", step(2, "web", Action::RemoveRules, &[], &["22/tcp from 10.0.0.0/8"], &[1]));
    assert_eq!(fault(&[insert, back]), None);
}

#[test]
fn a_replacement_that_waits_is_safe() {
    let web = case_of("web", &["tcp from 10.0.0.0/8"], &["22/tcp from 10.0.0.0/8"]);
    let steps = [
        step(1, "web", ADD, &["22/tcp from 10.0.0.0/8"], &[], &[]),
        step(2, "web", REMOVE, &[], &["tcp from 10.0.0.0/8"], &[1]),
    ];
    let proof = proof_of(vec![web], &steps);
    assert_eq!((proof.holds(), proof.required_flows, proof.held_before, proof.kept), (true, 1, 1, 1));
}

#[test]
fn removing_first_cuts() {
    let web = case_of("web", &["tcp from 10.0.0.0/8"], &["22/tcp from 10.0.0.0/8"]);
    let steps = [
        step(1, "web", REMOVE, &[], &["tcp from 10.0.0.0/8"], &[]),
        step(2, "web", ADD, &["22/tcp from 10.0.0.0/8"], &[], &[1]),
    ];
    assert_eq!(fault(vec![web], &steps), Some((Fault::Cut, 1)));
}

#[test]
fn a_forgotten_dependency_cuts() {
    let web = case_of("web", &["tcp from 10.0.0.0/8"], &["22/tcp from 10.0.0.0/8"]);
    let steps = [
        step(1, "web", ADD, &["22/tcp from 10.0.0.0/8"], &[], &[]),
        step(2, "web", REMOVE, &[], &["tcp from 10.0.0.0/8"], &[]),
    ];
    assert_eq!(fault(vec![web], &steps), Some((Fault::Cut, 2)));
}

#[test]
fn a_witness_is_a_packet_that_is_really_cut() {
    let web = case_of("web", &["tcp from 10.0.0.0/8"], &["22-23/tcp from 10.0.0.0/8"]);
    let steps = [
        step(1, "web", ADD, &["22/tcp from 10.0.0.0/8", "23/tcp from 10.0.0.0/9"], &[], &[]),
        step(2, "web", REMOVE, &[], &["tcp from 10.0.0.0/8"], &[1]),
    ];
    let witness = proof_of(vec![web], &steps).witness.unwrap();
    let packet = witness.packet.unwrap();
    assert_eq!(packet.point & 0xFFFF, 23);
    assert_eq!(packet.peer, PacketPeer::Address(Family::Ipv4, 0x0A80_0000));
}

#[test]
fn a_patch_adds_and_removes_at_once() {
    let web = case_of("web", &["tcp from 10.0.0.0/8"], &["22/tcp from 10.0.0.0/8"]);
    let patch = step(1, "web", Action::ReplaceRules, &["22/tcp from 10.0.0.0/8"], &["tcp from 10.0.0.0/8"], &[]);
    assert_eq!(fault(vec![web], &[patch]), None);
}

#[test]
fn what_a_later_step_takes_away_again_does_not_count() {
    let web = case_of("web", &["tcp from 10.0.0.0/8"], &["22/tcp from 10.0.0.0/8"]);
    let steps = [
        step(1, "web", ADD, &["22/tcp from 10.0.0.0/8"], &[], &[]),
        step(2, "web", REMOVE, &[], &["tcp from 10.0.0.0/8", "22/tcp from 10.0.0.0/8"], &[1]),
    ];
    assert_eq!(fault(vec![web], &steps), Some((Fault::Cut, 2)));
}

#[test]
fn a_replacement_that_goes_later_is_none() {
    // In a chain, and unordered against the first removal.
    for before in [2, 1] {
        let web = case_of("web", &["tcp from 10.0.0.0/8"], &["22/tcp from 10.0.0.0/8"]);
        let steps = [
            step(1, "web", ADD, &["22/tcp from 10.0.0.0/8"], &[], &[]),
            step(2, "web", REMOVE, &[], &["tcp from 10.0.0.0/8"], &[1]),
            step(3, "web", REMOVE, &[], &["22/tcp from 10.0.0.0/8"], &[before]),
        ];
        assert_eq!(fault(vec![web], &steps).map(|(fault, _)| fault), Some(Fault::Cut));
    }
}

#[test]
fn a_step_on_a_group_that_the_case_does_not_know_is_refused() {
    let steps = [step(1, "db", ADD, &["2379/tcp from 0.0.0.0/0"], &[], &[])];
    assert_eq!(fault(vec![case_of("web", &[], &[])], &steps), Some((Fault::Unknown, 1)));
}

#[test]
fn a_group_that_the_case_does_not_know_is_not_deleted() {
    let steps = [step(1, "db", Action::DeleteGroup, &[], &[], &[])];
    let witness = proof_of(vec![case_of("web", &[], &[])], &steps).witness.unwrap();
    assert_eq!((witness.fault, witness.packet), (Fault::Unknown, None));
}

/// Whether removing the first of a group's rules is refused as not ours.
fn not_ours(ownership: Ownership, claim: Claim) -> bool {
    let claims = [(0, claim)].into();
    let web = GroupCase { ownership, claims, ..case_of("web", &["22/tcp from g:db"], &[]) };
    match fault(vec![web], &[step(1, "web", REMOVE, &[], &["22/tcp from g:db"], &[])]) {
        Some((Fault::NotOurs, 1)) => true,
        None => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_two_facts_allow_a_removal() {
    for (ours, others, writer) in (0..8).map(|bits| (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0)) {
        let claim = Claim { ours, others, writer };
        let only_ours = ours && !others;
        assert_eq!(not_ours(Ownership::Shared, claim), !only_ours, "{claim:?}");
        assert_eq!(not_ours(Ownership::Exclusive, claim), writer && !only_ours, "{claim:?}");
    }
}

#[test]
fn a_rule_that_a_step_does_not_name_by_its_id_may_be_the_foreign_one() {
    let mut web = case_of("web", &["22/tcp from g:db", "22/tcp from g:db"], &[]);
    let id = |text| RuleId::new(text).ok();
    (web.observed[0].id, web.observed[1].id) = (id("mine"), id("theirs"));
    web.ownership = Ownership::Shared;
    web.claims = [(0, Claim { ours: true, ..Claim::default() })].into();
    let remove = |id| {
        let mut step = step(1, "web", REMOVE, &[], &["22/tcp from g:db"], &[]);
        step.removes[0].id = id;
        fault(vec![web.clone()], &[step]).map(|(fault, _)| fault)
    };
    assert_eq!(remove(id("mine")), None);
    assert_eq!(remove(id("theirs")), Some(Fault::NotOurs));
    assert_eq!(remove(None), Some(Fault::NotOurs));
}

#[test]
fn a_group_that_others_made_is_not_deleted() {
    for observed in [&[][..], &["22/tcp from g:db"]] {
        let web = GroupCase { made: false, ..case_of("web", observed, &[]) };
        let delete = [step(1, "web", Action::DeleteGroup, &[], observed, &[])];
        assert_eq!(fault(vec![web], &delete), Some((Fault::NotOurs, 1)));
    }
}

#[test]
fn a_mark_may_go_from_a_rule_that_stays() {
    let web = GroupCase { ownership: Ownership::Shared, ..case_of("web", &["22/tcp from g:db"], &[]) };
    assert_eq!(fault(vec![web], &[step(1, "web", Action::SetMarks, &[], &["22/tcp from g:db"], &[])]), None);
}

#[test]
fn a_removal_of_what_is_neither_there_nor_added_is_refused() {
    let steps = [step(1, "web", REMOVE, &[], &["22/tcp from g:db"], &[])];
    assert_eq!(fault(vec![case_of("web", &[], &[])], &steps), Some((Fault::Unknown, 1)));
}

#[test]
fn what_is_open_already_does_not_open() {
    let text = "2379/tcp from 0.0.0.0/0";
    let wide = "2000-3000/tcp from 0.0.0.0/0";
    let web = GroupCase { guards: etcd_guard("2379-2380/tcp"), ..case_of("web", &[wide], &[text]) };
    assert_eq!(fault(vec![web], &[step(1, "web", ADD, &[text], &[], &[])]), None);
}

#[test]
fn what_was_not_held_before_is_not_cut() {
    let web = case_of("web", &["23/tcp from 10.0.0.0/8"], &["22/tcp from 10.0.0.0/8"]);
    let proof = proof_of(vec![web], &[step(1, "web", REMOVE, &[], &["23/tcp from 10.0.0.0/8"], &[])]);
    assert_eq!((proof.holds(), proof.held_before), (true, 0));
}

#[test]
fn widening_by_one_port_opens() {
    let web = case_of("web", &[], &["22/tcp from g:db"]);
    assert_eq!(fault(vec![web.clone()], &[step(1, "web", ADD, &["22/tcp from g:db"], &[], &[])]), None);
    assert_eq!(fault(vec![web], &[step(1, "web", ADD, &["22-23/tcp from g:db"], &[], &[])]), Some((Fault::Opened, 1)));
}

#[test]
fn widening_by_one_address_opens() {
    let web = case_of("web", &[], &["22/tcp from 10.0.0.0/31"]);
    assert_eq!(
        fault(vec![web], &[step(1, "web", ADD, &["22/tcp from 10.0.0.0/30"], &[], &[])]),
        Some((Fault::Opened, 1))
    );
}

#[test]
fn a_reference_for_both_families_is_wider_than_for_one() {
    let web = case_of("web", &[], &["22/tcp from g4:db"]);
    assert_eq!(fault(vec![web], &[step(1, "web", ADD, &["22/tcp from g:db"], &[], &[])]), Some((Fault::Opened, 1)));
}

#[test]
fn rules_of_a_group_just_made_open_nothing() {
    let web = case_of("web", &[], &[]);
    assert_eq!(fault(vec![web], &[step(1, "web", Action::CreateGroup, &["all to 0.0.0.0/0"], &[], &[])]), None);
}

fn etcd_guard(traffic: &str) -> GuardSet {
    let traffic = vec![Traffic::parse(traffic).unwrap()];
    let guard = crate::guard::Guard { name: "etcd-public".into(), traffic, why: String::new(), source: String::new() };
    GuardSet { guards: vec![guard], exempt: Vec::new() }
}

#[test]
fn what_a_row_itself_names_is_exempt_and_no_more() {
    let exempt = vec![(Traffic::parse("2379/tcp").unwrap(), Cidr::parse("0.0.0.0/0").unwrap())];
    let guards = GuardSet { exempt, ..etcd_guard("2379-2380/tcp") };
    let adds = |text: &str| {
        let web = GroupCase { guards: guards.clone(), ..case_of("web", &[], &[text]) };
        fault(vec![web], &[step(1, "web", ADD, &[text], &[], &[])])
    };
    assert_eq!(adds("2379/tcp from 0.0.0.0/0"), None);
    assert_eq!(adds("2379-2380/tcp from 0.0.0.0/0"), Some((Fault::Guard("etcd-public".into()), 1)));
    assert_eq!(adds("2379/tcp from ::/0"), Some((Fault::Guard("etcd-public".into()), 1)));
}

#[test]
fn a_guard_forbids_public_addresses_only() {
    let guarded = |text: &str| {
        let web = GroupCase { guards: etcd_guard("2379-2380/tcp"), ..case_of("web", &[], &[text]) };
        fault(vec![web], &[step(1, "web", ADD, &[text], &[], &[])])
    };
    let refused = Some((Fault::Guard("etcd-public".into()), 1));
    assert_eq!(guarded("2379/tcp from 0.0.0.0/0"), refused);
    assert_eq!(guarded("all from 0.0.0.0/0"), refused);
    assert_eq!(guarded("2380/tcp from ::/0"), refused);
    assert_eq!(guarded("2380/tcp from 172.0.0.0/8"), refused);
    assert_eq!(guarded("2381/tcp from 0.0.0.0/0"), None);
    for private in
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.1.0/24", "100.64.0.0/10", "fd00::/8", "fe80::/10", "127.0.0.1"]
    {
        assert_eq!(guarded(&format!("2379/tcp from {private}")), None, "{private}");
    }
    assert_eq!(guarded("2379/tcp from g:db"), None);
}

#[test]
fn trusted_ranges_are_not_public() {
    let web = GroupCase { guards: etcd_guard("2379/tcp"), ..case_of("web", &[], &["2379/tcp from 203.0.113.0/24"]) };
    let steps = [step(1, "web", ADD, &["2379/tcp from 203.0.113.0/24"], &[], &[])];
    let trusted = |text: &str| {
        prove(&Case {
            groups: vec![web.clone()],
            steps: &steps,
            trusted: &[Cidr::parse(text).unwrap()],
            gaps: Vec::new(),
        })
        .holds()
    };
    assert!(trusted("203.0.113.0/24"));
    assert!(!trusted("203.0.113.0/25"));
}

#[test]
fn a_referenced_group_is_not_deleted() {
    let groups = || vec![case_of("web", &["22/tcp from g:db"], &[]), case_of("db", &[], &[])];
    let delete = |depends: &[u32]| step(2, "db", Action::DeleteGroup, &[], &[], depends);
    let release = step(1, "web", REMOVE, &[], &["22/tcp from g:db"], &[]);
    assert_eq!(fault(groups(), &[delete(&[])]), Some((Fault::Referenced, 2)));
    assert_eq!(fault(groups(), &[release.clone(), delete(&[])]), Some((Fault::Referenced, 2)));
    assert_eq!(fault(groups(), &[release, delete(&[1])]), None);
}

#[test]
fn a_group_that_goes_cuts_what_it_let_through() {
    let web = case_of("web", &["22/tcp from g:db"], &["22/tcp from g:db"]);
    assert_eq!(fault(vec![web], &[step(1, "web", Action::DeleteGroup, &[], &[], &[])]), Some((Fault::Cut, 1)));
}

#[test]
fn what_is_added_to_a_group_that_goes_saves_nothing() {
    let web = case_of("web", &["tcp from 10.0.0.0/8"], &["22/tcp from 10.0.0.0/8"]);
    let steps = [
        step(1, "web", ADD, &["22/tcp from 10.0.0.0/8"], &[], &[]),
        step(2, "web", REMOVE, &[], &["tcp from 10.0.0.0/8"], &[1]),
        step(3, "web", Action::DeleteGroup, &[], &[], &[2]),
    ];
    assert_eq!(fault(vec![web], &steps), Some((Fault::Cut, 3)));
}

#[test]
fn the_same_rule_removed_twice_is_a_fault_of_the_plan() {
    let web = case_of("web", &["22/tcp from g:db"], &["22/tcp from g:db"]);
    let remove = |id| step(id, "web", REMOVE, &[], &["22/tcp from g:db"], &[]);
    assert_eq!(fault(vec![web], &[remove(1), remove(2)]), Some((Fault::RemovedTwice, 2)));
}

#[test]
fn marks_and_descriptions_change_no_rule() {
    let web = case_of("web", &["22/tcp from g:db"], &["22/tcp from g:db"]);
    let steps = [step(1, "web", Action::SetMarks, &[], &["22/tcp from g:db"], &[])];
    assert_eq!(fault(vec![web], &steps), None);
}

/// Every set of steps that can have been carried out at some moment.
fn moments(steps: &[Step]) -> Vec<BTreeSet<StepId>> {
    let all = (0u32..1 << steps.len()).map(|bits| -> BTreeSet<StepId> {
        steps.iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, s)| s.id).collect()
    });
    let allowed = |done: &BTreeSet<StepId>| {
        steps.iter().filter(|s| done.contains(&s.id)).all(|s| s.depends_on.iter().all(|d| done.contains(d)))
    };
    all.filter(allowed).collect()
}

/// Whether some packet that is required and passes before is cut at some moment, by looking at all of them.
fn is_cut_at_some_moment(observed: &[Rule], required: &[Rule], steps: &[Step]) -> bool {
    let everything: Vec<&Rule> =
        observed.iter().chain(required).chain(steps.iter().flat_map(|s| s.adds.iter().map(|a| &a.rule))).collect();
    let packets: Vec<Packet> = required.iter().flat_map(|r| classes(r, everything.iter().copied())).collect();
    let before: Vec<&Packet> = packets.iter().filter(|p| observed.iter().any(|r| carries(r, p))).collect();
    moments(steps).iter().any(|done| {
        let done: Vec<&Step> = steps.iter().filter(|s| done.contains(&s.id)).collect();
        let removed = |rule: &Rule| done.iter().any(|s| s.removes.iter().any(|r| r.rule == *rule));
        let stands =
            observed.iter().filter(|r| !removed(r)).chain(done.iter().flat_map(|s| s.adds.iter().map(|a| &a.rule)));
        let stands: Vec<&Rule> = stands.collect();
        before.iter().any(|p| !stands.iter().any(|r| carries(r, p)))
    })
}

/// Steps 1..=n that each remove one observed rule or add one; each waits for some of the earlier ones.
fn small_steps(observed: Vec<Rule>) -> impl Strategy<Value = Vec<Step>> {
    let removals = proptest::sample::subsequence(observed.clone(), 0..=observed.len());
    (removals, prop::collection::vec(small_rule(), 0..4), any::<u64>(), any::<u64>()).prop_map(
        |(removals, adds, waits, order)| {
            let change = |action, adds: Option<Rule>, removes: Option<Rule>| Step {
                adds: adds.map(StepRule::plain).into_iter().collect(),
                removes: removes.map(StepRule::plain).into_iter().collect(),
                ..step(0, "web", action, &[], &[], &[])
            };
            let mut steps: Vec<Step> = removals.into_iter().map(|r| change(REMOVE, None, Some(r))).collect();
            steps.extend(adds.into_iter().map(|a| change(ADD, Some(a), None)));
            let turn = (order as usize) % steps.len().max(1);
            steps.rotate_left(turn);
            for (i, step) in steps.iter_mut().enumerate() {
                step.id = StepId(i as u32 + 1);
                let waits_for = |j: &usize| waits & (1 << ((i * 7 + j) % 64)) != 0;
                step.depends_on = (0..i).filter(waits_for).map(|j| StepId(j as u32 + 1)).collect();
            }
            steps
        },
    )
}

fn small_plans() -> impl Strategy<Value = (Vec<Rule>, Vec<Rule>, Vec<Step>)> {
    let observed =
        small_rules(5).prop_map(|rules| rules.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
    (observed, small_rules(4))
        .prop_flat_map(|(observed, required)| (Just(observed.clone()), Just(required), small_steps(observed)))
}

/// Plans in which something required often is removed and added again.
fn small_replacements() -> impl Strategy<Value = (Vec<Rule>, Vec<Rule>, Vec<Step>)> {
    small_plans().prop_map(|(observed, _, mut steps)| {
        let mut adds = observed.clone();
        for step in &mut steps {
            if let Some(add) = step.adds.first_mut().filter(|_| !adds.is_empty()) {
                let again = adds.remove(0);
                // The same packets under a wider rule: an equal rule would count as the one that is removed.
                add.rule = Rule { traffic: Traffic::ALL, ..again };
            }
        }
        (observed.clone(), observed, steps)
    })
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_plan_is_refused_exactly_when_some_moment_cuts(
        (observed, required, steps) in prop_oneof![small_plans(), small_replacements()]
    ) {
        // A rule that one step removes and another adds is left to the tests above.
        let equal = |s: &Step| s.adds.iter().any(|a| observed.contains(&a.rule));
        prop_assume!(!steps.iter().any(equal));
        let web = GroupCase {
            network: network(),
            group: atom("web"),
            observed: observed.iter().map(|r| seen(*r)).collect(),
            required: required.clone(),
            ..case_of("web", &[], &[])
        };
        let proof = prove(&Case { groups: vec![web], steps: &steps, trusted: &[], gaps: Vec::new() });
        let cut = proof.witness.as_ref().is_some_and(|w| w.fault == Fault::Cut);
        let found = is_cut_at_some_moment(&observed, &required, &steps);
        prop_assert_eq!(cut || proof.kept < proof.held_before, found);
    }
}

//! The engine against the simulated cloud: order, failures, faults, read-backs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

mod scene;

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use rsgsync_core::plan::{Action, StepId};
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{Because, Cloud, CloudError, Done, ErrorKind, Event, Journal, StopSignal, Stopped};
use scene::*;
use serde_json::{Value, json};

/// Two groups that refer to each other, made from nothing.
fn circle() -> Plan {
    let mut plan = Plan::default();
    plan.create("one");
    plan.create("two");
    plan.add("one", &[1, 2], &["in 2379/tcp two", "in 22/tcp 10.0.0.0/8"]);
    plan.add("two", &[1, 2], &["in 6443/tcp one"]);
    plan
}

fn with_faults(schedule: Value) -> Value {
    json!({ "version": 1, "faults": { "schedule": schedule } })
}

#[tokio::test(start_paused = true)]
async fn groups_that_refer_to_each_other_are_made() {
    let cloud = cloud(&state(json!([])));
    let outcome = circle().carry_out(&cloud).await;
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!(rules_of(&cloud, "one"), ["22/tcp 10.0.0.0/8", "2379/tcp two", "out null/all 0.0.0.0/0"]);
    assert_eq!(rules_of(&cloud, "two"), ["6443/tcp one", "out null/all 0.0.0.0/0"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_group_costs_two_calls() {
    let cloud = cloud(&state(json!([])));
    let _ = circle().carry_out(&cloud).await;
    let mut calls = kinds(&cloud.log());
    calls.sort_unstable();
    let (authorize, create) = ("AuthorizeSecurityGroupIngress", "CreateSecurityGroup");
    assert_eq!(calls, [authorize, authorize, create, create]);
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_are_made_again() {
    let cloud = cloud(&with_faults(json!([{ "call": 1, "fault": "throttle", "times": 5, "retry_after_ms": 3000 }])));
    let begun = tokio::time::Instant::now();
    let outcome = circle().carry_out(&cloud).await;
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!(cloud.log().len(), 4 + 5);
    // Time is simulated here: what passes is exactly what was waited for.
    assert!(begun.elapsed() >= Duration::from_secs(3), "the cloud asked for three seconds");
}

#[tokio::test(start_paused = true)]
async fn errors_and_timeouts_are_tried_again() {
    for fault in ["error_500", "timeout"] {
        let cloud = cloud(&with_faults(json!([{ "call": 2, "fault": fault, "times": 3 }])));
        let outcome = circle().carry_out(&cloud).await;
        assert!(outcome.is_complete(), "{fault}: {outcome:?}");
        assert_eq!(rules_of(&cloud, "one").len(), 3, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_at_any_call_is_resolved_by_looking() {
    for call in 1..=4 {
        let cloud = cloud(&with_faults(json!([{ "call": call, "fault": "lost_answer" }])));
        let outcome = circle().carry_out(&cloud).await;
        assert!(outcome.is_complete(), "call {call}: {outcome:?}");
        assert_eq!(rules_of(&cloud, "one").len(), 3, "call {call}");
        assert_eq!(rules_of(&cloud, "two").len(), 2, "call {call}");
    }
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let cloud = cloud(&with_faults(json!([{ "call": 1, "fault": "error_500", "times": 1000 }])));
    let outcome = circle().carry_out(&cloud).await;
    assert_eq!(outcome.failed.len(), 2, "{outcome:?}");
    assert!(outcome.failed.iter().all(|(_, error)| error.kind == ErrorKind::Transient));
    assert_eq!(cloud.log().len(), 2 * 7, "a first try and six more, for each group");
}

#[tokio::test(start_paused = true)]
async fn a_failure_stops_its_group_and_what_depends_on_it_and_nothing_else() {
    let cloud = cloud(&state(json!([group("sg-1", "taken"), group("sg-2", "other")])));
    let mut plan = Plan::default();
    plan.create("taken"); // 1 fails: somebody else's
    plan.create("mine"); // 2
    plan.add("mine", &[1, 2], &["in 22/tcp taken"]); // 3 depends on 1
    plan.add("taken", &[], &["in 22/tcp 10.0.0.0/8"]).depends_on = vec![StepId(1)]; // 4 depends on it, of its group
    plan.add("sg-2", &[], &["in 22/tcp 10.0.0.0/8"]); // 5 has nothing to do with it
    plan.remove("sg-2", &[3], &["in 23/tcp 10.0.0.0/8"]); // 6 depends on 3
    let outcome = plan.carry_out(&cloud).await;
    assert_eq!(outcome.failed.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids(&[1]));
    assert_eq!(outcome.done, ids(&[2, 5]));
    let needs = |step| Because::Needs(StepId(step));
    assert_eq!(outcome.skipped, [(StepId(3), needs(1)), (StepId(4), needs(1)), (StepId(6), needs(3))]);
    assert_eq!(rules_of(&cloud, "taken"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn later_steps_of_a_failed_group_are_not_begun() {
    let cloud = cloud(&state(json!([group("sg-1", "one")])));
    let mut plan = Plan::default();
    plan.add("sg-1", &[], &["in 22/tcp sg-99"]); // refers to nothing
    plan.add("sg-1", &[3], &["in 23/tcp 10.0.0.0/8"]);
    plan.create("other");
    let outcome = plan.carry_out(&cloud).await;
    assert_eq!(outcome.skipped, [(StepId(2), Because::GroupFailed(StepId(1)))]);
    assert_eq!(outcome.done, ids(&[3]));
}

#[tokio::test(start_paused = true)]
async fn additions_are_read_back_once_before_all_removals_that_need_them() {
    let old = |n: u32| {
        json!({ "id": format!("sg-{n}"), "name": format!("g{n}"), "description": "a group",
                               "rules": [tcp(&format!("sgr-{n}"), 22, "0.0.0.0/0")] })
    };
    let cloud = cloud(&state(json!([old(1), old(2), old(3)])));
    let mut plan = Plan::default();
    for n in 1..=3_u32 {
        let group = format!("sg-{n}");
        plan.add(&group, &[], &["in 22/tcp 10.0.0.0/8"]);
        plan.remove(&group, &[2 * n - 1], &["in 22/tcp 0.0.0.0/0"]);
    }
    let outcome = plan.carry_out(&cloud).await;
    assert!(outcome.is_complete(), "{outcome:?}");
    let (authorize, revoke) = ("AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress");
    let expected = [authorize, authorize, authorize, "DescribeSecurityGroups", revoke, revoke, revoke];
    assert_eq!(kinds(&cloud.log()), expected);
}

#[tokio::test(start_paused = true)]
async fn removals_that_depend_on_no_addition_need_no_reading() {
    let one = json!({ "id": "sg-1", "name": "one", "rules": [tcp("sgr-1", 22, "0.0.0.0/0")] });
    let cloud = cloud(&state(json!([one, group("sg-2", "two")])));
    let mut plan = Plan::default();
    plan.add("sg-2", &[], &["in 22/tcp 10.0.0.0/8"]);
    plan.remove("sg-1", &[], &["in 22/tcp 0.0.0.0/0"]);
    let outcome = plan.carry_out(&cloud).await;
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!(cloud.calls().get("DescribeSecurityGroups"), None);
}

#[tokio::test(start_paused = true)]
async fn additions_settle_before_removals() {
    let one = json!({ "id": "sg-1", "name": "one", "rules": [tcp("sgr-1", 22, "0.0.0.0/0")] });
    let cloud = cloud(&state(json!([one])));
    let mut plan = Plan::default();
    plan.add("sg-1", &[], &["in 22/tcp 10.0.0.0/8"]);
    plan.remove("sg-1", &[1], &["in 22/tcp 0.0.0.0/0"]);
    let (network, owner) = (network(), owner());
    let run = rsgsync_engine::Run {
        network: &network,
        owner: &owner,
        cloud: &cloud,
        account: None,
        elsewhere: &Default::default(),
        atoms: &plan.atoms,
        steps: &plan.steps,
        settle: Duration::from_secs(5),
    };
    let begun = tokio::time::Instant::now();
    let mut journal = Journal::in_memory(Value::Null);
    let outcome = rsgsync_engine::carry_out(&[run], options(), &mut journal, &(), &StopSignal::new()).await;
    assert!(outcome.is_complete());
    assert_eq!(begun.elapsed().as_secs(), 5);
}

/// A cloud that says "done" and adds nothing.
struct Forgetful<'a>(&'a rsgsync_simulated::Simulated);

impl rsgsync_core::pack::Pack for Forgetful<'_> {
    fn dialect(&self) -> &rsgsync_core::pack::Dialect {
        self.0.dialect()
    }

    fn pack(
        &self,
        changes: &rsgsync_core::pack::GroupChanges,
        at: &rsgsync_core::pack::Site<'_>,
    ) -> Vec<rsgsync_core::pack::Call> {
        self.0.pack(changes, at)
    }
}

#[async_trait::async_trait]
impl Cloud for Forgetful<'_> {
    async fn observe(
        &self,
        scope: &rsgsync_core::observed::Scope,
        atoms: &mut Atoms,
    ) -> Result<rsgsync_core::observed::Observed, CloudError> {
        self.0.observe(scope, atoms).await
    }

    async fn execute(&self, step: &rsgsync_core::plan::Step, atoms: &Atoms) -> Result<Done, CloudError> {
        if step.action == Action::AddRules { Ok(Done::default()) } else { self.0.execute(step, atoms).await }
    }

    fn made_elsewhere(&self, name: &str, id: &str) {
        self.0.made_elsewhere(name, id);
    }

    fn calls(&self) -> std::collections::BTreeMap<String, u64> {
        self.0.calls()
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_while_additions_can_not_be_seen() {
    let one = json!({ "id": "sg-1", "name": "one", "rules": [tcp("sgr-1", 22, "0.0.0.0/0")] });
    let cloud = cloud(&state(json!([one])));
    let mut plan = Plan::default();
    plan.add("sg-1", &[], &["in 22/tcp 10.0.0.0/8"]);
    plan.remove("sg-1", &[1], &["in 22/tcp 0.0.0.0/0"]);
    let outcome = plan.carry_out(&Forgetful(&cloud)).await;
    assert_eq!(outcome.skipped, [(StepId(2), Because::Unconfirmed)]);
    assert_eq!(outcome.unconfirmed.len(), 1);
    assert_eq!(rules_of(&cloud, "one"), ["22/tcp 0.0.0.0/0"]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_begins_nothing_and_says_what_is_left() {
    let cloud = cloud(&state(json!([])));
    let stop = StopSignal::new();
    stop.cancel();
    let outcome = circle().carry_out_with(&cloud, &mut Journal::in_memory(Value::Null), &stop).await;
    assert!(matches!(outcome.stopped, Some(Stopped::Signal)));
    assert_eq!(outcome.skipped.len(), 4);
    assert_eq!(cloud.log().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_is_in_flight() {
    let mut slow = state(json!([]));
    slow["latency_ms"] = json!(1000);
    let cloud = cloud(&slow);
    let stop = StopSignal::new();
    let (plan, mut journal) = (circle(), Journal::in_memory(Value::Null));
    let run = plan.carry_out_with(&cloud, &mut journal, &stop);
    let signal = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(run, signal);
    let mut done = outcome.done.clone();
    done.sort();
    assert_eq!(done, ids(&[1, 2]));
    assert_eq!(outcome.skipped, [(StepId(3), Because::Stopped), (StepId(4), Because::Stopped)]);
    assert!(outcome.failed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_needs_an_unknown_one_is_not_begun() {
    let cloud = cloud(&state(json!([group("sg-1", "one")])));
    let mut plan = Plan::default();
    plan.add("sg-1", &[77], &["in 22/tcp 10.0.0.0/8"]);
    let outcome = plan.carry_out(&cloud).await;
    assert_eq!(outcome.skipped, [(StepId(1), Because::Needs(StepId(77)))]);
}

#[tokio::test(start_paused = true)]
async fn the_journal_has_an_intent_before_and_an_outcome_after_each_call() {
    let cloud = cloud(&state(json!([group("sg-1", "one")])));
    let mut plan = Plan::default();
    plan.create("two");
    plan.add("sg-1", &[1], &["in 22/tcp two"]);
    let mut journal = Journal::in_memory(json!("the plan"));
    let _ = plan.carry_out_with(&cloud, &mut journal, &StopSignal::new()).await;
    let words: Vec<String> = journal
        .events()
        .iter()
        .map(|event| match event {
            Event::Header { version, command: _, plan } => format!("header {version} {plan}"),
            Event::Intent { step } => format!("intent {}", step.0),
            Event::Outcome { step, ok, group_id, .. } => {
                format!("outcome {} {ok} {}", step.0, group_id.as_deref().unwrap_or("-"))
            }
            Event::ReadBack { steps } => format!("read back {steps:?}"),
            Event::End { done, failed, skipped } => format!("end {done} {failed} {skipped}"),
            Event::Closed {} => "closed".to_owned(),
        })
        .collect();
    let made = "outcome 1 true sg-00000000000000002"; // sg-1 has the first number
    assert_eq!(words, ["header 1 \"the plan\"", "intent 1", made, "intent 2", "outcome 2 true -", "end 2 0 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_again_changes_nothing() {
    let cloud = cloud(&state(json!([])));
    let plan = circle();
    let _ = plan.carry_out(&cloud).await;
    let before = cloud.state();
    let outcome = plan.carry_out(&cloud).await;
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!(cloud.state(), before);
}

/// Creates `groups` groups, each with one addition, whose dependencies are whatever `edges` say, backwards only.
fn random_plan(groups: usize, edges: &[(usize, usize)]) -> Plan {
    let mut plan = Plan::default();
    for n in 0..groups {
        plan.create(&format!("g{n}"));
    }
    for n in 0..groups {
        plan.add(&format!("g{n}"), &[n as u32 + 1], &["in 22/tcp 10.0.0.0/8"]);
    }
    for (a, b) in edges {
        let (a, b) = (a % plan.steps.len(), b % plan.steps.len());
        let needed = plan.steps[a.min(b)].id;
        let step = &mut plan.steps[a.max(b)];
        if a != b && !step.depends_on.contains(&needed) {
            step.depends_on.push(needed);
        }
    }
    plan
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_step_is_begun_before_what_it_depends_on_is_done(
        groups in 1_usize..12,
        edges in prop::collection::vec((0_usize..24, 0_usize..24), 0..40),
        faults in prop::collection::vec((1_u64..40, 0_usize..4), 0..6),
    ) {
        let plan = random_plan(groups, &edges);
        let words = ["throttle", "error_500", "timeout", "lost_answer"];
        let schedule: Vec<Value> =
            faults.iter().map(|(call, fault)| json!({ "call": call, "fault": words[*fault] })).collect();
        let cloud = cloud(&with_faults(json!(schedule)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let outcome = runtime.block_on(plan.carry_out(&cloud));
        prop_assert!(outcome.is_complete(), "{:?}", outcome);
        prop_assert_eq!(outcome.done.len(), plan.steps.len());

        // The order that the cloud saw: a step's first call comes after the last one of each step that it depends on.
        let mut calls: HashMap<StepId, Vec<u64>> = HashMap::new();
        for call in cloud.log() {
            let name = outcome.made.iter().find(|(_, id)| **id == call.group).map(|(step, _)| step.0);
            let step = match call.kind.as_str() {
                "CreateSecurityGroup" => StepId(call.group[1..].parse::<u32>().unwrap() + 1),
                "AuthorizeSecurityGroupIngress" => StepId(name.unwrap() + groups as u32),
                _ => continue,
            };
            calls.entry(step).or_default().push(call.number);
        }
        prop_assert_eq!(calls.len(), plan.steps.len());
        for step in &plan.steps {
            for needed in &step.depends_on {
                prop_assert!(calls[needed].last() < calls[&step.id].first(), "{:?} before {:?}", step.id, needed);
            }
        }
        for n in 0..groups {
            prop_assert_eq!(rules_of(&cloud, &format!("g{n}")).len(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_are_bounded() {
    let mut slow = state(json!([]));
    slow["latency_ms"] = json!(1000);
    let cloud = cloud(&slow);
    let mut plan = Plan::default();
    for n in 0..20 {
        plan.create(&format!("g{n}"));
    }
    let begun = tokio::time::Instant::now();
    let outcome = plan.carry_out(&cloud).await;
    assert!(outcome.is_complete());
    // Simulated time: 20 calls of a second each, eight at once, are three rounds.
    assert_eq!(begun.elapsed().as_secs(), 3);
}

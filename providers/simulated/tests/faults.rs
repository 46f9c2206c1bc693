//! Faults of the simulated cloud that other tests don't see: strangers between two calls, reads that lag, chance.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

mod scene;

use rsgsync_engine::{Cloud, StopSignal};
use rsgsync_simulated::Simulated;
use scene::*;
use serde_json::{Value, json};

fn with_faults(faults: Value) -> Value {
    let mut state = state(json!([
        { "id": "sg-1", "name": "one", "rules": [tcp("sgr-1", 22, "10.0.0.0/8")] },
        group("sg-2", "two")
    ]));
    state["faults"] = faults;
    state
}

fn a_stranger(call: u64, writes: Value) -> Value {
    with_faults(json!({ "schedule": [{ "call": call, "fault": "foreign", "writes": writes }] }))
}

/// The cloud as the next run finds it.
fn again(old: &Simulated) -> Simulated {
    cloud(&old.state())
}

async fn seen(cloud: &Simulated, group: &str) -> Vec<usize> {
    let (observed, _) = observe(cloud, &[(group, Some(rsgsync_core::inventory::Ownership::Exclusive))]).await;
    observed.groups.iter().map(|g| g.rules.len()).collect()
}

#[tokio::test]
async fn a_stranger_writes_right_before_the_call() {
    let cloud = cloud(&a_stranger(
        2,
        json!({ "group": "one",
        "revoke": [tcp("x", 22, "10.0.0.0/8")], "authorize": [tcp("y", 80, "10.0.0.0/8")] }),
    ));
    assert_eq!(seen(&cloud, "one").await, [1]);
    assert_eq!(rules_of(&cloud, "one"), ["22/tcp 10.0.0.0/8"]);
    seen(&cloud, "one").await;
    assert_eq!(rules_of(&cloud, "one"), ["80/tcp 10.0.0.0/8"]);
    assert!(cloud.state()["faults"].get("schedule").is_none(), "it writes once");
}

#[tokio::test]
async fn a_stranger_makes_and_deletes_groups() {
    let cloud = cloud(&with_faults(json!({ "schedule": [
        { "call": 1, "fault": "foreign", "writes": { "group": "new", "create": true } },
        { "call": 1, "fault": "foreign", "writes": { "group": "two", "delete": true } },
    ] })));
    assert_eq!(seen(&cloud, "new").await, [1]);
    assert_eq!(seen(&cloud, "two").await, [0; 0]);
}

#[tokio::test]
async fn what_the_cloud_refuses_a_stranger_is_not_done() {
    let before = rules_of(&cloud(&with_faults(json!({}))), "one");
    let cloud = cloud(&a_stranger(1, json!({ "group": "one", "authorize": [tcp("y", 22, "10.0.0.0/8")] })));
    cloud.note_changes();
    seen(&cloud, "one").await;
    assert_eq!(rules_of(&cloud, "one"), before);
    assert_eq!(cloud.changes(), []);
}

#[tokio::test]
async fn a_read_shows_a_change_after_as_many_calls_as_it_lags() {
    let cloud = cloud(&with_faults(json!({ "lag": 2 })));
    let mut plan = Plan::default();
    plan.add("sg-1", &[], &["in 80/tcp 10.0.0.0/8"]);
    plan.execute(&cloud, 1).await;
    assert_eq!(seen(&cloud, "one").await, [1]);
    assert_eq!(seen(&cloud, "one").await, [1]);
    assert_eq!(seen(&cloud, "one").await, [2]);
}

#[tokio::test]
async fn a_write_sees_what_reads_don_t_show_yet() {
    let cloud = cloud(&with_faults(json!({ "lag": 9 })));
    let mut plan = Plan::default();
    plan.create("new");
    plan.add("new", &[1], &["in 80/tcp 10.0.0.0/8"]);
    assert!(plan.carry_out(&cloud).await.is_complete());
    assert_eq!(seen(&cloud, "new").await, [0; 0]);
    assert_eq!(rules_of(&cloud, "new").len(), 2);
}

#[tokio::test]
async fn the_next_run_reads_what_the_last_one_would_have_read() {
    let first = cloud(&with_faults(json!({ "lag": 2 })));
    let mut plan = Plan::default();
    plan.add("sg-1", &[], &["in 80/tcp 10.0.0.0/8"]);
    plan.execute(&first, 1).await;
    let second = again(&first);
    assert_eq!(seen(&second, "one").await, [1]);
    let third = again(&second);
    assert_eq!(seen(&third, "one").await, [1]);
    let fourth = again(&third);
    assert_eq!(seen(&fourth, "one").await, [2]);
    assert!(fourth.state().get("earlier").is_none());
}

#[tokio::test(start_paused = true)]
async fn removals_wait_until_lagging_reads_show_what_replaces_them() {
    let cloud = cloud(&with_faults(json!({ "lag": 3 })));
    let mut plan = Plan::default();
    plan.add("sg-1", &[], &["in 22/tcp 10.1.0.0/16"]);
    plan.remove("sg-1", &[1], &["in 22/tcp 10.0.0.0/8"]);
    assert!(plan.carry_out(&cloud).await.is_complete());
    let describe = "DescribeSecurityGroups";
    let calls = ["AuthorizeSecurityGroupIngress", describe, describe, describe, describe, "RevokeSecurityGroupIngress"];
    assert_eq!(kinds(&cloud.log()), calls);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_resolved_though_reads_lag() {
    for kind in ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress"] {
        let schedule = json!([{ "kind": kind, "fault": "lost_answer" }]);
        let cloud = cloud(&with_faults(json!({ "lag": 4, "schedule": schedule })));
        let mut plan = Plan::default();
        plan.create("new");
        plan.add("new", &[1], &["in 80/tcp 10.0.0.0/8"]);
        let outcome = plan.carry_out(&cloud).await;
        assert!(outcome.is_complete(), "{kind}: {outcome:?}");
        assert_eq!(rules_of(&cloud, "new").len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn chance_is_the_same_for_the_same_seed() {
    let run = async |seed: u64| {
        let cloud = cloud(&with_faults(json!({ "seed": seed, "rate": 0.4 })));
        let mut plan = Plan::default();
        plan.create("new");
        plan.add("new", &[1], &["in 80/tcp 10.0.0.0/8"]);
        plan.remove("sg-1", &[2], &["in 22/tcp 10.0.0.0/8"]);
        assert!(plan.carry_out(&cloud).await.is_complete());
        cloud.log()
    };
    assert_eq!(run(3).await, run(3).await);
    assert_ne!(run(3).await, run(4).await);
}

#[tokio::test]
async fn nothing_is_answered_after_a_kill_that_is_told() {
    let mut cloud = cloud(&with_faults(json!({ "schedule": [{ "call": 1, "fault": "kill" }] })));
    let killed = StopSignal::new();
    cloud.on_kill(killed.clone());
    let mut plan = Plan::default();
    plan.add("sg-1", &[], &["in 80/tcp 10.0.0.0/8"]);
    plan.add("sg-2", &[], &["in 80/tcp 10.0.0.0/8"]);
    tokio::select! {
        biased;
        _ = plan.carry_out(&cloud) => panic!("it was killed"),
        () = killed.cancelled() => {}
    }
    assert_eq!((rules_of(&cloud, "one").len(), rules_of(&cloud, "two").len()), (2, 0));
}

#[tokio::test]
async fn a_strangers_rule_that_took_the_place_of_ours_is_not_removed() {
    // Before we look whose it is, and after.
    for call in [1, 2] {
        let rule = tcp("x", 22, "10.0.0.0/8");
        let mut state = a_stranger(call, json!({ "group": "one", "revoke": [rule], "authorize": [rule] }));
        state["groups"][0]["rules"][0]["tags"] = json!({ "rsgsync:platform/prod": "" });
        let cloud = cloud(&state);
        let mut plan = Plan::default();
        let step = plan.remove("sg-1", &[], &["in 22/tcp 10.0.0.0/8"]);
        step.removes[0].marks = vec![mark("platform/prod")];
        assert!(cloud.execute(&plan.steps[0], &plan.atoms).await.unwrap().already);
        assert_eq!(rules_of(&cloud, "one"), ["22/tcp 10.0.0.0/8"], "before call {call}");
    }
}

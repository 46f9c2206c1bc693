//! Steps are safe to repeat, and look before they give up: what is there, gone or joined meanwhile.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

mod scene;

use rsgsync_core::inventory::Ownership;
use rsgsync_core::name::{Origin, RuleId};
use rsgsync_core::plan::{Action, Step};
use rsgsync_core::rule::Direction;
use rsgsync_engine::{Cloud, ErrorKind};
use scene::*;
use serde_json::{Value, json};

/// `one` (sg-1) with 22 and 80 from 10.0.0.0/8, `two` (sg-2) empty.
fn two_groups() -> Value {
    let one = json!({ "id": "sg-1", "name": "one",
                      "rules": [tcp("sgr-1", 22, "10.0.0.0/8"), tcp("sgr-2", 80, "10.0.0.0/8")] });
    state(json!([one, group("sg-2", "two")]))
}

/// A rule's tags in the state file.
fn tags_of(cloud: &rsgsync_simulated::Simulated, group: usize, rule: usize) -> Vec<String> {
    let state = cloud.state();
    state["groups"][group]["rules"][rule]["tags"].as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn every_step_twice_changes_nothing_more() {
    let mut plan = Plan::default();
    plan.create("new");
    plan.add("new", &[], &["in 2379/tcp new", "in 22/tcp one"]).adds[0].marks = vec![mark("platform/prod")];
    let described = plan.rules(&["in 22/tcp 10.0.0.0/8"]);
    let step = plan.step(Action::UpdateDescriptions, "sg-1", &[]);
    step.direction = Some(Direction::Ingress);
    step.adds = described;
    step.adds[0].description = "ssh".to_owned();
    plan.step(Action::SetMarks, "sg-2", &[]).group_marks = vec![(mark("platform/prod"), Origin::Adopted)];
    plan.remove("sg-1", &[], &["in 80/tcp 10.0.0.0/8"]);
    plan.step(Action::DeleteGroup, "sg-2", &[]);
    let cloud = cloud(&two_groups());
    for step in 1..=plan.steps.len() as u32 {
        let before = cloud.state();
        plan.execute(&cloud, step).await;
        let once = cloud.state();
        assert_ne!(once, before, "step {step} does something");
        plan.execute(&cloud, step).await;
        assert_eq!(cloud.state(), once, "step {step}");
    }
}

#[tokio::test]
async fn what_is_missing_of_a_batch_is_added() {
    let cloud = cloud(&two_groups());
    let mut plan = Plan::default();
    plan.add("sg-1", &[], &["in 22/tcp 10.0.0.0/8", "in 443/tcp 10.0.0.0/8"]);
    assert!(plan.execute(&cloud, 1).await.already);
    assert_eq!(rules_of(&cloud, "one"), ["22/tcp 10.0.0.0/8", "443/tcp 10.0.0.0/8", "80/tcp 10.0.0.0/8"]);
    let authorize = "AuthorizeSecurityGroupIngress";
    assert_eq!(kinds(&cloud.log()), [authorize, "DescribeSecurityGroups", authorize]);
}

#[tokio::test]
async fn what_is_left_of_a_batch_is_removed() {
    let cloud = cloud(&two_groups());
    let mut plan = Plan::default();
    plan.remove("sg-1", &[], &["in 22/tcp 10.0.0.0/8", "in 443/tcp 10.0.0.0/8"]);
    assert!(plan.execute(&cloud, 1).await.already);
    assert_eq!(rules_of(&cloud, "one"), ["80/tcp 10.0.0.0/8"]);
}

#[tokio::test]
async fn a_group_with_our_very_mark_is_the_one_we_made() {
    let cloud = cloud(&state(json!([])));
    let mut plan = Plan::default();
    plan.create("new");
    let first = plan.execute(&cloud, 1).await;
    let again = plan.execute(&cloud, 1).await;
    assert!(!first.already && again.already);
    assert_eq!(again.group_id, first.group_id);
}

#[tokio::test]
async fn a_stranger_of_the_same_name_is_not_taken_for_ours() {
    let mut other = group("sg-1", "new");
    other["tags"] = json!({ "rsgsync:other/prod": "made" });
    let cloud = cloud(&state(json!([other])));
    let mut plan = Plan::default();
    plan.create("new");
    let error = cloud.execute(&plan.steps[0], &plan.atoms).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Final);
    assert_eq!(error.message, "InvalidGroup.Duplicate: The security group 'new' already exists");
    assert_eq!(error.doing, "creating security group `new` of network `sim` (simulated)");
    assert_eq!(error.request_id.as_deref(), Some("simulated-1"));
}

fn marked(step: &mut Step, owner_and_cluster: &str) {
    for rule in step.adds.iter_mut().chain(&mut step.removes) {
        rule.marks = vec![mark(owner_and_cluster)];
    }
}

#[tokio::test]
async fn a_rule_carries_its_mark_from_the_first_moment() {
    let cloud = cloud(&two_groups());
    let mut plan = Plan::default();
    marked(plan.add("sg-2", &[], &["in 22/tcp one"]), "platform/prod");
    plan.execute(&cloud, 1).await;
    assert_eq!(tags_of(&cloud, 1, 0), ["rsgsync:platform/prod"]);
    assert_eq!(kinds(&cloud.log()), ["DescribeSecurityGroups", "AuthorizeSecurityGroupIngress"]);
}

#[tokio::test]
async fn another_owners_rule_that_came_first_gets_our_mark_beside_theirs() {
    let mut state = two_groups();
    state["groups"][0]["rules"][0]["tags"] = json!({ "rsgsync:other/blue": "" });
    let cloud = cloud(&state);
    let mut plan = Plan::default();
    marked(plan.add("sg-1", &[], &["in 22/tcp 10.0.0.0/8"]), "platform/prod");
    plan.execute(&cloud, 1).await;
    assert_eq!(tags_of(&cloud, 0, 0), ["rsgsync:other/blue", "rsgsync:platform/prod"]);
}

#[tokio::test]
async fn a_strangers_rule_that_came_first_is_never_marked() {
    let cloud = cloud(&two_groups());
    let mut plan = Plan::default();
    marked(plan.add("sg-1", &[], &["in 22/tcp 10.0.0.0/8"]), "platform/prod");
    plan.execute(&cloud, 1).await;
    assert_eq!(tags_of(&cloud, 0, 0), Vec::<String>::new());
}

#[tokio::test]
async fn a_rule_that_another_owner_has_joined_loses_our_mark_and_stays() {
    let mut state = two_groups();
    state["groups"][0]["rules"][0]["tags"] = json!({ "rsgsync:other/blue": "", "rsgsync:platform/prod": "" });
    state["groups"][0]["rules"][1]["tags"] = json!({ "rsgsync:platform/prod": "" });
    let cloud = cloud(&state);
    let mut plan = Plan::default();
    marked(plan.remove("sg-1", &[], &["in 22/tcp 10.0.0.0/8", "in 80/tcp 10.0.0.0/8"]), "platform/prod");
    plan.execute(&cloud, 1).await;
    assert_eq!(rules_of(&cloud, "one"), ["22/tcp 10.0.0.0/8"]);
    assert_eq!(tags_of(&cloud, 0, 0), ["rsgsync:other/blue"]);
}

#[tokio::test]
async fn joining_and_leaving_a_rule_moves_our_mark_only() {
    let mut state = two_groups();
    state["groups"][0]["rules"][0]["tags"] = json!({ "rsgsync:other/blue": "", "team": "x" });
    let cloud = cloud(&state);
    let mut plan = Plan::default();
    let mut rules = plan.rules(&["in 22/tcp 10.0.0.0/8"]);
    rules[0].marks = vec![mark("platform/prod")];
    plan.step(Action::SetMarks, "sg-1", &[]).adds = rules.clone();
    plan.step(Action::SetMarks, "sg-1", &[]).removes = rules;
    plan.execute(&cloud, 1).await;
    assert_eq!(tags_of(&cloud, 0, 0), ["rsgsync:other/blue", "rsgsync:platform/prod", "team"]);
    plan.execute(&cloud, 2).await;
    assert_eq!(tags_of(&cloud, 0, 0), ["rsgsync:other/blue", "team"]);
}

#[tokio::test]
async fn a_group_that_was_never_seen_is_found_by_its_name() {
    let cloud = cloud(&two_groups());
    let mut plan = Plan::default();
    plan.add("two", &[], &["in 22/tcp one"]);
    plan.execute(&cloud, 1).await;
    assert_eq!(rules_of(&cloud, "two"), ["22/tcp one"]);
}

#[tokio::test]
async fn exclusive_groups_are_read_in_one_call() {
    let mut state = two_groups();
    state["groups"][0]["tags"] = json!({ "rsgsync:platform/prod": "made" });
    let cloud = cloud(&state);
    let (observed, _) =
        observe(&cloud, &[("one", None), ("sg-2", Some(Ownership::Exclusive)), ("nothing", None)]).await;
    assert_eq!(observed.groups.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(kinds(&cloud.log()), ["DescribeSecurityGroups"]);
}

#[tokio::test]
async fn rules_marks_are_read_in_shared_groups_only() {
    let mut state = two_groups();
    state["groups"][0]["rules"][0]["tags"] = json!({ "rsgsync:platform/prod": "", "rsgsync:broken": "" });
    let mut exclusive = json!({ "id": "sg-3", "name": "three", "rules": [tcp("sgr-9", 22, "10.0.0.0/8")] });
    exclusive["rules"][0]["tags"] = json!({ "rsgsync:platform/prod": "" });
    state["groups"].as_array_mut().unwrap().push(exclusive);
    let cloud = cloud(&state);
    let (observed, _) = observe(&cloud, &[("one", None), ("three", Some(Ownership::Exclusive))]).await;
    assert_eq!(observed.groups[0].rules[0].marks, [mark("platform/prod")]);
    assert!(observed.groups[1].rules[0].marks.is_empty());
    assert_eq!(kinds(&cloud.log()), ["DescribeSecurityGroups", "DescribeSecurityGroupRules"]);
}

#[tokio::test]
async fn references_are_observed_by_id() {
    let one = json!({ "id": "sg-1", "name": "one", "rules": [
        { "id": "sgr-1", "direction": "ingress", "protocol": "tcp", "from_port": 22, "to_port": 22,
          "peer": { "security_group": "two" } },
        { "id": "sgr-2", "direction": "ingress", "protocol": "tcp", "from_port": 22, "to_port": 22,
          "peer": { "security_group": "sg-9", "account": "222233334444" } } ] });
    let cloud = cloud(&state(json!([one, group("sg-2", "two")])));
    let (observed, atoms) = observe(&cloud, &[("one", Some(Ownership::Exclusive))]).await;
    let peers: Vec<&str> =
        observed.groups[0].rules.iter().map(|rule| atoms.text(rule.rule.peer.group().unwrap())).collect();
    assert_eq!(peers, ["sg-2", "222233334444/sg-9"]);
}

#[tokio::test]
async fn a_strangers_rule_in_the_place_of_ours_gets_neither_our_words_nor_our_mark() {
    let cloud = cloud(&two_groups());
    let mut plan = Plan::default();
    let mut rules = plan.rules(&["in 22/tcp 10.0.0.0/8", "in 80/tcp 10.0.0.0/8"]);
    // The plan read `sgr-7`; by now a stranger's equal rule, `sgr-1`, stands in its place.
    for (rule, id) in rules.iter_mut().zip(["sgr-7", "sgr-2"]) {
        rule.id = RuleId::new(id).ok();
        rule.description = "ours".to_owned();
        rule.marks = vec![mark("platform/prod")];
    }
    let step = plan.step(Action::UpdateDescriptions, "sg-1", &[]);
    step.direction = Some(Direction::Ingress);
    step.adds = rules.clone();
    assert!(plan.execute(&cloud, 1).await.already);
    let texts = |state: Value| [0, 1].map(|rule| state["groups"][0]["rules"][rule]["description"].clone());
    assert_eq!(texts(cloud.state()), [json!(""), json!("ours")]);
    plan.step(Action::SetMarks, "sg-1", &[]).adds = rules;
    assert!(cloud.execute(&plan.steps[1], &plan.atoms).await.is_err(), "a rule that was to be marked is gone");
    assert_eq!(tags_of(&cloud, 0, 0), Vec::<String>::new());
}

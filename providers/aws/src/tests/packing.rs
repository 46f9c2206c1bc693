//! Changes become the fewest calls.

use rsgsync_core::name::Origin;
use rsgsync_core::observed::Observed;
use rsgsync_core::pack::{Call, GroupChanges, Pack, Site};
use rsgsync_core::plan::{Action, StepRule};
use rsgsync_core::rule::{Atoms, Direction, Family, PeerKind, Rule, RulePeer};
use serde_json::json;

use super::{mark, marked, network, rule, rule_from};
use crate::Aws;

fn pack(changes: &GroupChanges) -> Vec<Call> {
    let (observed, atoms) = (Observed::default(), Atoms::new());
    let nowhere = Site { group: None, network: &observed, atoms: &atoms };
    Aws::connect(&network(json!({}))).unwrap().pack(changes, &nowhere)
}

fn actions(calls: &[Call]) -> Vec<(Action, Option<Direction>)> {
    calls.iter().map(|call| (call.action, call.direction)).collect()
}

fn outbound(rule: StepRule) -> StepRule {
    StepRule { rule: Rule { direction: Direction::Egress, ..rule.rule }, ..rule }
}

#[test]
fn a_new_group_is_two_calls() {
    let calls = pack(&GroupChanges {
        create: Some("etcd nodes".to_owned()),
        group_marks: vec![(mark("platform/prod"), Origin::Made)],
        adds: vec![
            marked(rule("22/tcp", "10.0.0.0/8"), &["platform/prod"]),
            marked(rule("2379-2380/tcp", "10.0.0.0/8"), &["platform/prod"]),
        ],
        ..GroupChanges::default()
    });
    assert_eq!(actions(&calls), [(Action::CreateGroup, None), (Action::AddRules, Some(Direction::Ingress))]);
    assert_eq!(calls[1].adds.len(), 2);
    assert_eq!(calls[0].adds.iter().map(|r| r.rule.direction).collect::<Vec<_>>(), [Direction::Egress]);
}

#[test]
fn a_changed_group_is_one_authorize_and_one_revoke_a_direction() {
    let rules = vec![rule("22/tcp", "10.0.0.0/8"), rule("23/tcp", "::/0"), outbound(rule("all", "0.0.0.0/0"))];
    let calls = pack(&GroupChanges { adds: rules.clone(), removes: rules, ..GroupChanges::default() });
    assert_eq!(
        actions(&calls),
        [
            (Action::AddRules, Some(Direction::Ingress)),
            (Action::AddRules, Some(Direction::Egress)),
            (Action::RemoveRules, Some(Direction::Ingress)),
            (Action::RemoveRules, Some(Direction::Egress)),
        ]
    );
}

#[test]
fn what_ec2_has_no_rule_or_name_for_is_known_beforehand() {
    let aws = Aws::connect(&network(json!({}))).unwrap();
    let account = RulePeer::Opaque(PeerKind::ServiceAccount, Atoms::new().intern("x"), Family::Both);
    let unsayable = |rule: StepRule| aws.unsayable(&rule.rule, "web", "x").unwrap_or_default();
    assert!(unsayable(rule("5000/sctp", "10.0.0.0/8")).contains("whatever the ports"));
    assert!(unsayable(rule_from("22/tcp", account)).contains("service accounts"));
    assert_eq!(unsayable(rule("sctp", "10.0.0.0/8")), "");
    assert_eq!(unsayable(rule("22/tcp", "10.0.0.0/8")), "");
    assert!(aws.refuses_name("SG-web").is_some() && aws.refuses_name("default").is_some());
    assert_eq!(aws.refuses_name("web-sg-1"), None);
}

#[test]
fn rules_with_other_marks_are_another_call() {
    let calls = pack(&GroupChanges {
        adds: vec![
            marked(rule("22/tcp", "10.0.0.0/8"), &["platform/a", "platform/b"]),
            marked(rule("23/tcp", "10.0.0.0/8"), &["platform/a"]),
            marked(rule("24/tcp", "10.0.0.0/8"), &["platform/b", "platform/a"]),
        ],
        ..GroupChanges::default()
    });
    let sizes: Vec<usize> = calls.iter().map(|call| call.adds.len()).collect();
    assert_eq!(sizes, [1, 2]);
}

#[test]
fn removals_need_no_tags_and_stay_together() {
    let calls = pack(&GroupChanges {
        removes: vec![
            marked(rule("22/tcp", "10.0.0.0/8"), &["platform/a"]),
            marked(rule("23/tcp", "10.0.0.0/8"), &["platform/b"]),
        ],
        ..GroupChanges::default()
    });
    assert_eq!(actions(&calls), [(Action::RemoveRules, Some(Direction::Ingress))]);
}

#[test]
fn the_default_egress_rule_is_known() {
    let aws = Aws::connect(&network(json!({}))).unwrap();
    let rules: Vec<StepRule> = aws.dialect().default_rules.iter().map(|rule| StepRule::plain(*rule)).collect();
    assert_eq!(rules, [outbound(rule("all", "0.0.0.0/0"))]);
}

//! Runs are planned, said to be carried out in part, and rolled back.

use super::*;
use crate::document::{Document, Saved, checksum, document};
use crate::name::GroupId;

/// The plan of a run, as its journal holds it.
fn saved(groups: Vec<DesiredGroup>, observed: Vec<ObservedGroup>) -> Saved {
    let plan = plan_of(groups, observed);
    Saved::from_value(serde_json::to_value(document(&plan, &GuardsInForce::default(), "rsgsync test")).unwrap())
        .unwrap()
}

/// The way back from `now`, when these steps were begun; `most` is the quota, and `aside` guards that don't count.
fn try_back(
    saved: &Saved,
    begun: &[u32],
    now: Vec<ObservedGroup>,
    most: u32,
    aside: &[&str],
) -> Result<Plan, Vec<PlanError>> {
    let aws = Aws(aws_like());
    let begun: Begun = begun.iter().map(|id| (StepId(*id), None)).collect();
    let guards = saved.guards(&aside.iter().map(|name| (*name).to_owned()).collect());
    let plan = super::super::rollback(saved, &begun, vec![(input(now, &aws, most), atoms())], &guards)?;
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    Ok(plan)
}

fn back(saved: &Saved, begun: &[u32], now: Vec<ObservedGroup>) -> Plan {
    try_back(saved, begun, now, 60, &[]).unwrap()
}

const WIDE: &str = "tcp from 10.0.0.0/8";
const NARROW: &str = "22/tcp from 10.0.0.0/8";

/// A run that puts a narrow rule in the place of a wide one: step 1 adds, step 2 removes.
fn narrowing() -> Saved {
    saved(vec![wish("web", &[NARROW])], vec![group("web", &[WIDE, OPEN], true)])
}

#[test]
fn what_was_taken_away_stands_before_what_was_added_goes() {
    let plan = back(&narrowing(), &[1, 2], vec![group("web", &[NARROW, OPEN], true)]);
    assert_eq!(steps(&plan), ["add_rules web", "remove_rules web <- 1"]);
    assert_eq!(plan.steps[0].adds[0].rule, rule(WIDE));
    assert_eq!(plan.steps[1].removes[0].rule, rule(NARROW));
}

#[test]
fn a_step_of_which_nothing_is_known_is_resolved_by_looking() {
    let both = || vec![group("web", &[WIDE, NARROW, OPEN], true)];
    assert_eq!(steps(&back(&narrowing(), &[1, 2], both())), ["remove_rules web"]);
    let untouched = vec![group("web", &[WIDE, OPEN], true)];
    assert_eq!(steps(&back(&narrowing(), &[1], untouched)), Vec::<String>::new());
}

#[test]
fn a_step_that_was_not_begun_has_nothing_to_undo() {
    // Somebody else removed the wide rule: the run had only added the narrow one.
    let plan = back(&narrowing(), &[1], vec![group("web", &[NARROW, OPEN], true)]);
    // What held before holds through the narrow rule alone.
    assert_eq!(steps(&plan), Vec::<String>::new());
    assert!(plan.notes.iter().any(|n| n.contains("was removed by others since")), "{:?}", plan.notes);
    assert!(plan.notes.iter().any(|n| n.contains("holds through it alone")), "{:?}", plan.notes);
}

#[test]
fn what_replaced_a_guarded_rule_stays_where_that_rule_may_not_come_back() {
    let (public, private) = ("10250/tcp from 0.0.0.0/0", "10250/tcp from 10.0.0.0/8");
    let run = saved(vec![wish("web", &[private])], vec![group("web", &[public, OPEN], true)]);
    let now = || vec![group("web", &[private, OPEN], true)];
    assert_eq!(steps(&back(&run, &[1, 2], now())), Vec::<String>::new());
    let restored = try_back(&run, &[1, 2], now(), 60, &["kubelet-public"]).unwrap();
    assert_eq!(steps(&restored), ["add_rules web", "remove_rules web <- 1"]);
}

#[test]
fn a_quota_without_room_for_all_at_once_makes_waves() {
    let (before, after) = (["1-2/tcp from g:db", "5-6/tcp from g:db"], ["1/tcp from g:db", "5/tcp from g:db"]);
    let groups = |rules: &[&str]| vec![group("web", &[rules, &[OPEN]].concat(), true), group("db", &[OPEN], true)];
    let run = saved(vec![wish("web", &after), wish("db", &[])], groups(&before));
    let plan = try_back(&run, &[1, 2], groups(&after), 3, &[]).unwrap();
    assert_eq!(
        steps(&plan),
        ["add_rules web", "remove_rules web <- 1", "add_rules web <- 2", "remove_rules web <- 1 3"]
    );
    let refused = try_back(&run, &[1, 2], groups(&after), 2, &[]).unwrap_err();
    assert!(matches!(&refused[..], [PlanError::Quota { .. }]), "{refused:?}");
}

#[test]
fn new_groups_that_refer_to_each_other_are_deleted() {
    let run = saved(vec![wish("web", &["22/tcp from g:db"]), wish("db", &["5432/tcp from g:web"])], vec![]);
    let now = vec![group("web", &["22/tcp from g:db", OPEN], true), group("db", &["5432/tcp from g:web", OPEN], true)];
    let plan = back(&run, &[1, 2, 3, 4], now);
    assert_eq!(steps(&plan).len(), 3, "one group's reference goes first: {:?}", steps(&plan));
    assert_eq!(plan.steps.iter().filter(|s| s.action == Action::DeleteGroup).count(), 2);
}

#[test]
fn a_new_group_that_a_group_outside_the_run_refers_to_stays() {
    let run = saved(vec![wish("web", &["22/tcp from g:web"])], vec![]);
    let now = vec![group("web", &["22/tcp from g:web", OPEN], true), group("db", &["22/tcp from g:web"], false)];
    let plan = back(&run, &[1, 2], now);
    assert_eq!(steps(&plan), ["remove_rules web"]);
}

#[test]
fn a_group_of_the_same_name_that_is_not_ours_is_not_the_one_that_was_made() {
    let run = saved(vec![wish("web", &["22/tcp from g:web"])], vec![]);
    let theirs = || vec![group("web", &["22/tcp from g:web", OPEN], false)];
    assert_eq!(steps(&back(&run, &[1, 2], theirs())), Vec::<String>::new());
    // The cloud told the new group's id: it is gone, whatever has its name and our mark.
    let aws = Aws(aws_like());
    let begun: Begun = [(StepId(1), Some(GroupId::new("sg-gone").unwrap()))].into();
    let now = vec![(input(vec![group("web", &[OPEN], true)], &aws, 60), atoms())];
    let plan = super::super::rollback(&run, &begun, now, &GuardsInForce::default()).unwrap();
    assert_eq!(steps(&plan), Vec::<String>::new());
}

#[test]
fn a_rule_that_names_a_group_which_is_gone_does_not_come_back() {
    let groups = vec![wish("web", &["80/tcp from g:etcd"]), wish("db", &[]), wish("etcd", &[])];
    let observed = || vec![group("db", &[OPEN], true), group("etcd", &[OPEN], true)];
    let had = group("web", &["22/tcp from g:db", OPEN], true);
    let run = saved(groups, [vec![had], observed()].concat());
    let now = vec![group("web", &["80/tcp from g:etcd", OPEN], true), group("etcd", &[OPEN], true)];
    let plan = back(&run, &[1, 2], now);
    assert_eq!(steps(&plan), ["remove_rules web"]);
    let note = "`web`: in 22/tcp from db does not come back: the group that it names is gone";
    assert!(plan.notes.iter().any(|n| n == note), "{:?}", plan.notes);
}

#[test]
fn another_place_is_refused() {
    let plan = plan_of(vec![wish("web", &[NARROW])], vec![group("web", &[WIDE, OPEN], true)]);
    let mut document: Document = document(&plan, &GuardsInForce::default(), "rsgsync test");
    document.networks[0].identity = Some("there".to_owned());
    document.checksum = checksum(&document);
    let run = Saved::from_value(serde_json::to_value(document).unwrap()).unwrap();
    let aws = Aws(aws_like());
    let mut input = input(vec![group("web", &[NARROW, OPEN], true)], &aws, 60);
    input.observed.as_mut().unwrap().identity = Some("here".to_owned());
    let begun: Begun = [(StepId(1), None)].into();
    let refused = super::super::rollback(&run, &begun, vec![(input, atoms())], &GuardsInForce::default()).unwrap_err();
    assert!(matches!(&refused[..], [PlanError::OtherPlace { then, now, .. }] if then == "there" && now == "here"));
}

#[test]
fn what_to_read_is_all_that_the_run_speaks_of() {
    let run = saved(
        vec![wish("web", &["22/tcp from g:db"]), wish("db", &[])],
        vec![group("web", &["9/tcp from g:etcd", OPEN], true)],
    );
    let ids: Begun = run.steps().iter().map(|s| (s.id, None)).collect();
    let scopes = rollback_scopes(&run, &ids);
    let asked: Vec<&str> = scopes[&network()].groups.iter().map(|g| g.group.as_str()).collect();
    // By id what was there, by name what was to be made, and whom rules name.
    assert_eq!(asked, ["db", "etcd", "sg-web"]);
    assert!(rollback_scopes(&run, &Begun::new()).is_empty());
}

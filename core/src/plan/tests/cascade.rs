//! Groups are deleted on a cloud that silently deletes the rules elsewhere that refer to them.

use super::*;
use crate::diff::Fate;
use crate::document::{Saved, document, drift};
use crate::flow::Reason;
use crate::inventory::Ownership;

const SSH: &str = "22/tcp from g4:db";

fn neutron() -> Aws {
    Aws(Dialect { delete_cascades: true, ..neutron_like() })
}

fn words(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A plan with `--prune`, in which `db` is the orphan.
fn pruned(
    pack: &Aws,
    groups: Vec<ObservedGroup>,
    wishes: Vec<DesiredGroup>,
    word: &[&str],
) -> Result<Plan, Vec<PlanError>> {
    let options = PlanOptions { prune: true, cascade: words(word), ..PlanOptions::default() };
    let (desired, inputs) = (super::wishes(wishes), vec![input(groups, pack, 60)]);
    super::super::plan(&inventory(), &Flows::default(), desired, inputs, &GuardsInForce::default(), &options)
}

/// A plan that deletes `db` by the user's word, whatever refers to it, on a cloud whose references match both families.
pub(in super::super) fn pruned_db(groups: Vec<ObservedGroup>) -> Plan {
    let pack = Aws(Dialect { delete_cascades: true, ..aws_like() });
    pruned(&pack, groups, only_web(), &["db"]).unwrap()
}

/// Everything of `prod` is destroyed; `web` is staging's and asks for `wanted` by another name.
fn destroyed(groups: Vec<ObservedGroup>, wanted: &[&str], word: &[&str]) -> Result<Plan, Vec<PlanError>> {
    let mut web = wish("web", wanted);
    web.members = vec![(ClusterName::new("staging").unwrap(), NodeGroupName::new("web").unwrap())];
    let reason = Reason { cluster: ClusterName::new("staging").unwrap(), ..reason("web") };
    web.rules.iter_mut().for_each(|rule| rule.reasons = [reason.clone()].into());
    let (whole, rest) = (wishes(vec![web.clone(), wish("db", &[])]), wishes(vec![web, wish("db", &[])]));
    let (neutron, guards) = (neutron(), GuardsInForce::default());
    let destruction = Destruction { clusters: [ClusterName::new("prod").unwrap()].into(), cascade: words(word) };
    let inputs = vec![input(groups, &neutron, 60)];
    super::super::destroy(&inventory(), &Flows::default(), whole, &rest, inputs, &guards, &destruction)
}

fn db() -> ObservedGroup {
    group("db", &[OPEN], true)
}

/// `web` is shared: one rule is ours, one another owner's, one nobody's. `etcd` is nobody's.
fn others() -> Vec<ObservedGroup> {
    let web = ["1/tcp from g4:db # platform/prod", "2/tcp from g4:db # sales/shop", "3/tcp from g4:db"];
    vec![group("web", &web, false), group("etcd", &[SSH, "80/tcp from 0.0.0.0/0"], false), db()]
}

/// What goes with the deleted groups: `etcd: 22/tcp`.
fn along(plan: &Plan) -> Vec<String> {
    let of_group = |(group, rules): (&Atom, &Vec<StepRule>)| {
        let name = atoms().text(*group).to_owned();
        rules.iter().map(|r| format!("{name}: {}", r.rule.traffic)).collect::<Vec<_>>()
    };
    plan.steps.iter().flat_map(|s| &s.cascade).flat_map(of_group).collect()
}

fn refusals(refused: Result<Plan, Vec<PlanError>>) -> Vec<String> {
    refused.unwrap_err().iter().map(|error| format!("{error}; {}", error.help())).collect()
}

#[test]
fn others_rules_that_would_go_along_are_listed_by_the_refusal() {
    let refused = refusals(pruned(&neutron(), others(), only_web(), &[]));
    assert_eq!(refused.len(), 2, "{refused:?}");
    for (refused, from, rules) in [
        (&refused[0], "`web`", "in 2/tcp from db (not ours), in 3/tcp from db (not ours);"),
        (&refused[1], "`etcd`", "in 22/tcp from db (not ours);"),
    ] {
        assert!(refused.contains(from) && refused.contains(rules), "{refused}");
        assert!(refused.contains("`--cascade db`") && !refused.contains("1/tcp from db"), "{refused}");
    }
}

#[test]
fn by_the_users_word_others_rules_go_with_the_group_and_ours_before_it() {
    let plan = pruned(&neutron(), others(), only_web(), &["db"]).unwrap();
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    assert_eq!(steps(&plan), ["remove_rules web", "delete_group db <- 1"]);
    assert_eq!(plan.steps[0].removes[0].rule, rule("1/tcp from g4:db"));
    assert_eq!(along(&plan), ["web: 2/tcp", "web: 3/tcp", "etcd: 22/tcp"]);
    assert_eq!(plan.counts(), (0, 5), "ours, the group's own one, and three of others");
    let web = plan.networks[0].groups.iter().find(|g| g.atom == atom("web")).unwrap();
    assert_eq!((web.rules_before, web.rules_after), (3, 0));
    assert_eq!(web.diff.fates, [Fate::Remove, Fate::Cascade, Fate::Cascade]);
}

#[test]
fn the_id_is_as_good_a_word_as_the_name() {
    let plan = pruned(&neutron(), others(), only_web(), &["sg-db"]).unwrap();
    assert_eq!(along(&plan).len(), 3);
}

#[test]
fn what_goes_along_counts_as_removed() {
    let few = || vec![group("etcd", &[SSH], false), group("db", &[], true), web(&[])];
    let plan = pruned(&neutron(), few(), only_web(), &["db"]).unwrap();
    assert!(plan.blast.unwrap().contains("`db` would be deleted, and 1 rules with it"));
    let texts: Vec<String> = (1..=11).map(|port| format!("{port}/tcp from g4:db")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let many = vec![group("etcd", &texts, false), group("db", &[], true), web(&[])];
    let plan = pruned(&neutron(), many, only_web(), &["db"]).unwrap();
    assert_eq!(plan.blast.unwrap(), "11 rules would go, more than 10");
}

#[test]
fn a_cloud_that_refuses_to_delete_such_a_group_is_not_asked_to() {
    let etcd = group("etcd", &["22/tcp from g:db"], false);
    let refused = refusals(pruned(&Aws(aws_like()), vec![web(&[]), etcd, db()], only_web(), &["db"]));
    assert!(refused.len() == 1 && refused[0].contains("not ours") && !refused[0].contains("--cascade"), "{refused:?}");
}

#[test]
fn what_is_ours_and_stays_does_not_go_along() {
    let held = DesiredGroup {
        held: vec![(Direction::Ingress, traffic::Traffic::parse("22/tcp").unwrap())],
        ..wish("web", &[])
    };
    let refused = refusals(pruned(&neutron(), vec![web(&[SSH]), db()], vec![held], &["db"]));
    assert!(refused.len() == 1 && refused[0].contains("in 22/tcp from db (held)"), "{refused:?}");
    assert!(!refused[0].contains("--cascade"), "{refused:?}");
    // An orphan of ours goes by `--prune`, not with another group.
    let orphan = group("etcd", &[SSH], true);
    let refused = refusals(destroyed(vec![orphan, db()], &[], &["db"]));
    assert!(refused.len() == 1 && refused[0].contains("in 22/tcp from db (an orphan's)"), "{refused:?}");
}

#[test]
fn a_rule_that_does_the_job_of_a_required_one_does_not_go_along() {
    let shared = || vec![group("web", &[SSH], false), db()];
    let plan = destroyed(shared(), &[], &["db"]).unwrap();
    assert_eq!(along(&plan), ["web: 22/tcp"]);
    let refused = refusals(destroyed(shared(), &[SSH], &["db"]));
    assert!(refused.len() == 1 && refused[0].contains("in 22/tcp from db (needed)"), "{refused:?}");
}

#[test]
fn a_rule_that_another_owner_needs_as_well_goes_along_whole() {
    let web = group("web", &["22/tcp from g4:db # platform/prod, sales/shop"], false);
    let plan = destroyed(vec![web, db()], &[], &["db"]).unwrap();
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    assert_eq!(steps(&plan), ["delete_group db"], "no mark is taken off a rule that goes");
    assert_eq!(along(&plan), ["web: 22/tcp"]);
}

fn saved_of(plan: &Plan) -> Saved {
    let document = document(plan, &GuardsInForce::default(), "rsgsync test");
    Saved::from_value(serde_json::to_value(document).unwrap()).unwrap()
}

#[test]
fn a_saved_plan_says_what_goes_along_and_proves_it_again() {
    let plan = pruned(&neutron(), others(), only_web(), &["db"]).unwrap();
    let saved = saved_of(&plan);
    let entry = &saved.document.steps[1].cascade;
    let rules = |name: &str| entry.iter().find(|e| e.security_group == name).unwrap().rules.len();
    assert_eq!((entry.len(), rules("web"), rules("etcd")), (2, 2, 1));
    assert_eq!(saved.document.proof.cascades, ["eu/db"]);
    let proof = saved.prove();
    assert!(proof.holds(), "{:?}", proof.witness);
    assert_eq!(saved.steps()[1].goes_along(), plan.steps[1].goes_along());
    let drift = drift(&plan);
    let unexpected: Vec<&str> = drift.iter().map(|d| d.security_group.as_str()).collect();
    assert_eq!(unexpected, ["db", "web", "web", "web", "etcd"]);
}

#[test]
fn a_saved_plan_without_its_word_or_without_its_cascade_is_unsafe() {
    let plan = pruned(&neutron(), others(), only_web(), &["db"]).unwrap();
    let broken = |break_it: &dyn Fn(&mut crate::document::Document)| {
        let mut document = document(&plan, &GuardsInForce::default(), "rsgsync test");
        break_it(&mut document);
        document.checksum = crate::document::checksum(&document);
        let saved = Saved::from_value(serde_json::to_value(document).unwrap()).unwrap();
        saved.prove().witness.map(|w| saved.in_words(&w).fault)
    };
    assert_eq!(broken(&|_| {}), None);
    assert_eq!(broken(&|d| d.proof.cascades.clear()).as_deref(), Some("not ours"));
    assert_eq!(broken(&|d| d.steps[1].cascade.clear()).as_deref(), Some("referenced"));
}

#[test]
fn a_word_that_names_no_deleted_group_is_noted() {
    let plan = pruned(&neutron(), others(), only_web(), &["db", "dd"]).unwrap();
    let noted: Vec<&String> = plan.notes.iter().filter(|note| note.contains("--cascade")).collect();
    assert_eq!(noted, ["--cascade dd: no group of that name or id is deleted"]);
}

#[test]
fn two_groups_of_one_name_are_told_apart_by_their_ids() {
    let mut twin = group("etcd", &[SSH], false);
    twin.name = crate::name::GroupName::new("web").unwrap();
    let etcd = twin.atom;
    let plan = pruned(&neutron(), vec![group("web", &[SSH], false), twin, db()], only_web(), &["db"]).unwrap();
    assert_eq!(plan.networks[0].group_name(etcd), "etcd", "the atom's own text: its id");
    let saved = saved_of(&plan);
    assert_eq!(saved.document.steps[0].cascade.len(), 2);
    assert!(saved.prove().holds());
}

/// The way back after `--cascade db`, from what is there now.
fn rolled_back(now: Vec<ObservedGroup>) -> Plan {
    let saved = saved_of(&pruned(&neutron(), others(), only_web(), &["db"]).unwrap());
    let begun: Begun = saved.steps().iter().map(|step| (step.id, None)).collect();
    let pack = neutron();
    let inputs = vec![(input(now, &pack, 60), atoms())];
    let plan = super::super::rollback(&saved, &begun, inputs, &GuardsInForce::default()).unwrap();
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    plan
}

#[test]
fn a_rollback_brings_others_rules_back_as_they_were() {
    let empty = |name: &str, texts: &[&str]| group(name, texts, false);
    let plan = rolled_back(vec![empty("web", &[]), empty("etcd", &["80/tcp from 0.0.0.0/0"])]);
    let added: BTreeMap<&str, Vec<String>> = plan
        .steps
        .iter()
        .filter(|s| s.action == Action::AddRules)
        .map(|s| (plan.networks[0].group_name(s.group), s.adds.iter().map(|a| a.rule.traffic.to_string()).collect()))
        .collect();
    assert_eq!(added["web"], ["1/tcp", "2/tcp", "3/tcp"]);
    assert_eq!(added["etcd"], ["22/tcp"]);
    let etcd = plan.steps.iter().find(|s| s.action == Action::AddRules && s.group == atom("etcd")).unwrap();
    assert!(etcd.adds[0].marks.is_empty(), "theirs is not marked as ours");
    let create = plan.steps.iter().find(|s| s.action == Action::CreateGroup).unwrap();
    assert!(etcd.depends_on.contains(&create.id), "they name the group that is made again");
    assert!(plan.notes.iter().any(|note| note.contains("is made again under a new id")), "{:?}", plan.notes);
}

#[test]
fn a_rollback_before_the_deletion_has_nothing_to_bring_back() {
    let plan = rolled_back(others());
    assert!(plan.steps.is_empty(), "{:?}", steps(&plan));
}

#[test]
fn a_group_that_lost_rules_and_is_gone_since_is_left_alone() {
    let plan = rolled_back(vec![group("web", &[], false)]);
    assert!(plan.steps.iter().all(|s| s.group != atom("etcd")));
    assert!(plan.notes.iter().any(|note| note.starts_with("`etcd` is gone")), "{:?}", plan.notes);
}

#[test]
fn what_to_read_for_a_rollback_has_the_groups_that_lost_rules() {
    let saved = saved_of(&pruned(&neutron(), others(), only_web(), &["db"]).unwrap());
    let begun: Begun = [(StepId(2), None)].into();
    let scopes = rollback_scopes(&saved, &begun);
    let asked: Vec<String> = scopes[&network()].groups.iter().map(|g| g.group.to_string()).collect();
    assert!(asked.contains(&"sg-etcd".to_owned()), "{asked:?}");
    let etcd = scopes[&network()].groups.iter().find(|g| g.group.as_str() == "sg-etcd").unwrap();
    assert_ne!(etcd.ownership, Some(Ownership::Exclusive));
}

/// The plan of `--cascade db`, made again from what is there now.
fn made_again(now: Vec<ObservedGroup>) -> Result<Plan, Vec<PlanError>> {
    let saved = saved_of(&pruned(&neutron(), others(), only_web(), &["db"]).unwrap());
    let pack = neutron();
    again(&saved, vec![(input(now, &pack, 60), atoms())], Some(10))
}

#[test]
fn a_saved_plan_takes_the_same_rules_along_when_it_is_made_again() {
    let plan = made_again(others()).unwrap();
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    assert_eq!(along(&plan), ["web: 2/tcp", "web: 3/tcp", "etcd: 22/tcp"]);
    let web = plan.networks[0].groups.iter().find(|g| g.atom == atom("web")).unwrap();
    assert_eq!(web.diff.fates, [Fate::Remove, Fate::Cascade, Fate::Cascade]);
}

#[test]
fn a_saved_plan_is_refused_when_other_rules_would_go_along() {
    let refused = |etcd: ObservedGroup| {
        let mut now = others();
        now[1] = etcd;
        made_again(now).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let more = refused(group("etcd", &[SSH, "80/tcp from 0.0.0.0/0", "23/tcp from g4:db"], false));
    assert!(more.len() == 1 && more[0].contains("in 23/tcp from db is new"), "{more:?}");
    let less = refused(group("etcd", &["80/tcp from 0.0.0.0/0"], false));
    assert!(less.len() == 1 && less[0].contains("in 22/tcp from db is gone"), "{less:?}");
}

#[test]
fn a_saved_plan_that_is_carried_out_has_nothing_left_to_do() {
    let now = vec![group("web", &[], false), group("etcd", &["80/tcp from 0.0.0.0/0"], false)];
    assert!(made_again(now).unwrap().steps.is_empty());
}

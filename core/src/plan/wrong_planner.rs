//! Plans of the real planner with one thing broken: the proof refuses each, and says why.

use super::build::case;
use super::tests::{cascade, destruction, marked, plan_of, wish};
use super::*;
use crate::guard::{Guard, GuardSet, GuardsInForce};
use crate::name::{Origin, RuleId};
use crate::observed::Ours;
use crate::proof::{Case, Fault, GroupCase, Packet, Proof, Witness, carries, prove};
use crate::rule::{Family, Rule, RulePeer};
use crate::testing::{atom, group, rule, step};
use crate::traffic::{PortRange, Traffic};

const OPEN: &str = "all to 0.0.0.0/0";

/// `web`, ours: a wide rule becomes narrow ones. `etcd`, shared: a rule of ours goes, those of others stay. `db` is new.
fn good() -> Plan {
    let web = group("web", &["20-30/tcp from 10.0.0.0/8", "80/tcp from g:web", "23/tcp from g:web", OPEN], true);
    let marks = [("platform/prod", Origin::Joined)];
    let etcd = [
        "22/tcp from 10.0.0.0/8 # platform/prod",
        "23/tcp from 10.0.0.0/8 # sales/shop",
        "24/tcp from 10.0.0.0/8",
        "25/tcp from 10.0.0.0/8 # platform/prod, sales/shop",
    ];
    let wishes = vec![
        wish("web", &["22/tcp from 10.0.0.0/9", "443/tcp from g:db", "80/tcp from g:web"]),
        wish("etcd", &["2379/tcp from g:web"]),
        wish("db", &["5432/tcp from g:web"]),
    ];
    plan_of(wishes, vec![web, marked("etcd", &etcd, &marks)])
}

/// Two groups that go: `web` refers to `db`.
fn going() -> Plan {
    let observed = vec![group("db", &[OPEN], true), group("web", &["22/tcp from g:db", OPEN], true)];
    let plan = destruction(vec![wish("web", &["22/tcp from g:db"]), wish("db", &[])], observed, &["prod"]).unwrap();
    assert!(plan.proof.holds());
    plan
}

/// What the proof is asked about a plan, as the planner puts it.
fn cases(plan: &Plan) -> Vec<GroupCase> {
    let ours = Ours { owner: &plan.owner, clusters: &plan.clusters };
    let (network, guards) = (&plan.networks[0], GuardsInForce::default());
    let of = |g: &GroupPlan| case(&network.network.name, g, network.observed_group(g.atom), &guards, ours);
    network.groups.iter().map(of).collect()
}

fn judge(groups: Vec<GroupCase>, steps: &[Step]) -> Proof {
    prove(&Case { groups, steps, trusted: &[], gaps: Vec::new(), cascades: BTreeSet::new() })
}

/// The witness against a plan in which one thing is broken; the plan as it was holds.
fn refusal(mut plan: Plan, break_it: impl FnOnce(&mut Vec<Step>)) -> Witness {
    let groups = cases(&plan);
    assert_eq!(judge(groups.clone(), &plan.steps), plan.proof, "the case is the planner's");
    break_it(&mut plan.steps);
    judge(groups, &plan.steps).witness.unwrap()
}

/// The steps of an action on a group.
fn at<'a>(steps: &'a mut [Step], action: Action, group: &str) -> &'a mut Step {
    steps.iter_mut().find(|s| s.action == action && s.group == atom(group)).unwrap()
}

fn carried_by(packet: Option<Packet>, text: &str) -> bool {
    carries(&rule(text), &packet.unwrap())
}

#[test]
fn removes_first() {
    let witness = refusal(good(), |steps| {
        let add = at(steps, Action::AddRules, "web").id;
        let remove = at(steps, Action::RemoveRules, "web");
        remove.depends_on.clear();
        let remove = remove.id;
        steps.iter_mut().find(|s| s.id == add).unwrap().depends_on.push(remove);
    });
    assert_eq!((witness.fault, witness.group), (Fault::Cut, atom("web")));
    assert!(carried_by(witness.packet, "22/tcp from 10.0.0.0/9"));
}

#[test]
fn forgets_a_dependency() {
    let plan = good();
    let remove = plan.steps.iter().find(|s| s.action == Action::RemoveRules && s.group == atom("web")).unwrap().id;
    let witness = refusal(plan, |steps| at(steps, Action::RemoveRules, "web").depends_on.clear());
    assert_eq!((witness.fault, witness.step), (Fault::Cut, remove));
    assert!(carried_by(witness.packet, "22/tcp from 10.0.0.0/9"));
}

#[test]
fn removes_a_rule_that_is_wanted() {
    let wanted = rule("80/tcp from g:web");
    let witness = refusal(good(), |steps| at(steps, Action::RemoveRules, "web").removes.push(StepRule::plain(wanted)));
    assert_eq!(witness.fault, Fault::Cut);
    assert!(carried_by(witness.packet, "80/tcp from g:web"));
}

#[test]
fn takes_back_what_it_added() {
    let narrow = StepRule::plain(rule("22/tcp from 10.0.0.0/9"));
    let witness = refusal(good(), |steps| at(steps, Action::RemoveRules, "web").removes.push(narrow));
    assert_eq!(witness.fault, Fault::Cut);
    assert!(carried_by(witness.packet, "22/tcp from 10.0.0.0/9"));
}

#[test]
fn widens_by_one_port() {
    let witness = refusal(good(), |steps| {
        let add = &mut at(steps, Action::AddRules, "db").adds[0].rule;
        assert_eq!(*add, rule("5432/tcp from g:web"));
        add.traffic = Traffic::tcp(PortRange::new(5432, 5433).unwrap());
    });
    assert_eq!((witness.fault, witness.group), (Fault::Opened, atom("db")));
    assert!(carried_by(witness.packet, "5433/tcp from g:web"), "{:?}", witness.packet);
}

#[test]
fn widens_by_addresses() {
    let witness = refusal(good(), |steps| {
        let narrow = rule("22/tcp from 10.0.0.0/9");
        let add = at(steps, Action::AddRules, "web").adds.iter_mut().find(|a| a.rule == narrow).unwrap();
        add.rule = rule("22/tcp from 10.0.0.0/7");
    });
    assert_eq!(witness.fault, Fault::Opened);
    assert!(carried_by(witness.packet, "22/tcp from 10.0.0.0/7"));
    assert!(!carried_by(witness.packet, "22/tcp from 10.0.0.0/8"), "that was open");
}

#[test]
fn widens_by_one_family() {
    let mut plan = good();
    let mut groups = cases(&plan);
    let v4 = |rule: &mut Rule| {
        if let RulePeer::Opaque(_, _, family) = &mut rule.peer {
            *family = Family::Ipv4;
        }
    };
    // In a cloud that tells the families apart.
    groups.iter_mut().flat_map(|g| &mut g.required).for_each(v4);
    let witness = judge(groups.clone(), &plan.steps).witness.unwrap();
    assert_eq!(witness.fault, Fault::Opened);
    plan.steps.iter_mut().flat_map(|s| &mut s.adds).for_each(|a| v4(&mut a.rule));
    assert!(judge(groups, &plan.steps).holds());
}

#[test]
fn touches_a_foreign_rule() {
    for (other, text) in [(1, "23/tcp from 10.0.0.0/8"), (2, "24/tcp from 10.0.0.0/8"), (3, "25/tcp from 10.0.0.0/8")] {
        let witness = refusal(good(), |steps| {
            let foreign = StepRule { id: RuleId::new(&format!("sgr-{other}")).ok(), ..StepRule::plain(rule(text)) };
            at(steps, Action::RemoveRules, "etcd").removes.push(foreign);
        });
        assert_eq!((witness.fault, witness.group), (Fault::NotOurs, atom("etcd")));
        assert!(carried_by(witness.packet, text), "{other}");
    }
}

#[test]
fn touches_a_rule_of_a_known_other_writer() {
    let mut web = group("web", &["22/tcp from g:db", "23/tcp from g:web", OPEN], true);
    web.rules[0].description = "kubernetes.io/rule/nlb/client=lb-1".to_owned();
    let plan = plan_of(vec![wish("web", &[])], vec![web]);
    let nlb = StepRule::plain(rule("22/tcp from g:db"));
    let witness = refusal(plan, |steps| at(steps, Action::RemoveRules, "web").removes.push(nlb));
    assert_eq!(witness.fault, Fault::NotOurs);
    assert!(carried_by(witness.packet, "22/tcp from g:db"));
}

#[test]
fn deletes_a_group_that_others_made() {
    let witness = refusal(good(), |steps| {
        let id = steps.len() as u32 + 1;
        steps.push(step(id, "etcd", Action::DeleteGroup, &[], &[], &[]));
    });
    assert_eq!((witness.fault, witness.group), (Fault::NotOurs, atom("etcd")));
}

#[test]
fn deletes_a_referenced_group() {
    let plan = going();
    let delete = plan.steps.iter().find(|s| s.group == atom("db")).unwrap().id;
    let witness = refusal(plan, |steps| at(steps, Action::DeleteGroup, "db").depends_on.clear());
    assert_eq!((witness.fault, witness.step), (Fault::Referenced, delete));
    assert!(carried_by(witness.packet, "22/tcp from g:db"));
    let witness = refusal(going(), |steps| steps.retain(|s| s.group != atom("web")));
    assert_eq!(witness.fault, Fault::Referenced);
}

/// `web` is others', and refers to `db`, which goes and takes that rule along, by the user's word.
fn cascading() -> Plan {
    let web = group("web", &["22/tcp from g:db", "80/tcp from g:web"], false);
    let plan = cascade::pruned_db(vec![web, group("db", &[OPEN], true)]);
    assert!(plan.proof.holds() && plan.steps.iter().any(|s| !s.cascade.is_empty()));
    plan
}

/// The witness against that plan with one thing broken; with or without the user's word.
fn against(break_it: impl FnOnce(&mut Vec<GroupCase>, &mut Vec<Step>), word: bool) -> Witness {
    let mut plan = cascading();
    let mut groups = cases(&plan);
    let cascades = || if word { [(crate::testing::network(), atom("db"))].into() } else { BTreeSet::new() };
    let judge =
        |groups, steps: &[Step], cascades| prove(&Case { groups, steps, trusted: &[], gaps: Vec::new(), cascades });
    assert_eq!(judge(groups.clone(), &plan.steps, cascades()).holds(), word);
    break_it(&mut groups, &mut plan.steps);
    judge(groups, &plan.steps, cascades()).witness.unwrap()
}

#[test]
fn hides_what_goes_along_with_a_group() {
    let witness = against(|_, steps| at(steps, Action::DeleteGroup, "db").cascade.clear(), true);
    assert_eq!((witness.fault, witness.group), (Fault::Referenced, atom("web")));
    assert!(carried_by(witness.packet, "22/tcp from g:db"));
}

#[test]
fn takes_others_rules_along_without_the_users_word() {
    let witness = against(|_, _| {}, false);
    assert_eq!((witness.fault, witness.group), (Fault::NotOurs, atom("web")));
    assert!(carried_by(witness.packet, "22/tcp from g:db"));
}

#[test]
fn takes_along_what_does_not_refer_to_the_group() {
    let other = StepRule::plain(rule("80/tcp from g:web"));
    let add = |steps: &mut Vec<Step>| {
        at(steps, Action::DeleteGroup, "db").cascade.entry(atom("web")).or_default().push(other);
    };
    let witness = against(|_, steps| add(steps), true);
    assert_eq!(witness.fault, Fault::NotOurs);
    assert!(carried_by(witness.packet, "80/tcp from g:web"));
}

#[test]
fn takes_along_what_is_required() {
    let require = |groups: &mut Vec<GroupCase>| {
        groups.iter_mut().filter(|g| g.group == atom("web")).for_each(|g| g.required.push(rule("22/tcp from g:db")));
    };
    let witness = against(|groups, _| require(groups), true);
    assert_eq!((witness.fault, witness.group), (Fault::Cut, atom("web")));
    assert!(carried_by(witness.packet, "22/tcp from g:db"));
}

#[test]
fn takes_along_what_is_not_there() {
    let none = StepRule::plain(rule("23/tcp from g:db"));
    let add = |steps: &mut Vec<Step>| {
        at(steps, Action::DeleteGroup, "db").cascade.entry(atom("web")).or_default().push(none);
    };
    assert_eq!(against(|_, steps| add(steps), true).fault, Fault::Unknown);
}

#[test]
fn deletes_a_group_that_is_needed() {
    let plan = plan_of(vec![wish("web", &["22/tcp from g:web"])], vec![group("web", &["22/tcp from g:web"], true)]);
    let delete = step(9, "web", Action::DeleteGroup, &[], &[], &[]);
    let witness = refusal(plan, |steps| steps.push(delete));
    assert_eq!(witness.fault, Fault::Cut);
}

#[test]
fn opens_what_a_guard_forbids() {
    let plan = plan_of(vec![wish("web", &["22/tcp from 0.0.0.0/0", "80/tcp from 0.0.0.0/0"])], vec![]);
    let mut groups = cases(&plan);
    let (name, traffic) = ("ssh-public".into(), vec![Traffic::parse("22/tcp").unwrap()]);
    let guard = Guard { name, traffic, why: String::new(), source: String::new() };
    groups[0].guards = GuardSet { guards: vec![guard], exempt: Vec::new() };
    let witness = judge(groups.clone(), &plan.steps).witness.unwrap();
    assert_eq!(witness.fault, Fault::Guard("ssh-public".into()));
    assert!(carried_by(witness.packet, "22/tcp from 0.0.0.0/0"));
    let without: Vec<Step> = plan
        .steps
        .iter()
        .cloned()
        .map(|mut s| {
            s.adds.retain(|a| a.rule != rule("22/tcp from 0.0.0.0/0"));
            s
        })
        .collect();
    assert!(judge(groups, &without).holds());
}

#[test]
fn removes_a_rule_twice() {
    let witness = refusal(good(), |steps| {
        let mut again = at(steps, Action::RemoveRules, "web").clone();
        again.id = StepId(steps.len() as u32 + 1);
        steps.push(again);
    });
    assert_eq!(witness.fault, Fault::RemovedTwice);
}

#[test]
fn removes_what_is_not_there() {
    let other = StepRule::plain(rule("22/tcp from 10.0.0.0/10"));
    let witness = refusal(good(), |steps| at(steps, Action::RemoveRules, "web").removes.push(other));
    assert_eq!(witness.fault, Fault::Unknown);
}

#[test]
fn writes_into_a_group_that_nobody_named() {
    let plan = plan_of(vec![wish("web", &["22/tcp from g:web"])], vec![]);
    let witness = refusal(plan, |steps| {
        let id = steps.len() as u32 + 1;
        steps.push(step(id, "db", Action::AddRules, &["22/tcp from g:web"], &[], &[]));
    });
    assert_eq!((witness.fault, witness.group), (Fault::Unknown, atom("db")));
}

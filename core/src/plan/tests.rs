use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::desired::{Desired, DesiredGroup, DesiredNetwork};
use crate::flow::{Flow, Flows};
use crate::guard::GuardsInForce;
use crate::inventory::{EgressMode, Inventory, SecurityGroup};
use crate::name::{GroupMark, Mark, Origin};
use crate::observed::{Limit, LimitSource, Limits};
use crate::pack::{Call, Dialect, GroupChanges, Pack, Site, one_call_a_direction};
use crate::rule::{Direction, Family, Rule};
use crate::testing::{atom, atoms, aws_like, desired as desired_rules, group, network, reason, rule, rules};
use crate::{example, traffic};

pub(super) mod cascade;
mod rollback;

pub(crate) struct Aws(pub(crate) Dialect);

impl Pack for Aws {
    fn dialect(&self) -> &Dialect {
        &self.0
    }

    fn pack(&self, changes: &GroupChanges, _: &Site<'_>) -> Vec<Call> {
        one_call_a_direction(changes, &self.0)
    }

    fn unsayable(&self, rule: &Rule, _: &str, _: &str) -> Option<String> {
        let ports =
            rule.traffic.protocol() == traffic::Protocol::parse("sctp").unwrap() && rule.traffic.ports().is_some();
        ports.then(|| "no ports for sctp".to_owned())
    }
}

/// A desired group of `prod`, whose security group and node group have the same name.
pub(crate) fn wish(name: &str, texts: &[&str]) -> DesiredGroup {
    DesiredGroup {
        security_group: SecurityGroup::parse(name).unwrap(),
        atom: atom(name),
        members: vec![(ClusterName::new("prod").unwrap(), NodeGroupName::new(name).unwrap())],
        ownership: None,
        create: false,
        egress: EgressMode::Open,
        family: Family::Ipv4,
        rules: desired_rules(texts),
        held: Vec::new(),
        ignored: Vec::new(),
        addresses: BTreeMap::new(),
    }
}

pub(super) fn inventory() -> Inventory {
    let mut inventory = example::inventory();
    inventory.add_cluster("prod", "downstream-node-pools");
    inventory.add_cluster("staging", "downstream-node-pools");
    inventory
}

pub(super) fn wishes(groups: Vec<DesiredGroup>) -> Desired {
    let part = DesiredNetwork { atoms: atoms(), groups, ..DesiredNetwork::default() };
    Desired { networks: [(network(), part)].into(), ..Desired::default() }
}

fn input(observed: Vec<ObservedGroup>, pack: &Aws, most: u32) -> NetworkInput<'_> {
    let network = inventory().networks[&network()].clone();
    let limits =
        Limits { rules_per_group: Some(Limit { at_most: most, source: LimitSource::Assumed }), ..Limits::default() };
    let observed = Ok(Observed { groups: observed, limits, ..Observed::default() });
    NetworkInput { network, observed, pack, calls: 1 }
}

fn try_plan(
    groups: Vec<DesiredGroup>,
    observed: Vec<ObservedGroup>,
    options: &PlanOptions,
) -> Result<Plan, Vec<PlanError>> {
    let aws = Aws(aws_like());
    let guards = GuardsInForce::default();
    super::plan(&inventory(), &Flows::default(), wishes(groups), vec![input(observed, &aws, 60)], &guards, options)
}

pub(crate) fn plan_of(groups: Vec<DesiredGroup>, observed: Vec<ObservedGroup>) -> Plan {
    let plan = try_plan(groups, observed, &PlanOptions::default()).unwrap();
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    plan
}

/// `add_rules web <- 1 2`: action, group and dependencies of each step.
fn steps(plan: &Plan) -> Vec<String> {
    let spell = |s: &Step| {
        let action = serde_json::to_value(s.action).unwrap();
        let before: String = s.depends_on.iter().map(|d| format!(" {}", d.0)).collect();
        let arrow = if before.is_empty() { "" } else { " <-" };
        format!("{} {}{arrow}{before}", action.as_str().unwrap(), atoms().text(s.group))
    };
    plan.steps.iter().map(spell).collect()
}

const OPEN: &str = "all to 0.0.0.0/0";

#[test]
fn a_stateless_group_is_noted_where_the_plan_speaks_of_it() {
    let aws = Aws(aws_like());
    let mut input = input(vec![group("web", &[OPEN], true), group("db", &[OPEN], false)], &aws, 60);
    input.observed.as_mut().unwrap().stateless = [atom("web"), atom("db")].into();
    let (desired, guards) = (wishes(only_web()), GuardsInForce::default());
    let options = PlanOptions::default();
    let plan = super::plan(&inventory(), &Flows::default(), desired, vec![input], &guards, &options).unwrap();
    assert!(plan.in_sync());
    let notes: Vec<&String> = plan.notes.iter().filter(|note| note.contains("stateless")).collect();
    assert!(notes.len() == 1 && notes[0].starts_with("`web` is stateless"), "{notes:?}");
}

#[test]
fn a_new_group_costs_two_calls() {
    let plan = plan_of(vec![wish("web", &["22/tcp from g:web", "80/tcp from 0.0.0.0/0"])], vec![]);
    assert_eq!(steps(&plan), ["create_group web", "add_rules web <- 1"]);
    assert_eq!(plan.networks[0].groups[0].status, GroupStatus::Create);
}

#[test]
fn groups_that_refer_to_each_other_are_made_before_their_rules() {
    let circle = vec![wish("web", &["22/tcp from g:db"]), wish("db", &["5432/tcp from g:web"])];
    let expected = ["create_group web", "create_group db", "add_rules web <- 1 2", "add_rules db <- 1 2"];
    assert_eq!(steps(&plan_of(circle, vec![])), expected);
}

#[test]
fn what_the_cloud_has_no_rule_for_is_refused_before_any_call() {
    let errors = try_plan(vec![wish("web", &["5000/sctp from g:web"])], vec![], &PlanOptions::default()).unwrap_err();
    assert!(matches!(errors.as_slice(), [PlanError::Unsayable { .. }]), "{errors:?}");
    assert_eq!(
        errors[0].to_string(),
        "security group `web` of network `eu` can't have 5000/sctp (p@1/r): no ports for sctp"
    );
}

#[test]
fn a_group_in_sync_costs_nothing() {
    let plan =
        plan_of(vec![wish("web", &["22/tcp from g:web"])], vec![group("web", &["22/tcp from g:web", OPEN], true)]);
    assert_eq!(steps(&plan), Vec::<String>::new());
    assert!(plan.in_sync());
    assert_eq!((plan.proof.required_flows, plan.proof.held_before), (2, 2));
}

#[test]
fn additions_stand_before_removals() {
    let have = group("web", &["tcp from 10.0.0.0/8", OPEN], true);
    let plan = plan_of(vec![wish("web", &["22/tcp from 10.0.0.0/8"])], vec![have]);
    assert_eq!(steps(&plan), ["add_rules web", "remove_rules web <- 1"]);
    assert_eq!(plan.counts(), (1, 1));
}

#[test]
fn names_of_the_inventory_meet_ids_of_the_cloud() {
    // The observed group's atom is that of its id; the wish names it by its name.
    let mut known = atoms();
    let id = known.intern("sg-db");
    let have = ObservedGroup { atom: id, ..group("db", &[OPEN], true) };
    let part = DesiredNetwork {
        atoms: known,
        groups: vec![wish("web", &["22/tcp from g:db"]), wish("db", &[])],
        ..DesiredNetwork::default()
    };
    let desired = Desired { networks: [(network(), part)].into(), ..Desired::default() };
    let aws = Aws(aws_like());
    let (guards, options) = (GuardsInForce::default(), PlanOptions::default());
    let inputs = vec![input(vec![have], &aws, 60)];
    let plan = super::plan(&inventory(), &Flows::default(), desired, inputs, &guards, &options).unwrap();
    let add = plan.steps.iter().find(|s| s.action == Action::AddRules).unwrap();
    assert_eq!(add.adds[0].rule.peer.group(), Some(id));
    assert_eq!(add.depends_on, [StepId(1)], "only the new group has to be made first");
}

#[test]
fn a_shared_group_must_exist_unless_it_may_be_created() {
    let shared = DesiredGroup { ownership: Some(Ownership::Shared), ..wish("web", &[]) };
    let refused = try_plan(vec![shared.clone()], vec![], &PlanOptions::default()).unwrap_err();
    assert!(matches!(refused[..], [PlanError::SharedGroupMissing { .. }]), "{refused:?}");
    let plan = plan_of(vec![DesiredGroup { create: true, ..shared }], vec![]);
    assert_eq!(steps(&plan)[0], "create_group web");
}

#[test]
fn a_group_given_by_an_id_that_is_not_there_is_an_error() {
    let by_id = DesiredGroup { security_group: SecurityGroup::parse("sg-0123").unwrap(), ..wish("web", &[]) };
    let refused = try_plan(vec![by_id], vec![], &PlanOptions::default()).unwrap_err();
    assert!(matches!(refused[..], [PlanError::NoSuchId { .. }]), "{refused:?}");
}

#[test]
fn a_group_that_is_not_ours_is_shared_and_its_rules_stay() {
    let have = group("web", &["22/tcp from 0.0.0.0/0", OPEN], false);
    let plan = plan_of(vec![wish("web", &["80/tcp from g:web"])], vec![have]);
    assert_eq!(plan.networks[0].groups[0].ownership, Ownership::Shared);
    assert_eq!(steps(&plan), ["set_marks web", "add_rules web"]);
    assert_eq!(plan.steps[0].group_marks, [(Mark::parse("platform/prod").unwrap(), Origin::Joined)]);
}

#[test]
fn writing_exclusive_adopts() {
    let have = group("web", &["22/tcp from 0.0.0.0/0", "80/tcp from g:web", OPEN], false);
    let taken = DesiredGroup { ownership: Some(Ownership::Exclusive), ..wish("web", &["80/tcp from g:web"]) };
    let plan = plan_of(vec![taken], vec![have]);
    assert_eq!(plan.networks[0].groups[0].status, GroupStatus::Adopt);
    assert_eq!(steps(&plan), ["set_marks web", "update_descriptions web", "remove_rules web"]);
    assert_eq!(plan.steps[0].group_marks, [(Mark::parse("platform/prod").unwrap(), Origin::Adopted)]);
    assert_eq!(plan.steps[2].removes[0].rule, rule("22/tcp from 0.0.0.0/0"));
}

#[test]
fn another_owners_exclusive_group_is_refused_unless_taken_over() {
    let mark = GroupMark { mark: Mark::parse("other/prod").unwrap(), origin: Origin::Made };
    let have = || ObservedGroup { marks: vec![mark.clone()], ..group("web", &[OPEN], false) };
    let taken = || DesiredGroup { ownership: Some(Ownership::Exclusive), ..wish("web", &[]) };
    let refused = try_plan(vec![taken()], vec![have()], &PlanOptions::default()).unwrap_err();
    assert!(matches!(refused[..], [PlanError::OtherOwner { .. }]), "{refused:?}");
    let options = PlanOptions { take_over: true, ..PlanOptions::default() };
    assert!(try_plan(vec![taken()], vec![have()], &options).is_ok());
}

pub(crate) fn marked(name: &str, texts: &[&str], marks: &[(&str, Origin)]) -> ObservedGroup {
    let marks = marks.iter().map(|(m, origin)| GroupMark { mark: Mark::parse(m).unwrap(), origin: *origin });
    ObservedGroup { marks: marks.collect(), ..group(name, texts, false) }
}

#[test]
fn a_group_that_a_cluster_outside_the_inventory_made_is_not_ours() {
    let have = || marked("web", &["22/tcp from g:web", OPEN], &[("platform/elsewhere", Origin::Made)]);
    let plan = plan_of(vec![wish("web", &[])], vec![have()]);
    assert_eq!(plan.networks[0].groups[0].ownership, Ownership::Shared);
    assert!(plan.steps.is_empty());
    let destroyed = destruction(vec![wish("web", &[])], vec![have()], &["prod"]).unwrap();
    assert!(destroyed.steps.is_empty());
}

#[test]
fn another_owner_who_joined_our_exclusive_group_is_an_error_and_keeps_it_from_deletion() {
    let marks = [("platform/prod", Origin::Made), ("sales/shop", Origin::Joined)];
    let have = || marked("web", &["22/tcp from g:web # sales/shop", OPEN], &marks);
    let refused = try_plan(vec![wish("web", &[])], vec![have()], &PlanOptions::default()).unwrap_err();
    assert!(matches!(refused[..], [PlanError::OtherOwner { .. }]), "{refused:?}");
    let destroyed = destruction(vec![wish("web", &[])], vec![have()], &["prod"]).unwrap();
    assert_eq!(steps(&destroyed), ["set_marks web"], "only our mark goes");
}

#[test]
fn a_cluster_that_uses_our_group_later_gets_its_mark_on_it() {
    let have = marked("web", &[OPEN], &[("platform/prod", Origin::Made)]);
    let both = ["prod", "staging"].map(|c| (ClusterName::new(c).unwrap(), NodeGroupName::new("web").unwrap()));
    let plan = plan_of(vec![DesiredGroup { members: both.into(), ..wish("web", &[]) }], vec![have]);
    assert_eq!(plan.steps[0].group_marks, [(Mark::parse("platform/staging").unwrap(), Origin::Made)]);
    assert!(plan.in_sync(), "a mark is no drift");
}

#[test]
fn taking_over_takes_the_others_mark_off() {
    let have = marked("web", &[OPEN], &[("other/prod", Origin::Made)]);
    let taken = DesiredGroup { ownership: Some(Ownership::Exclusive), ..wish("web", &[]) };
    let options = PlanOptions { take_over: true, ..PlanOptions::default() };
    let plan = try_plan(vec![taken], vec![have], &options).unwrap();
    let unmarks: Vec<_> = plan.steps.iter().flat_map(|s| s.group_unmarks.clone()).collect();
    assert_eq!(unmarks, [Mark::parse("other/prod").unwrap()]);
}

#[test]
fn two_networks_that_are_one_place_are_an_error() {
    let aws = Aws(aws_like());
    let mut inventory = inventory();
    inventory.add_network("us");
    let place = |name: &str| {
        let mut input = input(vec![], &aws, 60);
        input.network.name = crate::name::NetworkName::new(name).unwrap();
        input.observed.as_mut().unwrap().identity = Some("vpc-1".to_owned());
        input
    };
    let (guards, options) = (GuardsInForce::default(), PlanOptions::default());
    let inputs = vec![place("eu"), place("us")];
    let refused =
        super::plan(&inventory, &Flows::default(), Desired::default(), inputs, &guards, &options).unwrap_err();
    assert!(matches!(refused[..], [PlanError::SamePlace { .. }]), "{refused:?}");
}

#[test]
fn one_group_named_in_two_ways_is_an_error() {
    let mut known = atoms();
    let id = known.intern("sg-0a");
    let have =
        ObservedGroup { atom: id, id: crate::name::GroupId::new("sg-0a").unwrap(), ..group("web", &[OPEN], true) };
    let by_id = DesiredGroup { security_group: SecurityGroup::parse("sg-0a").unwrap(), atom: id, ..wish("web", &[]) };
    let part = DesiredNetwork { atoms: known, groups: vec![wish("web", &[]), by_id], ..DesiredNetwork::default() };
    let desired = Desired { networks: [(network(), part)].into(), ..Desired::default() };
    let aws = Aws(aws_like());
    let (guards, options) = (GuardsInForce::default(), PlanOptions::default());
    let inputs = vec![input(vec![have], &aws, 60)];
    let refused = super::plan(&inventory(), &Flows::default(), desired, inputs, &guards, &options).unwrap_err();
    assert!(matches!(refused[..], [PlanError::NamedTwice { .. }]), "{refused:?}");
}

#[test]
fn known_addresses_of_one_family_do_not_stand_for_a_flow_of_both() {
    let dual = |family| {
        let mut wish = DesiredGroup { ownership: Some(Ownership::Shared), ..wish("web", &["22/tcp from g:web"]) };
        wish.rules[0].rule.peer = crate::rule::RulePeer::Opaque(crate::rule::PeerKind::Group, atom("web"), family);
        wish.addresses = [(atom("web"), vec![crate::rule::Cidr::parse("10.1.2.0/24").unwrap()])].into();
        plan_of(vec![wish], vec![group("web", &["all from 10.0.0.0/8"], false)]).counts().0
    };
    assert_eq!(dual(Family::Ipv4), 0, "the range has all addresses of the flow");
    assert_eq!(dual(Family::Both), 1, "its IPv6 addresses are not known");
}

#[test]
fn a_rule_from_a_group_that_nobody_has_is_an_error() {
    let refused = try_plan(vec![wish("web", &["22/tcp from g:db"])], vec![], &PlanOptions::default()).unwrap_err();
    assert!(matches!(&refused[..], [PlanError::MissingPeer { missing, .. }] if missing.peer == "db"), "{refused:?}");
}

#[test]
fn all_reasons_against_a_plan_come_at_once() {
    let shared = |name| DesiredGroup { ownership: Some(Ownership::Shared), ..wish(name, &[]) };
    let refused = try_plan(vec![shared("web"), shared("db")], vec![], &PlanOptions::default()).unwrap_err();
    assert_eq!(refused.len(), 2);
}

/// Two wide rules that are to become narrow ones, under a quota.
fn narrowing(most: u32, gap: &[&str]) -> Result<Plan, Vec<PlanError>> {
    let have = group("web", &["1-2/tcp from g:web", "5-6/tcp from g:web", OPEN], true);
    let want = wish("web", &["1/tcp from g:web", "5/tcp from g:web"]);
    let aws = Aws(aws_like());
    let options = PlanOptions { allow_gap: gap.iter().map(|g| (*g).to_owned()).collect(), ..PlanOptions::default() };
    let inputs = vec![input(vec![have], &aws, most)];
    let plan =
        super::plan(&inventory(), &Flows::default(), wishes(vec![want]), inputs, &GuardsInForce::default(), &options)?;
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    Ok(plan)
}

#[test]
fn with_room_a_replacement_is_two_calls() {
    assert_eq!(steps(&narrowing(4, &[]).unwrap()), ["add_rules web", "remove_rules web <- 1"]);
}

#[test]
fn with_little_room_a_replacement_takes_turns() {
    let expected = ["add_rules web", "remove_rules web <- 1", "add_rules web <- 2", "remove_rules web <- 1 3"];
    assert_eq!(steps(&narrowing(3, &[]).unwrap()), expected);
}

#[test]
fn where_a_quota_counts_both_directions_a_later_wave_waits_for_both() {
    let have = group("web", &["1-2/tcp from g:web", "7/tcp to 192.0.2.1"], true);
    let strict = DesiredGroup {
        egress: EgressMode::Strict,
        ..wish("web", &["1/tcp from g:web", "3/tcp from g:web", "8/tcp to 192.0.2.1"])
    };
    let aws = Aws(Dialect { quota: crate::pack::QuotaCount::All, ..aws_like() });
    let (guards, options) = (GuardsInForce::default(), PlanOptions::default());
    let inputs = vec![input(vec![have], &aws, 3)];
    let plan = super::plan(&inventory(), &Flows::default(), wishes(vec![strict]), inputs, &guards, &options).unwrap();
    let first: Vec<StepId> =
        plan.steps.iter().take_while(|s| s.id.0 < 4).filter(|s| !s.removes.is_empty()).map(|s| s.id).collect();
    let last = plan.steps.iter().filter(|s| !s.adds.is_empty()).filter(|s| s.id > *first.last().unwrap());
    assert!(last.clone().count() > 0);
    assert!(last.into_iter().all(|s| first.iter().all(|r| s.depends_on.contains(r))), "{:?}", steps(&plan));
}

#[test]
fn a_quota_without_room_is_refused_with_the_arithmetic() {
    let refused = narrowing(2, &[]).unwrap_err();
    assert!(
        matches!(refused[..], [PlanError::Quota { before: 2, adds: 2, removes: 2, peak: 4, of: 2, .. }]),
        "{refused:?}"
    );
}

#[test]
fn a_gap_that_the_user_allows_by_name_makes_room_and_is_said() {
    for name in ["r", "p@1/r"] {
        let plan = narrowing(2, &[name]).unwrap();
        assert_eq!(steps(&plan), ["remove_rules web", "add_rules web <- 1"]);
        assert_eq!(plan.proof.gaps.len(), 2);
    }
    assert!(narrowing(2, &["other"]).is_err());
}

#[test]
fn a_gap_is_not_used_where_there_is_room() {
    assert!(narrowing(3, &["r"]).unwrap().proof.gaps.is_empty());
}

#[test]
fn only_chosen_clusters_get_steps() {
    let options =
        PlanOptions { clusters: Some([ClusterName::new("staging").unwrap()].into()), ..PlanOptions::default() };
    let staging = DesiredGroup {
        members: vec![(ClusterName::new("staging").unwrap(), NodeGroupName::new("db").unwrap())],
        ..wish("db", &["22/tcp from g:web"])
    };
    let have = vec![group("web", &[OPEN], true)];
    let plan = try_plan(vec![wish("web", &["80/tcp from g:web"]), staging], have, &options).unwrap();
    assert_eq!(steps(&plan), ["create_group db", "add_rules db <- 1"]);
    assert_eq!(plan.networks[0].groups[0].status, GroupStatus::Skipped);
}

#[test]
fn add_only_plans_no_removal() {
    let have = group("web", &["22/tcp from 0.0.0.0/0", OPEN], true);
    let options = PlanOptions { add_only: true, ..PlanOptions::default() };
    let plan = try_plan(vec![wish("web", &["80/tcp from g:web"])], vec![have], &options).unwrap();
    assert_eq!(steps(&plan), ["add_rules web"]);
}

#[test]
fn redundant_rules_go_with_tidy_only() {
    let have = || vec![group("web", &["22-23/tcp from g:web", "22/tcp from g:web", OPEN], true)];
    let want = || vec![wish("web", &["22-23/tcp from g:web"])];
    assert!(plan_of(want(), have()).in_sync());
    let options = PlanOptions { tidy: true, ..PlanOptions::default() };
    let plan = try_plan(want(), have(), &options).unwrap();
    let removes: Vec<_> = plan.steps.iter().flat_map(|s| &s.removes).map(|r| r.rule).collect();
    assert_eq!(removes, rules(&["22/tcp from g:web"]));
    assert!(plan.proof.holds());
}

#[test]
fn descriptions_change_only_in_groups_that_change_anyway() {
    let have = || group("web", &["22/tcp from g:web", OPEN], true);
    let quiet = plan_of(vec![wish("web", &["22/tcp from g:web"])], vec![have()]);
    assert_eq!((quiet.steps.len(), quiet.networks[0].groups[0].stale_descriptions), (0, 1));
    let busy = plan_of(vec![wish("web", &["22/tcp from g:web", "80/tcp from g:web"])], vec![have()]);
    assert_eq!(steps(&busy), ["add_rules web", "update_descriptions web"]);
    assert_eq!(busy.steps[1].adds[0].description, "because");
}

fn removing(n: u16, keep: u16) -> Plan {
    let keeps: Vec<String> = (0..keep).map(|i| format!("{}/tcp from g:web", 1000 + 2 * i)).collect();
    let goes: Vec<String> = (0..n).map(|i| format!("{}/tcp from g:db", 3000 + 2 * i)).collect();
    let have: Vec<&str> = keeps.iter().chain(&goes).map(String::as_str).chain([OPEN]).collect();
    let want: Vec<&str> = keeps.iter().map(String::as_str).collect();
    plan_of(vec![wish("web", &want)], vec![group("web", &have, true)])
}

#[test]
fn more_than_ten_removals_are_refused() {
    assert_eq!(removing(10, 40).blast, None);
    assert!(removing(11, 40).blast.unwrap().contains("11 rules"));
}

#[test]
fn more_than_a_third_of_a_group_is_refused_where_it_has_more_than_six() {
    assert_eq!(removing(3, 2).blast, None, "six rules with the outbound one");
    assert_eq!(removing(3, 5).blast, None, "a third of nine");
    assert!(removing(4, 6).blast.unwrap().contains("4 of the 11"));
}

#[test]
fn the_last_rule_of_a_group_is_not_removed_lightly() {
    let strict = DesiredGroup { egress: EgressMode::Strict, ..wish("web", &[]) };
    let plan = plan_of(vec![strict], vec![group("web", &["22/tcp from g:web"], true)]);
    assert!(plan.blast.unwrap().contains("no rule left"));
}

#[test]
fn max_removals_sets_the_number_and_lifts_the_rest() {
    let have = group("web", &["1/tcp from g:db", "3/tcp from g:db"], true);
    let allowed = |n| {
        let options = PlanOptions { max_removals: Some(n), ..PlanOptions::default() };
        let strict = DesiredGroup { egress: EgressMode::Strict, ..wish("web", &[]) };
        try_plan(vec![strict], vec![have.clone()], &options).unwrap().blast
    };
    assert!(allowed(1).unwrap().contains("--max-removals is 1"));
    assert_eq!(allowed(2), None);
}

#[test]
fn a_closed_outbound_is_reported_and_repaired_only_where_we_made_the_group() {
    let ours = plan_of(vec![wish("web", &[])], vec![group("web", &["443/tcp to 192.0.2.1"], true)]);
    assert_eq!(steps(&ours), ["add_rules web"]);
    let theirs = plan_of(vec![wish("web", &[])], vec![group("web", &["443/tcp to 192.0.2.1"], false)]);
    assert!(theirs.steps.is_empty());
    assert!(theirs.networks[0].groups[0].outbound_closed);
}

#[test]
fn the_default_outbound_rule_of_a_new_strict_group_goes_last() {
    let strict = DesiredGroup { egress: EgressMode::Strict, ..wish("web", &["443/tcp to 192.0.2.1"]) };
    let plan = plan_of(vec![strict], vec![]);
    assert_eq!(steps(&plan), ["create_group web", "add_rules web <- 1", "remove_rules web <- 1 2"]);
}

/// What Neutron's rules can say, of families.
fn neutron_like() -> Dialect {
    Dialect { references_match_both: false, default_rules: rules(&[OPEN, "all to ::/0"]), ..aws_like() }
}

#[test]
fn where_no_rule_is_of_both_families_a_reference_for_both_is_two() {
    let neutron = Aws(neutron_like());
    let groups = vec![wish("web", &["22/tcp from g:db", "icmp from g:db"]), wish("db", &["22/tcp from 10.0.0.0/8"])];
    let (guards, options) = (GuardsInForce::default(), PlanOptions::default());
    let plan = super::plan(
        &inventory(),
        &Flows::default(),
        wishes(groups),
        vec![input(vec![], &neutron, 60)],
        &guards,
        &options,
    );
    let plan = plan.unwrap();
    let web = plan.steps.iter().find(|s| s.group == atom("web") && s.action == Action::AddRules).unwrap();
    let mut adds: Vec<Rule> = web.adds.iter().map(|add| add.rule).collect();
    let mut expected = rules(&["22/tcp from g4:db", "22/tcp from g6:db", "icmp from g4:db"]);
    adds.sort_unstable();
    expected.sort_unstable();
    assert_eq!(adds, expected);
    assert!(plan.proof.holds());
}

#[test]
fn the_default_outbound_rule_of_a_new_group_is_not_held() {
    let held = vec![(Direction::Egress, traffic::Traffic::parse("443/tcp").unwrap())];
    let strict = DesiredGroup { egress: EgressMode::Strict, held, ..wish("web", &[]) };
    let plan = plan_of(vec![strict], vec![]);
    assert_eq!(steps(&plan), ["create_group web", "remove_rules web <- 1"]);
}

#[test]
fn a_dual_group_lets_both_families_out() {
    let dual = DesiredGroup { family: Family::Both, ..wish("web", &[]) };
    let plan = plan_of(vec![dual], vec![]);
    assert_eq!(plan.steps[1].adds[0].rule, rule("all to ::/0"));
}

pub(crate) fn destruction(
    groups: Vec<DesiredGroup>,
    observed: Vec<ObservedGroup>,
    destroyed: &[&str],
) -> Result<Plan, Vec<PlanError>> {
    let aws = Aws(aws_like());
    let destroyed: BTreeSet<ClusterName> = destroyed.iter().map(|c| ClusterName::new(c).unwrap()).collect();
    let mut rest = groups.clone();
    for group in &mut rest {
        for rule in &mut group.rules {
            let stays = rule.reasons.iter().filter(|reason| !destroyed.contains(&reason.cluster));
            rule.reasons = stays.cloned().collect();
        }
        group.rules.retain(|r| !r.reasons.is_empty());
    }
    let (whole, rest) = (wishes(groups), wishes(rest));
    let (guards, inputs) = (GuardsInForce::default(), vec![input(observed, &aws, 60)]);
    let destruction = Destruction { clusters: destroyed, cascade: BTreeSet::new() };
    super::destroy(&inventory(), &Flows::default(), whole, &rest, inputs, &guards, &destruction)
}

#[test]
fn referring_groups_are_deleted_before_those_they_refer_to() {
    let observed = vec![group("db", &[OPEN], true), group("web", &["22/tcp from g:db", OPEN], true)];
    let groups = vec![wish("web", &["22/tcp from g:db"]), wish("db", &[])];
    let plan = destruction(groups, observed, &["prod"]).unwrap();
    assert_eq!(steps(&plan), ["delete_group web", "delete_group db <- 1"]);
    assert!(plan.proof.holds());
}

#[test]
fn a_circle_of_references_is_opened_first() {
    let observed = vec![group("web", &["22/tcp from g:db"], true), group("db", &["22/tcp from g:web"], true)];
    let groups = vec![wish("web", &["22/tcp from g:db"]), wish("db", &["22/tcp from g:web"])];
    let plan = destruction(groups, observed, &["prod"]).unwrap();
    assert_eq!(plan.steps.len(), 3, "{:?}", steps(&plan));
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
}

/// Groups that we made and that the inventory calls shared.
fn shared(names: &[&str]) -> Vec<DesiredGroup> {
    names.iter().map(|name| DesiredGroup { ownership: Some(Ownership::Shared), ..wish(name, &[]) }).collect()
}

#[test]
fn a_circle_is_opened_where_the_reference_is_ours() {
    let web = group("web", &["22/tcp from g:db", OPEN], true);
    let db = group("db", &["22/tcp from g:web # platform/prod", OPEN], true);
    let plan = destruction(shared(&["web", "db"]), vec![web, db], &["prod"]).unwrap();
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    assert_eq!(steps(&plan), ["remove_rules db", "delete_group web <- 1", "delete_group db <- 1 2"]);
}

#[test]
fn a_circle_of_others_rules_is_an_error_that_names_them() {
    let observed = vec![group("web", &["22/tcp from g:db", OPEN], true), group("db", &["22/tcp from g:web"], true)];
    let refused = destruction(shared(&["web", "db"]), observed, &["prod"]).unwrap_err();
    let named: Vec<(&str, &str)> = refused
        .iter()
        .map(|error| match error {
            PlanError::StillReferenced { group, from, .. } => (group.as_str(), from.as_str()),
            _ => panic!("{error:?}"),
        })
        .collect();
    assert_eq!(named, [("db", "web"), ("web", "db")]);
}

#[test]
fn references_that_open_a_circle_go_with_the_marks_that_were_seen() {
    let seen = |name, text| group(name, &[text], true);
    let observed =
        vec![seen("web", "22/tcp from g:db # platform/prod"), seen("db", "22/tcp from g:web # platform/prod")];
    let groups = vec![wish("web", &["22/tcp from g:db"]), wish("db", &["22/tcp from g:web"])];
    let plan = destruction(groups, observed, &["prod"]).unwrap();
    let opening = plan.steps.iter().find(|step| step.action == Action::RemoveRules).unwrap();
    assert_eq!(opening.removes[0].marks, [Mark::parse("platform/prod").unwrap()]);
}

#[test]
fn a_group_that_we_did_not_make_loses_only_marked_rules() {
    let have = group("web", &["22/tcp from g:web # platform/prod", "80/tcp from 0.0.0.0/0"], false);
    let plan = destruction(vec![wish("web", &["22/tcp from g:web"])], vec![have], &["prod"]).unwrap();
    assert_eq!(steps(&plan), ["remove_rules web"]);
    assert_eq!(plan.steps[0].removes[0].rule, rule("22/tcp from g:web"));
}

#[test]
fn of_the_rules_that_go_with_a_group_those_without_our_mark_are_others() {
    let there =
        ["22/tcp from g:web # platform/prod", "80/tcp from 0.0.0.0/0", "81/tcp from 0.0.0.0/0 # sales/shop", OPEN];
    let plan = destruction(vec![wish("web", &[])], vec![group("web", &there, true)], &["prod"]).unwrap();
    assert_eq!(steps(&plan), ["delete_group web"]);
    let fates = &plan.networks[0].groups[0].diff.fates;
    assert_eq!(*fates, [Fate::Keep, Fate::Foreign, Fate::Foreign, Fate::Keep], "the last is the cloud's own");
    assert_eq!((plan.takes_of_others(), plan.counts()), (2, (0, 4)));
    // Where `--prune` simply deletes a group, nobody reads whose its rules are.
    let pruned = pruning(vec![web(&[]), group("db", &[OPEN, "80/tcp from 0.0.0.0/0"], true)], only_web()).unwrap();
    assert_eq!(pruned.takes_of_others(), 0);
}

#[test]
fn a_group_that_stays_loses_what_only_the_destroyed_cluster_wanted() {
    let staging = |name: &str, texts: &[&str]| DesiredGroup {
        members: vec![(ClusterName::new("staging").unwrap(), NodeGroupName::new(name).unwrap())],
        ..wish(name, texts)
    };
    let observed =
        vec![group("db", &[OPEN], true), group("etcd", &["22/tcp from g:db", "80/tcp from g:etcd", OPEN], true)];
    let mut stays = staging("etcd", &["22/tcp from g:db", "80/tcp from g:etcd"]);
    let kept = crate::flow::Reason { cluster: ClusterName::new("staging").unwrap(), ..reason("web") };
    stays
        .rules
        .iter_mut()
        .filter(|r| r.rule == rule("80/tcp from g:etcd"))
        .for_each(|r| r.reasons = [kept.clone()].into());
    let plan = destruction(vec![stays, wish("db", &[])], observed, &["prod"]).unwrap();
    // The group was made for prod alone: staging's mark takes the place of prod's, which goes last.
    let expected = ["set_marks etcd", "remove_rules etcd", "set_marks etcd <- 1 2", "delete_group db <- 2"];
    assert_eq!(steps(&plan), expected);
    assert_eq!(plan.steps[0].group_marks, [(Mark::parse("platform/staging").unwrap(), Origin::Made)]);
    assert_eq!(plan.steps[1].removes.len(), 1);
    assert_eq!(plan.steps[2].group_unmarks, [Mark::parse("platform/prod").unwrap()]);
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
}

#[test]
fn a_co_owned_rule_that_refers_to_a_doomed_group_is_an_error() {
    let have = group("web", &["22/tcp from g:db # platform/prod, sales/shop"], false);
    let observed = vec![group("db", &[OPEN], true), have];
    let refused =
        destruction(vec![wish("web", &["22/tcp from g:db"]), wish("db", &[])], observed, &["prod"]).unwrap_err();
    assert!(matches!(&refused[..], [PlanError::StillReferenced { .. }]), "{refused:?}");
}

#[test]
fn a_co_owned_rule_that_stays_loses_our_mark() {
    let have = group("web", &["22/tcp from g:web # platform/prod, sales/shop"], false);
    let plan = destruction(vec![wish("web", &["22/tcp from g:web"])], vec![have], &["prod"]).unwrap();
    assert_eq!(steps(&plan), ["set_marks web"]);
    assert_eq!(plan.steps[0].removes[0].marks, [Mark::parse("platform/prod").unwrap()]);
}

#[test]
fn what_the_rest_needs_of_a_removed_rule_is_added_first() {
    let staging = |texts: &[&str]| {
        let mut wish = wish("etcd", texts);
        let members = ["prod", "staging"].map(|c| (ClusterName::new(c).unwrap(), NodeGroupName::new("etcd").unwrap()));
        wish.members = members.into();
        wish
    };
    let mut both = staging(&["9000/tcp from g:etcd", "9001/tcp from g:etcd"]);
    let kept = crate::flow::Reason { cluster: ClusterName::new("staging").unwrap(), ..reason("web") };
    both.rules
        .iter_mut()
        .filter(|r| r.rule == rule("9000/tcp from g:etcd"))
        .for_each(|r| r.reasons = [kept.clone()].into());
    let observed = vec![group("etcd", &["9000-9001/tcp from g:etcd", OPEN], true)];
    let plan = destruction(vec![both], observed, &["prod"]).unwrap();
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    let add = plan.steps.iter().find(|s| s.action == Action::AddRules).unwrap();
    assert_eq!(add.adds[0].rule, rule("9000/tcp from g:etcd"));
}

#[test]
fn a_foreign_rule_that_refers_to_a_doomed_group_is_an_error_that_names_it() {
    let observed = vec![group("db", &[OPEN], true), group("web", &["22/tcp from g:db"], false)];
    let staging = DesiredGroup {
        members: vec![(ClusterName::new("staging").unwrap(), NodeGroupName::new("web").unwrap())],
        ..wish("web", &[])
    };
    let refused = destruction(vec![staging, wish("db", &[])], observed, &["prod"]).unwrap_err();
    assert!(matches!(&refused[..], [PlanError::StillReferenced { group, from, .. }] if group == "db" && from == "web"));
}

/// A plan for `web` alone, with the orphans that stand beside it.
fn pruning(observed: Vec<ObservedGroup>, wishes: Vec<DesiredGroup>) -> Result<Plan, Vec<PlanError>> {
    let plan = try_plan(wishes, observed, &PlanOptions { prune: true, ..PlanOptions::default() })?;
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    Ok(plan)
}

fn only_web() -> Vec<DesiredGroup> {
    vec![wish("web", &[])]
}

fn web(texts: &[&str]) -> ObservedGroup {
    group("web", &[texts, &[OPEN]].concat(), true)
}

#[test]
fn an_orphan_that_we_made_is_reported_and_deleted_only_when_asked() {
    let observed = || vec![web(&[]), group("db", &["22/tcp from g:web", OPEN], true)];
    let plan = plan_of(only_web(), observed());
    assert!(plan.steps.is_empty());
    let orphans = &plan.networks[0].orphans;
    assert!(matches!(orphans[..], [Orphan { prune: Prune::Delete, rules: 2, .. }]), "{orphans:?}");
    let pruned = pruning(observed(), only_web()).unwrap();
    assert_eq!(steps(&pruned), ["delete_group db"]);
    assert_eq!(pruned.steps[0].removes.len(), 2);
    assert_eq!(pruned.counts(), (0, 2));
    assert!(pruned.blast.unwrap().contains("`db` would be deleted, and 2 rules with it"));
}

#[test]
fn neither_a_selection_nor_add_only_goes_with_pruning() {
    let observed = || vec![web(&[]), group("db", &[OPEN], true)];
    let selected = Some([ClusterName::new("prod").unwrap()].into());
    for options in [
        PlanOptions { prune: true, clusters: selected, ..PlanOptions::default() },
        PlanOptions { prune: true, add_only: true, ..PlanOptions::default() },
    ] {
        assert!(try_plan(only_web(), observed(), &options).unwrap().steps.is_empty());
    }
}

#[test]
fn an_orphan_that_is_not_ours_alone_loses_our_rules_and_our_mark() {
    let rules =
        ["22/tcp from g:web # platform/prod", "80/tcp from g:web # platform/prod, sales/shop", "443/tcp from g:web"];
    for marks in [
        vec![("platform/prod", Origin::Made), ("sales/shop", Origin::Joined)],
        vec![("platform/prod", Origin::Made), ("platform/gone", Origin::Made)],
        vec![("platform/prod", Origin::Adopted)],
        vec![("platform/prod", Origin::Joined)],
    ] {
        let plan = pruning(vec![web(&[]), marked("db", &rules, &marks)], only_web()).unwrap();
        assert_eq!(steps(&plan), ["set_marks db", "remove_rules db", "set_marks db <- 1 2"], "{marks:?}");
        let gone: Vec<_> = plan.steps[1].removes.iter().map(|r| r.rule).collect();
        assert_eq!(gone, [rule("22/tcp from g:web")], "{marks:?}");
        let prod = [Mark::parse("platform/prod").unwrap()];
        assert_eq!(plan.steps[0].removes[0].rule, rule("80/tcp from g:web"), "another owner's too: it stays");
        assert_eq!((&plan.steps[0].removes[0].marks[..], &plan.steps[2].group_unmarks[..]), (&prod[..], &prod[..]));
        let orphans = &plan.networks[0].orphans;
        assert!(matches!(orphans[..], [Orphan { prune: Prune::Clear, rules: 1, .. }]), "{orphans:?}");
    }
}

#[test]
fn what_a_cluster_outside_the_inventory_marked_is_reported_and_never_pruned() {
    let theirs = marked("db", &["22/tcp from g:web # platform/gone", OPEN], &[("platform/gone", Origin::Made)]);
    let plan = pruning(vec![web(&[]), theirs], only_web()).unwrap();
    assert!(plan.steps.is_empty());
    assert!(matches!(plan.networks[0].orphans[..], [Orphan { prune: Prune::Keep, rules: 0, .. }]));
}

#[test]
fn another_owners_group_is_no_orphan() {
    let theirs = marked("db", &[OPEN], &[("sales/shop", Origin::Made)]);
    let plan = pruning(vec![web(&[]), theirs], only_web()).unwrap();
    assert!(plan.steps.is_empty() && plan.networks[0].orphans.is_empty());
}

/// A plan with `--prune` of an inventory in which cluster `staging` is another inventory's, and group `db` perhaps a peer.
fn with_neighbours(db_is_a_peer: bool, observed: Vec<ObservedGroup>) -> Plan {
    let mut inventory = inventory();
    let staging = inventory.clusters.get_mut("staging").unwrap();
    staging.external = true;
    let prod = inventory.clusters.get_mut("prod").unwrap();
    let db = crate::inventory::Peer::SecurityGroup { group: SecurityGroup::parse("db").unwrap(), account: None };
    prod.peers.extend(db_is_a_peer.then(|| ("lb".into(), db)));
    let (aws, guards) = (Aws(aws_like()), GuardsInForce::default());
    let options = PlanOptions { prune: true, ..PlanOptions::default() };
    let inputs = vec![input(observed, &aws, 60)];
    super::plan(&inventory, &Flows::default(), wishes(only_web()), inputs, &guards, &options).unwrap()
}

#[test]
fn a_group_that_a_peer_names_is_no_orphan() {
    let observed = || vec![web(&[]), group("db", &[OPEN], true)];
    assert!(with_neighbours(true, observed()).networks[0].orphans.is_empty());
    assert_eq!(with_neighbours(false, observed()).networks[0].orphans.len(), 1);
}

#[test]
fn what_an_external_cluster_marked_is_no_orphan() {
    let theirs = marked("db", &[OPEN], &[("platform/staging", Origin::Made)]);
    let plan = with_neighbours(false, vec![web(&[]), theirs]);
    assert!(plan.steps.is_empty() && plan.networks[0].orphans.is_empty());
}

#[test]
fn references_to_a_pruned_group_go_first() {
    let plan = pruning(vec![web(&["22/tcp from g:db"]), group("db", &[OPEN], true)], only_web()).unwrap();
    assert_eq!(steps(&plan), ["remove_rules web", "delete_group db <- 1"]);
}

#[test]
fn an_outbound_rule_to_a_pruned_group_goes_although_outbound_is_open() {
    let plan = pruning(vec![web(&["22/tcp to g:db"]), group("db", &[OPEN], true)], only_web()).unwrap();
    assert_eq!(steps(&plan), ["remove_rules web", "delete_group db <- 1"]);
    assert_eq!(plan.steps[0].removes[0].rule, rule("22/tcp to g:db"));
}

#[test]
fn orphans_that_refer_to_each_other_are_opened_first() {
    let observed =
        vec![web(&[]), group("db", &["22/tcp from g:etcd"], true), group("etcd", &["22/tcp from g:db"], true)];
    let plan = pruning(observed, only_web()).unwrap();
    assert_eq!(plan.steps.len(), 3, "{:?}", steps(&plan));
}

#[test]
fn deletions_are_last_whatever_other_groups_have_in_waves() {
    let have = group("web", &["1-2/tcp from g:db", "5-6/tcp from g:etcd", OPEN], true);
    let want = vec![wish("web", &["1/tcp from g:web", "5/tcp from g:etcd"]), wish("etcd", &[])];
    let observed = vec![have, group("db", &[OPEN], true), group("etcd", &[OPEN], true)];
    let (aws, guards) = (Aws(aws_like()), GuardsInForce::default());
    let options = PlanOptions { prune: true, ..PlanOptions::default() };
    let inputs = vec![input(observed, &aws, 3)];
    let plan = super::plan(&inventory(), &Flows::default(), wishes(want), inputs, &guards, &options).unwrap();
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    let expected = ["add_rules web", "remove_rules web <- 1", "add_rules web <- 2", "delete_group db <- 2"];
    assert_eq!(steps(&plan), expected);
}

#[test]
fn a_rule_that_stays_keeps_the_group_that_it_names() {
    let db = || group("db", &[OPEN], true);
    let held = DesiredGroup {
        held: vec![(crate::rule::Direction::Ingress, traffic::Traffic::parse("22/tcp").unwrap())],
        ..wish("web", &[])
    };
    let shared = || group("web", &["22/tcp from g:db"], false);
    let co_owned = || group("web", &["22/tcp from g:db # platform/prod, sales/shop"], false);
    for (have, want) in [
        (shared(), wish("web", &[])),
        (co_owned(), wish("web", &[])),
        (web(&["22/tcp from g:db"]), held.clone()),
        // 23/tcp goes, and what is held of it would be added as a rule of its own.
        (web(&["22-23/tcp from g:db"]), held),
    ] {
        let refused = pruning(vec![have, db()], vec![want]).unwrap_err();
        assert!(
            matches!(&refused[..], [PlanError::StillReferenced { group, from, .. }] if group == "db" && from == "web"),
            "{refused:?}"
        );
    }
}

#[test]
fn a_rule_of_a_group_that_the_plan_leaves_out_keeps_the_group_that_it_names() {
    let theirs = marked("etcd", &["22/tcp from g:db"], &[("platform/gone", Origin::Made)]);
    let refused = pruning(vec![web(&[]), group("db", &[OPEN], true), theirs.clone()], only_web()).unwrap_err();
    assert!(matches!(&refused[..], [PlanError::StillReferenced { from, .. }] if from == "etcd"), "{refused:?}");
    let destroyed = destruction(vec![wish("db", &[])], vec![group("db", &[OPEN], true), theirs], &["prod"]);
    assert!(matches!(&destroyed.unwrap_err()[..], [PlanError::StillReferenced { from, .. }] if from == "etcd"));
}

#[test]
fn destroying_leaves_orphans_and_reports_them() {
    let plan = destruction(only_web(), vec![web(&[]), group("db", &[OPEN], true)], &["prod"]).unwrap();
    assert_eq!(steps(&plan), ["delete_group web"]);
    assert_eq!(plan.networks[0].orphans.len(), 1);
}

/// A plan under quotas of the whole network, of which so much is used.
fn crowded(
    (groups, rules): ((u32, u32), (u32, u32)),
    wishes_for: Vec<DesiredGroup>,
    observed: Vec<ObservedGroup>,
    most: u32,
) -> Result<Plan, Vec<PlanError>> {
    let aws = Aws(aws_like());
    let mut input = input(observed, &aws, most);
    let limit = |at_most| Some(Limit { at_most, source: LimitSource::Read });
    let told = input.observed.as_mut().unwrap();
    told.limits = Limits { groups: limit(groups.1), rules: limit(rules.1), ..told.limits };
    told.usage = crate::observed::Usage { groups: Some(groups.0), rules: Some(rules.0), resources: None };
    let (guards, options) = (GuardsInForce::default(), PlanOptions { prune: true, ..PlanOptions::default() });
    super::plan(&inventory(), &Flows::default(), wishes(wishes_for), vec![input], &guards, &options)
}

const PLENTY: (u32, u32) = (0, 1000);

#[test]
fn groups_that_a_network_has_no_room_for_are_refused_with_the_arithmetic() {
    let two = || vec![wish("web", &[]), wish("etcd", &[])];
    let orphan = || vec![group("db", &[OPEN], true)];
    assert!(crowded(((8, 10), PLENTY), two(), orphan(), 60).is_ok());
    let refused = crowded(((9, 10), PLENTY), two(), orphan(), 60).unwrap_err();
    assert!(
        matches!(
            refused[..],
            [PlanError::NetworkQuota {
                what: NetworkCount::Groups,
                before: 9,
                adds: 2,
                removes: 1,
                peak: 11,
                limit: Limit { at_most: 10, .. },
                ..
            }]
        ),
        "{refused:?}"
    );
}

#[test]
fn a_network_that_is_too_full_already_may_still_lose_groups() {
    assert!(crowded(((11, 10), (11, 10)), only_web(), vec![web(&[]), group("db", &[OPEN], true)], 60).is_ok());
}

#[test]
fn rules_of_a_project_are_counted_before_anything_goes() {
    // One rule of the new group's own, two of ours in it, one in web; what goes is gone only afterwards.
    let wishes =
        || vec![wish("etcd", &["22/tcp from g:web", "80/tcp from g:web"]), wish("web", &["22/tcp from g:web"])];
    let have = || vec![web(&["tcp from g:web"])];
    assert!(crowded((PLENTY, (6, 10)), wishes(), have(), 60).is_ok());
    let refused = crowded((PLENTY, (7, 10)), wishes(), have(), 60).unwrap_err();
    assert!(
        matches!(
            refused[..],
            [PlanError::NetworkQuota { what: NetworkCount::Rules, before: 7, adds: 4, removes: 1, peak: 11, .. }]
        ),
        "{refused:?}"
    );
}

#[test]
fn waves_of_a_group_count_at_their_fullest() {
    // With room for three rules, one is added, one goes, and so again: never more than one above what is there.
    let have = || vec![group("web", &["1-2/tcp from g:web", "5-6/tcp from g:web", OPEN], true)];
    let want = || vec![wish("web", &["1/tcp from g:web", "5/tcp from g:web"])];
    assert!(crowded((PLENTY, (9, 10)), want(), have(), 3).is_ok());
    assert!(crowded((PLENTY, (9, 10)), want(), have(), 4).is_err());
    assert!(crowded((PLENTY, (10, 10)), want(), have(), 3).is_err());
}

#[test]
fn flows_are_lost_with_either_end_or_their_cluster() {
    let cluster = |name: &str| ClusterName::new(name).unwrap();
    let end = |name: &str| crate::flow::End::Group(cluster(name), NodeGroupName::new("g").unwrap());
    let flow = |of: &str, from: &str, to: &str| Flow {
        cluster: cluster(of),
        from: end(from),
        to: end(to),
        traffic: traffic::Traffic::ALL,
        reason: reason("x"),
        local: false,
    };
    let all = [flow("a", "a", "a"), flow("a", "b", "a"), flow("b", "a", "a"), flow("a", "a", "b")];
    let (stays, lost) = split_flows(&inventory(), &all, &[cluster("b")].into());
    assert_eq!((stays.len(), lost.len()), (1, 3));
}

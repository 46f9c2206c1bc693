//! Plans of the real planner with this packing, carried out in any order on the brute-force model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use rsgsync_core::desired::{Desired, DesiredGroup, DesiredNetwork, DesiredRule};
use rsgsync_core::document::{Saved, document};
use rsgsync_core::flow::{Flows, Reason};
use rsgsync_core::guard::GuardsInForce;
use rsgsync_core::inventory::{
    EgressMode, Inventory, Ownership, PlaceKind, ProviderSpec, SecurityGroup, Source, parse,
};
use rsgsync_core::name::{ClusterName, NetworkName, NodeGroupName};
use rsgsync_core::observed::{Foreign, Limits};
use rsgsync_core::pack::{Call, Dialect, GroupChanges, Pack, Site};
use rsgsync_core::plan::{Action, Begun, GroupStatus, NetworkInput, Plan, PlanError, PlanOptions, Step, StepId};
use rsgsync_core::plan::{Destruction, destroy, plan, rollback};
use rsgsync_core::profile::Catalog;
use rsgsync_core::rule::{Cidr, Direction, Family, PeerKind, Rule, RulePeer};

use super::model::{ATOMS, Held, OTHERS, OURS, World, observed, rule};
use super::{any_rules, any_world, config, packets};
use crate::pack;

struct Cloud(Dialect);

impl Pack for Cloud {
    fn dialect(&self) -> &Dialect {
        &self.0
    }

    fn pack(&self, changes: &GroupChanges, at: &Site<'_>) -> Vec<Call> {
        pack::pack(changes, at, &self.0)
    }

    fn unsayable(&self, rule: &Rule, group: &str, peer: &str) -> Option<String> {
        if peer.is_empty() {
            return None;
        }
        let out = (rule.direction == Direction::Egress).then(|| "no names as destinations".to_owned());
        out.or_else(|| pack::mixes(group, peer))
    }

    fn reference(&self, group: &str) -> PeerKind {
        if pack::is_account(group) { PeerKind::ServiceAccount } else { PeerKind::Group }
    }
}

static CLOUD: LazyLock<Cloud> = LazyLock::new(|| Cloud(pack::dialect()));

static INVENTORY: LazyLock<Inventory> = LazyLock::new(|| {
    let cluster =
        "{ network: eu, profile: downstream-node-pools, groups: { all: { roles: [etcd, controlplane, worker] } } }";
    let text = format!(
        "version: 1\nowner: platform\ntrusted: [0.0.0.0/0, \"::/0\"]\nnetworks: {{ eu: {{ cloud: {{ at: here }} }} }}\nclusters: {{ prod: {cluster} }}\n"
    );
    let source = Source { path: "small".into(), folder: "".into(), bytes: text.into_bytes() };
    let spec = ProviderSpec {
        word: "cloud",
        keys: &[("at", PlaceKind::Text)],
        required: &[],
        most: &[],
        absent: None,
        groups_are_names: true,
        beside_rules: &[],
    };
    let no_file = |_: &std::path::Path| Err(String::new());
    let today = "2026-11-26".parse().unwrap();
    parse(&[source], &Catalog::shipped(), &[spec], today, &no_file).unwrap().inventory
});

/// The groups of a project, by their tags.
type Project = BTreeMap<&'static str, World>;

fn network() -> NetworkName {
    NetworkName::new("eu").unwrap()
}

fn input(project: &Project, addresses: u32) -> NetworkInput<'static> {
    let groups = project.iter().filter(|(_, world)| !world.0.is_empty()).map(|(name, world)| world.group(name));
    NetworkInput {
        network: INVENTORY.networks[&network()].clone(),
        observed: Ok(observed(groups.collect(), addresses)),
        pack: &*CLOUD,
        calls: 1,
    }
}

/// A group that should have these rules.
fn wish(name: &str, rules: BTreeSet<Rule>, strict: bool, ownership: Option<Ownership>) -> DesiredGroup {
    let reason = Reason {
        cluster: ClusterName::new("prod").unwrap(),
        profile: "p@1".into(),
        row: "r".into(),
        why: "because".into(),
    };
    let rules = rules.into_iter().map(|rule| DesiredRule { rule, reasons: [reason.clone()].into() });
    DesiredGroup {
        security_group: SecurityGroup::parse(name).unwrap(),
        atom: ATOMS.get(name).unwrap(),
        members: vec![(ClusterName::new("prod").unwrap(), NodeGroupName::new("all").unwrap())],
        ownership,
        create: ownership == Some(Ownership::Shared),
        egress: if strict { EgressMode::Strict } else { EgressMode::Open },
        family: Family::Both,
        rules: rules.collect(),
        held: Vec::new(),
        ignored: Vec::new(),
        addresses: BTreeMap::new(),
    }
}

fn desired(groups: Vec<DesiredGroup>) -> Desired {
    let part = DesiredNetwork { atoms: ATOMS.clone(), groups, ..DesiredNetwork::default() };
    Desired { networks: [(network(), part)].into(), ..Desired::default() }
}

fn planned(project: &Project, groups: &[DesiredGroup], addresses: u32) -> Result<Plan, Vec<PlanError>> {
    planned_as(project, groups, addresses, &PlanOptions::default())
}

fn planned_as(
    project: &Project,
    groups: &[DesiredGroup],
    addresses: u32,
    options: &PlanOptions,
) -> Result<Plan, Vec<PlanError>> {
    let inputs = vec![input(project, addresses)];
    let wishes = desired(groups.to_vec());
    plan(&INVENTORY, &Flows::default(), wishes, inputs, &GuardsInForce::default(), options)
}

fn call(step: &Step) -> Call {
    Call {
        resource: step.resource.clone(),
        adds: step.adds.clone(),
        removes: step.removes.clone(),
        description: step.description.clone(),
        ..Call::new(step.action, step.direction)
    }
}

fn open(world: &World) -> BTreeSet<(Direction, usize, usize)> {
    packets(&world.rules().into_iter().chain(world.implied()).collect())
}

/// Carries a plan out in one of the orders that `depends_on` leaves open; every state keeps what holds and is required, and
/// opens nothing else.
fn carry_out(project: &mut Project, plan: &Plan, addresses: u32, order: &[usize]) {
    let required: BTreeMap<&str, BTreeSet<Rule>> = plan.networks[0]
        .groups
        .iter()
        .map(|g| (g.security_group.as_str(), g.diff.required.iter().map(|r| r.rule).collect()))
        .collect();
    let before: BTreeMap<&str, _> = project.iter().map(|(name, world)| (*name, open(world))).collect();
    let mut done: BTreeSet<StepId> = BTreeSet::new();
    let mut order = order.iter().cycle();
    while done.len() < plan.steps.len() {
        let is_next = |s: &&Step| !done.contains(&s.id) && s.depends_on.iter().all(|d| done.contains(d));
        let next: Vec<&Step> = plan.steps.iter().filter(is_next).collect();
        let step = next[order.next().unwrap() % next.len()];
        let name = plan.networks[0].group_name(step.group);
        let world = project.get_mut(name).unwrap();
        world.apply(&call(step), addresses as usize);
        done.insert(step.id);
        let (now, was, wanted) = (open(world), &before[name], packets(&required[name]));
        assert!(now.is_superset(&was.intersection(&wanted).copied().collect()), "{step:?} cuts");
        assert!(now.is_subset(&was.union(&wanted).copied().collect()), "{step:?} opens");
    }
}

fn saved(plan: &Plan) -> Saved {
    let document = document(plan, &GuardsInForce::default(), "test");
    Saved::read(&serde_json::to_vec(&document).unwrap()).unwrap()
}

fn any_wish(name: &'static str) -> impl Strategy<Value = DesiredGroup> {
    let ownership = prop_oneof![
        2 => Just(None),
        2 => Just(Some(Ownership::Exclusive)),
        1 => Just(Some(Ownership::Shared)),
    ];
    (any_rules(), prop::bool::weighted(0.3), ownership)
        .prop_map(move |(rules, strict, ownership)| wish(name, rules, strict, ownership))
}

/// Firewall rules of two groups, some of them denies of ours.
fn any_project() -> impl Strategy<Value = Project> {
    let denied = prop::collection::vec((prop::bool::weighted(0.15), prop::bool::weighted(0.3)), 4);
    (any_world(), any_world(), denied).prop_map(|(web, db, denied)| {
        let renamed = |world: World, tag: &str| -> BTreeMap<String, Held> {
            world.0.into_iter().map(|(name, held)| (format!("{tag}-{name}"), held)).collect()
        };
        let mut project: Project = [("web", World(renamed(web, "w"))), ("db", World(renamed(db, "d")))].into();
        for (i, (there, disabled)) in denied.into_iter().enumerate() {
            let any = rule(["all to 0.0.0.0/0", "all to ::/0"][i % 2]);
            let description = format!("narrow rsgsync:{OURS} made");
            let (direction, sources, entries) = (Direction::Egress, vec![any.peer], vec![any.traffic]);
            let held = Held { direction, sources, entries, denies: true, description, disabled };
            let world = project.get_mut(["web", "db"][i / 2]).unwrap();
            there.then(|| world.0.insert(format!("deny-{i}"), held));
        }
        project
    })
}

fn any_options() -> impl Strategy<Value = PlanOptions> {
    let word = || prop::bool::weighted(0.2);
    (word(), word(), word()).prop_map(|(take_over, tidy, add_only)| PlanOptions {
        take_over,
        tidy,
        add_only,
        ..PlanOptions::default()
    })
}

fn ours_or_nobodys(world: &World) -> bool {
    !world.0.values().any(|held| held.is_of(&[OTHERS]))
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn any_plan_holds_and_afterwards_nothing_is_left_to_do(
        mut project in any_project(), web in any_wish("web"), db in any_wish("db"), addresses in 1u32..5,
        options in any_options(), order in prop::collection::vec(any::<usize>(), 1..8),
    ) {
        let groups = [db, web];
        let plan = match planned_as(&project, &groups, addresses, &options) {
            Ok(plan) => plan,
            Err(errors) => {
                let expected = |e: &PlanError| matches!(e, PlanError::OtherOwner { .. });
                prop_assert!(errors.iter().all(expected), "{errors:?}");
                prop_assert!(!options.take_over && !project.values().all(ours_or_nobodys));
                return Ok(());
            }
        };
        prop_assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
        prop_assert!(saved(&plan).prove().holds());
        let before: BTreeMap<_, _> = project.iter().map(|(name, world)| (*name, open(world))).collect();
        let denied: BTreeSet<&str> = project.iter().filter(|(_, w)| w.implied().count() < 2).map(|(name, _)| *name).collect();
        carry_out(&mut project, &plan, addresses, &order);
        let again = planned_as(&project, &groups, addresses, &options).unwrap();
        prop_assert!(again.steps.is_empty(), "{:#?}", again.steps);

        let saved = saved(&plan);
        let begun: Begun = plan.steps.iter().map(|step| (step.id, None)).collect();
        let inputs = vec![(input(&project, addresses), ATOMS.clone())];
        let back = rollback(&saved, &begun, inputs, &GuardsInForce::default()).unwrap();
        prop_assert!(back.proof.holds(), "{:?}", back.proof.witness);
        carry_out(&mut project, &back, addresses, &order);
        for (name, world) in &project {
            // In a shared group what goes out is not ours to narrow again.
            let shared = groups.iter().any(|g| g.security_group.as_str() == *name && g.ownership == Some(Ownership::Shared));
            if !(shared && denied.contains(name)) {
                prop_assert_eq!(&open(world), &before[name], "{} is not what it was: {:?}", name, back.notes);
            }
        }
    }

    #[test]
    fn what_is_destroyed_leaves_nothing_of_ours_and_all_of_others(
        mut project in any_project(), web in any_wish("web"), db in any_wish("db"),
        order in prop::collection::vec(any::<usize>(), 1..8),
    ) {
        let groups = vec![db, web];
        let others: Vec<Held> = project.values().flat_map(|w| w.0.values()).filter(|h| !h.is_of(&[OURS])).cloned().collect();
        let clusters = Destruction { clusters: [ClusterName::new("prod").unwrap()].into(), ..Destruction::default() };
        let inputs = vec![input(&project, 4)];
        let nothing = GuardsInForce::default();
        let plan = destroy(&INVENTORY, &Flows::default(), desired(groups), &desired(Vec::new()), inputs, &nothing, &clusters);
        let plan = plan.unwrap();
        prop_assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
        prop_assert!(saved(&plan).prove().holds());
        carry_out(&mut project, &plan, 4, &order);
        let left: Vec<Held> = project.values().flat_map(|w| w.0.values()).cloned().collect();
        prop_assert_eq!(left, others);
    }
}

fn rules(texts: &[&str]) -> BTreeSet<Rule> {
    texts.iter().map(|text| rule(text)).collect()
}

fn nothing() -> Project {
    [("web", World::default()), ("db", World::default())].into()
}

#[test]
fn a_new_group_is_an_insertion_and_not_there_before() {
    let plan = planned(&nothing(), &[wish("web", rules(&["22/tcp from db"]), false, None)], 4).unwrap();
    let group = &plan.networks[0].groups[0];
    assert_eq!((group.status, group.rules_before, group.rules_after), (GroupStatus::Create, 0, 1));
    assert_eq!(plan.steps.iter().map(|s| s.action).collect::<Vec<_>>(), [Action::AddRules]);
    assert!(plan.steps[0].description.as_deref().unwrap().ends_with(" rsgsync:platform/prod made"));
    assert_eq!(plan.counts(), (1, 0));
    assert_eq!(saved(&plan).document.groups[0].id, None);
}

#[test]
fn narrowed_outbound_traffic_is_a_deny_that_goes_last_and_comes_back() {
    let strict = [wish("web", rules(&["443/tcp to 10.0.0.0/8"]), true, None)];
    let mut project = nothing();
    let plan = planned(&project, &strict, 4).unwrap();
    let actions: Vec<Action> = plan.steps.iter().map(|s| s.action).collect();
    assert_eq!(actions, [Action::AddRules, Action::RemoveRules, Action::RemoveRules]);
    assert_eq!(plan.steps[1].depends_on, [StepId(1)]);
    carry_out(&mut project, &plan, 4, &[0]);
    assert_eq!(project["web"].implied().count(), 0);
    let open = [wish("web", rules(&[]), false, None)];
    let plan = planned(&project, &open, 4).unwrap();
    assert!(plan.proof.holds());
    carry_out(&mut project, &plan, 4, &[0]);
    assert_eq!(project["web"].implied().count(), 2);
}

#[test]
fn a_project_without_room_for_insertions_is_refused_with_the_arithmetic() {
    use rsgsync_core::observed::{Limit, LimitSource, Usage};
    let mut full = input(&nothing(), 4);
    let observed = full.observed.as_mut().unwrap();
    observed.limits = Limits { resources: Some(Limit { at_most: 100, source: LimitSource::Read }), ..observed.limits };
    observed.usage = Usage { resources: Some(99), ..Usage::default() };
    let wishes = desired(vec![wish("web", rules(&["22/tcp from 10.0.0.0/8", "22/tcp from fd00::/8"]), false, None)]);
    let guards = GuardsInForce::default();
    let errors = plan(&INVENTORY, &Flows::default(), wishes, vec![full], &guards, &PlanOptions::default()).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "network `eu` has no room for more resources: 99 now, everybody's, 2 to add, 0 to remove afterwards, 101 at once, \
          but the quota is 100 (read)"
        ]
    );
}

const ACCOUNT: &str = "x@y.iam.gserviceaccount.com";

/// `22/tcp` from the group of the service account.
fn from_account() -> DesiredGroup {
    let mut web = wish("web", BTreeSet::new(), false, None);
    let peer = RulePeer::Opaque(PeerKind::Group, ATOMS.get(ACCOUNT).unwrap(), Family::Ipv4);
    let reasons = wish("web", rules(&["22/tcp from db"]), false, None).rules[0].reasons.clone();
    web.rules.push(DesiredRule { rule: Rule { peer, ..rule("22/tcp from db") }, reasons });
    web
}

#[test]
fn a_service_account_is_no_source_for_a_tag() {
    let errors = planned(&nothing(), &[from_account()], 4).unwrap_err();
    let [error @ PlanError::Unsayable { group, row, .. }] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((group.as_str(), row.as_str()), ("web", "p@1/r"));
    assert!(
        error.to_string().contains("give both a tag or both a service account, or state the `addresses`"),
        "{error}"
    );
}

#[test]
fn known_addresses_stand_for_a_service_account_that_a_tag_can_t_name() {
    let mut web = from_account();
    let known = ["10.1.0.0/16", "fd00::/8"].map(|text| Cidr::parse(text).unwrap());
    web.addresses.insert(ATOMS.get(ACCOUNT).unwrap(), known.to_vec());
    let plan = planned(&nothing(), &[web], 4).unwrap();
    let adds: Vec<Rule> = plan.steps.iter().flat_map(|s| &s.adds).map(|add| add.rule).collect();
    assert_eq!(adds, [rule("22/tcp from 10.1.0.0/16")], "of the flow's family");
}

#[test]
fn what_only_moves_is_neither_drift_nor_counted() {
    let mut project = nothing();
    let (some, both) = (["22/tcp from db", "22/tcp from lb"], ["443/tcp from db", "443/tcp from lb"]);
    let wide = [wish("web", rules(&[some, both].concat()), false, None)];
    let plan = planned(&project, &wide, 4).unwrap();
    carry_out(&mut project, &plan, 4, &[0]);
    assert_eq!(plan.steps.len(), 1);
    let narrow = [wish("web", rules(&["22/tcp from db", "22/tcp from lb", "443/tcp from db"]), false, None)];
    let plan = planned(&project, &narrow, 4).unwrap();
    assert_eq!(plan.steps.iter().map(|s| s.action).collect::<Vec<_>>(), [Action::AddRules, Action::RemoveRules]);
    assert_eq!(plan.counts(), (0, 1));
    let drift: Vec<String> = rsgsync_core::document::drift(&plan).into_iter().map(|entry| entry.kind).collect();
    assert_eq!(drift, ["unexpected"]);
}

#[test]
fn a_rule_of_another_owner_is_not_shared_but_made_beside_it() {
    let theirs = Held {
        direction: Direction::Ingress,
        sources: vec![super::peer("db")],
        entries: vec![super::traffic("22/tcp")],
        denies: false,
        description: format!("theirs rsgsync:{OTHERS} made"),
        disabled: false,
    };
    let mut project = nothing();
    project.get_mut("web").unwrap().0.insert("theirs".to_owned(), theirs.clone());
    let groups = [wish("web", rules(&["22/tcp from db"]), false, Some(Ownership::Shared))];
    let plan = planned(&project, &groups, 4).unwrap();
    carry_out(&mut project, &plan, 4, &[0]);
    assert_eq!((project["web"].0.len(), &project["web"].0["theirs"]), (2, &theirs));
    assert!(plan.steps[0].description.as_deref().unwrap().ends_with(" rsgsync:platform/prod joined"));
}

#[test]
fn what_others_deny_is_said() {
    let deny = |name: &str, priority, text: &str| Foreign {
        name: name.to_owned(),
        priority,
        targets: None,
        rules: vec![rule(text)],
        certain: true,
    };
    let mut input = input(&nothing(), 4);
    input.observed.as_mut().unwrap().denies = vec![
        deny("first", Some(900), "all from 0.0.0.0/0"),
        deny("same", Some(1000), "22/tcp from 10.0.0.0/8"),
        deny("later", Some(1001), "22/tcp from 0.0.0.0/0"),
        deny("other", Some(900), "23/tcp from 0.0.0.0/0"),
        deny("policy", None, "22/tcp from 10.2.0.0/16"),
    ];
    let wishes = desired(vec![wish("web", rules(&["22/tcp from 10.1.0.0/16", "80/tcp from db"]), false, None)]);
    let guards = GuardsInForce::default();
    let plan = plan(&INVENTORY, &Flows::default(), wishes, vec![input], &guards, &PlanOptions::default()).unwrap();
    assert_eq!(
        plan.notes,
        [
            "`web`: in 22/tcp from 10.1.0.0/16 is denied by `first` (priority 900), which isn't ours: it stays",
            "`web`: in 22/tcp from 10.1.0.0/16 is denied by `same` (priority 1000), which isn't ours: it stays",
            "`web`: in 80/tcp from db is denied by `first` (priority 900), which isn't ours: it stays",
        ]
    );
}

#[test]
fn a_group_that_is_destroyed_goes_with_its_firewall_rules() {
    let mut project = nothing();
    let groups = vec![wish("web", rules(&["22/tcp from db"]), true, None)];
    let plan = planned(&project, &groups, 4).unwrap();
    carry_out(&mut project, &plan, 4, &[0]);
    let (inputs, clusters) = (
        vec![input(&project, 4)],
        Destruction { clusters: [ClusterName::new("prod").unwrap()].into(), ..Destruction::default() },
    );
    let (nothing, none) = (GuardsInForce::default(), desired(Vec::new()));
    let plan = destroy(&INVENTORY, &Flows::default(), desired(groups), &none, inputs, &nothing, &clusters).unwrap();
    assert_eq!(plan.networks[0].groups[0].status, GroupStatus::Delete);
    carry_out(&mut project, &plan, 4, &[0]);
    assert_eq!(project["web"], World::default());
}

//! Random clouds, wishes and faults: whatever goes wrong, no required packet is cut, nothing unwanted opens, what is
//! foreign stays as it is, and a few runs bring everything about.
//!
//! Each test plays some seeds, or as many as `RSGSYNC_CASES` says; `RSGSYNC_SEED` plays a single one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

mod back;
mod kills;
mod packets;
mod scenario;
mod twice;

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use rsgsync_core::desired::{Desired, DesiredGroup, DesiredNetwork, DesiredRule};
use rsgsync_core::flow::{Flows, Reason};
use rsgsync_core::guard::GuardsInForce;
use rsgsync_core::inventory::{Cluster, EgressMode, Inventory, Network, SecurityGroup};
use rsgsync_core::name::{ClusterName, NetworkName, NodeGroupName, Owner};
use rsgsync_core::observed::{Scope, ScopeGroup};
use rsgsync_core::plan::{NetworkInput, Plan, PlanError, PlanOptions, plan};
use rsgsync_core::profile::Catalog;
use rsgsync_core::rule::{Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::{PortRange, Protocol, Traffic};
use rsgsync_engine::{Journal, Options, Patience, Run, StopSignal, carry_out, observe};
use rsgsync_simulated::{Change, Simulated};
use serde_json::{Value, json};

use packets::{GROUPS, Packets, groups, name, of_rule, open, rules};
use scenario::{OUR_MARK, Scenario, scenario};

/// More runs than any scenario needs: each one is ended by at most one entry of the schedule, or has to wait for reads.
const RUNS: usize = 16;

fn network() -> NetworkName {
    NetworkName::new("sim").unwrap()
}

fn inventory() -> Inventory {
    let prod = ClusterName::new("prod").unwrap();
    let cluster = Cluster {
        name: prod.clone(),
        network: network(),
        external: false,
        profile: Catalog::shipped().find("downstream-node-pools", None).unwrap(),
        rancher_version: None,
        rancher: None,
        options: BTreeMap::new(),
        values: BTreeMap::new(),
        cidrs: BTreeMap::new(),
        egress: EgressMode::Open,
        groups: IndexMap::new(),
        rules: Vec::new(),
        waive: Vec::new(),
        narrow: Vec::new(),
        ignore: Vec::new(),
        peers: BTreeMap::new(),
    };
    let network = Network {
        name: network(),
        provider: "simulated",
        at: serde_json::Map::new(),
        quotas: BTreeMap::new(),
        nat: Vec::new(),
        links: BTreeMap::new(),
    };
    Inventory {
        owner: Owner::new("platform").unwrap(),
        trusted: Vec::new(),
        guards: Vec::new(),
        networks: [(network.name.clone(), network)].into(),
        clusters: [(prod, cluster)].into(),
    }
}

fn desired_rule(rule: &Value, atoms: &mut Atoms) -> DesiredRule {
    let protocol = Protocol::parse(rule["protocol"].as_str().unwrap()).unwrap();
    let port = |key: &str| rule[key].as_u64().map(|port| u16::try_from(port).unwrap());
    let traffic = match (port("from_port"), port("to_port")) {
        (Some(from), Some(to)) => Traffic::on_ports(protocol, PortRange::new(from, to).unwrap()),
        _ => Traffic::whole(protocol),
    };
    let peer = match rule["peer"]["cidr"].as_str() {
        Some(range) => RulePeer::Addresses(Cidr::parse(range).unwrap()),
        None => {
            let group = atoms.intern(rule["peer"]["security_group"].as_str().unwrap());
            RulePeer::Opaque(PeerKind::Group, group, Family::Ipv4)
        }
    };
    let cluster = ClusterName::new("prod").unwrap();
    let reason = Reason { cluster, profile: "chaos@1".into(), row: "row".into(), why: "because".into() };
    DesiredRule { rule: Rule { direction: Direction::Ingress, peer, traffic }, reasons: [reason].into() }
}

fn desired(scenario: &Scenario) -> DesiredNetwork {
    let mut atoms = Atoms::new();
    let groups = scenario.wanted.iter().map(|(name, wanted)| {
        let mut rules: Vec<DesiredRule> = wanted.iter().map(|rule| desired_rule(rule, &mut atoms)).collect();
        rules.sort_by_key(|rule| rule.rule);
        DesiredGroup {
            security_group: SecurityGroup::parse(name).unwrap(),
            atom: atoms.intern(name),
            members: vec![(ClusterName::new("prod").unwrap(), NodeGroupName::new(name).unwrap())],
            ownership: None,
            create: false,
            egress: EgressMode::Open,
            family: Family::Ipv4,
            rules,
            held: Vec::new(),
            ignored: Vec::new(),
            addresses: BTreeMap::new(),
        }
    });
    let groups = groups.collect();
    DesiredNetwork { atoms, groups, ..DesiredNetwork::default() }
}

fn wanted_packets(scenario: &Scenario) -> Packets {
    scenario.wanted.iter().flat_map(|(group, rules)| rules.iter().flat_map(|rule| of_rule(group, rule))).collect()
}

/// How a run ended.
#[derive(Debug)]
enum End {
    InSync,
    Done,
    Failed,
    NoRoom,
}

fn patient() -> Options {
    Options { concurrency: 8, patience: Patience { times: 8, ..Patience::default() } }
}

/// Observe and plan; how the run ends where there is nothing to carry out.
async fn planned(cloud: &Simulated, scenario: &Scenario) -> Result<Plan, End> {
    let inventory = inventory();
    let mut part = desired(scenario);
    let scope = Scope {
        owner: inventory.owner.clone(),
        clusters: inventory.clusters.keys().cloned().collect(),
        groups: GROUPS.map(|name| ScopeGroup { group: SecurityGroup::parse(name).unwrap(), ownership: None }).into(),
        marked: false,
        whole: false,
    };
    let (network, stop) = (network(), StopSignal::new());
    let observed = observe(&network, cloud, &scope, &mut part.atoms, patient().patience, &(), &stop).await;
    let Ok(observed) = observed else { return Err(End::Failed) };
    let input =
        NetworkInput { network: inventory.networks[&network].clone(), observed: Ok(observed), pack: cloud, calls: 1 };
    let desired = Desired { networks: [(network.clone(), part)].into(), ..Desired::default() };
    let (guards, options) = (GuardsInForce::default(), PlanOptions::default());
    let plan: Plan = match plan(&inventory, &Flows::default(), desired, vec![input], &guards, &options) {
        Ok(plan) => plan,
        Err(errors) if errors.iter().all(|error| matches!(error, PlanError::Quota { .. })) => return Err(End::NoRoom),
        Err(errors) => panic!("{errors:?}"),
    };
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    if plan.steps.is_empty() { Err(End::InSync) } else { Ok(plan) }
}

async fn carried(cloud: &Simulated, plan: &Plan) -> End {
    let run = Run {
        network: &network(),
        owner: &plan.owner,
        cloud,
        account: None,
        elsewhere: &Default::default(),
        atoms: &plan.networks[0].atoms,
        steps: &plan.steps,
        settle: Duration::ZERO,
    };
    let mut journal = Journal::in_memory(Value::Null);
    let outcome = carry_out(&[run], patient(), &mut journal, &(), &StopSignal::new()).await;
    if outcome.is_complete() { End::Done } else { End::Failed }
}

/// Observe, plan, carry out.
async fn run(cloud: &Simulated, scenario: &Scenario) -> End {
    match planned(cloud, scenario).await {
        Ok(plan) => carried(cloud, &plan).await,
        Err(end) => end,
    }
}

/// Checks every change of one run; `disturbed` are packets of rules that strangers took away while we weren't looking.
fn check(start: &Value, changes: &[Change], wanted: &Packets, disturbed: &mut Packets) {
    let mut before = start;
    let mut passed = open(start);
    for change in changes {
        let after = &change.state;
        let passes = open(after);
        if change.foreign {
            for group in groups(before) {
                let left: Vec<Packets> = groups(after)
                    .filter(|g| g["id"] == group["id"])
                    .flat_map(|g| rules(g).map(|rule| of_rule(name(group), rule)))
                    .collect();
                let all = rules(group).map(|rule| of_rule(name(group), rule));
                disturbed.extend(all.filter(|packets| !left.contains(packets)).flatten());
            }
        } else {
            let call = change.call;
            for cut in passed.difference(&passes) {
                let required = wanted.contains(cut) || !cut.ingress;
                assert!(!required || disturbed.contains(cut), "call {call} cuts {cut:?}");
            }
            for opened in passes.difference(&passed) {
                assert!(wanted.contains(opened) || !opened.ingress, "call {call} opens {opened:?}");
            }
            untouched(before, after, call);
        }
        before = after;
        passed = passes;
    }
}

fn is_ours(group: &Value) -> bool {
    ["made", "adopted"].map(|origin| json!(origin)).contains(&group["tags"][OUR_MARK])
}

fn without_our_mark(tags: &Value) -> Value {
    let mut tags = tags.clone();
    tags.as_object_mut().unwrap().remove(OUR_MARK);
    tags
}

/// What isn't ours is the same, byte for byte, but for our mark beside those of others.
fn untouched(before: &Value, after: &Value, call: u64) {
    // Of a rule that both of us need, either may say what it is for.
    let joint =
        |rule: &&Value| rule["tags"].as_object().is_some_and(|tags| tags.len() > 1 && tags.contains_key(OUR_MARK));
    let joint: Vec<&Value> = groups(before).flat_map(rules).filter(joint).map(|rule| &rule["id"]).collect();
    let foreign_part = |group: &Value| {
        let mut group = group.clone();
        group["tags"] = without_our_mark(&group["tags"]);
        let rules = group["rules"].as_array_mut().unwrap();
        rules.retain(|rule| {
            let tags = rule["tags"].as_object().unwrap();
            tags.is_empty() || tags.keys().any(|key| key != OUR_MARK)
        });
        for rule in rules {
            rule["tags"] = without_our_mark(&rule["tags"]);
            if joint.contains(&&rule["id"]) {
                rule["description"] = Value::Null;
            }
        }
        group
    };
    for group in groups(before).filter(|group| !is_ours(group)) {
        let now =
            groups(after).find(|g| g["id"] == group["id"]).unwrap_or_else(|| panic!("call {call} deletes {group}"));
        if name(group) == "other" {
            assert_eq!(now, group, "call {call} writes into a group that the inventory doesn't name");
        }
        assert_eq!(foreign_part(now), foreign_part(group), "call {call} touches what isn't ours");
    }
}

/// When nothing is left to do, everything wanted passes, and what is ours lets nothing else in.
fn converged(state: &Value, wanted: &Packets) {
    let passes = open(state);
    let missing: Vec<_> = wanted.difference(&passes).collect();
    assert!(missing.is_empty(), "in sync, but {missing:?} doesn't pass");
    for group in groups(state) {
        let ours = rules(group).filter(|rule| {
            let only_mine = rule["tags"].as_object().unwrap().keys().eq([OUR_MARK]);
            rule["direction"] == "ingress" && (is_ours(group) || only_mine)
        });
        for packet in ours.flat_map(|rule| of_rule(name(group), rule)) {
            assert!(wanted.contains(&packet), "in sync, but {packet:?} passes");
        }
    }
}

/// Runs until nothing is left to do, or no plan has room.
async fn play(scenario: &Scenario) -> (End, usize) {
    let wanted = wanted_packets(scenario);
    let mut state = scenario.state.clone();
    let mut disturbed = Packets::new();
    for runs in 1..=RUNS {
        let mut cloud = Simulated::in_memory(state.to_string().as_bytes(), network()).unwrap();
        let killed = StopSignal::new();
        cloud.on_kill(killed.clone());
        cloud.note_changes();
        let start = cloud.state();
        let end = tokio::select! {
            biased;
            () = killed.cancelled() => End::Failed,
            end = run(&cloud, scenario) => end,
        };
        check(&start, &cloud.changes(), &wanted, &mut disturbed);
        state = cloud.state();
        // What a lagging read calls in sync may not be, nor what a stranger wrote into after it was read.
        let stale = start.get("earlier").is_some() || !cloud.changes().is_empty();
        match end {
            End::InSync if !stale => {
                converged(&state, &wanted);
                return (End::InSync, runs);
            }
            End::NoRoom if !stale => return (End::NoRoom, runs),
            End::InSync | End::NoRoom | End::Done | End::Failed => {}
        }
    }
    panic!("not in sync after {RUNS} runs: {state:#}");
}

/// Plays every scenario of some seeds: 1 to `seeds`, or as many as `RSGSYNC_CASES` says, or `RSGSYNC_SEED` alone. Gives how
/// many were played.
fn each(seeds: u64, mut play: impl FnMut(Scenario, &tokio::runtime::Runtime)) -> u64 {
    let seeds = match number("RSGSYNC_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("RSGSYNC_CASES").unwrap_or(seeds),
    };
    let (mut played, mut failed) = (0, Vec::new());
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let one = std::panic::AssertUnwindSafe(|| play(scenario(seed), &runtime));
        played += 1;
        if std::panic::catch_unwind(one).is_err() {
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "seeds {failed:?} of {played}: set RSGSYNC_SEED to one of them");
    played
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[test]
fn whatever_goes_wrong_a_few_runs_bring_it_about_and_break_nothing() {
    let mut in_sync = 0;
    let played = each(60, |scenario, runtime| {
        let (end, _) = runtime.block_on(play(&scenario));
        in_sync += u64::from(matches!(end, End::InSync));
    });
    assert!(played < 20 || in_sync * 2 > played, "most scenarios have room for a plan: {in_sync} of {played}");
}

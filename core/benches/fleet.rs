//! Diff, plan and proof of a fleet on one core: `cargo bench -p rsgsync-core --bench fleet [RULES …]`.
//!
//! Groups of 100 rules each; what is observed equals what is desired, or differs in one rule of a hundred, or is empty. Prints
//! seconds (by the clock, and on a core), peak memory and allocations a rule, and how each grows against the smallest fleet of the same run.

#![allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock and at this process")]
#![allow(clippy::panic, reason = "a benchmark of something broken means nothing")]

#[path = "support/process.rs"]
mod process;

use std::alloc::System;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use process::{on_core, peak_mib};
use rsgsync_core::desired::{Desired, DesiredGroup, DesiredNetwork, DesiredRule};
use rsgsync_core::flow::{Flows, Reason};
use rsgsync_core::guard::GuardsInForce;
use rsgsync_core::inventory::{EgressMode, Inventory, Network, SecurityGroup};
use rsgsync_core::name::{ClusterName, GroupId, GroupMark, GroupName, Mark, NetworkName, NodeGroupName, Origin, Owner};
use rsgsync_core::observed::{Observed, ObservedGroup, ObservedRule};
use rsgsync_core::pack::{Call, Dialect, GroupChanges, Pack, QuotaCount, Site, one_call_a_direction};
use rsgsync_core::plan::{NetworkInput, PlanOptions, plan};
use rsgsync_core::rule::{Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::{PortRange, Traffic};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RULES_A_GROUP: usize = 100;

struct Aws(Dialect);

impl Pack for Aws {
    fn dialect(&self) -> &Dialect {
        &self.0
    }

    fn pack(&self, changes: &GroupChanges, _: &Site<'_>) -> Vec<Call> {
        one_call_a_direction(changes, &self.0)
    }
}

fn name<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.expect("a legal name")
}

/// The `i`th rule of a group: ports far apart, from one of ten groups or ten ranges.
fn rule(atoms: &mut Atoms, groups: usize, group: usize, i: usize) -> Rule {
    let port = u16::try_from(1000 + 3 * i).expect("a port");
    let peer = if i.is_multiple_of(2) {
        let other = (group + i / 20) % groups;
        RulePeer::Opaque(PeerKind::Group, atoms.intern(&format!("sg-{other:08x}")), Family::Both)
    } else {
        RulePeer::Addresses(Cidr::parse(&format!("10.{}.0.0/16", i % 20)).expect("a range"))
    };
    Rule { direction: Direction::Ingress, peer, traffic: Traffic::tcp(PortRange::single(port)) }
}

#[derive(Clone, Copy)]
enum Case {
    Same,
    OnePercent,
    Empty,
}

fn fleet(rules: usize, case: Case) -> (Desired, Observed) {
    let groups = (rules / RULES_A_GROUP).max(1);
    let mut atoms = Atoms::new();
    let open = rsgsync_core::diff::open_outbound(Family::Ipv4)[0];
    let cluster = name(ClusterName::new("fleet"));
    let reason =
        Reason { cluster: cluster.clone(), profile: "bench".into(), row: "row".into(), why: "measured".into() };
    let mark =
        GroupMark { mark: Mark { owner: name(Owner::new("bench")), cluster: cluster.clone() }, origin: Origin::Made };
    let (mut desired, mut observed) = (Vec::with_capacity(groups), Vec::with_capacity(groups));
    for g in 0..groups {
        let text = format!("sg-{g:08x}");
        let atom = atoms.intern(&text);
        let mut wanted: Vec<DesiredRule> = (0..RULES_A_GROUP)
            .map(|i| DesiredRule { rule: rule(&mut atoms, groups, g, i), reasons: [reason.clone()].into() })
            .collect();
        wanted.sort_by_key(|r| r.rule);
        let there = |rule: Rule| ObservedRule { description: "measured".into(), ..ObservedRule::plain(rule) };
        let mut rules: Vec<ObservedRule> = wanted.iter().map(|r| there(r.rule)).chain([there(open)]).collect();
        if matches!(case, Case::OnePercent) {
            rules[g % RULES_A_GROUP].rule.traffic = Traffic::tcp(PortRange::single(9));
        }
        desired.push(DesiredGroup {
            security_group: name(SecurityGroup::parse(&text)),
            atom,
            members: vec![(cluster.clone(), name(NodeGroupName::new(&format!("g{g}"))))],
            ownership: None,
            create: false,
            egress: EgressMode::Open,
            family: Family::Ipv4,
            rules: wanted,
            held: Vec::new(),
            ignored: Vec::new(),
            addresses: BTreeMap::new(),
        });
        if !matches!(case, Case::Empty) {
            observed.push(ObservedGroup {
                atom,
                id: name(GroupId::new(&text)),
                name: name(GroupName::new(&format!("fleet-g{g}"))),
                description: String::new(),
                marks: vec![mark.clone()],
                revision: None,
                rules,
                resources: Vec::new(),
            });
        }
    }
    if matches!(case, Case::Empty) {
        // Groups that are to be made are named, not given by id.
        for (g, group) in desired.iter_mut().enumerate() {
            group.security_group = name(SecurityGroup::parse(&format!("fleet-g{g}")));
        }
    }
    let network = name(NetworkName::new("eu"));
    let part = DesiredNetwork { atoms, groups: desired, ..DesiredNetwork::default() };
    let desired = Desired { networks: [(network, part)].into(), ..Desired::default() };
    (desired, Observed { groups: observed, ..Observed::default() })
}

struct Measured {
    seconds: f64,
    on_core: f64,
    allocations: f64,
    peak_mib: f64,
    steps: usize,
}

fn measure(rules: usize, case: Case, pack: &Aws) -> Measured {
    let (desired, observed) = fleet(rules, case);
    let owner = name(Owner::new("bench"));
    let network = Network {
        name: name(NetworkName::new("eu")),
        provider: "bench",
        at: serde_json::Map::new(),
        quotas: BTreeMap::new(),
        nat: Vec::new(),
        links: BTreeMap::new(),
    };
    let inventory = Inventory {
        owner,
        trusted: Vec::new(),
        guards: Vec::new(),
        networks: [(network.name.clone(), network.clone())].into_iter().collect(),
        clusters: indexmap::IndexMap::new(),
    };
    let inputs = vec![NetworkInput { network, observed: Ok(observed), pack, calls: 1 }];
    let (flows, options) = (Flows::default(), PlanOptions::default());
    let guards = GuardsInForce::of(&desired, &inventory, jiff::civil::date(2030, 1, 1));
    let region = Region::new(ALLOCATOR);
    let (before, core_before) = (Instant::now(), on_core());
    let plan = plan(&inventory, &flows, desired, inputs, &guards, &options).unwrap_or_else(|e| panic!("{e:?}"));
    let (seconds, core) = (before.elapsed().as_secs_f64(), on_core() - core_before);
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    let change = region.change();
    let measured = Measured {
        seconds,
        on_core: core,
        allocations: change.allocations as f64 / rules as f64,
        peak_mib: peak_mib(),
        steps: plan.steps.len(),
    };
    black_box(plan);
    measured
}

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![10_000, 100_000, 1_000_000] } else { asked };
    let any = |cidr| Rule { direction: Direction::Egress, peer: RulePeer::Addresses(cidr), traffic: Traffic::ALL };
    let aws = Aws(Dialect {
        references_match_both: true,
        default_rules: vec![any(Cidr::ANY_V4)],
        description_alphabet: Some(" ._-:/()#,@[]+=&;{}!$*"),
        description_length: 255,
        marks_in_description: false,
        quota: QuotaCount::ByDirectionAndFamily,
        delete_cascades: false,
        updates_descriptions: true,
        groups_are_implicit: false,
    });
    println!(
        "{:<12} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>10}",
        "case", "rules", "seconds", "on a core", "growth", "steps", "allocs", "peak MiB"
    );
    for (title, case) in [("no-op", Case::Same), ("1 % changed", Case::OnePercent), ("from empty", Case::Empty)] {
        let mut first: Option<f64> = None;
        for &rules in &sizes {
            let m = measure(rules, case, &aws);
            let per_rule = if m.on_core > 0.0 { m.on_core } else { m.seconds } / rules as f64;
            let growth = per_rule / *first.get_or_insert(per_rule);
            println!(
                "{title:<12} {rules:>9} {:>9.3} {:>9.3} {growth:>8.2}x {:>8} {:>8.1} {:>10.0}",
                m.seconds, m.on_core, m.steps, m.allocations, m.peak_mib
            );
        }
    }
    println!("growth: seconds on a core a rule, against the smallest fleet of this run; allocs: allocations a rule");
}

//! A fleet's whole life on the simulated cloud: `cargo bench --no-default-features --bench scale [CLUSTERS …]`.
//!
//! The inventory is text, each network an account and region with at most AWS's 2,500 groups, whose calls take
//! [`LATENCY_MS`] and tokens of AWS's published buckets. The clouds' time is virtual: `cloud` is what a clock on the wall would
//! show if rsgsync itself took none, `core` the seconds on a core that it does take (the simulated clouds' work included).

#![allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock and at this process")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark of something broken means nothing")]

#[path = "../core/benches/support/process.rs"]
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use process::{on_core, peak_mib};
use rsgsync_core::desired::desired;
use rsgsync_core::flow::flows;
use rsgsync_core::guard::GuardsInForce;
use rsgsync_core::inventory::{Source, parse};
use rsgsync_core::link::scope;
use rsgsync_core::name::NetworkName;
use rsgsync_core::plan::{NetworkInput, Plan, PlanOptions, Step, plan};
use rsgsync_core::profile::Catalog;
use rsgsync_engine::{Cloud, Journal, Options, Patience, Progress, Run, StopSignal, carry_out};
use rsgsync_simulated::{Answer, Simulated};
use tokio::time::Instant;

/// Clusters of four groups each, in one network.
const CLUSTERS_A_NETWORK: usize = 625;
/// How long a call takes. Source: an assumption; a write to EC2 takes 100 to 300 ms.
const LATENCY_MS: u64 = 200;
/// What a bucket of writes holds, and gets back a second. Source: "Request throttling for the Amazon EC2 API".
const BUCKET: (f64, f64) = (50.0, 5.0);

const HEAD: &str = "version: 1\nowner: bench\ntrusted: [192.0.2.0/24]\npeers:\n  kube-api-clients: { cidrs: [203.0.113.0/24] }\n  \
                    workload-clients: { cidrs: [203.0.113.0/24, 198.51.100.0/24] }\n  \
                    rancher-clients: { cidrs: [203.0.113.0/24] }\n  office: { cidrs: [192.0.2.0/24] }\nnetworks:\n";

/// `changed`: one cluster of a hundred wants another rule.
fn inventory(clusters: usize, changed: bool) -> String {
    let mut text = HEAD.to_owned();
    for network in 0..clusters.div_ceil(CLUSTERS_A_NETWORK) {
        writeln!(text, "  n{network}: {{ simulated: {{ quotas: {{ rules_per_group: 100 }} }} }}").unwrap();
    }
    text.push_str("clusters:\n");
    for c in 0..clusters {
        let network = c / CLUSTERS_A_NETWORK;
        write!(
            text,
            "  c{c}:\n    network: n{network}\n    profile: downstream-custom-nodes\n    rancher_version: \"2.4\"\n    options: {{ \
             cni: canal, rancher_external_lb: false, nodeport_services: true, ingress: true, authorized_cluster_endpoint: true \
             }}\n    groups:\n      etcd: {{ roles: [etcd] }}\n      control: {{ roles: [controlplane] }}\n      workers: {{ \
             roles: [worker] }}\n      edge: {{ roles: [worker] }}\n"
        )
        .unwrap();
        if changed && c % 100 == 0 {
            text.push_str("    rules:\n      - { from: office, to: workers, allow: [9443/tcp], why: office }\n");
        }
    }
    text
}

struct Silent;

impl Progress for Silent {}

struct Clouds(BTreeMap<NetworkName, Simulated>);

impl Clouds {
    fn calls(&self) -> usize {
        self.0.values().map(|cloud| cloud.log().len()).sum()
    }

    fn throttled(&self) -> usize {
        let of = |cloud: &Simulated| cloud.log().iter().filter(|call| matches!(call.answer, Answer::Struck(_))).count();
        self.0.values().map(of).sum()
    }

    /// The seconds that the buckets of writes need for the calls of the fullest kind in one network, at the least.
    fn bound(&self, from: &BTreeMap<NetworkName, usize>) -> f64 {
        let of = |(name, cloud): (&NetworkName, &Simulated)| {
            let mut kinds: BTreeMap<_, usize> = BTreeMap::new();
            let done = |call: &&rsgsync_simulated::CallRecord| call.answer == Answer::Done && !call.kind.is_read();
            for call in cloud.log()[from.get(name).copied().unwrap_or(0)..].iter().filter(done) {
                *kinds.entry(call.kind).or_default() += 1;
            }
            kinds.into_values().max().map_or(0.0, |calls| ((calls as f64 - BUCKET.0) / BUCKET.1).max(0.0))
        };
        self.0.iter().map(of).fold(0.0, f64::max)
    }

    fn marks(&self) -> BTreeMap<NetworkName, usize> {
        self.0.iter().map(|(name, cloud)| (name.clone(), cloud.log().len())).collect()
    }
}

/// Reads, plans, proves; applies where that is wanted.
async fn run(text: &str, clouds: &Clouds, apply: bool) -> Plan {
    let today = jiff::civil::date(2030, 1, 1);
    let source = Source { path: "fleet.yaml".into(), folder: PathBuf::new(), bytes: text.as_bytes().to_vec() };
    let nothing = |_: &Path| Err("no file".to_owned());
    let parsed = parse(&[source], &Catalog::shipped(), &[rsgsync_simulated::SPEC], today, &nothing).unwrap();
    let inventory = parsed.inventory;
    let flows = flows(&inventory, today);
    let mut desired = desired(&inventory, &flows);
    let guards = GuardsInForce::of(&desired, &inventory, today);
    let written = inventory.written();
    let scopes: BTreeMap<NetworkName, _> = (desired.networks.keys())
        .map(|name| (name.clone(), scope(&desired, name, &inventory.owner, &written)))
        .collect();
    let (scopes, clouds, inventory) = (&scopes, clouds, &inventory);
    let (patience, stop) = (Patience::default(), &StopSignal::new());
    let reads = desired.networks.iter_mut().map(|(name, part)| async move {
        let cloud = &clouds.0[name];
        let observed = rsgsync_engine::observe(name, cloud, &scopes[name], &mut part.atoms, patience, &Silent, stop)
            .await
            .unwrap();
        let network = inventory.networks[name].clone();
        NetworkInput { network, observed: Ok(observed), pack: cloud, calls: 1 }
    });
    let inputs = futures_util::future::join_all(reads).await;
    let plan = plan(inventory, &flows, desired, inputs, &guards, &PlanOptions::default()).unwrap();
    assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
    if apply {
        let mut steps: BTreeMap<&NetworkName, Vec<Step>> = BTreeMap::new();
        for step in &plan.steps {
            steps.entry(&step.network).or_default().push(step.clone());
        }
        let runs = plan.networks.iter().filter_map(|network| {
            let name = &network.network.name;
            Some(Run {
                network: name,
                owner: &plan.owner,
                cloud: &clouds.0[name] as &dyn Cloud,
                account: None,
                atoms: &network.atoms,
                elsewhere: &network.elsewhere,
                steps: steps.get(name)?,
                settle: Duration::ZERO,
            })
        });
        let runs: Vec<Run<'_>> = runs.collect();
        let outcome =
            carry_out(&runs, Options::default(), &mut Journal::in_memory(serde_json::Value::Null), &Silent, stop).await;
        assert!(
            outcome.is_complete(),
            "{} failed, {} skipped: {:?}",
            outcome.failed.len(),
            outcome.skipped.len(),
            outcome.failed.first()
        );
    }
    plan
}

async fn life(clusters: usize) {
    let state = format!(
        r#"{{"version":1,"quota":{{"rules_per_group":100,"groups":2500}},"faults":{{"throttle":{{}}}},"latency_ms":{LATENCY_MS}}}"#
    );
    let names: BTreeSet<_> =
        (0..clusters.div_ceil(CLUSTERS_A_NETWORK)).map(|n| NetworkName::new(&format!("n{n}")).unwrap()).collect();
    let open = |name: NetworkName| (name.clone(), Simulated::in_memory(state.as_bytes(), name).unwrap());
    let clouds = Clouds(names.into_iter().map(open).collect());
    let (made, changed) = (inventory(clusters, false), inventory(clusters, true));
    let groups = clusters * 4;
    for (case, text, apply) in [
        ("plan from empty", &made, false),
        ("apply", &made, true),
        ("plan, nothing to do", &made, false),
        ("apply 1 % changed", &changed, true),
    ] {
        let (began, core, calls, throttled, marks) =
            (Instant::now(), on_core(), clouds.calls(), clouds.throttled(), clouds.marks());
        let plan = run(text, &clouds, apply).await;
        let (cloud, core) = (began.elapsed().as_secs_f64(), on_core() - core);
        let (calls, throttled, bound) = (clouds.calls() - calls, clouds.throttled() - throttled, clouds.bound(&marks));
        let rules: usize = plan.networks.iter().flat_map(|n| &n.groups).map(|g| g.rules_after).sum();
        let each = core * 1000.0 / groups as f64;
        println!(
            "{case:<20} {groups:>7} {rules:>8} {:>7} {calls:>8} {throttled:>9} {cloud:>9.1} {bound:>9.1} {core:>9.3} {each:>9.3} {:>9.0}",
            plan.steps.len(),
            peak_mib()
        );
    }
}

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![1, 10, 100, 1_000, 10_000] } else { asked };
    println!(
        "{:<20} {:>7} {:>8} {:>7} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "case",
        "groups",
        "rules",
        "steps",
        "calls",
        "throttled",
        "cloud s",
        "bound s",
        "core s",
        "ms/group",
        "peak MiB"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    for clusters in sizes {
        runtime.block_on(life(clusters));
    }
    println!(
        "cloud: virtual seconds of waiting for the clouds; bound: seconds that the token buckets need for as many writes, at the least"
    );
    println!("ms/group: core time for each group; the fixed part shows where there are few");
}

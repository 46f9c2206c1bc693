//! Inventory → flows → desired → observed → plan: the one path that plan, drift, apply and destroy take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::civil::Date;
use rsgsync_core::desired::{Desired, desired};
use rsgsync_core::document::Saved;
use rsgsync_core::flow::{Flows, flows};
use rsgsync_core::guard::{Allowed, GuardsInForce, Verdict, judge, withdraw};
use rsgsync_core::inventory::{Inventory, Network, Ownership, suggestion};
use rsgsync_core::link::scope;
use rsgsync_core::name::{ClusterName, NetworkName};
use rsgsync_core::observed::{Observed, Scope};
use rsgsync_core::plan::{
    Begun, Destruction, NetworkInput, Plan, PlanOptions, again, all_of, destroy, plan, rollback, rollback_scopes,
    split_flows,
};
use rsgsync_core::rule::{Atoms, Cidr, RulePeer};
use rsgsync_engine::{Cloud, CloudError, ErrorKind, Patience, StopSignal};

use crate::args::{Changes, Selection};
use crate::clouds;
use crate::failure::Failure;
use crate::progress::Screen;

/// What an inventory asks for, worked out offline.
pub struct Wish {
    /// The inventory.
    pub inventory: Inventory,
    /// What profiles ask of it.
    pub flows: Flows,
    /// What every group should have.
    pub desired: Desired,
    /// What must not be open to public addresses, group by group.
    pub guards: GuardsInForce,
    /// Desired rules that a guard forbids, and what it warns of.
    pub verdict: Verdict,
}

/// Works out what an inventory asks for.
pub fn wish(inventory: Inventory, today: Date) -> Wish {
    let flows = flows(&inventory, today);
    let mut desired = desired(&inventory, &flows);
    let verdict = judge(&desired, &inventory, today);
    withdraw(&mut desired, &verdict.expired);
    let guards = GuardsInForce::of(&desired, &inventory, today);
    Wish { inventory, flows, desired, guards, verdict }
}

impl Wish {
    /// Refuses what a guard forbids.
    pub fn refuse_guarded(&self) -> Result<(), Failure> {
        if self.verdict.refused.is_empty() {
            return Ok(());
        }
        let message = self.verdict.refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n       ");
        let help = "narrow the peers, add a range that is yours to `trusted`, or set the guard aside by name and with a \
                    reason under the cluster's `waive`";
        Err(Failure::new(message, help))
    }

    /// What the guards allow, and why; what they withdrew.
    pub fn notes(&self) -> Vec<String> {
        let allowed = self.verdict.allowed.iter().map(|(breach, allowed)| {
            let RulePeer::Addresses(from) = breach.rule.peer else { return String::new() };
            let rule =
                format!("{} is open to {from} on `{}` (guard {})", breach.traffic, breach.security_group, breach.guard);
            match allowed {
                Allowed::Waiver(why) => format!("{rule}: waived, {why}"),
                Allowed::Row(reason) if from == Cidr::ANY_V4 || from == Cidr::ANY_V6 => {
                    format!(
                        "{rule}: {}/{} says so; `narrow` the row to close it to the world",
                        reason.profile, reason.row
                    )
                }
                Allowed::Row(reason) => {
                    format!("{rule}: {} allows more; is the range yours, add it to `trusted`", reason.profile)
                }
            }
        });
        let expired = self
            .verdict
            .expired
            .iter()
            .map(|breach| format!("{breach}: the waiver has expired, the rule is withdrawn"));
        allowed.chain(expired).collect()
    }

    /// Refuses names that `--cluster` gives and the inventory doesn't have.
    pub fn clusters(&self, names: &[String]) -> Result<Option<BTreeSet<ClusterName>>, Failure> {
        if names.is_empty() {
            return Ok(None);
        }
        let known = || self.inventory.clusters.keys();
        let find = |name: &String| {
            let found = known().find(|k| k.as_str() == name).cloned();
            found.ok_or_else(|| {
                let near = suggestion(name, known().map(ClusterName::as_str)).filter(|text| text.ends_with('?'));
                let near = near.map(|text| format!("{text} ")).unwrap_or_default();
                let all = known().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let help = format!("{near}the inventory has {all}");
                Failure::new(format!("--cluster: there is no cluster `{name}`"), help)
            })
        };
        names.iter().map(find).collect::<Result<BTreeSet<_>, _>>().map(Some)
    }
}

/// A network's cloud, opened.
pub struct Opened {
    /// The inventory's network.
    pub network: Network,
    /// Its cloud.
    pub cloud: Box<dyn Cloud>,
}

/// Opens the clouds of networks that have groups of the shard, or that groups of others refer to, where orphans are pruned
/// of all networks; without clusters all networks may have orphans. Makes no call.
pub fn open(wish: &Wish, options: &PlanOptions) -> Result<Vec<Opened>, Failure> {
    let referred: BTreeSet<&NetworkName> =
        wish.desired.networks.values().flat_map(|d| d.elsewhere.values()).map(|e| &e.network).collect();
    let in_shard = |network: &NetworkName| {
        let groups = wish.desired.networks.get(network).into_iter().flat_map(|n| &n.groups);
        groups.into_iter().any(|g| options.shard.is_none_or(|shard| shard.has(network, g.security_group.as_str())))
    };
    let all_of_them = options.prune || wish.inventory.clusters.is_empty();
    let used = |n: &&Network| all_of_them || in_shard(&n.name) || referred.contains(&n.name);
    let opened = wish
        .inventory
        .networks
        .values()
        .filter(used)
        .map(|network| clouds::open(network).map(|cloud| Opened { network: network.clone(), cloud }));
    all(opened)
}

/// Opens the clouds of a saved plan's networks in which something was begun; makes no call.
pub fn open_saved(saved: &Saved, begun: &Begun) -> Result<Vec<Opened>, Failure> {
    let scopes = rollback_scopes(saved, begun);
    let used = saved.document.networks.iter().filter(|n| scopes.contains_key(&n.name));
    let opened = used.map(|entry| {
        let network = clouds::network(entry)?;
        clouds::open(&network).map(|cloud| Opened { network, cloud })
    });
    all(opened)
}

/// Opens the clouds of these networks; makes no call, and an error is that network's own.
pub fn open_named<'a>(
    wish: &Wish,
    names: impl Iterator<Item = &'a NetworkName>,
) -> BTreeMap<NetworkName, Result<Opened, CloudError>> {
    let networks = names.filter_map(|name| wish.inventory.networks.get(name));
    let opened = networks.map(|network| {
        let cloud = clouds::open(network).map(|cloud| Opened { network: network.clone(), cloud });
        (network.name.clone(), cloud)
    });
    opened.collect()
}

fn all(opened: impl Iterator<Item = Result<Opened, CloudError>>) -> Result<Vec<Opened>, Failure> {
    let (mut ok, mut errors) = (Vec::new(), Vec::new());
    for one in opened {
        match one {
            Ok(opened) => ok.push(opened),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(ok) } else { Err(Failure::Cloud(errors)) }
}

/// What was read of the networks, side by side; an error is that network's own.
pub struct Readings {
    observed: Vec<Result<Observed, CloudError>>,
    calls: Vec<u64>,
    desired: Desired,
}

impl Readings {
    /// Errors of networks that could not be read.
    pub fn errors(&self) -> Vec<CloudError> {
        self.observed.iter().filter_map(|o| o.as_ref().err().cloned()).collect()
    }
}

/// Reads every opened network; `with_marks` reads the marks of all rules, which `destroy` needs.
pub async fn observe(wish: &Wish, opened: &[Opened], with_marks: bool, screen: &Screen) -> Readings {
    observe_within(wish, opened, with_marks, screen, None).await
}

/// The same, giving up on a network that takes longer than this.
pub async fn observe_within(
    wish: &Wish,
    opened: &[Opened],
    with_marks: bool,
    screen: &Screen,
    most: Option<Duration>,
) -> Readings {
    let mut desired = wish.desired.clone();
    let mut parts: Vec<_> =
        opened.iter().map(|o| desired.networks.remove(&o.network.name).unwrap_or_default()).collect();
    let owner = &wish.inventory.owner;
    let clusters = &wish.inventory.written();
    let reads = opened.iter().zip(&mut parts).map(|(opened, part)| async move {
        let mut scope = scope(&wish.desired, &opened.network.name, owner, clusters);
        if with_marks {
            scope.groups.iter_mut().for_each(|g| g.ownership = Some(Ownership::Shared));
        }
        let before: u64 = opened.cloud.calls().values().sum();
        let reading = screen.reading(&opened.network.name);
        let (name, cloud, stop) = (&opened.network.name, opened.cloud.as_ref(), StopSignal::new());
        let observed =
            rsgsync_engine::observe(name, cloud, &scope, &mut part.atoms, Patience::default(), screen, &stop);
        let observed = match most {
            None => observed.await,
            Some(most) => tokio::time::timeout(most, observed).await.unwrap_or_else(|_| Err(too_slow(name, most))),
        };
        drop(reading);
        let after: u64 = opened.cloud.calls().values().sum();
        (observed, after - before)
    });
    let (observed, calls) = join_all(reads).await.into_iter().unzip();
    desired.networks.extend(opened.iter().map(|o| o.network.name.clone()).zip(parts));
    Readings { observed, calls, desired }
}

/// What a question needs of each network, read side by side; an error is that network's own.
pub async fn read_for<'a>(
    scopes: &BTreeMap<NetworkName, Scope>,
    opened: &'a BTreeMap<NetworkName, Result<Opened, CloudError>>,
    screen: &Screen,
) -> BTreeMap<NetworkName, (Atoms, Result<(Observed, &'a dyn Cloud), CloudError>)> {
    let reads = opened.iter().filter_map(|(name, opened)| Some((name, opened, scopes.get(name)?)));
    let reads = reads.map(|(name, opened, scope)| async move {
        let (mut atoms, stop) = (Atoms::new(), StopSignal::new());
        let cloud = match opened {
            Ok(opened) => opened.cloud.as_ref(),
            Err(error) => return (name.clone(), (atoms, Err(error.clone()))),
        };
        let reading = screen.reading(name);
        let patience = Patience::default();
        let observed = rsgsync_engine::observe(name, cloud, scope, &mut atoms, patience, screen, &stop).await;
        drop(reading);
        (name.clone(), (atoms, observed.map(|observed| (observed, cloud))))
    });
    join_all(reads).await.into_iter().collect()
}

/// A network that did not answer in time.
pub fn too_slow(network: &NetworkName, most: Duration) -> CloudError {
    CloudError {
        kind: ErrorKind::Transient,
        doing: format!("reading network `{network}`"),
        message: format!("not done after {} s", most.as_secs()),
        request_id: None,
        help: Some("check that the endpoint answers, or give it more time with --timeout".to_owned()),
    }
}

/// What a run's plan and the guards in force say about rolling it back.
pub struct Backwards<'a> {
    /// The run's plan, with the observation that it was made from.
    pub saved: &'a Saved,
    /// What the run has begun.
    pub begun: &'a Begun,
    /// What must not come back to public addresses.
    pub guards: &'a GuardsInForce,
}

/// Reads all that the run's plan speaks of, and plans the way back.
pub async fn make_rollback(back: &Backwards<'_>, opened: &[Opened], screen: &Screen) -> Result<Plan, Failure> {
    let inputs = read_saved(back.saved, back.begun, opened, screen).await?;
    Ok(rollback(back.saved, back.begun, inputs, back.guards)?)
}

/// Reads all that a saved plan speaks of, and makes it again; without steps when all of it is carried out already.
pub async fn make_again(
    saved: &Saved,
    opened: &[Opened],
    max_removals: Option<usize>,
    screen: &Screen,
) -> Result<Plan, Failure> {
    let inputs = read_saved(saved, &all_of(saved), opened, screen).await?;
    Ok(again(saved, inputs, max_removals)?)
}

/// Reads the groups of a saved plan in which something was begun, and those that their rules name; errors where one
/// network can't be read, since a part would say nothing of the whole.
async fn read_saved<'a>(
    saved: &Saved,
    begun: &Begun,
    opened: &'a [Opened],
    screen: &Screen,
) -> Result<Vec<(NetworkInput<'a>, Atoms)>, Failure> {
    let scopes = rollback_scopes(saved, begun);
    let reads =
        opened.iter().filter_map(|o| Some((o, scopes.get(&o.network.name)?))).map(|(opened, scope)| async move {
            let (before, mut atoms) = (opened.cloud.calls().values().sum::<u64>(), Atoms::new());
            let reading = screen.reading(&opened.network.name);
            let (name, cloud) = (&opened.network.name, opened.cloud.as_ref());
            let (patience, stop) = (Patience::default(), StopSignal::new());
            let observed = rsgsync_engine::observe(name, cloud, scope, &mut atoms, patience, screen, &stop).await;
            drop(reading);
            let calls = opened.cloud.calls().values().sum::<u64>() - before;
            observed.map(|observed| {
                let network = opened.network.clone();
                (NetworkInput { network, observed: Ok(observed), pack: opened.cloud.as_ref(), calls }, atoms)
            })
        });
    let (mut inputs, mut errors) = (Vec::new(), Vec::new());
    for read in join_all(reads).await {
        match read {
            Ok(input) => inputs.push(input),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(inputs) } else { Err(Failure::Cloud(errors)) }
}

fn inputs<'a>(
    opened: &'a [Opened],
    observed: Vec<Result<Observed, CloudError>>,
    calls: Vec<u64>,
) -> Vec<NetworkInput<'a>> {
    let inputs = opened.iter().zip(observed).zip(calls).map(|((opened, observed), calls)| NetworkInput {
        network: opened.network.clone(),
        observed: observed.map_err(|error| error.to_string()),
        pack: opened.cloud.as_ref(),
        calls,
    });
    inputs.collect()
}

/// Makes the plan from what was read.
pub fn make_plan(wish: &Wish, opened: &[Opened], readings: Readings, options: &PlanOptions) -> Result<Plan, Failure> {
    let Readings { observed, calls, desired } = readings;
    let inputs = inputs(opened, observed, calls);
    let mut plan = plan(&wish.inventory, &wish.flows, desired, inputs, &wish.guards, options)?;
    plan.notes.extend(wish.notes());
    Ok(plan)
}

/// Reads the quotas of networks where that is a call of its own and the plan makes groups or adds rules; errors where they
/// have no room. Where they can't be read, the plan says so: the cloud itself looks at them.
pub async fn with_quotas(mut plan: Plan, opened: &[Opened], screen: &Screen) -> Result<Plan, Failure> {
    let growing = plan.growing();
    let reads = opened.iter().filter(|o| growing.contains(&o.network.name)).map(|opened| async move {
        let before: u64 = opened.cloud.calls().values().sum();
        let reading = screen.reading(&opened.network.name);
        let (name, cloud, stop) = (&opened.network.name, opened.cloud.as_ref(), StopSignal::new());
        let told = rsgsync_engine::quotas(name, cloud, Patience::default(), screen, &stop).await;
        drop(reading);
        (name, told, opened.cloud.calls().values().sum::<u64>() - before)
    });
    for (network, told, calls) in join_all(reads).await {
        match told {
            Ok(Some(told)) => plan.learn_quotas(network, told, calls),
            Ok(None) => {}
            Err(error) => plan.notes.push(format!("quotas of network `{network}` are not known: {error}")),
        }
    }
    plan.fits()?;
    Ok(plan)
}

/// What `destroy` is to destroy: what these clusters have, or with none of all of them.
pub fn destruction(wish: &Wish, clusters: &[String], cascade: &[String]) -> Result<Destruction, Failure> {
    let clusters = wish.clusters(clusters)?.unwrap_or_else(|| wish.inventory.clusters.keys().cloned().collect());
    Ok(Destruction { clusters, cascade: cascade.iter().cloned().collect() })
}

/// Makes the plan that removes what clusters have.
pub fn make_destruction(
    wish: &Wish,
    opened: &[Opened],
    readings: Readings,
    destruction: &Destruction,
) -> Result<Plan, Failure> {
    let (stays, _) = split_flows(&wish.inventory, &wish.flows.flows, &destruction.clusters);
    let rest = desired(&wish.inventory, &Flows { flows: stays, ..wish.flows.clone() });
    let Readings { observed, calls, desired } = readings;
    Ok(destroy(
        &wish.inventory,
        &wish.flows,
        desired,
        &rest,
        inputs(opened, observed, calls),
        &wish.guards,
        destruction,
    )?)
}

/// The planner's options, from the command line.
pub fn plan_options(wish: &Wish, changes: &Changes) -> Result<PlanOptions, Failure> {
    let Changes { selection, add_only, max_removals, allow_gap } = changes;
    let Selection { clusters, shard, tidy, prune, cascade, take_over } = selection;
    let rows: BTreeSet<&str> = wish.flows.flows.iter().map(|f| &*f.reason.row).collect();
    for row in allow_gap {
        if !rows.contains(row.rsplit('/').next().unwrap_or_default()) {
            let message = format!("--allow-gap: no required flow comes from a row `{row}`");
            return Err(Failure::new(message, "`plan` shows the row of each rule in brackets"));
        }
    }
    Ok(PlanOptions {
        clusters: wish.clusters(clusters)?,
        shard: *shard,
        add_only: *add_only,
        tidy: *tidy,
        prune: *prune,
        cascade: cascade.iter().cloned().collect(),
        take_over: *take_over,
        max_removals: *max_removals,
        allow_gap: allow_gap.iter().cloned().collect(),
    })
}

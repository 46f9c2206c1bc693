//! Desired beside observed becomes a plan, or the reasons why none can be made.

use std::collections::{BTreeMap, BTreeSet};

use super::blast::blast;
use super::group::group;
use super::order::{GroupCalls, order};
use super::{GroupPlan, GroupStatus, NetworkPlan, Plan, PlanError};
use crate::desired::{Desired, DesiredNetwork};
use crate::diff::{Fate, Ours};
use crate::flow::Flows;
use crate::guard::GuardsInForce;
use crate::inventory::{Inventory, Network};
use crate::link::link;
use crate::name::{ClusterName, NetworkName};
use crate::observed::{Observed, ObservedGroup};
use crate::pack::Pack;
use crate::proof::{Case, GroupCase, prove};
use crate::rule::{Atom, Cidr, RulePeer};

/// One network: what it should have, what it has, and how its cloud packs calls.
pub struct NetworkInput<'a> {
    /// The inventory's network.
    pub network: Network,
    /// What was read, or why it couldn't be; read with the atoms of the desired network.
    pub observed: Result<Observed, String>,
    /// The cloud's pure half.
    pub pack: &'a dyn Pack,
    /// API calls that reading took.
    pub calls: u64,
}

/// What the user asks of a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Only groups of these clusters get steps.
    pub clusters: Option<BTreeSet<ClusterName>>,
    /// No removal at all.
    pub add_only: bool,
    /// Remove redundant rules and bring descriptions up to date, too.
    pub tidy: bool,
    /// Take exclusive groups over that carry another owner's mark.
    pub take_over: bool,
    /// As many removals are fine.
    pub max_removals: Option<usize>,
    /// Rows, `ID` or `PROFILE/ID`, whose flows may be cut for a time where a quota leaves no other way.
    pub allow_gap: BTreeSet<String>,
}

/// Makes the plan for all networks that could be read; all reasons against it at once.
pub fn plan(
    inventory: &Inventory,
    flows: &Flows,
    mut desired: Desired,
    inputs: Vec<NetworkInput<'_>>,
    guards: &GuardsInForce,
    options: &PlanOptions,
) -> Result<Plan, Vec<PlanError>> {
    let clusters: BTreeSet<ClusterName> = inventory.clusters.keys().cloned().collect();
    let ours = Ours { owner: &inventory.owner, clusters: &clusters };
    let (mut networks, mut calls, mut cases) = (Vec::new(), Vec::new(), Vec::new());
    let (mut gaps, mut errors) = (Vec::new(), Vec::new());
    for input in inputs {
        let wish = desired.networks.remove(&input.network.name).unwrap_or_default();
        let observed = match &input.observed {
            Ok(observed) => observed,
            Err(_) => {
                networks.push(unread(input, wish));
                continue;
            }
        };
        let dialect = input.pack.dialect();
        let linked = link(&wish, observed, &inventory.owner, dialect);
        let linked = linked.unwrap_or_else(|missing| {
            let network = &input.network.name;
            errors.extend(missing.into_iter().map(|m| PlanError::MissingPeer { network: network.clone(), missing: m }));
            Vec::new()
        });
        let mut groups = Vec::new();
        for linked in linked {
            let made = group(&linked, &input, observed, ours, options);
            let made = match made {
                Ok(made) => made,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            let (network, atom) = (&input.network.name, made.plan.atom);
            cases.push(case(network, &made.plan, linked.observed, guards));
            let waves = made.waves.iter().map(|changes| input.pack.pack(changes, &observed.limits)).collect();
            calls.push(GroupCalls { network: network.clone(), group: atom, waves });
            gaps.extend(made.gaps.into_iter().map(|rule| (network.clone(), atom, rule)));
            groups.push(made.plan);
        }
        networks.push(NetworkPlan {
            network: input.network,
            observed: input.observed,
            atoms: wish.atoms,
            groups,
            calls: input.calls,
        });
    }
    errors.extend(left_out(&networks, &calls));
    if !errors.is_empty() {
        return Err(errors);
    }
    let notes = forbidden_but_there(&networks, guards, &inventory.trusted);
    let steps = order(calls);
    let proof = prove(&Case { groups: cases, steps: &steps, trusted: &inventory.trusted, gaps });
    let blast = blast(&networks, &steps, options.max_removals);
    let mut unopened: Vec<_> = flows.unopened.iter().chain(&desired.unopened).cloned().collect();
    unopened.sort();
    Ok(Plan {
        owner: inventory.owner.clone(),
        trusted: inventory.trusted.clone(),
        networks,
        steps,
        proof,
        unopened,
        assumed: flows.assumed.clone(),
        elsewhere: desired.elsewhere,
        lost: Vec::new(),
        notes,
        blast,
    })
}

fn unread(input: NetworkInput<'_>, wish: DesiredNetwork) -> NetworkPlan {
    NetworkPlan {
        network: input.network,
        observed: input.observed,
        atoms: wish.atoms,
        groups: Vec::new(),
        calls: input.calls,
    }
}

/// Groups that added rules refer to, that don't exist, and that no call makes.
fn left_out(networks: &[NetworkPlan], calls: &[GroupCalls]) -> Vec<PlanError> {
    let mut errors = BTreeMap::new();
    for network in networks {
        let skipped = |atom: Atom| {
            let unmade = |g: &&GroupPlan| g.atom == atom && g.status == GroupStatus::Skipped;
            network.groups.iter().find(unmade).filter(|_| network.observed_group(atom).is_none())
        };
        for calls in calls.iter().filter(|c| c.network == network.network.name) {
            let adds = calls.waves.iter().flatten().flat_map(|call| &call.adds);
            for peer in adds.filter_map(|add| add.rule.peer.group()).filter_map(skipped) {
                let Some((cluster, _)) = peer.members.first() else { continue };
                let (group, peer) = (network.group_name(calls.group).to_owned(), peer.security_group.clone());
                let error = PlanError::LeftOut { group: group.clone(), peer: peer.clone(), cluster: cluster.clone() };
                errors.insert((group, peer), error);
            }
        }
    }
    errors.into_values().collect()
}

/// Rules that a guard forbids, that the plan leaves, and that nobody waived.
fn forbidden_but_there(networks: &[NetworkPlan], guards: &GuardsInForce, trusted: &[Cidr]) -> Vec<String> {
    let mut notes = Vec::new();
    for network in networks {
        for group in &network.groups {
            let observed = network.observed_group(group.atom).map(|g| g.rules.as_slice()).unwrap_or_default();
            let Some(set) = guards.get(&network.network.name, &group.security_group) else { continue };
            for (rule, fate) in observed.iter().zip(&group.diff.fates) {
                let why = match fate {
                    Fate::Foreign | Fate::Satisfies | Fate::Join => "it isn't ours, and stays",
                    Fate::Held => "a row that is not opened asks for it, so it stays",
                    Fate::Ignored | Fate::Spared => "you asked to leave it alone",
                    _ => continue,
                };
                if let Some(guard) = set.forbids(&rule.rule, trusted)
                    && let RulePeer::Addresses(cidr) = rule.rule.peer
                {
                    let (traffic, name) = (rule.rule.traffic, network.group_name(group.atom));
                    notes.push(format!(
                        "{traffic} from {cidr} stands on `{name}`: guard {} forbids it; {why}",
                        guard.name
                    ));
                }
            }
        }
    }
    notes
}

/// What the proof needs to know of a group.
pub(super) fn case(
    network: &NetworkName,
    plan: &GroupPlan,
    observed: Option<&ObservedGroup>,
    guards: &GuardsInForce,
) -> GroupCase {
    let observed = observed.map(|g| g.rules.iter().map(|r| (r.rule, r.id.clone())).collect()).unwrap_or_default();
    GroupCase {
        network: network.clone(),
        group: plan.atom,
        observed,
        required: plan.diff.required.iter().map(|r| r.rule).collect(),
        guards: guards.get(network, &plan.security_group).cloned().unwrap_or_default(),
    }
}

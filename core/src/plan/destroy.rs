//! What clusters have in the cloud becomes a plan to remove it.

use std::collections::BTreeSet;

use super::build::{NetworkInput, network_plan, whereabouts};
use super::draft::Draft;
use super::going::{Doomed, Going, Stays};
use super::orphan::orphans;
use super::{Plan, PlanError, ids_lost, words_for_nothing};
use crate::desired::{Desired, DesiredNetwork};
use crate::flow::{End, Flow, Flows, Reason};
use crate::guard::GuardsInForce;
use crate::inventory::{Inventory, Peer};
use crate::link::{Linked, link, settle_references};
use crate::name::ClusterName;
use crate::observed::Ours;
use crate::rule::{Atom, Rule, RulePeer};

/// Flows that stay when these clusters are destroyed, and those that are lost.
pub fn split_flows(inventory: &Inventory, flows: &[Flow], destroyed: &BTreeSet<ClusterName>) -> (Vec<Flow>, Vec<Flow>) {
    let touches = |flow: &Flow, end: &End| match end {
        End::Group(cluster, _) => destroyed.contains(cluster),
        End::Peer(name) => {
            let peer = inventory.clusters.get(&flow.cluster).and_then(|c| c.peers.get(name));
            matches!(peer, Some(Peer::NodeGroup { cluster, .. }) if destroyed.contains(cluster))
        }
        End::Cidr(_) | End::Name(_) | End::SelfGroup => false,
    };
    let lost = |f: &Flow| destroyed.contains(&f.cluster) || touches(f, &f.from) || touches(f, &f.to);
    flows.iter().cloned().partition(|f| !lost(f))
}

/// What is to be destroyed.
#[derive(Debug, Clone, Default)]
pub struct Destruction {
    /// What rsgsync keeps for these clusters.
    pub clusters: BTreeSet<ClusterName>,
    /// Names or ids of groups whose deletion may take others' rules along that refer to them, where the cloud does so.
    pub cascade: BTreeSet<String>,
}

/// Plans the removal of what rsgsync keeps for clusters.
///
/// Groups that it made, and that carry nobody else's mark, are deleted; from others go the rules that carry our mark (so
/// their marks must have been read). `whole` is desired of the whole inventory, `rest` of the flows that stay.
pub fn destroy(
    inventory: &Inventory,
    flows: &Flows,
    mut whole: Desired,
    rest: &Desired,
    inputs: Vec<NetworkInput<'_>>,
    guards: &GuardsInForce,
    destruction: &Destruction,
) -> Result<Plan, Vec<PlanError>> {
    let Destruction { clusters: destroyed, cascade } = destruction;
    let clusters = inventory.written();
    let ours = Ours { owner: &inventory.owner, clusters: &clusters };
    let mut draft = Draft::of(&inputs);
    let whereabouts = whereabouts(&inputs, &whole, |_, _| false);
    for input in inputs {
        let name = input.network.name.clone();
        let mut wish = whole.networks.remove(&name).unwrap_or_default();
        let account = input.observed.as_ref().ok().and_then(|o| o.account.as_deref());
        settle_references(&mut wish, account, &whereabouts);
        let (mut groups, mut orphaned) = (Vec::new(), Vec::new());
        if let Ok(observed) = &input.observed {
            let mut rest = rest.networks.get(&name).cloned().unwrap_or_default();
            settle_references(&mut rest, account, &whereabouts);
            let smaller = smaller(&wish, &rest);
            // A peer that is gone already needs nothing: nothing is added for it.
            let (linked, _) = link(&wish, observed, ours, input.pack);
            let (still, _) = link(&smaller, observed, ours, input.pack);
            let nobody_stays =
                |l: &Linked<'_>| l.desired.members.iter().all(|(cluster, _)| destroyed.contains(cluster));
            let goes = |l: &&Linked<'_>| nobody_stays(l) && l.observed.is_some_and(|g| g.is_only_made_by(ours));
            let deletes = !input.pack.dialect().groups_are_implicit;
            let doomed: BTreeSet<Atom> = linked.iter().filter(|l| deletes && goes(l)).map(|l| l.atom).collect();
            let doomed = Doomed::new(doomed, cascade, observed, input.pack.dialect());
            draft.words(&name, &doomed);
            let going = linked.iter().zip(&still).filter_map(|(linked, still)| {
                let (group, desired) = (linked.observed?, linked.desired);
                Some(Going {
                    group,
                    security_group: desired.security_group.to_string(),
                    members: &desired.members,
                    ownership: group.ownership(desired.ownership, ours),
                    stays: (!nobody_stays(linked)).then_some(Stays { before: &linked.wanted, after: &still.wanted }),
                    ours,
                    marks_read: true,
                    leaving: destroyed,
                    doomed: &doomed,
                })
            });
            groups = draft.going(going.collect(), &input, observed, &wish.atoms, guards);
            draft.untouched(&input, observed, &groups, &doomed, ours);
            orphaned = orphans(inventory, observed, &linked, ours);
        }
        draft.networks.push(network_plan(input, wish, groups, orphaned));
    }
    let (networks, steps, proof) = draft.finish(&inventory.trusted)?;
    let mut notes = ids_lost(&networks, &steps);
    notes.extend(words_for_nothing(&networks, &steps, cascade));
    let lost = lost(inventory, flows, destroyed);
    let (owner, trusted) = (inventory.owner.clone(), inventory.trusted.clone());
    Ok(Plan { lost, notes, ..Plan::new(owner, clusters, trusted, (networks, steps, proof)) })
}

/// Flows that are lost; not those that another cluster's row asks for as well.
fn lost(inventory: &Inventory, flows: &Flows, destroyed: &BTreeSet<ClusterName>) -> Vec<Flow> {
    let (stays, mut lost) = split_flows(inventory, &flows.flows, destroyed);
    let asked: BTreeSet<_> = stays.iter().map(|f| (&f.from, &f.to, f.traffic)).collect();
    lost.retain(|f| !asked.contains(&(&f.from, &f.to, f.traffic)));
    lost
}

/// The wish without what only destroyed clusters asked for.
fn smaller(whole: &DesiredNetwork, rest: &DesiredNetwork) -> DesiredNetwork {
    let mut smaller = whole.clone();
    let here = |rule: Rule| {
        let RulePeer::Opaque(kind, atom, family) = rule.peer else { return Some(rule) };
        let atom = whole.atoms.get(rest.atoms.text(atom))?;
        Some(Rule { peer: RulePeer::Opaque(kind, atom, family), ..rule })
    };
    for group in &mut smaller.groups {
        let same = rest.groups.iter().find(|g| g.security_group == group.security_group);
        let stays: BTreeSet<(Rule, &Reason)> = same
            .iter()
            .flat_map(|g| g.rules.iter().filter_map(|r| Some((here(r.rule)?, &r.reasons))))
            .flat_map(|(rule, reasons)| reasons.iter().map(move |reason| (rule, reason)))
            .collect();
        for rule in &mut group.rules {
            let stays = rule.reasons.iter().filter(|reason| stays.contains(&(rule.rule, reason)));
            rule.reasons = stays.cloned().collect();
        }
        group.rules.retain(|rule| !rule.reasons.is_empty());
    }
    smaller
}

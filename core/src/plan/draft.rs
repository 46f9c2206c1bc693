//! A plan in the making: what the networks have given so far becomes steps and their proof.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{NetworkInput, case, left_out, made_elsewhere, same_places};
use super::going::{
    Deletion, Doomed, Going, Leaving, NOT_OURS, Stuck, deletions_in_order, release, step_rule, unwanted, with_rules,
};
use super::order::{GroupCalls, Place, order};
use super::quota::too_full;
use super::shadow::denied;
use super::undo::spell;
use super::{Action, GroupPlan, NetworkPlan, PlanError, Step, StepRule};
use crate::diff::Fate;
use crate::guard::GuardsInForce;
use crate::inventory::Ownership;
use crate::name::NetworkName;
use crate::observed::{Observed, ObservedGroup, Ours};
use crate::pack::Site;
use crate::proof::{Case, GroupCase, Proof, prove};
use crate::rule::{Atom, Atoms, Cidr, Rule};

/// Where the changes of a group go.
pub(super) fn site<'a>(network: &'a Observed, group: Atom, atoms: &'a Atoms) -> Site<'a> {
    Site { group: network.groups.iter().find(|g| g.atom == group), network, atoms }
}

/// Errors where what the networks have is in the way of steps in a manner that the proof doesn't see: quotas without room,
/// and denies of ours that would cut what is let out behind them.
pub(super) fn feasible(networks: &[NetworkPlan], steps: &[Step]) -> Result<(), Vec<PlanError>> {
    let errors: Vec<PlanError> = too_full(networks, steps).into_iter().chain(denied(networks, steps)).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// What the networks have given so far.
#[derive(Default)]
pub(super) struct Draft {
    pub networks: Vec<NetworkPlan>,
    pub calls: Vec<GroupCalls>,
    pub cases: Vec<GroupCase>,
    /// Required rules that may be cut for a time.
    pub gaps: Vec<(NetworkName, Atom, Rule)>,
    pub errors: Vec<PlanError>,
    /// Groups that are deleted and may take others' rules along, by the user's word.
    words: BTreeSet<Place>,
    /// Rules that go with another group, by that group and by their own.
    cascades: BTreeMap<Place, BTreeMap<Atom, Vec<StepRule>>>,
}

impl Draft {
    pub fn of(inputs: &[NetworkInput<'_>]) -> Self {
        Self { errors: same_places(inputs), ..Self::default() }
    }

    /// Takes groups in that go, whole or in part.
    pub fn going(
        &mut self,
        going: Vec<Going<'_>>,
        input: &NetworkInput<'_>,
        observed: &Observed,
        atoms: &Atoms,
        guards: &GuardsInForce,
    ) -> Vec<GroupPlan> {
        let name = &input.network.name;
        let Some(ours) = going.first().map(|one| one.ours) else { return Vec::new() };
        let (mut groups, mut leaving) = (Vec::new(), Vec::new());
        for one in going {
            if let Some((resource, why)) = one.group.unreadable(Ownership::Shared, ours) {
                let (group, resource, why) = (one.security_group.clone(), resource.to_owned(), why.to_owned());
                self.errors.push(PlanError::Unreadable { network: name.clone(), group, resource, why });
            }
            let (diff, stuck) = one.diff(input.pack.dialect());
            self.still_referenced(input, observed, &one.security_group, stuck);
            self.cascading(name, one.group, &diff.fates);
            let (plan, changes) = one.changes(diff, input.pack.dialect());
            self.cases.push(case(name, &plan, Some(one.group), guards, one.ours));
            groups.push(plan);
            leaving.push(Leaving { group: one.group, ownership: one.ownership, changes });
        }
        let packed =
            self.in_order(leaving, input, observed, ours).into_iter().map(|(group, changes, rules)| GroupCalls {
                network: name.clone(),
                group,
                waves: vec![with_rules(input.pack.pack(&changes, &site(observed, group, atoms)), &rules)],
            });
        self.calls.extend(packed);
        groups
    }

    /// What changes, deletions in an order; nothing where none is.
    pub fn in_order(
        &mut self,
        leaving: Vec<Leaving<'_>>,
        input: &NetworkInput<'_>,
        observed: &Observed,
        ours: Ours<'_>,
    ) -> Vec<Deletion> {
        let name = |atom: Atom| observed.groups.iter().find(|g| g.atom == atom).map_or("", |g| g.name.as_str());
        deletions_in_order(leaving, ours).unwrap_or_else(|kept| {
            kept.into_iter().for_each(|(from, stuck)| self.still_referenced(input, observed, name(from), stuck));
            Vec::new()
        })
    }

    /// Takes in which groups may take others' rules along.
    pub fn words(&mut self, network: &NetworkName, doomed: &Doomed) {
        self.words.extend(doomed.cascading.iter().map(|atom| (network.clone(), *atom)));
    }

    /// Rules of `from` that stay, and keep the groups that they refer to from being deleted.
    pub fn still_referenced(&mut self, input: &NetworkInput<'_>, observed: &Observed, from: &str, stuck: Vec<Stuck>) {
        let mut by_peer: BTreeMap<Atom, Vec<Stuck>> = BTreeMap::new();
        stuck.into_iter().for_each(|one| by_peer.entry(one.peer).or_default().push(one));
        for (atom, stuck) in by_peer {
            let group = observed.groups.iter().find(|g| g.atom == atom).map(|g| g.name.to_string()).unwrap_or_default();
            let rules = stuck.iter().map(|one| format!("{} ({})", spell(&one.rule, |_| &group), one.why));
            let rules = rules.collect::<Vec<_>>().join(", ");
            let cascades = input.pack.dialect().delete_cascades && stuck.iter().all(|one| one.why == NOT_OURS);
            let (network, from) = (input.network.name.clone(), from.to_owned());
            self.errors.push(PlanError::StillReferenced { network, group, from, rules, cascades });
        }
    }

    /// Takes in the rules of a group that go with the groups that they refer to.
    pub fn cascading(&mut self, network: &NetworkName, group: &ObservedGroup, fates: &[Fate]) {
        for (rule, _) in group.rules.iter().zip(fates).filter(|(_, fate)| **fate == Fate::Cascade) {
            let Some(peer) = rule.rule.peer.group() else { continue };
            let of_peer = self.cascades.entry((network.clone(), peer)).or_default();
            of_peer.entry(group.atom).or_default().push(step_rule(rule, Vec::new()));
        }
    }

    /// Groups that were read and that the plan leaves out: their rules may refer to what is deleted.
    pub fn untouched(
        &mut self,
        input: &NetworkInput<'_>,
        observed: &Observed,
        planned: &[GroupPlan],
        doomed: &Doomed,
        ours: Ours<'_>,
    ) {
        let network = &input.network.name;
        let planned: BTreeSet<Atom> = planned.iter().map(|plan| plan.atom).collect();
        for group in observed.groups.iter().filter(|group| !planned.contains(&group.atom)) {
            let ownership = group.ownership(None, ours);
            let mut diff = unwanted(group, ownership, ours);
            let mut stuck = release(&mut diff, group, doomed, ours);
            // Ours, in an orphan that stays.
            let ours_that_stay = group.rules.iter().zip(&diff.fates).filter(|(_, fate)| **fate == Fate::Remove);
            stuck.extend(ours_that_stay.filter_map(|(rule, _)| {
                Some(Stuck { rule: rule.rule, peer: doomed.peer(&rule.rule)?, why: "an orphan's" })
            }));
            self.still_referenced(input, observed, group.name.as_str(), stuck);
            self.cascading(network, group, &diff.fates);
            self.cases.push(GroupCase::new(network.clone(), group.atom, Some(group), ownership, ours));
        }
    }

    /// The networks, their steps in order, and the proof; all reasons against the plan at once.
    pub fn finish(mut self, trusted: &[Cidr]) -> Result<(Vec<NetworkPlan>, Vec<Step>, Proof), Vec<PlanError>> {
        self.errors.extend(left_out(&self.networks, &self.calls));
        let Self { networks, calls, cases, gaps, errors, words, mut cascades } = self;
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut steps = order(calls, &made_elsewhere(&networks));
        for step in steps.iter_mut().filter(|step| step.action == Action::DeleteGroup) {
            step.cascade = cascades.remove(&(step.network.clone(), step.group)).unwrap_or_default();
        }
        feasible(&networks, &steps)?;
        let proof = prove(&Case { groups: cases, steps: &steps, trusted, gaps, cascades: words });
        Ok((networks, steps, proof))
    }
}

//! A plan in the making: what the networks have given so far becomes steps and their proof.

use std::collections::BTreeSet;

use super::build::{NetworkInput, case, left_out, made_elsewhere, same_places};
use super::going::{Going, deletions_in_order, with_rules};
use super::order::{GroupCalls, order};
use super::quota::full_networks;
use super::{GroupPlan, NetworkPlan, PlanError, Step};
use crate::guard::GuardsInForce;
use crate::name::NetworkName;
use crate::observed::{Observed, Ours};
use crate::pack::Site;
use crate::proof::{Case, GroupCase, Proof, prove};
use crate::rule::{Atom, Atoms, Cidr, Rule};

/// Where the changes of a group go.
pub(super) fn site<'a>(network: &'a Observed, group: Atom, atoms: &'a Atoms) -> Site<'a> {
    Site { group: network.groups.iter().find(|g| g.atom == group), network, atoms }
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
        let (mut groups, mut changes) = (Vec::new(), Vec::new());
        for one in going {
            let (diff, stuck) = one.diff();
            self.still_referenced(name, observed, &one.security_group, stuck);
            let (plan, change) = one.changes(diff, input.pack.dialect());
            self.cases.push(case(name, &plan, Some(one.group), guards, one.ours));
            groups.push(plan);
            changes.push((one.group, change));
        }
        let packed = deletions_in_order(changes).into_iter().map(|(group, changes, rules)| GroupCalls {
            network: name.clone(),
            group,
            waves: vec![with_rules(input.pack.pack(&changes, &site(observed, group, atoms)), &rules)],
        });
        self.calls.extend(packed);
        groups
    }

    /// Groups that are deleted although rules of `from` refer to them which stay.
    pub fn still_referenced(
        &mut self,
        network: &NetworkName,
        observed: &Observed,
        from: &str,
        stuck: impl IntoIterator<Item = Atom>,
    ) {
        for atom in stuck {
            let group = observed.groups.iter().find(|g| g.atom == atom).map(|g| g.name.to_string()).unwrap_or_default();
            self.errors.push(PlanError::StillReferenced { network: network.clone(), group, from: from.to_owned() });
        }
    }

    /// Groups that were read and that the plan leaves out: their rules may refer to what is deleted.
    pub fn untouched(
        &mut self,
        network: &NetworkName,
        observed: &Observed,
        planned: &[GroupPlan],
        doomed: &BTreeSet<Atom>,
        ours: Ours<'_>,
    ) {
        let planned: BTreeSet<Atom> = planned.iter().map(|plan| plan.atom).collect();
        for group in observed.groups.iter().filter(|group| !planned.contains(&group.atom)) {
            let refers = group.rules.iter().filter_map(|r| r.rule.peer.group()).filter(|peer| doomed.contains(peer));
            self.still_referenced(network, observed, group.name.as_str(), refers.collect::<BTreeSet<Atom>>());
            let ownership = group.ownership(None, ours);
            self.cases.push(GroupCase::new(network.clone(), group.atom, Some(group), ownership, ours));
        }
    }

    /// The networks, their steps in order, and the proof; all reasons against the plan at once.
    pub fn finish(mut self, trusted: &[Cidr]) -> Result<(Vec<NetworkPlan>, Vec<Step>, Proof), Vec<PlanError>> {
        self.errors.extend(left_out(&self.networks, &self.calls));
        self.errors.extend(full_networks(&self.networks, &self.calls));
        let Self { networks, calls, cases, gaps, errors } = self;
        if !errors.is_empty() {
            return Err(errors);
        }
        let steps = order(calls, &made_elsewhere(&networks));
        let proof = prove(&Case { groups: cases, steps: &steps, trusted, gaps });
        Ok((networks, steps, proof))
    }
}

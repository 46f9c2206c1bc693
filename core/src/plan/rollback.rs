//! What a run has changed becomes a plan to change it back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::back::{Back, new_group};
use super::build::{NetworkInput, always_there, case, network_plan};
use super::draft::{Draft, site};
use super::going::{Doomed, Leaving, with_rules};
use super::group::{in_turns, no_room};
use super::order::GroupCalls;
use super::quota::quota_use;
use super::undo::{Undo, spell, undone};
use super::waves::{Room, waves};
use super::{Action, GroupPlan, GroupStatus, Plan, PlanError, Required, StepId, StepRule, ids_lost};
use crate::desired::{DesiredNetwork, DesiredRule};
use crate::diff::{Fate, GroupDiff};
use crate::document::{GroupEntry, Saved};
use crate::flow::Reason;
use crate::guard::GuardsInForce;
use crate::inventory::{Ownership, SecurityGroup};
use crate::name::{GroupId, NetworkName};
use crate::observed::{Observed, ObservedGroup, ObservedRule, Ours, Scope, ScopeGroup};
use crate::pack::GroupChanges;
use crate::rule::{Atom, Atoms, Rule};

/// The steps that a run has begun, whatever came of them; of `create_group` the new group's id, where the cloud told.
pub type Begun = BTreeMap<StepId, Option<GroupId>>;

/// The plan's word on a group's ownership.
pub(super) fn declared(saved: &Saved, network: &NetworkName, name: &str) -> Option<Ownership> {
    let entry = saved.document.groups.iter().find(|g| g.network == *network && g.security_group == name)?;
    [Ownership::Exclusive, Ownership::Shared].into_iter().find(|o| o.as_str() == entry.ownership)
}

/// What to read before a run can be rolled back, by network: all groups of its plan, and those that its rules name.
pub fn rollback_scopes(saved: &Saved, begun: &Begun) -> BTreeMap<NetworkName, Scope> {
    let steps = || saved.steps().iter().filter(|s| begun.contains_key(&s.id));
    let networks: BTreeSet<&NetworkName> = steps().map(|s| &s.network).collect();
    let scope = |network: &NetworkName| {
        let mut groups: BTreeMap<&str, ScopeGroup> = BTreeMap::new();
        let by = |text: &str, ownership| Some(ScopeGroup { group: SecurityGroup::parse(text).ok()?, ownership });
        for entry in saved.document.groups.iter().filter(|g| g.network == *network) {
            let name = entry.security_group.as_str();
            let of_group = || steps().filter(|s| s.network == *network && saved.text(network, s.group) == name);
            let made = of_group().filter(|s| s.action == Action::CreateGroup).find_map(|s| begun.get(&s.id)?.as_ref());
            let deleted = of_group().any(|s| s.action == Action::DeleteGroup);
            let id = made.map(GroupId::as_str).or(entry.id.as_deref()).filter(|_| !deleted);
            let asked = by(id.unwrap_or(name), declared(saved, network, name));
            groups.extend(asked.map(|group| (name, group)));
        }
        for name in
            steps().filter(|s| s.network == *network).flat_map(|s| s.cascade.keys()).map(|g| saved.text(network, *g))
        {
            let group = saved.observed().find(|(n, g)| *n == network && g.name.as_str() == name);
            let asked = group.and_then(|(_, group)| by(group.id.as_str(), None));
            asked.into_iter().for_each(|group| {
                groups.entry(name).or_insert(group);
            });
        }
        let of_steps = steps().filter(|s| s.network == *network);
        let rules = of_steps.flat_map(|s| s.adds.iter().chain(&s.removes)).map(|r| r.rule);
        let observed = saved.observed().filter(|(n, _)| *n == network).flat_map(|(_, g)| &g.rules).map(|r| r.rule);
        for peer in rules.chain(observed).filter_map(|r| r.peer.group()).map(|atom| saved.text(network, atom)) {
            // Groups by their ids need no reading: rules name them by these.
            let named = by(peer, Some(Ownership::Exclusive)).filter(|g| matches!(g.group, SecurityGroup::Name(_)));
            if let Some(group) = named.filter(|_| !crate::link::names_another_account(peer)) {
                groups.entry(peer).or_insert(group);
            }
        }
        let (owner, clusters) = (saved.owner().clone(), saved.clusters());
        (
            network.clone(),
            Scope { owner, clusters, groups: groups.into_values().collect(), marked: false, whole: false },
        )
    };
    networks.into_iter().map(scope).collect()
}

/// Plans to bring back what a run took away, and to take away what it added.
///
/// Desired is what the run observed before; required is what held then and holds now. What others have changed since
/// stays as it is, and is noted; so does what a guard of `guards` forbids. Of each network the atoms are those that it was
/// read with. A run that was stopped half-way is rolled back by what is really there.
pub fn rollback(
    saved: &Saved,
    begun: &Begun,
    inputs: Vec<(NetworkInput<'_>, Atoms)>,
    guards: &GuardsInForce,
) -> Result<Plan, Vec<PlanError>> {
    let clusters = saved.clusters();
    let ours = Ours { owner: saved.owner(), clusters: &clusters };
    let (inputs, all_atoms): (Vec<NetworkInput<'_>>, Vec<Atoms>) = inputs.into_iter().unzip();
    let (mut draft, mut notes) = (Draft::of(&inputs), Vec::new());
    draft.errors.extend(inputs.iter().filter_map(|input| moved(saved, input)));
    for (mut input, mut atoms) in inputs.into_iter().zip(all_atoms) {
        let known = saved.observed().filter(|(network, _)| **network == input.network.name);
        let known: Vec<_> = known.map(|(_, g)| (g.name.as_str(), atoms.intern(g.name.as_str()))).collect();
        always_there(&mut input, known.into_iter());
        let mut groups = Vec::new();
        if let Ok(observed) = &input.observed {
            let undos = undone(saved, begun, &input.network.name, observed, &mut atoms, ours, input.pack.dialect());
            let part = Part { saved, input: &input, observed, ours, guards };
            groups = part.plan(&undos, &mut atoms, &mut draft, &mut notes);
        }
        let names = DesiredNetwork { atoms, ..DesiredNetwork::default() };
        draft.networks.push(network_plan(input, names, groups, Vec::new()));
    }
    let (networks, steps, proof) = draft.finish(saved.trusted())?;
    notes.extend(ids_lost(&networks, &steps));
    let (owner, trusted) = (saved.owner().clone(), saved.trusted().to_vec());
    Ok(Plan { notes, required: Required::Before, ..Plan::new(owner, clusters, trusted, (networks, steps, proof)) })
}

/// A network that is another place than it was: other credentials, another folder.
pub(super) fn moved(saved: &Saved, input: &NetworkInput<'_>) -> Option<PlanError> {
    let observed = input.observed.as_ref().ok()?;
    let entry = saved.document.networks.iter().find(|n| n.name == input.network.name)?;
    let pairs = [(&entry.identity, &observed.identity), (&entry.account, &observed.account)];
    let (then, now) = pairs.into_iter().find(|(then, now)| then.is_some() && now.is_some() && then != now)?;
    let (then, now) = (then.clone()?, now.clone()?);
    Some(PlanError::OtherPlace { network: input.network.name.clone(), then, now })
}

/// One network.
struct Part<'a> {
    saved: &'a Saved,
    input: &'a NetworkInput<'a>,
    observed: &'a Observed,
    ours: Ours<'a>,
    guards: &'a GuardsInForce,
}

impl Part<'_> {
    fn plan(
        &self,
        undos: &[Undo<'_>],
        atoms: &mut Atoms,
        draft: &mut Draft,
        notes: &mut Vec<String>,
    ) -> Vec<GroupPlan> {
        let backs: Vec<Back<'_>> = undos.iter().filter_map(|undo| self.back(undo, atoms, notes)).collect();
        let (mut plans, mut doomed) = (Vec::new(), Vec::new());
        let network = &self.input.network.name;
        for back in &backs {
            if back.undo.before.is_none() {
                if self.may_go(back, &backs) {
                    plans.push(self.group_plan(back, GroupDiff::default(), GroupStatus::Delete));
                    let changes =
                        GroupChanges { group: Some(back.group.atom), delete: true, ..GroupChanges::default() };
                    doomed.push(Leaving { group: &back.group, ownership: back.ownership, changes });
                    continue;
                }
                let why = "rules that are not the run's are in it, or refer to it";
                notes.push(format!("`{}` stays, empty of what the run added: {why}", back.undo.name));
            }
            match self.changed(back) {
                Ok((plan, waves)) => {
                    draft.calls.push(self.calls(back.group.atom, waves, &[], atoms));
                    plans.push(plan);
                }
                Err(error) => draft.errors.push(error),
            }
        }
        let deleted: BTreeSet<Atom> = doomed.iter().map(|one| one.group.atom).collect();
        for (group, changes, rules) in draft.in_order(doomed, self.input, self.observed, self.ours) {
            draft.calls.push(self.calls(group, vec![changes], &rules, atoms));
        }
        let of_plan = |plan: &GroupPlan| {
            let now = self.observed.groups.iter().find(|group| group.atom == plan.atom);
            case(network, plan, now, self.guards, self.ours)
        };
        draft.cases.extend(plans.iter().map(of_plan));
        let doomed = Doomed { groups: deleted, ..Doomed::default() };
        draft.untouched(self.input, self.observed, &plans, &doomed, self.ours);
        plans
    }

    fn calls(&self, group: Atom, waves: Vec<GroupChanges>, deleted: &[StepRule], atoms: &Atoms) -> GroupCalls {
        let site = site(self.observed, group, atoms);
        let packed = waves.iter().map(|changes| self.input.pack.pack(changes, &site));
        let waves = packed.map(|calls| with_rules(calls, deleted)).collect();
        GroupCalls { network: self.input.network.name.clone(), group, waves }
    }

    /// What becomes of a group; `None`: nothing, for a reason that is noted where there is one.
    fn back<'u>(&self, undo: &'u Undo<'u>, atoms: &mut Atoms, notes: &mut Vec<String>) -> Option<Back<'u>> {
        let name = undo.name;
        let group = match (undo.now, undo.before) {
            (Some(now), _) => now.clone(),
            (None, Some(before)) if undo.remade => {
                notes.push(format!(
                    "`{name}` is made again under a new id: whatever names {} does not find it",
                    before.id
                ));
                new_group(before, atoms.intern(name), self.input.pack.dialect())
            }
            (None, Some(_)) => {
                notes.push(format!("`{name}` is gone, or another group has its name: it is left alone"));
                return None;
            }
            (None, None) => return None,
        };
        let declared = declared(self.saved, &self.input.network.name, name);
        let ownership = if undo.remade { Ownership::Exclusive } else { group.ownership(declared, self.ours) };
        let fates = group.rules.iter().map(|rule| self.fate(undo, rule, ownership)).collect();
        let there: BTreeSet<Rule> = group.rules.iter().map(|r| r.rule).collect();
        let taken = undo.was.iter().filter(|r| undo.removed.contains(&r.rule) && !there.contains(&r.rule));
        let (mut restores, mut said) = (Vec::new(), Vec::new());
        for rule in taken {
            match self
                .guards
                .get(&self.input.network.name, name)
                .and_then(|g| g.forbids(&rule.rule, self.saved.trusted()))
            {
                Some(guard) => said.push((
                    rule.rule,
                    format!("does not come back: guard {0} forbids it; --restore-guarded {0} does", guard.name),
                )),
                None => restores.push(rule.clone()),
            }
        }
        let mut back = Back { undo, group, ownership, fates, restores };
        for rule in back.spare() {
            said.push((rule, "stays: what held before the run holds through it alone".to_owned()));
        }
        let others = back.group.rules.iter().zip(&back.fates);
        let others = others.filter(|(r, f)| **f == Fate::Foreign && undo.was.iter().all(|w| w.rule != r.rule));
        said.extend(others.map(|(r, _)| (r.rule, "was added by others since, and stays".to_owned())));
        let missing = undo.was.iter().filter(|w| !undo.removed.contains(&w.rule) && !there.contains(&w.rule));
        said.extend(missing.map(|w| (w.rule, "was removed by others since, and stays away".to_owned())));
        let text = |atom| self.observed.groups.iter().find(|g| g.atom == atom).map(|g| g.name.as_str());
        let of = |rule: &Rule| spell(rule, |atom| text(atom).unwrap_or_else(|| atoms.text(atom)));
        notes.extend(said.iter().map(|(rule, what)| format!("`{name}`: {} {what}", of(rule))));
        let gone = undo.unnamed.iter();
        notes.extend(gone.map(|rule| format!("`{name}`: {rule} does not come back: the group that it names is gone")));
        Some(back)
    }

    fn fate(&self, undo: &Undo<'_>, rule: &ObservedRule, ownership: Ownership) -> Fate {
        let mine = rule.marks.iter().any(|mark| self.ours.is(mark));
        let others = rule.marks.iter().any(|mark| !self.ours.is(mark));
        let was = undo.was.iter().any(|w| w.rule == rule.rule);
        let of_the_cloud = self.input.pack.dialect().default_rules.contains(&rule.rule);
        let is_copy = undo.added.contains(&rule.rule) && is_copy(undo, rule);
        if is_copy || !was && (undo.added.contains(&rule.rule) || (undo.remade && of_the_cloud)) {
            return match (ownership, mine, others) {
                (Ownership::Exclusive, ..) | (Ownership::Shared, true, false) => Fate::Remove,
                (Ownership::Shared, true, true) => Fate::Leave,
                (Ownership::Shared, false, _) => Fate::Foreign,
            };
        }
        match () {
            () if undo.joined.contains_key(&rule.rule) && mine && others => Fate::Leave,
            () if undo.left.contains_key(&rule.rule) && !mine && others => Fate::Join,
            () if was || (undo.before.is_none() && of_the_cloud) => Fate::Keep,
            () => Fate::Foreign,
        }
    }

    /// Whether a group that the run made can be deleted: nothing foreign is in it, on it, or refers to it.
    fn may_go(&self, back: &Back<'_>, backs: &[Back<'_>]) -> bool {
        let atom = back.group.atom;
        let refers = |rule: &ObservedRule| rule.rule.peer.group() == Some(atom);
        let stays = |group: &ObservedGroup| {
            let fates = backs.iter().find(|b| b.group.atom == group.atom).map(|b| &b.fates);
            let goes = |at: usize| fates.is_some_and(|fates| fates.get(at) == Some(&Fate::Remove));
            group.rules.iter().enumerate().any(|(at, rule)| refers(rule) && !goes(at))
        };
        let foreign = back.fates.iter().any(|f| !matches!(f, Fate::Remove | Fate::Keep));
        let others = self.observed.groups.iter().filter(|g| g.atom != atom);
        !foreign && back.group.is_only_made_by(self.ours) && !others.into_iter().any(stays)
    }

    /// The group's plan and its changes, in the waves that its quota asks for.
    fn changed(&self, back: &Back<'_>) -> Result<(GroupPlan, Vec<GroupChanges>), PlanError> {
        let dialect = self.input.pack.dialect();
        let cluster = self.members(back.undo.name).next().map(|g| &g.cluster).or(self.ours.clusters.first());
        let because = |why: &str| -> Arc<[Reason]> {
            let cluster = cluster.into_iter().cloned();
            cluster.map(|cluster| Reason { cluster, profile: "".into(), row: "".into(), why: why.into() }).collect()
        };
        let changes = back.changes(self.ours, dialect, because);
        let plain = |rule: Rule| DesiredRule { rule, reasons: Arc::default() };
        let diff = GroupDiff {
            fates: back.fates.clone(),
            adds: back.restores.iter().map(|r| plain(r.rule)).collect(),
            required: back.undo.was.iter().map(|r| plain(r.rule)).collect(),
        };
        let idle = changes.adds.is_empty() && changes.removes.is_empty() && changes.joins.is_empty();
        let status = match (back.undo.remade, idle && changes.leaves.is_empty()) {
            (true, _) => GroupStatus::Create,
            (false, true) => GroupStatus::InSync,
            (false, false) => GroupStatus::Change,
        };
        let plan = self.group_plan(back, diff, status);
        let required: Vec<Rule> = back.undo.was.iter().map(|r| r.rule).collect();
        let present = back.group.rules.iter().map(|r| (r.rule, r.weight)).collect();
        let room = Room { present, dialect, limits: &self.observed.limits };
        let waves = waves(room, changes.adds.clone(), changes.removes.clone(), &required);
        let waves = waves.map_err(|full| no_room(self.input, &plan, &back.group, full))?;
        Ok((plan, in_turns(changes, waves)))
    }

    fn members<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s GroupEntry> {
        let of_group = move |g: &&GroupEntry| g.network == self.input.network.name && g.security_group == name;
        self.saved.document.groups.iter().filter(of_group)
    }

    fn group_plan(&self, back: &Back<'_>, diff: GroupDiff, status: GroupStatus) -> GroupPlan {
        let Back { undo, group, ownership, fates, restores } = back;
        let stays = group.rules.iter().zip(fates).filter(|(_, fate)| **fate != Fate::Remove);
        let after = stays.map(|(r, _)| (r.rule, r.weight)).chain(restores.iter().map(|r| (r.rule, r.weight)));
        let after: Vec<(Rule, u32)> = if status == GroupStatus::Delete { Vec::new() } else { after.collect() };
        GroupPlan {
            atom: group.atom,
            security_group: undo.name.to_owned(),
            members: self.members(undo.name).filter_map(|g| Some((g.cluster.clone(), g.group.clone()?))).collect(),
            ownership: *ownership,
            status,
            wanted: diff.required.clone(),
            rules_before: undo.now.map_or(0, |g| g.rules.len()),
            rules_after: after.len(),
            quota: quota_use(after.iter().copied(), self.input.pack.dialect(), &self.observed.limits),
            outbound_closed: false,
            stale_descriptions: 0,
            diff: if status == GroupStatus::Delete {
                GroupDiff { fates: vec![Fate::Keep; group.rules.len()], ..GroupDiff::default() }
            } else {
                diff
            },
        }
    }
}

/// Whether a rule stands in a resource that didn't hold it before the run, beside the one that held it and still does.
fn is_copy(undo: &Undo<'_>, rule: &ObservedRule) -> bool {
    let held = |resource: &Option<Arc<str>>| {
        undo.was.iter().any(|was| was.rule == rule.rule && was.resource.is_some() && was.resource == *resource)
    };
    let now = undo.now.into_iter().flat_map(|group| &group.rules).filter(|other| other.rule == rule.rule);
    rule.resource.is_some() && !held(&rule.resource) && now.into_iter().any(|other| held(&other.resource))
}

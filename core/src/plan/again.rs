//! A saved plan beside the cloud as it is now: the same steps once more, or what has changed since.

use std::collections::{BTreeMap, BTreeSet};

use super::blast::blast;
use super::build::{NetworkInput, always_there, case, network_plan};
use super::draft::feasible;
use super::quota::quota_use;
use super::rollback::{Begun, declared, moved};
use super::undo::spell;
use super::{Action, GroupPlan, GroupStatus, NetworkPlan, Orphan, Plan, PlanError, Step, StepId, StepRule, ids_lost};
use crate::desired::{DesiredNetwork, DesiredRule, Elsewhere};
use crate::diff::{Fate, GroupDiff, satisfied};
use crate::document::Saved;
use crate::inventory::{Ownership, SecurityGroup};
use crate::link::names_another_account;
use crate::name::{GroupId, Mark, NetworkName};
use crate::observed::{Claim, Observed, ObservedGroup, ObservedRule, Ours};
use crate::packets::PacketSet;
use crate::proof::{Case, GroupCase, prove};
use crate::rule::{Atom, Atoms, Direction, PeerKind, Rule, RulePeer};

/// Every step of a saved plan: what [`super::rollback_scopes`] takes for reading all that the plan speaks of.
pub fn all_of(saved: &Saved) -> Begun {
    saved.steps().iter().map(|step| (step.id, None)).collect()
}

/// Makes a saved plan again from a fresh observation: the very same steps, proved anew; none when all of them are carried
/// out already.
///
/// Of each network the atoms are those that it was read with. Errors name each difference that would make other steps: a
/// group that has come, gone or other marks; rules of ours that have come or gone; required traffic that others have
/// opened or closed. What others do elsewhere in a group doesn't matter.
pub fn again(
    saved: &Saved,
    inputs: Vec<(NetworkInput<'_>, Atoms)>,
    max_removals: Option<usize>,
) -> Result<Plan, Vec<PlanError>> {
    let clusters = saved.clusters();
    let ours = Ours { owner: saved.owner(), clusters: &clusters };
    let guards = saved.guards(&BTreeSet::new());
    let moved: Vec<PlanError> = inputs.iter().filter_map(|(input, _)| moved(saved, input)).collect();
    if !moved.is_empty() {
        return Err(moved);
    }
    let made = made_by_now(saved, &inputs, ours);
    let (mut networks, mut steps, mut case_of_all): (Vec<NetworkPlan>, BTreeMap<StepId, Step>, Vec<GroupCase>) =
        (Vec::new(), BTreeMap::new(), Vec::new());
    let (mut gaps, mut cascades, mut changed, mut done) = (Vec::new(), BTreeSet::new(), Vec::new(), true);
    for (mut input, mut atoms) in inputs {
        let network = input.network.name.clone();
        let known = saved.observed().filter(|(of, _)| **of == network);
        let known: Vec<_> = known.map(|(_, g)| (g.name.as_str(), atoms.intern(g.name.as_str()))).collect();
        always_there(&mut input, known.into_iter());
        let Ok(observed) = &input.observed else { continue };
        let names_stay = input.pack.dialect().groups_are_implicit;
        let mut now = Now { names_stay, ..Now::of(saved, &network, observed, ours, &made) };
        let of_network: Vec<Step> = now.steps(&mut atoms);
        done &= now.lost.is_empty() && of_network.iter().all(|step| now.is_done(step));
        let groups: Vec<GroupPlan> =
            now.touched().into_iter().map(|name| now.group(name, &input, &of_network, &mut atoms)).collect();
        done &= groups.iter().all(|plan| now.has_required(plan));
        changed.extend(groups.iter().flat_map(|plan| now.changes(plan, &of_network, &mut atoms)));
        changed.extend(now.lost.iter().map(|(group, rule)| now.changed(group, format!("{rule}: that group is gone"))));
        changed.extend(now.along(&of_network, &atoms));
        let existing = |plan: &GroupPlan| observed.groups.iter().find(|group| group.atom == plan.atom);
        case_of_all.extend(groups.iter().map(|plan| case(&network, plan, existing(plan), &guards, ours)));
        let planned: BTreeSet<Atom> = groups.iter().map(|plan| plan.atom).collect();
        let rest = observed.groups.iter().filter(|group| !planned.contains(&group.atom));
        case_of_all.extend(
            rest.map(|group| {
                GroupCase::new(network.clone(), group.atom, Some(group), group.ownership(None, ours), ours)
            }),
        );
        gaps.extend(now.gaps(&mut atoms));
        cascades.extend(now.cascades(&mut atoms));
        let orphans = now.orphans();
        let names = DesiredNetwork { atoms, elsewhere: now.elsewhere, ..DesiredNetwork::default() };
        steps.extend(of_network.into_iter().map(|step| (step.id, step)));
        networks.push(network_plan(input, names, groups, orphans));
    }
    if done {
        steps.clear();
        networks.iter_mut().flat_map(|n| &mut n.groups).for_each(|group| group.status = GroupStatus::InSync);
    } else if !changed.is_empty() {
        return Err(changed);
    }
    let steps: Vec<Step> = saved.steps().iter().filter_map(|step| steps.remove(&step.id)).collect();
    feasible(&networks, &steps)?;
    let proof = prove(&Case { groups: case_of_all, steps: &steps, trusted: saved.trusted(), gaps, cascades });
    let (notes, blast) = (ids_lost(&networks, &steps), blast(&networks, &steps, max_removals));
    let (owner, trusted) = (saved.owner().clone(), saved.trusted().to_vec());
    let assumed = saved.document.assumed.clone();
    Ok(Plan { assumed, notes, blast, ..Plan::new(owner, clusters, trusted, (networks, steps, proof)) })
}

/// Groups that the plan makes and that are there already, by network and name: their ids, and the accounts they are in.
type MadeByNow = BTreeMap<Elsewhere, (GroupId, Option<String>)>;

fn made_by_now(saved: &Saved, inputs: &[(NetworkInput<'_>, Atoms)], ours: Ours<'_>) -> MadeByNow {
    let mut made = MadeByNow::new();
    for (input, _) in inputs {
        let (network, Ok(observed)) = (&input.network.name, &input.observed) else { continue };
        let created = saved.steps().iter().filter(|s| s.network == *network && s.action == Action::CreateGroup);
        for name in created.map(|step| saved.text(network, step.group)) {
            let there = observed.groups.iter().find(|group| group.name.as_str() == name && group.made_by(ours));
            let named = there.map(|group| Elsewhere { network: network.clone(), group: group.name.clone() });
            made.extend(named.zip(there.map(|group| (group.id.clone(), observed.account.clone()))));
        }
    }
    made
}

/// One network as it is, in the words of the saved plan.
struct Now<'a, 'o> {
    saved: &'a Saved,
    network: &'a NetworkName,
    observed: &'a Observed,
    ours: Ours<'o>,
    made: &'a MadeByNow,
    /// The ids of groups that the plan speaks of, by name.
    ids: BTreeMap<&'a str, &'a str>,
    /// Groups that the plan makes.
    created: BTreeSet<&'a str>,
    /// A name means the same group for ever.
    names_stay: bool,
    /// What stands for groups of other networks that are still to be made.
    elsewhere: BTreeMap<Atom, Elsewhere>,
    /// Rules of steps that refer to groups which are gone: the group that they are of, and the rule.
    lost: BTreeSet<(String, String)>,
}

impl<'a, 'o> Now<'a, 'o> {
    fn of(
        saved: &'a Saved,
        network: &'a NetworkName,
        observed: &'a Observed,
        ours: Ours<'o>,
        made: &'a MadeByNow,
    ) -> Self {
        let of_network = saved.document.groups.iter().filter(|g| g.network == *network);
        let ids = of_network.filter_map(|g| Some((g.security_group.as_str(), g.id.as_deref()?)));
        let touched = saved.observed().filter(|(n, _)| *n == network).map(|(_, g)| (g.name.as_str(), g.id.as_str()));
        let creates = saved.steps().iter().filter(|s| s.network == *network && s.action == Action::CreateGroup);
        Self {
            saved,
            network,
            observed,
            ours,
            made,
            ids: ids.chain(touched).collect(),
            created: creates.map(|step| saved.text(network, step.group)).collect(),
            names_stay: false,
            elsewhere: BTreeMap::new(),
            lost: BTreeSet::new(),
        }
    }

    /// The group that the plan calls so; of one that the plan makes, the one that it has made.
    fn find(&self, name: &str) -> Option<&'a ObservedGroup> {
        let groups = &self.observed.groups;
        if self.created.contains(name) {
            return groups.iter().find(|group| group.name.as_str() == name && group.made_by(self.ours));
        }
        match self.ids.get(name) {
            Some(id) => groups.iter().find(|group| group.id.as_str() == *id),
            None => groups.iter().find(|group| group.name.as_str() == name || group.id.as_str() == name),
        }
    }

    fn atom(&mut self, name: &str, atoms: &mut Atoms) -> Option<Atom> {
        if let Some(group) = self.find(name) {
            return Some(group.atom);
        }
        if self.names_stay || self.created.contains(name) {
            return Some(atoms.intern(name));
        }
        if let Some(elsewhere) = Elsewhere::parse(name) {
            let Some((id, account)) = self.made.get(&elsewhere) else {
                let atom = atoms.intern(name);
                self.elsewhere.insert(atom, elsewhere);
                return Some(atom);
            };
            return Some(match (account, &self.observed.account) {
                (Some(theirs), Some(own)) if theirs != own => atoms.intern(&format!("{theirs}/{id}")),
                _ => atoms.intern(id.as_str()),
            });
        }
        let unread = matches!(SecurityGroup::parse(name), Ok(SecurityGroup::Id(_))) || names_another_account(name);
        (unread && !self.ids.contains_key(name)).then(|| atoms.intern(name))
    }

    fn rule(&mut self, rule: Rule, atoms: &mut Atoms) -> Option<Rule> {
        let RulePeer::Opaque(kind, atom, family) = rule.peer else { return Some(rule) };
        let text = self.saved.text(self.network, atom);
        let atom = if kind == PeerKind::Group { self.atom(text, atoms)? } else { atoms.intern(text) };
        Some(Rule { peer: RulePeer::Opaque(kind, atom, family), ..rule })
    }

    /// The plan's steps here, in the names of now; a rule that can't be named is left out, and stands in `lost`.
    fn steps(&mut self, atoms: &mut Atoms) -> Vec<Step> {
        let saved = self.saved;
        let mut steps = Vec::new();
        for step in saved.steps().iter().filter(|s| s.network == *self.network) {
            let name = saved.text(self.network, step.group);
            let group = self.find_or_name(name, atoms);
            let (adds, removes) = (self.rules(name, &step.adds, atoms), self.rules(name, &step.removes, atoms));
            let mut cascade = BTreeMap::new();
            for (group, rules) in &step.cascade {
                let name = saved.text(self.network, *group);
                cascade.insert(self.find_or_name(name, atoms), self.rules(name, rules, atoms));
            }
            steps.push(Step { group, adds, removes, cascade, ..step.clone() });
        }
        steps
    }

    fn find_or_name(&self, name: &str, atoms: &mut Atoms) -> Atom {
        self.find(name).map_or_else(|| atoms.intern(name), |group| group.atom)
    }

    /// Rules that would go along with a deleted group and that the plan doesn't speak of, or the other way round.
    fn along(&self, steps: &[Step], atoms: &Atoms) -> Vec<PlanError> {
        let mut changed = Vec::new();
        for delete in steps.iter().filter(|step| step.action == Action::DeleteGroup) {
            let name = |group: Atom| {
                let group = self.observed.groups.iter().find(|g| g.atom == group).map(|g| g.name.as_str());
                group.unwrap_or_else(|| atoms.text(delete.group))
            };
            for group in self.observed.groups.iter().filter(|group| group.atom != delete.group) {
                let of_group = || steps.iter().filter(|step| step.group == group.atom);
                let goes = of_group().any(|step| step.action == Action::DeleteGroup);
                let removed = |rule: &ObservedRule| of_group().flat_map(|s| &s.removes).any(|gone| is(rule, gone));
                let planned = delete.cascade.get(&group.atom).map(Vec::as_slice).unwrap_or_default();
                let refers = group.rules.iter().filter(|rule| rule.rule.peer.group() == Some(delete.group) && !goes);
                let new = refers.filter(|rule| !removed(rule) && !planned.iter().any(|known| is(rule, known)));
                let text = |rule: &Rule| spell(rule, name);
                changed
                    .extend(new.map(|rule| self.changed(group.name.as_str(), format!("{} is new", text(&rule.rule)))));
                let gone = planned.iter().filter(|known| !group.rules.iter().any(|rule| is(rule, known)));
                changed.extend(
                    gone.map(|rule| self.changed(group.name.as_str(), format!("{} is gone", text(&rule.rule)))),
                );
            }
            let there = |group: &Atom| self.observed.groups.iter().any(|g| g.atom == *group);
            let lost = delete.cascade.keys().filter(|group| !there(group));
            changed.extend(lost.map(|group| self.changed(atoms.text(*group), "it is gone".to_owned())));
        }
        changed
    }

    /// Groups whose deletion may take others' rules along, by the user's word when the plan was made.
    fn cascades(&self, atoms: &mut Atoms) -> Vec<(NetworkName, Atom)> {
        let of_network = self.saved.cascades().filter(|(network, _)| network == self.network);
        let names = of_network.map(|(network, group)| self.saved.text(network, *group));
        names.map(|name| (self.network.clone(), self.find_or_name(name, atoms))).collect()
    }

    fn rules(&mut self, group: &str, rules: &[StepRule], atoms: &mut Atoms) -> Vec<StepRule> {
        let mut named = Vec::new();
        for rule in rules {
            match self.rule(rule.rule, atoms) {
                Some(now) => named.push(StepRule { rule: now, ..rule.clone() }),
                // The plan deletes the group that it refers to, and has done so already.
                None if self.goes(rule) => {}
                None => {
                    let text = spell(&rule.rule, |atom| self.saved.text(self.network, atom));
                    self.lost.insert((group.to_owned(), text));
                }
            }
        }
        named
    }

    /// Whether a rule refers to a group that the plan deletes.
    fn goes(&self, rule: &StepRule) -> bool {
        let deletes = |step: &&Step| step.action == Action::DeleteGroup && step.network == *self.network;
        self.saved.steps().iter().filter(deletes).any(|step| rule.rule.peer.group() == Some(step.group))
    }

    fn touched(&self) -> BTreeSet<&'a str> {
        let steps = self.saved.steps().iter().filter(|s| s.network == *self.network);
        steps.map(|step| self.saved.text(self.network, step.group)).collect()
    }

    /// Whether what a step brings about is so.
    fn is_done(&self, step: &Step) -> bool {
        let group = self.observed.groups.iter().find(|group| group.atom == step.group);
        let there = |rule: &StepRule| group.is_some_and(|g| g.rules.iter().any(|r| is(r, rule)));
        match step.action {
            Action::CreateGroup => group.is_some_and(|group| group.made_by(self.ours)),
            Action::AddRules => step.adds.iter().all(there),
            Action::RemoveRules => !step.removes.iter().any(there),
            Action::ReplaceRules => step.adds.iter().all(there) && !step.removes.iter().any(there),
            Action::DeleteGroup => group.is_none(),
            Action::SetMarks => group.is_some_and(|group| has_marks(group, step)),
            // Best effort: where the plan does more, nothing hangs on them.
            Action::UpdateDescriptions => {
                let only = self.saved.steps().iter().all(|s| s.action == Action::UpdateDescriptions);
                let said = |rule: &StepRule| {
                    group.is_some_and(|g| g.rules.iter().any(|r| is(r, rule) && r.description == rule.description))
                };
                !only || step.adds.iter().all(said)
            }
        }
    }

    fn has_required(&self, plan: &GroupPlan) -> bool {
        let group = self.observed.groups.iter().find(|group| group.atom == plan.atom);
        let rules = || group.map(|group| group.rules.as_slice()).unwrap_or_default().iter().map(|r| r.rule);
        let both = [Direction::Ingress, Direction::Egress];
        both.into_iter().all(|direction| {
            let of = |rules: &mut dyn Iterator<Item = Rule>| PacketSet::of(rules.filter(|r| r.direction == direction));
            of(&mut rules()).contains(&of(&mut plan.diff.required.iter().map(|r| r.rule)))
        })
    }

    fn group(&mut self, name: &str, input: &NetworkInput<'_>, steps: &[Step], atoms: &mut Atoms) -> GroupPlan {
        let (now, declared) = (self.find(name), declared(self.saved, self.network, name));
        let atom = now.map_or_else(|| atoms.intern(name), |group| group.atom);
        let ownership = match now {
            Some(group) => group.ownership(declared, self.ours),
            None => declared.unwrap_or(Ownership::Exclusive),
        };
        let required = self.saved.required(self.network, name).into_iter();
        let required: Vec<DesiredRule> =
            required.filter_map(|r| Some(DesiredRule { rule: self.rule(r.rule, atoms)?, ..r })).collect();
        let rules = now.map(|group| group.rules.as_slice()).unwrap_or_default();
        let of_group = || steps.iter().filter(|step| step.group == atom);
        let fates = now.map(|group| self.fates(group, ownership, &required, steps)).unwrap_or_default();
        let added =
            || of_group().filter(|s| matches!(s.action, Action::AddRules | Action::ReplaceRules | Action::CreateGroup));
        let adds: Vec<DesiredRule> = added()
            .flat_map(|s| &s.adds)
            .map(|add| DesiredRule { rule: add.rule, reasons: add.reasons.clone() })
            .collect();
        let stays = rules.iter().zip(&fates).filter(|(_, fate)| !matches!(fate, Fate::Remove | Fate::Cascade));
        let stays = stays.map(|(r, _)| (r.rule, r.weight));
        // What a step has brought about already is among the rules that stay.
        let due = added().filter(|step| !self.is_done(step)).flat_map(|s| &s.adds).map(|add| (add.rule, 1));
        let after: Vec<(Rule, u32)> = stays.chain(due).collect();
        let entries =
            || self.saved.document.groups.iter().filter(|g| g.network == *self.network && g.security_group == name);
        let members = entries().filter_map(|g| Some((g.cluster.clone(), g.group.clone()?))).collect();
        let status = entries().next().map_or(GroupStatus::Change, |entry| entry.status);
        GroupPlan {
            atom,
            security_group: name.to_owned(),
            members,
            ownership,
            status,
            wanted: required.clone(),
            rules_before: rules.len(),
            rules_after: after.len(),
            quota: quota_use(after.iter().copied(), input.pack.dialect(), &self.observed.limits),
            outbound_closed: false,
            stale_descriptions: 0,
            diff: GroupDiff { fates, adds, required },
        }
    }

    /// What becomes of a group's rules, as the plan that was saved said it.
    fn fates(
        &self,
        group: &ObservedGroup,
        ownership: Ownership,
        required: &[DesiredRule],
        steps: &[Step],
    ) -> Vec<Fate> {
        let of_group = |marks: bool| {
            let steps = steps.iter().filter(|step| step.group == group.atom);
            steps.filter(move |step| changes_marks(step) == marks)
        };
        let removed = |rule: &ObservedRule| of_group(false).flat_map(|s| &s.removes).any(|gone| is(rule, gone));
        let along = |rule: &ObservedRule| {
            steps.iter().filter_map(|s| s.cascade.get(&group.atom)).flatten().any(|gone| is(rule, gone))
        };
        let joined = |rule: &ObservedRule| of_group(true).flat_map(|s| &s.adds).any(|add| is(rule, add));
        let left = |rule: &ObservedRule| of_group(true).flat_map(|s| &s.removes).any(|gone| is(rule, gone));
        let satisfied = satisfied(required, group, ownership, self.ours);
        let fate = |(place, (rule, claim)): (usize, (&ObservedRule, Claim))| match is_ours(claim, ownership) {
            _ if removed(rule) => Fate::Remove,
            _ if along(rule) => Fate::Cascade,
            true if left(rule) => Fate::Leave,
            true => Fate::Keep,
            false if joined(rule) => Fate::Join,
            false if satisfied.contains(&place) => Fate::Satisfies,
            false => Fate::Foreign,
        };
        group.rules.iter().zip(group.claims(self.ours)).enumerate().map(fate).collect()
    }

    /// What makes the plan another for a group.
    fn changes(&mut self, plan: &GroupPlan, steps: &[Step], atoms: &mut Atoms) -> Vec<PlanError> {
        let name = plan.security_group.as_str();
        let then = self.saved.observed().find(|(n, group)| *n == self.network && group.name.as_str() == name);
        let texts = match (then.map(|(_, group)| group), self.find(name)) {
            (None, None) => {
                let taken = self.observed.groups.iter().any(|group| group.name.as_str() == name);
                taken.then(|| "somebody has made a group of that name".to_owned()).into_iter().collect()
            }
            (None, Some(_)) if self.created.contains(name) => vec!["it is there by now".to_owned()],
            (Some(_), None) => vec!["it is gone".to_owned()],
            (Some(then), Some(now)) => self.differences(then, now, plan, steps, atoms),
            (None, Some(_)) => Vec::new(),
        };
        texts.into_iter().map(|what| self.changed(name, what)).collect()
    }

    fn differences(
        &mut self,
        then: &ObservedGroup,
        now: &ObservedGroup,
        plan: &GroupPlan,
        steps: &[Step],
        atoms: &mut Atoms,
    ) -> Vec<String> {
        let marks = |group: &ObservedGroup| group.marks.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let mut texts = Vec::new();
        if marks(then) != marks(now) {
            texts.push("its marks have changed".to_owned());
        }
        let was: Vec<ObservedRule> = then
            .rules
            .iter()
            .filter_map(|r| Some(ObservedRule { rule: self.rule(r.rule, atoms)?, ..r.clone() }))
            .collect();
        let was = ObservedGroup { rules: was, ..then.clone() };
        let spelled = |rule: Rule| {
            spell(&rule, |atom| {
                let group = self.observed.groups.iter().find(|group| group.atom == atom);
                group.map_or_else(|| atoms.text(atom), |group| group.name.as_str())
            })
        };
        for direction in [Direction::Ingress, Direction::Egress] {
            let (before, after) =
                (Side::of(&was, plan, direction, self.ours), Side::of(now, plan, direction, self.ours));
            for (a, b, what) in [(&before, &after, "is gone"), (&after, &before, "is new")] {
                let ours = a.ours.difference(&b.ours);
                let theirs = a.needed.difference(&b.needed).difference(&ours);
                texts.extend(ours.cover(direction).into_iter().map(|rule| format!("{} {what}", spelled(rule))));
                let theirs = theirs.cover(direction).into_iter();
                texts.extend(theirs.map(|rule| format!("{}, somebody else's, {what}", spelled(rule))));
            }
        }
        let of_group = steps.iter().filter(|step| step.group == plan.atom);
        for rule in
            of_group.flat_map(|step| step.removes.iter().chain(step.adds.iter().filter(|_| changes_marks(step))))
        {
            let marks = |group: &ObservedGroup| group.rules.iter().find(|r| is(r, rule)).map(|r| r.marks.clone());
            match (marks(&was), marks(now)) {
                (Some(then), Some(now)) if then != now => texts.push(format!("{} has other marks", spelled(rule.rule))),
                (_, None) => texts.push(format!("{} is gone, or was made again", spelled(rule.rule))),
                (_, Some(_)) => {}
            }
        }
        texts
    }

    fn changed(&self, group: &str, what: String) -> PlanError {
        PlanError::Changed { network: self.network.clone(), group: group.to_owned(), what }
    }

    /// Required rules that may be cut for a time, by the user's word when the plan was made.
    fn gaps(&mut self, atoms: &mut Atoms) -> Vec<(NetworkName, Atom, Rule)> {
        let of_network = self.saved.gaps().filter(|(network, ..)| network == self.network);
        let named: Vec<(NetworkName, Atom, Rule)> = of_network.cloned().collect();
        let now = named.into_iter().filter_map(|(network, group, rule)| {
            let group = self.atom(self.saved.text(self.network, group), atoms)?;
            Some((network, group, self.rule(rule, atoms)?))
        });
        now.collect()
    }

    fn orphans(&self) -> Vec<Orphan> {
        let of_network = self.saved.document.orphans.iter().filter(|orphan| orphan.network == *self.network);
        let there = of_network.filter_map(|entry| {
            let group = self.observed.groups.iter().find(|group| group.id.as_str() == entry.id)?;
            let marks = group.marks.iter().filter(|mark| entry.marks.contains(&mark.to_string())).cloned().collect();
            Some(Orphan { atom: group.atom, marks, prune: entry.prune, rules: entry.rules })
        });
        there.collect()
    }
}

/// One direction of a group: the packets of rules that are ours, and the required ones that pass.
struct Side {
    ours: PacketSet,
    needed: PacketSet,
}

impl Side {
    fn of(group: &ObservedGroup, plan: &GroupPlan, direction: Direction, ours: Ours<'_>) -> Self {
        let rules = || group.rules.iter().zip(group.claims(ours)).filter(|(r, _)| r.rule.direction == direction);
        let mine = rules().filter(|(_, claim)| is_ours(*claim, plan.ownership)).map(|(rule, _)| rule.rule);
        let required = plan.diff.required.iter().map(|r| r.rule).filter(|rule| rule.direction == direction);
        let passing = PacketSet::of(rules().map(|(rule, _)| rule.rule));
        Self { ours: PacketSet::of(mine), needed: PacketSet::of(required).intersection(&passing) }
    }
}

fn is_ours(claim: Claim, ownership: Ownership) -> bool {
    claim.ours || (ownership == Ownership::Exclusive && !claim.writer)
}

fn is(observed: &ObservedRule, rule: &StepRule) -> bool {
    let same_id = observed.id.is_none() || rule.id.is_none() || observed.id == rule.id;
    let same_place = rule.resource.is_none() || observed.resource == rule.resource;
    observed.rule == rule.rule && same_id && same_place
}

/// Whether the marks of a group and of its rules are as a step leaves them.
fn has_marks(group: &ObservedGroup, step: &Step) -> bool {
    let of_group = |mark: &Mark| group.marks.iter().any(|m| m.mark == *mark);
    let carries = |rule: &StepRule, mark: &Mark| group.rules.iter().any(|r| is(r, rule) && r.marks.contains(mark));
    step.group_marks.iter().all(|(mark, _)| of_group(mark))
        && !step.group_unmarks.iter().any(of_group)
        && step.adds.iter().all(|rule| rule.marks.iter().all(|mark| carries(rule, mark)))
        && !step.removes.iter().any(|rule| rule.marks.iter().any(|mark| carries(rule, mark)))
}

fn changes_marks(step: &Step) -> bool {
    step.action == Action::SetMarks
}

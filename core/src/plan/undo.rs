//! What a run did to each group, told in the names that the cloud has now.

use std::collections::{BTreeMap, BTreeSet};

use super::Action;
use super::rollback::Begun;
use crate::desired::Elsewhere;
use crate::document::Saved;
use crate::inventory::SecurityGroup;
use crate::link::names_another_account;
use crate::name::{GroupId, Mark, NetworkName, Origin};
use crate::observed::{Observed, ObservedGroup, ObservedRule, Ours};
use crate::pack::Dialect;
use crate::rule::{Atom, Atoms, Direction, PeerKind, Rule, RulePeer};

/// What a run did to one group. All rules are of the atoms of now.
pub(super) struct Undo<'a> {
    /// The group's name then.
    pub name: &'a str,
    /// The group before the run, with the saved plan's atoms; `None`: the run made it.
    pub before: Option<&'a ObservedGroup>,
    /// Its rules before the run, but for those that refer to groups which are gone.
    pub was: Vec<ObservedRule>,
    /// Rules that the run took away and that can't be named any more, spelled.
    pub unnamed: Vec<String>,
    /// The same group now.
    pub now: Option<&'a ObservedGroup>,
    /// The run deleted it, and nobody has made one of that name since.
    pub remade: bool,
    /// What the run added.
    pub added: BTreeSet<Rule>,
    /// What the run took away.
    pub removed: BTreeSet<Rule>,
    /// Rules of others that it put our marks on.
    pub joined: BTreeMap<Rule, Vec<Mark>>,
    /// Rules of others that it took our marks off.
    pub left: BTreeMap<Rule, Vec<Mark>>,
    /// The descriptions that it wrote.
    pub described: BTreeMap<Rule, String>,
    /// The marks that it put on the group.
    pub marked: Vec<(Mark, Origin)>,
    /// The marks that it took off the group.
    pub unmarked: Vec<Mark>,
}

/// What a run did in one network, group by group; `atoms` are those of `observed`.
pub(super) fn undone<'a>(
    saved: &'a Saved,
    begun: &'a Begun,
    network: &'a NetworkName,
    observed: &'a Observed,
    atoms: &mut Atoms,
    ours: Ours<'_>,
    dialect: &Dialect,
) -> Vec<Undo<'a>> {
    let then = Then { names_stay: dialect.groups_are_implicit, ..Then::of(saved, begun, network, observed, ours) };
    let mut all: BTreeMap<&str, Undo<'a>> = BTreeMap::new();
    let steps = saved.steps().iter().filter(|s| s.network == *network && begun.contains_key(&s.id));
    for step in steps {
        let name = saved.text(network, step.group);
        let undo = all.entry(name).or_insert_with(|| then.before_it(name, atoms));
        let adds: Vec<_> = step.adds.iter().filter_map(|r| Some((then.rule(r.rule, atoms)?, r))).collect();
        let removes: Vec<_> = step.removes.iter().filter_map(|r| Some((then.rule(r.rule, atoms)?, r))).collect();
        match step.action {
            Action::CreateGroup => {}
            Action::AddRules | Action::RemoveRules | Action::ReplaceRules => {
                undo.added.extend(adds.iter().map(|(rule, _)| *rule));
                undo.removed.extend(removes.iter().map(|(rule, _)| *rule));
                let unnamed = step.removes.iter().filter(|r| then.rule(r.rule, atoms).is_none());
                let texts: Vec<String> = unnamed.map(|r| spell(&r.rule, |atom| saved.text(network, atom))).collect();
                undo.unnamed.extend(texts);
            }
            Action::SetMarks => {
                undo.joined.extend(adds.into_iter().map(|(rule, r)| (rule, r.marks.clone())));
                undo.left.extend(removes.into_iter().map(|(rule, r)| (rule, r.marks.clone())));
                undo.marked.extend(step.group_marks.iter().cloned());
                undo.unmarked.extend(step.group_unmarks.iter().cloned());
            }
            Action::UpdateDescriptions => {
                undo.described.extend(adds.into_iter().map(|(rule, r)| (rule, r.description.clone())));
            }
            Action::DeleteGroup => undo.removed.extend(undo.was.iter().map(|r| r.rule)),
        }
    }
    all.into_values().collect()
}

/// The names of then, and what they mean now.
struct Then<'a, 'o> {
    saved: &'a Saved,
    begun: &'a Begun,
    network: &'a NetworkName,
    observed: &'a Observed,
    ours: Ours<'o>,
    /// The ids of then, by name; those of new groups where the cloud told.
    ids: BTreeMap<&'a str, &'a str>,
    /// Groups that the run made or deleted.
    fleeting: BTreeSet<&'a str>,
    /// Groups that the run deleted, and of whose name there is none now.
    remade: BTreeSet<&'a str>,
    /// A name means the same group for ever.
    names_stay: bool,
}

impl<'a, 'o> Then<'a, 'o> {
    fn of(
        saved: &'a Saved,
        begun: &'a Begun,
        network: &'a NetworkName,
        observed: &'a Observed,
        ours: Ours<'o>,
    ) -> Self {
        let of_network = saved.document.groups.iter().filter(|g| g.network == *network);
        let ids = of_network.filter_map(|g| Some((g.security_group.as_str(), g.id.as_deref()?)));
        let touched = saved.observed().filter(|(n, _)| *n == network).map(|(_, g)| (g.name.as_str(), g.id.as_str()));
        let mut then = Self {
            saved,
            begun,
            network,
            observed,
            ours,
            ids: ids.chain(touched).collect(),
            fleeting: BTreeSet::new(),
            remade: BTreeSet::new(),
            names_stay: false,
        };
        for step in saved.steps().iter().filter(|s| s.network == *network) {
            let (Some(made), name) = (begun.get(&step.id), saved.text(network, step.group)) else { continue };
            if matches!(step.action, Action::CreateGroup | Action::DeleteGroup) {
                then.fleeting.insert(name);
                then.ids.extend(made.as_ref().map(|id| (name, id.as_str())));
            }
            let gone = || observed.groups.iter().all(|g| g.name.as_str() != name);
            if step.action == Action::DeleteGroup && then.group(name).is_none() && gone() {
                then.remade.insert(name);
            }
        }
        then
    }

    /// The group of that name then, as it is now. One that the run deleted may have been made again by us; of one that it
    /// made, the id may not be known.
    fn group(&self, name: &str) -> Option<&'a ObservedGroup> {
        let id = self.ids.get(name);
        let by_id = id.and_then(|id| self.observed.groups.iter().find(|g| g.id.as_str() == *id));
        let existed = || self.saved.observed().any(|(n, g)| n == self.network && g.name.as_str() == name);
        let by_mark = || self.observed.groups.iter().find(|g| g.name.as_str() == name && g.made_by(self.ours));
        let may_differ = self.fleeting.contains(name) && (id.is_none() || existed());
        by_id.or_else(|| if may_differ { by_mark() } else { None })
    }

    fn rule(&self, rule: Rule, atoms: &mut Atoms) -> Option<Rule> {
        let RulePeer::Opaque(kind, atom, family) = rule.peer else { return Some(rule) };
        let text = self.saved.text(self.network, atom);
        let atom = if kind == PeerKind::Group { self.peer(text, atoms)? } else { atoms.intern(text) };
        Some(Rule { peer: RulePeer::Opaque(kind, atom, family), ..rule })
    }

    fn peer(&self, text: &str, atoms: &mut Atoms) -> Option<Atom> {
        if self.names_stay || self.remade.contains(text) {
            return Some(atoms.intern(text));
        }
        if let Some(group) = self.group(text) {
            return Some(group.atom);
        }
        if self.ids.contains_key(text) || self.fleeting.contains(text) {
            return None;
        }
        if let Some(listed) = self.of_another_network(text) {
            return Some(atoms.intern(&listed?));
        }
        // A group of which the plan did not speak: by its name, or by an id that nobody resolves.
        let known = self.observed.groups.iter().find(|g| g.name.as_str() == text || g.id.as_str() == text);
        let by_id = || matches!(SecurityGroup::parse(text), Ok(SecurityGroup::Id(_))) || names_another_account(text);
        known.map(|g| g.atom).or_else(|| by_id().then(|| atoms.intern(text)))
    }

    /// How rules here name `NETWORK › NAME`, a group that the run made in another network; `Some(None)`: nobody knows its id.
    fn of_another_network(&self, text: &str) -> Option<Option<String>> {
        let Elsewhere { network, group } = Elsewhere::parse(text)?;
        let entry = self.saved.document.networks.iter().find(|n| n.name == network)?;
        let made = self.saved.steps().iter().filter(|s| s.action == Action::CreateGroup && s.network == entry.name);
        let made = made.filter(|s| self.saved.text(&s.network, s.group) == group.as_str());
        let id = made.filter_map(|s| self.begun.get(&s.id)?.as_ref()).next().map(GroupId::as_str);
        let listed = id.map(|id| match (&entry.account, &self.observed.account) {
            (Some(theirs), Some(own)) if theirs != own => format!("{theirs}/{id}"),
            _ => id.to_owned(),
        });
        Some(listed)
    }

    /// A group to which nothing has been done yet.
    fn before_it(&self, name: &'a str, atoms: &mut Atoms) -> Undo<'a> {
        let before = self.saved.observed().find(|(n, g)| *n == self.network && g.name.as_str() == name).map(|(_, g)| g);
        let rules = before.map(|g| g.rules.as_slice()).unwrap_or_default();
        let was = rules.iter().filter_map(|r| Some(ObservedRule { rule: self.rule(r.rule, atoms)?, ..r.clone() }));
        Undo {
            name,
            before,
            was: was.collect(),
            unnamed: Vec::new(),
            now: self.group(name),
            remade: self.remade.contains(name),
            added: BTreeSet::new(),
            removed: BTreeSet::new(),
            joined: BTreeMap::new(),
            left: BTreeMap::new(),
            described: BTreeMap::new(),
            marked: Vec::new(),
            unmarked: Vec::new(),
        }
    }
}

/// `in 22/tcp from 10.0.0.0/8`.
pub(super) fn spell<'t>(rule: &Rule, text: impl Fn(Atom) -> &'t str) -> String {
    let (way, side) = match rule.direction {
        Direction::Ingress => ("in", "from"),
        Direction::Egress => ("out", "to"),
    };
    match rule.peer {
        RulePeer::Addresses(cidr) => format!("{way} {} {side} {cidr}", rule.traffic),
        RulePeer::Opaque(_, atom, _) => format!("{way} {} {side} {}", rule.traffic, text(atom)),
    }
}

//! A group's changes become the fewest calls on firewall rules, each of which lets an exact product of sources and traffic
//! through, and what such rules can say.
//!
//! No call relies on one that can't go before it: insertions and patches that only add come first, patches that add and
//! remove at once need no other such patch, removals are last. No firewall rule is touched by two calls.

mod arrange;
mod name;
mod product;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rsgsync_core::describe::{describe_group, marks_in, without_marks};
use rsgsync_core::diff::open_outbound;
use rsgsync_core::name::{Mark, Origin};
use rsgsync_core::observed::{Holds, ObservedGroup, ObservedRule, Resource};
use rsgsync_core::pack::{Call, Dialect, GroupChanges, QuotaCount, Site};
use rsgsync_core::plan::{Action, StepRule};
use rsgsync_core::rule::{Direction, Family, Rule, RulePeer};

use arrange::{Arrangement, Part, arrange};
use name::new_name;
use product::Most;

/// Address ranges of a firewall rule where nothing says otherwise.
const ADDRESSES: u32 = 256;

/// Source tags, and source service accounts, of a firewall rule.
const TAGS: usize = 30;
const ACCOUNTS: usize = 10;

/// What firewall rules can say.
pub fn dialect() -> Dialect {
    Dialect {
        references_match_both: true,
        default_rules: open_outbound(Family::Both),
        description_alphabet: None,
        description_length: 2048,
        marks_in_description: true,
        quota: QuotaCount::All,
        delete_cascades: false,
        updates_descriptions: false,
        groups_are_implicit: true,
    }
}

/// Why a rule of a group of this name can't name a peer of that name; `None`: it can.
pub fn mixes(group: &str, peer: &str) -> Option<String> {
    let [this, that] = [group, peer].map(|name| if is_account(name) { "a service account" } else { "a network tag" });
    (this != that).then(|| {
        format!(
            "`{group}` is {this} and `{peer}` {that}, which no firewall rule has both of: give both a tag or both a service \
             account, or state the `addresses` of `{peer}`"
        )
    })
}

/// Whether a group's name is a service account's: a tag never has an `@`.
pub fn is_account(group: &str) -> bool {
    group.contains('@')
}

/// The fewest calls that carry out the changes of one group.
pub fn pack(changes: &GroupChanges, at: &Site<'_>, dialect: &Dialect) -> Vec<Call> {
    let mut packing = Packing::of(changes, at, dialect);
    let mut calls = packing.denials();
    for direction in [Direction::Ingress, Direction::Egress] {
        calls.extend(packing.rules(direction));
    }
    calls.extend(packing.left());
    let touched: BTreeSet<String> = calls.iter().filter_map(|call| call.resource.clone()).collect();
    calls.extend(packing.marks(&touched));
    calls
}

/// One group's changes.
struct Packing<'a> {
    changes: &'a GroupChanges,
    at: &'a Site<'a>,
    dialect: &'a Dialect,
    resources: &'a [Resource],
    /// Names that are taken, those of new firewall rules included.
    taken: BTreeSet<Arc<str>>,
}

impl<'a> Packing<'a> {
    fn of(changes: &'a GroupChanges, at: &'a Site<'a>, dialect: &'a Dialect) -> Self {
        let resources = at.group.map_or(&[][..], |group| group.resources.as_slice());
        let mut taken = at.network.taken.clone();
        taken.extend(resources.iter().map(|resource| Arc::clone(&resource.name)));
        Self { changes, at, dialect, resources, taken }
    }

    /// What the cloud gives to every group goes by a deny of ours, and comes back when that is deleted.
    fn denials(&mut self) -> Vec<Call> {
        let denial = |rule: &Rule| {
            let denies = |r: &&Resource| r.holds == Holds::Denial(rule.peer.family());
            self.resources.iter().find(denies).map(|r| (r.name.to_string(), r.disabled))
        };
        let mut calls = Vec::new();
        let opened = self.changes.adds.iter().filter(|add| self.is_denied(&add.rule));
        let opened: BTreeMap<Rule, &StepRule> = opened.map(|add| (add.rule, add)).collect();
        for add in opened.into_values() {
            let (resource, adds) = (denial(&add.rule).map(|(name, _)| name), vec![add.clone()]);
            calls.push(Call { resource, adds, ..Call::new(Action::AddRules, Some(Direction::Egress)) });
        }
        for remove in self.changes.removes.iter().filter(|remove| remove.resource.is_none()) {
            let there = denial(&remove.rule).filter(|(_, disabled)| *disabled).map(|(name, _)| name);
            let content = ["deny".to_owned(), self.spell(&remove.rule)];
            let resource = there.or_else(|| Some(self.new_name(&content)));
            let purpose = "outbound traffic is narrowed".to_owned();
            let description = Some(describe_group(purpose, &self.changes.marks, self.dialect));
            let removes = vec![remove.clone()];
            let call = Call::new(Action::RemoveRules, Some(Direction::Egress));
            calls.push(Call { resource, removes, description, ..call });
        }
        calls
    }

    /// Whether a rule is the cloud's own that a deny of ours takes away.
    fn is_denied(&self, rule: &Rule) -> bool {
        let denied = self.at.group.into_iter().flat_map(ObservedGroup::denied);
        self.dialect.default_rules.contains(rule) && denied.into_iter().any(|family| family == rule.peer.family())
    }

    /// The calls for the rules of one direction.
    fn rules(&mut self, direction: Direction) -> Vec<Call> {
        let (parts, source) = (self.parts(direction), self.source(direction));
        let adds = source.adds.keys().copied().collect();
        let Arrangement { changed, new } = arrange(&parts, &adds, direction, &self.most());
        let mut calls = Vec::new();
        for rules in new {
            let adds: Vec<StepRule> = rules.iter().map(|rule| source.added(rule, &self.changes.marks)).collect();
            let purposes = purposes(adds.iter().map(|add| add.description.as_str()));
            let content: Vec<String> = rules.iter().map(|rule| self.spell(rule)).collect();
            let resource = Some(self.new_name(&content));
            let description = Some(describe_group(purposes, &self.changes.marks, self.dialect));
            let call = Call::new(Action::AddRules, Some(direction));
            calls.push(Call { resource, adds, description, ..call });
        }
        for (name, after) in changed {
            let (Some(part), Some(resource)) = (parts.get(name), self.resource(name)) else { continue };
            calls.extend(self.change(resource, &part.before, &after, &source));
        }
        calls
    }

    /// The call that makes a firewall rule let `after` through instead of `before`.
    fn change(
        &self,
        resource: &Resource,
        before: &BTreeSet<Rule>,
        after: &BTreeSet<Rule>,
        source: &Source<'_>,
    ) -> Option<Call> {
        let adds: Vec<StepRule> = after.difference(before).map(|r| source.added(r, &self.changes.marks)).collect();
        let removes: Vec<StepRule> = before.difference(after).map(|r| source.removed(r, resource)).collect();
        let action = match (adds.is_empty(), removes.is_empty()) {
            (true, true) => return None,
            (false, true) => Action::AddRules,
            (true, false) => Action::RemoveRules,
            (false, false) => Action::ReplaceRules,
        };
        let old = if before.is_disjoint(after) { None } else { Some(resource.description.as_str()) };
        let new = adds.iter().map(|add| add.description.as_str());
        let purposes = purposes(old.into_iter().chain(new));
        let marks = if adds.is_empty() { self.marks_after(resource) } else { self.changes.marks.clone() };
        let changes = !adds.is_empty() || self.is_marked_anew(resource);
        let description = (changes && !after.is_empty())
            .then(|| describe_group(purposes, &marks, self.dialect))
            .filter(|text| *text != resource.description);
        let (direction, name) = (resource.direction, resource.name.to_string());
        Some(Call { resource: Some(name), adds, removes, description, ..Call::new(action, Some(direction)) })
    }

    fn parts(&self, direction: Direction) -> BTreeMap<&'a str, Part> {
        let ours = |resource: &Resource| {
            let mine = |mark: &Mark| self.changes.marks.iter().any(|(ours, _)| ours == mark);
            !resource.marks.is_empty() && resource.marks.iter().all(|m| mine(&m.mark))
        };
        let holding = self.resources.iter().filter(|r| r.direction == direction && r.holds == Holds::Rules);
        let mut parts: BTreeMap<&'a str, Part> = holding
            .map(|r| (&*r.name, Part { before: BTreeSet::new(), goes: BTreeSet::new(), takes: ours(r) }))
            .collect();
        for observed in self.at.group.into_iter().flat_map(|group| &group.rules) {
            let part = observed.resource.as_deref().and_then(|name| parts.get_mut(name));
            part.into_iter().for_each(|part| {
                part.before.insert(observed.rule);
            });
        }
        for remove in &self.changes.removes {
            let part = remove.resource.as_deref().and_then(|name| parts.get_mut(name));
            part.into_iter().for_each(|part| {
                part.goes.insert(remove.rule);
            });
        }
        parts
    }

    fn source(&self, direction: Direction) -> Source<'a> {
        let here = |rule: &&StepRule| rule.rule.direction == direction;
        let adds = self.changes.adds.iter().filter(here).filter(|add| !self.is_denied(&add.rule));
        let observed = self.at.group.into_iter().flat_map(|group| &group.rules);
        let observed = observed.filter(|observed| observed.rule.direction == direction);
        let removes = self.changes.removes.iter().filter(here);
        Source {
            adds: adds.map(|add| (add.rule, add)).collect(),
            removes: removes.filter_map(|r| Some(((r.resource.as_deref()?, r.rule), r))).collect(),
            observed: observed.map(|observed| (observed.rule, observed)).collect(),
        }
    }

    fn most(&self) -> Most {
        let stated = self.at.network.limits.addresses_per_resource;
        let addresses = stated.map_or(ADDRESSES, |limit| limit.at_most.max(1));
        Most { addresses: usize::try_from(addresses).unwrap_or(usize::MAX), tags: TAGS, accounts: ACCOUNTS }
    }

    fn resource(&self, name: &str) -> Option<&'a Resource> {
        self.resources.iter().find(|resource| *resource.name == *name)
    }

    /// Firewall rules of ours that hold nothing, when nobody holds the group any more.
    fn left(&self) -> Vec<Call> {
        let goes = |mark: &Mark| self.changes.group_unmarks.contains(mark);
        let ours = |r: &&Resource| !r.marks.is_empty() && r.marks.iter().all(|m| goes(&m.mark));
        let empty = self.resources.iter().filter(|r| r.disabled && self.changes.marks.is_empty()).filter(ours);
        let delete = |r: &Resource| Call {
            resource: Some(r.name.to_string()),
            ..Call::new(Action::RemoveRules, Some(r.direction))
        };
        empty.map(delete).collect()
    }

    /// New descriptions of firewall rules that lose or gain marks and that no other call touches.
    fn marks(&self, touched: &BTreeSet<String>) -> Vec<Call> {
        let untouched = self.resources.iter().filter(|r| !touched.contains(&*r.name) && self.is_marked_anew(r));
        let describe = |r: &Resource| {
            let of = |rules: &[StepRule]| -> Vec<StepRule> {
                rules.iter().filter(|rule| rule.resource.as_deref() == Some(&*r.name)).cloned().collect()
            };
            let text = describe_group(purposes([r.description.as_str()]), &self.marks_after(r), self.dialect);
            Call {
                resource: Some(r.name.to_string()),
                adds: of(&self.changes.joins),
                removes: of(&self.changes.leaves),
                description: Some(text),
                ..Call::new(Action::SetMarks, Some(r.direction))
            }
        };
        untouched.map(describe).collect()
    }

    fn is_marked_anew(&self, resource: &Resource) -> bool {
        let now = resource.marks.iter().map(|m| &m.mark);
        let after = self.marks_after(resource);
        !now.eq(after.iter().map(|(mark, _)| mark))
    }

    /// A firewall rule's marks when the changes are done, sorted; one that would be left without is ours while somebody of
    /// ours holds the group.
    fn marks_after(&self, resource: &Resource) -> Vec<(Mark, Origin)> {
        let of = |rules: &[StepRule]| -> BTreeSet<Mark> {
            let here = rules.iter().filter(|rule| rule.resource.as_deref() == Some(&*resource.name));
            here.flat_map(|rule| rule.marks.iter().cloned()).collect()
        };
        let (joins, leaves) = (of(&self.changes.joins), of(&self.changes.leaves));
        let goes = |mark: &Mark| self.changes.group_unmarks.contains(mark) || leaves.contains(mark);
        let origin = |mark: &Mark| self.changes.marks.iter().find(|(m, _)| m == mark).map(|(_, origin)| *origin);
        let stays = resource.marks.iter().filter(|m| !goes(&m.mark)).map(|m| (m.mark.clone(), m.origin));
        let comes = joins.iter().map(|mark| (mark.clone(), origin(mark).unwrap_or(Origin::Joined)));
        let mut marks: BTreeMap<Mark, Origin> = comes.chain(stays).collect();
        if marks.is_empty() && !resource.marks.is_empty() {
            marks.extend(self.changes.marks.iter().cloned());
        }
        marks.into_iter().collect()
    }

    fn new_name(&mut self, content: &[String]) -> String {
        let group = self.changes.group.map(|group| self.at.atoms.text(group).to_owned()).unwrap_or_default();
        let content: Vec<String> = std::iter::once(group).chain(content.iter().cloned()).collect();
        let mark = self.changes.marks.first().map(|(mark, _)| mark);
        let name = new_name(mark, &content, &self.taken);
        self.taken.insert(Arc::clone(&name));
        name.to_string()
    }

    fn spell(&self, rule: &Rule) -> String {
        let peer = match rule.peer {
            RulePeer::Addresses(cidr) => cidr.to_string(),
            RulePeer::Opaque(_, atom, _) => self.at.atoms.text(atom).to_owned(),
        };
        format!("{} {} {peer}", rule.direction.as_str(), rule.traffic)
    }
}

/// What is known of the rules of a direction that come and go.
struct Source<'a> {
    adds: BTreeMap<Rule, &'a StepRule>,
    removes: BTreeMap<(&'a str, Rule), &'a StepRule>,
    observed: BTreeMap<Rule, &'a ObservedRule>,
}

impl Source<'_> {
    /// A rule that is to be there: one that is missing, or one that moves.
    fn added(&self, rule: &Rule, marks: &[(Mark, Origin)]) -> StepRule {
        if let Some(add) = self.adds.get(rule) {
            return (*add).clone();
        }
        let description = self.observed.get(rule).map(|from| from.description.clone()).unwrap_or_default();
        let marks = marks.iter().map(|(mark, _)| mark.clone()).collect();
        StepRule { description, marks, ..StepRule::plain(*rule) }
    }

    /// A rule that is not to be in this resource any more.
    fn removed(&self, rule: &Rule, resource: &Resource) -> StepRule {
        if let Some(remove) = self.removes.get(&(&*resource.name, *rule)) {
            return (*remove).clone();
        }
        let (description, resource) = (resource.description.clone(), Some(Arc::clone(&resource.name)));
        StepRule { description, resource, ..StepRule::plain(*rule) }
    }
}

/// The purposes in descriptions, each once.
fn purposes<'t>(descriptions: impl IntoIterator<Item = &'t str>) -> String {
    let mut all: BTreeSet<String> = BTreeSet::new();
    for text in descriptions {
        let text = without_marks(text, &marks_in(text));
        all.extend(text.split("; ").map(str::trim).filter(|purpose| !purpose.is_empty()).map(str::to_owned));
    }
    all.into_iter().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;

//! One desired group beside the observed one becomes its part of the plan, and what is to change.

use std::collections::BTreeSet;

use super::build::{NetworkInput, PlanOptions};
use super::going::{Doomed, Stuck, release, step_rule};
use super::quota::{QuotaUse, quota_use};
use super::waves::{Room, Wave, waves};
use super::{GroupPlan, GroupStatus, PlanError, StepRule};
use crate::describe::{describe, describe_group};
use crate::desired::DesiredRule;
use crate::diff::{Fate, GroupDiff, diff, open_outbound};
use crate::flow::Reason;
use crate::inventory::{EgressMode, Ownership, SecurityGroup};
use crate::link::Linked;
use crate::name::{ClusterName, GroupId, GroupName, Mark, NodeGroupName, Origin, Owner};
use crate::observed::{Observed, ObservedGroup, ObservedRule, Ours};
use crate::pack::{Dialect, GroupChanges};
use crate::packets::PacketSet;
use crate::rule::{Atoms, Direction, Family, Rule, RulePeer};

/// A group's part of the plan.
pub(super) struct Made {
    pub plan: GroupPlan,
    /// What is to change, in the order that the quota asks for; the first holds all but later additions and removals.
    pub waves: Vec<GroupChanges>,
    /// Required rules that may be cut for a time.
    pub gaps: Vec<Rule>,
    /// Rules that stay, although they refer to groups that are to be deleted.
    pub stuck: Vec<Stuck>,
}

/// How one group stands, and what is to change in it.
pub(super) fn group(
    mut linked: Linked<'_>,
    input: &NetworkInput<'_>,
    observed: &Observed,
    atoms: &Atoms,
    ours: Ours<'_>,
    options: &PlanOptions,
    doomed: &Doomed,
) -> Result<Made, PlanError> {
    let dialect = input.pack.dialect();
    let desired = linked.desired;
    let network = input.network.name.clone();
    let name = desired.security_group.to_string();
    let marks = marks(&desired.members, ours.owner);
    let there = linked.observed.filter(|group| group.exists(dialect));
    let new_group;
    let (existing, ownership) = match there {
        Some(group) => {
            let ownership = group.ownership(desired.ownership, ours);
            let other = group.other_mark(ours).filter(|_| ownership == Ownership::Exclusive && !options.take_over);
            if let Some(mark) = other {
                return Err(PlanError::OtherOwner { network, group: name, mark: mark.clone() });
            }
            if let Some((resource, why)) = group.unreadable(ownership, ours) {
                let (resource, why) = (resource.to_owned(), why.to_owned());
                return Err(PlanError::Unreadable { network, group: name, resource, why });
            }
            (group, ownership)
        }
        None if matches!(desired.security_group, SecurityGroup::Id(_)) => {
            return Err(PlanError::NoSuchId { network, group: name });
        }
        None if desired.ownership == Some(Ownership::Shared) && !desired.create => {
            return Err(PlanError::SharedGroupMissing { network, group: name });
        }
        None if dialect.groups_are_implicit => {
            new_group = linked.observed.cloned().unwrap_or_else(|| brand_new(&linked, dialect, &name));
            (&new_group, desired.ownership.unwrap_or(Ownership::Exclusive))
        }
        None => {
            new_group = brand_new(&linked, dialect, &name);
            // Nobody relies yet on what the cloud puts into a new group.
            linked.wanted.held.clear();
            (&new_group, Ownership::Exclusive)
        }
    };
    linked.wanted.add_only = options.add_only;
    let mut diff = diff(&linked.wanted, existing, ownership, ours);
    diff.project_adds(dialect);
    let selected = options.select(&network, desired);
    if options.tidy && selected && !options.add_only {
        tidy(&mut diff);
    }
    let stuck = release(&mut diff, existing, doomed, ours);
    let of_fate = |wanted: &'static [Fate]| {
        let rules = diff.fates.iter().zip(&existing.rules).filter(move |(fate, _)| wanted.contains(fate));
        rules.map(|(_, rule)| rule)
    };
    let mut changes = GroupChanges { group: Some(linked.atom), ..GroupChanges::default() };
    // A removal says which marks of ours were seen: the provider looks for others' right before.
    let with_seen = |rule: &ObservedRule| step_rule(rule, rule.marks.iter().filter(|m| ours.is(m)).cloned().collect());
    let mut stale = 0;
    if selected {
        changes.adds = diff.adds.iter().map(|add| to_add(add, &marks, dialect)).collect();
        changes.removes = of_fate(&[Fate::Remove]).map(with_seen).collect();
        changes.joins = of_fate(&[Fate::Join]).map(|r| step_rule(r, marks.clone())).collect();
        changes.leaves = of_fate(&[Fate::Leave]).map(with_seen).collect();
        let unsayable = |rule: &Rule| {
            let peer = if let RulePeer::Opaque(_, atom, _) = rule.peer { atoms.text(atom) } else { "" };
            input.pack.unsayable(rule, &name, peer)
        };
        if let Some((add, why)) = changes.adds.iter().find_map(|a| Some((a, unsayable(&a.rule)?))) {
            let row = add.reasons.first().map(|r| format!("{}/{}", r.profile, r.row)).unwrap_or_default();
            return Err(PlanError::Unsayable { network, group: name, traffic: add.rule.traffic, row, why });
        }
        if let Some(why) = input.pack.refuses_name(&name).filter(|_| there.is_none()) {
            return Err(PlanError::NoSuchName { network, group: name, why });
        }
        if dialect.groups_are_implicit {
            changes.marks = marks_of_resources(&marks, there, desired.ownership, ours);
        } else if there.is_none() {
            changes.group_marks = marks.iter().map(|m| (m.clone(), Origin::Made)).collect();
            changes.create = Some(group_description(&linked, ours.owner, &changes.group_marks, dialect));
        } else {
            changes.group_marks = new_group_marks(existing, &marks, desired.ownership, &changes, ours);
        }
        if there.is_some() && options.take_over && ownership == Ownership::Exclusive {
            let others = existing.marks.iter().map(|m| &m.mark).filter(|m| !ours.is(m));
            changes.group_unmarks = others.cloned().collect();
        }
        let stale_rules = stale_descriptions(&linked.wanted.rules, existing, &diff, &marks, dialect, ours);
        changes.removes.sort_by(by_rule);
        changes.joins.sort_by(by_rule);
        changes.leaves.sort_by(by_rule);
        let touched = !changes.adds.is_empty() || !changes.removes.is_empty() || options.tidy;
        if touched && dialect.updates_descriptions && there.is_some() {
            changes.descriptions = stale_rules;
        } else {
            stale = stale_rules.len();
        }
    }
    let added = changes.adds.len();
    let removed = changes.removes.len();
    let after = existing
        .rules
        .iter()
        .zip(&diff.fates)
        .filter(|(_, f)| !(selected && matches!(f, Fate::Remove | Fate::Cascade)));
    let after: Vec<(Rule, u32)> =
        after.map(|(r, _)| (r.rule, r.weight)).chain(changes.adds.iter().map(|a| (a.rule, 1))).collect();
    let adopts = changes.group_marks.iter().any(|(_, o)| *o == Origin::Adopted)
        || (added + removed > 0 && changes.marks.iter().any(|new| is_adopted(new, existing)));
    let status = match (selected, there) {
        (false, _) => GroupStatus::Skipped,
        // Nothing to make: a group that is but a name needs no more.
        (_, None) if dialect.groups_are_implicit && added + removed == 0 => GroupStatus::InSync,
        (_, None) => GroupStatus::Create,
        _ if adopts => GroupStatus::Adopt,
        _ if added + removed + changes.joins.len() + changes.leaves.len() > 0 => GroupStatus::Change,
        _ => GroupStatus::InSync,
    };
    let outbound_closed = !outbound_open(after.iter().map(|(rule, _)| *rule), desired.family);
    let plan = GroupPlan {
        atom: linked.atom,
        security_group: name,
        members: desired.members.clone(),
        ownership: if there.is_none() { desired.ownership.unwrap_or(ownership) } else { ownership },
        status,
        wanted: linked.wanted.rules,
        rules_before: there.map_or(0, |g| g.rules.len() - given(g, dialect)),
        rules_after: after.len().saturating_sub(given(existing, dialect)),
        quota: quota_use(after.iter().copied(), dialect, &observed.limits),
        outbound_closed: outbound_closed && desired.egress == EgressMode::Open,
        stale_descriptions: stale,
        diff,
    };
    let (waves, gaps) = in_waves(changes, existing, &plan, dialect, observed, options)
        .map_err(|full| no_room(input, &plan, existing, full))?;
    Ok(Made { plan, waves, gaps, stuck })
}

/// The changes in waves that the quota has room for; where it has none, with the gaps that the user allows.
fn in_waves(
    changes: GroupChanges,
    existing: &ObservedGroup,
    plan: &GroupPlan,
    dialect: &Dialect,
    observed: &Observed,
    options: &PlanOptions,
) -> Result<(Vec<GroupChanges>, Vec<Rule>), QuotaUse> {
    let room = || Room {
        present: existing.rules.iter().map(|r| (r.rule, r.weight)).collect(),
        dialect,
        limits: &observed.limits,
    };
    if room().overflow(&changes.adds).is_none() {
        return Ok((vec![changes], Vec::new()));
    }
    let may_be_cut = |rule: &&DesiredRule| {
        let named = |r: &Reason| {
            options.allow_gap.contains(&*r.row) || options.allow_gap.contains(&format!("{}/{}", r.profile, r.row))
        };
        !rule.reasons.is_empty() && rule.reasons.iter().all(named)
    };
    let required = |gaps: bool| -> Vec<Rule> {
        plan.diff.required.iter().filter(|r| !(gaps && may_be_cut(r))).map(|r| r.rule).collect()
    };
    let split = |gaps| waves(room(), changes.adds.clone(), changes.removes.clone(), &required(gaps));
    let (waves, gaps) = match split(false) {
        Ok(waves) => (waves, Vec::new()),
        Err(_) if !options.allow_gap.is_empty() => {
            (split(true)?, plan.diff.required.iter().filter(may_be_cut).map(|r| r.rule).collect())
        }
        Err(full) => return Err(full),
    };
    Ok((in_turns(changes, waves), gaps))
}

/// The changes of each wave; the first has all but later additions and removals.
pub(super) fn in_turns(changes: GroupChanges, waves: Vec<Wave>) -> Vec<GroupChanges> {
    let group = changes.group;
    let mut first = Some(changes);
    let in_order = waves.into_iter().map(|Wave { adds, removes }| match first.take() {
        Some(all) => GroupChanges { adds, removes, ..all },
        None => GroupChanges { group, adds, removes, ..GroupChanges::default() },
    });
    in_order.collect()
}

/// The arithmetic of a quota without room.
pub(super) fn no_room(
    input: &NetworkInput<'_>,
    plan: &GroupPlan,
    existing: &ObservedGroup,
    full: QuotaUse,
) -> PlanError {
    let mut parts = full.what.split(' ');
    let (direction, family) = (parts.next(), parts.next());
    let counts = |rule: &Rule| {
        let in_family = |word: &str| rule.peer.family().each().iter().any(|own| own.as_str() == word);
        family.is_none_or(|word| in_family(word) && direction == Some(rule.direction.as_str()))
    };
    let counted = |fate: Option<Fate>| {
        let all = existing.rules.iter().zip(&plan.diff.fates).filter(|(_, f)| fate.is_none_or(|fate| **f == fate));
        all.filter(|(rule, _)| counts(&rule.rule)).map(|(rule, _)| rule.weight).sum()
    };
    let adds = plan.diff.adds.iter().filter(|a| counts(&a.rule)).count();
    PlanError::Quota {
        network: input.network.name.clone(),
        group: plan.security_group.clone(),
        before: counted(None),
        adds: u32::try_from(adds).unwrap_or(u32::MAX),
        removes: counted(Some(Fate::Remove)),
        peak: full.used,
        of: full.of,
        what: full.what,
    }
}

/// The marks of the clusters that use a group: what its rules carry.
pub(super) fn marks(members: &[(ClusterName, NodeGroupName)], owner: &Owner) -> Vec<Mark> {
    let clusters: BTreeSet<&ClusterName> = members.iter().map(|(cluster, _)| cluster).collect();
    clusters.into_iter().map(|cluster| Mark { owner: owner.clone(), cluster: cluster.clone() }).collect()
}

/// A group as the cloud makes it, before our first rule.
fn brand_new(linked: &Linked<'_>, dialect: &Dialect, name: &str) -> ObservedGroup {
    let placeholder = "new";
    let rules = dialect.default_rules.iter().map(|rule| ObservedRule::plain(*rule));
    ObservedGroup {
        atom: linked.atom,
        id: GroupId::new(placeholder).expect("a word is an id"),
        name: GroupName::new(name).unwrap_or_else(|_| GroupName::new(placeholder).expect("a word is a name")),
        description: String::new(),
        marks: Vec::new(),
        revision: None,
        rules: rules.collect(),
        resources: Vec::new(),
    }
}

/// How many rules the cloud gives to every group; no object of ours holds them.
fn given(group: &ObservedGroup, dialect: &Dialect) -> usize {
    group.rules.iter().filter(|rule| dialect.groups_are_implicit && rule.resource.is_none()).count()
}

fn tidy(diff: &mut GroupDiff) {
    diff.fates.iter_mut().filter(|fate| **fate == Fate::Redundant).for_each(|fate| *fate = Fate::Remove);
}

pub(super) fn to_add(add: &DesiredRule, marks: &[Mark], dialect: &Dialect) -> StepRule {
    StepRule {
        rule: add.rule,
        id: None,
        description: describe(&add.reasons, marks, dialect),
        marks: marks.to_vec(),
        reasons: add.reasons.clone(),
        resource: None,
    }
}

fn group_description(linked: &Linked<'_>, owner: &Owner, marks: &[(Mark, Origin)], dialect: &Dialect) -> String {
    let members = linked.desired.members.iter().map(|(c, g)| format!("{c}/{g}")).collect::<Vec<_>>().join(", ");
    describe_group(format!("{members} (rsgsync, owner {owner})"), marks, dialect)
}

/// Marks that an existing group lacks: `adopted` where the inventory takes it over, `joined` where our first rule goes in;
/// in a group that is ours already, those of clusters that use it since.
fn new_group_marks(
    group: &ObservedGroup,
    marks: &[Mark],
    declared: Option<Ownership>,
    changes: &GroupChanges,
    ours: Ours<'_>,
) -> Vec<(Mark, Origin)> {
    let has = |mark: &Mark| group.marks.iter().find(|m| m.mark == *mark).map(|m| m.origin);
    let taken = group.marks.iter().find(|m| ours.is(&m.mark) && m.origin != Origin::Joined).map(|m| m.origin);
    let writes = !changes.adds.is_empty() || !changes.joins.is_empty();
    let (origin, lacks): (Origin, fn(Option<Origin>) -> bool) = match (taken, declared) {
        (Some(origin), _) => (origin, |has| has != Some(Origin::Made) && has != Some(Origin::Adopted)),
        (None, Some(Ownership::Exclusive)) => (Origin::Adopted, |has| has != Some(Origin::Adopted)),
        _ if writes => (Origin::Joined, |has| has.is_none()),
        _ => return Vec::new(),
    };
    marks.iter().filter(|m| lacks(has(m))).map(|m| (m.clone(), origin)).collect()
}

/// The marks of what is made for a group that is but a name, and how we hold it: as so far, else as the inventory says.
fn marks_of_resources(
    marks: &[Mark],
    there: Option<&ObservedGroup>,
    declared: Option<Ownership>,
    ours: Ours<'_>,
) -> Vec<(Mark, Origin)> {
    let so_far = |group: &ObservedGroup| group.marks.iter().filter(|m| ours.is(&m.mark)).map(|m| m.origin).min();
    let origin = match there.map(so_far) {
        None => Origin::Made,
        Some(Some(origin)) if origin != Origin::Joined => origin,
        Some(_) if declared == Some(Ownership::Exclusive) => Origin::Adopted,
        Some(_) => Origin::Joined,
    };
    marks.iter().map(|mark| (mark.clone(), origin)).collect()
}

/// Whether a mark says that a group is taken over which wasn't ours before.
fn is_adopted((mark, origin): &(Mark, Origin), group: &ObservedGroup) -> bool {
    let had = group.marks.iter().find(|had| had.mark == *mark).map(|had| had.origin);
    *origin == Origin::Adopted && had.is_none_or(|had| had == Origin::Joined)
}

fn by_rule(a: &StepRule, b: &StepRule) -> std::cmp::Ordering {
    (a.rule, &a.id).cmp(&(b.rule, &b.id))
}

/// Rules of ours that stay exactly as wanted, but say something else; `wanted` is sorted.
fn stale_descriptions(
    wanted: &[DesiredRule],
    group: &ObservedGroup,
    diff: &GroupDiff,
    marks: &[Mark],
    dialect: &Dialect,
    ours: Ours<'_>,
) -> Vec<StepRule> {
    let find = |rule: Rule| {
        let known = wanted[..wanted.partition_point(|w| w.rule <= rule)].last();
        known.filter(|w| w.rule == rule && !w.reasons.is_empty())
    };
    let by_the_cloud = |rule: &Rule| dialect.default_rules.contains(rule);
    // What another owner needs too, keeps the words of whoever came first.
    let alone = |r: &ObservedRule| r.marks.iter().all(|m| ours.is(m));
    let kept = group.rules.iter().zip(&diff.fates);
    let kept = kept.filter(|(r, fate)| **fate == Fate::Keep && !by_the_cloud(&r.rule) && alone(r));
    // A resource's description is of all its rules.
    let stale = kept.filter(|(r, _)| r.resource.is_none()).filter_map(|(rule, _)| {
        let want = find(rule.rule)?;
        let description = describe(&want.reasons, marks, dialect);
        (description != rule.description).then(|| StepRule {
            rule: rule.rule,
            id: rule.id.clone(),
            description,
            marks: Vec::new(),
            reasons: want.reasons.clone(),
            resource: None,
        })
    });
    let mut stale: Vec<StepRule> = stale.collect();
    stale.sort_by(by_rule);
    stale
}

fn outbound_open(rules: impl Iterator<Item = Rule>, family: Family) -> bool {
    let outbound = rules.filter(|r| r.direction == Direction::Egress);
    PacketSet::of(outbound).contains(&PacketSet::of(open_outbound(family)))
}

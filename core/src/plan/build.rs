//! Desired beside observed becomes a plan, or the reasons why none can be made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::order::{GroupCalls, order};
use super::quota::quota_use;
use super::{Action, GroupPlan, GroupStatus, NetworkPlan, Plan, Step, StepRule};
use crate::describe::describe;
use crate::desired::{Desired, DesiredNetwork, DesiredRule};
use crate::diff::{Fate, GroupDiff, Ours, diff};
use crate::flow::Flows;
use crate::guard::GuardsInForce;
use crate::inventory::{Inventory, Network, Ownership};
use crate::link::{Linked, MissingPeer, link};
use crate::name::{ClusterName, Mark, NetworkName, Origin, Owner};
use crate::observed::{Observed, ObservedGroup, ObservedRule};
use crate::pack::{Dialect, GroupChanges, Pack};
use crate::proof::{Case, GroupCase, prove};
use crate::rule::{Atom, Cidr, Direction, Rule, RulePeer};

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
}

/// Why no plan can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A shared group doesn't exist.
    #[error("security group `{group}` of network `{network}` is shared, but does not exist")]
    SharedGroupMissing {
        /// The network.
        network: NetworkName,
        /// The group.
        group: String,
    },
    /// A group given by id doesn't exist.
    #[error("security group `{group}` of network `{network}` does not exist")]
    NoSuchId {
        /// The network.
        network: NetworkName,
        /// The id.
        group: String,
    },
    /// An exclusive group carries the mark of another owner.
    #[error("security group `{group}` of network `{network}` is to be exclusive, but carries the mark of `{mark}`")]
    OtherOwner {
        /// The network.
        network: NetworkName,
        /// The group.
        group: String,
        /// The other's mark.
        mark: Mark,
    },
    /// A rule names a group that is neither there nor to be made.
    #[error("network `{network}`: {missing}")]
    MissingPeer {
        /// The network.
        network: NetworkName,
        /// Who names whom.
        missing: MissingPeer,
    },
    /// A rule names a group that `--cluster` leaves unmade.
    #[error("rules of `{group}` refer to security group `{peer}`, which doesn't exist and which --cluster leaves out")]
    LeftOut {
        /// The group whose rules refer to it.
        group: String,
        /// The group that would have to be made first.
        peer: String,
        /// A cluster that has it.
        cluster: ClusterName,
    },
    /// A group that is to be deleted is referred to by a rule that isn't ours.
    #[error(
        "security group `{group}` of network `{network}` can't be deleted: a rule of `{from}` that isn't ours refers to it"
    )]
    StillReferenced {
        /// The network.
        network: NetworkName,
        /// The group that was to be deleted.
        group: String,
        /// The group whose rule refers to it.
        from: String,
    },
    /// The quota has no room for the additions that must stand before the removals.
    #[error(
        "security group `{group}` of network `{network}` has no room: {before} rules now, {adds} to add, {removes} to \
         remove afterwards, {peak} at once, but the quota is {of} ({what})"
    )]
    Quota {
        /// The network.
        network: NetworkName,
        /// The group.
        group: String,
        /// Counted now.
        before: u32,
        /// Counted among the additions.
        adds: u32,
        /// Counted among the removals.
        removes: u32,
        /// The most that are there at once.
        peak: u32,
        /// The quota.
        of: u32,
        /// What is counted.
        what: String,
    },
}

impl PlanError {
    /// What to do next.
    pub fn help(&self) -> String {
        let help = match self {
            Self::LeftOut { cluster, .. } => return format!("add `--cluster {cluster}`, or apply that cluster first"),
            Self::SharedGroupMissing { .. } => "check the name, or write `create: true` beside `ownership: shared`",
            Self::NoSuchId { .. } => "check the id, the region and the network, or name the group instead",
            Self::OtherOwner { .. } => "write `ownership: shared`, or pass `--take-over` when that owner is gone",
            Self::MissingPeer { .. } => "check the name, give the group's id, or create the group first",
            Self::StillReferenced { .. } => "remove that rule by hand, or ask whoever made it",
            Self::Quota { .. } => {
                "raise the quota with your provider and state it under the network's `quotas`, or use fewer and wider peers"
            }
        };
        help.to_owned()
    }
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
    let (mut networks, mut calls, mut cases, mut errors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
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
            let (plan, changes) = match made {
                Ok(made) => made,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            cases.push(case(&input.network.name, &plan, linked.observed, guards));
            calls.push(GroupCalls {
                network: input.network.name.clone(),
                group: plan.atom,
                calls: input.pack.pack(&changes, &observed.limits),
            });
            groups.push(plan);
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
    let proof = prove(&Case { groups: cases, steps: &steps, trusted: &inventory.trusted, gaps: Vec::new() });
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

/// How one group stands, and what is to change in it.
fn group(
    linked: &Linked<'_>,
    input: &NetworkInput<'_>,
    observed: &Observed,
    ours: Ours<'_>,
    options: &PlanOptions,
) -> Result<(GroupPlan, GroupChanges), PlanError> {
    let dialect = input.pack.dialect();
    let desired = linked.desired;
    let network = input.network.name.clone();
    let name = desired.security_group.to_string();
    let marks = marks(linked, ours.owner);
    let new_group;
    let (existing, ownership) = match linked.observed {
        Some(group) => {
            let ownership = group.ownership(desired.ownership, ours.owner);
            let others = group.marks.iter().find(|m| m.mark.owner != *ours.owner && m.origin != Origin::Joined);
            if let Some(other) = others.filter(|_| ownership == Ownership::Exclusive && !options.take_over) {
                return Err(PlanError::OtherOwner { network, group: name, mark: other.mark.clone() });
            }
            (group, ownership)
        }
        None if matches!(desired.security_group, crate::inventory::SecurityGroup::Id(_)) => {
            return Err(PlanError::NoSuchId { network, group: name });
        }
        None if desired.ownership == Some(Ownership::Shared) && !desired.create => {
            return Err(PlanError::SharedGroupMissing { network, group: name });
        }
        None => {
            new_group = brand_new(linked, dialect, &name);
            (&new_group, Ownership::Exclusive)
        }
    };
    let mut diff = diff(&linked.wanted, existing, ownership, ours);
    let selected = options.clusters.as_ref().is_none_or(|only| desired.members.iter().any(|(c, _)| only.contains(c)));
    if options.add_only {
        spare(&mut diff, |fate| matches!(fate, Fate::Remove | Fate::Leave));
    }
    if options.tidy && selected && !options.add_only {
        tidy(&mut diff);
    }
    let of_fate = |wanted: &'static [Fate]| {
        let rules = diff.fates.iter().zip(&existing.rules).filter(move |(fate, _)| wanted.contains(fate));
        rules.map(|(_, rule)| rule)
    };
    let mut changes = GroupChanges { group: Some(linked.atom), ..GroupChanges::default() };
    let with_marks = |rule: &ObservedRule, marks: Vec<Mark>| StepRule {
        rule: rule.rule,
        id: rule.id.clone(),
        description: rule.description.clone(),
        marks,
        reasons: Vec::new(),
    };
    // A removal says which marks of ours were seen: the provider looks for others' right before.
    let is_ours = |m: &&Mark| m.owner == *ours.owner && ours.clusters.contains(&m.cluster);
    let with_seen = |rule: &ObservedRule| with_marks(rule, rule.marks.iter().filter(is_ours).cloned().collect());
    let mut stale = 0;
    if selected {
        changes.adds = diff.adds.iter().map(|add| to_add(add, &marks, dialect)).collect();
        changes.removes = of_fate(&[Fate::Remove]).map(with_seen).collect();
        changes.joins = of_fate(&[Fate::Join]).map(|r| with_marks(r, marks.clone())).collect();
        changes.leaves = of_fate(&[Fate::Leave]).map(with_seen).collect();
        if linked.observed.is_none() {
            changes.create = Some(group_description(linked, ours.owner, dialect));
            changes.group_marks = marks.iter().map(|m| (m.clone(), Origin::Made)).collect();
        } else {
            changes.group_marks = new_group_marks(existing, &marks, desired.ownership, &changes, ours.owner);
        }
        let stale_rules = stale_descriptions(&linked.wanted.rules, existing, &diff, &marks, dialect);
        let touched = !changes.adds.is_empty() || !changes.removes.is_empty() || options.tidy;
        if touched && dialect.updates_descriptions && linked.observed.is_some() {
            changes.descriptions = stale_rules;
        } else {
            stale = stale_rules.len();
        }
    }
    let added = changes.adds.len();
    let removed = changes.removes.len();
    check_quota(&network, &name, existing, &changes, dialect, &observed.limits)?;
    let after = existing.rules.iter().zip(&diff.fates).filter(|(_, f)| !(selected && **f == Fate::Remove));
    let after: Vec<(Rule, u32)> =
        after.map(|(r, _)| (r.rule, r.weight)).chain(changes.adds.iter().map(|a| (a.rule, 1))).collect();
    let status = match (selected, linked.observed) {
        (false, _) => GroupStatus::Skipped,
        (_, None) => GroupStatus::Create,
        _ if changes.group_marks.iter().any(|(_, o)| *o == Origin::Adopted) => GroupStatus::Adopt,
        _ if added + removed + changes.joins.len() + changes.leaves.len() > 0 => GroupStatus::Change,
        _ => GroupStatus::InSync,
    };
    let outbound_closed = !outbound_open(after.iter().map(|(rule, _)| *rule), desired.family);
    let plan = GroupPlan {
        atom: linked.atom,
        security_group: name,
        members: desired.members.clone(),
        ownership,
        status,
        wanted: linked.wanted.rules.clone(),
        rules_before: linked.observed.map_or(0, |g| g.rules.len()),
        rules_after: after.len(),
        quota: quota_use(after.iter().copied(), dialect, &observed.limits),
        outbound_closed: outbound_closed && desired.egress == crate::inventory::EgressMode::Open,
        stale_descriptions: stale,
        diff,
    };
    Ok((plan, changes))
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
            let adds = calls.calls.iter().flat_map(|call| &call.adds);
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

/// The marks of the clusters that use a group: what its rules carry.
fn marks(linked: &Linked<'_>, owner: &Owner) -> Vec<Mark> {
    let clusters: BTreeSet<&ClusterName> = linked.desired.members.iter().map(|(cluster, _)| cluster).collect();
    clusters.into_iter().map(|cluster| Mark { owner: owner.clone(), cluster: cluster.clone() }).collect()
}

/// A group as the cloud makes it, before our first rule.
fn brand_new(linked: &Linked<'_>, dialect: &Dialect, name: &str) -> ObservedGroup {
    use crate::name::{GroupId, GroupName};
    let placeholder = "new";
    let rules = dialect.default_rules.iter().map(|rule| ObservedRule {
        rule: *rule,
        id: None,
        description: String::new(),
        marks: Vec::new(),
        weight: 1,
    });
    ObservedGroup {
        atom: linked.atom,
        id: GroupId::new(placeholder).expect("a word is an id"),
        name: GroupName::new(name).unwrap_or_else(|_| GroupName::new(placeholder).expect("a word is a name")),
        description: String::new(),
        marks: Vec::new(),
        revision: None,
        rules: rules.collect(),
    }
}

fn spare(diff: &mut GroupDiff, which: impl Fn(Fate) -> bool) {
    diff.fates.iter_mut().filter(|fate| which(**fate)).for_each(|fate| *fate = Fate::Spared);
}

fn tidy(diff: &mut GroupDiff) {
    diff.fates.iter_mut().filter(|fate| **fate == Fate::Redundant).for_each(|fate| *fate = Fate::Remove);
}

fn to_add(add: &DesiredRule, marks: &[Mark], dialect: &Dialect) -> StepRule {
    StepRule {
        rule: add.rule,
        id: None,
        description: describe(&add.reasons, marks, dialect),
        marks: marks.to_vec(),
        reasons: add.reasons.clone(),
    }
}

fn group_description(linked: &Linked<'_>, owner: &Owner, dialect: &Dialect) -> String {
    let members = linked.desired.members.iter().map(|(c, g)| format!("{c}/{g}")).collect::<Vec<_>>().join(", ");
    let why: Arc<str> = format!("{members} (rsgsync, owner {owner})").into();
    let reason = linked.desired.members.first().map(|(cluster, _)| crate::flow::Reason {
        cluster: cluster.clone(),
        profile: "".into(),
        row: "".into(),
        why,
    });
    describe(reason.as_slice(), &marks(linked, owner), dialect)
}

/// Marks that an existing group lacks: `adopted` where the inventory takes it over, `joined` where our first rule goes in.
fn new_group_marks(
    group: &ObservedGroup,
    marks: &[Mark],
    declared: Option<Ownership>,
    changes: &GroupChanges,
    owner: &Owner,
) -> Vec<(Mark, Origin)> {
    let has = |mark: &Mark, origin: Option<Origin>| {
        group.marks.iter().any(|m| m.mark == *mark && origin.is_none_or(|o| m.origin == o))
    };
    let taken = group.marks.iter().any(|m| m.mark.owner == *owner && m.origin != Origin::Joined);
    let missing = |origin: Origin, any: bool| -> Vec<(Mark, Origin)> {
        let lacks =
            marks.iter().filter(|m| if any { !has(m, None) } else { has(m, Some(Origin::Joined)) || !has(m, None) });
        lacks.map(|m| (m.clone(), origin)).collect()
    };
    match declared {
        Some(Ownership::Exclusive) if !taken => missing(Origin::Adopted, false),
        _ if taken => Vec::new(),
        _ if !changes.adds.is_empty() || !changes.joins.is_empty() => missing(Origin::Joined, true),
        _ => Vec::new(),
    }
}

/// Rules of ours that stay exactly as wanted, but say something else.
fn stale_descriptions(
    wanted: &[DesiredRule],
    group: &ObservedGroup,
    diff: &GroupDiff,
    marks: &[Mark],
    dialect: &Dialect,
) -> Vec<StepRule> {
    let wanted: BTreeMap<Rule, &DesiredRule> = wanted.iter().map(|r| (r.rule, r)).collect();
    let by_the_cloud = |rule: &Rule| dialect.default_rules.contains(rule);
    let kept = group.rules.iter().zip(&diff.fates).filter(|(r, fate)| **fate == Fate::Keep && !by_the_cloud(&r.rule));
    let stale = kept.filter_map(|(rule, _)| {
        let want = wanted.get(&rule.rule).filter(|w| !w.reasons.is_empty())?;
        let description = describe(&want.reasons, marks, dialect);
        (description != rule.description).then(|| StepRule {
            rule: rule.rule,
            id: rule.id.clone(),
            description,
            marks: Vec::new(),
            reasons: want.reasons.clone(),
        })
    });
    stale.collect()
}

fn outbound_open(rules: impl Iterator<Item = Rule>, family: crate::rule::Family) -> bool {
    use crate::packets::PacketSet;
    let outbound = rules.filter(|r| r.direction == Direction::Egress);
    PacketSet::of(outbound).contains(&PacketSet::of(crate::diff::open_outbound(family)))
}

fn check_quota(
    network: &NetworkName,
    name: &str,
    group: &ObservedGroup,
    changes: &GroupChanges,
    dialect: &Dialect,
    limits: &crate::observed::Limits,
) -> Result<(), PlanError> {
    let before: Vec<(Rule, u32)> = group.rules.iter().map(|r| (r.rule, r.weight)).collect();
    let adds: Vec<(Rule, u32)> = changes.adds.iter().map(|a| (a.rule, 1)).collect();
    let Some(peak) = quota_use(before.iter().chain(&adds).copied(), dialect, limits) else { return Ok(()) };
    if peak.used <= peak.of || adds.is_empty() {
        return Ok(());
    }
    let counted = |rules: &[(Rule, u32)]| {
        let mut parts = peak.what.split(' ');
        let (direction, family) = (parts.next(), parts.next());
        let counts = |rule: &Rule| {
            family.is_none_or(|f| rule.peer.family().each().iter().any(|own| own.as_str() == f))
                && (family.is_none() || direction == Some(rule.direction.as_str()))
        };
        rules.iter().filter(|(rule, _)| counts(rule)).map(|(_, weight)| weight).sum()
    };
    let removes: Vec<(Rule, u32)> = changes.removes.iter().map(|r| (r.rule, 1)).collect();
    Err(PlanError::Quota {
        network: network.clone(),
        group: name.to_owned(),
        before: counted(&before),
        adds: counted(&adds),
        removes: counted(&removes),
        peak: peak.used,
        of: peak.of,
        what: peak.what.clone(),
    })
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

/// Why apply refuses to take so much away, unless told otherwise.
pub(super) fn blast(networks: &[NetworkPlan], steps: &[Step], max_removals: Option<usize>) -> Option<String> {
    let removing = || steps.iter().filter(|s| !matches!(s.action, Action::SetMarks | Action::UpdateDescriptions));
    let total: usize = removing().map(|s| s.removes.len()).sum();
    if let Some(most) = max_removals {
        return (total > most).then(|| format!("{total} rules would go, --max-removals is {most}"));
    }
    if total > 10 {
        return Some(format!("{total} rules would go, more than 10"));
    }
    for network in networks {
        for group in &network.groups {
            let of_group = removing().filter(|s| s.network == network.network.name && s.group == group.atom);
            let goes: usize = of_group.map(|s| s.removes.len()).sum();
            let ours =
                group.diff.fates.iter().filter(|f| !matches!(f, Fate::Foreign | Fate::Satisfies | Fate::Join)).count();
            let name = &group.security_group;
            if goes > 0 && group.rules_after == 0 {
                return Some(format!("`{name}` would have no rule left"));
            }
            if ours > 6 && goes * 3 > ours {
                return Some(format!("{goes} of the {ours} rules of ours in `{name}` would go, more than a third"));
            }
        }
    }
    None
}

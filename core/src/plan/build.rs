//! Desired beside observed becomes a plan, or the reasons why none can be made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::blast::blast;
use super::draft::Draft;
use super::going::Doomed;
use super::group::group;
use super::order::{GroupCalls, Place};
use super::orphan::{Orphan, deleted, orphans, pruned};
use super::shadow::{denied_already, shadowed};
use super::{Action, GroupPlan, GroupStatus, NetworkPlan, Plan, PlanError, Shard, ids_lost, words_for_nothing};
use crate::desired::{Desired, DesiredGroup, DesiredNetwork, DesiredRule, Elsewhere, row_word};
use crate::diff::{Fate, open_outbound};
use crate::flow::{Ask, Flows, Unopened, Why};
use crate::guard::GuardsInForce;
use crate::inventory::{EgressMode, Inventory, Network, Ownership, SecurityGroup};
use crate::link::{Unlinked, Whereabouts, link, settle_references};
use crate::name::{ClusterName, GroupName, NetworkName};
use crate::observed::{Observed, ObservedGroup, ObservedRule, Ours};
use crate::pack::{Pack, Site};
use crate::proof::GroupCase;
use crate::rule::{Atom, Cidr, Family, PeerKind, RulePeer};

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
    /// Only groups of this part of the fleet get steps.
    pub shard: Option<Shard>,
    /// No removal at all.
    pub add_only: bool,
    /// Remove redundant rules and bring descriptions up to date, too.
    pub tidy: bool,
    /// Remove orphans, too; never together with `clusters`, `shard` or `add_only`, which win.
    pub prune: bool,
    /// Names or ids of groups whose deletion may take others' rules along that refer to them, where the cloud does so.
    pub cascade: BTreeSet<String>,
    /// Take exclusive groups over that carry another owner's mark.
    pub take_over: bool,
    /// As many removals are fine.
    pub max_removals: Option<usize>,
    /// Rows, `ID` or `PROFILE/ID`, whose flows may be cut for a time where a quota leaves no other way.
    pub allow_gap: BTreeSet<String>,
}

impl PlanOptions {
    /// Whether a group gets steps.
    pub(super) fn select(&self, network: &NetworkName, group: &DesiredGroup) -> bool {
        self.in_shard(network, group.security_group.as_str()) && self.in_clusters(group)
    }

    fn in_shard(&self, network: &NetworkName, security_group: &str) -> bool {
        self.shard.is_none_or(|shard| shard.has(network, security_group))
    }

    fn in_clusters(&self, group: &DesiredGroup) -> bool {
        self.clusters.as_ref().is_none_or(|only| group.members.iter().any(|(cluster, _)| only.contains(cluster)))
    }

    fn prunes(&self) -> bool {
        self.prune && self.clusters.is_none() && self.shard.is_none() && !self.add_only
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
    let clusters = inventory.written();
    let ours = Ours { owner: &inventory.owner, clusters: &clusters };
    let mut draft = Draft::of(&inputs);
    let whereabouts = whereabouts(&inputs, &desired, |network, group| options.select(network, group));
    for mut input in inputs {
        let mut wish = desired.networks.remove(&input.network.name).unwrap_or_default();
        always_there(&mut input, wish.groups.iter().map(|g| (g.security_group.as_str(), g.atom)));
        let name = &input.network.name;
        let account = input.observed.as_ref().ok().and_then(|o| o.account.as_deref());
        if let Ok(observed) = &input.observed {
            wait_for_other_shards(&mut wish, name, observed, options);
        }
        let lost = settle_references(&mut wish, account, &whereabouts);
        desired.unopened.extend(not_there(inventory, name, &wish, lost));
        let Ok(observed) = &input.observed else {
            draft.networks.push(network_plan(input, wish, Vec::new(), Vec::new()));
            continue;
        };
        let (linked, unlinked) = link(&wish, observed, ours, input.pack);
        draft.errors.extend(unlinked_errors(name, unlinked));
        let orphaned = orphans(inventory, observed, &linked, ours);
        let dialect = input.pack.dialect();
        let deletes = options.prunes() && !dialect.groups_are_implicit;
        let pruned_groups = if deletes { deleted(&orphaned) } else { BTreeSet::new() };
        let doomed = Doomed::new(pruned_groups, &options.cascade, observed, dialect);
        draft.words(name, &doomed);
        let mut groups = Vec::new();
        for linked in linked {
            let existing = linked.observed;
            let made = match group(linked, &input, observed, &wish.atoms, ours, options, &doomed) {
                Ok(made) => made,
                Err(error) => {
                    draft.errors.push(error);
                    continue;
                }
            };
            let atom = made.plan.atom;
            draft.cases.push(case(name, &made.plan, existing, guards, ours));
            draft.still_referenced(&input, observed, &made.plan.security_group, made.stuck);
            existing.into_iter().for_each(|group| draft.cascading(name, group, &made.plan.diff.fates));
            let site = Site { group: existing, network: observed, atoms: &wish.atoms };
            let waves = made.waves.iter().map(|changes| input.pack.pack(changes, &site)).collect();
            draft.calls.push(GroupCalls { network: name.clone(), group: atom, waves });
            draft.gaps.extend(made.gaps.into_iter().map(|rule| (name.clone(), atom, rule)));
            groups.push(made.plan);
        }
        if options.prunes() {
            let going = pruned(&orphaned, observed, ours, &doomed);
            groups.extend(draft.going(going, &input, observed, &wish.atoms, guards));
        }
        draft.untouched(&input, observed, &groups, &doomed, ours);
        draft.networks.push(network_plan(input, wish, groups, orphaned));
    }
    let (networks, steps, proof) = draft.finish(&inventory.trusted)?;
    let mut notes: Vec<String> = adopted_from(&networks).collect();
    notes.extend(networks.iter().filter_map(|n| n.observed.as_ref().ok()).flat_map(|o| o.notes.iter().cloned()));
    notes.extend(shadowed(&networks));
    notes.extend(denied_already(&networks, &steps));
    notes.extend(strict_in_vain(inventory, &networks));
    notes.extend(ids_lost(&networks, &steps));
    notes.extend(words_for_nothing(&networks, &steps, &options.cascade));
    notes.extend(forbidden_but_there(&networks, guards, &inventory.trusted));
    notes.extend(stateless(&networks));
    let blast = blast(&networks, &steps, options.max_removals);
    let mut unopened: Vec<_> = flows.unopened.iter().chain(&desired.unopened).cloned().collect();
    unopened.sort();
    let (owner, trusted) = (inventory.owner.clone(), inventory.trusted.clone());
    Ok(Plan {
        unopened,
        without_members: flows.without_members.clone(),
        assumed: flows.assumed.clone(),
        elsewhere: desired.elsewhere,
        notes,
        blast,
        ..Plan::new(owner, clusters, trusted, (networks, steps, proof))
    })
}

/// Networks that are one place: the proof looks at each network for itself, and would see neither undo the other.
pub(super) fn same_places(inputs: &[NetworkInput<'_>]) -> Vec<PlanError> {
    let mut seen: BTreeMap<(&str, &str), &NetworkName> = BTreeMap::new();
    let mut errors = Vec::new();
    for input in inputs {
        let Some(place) = input.observed.as_ref().ok().and_then(|o| o.identity.as_deref()) else { continue };
        if let Some(one) = seen.insert((input.network.provider, place), &input.network.name) {
            let (one, two) = (one.clone(), input.network.name.clone());
            errors.push(PlanError::SamePlace { one, two, place: place.to_owned() });
        }
    }
    errors
}

/// Sets groups that are but names beside those that were read: such a group is always there, if only with what the cloud
/// gives to every group.
pub(super) fn always_there<'a>(input: &mut NetworkInput<'_>, groups: impl Iterator<Item = (&'a str, Atom)>) {
    let (dialect, Ok(observed)) = (input.pack.dialect(), &mut input.observed) else { return };
    if !dialect.groups_are_implicit {
        return;
    }
    for (name, atom) in groups {
        if let Ok(name) = GroupName::new(name)
            && observed.groups.iter().all(|group| group.name != name)
        {
            observed.groups.push(ObservedGroup::without_resources(&name, atom, dialect));
        }
    }
    observed.groups.sort_by(|a, b| a.id.cmp(&b.id));
}

/// Where groups are that other networks may refer to: what was read, and those of the rest that are `to_be_made`.
pub(super) fn whereabouts(
    inputs: &[NetworkInput<'_>],
    desired: &Desired,
    to_be_made: impl Fn(&NetworkName, &DesiredGroup) -> bool,
) -> BTreeMap<Elsewhere, Whereabouts> {
    let mut all = BTreeMap::new();
    // A group that is but a name means nothing in another network.
    for NetworkInput { network, observed, pack, calls: _ } in inputs {
        let (Ok(observed), false) = (observed, pack.dialect().groups_are_implicit) else { continue };
        let named = |group: &GroupName| Elsewhere { network: network.name.clone(), group: group.clone() };
        for group in &observed.groups {
            let there = Whereabouts::There { id: group.id.clone(), account: observed.account.clone() };
            all.insert(named(&group.name), there);
        }
        for group in
            desired.networks.get(&network.name).iter().flat_map(|n| &n.groups).filter(|g| to_be_made(&network.name, g))
        {
            if let SecurityGroup::Name(name) = &group.security_group {
                all.entry(named(name)).or_insert(Whereabouts::ToBeMade);
            }
        }
    }
    all
}

/// Groups that another part of the fleet is still to make are like those of another network that nobody has: rules that
/// refer to them wait.
fn wait_for_other_shards(wish: &mut DesiredNetwork, name: &NetworkName, observed: &Observed, options: &PlanOptions) {
    let there = |group: &GroupName| observed.groups.iter().any(|o| o.name == *group);
    for group in &wish.groups {
        if let SecurityGroup::Name(text) = &group.security_group
            && !options.in_shard(name, text.as_str())
            && !there(text)
        {
            wish.elsewhere.insert(group.atom, Elsewhere { network: name.clone(), group: text.clone() });
        }
    }
}

/// The rows behind rules whose other end nobody has.
fn not_there(
    inventory: &Inventory,
    network: &NetworkName,
    wish: &DesiredNetwork,
    lost: Vec<(usize, DesiredRule, Elsewhere)>,
) -> Vec<Unopened> {
    let mut rows: BTreeMap<(ClusterName, Arc<str>, Why), BTreeSet<Ask>> = BTreeMap::new();
    for (place, DesiredRule { rule, reasons }, Elsewhere { network, group }) in lost {
        let why = Why::GroupNotThere(network, group);
        let asks = wish.groups[place].members.iter().map(|(cluster, group)| Ask {
            cluster: cluster.clone(),
            group: group.clone(),
            direction: rule.direction,
            traffic: rule.traffic,
        });
        for reason in &*reasons {
            let key = (reason.cluster.clone(), row_word(inventory, reason), why.clone());
            rows.entry(key).or_default().extend(asks.clone());
        }
    }
    let unopened = rows.into_iter().map(|((cluster, row, why), asks)| Unopened {
        network: network.clone(),
        cluster,
        row,
        why,
        asks: asks.into_iter().collect(),
    });
    unopened.collect()
}

pub(super) fn unlinked_errors(network: &NetworkName, unlinked: Unlinked) -> impl Iterator<Item = PlanError> {
    let Unlinked { peers, twice } = unlinked;
    let of = network.clone();
    let missing = peers.into_iter().map(move |missing| PlanError::MissingPeer { network: of.clone(), missing });
    let of = network.clone();
    missing.chain(twice.into_iter().map(move |(one, two)| PlanError::NamedTwice { network: of.clone(), one, two }))
}

pub(super) fn network_plan(
    input: NetworkInput<'_>,
    wish: DesiredNetwork,
    groups: Vec<GroupPlan>,
    orphans: Vec<Orphan>,
) -> NetworkPlan {
    let NetworkInput { network, observed, pack, calls } = input;
    let DesiredNetwork { atoms, groups: _, elsewhere } = wish;
    let groups_at_once = pack.at_once(Action::CreateGroup);
    NetworkPlan { elsewhere, groups, orphans, calls, groups_at_once, ..NetworkPlan::of(network, observed, atoms) }
}

/// What stands for groups of other networks, and the groups themselves.
pub(super) fn made_elsewhere(networks: &[NetworkPlan]) -> BTreeMap<Place, Place> {
    let atom_there = |e: &Elsewhere| {
        let network = networks.iter().find(|n| n.network.name == e.network)?;
        Some((e.network.clone(), network.atoms.get(e.group.as_str())?))
    };
    let here = networks.iter().flat_map(|n| n.elsewhere.iter().map(move |(atom, e)| (&n.network.name, *atom, e)));
    here.filter_map(|(network, atom, e)| Some(((network.clone(), atom), atom_there(e)?))).collect()
}

/// Groups that added rules refer to, that don't exist, and that no call makes.
pub(super) fn left_out(networks: &[NetworkPlan], calls: &[GroupCalls]) -> Vec<PlanError> {
    let mut errors = BTreeMap::new();
    for network in networks {
        let unmade = |g: &&GroupPlan| g.status == GroupStatus::Skipped && network.observed_group(g.atom).is_none();
        let skipped: BTreeMap<Atom, &GroupPlan> = network.groups.iter().filter(unmade).map(|g| (g.atom, g)).collect();
        for calls in calls.iter().filter(|c| c.network == network.network.name) {
            let adds = calls.waves.iter().flatten().flat_map(|call| &call.adds);
            for peer in adds.filter_map(|add| skipped.get(&add.rule.peer.group()?)) {
                let Some((cluster, _)) = peer.members.first() else { continue };
                let (group, peer) = (network.group_name(calls.group).to_owned(), peer.security_group.clone());
                let error = PlanError::LeftOut { group: group.clone(), peer: peer.clone(), cluster: cluster.clone() };
                errors.insert((group, peer), error);
            }
        }
    }
    errors.into_values().collect()
}

/// Groups that are taken over although another controller is known to make such.
fn adopted_from(networks: &[NetworkPlan]) -> impl Iterator<Item = String> {
    let groups = networks.iter().flat_map(|n| n.groups.iter().map(move |g| (n, g)));
    let taken = groups.filter(|(_, g)| g.status == GroupStatus::Adopt);
    taken.map(|(n, g)| n.group_name(g.atom)).filter_map(|name| {
        let writer = crate::writer::of_group(name)?;
        Some(format!("`{name}` looks like a group of {}: {}", writer.name, writer.why))
    })
}

/// Shared groups whose outbound traffic is to be narrowed, while what the cloud itself lets out isn't ours to take away.
fn strict_in_vain(inventory: &Inventory, networks: &[NetworkPlan]) -> Vec<String> {
    let strict = |cluster: &ClusterName| {
        inventory.clusters.get(cluster).is_some_and(|cluster| cluster.egress == EgressMode::Strict)
    };
    let mut notes = Vec::new();
    let groups = networks.iter().flat_map(|n| n.groups.iter().map(move |g| (n, g)));
    for (network, group) in groups.filter(|(_, group)| group.ownership == Ownership::Shared) {
        let rules = network.observed_group(group.atom).map(|g| g.rules.as_slice()).unwrap_or_default();
        let opens = |(rule, fate): &(&ObservedRule, &Fate)| {
            let unclaimed = rule.marks.is_empty() && matches!(fate, Fate::Foreign | Fate::Satisfies);
            unclaimed && open_outbound(Family::Both).contains(&rule.rule)
        };
        let open: Vec<_> = rules.iter().zip(&group.diff.fates).filter(opens).map(|(r, _)| r.rule.peer).collect();
        let narrows = !group.members.is_empty() && group.members.iter().all(|(cluster, _)| strict(cluster));
        if open.is_empty() || !narrows {
            continue;
        }
        let to = open.iter().map(|p| if let RulePeer::Addresses(to) = p { to.to_string() } else { String::new() });
        notes.push(format!(
            "`{}` is shared: `egress: strict` narrows nothing there, since what lets everything out to {} isn't ours",
            network.group_name(group.atom),
            to.collect::<Vec<_>>().join(" and "),
        ));
    }
    notes
}

/// Groups whose rules let through what they say and not the answers to it.
fn stateless(networks: &[NetworkPlan]) -> impl Iterator<Item = String> {
    let groups = networks.iter().flat_map(|n| n.groups.iter().map(move |g| (n, g.atom)));
    let stateless = groups.filter(|(n, atom)| n.observed.as_ref().is_ok_and(|o| o.stateless.contains(atom)));
    stateless.map(|(n, atom)| {
        let name = n.group_name(atom);
        format!("`{name}` is stateless: answers need rules of their own there, and no profile lists those")
    })
}

/// Rules that a guard forbids, that the plan leaves, and that nobody waived.
fn forbidden_but_there(networks: &[NetworkPlan], guards: &GuardsInForce, trusted: &[Cidr]) -> Vec<String> {
    let mut notes = Vec::new();
    for network in networks {
        for group in &network.groups {
            let observed = network.observed_group(group.atom).map(|g| g.rules.as_slice()).unwrap_or_default();
            let Some(set) = guards.get(&network.network.name, &group.security_group) else { continue };
            for rule in group.wanted.iter().map(|r| r.rule) {
                let RulePeer::Opaque(PeerKind::PrefixList, list, _) = rule.peer else { continue };
                if let Some(guard) = set.speaks_of(&rule) {
                    let (traffic, name) = (rule.traffic, network.group_name(group.atom));
                    let list = network.atoms.text(list);
                    notes.push(format!(
                        "{traffic} from {list} on `{name}`: guard {} does not look into a prefix list",
                        guard.name
                    ));
                }
            }
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
    ours: Ours<'_>,
) -> GroupCase {
    GroupCase {
        required: plan.diff.required.iter().map(|r| r.rule).collect(),
        guards: guards.get(network, &plan.security_group).cloned().unwrap_or_default(),
        ..GroupCase::new(network.clone(), plan.atom, observed, plan.ownership, ours)
    }
}

//! The groups that the inventory names, read from the project's firewall rules: one list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Method;
use rsgsync_core::describe::group_marks_in;
use rsgsync_core::name::{GroupId, GroupMark, GroupName, Mark, Origin};
use rsgsync_core::observed::{
    Holds, Limit, LimitSource, Limits, Observed, ObservedGroup, ObservedRule, Resource, Scope, Usage,
};
use rsgsync_core::rule::{Atoms, Direction, Family, Rule};
use rsgsync_engine::CloudError;

use crate::api::Call;
use crate::connect::Gcp;
use crate::denies::allows;
use crate::error::{NOT_COMPUTE, final_error};
use crate::implied::{denies_implied, implied};
use crate::translate::{Targets, direction_of, rules_of};
use crate::wire::{Firewall, Project};

/// Address ranges of a firewall rule: what was the limit for years, and what every tool takes. The API takes 5,000.
const ADDRESSES: u32 = 256;

impl Gcp {
    pub(crate) async fn observe_groups(&self, scope: &Scope, atoms: &mut Atoms) -> Result<Observed, CloudError> {
        // A read-back needs no quotas; what policies deny only a plan from an inventory tells.
        let quota = async { if scope.reads_back() { Ok(None) } else { self.quota().await } };
        let effective = async { if scope.marked { self.effective().await } else { Ok(None) } };
        let (listed, quota, effective) = futures_util::future::try_join3(self.list(), quota, effective).await?;
        let of_network: Vec<&Firewall> = listed.iter().filter(|f| f.is_of(&self.place.network)).collect();
        self.session.listed(&listed, scope.marked);
        if scope.marked && effective.is_none() && of_network.is_empty() {
            self.check_network().await?;
        }
        let groups = groups(&of_network, scope, atoms)?;
        // Names and quotas are the project's.
        let used = quota.map_or_else(|| u32::try_from(listed.len()).unwrap_or(u32::MAX), |quota| quota.used);
        let (denies, notes) = self.denies(&of_network, scope, effective, atoms).await?;
        let base = &self.compute().await?.base;
        Ok(Observed {
            account: Some(self.place.project.clone()),
            groups,
            place: format!("network {}", self.place.network),
            identity: Some(format!("{base} {} {}", self.place.project, self.place.network)),
            limits: self.limits(quota),
            usage: Usage { resources: Some(used), ..Usage::default() },
            denies,
            allows: allows(&of_network, atoms),
            taken: listed.iter().map(|firewall| Arc::from(firewall.name.as_str())).collect(),
            notes,
            ..Observed::default()
        })
    }

    /// Every firewall rule of the project, page by page: names are the project's, not the network's.
    async fn list(&self) -> Result<Vec<Firewall>, CloudError> {
        let doing = format!("reading firewall rules of project `{}`", self.place.project);
        let call = Call::new("firewalls.list", Method::GET, &["global", "firewalls"]);
        Ok(self.pages::<Vec<Firewall>>(&doing, &call).await?.into_iter().flatten().collect())
    }

    /// The project's quota of firewall rules; `None` where these credentials aren't told.
    async fn quota(&self) -> Result<Option<Quota>, CloudError> {
        let doing = format!("reading the quotas of project `{}`", self.place.project);
        match self.send(&doing, &Call::new("projects.get", Method::GET, &[])).await {
            Ok(answer) => Ok(answer.read::<Project>(&doing)?.quotas.iter().find_map(Quota::of_firewalls)),
            Err(refused) if refused.is_forbidden() => {
                tracing::info!(error = %refused.error, "quotas are not known");
                Ok(None)
            }
            Err(refused) => Err(refused.error),
        }
    }

    /// Errors when the network doesn't exist, as far as these credentials may know.
    async fn check_network(&self) -> Result<(), CloudError> {
        let doing = format!("looking for network `{}` of project `{}`", self.place.network, self.place.project);
        let path = ["global", "networks", &self.place.network];
        match self.send(&doing, &Call::new("networks.get", Method::GET, &path)).await {
            Err(refused) if refused.status == 404 => Err(self.no_network(doing)),
            Err(refused) if !refused.is_forbidden() => Err(refused.error),
            _ => Ok(()),
        }
    }

    pub(crate) fn no_network(&self, doing: String) -> CloudError {
        final_error(
            doing,
            format!("project `{}` has no network `{}`", self.place.project, self.place.network),
            "correct `network:` beside the network's `gcp:` keys (without it, `default` is meant); `gcloud compute networks \
             list` shows what there is",
        )
    }

    fn limits(&self, quota: Option<Quota>) -> Limits {
        let read = |quota: Quota| Limit { at_most: quota.limit, source: LimitSource::Read };
        let addresses = Limit { at_most: ADDRESSES, source: LimitSource::Assumed };
        Limits {
            resources: self.place.resources.or_else(|| quota.map(read)),
            addresses_per_resource: Some(self.place.addresses_per_resource.unwrap_or(addresses)),
            ..Limits::default()
        }
    }
}

/// A project's quota of firewall rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quota {
    limit: u32,
    used: u32,
}

impl Quota {
    fn of_firewalls(quota: &crate::wire::Quota) -> Option<Self> {
        // Beyond the numbers of the type a conversion gives its bounds.
        (quota.metric == "FIREWALLS").then_some(Self { limit: quota.limit as u32, used: quota.usage as u32 })
    }
}

/// A resource in core's words, with its rules.
struct Read<'a> {
    firewall: &'a Firewall,
    marks: Vec<GroupMark>,
    holds: Holds,
    direction: Direction,
    rules: BTreeSet<Rule>,
}

/// The groups that were asked for, and where the marks count those that carry one of the owner; sorted.
fn groups(of_network: &[&Firewall], scope: &Scope, atoms: &mut Atoms) -> Result<Vec<ObservedGroup>, CloudError> {
    let mut by_group: BTreeMap<&str, Vec<Read<'_>>> = BTreeMap::new();
    for firewall in of_network {
        let Targets::One(group) = firewall.targets() else { continue };
        by_group.entry(group).or_default().extend(read(firewall, scope, atoms));
    }
    let asked: BTreeSet<&str> = scope.groups.iter().map(|asked| asked.group.as_str()).collect();
    let ours = |read: &Read<'_>| read.marks.iter().any(|found| found.mark.owner == scope.owner);
    by_group.retain(|name, reads| {
        let matters = scope.whole || asked.contains(name) || scope.marked && reads.iter().any(ours);
        !reads.is_empty() && matters
    });
    let mut groups = Vec::with_capacity(by_group.len());
    for (name, mut reads) in by_group {
        reads.sort_by(|a, b| a.firewall.name.cmp(&b.firewall.name));
        groups.push(group(name, reads, atoms)?);
    }
    Ok(groups)
}

/// A firewall rule that is for one tag or account; `None`: it denies, and isn't ours.
fn read<'a>(firewall: &'a Firewall, scope: &Scope, atoms: &mut Atoms) -> Option<Read<'a>> {
    let (holds, direction, rules) = match denies_implied(firewall, scope) {
        Some(any) => (Holds::Denial(any.family()), Direction::Egress, BTreeSet::new()),
        None if !firewall.denied.is_empty() => return None,
        None => {
            let way = direction_of(firewall);
            let direction = way.as_ref().map_or(Direction::Ingress, |way| *way);
            match way.and_then(|_| rules_of(firewall, atoms)) {
                Ok(rules) => (Holds::Rules, direction, rules),
                Err(error) => {
                    tracing::info!(firewall = firewall.name, %error, "a firewall rule can't be understood");
                    (Holds::Unreadable(error.to_string()), direction, BTreeSet::new())
                }
            }
        }
    };
    Some(Read { firewall, marks: group_marks_in(&firewall.description), holds, direction, rules })
}

fn group(name: &str, reads: Vec<Read<'_>>, atoms: &mut Atoms) -> Result<ObservedGroup, CloudError> {
    let broken = |what: &dyn std::fmt::Display| {
        let doing = format!("reading the firewall rules of group `{name}`");
        final_error(doing, format!("Compute Engine lists {what}"), NOT_COMPUTE)
    };
    let mut group = ObservedGroup {
        atom: atoms.intern(name),
        id: GroupId::new(name).map_err(|error| broken(&error))?,
        name: GroupName::new(name).map_err(|error| broken(&error))?,
        description: String::new(),
        marks: union(reads.iter().flat_map(|read| &read.marks)),
        revision: None,
        rules: Vec::new(),
        resources: Vec::new(),
    };
    let denied: Vec<Family> = reads.iter().filter(|read| !read.firewall.disabled).filter_map(Read::denied).collect();
    for Read { firewall, marks, holds, direction, rules } in reads {
        let resource: Arc<str> = firewall.name.as_str().into();
        let carried: BTreeSet<Mark> = marks.iter().map(|found| found.mark.clone()).collect();
        let in_force = rules.iter().filter(|_| !firewall.disabled);
        group.rules.extend(in_force.map(|rule| ObservedRule {
            description: firewall.description.clone(),
            marks: carried.iter().cloned().collect(),
            resource: Some(Arc::clone(&resource)),
            ..ObservedRule::plain(*rule)
        }));
        group.resources.push(Resource {
            name: resource,
            direction,
            holds,
            disabled: firewall.disabled,
            priority: firewall.priority.0,
            marks,
            description: firewall.description.clone(),
        });
    }
    let open = implied().into_iter().filter(|rule| !denied.contains(&rule.peer.family()));
    group.rules.extend(open.map(ObservedRule::plain));
    Ok(group)
}

impl Read<'_> {
    fn denied(&self) -> Option<Family> {
        if let Holds::Denial(family) = self.holds { Some(family) } else { None }
    }
}

/// All marks, sorted; of several ways to come to the group the one that permits most counts.
fn union<'a>(marks: impl Iterator<Item = &'a GroupMark>) -> Vec<GroupMark> {
    let mut all: BTreeMap<&Mark, Origin> = BTreeMap::new();
    for GroupMark { mark, origin } in marks {
        let strongest = all.entry(mark).or_insert(*origin);
        *strongest = (*origin).min(*strongest);
    }
    all.into_iter().map(|(mark, origin)| GroupMark { mark: mark.clone(), origin }).collect()
}

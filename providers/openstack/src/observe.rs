//! The groups that the inventory names, read from Neutron: one list of the project's groups, their rules in it.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use rsgsync_core::describe::marks_in;
use rsgsync_core::inventory::SecurityGroup;
use rsgsync_core::name::{GroupId, GroupName, Mark, Owner, RuleId};
use rsgsync_core::observed::{Limit, LimitSource, Limits, Observed, ObservedGroup, ObservedRule, Scope, Usage};
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{Attachments, CloudError};

use crate::api::Call;
use crate::connect::OpenStack;
use crate::error::{NOT_NEUTRON, final_error};
use crate::marks::group_marks;
use crate::translate;
use crate::wire::{Group, GroupPage, Page, PortPage, Quota, QuotaDetails, Quotas};

impl OpenStack {
    pub(crate) async fn observe_groups(&self, scope: &Scope, atoms: &mut Atoms) -> Result<Observed, CloudError> {
        let neutron = self.neutron().await?;
        let listed = self.list_groups().await?;
        let wanted = wanted(scope, &listed)?;
        let (mut groups, mut stateless) = (Vec::with_capacity(wanted.len()), BTreeSet::new());
        for group in listed.iter().filter(|group| wanted.contains(group.id.as_str())) {
            self.session.saw(&group.name, &group.id);
            let read = observed(group, &scope.owner, atoms)?;
            stateless.extend((group.stateful == Some(false)).then_some(read.atom));
            groups.push(read);
        }
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        let place = format!("{} · project {}", neutron.region, neutron.project_name);
        Ok(Observed {
            account: Some(neutron.project.clone()),
            groups,
            place: place.trim_start_matches(" · ").to_owned(),
            identity: Some(format!("{} {}", neutron.base, neutron.project)),
            limits: self.limits(None),
            stateless,
            ..Observed::default()
        })
    }

    /// Every group of the project, page by page.
    async fn list_groups(&self) -> Result<Vec<Group>, CloudError> {
        let neutron = self.neutron().await?;
        let doing = format!("reading security groups of project `{}`", neutron.project_name);
        // An administrator would see those of all projects.
        let call = Call::new(Method::GET, "/security-groups", &[]).query("project_id", &neutron.project);
        self.pages::<GroupPage>(&doing, &call).await
    }

    /// How many ports carry each of these groups, whoever's they are: one list of the project's ports.
    pub(crate) async fn count_ports(&self, groups: &[GroupId]) -> Result<Attachments, CloudError> {
        let neutron = self.neutron().await?;
        let doing = format!("counting ports of project `{}`", neutron.project_name);
        let call = Call::new(Method::GET, "/ports", &[]).query("project_id", &neutron.project);
        let call = call.query("fields", "id").query("fields", "security_groups");
        let mut counts: Attachments = groups.iter().map(|id| (id.clone(), 0)).collect();
        for port in self.pages::<PortPage>(&doing, &call).await? {
            for (_, count) in counts.iter_mut().filter(|(id, _)| port.security_groups.iter().any(|g| g == id.as_str()))
            {
                *count += 1;
            }
        }
        Ok(counts)
    }

    /// All of a list, page by page.
    pub(crate) async fn pages<P: Page>(&self, doing: &str, call: &Call<'_>) -> Result<Vec<P::Item>, CloudError> {
        let mut answer = self.send(doing, call).await?;
        let (mut found, mut known) = (Vec::new(), BTreeSet::new());
        loop {
            let (items, next) = answer.read::<P>(doing)?.open();
            // Neutron takes a marker that is gone for the beginning: without this a page could come for ever.
            let before = found.len();
            found.extend(items.into_iter().filter(|item| known.insert(P::id(item).to_owned())));
            match next {
                Some(next) if found.len() > before => answer = self.follow(doing, call, &next).await?,
                _ => return Ok(found),
            }
        }
    }

    /// The project's quotas, and how much of them is used; `None` where the cloud doesn't tell its users. The first list of a
    /// project makes its group `default`, which counts: quotas come after it.
    pub(crate) async fn read_quotas(&self) -> Result<Option<Quotas>, CloudError> {
        let neutron = self.neutron().await?;
        let doing = format!("reading the quotas of project `{}`", neutron.project_name);
        let ids = [neutron.project.as_str()];
        match self.send(&doing, &Call::new(Method::GET, "/quotas/{}/details.json", &ids)).await {
            Ok(answer) => Ok(Some(answer.read::<QuotaDetails>(&doing)?.quota)),
            Err(refused) if matches!(refused.status, 403 | 404) => {
                tracing::info!(error = %refused.error, "quotas are not known");
                Ok(None)
            }
            Err(refused) => Err(refused.into()),
        }
    }

    /// What the inventory says, else what the cloud told.
    pub(crate) fn limits(&self, quotas: Option<Quotas>) -> Limits {
        let read = |quota: Quota| {
            let at_most = u32::try_from(quota.limit).ok()?; // -1: none
            Some(Limit { at_most, source: LimitSource::Read })
        };
        Limits {
            rules_per_group: self.place.rules_per_group,
            groups: self.place.groups.or_else(|| read(quotas?.security_group)),
            rules: self.place.rules.or_else(|| read(quotas?.security_group_rule)),
            ..Limits::default()
        }
    }
}

pub(crate) fn usage(quotas: Quotas) -> Usage {
    let used = |quota: Quota| Some(quota.used.saturating_add(quota.reserved));
    Usage { groups: used(quotas.security_group), rules: used(quotas.security_group_rule), resources: None }
}

/// The ids of the groups that matter: those asked for, all with a mark of the owner where these are asked for as well, and
/// those whose rules would go with one of them that carries such a mark, were it deleted.
fn wanted<'a>(scope: &Scope, listed: &'a [Group]) -> Result<BTreeSet<&'a str>, CloudError> {
    let mut by_name: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
    for group in listed {
        by_name.entry(&group.name).or_default().push(&group.id);
    }
    let mut wanted = BTreeSet::new();
    if scope.whole {
        wanted.extend(by_name.values().flatten());
    }
    for asked in &scope.groups {
        match &asked.group {
            SecurityGroup::Name(name) => match by_name.get(name.as_str()).map_or(&[] as &[&str], Vec::as_slice) {
                [] => {}
                [id] => {
                    wanted.insert(*id);
                }
                ids => return Err(ambiguous(name.as_str(), ids)),
            },
            SecurityGroup::Id(id) => {
                wanted.extend(listed.iter().map(|group| group.id.as_str()).filter(|known| *known == id.as_str()));
            }
        }
    }
    let ours = |group: &&Group| group_marks(group).iter().any(|found| found.mark.owner == scope.owner);
    let marked = listed.iter().filter(ours).map(|group| group.id.as_str());
    let marked: BTreeSet<&str> = marked.filter(|id| scope.marked || wanted.contains(id)).collect();
    let refers = |group: &&Group| {
        let peers = group.security_group_rules.iter().filter_map(|rule| rule.says.remote_group_id.as_deref());
        peers.into_iter().any(|peer| marked.contains(peer))
    };
    wanted.extend(listed.iter().filter(refers).map(|group| group.id.as_str()));
    wanted.extend(marked);
    Ok(wanted)
}

pub(crate) fn ambiguous(name: &str, ids: &[&str]) -> CloudError {
    final_error(
        format!("looking for security group `{name}`"),
        format!("{} groups have that name: {}", ids.len(), ids.join(", ")),
        "write the id as `security_group:`, or rename or delete the others",
    )
}

/// A group in core's words.
///
/// A rule that carries a mark of `owner` alone may be what other owners of the group need as well: with a mark of their own
/// they would have had to change its description. So it carries the marks of all that the group carries.
fn observed(group: &Group, owner: &Owner, atoms: &mut Atoms) -> Result<ObservedGroup, CloudError> {
    let broken = |what: &dyn std::fmt::Display| {
        final_error(
            format!("reading security group `{}` ({})", group.name, group.id),
            format!("Neutron lists {what}"),
            NOT_NEUTRON,
        )
    };
    let marks = group_marks(group);
    let others: Vec<Mark> = marks.iter().map(|m| m.mark.clone()).filter(|mark| mark.owner != *owner).collect();
    let mut rules = Vec::with_capacity(group.security_group_rules.len());
    for rule in &group.security_group_rules {
        let description = rule.description.clone().unwrap_or_default();
        let mut carried: BTreeSet<Mark> = marks_in(&description).into_iter().collect();
        if carried.iter().any(|mark| mark.owner == *owner) {
            carried.extend(others.iter().cloned());
        }
        rules.push(ObservedRule {
            rule: translate::rule_of(&rule.says, atoms).map_err(|error| unreadable(group, &rule.id, &error))?,
            id: Some(RuleId::new(&rule.id).map_err(|error| broken(&error))?),
            marks: carried.into_iter().collect(),
            description,
            weight: 1,
            resource: None,
        });
    }
    Ok(ObservedGroup {
        atom: atoms.intern(&group.id),
        id: GroupId::new(&group.id).map_err(|error| broken(&error))?,
        name: GroupName::new(&group.name).or_else(|_| GroupName::new(&group.id)).map_err(|error| broken(&error))?,
        description: group.description.clone().unwrap_or_default(),
        marks,
        revision: group.revision_number.map(|revision| revision.to_string()),
        rules,
        resources: Vec::new(),
    })
}

/// An error about a rule that can't be said in core's words.
pub(crate) fn unreadable(group: &Group, rule: &str, what: &translate::Unreadable) -> CloudError {
    final_error(
        format!("reading security group `{}` ({})", group.name, group.id),
        format!("Neutron lists {what} ({rule}), which rsgsync can't compare with what is wanted"),
        "nothing was changed; replace that rule, or take the group out of the inventory",
    )
}

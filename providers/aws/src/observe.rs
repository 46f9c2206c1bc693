//! The groups that the inventory names, and those that carry our mark, read from EC2 in as few calls as it allows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use aws_sdk_ec2::types::{Filter, SecurityGroup as ListedGroup, SecurityGroupRule};
use rsgsync_core::inventory::SecurityGroup;
use rsgsync_core::name::{GroupId, GroupName, Owner, RuleId};
use rsgsync_core::observed::{Observed, ObservedGroup, ObservedRule, Scope, Usage};
use rsgsync_core::rule::{Atoms, Direction, Rule};
use rsgsync_engine::{Attachments, CloudError};

use crate::connect::Aws;
use crate::error::{Asked, NOT_EC2, final_error};
use crate::translate::{self, Unreadable};
use crate::vpc::{Vpc, filter, literal};

/// EC2 takes at most so many values in a request's filters ("DescribeSecurityGroups: up to 200 filter values").
const FILTER_VALUES: usize = 200;
/// The group that every VPC has and that can't be deleted: where it answers, the VPC exists.
const DEFAULT_GROUP: &str = "default";
/// The largest page.
const PAGE: i32 = 1000;

/// What EC2 lists for a scope.
struct Listed {
    /// The groups of the scope that exist, each once.
    groups: Vec<ListedGroup>,
    /// How many the VPC has, where it was listed whole.
    in_vpc: Option<u32>,
    /// Whose groups they are.
    account: Option<String>,
}

impl Aws {
    pub(crate) async fn observe_groups(&self, scope: &Scope, atoms: &mut Atoms) -> Result<Observed, CloudError> {
        self.session.set_owner(&scope.owner);
        let region = self.clients().await?.region.clone();
        let vpc = self.vpc().await?;
        let Listed { groups: listed, in_vpc, account } = self.list_asked(scope, vpc).await?;

        let mut groups = Vec::with_capacity(listed.len());
        for group in &listed {
            groups.push(self.group(group, atoms)?);
        }
        self.add_marks(scope, &listed, &mut groups, atoms).await?;
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        let identity = Some(format!("{region} {}", vpc.id));
        let (place, limits) = (self.place_text(&region, vpc), self.place.limits);
        let usage = Usage { groups: in_vpc, ..Usage::default() };
        Ok(Observed { account, groups, place, identity, limits, usage, ..Observed::default() })
    }

    async fn list_asked(&self, scope: &Scope, vpc: &Vpc) -> Result<Listed, CloudError> {
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for asked in &scope.groups {
            match &asked.group {
                SecurityGroup::Name(name) => names.insert(name.as_str()),
                SecurityGroup::Id(id) => ids.insert(id.as_str()),
            };
        }
        let whole = scope.whole || names.len() > FILTER_VALUES;
        let marked = scope.marked && !whole;
        // Nearly all of ours come with their marks: the rest is asked for by name, where there is a rest.
        let mut listed = if marked { self.list_marked(&scope.owner, vpc).await? } else { Vec::new() };
        let seen: HashSet<&str> = listed.iter().filter_map(ListedGroup::group_name).collect();
        let mut unseen: BTreeSet<&str> = names.iter().copied().filter(|name| !seen.contains(name)).collect();
        if marked && listed.is_empty() && !unseen.is_empty() && unseen.len() < FILTER_VALUES {
            unseen.insert(DEFAULT_GROUP);
        }
        listed.extend(self.list_named(&unseen, whole, vpc).await?);
        let in_vpc = whole.then(|| u32::try_from(listed.len()).unwrap_or(u32::MAX));
        if (scope.whole || !names.is_empty()) && listed.is_empty() {
            self.check_vpc_exists().await?;
        }
        let owner_seen = listed.iter().find_map(|group| group.owner_id.clone());
        let is_named = |group: &ListedGroup| group.group_name().is_some_and(|name| names.contains(name));
        let (mut found, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(is_named);
        self.check_names_are_unique(&found)?;
        let by_id = self.list_by_id(&ids).await?;
        by_id.iter().try_for_each(|group| self.check_vpc_of(group, vpc))?;
        let of_owner = |group: &ListedGroup| {
            let ours = || translate::group_marks(group.tags()).iter().any(|m| m.mark.owner == scope.owner);
            scope.whole || scope.marked && ours()
        };
        let marked = others.into_iter().filter(of_owner);
        let mut known: HashSet<String> = found.iter().filter_map(|group| group.group_id.clone()).collect();
        for group in by_id.into_iter().chain(marked) {
            if known.insert(group.group_id().unwrap_or_default().to_owned()) {
                found.push(group);
            }
        }
        let owner_found = found.iter().find_map(|group| group.owner_id.clone());
        let account = self.place.account.clone().or(owner_found).or(owner_seen).or_else(|| vpc.owner.clone());
        Ok(Listed { groups: found, in_vpc, account })
    }

    /// The groups of these names, or with `whole` all of the VPC.
    async fn list_named(&self, names: &BTreeSet<&str>, whole: bool, vpc: &Vpc) -> Result<Vec<ListedGroup>, CloudError> {
        if names.is_empty() && !whole {
            return Ok(Vec::new());
        }
        let mut filters = vec![filter("vpc-id", [vpc.id.clone()])];
        if !whole {
            filters.push(filter("group-name", names.iter().map(|name| literal(name))));
        }
        self.list_groups(filters, &format!("reading security groups of {}", vpc.id)).await
    }

    /// The groups that carry a mark of the owner, whatever its cluster.
    async fn list_marked(&self, owner: &Owner, vpc: &Vpc) -> Result<Vec<ListedGroup>, CloudError> {
        let filters = vec![filter("vpc-id", [vpc.id.clone()]), filter("tag-key", [translate::any_tag_key(owner)])];
        self.list_groups(filters, &format!("looking for security groups of {} with our mark", vpc.id)).await
    }

    async fn list_by_id(&self, ids: &BTreeSet<&str>) -> Result<Vec<ListedGroup>, CloudError> {
        let ids: Vec<&str> = ids.iter().copied().collect();
        let mut found = Vec::new();
        for some in ids.chunks(FILTER_VALUES) {
            // A filter, not the parameter GroupIds: there one unknown id refuses them all.
            let filters = vec![filter("group-id", some.iter().map(ToString::to_string))];
            found.extend(self.list_groups(filters, "reading security groups by id").await?);
        }
        Ok(found)
    }

    /// Every group that the filters match, page by page; what is seen is remembered by name.
    pub(crate) async fn list_groups(&self, filters: Vec<Filter>, doing: &str) -> Result<Vec<ListedGroup>, CloudError> {
        let clients = self.clients().await?;
        let doing = format!("{doing} in {}", clients.region);
        let mut pages =
            clients.ec2.describe_security_groups().set_filters(Some(filters)).max_results(PAGE).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| self.failed(doing.clone(), Asked::ec2("DescribeSecurityGroups"), &e))?;
            found.extend(page.security_groups.unwrap_or_default());
        }
        for group in &found {
            if let (Some(name), Some(id)) = (group.group_name(), group.group_id()) {
                self.session.saw(name, id);
            }
        }
        Ok(found)
    }

    /// Every rule that the filter matches, page by page; at most 200 `values` a call.
    pub(crate) async fn list_rules(
        &self,
        filter_name: &str,
        values: &[String],
    ) -> Result<Vec<SecurityGroupRule>, CloudError> {
        let clients = self.clients().await?;
        let mut found = Vec::new();
        for some in values.chunks(FILTER_VALUES) {
            let mut pages = clients
                .ec2
                .describe_security_group_rules()
                .filters(filter(filter_name, some.iter().cloned()))
                .max_results(PAGE)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|e| {
                    let doing = format!("reading tags of security group rules in {}", clients.region);
                    self.failed(doing, Asked::ec2("DescribeSecurityGroupRules"), &e)
                })?;
                found.extend(page.security_group_rules.unwrap_or_default());
            }
        }
        Ok(found)
    }

    /// How many interfaces carry each of these groups: 200 groups a call, and 1,000 interfaces a page.
    pub(crate) async fn count_interfaces(&self, groups: &[GroupId]) -> Result<Attachments, CloudError> {
        let clients = self.clients().await?;
        let mut counts: Attachments = groups.iter().map(|id| (id.clone(), 0)).collect();
        for some in groups.chunks(FILTER_VALUES) {
            let mut pages = clients
                .ec2
                .describe_network_interfaces()
                .filters(filter("group-id", some.iter().map(ToString::to_string)))
                .max_results(PAGE)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|e| {
                    let doing = format!("counting network interfaces in {}", clients.region);
                    self.failed(doing, Asked::ec2("DescribeNetworkInterfaces"), &e)
                })?;
                let carried = page.network_interfaces().iter().flat_map(|interface| interface.groups());
                // An interface may carry groups of two chunks; each call counts its own.
                for id in carried.filter_map(|group| some.iter().find(|id| Some(id.as_str()) == group.group_id())) {
                    *counts.entry(id.clone()).or_default() += 1;
                }
            }
        }
        Ok(counts)
    }

    fn check_names_are_unique(&self, found: &[ListedGroup]) -> Result<(), CloudError> {
        let mut ids: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for group in found {
            ids.entry(group.group_name().unwrap_or_default()).or_default().push(group.group_id().unwrap_or_default());
        }
        match ids.iter().find(|(_, ids)| ids.len() > 1) {
            None => Ok(()),
            Some((name, ids)) => Err(final_error(
                format!("looking for security group `{name}`"),
                format!("{} groups have that name: {}", ids.len(), ids.join(", ")),
                "write the id as `security_group:`",
            )),
        }
    }

    fn check_vpc_of(&self, group: &ListedGroup, vpc: &Vpc) -> Result<(), CloudError> {
        let of = group.vpc_id().unwrap_or("no VPC");
        if of == vpc.id {
            return Ok(());
        }
        Err(final_error(
            format!("reading security group `{}`", group.group_id().unwrap_or_default()),
            format!("it is in {of}, but network `{}` is {}", self.place.network, vpc.id),
            "correct the id, or put the cluster into the network that has the group",
        ))
    }

    /// A group in core's words, its rules without ids and marks.
    fn group(&self, group: &ListedGroup, atoms: &mut Atoms) -> Result<ObservedGroup, CloudError> {
        let (id, name) = (group.group_id().unwrap_or_default(), group.group_name().unwrap_or_default());
        let broken = |what: &dyn std::fmt::Display| {
            let label = if id.is_empty() { format!("`{name}`") } else { self.session.label(id) };
            final_error(format!("reading security group {label}"), format!("AWS lists {what}"), NOT_EC2)
        };
        let rules = rules_of(group, atoms).map_err(|e| unreadable(&self.session.label(id), &e))?;
        Ok(ObservedGroup {
            atom: atoms.intern(id),
            id: GroupId::new(id).map_err(|e| broken(&e))?,
            name: GroupName::new(name).map_err(|e| broken(&e))?,
            description: group.description.clone().unwrap_or_default(),
            marks: translate::group_marks(group.tags()),
            revision: None,
            rules: rules.into_iter().map(observed).collect(),
            resources: Vec::new(),
        })
    }

    /// Gives rules whose marks decide something their ids and marks, which DescribeSecurityGroups does not tell.
    async fn add_marks(
        &self,
        scope: &Scope,
        listed: &[ListedGroup],
        groups: &mut [ObservedGroup],
        atoms: &mut Atoms,
    ) -> Result<(), CloudError> {
        let shared = groups.iter().filter(|group| scope.needs_rule_marks(group));
        let shared: Vec<String> = shared.map(|group| group.id.to_string()).collect();
        if shared.is_empty() {
            return Ok(());
        }
        let accounts: HashMap<&str, &str> =
            listed.iter().map(|g| (g.group_id().unwrap_or_default(), g.owner_id().unwrap_or_default())).collect();
        let mut entries: HashMap<(String, Rule), Vec<SecurityGroupRule>> = HashMap::new();
        for entry in self.list_rules("group-id", &shared).await? {
            let id = entry.group_id().unwrap_or_default().to_owned();
            let account = accounts.get(id.as_str()).copied().unwrap_or_default();
            let rule =
                translate::rule_of(&entry, account, atoms).map_err(|e| unreadable(&self.session.label(&id), &e))?;
            entries.entry((id, rule)).or_default().push(entry);
        }
        for group in groups.iter_mut() {
            for rule in &mut group.rules {
                let Some(entry) = entries.get_mut(&(group.id.to_string(), rule.rule)).and_then(Vec::pop) else {
                    continue;
                };
                rule.marks = translate::rule_marks(entry.tags());
                // Where ours can't stand beside theirs, the rule is like any stranger's: it may do the job, and stays.
                let none_of_ours = !scope.reads_back() && rule.marks.iter().all(|mark| !scope.ours().is(mark));
                if none_of_ours && !translate::has_room(entry.tags()) {
                    rule.marks.clear();
                }
                rule.id = entry.security_group_rule_id().and_then(|id| RuleId::new(id).ok());
            }
        }
        Ok(())
    }
}

/// Every rule of a group, one peer each, ingress first.
pub(crate) fn rules_of(group: &ListedGroup, atoms: &mut Atoms) -> Result<Vec<translate::Listed>, Unreadable> {
    let account = group.owner_id().unwrap_or_default();
    let mut rules = Vec::new();
    for (permissions, direction) in
        [(group.ip_permissions(), Direction::Ingress), (group.ip_permissions_egress(), Direction::Egress)]
    {
        for permission in permissions {
            rules.extend(translate::listed(permission, direction, account, atoms)?);
        }
    }
    Ok(rules)
}

/// The weight is 1 for a prefix list too: only DescribeManagedPrefixLists would tell its maximum.
fn observed(listed: translate::Listed) -> ObservedRule {
    ObservedRule { description: listed.description, ..ObservedRule::plain(listed.rule) }
}

/// An error about something listed that no version of EC2 that we know lists.
pub(crate) fn unreadable(label: &str, what: &Unreadable) -> CloudError {
    final_error(
        format!("reading security group {label}"),
        format!("AWS lists {what}, which rsgsync does not understand"),
        "nothing was changed; please report it with the output of `aws ec2 describe-security-groups`",
    )
}

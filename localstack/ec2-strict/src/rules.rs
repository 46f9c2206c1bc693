//! The actions on rules: authorize, revoke, describe, and their descriptions.

use std::collections::{BTreeMap, BTreeSet};

use rsgsync_core::rule::{Direction, Family};
use rsgsync_simulated::world::{GroupRule, Peer, Permission};

use crate::account::{Account, Others, check_id};
use crate::error::Refusal;
use crate::filter::Filters;
use crate::groups::arn;
use crate::page::Page;
use crate::parameters::Parameters;
use crate::permission::{self, Named, Peers, write_permissions, write_rule};
use crate::tags;
use crate::xml::Xml;

/// What the rules of one call may refer to.
struct Known<'a> {
    account: &'a Account,
    others: &'a Others,
}

impl Peers for Known<'_> {
    fn account(&self) -> &str {
        &self.account.number
    }

    fn named(&self, name: &str) -> Option<String> {
        let vpc = self.account.vpcs.iter().find(|vpc| vpc.is_default)?;
        vpc.world().find(name).map(|group| group.id.clone())
    }
}

impl Known<'_> {
    /// Refuses a peer that isn't there. Groups of the same account are the simulated cloud's to look for.
    fn check(&self, peer: &Peer) -> Result<(), Refusal> {
        match peer {
            Peer::Group(id) => check_id(id, "sg", "InvalidGroupId.Malformed"),
            Peer::OtherAccount { account, group } => {
                let vpcs = self.others.get(account).into_iter().flat_map(|account| &account.vpcs);
                let found = vpcs.into_iter().any(|vpc| vpc.world().find(group).is_some());
                found.then_some(()).ok_or_else(|| Refusal::no_group(group))
            }
            Peer::PrefixList(id) if !self.account.settings.prefix_lists.contains_key(id) => {
                Err(Refusal::new("InvalidPrefixListID.NotFound", format!("The prefix list ID '{id}' does not exist")))
            }
            Peer::Cidr(_) | Peer::PrefixList(_) | Peer::AddressGroup(_) | Peer::ServiceAccount(_) => Ok(()),
        }
    }
}

pub(crate) fn authorize(
    account: &mut Account,
    others: &Others,
    parameters: &mut Parameters,
    direction: Direction,
) -> Result<Xml, Refusal> {
    let (vpc, id) = account.target(parameters)?;
    let tags = tags::specified(parameters, "security-group-rule")?;
    let known = Known { account, others };
    let rules = permission::read(parameters, direction, &known)?;
    parameters.finish()?;
    rules.iter().try_for_each(|(permission, _)| known.check(&permission.peer))?;
    if rules.is_empty() {
        return Err(Refusal::missing("IpPermissions"));
    }
    check_weight(account, vpc, &id, direction, &rules)?;
    let count = rules.len();
    account.change(vpc, |world| world.authorize(&id, direction, rules, &tags))?;
    let group = account.vpcs[vpc].world().find(&id).ok_or_else(|| Refusal::no_group(&id))?;
    let mut xml = Xml::default();
    xml.text("return", true);
    let added = &group.rules[group.rules.len() - count..];
    xml.list("securityGroupRuleSet", added, |xml, rule| write_entry(xml, &id, rule, &account.number));
    Ok(xml)
}

/// A prefix list counts with its maximum of entries, which the simulated cloud doesn't know.
fn check_weight(account: &Account, vpc: usize, id: &str, direction: Direction, rules: &[Named]) -> Result<(), Refusal> {
    let there = account.vpcs[vpc].world().find(id).into_iter().flat_map(|group| &group.rules);
    let all = there.map(|rule| &rule.permission).chain(rules.iter().map(|(permission, _)| permission));
    let (mut v4, mut v6) = (0, 0);
    for permission in all.filter(|permission| permission.direction == direction) {
        let (family, weight) = match &permission.peer {
            Peer::Cidr(cidr) => (cidr.family(), 1),
            Peer::PrefixList(id) => (Family::Both, account.settings.prefix_lists.get(id).copied().unwrap_or(1)),
            _ => (Family::Both, 1),
        };
        v4 += if family == Family::Ipv6 { 0 } else { weight };
        v6 += if family == Family::Ipv4 { 0 } else { weight };
    }
    if v4.max(v6) <= account.settings.quota().rules_per_group {
        return Ok(());
    }
    let message = "The maximum number of rules per security group has been reached.";
    Err(Refusal::new("RulesPerSecurityGroupLimitExceeded", message))
}

/// How a call names the rules that it is about.
enum Which<T> {
    Properties(Vec<Named>),
    Ids(T),
}

fn which<T>(properties: Vec<Named>, ids: T, has_ids: bool) -> Result<Which<T>, Refusal> {
    match (properties.is_empty(), has_ids) {
        (false, false) => Ok(Which::Properties(properties)),
        (true, true) => Ok(Which::Ids(ids)),
        (true, false) => Err(Refusal::missing("IpPermissions")),
        (false, true) => Err(Refusal::new(
            "InvalidParameterCombination",
            "Rules are named either by their ids or by their properties",
        )),
    }
}

pub(crate) fn revoke(
    account: &mut Account,
    others: &Others,
    parameters: &mut Parameters,
    direction: Direction,
) -> Result<Xml, Refusal> {
    let (vpc, id) = account.target(parameters)?;
    let ids: BTreeSet<String> = parameters.texts("SecurityGroupRuleId").into_iter().collect();
    ids.iter().try_for_each(|id| check_id(id, "sgr", "InvalidSecurityGroupRuleId.Malformed"))?;
    let named = permission::read(parameters, direction, &Known { account, others })?;
    parameters.finish()?;
    let has_ids = !ids.is_empty();
    let which = which(named, ids, has_ids)?;
    let before: Vec<GroupRule> = rules(account, vpc, &id)?.to_vec();
    let mut unknown = Vec::new();
    match which {
        Which::Ids(ids) => account.change(vpc, |world| world.revoke_by_id(&id, direction, &ids))?,
        Which::Properties(named) => {
            let mut permissions: Vec<Permission> = named.into_iter().map(|(permission, _)| permission).collect();
            if account.vpcs[vpc].is_default {
                // "For a default VPC, if the values you specify do not match [...] no error is returned".
                let (there, not) =
                    permissions.into_iter().partition(|p| before.iter().any(|rule| rule.permission == *p));
                (permissions, unknown) = (there, not);
            }
            account.change(vpc, |world| world.revoke(&id, &permissions))?;
        }
    }
    let after = rules(account, vpc, &id)?;
    let mut xml = Xml::default();
    xml.text("return", true);
    let gone = before.iter().filter(|rule| !after.iter().any(|left| left.id == rule.id));
    xml.list("revokedSecurityGroupRuleSet", gone, |xml, rule| {
        write_rule(xml, &id, rule);
        if let Peer::Group(group) | Peer::OtherAccount { group, .. } = &rule.permission.peer {
            xml.text("referencedGroupId", group);
        }
    });
    write_permissions(&mut xml, "unknownIpPermissionSet", unknown.iter().map(|p| (p, "")), &account.number);
    Ok(xml)
}

pub(crate) fn update_descriptions(
    account: &mut Account,
    others: &Others,
    parameters: &mut Parameters,
    direction: Direction,
) -> Result<Xml, Refusal> {
    let (vpc, id) = account.target(parameters)?;
    let mut texts = BTreeMap::new();
    for mut element in parameters.list("SecurityGroupRuleDescription") {
        let rule = element.need("SecurityGroupRuleId")?;
        check_id(&rule, "sgr", "InvalidSecurityGroupRuleId.Malformed")?;
        texts.insert(rule, element.take("Description").unwrap_or_default());
        element.finish()?;
    }
    let named = permission::read(parameters, direction, &Known { account, others })?;
    parameters.finish()?;
    let has_ids = !texts.is_empty();
    match which(named, texts, has_ids)? {
        Which::Ids(texts) => account.change(vpc, |world| world.describe_by_id(&id, direction, &texts))?,
        Which::Properties(named) => account.change(vpc, |world| world.update_descriptions(&id, &named))?,
    }
    let mut xml = Xml::default();
    xml.text("return", true);
    Ok(xml)
}

pub(crate) fn describe(account: &mut Account, parameters: &mut Parameters) -> Result<Xml, Refusal> {
    let page = Page::read(parameters, account.settings.page)?;
    let filters = Filters::read(parameters, &["group-id", "security-group-rule-id", "tag:"])?;
    let ids = parameters.texts("SecurityGroupRuleId");
    parameters.finish()?;
    ids.iter().try_for_each(|id| check_id(id, "sgr", "InvalidSecurityGroupRuleId.Malformed"))?;
    let mut found: Vec<(String, GroupRule)> = Vec::new();
    for vpc in &mut account.vpcs {
        for group in vpc.seen().groups() {
            let asked = group.rules.iter().filter(|rule| ids.is_empty() || ids.contains(&rule.id));
            found.extend(asked.map(|rule| (group.id.clone(), rule.clone())));
        }
    }
    if let Some(missing) = ids.iter().find(|id| !found.iter().any(|(_, rule)| rule.id == **id)) {
        return Err(no_rule(missing));
    }
    found.retain(|(group, rule)| {
        filters.pass(|name| match name {
            "group-id" => vec![group.clone()],
            "security-group-rule-id" => vec![rule.id.clone()],
            _ => tags::values(name, &rule.tags),
        })
    });
    found.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
    let (found, token) = page.cut(found, |(_, rule)| rule.id.clone());
    let mut xml = Xml::default();
    xml.list("securityGroupRuleSet", &found, |xml, (group, rule)| write_entry(xml, group, rule, &account.number));
    if let Some(token) = token {
        xml.text("nextToken", token);
    }
    Ok(xml)
}

pub(crate) fn no_rule(id: &str) -> Refusal {
    let message = format!("The security group rule ID '{id}' does not exist");
    Refusal::new("InvalidSecurityGroupRuleId.NotFound", message)
}

fn rules<'a>(account: &'a Account, vpc: usize, id: &str) -> Result<&'a [GroupRule], Refusal> {
    let group = account.vpcs[vpc].world().find(id).ok_or_else(|| Refusal::no_group(id))?;
    Ok(&group.rules)
}

fn write_entry(xml: &mut Xml, group: &str, rule: &GroupRule, account: &str) {
    write_rule(xml, group, rule);
    xml.text("groupOwnerId", account);
    let referred = match &rule.permission.peer {
        Peer::Group(id) => Some((account, id)),
        Peer::OtherAccount { account, group } => Some((account.as_str(), group)),
        Peer::Cidr(_) | Peer::PrefixList(_) | Peer::AddressGroup(_) | Peer::ServiceAccount(_) => None,
    };
    if let Some((account, id)) = referred {
        xml.within("referencedGroupInfo", |xml| {
            xml.text("groupId", id);
            xml.text("userId", account);
        });
    }
    tags::write(xml, &rule.tags);
    xml.text("securityGroupRuleArn", arn(account, "security-group-rule", &rule.id));
}

//! `CreateSecurityGroup`, `DeleteSecurityGroup`, `DescribeSecurityGroups`.

use rsgsync_core::rule::Direction;
use rsgsync_simulated::world::Group;

use crate::account::{Account, check_id};
use crate::error::Refusal;
use crate::filter::Filters;
use crate::page::Page;
use crate::parameters::Parameters;
use crate::permission::{filter_value, write_permissions};
use crate::tags;
use crate::xml::Xml;

/// Source: EC2 API reference, DescribeSecurityGroups.
const FILTERS: [&str; 23] = [
    "description",
    "egress.ip-permission.cidr",
    "egress.ip-permission.from-port",
    "egress.ip-permission.group-id",
    "egress.ip-permission.ipv6-cidr",
    "egress.ip-permission.prefix-list-id",
    "egress.ip-permission.protocol",
    "egress.ip-permission.to-port",
    "egress.ip-permission.user-id",
    "group-id",
    "group-name",
    "ip-permission.cidr",
    "ip-permission.from-port",
    "ip-permission.group-id",
    "ip-permission.ipv6-cidr",
    "ip-permission.prefix-list-id",
    "ip-permission.protocol",
    "ip-permission.to-port",
    "ip-permission.user-id",
    "owner-id",
    "tag:",
    "tag-key",
    "vpc-id",
];

pub(crate) fn arn(account: &str, resource: &str, id: &str) -> String {
    format!("arn:aws:ec2:us-east-1:{account}:{resource}/{id}")
}

pub(crate) fn create(account: &mut Account, parameters: &mut Parameters) -> Result<Xml, Refusal> {
    let name = parameters.need("GroupName")?;
    let description = parameters.need("GroupDescription")?;
    let tags = tags::specified(parameters, "security-group")?;
    let vpc = match parameters.take("VpcId") {
        Some(id) => account.vpc(&id)?,
        None => account
            .vpcs
            .iter()
            .position(|vpc| vpc.is_default)
            .ok_or_else(|| Refusal::new("VPCIdNotSpecified", "No default VPC for this user"))?,
    };
    parameters.finish()?;
    // "Names are case-insensitive and must be unique within the VPC."
    let same = |group: &Group| group.name.eq_ignore_ascii_case(&name) && group.name != "default";
    if account.vpcs[vpc].world().groups().any(same) {
        let message = format!("The security group '{name}' already exists for VPC '{}'", account.vpcs[vpc].id);
        return Err(Refusal::new("InvalidGroup.Duplicate", message));
    }
    let id = account.change(vpc, |world| world.create_group(&name, &description, tags.clone()))?;
    let mut xml = Xml::default();
    xml.text("return", true);
    xml.text("groupId", &id);
    tags::write(&mut xml, &tags);
    xml.text("securityGroupArn", arn(&account.number, "security-group", &id));
    Ok(xml)
}

pub(crate) fn delete(account: &mut Account, parameters: &mut Parameters) -> Result<Xml, Refusal> {
    let (vpc, id) = account.target(parameters)?;
    parameters.finish()?;
    account.change(vpc, |world| world.delete_group(&id))?;
    let mut xml = Xml::default();
    xml.text("return", true);
    xml.text("groupId", &id);
    Ok(xml)
}

pub(crate) fn describe(account: &mut Account, parameters: &mut Parameters) -> Result<Xml, Refusal> {
    let page = Page::read(parameters, account.settings.page)?;
    let filters = Filters::read(parameters, &FILTERS)?;
    let ids = parameters.texts("GroupId");
    let names = parameters.texts("GroupName");
    parameters.finish()?;
    ids.iter().try_for_each(|id| check_id(id, "sg", "InvalidGroupId.Malformed"))?;

    let number = account.number.clone();
    let mut found: Vec<(String, Group)> = Vec::new();
    for vpc in &mut account.vpcs {
        let (id, is_default) = (vpc.id.clone(), vpc.is_default);
        found.extend(
            vpc.seen()
                .groups()
                .filter(|group| {
                    let named = ids.contains(&group.id) || (is_default && names.contains(&group.name));
                    (ids.is_empty() && names.is_empty()) || named
                })
                .map(|group| (id.clone(), group.clone())),
        );
    }
    let missing = ids.iter().find(|id| !found.iter().any(|(_, group)| group.id == **id));
    let missing = missing.or_else(|| names.iter().find(|name| !found.iter().any(|(_, group)| group.name == **name)));
    if let Some(missing) = missing {
        return Err(Refusal::no_group(missing));
    }
    found.retain(|(vpc, group)| filters.pass(|name| values(name, vpc, group, &number)));
    found.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
    let (found, token) = page.cut(found, |(_, group)| group.id.clone());

    let mut xml = Xml::default();
    xml.list("securityGroupInfo", &found, |xml, (vpc, group)| write(xml, vpc, group, &number));
    if let Some(token) = token {
        xml.text("nextToken", token);
    }
    Ok(xml)
}

fn values(name: &str, vpc: &str, group: &Group, account: &str) -> Vec<String> {
    let of_rules = |key: &str, direction: Direction| {
        let rules = group.rules.iter().filter(|rule| rule.permission.direction == direction);
        rules.filter_map(|rule| filter_value(rule, key, account)).collect()
    };
    match name {
        "description" => vec![group.description.clone()],
        "group-id" => vec![group.id.clone()],
        "group-name" => vec![group.name.clone()],
        "owner-id" => vec![account.to_owned()],
        "vpc-id" => vec![vpc.to_owned()],
        _ => match (name.strip_prefix("egress.ip-permission."), name.strip_prefix("ip-permission.")) {
            (Some(key), _) => of_rules(key, Direction::Egress),
            (_, Some(key)) => of_rules(key, Direction::Ingress),
            _ => tags::values(name, &group.tags),
        },
    }
}

fn write(xml: &mut Xml, vpc: &str, group: &Group, account: &str) {
    xml.text("ownerId", account);
    xml.text("groupId", &group.id);
    xml.text("groupName", &group.name);
    xml.text("groupDescription", &group.description);
    xml.text("vpcId", vpc);
    for (name, direction) in [("ipPermissions", Direction::Ingress), ("ipPermissionsEgress", Direction::Egress)] {
        let rules = group.rules.iter().filter(|rule| rule.permission.direction == direction);
        write_permissions(xml, name, rules.map(|rule| (&rule.permission, rule.description.as_str())), account);
    }
    tags::write(xml, &group.tags);
    xml.text("securityGroupArn", arn(account, "security-group", &group.id));
}

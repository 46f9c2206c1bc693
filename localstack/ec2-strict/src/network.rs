//! VPCs, their subnets and network interfaces: as much of them as tests need.

use std::collections::BTreeSet;

use crate::account::{Account, Interface, Vpc, check_id};
use crate::error::Refusal;
use crate::filter::Filters;
use crate::page::Page;
use crate::parameters::Parameters;
use crate::tags;
use crate::xml::Xml;

/// `n` is the number of the new VPC in this server.
pub(crate) fn create_vpc(account: &mut Account, parameters: &mut Parameters, n: u64) -> Result<Xml, Refusal> {
    let cidr = parameters.need("CidrBlock")?;
    let tags = tags::specified(parameters, "vpc")?;
    parameters.finish()?;
    let mut vpc = Vpc::new(n, false, &cidr, &account.settings);
    vpc.tags = tags;
    let mut xml = Xml::default();
    xml.within("vpc", |xml| write_vpc(xml, &vpc, &account.number));
    account.vpcs.push(vpc);
    Ok(xml)
}

fn write_vpc(xml: &mut Xml, vpc: &Vpc, account: &str) {
    xml.text("vpcId", &vpc.id);
    xml.text("ownerId", account);
    xml.text("state", "available");
    xml.text("cidrBlock", &vpc.cidr);
    xml.text("isDefault", vpc.is_default);
    tags::write(xml, &vpc.tags);
}

pub(crate) fn describe_vpcs(account: &mut Account, parameters: &mut Parameters) -> Result<Xml, Refusal> {
    let page = Page::read(parameters, account.settings.page)?;
    let names = ["cidr", "is-default", "isDefault", "owner-id", "state", "tag:", "tag-key", "vpc-id"];
    let filters = Filters::read(parameters, &names)?;
    let ids = parameters.texts("VpcId");
    parameters.finish()?;
    ids.iter().try_for_each(|id| account.vpc(id).map(|_| ()))?;
    let of = |vpc: &&Vpc| {
        (ids.is_empty() || ids.contains(&vpc.id))
            && filters.pass(|name| match name {
                "cidr" => vec![vpc.cidr.clone()],
                "is-default" | "isDefault" => vec![vpc.is_default.to_string()],
                "owner-id" => vec![account.number.clone()],
                "state" => vec!["available".to_owned()],
                "vpc-id" => vec![vpc.id.clone()],
                _ => tags::values(name, &vpc.tags),
            })
    };
    let mut found: Vec<&Vpc> = account.vpcs.iter().filter(of).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let (found, token) = page.cut(found, |vpc| vpc.id.clone());
    let mut xml = Xml::default();
    xml.list("vpcSet", found, |xml, vpc| write_vpc(xml, vpc, &account.number));
    if let Some(token) = token {
        xml.text("nextToken", token);
    }
    Ok(xml)
}

/// Each VPC has one.
pub(crate) fn describe_subnets(account: &mut Account, parameters: &mut Parameters) -> Result<Xml, Refusal> {
    let filters = Filters::read(parameters, &["subnet-id", "vpc-id"])?;
    parameters.finish()?;
    let mut xml = Xml::default();
    let of = |vpc: &&Vpc| filters.pass(|name| vec![if name == "vpc-id" { vpc.id.clone() } else { vpc.subnet.clone() }]);
    xml.list("subnetSet", account.vpcs.iter().filter(of), |xml, vpc| {
        xml.text("subnetId", &vpc.subnet);
        xml.text("vpcId", &vpc.id);
        xml.text("ownerId", &account.number);
        xml.text("state", "available");
        xml.text("cidrBlock", &vpc.cidr);
    });
    Ok(xml)
}

pub(crate) fn create_interface(account: &mut Account, parameters: &mut Parameters) -> Result<Xml, Refusal> {
    let subnet = parameters.need("SubnetId")?;
    let description = parameters.take("Description").unwrap_or_default();
    let ids: BTreeSet<String> = parameters.texts("SecurityGroupId").into_iter().collect();
    parameters.take("ClientToken");
    parameters.finish()?;
    let missing = || Refusal::new("InvalidSubnetID.NotFound", format!("The subnet ID '{subnet}' does not exist"));
    let vpc = account.vpcs.iter().position(|vpc| vpc.subnet == subnet).ok_or_else(missing)?;
    for id in &ids {
        check_id(id, "sg", "InvalidGroupId.Malformed")?;
    }
    let interface = account.change(vpc, |world| {
        // Who names none gets the VPC's own.
        let default = world.find("default").map(|group| group.id.clone());
        let ids = if ids.is_empty() { default.into_iter().collect() } else { ids };
        world.attach(&ids)?;
        let named = world.groups().filter(|group| ids.contains(&group.id));
        let groups = named.map(|group| (group.id.clone(), group.name.clone())).collect();
        Ok::<_, Refusal>((world.fresh_id("eni"), groups))
    });
    let (id, groups) = interface?;
    let interface = Interface { id, vpc: account.vpcs[vpc].id.clone(), subnet, description, groups };
    let mut xml = Xml::default();
    xml.within("networkInterface", |xml| write_interface(xml, &interface, &account.number));
    account.interfaces.push(interface);
    Ok(xml)
}

pub(crate) fn describe_interfaces(account: &mut Account, parameters: &mut Parameters) -> Result<Xml, Refusal> {
    let page = Page::read(parameters, account.settings.page)?;
    let names = ["description", "group-id", "group-name", "network-interface-id", "subnet-id", "vpc-id"];
    let filters = Filters::read(parameters, &names)?;
    parameters.finish()?;
    let of = |interface: &&Interface| {
        filters.pass(|name| match name {
            "description" => vec![interface.description.clone()],
            "group-id" => interface.groups.iter().map(|(id, _)| id.clone()).collect(),
            "group-name" => interface.groups.iter().map(|(_, name)| name.clone()).collect(),
            "network-interface-id" => vec![interface.id.clone()],
            "subnet-id" => vec![interface.subnet.clone()],
            _ => vec![interface.vpc.clone()],
        })
    };
    let mut found: Vec<&Interface> = account.interfaces.iter().filter(of).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let (found, token) = page.cut(found, |interface| interface.id.clone());
    let mut xml = Xml::default();
    xml.list("networkInterfaceSet", found, |xml, interface| write_interface(xml, interface, &account.number));
    if let Some(token) = token {
        xml.text("nextToken", token);
    }
    Ok(xml)
}

fn write_interface(xml: &mut Xml, interface: &Interface, account: &str) {
    let Interface { id, vpc, subnet, description, groups } = interface;
    xml.text("networkInterfaceId", id);
    xml.text("subnetId", subnet);
    xml.text("vpcId", vpc);
    xml.text("description", description);
    xml.text("ownerId", account);
    xml.text("status", "available");
    xml.list("groupSet", groups, |xml, (id, name)| {
        xml.text("groupId", id);
        xml.text("groupName", name);
    });
}

//! Node groups: their roles, and the security group that they share.

use std::sync::Arc;

use super::context::Context;
use super::problem::Code;
use super::report::Place;
use super::tree::{Key, Node, Value};
use super::{Addresses, NodeGroup, Ownership, Role, SecurityGroup};
use crate::name::{GroupName, NodeGroupName};
use crate::profile::{Profile, Selector};

const OWNERSHIPS: [(&str, Ownership); 2] = [("exclusive", Ownership::Exclusive), ("shared", Ownership::Shared)];

/// A group, and where its security group and `ownership` stand.
pub(super) struct Placed {
    pub group: NodeGroup,
    pub security_group: Place,
    /// It is written as a service account.
    pub is_account: bool,
    pub ownership: Place,
}

/// Reads `clusters.CLUSTER.groups.NAME`.
pub(super) fn group(
    cx: &Context<'_>,
    cluster: &str,
    profile: Option<&Profile>,
    key: &Key,
    node: &Node,
) -> Option<Placed> {
    let name = cx.name(key, NodeGroupName::new);
    let mut fields = node.fields(cx.report)?;
    let roles = fields.require("roles", "say what its nodes do: `roles: [etcd, controlplane]`");
    let roles = roles.map(|node| roles_of(cx, profile, node));
    let security_group = fields.get("security_group");
    let account = fields.get("service_account");
    if let (Some(group), Some(account)) = (security_group, account) {
        let finding = account.place.error(Code::Conflict, "`security_group` and `service_account` don't go together");
        cx.report.add(finding.also(&group.place, "first").help("write the one that rules name the nodes by"));
    }
    // With both, one error is enough.
    let is_account = account.is_some() && security_group.is_none();
    let at_security_group = account.or(security_group).map_or(&key.place, |node| &node.place).clone();
    let security_group = match (security_group, account) {
        (_, Some(node)) => account_of(cx, node),
        (Some(node), None) => node.read(cx.report, SecurityGroup::parse),
        (None, None) => GroupName::new(&format!("{cluster}-{}", key.text)).ok().map(SecurityGroup::Name),
    };
    let ownership = fields.get("ownership");
    let at_ownership = ownership.map_or(&key.place, |node| &node.place).clone();
    let ownership = ownership.and_then(|node| node.choice(cx.report, "ownership", &OWNERSHIPS));
    let create = fields.get("create").and_then(|node| Some((node, node.boolean(cx.report)?)));
    let addresses = fields.get("addresses").and_then(|node| addresses(cx, node)).unwrap_or_default();
    let multihomed = fields.get("multihomed").and_then(|node| node.boolean(cx.report));
    fields.finish();

    if let Some((node, true)) = create {
        if ownership != Some(Ownership::Shared) {
            let finding = node.place.error(Code::Conflict, "`create` is for shared groups");
            cx.report.add(finding.help("leave it out: other groups are created where they don't exist"));
        } else if let Some(SecurityGroup::Id(id)) = &security_group {
            let finding = node.place.error(Code::Conflict, format!("a group can't be created with the id `{id}`"));
            cx.report.add(finding.help("give `security_group` a name"));
        }
    }
    let group = NodeGroup {
        name: name?,
        roles: roles?,
        security_group: security_group?,
        ownership,
        create: create.is_some_and(|(_, create)| create),
        addresses,
        multihomed,
    };
    Some(Placed { group, security_group: at_security_group, is_account, ownership: at_ownership })
}

fn account_of(cx: &Context<'_>, node: &Node) -> Option<SecurityGroup> {
    let text = node.text(cx.report)?;
    let parts = text.split_once('@').filter(|(user, host)| !user.is_empty() && host.contains('.'));
    if parts.is_none() || text.contains(char::is_whitespace) {
        let finding = node.place.error(Code::BadValue, format!("`{text}` is not a service account"));
        cx.report.add(finding.help("write its address, such as `nodes@acme-prod.iam.gserviceaccount.com`"));
        return None;
    }
    node.read(cx.report, GroupName::new).map(SecurityGroup::Name)
}

fn roles_of(cx: &Context<'_>, profile: Option<&Profile>, node: &Node) -> Vec<Role> {
    let known = || cx.vocabulary().roles.iter();
    let items = node.items(cx.report);
    let mut roles: Vec<Role> = Vec::new();
    for item in items {
        let Some(text) = item.text(cx.report) else { continue };
        match known().find(|role| &***role == text) {
            Some(role) if !roles.contains(role) => roles.push(Arc::clone(role)),
            Some(_) => {}
            None => cx.report.add(item.unknown("role", known().map(|role| &**role))),
        }
    }
    if items.is_empty() && !matches!(node.value, Value::Map(_)) {
        let finding = node.place.error(Code::BadValue, "the group has no roles");
        cx.report.add(finding.help("say what its nodes do: `roles: [etcd, controlplane]`"));
    }
    if let Some(profile) = profile.filter(|profile| !roles.is_empty() && !concerns(cx, profile, &roles)) {
        let message = format!("profile `{}` has no row for these roles: nothing will be opened", profile.name);
        cx.report.add(node.place.warning(Code::Doubtful, message));
    }
    roles
}

/// Whether a row of the profile's own speaks of one of the roles.
fn concerns(cx: &Context<'_>, profile: &Profile, roles: &[Role]) -> bool {
    let own = profile.rows.iter().filter(|row| row.profile == profile.name);
    let ends = own.flat_map(|row| row.from.iter().chain(&row.to));
    ends.into_iter().any(|end| match end {
        Selector::Role(role) => *role == cx.vocabulary().every_role || roles.contains(role),
        Selector::SelfGroup => true,
        Selector::SelfNode | Selector::Peer(_) | Selector::Cidr(_) | Selector::Name(_) | Selector::Net(_) => false,
    })
}

/// A plain list is private.
fn addresses(cx: &Context<'_>, node: &Node) -> Option<Addresses> {
    if !matches!(node.value, Value::Map(_)) {
        return Some(Addresses { private: cx.cidrs(node), public: Vec::new() });
    }
    let mut fields = node.fields(cx.report)?;
    let private = fields.get("private").map(|node| cx.cidrs(node)).unwrap_or_default();
    let public = fields.get("public").map(|node| cx.cidrs(node)).unwrap_or_default();
    fields.finish();
    Some(Addresses { private, public })
}

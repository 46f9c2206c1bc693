//! What a cluster has beyond its profile and against it: own rules, waivers, narrowings, differences left alone.

use std::collections::BTreeSet;

use super::context::Context;
use super::fields::Fields;
use super::own;
use super::problem::Code;
use super::tree::Node;
use super::{EndWord, ExtraRule, Ignore, Narrowing, Waived, Waiver};
use crate::name::NodeGroupName;
use crate::profile::Profile;
use crate::rule::Cidr;
use crate::traffic::Traffic;

const STAYS: &str = "it stays in force; renew or remove it";

/// The names that stand in a cluster's lists.
pub(super) struct Scope<'a> {
    pub groups: BTreeSet<&'a str>,
    /// Peers that the cluster or the files define.
    pub peers: BTreeSet<&'a str>,
    pub profile: Option<&'a Profile>,
}

/// Reads an entry of `rules`.
pub(super) fn rule(cx: &Context<'_>, scope: &Scope<'_>, node: &Node) -> Option<ExtraRule> {
    let mut fields = node.fields(cx.report)?;
    let from = fields.require("from", "say who: a group, a peer, an address range or \"*\"");
    let from = from.map(|node| ends(cx, scope, node));
    let to = fields.require("to", "say whom: a group, a peer, an address range or \"*\"");
    let to = to.map(|node| ends(cx, scope, node));
    let allow = fields.require("allow", "say what: `allow: [9796/tcp]`").map(|node| allowed(cx, node));
    let why = cx.why(&mut fields);
    let ticket = fields.get("ticket").and_then(|node| node.word(cx.report)).map(str::to_owned);
    let until = cx.until(&mut fields, "what it opened is planned for removal");
    fields.finish();
    let (from, to) = (from?, to?);
    let outside = |end: &EndWord| matches!(end, EndWord::Peer(_) | EndWord::Cidr(_));
    if !from.is_empty() && !to.is_empty() && from.iter().chain(&to).all(outside) {
        let finding = node.place.error(Code::BadValue, "neither end is a group of this cluster");
        cx.report.add(finding.help(format!("its groups: {}", join(&scope.groups))));
    }
    Some(ExtraRule { from, to, allow: allow?, why: why?, ticket, until })
}

/// Reads an entry of `waive`.
pub(super) fn waiver(cx: &Context<'_>, scope: &Scope<'_>, node: &Node) -> Option<Waiver> {
    let mut fields = node.fields(cx.report)?;
    let what = match (fields.get("row"), fields.get("guard")) {
        (Some(row), None) => self::row(cx, scope, row).map(Waived::Row),
        (None, Some(guard)) => self::guard(cx, scope, guard).map(Waived::Guard),
        (Some(row), Some(guard)) => {
            let finding = guard.place.error(Code::Conflict, "`row` and `guard` don't go together");
            cx.report.add(finding.also(&row.place, "row").help("make it two entries"));
            None
        }
        (None, None) => {
            let finding = node.place.error(Code::Missing, "`row` or `guard` is missing");
            cx.report.add(finding.help("name the profile's row that is not to be opened, or the guard set aside"));
            None
        }
    };
    let groups = fields.get("groups").map(|node| groups(cx, scope, node)).unwrap_or_default();
    let why = cx.why(&mut fields);
    let effect = match what {
        Some(Waived::Guard(_)) => "what it allowed is planned for removal",
        _ => STAYS,
    };
    let until = cx.until(&mut fields, effect);
    fields.finish();
    Some(Waiver { what: what?, groups, why: why?, until })
}

/// Reads an entry of `narrow`.
pub(super) fn narrowing(cx: &Context<'_>, scope: &Scope<'_>, node: &Node) -> Option<Narrowing> {
    let mut fields = node.fields(cx.report)?;
    let row = require_row(cx, scope, &mut fields);
    let from = fields.require("from", "say who alone may: `from: [monitoring]`").map(|node| ends(cx, scope, node));
    let why = cx.why(&mut fields);
    let until = cx.until(&mut fields, STAYS);
    fields.finish();
    Some(Narrowing { row: row?, from: from?, why: why?, until })
}

/// Reads an entry of `ignore`; `tcp+udp` makes it two.
pub(super) fn ignored(cx: &Context<'_>, scope: &Scope<'_>, node: &Node) -> Vec<Ignore> {
    let Some(mut fields) = node.fields(cx.report) else { return Vec::new() };
    let group = fields.require("group", &format!("one of {}", join(&scope.groups)));
    let group = group.and_then(|node| self::group(cx, scope, node));
    let traffic = fields.require("port", "say on which traffic: `port: 31999/tcp`");
    let traffic = traffic.map(|node| cx.traffic(node)).unwrap_or_default();
    let why = cx.why(&mut fields);
    let until = cx.until(&mut fields, STAYS);
    fields.finish();
    let Some((group, why)) = group.zip(why) else { return Vec::new() };
    let one = |traffic| Ignore { group: group.clone(), traffic, why: why.clone(), until };
    traffic.into_iter().map(one).collect()
}

fn allowed(cx: &Context<'_>, node: &Node) -> Vec<Traffic> {
    let items = node.items(cx.report);
    if items.is_empty() {
        cx.report.add(node.place.error(Code::BadValue, "nothing is allowed").help("say what: `allow: [9796/tcp]`"));
    }
    items.iter().flat_map(|item| cx.traffic(item)).collect()
}

fn ends(cx: &Context<'_>, scope: &Scope<'_>, node: &Node) -> Vec<EndWord> {
    let items = node.items(cx.report);
    if items.is_empty() {
        let finding = node.place.error(Code::BadValue, format!("{} names nobody", node.place.path.subject()));
        cx.report.add(finding.help("name a group, a peer, an address range or \"*\""));
    }
    items.iter().filter_map(|item| end(cx, scope, item)).collect()
}

/// A group of the cluster, a peer, an address range or `*`.
fn end(cx: &Context<'_>, scope: &Scope<'_>, node: &Node) -> Option<EndWord> {
    let text = node.text(cx.report)?;
    let shipped = cx.vocabulary().peers.iter().find(|peer| &***peer == text);
    let is_peer = scope.peers.contains(text) || shipped.is_some();
    if text == "*" {
        return Some(EndWord::Every);
    }
    if scope.groups.contains(text) {
        if is_peer {
            let finding = node.place.error(Code::Conflict, format!("`{text}` is a group of this cluster and a peer"));
            cx.report.add(finding.help("rename one of the two"));
        }
        return NodeGroupName::new(text).ok().map(EndWord::Group);
    }
    if is_peer {
        return Some(EndWord::Peer(text.into()));
    }
    if let Some(cidr) = Cidr::parse(text) {
        cx.warn_of_host_bits(node, text, cidr);
        return Some(EndWord::Cidr(cidr));
    }
    if cx.index.partial {
        return None;
    }
    let known = scope.groups.iter().chain(&scope.peers).copied();
    let finding = node.unknown("group or peer", known.chain(cx.vocabulary().peers.iter().map(|peer| &**peer)));
    cx.report.add(match text.split_once('/') {
        Some((cluster, group)) if cx.index.clusters.get(cluster).is_some_and(|groups| groups.contains(group)) => {
            finding.help(format!(
                "make it a peer, `peers: {{ NAME: {{ cluster: {cluster}, group: {group} }} }}`, and name that"
            ))
        }
        _ => finding,
    });
    None
}

fn groups(cx: &Context<'_>, scope: &Scope<'_>, node: &Node) -> Vec<NodeGroupName> {
    let items = node.items(cx.report);
    if items.is_empty() {
        let finding = node.place.error(Code::BadValue, "`groups` names none");
        cx.report.add(finding.help("leave it out to mean all groups of the cluster"));
    }
    items.iter().filter_map(|item| group(cx, scope, item)).collect()
}

fn group(cx: &Context<'_>, scope: &Scope<'_>, node: &Node) -> Option<NodeGroupName> {
    let text = node.text(cx.report)?;
    if !scope.groups.contains(text) {
        cx.report.add(node.unknown("group of this cluster", scope.groups.iter().copied()));
        return None;
    }
    NodeGroupName::new(text).ok()
}

fn require_row(cx: &Context<'_>, scope: &Scope<'_>, fields: &mut Fields<'_>) -> Option<String> {
    let node = fields.require("row", "name a row of the profile: `rsgsync profile show NAME` lists them")?;
    row(cx, scope, node)
}

/// A row of the cluster's profile, by its id or `PROFILE/ID`.
fn row(cx: &Context<'_>, scope: &Scope<'_>, node: &Node) -> Option<String> {
    let text = node.text(cx.report)?;
    let Some(profile) = scope.profile else { return Some(text.to_owned()) };
    let found: Vec<_> = profile.rows_named(text).collect();
    if let [first, second, ..] = found.as_slice()
        && first.profile != second.profile
    {
        let words: Vec<String> = found.iter().map(|row| format!("`{}/{}`", row.profile, row.id)).collect();
        let finding = node.place.error(Code::Conflict, format!("several rows are named `{text}`"));
        cx.report.add(finding.help(format!("write {}", words.join(" or "))));
        return None;
    }
    if !found.is_empty() {
        return Some(text.to_owned());
    }
    let what = format!("row of profile `{}`", profile.label());
    cx.report.add(node.unknown(&what, profile.rows.iter().map(|row| &*row.id)));
    None
}

/// A guard, by its name: one that ships, one of the user's own, or a row of the profile that forbids public ranges.
fn guard(cx: &Context<'_>, scope: &Scope<'_>, node: &Node) -> Option<String> {
    let text = node.text(cx.report)?;
    let rows = scope.profile.into_iter().flat_map(|profile| &profile.rows).filter(|row| row.forbid_public);
    let names = own::guard_names(cx.guards, rows.map(|row| &row.id));
    if names.contains(&text) {
        return Some(text.to_owned());
    }
    cx.report.add(node.unknown("guard", names));
    None
}

fn join(words: &BTreeSet<&str>) -> String {
    words.iter().copied().collect::<Vec<_>>().join(", ")
}

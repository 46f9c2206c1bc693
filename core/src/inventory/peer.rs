//! Peers: named parties outside a cluster's own groups.

use std::sync::Arc;

use super::context::Context;
use super::problem::Code;
use super::report::{self, Place};
use super::tree::{Key, Node};
use super::{Peer, PeerName, SecurityGroup};
use crate::name::NodeGroupName;
use crate::rule::Cidr;

pub(super) const KINDS: [&str; 8] =
    ["cidrs", "cidrs_file", "security_group", "cluster", "prefix_list", "address_group", "tag", "service_account"];
const HELP: &str = "write `{ cidrs: [203.0.113.0/24] }`, or `cidrs_file`, `security_group`, `cluster`, `prefix_list`, \
                    `address_group`, `tag` or `service_account`";

/// Reads `peers.NAME`.
pub(super) fn peer(cx: &Context<'_>, key: &Key, node: &Node) -> Option<(PeerName, Peer)> {
    let name = name(cx, key);
    let mut fields = node.fields(cx.report)?;
    let given: Vec<(&str, &Node)> = KINDS.iter().filter_map(|kind| Some((*kind, fields.get(kind)?))).collect();
    let (kind, value) = match given.as_slice() {
        [] => {
            fields.get("account");
            fields.get("group");
            cx.report.add(key.place.error(Code::Missing, format!("peer `{}` is nobody", key.text)).help(HELP));
            ("", None)
        }
        [(kind, value), rest @ ..] => {
            for (other, second) in rest {
                let finding = second.place.error(Code::Conflict, format!("`{kind}` and `{other}` don't go together"));
                cx.report.add(finding.also(&value.place, "first").help("make it two peers"));
            }
            (*kind, Some(*value))
        }
    };
    let text = |node: &Node| cx.prose(node);
    let peer = value.and_then(|value| match kind {
        "cidrs" => {
            let cidrs = cx.cidrs(value);
            if value.items(cx.report).is_empty() {
                cx.report.add(nobody(&value.place));
            }
            Some(Peer::Cidrs(cidrs))
        }
        "cidrs_file" => cidrs_file(cx, value).map(Peer::Cidrs),
        "security_group" => {
            let account = fields.get("account").map(text);
            let group = value.read(cx.report, SecurityGroup::parse)?;
            Some(Peer::SecurityGroup { group, account: account.flatten() })
        }
        "cluster" => {
            let cluster = cx.cluster(value);
            let group = fields.get("group");
            let group = match (&cluster, group) {
                (Some(cluster), Some(node)) => Some(group_of(cx, cluster.as_str(), node)?),
                _ => None,
            };
            Some(Peer::NodeGroup { cluster: cluster?, group })
        }
        "prefix_list" => text(value).map(Peer::PrefixList),
        "address_group" => text(value).map(Peer::AddressGroup),
        "tag" => text(value).map(Peer::Tag),
        _ => text(value).map(Peer::ServiceAccount),
    });
    fields.finish();
    Some((name?, peer?))
}

/// A name that can't be mistaken for an address or for everything.
fn name(cx: &Context<'_>, key: &Key) -> Option<PeerName> {
    let text = key.text.as_str();
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '/' | ',');
    if text.is_empty() || text.contains(odd) || Cidr::parse(text).is_some() {
        let finding = key.place.error(Code::BadValue, format!("`{text}` can't be a peer's name"));
        cx.report.add(finding.help("use a word such as `office`; addresses go below it, under `cidrs`"));
        return None;
    }
    Some(Arc::from(text))
}

fn nobody(place: &Place) -> report::Finding {
    place.error(Code::BadValue, "there is no address in it").help("leave the peer out: its rows are then not opened")
}

/// A group of the named cluster, which exists.
fn group_of(cx: &Context<'_>, cluster: &str, node: &Node) -> Option<NodeGroupName> {
    let text = node.text(cx.report)?;
    let groups = cx.index.clusters.get(cluster)?;
    if !groups.contains(text) {
        cx.report.add(node.unknown(&format!("group of cluster `{cluster}`"), groups.iter().copied()));
        return None;
    }
    NodeGroupName::new(text).ok()
}

/// Reads a file of address ranges: one a line, `#` starts a comment.
fn cidrs_file(cx: &Context<'_>, node: &Node) -> Option<Vec<Cidr>> {
    let name = cx.prose(node)?;
    let path = cx.resolve(node, &name);
    let text = match (cx.read_file)(&path) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(error) => {
            cx.report.add(node.place.error(Code::File, format!("can't read `{}`: {error}", path.display())));
            return None;
        }
    };
    let source = cx.report.add_text(&path.to_string_lossy(), &text);
    let mut cidrs = Vec::new();
    let mut words = 0;
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.split('#').next().unwrap_or_default();
        let word = content.trim();
        if !word.is_empty() {
            words += 1;
            let start = line_start + (content.len() - content.trim_start().len());
            let place = Place { source, start, end: start + word.len(), path: report::Path::default() };
            cidrs.extend(cx.cidr(&Node { place, value: super::tree::Value::Text(word.to_owned()) }));
        }
        line_start += line.len();
    }
    if words == 0 {
        cx.report.add(nobody(&node.place));
    }
    Some(cidrs)
}

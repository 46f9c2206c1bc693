//! Between core's words and this cloud's: rules, peers and marks.

use rsgsync_core::inventory::SecurityGroup;
use rsgsync_core::name::{GroupMark, Mark, Origin};
use rsgsync_core::rule::{Atom, Atoms, Family, PeerKind, Rule, RulePeer};

use crate::world::{Peer, Permission, Tags};

/// Tags whose key begins so are marks.
const MARK_PREFIX: &str = "rsgsync:";

/// The tag's key that is this mark.
pub(crate) fn mark_key(mark: &Mark) -> String {
    format!("{MARK_PREFIX}{mark}")
}

/// The tags that put these marks on a rule.
pub(crate) fn rule_tags(marks: &[Mark]) -> Tags {
    marks.iter().map(|mark| (mark_key(mark), String::new())).collect()
}

/// The tags that put these marks on a group.
pub(crate) fn group_tags(marks: &[(Mark, Origin)]) -> Tags {
    marks.iter().map(|(mark, origin)| (mark_key(mark), origin.as_str().to_owned())).collect()
}

/// A rule's marks, sorted.
pub(crate) fn marks_of_rule(tags: &Tags) -> Vec<Mark> {
    let mut marks: Vec<Mark> = tags.keys().filter_map(|key| Mark::parse(key.strip_prefix(MARK_PREFIX)?)).collect();
    marks.sort();
    marks
}

/// A group's marks, sorted; a value that is no origin counts as `joined`, which gives the least power.
pub(crate) fn marks_of_group(tags: &Tags) -> Vec<GroupMark> {
    let mark = |(key, value): (&String, &String)| {
        let mark = Mark::parse(key.strip_prefix(MARK_PREFIX)?)?;
        Some(GroupMark { mark, origin: Origin::parse(value).unwrap_or(Origin::Joined) })
    };
    let mut marks: Vec<GroupMark> = tags.iter().filter_map(mark).collect();
    marks.sort();
    marks
}

/// A rule of this cloud in core's words.
pub(crate) fn to_rule(permission: &Permission, atoms: &mut Atoms) -> Rule {
    let Permission { direction, traffic, peer } = permission;
    let mut opaque = |kind, text: &str| RulePeer::Opaque(kind, atoms.intern(text), Family::Both);
    let peer = match peer {
        Peer::Cidr(cidr) => RulePeer::Addresses(*cidr),
        Peer::Group(id) => opaque(PeerKind::Group, id),
        Peer::OtherAccount { account, group } => opaque(PeerKind::Group, &format!("{account}/{group}")),
        Peer::PrefixList(name) => opaque(PeerKind::PrefixList, name),
        Peer::AddressGroup(name) => opaque(PeerKind::AddressGroup, name),
        Peer::ServiceAccount(name) => opaque(PeerKind::ServiceAccount, name),
    };
    Rule { direction: *direction, peer, traffic: *traffic }
}

/// A rule of core's in this cloud's words; `resolve` gives the id of a group that is named.
pub(crate) fn to_permission(rule: &Rule, atoms: &Atoms, resolve: impl Fn(Atom) -> String) -> Permission {
    let Rule { direction, peer, traffic } = *rule;
    let peer = match peer {
        RulePeer::Addresses(cidr) => Peer::Cidr(cidr),
        RulePeer::Opaque(kind, atom, _) => {
            let text = atoms.text(atom);
            match kind {
                PeerKind::Group => match other_account(&resolve(atom)) {
                    Some((account, group)) => {
                        Peer::OtherAccount { account: account.to_owned(), group: group.to_owned() }
                    }
                    None => Peer::Group(resolve(atom)),
                },
                PeerKind::PrefixList => Peer::PrefixList(text.to_owned()),
                PeerKind::AddressGroup => Peer::AddressGroup(text.to_owned()),
                PeerKind::ServiceAccount => Peer::ServiceAccount(text.to_owned()),
            }
        }
    };
    Permission { direction, traffic, peer }
}

/// Account and id of `ACCOUNT/ID`; here a network's name is its account.
pub(crate) fn other_account(text: &str) -> Option<(&str, &str)> {
    let (account, group) = text.rsplit_once('/')?;
    matches!(SecurityGroup::parse(group), Ok(SecurityGroup::Id(_))).then_some((account, group))
}

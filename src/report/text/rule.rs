//! One rule on a line, and why it is there, comes or goes.

use std::collections::BTreeSet;

use rsgsync_core::document::peer_entry;
use rsgsync_core::flow::Reason;
use rsgsync_core::observed::ObservedRule;
use rsgsync_core::plan::{GroupPlan, GroupStatus, NetworkPlan, StepRule};
use rsgsync_core::rule::{Direction, Family, Rule, RulePeer};
use similar::{ChangeTag, TextDiff};

use super::{ADD, CHANGE, FAINT, REMOVE, paint};
use crate::report::escape;

/// `    + in  22/tcp            from 192.0.2.0/24               why`, the sign in its colour.
pub fn rule_line(network: &NetworkPlan, sign: char, rule: &Rule, why: &str) -> String {
    let style = match sign {
        '+' => ADD,
        '−' => REMOVE,
        '·' => FAINT,
        _ => CHANGE,
    };
    let (way, side) = way(rule.direction);
    let (traffic, peer) = (rule.traffic.to_string(), peer(network, rule.peer));
    let body = format!("{way:<4}{traffic:<18}{side:<5}{:<26}", escape(&peer));
    format!("    {} {body} {}\n", paint(style, &sign.to_string()), paint(FAINT, why))
}

/// `in` with `from`, `out` with `to`.
pub fn way(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::Ingress => ("in", "from"),
        Direction::Egress => ("out", "to"),
    }
}

/// The other end of a rule, by its name.
pub fn peer(network: &NetworkPlan, peer: RulePeer) -> String {
    let entry = peer_entry(peer, network);
    let account = entry.account.map(|a| format!("{a}/")).unwrap_or_default();
    let name = [entry.cidr, entry.security_group, entry.prefix_list, entry.address_group, entry.service_account];
    let name = name.into_iter().flatten().next().unwrap_or_default();
    // Where each family is a rule of its own, the two would look the same.
    let family = if matches!(peer, RulePeer::Opaque(_, _, Family::Ipv6)) { " (ipv6)" } else { "" };
    format!("{account}{name}{family}")
}

/// Why a rule is added.
pub fn why_added(rule: &StepRule) -> String {
    let reasons: Vec<&Reason> = rule.reasons.iter().collect();
    because(&reasons).unwrap_or_else(|| match rule.rule.direction {
        Direction::Ingress => "stays open: held or ignored".to_owned(),
        Direction::Egress => "outbound is open".to_owned(),
    })
}

/// The first reason, and how many more there are: `etcd peer traffic  [etcd-etcd-peer +1]`.
fn because(reasons: &[&Reason]) -> Option<String> {
    match reasons {
        [] => None,
        // A rollback has no rows.
        [one] if one.row.is_empty() => Some(one.why.to_string()),
        [one] => Some(format!("{}  [{}]", one.why, row(one))),
        [first, more @ ..] => Some(format!("{}  [{} +{}]", first.why, row(first), more.len())),
    }
}

/// What a rule of others does for us, with its description.
pub fn why_foreign(group: &GroupPlan, rule: &ObservedRule, needed: bool) -> String {
    let why = if needed {
        let reasons: BTreeSet<&Reason> = group.diff.reasons(&rule.rule);
        let reasons: Vec<&Reason> = reasons.into_iter().collect();
        format!("foreign, needed: {}", because(&reasons).unwrap_or_else(|| "outbound is open".to_owned()))
    } else {
        "foreign, left alone".to_owned()
    };
    described(why, &rule.description)
}

/// Why a rule goes that is not ours, with its description.
pub fn why_lost(rule: &ObservedRule) -> String {
    described("not ours: goes with the group".to_owned(), &rule.description)
}

fn described(why: String, description: &str) -> String {
    if description.is_empty() { why } else { format!("{why}; “{description}”") }
}

/// The row's id; a rule of the user's own is `rule 1`, or its ticket.
pub fn row(reason: &Reason) -> String {
    let numbered = reason.row.bytes().all(|b| b.is_ascii_digit());
    if numbered { format!("rule {}", reason.row) } else { reason.row.to_string() }
}

/// Why a rule goes, and what its description was.
pub fn why_removed(group: &GroupPlan, rule: &StepRule) -> String {
    if group.status == GroupStatus::Delete {
        return "frees the group that it refers to".to_owned();
    }
    let why = rule.reasons.first().map_or_else(|| why_unwanted(group, &rule.rule), |reason| &reason.why);
    if rule.description.is_empty() { why.to_owned() } else { format!("{why}; was “{}”", rule.description) }
}

/// `required by nothing`, or `wider than anything requires`.
pub fn why_unwanted(group: &GroupPlan, rule: &Rule) -> &'static str {
    let overlapping = group.wanted.iter().any(|w| {
        w.rule.direction == rule.direction && w.rule.peer == rule.peer && {
            let ((a, b), (c, d)) = (w.rule.traffic.points(), rule.traffic.points());
            a <= d && c <= b
        }
    });
    if overlapping { "wider than anything requires" } else { "required by nothing" }
}

/// An old and a new description in one, what differs marked.
pub fn changed_words(old: &str, new: &str) -> String {
    TextDiff::from_words(old, new)
        .iter_all_changes()
        .map(|change| match change.tag() {
            ChangeTag::Equal => escape(change.value()),
            ChangeTag::Delete => paint(REMOVE, &format!("[−{}−]", change.value())),
            ChangeTag::Insert => paint(ADD, &format!("[+{}+]", change.value())),
        })
        .collect()
}

//! Plans and drift where a page has no room for them: in a pull request, an issue, a chat room.

use std::fmt::Write as _;

use rsgsync_core::document::{Document, DriftEntry, NetworkEntry, RuleEntry};

use super::{count, escape};

/// The most differences that a chat message names.
const NAMED: usize = 3;

/// A plan's text as Markdown: in a fence that shows what is added and removed in colour.
pub fn in_a_fence(text: &str, digest: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    let lines: Vec<String> = plain.trim_end().lines().map(with_its_sign_first).collect();
    let body = lines.join("\n");
    // What a cloud's text says must not end the fence.
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("### rsgsync plan `{}`\n\n{fence}diff\n{body}\n{fence}\n", digest.get(..16).unwrap_or_default())
}

/// `    + in …` as `+   in …`, so that a reader of differences sees it.
fn with_its_sign_first(line: &str) -> String {
    let indented = line.trim_start();
    let mut chars = indented.chars();
    let sign = match chars.next() {
        Some('+') => '+',
        Some('−') => '-',
        Some('~') => '!',
        _ => return format!(" {line}"),
    };
    format!("{sign}{}{}", " ".repeat(line.len() - indented.len()), chars.as_str())
}

/// What differs, as a table.
pub fn drift_markdown(document: &Document) -> String {
    let drift = document.drift.as_deref().unwrap_or_default();
    let mut out = format!("### rsgsync drift: {}\n", summary(document));
    for network in unread(document) {
        let _ = writeln!(
            out,
            "\n- `{}` could not be read: {}",
            network.name,
            cell(network.error.as_deref().unwrap_or_default())
        );
    }
    if !drift.is_empty() {
        out.push_str("\n| network | group | what | rule | why |\n| --- | --- | --- | --- | --- |\n");
    }
    for entry in drift {
        let (rule, why) = entry.rule.as_ref().map(|rule| (spell(rule), why(entry, rule))).unwrap_or_default();
        let kind = entry.kind.replace('_', " ");
        let group = cell(&entry.security_group);
        let _ = writeln!(out, "| {} | {group} | {kind} | {} | {} |", entry.network, cell(&rule), cell(&why));
    }
    out
}

/// What differs, in one paragraph; the worst first: what can't be read, then what is missing.
pub fn drift_chat(document: &Document) -> String {
    let drift = document.drift.as_deref().unwrap_or_default();
    let mut parts = vec![format!("rsgsync ({}): {}.", document.owner, summary(document))];
    let errors = unread(document).map(|n| format!("{}: {}.", n.name, n.error.as_deref().unwrap_or_default()));
    parts.extend(errors);
    let mut sorted: Vec<&DriftEntry> = drift.iter().collect();
    sorted.sort_by_key(|entry| entry.kind == "unexpected");
    parts.extend(sorted.iter().take(NAMED).map(|entry| said(entry)));
    if drift.len() > NAMED {
        parts.push(format!("And {} more.", drift.len() - NAMED));
    }
    format!("{}\n", escape(&parts.join(" ")))
}

fn said(entry: &DriftEntry) -> String {
    let (network, group) = (&entry.network, &entry.security_group);
    match (&entry.rule, entry.kind.as_str()) {
        (Some(rule), "missing") => format!("{network}/{group} misses {} ({}).", spell(rule), why(entry, rule)),
        (Some(rule), _) => format!("{network}/{group} has {}, {}.", spell(rule), why(entry, rule)),
        (None, "group_missing") => format!("{network}/{group} does not exist."),
        (None, _) => format!("{network}/{group} is not in the inventory any more."),
    }
}

/// `in sync`, or `2 rules missing, 1 unexpected; 1 network could not be read`.
fn summary(document: &Document) -> String {
    let of = |kind: &str| document.drift.iter().flatten().filter(|entry| entry.kind == kind).count();
    let counts = [
        (of("group_missing"), "group", "missing"),
        (of("missing"), "rule", "missing"),
        (of("unexpected"), "rule", "unexpected"),
        (of("group_unexpected"), "group", "unexpected"),
    ];
    let told = counts.into_iter().filter(|(n, ..)| *n > 0).map(|(n, one, what)| format!("{} {what}", count(n, one)));
    let told = told.collect::<Vec<_>>().join(", ");
    let unread = unread(document).count();
    match (told.is_empty(), unread) {
        (true, 0) => "in sync".to_owned(),
        (false, 0) => told,
        (true, n) => format!("{} could not be read", count(n, "network")),
        (false, n) => format!("{told}; {} could not be read", count(n, "network")),
    }
}

fn unread(document: &Document) -> impl Iterator<Item = &NetworkEntry> {
    document.networks.iter().filter(|network| network.error.is_some())
}

/// `in 2379-2380/tcp from prod-etcd`.
pub(super) fn spell(rule: &RuleEntry) -> String {
    let traffic = match (rule.protocol.as_str(), rule.from_port, rule.to_port) {
        (protocol @ ("icmp" | "icmpv6"), Some(kind), Some(code)) => format!("{protocol}/{kind}/{code}"),
        (protocol @ ("icmp" | "icmpv6"), Some(kind), None) => format!("{protocol}/{kind}"),
        (protocol, Some(from), Some(to)) if from == to => format!("{from}/{protocol}"),
        (protocol, Some(from), Some(to)) => format!("{from}-{to}/{protocol}"),
        (protocol, ..) => protocol.to_owned(),
    };
    let peer = &rule.peer;
    let name = [&peer.cidr, &peer.security_group, &peer.prefix_list, &peer.address_group, &peer.service_account];
    let name = name.into_iter().flatten().next().map_or("", String::as_str);
    let (way, side) = if rule.direction == "ingress" { ("in", "from") } else { ("out", "to") };
    format!("{way} {traffic} {side} {name}")
}

fn why(entry: &DriftEntry, rule: &RuleEntry) -> String {
    match rule.reasons.first() {
        Some(reason) => reason.why.to_string(),
        None if entry.kind == "unexpected" => "required by nothing".to_owned(),
        None => "outbound is open, or what is held or ignored stays".to_owned(),
    }
}

/// Text of a cloud in a table.
fn cell(text: &str) -> String {
    escape(text).chars().fold(String::new(), |mut out, c| {
        if matches!(c, '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_come_first_in_a_fence_that_the_text_cannot_end() {
        let text = "eu · aws\n~ nodes\n    + in  22/tcp\n    − in  23/tcp  was “```”\n";
        let expected = "### rsgsync plan `0123456789abcdef`\n\n````diff\n eu · aws\n! nodes\n+     in  22/tcp\n\
                        -     in  23/tcp  was “```”\n````\n";
        assert_eq!(in_a_fence(text, "0123456789abcdef99"), expected);
    }

    #[test]
    fn a_clouds_text_draws_no_table_and_no_link() {
        assert_eq!(cell("a|b [c](d) <e>\n"), r"a\|b \[c\](d) \<e\>\\u{a}");
    }
}

//! The answer to a question about one connection.

use std::fmt::Write as _;

use anstyle::Style;
use rsgsync_core::document::RuleEntry;
use rsgsync_core::explain::{Answer, Case, EndAnswer, Hurdle, Row, Sight, Verdict};
use rsgsync_core::flow::Reason;
use rsgsync_core::rule::Direction;
use rsgsync_core::traffic::Traffic;
use serde_json::{Value, json};

use super::brief::spell;
use super::text::{ADD, BOLD, CHANGE, FAINT, REMOVE, paint, unopened};
use super::{escape, escape_lines};

/// The contract of `explain --format json`.
pub fn json(answer: &Answer) -> Value {
    let by = answer.ends.iter().flat_map(|end| end.by.iter().map(|rule| at(end, json!(rule))));
    let blocked = answer.ends.iter().flat_map(|end| {
        let missing = end.missing.iter().map(|rule| at(end, json!({ "kind": "missing_rule", "rule": rule })));
        missing.chain(end.hurdles.iter().map(|hurdle| at(end, obstacle(hurdle))))
    });
    let unopened = answer.unopened.iter().filter(|_| answer.verdict != Verdict::Allowed).map(|row| {
        let (network, cluster, why) = (&row.network, &row.cluster, row.why.to_string());
        json!({ "kind": "not_opened", "network": network, "cluster": cluster, "row": row.row, "why": why })
    });
    json!({
        "verdict": answer.verdict.as_str(),
        "required": answer.all_required,
        "by": by.collect::<Vec<_>>(),
        "blocked_by": blocked.chain(unopened).collect::<Vec<_>>(),
        "not_checked": answer.not_checked,
    })
}

/// What an entry says, and where.
fn at(end: &EndAnswer, mut entry: Value) -> Value {
    entry["network"] = json!(end.network);
    entry["security_group"] = json!(end.security_group);
    entry["direction"] = json!(end.direction.as_str());
    entry
}

fn obstacle(hurdle: &Hurdle) -> Value {
    match hurdle {
        Hurdle::Unreadable(why) => json!({ "kind": "unreadable", "why": why }),
        Hurdle::NoGroup => json!({ "kind": "no_group" }),
        Hurdle::External => json!({ "kind": "external" }),
        Hurdle::Unresolved(why) => json!({ "kind": "unresolved", "why": why.to_string() }),
        Hurdle::Perhaps(rule, condition) => json!({ "kind": "perhaps", "rule": rule, "why": condition }),
        Hurdle::Denies { name, priority, certain } => {
            json!({ "kind": "denied", "name": name, "priority": priority, "certain": certain })
        }
        Hurdle::UnreadableRule { name, why } => json!({ "kind": "unreadable_rule", "name": name, "why": why }),
        Hurdle::Guard(guard) => {
            json!({ "kind": "guard", "guard": guard.name, "why": guard.why, "source": guard.source })
        }
    }
}

/// The answer for people: the verdict in words, then each end, what is required, and what was not looked at.
pub fn text(answer: &Answer, case: &Case<'_>) -> String {
    let mut out = verdict(answer, case);
    for end in &answer.ends {
        self::end(&mut out, end);
    }
    out.push('\n');
    if case.sight != Sight::Observed {
        required(&mut out, answer);
    }
    not_checked(&mut out, &answer.not_checked);
    if answer.verdict != Verdict::Allowed {
        out.push_str(&unopened(&answer.unopened));
    }
    out
}

fn verdict(answer: &Answer, case: &Case<'_>) -> String {
    let (from, to) = (&case.question.from, &case.question.to);
    let once = if case.sight == Sight::Desired { ", once the inventory is applied" } else { "" };
    let traffic = list(&case.question.traffic);
    let (style, said) = match answer.verdict {
        Verdict::Allowed => (ADD, format!("{from} can reach {to} on {traffic}")),
        Verdict::Denied => (REMOVE, format!("{from} cannot reach {to} on {}", denied_part(answer, &traffic))),
        Verdict::Unknown => (CHANGE, format!("whether {from} can reach {to} on {traffic} can't be told")),
    };
    format!("{}{once}: {}\n", paint(style, answer.verdict.as_str()), escape(&said))
}

/// `all of 2379-2390/tcp` where an end lets a part of it through.
fn denied_part(answer: &Answer, traffic: &str) -> String {
    let in_part = answer.ends.iter().any(|end| !end.denied.is_empty() && !end.allowed.is_empty());
    if in_part { format!("all of {traffic}") } else { traffic.to_owned() }
}

fn list(traffic: &[Traffic]) -> String {
    traffic.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn end(out: &mut String, end: &EndAnswer) {
    let way = if end.direction == Direction::Egress { "out of" } else { "into" };
    let id = end.id.as_deref().filter(|id| *id != end.security_group).map(|id| format!("  {id}")).unwrap_or_default();
    let name = paint(BOLD, &end.security_group);
    let _ = writeln!(out, "\n{way} {name}{} of network {}", escape(&id), end.network);
    let parts =
        [(ADD, "lets through", &end.allowed), (REMOVE, "blocks", &end.denied), (CHANGE, "unclear", &end.unknown)];
    for (style, label, part) in parts {
        if !part.is_empty() {
            labelled(out, style, label, &list(part));
        }
    }
    for rule in &end.by {
        labelled(out, FAINT, "by", &told(rule, ""));
    }
    for rule in &end.missing {
        labelled(out, REMOVE, "missing", &escape(&format!("{}{}", spell(rule), wanted(&rule.reasons))));
    }
    for hurdle in &end.hurdles {
        self::hurdle(out, hurdle);
    }
}

fn hurdle(out: &mut String, hurdle: &Hurdle) {
    let (style, label, text) = match hurdle {
        Hurdle::Unreadable(_) => (CHANGE, "unread", "the network could not be read: stderr says why".to_owned()),
        Hurdle::NoGroup => (REMOVE, "missing", "the group does not exist".to_owned()),
        Hurdle::External => {
            (CHANGE, "unclear", "its cluster is external: another inventory writes its rules".to_owned())
        }
        Hurdle::Unresolved(why) => (CHANGE, "unclear", escape(&format!("the other end is not known: {why}"))),
        Hurdle::Perhaps(rule, condition) => (CHANGE, "perhaps", told(rule, &format!(", {condition}"))),
        Hurdle::Denies { name, priority, certain } => {
            let place = priority.map(|priority| format!(" (priority {priority})")).unwrap_or_default();
            let unless = if *certain { "" } else { ", perhaps: only the cloud can tell" };
            (REMOVE, "denied by", escape(&format!("{name}{place}, before anything lets it through{unless}")))
        }
        Hurdle::UnreadableRule { name, why } => {
            (CHANGE, "perhaps", escape(&format!("{name}, which has {why} and can't be read")))
        }
        Hurdle::Guard(guard) => (
            REMOVE,
            "guard",
            escape_lines(&format!("{} forbids it: {}\n{}", guard.name, guard.why.trim(), guard.source)),
        ),
    };
    labelled(out, style, label, &text);
}

/// A rule with what is to be said of it, and below it how the cloud knows it.
fn told(rule: &RuleEntry, more: &str) -> String {
    let id = rule.id.as_deref().or(rule.resource.as_deref()).unwrap_or_default();
    let description = if rule.description.is_empty() { String::new() } else { format!("“{}”", rule.description) };
    let below = [id, &description].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("  ");
    let below = if below.is_empty() { below } else { format!("\n{}", escape(&below)) };
    format!("{}{below}", escape(&format!("{}{more}", spell(rule))))
}

fn wanted(reasons: &[Reason]) -> String {
    if reasons.is_empty() { ", which nothing requires".to_owned() } else { String::new() }
}

fn required(out: &mut String, answer: &Answer) {
    match (answer.required.is_empty(), answer.all_required) {
        (true, _) => out.push_str("not required: no row and no rule of the inventory asks for it\n"),
        (_, true) => out.push_str("required:\n"),
        (_, false) => {
            let _ = writeln!(out, "required in part, {}:", list(&answer.required));
        }
    }
    for Row { reason, source, traffic, local } in &answer.rows {
        let stays = if *local { ", stays on the node: needs no rule" } else { "" };
        let row = format!("{}, row {} of {}{stays}", reason.cluster, reason.row, reason.profile);
        let below = [reason.why.trim(), source.trim()].into_iter().filter(|text| !text.is_empty());
        let below: String = below.map(|text| format!("\n{text}")).collect();
        labelled(out, FAINT, &list(traffic), &escape_lines(&format!("{row}{below}")));
    }
    let repairable = answer.ends.iter().flat_map(|end| &end.missing).any(|rule| !rule.reasons.is_empty());
    if repairable {
        out.push_str("what is required and missing: `rsgsync plan` shows how it would be added\n");
    }
}

/// What else decides, on as many lines as it takes.
fn not_checked(out: &mut String, all: &[String]) {
    let mut column = 0;
    out.push_str(&paint(FAINT, "not checked:"));
    for (i, what) in all.iter().enumerate() {
        let what = format!("{}{}", escape(what), if i + 1 < all.len() { "," } else { "" });
        let width = what.chars().count() + 1;
        if column + width > WIDTH {
            out.push_str("\n            ");
            column = 0;
        }
        column += width;
        let _ = write!(out, " {what}");
    }
    out.push('\n');
}

/// Columns behind `not checked:`.
const WIDTH: usize = 80;
/// Columns of a label.
const LABEL: usize = 14;

/// A label, and a text, already escaped, whose lines stand under each other.
fn labelled(out: &mut String, style: Style, label: &str, text: &str) {
    let gap = " ".repeat(LABEL.saturating_sub(label.chars().count()).max(1));
    let indent = format!("\n{}", " ".repeat(LABEL + 2));
    let text = text.replace('\n', &indent);
    let _ = writeln!(out, "  {}{gap}{text}", paint(style, label));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(description: &str) -> RuleEntry {
        let rule = json!({ "id": "sgr-1", "direction": "ingress", "protocol": "tcp", "family": "both", "from_port": 22,
            "to_port": 22, "peer": { "security_group": "a\u{1b}b" }, "description": description, "reasons": [] });
        serde_json::from_value(rule).expect("a rule")
    }

    #[test]
    fn a_clouds_text_reaches_no_terminal_as_it_is() {
        assert_eq!(told(&rule("x\ny"), ", if"), "in 22/tcp from a\\u{1b}b, if\nsgr-1  “x\\u{a}y”");
    }

    #[test]
    fn what_is_not_checked_is_wrapped() {
        let mut out = String::new();
        not_checked(&mut out, &["a".repeat(50), "b".repeat(29), "c".to_owned()]);
        let expected = format!("not checked: {},\n             {}, c\n", "a".repeat(50), "b".repeat(29));
        assert_eq!(anstream::adapter::strip_str(&out).to_string(), expected);
    }
}

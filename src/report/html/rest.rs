//! What a reader should know beside the rules: rows that are not opened, defaults, orphans, notes.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{Report, Text};
use crate::report::text;

/// Each list under its own heading; nothing where there is nothing to say.
pub fn section(report: &Report<'_>) -> Markup {
    let plan = report.plan;
    let mut closed: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for row in &plan.unopened {
        closed.entry((row.cluster.to_string(), text::way_out(&row.why))).or_default().push(&row.row);
    }
    let closed = closed.into_iter().map(|((cluster, what), rows)| format!("{cluster}: {} · {what}", rows.join(", ")));
    let plain = |text: &str| -> Vec<String> {
        let text = anstream::adapter::strip_str(text).to_string();
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let assumed = plan.assumed.iter().map(|a| format!("{}: {}={} ({})", a.cluster, a.option, a.value, a.source));
    let idle = report.document.attachments.iter().flatten().filter(|entry| entry.interfaces == 0);
    let idle =
        idle.map(|e| format!("{} ({}) of network {}: its rules protect nothing", e.security_group, e.id, e.network));
    let lists = [
        ("Not opened", "Rows of the ports' tables that the inventory gives no answer to.", closed.collect()),
        (
            "Roles without members",
            "No group has them: their rows drop out.",
            plain(&text::without_members(&plan.without_members)),
        ),
        ("Assumed", "Options that got the product's own default.", assumed.collect()),
        ("Orphans", "Groups with our mark that the inventory no longer names.", plain(&text::orphans(plan))),
        ("Without interfaces", "No network interface carries these groups.", idle.collect()),
        ("Needed elsewhere", "Flows into clusters that are not ours to write.", text::reached(&plan.elsewhere)),
        ("Lost", "Flows that go with what is destroyed.", text::connections(&plan.lost)),
        ("Notes", "", plan.notes.clone()),
    ];
    let lists: Vec<(&str, &str, Vec<String>)> = lists.into_iter().filter(|(_, _, lines)| !lines.is_empty()).collect();
    html! {
        section #rest aria-labelledby="rest-title" {
            h2 #rest-title { "To know" }
            @if lists.is_empty() { p { "Nothing: every row is opened, nothing is assumed, nothing is left over." } }
            @for (title, what, lines) in &lists {
                h3 { (title) }
                @if !what.is_empty() { p { (what) } }
                ul.notes { @for line in lines { li { (Text(line)) } } }
            }
        }
    }
}

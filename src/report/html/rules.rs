//! Rule by rule: how it stands, why it is there, and who says so.

use std::collections::BTreeMap;

use maud::{Markup, html};
use rsgsync_core::diff::Fate;
use rsgsync_core::flow::Reason;
use rsgsync_core::observed::ObservedRule;
use rsgsync_core::packets::PacketSet;
use rsgsync_core::plan::{GroupStatus, Step, by_group};
use rsgsync_core::rule::Rule;

use super::cell::Standing;
use super::matrix::chip;
use super::view::Group;
use super::{Report, Text};
use crate::report::text;

/// More groups with changes than this are folded, all the same.
const FEW: usize = 20;

/// A rule that is there, or that is to come.
struct Line<'a> {
    standing: Standing,
    rule: Rule,
    /// What becomes of it.
    what: &'static str,
    reasons: Vec<&'a Reason>,
    id: Option<&'a str>,
    description: &'a str,
}

/// Who says that rows are needed, by the number under which the page lists them.
struct Sources<'a> {
    inventory: &'a rsgsync_core::inventory::Inventory,
    numbers: BTreeMap<&'a str, usize>,
}

impl<'a> Sources<'a> {
    fn of(report: &Report<'a>, lines: &[(&Group<'a>, Vec<Line<'a>>)]) -> Self {
        let reasons = lines.iter().flat_map(|(_, lines)| lines).flat_map(|line| &line.reasons);
        let mut numbers = BTreeMap::new();
        for source in reasons.filter_map(|reason| report.inventory.source(reason)) {
            let next = numbers.len() + 1;
            numbers.entry(source).or_insert(next);
        }
        Self { inventory: report.inventory, numbers }
    }

    fn number(&self, reason: &Reason) -> Option<usize> {
        self.numbers.get(self.inventory.source(reason)?).copied()
    }

    fn list(&self) -> Markup {
        let mut sources: Vec<(usize, &str)> = self.numbers.iter().map(|(source, number)| (*number, *source)).collect();
        sources.sort_unstable();
        html! {
            h3 #sources { "Sources" }
            ol.sources { @for (number, source) in sources { li id={ "source-" (number) } { (cited(source)) } } }
        }
    }
}

/// A source that is an address is a link.
fn cited(source: &str) -> Markup {
    let is_address = source.starts_with("https://") && !source.contains(char::is_whitespace);
    html! { @if is_address { a href=(Text(source)) rel="noreferrer" { (Text(source)) } } @else { (Text(source)) } }
}

/// All groups, those to change unfolded.
pub fn section<'a>(report: &Report<'a>, groups: &'a [Group<'a>]) -> Markup {
    let steps = by_group(&report.plan.steps);
    let lines: Vec<(&Group<'a>, Vec<Line<'a>>)> = groups.iter().map(|group| (group, lines(group))).collect();
    let sources = Sources::of(report, &lines);
    let few = groups.iter().filter(|group| group.changes()).count() <= FEW;
    html! {
        section #rules aria-labelledby="rules-title" {
            h2 #rules-title { "Rules" }
            @for (group, lines) in &lines {
                @let of_group = steps.get(&(&group.network.network.name, group.plan.atom));
                (folded(few, group, lines, of_group.map(Vec::as_slice).unwrap_or_default(), &sources))
            }
            @if !sources.numbers.is_empty() { (sources.list()) }
        }
    }
}

fn folded(few: bool, group: &Group<'_>, lines: &[Line<'_>], steps: &[&Step], sources: &Sources<'_>) -> Markup {
    let clusters: Vec<&str> = group.clusters().into_iter().map(|cluster| cluster.as_str()).collect();
    let changes = group.changes();
    html! {
        details.group data-network=(group.network.network.name.as_str()) data-clusters=(clusters.join(" "))
            data-group=(Text(group.name())) open[few && changes] {
            summary {
                span.name { (Text(group.name())) } " "
                span.status.(if changes { "pending" } else { "good" }) { (status(group.plan.status)) } " "
                span.about { (Text(text::summary(group.network, group.plan, steps))) }
            }
            @if lines.is_empty() { p.none { "No rules." } }
            ul.rules { @for line in lines { (rule(group, line, sources)) } }
        }
    }
}

fn status(status: GroupStatus) -> &'static str {
    match status {
        GroupStatus::Create => "will be made",
        GroupStatus::Adopt => "is adopted",
        GroupStatus::Change => "changes",
        GroupStatus::InSync => "in sync",
        GroupStatus::Delete => "will be deleted",
        GroupStatus::Skipped => "left out",
    }
}

fn rule(group: &Group<'_>, line: &Line<'_>, sources: &Sources<'_>) -> Markup {
    let (way, side) = text::way(line.rule.direction);
    html! {
        li.rule data-standing=(line.standing.class()) {
            (chip(line.standing))
            span.what { (way) " " b { (line.rule.traffic) } " " (side) " " b { (Text(text::peer(group.network, line.rule.peer))) } }
            div.why {
                @for reason in &line.reasons {
                    p {
                        (Text(&*reason.why)) " "
                        span.row { (Text(format!("{} · {} · {}", reason.cluster, reason.profile, text::row(reason)))) }
                        @if let Some(number) = sources.number(reason) {
                            " " a href={ "#source-" (number) } { "source " (number) }
                        }
                    }
                }
                p.fate {
                    (line.what)
                    @if let Some(id) = line.id { " · " code { (Text(id)) } }
                    @if !line.description.is_empty() { " · “" (Text(line.description)) "”" }
                }
            }
        }
    }
}

/// What is missing first, then what is there, what needs a look first.
fn lines<'a>(group: &'a Group<'a>) -> Vec<Line<'a>> {
    let there = PacketSet::of(group.rules.iter().map(|(rule, _)| rule.rule));
    let adds = group.plan.diff.adds.iter().map(|add| Line {
        standing: Standing::Missing,
        rule: add.rule,
        what: match (add.reasons.is_empty(), there.carries(&add.rule)) {
            (true, _) => "to be added: stays open, as held, ignored or outbound traffic does",
            (false, true) => "to be added: a wider rule lets it through until then",
            (false, false) => "to be added",
        },
        reasons: add.reasons.iter().collect(),
        id: None,
        description: "",
    });
    let observed = group.rules.iter().zip(&group.plan.diff.fates).map(|((rule, standing), fate)| Line {
        standing: *standing,
        rule: rule.rule,
        what: becomes(group, rule, *fate),
        reasons: group.plan.diff.reasons(&rule.rule).into_iter().collect(),
        id: rule.id.as_ref().map(|id| id.as_str()),
        description: &rule.description,
    });
    let mut lines: Vec<Line<'a>> = adds.chain(observed).collect();
    lines.sort_by_key(|line| line.standing);
    lines
}

fn becomes(group: &Group<'_>, rule: &ObservedRule, fate: Fate) -> &'static str {
    match fate {
        // What the cloud itself implies has no id and goes with nothing.
        Fate::Foreign if group.plan.status == GroupStatus::Delete && rule.id.is_some() => {
            "not ours: goes with the group"
        }
        Fate::Foreign => "not ours: left alone",
        _ if group.plan.status == GroupStatus::Delete => "to be removed: goes with the group",
        Fate::Keep => "stays",
        Fate::Redundant => "stays, though other rules let all of it through (--tidy removes it)",
        Fate::Remove => match text::why_unwanted(group.plan, &rule.rule) {
            "required by nothing" => "to be removed: required by nothing",
            _ => "to be removed: wider than anything requires",
        },
        Fate::Held => "stays: asked for by a row that is not opened",
        Fate::Ignored => "stays: the inventory says to leave it alone",
        Fate::Spared => "stays: required by nothing, --add-only leaves it",
        Fate::Satisfies => "not ours, and it does the job of a required rule",
        Fate::Join => "another owner's, and required: gets our mark beside theirs",
        Fate::Leave => "another owner's too: loses our mark and stays",
        Fate::Outbound => "stays: outbound is not narrowed",
        Fate::Cascade => "not ours: the cloud deletes it with the group that it refers to",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_a_page_is_a_link() {
        let link = |source| cited(source).into_string().contains("<a ");
        assert!(link("https://example.test/ports"));
        for text in
            ["javascript:alert(1)", "https://example.test and more", "rancher/docs issue 3352", "data:text/html,x"]
        {
            assert!(!link(text), "{text}");
        }
    }
}

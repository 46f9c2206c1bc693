//! What a reader sees first: how it stands, in words and numbers, and where it was read.

use maud::{Markup, html};
use rsgsync_core::plan::NetworkPlan;
use rsgsync_core::world::world;

use super::view::Group;
use super::{Report, Text, counted};
use crate::report::{count, text};

/// Title, verdict, numbers, networks.
pub fn head(report: &Report<'_>, groups: &[Group<'_>]) -> Markup {
    let (class, verdict) = verdict(report);
    html! {
        header {
            p.kind { "rsgsync " @if report.is_drift() { "drift" } @else { "plan" } }
            h1 { (Text(&report.document.owner)) }
            p.verdict.(class) { (Text(&verdict)) }
            (figures(report, groups))
            (facts(report))
            ul.networks aria-label="Networks" { @for network in &report.plan.networks { li { (read(network)) } } }
            nav aria-label="Sections" {
                @for (id, name) in [
                    ("matrix", "Matrix"), ("picture", "Picture"), ("rules", "Rules"), ("rest", "To know"), ("proof", "Proof"),
                ] { a href={ "#" (id) } { (name) } " " }
            }
        }
    }
}

fn verdict(report: &Report<'_>) -> (&'static str, String) {
    let plan = report.plan;
    let unread = plan.networks.iter().filter(|n| n.observed.is_err()).count();
    if unread > 0 {
        return ("bad", format!("{} could not be read: this is not the whole", count(unread, "network")));
    }
    match (plan.proof.holds(), plan.in_sync(), report.is_drift()) {
        (false, ..) => ("bad", "The proof fails: this plan is never applied".to_owned()),
        (true, true, _) => ("good", format!("In sync: {}", text::planned(plan))),
        (true, false, true) => ("pending", format!("Drift: {}", text::planned(plan))),
        (true, false, false) => ("pending", format!("Changes: {}", text::planned(plan))),
    }
}

fn figures(report: &Report<'_>, groups: &[Group<'_>]) -> Markup {
    let (adds, removes) = report.plan.counts();
    let changing = groups.iter().filter(|group| group.changes()).count();
    let proof = &report.plan.proof;
    let figure = |number: String, what: &str, class: &'static str| {
        html! { div.figure.(class) { dt { (what) } dd { (number) } } }
    };
    let marked = |n: usize, class: &'static str| if n > 0 { class } else { "calm" };
    html! {
        dl.figures {
            (figure(groups.len().to_string(), "groups", "calm"))
            (figure(changing.to_string(), "groups to change", marked(changing, "wide")))
            (figure(adds.to_string(), "rules to add", marked(adds, "missing")))
            (figure(removes.to_string(), "rules to remove", marked(removes, "wide")))
            (figure(format!("{} of {}", proof.held_before, proof.required_flows), "required flows hold now",
                marked(proof.required_flows - proof.held_before.min(proof.required_flows), "missing")))
            (figure(report.plan.unopened.len().to_string(), "rows not opened", marked(report.plan.unopened.len(), "held")))
        }
    }
}

/// World, proof and digest, as the text report has them.
fn facts(report: &Report<'_>) -> Markup {
    let plan = report.plan;
    let world = world(plan);
    let side = |entries: &[String]| if entries.is_empty() { "nothing".to_owned() } else { entries.join("; ") };
    let unread = plan.networks.iter().all(|n| n.observed.is_err());
    html! {
        dl.facts {
            @if !plan.steps.is_empty() {
                dt { "World" }
                dd { "opens " (Text(side(&world.opens))) " · closes " (Text(side(&world.closes))) }
            }
            @if let Some(reason) = &plan.blast { dt { "Blast" } dd { (Text(text::refused(reason))) } }
            @if !unread {
                dt { "Proof" }
                dd { (Text(text::proved(plan, report.document.proof.witness.as_ref()))) }
            }
            @if !plan.steps.is_empty() {
                dt { "Digest" }
                dd { code { (report.document.digest) } }
            }
        }
    }
}

fn read(network: &NetworkPlan) -> Markup {
    let name = network.network.name.as_str();
    let provider = network.network.provider;
    html! {
        b { (Text(name)) } " " (provider)
        @match &network.observed {
            Ok(observed) => {
                @if let Some(account) = observed.account.as_deref().filter(|a| *a != name) { " " (Text(account)) }
                " " (Text(&observed.place)) " · read "
                (counted(observed.groups.len(), if observed.groups.len() == 1 { "group" } else { "groups" }))
                ", " (count(observed.groups.iter().map(|g| g.rules.len()).sum(), "rule"))
                " in " (count(usize::try_from(network.calls).unwrap_or(usize::MAX), "call"))
            }
            Err(error) => { " " span.chip.missing { "could not be read" } " " (Text(error)) }
        }
    }
}

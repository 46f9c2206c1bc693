//! What was proved, what for, under which assumptions, and the steps that it is about.

use maud::{Markup, html};
use rsgsync_core::document::{GuardEntry, StepEntry};
use rsgsync_core::plan::Action;

use super::{Report, Text, scrolled};
use crate::report::{count, text};

/// The proof, and the steps in their order.
pub fn section(report: &Report<'_>) -> Markup {
    let (plan, proof) = (report.plan, &report.document.proof);
    let gaps = text::gaps(plan);
    html! {
        section #proof aria-labelledby="proof-title" {
            h2 #proof-title { "Proof" }
            @if plan.networks.iter().all(|n| n.observed.is_err()) {
                p { (text::planned(plan)) }
            } @else {
                p.verdict.(if proof.holds { "good" } else { "bad" }) { (Text(text::proved(plan, proof.witness.as_ref()))) }
                @if !proof.cascades.is_empty() { p { "May take others' rules along: " (Text(proof.cascades.join(", "))) } }
                @if !gaps.is_empty() { h3 { "Gaps" } ul { @for gap in &gaps { li { (Text(gap)) } } } }
                h3 { "What it takes for granted" }
                ul { @for line in &proof.assumptions { li { (line) } } }
            }
            @if !report.document.steps.is_empty() { (ordered(&report.document.steps)) }
            (guards(&report.document.guards))
        }
    }
}

fn ordered(steps: &[StepEntry]) -> Markup {
    let table = html! {
        table {
            caption { "Steps, in an order that keeps every dependency" }
            thead { tr { @for head in ["step", "network", "group", "what", "after"] { th scope="col" { (head) } } } }
            tbody {
                @for step in steps {
                    tr {
                        th scope="row" { (step.id.0) }
                        td { (step.network.as_str()) }
                        td { (Text(&step.security_group)) }
                        td { (done(step)) }
                        td { (step.depends_on.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(", ")) }
                    }
                }
            }
        }
    };
    html! { details { summary { (count(steps.len(), "step")) } (scrolled("Steps", &table)) } }
}

fn done(step: &StepEntry) -> String {
    let rules = |n: usize| count(n, "rule");
    match step.action {
        Action::CreateGroup => "make the group".to_owned(),
        Action::SetMarks => "set marks".to_owned(),
        Action::AddRules => format!("add {}", rules(step.rules.len())),
        Action::RemoveRules => format!("remove {}", rules(step.rules.len())),
        Action::ReplaceRules => format!("add {} and remove {}", rules(step.rules.len()), rules(step.removes.len())),
        Action::UpdateDescriptions => format!("describe {}", rules(step.rules.len())),
        Action::DeleteGroup => "delete the group".to_owned(),
    }
}

fn guards(guards: &[GuardEntry]) -> Markup {
    let table = html! {
        table {
            caption { "What must not be open to public addresses" }
            thead { tr { @for head in ["guard", "traffic", "why", "set aside on"] { th scope="col" { (head) } } } }
            tbody {
                @for guard in guards {
                    tr {
                        th scope="row" { (Text(&guard.name)) }
                        td { (guard.traffic.join(", ")) }
                        td { (Text(guard.why.trim())) }
                        td { (Text(guard.waived.join(", "))) }
                    }
                }
            }
        }
    };
    html! { details { summary { (count(guards.len(), "guard")) } (scrolled("Guards", &table)) } }
}

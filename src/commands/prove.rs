//! `rsgsync prove PLAN`: check a saved plan again.

use serde_json::json;

use super::{Context, Exit, print};
use crate::args::{Format, ProveArgs};
use crate::failure::Failure;
use crate::load::saved;
use crate::report::wrap::{columns, wrapped};
use crate::report::{count, escape_lines};

/// Reads a saved plan and proves it from nothing but what it holds.
pub fn run(context: &Context<'_>, args: &ProveArgs) -> Result<Exit, Failure> {
    let saved = saved(&args.plan)?;
    let proof = saved.prove();
    let witness = proof.witness.as_ref().map(|w| saved.in_words(w));
    let text = match context.global.format {
        Format::Json => {
            let report = json!({
                "version": 1, "digest": saved.document.digest, "holds": proof.holds(), "required_flows": proof.required_flows,
                "held_before": proof.held_before, "kept": proof.kept, "guards": proof.guards, "witness": witness,
            });
            format!("{report:#}\n")
        }
        // `main` lets only commands with tables have the others.
        Format::Text | Format::Markdown | Format::Html | Format::Chat => {
            let steps = count(saved.document.steps.len(), "step");
            let head = format!("{steps}, digest {}\n", saved.document.digest.get(..16).unwrap_or_default());
            let body = match &witness {
                None => format!(
                    "Proof  {} of {} hold before, none is cut at any step · nothing else opens · {} hold\n",
                    proof.held_before,
                    count(proof.required_flows, "required flow"),
                    count(proof.guards, "guard")
                ),
                Some(w) => {
                    format!("Proof  FAILS  {}: step {} on {}: {}\n", w.fault, w.step.0, w.security_group, w.packet)
                }
            };
            wrapped(&escape_lines(&format!("{head}{body}")), columns())
        }
    };
    print(&text)?;
    Ok(if proof.holds() { Exit::Done } else { Exit::Refused })
}

//! `rsgsync validate`: offline.

use rsgsync_core::lint::{Lint, lint};

use super::{Context, Exit, print};
use crate::args::{Format, ValidateArgs};
use crate::console::Console;
use crate::failure::{Failure, line, problem};
use crate::load;
use crate::pipeline::wish;
use crate::report::wrap::{columns, wrapped};
use crate::report::{count, text};

/// Checks an inventory without asking any cloud.
pub fn run(context: &Context<'_>, args: &ValidateArgs) -> Result<Exit, Failure> {
    let parsed = load::inventory(&context.global.inventory, context.today)?;
    let warnings = parsed.warnings;
    // Where warnings fail the run, they are told as well.
    let console = Console { quiet: context.console.quiet && !args.strict, ..context.console };
    warnings.iter().for_each(|warning| console.tell(&problem(warning)));
    let wish = wish(parsed.inventory, context.today);
    wish.refuse_guarded()?;
    let unopened: Vec<_> = wish.flows.unopened.iter().chain(&wish.desired.unopened).cloned().collect();
    let lints = lint(&wish.inventory, &wish.flows, &wish.desired, &wish.verdict, context.today);
    let fails_strict = fails_strict(unopened.len(), warnings.len());
    let groups: usize = wish.inventory.clusters.values().map(|c| c.groups.len()).sum();
    let report = match context.global.format {
        Format::Json => {
            let entry = |u: &rsgsync_core::flow::Unopened| serde_json::json!({ "network": u.network, "cluster": u.cluster, "row": u.row, "why": u.why.to_string() });
            let value = serde_json::json!({
                "version": 1,
                "valid": true,
                "fails_strict": fails_strict,
                "clusters": wish.inventory.clusters.len(),
                "groups": groups,
                "flows": wish.flows.flows.len(),
                "unopened": unopened.iter().map(entry).collect::<Vec<_>>(),
                "assumed": wish.flows.assumed,
                "without_members": wish.flows.without_members,
                "lints": lints,
                "warnings": warnings.iter().map(|w| w.message()).collect::<Vec<_>>(),
            });
            format!("{value:#}\n")
        }
        Format::Text | Format::Markdown | Format::Html | Format::Chat => {
            let clusters = count(wish.inventory.clusters.len(), "cluster");
            let flows = count(wish.flows.flows.len(), "required flow");
            let mut out = match fails_strict.as_slice() {
                [_, ..] if args.strict => format!("fails --strict ({}), otherwise valid", fails_strict.join(", ")),
                _ => "valid".to_owned(),
            };
            out.push_str(&format!(": {clusters}, {}, {flows}\n", count(groups, "group")));
            out.push_str(&text::unopened(&unopened));
            out.push_str(&text::without_members(&wish.flows.without_members));
            for Lint { cluster, code, message, help } in &lints {
                let whose = cluster.as_ref().map(|cluster| format!("{cluster}: ")).unwrap_or_default();
                out.push_str(&line("lint", &format!("{whose}{message} [{code}]"), Some(help)));
            }
            wish.notes().iter().for_each(|note| out.push_str(&line("note", note, None)));
            wrapped(&out, columns())
        }
    };
    print(&report)?;
    if !args.strict || fails_strict.is_empty() {
        return Ok(Exit::Done);
    }
    let why = fails_strict.join(", ");
    Err(Failure::new(format!("strict: {why}"), "each is named above, with what to do"))
}

/// Why `--strict` refuses what is valid without it: `2 entries not opened`, `1 warning`.
fn fails_strict(unopened: usize, warnings: usize) -> Vec<String> {
    let entries = match unopened {
        0 => None,
        1 => Some("1 entry not opened".to_owned()),
        n => Some(format!("{n} entries not opened")),
    };
    let warnings = (warnings > 0).then(|| count(warnings, "warning"));
    entries.into_iter().chain(warnings).collect()
}

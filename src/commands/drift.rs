//! `rsgsync drift`: for cron.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use rsgsync_core::document::{Document, checksum, drift};
use rsgsync_core::plan::{Plan, PlanOptions};

use super::{Context, Exit, documented, print};
use crate::args::{DriftArgs, Format};
use crate::failure::Failure;
use crate::file::{Readers, save};
use crate::pipeline::{make_plan, observe_within, open};
use crate::report::brief::{drift_chat, drift_markdown};
use crate::report::metrics::{Run, metrics};

/// Compares and reports; never writes to a cloud.
pub async fn run(context: &Context<'_>, args: &DriftArgs) -> Result<Exit, Failure> {
    let began = Instant::now();
    let wish = context.wish()?;
    let options = PlanOptions {
        clusters: wish.clusters(&args.selection.clusters)?,
        tidy: args.selection.tidy,
        prune: args.selection.prune,
        take_over: args.selection.take_over,
        ..PlanOptions::default()
    };
    wish.refuse_guarded()?;
    let opened = open(&wish, args.selection.prune)?;
    let readings =
        observe_within(&wish, &opened, false, &context.screen(), Some(Duration::from_secs(args.timeout))).await;
    let errors = readings.errors();
    let plan = make_plan(&wish, &opened, readings, &options)?;
    let mut document = documented(&plan, &wish.guards);
    document.drift = Some(drift(&plan));
    document.checksum = checksum(&document);
    if let Some(file) = &args.metrics {
        write_metrics(file, &plan, &document, began)?;
    }
    let in_sync = errors.is_empty() && plan.in_sync();
    let silent = in_sync && context.global.verbose == 0 && !std::io::stdout().is_terminal();
    match context.global.format {
        Format::Json => context.print_plan(&plan, &document)?,
        _ if silent => {}
        Format::Markdown => print(&drift_markdown(&document))?,
        Format::Chat => print(&drift_chat(&document))?,
        Format::Text | Format::Html => context.print_plan(&plan, &document)?,
    }
    if !errors.is_empty() {
        return Err(Failure::Cloud(errors));
    }
    Ok(if in_sync { Exit::Done } else { Exit::Changes })
}

fn write_metrics(file: &Path, plan: &Plan, document: &Document, began: Instant) -> Result<(), Failure> {
    let before = std::fs::read_to_string(file).ok();
    let text = metrics(&Run {
        document,
        networks: &plan.networks,
        now: jiff::Timestamp::now().as_duration().as_secs_f64(),
        seconds: began.elapsed().as_secs_f64(),
        before: before.as_deref(),
    });
    save(file, &text, Readers::All).map_err(|error| {
        Failure::new(format!("can't write metrics to {}: {error}", file.display()), "choose another --metrics FILE")
    })
}

//! `rsgsync drift`: for cron.

use rsgsync_core::document::drift;
use rsgsync_core::plan::PlanOptions;

use super::{Context, Exit, documented};
use crate::args::Selection;
use crate::failure::Failure;
use crate::pipeline::{make_plan, observe, open};

/// Compares and reports; never writes.
pub async fn run(context: &Context<'_>, args: &Selection) -> Result<Exit, Failure> {
    let wish = context.wish()?;
    let options = PlanOptions {
        clusters: wish.clusters(&args.clusters)?,
        tidy: args.tidy,
        prune: args.prune,
        take_over: args.take_over,
        ..PlanOptions::default()
    };
    wish.refuse_guarded()?;
    let opened = open(&wish, args.prune)?;
    let readings = observe(&wish, &opened, false, &context.screen()).await;
    let errors = readings.errors();
    let plan = make_plan(&wish, &opened, readings, &options)?;
    let mut document = documented(&plan, &wish.guards);
    document.drift = Some(drift(&plan));
    document.checksum = rsgsync_core::document::checksum(&document);
    context.print_plan(&plan, &document)?;
    if !errors.is_empty() {
        return Err(Failure::Cloud(errors));
    }
    Ok(if plan.in_sync() { Exit::Done } else { Exit::Changes })
}

//! `rsgsync plan`: what would change, and the proof.

use super::{Context, Exit, documented, json, print};
use crate::args::{Format, PlanArgs};
use crate::failure::Failure;
use crate::file::{Readers, save};
use crate::pipeline::{make_plan, observe, open, plan_options, with_quotas};
use crate::report::html::{Report, page};

/// Plans and reports; never writes to a cloud.
pub async fn run(context: &Context<'_>, args: &PlanArgs) -> Result<Exit, Failure> {
    let wish = context.wish()?;
    wish.refuse_guarded()?;
    let options = plan_options(&wish, &args.changes)?;
    let opened = open(&wish, &options)?;
    let readings = observe(&wish, &opened, false, &context.screen()).await;
    let errors = readings.errors();
    let plan = make_plan(&wish, &opened, readings, &options)?;
    let plan = with_quotas(plan, &opened, &context.screen()).await?;
    let document = documented(&plan, &wish.guards);
    if let Some(file) = &args.out {
        save(file, &json(&document)?, Readers::Owner).map_err(|e| {
            Failure::new(format!("can't write the plan to {}: {e}", file.display()), "choose another --out")
        })?;
    }
    match context.global.format {
        Format::Html => print(&page(&Report { inventory: &wish.inventory, plan: &plan, document: &document }))?,
        _ => context.print_plan(&plan, &document)?,
    }
    if !errors.is_empty() {
        return Err(Failure::Cloud(errors));
    }
    Ok(match (plan.proof.holds(), plan.in_sync()) {
        (false, _) => Exit::Refused,
        (true, false) if args.detailed_exitcode => Exit::Changes,
        _ => Exit::Done,
    })
}

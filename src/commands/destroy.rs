//! `rsgsync destroy`: remove what rsgsync owns.

use rsgsync_core::plan::PlanOptions;

use super::{Context, Exit, documented};
use crate::args::{DestroyArgs, Format};
use crate::failure::Failure;
use crate::journals::Unfinished;
use crate::pipeline::{destruction, make_destruction, observe, open};
use crate::report::{self, count};
use crate::running::{ask, can_ask, carry, declined, unconfirmed};

/// Plans the removal, asks, carries out, and looks again.
pub async fn run(context: &Context<'_>, args: &DestroyArgs) -> Result<Exit, Failure> {
    let wish = context.wish()?;
    let destruction = destruction(&wish, &args.clusters, &args.cascade)?;
    let opened = open(&wish, &PlanOptions::default())?;
    let readings = observe(&wish, &opened, true, &context.screen()).await;
    let errors = readings.errors();
    let plan = make_destruction(&wish, &opened, readings, &destruction)?;
    let document = documented(&plan, &wish.guards);
    if plan.steps.is_empty() && errors.is_empty() && context.global.format == Format::Text {
        context.say("nothing to destroy: the clouds have nothing of these clusters\n")?;
        context.say(&report::text::orphans(&plan))?;
        return Ok(Exit::Done);
    }
    context.print_plan(&plan, &document)?;
    if !errors.is_empty() {
        return Err(Failure::Cloud(errors));
    }
    if !plan.proof.holds() {
        return Err(Failure::new("the proof fails: this plan is never applied", "please report this plan as a bug"));
    }
    if plan.steps.is_empty() {
        return Ok(Exit::Done);
    }
    if !args.running.yes {
        if !can_ask() {
            return Err(Failure::new("destroy asks before it removes, but there is no terminal", "pass --yes"));
        }
        if !ask(&format!("Remove all this in {}?", count(plan.calls(), "call"))) {
            return Ok(declined(context.console));
        }
    }
    let unfinished = Unfinished::of(&plan, context.console);
    let outcome = carry(context, "destroy", &opened, &plan, &document, &args.running).await?;
    unfinished.close(context.console);
    if !outcome.is_complete() {
        return Ok(Exit::Partial);
    }
    let again = observe(&wish, &opened, true, &context.screen()).await;
    let errors = again.errors();
    context.console.tell_all(&Failure::Cloud(errors.clone()).notices());
    let left = match make_destruction(&wish, &opened, again, &destruction) {
        Ok(left) => left,
        Err(failure) => {
            context.console.tell_all(&failure.notices());
            return Ok(unconfirmed(context, "the cloud can't be planned for any more"));
        }
    };
    if !errors.is_empty() || !left.steps.is_empty() {
        return Ok(unconfirmed(context, &format!("{} are still to make", count(left.calls(), "call"))));
    }
    context.say(&format!("\nDestroyed in {}.\n", count(plan.calls(), "call"))).map(|()| Exit::Done)
}

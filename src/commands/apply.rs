//! `rsgsync apply`: make it so.

use std::collections::BTreeSet;
use std::path::Path;

use rsgsync_core::diff::Fate;
use rsgsync_core::document::checksum;
use rsgsync_core::flow::Why;
use rsgsync_core::plan::{Plan, PlanOptions, Step, all_of};

use super::{Context, Exit, documented};
use crate::args::ApplyArgs;
use crate::console::Notice;
use crate::failure::Failure;
use crate::journals::Unfinished;
use crate::load::saved;
use crate::pipeline::{Wish, make_again, make_plan, observe, open, open_saved, plan_options, with_quotas};
use crate::report::count;
use crate::running::{ask, can_ask, carry, declined, unconfirmed};

/// Plans, asks where somebody can be asked, carries out, and compares again.
pub async fn run(context: &Context<'_>, args: &ApplyArgs) -> Result<Exit, Failure> {
    refuse_no_digest(args)?;
    match &args.plan {
        Some(_) if context.global.names_inventory => Err(Failure::new(
            "PLAN and --inventory don't go together",
            "a saved plan needs no inventory: leave --inventory out, or leave PLAN out to plan anew",
        )),
        Some(file) => apply_saved(context, args, file).await,
        None => apply_inventory(context, args).await,
    }
}

/// Carries out a saved plan and nothing else.
async fn apply_saved(context: &Context<'_>, args: &ApplyArgs, file: &Path) -> Result<Exit, Failure> {
    let saved = saved(file)?;
    refuse_unexpected(args, &saved.document.digest)?;
    let opened = open_saved(&saved, &all_of(&saved))?;
    let plan = make_again(&saved, &opened, args.changes.max_removals, &context.screen()).await?;
    let mut plan = with_quotas(plan, &opened, &context.screen()).await?;
    // The limits on removals were the reviewer's to lift.
    if saved.document.refused.is_none() && args.changes.max_removals.is_none() {
        plan.blast = None;
    }
    let mut document = documented(&plan, &saved.guards(&BTreeSet::new()));
    document.digest.clone_from(&saved.document.digest);
    document.checksum = checksum(&document);
    context.print_plan(&plan, &document)?;
    refuse(&plan, args, &document.digest)?;
    if plan.steps.is_empty() {
        return Ok(Exit::Done);
    }
    let unfinished = Unfinished::of(&plan, context.console);
    let outcome = carry(context, "apply", &opened, &plan, &document, &args.running).await?;
    unfinished.close(context.console);
    if !outcome.is_complete() {
        return Ok(Exit::Partial);
    }
    match make_again(&saved, &opened, None, &context.screen()).await {
        Ok(left) if left.steps.is_empty() => {
            let calls = count(plan.calls(), "call");
            context.say(&format!("\nApplied in {calls}; the plan is carried out.\n")).map(|()| Exit::Done)
        }
        Ok(_) => Ok(unconfirmed(context, "what the plan brings about is not all there")),
        Err(failure) => {
            context.console.tell_all(&failure.notices());
            Ok(unconfirmed(context, "what the plan brings about is not all there"))
        }
    }
}

async fn apply_inventory(context: &Context<'_>, args: &ApplyArgs) -> Result<Exit, Failure> {
    let wish = context.wish()?;
    wish.refuse_guarded()?;
    let options = plan_options(&wish, &args.changes)?;
    let opened = open(&wish, &options)?;
    let readings = observe(&wish, &opened, false, &context.screen()).await;
    let errors = readings.errors();
    let plan = make_plan(&wish, &opened, readings, &options)?;
    let plan = with_quotas(plan, &opened, &context.screen()).await?;
    let document = documented(&plan, &wish.guards);
    context.print_plan(&plan, &document)?;
    context.console.tell_all(&Failure::Cloud(errors.clone()).notices());
    refuse(&plan, args, &document.digest)?;
    let unfinished = Unfinished::of(&plan, context.console);
    if plan.steps.is_empty() {
        unfinished.close(context.console);
        let exit = waits_for_other_shards(context, &wish, &options, &plan);
        return Ok(if errors.is_empty() { exit } else { Exit::Refused });
    }
    let asks = !args.running.yes && args.expect.is_none() && can_ask();
    if asks && !ask(&format!("Make {}?", count(plan.calls(), "call"))) {
        return Ok(declined(context.console));
    }
    let outcome = carry(context, "apply", &opened, &plan, &document, &args.running).await?;
    unfinished.close(context.console);
    if !outcome.is_complete() {
        return Ok(Exit::Partial);
    }
    let again = observe(&wish, &opened, false, &context.screen()).await;
    if again.errors().len() > errors.len() {
        context.console.tell_all(&Failure::Cloud(again.errors()).notices());
        return Ok(unconfirmed(context, "reading back failed"));
    }
    let mut left = match make_plan(&wish, &opened, again, &options) {
        Ok(left) => left,
        Err(failure) => {
            context.console.tell_all(&failure.notices());
            return Ok(unconfirmed(context, "the cloud can't be planned for any more"));
        }
    };
    // A network that could not be read at first was not in the plan.
    let was_read = |step: &Step| plan.networks.iter().any(|n| n.network.name == step.network && n.observed.is_ok());
    left.steps.retain(was_read);
    if !left.in_sync() {
        let (adds, removes) = left.counts();
        return Ok(unconfirmed(context, &format!("{} are still to add and {removes} to remove", count(adds, "rule"))));
    }
    let spared = left.networks.iter().flat_map(|n| &n.groups).any(|g| g.diff.fates.contains(&Fate::Spared));
    let state = if spared { "what nothing wants is still there" } else { "in sync" };
    context.say(&format!("\nApplied in {}; {state}.\n", count(plan.calls(), "call")))?;
    let exit = waits_for_other_shards(context, &wish, &options, &left);
    if errors.is_empty() { Ok(exit) } else { Err(left_unread(&plan)) }
}

/// Why a run that did all that it planned is no success: networks could not be read, and stderr has said why.
fn left_unread(plan: &Plan) -> Failure {
    let unread = plan.networks.iter().filter(|network| network.observed.is_err());
    let names = unread.map(|network| format!("`{}`", network.network.name)).collect::<Vec<_>>().join(", ");
    Failure::new(format!("nothing was done in {names}, which could not be read"), "see to it, and apply again")
}

/// Rows may wait for groups that other parts of the fleet are still to make: then there is more to do later.
fn waits_for_other_shards(context: &Context<'_>, wish: &Wish, options: &PlanOptions, plan: &Plan) -> Exit {
    let of_inventory = |why: &Why| match why {
        Why::GroupNotThere(network, group) => {
            let groups = wish.desired.networks.get(network).into_iter().flat_map(|n| &n.groups);
            groups.into_iter().any(|g| g.security_group.as_str() == group.as_str())
        }
        _ => false,
    };
    let waiting = plan.unopened.iter().filter(|row| options.shard.is_some() && of_inventory(&row.why)).count();
    if waiting == 0 {
        return Exit::Done;
    }
    let rows = if waiting == 1 { "1 row waits".to_owned() } else { format!("{waiting} rows wait") };
    let notice = Notice::outcome("waiting", format!("{rows} for groups that other shards make"));
    context.console.tell(&notice.help(Some("run this shard again when they are through")));
    Exit::Partial
}

/// What stands between a plan and its calls: the proof, the blast radius, the reviewer's digest.
fn refuse(plan: &Plan, args: &ApplyArgs, digest: &str) -> Result<(), Failure> {
    if !plan.proof.holds() {
        return Err(Failure::new(
            "the proof fails: this plan is never applied",
            "nothing was changed; please report this plan as a bug",
        ));
    }
    // A plan without steps changes nothing, whatever was expected: a pipeline may run twice.
    if !plan.steps.is_empty() {
        refuse_unexpected(args, digest)?;
    }
    match &plan.blast {
        None => Ok(()),
        Some(reason) => {
            let removes = plan.counts().1;
            Err(Failure::new(
                format!("refused: {reason}"),
                format!("nothing was changed; --max-removals {removes} allows it, --add-only leaves the removals out"),
            ))
        }
    }
}

/// Refuses what can't be the beginning of a digest, before any cloud is read.
fn refuse_no_digest(args: &ApplyArgs) -> Result<(), Failure> {
    let Some(expected) = &args.expect else { return Ok(()) };
    let help = "give at least the first 8 characters of the digest, which `rsgsync plan` prints";
    if !expected.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Failure::new(format!("--expect {expected}: not a digest, which has 0-9 and a-f only"), help));
    }
    match expected.len() {
        0..8 => Err(Failure::new(format!("--expect {expected}: too short to name a plan"), help)),
        8..=64 => Ok(()),
        _ => Err(Failure::new(format!("--expect {expected}: longer than a digest"), help)),
    }
}

/// Refuses another plan than the reviewer's.
fn refuse_unexpected(args: &ApplyArgs, digest: &str) -> Result<(), Failure> {
    match &args.expect {
        Some(expected) if !digest.starts_with(expected.as_str()) => Err(Failure::new(
            format!("the plan's digest is {digest}, not the expected {expected}"),
            "what was reviewed is no longer what would be done: review the new plan",
        )),
        _ => Ok(()),
    }
}

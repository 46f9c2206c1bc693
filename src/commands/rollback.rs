//! `rsgsync rollback JOURNAL`: undo a run.

use std::collections::BTreeSet;

use rsgsync_core::inventory::suggestion;
use rsgsync_core::name::GroupId;
use rsgsync_core::plan::Begun;
use rsgsync_engine::journal::{Came, Record, Unread, load};

use super::{Context, Exit, documented};
use crate::args::{Format, RollbackArgs};
use crate::failure::Failure;
use crate::journals::Unfinished;
use crate::pipeline::{Backwards, make_rollback, open_saved, with_quotas};
use crate::report::{count, escape_lines};
use crate::running::{ask, can_ask, carry, declined, unconfirmed};

/// Reads the journal, plans the way back, asks, carries out, and looks again.
pub async fn run(context: &Context<'_>, args: &RollbackArgs) -> Result<Exit, Failure> {
    let Some(record) = read(args)? else {
        return nothing(context, "the run was stopped before its first call", &[]);
    };
    let (saved, begun) = (&record.plan, begun(&record));
    if begun.is_empty() && context.global.format == Format::Text {
        return nothing(context, "the run made no call", &[]);
    }
    let guards = saved.guards(&set_aside(&record, &args.restore_guarded)?);
    let opened = open_saved(saved, &begun)?;
    let back = Backwards { saved, begun: &begun, guards: &guards };
    let plan = make_rollback(&back, &opened, &context.screen()).await?;
    let plan = with_quotas(plan, &opened, &context.screen()).await?;
    let document = documented(&plan, &guards);
    if plan.steps.is_empty() && context.global.format == Format::Text {
        Unfinished::rolled_back(&args.journal_of).close(context.console);
        return nothing(context, "nothing of that run is left", &plan.notes);
    }
    context.print_plan(&plan, &document)?;
    if !plan.proof.holds() {
        return Err(Failure::new("the proof fails: this plan is never applied", "please report this plan as a bug"));
    }
    if plan.steps.is_empty() {
        Unfinished::rolled_back(&args.journal_of).close(context.console);
        return Ok(Exit::Done);
    }
    if !args.running.yes {
        if !can_ask() {
            return Err(Failure::new(
                "rollback asks before it changes anything, but there is no terminal",
                "pass --yes",
            ));
        }
        if !ask(&format!("Take all this back in {}?", count(plan.calls(), "call"))) {
            return Ok(declined(context.console));
        }
    }
    let outcome = carry(context, "rollback", &opened, &plan, &document, &args.running).await?;
    if !outcome.is_complete() {
        return Ok(Exit::Partial);
    }
    let left = match make_rollback(&back, &opened, &context.screen()).await {
        Ok(left) => left,
        Err(failure) => {
            context.console.tell_all(&failure.notices());
            return Ok(unconfirmed(context, "the cloud can't be looked at any more"));
        }
    };
    if !left.in_sync() {
        let (adds, removes) = left.counts();
        let why = format!("{} are still to add and {removes} to remove", count(adds, "rule"));
        return Ok(unconfirmed(context, &why));
    }
    Unfinished::rolled_back(&args.journal_of).close(context.console);
    context.say(&format!("\nRolled back in {}.\n", count(plan.calls(), "call"))).map(|()| Exit::Done)
}

fn nothing(context: &Context<'_>, why: &str, notes: &[String]) -> Result<Exit, Failure> {
    let notes: String = notes.iter().map(|note| format!("note {note}\n")).collect();
    context.say(&escape_lines(&format!("{notes}nothing to roll back: {why}\n"))).map(|()| Exit::Done)
}

fn read(args: &RollbackArgs) -> Result<Option<Record>, Failure> {
    let path = args.journal_of.display();
    load(&args.journal_of).map_err(|error| {
        let help = match &error {
            Unread::File(_) => "apply prints the path of its journal; by default it is in $XDG_STATE_HOME/rsgsync",
            Unread::Damaged(_) => {
                "nothing was changed; what can't be read can't be undone, `plan` shows how things stand"
            }
            Unread::Alive => "wait for its end, or stop it with Ctrl-C",
        };
        Failure::new(format!("can't read journal {path}: {error}"), help)
    })
}

fn begun(record: &Record) -> Begun {
    let id = |came: &Came| match came {
        Came::Done { group_id } => group_id.as_deref().and_then(|id| GroupId::new(id).ok()),
        Came::Failed | Came::Unknown => None,
    };
    record.begun.iter().map(|(step, came)| (*step, id(came))).collect()
}

/// The guards that `--restore-guarded` names; errors when the run knew no such guard.
fn set_aside(record: &Record, names: &[String]) -> Result<BTreeSet<String>, Failure> {
    let known = || record.plan.document.guards.iter().map(|guard| guard.name.as_str());
    if let Some(unknown) = names.iter().find(|name| known().all(|guard| guard != name.as_str())) {
        let near = suggestion(unknown, known()).unwrap_or_default();
        return Err(Failure::new(format!("--restore-guarded: there is no guard `{unknown}`"), near));
    }
    Ok(names.iter().cloned().collect())
}

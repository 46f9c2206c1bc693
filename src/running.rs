//! Carries a shown plan out: asks, journals, runs, reads back, and says what now holds.

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use rsgsync_core::document::Document;
use rsgsync_core::plan::{Action, Plan, Step, StepId};
use rsgsync_engine::{CloudError, Journal, Options, Outcome, Run, StopSignal, Stopped, carry_out};

use crate::args::Running;
use crate::commands::{Context, Exit};
use crate::console::{Console, Notice};
use crate::failure::{Failure, cloud};
use crate::journals;
use crate::pipeline::Opened;
use crate::report::{count, escape};

/// Asks on the terminal; anything but `yes` or `y` is a no.
pub fn ask(question: &str) -> bool {
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Whether somebody can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Tells that the answer was no.
pub fn declined(console: Console) -> Exit {
    console.tell(&Notice::info("declined", "nothing was changed"));
    Exit::Refused
}

/// Tells why it isn't known that what now holds is what was wanted.
pub fn unconfirmed(context: &Context<'_>, why: &str) -> Exit {
    let notice = Notice::outcome("unconfirmed", format!("unconfirmed: every call was made, but {why}"));
    let help = "the cloud's answers may lag, or somebody else writes; run `rsgsync plan` again";
    context.console.tell(&notice.help(Some(help)));
    Exit::Partial
}

/// Carries the plan out, and tells on stderr what failed and what is left.
pub async fn carry(
    context: &Context<'_>,
    command: &str,
    opened: &[Opened],
    plan: &Plan,
    document: &Document,
    args: &Running,
) -> Result<Outcome, Failure> {
    if !plan.proof.holds() {
        return Err(Failure::new("the proof fails: this plan is never applied", "nothing was changed"));
    }
    let path = args.journal.clone().map_or_else(|| journals::new(plan), Ok)?;
    let value = serde_json::to_value(document).unwrap_or_default();
    let mut journal = Journal::create(&path, command, value)
        .map_err(|error| Failure::new(error.to_string(), "choose another place with --journal FILE"))?;
    let of_network: Vec<Vec<Step>> =
        opened.iter().map(|o| plan.steps.iter().filter(|s| s.network == o.network.name).cloned().collect()).collect();
    let runs: Vec<Run<'_>> = opened
        .iter()
        .zip(&of_network)
        .filter_map(|(opened, steps)| {
            let network = plan.networks.iter().find(|n| n.network.name == opened.network.name)?;
            let default_settle = if opened.network.provider == "simulated" { 0 } else { 5 };
            Some(Run {
                network: &network.network.name,
                owner: &plan.owner,
                cloud: opened.cloud.as_ref(),
                account: network.observed.as_ref().ok().and_then(|o| o.account.as_deref()),
                atoms: &network.atoms,
                elsewhere: &network.elsewhere,
                steps,
                settle: Duration::from_secs(args.settle.unwrap_or(default_settle)),
            })
        })
        .collect();
    let stop = StopSignal::new();
    let signal = stop.clone();
    let console = context.console;
    let listener = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let message = "stopping: calls in flight are finished first; once more stops at once";
            console.tell(&Notice::info("stopping", message));
            signal.cancel();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            let message = "stopped at once: what was in flight may be done or not; the journal is kept";
            console.tell(&Notice::outcome("stopped", message));
            std::process::exit(3);
        }
    });
    let options = Options { concurrency: usize::from(args.concurrency), ..Options::default() };
    let mut screen = context.screen();
    screen.expect(plan);
    let mut outcome = carry_out(&runs, options, &mut journal, &screen, &stop).await;
    screen.done();
    drop(listener);
    // Descriptions are best effort: nothing hangs on them.
    let described = |id: &StepId| plan.steps.iter().any(|s| s.id == *id && s.action == Action::UpdateDescriptions);
    let (descriptions, failed) = std::mem::take(&mut outcome.failed).into_iter().partition(|(id, _)| described(id));
    outcome.failed = failed;
    let descriptions: Vec<(StepId, CloudError)> = descriptions;
    for (_, error) in &descriptions {
        console.tell(&Notice::warning("cloud", format!("descriptions stay as they were: {error}")));
    }
    report(console, plan, &outcome);
    // The way back from a run that is not complete is no detail.
    let kind = if outcome.is_complete() { Notice::info } else { Notice::outcome };
    let path = path.display().to_string();
    console.tell(&kind("journal", format!("journal: {path}")).with("journal", path));
    drop(journal);
    journals::tidy();
    Ok(outcome)
}

fn report(console: Console, plan: &Plan, outcome: &Outcome) {
    let name = |id: &rsgsync_core::plan::StepId| {
        let step = plan.steps.iter().find(|s| s.id == *id);
        let network = step.and_then(|s| plan.networks.iter().find(|n| n.network.name == s.network));
        step.zip(network).map_or(String::new(), |(s, n)| format!("step {} on {}", s.id.0, n.group_name(s.group)))
    };
    for (id, error) in &outcome.failed {
        console.tell(&cloud(error).about(&name(id)));
    }
    for (network, error) in &outcome.unconfirmed {
        console.tell(&cloud(error).about(&format!("network `{network}`")));
    }
    match &outcome.stopped {
        Some(Stopped::Signal) => console.tell(&Notice::outcome("stopped", "stopped as asked")),
        Some(Stopped::Journal(error)) => {
            let help = "no further call was made; free some room and apply again";
            console.tell(&Notice::error("journal", error.to_string()).help(Some(help)));
        }
        None => {}
    }
    let left = outcome.failed.len() + outcome.skipped.len();
    if left > 0 {
        let message = format!("{} done, {left} left", count(outcome.done.len(), "step"));
        let help = "apply again: it goes on from what is really there";
        let skipped: Vec<String> =
            outcome.skipped.iter().map(|(id, because)| escape(&format!("{}: {because}", name(id)))).collect();
        let lines: String = skipped.iter().map(|line| format!("  {line}\n")).collect();
        let notice = Notice::outcome("left", &message).help(Some(help)).with("skipped", skipped);
        console.tell(&notice.pictured(format!("{message}:\n{lines}{help}\n")));
    }
}

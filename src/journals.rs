//! The folder of journals: where a new one goes, and which of the old ones tell of a run that was killed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rsgsync_core::plan::{NetworkPlan, Plan};
use rsgsync_engine::journal::{Came, Left, Record, Unread, keep, left_at, left_in};

use crate::console::{Console, Notice};
use crate::failure::Failure;

/// How many journals of runs that are over are kept.
const KEPT: usize = 100;

/// `$XDG_STATE_HOME/rsgsync`.
fn folder() -> Option<PathBuf> {
    let set = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("rsgsync"))
}

/// A new file in the folder, named after the moment and the owner.
pub fn new(plan: &Plan) -> Result<PathBuf, Failure> {
    let folder = folder().ok_or_else(|| {
        Failure::new("there is no place for the journal: neither XDG_STATE_HOME nor HOME is set", "pass --journal FILE")
    })?;
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
    Ok(folder.join(format!("{now}-{}-{}.jsonl", plan.owner, std::process::id())))
}

/// Deletes old journals, all but the last.
pub fn tidy() {
    if let Some(folder) = folder() {
        keep(&folder, KEPT);
    }
}

/// Journals of runs on a plan's groups that were killed, and that no later run has taken up.
pub struct Unfinished(Vec<Left>);

impl Unfinished {
    /// Looks for them, and says a line about each.
    pub fn of(plan: &Plan, console: Console) -> Self {
        let mut found = Vec::new();
        for left in folder().map(|folder| left_in(&folder)).unwrap_or_default() {
            let said = match &left.told {
                Ok(Some(record)) if touches(record, plan) => found_stopped(&left.path, record),
                Ok(Some(_)) => continue,
                Ok(None) => format!("{} is empty: its run was stopped before its first call", left.path.display()),
                Err(error) => {
                    console.tell(&damaged(&left.path, error));
                    continue;
                }
            };
            let notice = Notice::info("unfinished", format!("unfinished: {said}"));
            console.tell(&notice.with("journal", left.path.display().to_string()));
            found.push(left);
        }
        Self(found)
    }

    /// The journal of a run that was rolled back, if it was killed.
    pub fn rolled_back(path: &Path) -> Self {
        Self(left_at(path.to_owned()).into_iter().collect())
    }

    /// Closes them: this run has gone on from what is really there.
    pub fn close(self, console: Console) {
        for left in self.0 {
            if let Err(error) = left.close() {
                console.tell(&Notice::warning("journal", error.to_string()));
            }
        }
    }
}

fn found_stopped(path: &Path, record: &Record) -> String {
    let of = |wanted: fn(&Came) -> bool| record.begun.values().filter(|came| wanted(came)).count();
    let (steps, done) = (record.plan.steps().len(), of(|came| matches!(came, Came::Done { .. })));
    let (failed, unknown) = (of(|came| *came == Came::Failed), of(|came| *came == Came::Unknown));
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    let when = record.last.as_deref().map(|at| format!(" at {at}")).unwrap_or_default();
    let what = if record.command.is_empty() { "a run" } else { &record.command };
    format!(
        "{what} was stopped{when}, {done} of {steps} steps done{failed}, {unknown} unknown; going on from what is there \
         (journal {})",
        path.display()
    )
}

fn damaged(path: &Path, error: &Unread) -> Notice {
    let message = format!("journal {}: {error}", path.display());
    let help = "it is left as it is; move it away once you know what that run has done";
    Notice::warning("journal", message).help(Some(help)).with("journal", path.display().to_string())
}

/// Whether a run was about groups that the plan is about, too.
fn touches(record: &Record, plan: &Plan) -> bool {
    let saved = &record.plan;
    let there = |network: &NetworkPlan| {
        let observed = network.observed.as_ref().ok()?;
        let entry = saved.document.networks.iter().find(|then| {
            then.provider == network.network.provider
                && then.account == observed.account
                && (then.identity.as_ref(), then.place.as_ref()) == (observed.identity.as_ref(), Some(&observed.place))
        })?;
        Some(&entry.name)
    };
    plan.networks.iter().any(|network| {
        let Some(name) = there(network) else { return false };
        let groups: BTreeSet<&str> = network.groups.iter().map(|g| network.group_name(g.atom)).collect();
        let steps = saved.steps().iter().filter(|s| s.network == *name);
        steps.into_iter().any(|step| groups.contains(saved.text(name, step.group)))
    })
}

//! What a run brought about, and what is left.

use std::collections::BTreeMap;
use std::fmt;

use rsgsync_core::name::NetworkName;
use rsgsync_core::plan::StepId;

use crate::cloud::CloudError;
use crate::journal::JournalError;

/// How a run ended: every step is in exactly one of `done`, `failed` and `skipped`.
#[derive(Debug, Default)]
#[must_use = "a run may have stopped half-way"]
pub struct Outcome {
    /// Steps that hold now, in the order in which they were done.
    pub done: Vec<StepId>,
    /// Ids of the groups that were made, by the step that made them.
    pub made: BTreeMap<StepId, String>,
    /// Steps that failed for good, with the last error; of a lost answer it isn't known whether it was carried out.
    pub failed: Vec<(StepId, CloudError)>,
    /// Steps that were not begun, and why, in the plan's order.
    pub skipped: Vec<(StepId, Because)>,
    /// Additions of these networks that could not be read back, so that removals wait.
    pub unconfirmed: Vec<(NetworkName, CloudError)>,
    /// Why the run ended before its time.
    pub stopped: Option<Stopped>,
}

impl Outcome {
    /// Whether every step was done.
    pub fn is_complete(&self) -> bool {
        let Self { done: _, made: _, failed, skipped, unconfirmed, stopped } = self;
        failed.is_empty() && skipped.is_empty() && unconfirmed.is_empty() && stopped.is_none()
    }
}

/// Why a step was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// It needs this step, which failed, was skipped, or isn't part of the run.
    Needs(StepId),
    /// This step of the same group failed.
    GroupFailed(StepId),
    /// Additions that must stand before it could not be read back.
    Unconfirmed,
    /// The run was stopped.
    Stopped,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs(step) => write!(f, "needs step {}", step.0),
            Self::GroupFailed(step) => write!(f, "step {} of the same group failed", step.0),
            Self::Unconfirmed => f.write_str("what must stand before it could not be read back"),
            Self::Stopped => f.write_str("the run was stopped"),
        }
    }
}

/// Why a run ended before its time.
#[derive(Debug)]
pub enum Stopped {
    /// Somebody asked for it.
    Signal,
    /// The journal can't be written; without it no call is made.
    Journal(JournalError),
}

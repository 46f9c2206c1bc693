//! A journal is read back: what its run began and what came of it, or the line that can't be right.

use std::collections::BTreeMap;

use rsgsync_core::document::{ReadError, Saved};
use rsgsync_core::plan::{Action, StepId};
use serde::Deserialize;
use serde_json::Value;

use super::{Event, VERSION};

/// The longest line but the first, in bytes: a cloud's error texts are the longest that there is.
const LONGEST: usize = 1 << 20;

/// What a journal tells.
#[derive(Debug)]
pub struct Record {
    /// The command that ran: `apply`, `destroy`, `rollback`.
    pub command: String,
    /// The plan, and the observation that it was made from.
    pub plan: Saved,
    /// Every step that was begun, and what came of it.
    pub begun: BTreeMap<StepId, Came>,
    /// How it ends.
    pub ending: Ending,
    /// A later run went on from here.
    pub closed: bool,
    /// The moment of the last whole line, as the journal spells it.
    pub last: Option<String>,
}

/// What came of a step that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// It holds.
    Done {
        /// The new group's id, of `create_group`.
        group_id: Option<String>,
    },
    /// It failed; part of it may have been carried out.
    Failed,
    /// The run ended before the answer: it was carried out or not.
    Unknown,
}

/// How a journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With its last line: the run ended by itself, whatever came of its steps.
    Finished,
    /// Before its last line: the run was killed.
    Stopped,
    /// Within a line, which says nothing then: the run was killed while it wrote.
    Torn,
}

/// A line that no run writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {wrong}")]
pub struct Damage {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Not JSON, or no event.
    #[error("not an event of a journal: {0}")]
    Shape(String),
    /// Far longer than any event.
    #[error("longer than any event")]
    TooLong,
    /// Written by a program that is newer, or by none.
    #[error("a journal of version {0}; this program reads version {VERSION}")]
    Version(u64),
    /// The plan in the header.
    #[error(transparent)]
    Plan(#[from] ReadError),
    /// Only the first line may be one, and must be.
    #[error("a second header")]
    SecondHeader,
    /// Something behind the end.
    #[error("the run has ended before")]
    AfterEnd,
    /// A step that isn't in the plan.
    #[error("the plan has no step {}", .0.0)]
    NoSuchStep(StepId),
    /// A step is begun again.
    #[error("step {} was begun before", .0.0)]
    BegunTwice(StepId),
    /// A step is begun too early.
    #[error("step {} is begun, but step {}, which it depends on, is not done", step.0, needs.0)]
    TooEarly {
        /// The step.
        step: StepId,
        /// What must be done before.
        needs: StepId,
    },
    /// An outcome without an intent, or a second one.
    #[error("step {} has an outcome, but isn't under way", .0.0)]
    NotUnderWay(StepId),
    /// What was read back is no addition that is done.
    #[error("step {} was read back, but is no addition that is done", .0.0)]
    NotAdded(StepId),
    /// The run ends although a step has no outcome.
    #[error("the run ends, but step {} is under way", .0.0)]
    StillUnderWay(StepId),
    /// The numbers of the end differ from the outcomes.
    #[error("the end counts {said:?} steps as done, failed and skipped, but {found:?} are")]
    Counts {
        /// What the line says.
        said: (usize, usize, usize),
        /// What the lines before say.
        found: (usize, usize, usize),
    },
}

/// What the first line of every version has.
#[derive(Deserialize)]
struct Version {
    event: String,
    version: Option<u64>,
}

/// What the first line of this version has as well.
#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    command: String,
    plan: Value,
}

#[derive(Deserialize)]
struct Moment {
    #[serde(default)]
    at: Option<String>,
}

/// Reads the bytes of a journal.
///
/// `None`: the run was killed before its plan was on the disk, so that no call was made. A last line without its end is
/// what a kill leaves, and is passed over; any other line that can't be is an error.
pub fn read(bytes: &[u8]) -> Result<Option<Record>, Damage> {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let mut torn = lines.pop().is_some_and(|rest| !rest.is_empty());
    let closed = lines.last().is_some_and(|line| matches!(event(line), Ok(Event::Closed {})));
    if closed {
        lines.pop();
        // What closes a journal is written behind the torn line that it ends in.
        if lines.last().is_some_and(|line| serde_json::from_slice::<Value>(line).is_err()) {
            lines.pop();
            torn = true;
        }
    }
    let Some((first, rest)) = lines.split_first() else { return Ok(None) };
    let at = |line: usize| move |wrong: Wrong| Damage { line, wrong };
    let (command, plan) = header(first).map_err(at(1))?;
    let mut told = Told { plan: &plan, begun: BTreeMap::new(), ended: false };
    for (number, line) in (2..).zip(rest) {
        event(line).and_then(|event| told.take(event)).map_err(at(number))?;
    }
    let Told { begun, ended, .. } = told;
    let ending = match (ended, torn) {
        (true, false) => Ending::Finished,
        (false, false) => Ending::Stopped,
        (false, true) => Ending::Torn,
        (true, true) => return Err(at(lines.len() + 1)(Wrong::AfterEnd)),
    };
    if ended && closed {
        return Err(at(lines.len() + 1)(Wrong::AfterEnd));
    }
    let last = lines.last().and_then(|line| serde_json::from_slice::<Moment>(line).ok()).and_then(|line| line.at);
    Ok(Some(Record { command, plan, begun, ending, closed, last }))
}

fn shape(error: serde_json::Error) -> Wrong {
    Wrong::Shape(error.to_string())
}

fn header(line: &[u8]) -> Result<(String, Saved), Wrong> {
    match serde_json::from_slice(line).map_err(shape)? {
        Version { event, version: Some(version) } if event == "header" => {
            if version != u64::from(VERSION) {
                return Err(Wrong::Version(version));
            }
        }
        Version { event, version: _ } => {
            return Err(Wrong::Shape(format!("the first line is a header with a version, not `{event}`")));
        }
    }
    let Header { command, plan } = serde_json::from_slice(line).map_err(shape)?;
    Ok((command, Saved::from_value(plan)?))
}

fn event(line: &[u8]) -> Result<Event, Wrong> {
    if line.len() > LONGEST {
        return Err(Wrong::TooLong);
    }
    serde_json::from_slice(line).map_err(shape)
}

/// What the lines so far have told.
struct Told<'a> {
    plan: &'a Saved,
    begun: BTreeMap<StepId, Came>,
    ended: bool,
}

impl Told<'_> {
    fn take(&mut self, event: Event) -> Result<(), Wrong> {
        if self.ended {
            return Err(Wrong::AfterEnd);
        }
        match event {
            Event::Header { .. } => Err(Wrong::SecondHeader),
            Event::Closed {} => Err(Wrong::Shape("only the last line closes a journal".to_owned())),
            Event::Intent { step } => self.intent(step),
            Event::Outcome { step, ok, group_id, already: _, request_id: _, error: _ } => {
                let came = if ok { Came::Done { group_id } } else { Came::Failed };
                match self.begun.get_mut(&step) {
                    Some(state @ Came::Unknown) => *state = came,
                    Some(Came::Done { .. } | Came::Failed) | None => return Err(Wrong::NotUnderWay(step)),
                }
                Ok(())
            }
            Event::ReadBack { steps } => steps.into_iter().try_for_each(|step| self.read_back(step)),
            Event::End { done, failed, skipped } => self.end((done, failed, skipped)),
        }
    }

    fn is_done(&self, step: StepId) -> bool {
        matches!(self.begun.get(&step), Some(Came::Done { .. }))
    }

    fn intent(&mut self, step: StepId) -> Result<(), Wrong> {
        let entry = self.plan.step(step).ok_or(Wrong::NoSuchStep(step))?;
        if let Some(needs) = entry.depends_on.iter().copied().find(|needs| !self.is_done(*needs)) {
            return Err(Wrong::TooEarly { step, needs });
        }
        match self.begun.insert(step, Came::Unknown) {
            None => Ok(()),
            Some(_) => Err(Wrong::BegunTwice(step)),
        }
    }

    fn read_back(&mut self, step: StepId) -> Result<(), Wrong> {
        let entry = self.plan.step(step).ok_or(Wrong::NoSuchStep(step))?;
        let adds = matches!(entry.action, Action::AddRules | Action::ReplaceRules);
        if adds && self.is_done(step) { Ok(()) } else { Err(Wrong::NotAdded(step)) }
    }

    fn end(&mut self, said: (usize, usize, usize)) -> Result<(), Wrong> {
        if let Some((step, _)) = self.begun.iter().find(|(_, came)| **came == Came::Unknown) {
            return Err(Wrong::StillUnderWay(*step));
        }
        let failed = self.begun.values().filter(|came| **came == Came::Failed).count();
        let skipped = self.plan.document.steps.len().saturating_sub(self.begun.len());
        let found = (self.begun.len() - failed, failed, skipped);
        self.ended = true;
        if said == found { Ok(()) } else { Err(Wrong::Counts { said, found }) }
    }
}

#[cfg(test)]
pub(super) mod tests;

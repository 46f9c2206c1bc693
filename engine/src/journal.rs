//! What a run means to do and what came of it, one JSON object a line, on the disk before the next call is made.

mod folder;
mod read;

pub use folder::{Left, Unread, keep, left_at, left_in, load};
pub use read::{Came, Damage, Ending, Record, Wrong, read};

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rsgsync_core::plan::StepId;
use serde::{Deserialize, Serialize};

use crate::cloud::{CloudError, Done};

/// The version of the format.
pub const VERSION: u32 = 1;

/// One line of a journal; in a file it also has the moment, `at`. Readers pass over keys that they don't know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Header {
        /// [`VERSION`].
        version: u32,
        /// Which command runs: `apply`, `destroy`, `rollback`.
        #[serde(default)]
        command: String,
        /// The plan, as plans are saved, and with it the observation that it was made from.
        plan: serde_json::Value,
    },
    /// The step's call is about to be made.
    Intent {
        /// Which.
        step: StepId,
    },
    /// What came of a step.
    Outcome {
        /// Which.
        step: StepId,
        /// Whether it holds now; otherwise there is an error.
        ok: bool,
        /// It was so already, in part at least.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        already: bool,
        /// The new group's id, for `create_group`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group_id: Option<String>,
        /// The cloud's id of the last request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Additions that a new reading of the cloud shows: removals that depend on them may begin.
    ReadBack {
        /// Which.
        steps: Vec<StepId>,
    },
    /// The last line: the run ended by itself.
    End {
        /// Steps that hold.
        done: usize,
        /// Steps that failed.
        failed: usize,
        /// Steps that were not begun.
        skipped: usize,
    },
    /// A later run went on from what this one, which did not end by itself, has left.
    Closed {},
}

impl Event {
    pub(crate) fn outcome(step: StepId, result: Result<&Done, &CloudError>) -> Self {
        match result {
            Ok(Done { group_id, request_id, already }) => Self::Outcome {
                step,
                ok: true,
                already: *already,
                group_id: group_id.clone(),
                request_id: request_id.clone(),
                error: None,
            },
            Err(error) => Self::Outcome {
                step,
                ok: false,
                already: false,
                group_id: None,
                request_id: error.request_id.clone(),
                error: Some(format!("{}: {}", error.doing, error.message)),
            },
        }
    }
}

/// A journal that can't be written.
#[derive(Debug, thiserror::Error)]
#[error("can't write the journal {}: {source}", path.display())]
pub struct JournalError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    File(Open),
    Memory(Vec<Event>),
}

/// The file of a journal, locked, so that others see that its run is alive.
#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    /// Lines that are not yet in the file.
    pending: Vec<u8>,
    /// Bytes of whole lines in the file.
    written: u64,
    /// A line could not be written: nothing is written behind it.
    broken: bool,
}

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(flatten)]
    event: &'a Event,
}

impl Line<'_> {
    fn of(event: &Event) -> Vec<u8> {
        let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let mut line = serde_json::to_vec(&Line { at, event }).expect("events are plain data, and memory takes them");
        line.push(b'\n');
        line
    }
}

impl Journal {
    /// Begins the journal of a run in a new file, readable by its owner only; missing folders are made.
    ///
    /// Errors when the file exists, or can't be written.
    pub fn create(path: &Path, command: &str, plan: serde_json::Value) -> Result<Self, JournalError> {
        let wrong = |source| JournalError { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(wrong)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(wrong)?;
        // Not every file system has locks; without one, another run may take this one for dead, and says so.
        let _ = file.lock();
        let mut open = Open { path: path.to_owned(), file, pending: Vec::new(), written: 0, broken: false };
        open.pending = Line::of(&Event::Header { version: VERSION, command: command.to_owned(), plan });
        open.sync()?;
        // The file's name must outlive a power cut as well as its contents.
        #[cfg(unix)]
        File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(wrong)?;
        Ok(Self { sink: Sink::File(open) })
    }

    /// Begins a journal that is kept in memory, for tests.
    pub fn in_memory(plan: serde_json::Value) -> Self {
        Self { sink: Sink::Memory(vec![Event::Header { version: VERSION, command: String::new(), plan }]) }
    }

    /// What was noted so far, of a journal in memory; empty for a file.
    pub fn events(&self) -> &[Event] {
        match &self.sink {
            Sink::File(_) => &[],
            Sink::Memory(events) => events,
        }
    }

    /// Takes an event; it is on the disk after the next [`Journal::sync`].
    pub(crate) fn note(&mut self, event: Event) {
        match &mut self.sink {
            Sink::File(open) => open.pending.extend(Line::of(&event)),
            Sink::Memory(events) => events.push(event),
        }
    }

    /// Brings everything noted onto the disk.
    ///
    /// Once that has failed, nothing more is written: the file then ends as if the run had been killed there.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        match &mut self.sink {
            Sink::File(open) => open.sync(),
            Sink::Memory(_) => Ok(()),
        }
    }
}

impl Open {
    fn sync(&mut self) -> Result<(), JournalError> {
        let lines = std::mem::take(&mut self.pending);
        if lines.is_empty() {
            return Ok(());
        }
        let written = if self.broken {
            Err(io::Error::other("an earlier line could not be written"))
        } else {
            self.append(&lines)
        };
        written.map_err(|source| JournalError { path: self.path.clone(), source })
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.broken = true;
        if self.file.seek(SeekFrom::End(0))? != self.written {
            return Err(io::Error::other("somebody else has written into it"));
        }
        if let Err(error) = self.file.write_all(lines).and_then(|()| self.file.sync_data()) {
            // Half a line is better gone; a reader passes over it as well.
            let _ = self.file.set_len(self.written);
            return Err(error);
        }
        self.written += lines.len() as u64;
        self.broken = false;
        Ok(())
    }
}

#[cfg(test)]
impl Journal {
    /// A journal whose disk takes nothing.
    pub(crate) fn unwritable() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        fs::write(&path, "").unwrap();
        let file = File::open(&path).unwrap();
        Self { sink: Sink::File(Open { path, file, pending: Vec::new(), written: 0, broken: false }) }
    }
}

#[cfg(test)]
mod tests;

//! What a run means to do and what came of it, one JSON object a line, on the disk before the next call is made.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rsgsync_core::plan::StepId;
use serde::{Deserialize, Serialize};

use crate::cloud::{CloudError, Done};

/// The version of the format.
pub const VERSION: u32 = 1;

/// One line of a journal. Readers pass over keys that they don't know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Header {
        /// [`VERSION`].
        version: u32,
        /// The plan, as the caller saves plans.
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
    /// The last line: the run ended by itself.
    End {
        /// Steps that hold.
        done: usize,
        /// Steps that failed.
        failed: usize,
        /// Steps that were not begun.
        skipped: usize,
    },
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
    File {
        path: PathBuf,
        file: File,
        /// Lines that are not yet in the file.
        pending: Vec<u8>,
    },
    Memory(Vec<Event>),
}

impl Journal {
    /// Begins the journal of a run in a new file, readable by its owner only; missing folders are made.
    ///
    /// Errors when the file exists, or can't be written.
    pub fn create(path: &Path, plan: serde_json::Value) -> Result<Self, JournalError> {
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
        let mut journal = Self { sink: Sink::File { path: path.to_owned(), file, pending: Vec::new() } };
        journal.note(Event::Header { version: VERSION, plan });
        journal.sync()?;
        // The file's name must outlive a power cut as well as its contents.
        #[cfg(unix)]
        File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(wrong)?;
        Ok(journal)
    }

    /// Begins a journal that is kept in memory, for tests.
    pub fn in_memory(plan: serde_json::Value) -> Self {
        Self { sink: Sink::Memory(vec![Event::Header { version: VERSION, plan }]) }
    }

    /// What was noted so far, of a journal in memory; empty for a file.
    pub fn events(&self) -> &[Event] {
        match &self.sink {
            Sink::File { .. } => &[],
            Sink::Memory(events) => events,
        }
    }

    /// Takes an event; it is on the disk after the next [`Journal::sync`].
    pub(crate) fn note(&mut self, event: Event) {
        match &mut self.sink {
            Sink::File { pending, .. } => {
                serde_json::to_writer(&mut *pending, &event).expect("events are plain data, and memory takes them");
                pending.push(b'\n');
            }
            Sink::Memory(events) => events.push(event),
        }
    }

    /// Brings everything noted onto the disk.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        let Sink::File { path, file, pending } = &mut self.sink else { return Ok(()) };
        if pending.is_empty() {
            return Ok(());
        }
        let written = file.write_all(pending).and_then(|()| file.sync_data());
        pending.clear();
        written.map_err(|source| JournalError { path: path.clone(), source })
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
        Self { sink: Sink::File { path, file, pending: Vec::new() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_plan_is_on_the_disk_before_anything_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/run.jsonl");
        let _journal = Journal::create(&path, serde_json::json!({ "digest": "abc" })).unwrap();
        let header = serde_json::json!({ "event": "header", "version": 1, "plan": { "digest": "abc" } });
        assert_eq!(lines(&path), [header]);
    }

    #[test]
    fn an_event_is_a_line_that_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        let mut journal = Journal::create(&path, serde_json::Value::Null).unwrap();
        let done = Done { group_id: Some("sg-1".to_owned()), request_id: None, already: true };
        let event = Event::outcome(StepId(7), Ok(&done));
        journal.note(event.clone());
        journal.sync().unwrap();
        let line = lines(&path).pop().unwrap();
        let expected =
            serde_json::json!({ "event": "outcome", "step": 7, "ok": true, "already": true, "group_id": "sg-1" });
        assert_eq!(line, expected);
        assert_eq!(serde_json::from_value::<Event>(line).unwrap(), event);
    }

    #[test]
    fn an_existing_file_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        fs::write(&path, "precious").unwrap();
        assert!(Journal::create(&path, serde_json::Value::Null).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        let _journal = Journal::create(&path, serde_json::Value::Null).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

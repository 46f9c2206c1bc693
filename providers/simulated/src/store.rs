//! Where the state lives, in memory or in a file, and the gate that every call passes: counted, logged, struck by faults.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rsgsync_engine::ErrorKind;
use tokio::time::Instant;

use crate::fault::{Fault, Kind, Strike};
use crate::state::{State, StateProblem};
use crate::throttle::Buckets;
use crate::world::{Refusal, World};

/// Why a state file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not readable, or its folder isn't there.
    #[error("can't read the state file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Readable, but no state.
    #[error("the state file {} is not valid: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: StateProblem,
    },
    /// Not writable.
    #[error("can't write the state file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// One call, as it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// From 1, in the order in which they reached the cloud.
    pub number: u64,
    /// Which call.
    pub kind: Kind,
    /// The group that it was about, by id, or by name for a new one; empty for a call about many.
    pub group: String,
    /// How many rules it named.
    pub rules: usize,
    /// How it ended.
    pub answer: Answer,
}

/// A change of the groups, as it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The call that made it, or that came right after it.
    pub call: u64,
    /// A stranger made it.
    pub foreign: bool,
    /// What the state file would hold right after it.
    pub state: serde_json::Value,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Carried out, and answered.
    Done,
    /// Refused, with EC2's code.
    Refused(&'static str),
    /// Struck by a fault.
    Struck(Fault),
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused { refusal: Refusal, request_id: Option<String> },
    Other { kind: ErrorKind, message: String, request_id: Option<String> },
}

/// What one call is about, for the log.
pub(crate) struct About<'a> {
    pub kind: Kind,
    pub group: &'a str,
    pub rules: usize,
}

/// The state, its file, and what has been called.
#[derive(Debug)]
pub(crate) struct Store {
    path: Option<PathBuf>,
    /// The path as the user gave it, for reports.
    given: Option<PathBuf>,
    /// What the file was like when `state` was last the same as it; `None`: there was no file.
    stamp: Option<Stamp>,
    state: State,
    counts: BTreeMap<Kind, u64>,
    buckets: Buckets,
    log: Vec<CallRecord>,
    /// Every change, where that is wanted.
    changes: Option<Vec<Change>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Store {
    /// A cloud in memory.
    pub fn in_memory(state: State) -> Self {
        let (counts, buckets) = (BTreeMap::new(), Buckets::default());
        Self { path: None, given: None, stamp: None, state, counts, buckets, log: Vec::new(), changes: None }
    }

    /// A cloud in a file; no file is an empty cloud.
    pub fn in_file(path: &Path) -> Result<Self, StateError> {
        let given = Some(path.to_owned());
        // The real file, so that writing replaces it rather than a link to it.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if let Err(source) = fs::metadata(folder(&path)) {
            return Err(StateError::Read { path, source });
        }
        let (state, stamp) = load(&path)?;
        Ok(Self { path: Some(path), given, stamp, ..Self::in_memory(state) })
    }

    /// The file's path as the user gave it.
    pub fn given(&self) -> Option<&Path> {
        self.given.as_deref()
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn counts(&self) -> &BTreeMap<Kind, u64> {
        &self.counts
    }

    pub fn log(&self) -> &[CallRecord] {
        &self.log
    }

    /// Every change from the first [`Store::note_changes`] on.
    pub fn changes(&self) -> &[Change] {
        self.changes.as_deref().unwrap_or_default()
    }

    /// Notes every change from now on.
    pub fn note_changes(&mut self) {
        self.changes.get_or_insert_default();
    }

    fn note(&mut self, call: u64, foreign: bool) {
        if let Some(changes) = &mut self.changes {
            changes.push(Change { call, foreign, state: self.state.to_json() });
        }
    }

    /// How long the next call takes.
    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.state.latency_ms)
    }

    /// One call: `body` is what the cloud does, and must change nothing when it refuses. Gives its answer and request id;
    /// `None`: the process is to end here.
    pub fn call<T>(
        &mut self,
        about: &About<'_>,
        body: impl FnOnce(&mut World) -> Result<T, Refusal>,
    ) -> Option<Result<(T, String), Failure>> {
        self.carry_out(about, body).transpose()
    }

    fn carry_out<T>(
        &mut self,
        about: &About<'_>,
        body: impl FnOnce(&mut World) -> Result<T, Refusal>,
    ) -> Result<Option<(T, String)>, Failure> {
        let nth = self.counts.entry(about.kind).or_insert(0);
        *nth += 1;
        let nth = *nth;
        let number = self.counts.values().sum();
        let request_id = format!("simulated-{number}");
        let tell = |answer: &Answer| {
            let About { kind, group, rules } = *about;
            tracing::info!(number, kind = kind.as_str(), group, rules, ?answer, "call");
        };
        let log = |store: &mut Self, answer| {
            let About { kind, group, rules } = *about;
            tell(&answer);
            store.log.push(CallRecord { number, kind, group: group.to_owned(), rules, answer });
        };
        let _lock = self.path.as_deref().map(lock_folder);
        self.refresh().map_err(|error| unusable(&error))?;

        let mut dirty = self.state.faults.is_random() || !self.state.lag.is_over();
        for foreign in self.state.faults.take_foreign(number, about.kind, nth) {
            dirty = true;
            let before = self.state.world.clone();
            if foreign.write(&mut self.state.world) {
                self.state.lag.hide_change(before, self.state.faults.lag);
                self.note(number, true);
            }
        }
        let out_of_tokens = self
            .state
            .faults
            .throttle
            .is_some_and(|limits| !self.buckets.take(&limits, about.kind.as_str(), false, Instant::now()));
        let throttled = out_of_tokens.then_some(Strike { fault: Fault::Throttle, retry_after_ms: None });
        let strike = self.state.faults.strike(number, about.kind, nth).or(throttled);
        dirty |= strike.is_some();
        if let Some(Strike { fault: Fault::KillBefore, .. }) = strike {
            self.state.lag.pass();
            self.save().map_err(|error| unusable(&error))?;
            tell(&Answer::Struck(Fault::KillBefore));
            return Ok(None);
        }
        let not_done = match strike {
            Some(Strike { fault: Fault::Throttle, retry_after_ms }) => {
                let wait = retry_after_ms.map(Duration::from_millis);
                Some((ErrorKind::Throttled(wait), "RequestLimitExceeded: Request limit exceeded."))
            }
            Some(Strike { fault: Fault::Error500, .. }) => {
                Some((ErrorKind::Transient, "InternalError: An internal error has occurred"))
            }
            Some(Strike { fault: Fault::Timeout, .. }) => Some((ErrorKind::Lost, "no answer within the time limit")),
            Some(Strike { fault: Fault::Denied, .. }) => {
                Some((ErrorKind::Final, "UnauthorizedOperation: You are not authorized to perform this operation."))
            }
            Some(Strike { fault: Fault::LostAnswer | Fault::Kill | Fault::KillBefore | Fault::Foreign, .. }) | None => {
                None
            }
        };
        if let (Some(strike), Some((kind, message))) = (strike, not_done) {
            self.state.lag.pass();
            self.save().map_err(|error| unusable(&error))?;
            log(self, Answer::Struck(strike.fault));
            return Err(Failure::Other { kind, message: message.to_owned(), request_id: Some(request_id) });
        }

        let State { world, lag, faults, .. } = &mut self.state;
        let result = if about.kind.is_read() {
            let result = body(lag.seen(world));
            lag.pass();
            result
        } else {
            let before = (faults.lag > 0).then(|| world.clone());
            let result = body(world);
            lag.pass();
            if result.is_ok() {
                dirty = true;
                if let Some(before) = before {
                    lag.hide_change(before, faults.lag);
                }
                self.note(number, false);
            }
            result
        };
        if dirty {
            self.save().map_err(|error| unusable(&error))?;
        }
        if let Some(Strike { fault: fault @ (Fault::LostAnswer | Fault::Kill), .. }) = strike {
            if fault == Fault::Kill {
                tell(&Answer::Struck(fault));
                return Ok(None);
            }
            log(self, Answer::Struck(fault));
            let message = "the connection was closed before the answer came".to_owned();
            return Err(Failure::Other { kind: ErrorKind::Lost, message, request_id: None });
        }
        match result {
            Ok(value) => {
                log(self, Answer::Done);
                Ok(Some((value, request_id)))
            }
            Err(refusal) => {
                log(self, Answer::Refused(refusal.code));
                Err(Failure::Refused { refusal, request_id: Some(request_id) })
            }
        }
    }

    /// Reads the file again where somebody else has written it.
    fn refresh(&mut self) -> Result<(), StateError> {
        if let Some(path) = &self.path
            && stamp_of(path) != self.stamp
        {
            (self.state, self.stamp) = load(path)?;
        }
        Ok(())
    }

    /// Writes the file, by renaming a finished one over it. Not fsynced: a power cut is not among the faults.
    fn save(&mut self) -> Result<(), StateError> {
        let Some(path) = &self.path else { return Ok(()) };
        let written = write_beside(path, &self.state);
        self.stamp = stamp_of(path);
        written.map_err(|source| {
            // What is in memory isn't in the file: read that at the next call.
            self.stamp = Some(Stamp { modified: None, length: u64::MAX, inode: 0 });
            StateError::Write { path: path.clone(), source }
        })
    }
}

fn unusable(error: &StateError) -> Failure {
    Failure::Other { kind: ErrorKind::Final, message: error.to_string(), request_id: None }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn load(path: &Path) -> Result<(State, Option<Stamp>), StateError> {
    // Stamped before it is read: if it changes in between, the next call reads it again.
    let stamp = stamp_of(path);
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((State::default(), None)),
        Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
    };
    let state = State::read(&bytes).map_err(|problem| StateError::Invalid { path: path.to_owned(), problem })?;
    Ok((state, stamp))
}

fn write_beside(path: &Path, state: &State) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    let permissions = fs::metadata(path).map(|metadata| metadata.permissions()).ok();
    #[cfg(unix)]
    let permissions = permissions.or_else(|| Some(std::os::unix::fs::PermissionsExt::from_mode(0o666)));
    if let Some(permissions) = permissions {
        builder.permissions(permissions);
    }
    let file = builder.prefix(".rsgsync-").tempfile_in(folder(path))?;
    let mut out = BufWriter::new(&file);
    state.write(&mut out)?;
    out.flush()?;
    drop(out);
    file.persist(path)?;
    Ok(())
}

/// Keeps other processes out while a call reads, changes and writes the file.
///
/// The folder is locked, not the file: the file is replaced at each write, and a lock file would be left behind. Where a
/// folder can't be locked, two processes may overwrite each other's changes.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = File::open(folder(path)).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Stamp { modified: metadata.modified().ok(), length: metadata.len(), inode })
}

//! Journals in a folder: those whose runs were killed, and how many of the others are kept.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Damage, Event, JournalError, Line, Record, read};

/// The largest journal that is read, in bytes.
const LARGEST: u64 = 1 << 30;

/// The last lines of a journal that ended are shorter, in bytes.
const TAIL: u64 = 4096;

/// Why a journal can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The file.
    #[error("{0}")]
    File(#[from] io::Error),
    /// What is in it.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// Its run goes on.
    #[error("the run that writes it is still under way")]
    Alive,
}

/// A journal of a run that was killed, and that no later run has taken up.
#[derive(Debug)]
pub struct Left {
    /// The file.
    pub path: PathBuf,
    /// What it tells; `None`: the run was killed before its first call.
    pub told: Result<Option<Record>, Unread>,
    /// Locked, so that of two runs only one takes it up.
    file: File,
}

impl Left {
    /// Closes it: a later run has gone on from here.
    pub fn close(mut self) -> Result<(), JournalError> {
        let closed = (|| {
            let mut text = if self.file.seek(SeekFrom::End(0))? > 0 && !ends_a_line(&mut self.file)? {
                b"\n".to_vec()
            } else {
                Vec::new()
            };
            text.extend(Line::of(&Event::Closed {}));
            self.file.seek(SeekFrom::End(0))?;
            self.file.write_all(&text)?;
            self.file.sync_data()
        })();
        closed.map_err(|source| JournalError { path: self.path, source })
    }
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Reads a journal whose run is over.
pub fn load(path: &Path) -> Result<Option<Record>, Unread> {
    let mut file = File::open(path)?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(Unread::Alive),
        // Not every file system has locks.
        Ok(()) | Err(TryLockError::Error(_)) => whole(&mut file),
    }
}

fn whole(file: &mut File) -> Result<Option<Record>, Unread> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any journal").into());
    }
    Ok(read(&bytes)?)
}

/// The journals of a folder, oldest first: their names begin with the moment.
fn journals(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|x| x == "jsonl")).collect();
    paths.sort();
    paths
}

/// Whether the last line ends a run, or closes one that was killed; only the tail is read.
fn is_over(file: &mut File) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let Some(whole) = tail.strip_suffix(b"\n") else { return Ok(false) };
    let line = whole.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(matches!(serde_json::from_slice(line), Ok(Event::End { .. } | Event::Closed {})))
}

/// The journals of a folder whose runs were killed and that no later run has taken up, oldest first; none where there is
/// no such folder. Those of runs that are under way are passed over.
pub fn left_in(folder: &Path) -> Vec<Left> {
    journals(folder).into_iter().filter_map(left_at).collect()
}

/// The same of one journal; `None`: its run ended by itself, is under way, or was taken up.
pub fn left_at(path: PathBuf) -> Option<Left> {
    let mut file = OpenOptions::new().read(true).write(true).open(&path).ok()?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return None;
    }
    if is_over(&mut file).ok()? {
        return None;
    }
    let told = whole(&mut file);
    Some(Left { path, told, file })
}

/// Deletes the oldest journals of runs that are over, all but the last `most`.
pub fn keep(folder: &Path, most: usize) {
    let over = |path: &PathBuf| File::open(path).and_then(|mut file| is_over(&mut file)).unwrap_or(false);
    let paths: Vec<PathBuf> = journals(folder).into_iter().filter(over).collect();
    for path in paths.iter().take(paths.len().saturating_sub(most)) {
        // One that can't be deleted now is deleted by a later run.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Ending, Journal};

    const OVER: &str = "{\"event\":\"end\",\"done\":0,\"failed\":0,\"skipped\":0}\n";

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn header() -> String {
        crate::journal::read::tests::header() + "\n"
    }

    #[test]
    fn only_journals_of_killed_runs_are_left() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "1.jsonl", &(header() + OVER));
        let stopped = write(folder.path(), "2.jsonl", &header());
        let torn = write(folder.path(), "3.jsonl", &(header() + "{\"event\":\"int"));
        write(folder.path(), "notes.txt", "mine");
        let left = left_in(folder.path());
        assert_eq!(left.iter().map(|l| &l.path).collect::<Vec<_>>(), [&stopped, &torn]);
        let endings: Vec<Ending> = left.iter().map(|l| l.told.as_ref().unwrap().as_ref().unwrap().ending).collect();
        assert_eq!(endings, [Ending::Stopped, Ending::Torn]);
        assert!(left_in(&folder.path().join("nowhere")).is_empty());
    }

    #[test]
    fn a_run_under_way_is_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.jsonl");
        let journal = Journal::create(&path, "apply", serde_json::Value::Null).unwrap();
        assert!(left_in(folder.path()).is_empty());
        assert!(matches!(load(&path), Err(Unread::Alive)));
        drop(journal);
        assert_eq!(left_in(folder.path()).len(), 1);
    }

    #[test]
    fn a_closed_journal_is_not_left_and_reads_as_before() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("1.jsonl", header()),
            ("2.jsonl", header() + "{\"event\":\"int"),
            ("3.jsonl", String::new()),
            ("4.jsonl", header()[..99].to_owned()),
        ] {
            write(folder.path(), name, &text);
        }
        left_in(folder.path()).into_iter().for_each(|left| left.close().unwrap());
        assert!(left_in(folder.path()).is_empty());
        let ending = |name: &str| load(&folder.path().join(name)).unwrap().map(|record| record.ending);
        assert_eq!(ending("1.jsonl"), Some(Ending::Stopped));
        assert_eq!(ending("2.jsonl"), Some(Ending::Torn));
        assert_eq!((ending("3.jsonl"), ending("4.jsonl")), (None, None));
    }

    #[test]
    fn damage_is_told_and_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "1.jsonl", "junk\nmore\n");
        let left = left_in(folder.path());
        assert!(matches!(left[0].told, Err(Unread::Damaged(Damage { line: 1, .. }))));
        assert_eq!(fs::read_to_string(path).unwrap(), "junk\nmore\n");
    }

    #[test]
    fn the_last_ones_are_kept_and_what_is_not_over() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1.jsonl", "3.jsonl", "4.jsonl", "5.jsonl"] {
            write(folder.path(), name, OVER);
        }
        write(folder.path(), "2.jsonl", &header());
        keep(folder.path(), 2);
        let names: Vec<_> = journals(folder.path()).iter().map(|p| p.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["2.jsonl", "4.jsonl", "5.jsonl"]);
    }
}

//! A folder with an inventory and what else a test puts there, and the binary run in it with nothing of our environment.
#![allow(dead_code, reason = "every test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where its scene does")]

pub mod bad_luck;
pub mod inventories;
pub mod proxy;
pub mod reading;
pub mod reports;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_rsgsync");

/// A folder of its own, and the variables that the binary gets besides `HOME`, `XDG_STATE_HOME`, `PATH` and `NO_COLOR`.
pub struct Scene {
    folder: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

/// What a run of the binary left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Scene {
    /// A folder with nothing but `cluster.yaml`, which is the inventory that every command reads unless told otherwise.
    pub fn new(inventory: &str) -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap(), variables: BTreeMap::new() };
        scene.write("cluster.yaml", inventory);
        scene
    }

    /// Sets a variable for every run.
    pub fn set(&mut self, variable: &str, value: &str) -> &mut Self {
        self.variables.insert(variable.to_owned(), value.to_owned());
        self
    }

    /// Takes a variable away from every run.
    pub fn unset(&mut self, variable: &str) -> &mut Self {
        self.variables.remove(variable);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// The bytes of a file, or nothing where there is none.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    pub fn journals(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.path("state/rsgsync")).into_iter().flatten();
        let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// Runs the binary in the folder, without a terminal.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// Runs a line in the folder as bash does, with the binary in its path.
    pub fn shell(&self, line: &str) -> Ran {
        Ran::from(self.program("bash").args(["-c", line]).output().unwrap())
    }

    /// The binary, ready to run, for tests that do more with it than wait.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(BINARY);
        command.args(arguments);
        command
    }

    fn program(&self, program: &str) -> Command {
        let mut path = Path::new(BINARY).parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("NO_COLOR", "1")
            .envs(&self.variables)
            .stdin(Stdio::null());
        command
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    /// Fails the test, showing all that was printed, unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless stdout has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "`{text}` is not in\n{}", self.stdout);
        self
    }

    /// Fails the test unless stderr has this text.
    #[track_caller]
    pub fn complains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in\n{}", self.stderr);
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// Fails the test unless the file is there and nobody but its owner may read it.
#[cfg(unix)]
#[track_caller]
pub fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
}

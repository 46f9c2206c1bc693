//! The binary against the server that stands for Google Compute, its results read with google-cloud-compute; and the server,
//! checked with Google's own clients.
//!
//! `localstack/up gcp` must be running and its exports set: `bash tests/run.sh` does both.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where its scene does")]

mod attachments;
mod faults;
mod journey;
mod luck;
mod ownership;
mod precedence;
mod project;
mod quota;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::Command;

/// Runs `localstack/gcp/check.py` with the client; it makes projects of its own.
#[track_caller]
fn check(client: &str) {
    let Some(key) = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS").filter(|_| has_server()) else {
        panic!(
            "the server is not there: run `bash tests/run.sh`, or `out=$(localstack/up gcp) && eval \"$out\"` first"
        );
    };
    let folder = PathBuf::from(key).parent().unwrap().to_owned();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("localstack/gcp/check.py");
    let output = Command::new(folder.join("venv/bin/python")).arg("-I").arg(script).arg(client).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

fn has_server() -> bool {
    std::env::var_os("RSGSYNC_GCP_SERVER").is_some()
}

#[test]
fn google_cloud_compute_finds_what_it_expects() {
    check("compute");
}

#[test]
fn google_api_python_client_finds_what_it_expects() {
    check("discovery");
}

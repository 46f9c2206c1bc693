//! What the command line says about itself, and about its misuse.

use std::process::Stdio;

use crate::cloud::scene;
use crate::support::{Ran, Scene};

const COMMANDS: [&str; 7] = ["plan", "apply", "drift", "explain", "validate", "destroy", "completions"];

#[track_caller]
fn assert_fits(ran: &Ran) {
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
}

fn anywhere() -> Scene {
    scene("")
}

#[test]
fn help_fits_100_columns() {
    let scene = anywhere();
    for flag in ["--help", "-h"] {
        assert_fits(&scene.run(&[flag]).exits(0).says("Usage: rsgsync"));
        for command in COMMANDS {
            let usage = format!("Usage: rsgsync {command}");
            assert_fits(&scene.run(&[command, flag]).exits(0).says(&usage));
        }
    }
}

#[test]
fn help_names_every_command_and_exit_code() {
    let mut help = anywhere().run(&["--help"]).exits(0);
    for word in COMMANDS.iter().chain(&["0 done", "1 error", "2 changes", "3 apply"]) {
        help = help.says(word);
    }
}

#[test]
fn version_is_the_packages() {
    let scene = anywhere();
    let expected = format!("rsgsync {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(scene.run(&["--version"]).exits(0).stdout, expected);
    assert_eq!(scene.run(&["-V"]).exits(0).stdout, expected);
}

#[test]
fn misuse_exits_with_1_because_2_means_changes() {
    let scene = anywhere();
    let misuses: [&[&str]; 7] = [
        &[],
        &["aply"],
        &["plan", "--nonsense"],
        &["apply", "--max-removals", "many"],
        &["apply", "--expect"],
        &["apply", "--add-only", "--tidy"],
        &["plan", "--format", "yaml"],
    ];
    for misuse in misuses {
        let ran = scene.run(misuse).exits(1);
        assert_eq!(ran.stdout, "", "{misuse:?}");
        assert_ne!(ran.stderr, "", "{misuse:?}");
    }
}

#[test]
fn a_misspelt_command_is_told_the_nearest() {
    anywhere().run(&["aply"]).exits(1).complains("apply");
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = anywhere().run(&["completions", shell]).exits(0).says("detailed-exitcode");
        assert_eq!(ran.stderr, "", "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let scene = Scene::new(crate::cloud::NODES);
    let mut child = scene.command(&["plan"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

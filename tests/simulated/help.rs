//! What the command line says about itself, and about its misuse.

use std::process::Stdio;

use crate::cloud::scene;
use crate::support::{Ran, Scene};

const COMMANDS: [&str; 10] =
    ["plan", "apply", "drift", "explain", "init", "validate", "destroy", "schema", "man", "completions"];

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
fn an_inventory_without_its_flag_is_told_the_flag() {
    let scene = scene("");
    for command in ["plan", "drift", "validate", "matrix"] {
        let way_out = "tip: an inventory has a flag: --inventory cluster.yaml";
        scene.run(&[command, "cluster.yaml"]).exits(1).complains(way_out);
    }
    scene.run(&["apply", "cluster.yaml"]).exits(1).complains("not a saved plan").complains("--inventory");
    scene.run(&["plan", "elsewhere"]).exits(1).complains("unexpected argument 'elsewhere'");
}

#[test]
fn who_asks_for_a_dry_run_is_told_of_plan() {
    for command in ["plan", "apply", "destroy"] {
        let ran = anywhere().run(&[command, "--dry-run"]).exits(1).complains("tip: `rsgsync plan` shows");
        assert_eq!(ran.stderr.matches("tip:").count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = anywhere().run(&["completions", shell]).exits(0).says("RSGSYNC_COMPLETE");
        assert_eq!(ran.stderr, "", "{shell}");
    }
}

/// What bash is offered for the last of these words.
fn offered(scene: &Scene, words: &[&str]) -> Vec<String> {
    let mut command = scene.command(&[&["--", "rsgsync"], words].concat());
    command.env("RSGSYNC_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", words.len().to_string()).env("_CLAP_IFS", "\n");
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn completions_know_flags_and_the_names_of_the_inventory() {
    let scene = scene("");
    scene.write("cluster.yaml", include_str!("../../examples/quickstart.yaml"));
    assert_eq!(offered(&scene, &["pl"]), ["plan"]);
    assert_eq!(offered(&scene, &["plan", "--detailed"]), ["--detailed-exitcode"]);
    assert_eq!(offered(&scene, &["plan", "--cluster", ""]), ["legacy", "mgmt", "prod"]);
    assert_eq!(offered(&scene, &["explain", "--from", "prod/e"]), ["prod/etcd"]);
    assert_eq!(offered(&scene, &["explain", "--to", "office"]), Vec::<String>::new());
    assert_eq!(offered(&scene, &["apply", "--allow-gap", "etcd-etcd"]), ["etcd-etcd-client", "etcd-etcd-peer"]);
    for before in [&["profile", "show"][..], &["init", "groups", "--profile"]] {
        assert!(offered(&scene, &[before, &["rke2"]].concat()).contains(&"rke2-windows".to_owned()));
    }
    scene.write(
        "other.yaml",
        include_str!("../../examples/quickstart.yaml").replace("  mgmt:", "  hq:").replace("mgmt", "hq"),
    );
    assert_eq!(offered(&scene, &["plan", "-i", "other.yaml", "--cluster", "h"]), ["hq"]);
    scene.write("cluster.yaml", "version: 1\n  spoilt");
    assert_eq!(offered(&scene, &["plan", "--cluster", ""]), Vec::<String>::new(), "nothing to offer, and nothing said");
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let scene = anywhere();
    scene.run(&["man"]).exits(0).says(".TH rsgsync 1").says("apply");
    scene.run(&["man", "--out", "pages"]).exits(0);
    for page in ["rsgsync.1", "rsgsync-plan.1", "rsgsync-apply.1", "rsgsync-profile-show.1"] {
        let text = String::from_utf8(scene.read(&format!("pages/{page}")).unwrap()).unwrap();
        assert!(text.contains(&format!("\"rsgsync {}\"", env!("CARGO_PKG_VERSION"))), "{page} is of another program");
    }
    scene.write("file", "");
    scene.run(&["man", "--out", "file/pages"]).exits(1).complains("can't write the manual pages");
}

#[test]
fn the_schemas_in_the_documentation_are_those_that_the_program_prints() {
    for (arguments, file) in [(&["schema"][..], "inventory"), (&["schema", "--profiles"], "profile")] {
        let path = format!("{}/docs/{file}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let written = std::fs::read_to_string(&path).unwrap();
        let printed = anywhere().run(arguments).exits(0).stdout;
        // A build without a cloud says which build has it, not which keys.
        if cfg!(all(feature = "aws", feature = "gcp", feature = "openstack")) || file == "profile" {
            assert!(written == printed, "write it anew: rsgsync {} > docs/{file}.schema.json", arguments.join(" "));
        }
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

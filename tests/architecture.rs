//! Dependencies point one way: src → providers → engine → core.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where the workspace does")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

fn cargo(arguments: &[&str]) -> String {
    // What a package is built from was downloaded when it was built, so no network is needed.
    let cargo = Command::new(env!("CARGO")).args(arguments).args(["--offline", "--locked"]).current_dir(ROOT).output();
    let output = cargo.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Everything that a member is built from, directly or not, with all its features; not what its tests need.
#[track_caller]
fn tree(member: &str) -> BTreeSet<String> {
    let arguments = ["tree", "-p", member, "-e", "no-dev", "--all-features", "--prefix", "none", "--format", "{p}"];
    let names = cargo(&arguments).lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    without(names, member)
}

fn without(mut names: BTreeSet<String>, name: &str) -> BTreeSet<String> {
    assert!(names.remove(name), "{name}: {names:?}");
    names
}

/// The members of the workspace, and the members that each of them names as dependencies; not those for its tests.
fn members() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let all: BTreeSet<String> = packages.iter().map(name).collect();
    let own = |package: &Value| {
        let shipped = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"] != "dev");
        shipped.map(name).filter(|name| all.contains(name)).collect()
    };
    packages.iter().map(|package| (name(package), own(package))).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Runtimes, HTTP clients and their TLS.
fn does_io(package: &str) -> bool {
    let words = [
        "tokio",
        "async-std",
        "smol",
        "hyper",
        "reqwest",
        "ureq",
        "isahc",
        "curl",
        "h2",
        "rustls",
        "native-tls",
        "openssl",
    ];
    words.iter().any(|word| package == *word || package.starts_with(&format!("{word}-")))
}

fn is_cloud_sdk(package: &str) -> bool {
    let separated = package.replace('_', "-");
    ["aws-", "openstack", "osauth", "google-", "gcloud", "azure-"].iter().any(|start| separated.starts_with(start))
}

#[track_caller]
fn assert_none(packages: &BTreeSet<String>, forbidden: fn(&str) -> bool) {
    let found: Vec<&String> = packages.iter().filter(|package| forbidden(package)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn core_has_no_runtime_no_http_client_and_no_cloud_sdk() {
    let tree = tree("rsgsync-core");
    assert!(tree.contains("serde"), "the tree was read: {tree:?}");
    assert_none(&tree, does_io);
    assert_none(&tree, is_cloud_sdk);
}

#[test]
fn engine_has_a_runtime_and_no_cloud_sdk() {
    let tree = tree("rsgsync-engine");
    assert!(tree.contains("tokio"), "the tree was read: {tree:?}");
    assert_none(&tree, is_cloud_sdk);
}

#[test]
fn the_simulated_cloud_needs_no_cloud_sdk() {
    assert_none(&tree("rsgsync-simulated"), is_cloud_sdk);
}

#[test]
fn core_knows_nothing_of_ours_and_engine_core_only() {
    let members = members();
    assert_eq!(members["rsgsync-core"], set(&[]));
    assert_eq!(members["rsgsync-engine"], set(&["rsgsync-core"]));
}

#[test]
fn providers_know_core_and_engine_only() {
    let mut members = members();
    members
        .retain(|name, _| name.starts_with("rsgsync-") && !["rsgsync-core", "rsgsync-engine"].contains(&name.as_str()));
    assert!(members.contains_key("rsgsync-simulated"), "{members:?}");
    for (provider, own) in members {
        assert_eq!(own, set(&["rsgsync-core", "rsgsync-engine"]), "{provider}");
    }
}

#[test]
fn test_servers_know_nothing_of_the_product_but_the_cloud_behind_ec2() {
    for (member, own) in members().into_iter().filter(|(name, _)| name != "rsgsync" && !name.starts_with("rsgsync-")) {
        let known = if member == "ec2-strict" { set(&["rsgsync-core", "rsgsync-simulated"]) } else { set(&[]) };
        assert_eq!(own, known, "{member}");
    }
}

#[test]
fn the_words_of_this_test_mean_what_they_should() {
    for package in ["tokio", "tokio-util", "hyper", "hyper-util", "reqwest", "rustls", "h2"] {
        assert!(does_io(package), "{package}");
    }
    for package in ["aws-sdk-ec2", "aws-config", "openstack_sdk", "google-cloud-auth"] {
        assert!(is_cloud_sdk(package), "{package}");
    }
    for package in ["serde", "sha2", "miette", "awesome"] {
        assert!(!does_io(package) && !is_cloud_sdk(package), "{package}");
    }
}

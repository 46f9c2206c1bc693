//! Dependencies point one way: src → providers → engine → core.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where the workspace does")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The workspace's packages, and every package that each of them is built from: normal and build dependencies, with all
/// features, on all platforms; not what tests need.
struct Workspace {
    names: BTreeMap<String, String>,
    needs: BTreeMap<String, BTreeSet<String>>,
    members: BTreeSet<String>,
}

impl Workspace {
    fn read() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--all-features", "--locked", "--offline"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |value: &Value| value.as_array().unwrap().clone();
        let names = list(&metadata["packages"]).iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
        let shipped = |dependency: &&Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
        let needs = list(&metadata["resolve"]["nodes"])
            .iter()
            .map(|node| {
                (text(&node["id"]), list(&node["deps"]).iter().filter(shipped).map(|d| text(&d["pkg"])).collect())
            })
            .collect();
        let members = list(&metadata["workspace_members"]).iter().map(text).collect();
        Self { names, needs, members }
    }

    /// The members of the workspace, by name.
    fn members(&self) -> BTreeSet<&str> {
        self.members.iter().map(|id| self.names[id].as_str()).collect()
    }

    /// Everything that a member is built from, directly or not, by name.
    #[track_caller]
    fn tree(&self, member: &str) -> BTreeSet<&str> {
        let root = self.members.iter().find(|id| self.names[*id] == member).unwrap_or_else(|| panic!("no {member}"));
        let mut seen = BTreeSet::new();
        let mut to_visit = vec![root];
        while let Some(id) = to_visit.pop() {
            to_visit.extend(self.needs[id].iter().filter(|needed| seen.insert(*needed)));
        }
        seen.into_iter().map(|id| self.names[id].as_str()).collect()
    }

    /// The members that a member is built from.
    #[track_caller]
    fn own(&self, member: &str) -> BTreeSet<&str> {
        self.tree(member).intersection(&self.members()).copied().collect()
    }

    fn providers(&self) -> Vec<&str> {
        let others = ["rsgsync", "rsgsync-core", "rsgsync-engine"];
        let of_product = self.members().into_iter().filter(|name| name.starts_with("rsgsync-") && !others.contains(name));
        of_product.collect()
    }
}

/// Runtimes, HTTP clients and their TLS.
fn does_io(package: &str) -> bool {
    let words = ["tokio", "async-std", "smol", "hyper", "reqwest", "ureq", "isahc", "curl", "h2", "rustls", "native-tls", "openssl"];
    words.iter().any(|word| package == *word || package.starts_with(&format!("{word}-")))
}

fn is_cloud_sdk(package: &str) -> bool {
    let separated = package.replace('_', "-");
    ["aws-", "openstack", "osauth", "google-", "gcloud", "azure-"].iter().any(|start| separated.starts_with(start))
}

#[track_caller]
fn assert_none(packages: &BTreeSet<&str>, forbidden: fn(&str) -> bool) {
    let found: Vec<&&str> = packages.iter().filter(|package| forbidden(package)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn core_has_no_runtime_no_http_client_and_no_cloud_sdk() {
    let workspace = Workspace::read();
    let tree = workspace.tree("rsgsync-core");
    assert!(tree.contains("serde"), "the tree was read");
    assert_none(&tree, does_io);
    assert_none(&tree, is_cloud_sdk);
}

#[test]
fn core_knows_nothing_of_ours() {
    assert_eq!(Workspace::read().own("rsgsync-core"), BTreeSet::new());
}

#[test]
fn engine_has_no_cloud_sdk_and_knows_core_only() {
    let workspace = Workspace::read();
    let tree = workspace.tree("rsgsync-engine");
    assert!(tree.contains("tokio"), "the engine is where the runtime is");
    assert_none(&tree, is_cloud_sdk);
    assert_eq!(workspace.own("rsgsync-engine"), BTreeSet::from(["rsgsync-core"]));
}

#[test]
fn providers_know_core_and_engine_only() {
    let workspace = Workspace::read();
    let providers = workspace.providers();
    assert!(providers.contains(&"rsgsync-simulated"), "{providers:?}");
    for provider in providers {
        assert_eq!(workspace.own(provider), BTreeSet::from(["rsgsync-core", "rsgsync-engine"]), "{provider}");
    }
}

#[test]
fn the_simulated_cloud_needs_no_cloud_sdk() {
    assert_none(&Workspace::read().tree("rsgsync-simulated"), is_cloud_sdk);
}

#[test]
fn test_servers_know_nothing_of_the_product() {
    let workspace = Workspace::read();
    for member in workspace.members().into_iter().filter(|name| *name != "rsgsync" && !name.starts_with("rsgsync-")) {
        assert_eq!(workspace.own(member), BTreeSet::new(), "{member}");
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

//! Every row of every profile is open exactly when its condition holds, held against a reading of the files of its own.
//!
//! The files are read here as plain YAML and their conditions evaluated by a few lines; options are all set, one at a time
//! to each of its values.
#![expect(clippy::disallowed_methods, reason = "a test reads files")]
#![allow(clippy::panic, reason = "helpers of tests say what is missing")]

mod inventory;

use std::collections::{BTreeMap, BTreeSet};

use inventory::{Text, opened_everywhere};
use rsgsync_core::profile::{Catalog, Version, Vocabulary};
use serde_json::Value;

type Options = BTreeMap<String, Value>;

/// Every profile file, as `NAME` and version.
fn files() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let paths = std::fs::read_dir(folder).expect("the folder is there").filter_map(Result::ok).map(|file| file.path());
    let texts = paths
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| std::fs::read_to_string(path).expect("it is there, and text"));
    let parsed = texts.map(|text| serde_saphyr::from_str::<Value>(&text).expect("it is YAML"));
    parsed.filter(|value| value.get("rows").is_some()).collect()
}

fn named<'a>(files: &'a [Value], name: &str, label: Option<&str>) -> &'a Value {
    let of_name = |file: &&Value| file["name"] == name && label.is_none_or(|label| file["version"] == label);
    let mut found: Vec<&Value> = files.iter().filter(of_name).collect();
    found.sort_by_key(|file| file["version"].as_str().unwrap_or_default().to_owned());
    found.last().copied().unwrap_or_else(|| panic!("no file of {name}"))
}

fn holds(condition: &Value, options: &Options) -> bool {
    let each = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let term = |(key, value): (&String, &Value)| match key.as_str() {
        "all" => each(value).iter().all(|c| holds(c, options)),
        "any" => each(value).iter().any(|c| holds(c, options)),
        "not" => !holds(value, options),
        option => {
            let set = &options[option];
            set == value || each(value).contains(set)
        }
    };
    condition.as_object().is_none_or(|object| object.iter().all(term))
}

/// Rows of a file with those that it extends, under `PROFILE/ROW`.
fn rows(files: &[Value], file: &Value) -> Vec<Value> {
    let own = file["rows"].as_array().cloned().unwrap_or_default();
    let Some(base) = file["extends"].as_str() else { return own };
    let (name, label) = base.split_once('@').map_or((base, None), |(name, label)| (name, Some(label)));
    let without = file["without"].as_array().cloned().unwrap_or_default();
    let inherited = rows(files, named(files, name, label));
    inherited.into_iter().filter(|row| !without.contains(&row["id"])).chain(own).collect()
}

fn compose(files: &[Value], file: &Value) -> Vec<Value> {
    match (file["compose"].as_array(), file["extends"].as_str()) {
        (Some(parts), _) => parts.clone(),
        (None, Some(base)) => {
            let (name, label) = base.split_once('@').map_or((base, None), |(name, label)| (name, Some(label)));
            compose(files, named(files, name, label))
        }
        (None, None) => Vec::new(),
    }
}

/// `PROFILE/ROW` of what is open, add-ons too.
fn expected(files: &[Value], file: &Value, options: &Options, out: &mut BTreeSet<String>) {
    let name = file["name"].as_str().unwrap_or_default();
    for row in rows(files, file) {
        let applies = row["versions"].as_str().is_none_or(|range| range == ">=2.5");
        if applies && holds(&row["condition"], options) {
            out.insert(format!("{name}/{}", row["id"].as_str().unwrap_or_default()));
        }
    }
    for part in compose(files, file) {
        if holds(&part["when"], options) {
            expected(files, named(files, part["profile"].as_str().unwrap_or_default(), None), options, out);
        }
    }
}

/// Options that the profile and its add-ons speak of, with the values that each may have.
fn options_of(name: &str) -> BTreeMap<String, Vec<Value>> {
    let catalog = Catalog::shipped();
    let profile = catalog.find(name, None).expect("it ships");
    let words = Vocabulary::shipped();
    let spoken = profile.rows.iter().flat_map(|row| row.condition.options());
    let free = spoken.filter(|option| !profile.fixes.contains_key(&***option));
    let values = free.map(|option| {
        let kind = &words.options[option];
        let values: Vec<Value> = if kind.words.is_empty() {
            vec![Value::Bool(false), Value::Bool(true)]
        } else {
            kind.words.iter().map(|word| Value::from(&**word)).collect()
        };
        (option.to_string(), values)
    });
    values.collect()
}

fn fixed(name: &str) -> Options {
    let profile = Catalog::shipped().find(name, None).expect("it ships");
    profile.fixes.iter().map(|(option, value)| (option.to_string(), Value::from(value.to_string()))).collect()
}

/// An inventory in which every row that is open has a flow: every role, every peer, every value.
fn inventory_of(name: &str, version: &str, options: &Options) -> Text {
    let words = Vocabulary::shipped();
    let roles: Vec<&str> = words.roles.iter().map(|role| &**role).collect();
    let mut text = Text::of(name).version(version).group("all", &roles.join(", "));
    for value in ["swarm_port: 3376", "open_ports: 8081", "kube_api_secure_port: 6443"] {
        text = text.with_value(value);
    }
    for (option, value) in options {
        text = text.with(option, value.to_string().trim_matches('"'));
    }
    text.with_peers(&[
        "downstream-nodes",
        "node-driver-nodes",
        "hosted-imported-clusters",
        "hosted-imported-kube-api",
        "hosted-kube-api",
    ])
}

fn check(name: &str, version: &str, label: Option<&str>) {
    let files = files();
    let file = named(&files, name, label);
    let free = options_of(name);
    // Two surroundings: everything off or the first word, and everything on or the last word.
    for last in [false, true] {
        let base: Options = free
            .iter()
            .filter_map(|(option, values)| {
                let value = if last { values.last() } else { values.first() };
                Some((option.clone(), value?.clone()))
            })
            .collect();
        let mut seen = BTreeSet::new();
        for (option, values) in &free {
            for value in values {
                let mut options = base.clone();
                options.insert(option.clone(), value.clone());
                if !seen.insert(format!("{options:?}")) {
                    continue;
                }
                let text = inventory_of(name, version, &options);
                let mut all = options.clone();
                all.extend(fixed(name));
                let mut wanted = BTreeSet::new();
                expected(&files, file, &all, &mut wanted);
                assert_eq!(opened_everywhere(&text), wanted, "{name} with {option} = {value}, last: {last}");
            }
        }
    }
}

macro_rules! rows_of {
    ($($test:ident: $name:literal $version:literal $label:expr;)+) => {
        $(#[test] fn $test() { check($name, $version, $label); })+
        const CHECKED: &[&str] = &[$($name),+];
    };
}

rows_of! {
    rows_of_downstream_node_pools_follow_their_conditions: "downstream-node-pools" "2.6" Some("2.6");
    rows_of_downstream_custom_nodes_follow_their_conditions: "downstream-custom-nodes" "2.6" Some("2.6");
    rows_of_downstream_hosted_follow_their_conditions: "downstream-hosted" "2.6" Some("2.6");
    rows_of_downstream_imported_follow_their_conditions: "downstream-imported" "2.5" Some("2.4");
    rows_of_downstream_registered_follow_their_conditions: "downstream-registered" "2.6" Some("2.6");
    rows_of_downstream_rke2_follow_their_conditions: "downstream-rke2" "2.9" None;
    rows_of_downstream_k3s_follow_their_conditions: "downstream-k3s" "2.9" None;
    rows_of_gce_docker_machines_follow_their_conditions: "gce-docker-machines" "2.9" None;
    rows_of_gce_rancher_nodes_follow_their_conditions: "gce-rancher-nodes" "2.9" None;
    rows_of_k3s_follow_their_conditions: "k3s" "2.9" None;
    rows_of_kubeadm_follow_their_conditions: "kubeadm" "2.9" None;
    rows_of_kubeadm_legacy_follow_their_conditions: "kubeadm-legacy" "2.9" None;
    rows_of_local_node_traffic_follow_their_conditions: "local-node-traffic" "2.4" Some("2.4");
    rows_of_rancher_server_docker_follow_their_conditions: "rancher-server-docker" "2.6" Some("2.6");
    rows_of_rancher_server_k3s_follow_their_conditions: "rancher-server-k3s" "2.6" Some("2.6");
    rows_of_rancher_server_rke_follow_their_conditions: "rancher-server-rke" "2.6" Some("2.6");
    rows_of_rancher_server_rke2_follow_their_conditions: "rancher-server-rke2" "2.6" Some("2.6");
    rows_of_rke_roles_follow_their_conditions: "rke-roles" "2.9" None;
    rows_of_rke2_follow_their_conditions: "rke2" "2.9" None;
}

#[test]
fn every_profile_with_conditions_is_checked() {
    let catalog = Catalog::shipped();
    for name in catalog.names() {
        let conditional =
            catalog.tables(name).iter().any(|table| table.rows.iter().any(|row| !row.condition.is_always()));
        assert!(!conditional || CHECKED.contains(&name), "{name} is not checked");
    }
}

#[test]
fn an_option_that_is_left_out_closes_no_port_silently() {
    let catalog = Catalog::shipped();
    let words = Vocabulary::shipped();
    for name in catalog.names() {
        let profile = catalog.find(name, None).expect("it ships");
        let version = if profile.versions.contains(Version { major: 2, minor: 9, patch: 0 }) { "2.9" } else { "2.5" };
        let (_, flows, _) = inventory::wish(&inventory_of(name, version, &Options::new()));
        let open: BTreeSet<_> =
            flows.flows.iter().map(|flow| (flow.reason.profile.clone(), flow.reason.row.clone())).collect();
        for row in &profile.rows {
            let word = profile.word_for(row);
            let reported = flows.unopened.iter().any(|unopened| unopened.row == word);
            if open.contains(&(row.label.clone(), row.id.clone())) || reported {
                continue;
            }
            // Closed: by what the profile fixes, what holds whatever the product, or an assumption that is told.
            let known = row.condition.options().into_iter().any(|option| {
                let kind = &words.options[option];
                profile.fixes.contains_key(option)
                    || kind.default.is_some()
                    || !kind.follows.is_empty()
                    || flows.assumed.iter().any(|assumed| assumed.option == *option)
            });
            assert!(known, "{} of {name} is closed, and nothing says so", row.id);
        }
    }
}

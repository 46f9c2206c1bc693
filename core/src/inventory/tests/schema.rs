//! The JSON schema accepts what the reader accepts, and knows every key.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{PROVIDERS, WHOLE, changed};
use crate::inventory::schema;

fn value(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("it is YAML")
}

fn misfits(text: &str) -> Vec<String> {
    let validator = jsonschema::validator_for(&schema(&PROVIDERS)).expect("it is a schema");
    let inventory = value(text);
    validator.iter_errors(&inventory).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn an_inventory_with_every_key_fits() {
    assert_eq!(misfits(WHOLE), [""; 0]);
}

#[test]
fn one_value_may_stand_for_a_list_as_for_the_reader() {
    assert_eq!(misfits(&changed("roles: [etcd] }", "roles: etcd }")), [""; 0]);
    assert_eq!(misfits(&changed("{ cidrs: [198.51.100.0/24] }", "{ cidrs: 198.51.100.0/24 }")), [""; 0]);
}

#[test]
fn what_the_reader_refuses_does_not_fit() {
    for (old, new) in [
        ("version: 1\n", "version: 2\n"),
        ("owner: platform", "ovner: platform"),
        ("owner: platform", "owner: Platform"),
        ("region: eu-west-1, vpc: vpc-0a1b2c3d", "vpc: vpc-0a1b2c3d"),
        ("rules_per_group: 120", "rules_per_group: 0"),
        ("rules_per_group: 120", "rules_per_group: 1001"),
        ("links: { hub: reference }", "links: { hub: direct }"),
        ("    simulated: { state: cloud.json }", "    simulated: { state: cloud.json }\n    gcp: { project: acme }"),
        ("rancher_version: \"2.4\"", "rancher_version: 2.4"),
        ("cni: flannel", "cni: flanel"),
        ("cni: flannel", "cnj: flannel"),
        ("authorized_cluster_endpoint: true", "authorized_cluster_endpoint: maybe"),
        ("egress: open", "egress: shut"),
        ("roles: [etcd] }", "roles: [etdc] }"),
        ("ownership: shared", "ownership: common"),
        ("why: resolvers", "because: resolvers"),
        ("until: 2027-01-31", "until: next week"),
        ("{ cluster: mgmt, group: server }", "{ group: server }"),
        ("{ tag: bastion }", "{ tag: bastion, prefix_list: pl-1 }"),
    ] {
        assert!(!misfits(&changed(old, new)).is_empty(), "{old} → {new}");
    }
}

/// Every key of the schema stands in the inventory that has every key, so that none is invented.
#[test]
fn every_key_of_the_schema_is_one_of_the_reader() {
    let mut used = BTreeSet::new();
    keys(&value(WHOLE), &mut used);
    let schema = schema(&PROVIDERS);
    let cluster = &schema["$defs"]["cluster"]["properties"];
    let own = ["profiles", "guards", "gcp", "project", "quotas"];
    let objects = schema["$defs"].as_object().expect("an object").values().chain([&schema, cluster]);
    for key in objects.filter_map(|object| object["properties"].as_object()).flat_map(|properties| properties.keys()) {
        assert!(used.contains(key) || own.contains(&key.as_str()), "{key}");
    }
}

fn keys(value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            all.insert(key.clone());
            keys(value, all);
        }),
        Value::Array(items) => items.iter().for_each(|item| keys(item, all)),
        _ => {}
    }
}

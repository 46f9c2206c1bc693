//! The JSON schemas: that of profile files fits every file that ships, and the one in docs/ is this one; that of inventories accepts
//! what the reader accepts, and knows every key.
#![expect(clippy::disallowed_methods, reason = "a test reads files")]
#![allow(clippy::panic, reason = "helpers of tests say what is missing")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use regex_lite::Regex;
use rsgsync_core::inventory::{self, PlaceKind, ProviderSpec, Source};
use rsgsync_core::profile::{Catalog, schema};
use serde_json::{Value, json};

#[path = "../src/inventory/tests/providers.rs"]
mod providers;

use providers::PROVIDERS;

/// Whether a text has the form of a `pattern`, each compiled once.
fn has_form(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<BTreeMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().expect("no thread has failed with it");
    let regex = || Regex::new(pattern).expect("a pattern that editors understand as well");
    compiled.entry(pattern.to_owned()).or_insert_with(regex).is_match(text)
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        other => panic!("this test doesn't know the type {other}"),
    }
}

/// What of `value` doesn't fit: the few keywords that the schema uses.
fn misfits(root: &Value, schema: &Value, value: &Value, at: &str, out: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().into_iter().flatten() {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "examples" => {}
            "pattern" => {
                let pattern = rule.as_str().expect("a pattern");
                if value.as_str().is_some_and(|text| !has_form(pattern, text)) {
                    out.push(format!("{at}: {value} has not the form {pattern}"));
                }
            }
            "$ref" => {
                let name = rule.as_str().and_then(|r| r.strip_prefix("#/$defs/")).expect("a definition");
                misfits(root, &root["$defs"][name], value, at, out);
            }
            "type" => {
                let kinds = rule.as_array().map_or(std::slice::from_ref(rule), Vec::as_slice);
                if !kinds.iter().filter_map(Value::as_str).any(|kind| is(value, kind)) {
                    out.push(format!("{at}: {value} is not {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().is_some_and(|words| words.contains(value)) {
                    out.push(format!("{at}: {value} is none of {rule}"));
                }
            }
            "anyOf" | "oneOf" => {
                let fits = |one: &&Value| {
                    let mut inner = Vec::new();
                    misfits(root, one, value, at, &mut inner);
                    inner.is_empty()
                };
                let fitting = rule.as_array().into_iter().flatten().filter(fits).count();
                if fitting == 0 || keyword == "oneOf" && fitting > 1 {
                    out.push(format!("{at}: {value} fits {fitting} of {keyword}"));
                }
            }
            "const" => {
                if value != rule {
                    out.push(format!("{at}: {value} instead of {rule}"));
                }
            }
            "minimum" | "maximum" => {
                let (number, limit) = (value.as_u64().unwrap_or_default(), rule.as_u64().unwrap_or_default());
                if if keyword == "minimum" { number < limit } else { number > limit } {
                    out.push(format!("{at}: {number} is beyond {keyword} {limit}"));
                }
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flat_map(|object| object.keys()) {
                    misfits(root, rule, &Value::String(key.clone()), &format!("{at}.{key}"), out);
                }
            }
            "patternProperties" => {
                for (pattern, rule) in rule.as_object().into_iter().flatten() {
                    for (key, inner) in
                        value.as_object().into_iter().flatten().filter(|(key, _)| has_form(pattern, key))
                    {
                        misfits(root, rule, inner, &format!("{at}.{key}"), out);
                    }
                }
            }
            "required" => {
                for key in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if value.get(key).is_none() {
                        out.push(format!("{at}: {key} is missing"));
                    }
                }
            }
            "minProperties" | "minItems" | "minLength" => {
                let length = value.as_object().map(|o| o.len()).or(value.as_array().map(Vec::len));
                let length = length.or(value.as_str().map(str::len)).unwrap_or_default();
                if (length as u64) < rule.as_u64().unwrap_or_default() {
                    out.push(format!("{at}: empty"));
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    misfits(root, rule, item, &format!("{at}[{index}]"), out);
                }
            }
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(key) {
                        misfits(root, rule, inner, &format!("{at}.{key}"), out);
                    }
                }
            }
            "additionalProperties" => {
                let patterns = || schema["patternProperties"].as_object().into_iter().flat_map(|of| of.keys());
                for (key, inner) in value.as_object().into_iter().flatten() {
                    match rule {
                        _ if schema["properties"].get(key).is_some() => {}
                        _ if patterns().any(|pattern| has_form(pattern, key)) => {}
                        Value::Bool(false) => out.push(format!("{at}: {key} is unknown")),
                        rule => misfits(root, rule, inner, &format!("{at}.{key}"), out),
                    }
                }
            }
            other => panic!("this test doesn't know {other}"),
        }
    }
}

fn check(value: &Value) -> Vec<String> {
    check_by(&schema(), value)
}

fn check_by(schema: &Value, value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    misfits(schema, schema, value, "", &mut out);
    out
}

#[test]
fn every_profile_that_ships_fits() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).expect("the folder is there").filter_map(Result::ok) {
        let text = std::fs::read_to_string(file.path()).expect("it is text");
        let value: Value = serde_saphyr::from_str(&text).expect("it is YAML");
        if value.get("rows").is_some() {
            assert_eq!(check(&value), [""; 0], "{}", file.path().display());
            seen += 1;
        }
    }
    assert_eq!(seen, 47);
}

#[test]
fn what_the_reader_refuses_doesn_t_fit() {
    let row = |row: Value| json!({ "name": "p", "source": "s", "rows": [row] });
    let right =
        json!({ "id": "a", "from": ["etcd"], "to": ["self:group"], "protocol": "tcp", "ports": [1], "purpose": "w" });
    assert_eq!(check(&row(right.clone())), [""; 0]);
    for (key, value) in [
        ("from", json!([1])),
        ("condition", json!({ "cnj": "canal" })),
        ("condition", json!({ "cni": "x" })),
        ("condition", json!({})),
        ("direction", json!("sideways")),
        ("form", json!(["etcd"])),
        ("purpose", json!(1)),
    ] {
        let mut wrong = right.clone();
        wrong[key] = value.clone();
        assert!(!check(&row(wrong)).is_empty(), "{key}: {value}");
    }
}

#[test]
fn the_schema_in_the_documentation_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/profile.schema.json");
    let written = std::fs::read_to_string(path).expect("it is there, and text");
    let written: Value = serde_json::from_str(&written).expect("it is JSON");
    assert_eq!(written, schema(), "write it anew: rsgsync schema --profiles > docs/profile.schema.json");
}

/// Every key that there is.
const WHOLE: &str = include_str!("../src/inventory/tests/whole.yaml");

/// The inventory with one place changed.
fn changed(old: &str, new: &str) -> String {
    assert!(WHOLE.contains(old), "`{old}` is not in the inventory");
    WHOLE.replacen(old, new, 1)
}

fn misfits_of(inventory: &str) -> Vec<String> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| inventory::schema(&PROVIDERS));
    check_by(&SCHEMA, &serde_saphyr::from_str(inventory).expect("it is YAML"))
}

#[test]
fn an_inventory_with_every_key_fits() {
    assert_eq!(misfits_of(WHOLE), [""; 0]);
}

#[test]
fn one_value_may_stand_for_a_list_as_for_the_reader() {
    assert_eq!(misfits_of(&changed("roles: [etcd] }", "roles: etcd }")), [""; 0]);
    assert_eq!(misfits_of(&changed("{ cidrs: [198.51.100.0/24] }", "{ cidrs: 198.51.100.0/24 }")), [""; 0]);
}

#[test]
fn what_the_reader_of_inventories_refuses_does_not_fit() {
    for (old, new) in [
        ("version: 1\n", "version: 2\n"),
        ("owner: platform", "ovner: platform"),
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
        ("{ cluster: mgmt, group: server }", "{ group: server }"),
        ("{ tag: bastion }", "{ tag: bastion, prefix_list: pl-1 }"),
    ] {
        assert!(!misfits_of(&changed(old, new)).is_empty(), "{old} → {new}");
    }
}

/// What the reader says to an inventory; `office.txt` is the one file that it may name.
fn read(text: &str) -> Result<(), String> {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::shipped);
    let source = Source { path: "cluster.yaml".to_owned(), folder: PathBuf::new(), bytes: text.as_bytes().to_owned() };
    let file = |path: &Path| match path.file_name().and_then(|name| name.to_str()) {
        Some("office.txt") => Ok("198.51.100.7\n".to_owned()),
        _ => Err("no such file".to_owned()),
    };
    let parsed = inventory::parse(&[source], &CATALOG, &PROVIDERS, jiff::civil::date(2026, 11, 27), &file);
    parsed.map(drop).map_err(|problems| format!("{problems:#?}"))
}

/// An inventory that the reader takes, and the schema, too.
#[track_caller]
fn assert_taken(inventory: &str) {
    assert_eq!(read(inventory), Ok(()), "{inventory}");
    assert_eq!(misfits_of(inventory), [""; 0], "{inventory}");
}

#[test]
fn a_peer_may_have_any_name_that_is_no_address() {
    for name in ["Office_1", "office.berlin", "büro", "8443", "a:b"] {
        assert_taken(&changed("  lists: ", &format!("  {name:?}: ")));
        assert_taken(&changed("      workload-clients: ", &format!("      {name:?}: ")));
    }
    for name in ["", "two words", "10.0.0.0/8", "*", "a,b", "a\tb"] {
        assert!(read(&changed("  lists: ", &format!("  {name:?}: "))).is_err(), "{name}");
        assert!(!misfits_of(&changed("  lists: ", &format!("  {name:?}: "))).is_empty(), "{name}");
    }
}

#[test]
fn a_version_may_begin_with_a_v_and_have_a_patch() {
    for version in ["2.4", "v2.4", "2.4.8", "v2.4.8"] {
        assert_taken(&changed("rancher_version: \"2.4\"", &format!("rancher_version: {version:?}")));
    }
    for version in ["latest", "2", "vv2.4", "2.4.8.1"] {
        let text = changed("rancher_version: \"2.4\"", &format!("rancher_version: {version:?}"));
        assert!(read(&text).is_err() && !misfits_of(&text).is_empty(), "{version}");
    }
}

#[test]
fn a_ticket_may_be_a_number() {
    for ticket in ["1234", "12.5", "NET-7", "\"1234\"", "true"] {
        assert_taken(&changed("ticket: NET-7", &format!("ticket: {ticket}")));
    }
}

#[test]
fn a_section_may_be_empty() {
    let least = "version: 1\nnetworks: { lab: { simulated: { state: s.json } } }\nclusters:\n  it:\n    network: lab\n    \
                 profile: downstream-custom-nodes\n    groups: { all: { roles: [etcd, controlplane, worker] } }\n";
    assert_taken(least);
    for section in ["peers", "trusted", "profiles", "guards", "x-anchors"] {
        assert_taken(&format!("{least}{section}:\n"));
    }
    for section in ["options", "values", "cidrs", "peers", "rules", "waive", "narrow", "ignore"] {
        assert_taken(&format!("{least}    {section}:\n"));
    }
    for section in ["nat", "links"] {
        assert_taken(&least.replace("s.json } }", &format!("s.json }}, {section}: }}")));
    }
    assert_taken(&least.replace("s.json }", "s.json, quotas: }"));
    assert_taken(&least.replace("worker] }", "worker], addresses: }"));
    assert_taken(&least.replace("worker] }", "worker], addresses: { private:, public: } }"));
    assert_taken("version: 1\nnetworks: { lab: { simulated: { state: s.json } } }\nclusters:\n");
}

/// Where every value of `value` stands, itself too, as JSON pointers.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| places(inner, &format!("{at}/{key}"), all)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| places(item, &format!("{at}/{i}"), all)),
        _ => {}
    }
}

/// What may stand instead of a value: something of each type, and of a list its first item or nothing.
fn others(value: &Value) -> Vec<Value> {
    let mut others = vec![json!(null), json!([]), json!({}), json!(true), json!(7), json!("word"), json!([value])];
    others.extend(value.as_array().and_then(|items| items.first()).cloned());
    others
}

/// Every inventory that differs from `whole` in one value or key.
fn neighbours(whole: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    places(whole, "", &mut all);
    let with = |place: &str, change: &dyn Fn(&mut Value)| {
        let mut neighbour = whole.clone();
        change(neighbour.pointer_mut(place).expect("a place of the inventory"));
        neighbour
    };
    let mut neighbours = Vec::new();
    for place in &all {
        let value = whole.pointer(place).expect("a place of the inventory");
        neighbours.extend(others(value).into_iter().map(|other| with(place, &|value| *value = other.clone())));
        for key in value.as_object().into_iter().flat_map(|map| map.keys()) {
            for name in ["Näme_1", "why"] {
                neighbours.push(with(place, &|value| {
                    let value = value.as_object_mut().expect("it was one");
                    let inner = value.remove(key).expect("its key");
                    value.insert(name.to_owned(), inner);
                }));
            }
            neighbours.push(with(place, &|value| drop(value.as_object_mut().expect("it was one").remove(key))));
        }
    }
    neighbours
}

#[test]
fn what_does_not_fit_is_refused_by_the_reader() {
    let whole: Value = serde_saphyr::from_str(WHOLE).expect("it is YAML");
    let schema = inventory::schema(&PROVIDERS);
    let mut refused = 0;
    for neighbour in neighbours(&whole) {
        let misfits = check_by(&schema, &neighbour);
        if !misfits.is_empty() {
            let text = serde_json::to_string_pretty(&neighbour).expect("it is JSON, and so YAML");
            assert!(read(&text).is_err(), "the reader takes this, and the schema says {misfits:?}\n{text}");
            refused += 1;
        }
    }
    assert!(refused > 500, "the schema refused only {refused}");
}

/// Every key of the schema stands in the inventory that has every key, so that none is invented.
#[test]
fn every_key_of_the_schema_is_one_of_the_reader() {
    let mut used = BTreeSet::new();
    let whole: Value = serde_saphyr::from_str(WHOLE).expect("it is YAML");
    keys(&whole, &mut used);
    let schema = inventory::schema(&PROVIDERS);
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

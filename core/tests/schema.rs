//! The JSON schemas: that of profile files fits every file that ships, and the one in docs/ is this one; that of inventories accepts
//! what the reader accepts, and knows every key.
#![expect(clippy::disallowed_methods, reason = "a test reads files")]
#![allow(clippy::panic, reason = "helpers of tests say what is missing")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rsgsync_core::inventory::{self, PlaceKind, ProviderSpec};
use rsgsync_core::profile::schema;
use serde_json::{Value, json};

/// What of `value` doesn't fit: the few keywords that the schema uses.
fn misfits(root: &Value, schema: &Value, value: &Value, at: &str, out: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().into_iter().flatten() {
        match keyword.as_str() {
            // Patterns are for editors; the reader has tests of its own for them.
            "$schema" | "$defs" | "title" | "description" | "examples" | "pattern" => {}
            "$ref" => {
                let name = rule.as_str().and_then(|r| r.strip_prefix("#/$defs/")).expect("a definition");
                misfits(root, &root["$defs"][name], value, at, out);
            }
            "type" => {
                let is = match value {
                    Value::Object(_) => "object",
                    Value::Array(_) => "array",
                    Value::String(_) => "string",
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "integer",
                    Value::Null => "null",
                };
                let fits = rule == is || rule.as_array().is_some_and(|list| list.iter().any(|one| one == is));
                if !fits {
                    out.push(format!("{at}: {is} instead of {rule}"));
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
            // Only `^x-`, and anything may stand there.
            "patternProperties" => {}
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
                for (key, inner) in value.as_object().into_iter().flatten() {
                    match rule {
                        _ if schema["properties"].get(key).is_some() => {}
                        _ if schema.get("patternProperties").is_some() && key.starts_with("x-") => {}
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

const PROVIDERS: [ProviderSpec; 3] = [
    ProviderSpec {
        word: "aws",
        keys: &[
            ("region", PlaceKind::Text),
            ("vpc", PlaceKind::TextOrTags),
            ("account", PlaceKind::Text),
            ("profile", PlaceKind::Text),
            ("assume_role", PlaceKind::Text),
        ],
        required: &["region"],
        most: &[("rules_per_group", 1000)],
        absent: None,
        groups_are_names: false,
        beside_rules: &[],
    },
    ProviderSpec {
        word: "gcp",
        keys: &[("project", PlaceKind::Text)],
        required: &["project"],
        most: &[],
        absent: None,
        groups_are_names: true,
        beside_rules: &[],
    },
    ProviderSpec {
        word: "simulated",
        keys: &[("state", PlaceKind::Path)],
        required: &["state"],
        most: &[],
        absent: None,
        groups_are_names: false,
        beside_rules: &[],
    },
];

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

//! The JSON schema of profile files: it fits every file that ships, and the one in docs/ is this one.
#![expect(clippy::disallowed_methods, reason = "a test reads files")]
#![allow(clippy::panic, reason = "helpers of tests say what is missing")]

use rsgsync_core::profile::schema;
use serde_json::{Value, json};

/// What of `value` doesn't fit: the few keywords that the schema uses.
fn misfits(root: &Value, schema: &Value, value: &Value, at: &str, out: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().into_iter().flatten() {
        match keyword.as_str() {
            // Patterns are for editors; the reader has tests of its own for them.
            "$schema" | "$defs" | "title" | "pattern" => {}
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
            "anyOf" => {
                let fits = rule.as_array().into_iter().flatten().any(|one| {
                    let mut inner = Vec::new();
                    misfits(root, one, value, at, &mut inner);
                    inner.is_empty()
                });
                if !fits {
                    out.push(format!("{at}: {value} fits nothing"));
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
                for (key, inner) in value.as_object().into_iter().flatten() {
                    match rule {
                        _ if schema["properties"].get(key).is_some() => {}
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
    let (schema, mut out) = (schema(), Vec::new());
    misfits(&schema, &schema, value, "", &mut out);
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

//! The JSON schema of profile files, for editors.

use serde_json::{Map, Value, json};

use super::{Direction, ProfileKind, Vocabulary};

/// The schema, with the vocabulary's words in it. It says no more than the reader checks; peers may be the user's own.
pub fn schema() -> Value {
    let words = Vocabulary::shipped();
    let roles: Vec<&str> = words.roles.iter().map(|role| &**role).collect();
    let kinds: Vec<&str> = ProfileKind::WORDS.iter().map(|(word, _)| *word).collect();
    let text = json!({ "type": "string", "minLength": 1 });
    let texts = json!({ "type": "array", "items": text });
    let names = json!({ "type": "array", "items": { "$ref": "#/$defs/name" } });
    let range = json!({ "type": "string", "pattern": "^(>=[0-9.]+)?( ?<[0-9.]+)?$" });
    let each = |what: &str| json!({ "type": "array", "items": { "$ref": format!("#/$defs/{what}") } });
    let conditions = json!({ "type": "array", "items": { "$ref": "#/$defs/condition" } });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rsgsync port profile",
        "type": "object",
        "required": ["name", "source"],
        "additionalProperties": false,
        "properties": {
            "name": { "$ref": "#/$defs/name" },
            "version": { "type": "string" },
            "title": text,
            "kind": { "enum": kinds },
            "subject": text,
            "versions": range,
            "basis": text,
            "source": text,
            "roles": { "type": "array", "items": { "$ref": "#/$defs/row_role" } },
            "needs": { "type": "array", "items": { "$ref": "#/$defs/role" } },
            "distro": text, "provider": text, "group_name": text, "target_tag": text, "group_description": text,
            "group_tag": text, "rule_description": text,
            "fixes": { "$ref": "#/$defs/options" },
            "extends": text,
            "without": names,
            "compose": each("part"),
            "defaults": each("default"),
            "see": names,
            "compare": names,
            "seed": texts,
            "notes": texts,
            "footnotes": each("footnote"),
            "loopback": texts,
            "host_firewall": { "type": "object", "additionalProperties": texts },
            "render": { "$ref": "#/$defs/render" },
            "rows": each("row"),
        },
        "$defs": {
            "name": { "type": "string", "pattern": "^[a-z][a-z0-9-]*$" },
            "role": { "enum": roles },
            "row_role": { "enum": roles.iter().copied().chain([&*words.every_role]).collect::<Vec<_>>() },
            "end": {
                "anyOf": [
                    { "$ref": "#/$defs/row_role" },
                    { "type": "string", "pattern": "^(peer|cidr|fqdn|net):.+$|^self:(node|group)$" },
                ]
            },
            "options": { "type": "object", "additionalProperties": false, "properties": options(words, false) },
            "condition": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": false,
                "properties": with(options(words, true), [
                    ("all", conditions.clone()),
                    ("any", conditions),
                    ("not", json!({ "$ref": "#/$defs/condition" })),
                ]),
            },
            "part": {
                "type": "object",
                "required": ["profile"],
                "additionalProperties": false,
                "properties": { "profile": { "$ref": "#/$defs/name" }, "when": { "$ref": "#/$defs/condition" } },
            },
            "default": {
                "type": "object",
                "required": ["option", "value", "source"],
                "additionalProperties": false,
                "properties": {
                    "option": { "enum": words.options.keys().collect::<Vec<_>>() },
                    "value": { "type": ["boolean", "string"] },
                    "when": { "$ref": "#/$defs/condition" },
                    "source": text,
                },
            },
            "footnote": {
                "type": "object",
                "required": ["seed", "text"],
                "additionalProperties": false,
                "properties": { "seed": text, "text": text, "about": { "$ref": "#/$defs/role" } },
            },
            "render": {
                "type": "object",
                "required": ["target", "file", "tcp_variable", "udp_variable", "range_separator", "list_separator", "apply"],
                "additionalProperties": false,
                "properties": {
                    "target": text, "file": text, "tcp_variable": text, "udp_variable": text, "range_separator": text,
                    "list_separator": text, "apply": text,
                    "extra": { "type": "object", "additionalProperties": text },
                },
            },
            "row": row(&text, &texts, &range),
        },
    })
}

fn row(text: &Value, texts: &Value, range: &Value) -> Value {
    let directions: Vec<&str> = Direction::WORDS.iter().map(|(word, _)| *word).collect();
    let ends = json!({ "type": "array", "items": { "$ref": "#/$defs/end" } });
    json!({
        "type": "object",
        "required": ["id", "protocol", "purpose"],
        "additionalProperties": false,
        "properties": {
            "id": { "$ref": "#/$defs/name" },
            "from": ends,
            "to": ends,
            "from_role": { "$ref": "#/$defs/role" },
            "protocol": { "type": ["string", "integer"] },
            "ports": { "type": "array", "items": { "type": ["string", "integer"] } },
            "versions": range,
            "condition": { "$ref": "#/$defs/condition" },
            "direction": { "enum": directions },
            "required": { "enum": ["always", "conditional", "optional"] },
            "purpose": text,
            "seed": texts,
            "evidence": text,
            "forbid_public": { "type": "boolean" },
            "deprecated_values": { "type": "boolean" },
            "render": { "type": "array", "items": { "enum": ["host-firewall", "security-group"] } },
            "note": text,
        },
    })
}

/// Each option with the values that it may have; `several`: a list of them, too.
fn options(words: &Vocabulary, several: bool) -> Map<String, Value> {
    let schemas = words.options.iter().map(|(option, kind)| {
        let one = match kind.words.as_slice() {
            [] => json!({ "type": "boolean" }),
            words => json!({ "enum": words }),
        };
        let list = json!({ "type": "array", "minItems": 1, "items": one });
        (option.to_string(), if several { json!({ "anyOf": [one, list] }) } else { one })
    });
    schemas.collect()
}

fn with<const N: usize>(mut map: Map<String, Value>, more: [(&str, Value); N]) -> Value {
    map.extend(more.map(|(key, value)| (key.to_owned(), value)));
    Value::Object(map)
}

//! The JSON schema of inventories, for editors.

use serde_json::{Map, Value, json};

use super::{PlaceKind, ProviderSpec};
use crate::profile::{Catalog, Vocabulary};

/// The schema, with the words of these providers, of the vocabulary and the names of the profiles that ship in it. It says no
/// more than the reader checks; names of networks, clusters, groups and peers may be anything legal.
pub fn schema(providers: &[ProviderSpec]) -> Value {
    let catalog = Catalog::shipped();
    let profiles = catalog.names();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rsgsync inventory",
        "description": "The clusters whose ports rsgsync keeps open, and where they live.",
        "type": "object",
        "required": ["version"],
        "additionalProperties": false,
        "patternProperties": { "^x-": { "description": "Ignored: a place for YAML anchors." } },
        "properties": {
            "version": { "const": 1, "description": "The version of the format." },
            "owner": { "$ref": "#/$defs/name", "description": "Whose inventory it is; part of the marks on groups and rules." },
            "trusted": about(texts(), "Ranges that the guards don't call public, beside the private ones."),
            "networks": about(by_name("name", "network"), "Where groups live."),
            "clusters": about(by_name("name", "cluster"), "The clusters."),
            "peers": about(by_name("peer-name", "peer"), "Parties outside the clusters."),
            "profiles": about(texts(), "Files with tables of ports of your own, relative to this file."),
            "guards": about(texts(), "Files with guards of your own, relative to this file."),
        },
        "$defs": {
            "name": { "type": "string", "pattern": "^[a-z][a-z0-9-]{0,30}$" },
            "peer-name": { "type": "string", "pattern": "^[^ \\t\\r\\n*/,]+$" },
            "network": network(providers),
            "cluster": cluster(&profiles),
            "group": group(),
            "peer": peer(),
            "text": { "type": "string", "minLength": 1 },
            "texts": { "anyOf": [{ "$ref": "#/$defs/text" }, { "type": ["array", "null"], "items": { "$ref": "#/$defs/text" } }] },
            "some-texts": one_or_more(&json!({ "$ref": "#/$defs/text" })),
            "traffic": { "type": "string", "examples": ["22/tcp", "30000-32767/tcp+udp", "icmp/8/0", "icmp", "esp", "all"] },
            "why": { "type": "string", "minLength": 1, "description": "The reason." },
            "until": { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "description": "The last day on which it stands." },
            "rule": exception(&["from", "to", "allow", "why"], [
                ("from", about(some_texts(), "Who: a group, a peer, a range, \"*\" for all groups, or a list of them.")),
                ("to", about(some_texts(), "Whom: a group, a peer, a range, \"*\" for all groups, or a list of them.")),
                ("allow", about(one_or_more(&json!({ "$ref": "#/$defs/traffic" })), "On what.")),
                ("ticket", json!({ "type": ["string", "number", "boolean"], "description": "Where it was asked for." })),
            ]),
            "waiver": exception(&["why"], [
                ("row", json!({ "type": "string", "description": "A row of the profile that is not opened: ID or PROFILE/ID." })),
                ("guard", json!({ "type": "string", "description": "A guard that is set aside." })),
                ("groups", about(some_texts(), "Only for these groups.")),
            ]),
            "narrowing": exception(&["row", "from", "why"], [
                ("row", json!({ "type": "string", "description": "A row of the profile: ID or PROFILE/ID." })),
                ("from", about(some_texts(), "Who alone may.")),
            ]),
            "ignored": exception(&["group", "port", "why"], [
                ("group", json!({ "type": "string", "description": "A group of this cluster." })),
                ("port", json!({ "$ref": "#/$defs/traffic", "description": "The traffic whose differences are left alone." })),
            ]),
        },
    })
}

fn network(providers: &[ProviderSpec]) -> Value {
    let mut properties = Map::new();
    for spec in providers {
        properties.insert(spec.word.to_owned(), provider(spec));
    }
    let more = [
        ("nat", about(texts(), "Addresses by which other networks see this one.")),
        (
            "links",
            json!({
                "type": ["object", "null"],
                "additionalProperties": { "enum": ["reference", "private", "public"] },
                "description": "How groups of this network are written in rules of another one.",
            }),
        ),
    ];
    properties.extend(more.map(|(key, value)| (key.to_owned(), value)));
    let one_of: Vec<Value> = providers.iter().map(|spec| json!({ "required": [spec.word] })).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "oneOf": one_of })
}

fn provider(spec: &ProviderSpec) -> Value {
    let text = json!({ "$ref": "#/$defs/text" });
    let tags = json!({
        "type": "object",
        "required": ["tags"],
        "additionalProperties": false,
        "properties": { "tags": { "type": "object", "minProperties": 1 } },
    });
    let key = |kind: &PlaceKind| match kind {
        PlaceKind::Text | PlaceKind::Path => text.clone(),
        PlaceKind::TextOrTags => json!({ "anyOf": [text, tags] }),
    };
    let mut properties: Map<String, Value> =
        spec.keys.iter().map(|(word, kind)| ((*word).to_owned(), key(kind))).collect();
    let quotas = super::network::QUOTAS.iter().map(|quota| {
        let most = spec.most.iter().find(|(word, _)| word == quota);
        let count = match most {
            Some((_, most)) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
            None => json!({ "type": "integer", "minimum": 1 }),
        };
        ((*quota).to_owned(), count)
    });
    let quotas: Map<String, Value> = quotas.collect();
    let quotas = json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": quotas,
        "description": "What your account has instead of the cloud's own quotas.",
    });
    properties.insert("quotas".to_owned(), quotas);
    let empty_is_fine = json!({ "type": ["object", "null"] });
    let keys = json!({ "required": spec.required, "additionalProperties": false, "properties": properties });
    with(keys, if spec.required.is_empty() { empty_is_fine } else { json!({ "type": "object" }) })
}

fn cluster(profiles: &[&str]) -> Value {
    let words = Vocabulary::shipped();
    let options: Map<String, Value> = words
        .options
        .iter()
        .map(|(option, kind)| {
            let one = match kind.words.as_slice() {
                [] => json!({ "type": "boolean" }),
                words => json!({ "enum": words }),
            };
            (option.to_string(), if kind.list { one_or_more(&one) } else { one })
        })
        .collect();
    let each = |what: &str| json!({ "type": ["array", "null"], "items": { "$ref": format!("#/$defs/{what}") } });
    json!({
        "type": "object",
        "required": ["network", "profile", "groups"],
        "additionalProperties": false,
        "properties": {
            "network": { "type": "string", "description": "One of `networks`." },
            "profile": {
                "anyOf": [{ "enum": profiles }, { "type": "string" }],
                "description": "The table of ports: `rsgsync profile list`, or one of your own.",
            },
            "rancher_version": {
                "type": "string",
                "pattern": "^v?[0-9]+\\.[0-9]+(\\.[0-9]+)?$",
                "description": "In quotes: picks the profile's version; the newest unless written.",
            },
            "rancher": { "type": "string", "description": "The cluster whose Rancher manages this one." },
            "options": {
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": options,
                "description": "Facts that turn rows of the profile on or off.",
            },
            "values": {
                "type": ["object", "null"],
                "description": "Ports for symbols of the profile: `{ auth_provider_port: 636 }`.",
            },
            "cidrs": {
                "type": ["object", "null"],
                "additionalProperties": texts(),
                "description": "Ranges that rows may name: pod, service, cluster.",
            },
            "egress": {
                "enum": ["open", "strict"],
                "description": "open: outbound is not narrowed; strict: every connection also needs an outbound rule.",
            },
            "groups": with(
                by_name("name", "group"),
                json!({
                    "type": "object",
                    "minProperties": 1,
                    "description": "Node groups: nodes that play the same roles and share one security group.",
                }),
            ),
            "peers": about(by_name("peer-name", "peer"), "Parties outside the clusters; these win over the file's."),
            "rules": about(each("rule"), "What this cluster needs beyond its profile."),
            "waive": about(each("waiver"), "Rows that are not opened, and guards that are set aside."),
            "narrow": about(each("narrowing"), "Rows whose sources are replaced by others."),
            "ignore": about(each("ignored"), "Differences that are left alone, and listed."),
            "external": { "type": "boolean", "description": "true: known and referred to, never written." },
        },
    })
}

fn group() -> Value {
    let roles: Vec<&str> = Vocabulary::shipped().roles.iter().map(|role| &**role).collect();
    let both = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": { "private": texts(), "public": texts() },
    });
    json!({
        "type": "object",
        "required": ["roles"],
        "additionalProperties": false,
        "properties": {
            "roles": about(one_or_more(&json!({ "enum": roles })), "What its nodes do."),
            "security_group": { "type": "string", "description": "A name or an id; CLUSTER-GROUP unless written." },
            "service_account": { "type": "string", "description": "On Google Cloud, instead of `security_group`." },
            "ownership": {
                "enum": ["exclusive", "shared"],
                "description": "exclusive: every rule is ours to keep or remove; shared: only those with our mark.",
            },
            "create": { "type": "boolean", "description": "true: a shared group may be created." },
            "addresses": {
                "anyOf": [texts(), both],
                "description": "The nodes' addresses, for where a reference can't be; a plain list is private.",
            },
            "multihomed": { "type": "boolean", "description": "true: the nodes have several interfaces, so `addresses` are used too." },
        },
    })
}

fn peer() -> Value {
    let text = json!({ "$ref": "#/$defs/text" });
    let properties = json!({
        "cidrs": about(some_texts(), "Address ranges."),
        "cidrs_file": about(text.clone(), "A file of ranges, one a line."),
        "security_group": about(text.clone(), "Another security group, by name or id."),
        "account": about(text.clone(), "The other account, beside `security_group`."),
        "cluster": about(text.clone(), "A cluster of this inventory."),
        "group": about(text.clone(), "One of its groups, beside `cluster`; all unless written."),
        "prefix_list": about(text.clone(), "A prefix list of AWS."),
        "address_group": about(text.clone(), "An address group of OpenStack."),
        "tag": about(text.clone(), "On Google Cloud: instances with that network tag."),
        "service_account": about(text, "On Google Cloud: instances that run as that account."),
    });
    let one_of: Vec<Value> = super::peer::KINDS.iter().map(|kind| json!({ "required": [kind] })).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "oneOf": one_of })
}

fn exception<const N: usize>(required: &[&str], own: [(&str, Value); N]) -> Value {
    let mut properties: Map<String, Value> = own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for key in ["why", "until"] {
        properties.insert(key.to_owned(), json!({ "$ref": format!("#/$defs/{key}") }));
    }
    json!({ "type": "object", "required": required, "additionalProperties": false, "properties": properties })
}

/// A list of texts, which may be empty or nothing at all; one stands for a list of one.
fn texts() -> Value {
    json!({ "$ref": "#/$defs/texts" })
}

/// A list of at least one text; one stands for a list of one.
fn some_texts() -> Value {
    json!({ "$ref": "#/$defs/some-texts" })
}

fn one_or_more(one: &Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
}

/// Things by their names; nothing at all stands for none.
fn by_name(name: &str, what: &str) -> Value {
    let of = |definition: &str| json!({ "$ref": format!("#/$defs/{definition}") });
    json!({ "type": ["object", "null"], "propertyNames": of(name), "additionalProperties": of(what) })
}

fn about(schema: Value, description: &str) -> Value {
    with(schema, json!({ "description": description }))
}

/// Both objects in one.
fn with(mut schema: Value, more: Value) -> Value {
    if let (Value::Object(schema), Value::Object(more)) = (&mut schema, more) {
        schema.extend(more);
    }
    schema
}

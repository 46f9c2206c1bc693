//! What a reviewer approves, and what shows that a saved plan is damaged.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Document;

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// SHA-256 of what a reviewer approves: accounts, group ids, steps, and the rules of ours that they touch.
pub(super) fn digest(document: &Document) -> String {
    let accounts: Vec<_> = document.networks.iter().map(|n| (&n.name, &n.provider, &n.account, &n.place)).collect();
    let ids: Vec<_> = document.observed.iter().map(|o| (&o.network, &o.security_group, &o.id)).collect();
    let approved = serde_json::json!({ "accounts": accounts, "groups": ids, "steps": document.steps });
    let mut text = String::new();
    canonical(&approved, &mut text);
    sha256(&text)
}

/// SHA-256 of the document without its checksum.
pub fn checksum(document: &Document) -> String {
    checksum_of(&serde_json::to_value(document).unwrap_or_default())
}

/// The same of a document that was read.
pub(super) fn checksum_of(document: &Value) -> String {
    let mut text = String::new();
    match document {
        Value::Object(fields) => {
            let without = fields.iter().filter(|(key, _)| *key != "checksum");
            object(without, &mut text);
        }
        other => canonical(other, &mut text),
    }
    sha256(&text)
}

/// JSON with sorted keys and no spaces, whatever order the library keeps.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => object(fields.iter(), out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                canonical(item, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

fn object<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>, out: &mut String) {
    out.push('{');
    for (i, (key, value)) in fields.collect::<BTreeMap<_, _>>().into_iter().enumerate() {
        let _ = write!(out, "{}{}:", if i > 0 { "," } else { "" }, Value::from(key.as_str()));
        canonical(value, out);
    }
    out.push('}');
}

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
    sha256(&canonical(&approved))
}

/// SHA-256 of the document without its checksum.
pub fn checksum(document: &Document) -> String {
    checksum_of(serde_json::to_value(document).unwrap_or_default())
}

/// The same of a document as it stands in a file, with fields that this program may not know.
pub(super) fn checksum_of(mut value: Value) -> String {
    if let Value::Object(fields) = &mut value {
        fields.remove("checksum");
    }
    sha256(&canonical(&value))
}

/// JSON with sorted keys and no spaces, whatever order the library keeps.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let fields: Vec<String> =
                sorted.into_iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), canonical(v))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

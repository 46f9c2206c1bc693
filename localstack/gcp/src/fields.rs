//! The `fields` of a request: which parts of the answer are wanted.

use std::collections::BTreeMap;

use serde_json::Value;

/// Deeper selections are refused.
const DEPTH: usize = 20;

/// What is wanted of an object, or of each item of a list; of a field without more, everything.
#[derive(Default)]
pub(crate) struct Fields(BTreeMap<String, Fields>);

impl Fields {
    /// Nothing where the text isn't a selection: `id,items/*/instances(name,tags/items)`, no field twice.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut rest = text;
        let fields = list(&mut rest, DEPTH)?;
        rest.is_empty().then_some(fields)
    }

    /// The value without what isn't wanted.
    pub(crate) fn of(&self, value: Value) -> Value {
        match value {
            value if self.0.is_empty() => value,
            Value::Array(items) => items.into_iter().map(|item| self.of(item)).collect(),
            Value::Object(fields) => {
                let wanted = fields.into_iter().filter_map(|(name, value)| {
                    let below = self.0.get(&name).or_else(|| self.0.get("*"))?;
                    Some((name, below.of(value)))
                });
                Value::Object(wanted.collect())
            }
            value => value,
        }
    }
}

fn list(rest: &mut &str, depth: usize) -> Option<Fields> {
    let mut fields = BTreeMap::new();
    loop {
        let (name, below) = one(rest, depth)?;
        if fields.insert(name, below).is_some() {
            return None;
        }
        if !take(rest, ',') {
            return Some(Fields(fields));
        }
    }
}

fn one(rest: &mut &str, depth: usize) -> Option<(String, Fields)> {
    let depth = depth.checked_sub(1)?;
    let (name, after) = rest.split_at(rest.find([',', '/', '(', ')']).unwrap_or(rest.len()));
    *rest = after;
    let below = if take(rest, '/') {
        Fields(BTreeMap::from([one(rest, depth)?]))
    } else if take(rest, '(') {
        list(rest, depth).filter(|_| take(rest, ')'))?
    } else {
        Fields::default()
    };
    (!name.is_empty()).then(|| (name.to_owned(), below))
}

/// Takes this character, if it comes next.
fn take(rest: &mut &str, expected: char) -> bool {
    let after = rest.strip_prefix(expected);
    *rest = after.unwrap_or(rest);
    after.is_some()
}

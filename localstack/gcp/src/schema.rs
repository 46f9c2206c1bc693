//! Google's discovery document: which method a request calls, and what its query and body may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::error::Refusal;

pub(crate) type Object = Map<String, Value>;

/// Parameters that every method takes; those without a `$` are in the document as well.
const COMMON: [&str; 6] = ["$alt", "$apiVersion", "$prettyPrint", "$fields", "returnPartialSuccess", "trace"];

static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::read);

/// The document, as far as the server needs it.
pub(crate) struct Schema {
    methods: Vec<Method>,
    types: Object,
    common: BTreeSet<String>,
}

/// One method of the API.
pub(crate) struct Method {
    /// For example `firewalls.insert`.
    pub(crate) name: String,
    verb: String,
    path: String,
    /// The parameter's name, whether it is in the path, and what its text must match.
    parameters: BTreeMap<String, Parameter>,
    /// The type of the body.
    request: Option<String>,
}

struct Parameter {
    in_path: bool,
    kind: String,
    pattern: Option<(String, Regex)>,
}

impl Schema {
    pub(crate) fn get() -> &'static Self {
        &SCHEMA
    }

    fn read() -> Self {
        let document: Value =
            serde_json::from_str(include_str!("../data/compute-schema.json")).expect("the crate's own file is JSON");
        let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
        let (mut methods, mut patterns) = (Vec::new(), BTreeMap::new());
        for (collection, of_collection) in object(&document["methods"]) {
            for (name, method) in object(&of_collection) {
                methods.push(Method::read(format!("{collection}.{name}"), &method, &mut patterns));
            }
        }
        let common = object(&document["commonParameters"]).into_iter().map(|(name, _)| name);
        Self { methods, types: object(&document["schemas"]), common: common.chain(COMMON.map(str::to_owned)).collect() }
    }

    /// The method that a verb and a path below the version mean, with the values of the path's parameters.
    pub(crate) fn route(&self, verb: &str, path: &str) -> Option<(&Method, BTreeMap<String, String>)> {
        let named = |method: &Method| method.matches(path).filter(|_| method.verb == verb);
        let mut found: Vec<_> = self.methods.iter().filter_map(|m| Some((m, named(m)?))).collect();
        found.sort_by_key(|(_, values)| values.len());
        found.into_iter().next()
    }

    /// The body, with numbers as numbers. Nulls stay: they mean something in a patch.
    pub(crate) fn body(&self, method: &Method, text: &[u8]) -> Result<Object, Refusal> {
        let Some(kind) = &method.request else {
            return Ok(Object::new());
        };
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| Refusal::payload("", &format!("Invalid JSON payload received. {error}")))?;
        self.typed(kind, value)
    }

    /// A value that must be of one of the document's types.
    pub(crate) fn typed(&self, kind: &str, value: Value) -> Result<Object, Refusal> {
        match self.check(&self.types[kind], value, "resource")? {
            Value::Object(object) => Ok(object),
            _ => Err(Refusal::payload("", "Invalid JSON payload received. Expected an object.")),
        }
    }

    fn check(&self, kind: &Value, value: Value, at: &str) -> Result<Value, Refusal> {
        if let Some(name) = kind["$ref"].as_str() {
            return self.check(&self.types[name], value, at);
        }
        match (kind["type"].as_str().unwrap_or_default(), value) {
            (_, Value::Null) => Ok(Value::Null),
            ("array", Value::Array(items)) => {
                let checked = items.into_iter().enumerate().map(|(index, item)| match item {
                    Value::Null => Err(wrong("TYPE_STRING", &item, &format!("{at}[{index}]"))),
                    item => self.check(&kind["items"], item, &format!("{at}[{index}]")),
                });
                Ok(Value::Array(checked.collect::<Result<_, _>>()?))
            }
            ("object", Value::Object(fields)) => self.check_object(kind, fields, at),
            ("string", Value::String(text)) => check_text(kind, text, at),
            ("integer", value) => match whole(&value) {
                Some(number) => Ok(number.into()),
                None => Err(wrong("TYPE_INT32", &value, at)),
            },
            ("number", Value::Number(number)) => Ok(Value::Number(number)),
            ("boolean", Value::Bool(flag)) => Ok(Value::Bool(flag)),
            (expected, value) => Err(wrong(&format!("TYPE_{}", expected.to_uppercase()), &value, at)),
        }
    }

    fn check_object(&self, kind: &Value, fields: Object, at: &str) -> Result<Value, Refusal> {
        let mut checked = Object::new();
        for (name, value) in fields {
            let of_field = match (&kind["properties"][&name], &kind["additionalProperties"]) {
                (Value::Null, Value::Null) => {
                    let description =
                        format!("Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field.");
                    return Err(Refusal::payload(at, &description));
                }
                (Value::Null, additional) => additional,
                (property, _) => property,
            };
            let value = self.check(of_field, value, &format!("{at}.{name}"))?;
            if of_field["readOnly"] != true {
                checked.insert(name, value);
            }
        }
        Ok(Value::Object(checked))
    }

    /// Errors on parameters that the method doesn't have, and on values that aren't of the parameter's type.
    pub(crate) fn query(&self, method: &Method, query: &BTreeMap<String, String>) -> Result<(), Refusal> {
        for (name, value) in query {
            let parameter = method.parameters.get(name).filter(|parameter| !parameter.in_path);
            let Some(parameter) = parameter else {
                if self.common.contains(name) {
                    continue;
                }
                let description = format!(
                    "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field \
                     '{name}' could not be found in request message."
                );
                return Err(Refusal::payload("", &description));
            };
            let right = match parameter.kind.as_str() {
                "integer" => value.parse::<u32>().is_ok(),
                "boolean" => value == "true" || value == "false",
                _ => true,
            };
            if !right {
                return Err(wrong(&format!("TYPE_{}", parameter.kind.to_uppercase()), &value.as_str().into(), name));
            }
        }
        Ok(())
    }
}

impl Method {
    /// `patterns` are those that were compiled before, as many parameters have the same.
    fn read(name: String, method: &Value, patterns: &mut BTreeMap<String, Regex>) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let parameters = method["parameters"].as_object().into_iter().flatten();
        Self {
            name,
            verb: text(&method["httpMethod"]),
            path: text(&method["flatPath"]),
            parameters: parameters
                .map(|(name, parameter)| (name.clone(), Parameter::read(parameter, patterns)))
                .collect(),
            request: method["request"]["$ref"].as_str().map(str::to_owned),
        }
    }

    fn matches(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let (expected, given): (Vec<_>, Vec<_>) = (self.path.split('/').collect(), path.split('/').collect());
        let mut values = BTreeMap::new();
        for (expected, given) in expected.iter().zip(&given) {
            match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if !given.is_empty() => values.insert(name.to_owned(), (*given).to_owned()),
                None if expected == given => None,
                _ => return None,
            };
        }
        (expected.len() == given.len()).then_some(values)
    }

    /// Errors on a value in the path that isn't of the parameter's form.
    pub(crate) fn path(&self, values: &BTreeMap<String, String>) -> Result<(), Refusal> {
        for (name, value) in values {
            if let Some((text, pattern)) = self.parameters.get(name).and_then(|parameter| parameter.pattern.as_ref())
                && !pattern.is_match(value)
            {
                return Err(Refusal::field(name, value, &format!("Must be a match of regex '{text}'")));
            }
        }
        Ok(())
    }

    pub(crate) fn changes(&self) -> bool {
        self.parameters.contains_key("requestId")
    }
}

impl Parameter {
    fn read(parameter: &Value, patterns: &mut BTreeMap<String, Regex>) -> Self {
        let pattern = parameter["pattern"].as_str().map(|text| {
            let compiled = patterns.entry(text.to_owned()).or_insert_with(|| whole_match(text));
            (text.to_owned(), compiled.clone())
        });
        Self {
            in_path: parameter["location"] == "path",
            kind: parameter["type"].as_str().unwrap_or_default().to_owned(),
            pattern,
        }
    }
}

fn whole_match(pattern: &str) -> Regex {
    Regex::new(&format!("^(?:{pattern})$")).expect("the document's patterns are regular expressions")
}

fn check_text(kind: &Value, text: String, at: &str) -> Result<Value, Refusal> {
    let value = Value::String(text);
    match kind["enum"].as_array() {
        Some(values) if !values.contains(&value) => Err(wrong("TYPE_ENUM", &value, at)),
        _ => Ok(value),
    }
}

/// Whole numbers may come as text.
fn whole(value: &Value) -> Option<i32> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64()?.try_into().ok(),
    }
}

fn wrong(expected: &str, value: &Value, at: &str) -> Refusal {
    Refusal::payload(at, &format!("Invalid value at '{at}' ({expected}), {value}"))
}

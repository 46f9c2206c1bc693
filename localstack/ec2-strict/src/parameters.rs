//! The parameters of a call. An action takes out what it knows; what is left is refused.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use crate::error::Refusal;

/// By name, such as `IpPermissions.1.IpRanges.1.CidrIp`; within an element of a list, by what follows its number.
#[derive(Clone, Default)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads what is form-encoded.
    pub(crate) fn read(form: &[u8]) -> Self {
        Self(form_urlencoded::parse(form).into_owned().collect())
    }

    pub(crate) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.keys().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(crate) fn need(&mut self, name: &str) -> Result<String, Refusal> {
        self.take(name).filter(|value| !value.is_empty()).ok_or_else(|| Refusal::missing(name))
    }

    pub(crate) fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let number = |text: String| {
            text.parse().map_err(|_| Refusal::wrong(format!("Invalid value '{text}' for {name}: it must be a number")))
        };
        self.take(name).map(number).transpose()
    }

    /// The elements of a list, in their order.
    pub(crate) fn list(&mut self, name: &str) -> Vec<Self> {
        let mut elements: BTreeMap<u32, Self> = BTreeMap::new();
        self.0.retain(|key, value| {
            let rest = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            let (number, rest) = match rest.map(|rest| rest.split_once('.').unwrap_or((rest, ""))) {
                Some((number, rest)) if number.parse::<u32>().is_ok() => (number.parse().unwrap_or_default(), rest),
                _ => return true,
            };
            elements.entry(number).or_default().0.insert(rest.to_owned(), std::mem::take(value));
            false
        });
        elements.into_values().collect()
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, name: &str) -> Vec<String> {
        self.list(name).into_iter().filter_map(|mut element| element.take("")).collect()
    }

    /// Refuses what no action has taken out.
    pub(crate) fn finish(&self) -> Result<(), Refusal> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Refusal::new("UnknownParameter", format!("The parameter {name} is not recognized"))),
        }
    }

    /// A number that is the same for the same parameters.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }
}

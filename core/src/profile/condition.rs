//! Conditions and option values as they are written in profile files.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};

use super::{Condition, OptionValue, Vocabulary};

/// A condition as written, its options not yet checked.
///
/// A mapping: every key must hold. `OPTION: VALUE` or `OPTION: [VALUE, …]`; `all:` and `any:` take lists of mappings,
/// `not:` one.
pub(super) struct RawCondition(Vec<RawTerm>);

enum RawTerm {
    All(Vec<RawCondition>),
    Any(Vec<RawCondition>),
    Not(RawCondition),
    Is(String, Vec<OptionValue>),
}

impl RawCondition {
    /// The condition, once every option and value is a word of the vocabulary; the error says which is not.
    pub(super) fn check(self, vocabulary: &Vocabulary) -> Result<Condition, String> {
        let mut terms = self.0.into_iter().map(|term| term.check(vocabulary)).collect::<Result<Vec<_>, _>>()?;
        match (terms.pop(), terms.is_empty()) {
            (Some(only), true) => Ok(only),
            (last, _) => {
                terms.extend(last);
                Ok(Condition::All(terms))
            }
        }
    }
}

impl RawTerm {
    fn check(self, vocabulary: &Vocabulary) -> Result<Condition, String> {
        let each =
            |list: Vec<RawCondition>| list.into_iter().map(|c| c.check(vocabulary)).collect::<Result<Vec<_>, _>>();
        match self {
            Self::All(list) => each(list).map(Condition::All),
            Self::Any(list) => each(list).map(Condition::Any),
            Self::Not(inner) => inner.check(vocabulary).map(|c| Condition::Not(Box::new(c))),
            Self::Is(option, values) => {
                for value in &values {
                    vocabulary.check_option(&option, value)?;
                }
                Ok(Condition::Is(Arc::from(option), values))
            }
        }
    }
}

impl<'de> Deserialize<'de> for RawCondition {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Terms;
        impl<'de> Visitor<'de> for Terms {
            type Value = RawCondition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a condition such as `{ cni: [canal, flannel] }`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawCondition, A::Error> {
                let mut terms = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    terms.push(match key.as_str() {
                        "all" => RawTerm::All(map.next_value()?),
                        "any" => RawTerm::Any(map.next_value()?),
                        "not" => RawTerm::Not(map.next_value()?),
                        _ => RawTerm::Is(key, map.next_value::<OneOrMore>()?.0),
                    });
                }
                Ok(RawCondition(terms))
            }
        }
        deserializer.deserialize_map(Terms)
    }
}

struct OneOrMore(Vec<OptionValue>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = OneOrMore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, `false`, a word, or a list of them")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![OptionValue::Bool(value)]))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![OptionValue::Word(word.into())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMore, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                if values.is_empty() { Err(de::Error::invalid_length(0, &self)) } else { Ok(OneOrMore(values)) }
            }
        }
        deserializer.deserialize_any(Values)
    }
}

impl<'de> Deserialize<'de> for OptionValue {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl Visitor<'_> for Value {
            type Value = OptionValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, `false` or a word")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<OptionValue, E> {
                Ok(OptionValue::Bool(value))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<OptionValue, E> {
                Ok(OptionValue::Word(word.into()))
            }
        }
        deserializer.deserialize_any(Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Condition {
        let raw: RawCondition = serde_saphyr::from_str(text).expect("a condition");
        raw.check(Vocabulary::shipped()).expect("known words")
    }

    fn word(option: &str, word: &str) -> Condition {
        Condition::Is(option.into(), vec![OptionValue::Word(word.into())])
    }

    #[test]
    fn all_keys_of_a_mapping_must_hold() {
        assert_eq!(
            read("{ cni: flannel, cni_backend: vxlan }"),
            Condition::All(vec![word("cni", "flannel"), word("cni_backend", "vxlan")])
        );
    }

    #[test]
    fn any_and_not_nest() {
        assert_eq!(
            read("{ any: [{ cni: weave }, { not: { windows: true } }] }"),
            Condition::Any(vec![
                word("cni", "weave"),
                Condition::Not(Box::new(Condition::Is("windows".into(), vec![OptionValue::Bool(true)]))),
            ])
        );
    }

    #[test]
    fn an_empty_list_of_values_is_an_error() {
        assert!(serde_saphyr::from_str::<RawCondition>("{ cni: [] }").is_err());
    }
}

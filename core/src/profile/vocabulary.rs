//! The words that inventories and profiles are written in, from `profiles/vocabulary.yaml`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde::de::{self, Visitor};

use super::OptionValue;
use crate::traffic::Traffic;

const TEXT: &str = include_str!("../../profiles/vocabulary.yaml");

/// The words of inventories and profiles.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// What a node may do.
    pub roles: Vec<Arc<str>>,
    /// In rows: the word for every role.
    pub every_role: Arc<str>,
    /// The role whose nodes manage other clusters: in a row of a managed cluster, the groups of its `rancher:`.
    pub managing_role: Arc<str>,
    /// Traffic that no nodes but those of these roles have: it tells what they are.
    pub signs: BTreeMap<Traffic, Vec<Arc<str>>>,
    /// The option that gives a cluster's flows their address families.
    pub family_option: Arc<str>,
    /// The option that a node group may state for itself: its nodes have several interfaces.
    pub multihomed_option: Arc<str>,
    /// Named parties.
    pub peers: Vec<Arc<str>>,
    /// Peers that the inventory's clusters define, unless the user does.
    pub derived: BTreeMap<Arc<str>, DerivedPeer>,
    /// Options and what they may be.
    pub options: BTreeMap<Arc<str>, OptionKind>,
    /// Cluster networks that rows may name: `pod`, `service`, `cluster`.
    pub nets: Vec<Arc<str>>,
}

/// Which groups a peer stands for when the user doesn't define it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DerivedPeer {
    /// The cluster's own groups.
    Own,
    /// The groups of clusters that this one manages.
    Managed {
        /// Only of those where each of these options has one of the values.
        wanted: BTreeMap<Arc<str>, Vec<OptionValue>>,
        /// Of a cluster that has groups of these roles only those.
        prefer: Vec<Arc<str>>,
    },
}

/// What an option may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionKind {
    /// The words; empty: `true` or `false`.
    pub words: Vec<Arc<str>>,
    /// A cluster may give several.
    pub list: bool,
    /// What it is, whatever the product, when nobody sets it.
    pub default: Option<OptionValue>,
    /// When nobody sets it, it is true where a group plays one of these roles, else false; empty: it doesn't follow.
    pub follows: Vec<Arc<str>>,
}

impl OptionKind {
    /// What may be written, for people: `true or false`, `external_lb, rancher`.
    pub fn choices(&self) -> String {
        if self.words.is_empty() { "true or false".to_owned() } else { self.words.join(", ") }
    }

    fn allows(&self, value: &OptionValue) -> bool {
        match value {
            OptionValue::Bool(_) => self.words.is_empty(),
            OptionValue::Word(word) => self.words.contains(word),
        }
    }
}

impl Vocabulary {
    /// The words that ship with the program.
    pub fn shipped() -> &'static Self {
        static SHIPPED: LazyLock<Vocabulary> =
            LazyLock::new(|| parse(TEXT).expect("a test reads the shipped vocabulary"));
        &SHIPPED
    }

    pub(super) fn check_row_role(&self, role: &str) -> Result<(), String> {
        let known = role == &*self.every_role || self.roles.iter().any(|r| **r == *role);
        if known { Ok(()) } else { Err(format!("`{role}` is no role")) }
    }

    pub(super) fn check_option(&self, option: &str, value: &OptionValue) -> Result<(), String> {
        match self.options.get(option) {
            None => Err(format!("`{option}` is no option")),
            Some(kind) if kind.allows(value) => Ok(()),
            Some(_) => Err(format!("option `{option}` is never `{value}`")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    roles: Vec<Arc<str>>,
    every_role: Arc<str>,
    managing_role: Arc<str>,
    signs: BTreeMap<String, Vec<Arc<str>>>,
    family_option: Arc<str>,
    multihomed_option: Arc<str>,
    nets: Vec<Arc<str>>,
    peers: BTreeMap<Arc<str>, FilePeer>,
    options: BTreeMap<Arc<str>, FileOption>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePeer {
    #[serde(default)]
    own: bool,
    managed: Option<BTreeMap<Arc<str>, Vec<OptionValue>>>,
    #[serde(default)]
    prefer: Vec<Arc<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOption {
    #[serde(default)]
    words: Vec<Arc<str>>,
    #[serde(default)]
    list: bool,
    default: Option<OptionValue>,
    #[serde(default)]
    follows: Vec<Arc<str>>,
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

fn parse(text: &str) -> Result<Vocabulary, String> {
    let file: File = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    let mut vocabulary = Vocabulary {
        roles: file.roles,
        every_role: file.every_role,
        managing_role: file.managing_role,
        family_option: file.family_option,
        multihomed_option: file.multihomed_option,
        nets: file.nets,
        ..Vocabulary::default()
    };
    for (name, FileOption { words, list, default, follows }) in file.options {
        follows.iter().try_for_each(|role| vocabulary.check_row_role(role))?;
        let kind = OptionKind { words, list, default, follows };
        if kind.default.as_ref().is_some_and(|value| !kind.allows(value)) {
            return Err(format!("option `{name}`: its default is none of its words"));
        }
        vocabulary.options.insert(name, kind);
    }
    for (name, FilePeer { own, managed, prefer }) in file.peers {
        for (option, values) in managed.iter().flatten() {
            values.iter().try_for_each(|value| vocabulary.check_option(option, value))?;
        }
        match (own, managed) {
            (true, Some(_)) => return Err(format!("peer `{name}`: `own` and `managed` exclude each other")),
            (true, None) => drop(vocabulary.derived.insert(name.clone(), DerivedPeer::Own)),
            (false, Some(wanted)) => {
                prefer.iter().try_for_each(|role| vocabulary.check_row_role(role))?;
                vocabulary.derived.insert(name.clone(), DerivedPeer::Managed { wanted, prefer });
            }
            (false, None) => {}
        }
        vocabulary.peers.push(name);
    }
    for (text, roles) in file.signs {
        roles.iter().try_for_each(|role| vocabulary.check_row_role(role))?;
        vocabulary.signs.insert(Traffic::parse(&text).map_err(|error| error.to_string())?, roles);
    }
    vocabulary.check_row_role(&vocabulary.managing_role)?;
    for option in [&vocabulary.family_option, &vocabulary.multihomed_option] {
        if !vocabulary.options.contains_key(option) {
            return Err(format!("`{option}` is no option"));
        }
    }
    Ok(vocabulary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Port, Selector};

    #[test]
    fn the_shipped_vocabulary_is_right() {
        assert_eq!(parse(TEXT).map(|v| v.nets.len()), Ok(3));
    }

    #[test]
    fn every_role_is_no_role_of_a_node() {
        let words = Vocabulary::shipped();
        assert!(!words.roles.contains(&words.every_role));
        assert!(words.roles.contains(&words.managing_role));
    }

    #[test]
    fn a_sign_is_asked_for_by_no_row_of_another_role() {
        let catalog = crate::profile::Catalog::shipped();
        for (sign, roles) in &Vocabulary::shipped().signs {
            let rows =
                catalog.all_names().into_iter().flat_map(|name| catalog.tables(name)).flat_map(|table| table.rows);
            let rows = rows.filter(|row| row.ports.contains(&Port::Range(sign.ports().unwrap())));
            for end in rows.flat_map(|row| row.to) {
                assert!(!matches!(&end, Selector::Role(role) if !roles.contains(role)), "{sign} to {end:?}");
            }
        }
    }

    #[test]
    fn a_default_outside_the_words_is_an_error() {
        let text = TEXT.replace("words: [ipv4, ipv6, dual], default: ipv4", "words: [ipv4, ipv6, dual], default: ipv5");
        assert_eq!(parse(&text).map(|_| ()), Err("option `ip_family`: its default is none of its words".to_owned()));
    }
}

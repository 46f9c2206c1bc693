//! The profiles that a user may name, shipped and own, and the vocabulary that inventories are written in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Profile, Version};

/// The words of inventories and profiles.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// What a node may do.
    pub roles: Vec<Arc<str>>,
    /// Named parties.
    pub peers: Vec<Arc<str>>,
    /// Options and what they may be.
    pub options: BTreeMap<Arc<str>, OptionKind>,
    /// Cluster networks that rows may name: `pod`, `service`, `cluster`.
    pub nets: Vec<Arc<str>>,
}

/// What an option may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionKind {
    /// The words; empty: `true` or `false`.
    pub words: Vec<Arc<str>>,
    /// A cluster may give several.
    pub list: bool,
}

/// Why a name and version pick no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickError {
    /// No profile has that name.
    #[error("there is no profile `{0}`")]
    UnknownName(String),
    /// The profile exists, but not for that version.
    #[error("profile `{name}` is not for version {version}")]
    NoSuchVersion {
        /// The profile.
        name: String,
        /// The version asked for.
        version: Version,
        /// Ranges that there are.
        ranges: Vec<String>,
    },
}

/// All the profiles; a shipped one is parsed when it is first asked for.
#[derive(Debug)]
pub struct Catalog {
    vocabulary: Vocabulary,
}

impl Catalog {
    /// What ships with the program.
    pub fn shipped() -> Self {
        Self { vocabulary: Vocabulary::default() }
    }

    /// The words.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Names that a cluster may give as `profile`, sorted.
    pub fn names(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The profile of that name for that version; without a version the newest.
    pub fn find(&self, name: &str, _version: Option<Version>) -> Result<Arc<Profile>, PickError> {
        Err(PickError::UnknownName(name.to_owned()))
    }
}

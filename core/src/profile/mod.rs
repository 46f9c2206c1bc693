//! A port profile: a table of required ports for one way of running a cluster, as data.

mod catalog;
mod condition;
mod file;
mod vocabulary;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::rule::Cidr;
use crate::traffic::PortRange;

pub use catalog::{Catalog, PickError};
pub use file::ProfileError;
pub use vocabulary::{DerivedPeer, OptionKind, Vocabulary};

/// A product version, `2.4` or `2.4.3`; missing parts are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Patch.
    pub patch: u32,
}

impl Version {
    /// Reads `2.4`, `v2.4.3`; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<u32> = text.trim_start_matches('v').split('.').map(|p| p.parse().ok()).collect::<Option<_>>()?;
        match parts[..] {
            [major, minor] => Some(Self { major, minor, patch: 0 }),
            [major, minor, patch] => Some(Self { major, minor, patch }),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

/// The value of an option, in an inventory or a condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OptionValue {
    /// `true` or `false`.
    Bool(bool),
    /// A word.
    Word(Arc<str>),
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// A table of required ports for one way of running a cluster and one range of versions.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name, without version: `downstream-node-pools`.
    pub name: Arc<str>,
    /// The version that reasons show: `2.4` in `downstream-node-pools@2.4`; empty where the profile has no versions.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// What kind of table it is.
    pub kind: ProfileKind,
    /// The product versions that it is for.
    pub versions: VersionRange,
    /// Where the facts are from.
    pub source: String,
    /// Roles that its rows speak of.
    pub roles: Vec<Arc<str>>,
    /// Options that the profile itself fixes, such as `provisioner: custom`.
    pub fixes: BTreeMap<Arc<str>, OptionValue>,
    /// Defaults of the product, for options that the user leaves out.
    pub defaults: Vec<OptionDefault>,
    /// Notes for people.
    pub notes: Vec<String>,
    /// The rows.
    pub rows: Vec<ProfileRow>,
}

impl Profile {
    /// The name with the version, as reasons show it: `downstream-node-pools@2.4`.
    pub fn label(&self) -> String {
        if self.version.is_empty() { self.name.to_string() } else { format!("{}@{}", self.name, self.version) }
    }
}

/// What kind of table a profile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileKind {
    /// What a cluster needs.
    Requirements,
    /// What a tool really creates.
    ProviderGroup,
}

/// Product versions, `>=2.0 <2.6`; empty: all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionRange {
    /// The lowest, included.
    pub from: Option<Version>,
    /// The first that is no longer in it.
    pub below: Option<Version>,
}

impl VersionRange {
    /// Reads `>=2.0 <2.6`, either half alone, or nothing; `None` when it is no range.
    pub fn parse(text: &str) -> Option<Self> {
        let mut range = Self::default();
        for half in text.split_whitespace() {
            let (bound, version) = match (half.strip_prefix(">="), half.strip_prefix('<')) {
                (Some(version), _) => (&mut range.from, version),
                (None, version) => (&mut range.below, version?),
            };
            if bound.replace(Version::parse(version)?).is_some() {
                return None;
            }
        }
        Some(range)
    }

    /// Whether the version is in it.
    pub fn contains(&self, version: Version) -> bool {
        self.from.is_none_or(|from| from <= version) && self.below.is_none_or(|below| version < below)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.below) {
            (None, None) => Ok(()),
            (Some(from), None) => write!(f, ">={from}"),
            (None, Some(below)) => write!(f, "<{below}"),
            (Some(from), Some(below)) => write!(f, ">={from} <{below}"),
        }
    }
}

/// The product's own default of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionDefault {
    /// The option.
    pub option: Arc<str>,
    /// Its value.
    pub value: OptionValue,
    /// When that is the default; of the other options' defaults it sees those that stand before it.
    pub when: Condition,
    /// Where the documentation says so, for people: `K3s default`.
    pub source: String,
}

/// One row of a profile: who must reach whom, on what, when, why.
#[derive(Debug, Clone)]
pub struct ProfileRow {
    /// Unique within the profile.
    pub id: Arc<str>,
    /// Any of these.
    pub from: Vec<Selector>,
    /// Any of these.
    pub to: Vec<Selector>,
    /// Protocol as the profile writes it: `tcp`, `udp`, `tcp+udp`, `icmp`, `ipip`, `all` …
    pub protocol: String,
    /// Ports; empty where the protocol has none.
    pub ports: Vec<Port>,
    /// When it is needed.
    pub condition: Condition,
    /// For people: always, conditional or optional.
    pub required: String,
    /// Why.
    pub purpose: Arc<str>,
    /// The seed rows that it stands for.
    pub seed: Vec<String>,
    /// Traffic on the node itself: no rule is needed unless the node is multihomed.
    pub local: bool,
    /// A public address range on this row is an error.
    pub forbid_public: bool,
    /// For people.
    pub note: Option<String>,
}

/// One end of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// Nodes that play a role.
    Role(Arc<str>),
    /// A named party.
    Peer(Arc<str>),
    /// A literal address range.
    Cidr(Cidr),
    /// A DNS name, which can't stand in a rule.
    Name(Arc<str>),
    /// A cluster network: `pod`, `service`, `cluster`.
    Net(Arc<str>),
    /// The same machine.
    SelfNode,
    /// The group that the row sits in.
    SelfGroup,
}

/// A port of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// Known ports.
    Range(PortRange),
    /// A symbol (without `$`), given a value in the inventory.
    Symbol(Arc<str>),
    /// ICMP type and code; without a code every code.
    Icmp(u8, Option<u8>),
}

/// When a row is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of them; empty: always.
    All(Vec<Condition>),
    /// Any of them.
    Any(Vec<Condition>),
    /// Not.
    Not(Box<Condition>),
    /// The option has one of these values.
    Is(Arc<str>, Vec<OptionValue>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ranges_read_back() {
        for text in ["", ">=2.0 <2.6", ">=2.6", "<1.22"] {
            assert_eq!(VersionRange::parse(text).map(|r| r.to_string()).as_deref(), Some(text));
        }
        for bad in ["2.4", ">2.4", ">=2.4 >=2.5", "<x"] {
            assert_eq!(VersionRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_upper_end_of_a_range_is_not_in_it() {
        let range = VersionRange::parse(">=2.0 <2.6").unwrap_or_default();
        for (text, inside) in [("2.0", true), ("2.5.9", true), ("2.6", false), ("1.9", false)] {
            assert_eq!(Version::parse(text).map(|v| range.contains(v)), Some(inside), "{text}");
        }
    }
}

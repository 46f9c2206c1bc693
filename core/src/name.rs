//! Identifiers: a value that exists is valid.

use std::fmt;
use std::sync::Arc;

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {what}: {rule}")]
pub struct NameError {
    what: &'static str,
    rule: &'static str,
    text: String,
}

const SLUG: &str = "use a-z, 0-9 and `-`, start with a letter, 31 characters at most";
const PRINTABLE: &str = "use 1 to 255 printable characters";

fn is_slug(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.len() <= 31
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= 255 && !text.chars().any(char::is_control)
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text; errors when it breaks the rule of this identifier.
            pub fn new(text: &str) -> Result<Self, NameError> {
                if $check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError { what: $what, rule: $rule, text: text.to_owned() })
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier!(
    /// Whose inventory it is: `[a-z][a-z0-9-]{0,30}`.
    Owner, "owner", is_slug, SLUG
);
identifier!(
    /// A network of the inventory: `[a-z][a-z0-9-]{0,30}`.
    NetworkName, "network name", is_slug, SLUG
);
identifier!(
    /// A cluster of the inventory: `[a-z][a-z0-9-]{0,30}`.
    ClusterName, "cluster name", is_slug, SLUG
);
identifier!(
    /// A node group within its cluster: `[a-z][a-z0-9-]{0,30}`.
    NodeGroupName, "group name", is_slug, SLUG
);
identifier!(
    /// A security group's name in the cloud, 1 to 255 printable characters (on GCP: the network tag).
    GroupName, "security group name", is_printable, PRINTABLE
);
identifier!(
    /// A security group's id as the cloud gave it (`sg-…` on AWS, a UUID on OpenStack).
    GroupId, "security group id", is_printable, PRINTABLE
);
identifier!(
    /// A rule's id as the cloud gave it (`sgr-…` on AWS).
    RuleId, "rule id", is_printable, PRINTABLE
);

/// The mark `OWNER/CLUSTER` that groups and rules of ours carry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// Whose inventory made it.
    pub owner: Owner,
    /// For which cluster of that inventory.
    pub cluster: ClusterName,
}

impl Mark {
    /// Reads `OWNER/CLUSTER`; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (owner, cluster) = text.split_once('/')?;
        Some(Self { owner: Owner::new(owner).ok()?, cluster: ClusterName::new(cluster).ok()? })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.cluster)
    }
}

/// How we came to a group: the last word of its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// rsgsync created the group.
    Made,
    /// The group existed and was taken over: exclusive since.
    Adopted,
    /// The group is another's; rsgsync keeps rules in it.
    Joined,
}

impl Origin {
    /// Reads `made`, `adopted` or `joined`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "made" => Some(Self::Made),
            "adopted" => Some(Self::Adopted),
            "joined" => Some(Self::Joined),
            _ => None,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Adopted => "adopted",
            Self::Joined => "joined",
        }
    }
}

/// A mark on a group, with how we came to the group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupMark {
    /// Whose.
    pub mark: Mark,
    /// How the group became theirs.
    pub origin: Origin,
}

impl fmt::Display for GroupMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.mark, self.origin.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(ClusterName::new("prod-1").is_ok());
        for bad in ["", "1prod", "Prod", "prod_1", &"a".repeat(32)] {
            assert!(ClusterName::new(bad).is_err(), "{bad}");
        }
        assert!(GroupName::new("rancher nodes (ä)").is_ok());
        assert!(GroupName::new("a\u{1b}[2J").is_err());
    }

    #[test]
    fn marks_read_back() {
        assert_eq!(Mark::parse("platform/prod").map(|m| m.to_string()).as_deref(), Some("platform/prod"));
        for bad in ["platform", "platform/", "/prod", "a/b/c", "A/b"] {
            assert_eq!(Mark::parse(bad), None, "{bad}");
        }
    }
}

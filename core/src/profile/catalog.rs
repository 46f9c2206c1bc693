//! The profiles that a user may name, each parsed when it is first asked for.

use std::sync::{Arc, OnceLock};

use super::file::{self, ProfileError};
use super::{Profile, Version, Vocabulary};

/// Name and text of every profile that ships, sorted by name; one name may have several, for different versions.
const SHIPPED: [(&str, &str); 4] = [
    ("downstream-custom-nodes", include_str!("../../profiles/downstream-custom-nodes-2.4.yaml")),
    ("downstream-node-pools", include_str!("../../profiles/downstream-node-pools-2.4.yaml")),
    ("rancher-nodes-ec2-sg", include_str!("../../profiles/rancher-nodes-ec2-sg-2.4.yaml")),
    ("rancher-server-k3s", include_str!("../../profiles/rancher-server-k3s-2.4.yaml")),
];

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
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: &'static str,
    text: &'static str,
    parsed: OnceLock<Arc<Profile>>,
}

impl Entry {
    fn parse(&self) -> Result<Profile, ProfileError> {
        file::parse(self.text, Vocabulary::shipped())
    }

    fn profile(&self) -> &Arc<Profile> {
        self.parsed.get_or_init(|| Arc::new(self.parse().expect("a test parses every profile that ships")))
    }
}

impl Catalog {
    /// What ships with the program.
    pub fn shipped() -> Self {
        let entries = SHIPPED.iter().map(|(name, text)| Entry { name, text, parsed: OnceLock::new() });
        Self { entries: entries.collect() }
    }

    /// The words.
    pub fn vocabulary(&self) -> &Vocabulary {
        Vocabulary::shipped()
    }

    /// Names that a cluster may give as `profile`, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.entries.iter().map(|entry| entry.name).collect();
        names.dedup();
        names
    }

    /// The profile of that name for that version; without a version the newest.
    pub fn find(&self, name: &str, version: Option<Version>) -> Result<Arc<Profile>, PickError> {
        let named: Vec<&Arc<Profile>> =
            self.entries.iter().filter(|entry| entry.name == name).map(Entry::profile).collect();
        if named.is_empty() {
            return Err(PickError::UnknownName(name.to_owned()));
        }
        let fits = |profile: &&&Arc<Profile>| version.is_none_or(|v| profile.versions.contains(v));
        match (named.iter().filter(fits).max_by_key(|profile| profile.versions.from), version) {
            (Some(profile), _) => Ok(Arc::clone(profile)),
            (None, Some(version)) => Err(PickError::NoSuchVersion {
                name: name.to_owned(),
                version,
                ranges: named.iter().map(|profile| profile.versions.to_string()).collect(),
            }),
            (None, None) => Err(PickError::UnknownName(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Option<Version> {
        Version::parse(text)
    }

    #[test]
    fn every_shipped_profile_is_right_and_has_the_name_it_is_found_by() {
        for entry in &Catalog::shipped().entries {
            assert_eq!(entry.parse().map(|p| p.name.to_string()), Ok(entry.name.to_owned()));
        }
    }

    #[test]
    fn every_profile_file_ships() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
        let files = std::fs::read_dir(folder).expect("the folder is there").filter_map(Result::ok);
        let names: Vec<String> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
        let profiles = names.iter().filter(|n| !["vocabulary.yaml", "guards.yaml"].contains(&n.as_str()));
        assert_eq!(profiles.count(), SHIPPED.len());
    }

    #[test]
    fn names_are_sorted() {
        let catalog = Catalog::shipped();
        assert!(catalog.names().is_sorted());
        assert!(catalog.names().contains(&"downstream-node-pools"));
    }

    #[test]
    fn a_version_picks_the_profile_whose_range_holds_it() {
        let catalog = Catalog::shipped();
        let found = catalog.find("rancher-server-k3s", version("2.4.3")).expect("2.4.3 is in >=2.0 <2.6");
        assert_eq!(found.label(), "rancher-server-k3s@2.4");
        assert!(catalog.find("rancher-server-k3s", None).is_ok());
    }

    #[test]
    fn a_version_outside_every_range_names_the_ranges() {
        let found = Catalog::shipped().find("rancher-server-k3s", version("2.6")).map(|p| p.label());
        assert!(matches!(found, Err(PickError::NoSuchVersion { ranges, .. }) if ranges == [">=2.0 <2.6"]));
    }

    #[test]
    fn an_unknown_name_is_said() {
        let found = Catalog::shipped().find("rancher-server", None).map(|p| p.label());
        assert_eq!(found, Err(PickError::UnknownName("rancher-server".to_owned())));
    }
}

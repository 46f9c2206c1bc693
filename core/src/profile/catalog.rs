//! The profiles that a user may name, each parsed when it is first asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use super::file::{self, Draft, Words};
use super::{Profile, ProfileKind, Version, VersionRange, Vocabulary, resolve};
use crate::inventory::problem::Problem;
use crate::inventory::report::Report;
use crate::inventory::tree;

macro_rules! shipped {
    ($($name:literal: $($file:literal)+),+ $(,)?) => {
        [$($(($name, include_str!(concat!("../../profiles/", $file, ".yaml")))),+),+]
    };
}

/// Name and text of every profile that ships, sorted by name; one name may have several, for different versions.
const SHIPPED: &[(&str, &str)] = &shipped![
    "cni-calico": "cni-calico",
    "cni-cilium": "cni-cilium",
    "cni-flannel": "cni-flannel",
    "cni-weave": "cni-weave",
    "common-ports": "common-ports-2.4" "common-ports-2.6",
    "downstream-custom-nodes": "downstream-custom-nodes-2.4" "downstream-custom-nodes-2.6",
    "downstream-hosted": "downstream-hosted-2.4" "downstream-hosted-2.6",
    "downstream-imported": "downstream-imported-2.4",
    "downstream-k3s": "downstream-k3s",
    "downstream-node-pools": "downstream-node-pools-2.4" "downstream-node-pools-2.6",
    "downstream-registered": "downstream-registered-2.6",
    "downstream-rke2": "downstream-rke2",
    "gce-docker-machines": "gce-docker-machines",
    "gce-rancher-nodes": "gce-rancher-nodes",
    "k3s": "k3s",
    "k3s-embedded-etcd": "k3s-embedded-etcd",
    "k3s-flannel-host-gw": "k3s-flannel-host-gw",
    "k3s-flannel-vxlan": "k3s-flannel-vxlan",
    "k3s-flannel-wireguard": "k3s-flannel-wireguard",
    "k3s-spegel": "k3s-spegel",
    "kubeadm": "kubeadm",
    "kubeadm-legacy": "kubeadm-legacy",
    "local-node-traffic": "local-node-traffic-2.4",
    "openstack-driver": "openstack-driver",
    "rancher-nodes-ec2-sg": "rancher-nodes-ec2-sg-2.4",
    "rancher-nodes-ec2-sg-driver-v4": "rancher-nodes-ec2-sg-driver-v4",
    "rancher-nodes-ec2-sg-driver-v6": "rancher-nodes-ec2-sg-driver-v6",
    "rancher-server-docker": "rancher-server-docker-2.4" "rancher-server-docker-2.6",
    "rancher-server-k3s": "rancher-server-k3s-2.4" "rancher-server-k3s-2.6",
    "rancher-server-rke": "rancher-server-rke-2.4" "rancher-server-rke-2.6",
    "rancher-server-rke2": "rancher-server-rke2-2.5" "rancher-server-rke2-2.6",
    "rke-roles": "rke-roles",
    "rke2": "rke2",
    "rke2-cni-calico": "rke2-cni-calico",
    "rke2-cni-canal": "rke2-cni-canal",
    "rke2-cni-cilium": "rke2-cni-cilium",
    "rke2-cni-flannel": "rke2-cni-flannel",
    "rke2-windows": "rke2-windows",
    "suse-host-firewall": "suse-host-firewall-2.4",
];

/// The product whose versions `rancher_version` is one of.
pub(crate) const PICKED_BY: &str = "rancher";

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
        /// Profiles that may be meant instead.
        see: Vec<String>,
    },
    /// The profile is not one that a cluster can have.
    #[error("profile `{name}` is a {}, not something that a cluster can be", kind.as_str())]
    NotForClusters {
        /// The profile.
        name: String,
        /// What it is.
        kind: ProfileKind,
    },
}

/// All the profiles; a shipped one is parsed when it is first asked for.
#[derive(Debug, Clone)]
pub struct Catalog {
    entries: Vec<Entry>,
    /// What was found before: clusters of one profile and version share it.
    found: Found,
}

type Found = Arc<Mutex<BTreeMap<(String, Option<Version>), Arc<Profile>>>>;

#[derive(Debug, Clone)]
struct Entry {
    name: Arc<str>,
    text: &'static str,
    draft: Arc<OnceLock<Draft>>,
}

/// What is wrong with a shipped file; none, as a test says.
fn parse(text: &str) -> Result<Draft, Vec<Problem>> {
    let report = Report::default();
    let words = Words { vocabulary: Vocabulary::shipped(), peers: Vec::new(), any_peer: false, shipped: true };
    let node = tree::read(&report, "profile", text.as_bytes());
    let draft = node.and_then(|node| file::read(&report, &node, &words));
    let problems = report.into_problems();
    match draft {
        Some(draft) if problems.is_empty() => Ok(draft),
        _ => Err(problems),
    }
}

impl Entry {
    fn draft(&self) -> &Draft {
        self.draft.get_or_init(|| parse(self.text).expect("a test parses every profile that ships"))
    }
}

impl Catalog {
    /// What ships with the program.
    pub fn shipped() -> Self {
        let entries = SHIPPED.iter().map(|(name, text)| Entry { name: Arc::from(*name), text, draft: Arc::default() });
        Self { entries: entries.collect(), found: Found::default() }
    }

    /// These profiles, too.
    pub(crate) fn with(&self, own: Vec<Draft>) -> Self {
        if own.is_empty() {
            // What was found before holds on.
            return self.clone();
        }
        let mut all = Self { entries: self.entries.clone(), found: Found::default() };
        for draft in own {
            let name = Arc::clone(&draft.profile.name);
            all.entries.push(Entry { name, text: "", draft: Arc::new(OnceLock::from(draft)) });
        }
        all.entries.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The words.
    pub fn vocabulary(&self) -> &'static Vocabulary {
        Vocabulary::shipped()
    }

    /// Names of all profiles, sorted.
    pub fn all_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.entries.iter().map(|entry| &*entry.name).collect();
        names.dedup();
        names
    }

    /// Names that a cluster may give as `profile`, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names = self.all_names();
        names.retain(|name| self.kind(name).is_some_and(ProfileKind::is_for_clusters));
        names
    }

    /// What a profile is; `None`: there is none of that name.
    pub fn kind(&self, name: &str) -> Option<ProfileKind> {
        self.tables(name).first().map(|profile| profile.kind)
    }

    /// All tables of that name, each for its own versions, oldest first, with the rows of all its versions and without
    /// those of its add-ons.
    pub fn tables(&self, name: &str) -> Vec<Profile> {
        let mut tables: Vec<Profile> = self
            .entries
            .iter()
            .filter(|entry| &*entry.name == name)
            .map(|entry| self.extended(entry.draft()))
            .collect();
        tables.sort_by_key(|profile| profile.versions.from);
        tables
    }

    /// The profile of that name for that version, with its add-ons; without a version the newest.
    pub fn find(&self, name: &str, version: Option<Version>) -> Result<Arc<Profile>, PickError> {
        let key = (name.to_owned(), version);
        if let Some(found) = self.found.lock().ok().and_then(|found| found.get(&key).cloned()) {
            return Ok(found);
        }
        let tables = self.tables(name);
        let Some(newest) = tables.last() else { return Err(PickError::UnknownName(name.to_owned())) };
        if !newest.kind.is_for_clusters() {
            return Err(PickError::NotForClusters { name: name.to_owned(), kind: newest.kind });
        }
        let Some((table, version)) = pick(&tables, version) else {
            let version = version.unwrap_or(Version { major: 0, minor: 0, patch: 0 });
            let mut see: Vec<String> = tables.iter().flat_map(|t| &t.see).map(ToString::to_string).collect();
            see.dedup();
            let ranges = tables.iter().map(|profile| profile.versions.to_string()).collect();
            return Err(PickError::NoSuchVersion { name: name.to_owned(), version, ranges, see });
        };
        let mut profile = table.clone();
        resolve::keep_version(&mut profile, version);
        let add_on = |name: &str| {
            let tables = self.tables(name);
            let (table, version) = pick(&tables, version).or_else(|| Some((tables.last()?, None)))?;
            let mut add_on = table.clone();
            resolve::keep_version(&mut add_on, version);
            Some(Arc::new(add_on))
        };
        let profile = Arc::new(resolve::composed(&profile, &add_on));
        if let Ok(mut found) = self.found.lock() {
            found.insert(key, Arc::clone(&profile));
        }
        Ok(profile)
    }

    /// The profile that `NAME` (the newest) or `NAME@VERSION` is.
    pub(crate) fn base(&self, word: &str) -> Option<Profile> {
        let draft = self.base_draft(word)?;
        Some(self.extended(draft))
    }

    fn base_draft(&self, word: &str) -> Option<&Draft> {
        let (name, version) = word.split_once('@').map_or((word, None), |(name, version)| (name, Some(version)));
        let named = self.entries.iter().filter(|entry| &*entry.name == name).map(Entry::draft);
        let fits = named.filter(|draft| version.is_none_or(|version| draft.profile.version == version));
        fits.max_by_key(|draft| draft.profile.versions.from)
    }

    /// Follows `extends`; a circle ends where it closes.
    fn extended(&self, draft: &Draft) -> Profile {
        let mut chain = vec![draft];
        let mut seen = BTreeSet::from([draft.profile.label()]);
        while let Some(base) = chain.last().and_then(|d| d.extends.as_deref()).and_then(|word| self.base_draft(word)) {
            if !seen.insert(base.profile.label()) {
                break;
            }
            chain.push(base);
        }
        let mut profile: Option<Profile> = None;
        for draft in chain.into_iter().rev() {
            profile = Some(resolve::extended(draft, profile.as_ref()));
        }
        profile.unwrap_or_else(|| draft.profile.clone())
    }

    /// Whether a profile's `extends` leads back to itself.
    pub(crate) fn is_circular(&self, draft: &Draft) -> bool {
        let mut seen = BTreeSet::from([draft.profile.label()]);
        let mut next = draft.extends.as_deref().and_then(|word| self.base_draft(word));
        while let Some(base) = next {
            if !seen.insert(base.profile.label()) {
                return true;
            }
            next = base.extends.as_deref().and_then(|word| self.base_draft(word));
        }
        false
    }
}

/// The table for that version, and the version where it is one of the table's own product.
fn pick(tables: &[Profile], version: Option<Version>) -> Option<(&Profile, Option<Version>)> {
    let of_rancher = |table: &&Profile| table.subject == PICKED_BY;
    let range = |table: &Profile| -> VersionRange { table.versions.clone() };
    match version {
        Some(version) if tables.iter().any(|table| of_rancher(&table)) => {
            let mut fits = tables.iter().filter(|table| !of_rancher(table) || range(table).contains(version));
            fits.next_back().map(|table| (table, Some(version)))
        }
        _ => tables.last().map(|table| (table, None)),
    }
}

#[cfg(test)]
mod tests;

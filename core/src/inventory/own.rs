//! The user's own profiles and guards: files that the inventory names, read like those that ship.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::{Index, child};
use super::problem::Code;
use super::report::Report;
use super::tree::{self, Node};
use crate::guard::{self, Guard};
use crate::profile::{Catalog, Draft, ProfileKind, Words, read};

/// What the inventory brings beside what ships.
pub(super) struct Own {
    /// The shipped profiles and the user's.
    pub catalog: Catalog,
    /// The user's guards.
    pub guards: Vec<Guard>,
}

/// Where and how the files are found.
pub(super) struct Files<'a> {
    pub report: &'a Report,
    /// The folders of the inventory's files, by their number.
    pub folders: &'a [&'a Path],
    pub read: &'a dyn Fn(&Path) -> Result<String, String>,
}

impl Files<'_> {
    /// The files that a list of the top level names, each once, with the node that names it.
    fn named<'n>(&self, roots: &'n [Option<Node>], key: &str) -> Vec<(&'n Node, Node)> {
        let lists = roots.iter().flatten().filter_map(|root| child(root, key));
        let mut found: BTreeMap<PathBuf, ()> = BTreeMap::new();
        let mut files = Vec::new();
        for item in lists.flat_map(|list| list.items(self.report)) {
            let Some(name) = item.text(self.report) else { continue };
            let path = self.folders.get(item.place.source).map_or_else(|| name.into(), |folder| folder.join(name));
            if found.insert(path.clone(), ()).is_none() {
                files.extend(self.file(item, &path).map(|root| (item, root)));
            }
        }
        files
    }

    fn file(&self, item: &Node, path: &Path) -> Option<Node> {
        match (self.read)(path) {
            Ok(text) if text.trim().is_empty() => {
                let finding = item.place.error(Code::File, format!("`{}` is empty", path.display()));
                self.report.add(finding.help("docs/profiles.md shows what stands in it"));
                None
            }
            Ok(text) => tree::read(self.report, &path.to_string_lossy(), text.as_bytes()),
            Err(error) => {
                let message = format!("can't read `{}`: {error}", path.display());
                self.report.add(item.place.error(Code::File, message).help("the path is relative to the inventory"));
                None
            }
        }
    }
}

/// Reads the files of `profiles` and `guards`.
pub(super) fn own(files: &Files<'_>, roots: &[Option<Node>], index: &Index<'_>, shipped: &Catalog) -> Own {
    Own { catalog: profiles(files, roots, index, shipped), guards: guards(files, roots) }
}

fn profiles(files: &Files<'_>, roots: &[Option<Node>], index: &Index<'_>, shipped: &Catalog) -> Catalog {
    let report = files.report;
    let peers = index.peers.iter().copied().collect();
    let words = Words { vocabulary: shipped.vocabulary(), peers, any_peer: index.partial, shipped: false };
    let mut drafts: Vec<(Node, Draft)> = Vec::new();
    for (_, root) in files.named(roots, "profiles") {
        let Some(draft) = read(report, &root, &words) else { continue };
        let at = child(&root, "name").unwrap_or(&root).place.clone();
        let (name, label) = (&draft.profile.name, draft.profile.label());
        if shipped.all_names().contains(&&**name) {
            let finding = at.error(Code::Conflict, format!("a profile that ships has the name `{name}`"));
            report.add(finding.help(format!("give yours another name; `extends: {name}` takes its rows")));
        } else if let Some((first, _)) = drafts.iter().find(|(_, other)| other.profile.label() == label) {
            let first = child(first, "name").unwrap_or(first).place.clone();
            let finding = at.error(Code::Conflict, format!("two profiles are `{label}`")).also(&first, "the other");
            report.add(finding.help("give them different names, or a `version` each"));
        } else {
            drafts.push((root, draft));
        }
    }
    let catalog = shipped.with(drafts.iter().map(|(_, draft)| draft.clone()).collect());
    for (root, draft) in &drafts {
        check_references(report, &catalog, root, draft);
    }
    catalog
}

/// Names in a profile of the user's own that other profiles must have.
fn check_references(report: &Report, catalog: &Catalog, root: &Node, draft: &Draft) {
    if let (Some(node), Some(word)) = (child(root, "extends"), &draft.extends) {
        match catalog.base(word) {
            None => {
                let name = word.split('@').next().unwrap_or(word);
                let versions: Vec<String> = catalog.tables(name).iter().map(|table| table.label()).collect();
                let known: Vec<&str> =
                    if versions.is_empty() { catalog.all_names() } else { versions.iter().map(|v| &**v).collect() };
                report.add(node.unknown("profile", known));
            }
            Some(_) if catalog.is_circular(draft) => {
                let finding = node.place.error(Code::Conflict, format!("`{}` extends itself", draft.profile.name));
                report.add(finding.help("follow `extends` from file to file: one of them must go"));
            }
            Some(base) => {
                for item in child(root, "without").map(|node| node.items(report)).unwrap_or_default() {
                    if item.text(report).is_some_and(|id| base.rows.iter().all(|row| &*row.id != id)) {
                        let what = format!("row of profile `{}`", base.label());
                        report.add(item.unknown(&what, base.rows.iter().map(|row| &*row.id)));
                    }
                }
            }
        }
    }
    let parts = child(root, "compose").map(|node| node.entries(report)).unwrap_or_default();
    for name in parts.iter().filter_map(|part| child(part, "profile")) {
        let Some(text) = name.text(report) else { continue };
        match catalog.kind(text) {
            None => report.add(name.unknown("profile", catalog.all_names())),
            Some(kind @ (ProfileKind::Glossary | ProfileKind::HostFirewall)) => {
                let message = format!("`{text}` is a {}: its rows say nothing about a cluster", kind.as_str());
                report.add(name.place.error(Code::Conflict, message).help("name a profile of another kind"));
            }
            Some(_) => {}
        }
    }
    for key in ["see", "compare"] {
        for item in child(root, key).map(|node| node.items(report)).unwrap_or_default() {
            if item.text(report).is_some_and(|name| catalog.kind(name).is_none()) {
                report.add(item.unknown("profile", catalog.all_names()));
            }
        }
    }
}

fn guards(files: &Files<'_>, roots: &[Option<Node>]) -> Vec<Guard> {
    let report = files.report;
    let mut own: Vec<Guard> = Vec::new();
    for (_, root) in files.named(roots, "guards") {
        for node in root.entries(report) {
            let Some(guard) = guard::read(report, node) else { continue };
            let taken = |others: &[Guard]| others.iter().any(|other| other.name == guard.name);
            if taken(guard::guards()) || taken(&own) {
                let at = &child(node, "name").unwrap_or(node).place;
                let finding = at.error(Code::Conflict, format!("another guard is named `{}`", guard.name));
                report.add(finding.help("give yours another name: it is waived by it"));
            } else {
                own.push(guard);
            }
        }
    }
    own
}

/// Every name by which a guard may be set aside: what ships, the user's own, and rows that forbid public ranges.
pub(super) fn guard_names<'a>(own: &'a [Guard], rows: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<&'a str> {
    let named = guard::guards().iter().chain(own).map(|guard| &*guard.name);
    named.chain(rows.into_iter().map(|id| &**id)).collect()
}

//! Drafts become profiles: what they extend is taken in, and what they compose joins under its condition.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::file::Draft;
use super::{Condition, OptionDefault, Profile, ProfileRow, VersionRange, label};

/// A draft together with what it extends; add-ons are not yet in it.
pub(super) fn extended(draft: &Draft, base: Option<&Profile>) -> Profile {
    let mut profile = draft.profile.clone();
    if let Some(base) = base {
        let own = std::mem::take(&mut profile.rows);
        let replaced = |row: &ProfileRow| own.iter().find(|other| other.id == row.id).cloned();
        let left = base.rows.iter().filter(|row| !draft.without.iter().any(|id| **id == *row.id));
        let mut rows: Vec<ProfileRow> = left.map(|row| replaced(row).unwrap_or_else(|| row.clone())).collect();
        rows.extend(own.iter().filter(|row| base.rows.iter().all(|other| other.id != row.id)).cloned());
        profile.rows = rows;
        profile.kind = draft.kind.unwrap_or(base.kind);
        profile.roles = or_of(profile.roles, &base.roles);
        profile.needs = or_of(profile.needs, &base.needs);
        profile.compose = or_of(profile.compose, &base.compose);
        profile.footnotes = or_of(profile.footnotes, &base.footnotes);
        profile.about = or_of(profile.about, &base.about);
        profile.loopback = or_of(profile.loopback, &base.loopback);
        profile.defaults.extend(base.defaults.iter().cloned());
        for (option, value) in &base.fixes {
            profile.fixes.entry(Arc::clone(option)).or_insert_with(|| value.clone());
        }
    }
    let of: Arc<str> = label(&profile.name, &profile.version).into();
    for row in &mut profile.rows {
        row.profile = Arc::clone(&profile.name);
        row.label = Arc::clone(&of);
    }
    profile
}

fn or_of<T: Clone>(own: Vec<T>, base: &[T]) -> Vec<T> {
    if own.is_empty() { base.to_vec() } else { own }
}

/// A profile with the rows and defaults of its add-ons, each under the condition that joins it; `find` gives an add-on.
///
/// An add-on that several ways lead to joins once. Names that `find` doesn't know are left out.
pub(super) fn composed(profile: &Profile, find: &dyn Fn(&str) -> Option<Arc<Profile>>) -> Profile {
    let mut whole = profile.clone();
    let mut seen = BTreeSet::from([Arc::clone(&profile.name)]);
    join(profile, &Condition::always(), find, &mut seen, &mut whole);
    whole
}

fn join(
    profile: &Profile,
    outer: &Condition,
    find: &dyn Fn(&str) -> Option<Arc<Profile>>,
    seen: &mut BTreeSet<Arc<str>>,
    whole: &mut Profile,
) {
    for part in &profile.compose {
        let Some(add_on) = find(&part.profile).filter(|add_on| seen.insert(Arc::clone(&add_on.name))) else { continue };
        let when = outer.and(&part.when);
        whole.rows.extend(add_on.rows.iter().map(|row| {
            let condition = when.and(&row.condition);
            ProfileRow { condition, ..row.clone() }
        }));
        whole.defaults.extend(
            add_on.defaults.iter().map(|default| OptionDefault { when: when.and(&default.when), ..default.clone() }),
        );
        join(&add_on, &when, find, seen, whole);
    }
}

/// Leaves out the rows of other versions; `within`: those of the profile, whose newest is meant without `version`.
pub(super) fn keep_version(profile: &mut Profile, version: Option<super::Version>) {
    let within: VersionRange = profile.versions.clone();
    profile.rows.retain(|row| match version {
        Some(version) => row.versions.contains(version),
        None => row.versions.reaches_end_of(&within),
    });
}

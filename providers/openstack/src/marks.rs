//! Our marks on groups: in the description of those that we make, in the tags of others.
//!
//! A tag is set and deleted by a call of its own that leaves the others alone; as it stands in that call's path, and
//! Neutron takes no slash there, it is `rsgsync:OWNER:CLUSTER:ORIGIN`.

use std::collections::BTreeMap;

use rsgsync_core::describe::{group_marks_in, without_marks};
use rsgsync_core::name::{GroupMark, Mark, Origin};

use crate::wire::Group;

const PREFIX: &str = "rsgsync:";

/// The tag of a mark.
pub(crate) fn tag(mark: &Mark, origin: Origin) -> String {
    format!("{PREFIX}{}:{}:{}", mark.owner, mark.cluster, origin.as_str())
}

/// The mark in a tag; an origin that is none counts as `joined`, which permits least.
fn mark_of(tag: &str) -> Option<GroupMark> {
    let (mark, origin) = tag.strip_prefix(PREFIX)?.rsplit_once(':')?;
    let (owner, cluster) = mark.split_once(':')?;
    let mark = Mark::parse(&format!("{owner}/{cluster}"))?;
    Some(GroupMark { mark, origin: Origin::parse(origin).unwrap_or(Origin::Joined) })
}

/// A group's marks, sorted; of several ways to come to one group the one that permits most counts.
pub(crate) fn group_marks(group: &Group) -> Vec<GroupMark> {
    let mut marks: BTreeMap<Mark, Origin> = BTreeMap::new();
    let in_tags = group.tags.iter().filter_map(|tag| mark_of(tag));
    for GroupMark { mark, origin } in group_marks_in(description(group)).into_iter().chain(in_tags) {
        let strongest = marks.entry(mark).or_insert(origin);
        *strongest = origin.min(*strongest);
    }
    marks.into_iter().map(|(mark, origin)| GroupMark { mark, origin }).collect()
}

/// The group's tags that carry one of the marks.
pub(crate) fn tags_of<'a>(group: &'a Group, marks: &[Mark]) -> impl Iterator<Item = &'a str> {
    let marked = |tag: &&String| mark_of(tag).is_some_and(|found| marks.contains(&found.mark));
    group.tags.iter().filter(marked).map(String::as_str)
}

/// The group's description without the marks; `None`: they aren't in it.
pub(crate) fn unmarked(group: &Group, marks: &[Mark]) -> Option<String> {
    let rest = without_marks(description(group), marks);
    (rest != description(group)).then_some(rest)
}

fn description(group: &Group) -> &str {
    group.description.as_deref().unwrap_or_default()
}

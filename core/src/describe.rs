//! Reasons and marks become descriptions that the cloud accepts, and descriptions become marks again.

use std::collections::BTreeSet;

use crate::flow::Reason;
use crate::name::{GroupMark, Mark, Origin};
use crate::pack::Dialect;

/// What marks begin with; `OWNER/CLUSTER` follows.
const PREFIX: &str = "rsgsync:";

/// A legal description: the purposes, shortened where needed, and the marks where the cloud keeps them here.
///
/// The marks are never shortened; where they alone are longer than the cloud allows, they are all that stands.
pub fn describe(reasons: &[Reason], marks: &[Mark], dialect: &Dialect) -> String {
    let mut purposes: Vec<&str> = reasons.iter().map(|r| &*r.why).collect();
    purposes.sort_unstable();
    purposes.dedup();
    let marks = marks.iter().filter(|_| dialect.marks_in_description).map(|mark| format!(" {PREFIX}{mark}"));
    legal(purposes.join("; "), &marks.collect::<String>(), dialect)
}

/// As [`describe`], for a group: each of its marks ends in how we came to the group.
pub fn describe_group(purpose: String, marks: &[(Mark, Origin)], dialect: &Dialect) -> String {
    let marks = marks.iter().filter(|_| dialect.marks_in_description);
    let marks = marks.map(|(mark, origin)| format!(" {PREFIX}{mark} {}", origin.as_str()));
    legal(purpose, &marks.collect::<String>(), dialect)
}

fn legal(mut text: String, suffix: &str, dialect: &Dialect) -> String {
    if !text.chars().all(|c| is_legal(c, dialect)) {
        text = text.chars().map(|c| if is_legal(c, dialect) { c } else { '-' }).collect();
    }
    let room = dialect.description_length.saturating_sub(suffix.chars().count());
    if text.chars().count() > room {
        let kept: String = text.chars().take(room.saturating_sub(2)).collect();
        text = format!("{}..", kept.trim_end());
    }
    text.push_str(suffix);
    if text.trim().len() == text.len() { text } else { text.trim().to_owned() }
}

/// The marks in a rule's description, sorted.
pub fn marks_in(description: &str) -> Vec<Mark> {
    let marks: BTreeSet<Mark> = description.split_whitespace().filter_map(mark_in).collect();
    marks.into_iter().collect()
}

/// The marks in a group's description, sorted. One without an origin counts as `joined`, which permits least.
pub fn group_marks_in(description: &str) -> Vec<GroupMark> {
    let words: Vec<&str> = description.split_whitespace().collect();
    let marks = words.iter().enumerate().filter_map(|(i, word)| {
        let origin = words.get(i + 1).and_then(|next| Origin::parse(next)).unwrap_or(Origin::Joined);
        Some(GroupMark { mark: mark_in(word)?, origin })
    });
    marks.collect::<BTreeSet<GroupMark>>().into_iter().collect()
}

/// A group's description without these marks.
pub fn without_marks(description: &str, marks: &[Mark]) -> String {
    let gone = |word: &str| mark_in(word).is_some_and(|mark| marks.contains(&mark));
    if !description.split_whitespace().any(gone) {
        return description.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut words = description.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if gone(word) {
            words.next_if(|next| Origin::parse(next).is_some());
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

fn mark_in(word: &str) -> Option<Mark> {
    Mark::parse(word.strip_prefix(PREFIX)?)
}

fn is_legal(c: char, dialect: &Dialect) -> bool {
    match dialect.description_alphabet {
        Some(others) => c.is_ascii_alphanumeric() || others.contains(c),
        None => !c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::QuotaCount;

    fn dialect(length: usize, marks_in_description: bool) -> Dialect {
        Dialect {
            references_match_both: true,
            default_rules: Vec::new(),
            description_alphabet: Some(" ._-:/()#,@[]+=&;{}!$*"),
            description_length: length,
            marks_in_description,
            quota: QuotaCount::All,
            delete_cascades: false,
            updates_descriptions: true,
            groups_are_implicit: false,
        }
    }

    fn reason(why: &str) -> Reason {
        let cluster = crate::name::ClusterName::new("prod").unwrap();
        Reason { cluster, profile: "p@1".into(), row: "r".into(), why: why.into() }
    }

    #[test]
    fn several_purposes_stand_side_by_side_once() {
        let reasons = [reason("etcd peers"), reason("etcd clients"), reason("etcd peers")];
        assert_eq!(describe(&reasons, &[], &dialect(255, false)), "etcd clients; etcd peers");
    }

    #[test]
    fn illegal_characters_are_replaced() {
        assert_eq!(describe(&[reason("über 'x' < y")], &[], &dialect(255, false)), "-ber -x- - y");
    }

    #[test]
    fn the_purpose_is_shortened_but_never_the_mark() {
        let mark = Mark::parse("platform/prod").unwrap();
        let text = describe(&[reason(&"long ".repeat(20))], &[mark], &dialect(40, true));
        assert_eq!(text, "long long long l.. rsgsync:platform/prod");
        assert!(text.len() <= 40);
    }

    #[test]
    fn marks_of_a_description_read_back() {
        let marks = ["platform/prod", "web/shop"].map(|mark| Mark::parse(mark).unwrap());
        let text = describe(&[reason("etcd peers")], &marks, &dialect(255, true));
        assert_eq!(text, "etcd peers rsgsync:platform/prod rsgsync:web/shop");
        assert_eq!(marks_in(&text), marks);
        assert_eq!(marks_in("etcd peers rsgsync:platform rsgsync/web"), []);
    }

    #[test]
    fn a_group_s_marks_say_how_we_came_to_it() {
        let [prod, shop] = ["platform/prod", "web/shop"].map(|mark| Mark::parse(mark).unwrap());
        let text = describe_group(
            "nodes".to_owned(),
            &[(prod.clone(), Origin::Made), (shop.clone(), Origin::Adopted)],
            &dialect(255, true),
        );
        assert_eq!(text, "nodes rsgsync:platform/prod made rsgsync:web/shop adopted");
        let made = GroupMark { mark: prod.clone(), origin: Origin::Made };
        let adopted = GroupMark { mark: shop.clone(), origin: Origin::Adopted };
        assert_eq!(group_marks_in(&text), [made, adopted]);
        let bare = GroupMark { mark: prod.clone(), origin: Origin::Joined };
        assert_eq!(group_marks_in("rsgsync:platform/prod nodes"), [bare]);
        assert_eq!(without_marks(&text, std::slice::from_ref(&prod)), "nodes rsgsync:web/shop adopted");
        assert_eq!(without_marks("two  spaces", &[prod, shop]), "two  spaces");
    }
}

//! A rule's reasons become a description that the cloud accepts.

use crate::flow::Reason;
use crate::name::Mark;
use crate::pack::Dialect;

/// A legal description: the purposes, shortened where needed, and the marks where the cloud keeps them here.
///
/// The marks are never shortened; where they alone are longer than the cloud allows, they are all that stands.
pub fn describe(reasons: &[Reason], marks: &[Mark], dialect: &Dialect) -> String {
    let mut purposes: Vec<&str> = reasons.iter().map(|r| &*r.why).collect();
    purposes.sort_unstable();
    purposes.dedup();
    let mut text = purposes.join("; ");
    let suffix: String = if dialect.marks_in_description {
        marks.iter().map(|mark| format!(" rsgsync:{mark}")).collect()
    } else {
        String::new()
    };
    if !text.chars().all(|c| is_legal(c, dialect)) {
        text = text.chars().map(|c| if is_legal(c, dialect) { c } else { '-' }).collect();
    }
    let room = dialect.description_length.saturating_sub(suffix.chars().count());
    if text.chars().count() > room {
        let kept: String = text.chars().take(room.saturating_sub(2)).collect();
        text = format!("{}..", kept.trim_end());
    }
    text.push_str(&suffix);
    if text.trim().len() == text.len() { text } else { text.trim().to_owned() }
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
}

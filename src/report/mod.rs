//! A plan as people and programs read it.

pub mod brief;
pub mod explain;
pub mod html;
pub mod metrics;
pub mod text;
pub mod wrap;

use std::io::{self, Write};

/// Text of a cloud, on one line: control characters and marks that turn the writing direction are written visibly.
pub fn escape(text: &str) -> String {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let visible = |c: char| -> Box<dyn Iterator<Item = char>> {
        if hidden(c) { Box::new(c.escape_unicode()) } else { Box::new(std::iter::once(c)) }
    };
    text.chars().flat_map(visible).collect()
}

/// As [`escape`], where our own text has several lines.
pub fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape).collect::<Vec<_>>().join("\n")
}

/// Prints a report to stdout; a reader that went away is no error.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// `1 rule`, `2 rules`.
pub fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_a_cloud_reach_no_terminal() {
        assert_eq!(escape("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(escape("etcd – peers"), "etcd – peers");
        assert_eq!(escape("x\nProof 42 of 42"), "x\\u{a}Proof 42 of 42");
        assert_eq!(escape("\u{202e}abc"), "\\u{202e}abc");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(
            (count(1, "rule"), count(0, "rule"), count(2, "rule")),
            ("1 rule".into(), "0 rules".into(), "2 rules".into())
        );
    }
}

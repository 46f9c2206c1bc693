//! A plan as people and programs read it.

pub mod text;

use std::io::{self, Write};

/// Control characters (a cloud's names and descriptions may hold any) written visibly, so that none reaches a terminal.
pub fn escape(text: &str) -> String {
    let visible = |c: char| -> Box<dyn Iterator<Item = char>> {
        if c.is_control() && c != '\n' { Box::new(c.escape_unicode()) } else { Box::new(std::iter::once(c)) }
    };
    text.chars().flat_map(visible).collect()
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
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(
            (count(1, "rule"), count(0, "rule"), count(2, "rule")),
            ("1 rule".into(), "0 rules".into(), "2 rules".into())
        );
    }
}

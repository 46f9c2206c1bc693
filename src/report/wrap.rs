//! Long lines of a report, cut to a terminal's width.

use anstream::adapter::strip_str;
use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm, wrap};

/// No line is cut shorter than to so many columns.
const LEAST: usize = 40;
/// What follows a longer first word than this doesn't stand under it.
const DEEPEST: usize = 12;
/// What stands between two columns of a report.
const GAP: &str = "   ";

/// The columns of the terminal that stdout is; `None`: it is none, and whoever reads it may search its lines.
pub fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into())
}

/// The same of stderr.
pub fn columns_of_stderr() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stderr()).map(|(width, _)| width.0.into())
}

/// A text whose lines fit into so many columns, but for words that are longer by themselves; colours take none.
///
/// What goes on stands below the line's second word. Where a line has columns of its own, the last of them goes on first.
pub fn wrapped(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns.filter(|columns| *columns > 0).map(|columns| columns.max(LEAST)) else {
        return text.to_owned();
    };
    let lines = text.split('\n').map(|line| fitted(line, columns));
    lines.collect::<Vec<_>>().join("\n")
}

fn fitted(line: &str, columns: usize) -> String {
    if display_width(line) <= columns {
        return line.to_owned();
    }
    let indent = " ".repeat(hang(line));
    let options = Options::new(columns)
        .subsequent_indent(&indent)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
        .break_words(false);
    let (first, last) = halves(line);
    let below = last.into_iter().flat_map(|last| wrap(last, options.clone().initial_indent(&indent)));
    wrap(first, options.clone()).into_iter().chain(below).collect::<Vec<_>>().join("\n")
}

/// A line up to its last column, and that column.
fn halves(line: &str) -> (&str, Option<&str>) {
    let parts = line.rfind(GAP).map(|at| (line[..at].trim_end(), line[at..].trim_start()));
    let parts = parts.filter(|(first, last)| has_words(first) && has_words(last));
    parts.map_or((line, None), |(first, last)| (first, Some(last)))
}

fn has_words(text: &str) -> bool {
    !strip_str(text).to_string().trim().is_empty()
}

/// The column of a line's second word.
fn hang(line: &str) -> usize {
    let plain = strip_str(line).to_string();
    let (indented, indent) = (plain.trim_start(), plain.len() - plain.trim_start().len());
    let word = indented.find(' ').unwrap_or(indented.len());
    let (word, rest) = indented.split_at(word);
    let gap = rest.len() - rest.trim_start().len();
    let column = indent + display_width(word) + gap;
    if gap > 0 && column <= DEEPEST { column } else { indent + 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "\
lab · simulated cloud.json                                     read 1 group, 13 rules in 1 call

~ nodes  sg-00000000000000001  shared  +1 −0 · 10 kept · 2 foreign, left alone · quota 14 of 60 ingress ipv4
    + in  10250-10252/tcp   from nodes                      kubelet 10250, old scheduler 10251, old controller manager 10252  [kubelet-and-control]
    · in  9000/tcp          from 192.0.2.0/24               foreign, left alone
note 2376/tcp is open to 0.0.0.0/0 on `nodes`: rancher-nodes-ec2-sg@2.4/docker-tls says so; `narrow` it
Proof  12 of 13 required flows hold now, none is cut at any step · nothing else opens · 10 guards hold
";

    #[test]
    fn a_line_goes_on_below_its_second_word_and_columns_stay_whole() {
        let expected = "\
lab · simulated cloud.json
    read 1 group, 13 rules in 1 call

~ nodes  sg-00000000000000001  shared  +1 −0 · 10 kept · 2 foreign, left alone ·
  quota 14 of 60 ingress ipv4
    + in  10250-10252/tcp   from nodes
      kubelet 10250, old scheduler 10251, old controller manager 10252
      [kubelet-and-control]
    · in  9000/tcp          from 192.0.2.0/24               foreign, left alone
note 2376/tcp is open to 0.0.0.0/0 on `nodes`:
     rancher-nodes-ec2-sg@2.4/docker-tls says so; `narrow` it
Proof  12 of 13 required flows hold now, none is cut at any step · nothing else
       opens · 10 guards hold
";
        assert_eq!(wrapped(PLAN, Some(80)), expected);
    }

    #[test]
    fn where_no_terminal_is_nothing_is_cut() {
        assert_eq!((wrapped(PLAN, None), wrapped(PLAN, Some(0))), (PLAN.to_owned(), PLAN.to_owned()));
    }

    #[test]
    fn no_word_is_lost_and_no_line_too_long_whatever_the_width() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for columns in LEAST..=200 {
            let narrow = wrapped(PLAN, Some(columns));
            assert_eq!(words(&narrow), words(PLAN), "{columns}");
            assert!(narrow.lines().all(|line| display_width(line) <= columns), "{columns}:\n{narrow}");
        }
    }

    #[test]
    fn what_is_longer_than_a_line_stays_whole() {
        let path = "/home/somebody/.local/state/rsgsync/2027-01-31-prod.jsonl";
        assert_eq!(wrapped(&format!("journal: {path}"), Some(40)), format!("journal:\n         {path}"));
    }

    #[test]
    fn colours_take_no_room() {
        let coloured = "\u{1b}[33mnote\u{1b}[0m 2376/tcp is open to 0.0.0.0/0 on nodes";
        assert_eq!(wrapped(coloured, Some(46)), coloured);
        assert_eq!(wrapped(coloured, Some(40)), "\u{1b}[33mnote\u{1b}[0m 2376/tcp is open to 0.0.0.0/0 on\n     nodes");
    }
}

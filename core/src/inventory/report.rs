//! Findings, as reading an inventory comes upon them, become the problems that are shown.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use miette::{NamedSource, Severity};

use super::problem::{Code, Problem, Spot};

/// The way from the top of a file to a node: `clusters.prod.groups.etcd.roles[0]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Path(Option<Rc<(Path, Step)>>);

#[derive(Debug)]
enum Step {
    Key(String),
    Item(usize),
}

impl Path {
    pub fn key(&self, key: &str) -> Self {
        Self(Some(Rc::new((self.clone(), Step::Key(key.to_owned())))))
    }

    pub fn item(&self, index: usize) -> Self {
        Self(Some(Rc::new((self.clone(), Step::Item(index)))))
    }

    /// How a sentence names the node: `` `roles` ``, ``an item of `roles` `` or `the inventory`.
    pub fn subject(&self) -> String {
        match self.0.as_deref() {
            None => "the inventory".to_owned(),
            Some((_, Step::Key(key))) => format!("`{key}`"),
            Some((list, Step::Item(_))) => format!("an item of {}", list.subject()),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_deref() {
            None => Ok(()),
            Some((Path(None), Step::Key(key))) => f.write_str(key),
            Some((path, Step::Key(key))) => write!(f, "{path}.{key}"),
            Some((path, Step::Item(index))) => write!(f, "{path}[{index}]"),
        }
    }
}

/// Where something stands: the file by its number, and bytes `start..end` of its text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    pub source: usize,
    pub start: usize,
    pub end: usize,
    pub path: Path,
}

impl Place {
    pub fn error(&self, code: Code, message: impl Into<String>) -> Finding {
        let (place, message) = (self.clone(), message.into());
        Finding { severity: Severity::Error, code, place, message, help: None, also: Vec::new() }
    }

    pub fn warning(&self, code: Code, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, ..self.error(code, message) }
    }
}

/// An error or warning whose place is not yet turned into line and column.
#[must_use = "a finding that is not added to the report is lost"]
#[derive(Debug)]
pub(crate) struct Finding {
    severity: Severity,
    code: Code,
    place: Place,
    message: String,
    help: Option<String>,
    also: Vec<(Place, String)>,
}

impl Finding {
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub fn maybe_help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    /// A second place that belongs to it.
    pub fn also(mut self, place: &Place, note: &str) -> Self {
        self.also.push((place.clone(), note.to_owned()));
        self
    }
}

/// The texts of the files, and what was found in them so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    texts: RefCell<Vec<Arc<NamedSource<String>>>>,
    findings: RefCell<Vec<Finding>>,
}

impl Report {
    /// Adds a file; its number is what a [`Place`] calls `source`.
    pub fn add_text(&self, name: &str, text: &str) -> usize {
        let mut texts = self.texts.borrow_mut();
        texts.push(Arc::new(NamedSource::new(printable(name), printable(text))));
        texts.len() - 1
    }

    pub fn add(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    pub fn has_errors(&self) -> bool {
        self.findings.borrow().iter().any(|finding| finding.severity == Severity::Error)
    }

    /// All findings in the order of the files, each once: what an alias brings to several places is told once.
    pub fn into_problems(self) -> Vec<Problem> {
        let texts: Vec<Lines> = self.texts.into_inner().into_iter().map(Lines::of).collect();
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|f| (f.place.source, f.place.start, f.severity != Severity::Error));
        let mut seen = HashSet::new();
        findings.retain(|f| seen.insert((f.place.source, f.place.start, f.message.clone())));
        findings.into_iter().filter_map(|finding| problem(finding, &texts)).collect()
    }
}

fn problem(finding: Finding, texts: &[Lines]) -> Option<Problem> {
    let Finding { severity, code, place, message, help, also } = finding;
    let spot = texts.get(place.source)?.spot(&place, place.path.to_string());
    let also = also.into_iter().filter_map(|(place, note)| Some(texts.get(place.source)?.spot(&place, note))).collect();
    Some(Problem { code, severity, message: printable(&message), help: help.map(|h| printable(&h)), spot, also })
}

/// A text with the starts of its lines, in bytes.
struct Lines {
    text: Arc<NamedSource<String>>,
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: Arc<NamedSource<String>>) -> Self {
        let breaks = text.inner().match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(breaks).collect();
        Self { text, starts }
    }

    fn spot(&self, place: &Place, note: String) -> Spot {
        let inner = self.text.inner();
        let start = floor_char_boundary(inner, place.start);
        let end = floor_char_boundary(inner, place.end).max(start);
        let line = self.starts.partition_point(|at| *at <= start).max(1);
        let column = inner[self.starts[line - 1]..start].chars().count() + 1;
        Spot { text: Arc::clone(&self.text), start, end, line, column, note: printable(&note) }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The text without what would steer a terminal, byte for byte as long as before.
fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t' && c != '\r';
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| if steers(c) { [Some('?'), (c.len_utf8() > 1).then_some('?')] } else { [Some(c), None] })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_people_write_them() {
        let roles = Path::default().key("clusters").key("prod").key("roles");
        assert_eq!(roles.item(0).to_string(), "clusters.prod.roles[0]");
        assert_eq!(roles.item(0).subject(), "an item of `roles`");
    }

    #[test]
    fn columns_count_characters() {
        let report = Report::default();
        let source = report.add_text("a.yaml", "x: 1\nä: über\n");
        report.add(Place { source, start: 9, end: 14, path: Path::default() }.error(Code::BadValue, "no"));
        let problems = report.into_problems();
        assert_eq!((problems[0].line(), problems[0].column(), problems[0].underlined()), (2, 4, "über"));
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\u{9b}b\n"), "a?[2J??b\n");
    }
}

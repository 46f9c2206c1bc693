//! A right inventory, and ways to break it in one place.

mod errors;
mod files;
mod limits;
mod own;
mod providers;
mod right;
mod warnings;

use std::path::Path;

use super::*;
use providers::PROVIDERS;

/// Every key that there is.
const WHOLE: &str = include_str!("whole.yaml");

fn source(path: &str, text: impl AsRef<[u8]>) -> Source {
    let folder = Path::new(path).parent().map(Path::to_owned).unwrap_or_default();
    Source { path: path.to_owned(), folder, bytes: text.as_ref().to_owned() }
}

/// Reads files on the first of January 2027; `office.txt` is the one file that they may name.
fn read_files(sources: &[Source]) -> Result<Parsed, Problems> {
    let office = |path: &Path| match path.file_name().and_then(|name| name.to_str()) {
        Some("office.txt") => Ok("# the office\n198.51.100.7\n\n2001:db8:1::/48  # and its IPv6\n".to_owned()),
        Some("spoilt.txt") => Ok("198.51.100.7\n  198.51.100.777/32\n".to_owned()),
        Some("empty.txt") => Ok("# nothing yet\n".to_owned()),
        _ => Err("no such file".to_owned()),
    };
    parse(sources, &Catalog::shipped(), &PROVIDERS, jiff::civil::date(2027, 1, 1), &office)
}

fn read(text: impl AsRef<[u8]>) -> Result<Parsed, Problems> {
    read_files(&[source("cluster.yaml", text)])
}

/// The right inventory with one place changed.
fn changed(old: &str, new: &str) -> String {
    assert!(WHOLE.contains(old), "`{old}` is not in the right inventory");
    WHOLE.replacen(old, new, 1)
}

/// The text without its marks `«…»`, and line, column and text of what they enclose.
fn unmark(text: &str) -> (String, (usize, usize, String)) {
    let (before, rest) = text.split_once('«').expect("a mark");
    let (marked, after) = rest.split_once('»').expect("a mark's end");
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (format!("{before}{marked}{after}"), (line, column, marked.to_owned()))
}

fn check(problem: &Problem, at: &(usize, usize, String), message: &str, help: &str) {
    assert_eq!(problem.message(), message);
    let here = (problem.line(), problem.column(), problem.underlined().to_owned());
    assert_eq!(here, *at, "line, column and underlined text of: {message}");
    let told = problem.help().unwrap_or_default();
    assert!(told.contains(help) && told.is_empty() == help.is_empty(), "help of: {message}\nis: {told}");
}

/// `text` has one error; `«…»` in it is what is underlined.
fn check_file(text: &str, message: &str, help: &str) {
    let (text, at) = unmark(text);
    let problems = read(&text).expect_err("an error");
    let errors: Vec<&Problem> = problems.iter().filter(|problem| !problem.is_warning()).collect();
    assert_eq!(errors.len(), 1, "one error in: {errors:#?}");
    check(errors[0], &at, message, help);
}

/// The right inventory with `old` changed to `new` has one error; `«…»` in `new` is what is underlined.
fn check_error(old: &str, new: &str, message: &str, help: &str) {
    check_file(&changed(old, new), message, help);
}

/// As [`check_error`], for a warning more than the right inventory has.
fn check_warning(old: &str, new: &str, message: &str, help: &str) {
    let (text, at) = unmark(&changed(old, new));
    let parsed = read(&text).expect("only a warning");
    let warning = parsed.warnings.iter().find(|warning| warning.line() == at.0).expect("a warning on that line");
    check(warning, &at, message, help);
}

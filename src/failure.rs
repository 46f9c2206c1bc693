//! What went wrong, in words for people, and the exit code that it means.

use std::fmt::Write as _;

use rsgsync_core::inventory::Problems;
use rsgsync_core::plan::PlanError;
use rsgsync_engine::CloudError;

/// Why a command can't do its job: exit code 1.
#[derive(Debug)]
pub enum Failure {
    /// The inventory is wrong; every problem with its place.
    Inventory(Problems),
    /// No plan can be made.
    Plan(Vec<PlanError>),
    /// A cloud said no.
    Cloud(Vec<CloudError>),
    /// Anything else: what, and what to do next.
    Other {
        /// What is wrong.
        message: String,
        /// What to do next.
        help: Option<String>,
    },
}

impl Failure {
    /// A failure with a way out.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Other { message: message.into(), help: Some(help.into()) }
    }

    /// The text for stderr.
    pub fn render(&self) -> String {
        match self {
            Self::Inventory(problems) => problems.iter().map(problem).collect(),
            Self::Plan(errors) => errors.iter().map(|e| line("error", &e.to_string(), Some(&e.help()))).collect(),
            Self::Cloud(errors) => errors.iter().map(|e| line("error", &e.to_string(), e.help.as_deref())).collect(),
            Self::Other { message, help } => line("error", message, help.as_deref()),
        }
    }
}

/// A problem of the inventory, with the line that it is about.
pub fn problem(problem: &rsgsync_core::inventory::Problem) -> String {
    // A picture of an endless line helps nobody.
    if problem.source_line().len() > 400 {
        let place = format!("{}:{}:{}: {}", problem.path(), problem.line(), problem.column(), problem.message());
        return line(if problem.is_warning() { "warning" } else { "error" }, &place, problem.help());
    }
    let mut out = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .with_links(false)
        .with_width(100);
    match handler.render_report(&mut out, problem) {
        Ok(()) => out,
        Err(_) => line("error", problem.message(), problem.help()),
    }
}

/// `error: MESSAGE`, and on the next line `  help: WAY OUT`; control characters are escaped.
pub fn line(kind: &str, message: &str, help: Option<&str>) -> String {
    let mut out = format!("{kind}: {}\n", crate::report::escape_lines(message));
    if let Some(help) = help {
        let _ = writeln!(out, "  help: {}", crate::report::escape_lines(help));
    }
    out
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Inventory(problems)
    }
}

impl From<Vec<PlanError>> for Failure {
    fn from(errors: Vec<PlanError>) -> Self {
        Self::Plan(errors)
    }
}

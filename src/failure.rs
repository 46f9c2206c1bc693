//! What went wrong, in words for people, and the exit code that it means.

use std::fmt::Write as _;

use rsgsync_core::inventory::{Problem, Problems};
use rsgsync_core::plan::PlanError;
use rsgsync_engine::CloudError;

use crate::console::Notice;
use crate::report::escape_lines;

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

    /// What stderr is told.
    pub fn notices(&self) -> Vec<Notice> {
        match self {
            Self::Inventory(problems) => problems.iter().map(problem).collect(),
            Self::Plan(errors) => {
                errors.iter().map(|e| Notice::error("plan", e.to_string()).help(Some(e.help()))).collect()
            }
            Self::Cloud(errors) => errors.iter().map(cloud).collect(),
            Self::Other { message, help } => vec![Notice::error("failed", message).help(help.as_deref())],
        }
    }
}

/// What a cloud said no to.
pub fn cloud(error: &CloudError) -> Notice {
    let notice = Notice::error("cloud", error.to_string()).help(error.help.as_deref());
    match &error.request_id {
        Some(id) => notice.with("request_id", id.as_str()),
        None => notice,
    }
}

/// A problem of the inventory: people see the line that it is about, programs where it is.
pub fn problem(problem: &Problem) -> Notice {
    let code = problem.kind().as_str();
    let kind = if problem.is_warning() { Notice::warning } else { Notice::error };
    let notice = kind(code, problem.message())
        .help(problem.help())
        .with("file", problem.path())
        .with("line", problem.line())
        .with("column", problem.column())
        .with("field", problem.field());
    notice.pictured(picture(problem))
}

fn picture(problem: &Problem) -> String {
    let kind = if problem.is_warning() { "warning" } else { "error" };
    // A picture of an endless line helps nobody.
    if problem.source_line().len() > 400 {
        let place = format!("{}:{}:{}: {}", problem.path(), problem.line(), problem.column(), problem.message());
        return line(kind, &place, problem.help());
    }
    let mut out = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .with_links(false)
        .with_width(100);
    match handler.render_report(&mut out, problem) {
        Ok(()) => out,
        Err(_) => line(kind, problem.message(), problem.help()),
    }
}

/// `lint: MESSAGE`, and on the next line `  help: WAY OUT`; control characters are escaped.
pub fn line(kind: &str, message: &str, help: Option<&str>) -> String {
    let mut out = format!("{kind}: {}\n", escape_lines(message));
    if let Some(help) = help {
        let _ = writeln!(out, "  help: {}", escape_lines(help));
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

//! One file a command: read the arguments, call core and engine, report.

pub mod apply;
pub mod completions;
pub mod destroy;
pub mod drift;
pub mod explain;
pub mod init;
pub mod man;
pub mod matrix;
pub mod plan;
pub mod profile;
pub mod prove;
pub mod render;
pub mod rollback;
pub mod schema;
pub mod validate;

use std::process::ExitCode;

use jiff::civil::Date;
use rsgsync_core::document::{Document, document};
use rsgsync_core::guard::GuardsInForce;
use rsgsync_core::plan::Plan;

use crate::args::{Format, Global};
use crate::console::Console;
use crate::failure::{Failure, problem};
use crate::pipeline::{Wish, wish};
use crate::progress::Screen;
use crate::report::text::Errors;
use crate::report::wrap::{columns, wrapped};
use crate::{load, report};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, or nothing to do.
    Done,
    /// 1: an error that was already reported, a refusal, or no at the question.
    Refused,
    /// 2: changes pending.
    Changes,
    /// 3: apply stopped part-way or unconfirmed.
    Partial,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Changes => 2,
            Exit::Partial => 3,
        })
    }
}

/// What every command starts from.
pub struct Context<'a> {
    /// Flags of every command.
    pub global: &'a Global,
    /// Today.
    pub today: Date,
    /// How stderr is written to.
    pub console: Console,
}

impl Context<'_> {
    /// Reads the inventory, warns of what is doubtful, and works out what it asks for.
    pub fn wish(&self) -> Result<Wish, Failure> {
        let parsed = load::inventory(&self.global.inventory, self.today)?;
        parsed.warnings.iter().for_each(|warning| self.console.tell(&problem(warning)));
        Ok(wish(parsed.inventory, self.today))
    }

    /// What stderr shows while calls run.
    pub fn screen(&self) -> Screen {
        Screen::new(self.console)
    }

    /// Prints a line for people to stdout; a report for programs has no such line.
    pub fn say(&self, text: &str) -> Result<(), Failure> {
        if self.global.format == Format::Text { print_wrapped(text) } else { Ok(()) }
    }

    /// Prints a plan to stdout. As text it doesn't say why networks could not be read: that is for stderr.
    pub fn print_plan(&self, plan: &Plan, document: &Document) -> Result<(), Failure> {
        let text = |errors| report::text::plan(plan, &document.digest, document.proof.witness.as_ref(), errors);
        match self.global.format {
            Format::Json => print(&json(document)?),
            Format::Markdown => print(&report::brief::in_a_fence(&text(Errors::Here), &document.digest)),
            // `main` knows which command has which; a page needs the inventory as well.
            Format::Text | Format::Html | Format::Chat => print_wrapped(&text(Errors::OnStderr)),
        }
    }
}

/// A plan as a document, with the guards that were checked.
pub fn documented(plan: &Plan, guards: &GuardsInForce) -> Document {
    document(plan, guards, concat!("rsgsync ", env!("CARGO_PKG_VERSION")))
}

/// A document as JSON text.
pub fn json(document: &Document) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document);
    text.map(|t| t + "\n").map_err(|e| Failure::new(format!("can't write JSON: {e}"), "report this as a bug"))
}

/// Prints a text for people to stdout, in lines that a terminal has room for.
pub fn print_wrapped(text: &str) -> Result<(), Failure> {
    print(&wrapped(text, columns()))
}

/// Prints to stdout.
pub fn print(text: &str) -> Result<(), Failure> {
    report::print(text).map_err(|e| Failure::new(format!("can't write to stdout: {e}"), "check where the output goes"))
}

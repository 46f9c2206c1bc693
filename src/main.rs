//! The program `rsgsync`: arguments in, reports and an exit code out.

mod args;
mod clouds;
mod commands;
mod complete;
mod console;
mod failure;
mod file;
mod journals;
mod load;
mod log;
mod pipeline;
mod progress;
mod report;
mod running;
mod usage;

use std::process::ExitCode;

use args::{Cli, Colour, Command, Format};
use commands::{Context, Exit};
use console::Console;
use failure::Failure;

fn main() -> ExitCode {
    complete::answer();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return usage::told(error).into(),
    };
    set_colours(cli.global.color);
    let console = Console::new(&cli.global);
    log::start(&cli.global, console);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&cli, console)),
        Err(error) => Err(Failure::new(format!("can't start: {error}"), "check the limits of this process")),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            console.tell_all(&failure.notices());
            Exit::Refused.into()
        }
    }
}

async fn run(cli: &Cli, console: Console) -> Result<Exit, Failure> {
    refuse_format(cli)?;
    let context = Context { global: &cli.global, today: jiff::ZonedDateTime::now().date(), console };
    match &cli.command {
        Command::Plan(args) => commands::plan::run(&context, args).await,
        Command::Apply(args) => commands::apply::run(&context, args).await,
        Command::Drift(args) => commands::drift::run(&context, args).await,
        Command::Prove(args) => commands::prove::run(&context, args),
        Command::Validate(args) => commands::validate::run(&context, args),
        Command::Init(source) => commands::init::run(&context, source).await,
        Command::Destroy(args) => commands::destroy::run(&context, args).await,
        Command::Rollback(args) => commands::rollback::run(&context, args).await,
        Command::Explain(args) => commands::explain::run(&context, args).await,
        Command::Matrix(args) => commands::matrix::run(&context, args),
        Command::Profile(args) => commands::profile::run(&context, args),
        Command::Render(args) => commands::render::run(&context, args),
        Command::Schema(args) => commands::schema::run(args),
        Command::Man(args) => commands::man::run(args),
        Command::Completions { shell } => commands::completions::run(*shell),
    }
}

/// Says which formats a command has, before it does anything.
fn refuse_format(cli: &Cli) -> Result<(), Failure> {
    let formats: &[Format] = match &cli.command {
        Command::Plan(_) | Command::Matrix(_) | Command::Profile(_) => {
            &[Format::Text, Format::Json, Format::Markdown, Format::Html]
        }
        Command::Drift(_) => &[Format::Text, Format::Json, Format::Markdown, Format::Html, Format::Chat],
        Command::Render(_) => &[Format::Text],
        _ => &[Format::Text, Format::Json],
    };
    let asked = cli.global.format;
    if formats.contains(&asked) {
        return Ok(());
    }
    let words: Vec<&str> = formats.iter().map(|format| format.word()).collect();
    Err(Failure::new(
        format!("--format {} is not a format of this command", asked.word()),
        format!("it has {}", words.join(", ")),
    ))
}

/// The same colours for everything that is printed.
fn set_colours(colour: Colour) {
    match colour {
        Colour::Auto => {}
        Colour::Always => anstream::ColorChoice::Always.write_global(),
        Colour::Never => anstream::ColorChoice::Never.write_global(),
    }
}

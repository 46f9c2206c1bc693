//! The program `rsgsync`: arguments in, reports and an exit code out.

mod args;
mod clouds;
mod commands;
mod complete;
mod failure;
mod file;
mod journals;
mod load;
mod pipeline;
mod progress;
mod report;
mod running;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::{Cli, Colour, Command, Format, Global};
use commands::{Context, Exit};
use failure::Failure;

fn main() -> ExitCode {
    complete::answer();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Refused } else { Exit::Done }.into();
        }
    };
    set_up(&cli.global);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&cli)),
        Err(error) => Err(Failure::new(format!("can't start: {error}"), "check the limits of this process")),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            anstream::eprint!("{}", failure.render());
            Exit::Refused.into()
        }
    }
}

async fn run(cli: &Cli) -> Result<Exit, Failure> {
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    refuse_format(cli)?;
    let context = Context { global: &cli.global, today: jiff::ZonedDateTime::now().date(), terminal };
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

/// Colours and logs, before anything is printed.
fn set_up(global: &Global) {
    match global.color {
        Colour::Auto => {}
        Colour::Always => anstream::ColorChoice::Always.write_global(),
        Colour::Never => anstream::ColorChoice::Never.write_global(),
    }
    let level = match global.verbose {
        // What the clouds' SDKs log, our errors say better. A target stands for all that begin so: all our crates.
        0 => "off,rsgsync=warn",
        1 => "off,rsgsync=info",
        _ => "info,rsgsync=debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let colours = match global.color {
        Colour::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        Colour::Always => true,
        Colour::Never => false,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    log.with_target(false).init();
}

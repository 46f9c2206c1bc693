//! `rsgsync completions SHELL`.

use clap::CommandFactory;

use super::{Exit, print};
use crate::args::Cli;
use crate::failure::Failure;

/// Prints the completion script.
pub fn run(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rsgsync", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

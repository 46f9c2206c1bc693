//! `rsgsync completions SHELL`.

use super::{Exit, print};
use crate::complete;
use crate::failure::Failure;

/// Prints the script by which a shell asks this program for completions.
pub fn run(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let script = complete::script(shell).map_err(|error| {
        Failure::new(format!("no completions for {shell}: {error}"), "use bash, zsh, fish, elvish or powershell")
    })?;
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

//! `rsgsync man`: the manual pages.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::{Exit, print};
use crate::args::{Cli, ManArgs};
use crate::failure::Failure;

/// Prints the first page, or writes all of them into a folder.
pub fn run(args: &ManArgs) -> Result<Exit, Failure> {
    let mut page = Vec::new();
    let made = match &args.out {
        Some(folder) => std::fs::create_dir_all(folder).and_then(|()| write_all(folder)),
        None => Man::new(Cli::command()).render(&mut page),
    };
    made.map_err(|error| {
        Failure::new(format!("can't write the manual pages: {error}"), "name a folder that you may write to")
    })?;
    print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Done)
}

fn write_all(folder: &Path) -> std::io::Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write(command, folder)
}

/// Writes a page for the command and for each below it.
fn write(command: Command, folder: &Path) -> std::io::Result<()> {
    for below in command.get_subcommands().cloned() {
        write(below, folder)?;
    }
    let program = concat!("rsgsync ", env!("CARGO_PKG_VERSION"));
    Man::new(command).source(program).generate_to(folder).map(drop)
}

//! `rsgsync man`: the manual pages.

use clap::CommandFactory;

use super::{Exit, print};
use crate::args::{Cli, ManArgs};
use crate::failure::Failure;

/// Prints the first page, or writes all of them into a folder.
pub fn run(args: &ManArgs) -> Result<Exit, Failure> {
    let mut page = Vec::new();
    let made = match &args.out {
        Some(folder) => std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder)),
        None => clap_mangen::Man::new(Cli::command()).render(&mut page),
    };
    made.map_err(|error| {
        Failure::new(format!("can't write the manual pages: {error}"), "name a folder that you may write to")
    })?;
    print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Done)
}

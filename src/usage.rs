//! A command line that can't be understood, or that asks for help.

use std::path::Path;

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::args::{LOG_FORMAT, LogFormat};
use crate::commands::Exit;
use crate::console::{Console, Notice};
use crate::load::is_inventory;

/// Tells what clap has to say: help on stdout, what is wrong on stderr.
pub fn told(mut error: Error) -> Exit {
    if !error.use_stderr() {
        let _ = error.print();
        return Exit::Done;
    }
    if let Some(meant) = meant(&error) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(meant)]));
    }
    if for_programs() {
        let text = error.render().to_string();
        let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
        let message = message.strip_prefix("error: ").unwrap_or(message).trim_end();
        let help = Some(rest.trim_end()).filter(|rest| !rest.is_empty());
        let console = Console { quiet: false, format: LogFormat::Json, bars: false };
        console.tell(&Notice::error("usage", message).help(help));
    } else {
        let _ = error.print();
    }
    Exit::Refused
}

/// What to write for an argument that there isn't, where habit from other programs tells what was meant.
fn meant(error: &Error) -> Option<String> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    match argument.as_str() {
        "--dry-run" => Some("`rsgsync plan` shows what apply would do, and never writes".to_owned()),
        path if is_inventory(Path::new(path)) => Some(format!("an inventory has a flag: --inventory {path}")),
        _ => None,
    }
}

/// Whether this command line, which nothing has understood yet, asks for objects.
fn for_programs() -> bool {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let apart = words.windows(2).filter(|pair| pair[0] == "--log-format").map(|pair| pair[1].as_str());
    let joined = words.iter().filter_map(|word| word.strip_prefix("--log-format="));
    match apart.chain(joined).last() {
        Some(word) => word == "json",
        None => std::env::var_os(LOG_FORMAT).is_some_and(|value| value == "json"),
    }
}

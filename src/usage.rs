//! A command line that can't be understood, or that asks for help.

use clap::Error;

use crate::args::{LOG_FORMAT, LogFormat};
use crate::commands::Exit;
use crate::console::{Console, Notice};

/// Tells what clap has to say: help on stdout, what is wrong on stderr.
pub fn told(error: &Error) -> Exit {
    if !error.use_stderr() {
        let _ = error.print();
        return Exit::Done;
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

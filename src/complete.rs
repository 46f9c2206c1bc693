//! What the shell is offered where the inventory or the profiles have the words; whatever is wrong offers nothing.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use rsgsync_core::inventory::Inventory;
use rsgsync_core::profile::Catalog;

use crate::args::{Cli, DEFAULT_INVENTORY};
use crate::load;

/// By this variable the shell's script says that it asks.
const ASKED: &str = "RSGSYNC_COMPLETE";

/// Answers a shell that asks, and ends the process then.
pub fn answer() {
    CompleteEnv::with_factory(Cli::command).var(ASKED).complete();
}

/// The script that lets a shell ask.
pub fn script(shell: clap_complete::Shell) -> std::io::Result<Vec<u8>> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let shell = shells.completer(&shell.to_string()).ok_or(std::io::ErrorKind::Unsupported)?;
    shell.write_registration(ASKED, "rsgsync", "rsgsync", "rsgsync", &mut script)?;
    Ok(script)
}

/// Clusters of the inventory.
pub fn clusters(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = inventory().map(|inventory| inventory.clusters.keys().map(ToString::to_string).collect());
    beginning(typed, names.unwrap_or_default())
}

/// Ends of a connection: groups and peers of the inventory.
pub fn ends(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(inventory) = inventory() else { return Vec::new() };
    let groups = inventory.clusters.iter().flat_map(|(name, cluster)| {
        cluster
            .groups
            .keys()
            .map(move |group| format!("{name}/{group}"))
            .chain(cluster.peers.keys().map(ToString::to_string))
    });
    beginning(typed, groups.collect())
}

/// Node groups of the inventory.
pub fn groups(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut ends = ends(typed);
    ends.retain(|end| end.get_value().to_string_lossy().contains('/'));
    ends
}

/// Rows of the profiles of the inventory's clusters.
pub fn rows(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(inventory) = inventory() else { return Vec::new() };
    let rows = inventory.clusters.values().flat_map(|cluster| &cluster.profile.rows);
    beginning(typed, rows.map(|row| row.id.to_string()).collect())
}

/// Profiles that ship.
pub fn profiles(typed: &OsStr) -> Vec<CompletionCandidate> {
    beginning(typed, Catalog::shipped().all_names().into_iter().map(str::to_owned).collect())
}

fn beginning(typed: &OsStr, mut words: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    words.sort();
    words.dedup();
    words.into_iter().filter(|word| word.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}

/// The inventory that the line so far names, else the one that a command would read.
fn inventory() -> Option<Inventory> {
    let line: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").collect();
    let mut paths = named_inventories(&line);
    if paths.is_empty() {
        paths.push(std::env::var_os("RSGSYNC_INVENTORY").map_or_else(|| DEFAULT_INVENTORY.into(), PathBuf::from));
    }
    let today = jiff::ZonedDateTime::now().date();
    load::inventory(&paths, today).ok().map(|parsed| parsed.inventory)
}

/// What `-i F`, `-iF`, `-i=F`, `--inventory F` and `--inventory=F` name in a line.
fn named_inventories(line: &[OsString]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut words = line.iter();
    while let Some(word) = words.next() {
        if word == "-i" || word == "--inventory" {
            paths.extend(words.next().map(PathBuf::from));
            continue;
        }
        let Some(text) = word.to_str() else { continue };
        let joined = text.strip_prefix("--inventory=");
        let short = || text.strip_prefix("-i").map(|path| path.strip_prefix('=').unwrap_or(path));
        paths.extend(joined.or_else(short).map(PathBuf::from));
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_name_an_inventory_is_read() {
        let line = ["--", "rsgsync", "-i", "a", "-ib", "--inventory=c", "--inventory", "d", "-i=e", "--cluster", "x"];
        let line: Vec<OsString> = line.iter().map(OsString::from).collect();
        assert_eq!(named_inventories(&line), ["a", "b", "c", "d", "e"].map(PathBuf::from));
    }

    #[cfg(unix)]
    #[test]
    fn a_word_that_is_no_text_is_passed_over() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(vec![0xff]);
        let line = ["--".into(), odd.clone(), "-i".into(), odd.clone()];
        assert_eq!(named_inventories(&line), [PathBuf::from(odd)]);
    }
}

//! Files become an inventory, or a saved plan; the only place that reads them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use rsgsync_core::document::Saved;
use rsgsync_core::inventory::{Parsed, Source, parse};
use rsgsync_core::profile::Catalog;

use crate::args::DEFAULT_INVENTORY;
use crate::clouds::SPECS;
use crate::failure::Failure;

/// Reads and checks the inventory; `today` decides what has expired.
pub fn inventory(paths: &[PathBuf], today: Date) -> Result<Parsed, Failure> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            for file in yaml_files(path)? {
                sources.push(source(&file)?);
            }
        } else {
            sources.push(source(path)?);
        }
    }
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| error.to_string());
    Ok(parse(&sources, &Catalog::shipped(), SPECS, today, &read)?)
}

/// Whether a path looks like an inventory's: a file of YAML, or a folder.
pub fn is_inventory(path: &Path) -> bool {
    path.is_dir() || is_yaml(path)
}

/// Reads a plan that `plan --out` saved.
pub fn saved(path: &Path) -> Result<Saved, Failure> {
    let again = if is_inventory(path) {
        "an inventory has a flag, --inventory; a plan is saved by `rsgsync plan --out FILE`"
    } else {
        "save one with `rsgsync plan --out FILE`"
    };
    let bytes =
        std::fs::read(path).map_err(|e| Failure::new(format!("can't read plan {}: {e}", path.display()), again))?;
    Saved::read(&bytes).map_err(|e| Failure::new(format!("{}: {e}", path.display()), again))
}

fn source(path: &Path) -> Result<Source, Failure> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Source { path: path.display().to_string(), folder, bytes })
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = paths.filter(|path| is_yaml(path)).collect();
    files.sort();
    if files.is_empty() {
        let message = format!("folder {} has no .yaml or .yml file", folder.display());
        return Err(Failure::new(message, "name the inventory with --inventory FILE"));
    }
    Ok(files)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("can't read inventory {}: {error}", path.display());
    let help = match error.kind() {
        ErrorKind::PermissionDenied => "let this user read it",
        _ if path != Path::new(DEFAULT_INVENTORY) => "check the path that --inventory or RSGSYNC_INVENTORY gives",
        _ => {
            "name the inventory with --inventory FILE, or set RSGSYNC_INVENTORY; `rsgsync init` writes one for what exists"
        }
    };
    Failure::new(message, help)
}

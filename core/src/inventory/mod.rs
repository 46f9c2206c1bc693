//! The user's YAML becomes an [`Inventory`], or a list of problems that say where and what to do.

mod cluster;
mod context;
mod exception;
pub(crate) mod fields;
mod group;
mod index;
mod model;
mod network;
mod own;
mod peer;
pub(crate) mod problem;
pub(crate) mod report;
mod schema;
mod together;
pub(crate) mod tree;

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use crate::profile::Catalog;

pub use fields::suggestion;
pub use model::*;
pub use problem::{Code, Problem, Problems};
pub use schema::schema;

/// One file of an inventory.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path as the user wrote it; messages name it.
    pub path: String,
    /// The folder that the paths in it are relative to.
    pub folder: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// An inventory, and what is doubtful about it.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The inventory.
    pub inventory: Inventory,
    /// The profiles that it could choose from: those that ship, and its own.
    pub catalog: Catalog,
    /// Warnings, in the order of the files and lines.
    pub warnings: Vec<Problem>,
}

/// Reads files that are one inventory together.
///
/// `today` decides what has expired; `read` gives the content of a file that the inventory names (`cidrs_file`,
/// `profiles`, `guards`). Errors
/// with everything that is wrong; only a syntax error hides what else is wrong with its file.
pub fn parse(
    sources: &[Source],
    catalog: &Catalog,
    providers: &[ProviderSpec],
    today: Date,
    read: &dyn Fn(&Path) -> Result<String, String>,
) -> Result<Parsed, Problems> {
    let report = report::Report::default();
    let roots: Vec<_> = sources.iter().map(|source| tree::read(&report, &source.path, &source.bytes)).collect();
    let index = index::Index::of(&roots);
    let folders: Vec<&Path> = sources.iter().map(|source| source.folder.as_path()).collect();
    let files = own::Files { report: &report, folders: &folders, read };
    let own = own::own(&files, &roots, &index, catalog);
    let cx = context::Context {
        report: &report,
        catalog: &own.catalog,
        guards: &own.guards,
        providers,
        today,
        read_file: read,
        folders: &folders,
        index: &index,
    };
    let inventory = together::inventory(&cx, &roots);
    let failed = report.has_errors();
    let problems = report.into_problems();
    match inventory {
        Some(inventory) if !failed => Ok(Parsed { inventory, catalog: own.catalog, warnings: problems }),
        _ => Err(Problems(problems)),
    }
}

#[cfg(test)]
mod tests;

//! The user's YAML becomes an [`Inventory`], or a list of errors that say where and what to do.

mod model;

pub use model::*;

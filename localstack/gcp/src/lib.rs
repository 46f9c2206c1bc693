//! The firewall part of Google Compute Engine, on loopback, to test against.
//!
//! Requests are checked against Google's own discovery document (`data/compute-schema.json`); answers have the form that
//! the service stores and sends. It shares nothing with rsgsync.

mod call;
mod cloud;
mod control;
mod credentials;
mod error;
mod fault;
mod fields;
mod filter;
mod firewall;
mod instance;
mod network;
mod operation;
mod page;
mod policy;
mod project;
mod schema;
mod server;
#[cfg(test)]
mod tests;
mod text;

pub use server::Server;

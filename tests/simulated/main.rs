//! The binary from end to end on the simulated cloud: what users get, and what must never happen to them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where its scene does")]

mod bad_input;
mod cloud;
mod contract;
mod drift;
mod explain;
mod faults;
mod guide;
mod help;
mod host;
mod html;
mod init;
mod journals;
mod journey;
mod limits;
mod links;
mod log;
mod orphans;
mod ownership;
mod picture;
mod rollback;
mod saved_plan;
mod selection;
mod shards;
#[path = "../support/mod.rs"]
mod support;
mod typed;

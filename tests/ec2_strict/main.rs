//! The binary with the real SDK against the strict EC2 server: what it does anywhere, and what only this server can do to it.
//!
//! `localstack/up ec2-strict` and then `localstack/up aws` must be running and their exports set: `bash tests/run.sh`
//! does both.

#![allow(clippy::unwrap_used, reason = "a test fails where its scene does")]

#[path = "../aws/account.rs"]
mod account;
#[path = "../aws/cases.rs"]
mod cases;
mod check;
mod control;
mod faults;
#[path = "../aws/luck.rs"]
mod luck;
mod paging;
mod permissions;
mod sharing;
mod strangers;
#[path = "../support/mod.rs"]
mod support;

/// The variable that says where the service is, and how to start it.
const SERVICE: (&str, &str) = ("RSGSYNC_EC2_STRICT", "ec2-strict");

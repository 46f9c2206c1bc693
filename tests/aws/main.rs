//! The binary against LocalStack, its results read with boto3.
//!
//! `localstack/up aws` must be running and its exports set: `bash tests/run.sh` does both.

#![allow(clippy::unwrap_used, reason = "a test fails where its scene does")]

mod account;
mod cases;
mod luck;
#[path = "../support/mod.rs"]
mod support;

/// The variable that says where the service is, and how to start it.
const SERVICE: (&str, &str) = ("AWS_ENDPOINT_URL", "aws");

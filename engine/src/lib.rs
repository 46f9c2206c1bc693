//! Runs a proven plan against any cloud: concurrency, retries, journal, read-back.

pub mod cloud;

pub use cloud::{Cloud, CloudError, Done, ErrorKind};

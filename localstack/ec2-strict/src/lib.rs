//! The security groups of Amazon EC2, on loopback, to test against: its wire protocol before the simulated cloud.
//!
//! What LocalStack lets pass is refused here as AWS documents it; faults are made on demand, down to the connection.

mod account;
mod cloud;
mod control;
mod error;
mod fault;
mod filter;
mod groups;
mod network;
mod page;
mod parameters;
mod permission;
mod rules;
mod server;
mod tags;
mod xml;

pub use server::Server;

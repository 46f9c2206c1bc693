//! The pure journey of rsgsync: inventory, profiles, flows, rules, diff, plan and proof.
//!
//! Everything in here is a function of its input: no clock, no network, no environment, no randomness, no async.
#![warn(clippy::float_arithmetic, reason = "ports and addresses are whole numbers: arithmetic is exact")]
#![warn(clippy::unreachable, clippy::todo, clippy::unimplemented, reason = "no input makes core panic")]

pub mod adopt;
pub mod describe;
pub mod desired;
pub mod diff;
pub mod document;
#[cfg(test)]
mod example;
pub mod explain;
pub mod flow;
pub mod guard;
pub mod host;
pub mod inventory;
pub mod link;
pub mod lint;
pub mod matrix;
pub mod name;
pub mod observed;
pub mod pack;
pub mod packets;
pub mod plan;
pub mod profile;
pub mod proof;
pub mod rule;
pub mod table;
#[cfg(test)]
mod testing;
pub mod traffic;
pub mod world;
pub mod writer;

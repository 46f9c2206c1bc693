//! VPC firewall rules of Google Compute Engine: observe, pack changes into calls, carry a step out.

mod api;
mod body;
mod connect;
mod credentials;
mod denies;
mod error;
mod execute;
mod implied;
mod interfaces;
mod observe;
mod operation;
mod pack;
mod place;
mod session;
mod translate;
mod wire;

#[cfg(test)]
mod tests;

pub use connect::Gcp;
pub use place::SPEC;

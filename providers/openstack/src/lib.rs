//! Security groups of OpenStack Neutron: observe, pack changes into calls, carry a step out.

mod api;
mod config;
mod connect;
mod create;
mod error;
mod execute;
mod marks;
mod observe;
mod pack;
mod place;
mod rules;
mod session;
mod translate;
mod wire;

#[cfg(test)]
mod tests;

pub use connect::OpenStack;
pub use place::SPEC;

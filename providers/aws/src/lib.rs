//! Security groups of Amazon EC2: observe, pack changes into calls, carry a step out.

mod calls;
mod connect;
mod error;
mod execute;
mod observe;
mod pack;
mod place;
mod rules;
mod session;
mod translate;
mod vpc;
mod whole;

#[cfg(test)]
mod tests;

pub use connect::Aws;
pub use place::SPEC;

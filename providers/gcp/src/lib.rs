//! VPC firewall rules of Google Compute Engine: observe, pack changes into calls, carry a step out.

pub mod pack;

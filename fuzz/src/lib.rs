//! What fuzz targets share: the journey of an inventory; and small networks, read and carried out by brute force.

pub mod cloud;
pub mod journey;
pub mod network;
pub mod packets;

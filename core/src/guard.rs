//! placeholder
use crate::name::NetworkName;
use crate::traffic::Traffic;
use std::sync::Arc;
/// x
#[derive(Default)]
pub struct GuardsInForce;
impl GuardsInForce {
    /// x
    pub fn of(&self, _n: &NetworkName, _g: &str) -> Vec<(Arc<str>, Vec<Traffic>)> {
        Vec::new()
    }
}

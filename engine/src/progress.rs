//! What a run tells those who watch it.

use std::time::Duration;

use rsgsync_core::name::NetworkName;
use rsgsync_core::plan::Step;

use crate::cloud::{CloudError, Done};

/// Hears how a run goes; `()` hears nothing.
pub trait Progress: Send + Sync {
    /// The step's first call is about to be made.
    fn started(&self, step: &Step) {
        let _ = step;
    }

    /// The step is over; an error is what its last try gave.
    fn finished(&self, step: &Step, result: Result<&Done, &CloudError>) {
        let _ = (step, result);
    }

    /// Nothing happens in (this part of) a network for as long as `pause`.
    fn waiting(&self, network: &NetworkName, why: Waiting<'_>, pause: Duration) {
        let _ = (network, why, pause);
    }

    /// Additions are read back before removals that depend on them.
    fn reading_back(&self, network: &NetworkName, groups: usize) {
        let _ = (network, groups);
    }
}

impl Progress for () {}

/// Why a run waits.
#[derive(Debug, Clone, Copy)]
pub enum Waiting<'a> {
    /// A call failed, and is tried again afterwards.
    Retry(&'a CloudError),
    /// Additions that were made can't be seen yet.
    Lagging,
    /// Additions can be seen; the cloud gets time to spread them to its hosts.
    Settle,
}

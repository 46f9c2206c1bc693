//! Tries again what may work later: throttled calls, the cloud's own errors, lost answers.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rsgsync_core::name::{GroupId, NetworkName};
use rsgsync_core::observed::{Limits, Observed, Scope, Usage};
use rsgsync_core::rule::Atoms;

use crate::StopSignal;
use crate::cloud::{Attachments, Cloud, CloudError, ErrorKind};
use crate::progress::{Progress, Waiting};

/// How long and how often to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The first pause; each later one is twice as long, with jitter of up to the pause itself on top.
    pub first: Duration,
    /// The longest pause before jitter; a cloud that asks for longer gets it.
    pub longest: Duration,
    /// Tries after the first.
    pub times: usize,
}

impl Default for Patience {
    /// 200 ms doubling to 20 s, 9 more tries: about a minute and a half before jitter.
    fn default() -> Self {
        Self { first: Duration::from_millis(200), longest: Duration::from_secs(20), times: 9 }
    }
}

impl Patience {
    pub(crate) fn pauses(self) -> Pauses {
        let builder = ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_max_times(self.times)
            .with_jitter();
        Pauses(builder.build())
    }
}

/// The pauses of one call that is tried again and again.
pub(crate) struct Pauses(ExponentialBackoff);

impl Pauses {
    /// The next pause; `None` when it is enough.
    pub fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }

    /// How long to wait after `error` before trying again; `None` when that won't help, or was done often enough.
    pub fn after(&mut self, error: &CloudError) -> Option<Duration> {
        match error.kind {
            ErrorKind::Throttled(asked) => self.next().map(|pause| asked.map_or(pause, |asked| asked.max(pause))),
            ErrorKind::Transient | ErrorKind::Lost => self.next(),
            ErrorKind::Final => None,
        }
    }

    /// Waits before a network is read again; gives the error back where that won't help, or the run was stopped.
    async fn wait(
        &mut self,
        error: CloudError,
        network: &NetworkName,
        progress: &dyn Progress,
        stop: &StopSignal,
    ) -> Result<(), CloudError> {
        let Some(pause) = self.after(&error) else { return Err(error) };
        tracing::debug!(%network, %error, ?pause, "reading again");
        progress.waiting(network, Waiting::Retry(&error), pause);
        if sleep(pause, stop).await { Ok(()) } else { Err(error) }
    }
}

/// Waits; false when the run was stopped meanwhile.
pub(crate) async fn sleep(pause: Duration, stop: &StopSignal) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
}

/// Observes a network, trying again as long as that may help.
pub async fn observe(
    network: &NetworkName,
    cloud: &dyn Cloud,
    scope: &Scope,
    atoms: &mut Atoms,
    patience: Patience,
    progress: &dyn Progress,
    stop: &StopSignal,
) -> Result<Observed, CloudError> {
    let mut pauses = patience.pauses();
    loop {
        match cloud.observe(scope, atoms).await {
            Ok(observed) => return Ok(observed),
            Err(error) => pauses.wait(error, network, progress, stop).await?,
        }
    }
}

/// Asks for the quotas of a network, trying again as long as that may help.
pub async fn quotas(
    network: &NetworkName,
    cloud: &dyn Cloud,
    patience: Patience,
    progress: &dyn Progress,
    stop: &StopSignal,
) -> Result<Option<(Limits, Usage)>, CloudError> {
    let mut pauses = patience.pauses();
    loop {
        match cloud.quotas().await {
            Ok(told) => return Ok(told),
            Err(error) => pauses.wait(error, network, progress, stop).await?,
        }
    }
}

/// Counts the interfaces of groups, trying again as long as that may help.
pub async fn attachments(
    network: &NetworkName,
    cloud: &dyn Cloud,
    groups: &[GroupId],
    patience: Patience,
    progress: &dyn Progress,
    stop: &StopSignal,
) -> Result<Option<Attachments>, CloudError> {
    let mut pauses = patience.pauses();
    loop {
        match cloud.attachments(groups).await {
            Ok(counted) => return Ok(counted),
            Err(error) => pauses.wait(error, network, progress, stop).await?,
        }
    }
}

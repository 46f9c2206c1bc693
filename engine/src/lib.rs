//! Runs a proven plan against any cloud: concurrency, retries, journal, read-back.

pub mod cloud;
mod confirm;
pub mod journal;
mod outcome;
mod pace;
mod progress;
mod retry;
mod run;
mod unanswered;

pub use cloud::{Attachments, Cloud, CloudError, Done, ErrorKind};
pub use journal::{Event, Journal, JournalError};
pub use outcome::{Because, Outcome, Stopped};
pub use progress::{Progress, Waiting};
pub use retry::{Patience, attachments, observe, quotas};
pub use run::{Options, Run, carry_out};
/// Tells a run to finish the calls in flight and make no more; `cancel()` sends it.
pub use tokio_util::sync::CancellationToken as StopSignal;
pub use unanswered::{Silence, Unanswered, causes, last_cause};

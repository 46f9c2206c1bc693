//! A mutation is accepted at once and carried out later: every one is waited for, and a failed one is an error.

use std::time::{Duration, Instant};

use http::Method;
use rsgsync_core::plan::StepId;
use rsgsync_engine::{CloudError, ErrorKind};

use crate::api::Call;
use crate::connect::Gcp;
use crate::error::{Refused, failed};
use crate::wire::Operation;

/// The longest that an operation is waited for. A call waits for two minutes at most.
const LONGEST: Duration = Duration::from_secs(10 * 60);

const PAUSE: Duration = Duration::from_millis(100);

impl Gcp {
    /// Sends a mutation and waits until it is carried out; gives the finished operation.
    ///
    /// Errors also when the operation was accepted and has failed. Repeating is safe: the same `step` asks for the same
    /// operation again, until that is known to have failed.
    pub(crate) async fn mutate(&self, step: StepId, doing: &str, call: Call<'_>) -> Result<Operation, Refused> {
        let request = self.session.request_id(step);
        let answer = self.send(doing, &call.query("requestId", &request)).await?;
        let mut operation: Operation = answer.read(doing).map_err(Refused::unanswered)?;
        let begun = Instant::now();
        let mut waited = false;
        while operation.status != "DONE" {
            if begun.elapsed() > LONGEST {
                return Err(Refused::unanswered(endless(doing, &operation)));
            }
            if waited {
                // The service has waited for us already; one that doesn't isn't asked all the time.
                tokio::time::sleep(PAUSE).await;
            }
            waited = true;
            let path = ["global", "operations", &operation.name, "wait"];
            let answer = self.send(doing, &Call::new("globalOperations.wait", Method::POST, &path)).await;
            operation = answer.map_err(unknown)?.read(doing).map_err(Refused::unanswered)?;
        }
        match failed(doing, &operation) {
            None => Ok(operation),
            Some(error) => {
                self.session.over(step);
                Err(Refused { status: operation.http_error_status_code.unwrap_or_default(), error })
            }
        }
    }
}

/// The operation can't be asked after: whether it was carried out is not known, whatever the answer was.
fn unknown(refused: Refused) -> Refused {
    Refused { status: 0, ..refused }
}

fn endless(doing: &str, operation: &Operation) -> CloudError {
    CloudError {
        kind: ErrorKind::Final,
        doing: doing.to_owned(),
        message: format!("the operation is still {} after {} minutes", operation.status, LONGEST.as_secs() / 60),
        request_id: Some(operation.name.clone()),
        help: Some("Compute Engine may still carry it out: plan again later".to_owned()),
    }
}

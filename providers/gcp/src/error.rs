//! Refusals and failures become [`CloudError`]s: what was being done, what Google said, and what to do next.

use std::time::Duration;

use http::Method;
use rsgsync_engine::{CloudError, ErrorKind, Silence, Unanswered, last_cause};

use crate::api::Answer;
use crate::wire::{Operation, Refusal};

/// What to do about an answer that only something that is not Compute Engine would give.
pub(crate) const NOT_COMPUTE: &str =
    "check CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE, and that no proxy answers in the place of Compute Engine";

/// What to do about a fault of our own.
pub(crate) const OUR_FAULT: &str = "this is a fault of rsgsync: report it";

/// What to do when somebody else was at work.
pub(crate) const PLAN_AGAIN: &str = "somebody has changed it meanwhile: plan again";

const CHECK_ADDRESS: &str = "check that this machine reaches it (HTTPS_PROXY, firewall), and \
                             CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE where that is set";

/// Reasons of a 403 that time mends.
const THROTTLED: [&str; 5] = [
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "RATE_LIMIT_EXCEEDED",
    "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
    "concurrentOperationsQuotaExceeded",
];

/// Codes of operations that may go well another time.
const PASSING: [&str; 5] =
    ["RESOURCE_NOT_READY", "RESOURCE_OPERATION_RATE_EXCEEDED", "RATE_LIMIT_EXCEEDED", "INTERNAL_ERROR", "UNAVAILABLE"];

/// A call that was answered with something else than success, or not at all.
#[derive(Debug)]
pub(crate) struct Refused {
    /// HTTP; 0 without an answer.
    pub status: u16,
    pub error: CloudError,
}

impl From<Refused> for CloudError {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl Refused {
    /// Whether the credentials may not do it, whatever time passes.
    pub fn is_forbidden(&self) -> bool {
        self.status == 403 && self.error.kind == ErrorKind::Final
    }

    pub fn into_error(self) -> CloudError {
        self.error
    }

    /// A failure without an answer.
    pub fn unanswered(error: CloudError) -> Self {
        Self { status: 0, error }
    }
}

/// An error that trying again won't mend.
pub(crate) fn final_error(doing: String, message: impl Into<String>, help: impl Into<String>) -> CloudError {
    CloudError { kind: ErrorKind::Final, doing, message: message.into(), request_id: None, help: Some(help.into()) }
}

/// What an answer that is no success means.
pub(crate) fn refused(doing: String, answer: &Answer) -> Refused {
    let status = answer.status;
    let (reasons, said) = words(&answer.body);
    let message = match (reasons.first(), said.as_str()) {
        (_, "") => format!("HTTP {status}"),
        (None, said) => format!("HTTP {status}: {said}"),
        (Some(reason), said) => format!("{reason}: {said}"),
    };
    let throttled = reasons.iter().any(|reason| THROTTLED.contains(&reason.as_str()));
    let kind = match (status, answer.retry_after) {
        (403, asked) if throttled => ErrorKind::Throttled(asked),
        (429, asked) => ErrorKind::Throttled(asked),
        (503, Some(asked)) => ErrorKind::Throttled(Some(asked)),
        (408 | 500.., _) => ErrorKind::Transient,
        // The network itself, or the rule, is being worked at.
        (400, _) if reasons.iter().any(|reason| reason == "resourceNotReady") => ErrorKind::Transient,
        _ => ErrorKind::Final,
    };
    let help = if kind == ErrorKind::Final { advice(status, &reasons, &said) } else { None };
    Refused { status, error: CloudError { kind, doing, message, request_id: None, help: help.map(str::to_owned) } }
}

/// The reasons of an error, the general one first, and its message; a page of a proxy has neither.
fn words(body: &[u8]) -> (Vec<String>, String) {
    let Ok(Refusal { error }) = serde_json::from_slice(body) else { return (Vec::new(), String::new()) };
    let reasons = error.errors.into_iter().chain(error.details).map(|detail| detail.reason);
    (reasons.filter(|reason| !reason.is_empty()).collect(), error.message)
}

fn advice(status: u16, reasons: &[String], said: &str) -> Option<&'static str> {
    let is = |words: &[&str]| reasons.iter().any(|reason| words.contains(&reason.as_str()));
    Some(match status {
        401 => {
            "the credentials are not accepted: check what GOOGLE_APPLICATION_CREDENTIALS names, or log in again with \
                `gcloud auth application-default login`"
        }
        403 if is(&["accessNotConfigured", "SERVICE_DISABLED"]) => {
            "switch the API on: `gcloud services enable compute.googleapis.com --project PROJECT`"
        }
        403 if is(&["quotaExceeded"]) => "ask for more of that quota, or delete firewall rules that nobody needs",
        403 if is(&["ACCESS_TOKEN_SCOPE_INSUFFICIENT", "insufficientPermissions"]) => {
            "the token's scopes are too narrow: give the machine the scope `compute` or `cloud-platform`"
        }
        403 if said.contains("serviceusage.services.use") || is(&["USER_PROJECT_DENIED"]) => {
            "the quota project is not theirs to use: set GOOGLE_CLOUD_QUOTA_PROJECT, or give them \
                roles/serviceusage.serviceUsageConsumer on it"
        }
        403 => {
            "give these credentials a role on the project: roles/compute.networkViewer is enough for `plan`, \
                roles/compute.securityAdmin for `apply`"
        }
        404 => "check `project:` and `network:` of the inventory's network",
        409 => "a firewall rule of that name exists: names are unique in the whole project",
        412 => PLAN_AGAIN,
        413 => "write a lower `quotas: { addresses_per_resource: … }` beside the network's `gcp:` keys",
        _ if reasons.is_empty() && said.is_empty() => NOT_COMPUTE,
        _ => return None,
    })
}

/// What an operation that is done and has failed means; `None`: it has not failed.
pub(crate) fn failed(doing: &str, operation: &Operation) -> Option<CloudError> {
    let errors = operation.error.as_ref()?;
    let first = errors.errors.first();
    let code = first.map_or("", |error| error.code.as_str());
    let said: Vec<String> = errors.errors.iter().map(|e| format!("{}: {}", e.code, e.message)).collect();
    let said = match (said.is_empty(), &operation.http_error_message) {
        (false, _) => said.join("; "),
        (true, Some(message)) => message.clone(),
        (true, None) => "the operation failed, and does not say why".to_owned(),
    };
    let kind = match operation.http_error_status_code {
        Some(429) => ErrorKind::Throttled(None),
        Some(500..) => ErrorKind::Transient,
        _ if PASSING.contains(&code) => ErrorKind::Transient,
        _ => ErrorKind::Final,
    };
    let help = (code == "QUOTA_EXCEEDED")
        .then_some("ask for more of that quota, or delete firewall rules that nobody needs; then run again to go on");
    Some(CloudError {
        kind,
        doing: doing.to_owned(),
        message: said,
        request_id: Some(operation.name.clone()),
        help: help.map(str::to_owned),
    })
}

/// What a failed request means: nothing sent, or perhaps carried out. `answered`: the service has answered calls before.
pub(crate) fn unanswered(
    doing: String,
    method: &Method,
    at: &str,
    answered: bool,
    error: &reqwest::Error,
) -> CloudError {
    let how = match () {
        () if error.is_builder() => Silence::Unmade,
        () if error.is_connect() => Silence::Unconnected,
        () if error.is_timeout() => Silence::TimedOut,
        () => Silence::Broken,
    };
    let (said, reads) = (last_cause(error), *method == Method::GET);
    Unanswered { doing, at, how, said, reads, answered, help: CHECK_ADDRESS }.into()
}

pub(crate) fn retry_after(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}

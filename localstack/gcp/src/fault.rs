//! What goes wrong on demand: which requests it hits, how often, and what happens then.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::operation::Failure;
use crate::schema::Object;

/// A fault, as `POST /control/faults` takes it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Fault {
    /// Only requests of this project.
    project: Option<String>,
    /// Only requests of this method, for example `firewalls.insert`.
    method: Option<String>,
    /// Only requests that name this resource.
    name: Option<String>,
    /// So many requests pass first.
    #[serde(default)]
    skip: u32,
    /// So many requests are hit.
    #[serde(default = "once")]
    times: u32,
    then: Then,
}

fn once() -> u32 {
    1
}

/// What happens to a request that is hit.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Then {
    /// Refused with this status, such as 500 or 503.
    Error { status: u16, reason: Option<String>, message: Option<String>, retry_after: Option<u64> },
    /// 403 `rateLimitExceeded`, by rate.
    RateLimit { retry_after: Option<u64> },
    /// 403 `rateLimitExceeded`, by the number of operations at a time.
    ConcurrentOperations,
    /// 403 `forbidden`: a permission is missing.
    Deny,
    /// 401, and the token of the request is over for good.
    ExpireToken,
    /// The connection is closed before anything is done.
    Drop,
    /// The connection is closed after the request was carried out.
    Lose,
    /// The operation that the request starts ends with an error.
    FailOperation { code: String, message: String, status: u16 },
    /// The operation runs until it was asked for so many times.
    Slow { looks: u32 },
    /// The operation runs for so long.
    Delay { milliseconds: u64 },
    /// Before the request is carried out, somebody else writes this firewall rule.
    WriteBefore(Write),
    /// After it was carried out.
    WriteAfter(Write),
}

/// A change that somebody else makes at once, unseen by the log.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Write {
    /// The name of the firewall rule.
    pub(crate) firewall: String,
    /// A new rule, or a patch of the one that is there; without it, the rule is deleted.
    pub(crate) body: Option<Object>,
}

/// All that happens to one request.
#[derive(Default)]
pub(crate) struct Hits(Vec<Then>);

/// Takes the faults that hit a request, and those that are used up out of the list.
pub(crate) fn take(faults: &mut Vec<Fault>, project: &str, method: &str, name: Option<&str>) -> Hits {
    let is = |wanted: &Option<String>, given: Option<&str>| wanted.as_deref().is_none_or(|w| Some(w) == given);
    let mut hits = Vec::new();
    for fault in &mut *faults {
        if !(is(&fault.project, Some(project)) && is(&fault.method, Some(method)) && is(&fault.name, name)) {
            continue;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
        } else if fault.times > 0 {
            fault.times -= 1;
            hits.push(fault.then.clone());
        }
    }
    faults.retain(|fault| fault.times > 0);
    Hits(hits)
}

impl Fault {
    pub(crate) fn is_of(&self, project: Option<&str>) -> bool {
        project.is_none() || self.project.as_deref() == project
    }
}

impl Hits {
    pub(crate) fn drops(&self) -> bool {
        self.0.iter().any(|then| matches!(then, Then::Drop))
    }

    pub(crate) fn loses(&self) -> bool {
        self.0.iter().any(|then| matches!(then, Then::Lose))
    }

    pub(crate) fn expires_token(&self) -> bool {
        self.0.iter().any(|then| matches!(then, Then::ExpireToken))
    }

    /// `permission` is what a denied request lacks for `resource`.
    pub(crate) fn refusal(&self, permission: &str, resource: &str) -> Option<Refusal> {
        self.0.iter().find_map(|then| match then {
            Then::Error { status, reason, message, retry_after } => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let reason = reason.as_deref().unwrap_or("backendError");
                let message =
                    message.as_deref().unwrap_or("Internal error. Please try again or contact Google Support.");
                Some(Refusal { retry_after: *retry_after, ..Refusal::new(status, reason, message) })
            }
            Then::RateLimit { retry_after } => Some(Refusal::rate("RATE_LIMIT_EXCEEDED", *retry_after)),
            Then::ConcurrentOperations => Some(Refusal::rate("CONCURRENT_OPERATIONS_QUOTA_EXCEEDED", None)),
            Then::Deny => Some(Refusal::forbidden(permission, resource)),
            _ => None,
        })
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.0.iter().find_map(|then| match then {
            Then::FailOperation { code, message, status } => {
                Some(Failure { code: code.clone(), message: message.clone(), status: *status, details: None })
            }
            _ => None,
        })
    }

    pub(crate) fn looks(&self) -> Option<u32> {
        self.0.iter().find_map(|then| if let Then::Slow { looks } = then { Some(*looks) } else { None })
    }

    pub(crate) fn milliseconds(&self) -> Option<u64> {
        self.0.iter().find_map(|then| if let Then::Delay { milliseconds } = then { Some(*milliseconds) } else { None })
    }

    pub(crate) fn writes_before(&self) -> impl Iterator<Item = &Write> {
        self.0.iter().filter_map(|then| if let Then::WriteBefore(write) = then { Some(write) } else { None })
    }

    pub(crate) fn writes_after(&self) -> impl Iterator<Item = &Write> {
        self.0.iter().filter_map(|then| if let Then::WriteAfter(write) = then { Some(write) } else { None })
    }
}

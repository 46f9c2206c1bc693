//! What the service refuses, in the form in which Google says it.

use http::StatusCode;
use serde_json::{Value, json};

/// A refused request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The name of the gRPC status, and details of it: only some errors have them.
    pub(crate) details: Option<(&'static str, Value)>,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        Self { status, reason: reason.to_owned(), message: message.into(), details: None, retry_after: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    /// A value of the body or the path that isn't as it must be.
    pub(crate) fn field(field: &str, value: &str, must: &str) -> Self {
        Self::invalid(format!("Invalid value for field '{field}': '{value}'. {must}"))
    }

    pub(crate) fn too_large(field: &str, maximum: usize, actual: usize) -> Self {
        let message =
            format!("Value for field '{field}' is too large: maximum size {maximum} element(s); actual size {actual}.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "fieldSizeTooLarge", message)
    }

    pub(crate) fn not_found(resource: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "notFound", format!("The resource '{resource}' was not found"))
    }

    pub(crate) fn exists(resource: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "alreadyExists", format!("The resource '{resource}' already exists"))
    }

    pub(crate) fn not_ready(resource: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "resourceNotReady", format!("The resource '{resource}' is not ready"))
    }

    pub(crate) fn in_use(resource: &str, user: &str) -> Self {
        let message = format!("The {resource} resource is already being used by '{user}'");
        Self::new(StatusCode::BAD_REQUEST, "resourceInUseByAnotherResource", message)
    }

    /// What the front end refuses before Compute sees it: a request that isn't of the schema.
    pub(crate) fn payload(field: &str, description: &str) -> Self {
        let violation = json!({ "field": field, "description": description });
        let bad_request =
            json!([{ "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation] }]);
        Self { details: Some(("INVALID_ARGUMENT", bad_request)), ..Self::invalid(description) }
    }

    pub(crate) fn unauthenticated() -> Self {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                       other valid authentication credential.";
        let info = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_EXPIRED",
            "domain": "googleapis.com", "metadata": { "service": "compute.googleapis.com" },
        }]);
        Self { details: Some(("UNAUTHENTICATED", info)), ..Self::new(StatusCode::UNAUTHORIZED, "authError", message) }
    }

    pub(crate) fn forbidden(permission: &str, resource: &str) -> Self {
        let message = format!("Required '{permission}' permission for '{resource}'");
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// A rate or a number of operations at a time that is over its quota; `kind` says which.
    pub(crate) fn rate(kind: &str, retry_after: Option<u64>) -> Self {
        let message = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service \
                       'compute.googleapis.com'.";
        let info = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": kind, "domain": "googleapis.com",
            "metadata": { "service": "compute.googleapis.com" },
        }]);
        Self {
            details: Some(("PERMISSION_DENIED", info)),
            retry_after,
            ..Self::new(StatusCode::FORBIDDEN, "rateLimitExceeded", message)
        }
    }

    pub(crate) fn body(&self) -> Value {
        let mut error = json!({
            "code": self.status.as_u16(),
            "message": self.message,
            "errors": [{ "message": self.message, "domain": "global", "reason": self.reason }],
        });
        if let Some((status, details)) = &self.details {
            error["status"] = json!(status);
            error["details"] = details.clone();
        }
        json!({ "error": error })
    }
}

//! A call that is refused: EC2's code, its words, and the HTTP status that goes with the code.

use http::StatusCode;
use rsgsync_simulated::world;

use crate::xml::Xml;

/// Source of the codes: "Error codes for the Amazon EC2 API".
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        let status = match code {
            "UnauthorizedOperation" => StatusCode::FORBIDDEN,
            "DryRunOperation" => StatusCode::PRECONDITION_FAILED,
            "RequestLimitExceeded" | "Unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "InternalError" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { status, code: code.to_owned(), message: message.into(), retry_after: None }
    }

    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new("MissingParameter", format!("The request must contain the parameter {parameter}"))
    }

    pub(crate) fn no_group(id: &str) -> Self {
        Self::new("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
    }

    pub(crate) fn throttled(retry_after: Option<u64>) -> Self {
        Self { retry_after, ..Self::new("RequestLimitExceeded", "Request limit exceeded.") }
    }

    /// `permission` is `ec2:` and an action.
    pub(crate) fn unauthorized(permission: &str, account: &str) -> Self {
        let message = format!(
            "You are not authorized to perform this operation. User: arn:aws:iam::{account}:user/test is not authorized to \
             perform: {permission} because no identity-based policy allows the {permission} action"
        );
        Self::new("UnauthorizedOperation", message)
    }

    pub(crate) fn body(&self, request_id: &str) -> String {
        let mut xml = Xml::default();
        xml.within("Response", |xml| {
            xml.within("Errors", |xml| {
                xml.within("Error", |xml| {
                    xml.text("Code", &self.code);
                    xml.text("Message", &self.message);
                });
            });
            xml.text("RequestID", request_id);
        });
        xml.document()
    }
}

impl From<world::Refusal> for Refusal {
    fn from(world::Refusal { code, message }: world::Refusal) -> Self {
        Self::new(code, message)
    }
}

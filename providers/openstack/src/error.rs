//! Refusals and failures become [`CloudError`]s: what was being done, what OpenStack said, and what to do next.

use std::time::Duration;

use http::Method;
use openstack_sdk::api::ApiError;
use openstack_sdk::{AuthError, OpenStackError, RestError};
use rsgsync_engine::{CloudError, ErrorKind, Silence, Unanswered, causes, last_cause};

use crate::api::Answer;
use crate::wire::{Denial, Refusal};

/// What to do about an answer that only something that is not Neutron would give.
pub(crate) const NOT_NEUTRON: &str =
    "check that the catalog's endpoint for `network` is Neutron's, and that no proxy answers in its place";

const CHECK_ADDRESS: &str = "check `auth_url`, the catalog's endpoint for `network` (and `interface`), and that this machine \
                             reaches them (HTTPS_PROXY, firewall, `cacert`)";
const CHECK_CREDENTIALS: &str = "check user, password, their domains and the project; `openstack token issue` shows whether \
                                 they are accepted, and an application credential's access rules must have this call";

/// A call that Neutron answered with something else than success.
#[derive(Debug)]
pub(crate) struct Refused {
    /// HTTP.
    pub status: u16,
    /// Neutron's word for it: `SecurityGroupRuleExists`.
    pub code: String,
    pub error: CloudError,
}

impl From<Refused> for CloudError {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl Refused {
    /// A failure without an answer.
    pub fn unanswered(error: CloudError) -> Self {
        Self { status: 0, code: String::new(), error }
    }
}

/// An error that trying again won't mend.
pub(crate) fn final_error(doing: String, message: String, help: impl Into<String>) -> CloudError {
    CloudError { kind: ErrorKind::Final, doing, message, request_id: None, help: Some(help.into()) }
}

/// What an answer that is no success means.
pub(crate) fn refused(doing: String, answer: &Answer) -> Refused {
    let status = answer.status;
    let (code, said) = words(&answer.body);
    let message = match (code.as_str(), said.as_str()) {
        ("", "") => format!("HTTP {status}"),
        ("", said) => format!("HTTP {status}: {said}"),
        (code, said) => format!("{code}: {said}"),
    };
    let kind = match (status, answer.retry_after) {
        (429, asked) => ErrorKind::Throttled(asked),
        (503, Some(asked)) => ErrorKind::Throttled(Some(asked)),
        (500.., _) => ErrorKind::Transient,
        // A read that somebody's writing got in the way of: Neutron's own word for "again".
        (409, _) if code == "RetryRequest" => ErrorKind::Transient,
        _ => ErrorKind::Final,
    };
    let help = advice(status, &code, &said).map(str::to_owned);
    let error = CloudError { kind, doing, message, request_id: answer.request_id.clone(), help };
    Refused { status, code, error }
}

/// Type and message of an error, as Neutron or Keystone's middleware write it; a page of a proxy has neither.
fn words(body: &[u8]) -> (String, String) {
    if let Ok(Refusal { error }) = serde_json::from_slice(body) {
        return (error.kind, error.message);
    }
    if let Ok(Denial { error }) = serde_json::from_slice(body) {
        return (error.title, error.message);
    }
    (String::new(), String::new())
}

fn advice(status: u16, code: &str, said: &str) -> Option<&'static str> {
    Some(match (status, code) {
        (401, _) => CHECK_CREDENTIALS,
        (403, _) => {
            "these credentials may not do that: give their user the role `member` on the project (`reader` can only plan), or use \
                     those of the project that owns the group"
        }
        (409, "OverQuota") if said.contains("security_group_rule") => {
            "raise the quota (`openstack quota set --secgroup-rules N PROJECT`), or delete rules or groups"
        }
        (409, "OverQuota") => "raise the quota (`openstack quota set --secgroups N PROJECT`), or delete groups",
        (409, "SecurityGroupInUse") => {
            "a port still uses the group: `openstack port list --security-group GROUP` shows which"
        }
        (409, "SecurityGroupCannotRemoveDefault") => "the group `default` can't be deleted: its rules can",
        (412, _) => "somebody has changed the group meanwhile: plan again",
        (404, "SecurityGroupNotFound") => "a group that existed is gone, or is another project's: plan again",
        (404, "AddressGroupNotFound") => {
            "write the id of an address group that this project sees: `openstack address group list`"
        }
        (404, "") => NOT_NEUTRON,
        (413 | 429, _) | (500.., _) => return None,
        (_, "") => NOT_NEUTRON,
        _ => return None,
    })
}

/// What a call that got no answer means. `answered`: this cloud has answered calls before.
pub(crate) fn unanswered(
    doing: String,
    method: &Method,
    url: &str,
    answered: bool,
    error: &ApiError<RestError>,
) -> CloudError {
    match error {
        ApiError::Client { source: RestError::Communication { source } } => {
            no_answer(doing, method, url, answered, source)
        }
        other => final_error(doing, causes(other), "this is a fault of rsgsync: please report it"),
    }
}

/// What a failed request means: nothing sent, or perhaps carried out.
pub(crate) fn no_answer(
    doing: String,
    method: &Method,
    url: &str,
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
    Unanswered { doing, at: &origin(url), how, said, reads, answered, help: CHECK_ADDRESS }.into()
}

/// Why no token could be had.
pub(crate) fn no_token(doing: String, from: &str, error: &OpenStackError) -> CloudError {
    let help = |text: &str| format!("{text} ({from})");
    match error {
        OpenStackError::AuthError { source: AuthError::Identity(said) } => {
            let kind = if said.code >= 500 { ErrorKind::Transient } else { ErrorKind::Final };
            let message = format!("Keystone answers HTTP {}: {}", said.code, said.message);
            CloudError { kind, doing, message, request_id: None, help: Some(help(CHECK_CREDENTIALS)) }
        }
        OpenStackError::AuthError { source: AuthError::UnknownAuth { code, .. } } => {
            let kind = if *code >= 500 { ErrorKind::Transient } else { ErrorKind::Final };
            let message = format!("Keystone answers HTTP {code}, and not in its own words");
            CloudError { kind, doing, message, request_id: None, help: Some(help("check `auth_url`")) }
        }
        OpenStackError::AuthError { source: AuthError::Reqwest { source } }
        | OpenStackError::Communication { source } => {
            let url = source.url().map_or_else(String::new, ToString::to_string);
            no_answer(doing, &Method::POST, &url, false, source)
        }
        OpenStackError::Api { source } => unanswered(doing, &Method::GET, "", false, source),
        OpenStackError::AuthHelperError { .. } => final_error(
            doing,
            format!("{from} lacks what it takes to log in: {}", causes(error)),
            help(CHECK_CREDENTIALS),
        ),
        _ => final_error(
            doing,
            causes(error),
            help("check `auth_type`, and `auth_url` and what else stands under `auth`"),
        ),
    }
}

/// Scheme, host and port: a path says nothing here, and a password in a URL is nobody's business.
pub(crate) fn origin(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(url) => url.origin().ascii_serialization(),
        Err(_) => url.to_owned(),
    }
}

pub(crate) fn retry_after(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}

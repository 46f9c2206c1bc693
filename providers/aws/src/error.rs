//! The SDK's errors become [`CloudError`]s: what was being done, what AWS said, and what to do next.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use rsgsync_engine::{CloudError, ErrorKind};

use crate::connect::Aws;

/// What to do about an answer that only something that is not EC2 would give.
pub(crate) const NOT_EC2: &str = "check that AWS_ENDPOINT_URL, if set, names an EC2 endpoint";

const CHECK_ADDRESS: &str = "check `region:`, AWS_ENDPOINT_URL if it is set, and that this machine reaches that address (HTTPS_PROXY, \
                             firewall)";

/// EC2's and the SDKs' words for "slow down" ("Request throttling for the Amazon EC2 API"; the SDKs' standard retry mode).
const THROTTLED: [&str; 11] = [
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "SlowDown",
];
const EXPIRED: [&str; 4] = ["RequestExpired", "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"];
const DENIED: [&str; 3] = ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException"];
const BAD_KEYS: [&str; 6] = [
    "AuthFailure",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "MissingAuthenticationToken",
];

/// An API action, as policies name it, and the group that it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    service: &'static str,
    action: &'static str,
    group: Option<&'a str>,
}

impl<'a> Asked<'a> {
    pub const fn ec2(action: &'static str) -> Self {
        Self { service: "ec2", action, group: None }
    }

    pub const fn sts(action: &'static str) -> Self {
        Self { service: "sts", action, group: None }
    }

    /// Whether the action only reads, so that a lost answer changed nothing.
    fn reads(self) -> bool {
        self.action.starts_with("Describe") || self.action.starts_with("Get")
    }

    /// The id of the group.
    pub const fn about(self, group: &'a str) -> Self {
        Self { group: Some(group), ..self }
    }
}

/// An error that trying again won't mend.
pub(crate) fn final_error(doing: String, message: String, help: &str) -> CloudError {
    CloudError { kind: ErrorKind::Final, doing, message, request_id: None, help: Some(help.to_owned()) }
}

/// The code of AWS's answer, where it was an error with one.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

impl Aws {
    /// What the engine and the user are told about a failed call.
    pub(crate) fn failed<E>(&self, doing: String, asked: Asked<'_>, error: &SdkError<E, HttpResponse>) -> CloudError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(context) => self.refused(doing, asked, context.err(), context.raw()),
            SdkError::ResponseError(context) => {
                let raw = context.raw();
                let status = raw.status().as_u16();
                let kind = if status >= 500 { ErrorKind::Transient } else { ErrorKind::Lost };
                CloudError {
                    kind,
                    doing,
                    message: format!("the answer (HTTP {status}) can't be read: {}", causes(error)),
                    request_id: request_id(None, raw),
                    help: Some(self.not_ec2()),
                }
            }
            SdkError::TimeoutError(_) => self.no_answer(doing, asked, &causes(error)),
            _ if is_credentials(error) => self.no_credentials(doing, error),
            SdkError::DispatchFailure(failure) => self.not_sent(doing, failure.is_user(), error),
            _ => final_error(doing, causes(error), "this is a fault of rsgsync: please report it"),
        }
    }

    fn refused<E>(&self, doing: String, asked: Asked<'_>, error: &E, raw: &HttpResponse) -> CloudError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = raw.status().as_u16();
        let code = error.code().unwrap_or_default();
        let said = error.message().unwrap_or_default();
        let message = match (code, said) {
            ("", "") => format!("the answer (HTTP {status}) can't be read: {}", causes(error)),
            ("", said) => format!("HTTP {status}: {said}"),
            (code, "") => code.to_owned(),
            (code, said) => format!("{code}: {said}"),
        };
        let kind = if THROTTLED.contains(&code) || status == 429 {
            ErrorKind::Throttled(retry_after(raw))
        } else if status >= 500 {
            ErrorKind::Transient
        } else if status < 400 && !asked.reads() {
            // Carried out, perhaps, and the answer is garbled.
            ErrorKind::Lost
        } else if code == "InvalidGroup.NotFound" && self.session.made_any_in(said) {
            // A group made seconds ago is not known everywhere yet ("Eventual consistency in the Amazon EC2 API").
            ErrorKind::Transient
        } else {
            ErrorKind::Final
        };
        let help = match code {
            "" => Some(self.not_ec2()),
            _ => self.advice(asked, code, said),
        };
        CloudError { kind, doing, message, request_id: request_id(error.meta().request_id(), raw), help }
    }

    fn advice(&self, asked: Asked<'_>, code: &str, said: &str) -> Option<String> {
        Some(match code {
            _ if DENIED.contains(&code) => {
                let permission = denied_action(said).unwrap_or_else(|| format!("{}:{}", asked.service, asked.action));
                let encoded = if said.contains("Encoded authorization failure") {
                    "; `aws sts decode-authorization-message` shows which policy refused"
                } else {
                    ""
                };
                format!("allow `{permission}` to {}{encoded}", self.credentials_from())
            }
            _ if EXPIRED.contains(&code) => format!(
                "get fresh credentials ({}), for instance with `aws sso login`; if they are fresh, check this machine's \
                 clock",
                self.credentials_from()
            ),
            _ if BAD_KEYS.contains(&code) => {
                format!("AWS does not accept {}: check the keys, the region and this machine's clock", self.credentials_from())
            }
            "OptInRequired" => "enable the region or service for this account".to_owned(),
            "InvalidVpcID.NotFound" | "InvalidVpcId.Malformed" | "InvalidVpcID.Malformed" => {
                "correct `vpc:` or `region:`; `aws ec2 describe-vpcs` lists what there is".to_owned()
            }
            "DependencyViolation" | "InvalidGroup.InUse" => {
                let id = asked.group.unwrap_or("ID");
                format!(
                    "something still uses the group: a network interface (`aws ec2 describe-network-interfaces --filters \
                     Name=group-id,Values={id}`) or a rule of another group (`aws ec2 describe-security-group-references \
                     --group-id {id}`, `aws ec2 describe-security-groups --filters Name=ip-permission.group-id,Values={id}`)"
                )
            }
            "RulesPerSecurityGroupLimitExceeded" => {
                "ask AWS for a higher quota (Service Quotas, `Inbound or outbound rules per security group`) and write it \
                 as `quotas: { rules_per_group: … }`; a prefix list counts with its maximum of entries"
                    .to_owned()
            }
            "SecurityGroupLimitExceeded" => {
                "ask AWS for a higher quota (Service Quotas, `VPC security groups per Region`), or delete groups".to_owned()
            }
            "InvalidGroup.NotFound" => "a group that existed is gone: plan again".to_owned(),
            "InvalidPrefixListId.NotFound" | "InvalidPrefixListID.NotFound" | "InvalidPrefixListId.Malformed" => {
                "correct `prefix_list:`; `aws ec2 describe-managed-prefix-lists` lists what there is".to_owned()
            }
            "TagLimitExceeded" => "AWS allows 50 tags: remove some, or leave this one to its other owners".to_owned(),
            _ => return None,
        })
    }

    fn no_answer(&self, doing: String, asked: Asked<'_>, said: &str) -> CloudError {
        // A first read that hangs is a wrong address far more often than a slow AWS, and ten of them take minutes.
        let hopeless = asked.reads() && !self.calls.answered();
        CloudError {
            kind: if hopeless { ErrorKind::Final } else { ErrorKind::Lost },
            doing,
            message: format!("no answer in time{}: {said}", self.at_endpoint()),
            request_id: None,
            help: hopeless.then(|| CHECK_ADDRESS.to_owned()),
        }
    }

    fn not_sent(&self, doing: String, user: bool, error: &(dyn Error + 'static)) -> CloudError {
        let said = causes(error);
        if user || self.calls.endpoint().is_none() {
            // The outer causes quote the whole request.
            let cause = chain(error).last().map(ToString::to_string).unwrap_or(said);
            return final_error(
                doing,
                format!("no request could be made: {cause}"),
                "check AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_EC2): it must be a URL such as http://127.0.0.1:4566",
            );
        }
        if !never_connected(error, &said) {
            let message = format!("the connection broke{}: {said}", self.at_endpoint());
            return CloudError { kind: ErrorKind::Lost, doing, message, request_id: None, help: None };
        }
        // What answered before will again; what never did is a wrong name, port or network, and waiting won't mend it.
        let kind = if self.calls.answered() { ErrorKind::Transient } else { ErrorKind::Final };
        CloudError {
            kind,
            doing,
            message: format!("no connection{}: {said}", self.at_endpoint()),
            request_id: None,
            help: Some(CHECK_ADDRESS.to_owned()),
        }
    }

    fn no_credentials(&self, doing: String, error: &(dyn Error + 'static)) -> CloudError {
        let tried = match (&self.place.profile, &self.place.assume_role) {
            (Some(profile), Some(role)) => format!("the role {role} through profile `{profile}`"),
            (Some(profile), None) => format!("the profile `{profile}` of the inventory"),
            (None, Some(role)) => format!("the role {role}, through AWS's credential chain"),
            (None, None) => {
                "AWS_ACCESS_KEY_ID, the profile (AWS_PROFILE or `default`), a web identity token, the container's and the \
                 instance's role"
                    .to_owned()
            }
        };
        // What STS or SSO answered, where it came that far.
        let answer = chain(error).find_map(|e| e.downcast_ref::<ErrorMetadata>());
        let said = match answer.and_then(|answer| Some((answer.code()?, answer.message().unwrap_or_default()))) {
            Some((code, said)) => format!("{code}: {said}"),
            None => causes(error).replace(NO_PROFILE, "no such profile, or it has no credentials"),
        };
        let help = match answer.and_then(ErrorMetadata::code) {
            Some(code) if DENIED.contains(&code) => {
                "allow `sts:AssumeRole` to the credentials that assume the role, and let the role trust them"
            }
            _ => {
                "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with `aws sso login`; the \
                 network's `profile:` and `assume_role:` say which to use"
            }
        };
        let message = format!("no usable credentials (tried: {tried}): {said}");
        let request_id = answer.and_then(RequestId::request_id).map(str::to_owned);
        CloudError { request_id, ..final_error(doing, message, help) }
    }

    fn credentials_from(&self) -> String {
        match (&self.place.assume_role, &self.place.profile) {
            (Some(role), _) => format!("the role {role}"),
            (None, Some(profile)) => format!("the credentials of profile `{profile}`"),
            (None, None) => "these credentials".to_owned(),
        }
    }

    fn not_ec2(&self) -> String {
        format!("{NOT_EC2}, and that no proxy answers in its place{}", self.at_endpoint())
    }

    fn at_endpoint(&self) -> String {
        self.calls.endpoint().map(|url| format!(" at {url}")).unwrap_or_default()
    }
}

/// The permission in `You are not authorized to perform: ec2:CreateTags on resource: …`.
fn denied_action(said: &str) -> Option<String> {
    let rest = said.split_once("authorized to perform: ")?.1;
    let word = rest.split_whitespace().next()?;
    let known = word.contains(':') && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':' || b == b'-');
    known.then(|| word.to_owned())
}

/// The request's id: as the SDK read it from the headers, else from EC2's XML.
fn request_id(known: Option<&str>, raw: &HttpResponse) -> Option<String> {
    if let Some(id) = known {
        return Some(id.to_owned());
    }
    if let Some(id) = raw.headers().get("x-amzn-requestid") {
        return Some(id.to_owned());
    }
    let body = std::str::from_utf8(raw.body().bytes()?).ok()?;
    let id = body.split_once("<RequestID>")?.1.split_once("</RequestID>")?.0;
    Some(id.trim().to_owned())
}

fn retry_after(raw: &HttpResponse) -> Option<Duration> {
    raw.headers().get("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

fn is_credentials(error: &(dyn Error + 'static)) -> bool {
    // A provider that takes too long has no type of its own.
    chain(error).any(|e| e.is::<CredentialsError>() || e.to_string().starts_with("identity resolver timed out"))
}

/// Whether the failure was in reaching the endpoint, so that nothing was sent.
fn never_connected(error: &(dyn Error + 'static), said: &str) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let refused = |e: &(dyn Error + 'static)| {
        e.downcast_ref::<std::io::Error>()
            .is_some_and(|io| matches!(io.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable))
    };
    // hyper says in words only at which stage it failed; names, TLS and the connect timeout are of this stage.
    chain(error).any(refused)
        || said.contains("(Connect)")
        || said.contains("connect timeout")
        || said.contains("dns error")
}

/// All that the SDK says of a profile that does not exist.
const NO_PROFILE: &str = "the credential provider was not enabled";

/// What the SDK's layers say that says nothing.
const NOISE: [&str; 6] =
    ["dispatch failure", "other", "io error", "service error", "unhandled error", "request has timed out"];

/// The error and its causes, each said once.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for text in chain(error).map(ToString::to_string) {
        if !text.is_empty() && !NOISE.contains(&text.as_str()) && !said.iter().any(|s| s.contains(&text)) {
            said.push(text);
        }
    }
    said.join(": ")
}

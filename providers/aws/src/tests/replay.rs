//! An HTTP client that gives prepared answers and keeps what was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::{
    Credentials, HttpClient, RuntimeComponents, SharedAsyncSleep, SharedCredentialsProvider, SharedHttpClient,
};
use aws_sdk_ec2::error::ConnectorError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

/// Answers in order; one request too many is an error that no test expects.
#[derive(Debug, Clone, Default)]
pub(super) struct Replay(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    asked: Vec<Asked>,
}

#[derive(Debug)]
pub(super) enum Answer {
    Http {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// No answer comes.
    Never,
    /// The connection fails.
    Broken(&'static str),
}

/// The parameters of one request, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked(Vec<(String, String)>);

impl Replay {
    pub(super) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(Arc::new(Mutex::new(State { answers: answers.into_iter().collect(), asked: Vec::new() })))
    }

    pub(super) fn config(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "AKID", "secret", None, None, "test",
            )))
            .http_client(SharedHttpClient::new(self.clone()))
            .sleep_impl(SharedAsyncSleep::new(Clock))
            .build()
    }

    /// The actions that were asked for, in order.
    pub(super) fn actions(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.iter().map(|asked| asked.value("Action").unwrap_or_default().to_owned()).collect()
    }

    /// The request number `n`, from 0.
    pub(super) fn asked(&self, n: usize) -> Asked {
        self.0.lock().unwrap().asked[n].clone()
    }

    /// Answers that nobody asked for.
    pub(super) fn left(&self) -> usize {
        self.0.lock().unwrap().answers.len()
    }
}

impl Asked {
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The values of all keys that begin and end so, in order.
    pub(super) fn values(&self, start: &str, end: &str) -> Vec<&str> {
        self.0.iter().filter(|(k, _)| k.starts_with(start) && k.ends_with(end)).map(|(_, v)| v.as_str()).collect()
    }
}

/// Tokio's own clock, which a test may stop.
#[derive(Debug)]
struct Clock;

impl aws_sdk_ec2::config::AsyncSleep for Clock {
    fn sleep(&self, duration: std::time::Duration) -> aws_sdk_ec2::config::Sleep {
        aws_sdk_ec2::config::Sleep::new(tokio::time::sleep(duration))
    }
}

impl HttpClient for Replay {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Replay {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut state = self.0.lock().unwrap();
        let body = request.body().bytes().unwrap_or_default();
        let parameters = form_urlencoded::parse(body).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        let asked = Asked(parameters);
        let action = asked.value("Action").unwrap_or_default().to_owned();
        state.asked.push(asked);
        HttpConnectorFuture::ready(match state.answers.pop_front() {
            Some(Answer::Http { status, headers, body }) => {
                let mut response =
                    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.replace("ACTION", &action)));
                for (name, value) in headers {
                    response.headers_mut().insert(name, value);
                }
                Ok(response)
            }
            Some(Answer::Never) => return HttpConnectorFuture::new(std::future::pending()),
            Some(Answer::Broken(why)) => Err(ConnectorError::io(why.into())),
            None => Err(ConnectorError::user("the test has no answer for this request".into())),
        })
    }
}

/// A good answer of EC2; `content` is the XML inside the root, whose name is the action's.
pub(super) fn ok(content: &str) -> Answer {
    let space = "http://ec2.amazonaws.com/doc/2016-11-15/";
    let body = format!("<ACTIONResponse xmlns=\"{space}\"><requestId>req-ok</requestId>{content}</ACTIONResponse>");
    Answer::Http { status: 200, headers: vec![("x-amzn-requestid", "req-ok".to_owned())], body }
}

/// An error of EC2.
pub(super) fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>\
         </Error></Errors><RequestID>req-bad</RequestID></Response>"
    );
    Answer::Http { status, headers: Vec::new(), body }
}

/// An entry of DescribeSecurityGroups in `vpc-1`; permissions are made by [`permission`].
pub(super) fn group(id: &str, name: &str, tags: &[(&str, &str)], ingress: &str, egress: &str) -> String {
    format!(
        "<item><ownerId>{account}</ownerId><groupId>{id}</groupId><groupName>{name}</groupName>\
         <groupDescription>nodes</groupDescription><vpcId>vpc-1</vpcId><ipPermissions>{ingress}</ipPermissions>\
         <ipPermissionsEgress>{egress}</ipPermissionsEgress><tagSet>{tags}</tagSet></item>",
        account = super::ACCOUNT,
        tags = tag_items(tags)
    )
}

pub(super) fn tag_items(tags: &[(&str, &str)]) -> String {
    tags.iter().map(|(key, value)| format!("<item><key>{key}</key><value>{value}</value></item>")).collect()
}

/// The answer to DescribeSecurityGroups.
pub(super) fn groups(items: &[String]) -> Answer {
    ok(&format!("<securityGroupInfo>{}</securityGroupInfo>", items.concat()))
}

/// A page of it, with another to come.
pub(super) fn groups_page(items: &[String], next: &str) -> Answer {
    ok(&format!("<securityGroupInfo>{}</securityGroupInfo><nextToken>{next}</nextToken>", items.concat()))
}

/// A permission for ranges of IPv4 addresses without descriptions.
pub(super) fn permission(protocol: &str, from: i32, to: i32, ranges: &[&str]) -> String {
    let ranges: String = ranges.iter().map(|range| format!("<item><cidrIp>{range}</cidrIp></item>")).collect();
    format!(
        "<item><ipProtocol>{protocol}</ipProtocol><fromPort>{from}</fromPort><toPort>{to}</toPort>\
         <groups/><ipRanges>{ranges}</ipRanges><ipv6Ranges/><prefixListIds/></item>"
    )
}

/// An entry of DescribeSecurityGroupRules: ingress of tcp from a range.
pub(super) fn rule_entry(id: &str, group: &str, port: u16, cidr: &str, tags: &[(&str, &str)]) -> String {
    format!(
        "<item><securityGroupRuleId>{id}</securityGroupRuleId><groupId>{group}</groupId><groupOwnerId>{account}</groupOwnerId>\
         <isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>{port}</fromPort><toPort>{port}</toPort>\
         <cidrIpv4>{cidr}</cidrIpv4><tagSet>{tags}</tagSet></item>",
        account = super::ACCOUNT,
        tags = tag_items(tags)
    )
}

/// The answer to DescribeSecurityGroupRules.
pub(super) fn rule_entries(items: &[String]) -> Answer {
    ok(&format!("<securityGroupRuleSet>{}</securityGroupRuleSet>", items.concat()))
}

/// The answer to DescribeVpcs.
pub(super) fn vpcs(items: &[(&str, &[(&str, &str)])]) -> Answer {
    let items: String = items
        .iter()
        .map(|(id, tags)| {
            format!(
                "<item><vpcId>{id}</vpcId><ownerId>{}</ownerId><tagSet>{}</tagSet></item>",
                super::ACCOUNT,
                tag_items(tags)
            )
        })
        .collect();
    ok(&format!("<vpcSet>{items}</vpcSet>"))
}

/// The answer of a call that only says yes.
pub(super) fn yes() -> Answer {
    ok("<return>true</return>")
}

//! Endpoints that don't answer and credentials that aren't there, without any server of AWS's.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Providing;
use aws_sdk_ec2::config::{Credentials, ProvideCredentials, SharedAsyncSleep, SharedCredentialsProvider, Sleep};
use aws_sdk_ec2::error::ErrorMetadata;
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{Cloud, CloudError, ErrorKind};
use serde_json::json;

use super::{network, scope};
use crate::Aws;

#[derive(Debug)]
struct TokioSleep;

impl aws_sdk_ec2::config::AsyncSleep for TokioSleep {
    fn sleep(&self, duration: std::time::Duration) -> Sleep {
        Sleep::new(tokio::time::sleep(duration))
    }
}

/// Credentials that can't be had.
#[derive(Debug)]
struct Failing(Mutex<Option<CredentialsError>>);

impl From<CredentialsError> for Failing {
    fn from(error: CredentialsError) -> Self {
        Self(Mutex::new(Some(error)))
    }
}

impl ProvideCredentials for Failing {
    fn provide_credentials<'a>(&'a self) -> Providing<'a>
    where
        Self: 'a,
    {
        Providing::ready(Err(self.0.lock().unwrap().take().unwrap()))
    }
}

fn none_in_chain() -> Failing {
    CredentialsError::not_loaded("no providers in chain provided credentials").into()
}

fn config(endpoint: &str, credentials: impl ProvideCredentials + 'static) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep))
        .build()
}

fn keys() -> Credentials {
    Credentials::new("AKID", "secret", None, None, "test")
}

async fn observe(aws: &Aws) -> CloudError {
    aws.observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap_err()
}

fn aws(config: SdkConfig) -> Aws {
    Aws::with_config(&network(json!({ "vpc": "vpc-1" })), config).unwrap()
}

#[tokio::test]
async fn a_refused_connection_is_final_and_names_the_url() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let error = observe(&aws(config(&url, keys()))).await;
    assert_eq!(error.kind, ErrorKind::Final);
    assert!(error.message.starts_with(&format!("no connection at {url}: ")), "{}", error.message);
    assert!(error.help.unwrap().contains("AWS_ENDPOINT_URL"));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_final_and_names_the_url() {
    let error = observe(&aws(config("http://ec2.nowhere.invalid", keys()))).await;
    assert_eq!(error.kind, ErrorKind::Final);
    assert!(error.message.starts_with("no connection at http://ec2.nowhere.invalid: "), "{}", error.message);
}

#[tokio::test]
async fn an_endpoint_that_answered_once_is_tried_again() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let once = std::thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let mut request = [0; 65536];
        let _ = client.read(&mut request).unwrap();
        client.write_all(b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let aws = aws(config(&url, keys()));
    assert_eq!(observe(&aws).await.kind, ErrorKind::Transient);
    once.join().unwrap();
    let error = observe(&aws).await;
    assert!(error.message.starts_with("no connection at"), "{}", error.message);
    assert_eq!(error.kind, ErrorKind::Transient);
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_loses_it() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let once = std::thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let mut request = [0; 65536];
        let _ = client.read(&mut request).unwrap();
    });
    let error = observe(&aws(config(&url, keys()))).await;
    once.join().unwrap();
    assert_eq!(error.kind, ErrorKind::Lost, "{error:?}");
}

#[tokio::test]
async fn missing_credentials_are_final_and_say_what_was_tried() {
    let error = observe(&aws(config("http://127.0.0.1:1", none_in_chain()))).await;
    assert_eq!(error.kind, ErrorKind::Final);
    assert!(
        error.message.starts_with("no usable credentials (tried: AWS_ACCESS_KEY_ID, the profile"),
        "{}",
        error.message
    );
    assert!(error.message.contains("no providers in chain provided credentials"), "{}", error.message);
    assert!(error.help.unwrap().contains("AWS_PROFILE"));
}

#[tokio::test]
async fn missing_credentials_of_a_role_name_the_role() {
    let place = json!({ "vpc": "vpc-1", "profile": "ops", "assume_role": "arn:aws:iam::1:role/x" });
    let aws = Aws::with_config(&network(place), config("http://127.0.0.1:1", none_in_chain())).unwrap();
    let error = observe(&aws).await;
    assert!(
        error.message.contains("(tried: the role arn:aws:iam::1:role/x through profile `ops`)"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_final_and_says_which_variable() {
    let error = observe(&aws(config("nonsense", keys()))).await;
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Final, "no request could be made: endpoint must contain scheme")
    );
    assert!(error.help.unwrap().contains("AWS_ENDPOINT_URL"));
}

#[tokio::test]
async fn a_role_that_sts_denies_is_told_with_its_code_and_request() {
    let answer = ErrorMetadata::builder()
        .code("AccessDenied")
        .message("User ann may not assume x")
        .custom("aws_request_id", "r9");
    let denied = CredentialsError::provider_error(answer.build());
    let error = observe(&aws(config("http://127.0.0.1:1", Failing::from(denied)))).await;
    assert!(error.message.ends_with("): AccessDenied: User ann may not assume x"), "{}", error.message);
    assert_eq!(error.request_id.as_deref(), Some("r9"));
    assert!(error.help.unwrap().contains("sts:AssumeRole"));
}

#[tokio::test]
async fn no_region_is_told_before_anything_is_called() {
    let config = config("http://127.0.0.1:1", keys()).into_builder().region(None).build();
    let aws = aws(config);
    let error = observe(&aws).await;
    assert!(error.message.starts_with("no region: "), "{}", error.message);
    assert!(aws.calls().is_empty());
}

#[test]
fn values_of_the_wrong_shape_are_errors() {
    for (place, said) in [
        (json!({ "vpc": "prod" }), "`prod` is not the id of a VPC"),
        (json!({ "vpc": { "tags": {} } }), "`vpc` has no tags to find it by"),
        (json!({ "vpc": { "tags": { "Name": 1 } } }), "`vpc` has no tags to find it by"),
        (json!({ "account": "12345" }), "`12345` is not the id of an account"),
        (json!({ "region": 7 }), "`region` is not a text"),
    ] {
        let error = Aws::connect(&network(place)).unwrap_err();
        assert_eq!(error.message, said);
    }
}

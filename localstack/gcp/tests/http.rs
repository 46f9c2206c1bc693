//! The server over HTTP: what only shows there.

#![allow(clippy::unwrap_used, reason = "a test fails where its scene does")]

use std::time::{Duration, Instant};

use gcp_server::Server;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server of the test's own, on a port that the system chose.
struct Scene {
    address: String,
}

impl Scene {
    async fn new(strict: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Server::new(strict).unwrap();
        let key: Value = serde_json::from_str(&server.key_file("http://x").unwrap()).unwrap();
        assert_eq!((&key["type"], &key["token_uri"]), (&json!("service_account"), &json!("http://x/token")));
        tokio::spawn(async move { server.serve(listener).await });
        Self { address }
    }

    /// The whole answer, head and body; nothing where the connection is closed without one.
    async fn ask(&self, verb: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let length = body.len();
        let head =
            format!("{verb} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn json(&self, verb: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(verb, path, &body.to_string()).await;
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    async fn fault(&self, then: Value) {
        self.json("POST", "/control/faults", &json!({ "project": "p", "then": then })).await;
    }
}

const RULES: &str = "/compute/v1/projects/p/global/firewalls";

#[tokio::test]
async fn the_version_may_be_left_out_of_the_path() {
    let scene = Scene::new(false).await;
    let full = scene.json("GET", RULES, &Value::Null).await;
    assert_eq!(full["items"].as_array().unwrap().len(), 4);
    assert_eq!(scene.json("GET", "/projects/p/global/firewalls", &Value::Null).await, full);
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back() {
    let scene = Scene::new(false).await;
    scene.fault(json!({ "error": { "status": 503, "retryAfter": 7 } })).await;
    let answer = scene.ask("GET", RULES, "").await.to_lowercase();
    assert!(answer.starts_with("http/1.1 503 ") && answer.contains("\r\nretry-after: 7\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/json"), "{answer}");
}

#[tokio::test]
async fn a_lost_answer_is_a_closed_connection() {
    let scene = Scene::new(false).await;
    scene.fault(json!("lose")).await;
    assert_eq!(scene.ask("DELETE", &format!("{RULES}/default-allow-ssh"), "").await, "");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let answer = scene.ask("GET", &format!("{RULES}/default-allow-ssh"), "").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    scene.fault(json!("drop")).await;
    assert_eq!(scene.ask("GET", RULES, "").await, "");
    let log = scene.json("GET", "/control/log?project=p", &Value::Null).await;
    assert_eq!(log["requests"][2]["status"], Value::Null);
}

#[tokio::test]
async fn waiting_lasts_until_the_operation_is_done() {
    let scene = Scene::new(false).await;
    scene.fault(json!({ "delay": { "milliseconds": 200 } })).await;
    let start = Instant::now();
    let operation = scene.json("DELETE", &format!("{RULES}/default-allow-ssh"), &Value::Null).await;
    let path = format!("/compute/v1/projects/p/global/operations/{}", operation["name"].as_str().unwrap());
    assert_eq!(scene.json("GET", &path, &Value::Null).await["status"], "RUNNING");
    assert_eq!(scene.json("POST", &format!("{path}/wait"), &Value::Null).await["status"], "DONE");
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn no_token_is_given_for_a_bad_assertion() {
    let scene = Scene::new(true).await;
    let form = "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=";
    for assertion in ["", "a", "a.b", "a.b.c", "e30.e30.e30"] {
        let answer = scene.ask("POST", "/token", &format!("{form}{assertion}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("invalid_grant"), "{assertion}: {answer}");
    }
    let answer = scene.ask("POST", "/token", "grant_type=password").await;
    assert!(answer.contains("unsupported_grant_type"), "{answer}");
    assert!(scene.ask("GET", RULES, "").await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn tokens_of_every_kind_are_exchanged() {
    let scene = Scene::new(false).await;
    for form in [
        "grant_type=refresh_token&refresh_token=r&client_id=c&client_secret=s",
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=s",
    ] {
        let answer = scene.ask("POST", "/token/9", form).await;
        assert!(answer.contains("\"access_token\": \"ya29.") && answer.contains("\"expires_in\": 9"), "{answer}");
    }
    let path = "/v1/projects/-/serviceAccounts/a@b.iam.gserviceaccount.com:generateAccessToken";
    let answer = scene.json("POST", path, &json!({ "scope": [] })).await;
    assert!(answer["accessToken"].as_str().unwrap().starts_with("ya29.") && answer["expireTime"].is_string());
}

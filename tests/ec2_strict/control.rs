//! The server's control endpoint, over a socket: no HTTP client is among what we build with.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::account::Account;

/// What the server does next to this account: see localstack/README.md.
impl Account {
    /// The account's number.
    fn number(&self) -> &str {
        &self.variables["AWS_ACCESS_KEY_ID"]
    }

    pub fn settings(&self, settings: &Value) {
        let path = format!("settings?account={}", self.number());
        request("POST", &path, &settings.to_string());
    }

    /// What happens to the `nth` call of this action, and to so many.
    pub fn fault(&self, action: &str, nth: u32, times: u32, then: &Value) {
        let fault = json!({ "account": self.number(), "action": action, "nth": nth, "times": times, "then": then });
        request("POST", "faults", &fault.to_string());
    }

    /// Faults that have not struck.
    pub fn faults_left(&self) -> Vec<Value> {
        let all = request("GET", "faults", "");
        let ours = |fault: &&Value| fault["account"] == self.number();
        all.as_array().unwrap().iter().filter(ours).cloned().collect()
    }

    /// Every call so far: `action`, `status` (null: no answer), `code`, `parameters`, `stranger`.
    pub fn log(&self) -> Vec<Value> {
        let log = request("GET", &format!("log?account={}", self.number()), "");
        log["calls"].as_array().unwrap().clone()
    }

    /// How often one of the calls so far ended with this code.
    pub fn refused(&self, code: &str) -> usize {
        self.log().iter().filter(|call| call["code"] == code).count()
    }
}

fn request(verb: &str, path: &str, body: &str) -> Value {
    let endpoint = std::env::var(crate::SERVICE.0).unwrap();
    let host = endpoint.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    let head =
        format!("{verb} /control/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}");
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{verb} {path}: {answer}");
    serde_json::from_str(body).unwrap()
}

//! The control endpoint: faults, settings, the log of calls, and a fresh start.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use rsgsync_simulated::throttle::Limits;
use rsgsync_simulated::world::Quota;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::fault::Fault;

/// What is so in an account; `POST /control/settings` replaces all of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// A change shows in reads only after so many further calls.
    pub(crate) lag: u64,
    /// Writes don't find a group either that reads don't show yet.
    pub(crate) stale_writes: bool,
    /// No page that was asked for is longer.
    pub(crate) page: Option<usize>,
    /// Calls take tokens; without it they don't.
    pub(crate) throttle: Option<Limits>,
    /// The actions that are allowed, as IAM writes them; without it all.
    pub(crate) policy: Option<Vec<String>>,
    /// The prefix lists that exist, and how many entries each counts for.
    pub(crate) prefix_lists: BTreeMap<String, u32>,
    rules_per_group: Option<u32>,
    groups: Option<u32>,
}

impl Settings {
    pub(crate) fn quota(&self) -> Quota {
        let default = Quota::default();
        Quota {
            rules_per_group: self.rules_per_group.unwrap_or(default.rules_per_group),
            groups: self.groups.unwrap_or(default.groups),
            rules: None,
        }
    }
}

type Answer = Result<Value, (StatusCode, String)>;

/// Answers a request whose path is `/control` and this. `account` is from the query.
pub(crate) fn handle(cloud: &mut Cloud, verb: &Method, path: &str, account: Option<&str>, body: &[u8]) -> Answer {
    match (verb.as_str(), path) {
        ("GET", "/health") => Ok(json!({ "status": "ok" })),
        ("GET", "/log") => Ok(log(cloud, account)),
        ("DELETE", "/log") => {
            cloud.log.retain(|entry| account.is_some_and(|account| entry["account"] != account));
            Ok(json!({}))
        }
        ("GET", "/faults") => Ok(json!(cloud.faults)),
        ("POST", "/faults") => {
            cloud.faults.push(read::<Fault>(body)?);
            Ok(json!({}))
        }
        ("DELETE", "/faults") => {
            cloud.faults.retain(|fault| !fault.is_of(account));
            Ok(json!({}))
        }
        ("POST", "/settings") => {
            let missing = || (StatusCode::BAD_REQUEST, "`account` is missing in the query".to_owned());
            let settings = read(body)?;
            cloud.set(account.ok_or_else(missing)?, settings);
            Ok(json!({}))
        }
        ("POST", "/reset") => {
            cloud.reset(account);
            Ok(json!({}))
        }
        _ => Err((StatusCode::NOT_FOUND, format!("no `{verb} /control{path}`; see localstack/README.md"))),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn log(cloud: &Cloud, account: Option<&str>) -> Value {
    let ours = |entry: &&Value| account.is_none_or(|account| entry["account"] == account);
    let calls: Vec<&Value> = cloud.log.iter().filter(ours).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for call in &calls {
        *counts.entry(call["action"].as_str().unwrap_or_default()).or_default() += 1;
    }
    json!({ "counts": counts, "calls": calls })
}

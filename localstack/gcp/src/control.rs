//! The control endpoint: faults, quotas, the log of requests, and a fresh start.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::fault::{Fault, Write};
use crate::schema::Schema;

/// What is to be so in a project; what is left out stays.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    /// Limits by metric, for example `FIREWALLS`.
    #[serde(default)]
    quotas: BTreeMap<String, u64>,
    page_size: Option<usize>,
    strict: Option<bool>,
    /// Policies of the organisation, by network, as `networks.getEffectiveFirewalls` shows them.
    #[serde(default)]
    inherited: BTreeMap<String, Vec<Value>>,
    /// Instances, by zone: instead of those that the zone has.
    #[serde(default)]
    instances: BTreeMap<String, Vec<Value>>,
    /// Changes that somebody else makes now.
    #[serde(default)]
    write: Vec<Write>,
}

type Answer = Result<Value, (StatusCode, String)>;

/// Answers a request whose path is `/control` and this. `project` is from the query.
pub(crate) fn handle(cloud: &mut Cloud, verb: &Method, path: &str, project: Option<&str>, body: &[u8]) -> Answer {
    match (verb.as_str(), path) {
        ("GET", "/health") => Ok(json!({ "status": "ok" })),
        ("GET", "/log") => Ok(log(cloud, project)),
        ("DELETE", "/log") => {
            cloud.log.retain(|entry| project.is_some_and(|project| entry["project"] != project));
            Ok(json!({}))
        }
        ("GET", "/faults") => Ok(json!(cloud.faults)),
        ("POST", "/faults") => {
            cloud.faults.push(read::<Fault>(body)?);
            Ok(json!({}))
        }
        ("DELETE", "/faults") => {
            cloud.faults.retain(|fault| !fault.is_of(project));
            Ok(json!({}))
        }
        ("POST", "/settings") => {
            let project = project.ok_or((StatusCode::BAD_REQUEST, "`project` is missing in the query".to_owned()))?;
            set(cloud, project, read(body)?)
        }
        ("POST", "/reset") => {
            cloud.reset(project);
            Ok(json!({}))
        }
        _ => Err((StatusCode::NOT_FOUND, format!("no `{verb} /control{path}`; see localstack/README.md"))),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn log(cloud: &Cloud, project: Option<&str>) -> Value {
    let ours = |entry: &&Value| project.is_none_or(|project| entry["project"] == project);
    let requests: Vec<&Value> = cloud.log.iter().filter(ours).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for request in &requests {
        *counts.entry(request["method"].as_str().unwrap_or_default()).or_default() += 1;
    }
    json!({ "counts": counts, "requests": requests })
}

fn set(cloud: &mut Cloud, project: &str, settings: Settings) -> Answer {
    let Settings { quotas, page_size, strict, inherited, instances, write } = settings;
    for policy in inherited.values().flatten() {
        let kind = "NetworksGetEffectiveFirewallsResponseEffectiveFirewallPolicy";
        let checked = Schema::get().typed(kind, policy.clone());
        checked.map_err(|refusal| (StatusCode::BAD_REQUEST, refusal.message))?;
    }
    let project = cloud.project(project);
    for (zone, instances) in instances {
        let instances: Result<Vec<_>, _> = instances
            .into_iter()
            .map(|fields| project.instance(&zone, Schema::get().typed("Instance", fields)?))
            .collect();
        let instances = instances.map_err(|refusal| (StatusCode::BAD_REQUEST, refusal.message))?;
        project.instances.insert(zone, instances);
    }
    project.quotas.extend(quotas);
    project.page_size = page_size.unwrap_or(project.page_size).max(1);
    project.strict = strict.unwrap_or(project.strict);
    project.inherited.extend(inherited);
    for write in &write {
        project.write(write).map_err(|refusal| (StatusCode::BAD_REQUEST, refusal.message))?;
    }
    Ok(json!({}))
}

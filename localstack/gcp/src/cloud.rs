//! All projects, and what a request to the Compute API does to them.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use crate::call::{Call, named};
use crate::credentials::{Caller, Credentials};
use crate::error::Refusal;
use crate::fault::{self, Fault};
use crate::project::Project;
use crate::schema::{Method, Schema};

/// Everything that the server knows.
pub(crate) struct Cloud {
    strict: bool,
    projects: BTreeMap<String, Project>,
    pub(crate) credentials: Credentials,
    pub(crate) faults: Vec<Fault>,
    pub(crate) log: Vec<Value>,
}

/// A request to the API.
pub(crate) struct Request<'a> {
    pub(crate) verb: &'a str,
    /// Below the version.
    pub(crate) path: &'a str,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) quota_project: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// What comes of a request.
pub(crate) enum Outcome {
    Answer(Value),
    Refused(Refusal),
    /// There is no such method.
    Unknown,
    /// No answer: the connection is closed.
    Closed,
    /// To be asked again, by `Cloud::look`, as the operation will be done then.
    Later {
        at: Instant,
        project: String,
        operation: String,
    },
}

impl Cloud {
    /// `strict`: credentials are needed.
    pub(crate) fn new(strict: bool, credentials: Credentials) -> Self {
        Self { strict, projects: BTreeMap::new(), credentials, faults: Vec::new(), log: Vec::new() }
    }

    pub(crate) fn project(&mut self, id: &str) -> &mut Project {
        self.projects.entry(id.to_owned()).or_insert_with(|| Project::new(id, self.strict))
    }

    /// Forgets a project, or all of them, with its faults and its log.
    pub(crate) fn reset(&mut self, project: Option<&str>) {
        self.projects.retain(|id, _| project.is_some_and(|project| project != id));
        self.faults.retain(|fault| !fault.is_of(project));
        self.log.retain(|entry| project.is_some_and(|project| entry["project"] != project));
    }

    pub(crate) fn handle(&mut self, request: &Request<'_>) -> Outcome {
        let Some((method, path)) = Schema::get().route(request.verb, request.path) else {
            return Outcome::Unknown;
        };
        let project = path.get("project").cloned().unwrap_or_default();
        let caller = self.credentials.caller(request.authorization);
        let logged = self.log.len();
        self.log.push(json!({
            "project": project,
            "method": method.name,
            "name": named(&path),
            "requestId": request.query.get("requestId"),
            "quotaProject": request.quota_project,
            "caller": match &caller {
                Caller::Nobody => "nobody",
                Caller::Unknown => "unknown",
                Caller::Expired => "expired",
                Caller::Known(email) => email,
            },
        }));
        let outcome = self.judge(method, path, request, caller);
        self.log[logged]["status"] = match &outcome {
            Outcome::Refused(refusal) => json!(refusal.status.as_u16()),
            Outcome::Closed => Value::Null,
            Outcome::Answer(_) | Outcome::Unknown | Outcome::Later { .. } => json!(200),
        };
        outcome
    }

    /// An operation that was waited for.
    pub(crate) fn look(&mut self, project: &str, operation: &str) -> Outcome {
        self.project(project).look(operation, Instant::now()).map_or_else(Outcome::Refused, Outcome::Answer)
    }

    fn judge(
        &mut self,
        method: &'static Method,
        path: BTreeMap<String, String>,
        request: &Request<'_>,
        caller: Caller,
    ) -> Outcome {
        let id = path.get("project").cloned().unwrap_or_default();
        if let Err(refusal) = method.path(&path).and_then(|()| Schema::get().query(method, &request.query)) {
            return Outcome::Refused(refusal);
        }
        let hits = fault::take(&mut self.faults, &id, &method.name, named(&path));
        if hits.drops() {
            return Outcome::Closed;
        }
        if hits.expires_token() {
            self.credentials.expire(request.authorization);
            return Outcome::Refused(Refusal::unauthenticated());
        }
        let verbs = [(".insert", ".create"), (".patch", ".update"), (".aggregatedList", ".list")];
        let action = verbs.iter().fold(method.name.clone(), |name, (verb, action)| name.replace(verb, action));
        let permission = format!("compute.{action}");
        if let Some(refusal) = hits.refusal(&permission, request.path) {
            return Outcome::Refused(refusal);
        }
        let project = self.project(&id);
        let user = match caller {
            Caller::Expired => return Outcome::Refused(Refusal::unauthenticated()),
            Caller::Nobody | Caller::Unknown if project.strict => return Outcome::Refused(Refusal::unauthenticated()),
            Caller::Nobody | Caller::Unknown => "anonymous@example.com".to_owned(),
            Caller::Known(email) => email,
        };
        project.settle(Instant::now());
        // What others are refused isn't done; nobody is there to be told.
        hits.writes_before().for_each(|write| drop(project.write(write)));
        let call = Call { method, path, request, user, hits };
        let outcome = project.carry_out(&call);
        call.hits.writes_after().for_each(|write| drop(project.write(write)));
        if call.hits.loses() { Outcome::Closed } else { outcome }
    }
}

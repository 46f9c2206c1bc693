//! All projects, and what a request to the Compute API does to them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_lc_rs::error::Unspecified;
use serde_json::{Value, json};

use crate::credentials::{Caller, Credentials};
use crate::error::Refusal;
use crate::fault::{self, Fault, Hits, Write};
use crate::operation::{Operation, USUAL, Until};
use crate::page;
use crate::project::{Change, Collection, Effect, Project};
use crate::schema::{Method, Object, Schema};
use crate::text;

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
    Later { at: Instant, project: String, operation: String },
}

/// A request whose method is known.
struct Call<'a> {
    method: &'static Method,
    path: BTreeMap<String, String>,
    request: &'a Request<'a>,
    user: String,
    hits: Hits,
}

impl Cloud {
    /// `strict`: credentials are needed.
    pub(crate) fn new(strict: bool) -> Result<Self, Unspecified> {
        Ok(Self {
            strict,
            projects: BTreeMap::new(),
            credentials: Credentials::new()?,
            faults: Vec::new(),
            log: Vec::new(),
        })
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
        let permission = format!("compute.{}", method.name.replace(".insert", ".create").replace(".patch", ".update"));
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
        hits.writes_before().for_each(|write| project.write(write));
        let call = Call { method, path, request, user, hits };
        let outcome = project.carry_out(&call);
        call.hits.writes_after().for_each(|write| project.write(write));
        if call.hits.loses() { Outcome::Closed } else { outcome }
    }
}

/// The resource that a path names.
fn named(path: &BTreeMap<String, String>) -> Option<&str> {
    path.iter().find(|(name, _)| *name != "project").map(|(_, value)| value.as_str())
}

impl Call<'_> {
    fn query(&self, name: &str) -> Option<&str> {
        self.request.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn name(&self) -> &str {
        named(&self.path).unwrap_or_default()
    }

    fn body(&self) -> Result<Object, Refusal> {
        Schema::get().body(self.method, self.request.body)
    }

    /// Errors on a request id that isn't one.
    fn request_id(&self) -> Result<Option<String>, Refusal> {
        let Some(id) = self.query("requestId") else { return Ok(None) };
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        let digits = id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        if groups != [8, 4, 4, 4, 12] || !digits || id.bytes().all(|byte| byte == b'-' || byte == b'0') {
            return Err(Refusal::field("requestId", id, "Must be a valid UUID that is not zero."));
        }
        Ok(Some(id.to_ascii_lowercase()))
    }

    /// When the operation is done that the request starts.
    fn until(&self) -> Until {
        match (self.hits.looks(), self.hits.milliseconds()) {
            (Some(looks), _) => Until::Looks(looks),
            (None, Some(milliseconds)) => Until::Time(Instant::now() + Duration::from_millis(milliseconds)),
            (None, None) => Until::Time(Instant::now() + USUAL),
        }
    }
}

impl Project {
    /// What somebody else does to a rule, at once. What the service would refuse is not done.
    pub(crate) fn write(&mut self, write: &Write) {
        let name = write.firewall.as_str();
        let Some(body) = write.body.clone() else { return self.remove(Collection::Firewalls, name) };
        let written = match self.get(Collection::Firewalls, name) {
            Ok(old) => self.patched(old, body),
            Err(_) => self.new_firewall(body),
        };
        if let Ok(rule) = written {
            self.put(Collection::Firewalls, rule);
        }
    }

    fn carry_out(&mut self, call: &Call<'_>) -> Outcome {
        if call.method.name == "globalOperations.wait"
            && let Some(at) = self.pending(call.name())
        {
            return Outcome::Later { at, project: self.id.clone(), operation: call.name().to_owned() };
        }
        let answer = match call.method.changes() {
            true => self.change(call),
            false => self.read(call),
        };
        match answer {
            Some(answer) => answer.map_or_else(Outcome::Refused, Outcome::Answer),
            None => Outcome::Unknown,
        }
    }

    /// Nothing where the server doesn't have the method.
    fn read(&mut self, call: &Call<'_>) -> Option<Result<Value, Refusal>> {
        let name = call.name();
        let found = |found: Result<&Object, Refusal>| found.map(|object| Value::Object(object.clone()));
        Some(match call.method.name.as_str() {
            "projects.get" => Ok(self.body()),
            "firewalls.get" => found(self.get(Collection::Firewalls, name)),
            "networks.get" => found(self.get(Collection::Networks, name)),
            "networks.getEffectiveFirewalls" => self.effective(name),
            "globalOperations.get" | "globalOperations.wait" => self.look(name, Instant::now()),
            "firewalls.list" => self.list(call, "firewalls", "compute#firewallList", Collection::Firewalls),
            "networks.list" => self.list(call, "networks", "compute#networkList", Collection::Networks),
            "globalOperations.list" => {
                let items = self.operations.values().map(|operation| operation.body(&self.id));
                let items = items.filter_map(|body| body.as_object().cloned()).collect();
                page::cut(self, &call.request.query, "operations", "compute#operationList", items)
            }
            _ => return None,
        })
    }

    fn list(&mut self, call: &Call<'_>, path: &str, kind: &str, of: Collection) -> Result<Value, Refusal> {
        let items = self.all(of).cloned().collect();
        page::cut(self, &call.request.query, path, kind, items)
    }

    /// Starts an operation, unless the request's id already did.
    fn change(&mut self, call: &Call<'_>) -> Option<Result<Value, Refusal>> {
        let id = match call.request_id() {
            Ok(id) => id,
            Err(refusal) => return Some(Err(refusal)),
        };
        if let Some(known) = id.as_ref().and_then(|id| self.requests.get(id)).and_then(|name| self.operations.get(name)) {
            return Some(Ok(known.body(&self.id)));
        }
        let mut change = match self.accepted(call)? {
            Ok(change) => change,
            Err(refusal) => return Some(Err(refusal)),
        };
        if let Some(failure) = call.hits.failure() {
            change.effect = Effect::Fail(failure);
        }
        let operation = Operation::new(change, &call.user, call.until());
        if let Some(id) = id {
            self.requests.insert(id, operation.name.clone());
        }
        Some(Ok(self.start(operation)))
    }

    /// What a request would change; nothing where the server doesn't have the method.
    fn accepted(&self, call: &Call<'_>) -> Option<Result<Change, Refusal>> {
        let name = call.name();
        Some(match call.method.name.as_str() {
            "firewalls.insert" => call.body().and_then(|body| {
                self.insertion(Collection::Firewalls, self.new_firewall(body)?)
            }),
            "firewalls.patch" => call.body().and_then(|body| {
                let old = self.get(Collection::Firewalls, name)?;
                self.replacement(Collection::Firewalls, "patch", old, self.patched(old, body)?)
            }),
            "firewalls.update" => call.body().and_then(|body| {
                let old = self.get(Collection::Firewalls, name)?;
                self.replacement(Collection::Firewalls, "update", old, self.updated(old, body)?)
            }),
            "firewalls.delete" => self.removal(Collection::Firewalls, name),
            "networks.insert" => call.body().and_then(|body| {
                self.insertion(Collection::Networks, self.new_network(body)?)
            }),
            "networks.delete" => self.get(Collection::Networks, name).and_then(|network| {
                self.unused(network)?;
                self.removal(Collection::Networks, name)
            }),
            _ => return None,
        })
    }

    fn insertion(&self, collection: Collection, object: Object) -> Result<Change, Refusal> {
        let name = text::of(&object, "name").to_owned();
        self.vacant(collection, &name)?;
        let target_id = text::of(&object, "id").to_owned();
        let effect = self.within_quota(collection, object);
        Ok(Change { collection, name, operation: "insert".to_owned(), target_id, effect })
    }

    fn replacement(
        &self,
        collection: Collection,
        operation: &str,
        old: &Object,
        new: Object,
    ) -> Result<Change, Refusal> {
        let name = text::of(old, "name").to_owned();
        self.idle(collection, &name)?;
        let target_id = text::of(old, "id").to_owned();
        Ok(Change { collection, name, operation: operation.to_owned(), target_id, effect: Effect::Put(new) })
    }

    fn removal(&self, collection: Collection, name: &str) -> Result<Change, Refusal> {
        let old = self.get(collection, name)?;
        let name = text::of(old, "name").to_owned();
        self.idle(collection, &name)?;
        let target_id = text::of(old, "id").to_owned();
        Ok(Change { collection, name, operation: "delete".to_owned(), target_id, effect: Effect::Remove })
    }
}

//! A call of a method that is known, carried out on a project.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cloud::{Outcome, Request};
use crate::error::Refusal;
use crate::fault::{Hits, Write};
use crate::fields::Fields;
use crate::operation::{Operation, USUAL, Until};
use crate::page::{self, Next};
use crate::project::{Change, Collection, Effect, Project};
use crate::schema::{Method, Object, Schema};
use crate::text;

/// A request whose method is known.
pub(crate) struct Call<'a> {
    pub(crate) method: &'static Method,
    pub(crate) path: BTreeMap<String, String>,
    pub(crate) request: &'a Request<'a>,
    pub(crate) user: String,
    pub(crate) hits: Hits,
}

/// The resource that a path names.
pub(crate) fn named(path: &BTreeMap<String, String>) -> Option<&str> {
    path.iter().find(|(name, _)| *name != "project").map(|(_, value)| value.as_str())
}

fn without(mut value: Value, field: &str) -> Value {
    value.as_object_mut().into_iter().for_each(|object| drop(object.remove(field)));
    value
}

impl Call<'_> {
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.request.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn name(&self) -> &str {
        named(&self.path).unwrap_or_default()
    }

    pub(crate) fn body(&self) -> Result<Object, Refusal> {
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

    /// What the request wants of the answer.
    fn fields(&self) -> Result<Fields, Refusal> {
        let Some(text) = self.query("fields") else { return Ok(Fields::default()) };
        Fields::read(text).ok_or_else(|| Refusal::invalid(format!("Invalid field selection {text}")))
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
    /// What somebody else does to a rule, at once. Errors where the service would refuse it; then nothing is done.
    pub(crate) fn write(&mut self, write: &Write) -> Result<(), Refusal> {
        let name = write.firewall.as_str();
        let Some(body) = &write.body else {
            self.remove(Collection::Firewalls, name);
            return Ok(());
        };
        let body = Schema::get().typed("Firewall", Value::Object(body.clone()))?;
        let rule = match self.get(Collection::Firewalls, name) {
            Ok(old) => self.patched(old, body)?,
            Err(_) => self.new_firewall(body)?,
        };
        self.put(Collection::Firewalls, rule);
        Ok(())
    }

    pub(crate) fn carry_out(&mut self, call: &Call<'_>) -> Outcome {
        if call.method.name == "globalOperations.wait"
            && let Some(at) = self.pending(call.name())
        {
            return Outcome::Later { at, project: self.id.clone(), operation: call.name().to_owned() };
        }
        let fields = match call.fields() {
            Ok(fields) => fields,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        let answer = match call.method.changes() {
            true => self.change(call),
            false => self.read(call),
        };
        match answer {
            Some(answer) => answer.map_or_else(Outcome::Refused, |answer| Outcome::Answer(fields.of(answer))),
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
            "networkFirewallPolicies.get" => found(self.get(Collection::Policies, name)),
            "networkFirewallPolicies.getRule" => self.policy_rule(name, call.query("priority")),
            "networkFirewallPolicies.getAssociation" => self.policy_association(name, call.query("name")),
            "globalOperations.get" | "globalOperations.wait" => self.look(name, Instant::now()),
            "instances.aggregatedList" => self.instances_by_zone(call),
            "firewalls.list" => self.list(call, "firewalls", "compute#firewallList", Collection::Firewalls),
            "networks.list" => self.list(call, "networks", "compute#networkList", Collection::Networks),
            "networkFirewallPolicies.list" => {
                let page = self.list(call, "firewallPolicies", "compute#firewallPolicyList", Collection::Policies);
                page.map(|page| without(page, "selfLink")) // unlike all others
            }
            "globalOperations.list" => {
                let bodies: Vec<Value> = self.operations.values().map(|operation| operation.body(&self.id)).collect();
                let items = bodies.iter().filter_map(Value::as_object).collect();
                let page = page::cut(self, &call.request.query, "global/operations", "compute#operationList", items);
                self.paged(page)
            }
            _ => return None,
        })
    }

    fn list(&mut self, call: &Call<'_>, path: &str, kind: &str, of: Collection) -> Result<Value, Refusal> {
        let page = page::cut(self, &call.request.query, &format!("global/{path}"), kind, self.all(of).collect());
        self.paged(page)
    }

    /// The page, whose token is good from now on.
    pub(crate) fn paged(&mut self, page: Result<(Value, Option<(String, Next)>), Refusal>) -> Result<Value, Refusal> {
        let (page, next) = page?;
        self.pages.extend(next);
        Ok(page)
    }

    /// Starts an operation, unless the request's id already did.
    fn change(&mut self, call: &Call<'_>) -> Option<Result<Value, Refusal>> {
        let id = match call.request_id() {
            Ok(id) => id,
            Err(refusal) => return Some(Err(refusal)),
        };
        if let Some(known) = id.as_ref().and_then(|id| self.requests.get(id)).and_then(|name| self.operations.get(name))
        {
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
            "firewalls.insert" => {
                call.body().and_then(|body| self.insertion(Collection::Firewalls, self.new_firewall(body)?))
            }
            "firewalls.patch" => call.body().and_then(|body| {
                let old = self.get(Collection::Firewalls, name)?;
                self.replacement(Collection::Firewalls, "patch", old, self.patched(old, body)?)
            }),
            "firewalls.update" => call.body().and_then(|body| {
                let old = self.get(Collection::Firewalls, name)?;
                self.replacement(Collection::Firewalls, "update", old, self.updated(old, body)?)
            }),
            "firewalls.delete" => self.removal(Collection::Firewalls, name),
            "networks.insert" => {
                call.body().and_then(|body| self.insertion(Collection::Networks, self.new_network(body)?))
            }
            "networks.delete" => self.get(Collection::Networks, name).and_then(|network| {
                self.unused(network)?;
                self.removal(Collection::Networks, name)
            }),
            method => {
                let method = method.strip_prefix("networkFirewallPolicies.")?;
                return self.policy_change(method, call);
            }
        })
    }

    pub(crate) fn insertion(&self, collection: Collection, object: Object) -> Result<Change, Refusal> {
        let name = text::of(&object, "name").to_owned();
        self.vacant(collection, &name)?;
        let target_id = text::of(&object, "id").to_owned();
        let effect = self.within_quota(collection, object);
        Ok(Change { collection, name, operation: "insert".to_owned(), target_id, effect })
    }

    pub(crate) fn replacement(
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

    pub(crate) fn removal(&self, collection: Collection, name: &str) -> Result<Change, Refusal> {
        let old = self.get(collection, name)?;
        let name = text::of(old, "name").to_owned();
        self.idle(collection, &name)?;
        let target_id = text::of(old, "id").to_owned();
        Ok(Change { collection, name, operation: "delete".to_owned(), target_id, effect: Effect::Remove })
    }
}

//! An operation: accepted at once, done later, perhaps with an error.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::project::{Change, Collection, Effect, Project};
use crate::text;

/// Why an operation failed that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// For example `QUOTA_EXCEEDED`.
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) status: u16,
    pub(crate) details: Option<Value>,
}

impl Failure {
    pub(crate) fn quota(metric: &str, limit: u64) -> Self {
        let info = json!({
            "metricName": format!("compute.googleapis.com/{}", metric.to_lowercase()),
            "limitName": format!("{}-per-project", metric.replace('_', "-")),
            "dimensions": { "global": "global" },
            "limit": limit as f64,
        });
        Self {
            code: "QUOTA_EXCEEDED".to_owned(),
            message: format!("Quota '{metric}' exceeded.  Limit: {limit}.0 globally."),
            status: 403,
            details: Some(json!([{ "quotaInfo": info }])),
        }
    }

    fn http_message(&self) -> String {
        let status = http::StatusCode::from_u16(self.status).ok();
        status.and_then(|status| status.canonical_reason()).unwrap_or("ERROR").to_uppercase()
    }
}

/// When a running operation is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Time(Instant),
    /// After it was asked for so many times.
    Looks(u32),
}

enum State {
    Running(Until, Effect),
    Done { end: String, failure: Option<Failure> },
}

/// A change on its way, or done.
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) collection: Collection,
    /// The name of the resource.
    pub(crate) target: String,
    id: String,
    kind: String,
    target_id: String,
    user: String,
    start: String,
    state: State,
}

impl Operation {
    pub(crate) fn new(change: Change, user: &str, until: Until) -> Self {
        Self {
            name: text::operation_name(),
            collection: change.collection,
            target: change.name,
            id: text::number(),
            kind: change.operation,
            target_id: change.target_id,
            user: user.to_owned(),
            start: text::now(),
            state: State::Running(until, change.effect),
        }
    }

    pub(crate) fn works_on(&self, collection: Collection, name: &str) -> bool {
        matches!(self.state, State::Running(..)) && self.collection == collection && self.target == name
    }

    pub(crate) fn makes(&self, collection: Collection) -> bool {
        matches!(self.state, State::Running(_, Effect::Put(_)))
            && self.collection == collection
            && self.kind.ends_with("insert")
    }

    /// When it will be done, where time alone decides and it isn't yet.
    pub(crate) fn pending(&self) -> Option<Instant> {
        match self.state {
            State::Running(Until::Time(time), _) => Some(time),
            _ => None,
        }
    }

    pub(crate) fn due(&self, now: Instant) -> bool {
        match &self.state {
            State::Running(Until::Time(time), _) => *time <= now,
            State::Running(Until::Looks(left), _) => *left == 0,
            State::Done { .. } => false,
        }
    }

    /// Somebody asked how it stands.
    pub(crate) fn seen(&mut self) {
        if let State::Running(Until::Looks(left), _) = &mut self.state {
            *left = left.saturating_sub(1);
        }
    }

    /// It is done; what it does is the caller's to carry out.
    pub(crate) fn finish(&mut self) -> Option<Effect> {
        let State::Running(_, effect) = &self.state else { return None };
        let effect = effect.clone();
        let failure = if let Effect::Fail(failure) = &effect { Some(failure.clone()) } else { None };
        self.state = State::Done { end: text::now(), failure };
        Some(effect)
    }

    pub(crate) fn body(&self, project: &str) -> Value {
        let target = format!("projects/{project}/global/{}/{}", self.collection.path(), self.target);
        let mut body = json!({
            "kind": "compute#operation",
            "id": self.id,
            "name": self.name,
            "operationType": self.kind,
            "targetLink": text::link(&target),
            "targetId": self.target_id,
            "status": "RUNNING",
            "user": self.user,
            "progress": 0,
            "insertTime": self.start,
            "startTime": self.start,
            "selfLink": text::link(&format!("projects/{project}/global/operations/{}", self.name)),
        });
        if let State::Done { end, failure } = &self.state {
            body["status"] = json!("DONE");
            body["progress"] = json!(100);
            body["endTime"] = json!(end);
            if let Some(failure) = failure {
                let mut error = json!({ "code": failure.code, "message": failure.message });
                if let Some(details) = &failure.details {
                    error["errorDetails"] = details.clone();
                }
                body["error"] = json!({ "errors": [error] });
                body["httpErrorStatusCode"] = json!(failure.status);
                body["httpErrorMessage"] = json!(failure.http_message());
            }
        }
        body
    }
}

/// How long operations take that no fault slows down.
pub(crate) const USUAL: Duration = Duration::from_millis(5);

impl Project {
    /// The question of `wait`, when it can't be answered at once: when to ask again.
    pub(crate) fn pending(&self, operation: &str) -> Option<Instant> {
        self.operations.get(operation).and_then(Operation::pending)
    }
}

//! One call to Neutron: sent once, counted by name, its answer read or its refusal understood.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use openstack_sdk::AsyncOpenStack;
use openstack_sdk::api::AsyncClient;
use reqwest::Url;
use rsgsync_engine::{CloudError, ErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{NOT_NEUTRON, Refused, final_error, refused, retry_after, unanswered};

/// Neutron of one region, with the token of one project.
pub(crate) struct Neutron {
    pub client: AsyncOpenStack,
    /// `https://network.example.org:9696/v2.0`, without a slash at its end.
    pub base: Url,
    /// The project's id.
    pub project: String,
    /// The project's name, for people.
    pub project_name: String,
    pub region: String,
}

impl std::fmt::Debug for Neutron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Neutron")
            .field("base", &self.base.as_str())
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

/// A call, and how it is counted.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    method: Method,
    /// The path below `/v2.0`, with `{}` for an id: what the call is counted under.
    path: &'static str,
    /// What stands for each `{}`.
    ids: &'a [&'a str],
    query: Vec<(&'static str, &'a str)>,
    body: Vec<u8>,
    revision: Option<u64>,
}

impl<'a> Call<'a> {
    pub fn new(method: Method, path: &'static str, ids: &'a [&'a str]) -> Self {
        Self { method, path, ids, query: Vec::new(), body: Vec::new(), revision: None }
    }

    pub fn query(mut self, key: &'static str, value: &'a str) -> Self {
        self.query.push((key, value));
        self
    }

    pub fn json(self, body: &impl Serialize) -> Self {
        Self { body: serde_json::to_vec(body).unwrap_or_default(), ..self }
    }

    /// Neutron refuses with 412 unless the group's revision is this.
    pub fn if_revision(self, revision: Option<u64>) -> Self {
        Self { revision, ..self }
    }

    fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let mut ids = self.ids.iter();
            let words = self.path.split('/').filter(|word| !word.is_empty());
            segments
                .extend(words.map(|word| if word == "{}" { ids.next().copied().unwrap_or_default() } else { word }));
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }

    fn name(&self) -> String {
        format!("{} /v2.0{}", self.method, self.path)
    }
}

/// What Neutron answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub request_id: Option<String>,
    /// `Retry-After`, where it is a number of seconds.
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The answer's JSON; what was carried out, but answered with something else, is not repeated blindly.
    pub fn read<T: DeserializeOwned>(&self, doing: &str) -> Result<T, CloudError> {
        serde_json::from_slice(&self.body).map_err(|error| CloudError {
            kind: ErrorKind::Final,
            request_id: self.request_id.clone(),
            ..final_error(
                doing.to_owned(),
                format!("the answer (HTTP {}) can't be read: {error}", self.status),
                NOT_NEUTRON,
            )
        })
    }
}

/// Calls so far.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    counts: Mutex<BTreeMap<String, u64>>,
    answered: AtomicBool,
}

impl CallLog {
    /// By method and path, repetitions included.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, name: String) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }
}

impl Neutron {
    /// Sends a call once. The SDK gets a new token and sends again where Neutron says that the token has expired.
    pub async fn send(&self, log: &CallLog, doing: &str, call: &Call<'_>) -> Result<Answer, Refused> {
        self.send_to(log, doing, call, call.url(&self.base)).await
    }

    /// The page that a link of an answer leads to. A link may name the host that Neutron thinks it is: only its query counts.
    pub async fn follow(&self, log: &CallLog, doing: &str, call: &Call<'_>, link: &str) -> Result<Answer, Refused> {
        let mut url = call.url(&self.base);
        url.set_query(link.split_once('?').map(|(_, query)| query));
        self.send_to(log, doing, call, url).await
    }

    async fn send_to(&self, log: &CallLog, doing: &str, call: &Call<'_>, url: Url) -> Result<Answer, Refused> {
        let name = call.name();
        tracing::info!(call = name, url = url.as_str(), "calling Neutron");
        log.count(name);
        let mut request = http::Request::builder().method(call.method.clone()).uri(url.as_str());
        if !call.body.is_empty() {
            request = request.header("Content-Type", "application/json");
        }
        if let Some(revision) = call.revision {
            request = request.header("If-Match", format!("revision_number={revision}"));
        }
        let answer = self.client.rest_async(request, call.body.clone()).await.map_err(|error| {
            let answered = log.answered.load(Ordering::Relaxed);
            Refused::unanswered(unanswered(doing.to_owned(), &call.method, url.as_str(), answered, &error))
        })?;
        log.answered.store(true, Ordering::Relaxed);
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let answer = Answer {
            status: answer.status().as_u16(),
            request_id: header("x-openstack-request-id").map(str::to_owned),
            retry_after: header("retry-after").and_then(retry_after),
            body: answer.into_body().to_vec(),
        };
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(refused(doing.to_owned(), &answer)) }
    }
}

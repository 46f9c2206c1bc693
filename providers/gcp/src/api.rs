//! One call to Compute Engine: sent once, counted by name, its answer read or its refusal understood.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use reqwest::Url;
use rsgsync_engine::{CloudError, causes};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::credentials::{Login, Pass};
use crate::error::{NOT_COMPUTE, Refused, final_error, refused, retry_after, unanswered};

/// Where the API is, unless the variable says otherwise.
const ADDRESS: &str = "https://compute.googleapis.com/compute/v1/";

/// As in Google's own tools; ends in `/compute/v1/`.
const OVERRIDE: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE";

/// Until a call is answered.
const ANSWER: Duration = Duration::from_secs(60);

/// Until waiting for an operation is answered: the service waits for two minutes itself.
const OPERATION: Duration = Duration::from_secs(150);

/// A call, and how it is counted.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    /// The API's own name for it: `firewalls.list`.
    name: &'static str,
    method: Method,
    /// Below `/compute/v1/projects/PROJECT`.
    path: &'a [&'a str],
    query: Vec<(&'static str, &'a str)>,
    body: Option<Vec<u8>>,
}

impl<'a> Call<'a> {
    pub fn new(name: &'static str, method: Method, path: &'a [&'a str]) -> Self {
        Self { name, method, path, query: Vec::new(), body: None }
    }

    pub fn query(mut self, key: &'static str, value: &'a str) -> Self {
        self.query.push((key, value));
        self
    }

    pub fn json(self, body: &impl Serialize) -> Self {
        Self { body: serde_json::to_vec(body).ok(), ..self }
    }

    fn url(&self, base: &Url, project: &str) -> Url {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["projects", project]).extend(self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

/// What the service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// `Retry-After`, where it is a number of seconds.
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The answer's JSON.
    pub fn read<T: DeserializeOwned>(&self, doing: &str) -> Result<T, CloudError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let message = format!("the answer (HTTP {}) can't be read: {error}", self.status);
            final_error(doing.to_owned(), message, NOT_COMPUTE)
        })
    }
}

/// Compute Engine, as one project's credentials see it.
#[derive(Debug)]
pub(crate) struct Compute {
    client: reqwest::Client,
    /// Ends in `/compute/v1`, with or without a slash.
    pub base: Url,
    login: Login,
    answered: AtomicBool,
}

impl Compute {
    /// Where the environment says that the API is; nothing is called.
    pub fn find(network: &str) -> Result<Self, CloudError> {
        let doing = || format!("connecting to Google Cloud for network `{network}`");
        let address = std::env::var(OVERRIDE).ok().filter(|address| !address.is_empty());
        let address = address.as_deref().unwrap_or(ADDRESS);
        let base = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| {
            let message = format!("{OVERRIDE} is no address: `{address}`");
            final_error(doing(), message, format!("write it like {ADDRESS}, or unset it"))
        })?;
        let client = reqwest::Client::builder().user_agent(concat!("rsgsync/", env!("CARGO_PKG_VERSION"))).build();
        let client = client.map_err(|error| final_error(doing(), causes(&error), NOT_COMPUTE))?;
        Ok(Self { client, base, login: Login::default(), answered: AtomicBool::new(false) })
    }

    /// Sends a call once; twice where the token is refused though one of these credentials was taken before.
    pub async fn send(&self, place: Where<'_>, doing: &str, call: &Call<'_>) -> Result<Answer, Refused> {
        let pass = self.login.pass(place.network).await.map_err(Refused::unanswered)?;
        let made = pass.made;
        match self.send_once(place, doing, call, pass).await {
            Err(refused) if refused.status == 401 && self.login.refused(made) => {
                let pass = self.login.pass(place.network).await.map_err(Refused::unanswered)?;
                self.send_once(place, doing, call, pass).await
            }
            other => other,
        }
    }

    async fn send_once(
        &self,
        place: Where<'_>,
        doing: &str,
        call: &Call<'_>,
        Pass { headers, made }: Pass,
    ) -> Result<Answer, Refused> {
        let url = call.url(&self.base, place.project);
        tracing::info!(call = call.name, url = url.as_str(), "calling Compute Engine");
        place.calls.count(call.name);
        let timeout = if call.name.ends_with(".wait") { OPERATION } else { ANSWER };
        let mut request = self.client.request(call.method.clone(), url).headers(headers).timeout(timeout);
        request = match &call.body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.clone()),
            None if call.method == Method::POST => request.header(CONTENT_LENGTH, 0),
            None => request,
        };
        let answer = self.read(request).await.map_err(|error| {
            let at = self.base.origin().ascii_serialization();
            let answered = self.answered.load(Ordering::Relaxed);
            Refused::unanswered(unanswered(doing.to_owned(), &call.method, &at, answered, &error))
        })?;
        self.answered.store(true, Ordering::Relaxed);
        if answer.status != 401 {
            self.login.accepted(made);
        }
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(refused(doing.to_owned(), &answer)) }
    }

    async fn read(&self, request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let answer = request.send().await?;
        let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(retry_after);
        let status = answer.status().as_u16();
        Ok(Answer { status, retry_after: asked, body: answer.bytes().await?.to_vec() })
    }
}

/// Whose call it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Where<'a> {
    /// The inventory's name of the network.
    pub network: &'a str,
    pub project: &'a str,
    pub calls: &'a CallLog,
}

/// Calls so far.
#[derive(Debug, Default)]
pub(crate) struct CallLog(Mutex<BTreeMap<String, u64>>);

impl CallLog {
    /// By the API's name, repetitions included.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, name: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default() += 1;
    }
}

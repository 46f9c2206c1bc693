//! HTTP around the cloud: the Compute API, the token endpoints, the control endpoint.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::cloud::{self, Cloud, Outcome};
use crate::control;
use crate::credentials::Credentials;

/// `wait` answers no later than this, done or not.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// The server, ready to serve.
pub struct Server {
    cloud: Arc<Mutex<Cloud>>,
}

/// A connection is closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

impl Server {
    /// `strict`: requests need a token that the server issued, or that the key of its service account signed. Errors
    /// where no key can be made.
    pub fn new(strict: bool) -> io::Result<Self> {
        let credentials = Credentials::with_a_key().map_err(|_| io::Error::other("no RSA key could be made"))?;
        Ok(Self { cloud: Arc::new(Mutex::new(Cloud::new(strict, credentials))) })
    }

    /// The key file of the server's service account, as JSON. `origin` is where the server listens, such as
    /// `http://127.0.0.1:8080`. Errors where the key can't be written down.
    pub fn key_file(&self, origin: &str) -> io::Result<String> {
        let file = lock(&self.cloud).credentials.key_file(origin);
        file.map(|file| format!("{file:#}\n")).map_err(|_| io::Error::other("the RSA key can't be encoded"))
    }

    /// Serves for ever.
    pub async fn serve(&self, listener: TcpListener) -> Infallible {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let cloud = Arc::clone(&self.cloud);
            let service = service_fn(move |request| answer(Arc::clone(&cloud), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }
}

fn lock(cloud: &Mutex<Cloud>) -> MutexGuard<'_, Cloud> {
    cloud.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(cloud: Arc<Mutex<Cloud>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let query: HashMap<String, String> =
        form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let path = parts.uri.path();

    if let Some(path) = path.strip_prefix("/control") {
        let project = query.get("project").map(String::as_str);
        return Ok(match control::handle(&mut lock(&cloud), &parts.method, path, project, &body) {
            Ok(value) => json(StatusCode::OK, &value),
            Err((status, text)) => plain(status, &text),
        });
    }
    if let Some(answer) = credentials(&cloud, &parts.method, path, &body) {
        return Ok(answer);
    }
    let path = path.strip_prefix("/compute/v1").unwrap_or(path).trim_start_matches('/');
    let request = cloud::Request {
        verb: parts.method.as_str(),
        path,
        query: query.into_iter().collect(),
        authorization: header(&parts.headers, AUTHORIZATION.as_str()),
        quota_project: header(&parts.headers, "x-goog-user-project"),
        body: &body,
    };
    let outcome = lock(&cloud).handle(&request);
    match waited(&cloud, outcome).await {
        Outcome::Answer(value) => Ok(json(StatusCode::OK, &value)),
        Outcome::Refused(refusal) => {
            let mut response = json(refusal.status, &refusal.body());
            if let Some(seconds) = refusal.retry_after {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            Ok(response)
        }
        Outcome::Unknown | Outcome::Later { .. } => Ok(plain(StatusCode::NOT_FOUND, "Not Found")),
        Outcome::Closed => Err(Closed),
    }
}

async fn waited(cloud: &Mutex<Cloud>, outcome: Outcome) -> Outcome {
    let Outcome::Later { at, project, operation } = outcome else { return outcome };
    let latest = Instant::now() + LONGEST_WAIT;
    tokio::time::sleep_until(at.min(latest).into()).await;
    lock(cloud).look(&project, &operation)
}

/// Answers what asks for a token.
fn credentials(cloud: &Mutex<Cloud>, verb: &Method, path: &str, body: &[u8]) -> Option<Response<Full<Bytes>>> {
    if verb != Method::POST {
        return None;
    }
    if let Some(lifetime) = path.strip_prefix("/token") {
        let lifetime = lifetime.strip_prefix('/').map(str::parse).transpose().ok()?;
        let form: HashMap<String, String> = match serde_json::from_slice::<HashMap<String, Value>>(body) {
            Ok(fields) => fields.into_iter().filter_map(|(k, v)| Some((k, v.as_str()?.to_owned()))).collect(),
            Err(_) => form_urlencoded::parse(body).into_owned().collect(),
        };
        let (status, value) = lock(cloud).credentials.token(&form, lifetime);
        return Some(json(status, &value));
    }
    let account = path.strip_prefix("/v1/projects/-/serviceAccounts/")?.strip_suffix(":generateAccessToken")?;
    Some(json(StatusCode::OK, &lock(cloud).credentials.impersonated(account)))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn json(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    respond(status, "application/json; charset=UTF-8", format!("{value:#}\n"))
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=UTF-8", format!("{text}\n"))
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

//! HTTP around the cloud: EC2's query protocol and the control endpoint, and what faults do to connections.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

use crate::cloud::{Answer, Cloud, Outcome};
use crate::control;

/// What calls count as that no account signed.
const NOBODY: &str = "000000000000";
/// So that half an answer has left before the connection breaks.
const BREATH: Duration = Duration::from_millis(20);

/// The server, ready to serve.
#[derive(Clone, Default)]
pub struct Server {
    cloud: Arc<Mutex<Cloud>>,
}

/// A connection breaks on purpose.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

/// Half a body; then the connection breaks.
struct Half {
    half: Option<Bytes>,
    /// What the header says.
    length: u64,
    pause: Pin<Box<Sleep>>,
}

impl Body for Half {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        ready!(self.pause.as_mut().poll(context));
        Poll::Ready(Some(Err(Broken)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

type Reply = Response<Either<Full<Bytes>, Half>>;

impl Server {
    /// Serves for ever.
    pub async fn serve(self, listener: TcpListener) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(self.clone().converse(stream));
                }
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Answers the requests of one connection.
    async fn converse(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let reset = Arc::new(AtomicBool::new(false));
        let resets = Arc::clone(&reset);
        let service = service_fn(move |request| Box::pin(self.clone().reply(request, Arc::clone(&resets))));
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let ended = poll_fn(|context| connection.poll_without_shutdown(context)).await;
        if ended.is_err() && reset.load(Ordering::Relaxed) {
            // Closed with RST: the other side gets an error, and loses what it has not read.
            let _ = connection.into_parts().io.into_inner().set_zero_linger();
        }
    }

    /// Sets `reset` where the connection is not to end but to be reset.
    async fn reply(self, request: Request<Incoming>, reset: Arc<AtomicBool>) -> Result<Reply, Broken> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        if let Some(path) = parts.uri.path().strip_prefix("/control") {
            let query: HashMap<String, String> =
                form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
            let account = query.get("account").map(String::as_str);
            let answer = control::handle(&mut self.cloud(), &parts.method, path, account, &body);
            return Ok(match answer {
                Ok(value) => whole(StatusCode::OK, "application/json", format!("{value:#}\n")),
                Err((status, text)) => whole(status, "text/plain", format!("{text}\n")),
            });
        }
        let call = self.cloud().take(account(&parts.headers), &body);
        sleep(call.delay()).await;
        let outcome = self.cloud().carry_out(call);
        match outcome {
            Outcome::Answer(answer) => Ok(response(answer)),
            Outcome::Reset => {
                reset.store(true, Ordering::Relaxed);
                Err(Broken)
            }
            Outcome::Hang => pending().await,
        }
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account whose key signed the request: twelve digits are their own account. Signatures aren't checked.
fn account(headers: &HeaderMap) -> &str {
    let signed = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = signed.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next());
    key.filter(|key| key.len() == 12 && key.bytes().all(|b| b.is_ascii_digit())).unwrap_or(NOBODY)
}

fn response(answer: Answer) -> Reply {
    let Answer { status, retry_after, body, half, garbled } = answer;
    let length = body.len();
    let mut body = Bytes::from(body);
    if half || garbled {
        body.truncate(length / 2);
    }
    let body = if half {
        Either::Right(Half { half: Some(body), length: length as u64, pause: Box::pin(sleep(BREATH)) })
    } else {
        Either::Left(Full::new(body))
    };
    let mut response = with(status, "text/xml;charset=UTF-8", body);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn whole(status: StatusCode, kind: &'static str, text: String) -> Reply {
    with(status, kind, Either::Left(Full::new(Bytes::from(text))))
}

fn with(status: StatusCode, kind: &'static str, body: Either<Full<Bytes>, Half>) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

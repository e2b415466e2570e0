//! HTTP gateway: takes requests and passes each to the function that the template names, as API Gateway does on AWS.
//!
//! As on AWS, a function gets a request only once its body is complete, and the gateway itself answers where no
//! function does: 404 for an unknown path, 413 for a body past its limit, 500 where a function panics, 503 where it
//! takes too long.

mod routing;

use std::{
    collections::BTreeMap, convert::Infallible, io, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{
    Method, Request, StatusCode,
    header::{CONTENT_LENGTH, HOST, USER_AGENT},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc::UnboundedSender},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    dev_composio::DevComposio, dev_discord::DevDiscord, dev_feishu::DevFeishu, dev_slack::DevSlack, mailbox::Mailbox,
};

pub use routing::{DEFAULT_ROUTE, InvalidRoute, RoutingTable};

/// Largest body that API Gateway accepts, in bytes. Source: Amazon API Gateway, "Quotas for HTTP APIs".
pub const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// Time-outs and limits of the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time-out of a request's headers, and so also between two requests of a connection.
    pub headers: Duration,
    /// Time-out of a request's body.
    pub body: Duration,
    /// Time-out of a function's answer.
    pub answer: Duration,
    /// Time that a shutdown waits for requests in flight.
    pub grace: Duration,
    /// Most concurrent connections; more wait to be accepted.
    pub connections: usize,
}

impl Limits {
    /// Default limits, with each time-out but the last multiplied by `patience`.
    #[must_use]
    pub fn with_patience(patience: u32) -> Self {
        let usual = Self::default();
        Self {
            headers: usual.headers * patience,
            body: usual.body * patience,
            answer: usual.answer * patience,
            ..usual
        }
    }
}

impl Default for Limits {
    /// API Gateway gives a function 30 s; the other limits suit a machine with one developer.
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(30),
            body: Duration::from_secs(30),
            answer: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            connections: 1024,
        }
    }
}

/// An answered request, as a watcher gets it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Function that answered; `None` where the gateway did.
    pub function: Option<String>,
    /// HTTP method.
    pub method: Method,
    /// Path, without its query.
    pub path: String,
    /// User agent of the client.
    pub user_agent: Option<String>,
    /// Status of the answer.
    pub status: StatusCode,
}

/// Channel that answered requests are sent to.
pub type Watcher = UnboundedSender<Answered>;

/// A running gateway.
pub struct Gateway {
    address: SocketAddr,
    stop: CancellationToken,
    acceptor: JoinHandle<()>,
}

/// Everything that a gateway answers with, shared by all of its connections.
pub struct Site {
    /// Routes, by the functions that they belong to.
    pub table: RoutingTable,
    /// Routers of the functions, by name.
    pub functions: BTreeMap<String, Router>,
    /// Limits of connections and requests.
    pub limits: Limits,
    /// Receiver of each answered request.
    pub watcher: Option<Watcher>,
    /// Pages of this machine.
    pub pages: OwnPages,
}

/// Pages that exist only on this machine, outside all functions.
#[derive(Clone, Default)]
pub struct OwnPages {
    /// The mailbox of this machine.
    pub mailbox: Option<Arc<Mailbox>>,
    /// Stand-in for Slack.
    pub slack: Option<Arc<DevSlack>>,
    /// Stand-in for Composio.
    pub composio: Option<Arc<DevComposio>>,
    /// Stand-in for Discord.
    pub discord: Option<Arc<DevDiscord>>,
    /// Stand-in for Feishu.
    pub feishu: Option<Arc<DevFeishu>>,
}

impl Gateway {
    /// Serves `site` on `listener`.
    ///
    /// # Errors
    /// Where the listener has no address.
    pub fn start(listener: TcpListener, site: Site) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let site = Arc::new(site);
        let acceptor = tokio::spawn(accept(listener, site, stop.clone()));
        Ok(Self { address, stop, acceptor })
    }

    /// Address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shuts the gateway down: no connection is accepted, and requests in flight are answered within the grace.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.acceptor.await {
            tracing::warn!(%error, "the gateway failed");
        }
    }
}

async fn accept(listener: TcpListener, site: Arc<Site>, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(site.limits.connections));
    let graceful = GracefulShutdown::new();
    // Dropping the handles aborts nothing: this token cuts off connections that outlive the grace.
    let cut_off = CancellationToken::new();
    while let Some(accepted) = stop.run_until_cancelled(next(&listener, &connections)).await {
        match accepted {
            Ok((stream, client, permit)) => {
                let service = Arc::clone(&site);
                let service = service_fn(move |request: Request<Incoming>| {
                    let site = Arc::clone(&service);
                    async move { Ok::<_, Infallible>(site.answer(request, client).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(site.limits.headers)
                    .serve_connection(TokioIo::new(stream), service);
                let connection = graceful.watch(connection);
                let cut_off = cut_off.clone();
                tokio::spawn(async move {
                    // A broken connection is ignored: no client is left that could get an answer.
                    let _ = cut_off.run_until_cancelled(connection).await;
                    drop(permit);
                });
            }
            // Such as too many open files: it passes when others close, and until then this loop must not spin.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                let _ = timeout(Duration::from_millis(50), stop.cancelled()).await;
            }
        }
    }
    drop(listener);
    if timeout(site.limits.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests that took too long were cut off");
    }
    cut_off.cancel();
}

async fn next(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, client) = listener.accept().await?;
    // Without `TCP_NODELAY` an answer may wait up to 40 ms to fill a packet.
    stream.set_nodelay(true)?;
    Ok((stream, client, permit))
}

impl Site {
    async fn answer(&self, request: Request<Incoming>, client: SocketAddr) -> Response {
        // Outside all functions, so the watcher does not see these requests.
        if let Some(answer) = self.pages.mailbox.as_ref().and_then(|mailbox| mailbox.answer(&request)) {
            return answer;
        }
        if let Some(slack) = self.pages.slack.as_ref().filter(|_| DevSlack::has(request.uri().path())) {
            return slack.answer(request.map(Body::new)).await;
        }
        if let Some(composio) = self.pages.composio.as_ref().filter(|_| DevComposio::has(request.uri().path())) {
            return composio.answer(request.map(Body::new)).await;
        }
        if let Some(discord) = self.pages.discord.as_ref().filter(|_| DevDiscord::has(request.uri().path())) {
            return discord.answer(&request.map(Body::new));
        }
        if let Some(feishu) = self.pages.feishu.as_ref().filter(|_| DevFeishu::has(request.uri().path())) {
            return feishu.answer(request.map(Body::new)).await;
        }
        let Some(watcher) = &self.watcher else { return self.pass(request, client).await };
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let function = self.table.function(&path).map(str::to_owned);
        let response = self.pass(request, client).await;
        // The watcher may have gone.
        let _ = watcher.send(Answered { function, method, path, user_agent, status: response.status() });
        response
    }

    async fn pass(&self, request: Request<Incoming>, client: SocketAddr) -> Response {
        let Some(name) = self.table.function(request.uri().path()) else {
            return own(StatusCode::NOT_FOUND, "Not Found");
        };
        let Some(function) = self.functions.get(name) else {
            tracing::error!(function = name, "the template names a function that is not here");
            return own(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        };
        let request = match timeout(self.limits.body, whole(request)).await {
            Ok(Ok(request)) => request,
            Ok(Err(refusal)) => return refusal,
            Err(_) => return own(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
        };
        self.call(function.clone(), name, request, client).await
    }

    /// Calls a function. One that panics or hangs affects only its own answer.
    async fn call(&self, function: Router, name: &str, mut request: Request<Body>, client: SocketAddr) -> Response {
        request.extensions_mut().insert(ConnectInfo(client));
        let answer = AssertUnwindSafe(function.oneshot(request)).catch_unwind();
        match timeout(self.limits.answer, answer).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Err(_)) => {
                tracing::error!(function = name, "the function panicked");
                own(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
            Err(_) => {
                tracing::error!(function = name, "the function took too long");
                own(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
        }
    }
}

/// Returns whether a request names this machine as its host. A page of the internet can make its own name resolve to
/// loopback.
pub(crate) fn is_of_this_machine<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

/// Reads the whole body of a request, or returns the gateway's error.
async fn whole(request: Request<Incoming>) -> Result<Request<Body>, Response> {
    let too_large = || own(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > BODY_LIMIT) {
        return Err(too_large());
    }
    let (parts, body) = request.into_parts();
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(Request::from_parts(parts, Body::from(body.to_bytes()))),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        // The client broke off or sent malformed HTTP, and will hardly read this.
        Err(_) => Err(own(StatusCode::BAD_REQUEST, "Bad Request")),
    }
}

/// An answer of the gateway itself, in API Gateway's form.
fn own(status: StatusCode, message: &'static str) -> Response {
    (status, axum::Json(serde_json::json!({ "message": message }))).into_response()
}

#[cfg(test)]
mod tests;

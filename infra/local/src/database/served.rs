//! The embedded database on a loopback port, for programs that cannot share this process, such as `cargo lambda watch`.
//!
//! Any web page and any user of this machine can reach such a port. Therefore each request must be signed with this
//! run's credentials, have this port's own name as its host, and not come from a page.

mod signature;

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use aws_sdk_dynamodb::config::Credentials;
use aws_types::SdkConfig;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Connection,
    calls::{Answer, CONTENT_TYPE},
    sdk_config_with,
};
use signature::Verifier;

/// Largest request body that DynamoDB accepts, in bytes.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// Time that a shutdown waits for requests in flight.
const GRACE: Duration = Duration::from_secs(2);

/// Generates random credentials for one run.
#[must_use]
pub fn random_credentials(randomness: &dyn Randomness) -> Credentials {
    let (mut id, mut secret) = ([0; 8], [0; 32]);
    randomness.fill(&mut id);
    randomness.fill(&mut secret);
    let id = format!("LOCAL{}", hex::encode_upper(id));
    Credentials::new(id, hex::encode(secret), None, None, "local")
}

/// A loopback port on which the embedded database answers requests that are signed with its credentials.
pub struct Served {
    url: String,
    credentials: Credentials,
    stop: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

struct SignedFront {
    connection: Connection,
    verifier: Verifier,
    /// Accepted values of `Host`.
    hosts: [String; 2],
}

impl Served {
    /// Serves `connection`. Signatures must be fresh by `clock`.
    ///
    /// # Errors
    /// Where no loopback port is free.
    pub async fn start(connection: Connection, credentials: Credentials, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let verifier = Verifier::new(credentials.clone(), clock);
        let front = Arc::new(SignedFront { connection, verifier, hosts });
        #[expect(clippy::disallowed_methods, reason = "this stands for DynamoDB, and verifies each request itself")]
        let router = Router::new().fallback(answer).with_state(front);
        let stop = CancellationToken::new();
        let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let server = tokio::spawn(async move { server.await });
        Ok(Self { url: format!("http://127.0.0.1:{port}"), credentials, stop, server })
    }

    /// Base URL, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Credentials that requests must be signed with.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Configuration of AWS clients for this port.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config_with(&self.url, self.credentials.clone())
    }

    /// Shuts the port down: requests in flight are answered, for at most 2 seconds.
    pub async fn shutdown(self) {
        self.stop.cancel();
        // A client that has sent half a request could delay the shutdown without limit.
        let mut server = self.server;
        match timeout(GRACE, &mut server).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the database's server failed"),
            Ok(Err(error)) => tracing::warn!(%error, "the database's server failed"),
            Err(_) => server.abort(),
        }
    }
}

async fn answer(State(front): State<Arc<SignedFront>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // DNS rebinding: a page whose own name resolves to loopback sends that name as Host. Browsers send a page's site in
    // Origin.
    let host = single(&parts.headers, header::HOST.as_str()).filter(|host| front.hosts.iter().any(|own| own == host));
    let Some(host) = host.filter(|_| !parts.headers.contains_key(header::ORIGIN)) else {
        return plain(StatusCode::FORBIDDEN);
    };
    if parts.method != Method::POST || parts.uri != "/" {
        return plain(StatusCode::NOT_FOUND);
    }
    let claim = match front.verifier.claim(&parts.headers) {
        Ok(claim) => claim,
        Err(refusal) => return json(&refusal.into()),
    };
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else { return plain(StatusCode::PAYLOAD_TOO_LARGE) };
    if let Err(refusal) = front.verifier.verify(&claim, host, &body) {
        return json(&refusal.into());
    }
    match front.connection.call(claim.target(), &body).await {
        Ok(answer) => json(&answer),
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Value of a header that occurs exactly once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn json(answer: &Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

#[cfg(test)]
mod tests;

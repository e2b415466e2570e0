//! What stands where a pool would be: it takes deliveries, verifies their signatures, and tells of each.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, body::Bytes, extract::State};
use http::{HeaderMap, StatusCode, Uri};
use portcullis_auth::{
    Clock, SignedHeaders, SigningSecret,
    slack_signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// What reached the pool.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The path that it was posted to.
    pub path: String,
    /// Whether its signature is the delivery secret's.
    pub verified: bool,
    /// Its body.
    pub body: Bytes,
}

/// A running stand-in.
pub struct StandInPool {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

struct Door {
    secret: SigningSecret,
    clock: Arc<dyn Clock>,
    deliveries: mpsc::UnboundedSender<Delivery>,
}

impl StandInPool {
    /// Starts one on a free port of loopback. What is delivered comes out of the receiver.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(
        secret: SigningSecret,
        clock: Arc<dyn Clock>,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Delivery>)> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sender, deliveries) = mpsc::unbounded_channel();
        let door = Arc::new(Door { secret, clock, deliveries: sender });
        #[expect(clippy::disallowed_methods, reason = "this is no function of ours: it stands for a pool")]
        let router = Router::new().fallback(take).with_state(door);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let server = axum::serve(listener, router).with_graceful_shutdown(stopped);
        let server = tokio::spawn(server.into_future());
        Ok((Self { address, stop, server }, deliveries))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it.
    pub async fn shutdown(self) {
        self.stop.cancel();
        match self.server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the stand-in pool failed"),
            Err(error) => tracing::warn!(%error, "the stand-in pool failed"),
        }
    }
}

async fn take(State(door): State<Arc<Door>>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let signed = SignedHeaders::parse(header(TIMESTAMP_HEADER), header(SIGNATURE_HEADER), door.clock.now());
    let verified = signed.is_ok_and(|signed| signed.verify(&door.secret, &body).is_ok());
    // Where nobody listens any more, the demonstration has ended.
    let _ = door.deliveries.send(Delivery { path: uri.path().to_owned(), verified, body });
    if verified { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

//! Tests of the gateway over real connections, with functions that misbehave.

#![expect(clippy::disallowed_methods, reason = "these routers stand for functions; no tier is part of what is tested")]

use std::{future, net::Ipv4Addr};

use axum::routing::any;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::*;
use crate::template::Route;

struct Started {
    gateway: Gateway,
    /// Lets `/wait` answer.
    open: Arc<Notify>,
    /// Signals that `/wait` has been called.
    called: Arc<Notify>,
}

async fn start(limits: Limits) -> Started {
    let (open, called) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let function = Router::new()
        .route("/echo", any(async |body: String| body))
        .route("/length", any(async |body: axum::body::Bytes| body.len().to_string()))
        .route("/who", any(async |ConnectInfo(client): ConnectInfo<SocketAddr>| client.ip().to_string()))
        .route("/panic", any(async || -> String { panic!("a mistake") }))
        .route("/hang", any(future::pending::<String>))
        .route("/wait", {
            let (open, called) = (Arc::clone(&open), Arc::clone(&called));
            any(async move || {
                called.notify_one();
                open.notified().await;
                "at last"
            })
        })
        .layer(axum::extract::DefaultBodyLimit::disable());
    let route = |path: &str, function: &str| Route { path: path.to_owned(), function: function.to_owned() };
    let routes = ["/echo", "/length", "/who", "/panic", "/hang", "/wait"].map(|path| route(path, "one"));
    let routes: Vec<Route> = routes.into_iter().chain([route("/missing", "two")]).collect();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let functions = BTreeMap::from([("one".to_owned(), function)]);
    let gateway = Gateway::start(
        listener,
        Site {
            table: RoutingTable::new(&routes).unwrap(),
            functions,
            limits,
            watcher: None,
            pages: OwnPages::default(),
        },
    )
    .unwrap();
    Started { gateway, open, called }
}

impl Started {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.gateway.address()).await.unwrap()
    }

    /// Sends `request`, and reads the whole answer until the connection ends.
    async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut connection = self.connect().await;
        // The gateway may answer and close before it has read everything.
        let _ = connection.write_all(request.as_ref()).await;
        read(&mut connection).await
    }

    async fn get(&self, path: &str) -> String {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")).await
    }
}

async fn read(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn short() -> Limits {
    let instant = Duration::from_millis(100);
    Limits { headers: instant, body: instant, answer: instant, grace: instant, connections: 8 }
}

#[tokio::test]
async fn a_request_reaches_its_function_with_its_body_and_its_clients_address() {
    let started = start(Limits::default()).await;
    let answer = started.exchange("POST /echo HTTP/1.1\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(started.get("/who").await.ends_with("\r\n\r\n127.0.0.1"));
}

#[tokio::test]
async fn an_unknown_path_is_the_gateways_own_404() {
    let started = start(Limits::default()).await;
    let answer = started.get("/elsewhere").await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.ends_with(r#"{"message":"Not Found"}"#), "{answer}");
    assert!(answer.contains("content-type: application/json"));
}

#[tokio::test]
async fn a_body_past_ten_mebibytes_is_413_and_one_of_just_that_passes() {
    let started = start(Limits::default()).await;
    let announced = format!("POST /length HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", BODY_LIMIT + 1);
    assert!(started.exchange(announced).await.starts_with("HTTP/1.1 413"));

    let mut chunked = b"POST /length HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    chunked.extend(format!("{:x}\r\n", BODY_LIMIT + 1).as_bytes());
    chunked.extend(vec![b'x'; BODY_LIMIT + 1]);
    chunked.extend(b"\r\n0\r\n\r\n");
    let answer = started.exchange(chunked).await;
    // If the client is still sending, its system may discard the answer with the connection.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");

    let mut whole =
        format!("POST /length HTTP/1.1\r\nconnection: close\r\ncontent-length: {BODY_LIMIT}\r\n\r\n").into_bytes();
    whole.extend(vec![b'x'; BODY_LIMIT]);
    assert!(started.exchange(whole).await.ends_with(&format!("\r\n\r\n{BODY_LIMIT}")));
}

#[tokio::test]
async fn a_function_that_breaks_costs_nothing_but_its_own_answer() {
    let started = start(Limits { answer: Duration::from_millis(100), ..Limits::default() }).await;
    let mut connection = started.connect().await;
    let request = |path: &str, end: &str| format!("GET {path} HTTP/1.1\r\nhost: here\r\n{end}\r\n");
    for path in ["/panic", "/hang", "/missing"] {
        connection.write_all(request(path, "").as_bytes()).await.unwrap();
    }
    connection.write_all(request("/who", "connection: close\r\n").as_bytes()).await.unwrap();
    let answers = read(&mut connection).await;
    let statuses: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|answer| answer.get(..3).unwrap()).collect();
    assert_eq!(statuses, ["500", "503", "500", "200"], "{answers}");
}

#[tokio::test]
async fn a_client_that_sends_slowly_is_cut_off() {
    let started = start(short()).await;
    let mut headers = started.connect().await;
    headers.write_all(b"GET /who HTTP/1.1\r\nhost: he").await.unwrap();
    assert!(!read(&mut headers).await.starts_with("HTTP/1.1 200"), "the connection ended without an answer");
    let body = started.exchange("POST /echo HTTP/1.1\r\ncontent-length: 5\r\n\r\nhe").await;
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
}

#[tokio::test]
async fn at_the_end_what_is_under_way_is_answered_and_nothing_new_is_taken() {
    let Started { gateway, open, called } = start(Limits::default()).await;
    let address = gateway.address();
    let mut waiting = TcpStream::connect(address).await.unwrap();
    waiting.write_all(b"GET /wait HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    called.notified().await;
    let end = tokio::spawn(gateway.shutdown());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    open.notify_one();
    let answer = read(&mut waiting).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("at last"), "{answer}");
    end.await.unwrap();
}

#[tokio::test]
async fn a_request_that_outlives_the_grace_is_cut_off() {
    let Started { gateway, called, .. } = start(Limits { answer: Duration::from_hours(1), ..short() }).await;
    let mut waiting = TcpStream::connect(gateway.address()).await.unwrap();
    waiting.write_all(b"GET /wait HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    called.notified().await;
    gateway.shutdown().await;
    assert_eq!(read(&mut waiting).await, "");
}

//! A scripted server in DynamoDB's place, or between it and the client.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// Answer to a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// No answer, ever.
    Hang,
    /// The engine's answer.
    Forward,
    /// The engine's answer, after the test was notified of the request by `arrived` and has let it go on by `go_on`.
    ForwardAfter { arrived: Arc<Notify>, go_on: Arc<Notify> },
    /// The engine gets it; its answer is lost with the connection.
    ForwardAndClose,
    /// An answer of DynamoDB's error form.
    Error(u16, &'static str),
    /// These bytes as the body of an answer of this status.
    Body(u16, &'static str),
}

/// An HTTP server on a loopback port. The first requests are answered in turn, all later ones alike.
pub struct StandIn {
    pub port: u16,
    requests: Arc<AtomicUsize>,
}

impl StandIn {
    pub async fn start(engine: u16, first: impl IntoIterator<Item = Answer>, then: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(AtomicUsize::new(0));
        let answers = Arc::new(Mutex::new(first.into_iter().collect::<VecDeque<_>>()));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, counter, then) = (Arc::clone(&answers), Arc::clone(&counter), then.clone());
                tokio::spawn(async move {
                    let next = || {
                        counter.fetch_add(1, Ordering::SeqCst);
                        answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(then)
                    };
                    // An error here means that a client gave up and closed the connection, which fails no test.
                    let _ = answer_one(stream, engine, next).await;
                });
            }
        });
        Self { port, requests }
    }

    /// A stand-in with only a port, on which nothing listens.
    pub fn nowhere(port: u16) -> Self {
        Self { port, requests: Arc::default() }
    }

    /// Number of requests that came.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers one request of a connection.
async fn answer_one(mut stream: TcpStream, engine: u16, next: impl FnOnce() -> Answer) -> io::Result<()> {
    let request = read_message(&mut stream).await?;
    let (status, body) = match next() {
        Answer::Hang => return std::future::pending().await,
        Answer::Forward => (None, forward(engine, &request).await?),
        Answer::ForwardAfter { arrived, go_on } => {
            arrived.notify_one();
            go_on.notified().await;
            (None, forward(engine, &request).await?)
        }
        Answer::ForwardAndClose => {
            forward(engine, &request).await?;
            return Ok(());
        }
        Answer::Error(status, code) => (Some(status), format!(r#"{{"__type":"{code}","message":"no"}}"#).into_bytes()),
        Answer::Body(status, body) => (Some(status), body.as_bytes().to_vec()),
    };
    if let Some(status) = status {
        let head = format!(
            "HTTP/1.1 {status} Told\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
    }
    stream.write_all(&body).await?;
    stream.shutdown().await
}

async fn forward(engine: u16, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(("127.0.0.1", engine)).await?;
    upstream.write_all(request).await?;
    read_message(&mut upstream).await
}

/// Reads a whole HTTP/1.1 message whose body has a `content-length`.
async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        if let Some(end) = message.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if message.len() >= end + 4 + length {
                return Ok(message);
            }
        }
        if stream.read_buf(&mut message).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

//! Tests with requests to the port, as a web page, another user of this machine and a client with the credentials would
//! send them.

use std::sync::Mutex;

use aws_sdk_dynamodb::{Client, error::ProvideErrorMetadata, types::AttributeValue};
use jiff::{SignedDuration, Timestamp};
use portcullis_runtime::{SystemClock, SystemRandomness};

use super::*;
use crate::wal_sync::Durability;
use crate::{
    database::{Database, create_tables},
    template::{TEMPLATE, Template},
};

/// The machine's clock with an offset: the AWS client signs by the machine's clock.
#[derive(Default)]
struct ShiftedClock(Mutex<SignedDuration>);

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + *self.0.lock().unwrap()
    }
}

struct Scene {
    database: Database,
    served: Served,
    clock: Arc<ShiftedClock>,
}

impl Scene {
    async fn set() -> Self {
        let clock = Arc::new(ShiftedClock::default());
        let database = Database::start(None, Durability::default(), clock.clone()).unwrap();
        let tables = Template::parse(TEMPLATE).unwrap().tables;
        create_tables(&Client::new(&database.sdk_config()), "test-", &tables).await.unwrap();
        let credentials = random_credentials(&SystemRandomness);
        let served = Served::start(database.connection().clone(), credentials, clock.clone()).await.unwrap();
        Self { database, served, clock }
    }

    fn client(&self) -> Client {
        Client::new(&self.served.sdk_config())
    }

    /// Puts a row with this client, and returns the code of the error.
    async fn refused(&self, client: &Client) -> String {
        let put = client.put_item().table_name("test-pools").item("id", AttributeValue::S("p".to_owned()));
        let error = put.send().await.unwrap_err();
        self.assert_nothing_changed().await;
        error.code().unwrap_or_default().to_owned()
    }

    async fn assert_nothing_changed(&self) {
        let client = Client::new(&self.database.sdk_config());
        let tables = client.list_tables().send().await.unwrap().table_names.unwrap();
        assert_eq!(tables.len(), Template::parse(TEMPLATE).unwrap().tables.len());
        assert_eq!(client.scan().table_name("test-pools").send().await.unwrap().count, 0);
    }

    /// A signed request of the real client to delete a table, as it goes over the wire.
    async fn signed_delete(&self) -> reqwest::Request {
        let (sent, receiver) = captured();
        let aws = self.served.sdk_config().into_builder().http_client(sent).build();
        // It gets no answer: only the request matters.
        let _ = Client::new(&aws).delete_table().table_name("test-pools").send().await;
        receiver.lock().unwrap().take().unwrap()
    }

    async fn end(self) {
        self.served.shutdown().await;
        self.database.shutdown().await;
    }
}

/// Change of a request after it was signed.
type Change = fn(&mut reqwest::Request);
type Captured = Arc<Mutex<Option<reqwest::Request>>>;

/// A client that keeps the last request and answers it with a 400.
fn captured() -> (aws_smithy_runtime_api::client::http::SharedHttpClient, Captured) {
    use aws_smithy_runtime_api::client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
    };
    #[derive(Clone, Debug)]
    struct Keep(Captured);
    impl HttpConnector for Keep {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let mut kept = reqwest::Request::new(Method::POST, request.uri().parse().unwrap());
            for (name, value) in request.headers() {
                kept.headers_mut().append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            }
            *kept.body_mut() = Some(request.body().bytes().unwrap().to_vec().into());
            *self.0.lock().unwrap() = Some(kept);
            HttpConnectorFuture::ready(Ok(HttpResponse::new(400.try_into().unwrap(), "{}".into())))
        }
    }
    let kept = Captured::default();
    let connector = SharedHttpConnector::new(Keep(Arc::clone(&kept)));
    (http_client_fn(move |_, _| connector.clone()), kept)
}

async fn send(request: reqwest::Request) -> reqwest::Response {
    reqwest::Client::builder().no_proxy().build().unwrap().execute(request).await.unwrap()
}

#[tokio::test]
async fn the_real_client_with_this_runs_credentials_reads_and_writes() {
    let scene = Scene::set().await;
    let client = scene.client();
    let row = AttributeValue::S("é ü 語".to_owned());
    client.put_item().table_name("test-pools").item("id", row.clone()).send().await.unwrap();
    let read = client.get_item().table_name("test-pools").key("id", row.clone()).send().await.unwrap();
    assert_eq!(read.item.unwrap()["id"], row);
    scene.end().await;
}

#[tokio::test]
async fn a_request_with_other_credentials_or_none_is_refused_and_changes_nothing() {
    let scene = Scene::set().await;
    let own = scene.served.credentials();
    let with = |id: &str, secret: &str| {
        Client::new(&sdk_config_with(scene.served.url(), Credentials::new(id, secret, None, None, "local")))
    };
    assert_eq!(scene.refused(&with("local", "local")).await, "UnrecognizedClientException");
    assert_eq!(scene.refused(&with("local", own.secret_access_key())).await, "UnrecognizedClientException");
    assert_eq!(scene.refused(&with(own.access_key_id(), "local")).await, "InvalidSignatureException");
    let mut unsigned = scene.signed_delete().await;
    unsigned.headers_mut().remove("authorization");
    let answer = send(unsigned).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("MissingAuthenticationTokenException"));
    scene.assert_nothing_changed().await;
    scene.end().await;
}

#[tokio::test]
async fn a_signature_counts_for_15_minutes_to_both_sides() {
    let scene = Scene::set().await;
    for seconds in [16 * 60, -16 * 60] {
        *scene.clock.0.lock().unwrap() = SignedDuration::from_secs(seconds);
        assert_eq!(scene.refused(&scene.client()).await, "InvalidSignatureException", "{seconds}");
    }
    *scene.clock.0.lock().unwrap() = SignedDuration::from_secs(10 * 60);
    scene.client().list_tables().send().await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn a_request_that_was_changed_after_it_was_signed_is_refused_and_changes_nothing() {
    let scene = Scene::set().await;
    let changes: [(&str, Change, u16); 12] = [
        // Same length as before: the length is signed as well.
        ("body", |request| *request.body_mut() = Some(r#"{"TableName":"test-bots" }"#.into()), 400),
        ("target", |request| set(request, "x-amz-target", "DynamoDB_20120810.Scan"), 400),
        ("date", |request| set(request, "x-amz-date", "20260101T000000Z"), 400),
        ("no date", |request| drop(request.headers_mut().remove("x-amz-date")), 400),
        ("two targets", |request| add(request, "x-amz-target", "DynamoDB_20120810.Scan"), 400),
        ("target not signed", |request| replace(request, ";x-amz-target", ""), 400),
        ("another service", |request| replace(request, "/dynamodb/", "/s3/"), 400),
        ("another region", |request| replace(request, "/us-east-1/", "/eu-west-1/"), 400),
        ("two signatures", |request| replace(request, "Signature=", "Signature=00, Signature="), 400),
        ("another path", |request| request.url_mut().set_path("/x"), 404),
        ("a query", |request| request.url_mut().set_query(Some("x=1")), 404),
        ("another method", |request| *request.method_mut() = Method::PUT, 404),
    ];
    for (what, change, status) in changes {
        let mut request = scene.signed_delete().await;
        change(&mut request);
        assert_eq!(send(request).await.status(), status, "{what}");
        scene.assert_nothing_changed().await;
    }
    let answer = send(scene.signed_delete().await).await;
    assert_eq!(answer.status(), 200, "unchanged it is carried out: {}", answer.text().await.unwrap());
    scene.end().await;
}

#[tokio::test]
async fn a_web_page_is_refused_though_its_request_were_signed() {
    let scene = Scene::set().await;
    let port = scene.served.url().rsplit(':').next().unwrap().to_owned();
    let foreign =
        ["evil.example".to_owned(), format!("evil.example:{port}"), "127.0.0.1".to_owned(), "localhost:1".to_owned()];
    for host in foreign {
        let mut request = scene.signed_delete().await;
        set(&mut request, "host", &host);
        assert_eq!(send(request).await.status(), 403, "{host}");
    }
    for origin in ["null".to_owned(), "https://evil.example".to_owned(), scene.served.url().to_owned()] {
        for method in [Method::POST, Method::OPTIONS, Method::GET] {
            let mut request = scene.signed_delete().await;
            set(&mut request, "origin", &origin);
            *request.method_mut() = method;
            let answer = send(request).await;
            assert_eq!(answer.status(), 403, "{origin}");
            assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control-")));
        }
    }
    scene.assert_nothing_changed().await;
    scene.end().await;
}

#[tokio::test]
async fn half_a_request_does_not_hold_up_the_end() {
    use tokio::io::AsyncWriteExt;
    let scene = Scene::set().await;
    let address = scene.served.url().trim_start_matches("http://").to_owned();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    connection.write_all(b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\n").await.unwrap();
    scene.end().await;
}

fn set(request: &mut reqwest::Request, name: &'static str, value: &str) {
    request.headers_mut().insert(name, value.parse().unwrap());
}

fn add(request: &mut reqwest::Request, name: &'static str, value: &str) {
    request.headers_mut().append(name, value.parse().unwrap());
}

fn replace(request: &mut reqwest::Request, from: &str, to: &str) {
    let authorization = request.headers()["authorization"].to_str().unwrap();
    assert!(authorization.contains(from), "{authorization}");
    let changed = authorization.replace(from, to);
    set(request, "authorization", &changed);
}

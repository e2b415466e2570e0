//! The embedded engine, served on a loopback port.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider},
    types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use aws_types::SdkConfig;
use portcullis_store::{ClientOptions, Table, client_with};
use tokio::net::TcpListener;

use super::Item;

/// Prefix of the tables' physical names.
pub const PREFIX: &str = "test-";

/// The tables and their keys, as `infra/template.yaml` has them.
const TABLES: [(Table, &[&str]); 13] = [
    (Table::Pools, &["id"]),
    (Table::PoolConfigSnapshots, &["pool", "version"]),
    (Table::PoolSecrets, &["pool", "scopeName"]),
    (Table::Skills, &["name", "part"]),
    (Table::WorkspaceTemplates, &["name", "part"]),
    (Table::Bots, &["id"]),
    (Table::Channels, &["id"]),
    (Table::ChannelCredentials, &["channel", "kind"]),
    (Table::WebhookRoutes, &["route"]),
    (Table::ChatSessions, &["id"]),
    (Table::Artifacts, &["id"]),
    (Table::Feedback, &["bot", "time"]),
    (Table::EventLog, &["identity"]),
];

/// An embedded DynamoDB for one test; it ends with the test's runtime.
pub struct Engine {
    pub port: u16,
    /// Reads and writes rows behind the store's back.
    direct: Client,
}

impl Engine {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let port = listener.local_addr().expect("an address").port();
        let database = dynoxide::Database::memory().expect("a database in memory");
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        let engine = Self { port, direct: client(port, &patient()) };
        engine.create_tables(PREFIX).await;
        engine
    }

    pub fn client(&self, options: &ClientOptions) -> Client {
        client(self.port, options)
    }

    pub async fn create_tables(&self, prefix: &str) {
        for (table, keys) in TABLES {
            let request = self.direct.create_table().table_name(format!("{prefix}{table}"));
            let request = request.billing_mode(BillingMode::PayPerRequest);
            let types = [KeyType::Hash, KeyType::Range];
            let request = keys.iter().zip(types).fold(request, |request, (name, key_type)| {
                let key = KeySchemaElement::builder().attribute_name(*name).key_type(key_type).build();
                let text = AttributeDefinition::builder().attribute_name(*name);
                let text = text.attribute_type(ScalarAttributeType::S).build();
                request.key_schema(key.expect("a key")).attribute_definitions(text.expect("an attribute"))
            });
            request.send().await.expect("a new table");
        }
    }

    /// All rows of a table.
    pub async fn rows(&self, table: Table) -> Vec<Item> {
        let scan = self.direct.scan().table_name(format!("{PREFIX}{table}")).into_paginator().items().send();
        scan.try_collect().await.expect("a scan")
    }

    pub async fn row(&self, table: Table, key: Item) -> Option<Item> {
        let get = self.direct.get_item().table_name(format!("{PREFIX}{table}")).set_key(Some(key));
        get.send().await.expect("a read").item
    }

    /// Writes a row behind the store's back.
    pub async fn put(&self, table: Table, row: Item) {
        self.put_into(PREFIX, table, row).await;
    }

    pub async fn put_into(&self, prefix: &str, table: Table, row: Item) {
        let put = self.direct.put_item().table_name(format!("{prefix}{table}")).set_item(Some(row));
        put.send().await.expect("a write");
    }
}

/// Limits that no test meets, however busy the machine is: the engine is slow with large rows. Tests of time-outs have
/// shorter ones.
pub fn patient() -> ClientOptions {
    let patience = Duration::from_mins(10);
    ClientOptions {
        connect_timeout: patience,
        attempt_timeout: patience,
        operation_timeout: patience,
        ..ClientOptions::default()
    }
}

pub fn client(port: u16, options: &ClientOptions) -> Client {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    client_with(&config, options)
}

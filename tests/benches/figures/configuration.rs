//! Requests per second for the configuration of a pool of fifty bots, both full and unchanged (304).

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::Client as Http;

use crate::{
    Failure,
    load::{self, Client, Connection, Until},
    seed,
    stack::Addresses,
    throughput::{CONNECTIONS, LENGTH, ROUNDS},
    traffic::configuration_path,
};

/// Numbers of bots in the pools, each bot with one Slack channel.
pub const BOTS: [usize; 1] = [50];

/// Figures of one kind of answer of one pool.
pub struct Row {
    /// Number of bots.
    pub bots: usize,
    /// Whether the answer is the full configuration and not a 304.
    pub full: bool,
    /// Length of the answer in bytes, including its head.
    pub bytes: usize,
    /// Requests per second in each round, for each of [`CONNECTIONS`].
    pub rates: [Vec<f64>; CONNECTIONS.len()],
}

pub async fn measure(
    settings: &BTreeMap<String, String>,
    addresses: &Addresses,
    token: &str,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for bots in BOTS {
        let pool = seed::pool_of(settings, &addresses.database, bots).await?;
        let path = configuration_path(pool.as_str());
        let first =
            Http::new().get(format!("{}{path}", addresses.front)).header("x-internal-token", token).send().await?;
        let tag = first.headers().get("etag").ok_or("there is no entity tag")?.to_str()?.to_owned();
        let length = first.bytes().await?.len();
        for full in [true, false] {
            let condition = if full { String::new() } else { format!("if-none-match: {tag}\r\n") };
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-internal-token: {token}\r\n{condition}\r\n");
            let (request, bytes) = (Bytes::from(request), if full { length } else { 0 });
            rows.push((request, Row { bots, full, bytes, rates: Default::default() }));
        }
    }
    for round in 0..=ROUNDS {
        for (request, row) in &mut rows {
            for (connections, rates) in CONNECTIONS.into_iter().zip(&mut row.rates) {
                let mut clients: Vec<Box<dyn Client>> = Vec::new();
                for _ in 0..connections {
                    let request = request.clone();
                    let address = addresses.front.trim_start_matches("http://");
                    clients.push(Box::new(Connection::open(address, move || request.clone()).await?));
                }
                let outcome = load::run(clients, Until::Passed(LENGTH)).await?;
                // The first round warms up.
                if round > 0 {
                    rates.push(outcome.a_second());
                }
            }
        }
    }
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

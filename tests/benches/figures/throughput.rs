//! Requests a second through the stack of `cargo local`, and of the embedded DynamoDB for the same calls.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    Failure,
    aws::Calls,
    load::{self, Client, Connection},
    machine,
    stack::Addresses,
    stand_ins::Pool,
    traffic::{Call, Traffic},
};

/// How often everything is measured, in turns, so that a slow moment of the machine hits all alike.
pub const ROUNDS: u32 = 5;
/// How long each is measured in a round.
pub const LENGTH: Duration = Duration::from_millis(700);
/// How long deliveries under way are waited for, before the next thing is measured.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(5);

pub const CONNECTIONS: [usize; 2] = [1, 32];

/// Requests a second of one kind with one number of connections, by round.
#[derive(Default)]
pub struct Rates {
    /// Through the front door.
    pub front: Vec<f64>,
    /// The same calls straight to the database.
    pub database: Vec<f64>,
    /// Of Slack events: delivered to the pool, from the first request to the last delivery.
    pub delivered: Vec<f64>,
}

/// For each of [`Call::ALL`], for each of [`CONNECTIONS`].
pub type Table = [[Rates; CONNECTIONS.len()]; Call::ALL.len()];

pub async fn measure(addresses: &Addresses, traffic: &Arc<Traffic>, pool: &Pool) -> Result<Table, Failure> {
    let mut table = Table::default();
    for round in 0..=ROUNDS {
        for (call, row) in Call::ALL.into_iter().zip(&mut table) {
            for (connections, rates) in CONNECTIONS.into_iter().zip(row) {
                let (before, started) = (pool.taken(), machine::now());
                let front = load::run(front(addresses, traffic, call, connections).await?, LENGTH).await?;
                if call == Call::Slack {
                    taken(pool, before + usize::try_from(front.answers)?).await;
                }
                let delivered = u32::try_from(pool.taken() - before)?;
                let took = machine::now().duration_since(started);
                let database = load::run(database(addresses, call, connections, round), LENGTH).await?;
                // The first round warms up.
                if round > 0 {
                    rates.front.push(front.a_second());
                    rates.database.push(database.a_second());
                    rates.delivered.push(f64::from(delivered) / took.as_secs_f64());
                }
            }
        }
    }
    Ok(table)
}

async fn front(
    addresses: &Addresses,
    traffic: &Arc<Traffic>,
    call: Call,
    connections: usize,
) -> Result<Vec<Box<dyn Client>>, Failure> {
    let mut clients: Vec<Box<dyn Client>> = Vec::new();
    for _ in 0..connections {
        let traffic = Arc::clone(traffic);
        // What is always the same is made once.
        let fixed = (call != Call::Slack).then(|| traffic.next(call).to_bytes());
        let next = move || fixed.clone().unwrap_or_else(|| traffic.next(call).to_bytes());
        clients.push(Box::new(Connection::open(addresses.front.trim_start_matches("http://"), next).await?));
    }
    Ok(clients)
}

fn database(addresses: &Addresses, call: Call, connections: usize, round: u32) -> Vec<Box<dyn Client>> {
    let client = portcullis_store::client(&addresses.database.sdk_config());
    let calls = |number| -> Box<dyn Client> {
        Box::new(Calls::new(client.clone(), call, format!("ceiling-{connections}-{round}-{number}")))
    };
    (0..connections).map(calls).collect()
}

/// Waits until the pool has taken so many.
async fn taken(pool: &Pool, count: usize) {
    let taken = async {
        while pool.taken() < count {
            pause(LOOK).await;
        }
    };
    // What is still under way past that slows down what comes next, and no more.
    let _ = timeout(PATIENCE, taken).await;
}

#[expect(clippy::disallowed_methods, reason = "a look at another process's work needs the machine's time to pass")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

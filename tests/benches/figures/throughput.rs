//! Requests per second through the stack of `cargo local`, in memory and with `--data`, and the CPU time of each.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    Failure,
    load::{self, Client, Connection, Until},
    machine,
    stack::StackProcess,
    stand_ins::Pool,
    traffic::{Call, Traffic},
};

/// Number of rounds. Stacks take turns within a round, so that a slow moment of the machine affects all alike.
pub const ROUNDS: u32 = 5;
/// Duration of a measurement in a round.
pub const LENGTH: Duration = Duration::from_secs(1);
/// Number of Slack events that each connection sends in a round: about as many as are delivered in a few seconds.
const EVENTS: [u32; CONNECTIONS.len()] = [1_000, 80];
/// Longest wait for deliveries in progress before the next measurement.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);

pub const CONNECTIONS: [usize; 2] = [1, 32];

/// A measured stack.
pub struct Stack<'a> {
    pub process: &'a StackProcess,
    pub traffic: Arc<Traffic>,
}

/// Figures per round of one kind of request, for one stack and one number of connections.
#[derive(Clone, Default)]
pub struct Rates {
    /// Requests per second.
    pub answered: Vec<f64>,
    /// CPU time of the stack's process per request, in µs; for Slack events including the delivery.
    pub cpu: Vec<f64>,
    /// Slack events delivered per second, from the first request to the last delivery.
    pub delivered: Vec<f64>,
}

/// Rates by [`Call::ALL`], then stack, then [`CONNECTIONS`].
pub type Table = Vec<Vec<[Rates; CONNECTIONS.len()]>>;

pub async fn measure(stacks: &[Stack<'_>], pool: &Pool) -> Result<Table, Failure> {
    let mut table: Table = vec![vec![Default::default(); stacks.len()]; Call::ALL.len()];
    for round in 0..=ROUNDS {
        for (call, rows) in Call::ALL.into_iter().zip(&mut table) {
            for (index, (connections, events)) in CONNECTIONS.into_iter().zip(EVENTS).enumerate() {
                for (stack, row) in stacks.iter().zip(rows.iter_mut()) {
                    let found = one(stack, pool, call, connections, events).await?;
                    // The first round is a warm-up.
                    if let Some(rates) = row.get_mut(index).filter(|_| round > 0) {
                        rates.answered.push(found.answered);
                        rates.cpu.push(found.cpu);
                        rates.delivered.push(found.delivered);
                    }
                }
            }
        }
    }
    Ok(table)
}

struct Found {
    answered: f64,
    cpu: f64,
    delivered: f64,
}

async fn one(stack: &Stack<'_>, pool: &Pool, call: Call, connections: usize, events: u32) -> Result<Found, Failure> {
    let until = if call == Call::Slack { Until::Answered(events) } else { Until::Passed(LENGTH) };
    let clients = clients(stack, call, connections).await?;
    let (before, started, cpu) = (pool.taken(), machine::now(), machine::cpu_time(stack.process.pid())?);
    let load = load::run(clients, until).await?;
    if call == Call::Slack {
        taken(pool, before + usize::try_from(load.answers)?).await;
    }
    let (took, delivered) = (machine::now().duration_since(started), u32::try_from(pool.taken() - before)?);
    let used = machine::cpu_time(stack.process.pid())?.saturating_sub(cpu);
    Ok(Found {
        answered: load.a_second(),
        cpu: used.as_secs_f64() * 1e6 / f64::from(load.answers),
        delivered: f64::from(delivered) / took.as_secs_f64(),
    })
}

async fn clients(stack: &Stack<'_>, call: Call, connections: usize) -> Result<Vec<Box<dyn Client>>, Failure> {
    let address = stack.process.addresses.front.trim_start_matches("http://");
    let mut clients: Vec<Box<dyn Client>> = Vec::new();
    for _ in 0..connections {
        let traffic = Arc::clone(&stack.traffic);
        // Requests that never change are encoded once.
        let fixed = (call != Call::Slack).then(|| traffic.next(call).to_bytes());
        let next = move || fixed.clone().unwrap_or_else(|| traffic.next(call).to_bytes());
        clients.push(Box::new(Connection::open(address, next).await?));
    }
    Ok(clients)
}

/// Waits until the pool has accepted this many deliveries.
async fn taken(pool: &Pool, count: usize) {
    let taken = async {
        while pool.taken() < count {
            pause(LOOK).await;
        }
    };
    // After the time-out, late deliveries only slow down the next measurement.
    let _ = timeout(PATIENCE, taken).await;
}

#[expect(clippy::disallowed_methods, reason = "a look at another process's work needs the machine's time to pass")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

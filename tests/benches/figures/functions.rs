//! The functions' binaries: size, start-up time, and CPU time and memory for requests.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::DeflateEncoder};
use serde_json::Value;

use crate::{
    Failure,
    function::{self, Function},
    machine::{self, median},
    stack::DatabaseAddress,
    stand_ins::Sqs,
    traffic::{Call, Traffic, sqs_event},
};

/// Number of starts of each function, which take turns.
const STARTS: usize = 21;
/// Number of requests to each function.
const REQUESTS: usize = 10_000;
/// Time limit of those requests, which run one after another and each wait for the database.
const LONGEST: Duration = Duration::from_secs(40);
/// Number of warm-up requests, excluded from the CPU time.
const WARM_UP: usize = 500;

/// The bare function that the others are compared with.
pub const HELLO: &str = "hello";

/// The measured functions, each with its kind of request. The relay gets the events that `slack` queued before.
pub const FUNCTIONS: [(&str, Option<Call>); 5] = [
    (HELLO, Some(Call::Slack)),
    ("slack", Some(Call::Slack)),
    ("internal", Some(Call::Heartbeat)),
    ("skills", Some(Call::Secrets)),
    ("relay", None),
];

/// Environment of the functions.
pub struct Surroundings<'a> {
    /// Folder of the functions' binaries.
    pub folder: PathBuf,
    pub settings: &'a BTreeMap<String, String>,
    pub database: &'a DatabaseAddress,
    pub sqs: &'a Sqs,
    pub traffic: &'a Traffic,
}

/// Figures of one function.
pub struct Found {
    pub name: &'static str,
    /// Size of the zip file, in MB (10⁶ bytes).
    pub zipped_megabytes: f64,
    /// Time from the start until the function asks for work, in ms.
    pub start: f64,
    /// Number of requests answered.
    pub requests: usize,
    /// Resident memory after the start and after those requests, in MB.
    pub idle_megabytes: f64,
    pub used_megabytes: f64,
    /// CPU time of the process per request, in µs.
    pub cpu: f64,
}

impl Surroundings<'_> {
    fn binary(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn environment(&self, name: &str) -> BTreeMap<String, String> {
        function::environment(self.settings, name, self.database, &self.sqs.url())
    }

    async fn start(&self, name: &str) -> Result<(Function, f64), Failure> {
        let (function, took) = Function::start(&self.binary(name), &self.environment(name)).await?;
        Ok((function, took.as_secs_f64() * 1e3))
    }

    /// Measures every function.
    pub async fn measure(&self) -> Result<Vec<Found>, Failure> {
        let mut starts: [Vec<f64>; FUNCTIONS.len()] = Default::default();
        for turn in 0..=STARTS {
            for ((name, _), starts) in FUNCTIONS.iter().zip(&mut starts) {
                let (_function, took) = self.start(name).await?;
                // The first start is a warm-up: it reads the binary from disk.
                if turn > 0 {
                    starts.push(took);
                }
            }
        }
        let mut found = Vec::new();
        let mut queued = Vec::new();
        for ((name, call), starts) in FUNCTIONS.into_iter().zip(starts) {
            let (mut function, _) = self.start(name).await?;
            let idle_megabytes = function.resident_megabytes()?;
            let next = |number: usize| match call {
                Some(call) => Some(self.traffic.next(call).to_event()),
                None => queued.get(number).map(|message| sqs_event(number, message)),
            };
            let (requests, cpu) = serve(&mut function, next).await?;
            found.push(Found {
                name,
                zipped_megabytes: zipped_megabytes(&self.binary(name))?,
                start: median(starts),
                requests,
                idle_megabytes,
                used_megabytes: function.resident_megabytes()?,
                cpu,
            });
            queued.extend(self.sqs.take());
        }
        Ok(found)
    }
}

/// Gives a function one event after another. Returns the number of events and the CPU time per event, in µs.
async fn serve(function: &mut Function, next: impl Fn(usize) -> Option<Bytes>) -> Result<(usize, f64), Failure> {
    let end = machine::now() + LONGEST;
    let mut before = function.cpu_time()?;
    let mut answered = 0;
    while answered < REQUESTS && machine::now() < end {
        if answered == WARM_UP {
            before = function.cpu_time()?;
        }
        let Some(event) = next(answered) else { break };
        succeeded(&function.invoke(event).await?)?;
        answered += 1;
    }
    let used = function.cpu_time()?.saturating_sub(before);
    let counted = u32::try_from(answered.saturating_sub(WARM_UP))?;
    Ok((answered, used.as_secs_f64() * 1e6 / f64::from(counted)))
}

/// Accepts a 200, or the relay's answer without failed messages.
fn succeeded(answer: &[u8]) -> Result<(), Failure> {
    let value: Value = serde_json::from_slice(answer)?;
    let status = value.get("statusCode").and_then(Value::as_u64);
    let left = value.get("batchItemFailures").and_then(Value::as_array);
    if status == Some(200) || left.is_some_and(Vec::is_empty) {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(answer).into())
    }
}

/// Bytes that a zip file adds to its one file `bootstrap`: a local header, a directory entry and the end record.
/// Source: PKWARE, APPNOTE 4.3.
const ZIP_OVERHEAD: usize = (30 + 9) + (46 + 9) + 22;

/// Size of the zip file that is uploaded, in MB.
fn zipped_megabytes(binary: &Path) -> Result<f64, Failure> {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut encoder = DeflateEncoder::new(Count(ZIP_OVERHEAD), Compression::default());
    io::copy(&mut File::open(binary)?, &mut encoder)?;
    Ok(f64::from(u32::try_from(encoder.finish()?.0)?) / 1e6)
}

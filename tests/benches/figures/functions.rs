//! The functions' binaries: how large they are, how fast they start, and what a request costs them.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use flate2::{Compression, write::DeflateEncoder};

use crate::{
    Failure,
    function::{self, Function},
    machine::median,
    stand_ins::{Message, Sqs},
    traffic::{Call, Traffic, sqs_event},
};

/// How often each function is started, in turns.
const STARTS: usize = 21;
/// How many requests each function gets.
const REQUESTS: u32 = 10_000;
/// How many of them go before those whose CPU time is counted.
const WARM_UP: u32 = 500;

/// The bare function that the others are compared with.
pub const HELLO: &str = "hello";

/// Each function that is measured, with what it is asked; the relay gets what `slack` has queued before.
pub const FUNCTIONS: [(&str, Option<Call>); 5] = [
    (HELLO, Some(Call::Slack)),
    ("slack", Some(Call::Slack)),
    ("internal", Some(Call::Heartbeat)),
    ("skills", Some(Call::Secrets)),
    ("relay", None),
];

/// What the functions run on.
pub struct Surroundings<'a> {
    /// The folder of their binaries.
    pub folder: PathBuf,
    pub settings: &'a BTreeMap<String, String>,
    pub database: &'a str,
    pub sqs: &'a Sqs,
    pub traffic: &'a Traffic,
}

/// What was found of a function.
pub struct Found {
    pub name: &'static str,
    /// Its zip file, in MB (10⁶ bytes).
    pub zipped_megabytes: f64,
    /// Until it asks for work, in ms.
    pub start: f64,
    /// Its memory at the start and after [`REQUESTS`] requests, in MB.
    pub idle_megabytes: f64,
    pub used_megabytes: f64,
    /// The CPU time of its process for a request, in µs.
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
                // The first reads the binary from disk.
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
            let cpu = match call {
                Some(call) => self.serve(&mut function, call).await?,
                None => relay(&mut function, &queued).await?,
            };
            found.push(Found {
                name,
                zipped_megabytes: zipped_megabytes(&self.binary(name))?,
                start: median(starts),
                idle_megabytes,
                used_megabytes: function.resident_megabytes()?,
                cpu,
            });
            queued.extend(self.sqs.take());
        }
        Ok(found)
    }

    async fn serve(&self, function: &mut Function, call: Call) -> Result<f64, Failure> {
        let mut before = function.cpu_time()?;
        for number in 0..REQUESTS {
            if number == WARM_UP {
                before = function.cpu_time()?;
            }
            function.answer(self.traffic.next(call).to_event()).await?;
        }
        let used = function.cpu_time()?.saturating_sub(before);
        Ok(used.as_secs_f64() * 1e6 / f64::from(REQUESTS - WARM_UP))
    }
}

/// Has the relay deliver what was queued.
async fn relay(function: &mut Function, queued: &[Message]) -> Result<f64, Failure> {
    let before = function.cpu_time()?;
    for (number, message) in queued.iter().enumerate() {
        let answer = function.invoke(sqs_event(number, message)).await?;
        if answer != Bytes::from_static(br#"{"batchItemFailures":[]}"#) {
            return Err(String::from_utf8_lossy(&answer).into());
        }
    }
    let used = function.cpu_time()?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / f64::from(u32::try_from(queued.len().max(1))?))
}

/// What a zip file adds to what it holds: one local header, one entry of the directory and its end, with the name
/// `bootstrap`. Source: PKWARE, APPNOTE 4.3.
const ZIP_OVERHEAD: usize = (30 + 9) + (46 + 9) + 22;

/// How large the zip file is that is uploaded, in MB.
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

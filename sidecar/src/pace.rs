//! How long things take and how often they are done: all of the sidecar's waiting.

use std::time::Duration;

/// The sidecar's times. The default is what production uses; a test makes them shorter.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// The first wait after a failed call; it doubles.
    pub retry: Duration,
    /// The longest wait after a failed call.
    pub longest_retry: Duration,
    /// Between two probes.
    pub probe: Duration,
    /// How long a probe may take.
    pub probe_timeout: Duration,
    /// How long a child's port may refuse or hang before the child is ended. OpenClaw takes up to 77 s to start and 50 s to
    /// restart within its process.
    pub silence: Duration,
    /// Between two looks for a plugin that is missing.
    pub plugins: Duration,
    /// The wait before the first restart; the n-th waits n times as long.
    pub restart: Duration,
    /// How long a child must have run for its restarts to be counted anew.
    pub restart_reset: Duration,
    /// How long a child may take to end after SIGTERM: `OpenClaw` lets running work end first.
    pub termination: Duration,
    /// How long a start waits for a token before it goes on without.
    pub token_patience: Duration,
    /// How long before its own token ends a child is started anew.
    pub token_margin: Duration,
    /// How long a token in a file lasts.
    pub file_token: Duration,
    /// How long supervision may take from one step to the next before systemd's watchdog is told nothing any more.
    pub progress: Duration,
    /// How long the process that handles files may take for a request of a few files.
    pub files: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(5),
            retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(30),
            probe: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(4),
            silence: Duration::from_mins(3),
            plugins: Duration::from_secs(30),
            restart: Duration::from_secs(3),
            restart_reset: Duration::from_mins(2),
            termination: Duration::from_secs(30),
            token_patience: Duration::from_secs(5),
            token_margin: Duration::from_hours(24),
            file_token: Duration::from_hours(1),
            progress: Duration::from_mins(10),
            files: Duration::from_secs(10),
        }
    }
}

/// How often a child is restarted in a row before it is left alone.
pub const MAXIMUM_RESTARTS: u32 = 10;

/// How many probes in a row may go without an answer before a pool is degraded.
pub const PROBE_FAILURES: u32 = 3;

/// Waits that double, each drawn between a half and the whole, so that many sidecars do not call at once.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// A back-off that has seen no failure.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Something worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Something failed: how long to wait.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        jittered(doubled.min(self.longest))
    }
}

/// Between a half of `wait` and all of it.
#[must_use]
pub fn jittered(wait: Duration) -> Duration {
    let mut bytes = [0; 2];
    random(&mut bytes);
    wait.mul_f64(0.5 + f64::from(u16::from_be_bytes(bytes)) / 2.0 / f64::from(u16::MAX))
}

/// Fills `bytes` from the kernel's generator.
#[expect(clippy::disallowed_methods, reason = "names of files and jitter: the sidecar's one source of randomness")]
pub fn random(bytes: &mut [u8]) {
    // Without it a name is only less unlikely to be taken, and then refused.
    let _ = getrandom::fill(bytes);
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "the sidecar's one way to wait; its times are those of a `Pace`")]
pub async fn pause(wait: Duration) {
    tokio::time::sleep(wait).await;
}

/// A moment of this machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment(std::time::Instant);

impl Moment {
    /// Now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the sidecar's one way to ask the time")]
    pub fn now() -> Self {
        Self(std::time::Instant::now())
    }

    /// How long ago it was.
    #[must_use]
    pub fn age(self) -> Duration {
        Self::now().since(self)
    }

    /// How long after `earlier` it is; zero where it is before it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The moment this long after it.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0 + wait)
    }
}

/// The machine's date and time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the sidecar's one way to ask the date")]
pub fn timestamp() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn unix_seconds() -> u64 {
    u64::try_from(timestamp().as_second()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            let wait = backoff.next_wait();
            let longest = Duration::from_secs(expected);
            assert!(wait >= longest / 2 && wait <= longest, "{wait:?} of {expected} s");
        }
        for _ in 0..100 {
            assert!(backoff.next_wait() <= Duration::from_secs(30));
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_secs(1));
    }
}

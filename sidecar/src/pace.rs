//! Intervals, time-outs, back-off and clocks of the sidecar.

use std::time::Duration;

/// Intervals and time-outs. The default is for production; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Interval of heartbeats.
    pub heartbeat: Duration,
    /// First wait of the back-off after a failed call; it doubles.
    pub retry: Duration,
    /// Longest wait of the back-off after a failed call.
    pub longest_retry: Duration,
    /// Interval of health probes.
    pub probe: Duration,
    /// Time-out of a probe.
    pub probe_timeout: Duration,
    /// How long a child's port may refuse or hang before the child is ended. `OpenClaw` takes up to 77 s to start and
    /// 50 s to restart within its process.
    pub silence: Duration,
    /// Interval of checks for a missing plugin.
    pub plugins: Duration,
    /// Wait before the first restart; the n-th waits n times as long.
    pub restart: Duration,
    /// Run time of a child after which the count of restarts begins anew.
    pub restart_reset: Duration,
    /// How long a child may take to end after SIGTERM: `OpenClaw` lets running work end first.
    pub termination: Duration,
    /// How long a start waits for a token before it goes on without.
    pub token_patience: Duration,
    /// How long before its token ends a child is replaced.
    pub token_margin: Duration,
    /// Lifetime of the token in the file.
    pub file_token: Duration,
    /// Longest time between two steps of the supervisor before systemd's watchdog is not notified any more.
    pub progress: Duration,
    /// Deadline of a file worker's request of a few files.
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

/// Maximum number of restarts in a row.
pub const MAXIMUM_RESTARTS: u32 = 10;

/// Number of unanswered probes in a row after which a pool is degraded.
pub const PROBE_FAILURES: u32 = 3;

/// Exponential back-off with jitter: each wait is drawn between half and all of it, so that many sidecars do not call
/// at once.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Creates a back-off that starts with the wait `first`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Wait after another failure.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        jittered(doubled.min(self.longest))
    }
}

/// Draws between half of `wait` and all of it.
#[must_use]
pub fn jittered(wait: Duration) -> Duration {
    let mut bytes = [0; 2];
    random(&mut bytes);
    wait.mul_f64(0.5 + f64::from(u16::from_be_bytes(bytes)) / 2.0 / f64::from(u16::MAX))
}

/// Fills `bytes` from the kernel's random generator.
#[expect(clippy::disallowed_methods, reason = "names of files and jitter: the sidecar's one source of randomness")]
pub fn random(bytes: &mut [u8]) {
    // After a failure the bytes stay as they are: a name is then predictable, and one that is taken is refused.
    let _ = getrandom::fill(bytes);
}

/// Waits for a duration.
#[expect(clippy::disallowed_methods, reason = "the sidecar's one way to wait; its times are those of a `Pace`")]
pub async fn pause(wait: Duration) {
    tokio::time::sleep(wait).await;
}

/// An instant of the machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment(std::time::Instant);

impl Moment {
    /// Current instant.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the sidecar's one way to ask the time")]
    pub fn now() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since this instant.
    #[must_use]
    pub fn age(self) -> Duration {
        Self::now().since(self)
    }

    /// Time from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// Instant that is `wait` later.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0 + wait)
    }
}

/// Current date and time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the sidecar's one way to ask the date")]
pub fn timestamp() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Current time in seconds since the Unix epoch.
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

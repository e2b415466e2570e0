//! Back-off before another try.

use std::time::Duration;

use portcullis_crypto::Randomness;

/// Reads that a change makes after lost races. One of the racing writers wins each round, so this is enough for three
/// times the 16 that are provided for.
const RACE_TRIES: u32 = 48;
/// Longest wait after the first lost race: about the time of two calls.
const RACE_INITIAL: Duration = Duration::from_millis(20);
/// Longest wait after any lost race.
const RACE_MAXIMUM: Duration = Duration::from_millis(400);

/// Repetitions of a call after conflicts with other transactions. At the longest wait each, they exceed the operation's
/// budget, which is what ends a long conflict.
const CONFLICT_TRIES: u32 = 24;
/// Longest wait after the first conflict: about the time of a transaction.
const CONFLICT_INITIAL: Duration = Duration::from_millis(20);
/// Longest wait after any conflict.
const CONFLICT_MAXIMUM: Duration = Duration::from_millis(500);

/// A bounded number of waits, each drawn between zero and a limit that doubles up to `maximum` ("full jitter": writers
/// that collided once would otherwise collide again).
///
/// Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
pub(crate) struct Backoff {
    tries_left: u32,
    limit: Duration,
    maximum: Duration,
}

impl Backoff {
    /// Back-off of a change that reads, then writes on the condition that nothing has changed.
    pub(crate) fn of_race() -> Self {
        Self::new(RACE_TRIES, RACE_INITIAL, RACE_MAXIMUM)
    }

    /// Back-off of a call that DynamoDB refused because of another transaction.
    pub(crate) fn of_conflict() -> Self {
        Self::new(CONFLICT_TRIES, CONFLICT_INITIAL, CONFLICT_MAXIMUM)
    }

    /// Makes `tries` waits; the first is at most `initial`, later ones at most `maximum`.
    fn new(tries: u32, initial: Duration, maximum: Duration) -> Self {
        Self { tries_left: tries, limit: initial, maximum }
    }

    /// Wait before the next try; `None` once the tries are used up.
    pub(crate) fn next_delay(&mut self, randomness: &dyn Randomness) -> Option<Duration> {
        self.tries_left = self.tries_left.checked_sub(1)?;
        let mut bytes = [0; 4];
        randomness.fill(&mut bytes);
        let fraction = f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX);
        let delay = self.limit.mul_f64(fraction);
        self.limit = (self.limit * 2).min(self.maximum);
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills with one byte throughout: 0 draws the shortest wait, 255 the longest.
    struct Constant(u8);

    impl Randomness for Constant {
        fn fill(&self, destination: &mut [u8]) {
            destination.fill(self.0);
        }
    }

    fn delays(byte: u8) -> Vec<u128> {
        let mut backoff = Backoff::new(4, Duration::from_millis(10), Duration::from_millis(40));
        std::iter::from_fn(|| backoff.next_delay(&Constant(byte))).map(|delay| delay.as_millis()).collect()
    }

    #[test]
    fn a_wait_lies_between_zero_and_a_limit_that_doubles_up_to_its_maximum() {
        assert_eq!(delays(255), [10, 20, 40, 40]);
        assert_eq!(delays(0), [0, 0, 0, 0]);
    }
}

//! The back-off between two tries of a delivery.

use std::time::Duration;

/// Delay after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// Upper bound of the delay.
const LONGEST: Duration = Duration::from_mins(2);

/// Returns the delay before the next try of a message that was received `receive_count` times: 1 s, doubling up to 2
/// min. A conversation therefore goes on at most 2 min after an outage ends.
pub fn delay(receive_count: u32) -> Duration {
    let doublings = receive_count.saturating_sub(1).min(16);
    (FIRST * 2_u32.pow(doublings)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_1_s_to_2_min() {
        let seconds: Vec<_> = (1..=12).map(|count| delay(count).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 120, 120, 120, 120, 120]);
        assert_eq!(delay(0).as_secs(), 1);
        assert_eq!(delay(u32::MAX).as_secs(), 120);
    }
}

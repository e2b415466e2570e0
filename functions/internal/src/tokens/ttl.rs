//! A requested token life.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

/// A token life of 60 to `MAXIMUM` seconds.
#[derive(Clone, Copy, Debug)]
pub struct Ttl<const MAXIMUM: u64>(Duration);

const MINIMUM: u64 = 60;

impl<const MAXIMUM: u64> Ttl<MAXIMUM> {
    /// Returns the end of a life that begins now, truncated to the milliseconds of the responses.
    pub fn ends(self, now: Timestamp) -> Timestamp {
        let end = now.as_millisecond().saturating_add_unsigned(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX));
        Timestamp::from_millisecond(end).unwrap_or(Timestamp::MAX)
    }
}

impl<'de, const MAXIMUM: u64> Deserialize<'de> for Ttl<MAXIMUM> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = u64::deserialize(deserializer)?;
        if (MINIMUM..=MAXIMUM).contains(&seconds) {
            Ok(Self(Duration::from_secs(seconds)))
        } else {
            Err(de::Error::custom(format_args!("must be {MINIMUM} to {MAXIMUM} seconds")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_60_seconds_to_the_maximum_are_taken() {
        for (text, taken) in
            [("59", false), ("60", true), ("100", true), ("101", false), ("-60", false), ("60.5", false)]
        {
            assert_eq!(serde_json::from_str::<Ttl<100>>(text).is_ok(), taken, "{text}");
        }
    }

    #[test]
    fn it_ends_that_much_later() {
        let ttl: Ttl<100> = serde_json::from_str("60").unwrap();
        assert_eq!(ttl.ends(Timestamp::UNIX_EPOCH), Timestamp::from_second(60).unwrap());
    }
}

//! Numbers that JSON carries exactly.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;

/// An integer from 0 to 2^53 − 1: JavaScript holds no larger one exactly (ECMAScript, `Number.MAX_SAFE_INTEGER`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
#[schema(value_type = u64, maximum = 9_007_199_254_740_991_u64, example = 3)]
pub struct SafeInteger(u64);

impl SafeInteger {
    /// The largest one, 2^53 − 1.
    pub const MAXIMUM: u64 = (1 << 53) - 1;

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// The number, at most [`SafeInteger::MAXIMUM`]. Our own counters stay far below it.
impl From<u64> for SafeInteger {
    fn from(number: u64) -> Self {
        Self(number.min(Self::MAXIMUM))
    }
}

impl From<SafeInteger> for u64 {
    fn from(number: SafeInteger) -> Self {
        number.0
    }
}

impl<'de> Deserialize<'de> for SafeInteger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let number = raw.get().parse().ok().filter(|number| *number <= Self::MAXIMUM);
        number.map(Self).ok_or_else(|| de::Error::custom("must be a whole number from 0 to 9007199254740991"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_up_to_2_to_the_53_are_read() {
        let read = |text: &str| serde_json::from_str::<SafeInteger>(text).ok().map(SafeInteger::get);
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("9007199254740991"), Some(SafeInteger::MAXIMUM));
        for wrong in ["-1", "1.5", "1e2", "1e400", "9007199254740992", "18446744073709551616", "\"7\"", "null"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}

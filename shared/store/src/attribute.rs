//! Writing attributes and naming them in expressions.

use std::{collections::HashMap, fmt::Display};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use jiff::Timestamp;

/// A row in DynamoDB's representation.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Attribute that holds the version of a row's layout.
pub(crate) const SCHEMA: &str = "schema";

/// The only layout version so far.
pub(crate) const SCHEMA_VERSION: u32 = 1;

pub(crate) fn schema() -> AttributeValue {
    number(SCHEMA_VERSION)
}

pub(crate) fn text(value: impl Display) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

pub(crate) fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// A length or a count: `usize` converts losslessly into no other integer.
pub(crate) fn size(value: usize) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// ISO-8601 in UTC with milliseconds. The fixed width makes texts sort by time.
pub(crate) fn time(value: Timestamp) -> AttributeValue {
    AttributeValue::S(format!("{value:.3}"))
}

/// Seconds since the Unix epoch: the form that DynamoDB's TTL reads.
pub(crate) fn epoch_seconds(value: Timestamp) -> AttributeValue {
    number(value.as_second())
}

pub(crate) fn bytes(value: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(crate) fn text_set(values: impl IntoIterator<Item = impl Display>) -> AttributeValue {
    AttributeValue::Ss(values.into_iter().map(|value| value.to_string()).collect())
}

/// Builds a row, or an expression's values.
pub(crate) fn attributes<const N: usize>(pairs: [(&str, AttributeValue); N]) -> Item {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Attribute names of expressions: each `#name` stands for the attribute `name`, so that it cannot clash with one of
/// DynamoDB's several hundred reserved words. Only names in use are declared, since DynamoDB refuses others.
pub(crate) fn names(expressions: &[&str]) -> Option<HashMap<String, String>> {
    let names: HashMap<_, _> = expressions
        .iter()
        .flat_map(|expression| expression.split('#').skip(1))
        .filter_map(|rest| rest.split(|character: char| !character.is_ascii_alphanumeric()).next())
        .map(|name| (format!("#{name}"), name.to_owned()))
        .collect();
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_placeholder_of_an_expression_is_named_after_itself() {
        let names = names(&["SET #status = if_not_exists(#status, :old)", "#lastSeenAt<:now"]).unwrap();
        assert_eq!(names.len(), 2);
        assert_eq!(names["#status"], "status");
        assert_eq!(names["#lastSeenAt"], "lastSeenAt");
        assert!(super::names(&["size(:x) = :y"]).is_none());
    }

    #[test]
    fn a_time_is_written_in_utc_with_milliseconds() {
        assert_eq!(time(Timestamp::UNIX_EPOCH), AttributeValue::S("1970-01-01T00:00:00.000Z".to_owned()));
        let late = Timestamp::from_nanosecond(1_531_420_618_987_654_321).unwrap();
        assert_eq!(time(late), AttributeValue::S("2018-07-12T18:36:58.987Z".to_owned()));
    }
}

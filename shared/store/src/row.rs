//! Reading a row: a missing or mistyped attribute is an error that names it, never a panic.

use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use crate::{
    StoreError, Table,
    attribute::{Item, SCHEMA, SCHEMA_VERSION},
};

/// A row whose layout version is known.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    table: Table,
    item: &'a Item,
}

impl<'a> Row<'a> {
    pub(crate) fn new(table: Table, item: &'a Item) -> Result<Self, StoreError> {
        let row = Self { table, item };
        if row.parsed::<u32>(SCHEMA)? == SCHEMA_VERSION { Ok(row) } else { Err(row.malformed(SCHEMA)) }
    }

    pub(crate) fn malformed(&self, attribute: &'static str) -> StoreError {
        StoreError::Malformed { table: self.table.name(), attribute }
    }

    fn get(&self, attribute: &'static str) -> Option<&'a AttributeValue> {
        self.item.get(attribute).filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, attribute: &'static str) -> bool {
        self.get(attribute).is_some()
    }

    /// Reads the attribute with `read`; `None` where it is absent.
    fn optional<T>(
        &self,
        attribute: &'static str,
        read: impl FnOnce(&'a AttributeValue) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        self.get(attribute).map(|value| read(value).ok_or_else(|| self.malformed(attribute))).transpose()
    }

    fn required<T>(
        &self,
        attribute: &'static str,
        read: impl FnOnce(&'a AttributeValue) -> Option<T>,
    ) -> Result<T, StoreError> {
        self.optional(attribute, read)?.ok_or_else(|| self.malformed(attribute))
    }

    pub(crate) fn text(&self, attribute: &'static str) -> Result<&'a str, StoreError> {
        self.required(attribute, as_text)
    }

    pub(crate) fn optional_text(&self, attribute: &'static str) -> Result<Option<&'a str>, StoreError> {
        self.optional(attribute, as_text)
    }

    /// Parses a text or a number.
    pub(crate) fn parsed<T: FromStr>(&self, attribute: &'static str) -> Result<T, StoreError> {
        self.required(attribute, parse)
    }

    pub(crate) fn optional_parsed<T: FromStr>(&self, attribute: &'static str) -> Result<Option<T>, StoreError> {
        self.optional(attribute, parse)
    }

    pub(crate) fn time(&self, attribute: &'static str) -> Result<Timestamp, StoreError> {
        self.parsed(attribute)
    }

    pub(crate) fn boolean(&self, attribute: &'static str) -> Result<bool, StoreError> {
        self.required(attribute, |value| value.as_bool().ok().copied())
    }

    pub(crate) fn bytes(&self, attribute: &'static str) -> Result<&'a [u8], StoreError> {
        self.required(attribute, |value| value.as_b().ok().map(AsRef::as_ref))
    }

    pub(crate) fn map(&self, attribute: &'static str) -> Result<&'a Item, StoreError> {
        self.required(attribute, |value| value.as_m().ok())
    }

    /// Elements of a list of texts, without the empty ones.
    pub(crate) fn texts(&self, attribute: &'static str) -> Result<Vec<String>, StoreError> {
        let read = |value: &AttributeValue| {
            let elements = value.as_l().ok()?.iter().map(|element| element.as_s().ok().cloned());
            elements.collect::<Option<Vec<String>>>()
        };
        Ok(self.required(attribute, read)?.into_iter().filter(|element| !element.is_empty()).collect())
    }

    /// Members of a set of texts, in order. DynamoDB has no empty set, so an absent set is an empty one.
    pub(crate) fn set<T: FromStr + Ord>(&self, attribute: &'static str) -> Result<Vec<T>, StoreError> {
        let read = |value: &AttributeValue| {
            let members: Option<Vec<T>> = value.as_ss().ok()?.iter().map(|member| member.parse().ok()).collect();
            members.map(|mut members| {
                members.sort_unstable();
                members
            })
        };
        Ok(self.optional(attribute, read)?.unwrap_or_default())
    }
}

fn as_text(value: &AttributeValue) -> Option<&str> {
    value.as_s().ok().map(String::as_str)
}

fn parse<T: FromStr>(value: &AttributeValue) -> Option<T> {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::{attributes, number, schema, text};

    fn malformed(attribute: &'static str) -> StoreError {
        StoreError::Malformed { table: "pools", attribute }
    }

    #[test]
    fn a_row_without_a_known_schema_is_refused_by_name() {
        for item in [Item::new(), attributes([("schema", number(2))]), attributes([("schema", text("x"))])] {
            assert_eq!(Row::new(Table::Pools, &item).err(), Some(malformed("schema")));
        }
        assert!(Row::new(Table::Pools, &attributes([("schema", schema())])).is_ok());
    }

    #[test]
    fn an_attribute_that_is_missing_or_of_another_type_is_named() {
        let item = attributes([
            ("schema", schema()),
            ("revision", text("not a number")),
            ("bots", text("b")),
            ("id", number(1)),
            ("gone", AttributeValue::Null(true)),
        ]);
        let row = Row::new(Table::Pools, &item).unwrap();
        assert_eq!(row.parsed::<u64>("revision"), Err(malformed("revision")));
        assert_eq!(row.set::<String>("bots"), Err(malformed("bots")));
        assert_eq!(row.text("id"), Err(malformed("id")));
        assert_eq!(row.text("status"), Err(malformed("status")));
        assert_eq!(row.text("gone"), Err(malformed("gone")));
        assert_eq!(row.optional_text("gone"), Ok(None));
        assert_eq!(row.set::<String>("absent"), Ok(vec![]));
    }
}

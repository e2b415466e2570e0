//! Lenient readers for the platforms' JSON: a repeated key among those that are read makes the body malformed; a value
//! of an unexpected type counts as absent.

use std::{borrow::Cow, fmt, marker::PhantomData};

use portcullis_runtime::json::text;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use serde_json::value::RawValue;

/// Longest accepted id, in characters. Slack's ids have about 20. The store behind the queue would refuse a longer id
/// at each try.
const LONGEST_ID: usize = 255;

/// An optional string of the body. A value of another type counts as absent: some event types have objects where
/// others have ids.
pub type Text<'a> = Option<Cow<'a, str>>;

/// Returns whether each id is short enough for the store.
pub fn are_bounded<'b>(ids: impl IntoIterator<Item = Option<&'b str>>) -> bool {
    ids.into_iter().flatten().all(|id| id.chars().nth(LONGEST_ID).is_none())
}

/// A JSON object and no other value: serde's derive alone would read an array as a struct, by the order of its fields.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map))
    }
}

/// Reads a string; a value of another type counts as absent, whatever it holds.
pub fn string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
    let literal = <&RawValue>::deserialize(deserializer)?.get();
    Ok(literal.starts_with('"').then(|| text::unescaped(literal)))
}

/// Reads an object; a value of another type counts as absent.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let literal = <&RawValue>::deserialize(deserializer)?.get();
    if literal.starts_with('{') { serde_json::from_str(literal).map(Some).map_err(de::Error::custom) } else { Ok(None) }
}

/// Reads the objects of a list; elements and lists of another type count as absent.
pub fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let literal = <&RawValue>::deserialize(deserializer)?.get();
    if !literal.starts_with('[') {
        return Ok(Vec::new());
    }
    let elements: Vec<&RawValue> = serde_json::from_str(literal).map_err(de::Error::custom)?;
    let objects = elements.into_iter().map(RawValue::get).filter(|element| element.starts_with('{'));
    objects.map(|element| serde_json::from_str(element).map_err(de::Error::custom)).collect()
}

/// Returns whether a value is `true`; anything else counts as `false`.
pub fn is_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(<&RawValue>::deserialize(deserializer)?.get() == "true")
}

/// Returns whether a value is a list that is not empty; anything else counts as empty.
pub fn has_elements<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let literal = <&RawValue>::deserialize(deserializer)?.get();
    Ok(serde_json::from_str::<Vec<de::IgnoredAny>>(literal).is_ok_and(|elements| !elements.is_empty()))
}

/// Reads an integer; a value of another type counts as absent.
pub fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(<&RawValue>::deserialize(deserializer)?.get().parse().ok())
}

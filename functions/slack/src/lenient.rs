//! Reading the JSON that Slack sends: a key that is read and stands there twice is malformed, and a value of another type
//! than the one that is read counts as absent.

use std::{borrow::Cow, fmt, marker::PhantomData};

use portcullis_runtime::json::text;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use serde_json::value::RawValue;

/// The longest id that is taken, in characters. Slack's own have some 20; a longer one than this would be refused by the
/// store behind the queue, at each try.
const LONGEST_ID: usize = 255;

/// A string of the body. Values of other types count as absent: some event types have objects where others have ids.
pub type Text<'a> = Option<Cow<'a, str>>;

/// Whether each of these ids is short enough for the store.
pub fn are_bounded<'b>(ids: impl IntoIterator<Item = Option<&'b str>>) -> bool {
    ids.into_iter().flatten().all(|id| id.chars().nth(LONGEST_ID).is_none())
}

/// A JSON object, and nothing else: serde's derive alone would take an array for a struct, by the order of its fields.
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

/// Reads a string; a value of another type counts as absent, whatever is in it.
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

/// Whether a value is `true`; anything else counts as `false`.
pub fn is_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(<&RawValue>::deserialize(deserializer)?.get() == "true")
}

/// Whether a value is a list that is not empty; anything else counts as empty.
pub fn has_elements<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let literal = <&RawValue>::deserialize(deserializer)?.get();
    Ok(serde_json::from_str::<Vec<de::IgnoredAny>>(literal).is_ok_and(|elements| !elements.is_empty()))
}

/// Reads an integer; a value of another type counts as absent.
pub fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(<&RawValue>::deserialize(deserializer)?.get().parse().ok())
}

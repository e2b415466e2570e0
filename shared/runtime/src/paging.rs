//! Pages of lists: their size, and the cursor at which a page begins.
//!
//! A cursor is opaque to callers. It holds the row after which its page begins and a tag of its list, so that a cursor
//! of another list, or of another pool's list, is refused. A cursor grants no access: a caller that may read a list
//! may read all of it.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::request::Parts;
use portcullis_contract::InvalidField;
use portcullis_crypto::Digest;
use portcullis_store::Window;
use serde::Serialize;

use crate::{ApiError, params};

/// Length of the tag that identifies a cursor's list, in bytes.
const TAG_BYTES: usize = 8;

/// Longest cursor, in characters: a row's key has at most 2 KiB.
const MAXIMUM_CURSOR_LENGTH: usize = 3 * 1024;

/// Default number of items of a page.
const DEFAULT_LIMIT: usize = 20;

/// Largest number of items of a page.
const MAXIMUM_LIMIT: usize = 100;

/// Identity of a list: a digest of its name and its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List([u8; TAG_BYTES]);

/// Start of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    list: List,
    after: String,
}

/// Number of items that a page may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit(usize);

/// Largest number of items that a request may skip.
const MAXIMUM_OFFSET: usize = 100_000;

/// Number of items that a request skips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offset(usize);

/// Reads `limit` and `offset`.
///
/// # Errors
/// 400 that names the invalid parameter.
pub fn window(parts: &Parts) -> Result<Window, ApiError> {
    let limit = params::query::<Limit>(parts, "limit")?.map_or(DEFAULT_LIMIT, |limit| limit.0);
    let offset = params::query::<Offset>(parts, "offset")?.map_or(0, |offset| offset.0);
    Ok(Window { offset, limit })
}

/// The page that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Largest number of items of the page.
    pub limit: usize,
    /// Row after which the page begins; `None` for the first page.
    pub after: Option<String>,
}

/// A page of a list.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PageOf<T> {
    /// The items.
    pub items: Vec<T>,
    /// Cursor of the next page; `null` at the end.
    #[schema(required)]
    pub cursor: Option<String>,
}

impl List {
    /// Creates the list `name` of its owner `of`, such as a pool's id.
    #[must_use]
    pub fn new(name: &str, of: &[&str]) -> Self {
        let parts: Vec<&[u8]> = std::iter::once(&name).chain(of).map(|part| part.as_bytes()).collect();
        let mut tag = [0; TAG_BYTES];
        tag.iter_mut().zip(Digest::of_parts(&parts).as_bytes()).for_each(|(tag, byte)| *tag = *byte);
        Self(tag)
    }

    /// Reads `limit` and `cursor`.
    ///
    /// # Errors
    /// 400 that names the invalid parameter.
    pub fn page(&self, parts: &Parts) -> Result<PageRequest, ApiError> {
        let limit = params::query::<Limit>(parts, "limit")?.map_or(DEFAULT_LIMIT, |limit| limit.0);
        let cursor = params::query::<String>(parts, "cursor")?.filter(|cursor| !cursor.is_empty());
        let refuse = |why: InvalidField| ApiError::invalid_field("cursor", why.to_string());
        let cursor = cursor.map(|text| text.parse::<Cursor>()).transpose().map_err(refuse)?;
        match cursor {
            Some(cursor) if cursor.list != *self => Err(refuse(InvalidField::new("one that this list has answered"))),
            cursor => Ok(PageRequest { limit, after: cursor.map(|cursor| cursor.after) }),
        }
    }

    /// Builds the response with a page of `items`; the next page begins after the row `after`.
    #[must_use]
    pub fn answer<T>(&self, items: Vec<T>, after: Option<String>) -> PageOf<T> {
        PageOf { items, cursor: after.map(|after| Cursor { list: self.clone(), after }.to_text()) }
    }
}

impl Cursor {
    fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.list.0.as_slice(), self.after.as_bytes()].concat())
    }
}

impl FromStr for Cursor {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        let malformed = InvalidField::new("one that a list has answered");
        if text.len() > MAXIMUM_CURSOR_LENGTH {
            return Err(malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed)?;
        let (tag, after) = bytes.split_first_chunk::<TAG_BYTES>().ok_or(malformed)?;
        let after = std::str::from_utf8(after).ok().filter(|after| !after.is_empty()).ok_or(malformed)?;
        Ok(Self { list: List(*tag), after: after.to_owned() })
    }
}

impl FromStr for Offset {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        let offset = text.parse().ok().filter(|offset| *offset <= MAXIMUM_OFFSET);
        offset.map(Self).ok_or(InvalidField::new("a whole number from 0 to 100000"))
    }
}

impl FromStr for Limit {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        let limit = text.parse().ok().filter(|limit| (1..=MAXIMUM_LIMIT).contains(limit));
        limit.map(Self).ok_or(InvalidField::new("a whole number from 1 to 100"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(list: &List, query: &str) -> Option<PageRequest> {
        let (parts, ()) = http::Request::get(format!("/list?{query}")).body(()).unwrap().into_parts();
        list.page(&parts).ok()
    }

    #[test]
    fn a_cursor_begins_a_page_of_its_own_list_alone() {
        let list = List::new("secrets", &["pool-1"]);
        let cursor = list.answer(vec![()], Some("pool#A\u{1}é".to_owned())).cursor.unwrap();
        let read = page(&list, &format!("limit=7&cursor={cursor}")).unwrap();
        assert_eq!(read, PageRequest { limit: 7, after: Some("pool#A\u{1}é".to_owned()) });
        for other in [List::new("secrets", &["pool-2"]), List::new("bots", &[]), List::new("secretspool-1", &[])] {
            assert_eq!(page(&other, &format!("cursor={cursor}")), None);
        }
        assert!(list.answer(vec![()], None).cursor.is_none());
    }

    #[test]
    fn a_malformed_page_is_refused_and_an_absent_one_is_the_first() {
        let list = List::new("bots", &[]);
        assert_eq!(page(&list, "cursor="), Some(PageRequest { limit: 20, after: None }));
        let whole = list.answer(vec![()], Some("bot-1".to_owned())).cursor.unwrap();
        let tag_alone = URL_SAFE_NO_PAD.encode(list.0);
        let not_text = URL_SAFE_NO_PAD.encode([list.0.as_slice(), b"\xff"].concat());
        let long = "A".repeat(MAXIMUM_CURSOR_LENGTH + 1);
        for cursor in ["x", "bot-1", "%00", "=", &format!("{whole}="), &tag_alone, &not_text, &long] {
            assert_eq!(page(&list, &format!("cursor={cursor}")), None, "{cursor}");
        }
        for limit in ["0", "101", "-1", "1.5", "", "x", "99999999999999999999"] {
            assert_eq!(page(&list, &format!("limit={limit}")), None, "{limit}");
        }
    }
}

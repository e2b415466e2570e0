//! Guilds of the bot, a page at a time.
//!
//! Source: Discord, "User", "Get Current User Guilds". Order: ascending ids. `before` selects the guilds directly
//! before it.

#![expect(clippy::indexing_slicing, reason = "the values are JSON objects that are built here")]

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answers::Failure;

/// Number of the bot's guilds.
pub(super) const COUNT: usize = GUILDS.len();
/// Ids and names, in the order of ids.
const GUILDS: [(u64, &str); 3] = [
    (9_000_000_000_000_000_101, "Demo guild one"),
    (9_000_000_000_000_000_102, "Demo guild two"),
    (9_000_000_000_000_000_103, "Demo guild three"),
];
/// Most guilds of one page, and the number when the request names none.
const LIMIT: usize = 200;
/// Largest snowflake that Discord reads.
const SNOWFLAKE_MAX: u64 = i64::MAX.unsigned_abs();

/// Parameters of a request; like Discord, it ignores unknown ones.
struct Page {
    limit: usize,
    before: Option<u64>,
    after: Option<u64>,
    with_counts: bool,
}

impl Page {
    fn read(query: &str) -> Result<Self, Failure> {
        let mut page = Self { limit: LIMIT, before: None, after: None, with_counts: false };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => page.limit = limit(&value)?,
                "before" => page.before = Some(snowflake("before", &value)?),
                "after" => page.after = Some(snowflake("after", &value)?),
                "with_counts" => page.with_counts = boolean("with_counts", &value)?,
                _ => {}
            }
        }
        Ok(page)
    }
}

/// Answers one page of the guilds.
pub(super) fn list(query: &str) -> Result<Response, Failure> {
    let Page { limit, before, after, with_counts } = Page::read(query)?;
    let found = GUILDS
        .iter()
        .filter(|(id, _)| before.is_none_or(|before| *id < before) && after.is_none_or(|after| *id > after));
    let found: Vec<_> = found.collect();
    // Only `before` alone counts from the end: a client that pages backwards would otherwise skip guilds.
    let skipped = if before.is_some() && after.is_none() { found.len().saturating_sub(limit) } else { 0 };
    let page: Vec<_> = found.iter().skip(skipped).take(limit).map(|(id, name)| guild(*id, name, with_counts)).collect();
    Ok(axum::Json(page).into_response())
}

fn guild(id: u64, name: &str, with_counts: bool) -> Value {
    let mut guild = json!({
        "id": id.to_string(), "name": name, "icon": null, "banner": null, "owner": false, "permissions": "3072",
        "features": [],
    });
    if with_counts {
        guild["approximate_member_count"] = json!(2);
        guild["approximate_presence_count"] = json!(1);
    }
    guild
}

fn limit(value: &str) -> Result<usize, Failure> {
    let problem = |code, words: String| Failure::Field("limit", code, words);
    let number: i64 =
        value.parse().map_err(|_| problem("NUMBER_TYPE_COERCE", format!("Value \"{value}\" is not int.")))?;
    match usize::try_from(number) {
        Ok(limit @ 1..=LIMIT) => Ok(limit),
        Ok(0) | Err(_) => Err(problem("NUMBER_TYPE_MIN", "int value should be greater than or equal to 1.".to_owned())),
        Ok(_) => Err(problem("NUMBER_TYPE_MAX", format!("int value should be less than or equal to {LIMIT}."))),
    }
}

fn snowflake(name: &'static str, value: &str) -> Result<u64, Failure> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(Failure::Field(name, "NUMBER_TYPE_COERCE", format!("Value \"{value}\" is not snowflake.")));
    }
    value.parse().ok().filter(|id| *id <= SNOWFLAKE_MAX).ok_or_else(|| {
        let words = format!("snowflake value should be less than or equal to {SNOWFLAKE_MAX}.");
        Failure::Field(name, "NUMBER_TYPE_MAX", words)
    })
}

fn boolean(name: &'static str, value: &str) -> Result<bool, Failure> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Failure::Field(name, "BOOLEAN_TYPE_CONVERT", "Must be either true or false.".to_owned())),
    }
}

//! Import of the people of a better-auth database: its rows of `user` and `account`, one JSON object a line.
//!
//! Either table's rows may come first, with names as better-auth has them (`emailVerified`) or as SQL often does
//! (`email_verified`). A password's scrypt hash is stored as it is, and replaced when its owner signs in. An import
//! changes no existing account, so that it can be repeated after a failure.

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use portcullis_auth::{Email, PasswordHash, UserId};
use portcullis_runtime::fields::person::{PersonName, Picture};
use portcullis_store::{ImportedUser, NewUser, Store, StoreError};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

/// Longest stored name of a person, in characters; longer names are cut.
const LONGEST_NAME: usize = 80;

/// Smallest number that is read as milliseconds rather than seconds: 1973 as milliseconds, 5138 as seconds.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// Outcome of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of accounts that were created.
    pub imported: usize,
    /// Number of accounts that existed already.
    pub already_there: usize,
    /// Rejected rows, each with its line and the reason.
    pub refused: Vec<(usize, &'static str)>,
}

/// Reason why an import broke off. Rows that were imported before stay.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The rows cannot be read.
    #[error("the rows cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A row of `user`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserRow {
    id: UserId,
    email: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default, alias = "email_verified")]
    email_verified: Value,
    #[serde(default, alias = "created_at")]
    created_at: Value,
}

/// A row of `account`: one way in which a person signs in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountRow {
    #[serde(alias = "user_id")]
    user_id: UserId,
    #[serde(alias = "provider_id")]
    provider_id: String,
    #[serde(default)]
    password: Option<SecretString>,
}

/// Imports all rows of `lines`.
///
/// # Errors
/// [`ImportError`].
pub async fn run(store: &Store, lines: impl BufRead) -> Result<Report, ImportError> {
    let mut report = Report::default();
    let (mut users, mut passwords) = (Vec::new(), BTreeMap::new());
    for (index, line) in lines.lines().enumerate() {
        let (line, number) = (line?, index + 1);
        if line.trim().is_empty() {
            continue;
        }
        match read(&line) {
            Ok(Row::User(user)) => users.push((number, user)),
            Ok(Row::Account(account)) if account.provider_id == "credential" => {
                if let Some(password) = account.password {
                    passwords.insert(account.user_id, password);
                }
            }
            // Another provider's account: it has no password.
            Ok(Row::Account(_)) => {}
            Err(reason) => report.refused.push((number, reason)),
        }
    }
    for (number, row) in users {
        let password = passwords.get(&row.id);
        let outcome = match new_user(row, password) {
            Ok(new) => store.import_user(&new).await?,
            Err(reason) => {
                report.refused.push((number, reason));
                continue;
            }
        };
        match outcome {
            ImportedUser::Made => report.imported += 1,
            ImportedUser::AlreadyThere => report.already_there += 1,
            ImportedUser::EmailTaken => report.refused.push((number, "the address is another account's")),
            ImportedUser::IdTaken => report.refused.push((number, "the id is another account's")),
        }
    }
    report.refused.sort_unstable();
    Ok(report)
}

enum Row {
    User(UserRow),
    Account(AccountRow),
}

/// Parses a row; only an `account` row names a provider.
fn read(line: &str) -> Result<Row, &'static str> {
    let row: Value = serde_json::from_str(line).map_err(|_| "the line is not JSON")?;
    if row.get("providerId").or_else(|| row.get("provider_id")).is_some() {
        return serde_json::from_value(row).map(Row::Account).map_err(|_| "the row is no account's");
    }
    serde_json::from_value(row).map(Row::User).map_err(|_| "the row has no id or no e-mail address")
}

fn new_user(row: UserRow, password: Option<&SecretString>) -> Result<NewUser, &'static str> {
    let email: Email = row.email.parse().map_err(|_| "the e-mail address is malformed")?;
    let password = password.map(|hash| PasswordHash::parse(hash.expose_secret())).transpose();
    let password = password.map_err(|_| "the password's hash is neither better-auth's nor Argon2id's")?;
    let name: String = row.name.unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    let name: String = name.trim().chars().take(LONGEST_NAME).collect();
    let name = PersonName::try_from(name).map_or_else(|_| email.as_str().to_owned(), |name| name.0);
    Ok(NewUser {
        id: row.id,
        email,
        name: name.chars().take(LONGEST_NAME).collect(),
        // An invalid picture is dropped; the account is imported without it.
        image: row.image.and_then(|image| Picture::try_from(image).ok()).map(|image| image.0),
        password,
        // SQLite has no Boolean type.
        email_verified: matches!(&row.email_verified, Value::Bool(true)) || row.email_verified == 1,
        created_at: time(&row.created_at),
    })
}

/// Parses a time as databases write it: ISO-8601 with or without an offset, or a number of seconds or milliseconds.
fn time(value: &Value) -> Option<Timestamp> {
    if let Some(number) = value.as_i64() {
        let is_milliseconds = number >= FIRST_MILLISECONDS;
        let time = if is_milliseconds { Timestamp::from_millisecond(number) } else { Timestamp::from_second(number) };
        return time.ok();
    }
    let text = value.as_str()?;
    let in_utc = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(in_utc)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_read_as_databases_write_it() {
        let expected = "2024-03-01T10:20:30Z".parse().ok();
        for text in ["2024-03-01T10:20:30.000Z", "2024-03-01 10:20:30", "2024-03-01T11:20:30+01:00"] {
            assert_eq!(time(&json!(text)), expected, "{text}");
        }
        assert_eq!(time(&json!(1_709_288_430)), expected);
        assert_eq!(time(&json!(1_709_288_430_000_i64)), expected);
        for wrong in [json!(null), json!("yesterday"), json!({})] {
            assert_eq!(time(&wrong), None);
        }
    }

    #[test]
    fn a_row_is_a_users_or_an_accounts() {
        let user = |line: &str| matches!(read(line), Ok(Row::User(_)));
        assert!(user(r#"{"id":"1","email":"a@example.com","email_verified":1}"#));
        assert!(matches!(read(r#"{"user_id":"1","provider_id":"credential"}"#), Ok(Row::Account(_))));
        assert!(matches!(read(r#"{"userId":"1","providerId":"google","password":null}"#), Ok(Row::Account(_))));
        for wrong in ["", "x", "[]", "{}", r#"{"id":"1"}"#, r#"{"providerId":"credential"}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_field_that_a_person_cannot_have_here_does_not_keep_the_person_out() {
        let row = |more: Value| {
            let mut row = json!({ "id": "1", "email": "Ada@Example.com", "emailVerified": true });
            row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            new_user(serde_json::from_value(row).unwrap(), None)
        };
        let bare = row(json!({})).unwrap();
        assert_eq!((bare.name.as_str(), bare.email_verified), ("ada@example.com", true));
        assert_eq!(row(json!({ "name": "x".repeat(200) })).unwrap().name.len(), 80);
        assert_eq!(row(json!({ "name": " A\nda " })).unwrap().name, "Ada");
        assert_eq!(row(json!({ "image": "http://example.com/a.png" })).unwrap().image, None);
        assert!(row(json!({ "email": "no address" })).is_err());
        let hash = SecretString::from("not a hash");
        let row: UserRow = serde_json::from_value(json!({ "id": "1", "email": "a@example.com" })).unwrap();
        assert!(new_user(row, Some(&hash)).is_err());
    }
}

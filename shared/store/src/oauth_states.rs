//! `oauth_states`: Slack installs in flight.
//!
//! A state is found by its digest, is valid once, and only in the browser that began the install: its row has the
//! digest of a secret that the browser keeps in a cookie.

use std::time::Duration;

use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure::AllOld};
use portcullis_auth::{BotId, UserId};
use portcullis_crypto::Digest;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, epoch_seconds, names, schema, text},
    error::{CallError, Condition},
    row::Row,
};

const TABLE: Table = Table::OauthStates;

/// Lifetime of a state. Source: the contract, §5.
pub const OAUTH_STATE_LIFETIME: Duration = Duration::from_mins(10);

/// An install to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOauthState {
    /// Digest of the state.
    pub id: Digest,
    /// Digest of the secret that the browser keeps.
    pub browser: Digest,
    /// Person who begins it.
    pub user: UserId,
    /// Bot that the channel is for.
    pub bot: BotId,
    /// Path of the front end to return to.
    pub return_to: Option<String>,
}

/// An install whose browser came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthState {
    /// Person who began it.
    pub user: UserId,
    /// Bot that the channel is for.
    pub bot: BotId,
    /// Path of the front end to return to.
    pub return_to: Option<String>,
}

/// Reason why a state is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OauthStateError {
    /// No such state, or it was used already.
    #[error("the state is not known")]
    Unknown,
    /// Another browser began the install; the state stays as it is.
    #[error("the state is another browser's")]
    OtherBrowser,
    /// The state has expired.
    #[error("the state has expired")]
    Expired,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Stores a state: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_oauth_state(&self, new: &NewOauthState) -> Result<(), StoreError> {
        let mut row = attributes([
            (SCHEMA, schema()),
            ("id", text(new.id.to_hex())),
            ("browser", text(new.browser.to_hex())),
            ("user", text(&new.user)),
            ("bot", text(&new.bot)),
            ("expiresAt", epoch_seconds(self.now() + OAUTH_STATE_LIFETIME)),
        ]);
        row.extend(new.return_to.iter().map(|path| ("returnTo".to_owned(), text(path))));
        let request = self.client().put_item().table_name(self.table_name(TABLE)).set_item(Some(row));
        self.call(|| request.clone().send()).await?;
        Ok(())
    }

    /// Consumes a state: one conditional call, so that only one of any number of concurrent callbacks succeeds.
    ///
    /// # Errors
    /// [`OauthStateError`].
    pub async fn take_oauth_state(&self, id: Digest, browser: Digest) -> Result<OauthState, OauthStateError> {
        let condition = "#browser = :browser AND #expiresAt > :now";
        let request = self
            .client()
            .delete_item()
            .table_name(self.table_name(TABLE))
            .key("id", text(id.to_hex()))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .set_expression_attribute_values(Some(attributes([
                (":browser", text(browser.to_hex())),
                (":now", epoch_seconds(self.now())),
            ])))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(AllOld);
        match self.call(|| request.clone().send()).await {
            Ok(output) => read(&output.attributes.unwrap_or_default()),
            Err(CallError::Conditions(conditions)) => Err(refusal(&conditions, browser)),
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }
}

fn read(item: &Item) -> Result<OauthState, OauthStateError> {
    let row = Row::new(TABLE, item)?;
    Ok(OauthState {
        user: row.parsed("user")?,
        bot: row.parsed("bot")?,
        return_to: row.optional_text("returnTo")?.map(str::to_owned),
    })
}

fn refusal(conditions: &[Condition], browser: Digest) -> OauthStateError {
    let Some(Condition::Failed(Some(item))) = conditions.first() else { return OauthStateError::Unknown };
    if item.is_empty() {
        return OauthStateError::Unknown;
    }
    match Row::new(TABLE, item).and_then(|row| row.text("browser").map(|known| known == browser.to_hex())) {
        Ok(true) => OauthStateError::Expired,
        Ok(false) => OauthStateError::OtherBrowser,
        Err(error) => error.into(),
    }
}

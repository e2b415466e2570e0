//! `user_integrations` and `integration_credentials`: people's accounts at third parties.
//!
//! A person has one row for each toolkit. A connection that begins stores digests of a state and of a secret that the
//! browser keeps: only a caller who presents one of the two can make it active. A link that an agent handed out is
//! found by its digest, and is valid only for its owner.

mod connect;
mod credentials;
mod disconnect;
mod link;

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use portcullis_auth::UserId;
use portcullis_crypto::{Cell, Digest, Domain};
use portcullis_toolkits::ToolkitSlug;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::{
    Store, StoreError, Table,
    attribute::{Item, attributes, names, text},
    keys::Opener,
    row::Row,
};
pub use connect::{ConnectionProof, IntegrationError, NewConnection};
use link::ConnectLink;
pub use link::{CONNECT_LINK_LIFETIME, MAXIMUM_CONNECT_LINKS, connect_link_digest};

const TABLE: Table = Table::UserIntegrations;

/// Lifetime of a connection's state and browser secret. Source: the contract, §5.
pub const CONNECTION_LIFETIME: Duration = Duration::from_mins(10);

/// Progress of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum IntegrationStatus {
    Pending,
    Initiated,
    Active,
    Failed,
    Expired,
    Disconnected,
}

/// Error: not the status of an integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be pending, initiated, active, failed, expired or disconnected")]
pub struct InvalidIntegrationStatus;

impl IntegrationStatus {
    const ALL: [Self; 6] =
        [Self::Pending, Self::Initiated, Self::Active, Self::Failed, Self::Expired, Self::Disconnected];

    /// Returns the contract's word for the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Initiated => "initiated",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Disconnected => "disconnected",
        }
    }
}

impl fmt::Display for IntegrationStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for IntegrationStatus {
    type Err = InvalidIntegrationStatus;

    fn from_str(text: &str) -> Result<Self, InvalidIntegrationStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(InvalidIntegrationStatus)
    }
}

/// Place where a connection was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntegrationSource {
    /// A page.
    Page,
    /// A link in a chat.
    Chat,
}

impl fmt::Display for IntegrationSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Page => "page",
            Self::Chat => "chat",
        })
    }
}

impl FromStr for IntegrationSource {
    type Err = InvalidIntegrationStatus;

    fn from_str(text: &str) -> Result<Self, InvalidIntegrationStatus> {
        match text {
            "page" => Ok(Self::Page),
            "chat" => Ok(Self::Chat),
            _ => Err(InvalidIntegrationStatus),
        }
    }
}

/// A person's account at a third party, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Id of the integration.
    pub id: String,
    /// Owner of the account.
    pub user: UserId,
    /// Toolkit of the third party.
    pub toolkit: ToolkitSlug,
    /// Progress of the connection.
    pub status: IntegrationStatus,
    /// Id of the account at Composio; `None` before a connection was begun, and where the person's own keys are used.
    pub account: Option<String>,
    /// Place where it was begun.
    pub source: Option<IntegrationSource>,
    /// Path of the front end to return to.
    pub return_to: Option<String>,
    /// Time at which it became active.
    pub connected_at: Option<Timestamp>,
    /// Displayable hints of the person's own keys, by field.
    pub hints: BTreeMap<String, String>,
    /// Time of the last failed attempt to revoke it at its provider.
    pub revoke_failed_at: Option<Timestamp>,
    state: Option<Digest>,
    browser: Option<Digest>,
    state_ends_at: Option<Timestamp>,
    /// Digests of the links that an agent has handed out, each with its expiry.
    links: Vec<ConnectLink>,
    /// Optimistic lock: raised by each change.
    revision: u64,
}

/// Cell that an integration's hints are sealed for.
fn hints_cell<'a>(user: &'a UserId, toolkit: &'a ToolkitSlug) -> Cell<'a> {
    Cell { table: TABLE.name(), partition_key: user.as_str(), sort_key: Some(toolkit.as_str()), attribute: "hints" }
}

fn key(user: &UserId, toolkit: &ToolkitSlug) -> Item {
    attributes([("user", text(user)), ("toolkit", text(toolkit))])
}

impl Integration {
    async fn from_item(opener: Option<&mut Opener<'_>>, item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        let digest = |attribute: &'static str| {
            let digits = row.optional_text(attribute)?;
            digits.map(|digits| Digest::from_hex(digits).ok_or_else(|| row.malformed(attribute))).transpose()
        };
        let mut integration = Self {
            id: row.text("id")?.to_owned(),
            user: row.parsed("user")?,
            toolkit: row.parsed("toolkit")?,
            status: row.parsed("status")?,
            account: row.optional_text("account")?.map(str::to_owned),
            source: row.optional_parsed("source")?,
            return_to: row.optional_text("returnTo")?.map(str::to_owned),
            connected_at: row.optional_parsed("connectedAt")?,
            hints: BTreeMap::new(),
            revoke_failed_at: row.optional_parsed("revokeFailedAt")?,
            state: digest("state")?,
            browser: digest("browser")?,
            state_ends_at: row.optional_parsed("stateEndsAt")?,
            links: row.set("links")?,
            revision: row.parsed("revision")?,
        };
        if let Some(opener) = opener.filter(|_| row.has("hints")) {
            let place = hints_cell(&integration.user, &integration.toolkit);
            let hints = opener.open(Domain::Integrations, TABLE.name(), &place, row.bytes("hints")?).await?;
            integration.hints = serde_json::from_str(hints.expose_secret()).map_err(|_| row.malformed("hints"))?;
        }
        Ok(integration)
    }
}

impl Store {
    /// Reads a person's integrations consistently, by the toolkits' slugs: one call. There are no pages, since a person
    /// has at most one for each toolkit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn integrations_of(&self, user: &UserId) -> Result<Vec<Integration>, StoreError> {
        let mut opener = self.opener();
        let mut integrations = Vec::new();
        for item in self.integration_rows(user).await? {
            integrations.push(Integration::from_item(Some(&mut opener), &item).await?);
        }
        Ok(integrations)
    }

    async fn integration_rows(&self, user: &UserId) -> Result<Vec<Item>, StoreError> {
        let condition = "#user = :user";
        let request = self
            .client()
            .query()
            .table_name(self.table_name(TABLE))
            .consistent_read(true)
            .key_condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":user", text(user));
        self.query_all(request).await
    }

    /// Reads a person's integration with a toolkit consistently, without the hints of its keys: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn integration(&self, user: &UserId, toolkit: &ToolkitSlug) -> Result<Option<Integration>, StoreError> {
        let item = self.get_row(TABLE, [("user", text(user)), ("toolkit", text(toolkit))]).await?;
        match item {
            Some(item) => Integration::from_item(None, &item).await.map(Some),
            None => Ok(None),
        }
    }
}

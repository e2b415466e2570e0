//! `user_integrations` and `integration_credentials`: people's accounts at third parties.
//!
//! A person has one row for each toolkit. A connection that begins stores digests of a state and of a secret that the
//! browser keeps: only a caller who presents one of the two can make it active. A link that an agent handed out is
//! found by its digest, and is valid only for its owner.

mod connect;
mod credentials;
mod disconnect;
mod link;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use portcullis_auth::UserId;
use portcullis_contract::words;
use portcullis_crypto::{Cell, Digest, Domain};
use portcullis_toolkits::ToolkitSlug;
use secrecy::ExposeSecret;

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

words! {
    /// Progress of a connection.
    pub enum IntegrationStatus {
        /// It was begun and not yet confirmed.
        Pending = "pending",
        /// Composio waits for the person's consent.
        Initiated = "initiated",
        /// The account can be used.
        Active = "active",
        /// The third party refused it.
        Failed = "failed",
        /// The consent has expired.
        Expired = "expired",
        /// The person has disconnected the account.
        Disconnected = "disconnected",
    }
}

words! {
    /// Place where a connection was begun.
    pub enum IntegrationSource {
        /// A page.
        Page = "page",
        /// A link in a chat.
        Chat = "chat",
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

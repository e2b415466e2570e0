//! Connection of an account: its beginning, and its activation.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use jiff::Timestamp;
use portcullis_auth::UserId;
use portcullis_crypto::{Digest, Domain, constant_time_eq};
use portcullis_toolkits::{Credentials, ToolkitSlug, hint};
use secrecy::SecretString;

use super::{CONNECTION_LIFETIME, Integration, IntegrationSource, IntegrationStatus, TABLE, hints_cell, key};
use crate::{
    Store, StoreError,
    attribute::{Item, attributes, names, number, schema, text, time},
    error::CallError,
    store::built,
};

/// A connection to begin.
#[derive(Clone, Debug)]
pub struct NewConnection {
    /// Id of the integration, if the person has none with the toolkit yet.
    pub id: String,
    /// Owner of the account.
    pub user: UserId,
    /// Toolkit of the third party.
    pub toolkit: ToolkitSlug,
    /// Id of the account at Composio.
    pub account: String,
    /// Digest of the state.
    pub state: Digest,
    /// Digest of the secret that the browser keeps.
    pub browser: Digest,
    /// Place where it is begun.
    pub source: IntegrationSource,
    /// Path of the front end to return to.
    pub return_to: Option<String>,
}

impl NewConnection {
    /// Integration after the beginning of this connection, in the place of `before`.
    fn begun(&self, before: Option<Integration>, now: Timestamp) -> Integration {
        let (id, connected_at, links, revision) = match before {
            Some(before) => (before.id, before.connected_at, before.links, before.revision + 1),
            None => (self.id.clone(), None, Vec::new(), 1),
        };
        Integration {
            id,
            user: self.user.clone(),
            toolkit: self.toolkit.clone(),
            status: IntegrationStatus::Initiated,
            account: Some(self.account.clone()),
            source: Some(self.source),
            return_to: self.return_to.clone(),
            connected_at,
            hints: BTreeMap::new(),
            revoke_failed_at: None,
            state: Some(self.state),
            browser: Some(self.browser),
            state_ends_at: Some(now.saturating_add(CONNECTION_LIFETIME).unwrap_or(Timestamp::MAX)),
            links,
            revision,
        }
    }
}

/// Proof that a browser began a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionProof {
    /// State that the browser was given.
    State(Digest),
    /// Secret that the browser keeps.
    Browser(Digest),
}

/// Reason why an integration was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntegrationError {
    /// The account is connected already.
    #[error("the account is connected")]
    AlreadyActive,
    /// Another writer has changed the integration since it was read.
    #[error("the integration has changed")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Integration {
    /// Returns whether a proof belongs to the latest connection and has not expired.
    #[must_use]
    pub fn is_proven_by(&self, proof: &ConnectionProof, now: Timestamp) -> bool {
        let (known, shown) = match proof {
            ConnectionProof::State(shown) => (&self.state, shown),
            ConnectionProof::Browser(shown) => (&self.browser, shown),
        };
        let counts = self.state_ends_at.is_some_and(|ends| now < ends);
        counts && known.is_some_and(|known| constant_time_eq(known.as_bytes(), shown.as_bytes()))
    }
}

impl Store {
    /// Records the beginning of a connection, in the place of one that never became active or has ended: one call.
    /// Returns the integration and the account that it had before, which the caller must revoke.
    ///
    /// # Errors
    /// [`IntegrationError::AlreadyActive`] and [`IntegrationError::Store`].
    pub async fn begin_connection(
        &self,
        new: &NewConnection,
    ) -> Result<(Integration, Option<String>), IntegrationError> {
        let now = self.now();
        let mut update =
            "SET #schema = :schema, #id = if_not_exists(#id, :id), #status = :initiated, #account = :account, \
            #state = :state, #browser = :browser, #stateEndsAt = :ends, #source = :source, #updatedAt = :now, \
            #createdAt = if_not_exists(#createdAt, :now), #revision = if_not_exists(#revision, :zero) + :one"
                .to_owned();
        let mut values = attributes([
            (":schema", schema()),
            (":id", text(&new.id)),
            (":initiated", text(IntegrationStatus::Initiated)),
            (":active", text(IntegrationStatus::Active)),
            (":account", text(&new.account)),
            (":state", text(new.state.to_hex())),
            (":browser", text(new.browser.to_hex())),
            (":ends", time(now.saturating_add(CONNECTION_LIFETIME).unwrap_or(Timestamp::MAX))),
            (":source", text(new.source)),
            (":now", time(now)),
            (":zero", number(0)),
            (":one", number(1)),
        ]);
        match &new.return_to {
            Some(path) => {
                update.push_str(", #returnTo = :returnTo REMOVE #revokeFailedAt, #hints");
                values.extend(attributes([(":returnTo", text(path))]));
            }
            None => update.push_str(" REMOVE #returnTo, #revokeFailedAt, #hints"),
        }
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .set_key(Some(key(&new.user, &new.toolkit)))
            .set_expression_attribute_names(names(&[&update, NOT_ACTIVE]))
            .update_expression(update)
            .condition_expression(NOT_ACTIVE)
            .set_expression_attribute_values(Some(values))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
        let before = match self.call(|| request.clone().send()).await {
            // For a new row, DynamoDB returns no attributes and an emulator returns the key's.
            Ok(output) => output.attributes.filter(|item| item.contains_key("id")),
            Err(CallError::Conditions(_)) => return Err(IntegrationError::AlreadyActive),
            Err(CallError::Store(error)) => return Err(error.into()),
        };
        let before = match &before {
            Some(item) => Some(Integration::from_item(None, item).await?),
            None => None,
        };
        let replaced = before.as_ref().and_then(|before| before.account.clone());
        Ok((new.begun(before, now), replaced.filter(|account| *account != new.account)))
    }

    /// Records the outcome of a connection, or the new status of an active account, on the condition that nothing has
    /// changed since the integration was read: one call. It removes the state and the links, so each is valid once.
    ///
    /// # Errors
    /// [`IntegrationError::Changed`] and [`IntegrationError::Store`].
    pub async fn end_connection(
        &self,
        known: &Integration,
        status: IntegrationStatus,
    ) -> Result<Integration, IntegrationError> {
        let mut update = "SET #status = :status, #updatedAt = :now, #revision = :next".to_owned();
        if status == IntegrationStatus::Active {
            update.push_str(", #connectedAt = if_not_exists(#connectedAt, :now)");
        }
        update.push_str(" REMOVE #state, #browser, #stateEndsAt, #links");
        if status != IntegrationStatus::Active {
            update.push_str(", #connectedAt");
        }
        let values = attributes([
            (":status", text(status)),
            (":now", time(self.now())),
            (":read", number(known.revision)),
            (":next", number(known.revision + 1)),
        ]);
        self.change_integration(&known.user, &known.toolkit, &update, AS_READ, values).await
    }

    /// Connects an account with the person's own keys, which are sealed, in one transaction. Keys of an earlier
    /// connection are replaced.
    ///
    /// # Errors
    /// [`IntegrationError::AlreadyActive`] and [`IntegrationError::Store`].
    pub async fn connect_with_credentials(
        &self,
        user: &UserId,
        toolkit: &ToolkitSlug,
        new_id: &str,
        credentials: &Credentials,
        source: IntegrationSource,
    ) -> Result<Integration, IntegrationError> {
        let known = self.integration(user, toolkit).await?;
        if known.as_ref().is_some_and(|known| known.status == IntegrationStatus::Active) {
            return Err(IntegrationError::AlreadyActive);
        }
        let id = known.as_ref().map_or(new_id, |known| known.id.as_str());
        let hints: BTreeMap<_, _> = credentials.iter().map(|(field, value)| (field.as_str(), hint(value))).collect();
        let hints: SecretString = serde_json::to_string(&hints).unwrap_or_default().into();
        let update = "SET #schema = :schema, #id = if_not_exists(#id, :id), #status = :active, #source = :source, \
            #hints = :hints, #updatedAt = :now, #connectedAt = :now, #createdAt = if_not_exists(#createdAt, :now), \
            #revision = if_not_exists(#revision, :zero) + :one \
            REMOVE #account, #state, #browser, #stateEndsAt, #links, #returnTo, #revokeFailedAt";
        let condition = match &known {
            Some(_) => AS_READ,
            None => "attribute_not_exists(#id)",
        };
        let mut values = attributes([
            (":schema", schema()),
            (":id", text(id)),
            (":active", text(IntegrationStatus::Active)),
            (":source", text(source)),
            (":hints", self.seal(Domain::Integrations, &hints_cell(user, toolkit), &hints)?),
            (":now", time(self.now())),
            (":zero", number(0)),
            (":one", number(1)),
        ]);
        values.extend(known.iter().map(|known| (":read".to_owned(), number(known.revision))));
        let row = Update::builder()
            .table_name(self.table_name(TABLE))
            .set_key(Some(key(user, toolkit)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(values));
        let mut actions = vec![TransactWriteItem::builder().update(built(row.build())?).build()];
        for (field, value) in credentials {
            actions.push(self.seal_integration_credential(id, field, value)?);
        }
        match self.transact_write(actions).await {
            Ok(()) => {}
            // Another request connected it at the same moment.
            Err(CallError::Conditions(_)) => return Err(IntegrationError::AlreadyActive),
            Err(CallError::Store(error)) => return Err(error.into()),
        }
        let connected = self.integrations_of(user).await?.into_iter().find(|one| one.toolkit == *toolkit);
        connected.ok_or(IntegrationError::Changed)
    }

    pub(super) async fn change_integration(
        &self,
        user: &UserId,
        toolkit: &ToolkitSlug,
        update: &str,
        condition: &str,
        values: Item,
    ) -> Result<Integration, IntegrationError> {
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .set_key(Some(key(user, toolkit)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(values))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew);
        match self.call(|| request.clone().send()).await {
            Ok(output) => Ok(Integration::from_item(None, &output.attributes.unwrap_or_default()).await?),
            Err(CallError::Conditions(_)) => Err(IntegrationError::Changed),
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }
}

/// Condition that the row is as it was read.
pub(super) const AS_READ: &str = "#revision = :read";

/// Condition that the account is not connected.
pub(super) const NOT_ACTIVE: &str = "attribute_not_exists(#status) OR #status <> :active";

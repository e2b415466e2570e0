//! Credentials that a configuration refers to.

use jiff::Timestamp;
use portcullis_auth::ChannelId;
use secrecy::SecretString;

use crate::{
    Store, StoreError, Table,
    attribute::Item,
    batch::RowKey,
    channel_credentials::{Kind, cell},
    keys::Opener,
    row::Row,
};

/// Kinds of credentials that a pool's configuration may hold. Slack's signing secret is not among them: it never leaves
/// the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CredentialKind {
    /// Authenticates the bot to its platform.
    BotToken,
    /// Signs our deliveries to the pool.
    DeliverySecret,
}

impl CredentialKind {
    pub(super) const ALL: [Self; 2] = [Self::BotToken, Self::DeliverySecret];

    fn stored(self) -> Kind {
        match self {
            Self::BotToken => Kind::BotToken,
            Self::DeliverySecret => Kind::DeliverySecret,
        }
    }
}

/// Reference to a channel's credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialId {
    /// Channel of the credential.
    pub channel: ChannelId,
    /// Kind of the credential.
    pub kind: CredentialKind,
}

/// An opened credential.
#[derive(Debug)]
pub struct Credential {
    /// Raised at each replacement.
    pub revision: u64,
    /// Secret value.
    pub value: SecretString,
    /// Time at which it is due for replacement; `None` for one that does not expire.
    pub refresh_at: Option<Timestamp>,
}

impl CredentialId {
    pub(super) fn key(&self) -> RowKey {
        RowKey::new(Table::ChannelCredentials, [self.channel.as_str(), self.kind.stored().as_str()])
    }

    /// Opens the credential of a row; `None` where its value was deleted, since its channel has ended.
    pub(super) async fn open(&self, opener: &mut Opener<'_>, item: &Item) -> Result<Option<Credential>, StoreError> {
        let row = Row::new(Table::ChannelCredentials, item)?;
        if !row.has("value") {
            return Ok(None);
        }
        let place = cell(&self.channel, self.kind.stored());
        let (domain, table) = (self.kind.stored().domain(), Table::ChannelCredentials.name());
        let value = opener.open(domain, table, &place, row.bytes("value")?).await?;
        let refresh_at = row.optional_parsed("refreshAt")?;
        Ok(Some(Credential { revision: row.parsed("revision")?, value, refresh_at }))
    }
}

impl Store {
    /// Reads credentials in the order of `ids`, which must differ; `None` for a missing one. One call for each hundred,
    /// side by side.
    ///
    /// # Errors
    /// [`StoreError`], also where one does not open: none is silently left out.
    pub async fn credentials(&self, ids: &[CredentialId]) -> Result<Vec<Option<Credential>>, StoreError> {
        let keys: Vec<_> = ids.iter().map(CredentialId::key).collect();
        let rows = self.get_rows(&keys).await?;
        let mut opener = self.opener();
        let mut credentials = Vec::with_capacity(ids.len());
        for (id, item) in ids.iter().zip(rows) {
            credentials.push(match item {
                None => None,
                Some(item) => id.open(&mut opener, &item).await?,
            });
        }
        Ok(credentials)
    }
}

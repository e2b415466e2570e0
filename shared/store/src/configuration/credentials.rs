//! The credentials that a configuration refers to.

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

/// Which of a channel's credentials a pool's configuration may hold. What Slack signs with is not among them: it never
/// leaves the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CredentialKind {
    /// What the bot speaks to the platform with.
    BotToken,
    /// What we sign with towards the pool.
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

/// Which credential of which channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialId {
    /// The channel.
    pub channel: ChannelId,
    /// Which of its credentials.
    pub kind: CredentialKind,
}

/// A credential as it is now, opened.
#[derive(Debug)]
pub struct Credential {
    /// Raised each time that it is replaced.
    pub revision: u64,
    /// What it is.
    pub value: SecretString,
    /// When it is to be replaced; `None` for one that does not end.
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
    /// Credentials as they are now, in the order of `ids`, which differ; `None` where one is not there any more. One call for
    /// each hundred, side by side.
    ///
    /// # Errors
    /// [`StoreError`], also where one does not open: none is left out in silence.
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

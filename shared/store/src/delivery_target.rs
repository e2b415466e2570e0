//! What an event is delivered by: its channel, the channel's delivery secret, and its bot.

use portcullis_auth::{BotId, ChannelId, SigningSecret};

use crate::{Bot, Channel, Store, StoreError, Table, batch::RowKey, channel_credentials::Kind};

/// What an event is delivered by.
#[derive(Debug)]
pub struct DeliveryTarget {
    /// The channel with its delivery secret; `None` where there is no such channel.
    pub channel: Option<(Channel, SigningSecret)>,
    /// The bot, which may be deleted; `None` where there never was one.
    pub bot: Option<Bot>,
}

impl Store {
    /// A channel with the secret that its deliveries are signed with, and a bot: one call.
    ///
    /// # Errors
    /// [`StoreError`], also where the secret does not open or is not there: an event must not be dropped for that.
    pub async fn delivery_target(&self, channel: &ChannelId, bot: &BotId) -> Result<DeliveryTarget, StoreError> {
        let kind = Kind::DeliverySecret;
        let keys = [
            RowKey::new(Table::Channels, [channel.as_str()]),
            RowKey::new(Table::ChannelCredentials, [channel.as_str(), kind.as_str()]),
            RowKey::new(Table::Bots, [bot.as_str()]),
        ];
        let mut rows = self.get_rows(&keys).await?.into_iter();
        let (known, credential, bot) = (rows.next().flatten(), rows.next().flatten(), rows.next().flatten());
        let bot = bot.as_ref().map(Bot::from_item).transpose()?;
        let Some(known) = known else { return Ok(DeliveryTarget { channel: None, bot }) };
        let missing = StoreError::Malformed { table: Table::ChannelCredentials.name(), attribute: "value" };
        let credential = credential.ok_or(missing)?;
        let secret = self.open_signing_secret(channel, kind, &credential).await?;
        Ok(DeliveryTarget { channel: Some((Channel::from_item(&known)?, secret)), bot })
    }
}

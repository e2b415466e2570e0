//! Records that a configuration is built from.

use crate::{
    Bot, BotStatus, Channel, ChannelStatus, Pool, Store, StoreError, Table,
    batch::RowKey,
    configuration::credentials::{Credential, CredentialId, CredentialKind},
};

/// An active bot of a pool with its connected channels, in the order of their ids.
#[derive(Debug)]
pub struct BotRecords {
    /// The active bot.
    pub bot: Bot,
    /// Connected channels.
    pub channels: Vec<ChannelRecords>,
}

/// A connected channel with its credentials.
#[derive(Debug)]
pub struct ChannelRecords {
    /// The connected channel.
    pub channel: Channel,
    /// Opened credentials.
    pub credentials: Vec<(CredentialKind, Credential)>,
}

impl Store {
    /// Reads the records for a pool's configuration: its active bots in the order of their ids, with their connected
    /// channels. Two rounds of consistent reads, which show one moment only if the pool's revision has not moved
    /// meanwhile: [`Store::publish_snapshot`] checks that.
    ///
    /// # Errors
    /// [`StoreError`], also where a credential does not open.
    pub async fn pool_records(&self, pool: &Pool) -> Result<Vec<BotRecords>, StoreError> {
        let keys: Vec<_> = pool.bots.iter().map(|bot| RowKey::new(Table::Bots, [bot.as_str()])).collect();
        let rows = self.get_rows(&keys).await?;
        let bots = rows.iter().flatten().map(Bot::from_item).collect::<Result<Vec<_>, _>>()?;
        let bots: Vec<_> = bots
            .into_iter()
            .filter(|bot| bot.status == BotStatus::Active && bot.pool.as_ref() == Some(&pool.id))
            .collect();

        let mut keys = Vec::new();
        for channel in bots.iter().flat_map(|bot| &bot.channels) {
            keys.push(RowKey::new(Table::Channels, [channel.as_str()]));
            keys.extend(CredentialKind::ALL.map(|kind| CredentialId { channel: channel.clone(), kind }.key()));
        }
        let mut rows = self.get_rows(&keys).await?.into_iter();
        let mut opener = self.opener();
        let mut records = Vec::with_capacity(bots.len());
        for bot in bots {
            let mut channels = Vec::new();
            for id in &bot.channels {
                let channel = rows.next().flatten().as_ref().map(Channel::from_item).transpose()?;
                let mut credentials = Vec::new();
                for kind in CredentialKind::ALL {
                    let id = CredentialId { channel: id.clone(), kind };
                    if let Some(item) = rows.next().flatten() {
                        let credential = id.open(&mut opener, &item).await?;
                        credentials.extend(credential.map(|credential| (kind, credential)));
                    }
                }
                let connected = channel.filter(|channel| channel.status == ChannelStatus::Connected);
                channels.extend(connected.map(|channel| ChannelRecords { channel, credentials }));
            }
            records.push(BotRecords { bot, channels });
        }
        Ok(records)
    }
}

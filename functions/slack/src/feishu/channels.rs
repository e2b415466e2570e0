//! Finds the Feishu channel that a request claims to come from.

use std::sync::Arc;

use portcullis_auth::{ChannelId, Clock, FeishuSecrets};
use portcullis_store::{Channel, ChatPlatform, PlatformId, Store, StoreError};

use crate::look_ups::LookUps;

/// A channel that receives events by webhook, and the secrets that verify them.
#[derive(Debug)]
pub struct KnownChannel {
    pub channel: Channel,
    pub secrets: FeishuSecrets,
}

/// Key of a look-up: a channel's id from the path, or an app's id from the body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Id(ChannelId),
    App(PlatformId),
}

/// Feishu's channels, with a cache of recent look-ups.
pub struct FeishuChannels {
    store: Store,
    clock: Arc<dyn Clock>,
    look_ups: LookUps<Key, KnownChannel>,
}

impl FeishuChannels {
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, look_ups: LookUps::new() }
    }

    /// Finds the channel with this id.
    pub async fn by_id(&self, id: ChannelId) -> Result<Option<Arc<KnownChannel>>, StoreError> {
        let read = async || self.read(&id).await;
        self.look_ups.find(Key::Id(id.clone()), self.clock.now(), read).await
    }

    /// Finds the channel of this app.
    pub async fn by_app(&self, app: PlatformId) -> Result<Option<Arc<KnownChannel>>, StoreError> {
        let read = async || match self.store.app_route(ChatPlatform::Feishu, &app).await? {
            Some(route) => self.read(&route.channel).await,
            None => Ok(None),
        };
        self.look_ups.find(Key::App(app.clone()), self.clock.now(), read).await
    }

    async fn read(&self, id: &ChannelId) -> Result<Option<KnownChannel>, StoreError> {
        let found = self.store.feishu_channel_for_verification(id).await?;
        Ok(found.map(|(channel, secrets)| KnownChannel { channel, secrets }))
    }
}

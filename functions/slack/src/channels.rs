//! Finds the channel that a Slack request claims to come from.

use std::sync::Arc;

use portcullis_auth::{ChannelId, Clock, SigningSecret};
use portcullis_store::{Channel, Store, StoreError};

use crate::{body::Installation, look_ups::LookUps};

/// A connected channel. `secret` is the signing secret of its own app; `None` for the platform's app.
#[derive(Debug)]
pub struct KnownChannel {
    pub channel: Channel,
    pub secret: Option<SigningSecret>,
}

/// Cache key of a channel look-up: a channel's id from the path, or an installation from the body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Id(ChannelId),
    Installation(Installation),
}

/// Slack's channels, with a cache of recent look-ups.
pub struct Channels {
    store: Store,
    clock: Arc<dyn Clock>,
    look_ups: LookUps<Key, KnownChannel>,
}

impl Channels {
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, look_ups: LookUps::new() }
    }

    /// Finds the channel with this id.
    pub async fn by_id(&self, id: ChannelId) -> Result<Option<Arc<KnownChannel>>, StoreError> {
        let read = async || self.read(&id).await;
        self.look_ups.find(Key::Id(id.clone()), self.clock.now(), read).await
    }

    /// Finds the channel of the first of these installations that is connected.
    pub async fn by_first_installation(
        &self,
        installations: &[Installation],
    ) -> Result<Option<Arc<KnownChannel>>, StoreError> {
        for installation in installations {
            if let Some(known) = self.by_installation(installation).await? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    async fn by_installation(&self, of: &Installation) -> Result<Option<Arc<KnownChannel>>, StoreError> {
        let read = async || match self.store.slack_route(&of.team, &of.app).await? {
            Some(route) => self.read(&route.channel).await,
            None => Ok(None),
        };
        self.look_ups.find(Key::Installation(of.clone()), self.clock.now(), read).await
    }

    async fn read(&self, id: &ChannelId) -> Result<Option<KnownChannel>, StoreError> {
        let found = self.store.slack_channel_for_verification(id).await?;
        Ok(found.map(|(channel, secret)| KnownChannel { channel, secret }))
    }
}

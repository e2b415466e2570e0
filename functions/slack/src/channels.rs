//! Finding the channel that a request claims to come from.

use std::{sync::Arc, time::Duration};

use portcullis_auth::{ChannelId, Clock, SigningSecret};
use portcullis_store::{Channel, Store, StoreError};

use crate::{body::Installation, cache::Cache};

/// How long a channel is remembered: how long a change of it may take to be seen.
const KNOWN_FOR: Duration = Duration::from_mins(1);
/// How long it is remembered that there is no such channel: short, since somebody may be connecting it now.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
/// The most of each that is remembered.
const CAPACITY: usize = 10_000;

/// A connected channel, and the secret that its own app's requests are signed with; none for the platform's app.
#[derive(Debug)]
pub struct KnownChannel {
    pub channel: Channel,
    pub secret: Option<SigningSecret>,
}

/// What a channel is looked up by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Id(ChannelId),
    Installation(Installation),
}

/// The channels, with what was lately looked up.
pub struct Channels {
    store: Store,
    clock: Arc<dyn Clock>,
    known: Cache<Key, Arc<KnownChannel>>,
    unknown: Cache<Key, ()>,
}

impl Channels {
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        let (known, unknown) = (Cache::new(CAPACITY, KNOWN_FOR), Cache::new(CAPACITY, UNKNOWN_FOR));
        Self { store, clock, known, unknown }
    }

    /// The channel of this id.
    pub async fn by_id(&self, id: ChannelId) -> Result<Option<Arc<KnownChannel>>, StoreError> {
        self.find(Key::Id(id.clone()), async || self.read(&id).await).await
    }

    /// The channel of the first of these installations that is connected.
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
        let key = Key::Installation(of.clone());
        let read = async || match self.store.slack_route(&of.team, &of.app).await? {
            Some(route) => self.read(&route.channel).await,
            None => Ok(None),
        };
        self.find(key, read).await
    }

    async fn find(
        &self,
        key: Key,
        read: impl AsyncFnOnce() -> Result<Option<Arc<KnownChannel>>, StoreError>,
    ) -> Result<Option<Arc<KnownChannel>>, StoreError> {
        let now = self.clock.now();
        if let Some(known) = self.known.get(&key, now) {
            return Ok(Some(known));
        }
        if self.unknown.get(&key, now).is_some() {
            return Ok(None);
        }
        let found = read().await?;
        match &found {
            Some(known) => self.known.insert(key, Arc::clone(known), now),
            None => self.unknown.insert(key, (), now),
        }
        Ok(found)
    }

    async fn read(&self, id: &ChannelId) -> Result<Option<Arc<KnownChannel>>, StoreError> {
        let found = self.store.slack_channel_for_verification(id).await?;
        Ok(found.map(|(channel, secret)| Arc::new(KnownChannel { channel, secret })))
    }
}

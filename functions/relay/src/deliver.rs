//! The life of one event: lease, look up, record the conversation, post, mark delivered.

use portcullis_auth::SigningSecret;
use portcullis_runtime::queue::{QueuedEvent, ReceivedMessage};
use portcullis_store::{
    Bot, BotStatus, Channel, ChannelStatus, EventIdentity, Lease, MessageSeen, PoolAddress, PoolStatus, StoreError,
};

use crate::{LEASE, Relay, post::Delivery, session};

/// What came of a try.
pub enum Outcome {
    /// The pool has it.
    Delivered,
    /// The pool had it before.
    Duplicate,
    /// There is nobody left to deliver it to.
    Dropped(&'static str),
    /// To be tried again.
    Failed(String),
}

/// Why a try ends before the post.
enum Stop {
    Dropped(&'static str),
    Failed(String),
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Dropped(reason) => Self::Dropped(reason),
            Stop::Failed(reason) => Self::Failed(reason),
        }
    }
}

impl Relay {
    pub(crate) async fn deliver(&self, message: &ReceivedMessage, event: &QueuedEvent) -> Outcome {
        let Some(identity) = EventIdentity::new(event.event_id, event.occurrence) else {
            return Outcome::Failed("the event has no identity".to_owned());
        };
        // The message's own id holds the lease: a message that comes back may go on with what it began.
        match self.store.lease(&identity, &message.id, LEASE).await {
            Ok(Lease::Taken) => {}
            Ok(Lease::AlreadyDelivered) => return Outcome::Duplicate,
            Ok(Lease::HeldByAnother) => return Outcome::Failed("another delivery of it is under way".to_owned()),
            Err(error) => return self.store_failed(&error).into(),
        }
        match self.post_to_pool(message, event).await {
            Ok(()) => {}
            Err(stop) => return stop.into(),
        }
        if let Err(error) = self.store.mark_delivered(&identity, &message.id).await {
            // The message itself is removed all the same, so the pool gets it a second time only if Slack repeats it.
            tracing::error!(%error, "the delivery was not recorded");
        }
        Outcome::Delivered
    }

    async fn post_to_pool(&self, message: &ReceivedMessage, event: &QueuedEvent) -> Result<(), Stop> {
        let target = self.store.delivery_target(&event.channel, &event.bot).await;
        let target = target.map_err(|error| self.store_failed(&error))?;
        let (channel, secret) = connected(target.channel)?;
        let bot = active(target.bot)?;
        let (address, ()) = tokio::try_join!(self.address_of(&bot), self.record_message(message, event))?;
        if !self.networks.allow(address.ip()) {
            return Err(Stop::Failed("the pool's address is not one where pools may live".to_owned()));
        }
        let delivery = Delivery { address, account: &channel.account_id, secret: &secret, event };
        self.poster.post(delivery).await.map_err(Stop::Failed)
    }

    /// Where the bot's pool is now. A bot without a pool, or a pool without an address, may get one: its events wait.
    async fn address_of(&self, bot: &Bot) -> Result<PoolAddress, Stop> {
        let id = bot.pool.as_ref().ok_or_else(|| Stop::Failed("the bot has no pool".to_owned()))?;
        let pool = self.store.get_pool(id).await.map_err(|error| self.store_failed(&error))?;
        let pool = pool.ok_or_else(|| Stop::Failed("the bot's pool is not known".to_owned()))?;
        if pool.status == PoolStatus::Terminated {
            return Err(Stop::Failed("the bot's pool is terminated".to_owned()));
        }
        pool.address.ok_or_else(|| Stop::Failed("the bot's pool has no address".to_owned()))
    }

    async fn record_message(&self, message: &ReceivedMessage, event: &QueuedEvent) -> Result<(), Stop> {
        let Some(facts) = &event.message else { return Ok(()) };
        let Some(identity) = event.occurrence.or(event.event_id) else { return Ok(()) };
        let seen = MessageSeen {
            bot: &event.bot,
            session_key: &session::key(&event.bot, facts),
            channel_type: "slack",
            channel_id: &facts.slack_channel,
            at: message.sent_at,
            event: identity,
            title: &format!("Slack #{}", facts.slack_channel),
        };
        self.store.record_message(&seen).await.map_err(|error| self.store_failed(&error))
    }

    fn store_failed(&self, error: &StoreError) -> Stop {
        if matches!(error, StoreError::Unopened { .. }) {
            self.metrics.count(portcullis_runtime::metrics::Metric::SealedValueUnopened);
        }
        Stop::Failed(error.to_string())
    }
}

fn connected(found: Option<(Channel, SigningSecret)>) -> Result<(Channel, SigningSecret), Stop> {
    match found {
        Some((channel, secret)) if channel.status == ChannelStatus::Connected => Ok((channel, secret)),
        Some(_) => Err(Stop::Dropped("the channel is not connected")),
        None => Err(Stop::Dropped("the channel is no more")),
    }
}

fn active(bot: Option<Bot>) -> Result<Bot, Stop> {
    match bot {
        Some(bot) if bot.status == BotStatus::Active => Ok(bot),
        Some(_) => Err(Stop::Dropped("the bot is paused or deleted")),
        None => Err(Stop::Dropped("the bot is no more")),
    }
}

//! The life of one event: look up, lease, record the conversation, post, mark delivered.

use std::time::Duration;

use jiff::Timestamp;
use portcullis_auth::SigningSecret;
use portcullis_openclaw::webhook_port;
use portcullis_runtime::{
    metrics::Metric,
    queue::{QueuedEvent, ReceivedMessage},
};
use portcullis_store::{
    Bot, BotStatus, Channel, ChannelStatus, ChatPlatform, Lease, MessageSeen, Pool, PoolAddress, PoolStatus, Stall,
    StoreError,
};

use crate::{
    LEASE, Relay,
    post::{Delivery, PostError, TIMEOUT},
    session,
};

/// How old a pool's last heartbeat may be. The address of a pool that is gone may be another tenant's by now.
const FRESH_HEARTBEAT: Duration = Duration::from_mins(1);

/// How long a pool must have been active before its 4xx count as refusals: OpenClaw answers 404 and 503 in the first
/// seconds of a start.
const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// The 4xx answer that is final. A pool that will never take an event must not hold back the conversation behind it.
const FINAL_REFUSAL: u32 = 8;

/// How long nothing is posted to a pool that did not answer in time.
const STALL_PAUSE: Duration = Duration::from_secs(10);

/// The outcome of a try.
#[derive(Debug)]
pub enum Outcome {
    /// The pool has the event.
    Delivered,
    /// The pool had the event before.
    Duplicate,
    /// There is nobody left to deliver the event to.
    Dropped(&'static str),
    /// Try again.
    Failed(String),
    /// No further try can succeed.
    Undeliverable(String),
}

/// Why a try ends before it succeeds.
type Stop = Outcome;

impl Relay {
    pub(crate) async fn deliver(
        &self,
        message: &ReceivedMessage,
        event: &QueuedEvent,
        on_slow: &mut (dyn FnMut() + Send),
    ) -> Outcome {
        self.try_to_deliver(message, event, on_slow).await.unwrap_or_else(|stop| stop)
    }

    async fn try_to_deliver(
        &self,
        message: &ReceivedMessage,
        event: &QueuedEvent,
        on_slow: &mut (dyn FnMut() + Send),
    ) -> Result<Outcome, Stop> {
        let target = self.store.delivery_target(&event.channel, &event.bot, &self.pool_guesses).await;
        let target = target.map_err(|error| self.store_failed(&error))?;
        let (channel, secret) = connected(target.channel)?;
        let bot = active(target.bot)?;
        let now = self.clock.now();
        // Before the lease: an absent pool costs one read and nothing more.
        let (pool, address) = reachable(&bot, target.pool, now)?;
        let address = listener(&channel, &bot, &pool, address);
        if !self.networks.allow(address.socket()) {
            return Err(Stop::Failed("the pool's address is not one where pools may live".to_owned()));
        }
        if self.slow_pools.contains(&pool.id) {
            return Err(Stop::Failed("the pool is slow to answer; its events wait".to_owned()));
        }
        if let Some(stall) = target.stall {
            self.claim_probe(&pool, stall, now).await?;
        }
        // The message's own id holds the lease: a message that comes back may go on with what it began.
        let refusals = match self.store.lease(&event.identity, &message.id, LEASE).await {
            Ok(Lease::Taken { refusals }) => refusals,
            Ok(Lease::AlreadyDelivered) => return Ok(Outcome::Duplicate),
            Ok(Lease::HeldByAnother) => return Err(Stop::Failed("another delivery of it is under way".to_owned())),
            Err(error) => return Err(self.store_failed(&error)),
        };
        self.record_message(message, event, &channel, &pool).await?;
        let delivery = Delivery { address, channel: &channel, secret: &secret, event };
        let posted = self.slow_pools.watch(&pool.id, on_slow, self.poster.post(delivery)).await;
        self.keep_circuit(&pool, target.stall, &posted).await;
        match posted {
            Ok(()) => {}
            Err(PostError::Refused(status)) if is_settled(&pool, now) => {
                return Err(self.refused(message, event, refusals + 1, status).await);
            }
            Err(error) => return Err(Stop::Failed(error.to_string())),
        }
        if let Err(error) = self.store.mark_delivered(&event.identity, &message.id).await {
            // The message itself is removed all the same, so the pool gets it a second time only if Slack repeats it.
            tracing::error!(%error, "the delivery was not recorded");
        }
        Ok(Outcome::Delivered)
    }

    /// Lets one delivery at a time through to a pool that did not answer in time.
    async fn claim_probe(&self, pool: &Pool, stall: Stall, now: Timestamp) -> Result<(), Stop> {
        let waits = || Stop::Failed("the pool did not answer in time lately; its events wait".to_owned());
        if now < stall.until {
            return Err(waits());
        }
        let until = now.saturating_add(TIMEOUT + STALL_PAUSE).unwrap_or(Timestamp::MAX);
        let claimed =
            self.store.claim_probe(&pool.id, stall, until).await.map_err(|error| self.store_failed(&error))?;
        if claimed { Ok(()) } else { Err(waits()) }
    }

    /// Opens the pool's circuit after a time-out and closes it after an answer.
    async fn keep_circuit(&self, pool: &Pool, stall: Option<Stall>, posted: &Result<(), PostError>) {
        let is_late = matches!(posted, Err(PostError::TimedOut));
        let kept = if is_late {
            let until = self.clock.now().saturating_add(STALL_PAUSE).unwrap_or(Timestamp::MAX);
            self.store.record_stall(&pool.id, until).await
        } else if stall.is_some() {
            self.store.clear_stall(&pool.id).await
        } else {
            Ok(())
        };
        if let Err(error) = kept {
            // The next delivery to the pool finds out by itself.
            tracing::warn!(%error, pool = %pool.id, "the pool's circuit was not recorded");
        }
    }

    async fn refused(&self, message: &ReceivedMessage, event: &QueuedEvent, refusals: u32, status: u16) -> Stop {
        let reason = format!("the pool answered {status}, refusal {refusals} of {FINAL_REFUSAL}");
        if refusals >= FINAL_REFUSAL {
            return Stop::Undeliverable(reason);
        }
        match self.store.record_refusals(&event.identity, &message.id, refusals).await {
            Ok(()) => Stop::Failed(reason),
            Err(error) => self.store_failed(&error),
        }
    }

    async fn record_message(
        &self,
        message: &ReceivedMessage,
        event: &QueuedEvent,
        channel: &Channel,
        pool: &Pool,
    ) -> Result<(), Stop> {
        let Some(facts) = &event.message else { return Ok(()) };
        let platform = channel.platform;
        let title = match platform {
            ChatPlatform::Slack => format!("Slack #{}", facts.chat),
            ChatPlatform::Discord | ChatPlatform::Feishu => format!("{} {}", platform.title(), facts.chat),
        };
        let seen = MessageSeen {
            bot: &event.bot,
            session_key: &session::key(platform, &event.bot, &pool.bots, facts),
            channel_type: platform.as_str(),
            channel_id: &facts.chat,
            at: message.sent_at,
            counted_as: facts.counted_as,
            title: &title,
        };
        self.store.record_message(&seen).await.map_err(|error| self.store_failed(&error))
    }

    fn store_failed(&self, error: &StoreError) -> Stop {
        if matches!(error, StoreError::Unopened { .. }) {
            self.metrics.count(Metric::SealedValueUnopened);
        }
        // Not tried for a day: a retry of a call that DynamoDB does not understand is refused in the same way.
        if error.is_final() { Stop::Undeliverable(error.to_string()) } else { Stop::Failed(error.to_string()) }
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

/// Returns the bot's pool and its address, if the pool may be posted to. A bot without a pool, or a pool without an address,
/// may get one: its events wait.
fn reachable(bot: &Bot, pool: Option<Pool>, now: Timestamp) -> Result<(Pool, PoolAddress), Stop> {
    let waits = |reason: &str| Stop::Failed(reason.to_owned());
    if bot.pool.is_none() {
        return Err(waits("the bot has no pool"));
    }
    let pool = pool.ok_or_else(|| waits("the bot's pool is not known"))?;
    if matches!(pool.status, PoolStatus::Pending | PoolStatus::Unhealthy | PoolStatus::Terminated) {
        return Err(waits(&format!("the pool is {}", pool.status)));
    }
    if has_passed(FRESH_HEARTBEAT, pool.last_seen_at, now) {
        return Err(waits("the pool has sent no heartbeat for a minute"));
    }
    let address = pool.address.ok_or_else(|| waits("the bot's pool has no address"))?;
    Ok((pool, address))
}

/// Address at which the pool's `OpenClaw` takes the channel's events: the gateway's, or of Feishu that of the channel's own server.
fn listener(channel: &Channel, bot: &Bot, pool: &Pool, gateway: PoolAddress) -> PoolAddress {
    match channel.platform {
        ChatPlatform::Slack | ChatPlatform::Discord => gateway,
        ChatPlatform::Feishu => gateway.at_port(webhook_port(&pool.bots, &bot.id, &bot.channels, &channel.id)),
    }
}

fn is_settled(pool: &Pool, now: Timestamp) -> bool {
    pool.active_since.is_some_and(|since| has_passed(SETTLED_AFTER, since, now))
}

fn has_passed(duration: Duration, since: Timestamp, now: Timestamp) -> bool {
    since.saturating_add(duration).is_ok_and(|end| end < now)
}

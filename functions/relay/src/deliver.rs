//! Delivery of one event: look up the pool, lease the event, record the conversation, post, mark as delivered.

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

/// Maximum age of a pool's last heartbeat. The address of a pool that is gone may belong to another tenant by now.
const FRESH_HEARTBEAT: Duration = Duration::from_mins(1);

/// Time for which a pool must have been active before its 4xx responses count as refusals: OpenClaw answers 404 and
/// 503 in the first seconds after it starts.
const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// Number of 4xx responses after which an event is a poison message: it must not block the conversation behind it.
const FINAL_REFUSAL: u32 = 8;

/// Pause of all posts to a pool after it timed out.
const STALL_PAUSE: Duration = Duration::from_secs(10);

/// Outcome of a try.
#[derive(Debug)]
pub enum DeliveryOutcome {
    /// The pool has the event.
    Delivered,
    /// The event was delivered before.
    Duplicate,
    /// The event's bot or channel is inactive or no longer exists.
    Dropped(&'static str),
    /// A later try may succeed.
    Failed(String),
    /// No further try can succeed.
    Undeliverable(String),
}

/// Reason for which a try ends before the post succeeds.
type Stop = DeliveryOutcome;

impl Relay {
    pub(crate) async fn deliver(
        &self,
        message: &ReceivedMessage,
        event: &QueuedEvent,
        on_slow: &mut (dyn FnMut() + Send),
    ) -> DeliveryOutcome {
        self.try_to_deliver(message, event, on_slow).await.unwrap_or_else(|stop| stop)
    }

    async fn try_to_deliver(
        &self,
        message: &ReceivedMessage,
        event: &QueuedEvent,
        on_slow: &mut (dyn FnMut() + Send),
    ) -> Result<DeliveryOutcome, Stop> {
        let target = self.store.delivery_target(&event.channel, &event.bot, &self.pool_guesses).await;
        let target = target.map_err(|error| self.store_failed(&error))?;
        let (channel, secret) = connected(target.channel)?;
        let bot = active(target.bot)?;
        let now = self.clock.now();
        // Before the lease, so that an absent pool costs a single read.
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
        // The message's id holds the lease, so that a redelivery of the message can resume under its own lease.
        let refusals = match self.store.lease(&event.identity, &message.id, LEASE).await {
            Ok(Lease::Taken { refusals }) => refusals,
            Ok(Lease::AlreadyDelivered) => return Ok(DeliveryOutcome::Duplicate),
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
            // Not an error: the message is removed from the queue, so the pool gets the event again only if Slack
            // repeats it.
            tracing::error!(%error, "the delivery was not recorded");
        }
        Ok(DeliveryOutcome::Delivered)
    }

    /// Lets one delivery at a time probe a pool that timed out (half-open circuit).
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
            // Not an error: the next delivery to the pool discovers the state itself.
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
        // A final error is not retried for a day: DynamoDB would refuse the same call again.
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

/// Returns the bot's pool and its address, if the pool may be posted to. A bot without a pool and a pool without an
/// address fail the try: they may get one later, so their events wait.
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

/// Returns the address that receives the channel's events: the gateway's, or for Feishu the channel's own webhook
/// server.
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

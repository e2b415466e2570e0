//! Refresh of bot tokens that expire.
//!
//! A due token is replaced by exactly one of its readers: the one whose write moves the row's `refreshAt` on from the
//! time that all of them have read. A pool's row holds the time at which the first token of its configuration is
//! due, so that a poll finds out without a call of its own.

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use jiff::{SignedDuration, Timestamp};
use portcullis_auth::{BotId, ChannelId};
use secrecy::SecretString;

use crate::{
    Bot, BotStatus, Channel, ChannelStatus, Pool, Store, StoreError, Table,
    attribute::{attributes, names, number, schema, text, time},
    backoff::Backoff,
    batch::RowKey,
    channel_credentials::{BotToken, Kind, SEAL, cell, refresh_token_cell},
    error::{CallError, Condition},
    row::Row,
    store::built,
};

const TABLE: Table = Table::ChannelCredentials;

/// Time before its end at which a token is replaced, as in Slack's own SDKs. Source: `slack_sdk.oauth.token_rotation`.
pub const REFRESH_BEFORE: SignedDuration = SignedDuration::from_hours(2);

/// Lease on the replacement of a token. After it, the next reader tries again.
pub const REFRESH_CLAIM: SignedDuration = SignedDuration::from_mins(1);

const SEAL_ROTATING: &str = "SET #schema = :schema, #value = :value, #updatedAt = :now, #refreshToken = :refreshToken, \
    #endsAt = :endsAt, #refreshAt = :refreshAt, #revision = if_not_exists(#revision, :start) + :one REMOVE #expiresAt";

/// A token that is due for replacement.
#[derive(Clone, Debug)]
pub struct DueToken {
    /// Channel of the token.
    pub channel: ChannelId,
    /// The channel's bot.
    pub bot: BotId,
    /// Refresh token: Slack gives the next token for it.
    pub refresh_token: SecretString,
    /// End of the token.
    pub ends_at: Timestamp,
    /// Revision of the token's row.
    pub revision: u64,
    refresh_at: Timestamp,
}

/// Time at which a token is replaced: [`REFRESH_BEFORE`] its end, or after half its life where that is shorter than
/// twice [`REFRESH_BEFORE`].
fn refresh_at(now: Timestamp, ends_at: Timestamp) -> Timestamp {
    let before = (ends_at.duration_since(now) / 2).min(REFRESH_BEFORE);
    ends_at.saturating_sub(before).unwrap_or(now)
}

impl Store {
    /// Action that seals a bot token and, if it expires, its refresh token. With `claimed`, on the condition that the
    /// lease on the earlier token is still held.
    pub(crate) fn seal_bot_token(
        &self,
        channel: &ChannelId,
        token: &BotToken,
        claimed: Option<&DueToken>,
    ) -> Result<TransactWriteItem, StoreError> {
        let (now, domain) = (self.now(), Kind::BotToken.domain());
        let mut condition = "(attribute_not_exists(#channel) OR #schema = :schema)".to_owned();
        let mut values = attributes([
            (":schema", schema()),
            (":value", self.seal(domain, &cell(channel, Kind::BotToken), &token.value)?),
            (":now", time(now)),
            (":start", number(self.first_revision())),
            (":one", number(1)),
        ]);
        let update = match &token.rotation {
            None => SEAL,
            Some(rotation) => {
                let refresh_token = self.seal(domain, &refresh_token_cell(channel), &rotation.refresh_token)?;
                values.extend(attributes([
                    (":refreshToken", refresh_token),
                    (":endsAt", time(rotation.ends_at)),
                    (":refreshAt", time(refresh_at(now, rotation.ends_at))),
                ]));
                SEAL_ROTATING
            }
        };
        if let Some(claimed) = claimed {
            condition.push_str(" AND #revision = :revision AND #refreshAt = :claim");
            values.extend(attributes([(":revision", number(claimed.revision)), (":claim", time(claimed.refresh_at))]));
        }
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("channel", text(channel))
            .key("kind", text(Kind::BotToken.as_str()))
            .set_expression_attribute_names(names(&[update, &condition]))
            .set_expression_attribute_values(Some(values))
            .update_expression(update)
            .condition_expression(condition);
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    /// Claims the replacement of a pool's due tokens for [`REFRESH_CLAIM`]: one call. Returns whether the claim
    /// succeeded.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_due_tokens(&self, pool: &Pool) -> Result<bool, StoreError> {
        let Some(due_at) = pool.tokens_due_at else { return Ok(false) };
        let update = "SET #tokensDueAt = :next";
        let condition = "#schema = :schema AND #tokensDueAt = :read";
        let update = Update::builder()
            .table_name(self.table_name(Table::Pools))
            .key("id", text(&pool.id))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":read", time(due_at)),
                (":next", time(self.end_of_claim())),
            ])));
        self.won(TransactWriteItem::builder().update(built(update.build())?).build()).await
    }

    /// Bot tokens of a pool's active bots that are due by now. Two rounds of calls.
    ///
    /// # Errors
    /// [`StoreError`], also where a refresh token does not open.
    pub async fn due_tokens(&self, pool: &Pool) -> Result<Vec<DueToken>, StoreError> {
        let keys: Vec<_> = pool.bots.iter().map(|bot| RowKey::new(Table::Bots, [bot.as_str()])).collect();
        let rows = self.get_rows(&keys).await?;
        let bots = rows.iter().flatten().map(Bot::from_item).collect::<Result<Vec<_>, _>>()?;
        let of_pool = |bot: &&Bot| bot.status == BotStatus::Active && bot.pool.as_ref() == Some(&pool.id);
        let channels: Vec<_> = bots
            .iter()
            .filter(of_pool)
            .flat_map(|bot| bot.channels.iter().map(move |channel| (bot, channel)))
            .collect();
        let keys = channels.iter().flat_map(|(_, channel)| {
            let credential = RowKey::new(TABLE, [channel.as_str(), Kind::BotToken.as_str()]);
            [RowKey::new(Table::Channels, [channel.as_str()]), credential]
        });
        let mut rows = self.get_rows(&keys.collect::<Vec<_>>()).await?.into_iter();
        let (now, mut opener, mut due) = (self.now(), self.opener(), Vec::new());
        for (bot, channel) in channels {
            let known = rows.next().flatten().as_ref().map(Channel::from_item).transpose()?;
            let Some(item) = rows.next().flatten() else { continue };
            let row = Row::new(TABLE, &item)?;
            let refresh_at = row.optional_parsed::<Timestamp>("refreshAt")?.filter(|refresh_at| *refresh_at <= now);
            let (Some(refresh_at), true) = (refresh_at, row.has("value")) else { continue };
            if known.is_none_or(|known| known.status != ChannelStatus::Connected) {
                continue;
            }
            let (domain, sealed) = (Kind::BotToken.domain(), row.bytes("refreshToken")?);
            due.push(DueToken {
                channel: channel.clone(),
                bot: bot.id.clone(),
                refresh_token: opener.open(domain, TABLE.name(), &refresh_token_cell(channel), sealed).await?,
                ends_at: row.time("endsAt")?,
                revision: row.parsed("revision")?,
                refresh_at,
            });
        }
        Ok(due)
    }

    /// Claims the replacement of a token for [`REFRESH_CLAIM`]: one call. `None` where another reader has claimed it,
    /// or the token has changed.
    ///
    /// # Errors
    /// [`StoreError`]; after [`StoreError::Unavailable`] the claim may have succeeded.
    pub async fn claim_token(&self, due: &DueToken) -> Result<Option<DueToken>, StoreError> {
        let claimed = DueToken { refresh_at: self.end_of_claim(), ..due.clone() };
        let update = "SET #refreshAt = :next";
        let condition = "#schema = :schema AND #revision = :revision AND #refreshAt = :read";
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("channel", text(&due.channel))
            .key("kind", text(Kind::BotToken.as_str()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":revision", number(due.revision)),
                (":read", time(due.refresh_at)),
                (":next", time(claimed.refresh_at)),
            ])));
        let is_won = self.won(TransactWriteItem::builder().update(built(update.build())?).build()).await?;
        Ok(is_won.then_some(claimed))
    }

    /// Stores the token that replaces a claimed one, and raises the revision of its bot's pool, in one transaction.
    /// `false` where the channel has ended, was connected anew, or another reader has claimed it since: nothing was
    /// written then.
    ///
    /// # Errors
    /// [`StoreError`]; after [`StoreError::Unavailable`] it may have been stored.
    pub async fn keep_refreshed(&self, claimed: &DueToken, token: &BotToken) -> Result<bool, StoreError> {
        let mut backoff = Backoff::of_race();
        loop {
            let mut actions = vec![self.seal_bot_token(&claimed.channel, token, Some(claimed))?];
            actions.extend(self.raise_revision_of_bots_pool(&claimed.bot).await?);
            match self.transact_write(actions).await {
                Ok(()) => return Ok(true),
                Err(CallError::Conditions(conditions)) => match conditions.first() {
                    Some(Condition::Failed(_)) => return Ok(false),
                    // The bot was moved or deleted since it was read.
                    _ => self.wait_after_race(&mut backoff).await?,
                },
                Err(CallError::Store(error)) => return Err(error),
            }
        }
    }

    fn end_of_claim(&self) -> Timestamp {
        self.now().saturating_add(REFRESH_CLAIM).unwrap_or(Timestamp::MAX)
    }

    /// Writes conditionally; returns whether the condition held.
    async fn won(&self, action: TransactWriteItem) -> Result<bool, StoreError> {
        match self.transact_write(vec![action]).await {
            Ok(()) => Ok(true),
            Err(CallError::Conditions(_)) => Ok(false),
            Err(CallError::Store(error)) => Err(error),
        }
    }
}

//! `feedback`: messages that users sent through a skill.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use jiff::SignedDuration;
use portcullis_auth::{BotId, PoolId};

use crate::{
    BotAccessError, BotReach, Store, Table,
    attribute::{SCHEMA, attributes, epoch_seconds, schema, text, time},
    error::CallError,
    store::built,
};

/// Retention of feedback: a year.
pub const FEEDBACK_RETENTION: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Partition of feedback without a bot; a bot's partition is its id behind `bot#`.
const WITHOUT_BOT: &str = "none";

/// A user's feedback.
#[derive(Clone, Debug)]
pub struct NewFeedback {
    /// Bot that the user named; ignored if the caller does not reach it.
    pub bot: Option<BotId>,
    /// Pool of the caller's token, where the token is bound to one.
    pub pool: Option<PoolId>,
    /// The user's message.
    pub content: String,
    /// Remaining fields of the request, as JSON.
    pub details: String,
}

impl Store {
    /// Stores feedback: two calls where it names a bot or comes with a bound token, else one.
    ///
    /// # Errors
    /// [`BotAccessError::Revoked`] and [`BotAccessError::Store`]; nothing is stored then.
    pub async fn keep_feedback(&self, reach: BotReach<'_>, feedback: &NewFeedback) -> Result<(), BotAccessError> {
        let reached = match &feedback.bot {
            Some(bot) => self.check_bot(reach, bot).await,
            None => self.check_reach(reach).await,
        };
        let bot = match reached {
            Ok(()) => feedback.bot.as_ref(),
            // An unknown bot and another pool's are treated alike, so that the caller cannot probe for bots.
            Err(BotAccessError::NotFound | BotAccessError::NotOfPool) => None,
            Err(error) => return Err(error),
        };
        let now = self.now();
        let mut unique = [0; 8];
        self.randomness().fill(&mut unique);
        let partition = bot.map_or_else(|| WITHOUT_BOT.to_owned(), |bot| format!("bot#{bot}"));
        let mut row = attributes([
            (SCHEMA, schema()),
            ("bot", text(partition)),
            // The random suffix keeps two messages of one millisecond apart.
            ("time", text(format!("{now:.3}#{:016x}", u64::from_be_bytes(unique)))),
            ("content", text(&feedback.content)),
            ("details", text(&feedback.details)),
            ("createdAt", time(now)),
            ("expiresAt", epoch_seconds(now.saturating_add(FEEDBACK_RETENTION).unwrap_or(now))),
        ]);
        row.extend(feedback.pool.iter().map(|pool| ("pool".to_owned(), text(pool))));
        let put = Put::builder().table_name(self.table_name(Table::Feedback)).set_item(Some(row));
        let put = TransactWriteItem::builder().put(built(put.build())?).build();
        let actions = std::iter::once(put).chain(self.while_it_counts(reach)?).collect();
        self.transact_write(actions).await.map_err(|error| match error {
            CallError::Conditions(_) => BotAccessError::Revoked,
            CallError::Store(error) => error.into(),
        })
    }

    async fn check_reach(&self, reach: BotReach<'_>) -> Result<(), BotAccessError> {
        let keys: Vec<_> = reach.pool_key().into_iter().collect();
        if keys.is_empty() {
            return Ok(());
        }
        let rows = self.get_rows(&keys).await?;
        reach.check_generation(rows.into_iter().flatten().next().as_ref())
    }
}

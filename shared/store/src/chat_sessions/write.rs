//! Writes a session together with its look-up rows.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use super::{
    ChatId, Session, TABLE, expiry,
    look_ups::{self, LookUpWrite},
    metadata,
};
use crate::{
    BotReach, Store, StoreError,
    attribute::{Item, names, number},
    backoff::Backoff,
    error::{CallError, Condition},
    row::Row,
    store::built,
};

/// A session's row as it was read.
pub(super) struct Known {
    /// Session, unless it is past its retention.
    pub(super) live: Option<Session>,
    revision: Option<u64>,
}

impl Known {
    pub(super) fn new(row: Option<&Item>, store: &Store) -> Result<Self, StoreError> {
        let Some(row) = row else { return Ok(Self { live: None, revision: None }) };
        let live = Session::live(row, store.now())?;
        Ok(Self { live, revision: Some(Row::new(TABLE, row)?.parsed("revision")?) })
    }

    /// From a session's row, followed by its metadata's row.
    pub(super) fn with_metadata(rows: Vec<Option<Item>>, store: &Store) -> Result<Self, StoreError> {
        let mut rows = rows.into_iter();
        let mut known = Self::new(rows.next().flatten().as_ref(), store)?;
        if let (Some(session), Some(Some(row))) = (&mut known.live, rows.next())
            && session.keeps_metadata
        {
            session.metadata = Some(metadata::from_item(&row)?);
        }
        Ok(known)
    }

    /// Returns whether the look-up rows find `session` at least until `until`.
    fn finds(&self, session: &Session, until: i64) -> bool {
        let chats = |session: &Session| look_ups::chats(&session.session_key, session.channel_id.as_deref());
        self.live.as_ref().is_some_and(|live| live.found_until >= until && chats(live) == chats(session))
    }
}

impl Store {
    /// Writes a session in the place of the one that was read, with new metadata if any; `None` where the row has
    /// changed meanwhile, or the caller's token has been revoked.
    pub(super) async fn replace_session(
        &self,
        reach: BotReach<'_>,
        known: &Known,
        mut session: Session,
        metadata: Option<&str>,
    ) -> Result<Option<Session>, StoreError> {
        let now = self.now();
        session.revision = known.revision.unwrap_or(0) + 1;
        session.updated_at = now;
        let mut look_ups: Vec<(ChatId, LookUpWrite)> = Vec::new();
        let is_found = known.finds(&session, expiry(now).as_second());
        if !is_found {
            session.found_until = look_ups::kept_until(now);
            let chats = look_ups::chats(&session.session_key, session.channel_id.as_deref());
            look_ups.extend(chats.into_iter().map(|chat| (chat, LookUpWrite::Add)));
        }
        let keeps_metadata = session.keeps_metadata;
        session.keeps_metadata |= metadata.is_some();
        let mut backoff = Backoff::of_race();
        loop {
            look_ups.retain(|(_, writing)| *writing != LookUpWrite::Omit);
            let mut actions = vec![self.put_session_row(&session, known.revision)?];
            for (chat, writing) in &look_ups {
                let (bot, key) = (&session.bot, &session.session_key);
                actions.extend(self.write_look_up(bot, chat, key, session.found_until, *writing)?);
            }
            match metadata {
                Some(metadata) => actions.push(self.put_metadata(&session.id, metadata, session.found_until)?),
                // Metadata is kept as long as the look-up rows, and renewed with them.
                None if keeps_metadata && !is_found => {
                    actions.push(self.keep_metadata(&session.id, session.found_until)?);
                }
                None => {}
            }
            let still_counts = self.while_it_counts(reach)?;
            let has_token = still_counts.is_some();
            actions.extend(still_counts);
            match self.transact_write(actions).await {
                Ok(()) => return Ok(Some(session)),
                Err(CallError::Conditions(conditions)) => {
                    let is_revoked = has_token && matches!(conditions.last(), Some(Condition::Failed(_)));
                    if is_revoked || matches!(conditions.first(), Some(Condition::Failed(_))) {
                        return Ok(None);
                    }
                    for ((_, writing), condition) in look_ups.iter_mut().zip(conditions.iter().skip(1)) {
                        if let Condition::Failed(row) = condition {
                            *writing = LookUpWrite::after_failure(row.as_ref(), now)?;
                        }
                    }
                    self.wait_after_race(&mut backoff).await?;
                }
                Err(CallError::Store(error)) => return Err(error),
            }
        }
    }

    fn put_session_row(&self, session: &Session, revision: Option<u64>) -> Result<TransactWriteItem, StoreError> {
        let condition = if revision.is_none() { "attribute_not_exists(#id)" } else { "#revision = :revision" };
        let values = revision.map(|revision| (":revision".to_owned(), number(revision)));
        let put = Put::builder()
            .table_name(self.table_name(TABLE))
            .set_item(Some(session.to_item(self.now())))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .set_expression_attribute_values(values.map(|value| Item::from([value])));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }
}

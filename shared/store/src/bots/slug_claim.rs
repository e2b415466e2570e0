//! Uniqueness of a slug among its owner's bots: a claim row for each pair of owner and slug.
//!
//! A claim row lies in `bots` under an id that no bot can have, since it holds control characters, and has neither a
//! status nor a `user` attribute: neither lists nor the index by owner find it. Each write of a bot's owner or slug
//! writes the claim row in its own transaction, so that only one of several racers gets it.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use portcullis_auth::{BotId, UserId};

use super::TABLE;
use crate::{
    Store, StoreError,
    attribute::{SCHEMA, attributes, names, schema, text},
    store::built,
};

/// Condition to write or delete a claim row: it is free, or this bot's.
const FREE_OR_OWN: &str = "attribute_not_exists(#id) OR #bot = :bot";

/// An owner's slug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlugClaim<'a> {
    user: &'a UserId,
    slug: &'a str,
}

impl<'a> SlugClaim<'a> {
    /// Claim of a bot; `None` for a bot without an owner.
    pub(super) fn of(user: Option<&'a UserId>, slug: &'a str) -> Option<Self> {
        user.map(|user| Self { user, slug })
    }

    /// Id of the claim row. An owner's id holds no control character, so two pairs never share an id.
    fn id(self) -> String {
        format!("\u{1}slug\u{1}{}\u{1}{}", self.user, self.slug)
    }
}

impl Store {
    /// Action that claims a slug for a bot.
    pub(super) fn take_slug(&self, claim: SlugClaim<'_>, bot: &BotId) -> Result<TransactWriteItem, StoreError> {
        let row = attributes([("id", text(claim.id())), (SCHEMA, schema()), ("bot", text(bot))]);
        let put = Put::builder()
            .table_name(self.table_name(TABLE))
            .set_item(Some(row))
            .condition_expression(FREE_OR_OWN)
            .set_expression_attribute_names(names(&[FREE_OR_OWN]))
            .expression_attribute_values(":bot", text(bot));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    /// Action that frees a bot's slug.
    pub(super) fn free_slug(&self, claim: SlugClaim<'_>, bot: &BotId) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(claim.id()))
            .condition_expression(FREE_OR_OWN)
            .set_expression_attribute_names(names(&[FREE_OR_OWN]))
            .expression_attribute_values(":bot", text(bot));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }
}

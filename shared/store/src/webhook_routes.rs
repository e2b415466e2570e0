//! `webhook_routes`: which of our channels a platform's event is for.

use aws_sdk_dynamodb::types::{Delete, Put, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem};
use portcullis_auth::{BotId, ChannelId};

use crate::{
    Channel, ChatPlatform, PlatformId, Store, StoreError, Table,
    attribute::{SCHEMA, attributes, names, schema, text, time},
    row::Row,
    store::built,
};

const TABLE: Table = Table::WebhookRoutes;

/// Where an event of one team and app goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRoute {
    /// The channel that is connected there.
    pub channel: ChannelId,
    /// The bot that it belongs to.
    pub bot: BotId,
    /// The account under which the bot's pool knows it.
    pub account_id: String,
}

/// The route of a Slack team and app. A [`PlatformId`] has no `:`, so that no two pairs have the same one.
fn slack_key(team: &PlatformId, app: &PlatformId) -> String {
    format!("slack#{team}:{app}")
}

/// The route of an app on a platform whose apps are connected once, whatever teams they are in.
fn app_key(platform: ChatPlatform, app: &PlatformId) -> String {
    format!("{platform}#{app}")
}

fn key(channel: &Channel) -> String {
    match (channel.platform, &channel.team_id) {
        (ChatPlatform::Slack, Some(team)) => slack_key(team, &channel.app_id),
        (platform, _) => app_key(platform, &channel.app_id),
    }
}

impl Store {
    /// The route of a team, or an enterprise where the app was installed org-wide, and an app, read consistently.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn slack_route(&self, team: &PlatformId, app: &PlatformId) -> Result<Option<WebhookRoute>, StoreError> {
        self.route(slack_key(team, app)).await
    }

    /// The route of an app of Discord's or Feishu's, read consistently.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn app_route(
        &self,
        platform: ChatPlatform,
        app: &PlatformId,
    ) -> Result<Option<WebhookRoute>, StoreError> {
        self.route(app_key(platform, app)).await
    }

    async fn route(&self, key: String) -> Result<Option<WebhookRoute>, StoreError> {
        let Some(item) = self.get_row(TABLE, [("route", text(key))]).await? else { return Ok(None) };
        let row = Row::new(TABLE, &item)?;
        Ok(Some(WebhookRoute {
            channel: row.parsed("channel")?,
            bot: row.parsed("bot")?,
            account_id: row.text("accountId")?.to_owned(),
        }))
    }

    /// The action that gives a channel its route, on the condition that it is no other channel's.
    pub(crate) fn put_route(&self, channel: &Channel) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#route) OR (#schema = :schema AND #channel = :channel)";
        let row = attributes([
            ("route", text(key(channel))),
            (SCHEMA, schema()),
            ("channel", text(&channel.id)),
            ("bot", text(&channel.bot)),
            ("accountId", text(&channel.account_id)),
            ("updatedAt", time(channel.updated_at)),
        ]);
        let put = Put::builder()
            .table_name(self.table_name(TABLE))
            .set_item(Some(row))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":schema", schema())
            .expression_attribute_values(":channel", text(&channel.id))
            .return_values_on_condition_check_failure(AllOld);
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    /// The action that deletes a channel's route, where it is this channel's or not there.
    pub(crate) fn delete_route(&self, channel: &Channel) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#route) OR #channel = :channel";
        let delete = Delete::builder()
            .table_name(self.table_name(TABLE))
            .key("route", text(key(channel)))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":channel", text(&channel.id));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }
}

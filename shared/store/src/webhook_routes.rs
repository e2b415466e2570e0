//! `webhook_routes`: the channel that receives a platform's events.

use aws_sdk_dynamodb::types::{Delete, Put, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem};
use portcullis_auth::{BotId, ChannelId};

use crate::{
    Channel, ChatPlatform, PlatformId, Store, StoreError, Table,
    attribute::{SCHEMA, attributes, names, schema, text, time},
    row::Row,
    store::built,
};

const TABLE: Table = Table::WebhookRoutes;

/// Destination of the events of one team and app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRoute {
    /// Channel that is connected there.
    pub channel: ChannelId,
    /// Bot that it belongs to.
    pub bot: BotId,
    /// Account name under which the bot's pool knows the channel.
    pub account_id: String,
}

/// Key of a Slack team and app. A [`PlatformId`] has no `:`, so two pairs never share a key.
fn slack_key(team: &PlatformId, app: &PlatformId) -> String {
    format!("slack#{team}:{app}")
}

/// Key of an app on a platform where an app is connected once, whatever its teams.
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
    /// Reads the route of a team, or an enterprise where the app was installed org-wide, and an app, consistently.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn slack_route(&self, team: &PlatformId, app: &PlatformId) -> Result<Option<WebhookRoute>, StoreError> {
        self.route(slack_key(team, app)).await
    }

    /// Reads the route of a Discord or Feishu app consistently.
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

    /// Action that gives a channel its route, on the condition that no other channel has it.
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

    /// Action that deletes a channel's route, on the condition that it is absent or this channel's.
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

//! Conversion of the store's rows to the builder's records.

use std::collections::BTreeMap;

use portcullis_openclaw::{
    BotRecord, ChannelRecord, CredentialKind, PlatformApp, PoolRecords, Reference, webhook_port,
};
use portcullis_store::{self as store, BotRecords, ChannelRecords, ChatPlatform, ConnectionMode, Credential, Pool};
use secrecy::SecretString;

/// Converts a pool's bots and channels to records, without models.
pub(super) fn pool_records(pool: &Pool, records: &[BotRecords]) -> PoolRecords {
    let bots = records.iter().map(|records| bot_record(pool, records)).collect();
    PoolRecords { bots, bot_ids: pool.bots.clone(), lite_llm: None }
}

fn bot_record(pool: &Pool, records: &BotRecords) -> BotRecord {
    let bot = &records.bot;
    let channels = records.channels.iter().map(|ChannelRecords { channel, credentials }| {
        let credentials = credentials.iter().map(|(kind, credential)| (built_kind(*kind), credential.revision));
        let app_id = channel.app_id.to_string();
        let platform = match channel.platform {
            ChatPlatform::Slack => PlatformApp::Slack,
            ChatPlatform::Discord => PlatformApp::Discord { application_id: app_id },
            ChatPlatform::Feishu => {
                let by_webhook = channel.connection_mode == ConnectionMode::Webhook;
                let port = || webhook_port(&pool.bots, &bot.id, &bot.channels, &channel.id);
                PlatformApp::Feishu { app_id, webhook_port: by_webhook.then(port) }
            }
        };
        ChannelRecord {
            id: channel.id.clone(),
            account: channel.account_id.clone(),
            platform,
            credentials: credentials.collect(),
        }
    });
    BotRecord {
        id: bot.id.clone(),
        name: bot.name.clone(),
        model: bot.model_id.clone(),
        system_prompt: bot.system_prompt.clone(),
        channels: channels.collect(),
    }
}

/// Returns the credentials by their references.
pub(super) fn credentials_by_reference(records: Vec<BotRecords>) -> BTreeMap<Reference, SecretString> {
    let channels = records.into_iter().flat_map(|bot| bot.channels);
    let each = channels.flat_map(|ChannelRecords { channel, credentials }| {
        credentials.into_iter().map(move |(kind, Credential { revision, value, .. })| {
            (Reference::Channel { channel: channel.id.clone(), kind: built_kind(kind), revision }, value)
        })
    });
    each.collect()
}

/// Converts the builder's kind of a credential to the store's.
pub(super) fn stored_kind(kind: CredentialKind) -> store::CredentialKind {
    match kind {
        CredentialKind::BotToken => store::CredentialKind::BotToken,
        CredentialKind::DeliverySecret => store::CredentialKind::DeliverySecret,
    }
}

fn built_kind(kind: store::CredentialKind) -> CredentialKind {
    match kind {
        store::CredentialKind::BotToken => CredentialKind::BotToken,
        store::CredentialKind::DeliverySecret => CredentialKind::DeliverySecret,
    }
}

//! Prints the `openclaw.json` of a pool with a bot on each platform and a hostile name, in the dialect that the `OpenClaw`
//! version in the first argument reads, for `openclaw config validate`.

#![expect(clippy::print_stdout, reason = "it prints a configuration")]

use portcullis_openclaw::{
    BotRecord, ChannelRecord, CredentialKind, Dialect, LiteLlm, OpenClawVersion, Platform, PoolRecords, Reference,
    StateDir, build,
};

fn channel(id: &str, account: &str, platform: Platform, kinds: &[CredentialKind]) -> Result<ChannelRecord, String> {
    let credentials = kinds.iter().map(|kind| (*kind, 1)).collect();
    let id = id.parse().map_err(|error| format!("{error}"))?;
    Ok(ChannelRecord { id, account: account.to_owned(), platform, credentials })
}

fn bot(id: &str, channels: Vec<ChannelRecord>) -> Result<BotRecord, String> {
    Ok(BotRecord {
        id: id.parse().map_err(|error| format!("{error}"))?,
        name: "${SKILL_API_TOKEN} \"quoted\"\nline".to_owned(),
        model: "a-model".to_owned(),
        system_prompt: Some("You help. ${HOME}".to_owned()),
        channels,
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use CredentialKind::{BotToken, DeliverySecret, VerificationToken};
    let version: OpenClawVersion = std::env::args().nth(1).ok_or("usage: every_platform VERSION")?.parse()?;
    let discord = Platform::Discord { application_id: "1234567890".to_owned() };
    let feishu = Platform::Feishu { app_id: "cli_a1b2".to_owned() };
    let records = PoolRecords {
        bot_ids: Vec::new(),
        bots: vec![
            bot(
                "bot-1",
                vec![
                    channel("c-1", "slack-A1-T1", Platform::Slack, &[BotToken, DeliverySecret])?,
                    channel("c-2", "slack-A2-T2", Platform::Slack, &[BotToken, DeliverySecret])?,
                ],
            )?,
            bot(
                "bot-2",
                vec![
                    channel("c-3", "discord-1", discord, &[BotToken])?,
                    channel("c-4", "feishu-1", feishu, &[BotToken, VerificationToken])?,
                ],
            )?,
        ],
        lite_llm: Some(LiteLlm { base_url: "https://models.example.com".to_owned(), key_revision: 1 }),
    };
    let config =
        build(&records, Dialect::of(Some(&version)), &StateDir::default()).fill(&|reference: &Reference| {
            Some(match reference {
                Reference::Gateway => "not-a-real-gateway-token",
                Reference::LiteLlm { .. } => "not-a-real-key",
                Reference::Channel { .. } => "not-a-real-credential",
            })
        })?;
    println!("{}", serde_json::to_string_pretty(&config)?);
    Ok(())
}

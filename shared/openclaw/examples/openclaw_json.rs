//! Prints the `openclaw.json` of a made-up pool in the dialect that an `OpenClaw` version reads, for `openclaw config
//! validate`: `openclaw_json VERSION POOL`.

#![expect(clippy::print_stdout, reason = "it prints a configuration")]

use portcullis_openclaw::{
    BotRecord, ChannelRecord, CredentialKind, Dialect, LiteLlm, OpenClawVersion, PlatformApp, PoolRecords, Reference,
    StateDir, build,
};

const USAGE: &str = "usage: openclaw_json VERSION every-platform|one-bot|no-bot|models-of-their-own|no-bot-token";

fn channel(id: &str, account: &str, platform: PlatformApp, kinds: &[CredentialKind]) -> Result<ChannelRecord, String> {
    let credentials = kinds.iter().map(|kind| (*kind, 1)).collect();
    let id = id.parse().map_err(|error| format!("{error}"))?;
    Ok(ChannelRecord { id, account: account.to_owned(), platform, credentials })
}

fn bot(id: &str, channels: Vec<ChannelRecord>) -> Result<BotRecord, String> {
    Ok(BotRecord {
        id: id.parse().map_err(|error| format!("{error}"))?,
        name: "${SKILL_API_TOKEN} \"quoted\"\nline".to_owned(),
        model: "a-model".to_owned(),
        system_prompt: Some("You help. ${HOME} `${name}`".to_owned()),
        channels,
    })
}

/// Two bots, on each platform.
fn every_platform() -> Result<PoolRecords, String> {
    use CredentialKind::{BotToken, DeliverySecret};
    let discord = PlatformApp::Discord { application_id: "1234567890".to_owned() };
    let feishu = |app: &str, webhook_port| PlatformApp::Feishu { app_id: app.to_owned(), webhook_port };
    Ok(PoolRecords {
        bots: vec![
            bot(
                "bot-1",
                vec![
                    channel("c-1", "slack-A1-T1", PlatformApp::Slack, &[BotToken, DeliverySecret])?,
                    channel("c-2", "slack-A2-T2", PlatformApp::Slack, &[BotToken, DeliverySecret])?,
                ],
            )?,
            bot(
                "A bot whose id OpenClaw would not take",
                vec![
                    channel("c-3", "discord-1", discord, &[BotToken])?,
                    channel("c-4", "feishu-1", feishu("cli_a1b2", None), &[BotToken])?,
                    channel("c-5", "feishu-2", feishu("cli_a1b3", Some(20_001)), &[BotToken, DeliverySecret])?,
                ],
            )?,
        ],
        bot_ids: Vec::new(),
        lite_llm: Some(LiteLlm { base_url: "https://models.example.com".to_owned(), key_revision: 1 }),
    })
}

fn pool(name: &str) -> Result<PoolRecords, String> {
    let mut pool = every_platform()?;
    match name {
        "every-platform" => {}
        "one-bot" => pool.bots.truncate(1),
        "no-bot" => pool.bots.clear(),
        "models-of-their-own" => {
            pool.lite_llm = None;
            for bot in &mut pool.bots {
                "anthropic/claude-opus-4-6".clone_into(&mut bot.model);
            }
        }
        "no-bot-token" => {
            for channel in pool.bots.iter_mut().flat_map(|bot| &mut bot.channels) {
                channel.credentials.remove(&CredentialKind::BotToken);
            }
        }
        _ => return Err(USAGE.to_owned()),
    }
    Ok(pool)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let version: OpenClawVersion = arguments.next().ok_or(USAGE)?.parse()?;
    let pool = pool(&arguments.next().ok_or(USAGE)?)?;
    let config = build(&pool, Dialect::of(Some(&version)), &StateDir::default()).fill(&|reference: &Reference| {
        Some(match reference {
            Reference::Gateway => "not-a-real-gateway-token",
            Reference::LiteLlm { .. } => "not-a-real-key",
            Reference::Channel { .. } => "not-a-real-credential",
        })
    })?;
    println!("{}", serde_json::to_string_pretty(&config)?);
    Ok(())
}

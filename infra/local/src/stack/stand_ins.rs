//! Stand-ins for other services, and the settings by which functions find them.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use secrecy::SecretString;

use crate::{
    dev_composio::DevComposio,
    dev_discord::DevDiscord,
    dev_feishu::DevFeishu,
    dev_slack::{CLIENT_ID, DevSlack},
    gateway::OwnPages,
    stack::Options,
};

/// Starts the requested stand-ins, unless the settings name the real service, and adds their addresses and keys to the
/// settings.
pub(super) fn start(
    options: &Options,
    environment: &mut BTreeMap<String, SecretString>,
    address: SocketAddr,
) -> OwnPages {
    let Options { clock, randomness, .. } = options;
    let slack = dev_slack(environment, address, clock, randomness).filter(|_| options.dev_slack);
    let composio = dev_composio(environment, address, clock, randomness).filter(|_| options.dev_composio);
    let discord = dev_discord(environment, address, clock).filter(|_| options.dev_discord);
    let feishu = dev_feishu(environment, address, clock, randomness).filter(|_| options.dev_feishu);
    let mut set = |name: &str, value: SecretString| drop(environment.insert(name.to_owned(), value));
    if let Some(slack) = &slack {
        set("SLACK_API_URL", slack.api_url().into());
        set("SLACK_CLIENT_ID", CLIENT_ID.into());
        set("SLACK_CLIENT_SECRET", slack.client_secret().clone());
    }
    if let Some(composio) = &composio {
        set("COMPOSIO_API_URL", composio.api_url().into());
        set("COMPOSIO_API_KEY", composio.key().clone());
    }
    if let Some(discord) = &discord {
        set("DISCORD_API_URL", discord.api_url().into());
    }
    if let Some(feishu) = &feishu {
        set("FEISHU_API_URL", feishu.api_url().into());
    }
    OwnPages {
        mailbox: None,
        slack: slack.map(Arc::new),
        composio: composio.map(Arc::new),
        discord: discord.map(Arc::new),
        feishu: feishu.map(Arc::new),
    }
}

/// Stand-in for Slack; `None` where the settings name a Slack, or lack the secrets of its app.
fn dev_slack(
    environment: &BTreeMap<String, SecretString>,
    address: SocketAddr,
    clock: &Arc<dyn Clock>,
    randomness: &Arc<dyn Randomness>,
) -> Option<DevSlack> {
    if ["SLACK_API_URL", "SLACK_CLIENT_ID"].iter().any(|name| environment.contains_key(*name)) {
        return None;
    }
    let signing_secret = environment.get("SLACK_SIGNING_SECRET")?.clone();
    let client_secret = environment.get("DEMO_SLACK_CLIENT_SECRET")?.clone();
    let (clock, randomness) = (Arc::clone(clock), Arc::clone(randomness));
    Some(DevSlack::new(&format!("http://{address}"), signing_secret, client_secret, clock, randomness))
}

/// Stand-in for Composio; `None` where the settings name a Composio, or a key of one.
fn dev_composio(
    environment: &BTreeMap<String, SecretString>,
    address: SocketAddr,
    clock: &Arc<dyn Clock>,
    randomness: &Arc<dyn Randomness>,
) -> Option<DevComposio> {
    if ["COMPOSIO_API_URL", "COMPOSIO_API_KEY"].iter().any(|name| environment.contains_key(*name)) {
        return None;
    }
    let key = environment.get("DEMO_COMPOSIO_API_KEY")?.clone();
    Some(DevComposio::new(&format!("http://{address}"), key, Arc::clone(clock), Arc::clone(randomness)))
}

/// Stand-in for Discord; `None` where the settings name a Discord.
fn dev_discord(
    environment: &BTreeMap<String, SecretString>,
    address: SocketAddr,
    clock: &Arc<dyn Clock>,
) -> Option<DevDiscord> {
    if environment.contains_key("DISCORD_API_URL") {
        return None;
    }
    let token = environment.get("DEMO_DISCORD_BOT_TOKEN")?.clone();
    Some(DevDiscord::new(&format!("http://{address}"), token, Arc::clone(clock)))
}

/// Stand-in for Feishu; `None` where the settings name a Feishu.
fn dev_feishu(
    environment: &BTreeMap<String, SecretString>,
    address: SocketAddr,
    clock: &Arc<dyn Clock>,
    randomness: &Arc<dyn Randomness>,
) -> Option<DevFeishu> {
    if environment.contains_key("FEISHU_API_URL") {
        return None;
    }
    let secret = environment.get("DEMO_FEISHU_APP_SECRET")?.clone();
    Some(DevFeishu::new(&format!("http://{address}"), secret, Arc::clone(clock), Arc::clone(randomness)))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const KEYS: [&str; 3] = ["DEMO_COMPOSIO_API_KEY", "DEMO_DISCORD_BOT_TOKEN", "DEMO_FEISHU_APP_SECRET"];

    /// Starts every stand-in with the demonstration's keys and these settings.
    fn started(settings: &[(&str, &str)]) -> (OwnPages, BTreeMap<String, SecretString>) {
        let keys = KEYS.map(|name| (name, "not-a-real-key"));
        let all = keys.iter().chain(settings);
        let mut environment: BTreeMap<String, SecretString> =
            all.map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let mut options = Options::new(BTreeMap::new());
        (options.dev_composio, options.dev_discord, options.dev_feishu) = (true, true, true);
        let pages = start(&options, &mut environment, ([127, 0, 0, 1], 8787).into());
        (pages, environment)
    }

    #[test]
    fn functions_find_a_stand_in_by_a_base_url_that_ends_with_a_slash() {
        let (pages, environment) = started(&[]);
        assert!(pages.composio.is_some() && pages.discord.is_some() && pages.feishu.is_some());
        assert_eq!(environment["DISCORD_API_URL"].expose_secret(), "http://127.0.0.1:8787/dev/discord/api/v10/");
        assert_eq!(environment["FEISHU_API_URL"].expose_secret(), "http://127.0.0.1:8787/dev/feishu/open-apis/");
    }

    #[test]
    fn a_stand_in_makes_way_for_the_service_that_the_settings_name() {
        for name in ["DISCORD_API_URL", "FEISHU_API_URL", "COMPOSIO_API_URL"] {
            let (pages, environment) = started(&[(name, "https://chat.example.com/")]);
            assert_eq!(environment[name].expose_secret(), "https://chat.example.com/");
            let found = (pages.discord.is_some(), pages.feishu.is_some(), pages.composio.is_some());
            assert_eq!(found, (name != "DISCORD_API_URL", name != "FEISHU_API_URL", name != "COMPOSIO_API_URL"));
        }
    }

    #[test]
    fn no_stand_in_starts_without_its_key_or_where_it_is_not_asked_for() {
        let address = ([127, 0, 0, 1], 8787).into();
        let mut options = Options::new(BTreeMap::new());
        let mut keys: BTreeMap<String, SecretString> =
            KEYS.into_iter().map(|name| (name.to_owned(), "not-a-real-key".into())).collect();
        let unasked = start(&options, &mut keys, address);
        (options.dev_slack, options.dev_composio, options.dev_discord, options.dev_feishu) = (true, true, true, true);
        let keyless = start(&options, &mut BTreeMap::new(), address);
        for pages in [unasked, keyless] {
            assert!(pages.slack.is_none() && pages.composio.is_none());
            assert!(pages.discord.is_none() && pages.feishu.is_none());
        }
        assert_eq!(keys.len(), KEYS.len());
    }
}

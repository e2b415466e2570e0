//! Discord and Feishu: connecting channels, events by webhook, and synchronized conversations.

mod connecting;
mod delivery;
mod events;
mod sync;

use portcullis_tests::{Answer, Person, ScriptedApi, System, seed, system::Settings};
use reqwest::Method;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

const DISCORD_TOKEN: &str = "not-a-token-of-discord";
const FEISHU_SECRET: &str = "not-a-secret-of-feishu";

/// A system with scripted APIs of both platforms.
struct Scripted {
    system: System,
    discord: ScriptedApi,
    feishu: ScriptedApi,
}

async fn scripted() -> Scripted {
    let (discord, feishu) = (ScriptedApi::start().await, ScriptedApi::start().await);
    let settings = Settings::random().with("DISCORD_API_URL", &discord.url()).with("FEISHU_API_URL", &feishu.url());
    let system = System::start_with(settings).await;
    seed::pool(&system, "pool-1", None).await;
    Scripted { system, discord, feishu }
}

impl Scripted {
    /// A person with a bot, and the bot's id.
    async fn person_with_bot(&self, email: &str) -> (Person<'_>, String) {
        let person = Person::new(&self.system, email).registered(PASSWORD).await;
        let made = person.v1(Method::POST, "/bots", json!({ "name": "One", "modelId": "a-model" })).await;
        assert_eq!(made.status, 200, "{made:?}");
        let id = made.json()["id"].as_str().unwrap().to_owned();
        (person, id)
    }

    /// Scripts Discord's API to know a bot of this application.
    fn discord_knows(&self, application: &str) {
        self.discord.say("users/@me", 200, json!({ "id": "900", "username": "bot", "bot": true }));
        self.discord.say("applications/@me", 200, json!({ "id": application, "name": "An application" }));
    }

    /// Scripts Feishu's API to know an app with a bot.
    fn feishu_knows(&self) {
        let token = json!({ "code": 0, "msg": "ok", "tenant_access_token": "t-1", "expire": 7200 });
        self.feishu.say("auth/v3/tenant_access_token/internal", 200, token);
        let bot = json!({ "app_name": "An app", "open_id": "ou_bot", "activate_status": 2 });
        self.feishu.say("bot/v3/info", 200, json!({ "code": 0, "msg": "ok", "bot": bot }));
    }
}

async fn connect_discord(person: &Person<'_>, body: Value) -> Answer {
    person.v1(Method::POST, "/channels/discord/connect", body).await
}

async fn connect_feishu(person: &Person<'_>, body: Value) -> Answer {
    person.v1(Method::POST, "/channels/feishu/connect", body).await
}

fn assert_refused(answer: &Answer, status: u16, message: &str) {
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (status, message), "{answer:?}");
}

//! Credentials of Discord and Feishu, from the form to the platform, and the events that Feishu sends and the relay
//! forwards.

use portcullis_auth::Clock;
use portcullis_tests::{
    Answer, ScriptedApi,
    feishu::{self, FeishuApp},
    system::{INDEX_LAG, Settings},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{LATEST, Tour, meant_at};

impl Tour {
    /// Starts a tour with scripted APIs of Discord and Feishu.
    pub async fn start_with_chat_platforms(discord: &ScriptedApi, feishu: &ScriptedApi) -> Self {
        let settings = Settings::random().with("DISCORD_API_URL", &discord.url()).with("FEISHU_API_URL", &feishu.url());
        let models = settings.with("LITELLM_BASE_URL", "https://models.example.com");
        Box::pin(Self::start_with(models.with("LITELLM_API_KEY", "not-a-key-to-any-model"))).await
    }

    /// Connects both platforms, correctly and not, and calls `sync-…`, while each platform repeats the credentials in
    /// its errors.
    pub async fn chat_platforms(&mut self, discord: &ScriptedApi, feishu: &ScriptedApi) {
        // The person's bot has no pool yet.
        let bot = json!({ "name": "A bot", "poolId": "pool-1", "modelId": "a-model" });
        let put = self.system().internal(Method::PUT, "/api/internal/bots/bot-ada").json(&bot);
        assert_eq!(self.send("a bot gets a pool", put, &[]).await.status, 200);
        self.discord(discord).await;
        self.feishu(feishu).await;
        // The bot's pool gets the credentials that its plugins sign in with, but not the secrets that authenticate
        // Feishu's events.
        let meant = [meant_at(LATEST), &["Discord's token", "Feishu's secret"]].concat();
        let config = self.system().internal(Method::GET, LATEST);
        let config = self.send("the configuration", config, &meant).await.json()["config"].to_string();
        for name in ["Discord's token", "Feishu's secret"] {
            let canary = self.canaries.iter().find(|canary| canary.name == name).expect("is watched");
            assert!(canary.found_in(&config).is_some(), "{name} is not in {config}");
        }
    }

    async fn discord(&mut self, api: &ScriptedApi) {
        let token = self.canary("Discord's token");
        let body = json!({ "botId": "bot-ada", "botToken": token, "appId": "1234567890" });
        for (status, says) in errors(&token) {
            api.say("users/@me", status, says);
            let refused = self.connect("discord", &body, &[]).await;
            assert!(!refused.status.is_success(), "{refused:?}");
        }
        api.say("users/@me", 200, json!({ "id": "900", "username": "bot", "bot": true }));
        api.say("applications/@me", 200, json!({ "id": "1234567890", "name": "An application" }));
        self.wrong_fields("discord", &body, "botToken", &token).await;
        assert_eq!(self.connect("discord", &body, &[]).await.status, 200);
        for (status, says) in errors(&token) {
            api.say("users/@me/guilds", status, says);
            self.sync("discord").await;
        }
        assert!(!api.calls("users/@me/guilds").is_empty(), "Discord was asked");
        // The refusal set the channel to an error; reconnecting repairs it.
        assert_eq!(self.connect("discord", &body, &[]).await.status, 200);
    }

    async fn feishu(&mut self, api: &ScriptedApi) {
        let (secret, tenant) = (self.canary("Feishu's secret"), self.canary("Feishu's token of a tenant"));
        let (verification, encrypt) = (self.canary("Feishu's verification token"), self.canary("Feishu's encrypt key"));
        let body = json!({
            "botId": "bot-ada", "appId": "cli_canary", "appSecret": secret, "connectionMode": "webhook",
            "verificationToken": verification, "encryptKey": encrypt,
        });
        let auth = "auth/v3/tenant_access_token/internal";
        for (status, says) in errors(&secret) {
            api.say(auth, status, says);
            let refused = self.connect("feishu", &body, &[]).await;
            assert!(!refused.status.is_success(), "{refused:?}");
        }
        api.say(auth, 200, json!({ "code": 0, "msg": "ok", "tenant_access_token": tenant, "expire": 7200 }));
        for (status, says) in errors(&tenant) {
            api.say("bot/v3/info", status, says);
            let refused = self.connect("feishu", &body, &[]).await;
            assert!(!refused.status.is_success(), "{refused:?}");
        }
        let bot = json!({ "app_name": "An app", "open_id": "ou_bot", "activate_status": 2 });
        api.say("bot/v3/info", 200, json!({ "code": 0, "msg": "ok", "bot": bot }));
        for (field, value) in [("appSecret", &secret), ("verificationToken", &verification), ("encryptKey", &encrypt)] {
            self.wrong_fields("feishu", &body, field, value).await;
        }
        let connected = self.connect("feishu", &body, &[]).await;
        assert_eq!(connected.status, 200, "{connected:?}");
        let app = FeishuApp {
            channel: connected.json()["id"].as_str().and_then(|id| id.parse().ok()).expect("a channel's id"),
            app: "cli_canary".to_owned(),
            verification_token: verification,
            encrypt_key: Some(encrypt),
        };
        self.feishu_events(&app).await;
        for (status, says) in errors(&tenant) {
            api.say("im/v1/chats", status, says);
            self.sync("feishu").await;
        }
        assert!(!api.calls("im/v1/chats").is_empty(), "Feishu was asked");
        assert_eq!(self.connect("feishu", &body, &[]).await.status, 200);
    }

    /// Valid and invalid events and clicks.
    async fn feishu_events(&mut self, app: &FeishuApp) {
        let now = self.system().clock.now();
        let key = app.encrypt_key.clone().expect("it encrypts");
        let mut message = app.message("oc_canary", 1);
        message["event"]["message"]["content"] = json!(self.canary("a message in Feishu"));
        let mut strangers = message.clone();
        strangers["header"]["token"] = json!(self.canary("a wrong token in Feishu"));
        let wrong_key = FeishuApp { encrypt_key: Some(self.canary("a wrong key")), ..app.clone() };
        let genuine =
            json!({ "type": "url_verification", "challenge": "a challenge", "token": app.verification_token });
        for path in [app.events_path(), app.cards_path(), "/api/feishu/events".to_owned()] {
            for (sender, body) in [(app, &message), (app, &strangers), (&wrong_key, &message), (app, &genuine)] {
                let request = sender.request(self.system(), &path, body, now);
                self.send("an event of Feishu", request, &[]).await;
                // The same body unencrypted.
                let plain = self.feishu_post(&path, &body.to_string());
                self.send("a plain event", plain, &[]).await;
            }
            let truncated = feishu::encrypted(&key, &message.to_string()).replace("==", "").replace('=', "");
            let request = feishu::signed(self.feishu_post(&path, &truncated), &key, &truncated, now);
            self.send("a damaged event", request, &[]).await;
            let none = feishu::encrypted(&key, &format!("[{key:?}"));
            let request = feishu::signed(self.feishu_post(&path, &none), &key, &none, now);
            self.send("an event that is no JSON", request, &[]).await;
        }
        let click = app.request(self.system(), &app.cards_path(), &app.click("oc_canary", 2), now);
        assert_eq!(self.send("a click", click, &[]).await.status, 200);
    }

    fn feishu_post(&self, path: &str, body: &str) -> RequestBuilder {
        let request = self.system().request(Method::POST, path).header("content-type", "application/json");
        request.body(body.to_owned())
    }

    /// A credential in invalid forms and in the wrong fields.
    async fn wrong_fields(&mut self, platform: &str, right: &Value, field: &str, secret: &str) {
        for value in
            [json!([secret]), json!({ "value": secret }), json!(format!("{secret}\n")), json!(secret.repeat(999))]
        {
            let mut body = right.clone();
            body[field] = value;
            assert_eq!(self.connect(platform, &body, &[]).await.status, 400, "{field}");
        }
        for (other, status) in [("appId", 400), ("botId", 404)] {
            let mut body = right.clone();
            body[other] = json!(format!("{secret}!"));
            assert_eq!(self.connect(platform, &body, &[]).await.status, status, "{other}");
        }
    }

    async fn connect(&mut self, platform: &str, body: &Value, meant: &[&str]) -> Answer {
        let request = self.system().request(Method::POST, &format!("/v1/channels/{platform}/connect"));
        let request = request.header("cookie", &self.prepared.cookie).header("origin", self.system().stack.base_url());
        self.send("connect a chat platform", request.json(body), meant).await
    }

    async fn sync(&mut self, platform: &str) {
        self.system().clock.advance(INDEX_LAG.unsigned_abs());
        let request = self.system().internal(Method::POST, &format!("/api/internal/sessions/sync-{platform}"));
        self.send("sync", request.json(&json!({ "poolId": "pool-1" })), &[]).await;
    }
}

/// Answers of a failing platform, each with the credential in it.
fn errors(secret: &str) -> [(u16, String); 6] {
    [
        (500, format!("<html>{secret}</html>")),
        (403, json!({ "message": secret, "code": 50_001 }).to_string()),
        (429, json!({ "message": secret, "retry_after": 60.0, "code": 99_991_400, "msg": secret }).to_string()),
        (200, json!({ "code": 99_991_663, "msg": secret }).to_string()),
        (200, format!("[\"{secret}\"")),
        (401, json!({ "message": secret, "code": 0, "msg": secret }).to_string()),
    ]
}

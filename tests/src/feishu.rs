//! Feishu's calls to the platform. Source: Feishu Open Platform, "Event structure" and "Encryption and verification".

use aes::Aes256;
use base64::{Engine, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use jiff::Timestamp;
use portcullis_auth::{BotId, ChannelId, FeishuSecrets};
use portcullis_store::{BotReach, NewFeishuChannel};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{System, system::random_hex};

/// A connected Feishu app that delivers events by webhook.
#[derive(Clone, Debug)]
pub struct FeishuApp {
    /// The channel's id.
    pub channel: ChannelId,
    /// The app's id.
    pub app: String,
    /// Verification token that its events carry.
    pub verification_token: String,
    /// Key for encryption and signatures, if the app has one.
    pub encrypt_key: Option<String>,
}

impl FeishuApp {
    /// Path of the app's event webhook.
    #[must_use]
    pub fn events_path(&self) -> String {
        format!("/api/feishu/events/{}", self.channel)
    }

    /// Path of the app's card-action webhook.
    #[must_use]
    pub fn cards_path(&self) -> String {
        format!("/api/feishu/card-action/{}", self.channel)
    }

    /// An `im.message.receive_v1` event of a message in a group.
    #[must_use]
    pub fn message(&self, chat: &str, number: u32) -> Value {
        json!({
            "schema": "2.0",
            "header": {
                "event_id": format!("event-{number}"), "event_type": "im.message.receive_v1", "create_time": "1800014400000",
                "token": self.verification_token, "app_id": self.app, "tenant_key": "tenant",
            },
            "event": {
                "sender": {
                    "sender_id": { "open_id": "ou_person", "union_id": "on_person", "user_id": null },
                    "sender_type": "user", "tenant_key": "tenant",
                },
                "message": {
                    "message_id": format!("om_{number}"), "create_time": "1800014400000", "chat_id": chat,
                    "chat_type": "group", "message_type": "text", "content": json!({ "text": format!("message {number}") }).to_string(),
                },
            },
        })
    }

    /// A `card.action.trigger` event of a click on a card's button.
    #[must_use]
    pub fn click(&self, chat: &str, number: u32) -> Value {
        json!({
            "schema": "2.0",
            "header": {
                "event_id": format!("click-{number}"), "event_type": "card.action.trigger", "token": self.verification_token,
                "app_id": self.app, "tenant_key": "tenant",
            },
            "event": {
                "operator": { "tenant_key": "tenant", "open_id": "ou_person" }, "token": format!("c-{number}"),
                "action": { "tag": "button", "value": { "choice": number } }, "host": "im_message",
                "context": { "open_message_id": "om_card", "open_chat_id": chat },
            },
        })
    }

    /// A webhook request with this body, encrypted and signed if the app has a key.
    pub fn request(&self, system: &System, path: &str, body: &Value, at: Timestamp) -> RequestBuilder {
        let request = system.request(Method::POST, path).header("content-type", "application/json");
        let Some(key) = &self.encrypt_key else { return request.body(body.to_string()) };
        let body = encrypted(key, &body.to_string());
        signed(request, key, &body, at).body(body)
    }
}

/// Connects a Feishu app to a bot, by webhook.
pub async fn channel(system: &System, id: &str, bot: &BotId, app: &str, encrypt_key: Option<String>) -> FeishuApp {
    let connected = FeishuApp {
        channel: id.parse().expect("a test's channel has a valid id"),
        app: app.to_owned(),
        verification_token: random_hex(16),
        encrypt_key,
    };
    let secrets = FeishuSecrets::new(
        connected.verification_token.as_str().into(),
        connected.encrypt_key.as_deref().map(Into::into),
    );
    let channel = NewFeishuChannel {
        id: connected.channel.clone(),
        bot: bot.clone(),
        app_id: app.parse().expect("a test's app has a valid id"),
        app_name: Some("An app".to_owned()),
        bot_user_id: Some("ou_bot".to_owned()),
        app_secret: format!("not-a-real-secret-{}", random_hex(8)).into(),
        webhook: Some(secrets),
    };
    system.store().connect_channel(BotReach::Any, channel).await.expect("the channel is connected");
    connected
}

/// A body encrypted by Feishu's scheme.
#[must_use]
pub fn encrypted(key: &str, body: &str) -> String {
    let mut bytes = vec![7; 16];
    let key: [u8; 32] = Sha256::digest(key).into();
    let cipher = cbc::Encryptor::<Aes256>::new((&key).into(), (&[7; 16]).into());
    bytes.extend(cipher.encrypt_padded_vec::<Pkcs7>(body.as_bytes()));
    json!({ "encrypt": STANDARD.encode(bytes) }).to_string()
}

/// The plaintext of an encrypted body.
///
/// # Panics
/// If the body was not encrypted with this key.
#[must_use]
pub fn decrypted(key: &str, body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).expect("it is JSON");
    let bytes = STANDARD.decode(body["encrypt"].as_str().expect("it is encrypted")).expect("it is base64");
    let (iv, ciphertext) = bytes.split_first_chunk::<16>().expect("it has an IV");
    let key: [u8; 32] = Sha256::digest(key).into();
    let cipher = cbc::Decryptor::<Aes256>::new((&key).into(), iv.into());
    let plaintext = cipher.decrypt_padded_vec::<Pkcs7>(ciphertext).expect("it is of this key");
    serde_json::from_slice(&plaintext).expect("it is JSON")
}

/// A signature by Feishu's scheme, computed without the code under test.
#[must_use]
pub fn signature(key: &str, timestamp: &str, nonce: &str, body: &[u8]) -> String {
    hex::encode(Sha256::digest([timestamp.as_bytes(), nonce.as_bytes(), key.as_bytes(), body].concat()))
}

/// Adds the headers of a signed request.
pub fn signed(request: RequestBuilder, key: &str, body: &str, at: Timestamp) -> RequestBuilder {
    let (timestamp, nonce) = (at.as_second().to_string(), random_hex(8));
    request
        .header("x-lark-signature", signature(key, &timestamp, &nonce, body.as_bytes()))
        .header("x-lark-request-timestamp", timestamp)
        .header("x-lark-request-nonce", nonce)
}

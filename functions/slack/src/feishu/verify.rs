//! Verification of Feishu requests. The order is fixed: one parse, the channel look-up, the signature or the token;
//! only a verified request is acted on.

use std::sync::Arc;

use http::HeaderMap;
use portcullis_auth::{
    ChannelId, Clock, FeishuSecrets,
    feishu::{FeishuSignature, NONCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
    slack_signature::SignatureError,
};
use portcullis_crypto::{Digest, Randomness};
use portcullis_runtime::{
    ApiError, ErrorCode,
    json::text,
    queue::EventKind,
    tier::{SignedRequest, WebhookGate},
};
use portcullis_store::StoreError;

use super::{
    body::{Body, without_verification_token},
    channels::{FeishuChannels, KnownChannel},
    queued::queued,
};
use crate::queued::Queued;

/// A verified request of a Feishu app.
#[derive(Clone)]
pub enum FeishuRequest {
    /// A URL verification: the text is echoed to Feishu.
    Challenge(String),
    /// An event or a card's action for one of our channels, ready to be queued.
    Event(Box<Queued>),
}

/// Kind of request that a path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeishuDoor {
    Events,
    CardActions,
}

/// Verifies the requests of one door.
pub struct FeishuGate {
    verifier: Arc<FeishuVerifier>,
    door: FeishuDoor,
}

impl FeishuGate {
    pub fn new(verifier: Arc<FeishuVerifier>, door: FeishuDoor) -> Self {
        Self { verifier, door }
    }
}

impl WebhookGate for FeishuGate {
    const TIER: &'static str = "feishu";

    type Event = FeishuRequest;

    async fn verify(&self, request: SignedRequest) -> Result<FeishuRequest, ApiError> {
        self.verifier.verify(request, self.door).await
    }
}

/// Verifies requests against the channels' secrets.
pub struct FeishuVerifier {
    channels: FeishuChannels,
    clock: Arc<dyn Clock>,
    /// Random secrets for constant work: a request for an unknown channel is verified with them, so that response time
    /// does not reveal which channels exist.
    nobodys: FeishuSecrets,
}

impl FeishuVerifier {
    pub fn new(channels: FeishuChannels, clock: Arc<dyn Clock>, randomness: &dyn Randomness) -> Self {
        let mut bytes = [0; 64];
        randomness.fill(&mut bytes);
        let (token, key) = bytes.split_at(32);
        let nobodys = FeishuSecrets::new(hex::encode(token).into(), Some(hex::encode(key).into()));
        Self { channels, clock, nobodys }
    }

    async fn verify(&self, request: SignedRequest, door: FeishuDoor) -> Result<FeishuRequest, ApiError> {
        let SignedRequest { channel: named, request_id, headers, body: raw } = request;
        let signature = self.signature(&headers)?;
        let text = text::readable(&raw);
        let sent = text.as_deref().and_then(Body::parse);
        let known = self.find(named.as_deref(), sent.as_ref()).await?;
        let secrets = known.as_deref().map_or(&self.nobodys, |known| &known.secrets);
        let is_signed = signature.is_some_and(|signature| secrets.verify(&signature, &raw).is_ok());
        let Some(sent) = sent else { return Err(unauthorized()) };
        // A body with a wrong signature is never decrypted: the kind of refusal would be a padding oracle.
        if sent.encrypt.is_some() && signature.is_some() && !is_signed {
            return Err(unauthorized());
        }
        let opened = sent.encrypt.as_deref().map(|encrypted| decrypted(secrets, encrypted));
        let text = match &opened {
            Some(opened) => opened.as_deref().ok_or_else(unauthorized)?,
            None => text.as_deref().ok_or_else(unauthorized)?,
        };
        let body = Body::parse(text).ok_or_else(unauthorized)?;
        let has_token = body.verification_token().is_some_and(|token| secrets.has_token(token));
        let Some(known) = known else { return Err(unauthorized()) };

        // An app with an encrypt key must encrypt everything. The verification token alone proves nothing here: each
        // event carries it, so anyone who has seen one event of the app could forge the next.
        let is_older_card = door == FeishuDoor::CardActions && opened.is_none() && body.is_older_card();
        let is_genuine = if is_older_card {
            signature.is_some_and(|signature| known.secrets.verify_card(&signature, &raw).is_ok())
        } else if known.secrets.encrypts() {
            // A URL verification may come without a signature.
            opened.is_some() && has_token && (is_signed || body.challenge().is_some() && signature.is_none())
        } else {
            has_token
        };
        if !is_genuine {
            return Err(unauthorized());
        }
        if let Some(challenge) = body.challenge() {
            return Ok(FeishuRequest::Challenge(challenge.to_owned()));
        }
        if text::has_duplicate_key(text) {
            return Err(malformed("The body is not the JSON object that Feishu sends"));
        }
        if !body.has_bounded_ids() {
            return Err(malformed("An id in the body is longer than 255 characters"));
        }
        if body.app().is_some_and(|app| app != known.channel.app_id.as_str()) {
            return Err(unauthorized());
        }
        let delivered = if is_older_card {
            let id = Digest::of_parts(&[b"card", known.channel.id.as_str().as_bytes(), &raw]).to_hex();
            body.newer_card(known.channel.app_id.as_str(), &id)
        } else {
            without_verification_token(text)
        };
        let delivered = delivered.map_err(|_| malformed("The body is not the JSON object that Feishu sends"))?;
        let kind = if door == FeishuDoor::CardActions { EventKind::Invocation } else { EventKind::Event };
        Ok(FeishuRequest::Event(Box::new(queued(&known.channel, &body, delivered, kind, request_id))))
    }

    /// Finds the channel that a request claims to come from: the channel of its path, or else of its body's app.
    async fn find(
        &self,
        named: Option<&str>,
        body: Option<&Body<'_>>,
    ) -> Result<Option<Arc<KnownChannel>>, StoreError> {
        match named {
            Some(named) => match named.parse::<ChannelId>() {
                Ok(id) => self.channels.by_id(id).await,
                Err(_) => Ok(None),
            },
            None => match body.and_then(Body::app).and_then(|app| app.parse().ok()) {
                Some(app) => self.channels.by_app(app).await,
                None => Ok(None),
            },
        }
    }

    /// Returns the three signature headers; `None` if one is absent, or the nonce is empty, too long or not UTF-8.
    ///
    /// # Errors
    /// 401 if a header is repeated, or the timestamp is malformed or outside the replay window.
    fn signature<'a>(&self, headers: &'a HeaderMap) -> Result<Option<FeishuSignature<'a>>, ApiError> {
        let only = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next().map(http::HeaderValue::as_bytes);
            if values.next().is_some() { Err(unauthorized()) } else { Ok(value) }
        };
        let (timestamp, nonce, signature) = (only(TIMESTAMP_HEADER)?, only(NONCE_HEADER)?, only(SIGNATURE_HEADER)?);
        match FeishuSignature::parse(timestamp, nonce, signature, self.clock.now()) {
            Ok(signed) => Ok(Some(signed)),
            // An app without an encrypt key sends the headers empty, or not at all.
            Err(SignatureError::Missing) => Ok(None),
            Err(_) => Err(unauthorized()),
        }
    }
}

fn decrypted(secrets: &FeishuSecrets, encrypted: &str) -> Option<String> {
    let plaintext = secrets.decrypt(encrypted)?;
    text::readable(&plaintext).map(std::borrow::Cow::into_owned)
}

fn unauthorized() -> ApiError {
    ApiError::unauthenticated("Invalid signature")
}

fn malformed(message: &'static str) -> ApiError {
    ApiError::bad_request(ErrorCode::MalformedJson, message)
}

//! Deciding whose a request is. The order is fixed: headers, one parse, the channel, the signature; only then is it acted on.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use portcullis_auth::{ChannelId, Clock, SignedHeaders, slack_signature};
use portcullis_runtime::{
    ApiError,
    rotating::Rotating,
    secrets::SlackApp,
    tier::{SignedRequest, SlackGate},
};

use crate::{
    body::Body,
    channels::{Channels, KnownChannel},
    identity::{Queued, identify},
};

/// What a verified request is.
#[derive(Clone)]
pub enum Verified {
    /// Slack asks whether we are there: this is to be sent back.
    Challenge(String),
    /// An event for one of our channels, ready to be queued.
    Event(Box<Queued>),
    /// Genuine, and for none of our channels: the platform's app in a workspace that is no longer connected.
    ForNobody,
}

/// Verifies requests against channels' secrets and the platform's own.
pub struct Gate {
    channels: Channels,
    slack_app: Rotating<SlackApp>,
    clock: Arc<dyn Clock>,
}

impl Gate {
    pub fn new(channels: Channels, slack_app: Rotating<SlackApp>, clock: Arc<dyn Clock>) -> Self {
        Self { channels, slack_app, clock }
    }

    /// A request for a known channel: signed with the channel's own secret, or, where the platform's app was connected
    /// before its secret was rotated, with the platform's current one.
    async fn verify_known(
        &self,
        known: Arc<KnownChannel>,
        signed: &SignedHeaders<'_>,
        raw: &Bytes,
    ) -> Result<Arc<KnownChannel>, ApiError> {
        if signed.verify(&known.secret, raw).is_ok() {
            return Ok(known);
        }
        // Tried for a customer's app as well, and its outcome thrown away: else the time that a refusal takes would tell
        // the two apart.
        let is_platforms = self.is_signed_by_platform(signed, raw).await;
        if !(is_platforms && known.channel.platform_app) {
            return Err(unauthorized());
        }
        if let Err(error) = self.channels.mend(&known, &self.slack_app.get().signing_secret).await {
            tracing::warn!(%error, channel = %known.channel.id, "the signing secret was not mended; the next event tries again");
        }
        Ok(known)
    }

    async fn is_signed_by_platform(&self, signed: &SignedHeaders<'_>, raw: &Bytes) -> bool {
        signed.verify(&self.slack_app.get().signing_secret, raw).is_ok()
            || signed.verify(&self.slack_app.look_again().await.signing_secret, raw).is_ok()
    }
}

impl SlackGate for Gate {
    type Event = Verified;

    async fn verify(&self, request: SignedRequest) -> Result<Verified, ApiError> {
        let SignedRequest { channel: named, headers, body: raw } = request;
        let signed = signed_headers(&headers, &*self.clock)?;
        let body = Body::parse(&raw);
        let installation = body.as_ref().and_then(Body::installation);
        let known = match (&named, &installation) {
            (Some(named), _) => match named.parse::<ChannelId>() {
                Ok(id) => self.channels.by_id(id).await?,
                Err(_) => None,
            },
            (None, Some(installation)) => self.channels.by_installation(installation).await?,
            (None, None) => None,
        };

        let Some(known) = known else {
            if !self.is_signed_by_platform(&signed, &raw).await {
                return Err(unauthorized());
            }
            return match genuine(body, &raw)? {
                body if body.is_url_verification() => challenge(&body),
                body if body.names_its_origin() => Ok(Verified::ForNobody),
                _ => Err(ApiError::bad_request("missing_origin", "team_id and api_app_id are required")),
            };
        };

        let known = self.verify_known(known, &signed, &raw).await?;
        let body = genuine(body, &raw)?;
        if body.is_url_verification() {
            return challenge(&body);
        }
        let is_its_own =
            installation.is_some_and(|of| known.channel.team_id == of.team && known.channel.app_id == of.app);
        if !is_its_own {
            return Err(unauthorized());
        }
        let text = std::str::from_utf8(&raw).map_err(|_| malformed())?;
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let queued = identify(&known.channel, &body, text, content_type.unwrap_or("application/json"));
        Ok(Verified::Event(Box::new(queued)))
    }
}

fn signed_headers<'a>(headers: &'a HeaderMap, clock: &dyn Clock) -> Result<SignedHeaders<'a>, ApiError> {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(http::HeaderValue::as_bytes);
        if values.next().is_some() { None } else { value }
    };
    let (timestamp, signature) = (only(slack_signature::TIMESTAMP_HEADER), only(slack_signature::SIGNATURE_HEADER));
    SignedHeaders::parse(timestamp, signature, clock.now()).map_err(|_| unauthorized())
}

/// The body of a request whose signature was verified, where it is one that the pool reads as we do.
fn genuine<'a>(body: Option<Body<'a>>, raw: &[u8]) -> Result<Body<'a>, ApiError> {
    body.filter(|_| Body::is_unambiguous(raw)).ok_or_else(malformed)
}

fn challenge(body: &Body<'_>) -> Result<Verified, ApiError> {
    let challenge = body.challenge.as_deref();
    let challenge = challenge.ok_or_else(|| ApiError::bad_request("missing_challenge", "challenge is required"))?;
    Ok(Verified::Challenge(challenge.to_owned()))
}

fn unauthorized() -> ApiError {
    ApiError::unauthenticated("Invalid signature")
}

fn malformed() -> ApiError {
    ApiError::bad_request("malformed_json", "The body is not the JSON object that Slack sends")
}

//! Verification of Slack requests. The order is fixed: headers, one parse, the channel look-up, the signature; only a
//! verified request is acted on.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use jiff::Timestamp;
use portcullis_auth::{ChannelId, Clock, SignedHeaders, SigningSecret, slack_signature};
use portcullis_crypto::Randomness;
use portcullis_runtime::{
    ApiError, ErrorCode,
    json::text,
    rotating::{Rotating, TRUSTED_FOR},
    secrets::SlackApp,
    tier::{SignedRequest, WebhookGate},
};
use portcullis_store::{ChannelEnd, StoreError};

use crate::{
    body::{Body, Installation},
    channels::{Channels, KnownChannel},
    invocation_body::FormBody,
    queued::Queued,
};

/// A request with a valid Slack signature.
#[derive(Clone)]
pub enum SlackRequest {
    /// A URL verification: the text is echoed to Slack.
    Challenge(String),
    /// An event, an interaction or a slash command for one of our channels, ready to be queued.
    Event(Box<Queued>),
    /// A notice that Slack holds back events of this channel's app because it exceeded its rate limit. The control
    /// plane handles it; pools do not get it.
    RateLimited(ChannelId),
    /// An event that ends this channel: its bot token is revoked, or its app is uninstalled.
    Ended(ChannelId, ChannelEnd, Timestamp),
    /// A verified request without effect: the platform's app in a workspace without a connected channel, a check of the
    /// endpoint's certificate, or a revocation of user tokens.
    Nothing,
}

/// Kind of body that a path takes.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    Events,
    Interactions,
    Commands,
}

/// Verifies the requests of one door.
pub struct Gate {
    verifier: Arc<Verifier>,
    door: Door,
}

impl Gate {
    pub fn new(verifier: Arc<Verifier>, door: Door) -> Self {
        Self { verifier, door }
    }
}

impl WebhookGate for Gate {
    const TIER: &'static str = "slack";

    type Event = SlackRequest;

    async fn verify(&self, request: SignedRequest) -> Result<SlackRequest, ApiError> {
        match self.door {
            Door::Events => self.verifier.verify_event(request).await,
            Door::Interactions => self.verifier.verify_form(request, FormBody::of_interaction).await,
            Door::Commands => self.verifier.verify_form(request, FormBody::of_command).await,
        }
    }
}

/// Verifies requests against the channels' signing secrets and the platform's own.
pub struct Verifier {
    channels: Channels,
    slack_app: Rotating<SlackApp>,
    clock: Arc<dyn Clock>,
    /// Random signing secret for constant work: a request for an unknown channel or the platform's app is verified
    /// with it too, so that response time does not reveal whose app it is.
    nobodys: SigningSecret,
}

impl Verifier {
    pub fn new(
        channels: Channels,
        slack_app: Rotating<SlackApp>,
        clock: Arc<dyn Clock>,
        randomness: &dyn Randomness,
    ) -> Self {
        let mut nobodys = [0; 32];
        randomness.fill(&mut nobodys);
        Self { channels, slack_app, clock, nobodys: SigningSecret::new(hex::encode(nobodys).into()) }
    }

    /// Returns whether a request is genuine. A request for a customer's app must be signed with the channel's own
    /// secret; a request for the platform's app, or for no known channel, with the platform's.
    async fn is_genuine(&self, known: Option<&KnownChannel>, signed: &SignedHeaders<'_>, raw: &Bytes) -> bool {
        let own = known.and_then(|known| known.secret.as_ref());
        let is_own = signed.verify(own.unwrap_or(&self.nobodys), raw).is_ok();
        if own.is_some() && is_own {
            return true;
        }
        // Constant work: verify with the platform's secret for customer apps too, so that response time does not
        // reveal whose app it is.
        let is_platforms = self.is_signed_by_platform(signed, raw).await;
        own.is_none() && is_platforms
    }

    /// Finds the channel that a request claims to come from: the channel of its path, or else of its body.
    async fn find(
        &self,
        named: Option<&str>,
        installations: &[Installation],
    ) -> Result<Option<Arc<KnownChannel>>, StoreError> {
        match named {
            Some(named) => match named.parse::<ChannelId>() {
                Ok(id) => self.channels.by_id(id).await,
                Err(_) => Ok(None),
            },
            None => self.channels.by_first_installation(installations).await,
        }
    }

    async fn is_signed_by_platform(&self, signed: &SignedHeaders<'_>, raw: &Bytes) -> bool {
        let now = self.clock.now();
        self.slack_app.no_older_than(TRUSTED_FOR).await.has_signed(signed, raw, now)
            || self.slack_app.refreshed().await.has_signed(signed, raw, now)
    }

    async fn verify_event(&self, request: SignedRequest) -> Result<SlackRequest, ApiError> {
        let SignedRequest { channel: named, request_id, headers, body: raw } = request;
        let signed = signed_headers(&headers, &*self.clock)?;
        let text = text::readable(&raw);
        let body = text.as_deref().and_then(Body::parse);
        let installations = body.as_ref().map(Body::installations).unwrap_or_default();
        let known = self.find(named.as_deref(), &installations).await?;
        if !self.is_genuine(known.as_deref(), &signed, &raw).await {
            return Err(unauthorized());
        }
        let Some(known) = known else {
            return match genuine(body, text.as_deref())? {
                body if body.is_url_verification() => challenge(&body),
                body if body.names_its_origin() => Ok(SlackRequest::Nothing),
                _ => Err(ApiError::bad_request(ErrorCode::MissingOrigin, "team_id and api_app_id are required")),
            };
        };

        let body = genuine(body, text.as_deref())?;
        if body.is_url_verification() {
            return challenge(&body);
        }
        let channel = &known.channel;
        if !installations.iter().any(|of| channel.team_id.as_ref() == Some(&of.team) && channel.app_id == of.app) {
            return Err(unauthorized());
        }
        if body.is_rate_limit_notice() {
            return Ok(SlackRequest::RateLimited(channel.id.clone()));
        }
        if let Some(event) = body.event().filter(|event| event.is_about_the_installation()) {
            let Some(end) = event.channel_end() else { return Ok(SlackRequest::Nothing) };
            // The time is required: otherwise an event from before a reconnection would end the new connection.
            let happened_at = body.happened_at();
            let happened_at =
                happened_at.ok_or_else(|| ApiError::bad_request(ErrorCode::MalformedJson, "event_time is required"))?;
            return Ok(SlackRequest::Ended(channel.id.clone(), end, happened_at));
        }
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or("application/json");
        Ok(SlackRequest::Event(Box::new(Queued::event(channel, &body, raw.clone(), content_type, request_id))))
    }

    async fn verify_form(
        &self,
        request: SignedRequest,
        read: impl FnOnce(&[u8]) -> FormBody + Send,
    ) -> Result<SlackRequest, ApiError> {
        let SignedRequest { channel: named, request_id, headers, body: raw } = request;
        let signed = signed_headers(&headers, &*self.clock)?;
        let body = read(&raw);
        let known = self.find(named.as_deref(), &body.installations()).await?;
        if !self.is_genuine(known.as_deref(), &signed, &raw).await {
            return Err(unauthorized());
        }
        let invocation = match body {
            FormBody::Invocation(invocation) => invocation,
            FormBody::SslCheck => return Ok(SlackRequest::Nothing),
            FormBody::Malformed => {
                return Err(ApiError::bad_request(
                    ErrorCode::MalformedForm,
                    "The body is not the form that Slack sends",
                ));
            }
        };
        if !invocation.has_bounded_ids() {
            return Err(ApiError::bad_request(
                ErrorCode::MalformedForm,
                "An id in the body is longer than 255 characters",
            ));
        }
        let Some(known) = known else {
            return if invocation.names_its_origin() {
                Ok(SlackRequest::Nothing)
            } else {
                let missing = "A team and api_app_id are required but on a channel's own path";
                Err(ApiError::bad_request(ErrorCode::MissingOrigin, missing))
            };
        };
        if !invocation.is_of(&known.channel) {
            return Err(unauthorized());
        }
        Ok(SlackRequest::Event(Box::new(Queued::invocation(&known.channel, &invocation, raw.clone(), request_id))))
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

/// Returns the body of a request whose signature was verified. Refuses a body with a repeated key in any object, since
/// the pool may read the other value, and one with an id that the store would refuse.
fn genuine<'a>(body: Option<Body<'a>>, text: Option<&str>) -> Result<Body<'a>, ApiError> {
    let (Some(body), Some(text)) = (body, text) else { return Err(malformed()) };
    if text::has_duplicate_key(text) {
        return Err(malformed());
    }
    if !body.has_bounded_ids() {
        return Err(ApiError::bad_request(ErrorCode::MalformedJson, "An id in the body is longer than 255 characters"));
    }
    Ok(body)
}

fn challenge(body: &Body<'_>) -> Result<SlackRequest, ApiError> {
    let challenge = body.challenge.as_deref();
    let challenge =
        challenge.ok_or_else(|| ApiError::bad_request(ErrorCode::MissingChallenge, "challenge is required"))?;
    Ok(SlackRequest::Challenge(challenge.to_owned()))
}

fn unauthorized() -> ApiError {
    ApiError::unauthenticated("Invalid signature")
}

fn malformed() -> ApiError {
    ApiError::bad_request(ErrorCode::MalformedJson, "The body is not the JSON object that Slack sends")
}

//! AWS signature version 4, verified by signing the same request again.
//!
//! Source: AWS IAM User Guide, "Create a signed AWS API request".

use std::{sync::Arc, time::SystemTime};

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use portcullis_auth::Clock;
use portcullis_crypto::constant_time_eq;

use super::{Answer, single};

const ALGORITHM: &str = "AWS4-HMAC-SHA256 ";
const SERVICE: &str = "dynamodb";
const DATE_HEADER: &str = "x-amz-date";
const TARGET_HEADER: &str = "x-amz-target";
/// Accepted clock difference, as at AWS.
const FRESHNESS: SignedDuration = SignedDuration::from_mins(15);

/// Reason for refusing a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request has no signature.
    Missing,
    /// The request was signed with an unknown key.
    UnknownKey,
    /// The signature is malformed, stale or wrong.
    Wrong(&'static str),
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing => {
                Self::refusal("MissingAuthenticationTokenException", "Request must be signed with this run's key.")
            }
            Refusal::UnknownKey => Self::refusal(
                "UnrecognizedClientException",
                "The access key is not the one that was made for this run.",
            ),
            Refusal::Wrong(problem) => Self::refusal("InvalidSignatureException", problem),
        }
    }
}

/// Signature fields of a request, as the request states them.
pub(super) struct Claim {
    region: String,
    time: Timestamp,
    /// Signed headers, without those that are always signed.
    headers: Vec<(String, String)>,
    target: String,
    signature: String,
}

impl Claim {
    /// The signed header `x-amz-target`.
    pub(super) fn target(&self) -> &str {
        &self.target
    }
}

/// Verifies requests to `/` that were signed with one pair of credentials.
pub(super) struct Verifier {
    access_key_id: String,
    identity: Identity,
    clock: Arc<dyn Clock>,
}

impl Verifier {
    pub(super) fn new(credentials: Credentials, clock: Arc<dyn Clock>) -> Self {
        Self { access_key_id: credentials.access_key_id().to_owned(), identity: credentials.into(), clock }
    }

    /// Parses the signature fields, and rejects errors that do not depend on the body.
    pub(super) fn claim(&self, headers: &HeaderMap) -> Result<Claim, Refusal> {
        if !headers.contains_key(header::AUTHORIZATION) {
            return Err(Refusal::Missing);
        }
        let malformed = Refusal::Wrong("The Authorization header is not that of signature version 4.");
        let authorization = single(headers, header::AUTHORIZATION.as_str());
        let fields = authorization.and_then(|value| value.strip_prefix(ALGORITHM)).ok_or(malformed)?;
        let field = |name: &str| {
            let mut values = fields.split(',').filter_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
            let value = values.next()?;
            values.next().is_none().then_some(value)
        };
        let credential = field("Credential").ok_or(malformed)?;
        let mut scope = credential.split('/');
        let id = scope.next().unwrap_or_default();
        if !constant_time_eq(id.as_bytes(), self.access_key_id.as_bytes()) {
            return Err(Refusal::UnknownKey);
        }
        let (Some(date), Some(region), Some(SERVICE), Some("aws4_request"), None) =
            (scope.next(), scope.next(), scope.next(), scope.next(), scope.next())
        else {
            return Err(Refusal::Wrong("The credential is not scoped to DynamoDB."));
        };
        let stated = single(headers, DATE_HEADER).ok_or(Refusal::Wrong("There is no single x-amz-date header."))?;
        let time = DateTime::strptime("%Y%m%dT%H%M%SZ", stated).and_then(|time| TimeZone::UTC.to_timestamp(time));
        let time = time.map_err(|_| Refusal::Wrong("The x-amz-date header is no date."))?;
        if !stated.starts_with(date) || self.clock.now().duration_since(time).abs() > FRESHNESS {
            return Err(Refusal::Wrong("The signature is older or newer than 15 minutes."));
        }
        let names = field("SignedHeaders").ok_or(malformed)?;
        if !names.split(';').any(|name| name == TARGET_HEADER) {
            return Err(Refusal::Wrong("The x-amz-target header is not signed."));
        }
        let mut signed = Vec::new();
        for name in names.split(';').filter(|name| !matches!(*name, "host" | DATE_HEADER)) {
            let value = single(headers, name).ok_or(Refusal::Wrong("A signed header is not there once."))?;
            signed.push((name.to_owned(), value.to_owned()));
        }
        let target = single(headers, TARGET_HEADER).unwrap_or_default().to_owned();
        let signature = field("Signature").ok_or(malformed)?.to_owned();
        Ok(Claim { region: region.to_owned(), time, headers: signed, target, signature })
    }

    /// Verifies the signature of this body, posted to `/` at `host`.
    pub(super) fn verify(&self, claim: &Claim, host: &str, body: &[u8]) -> Result<(), Refusal> {
        let signature = self.sign(claim, host, body).ok_or(Refusal::Wrong("The request cannot be signed."))?;
        if constant_time_eq(signature.as_bytes(), claim.signature.as_bytes()) {
            Ok(())
        } else {
            Err(Refusal::Wrong("The signature is not that of this request."))
        }
    }

    fn sign(&self, claim: &Claim, host: &str, body: &[u8]) -> Option<String> {
        let mut settings = SigningSettings::default();
        // The client states which headers it signed.
        settings.excluded_headers = None;
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&claim.region)
            .name(SERVICE)
            .time(SystemTime::try_from(claim.time).ok()?)
            .settings(settings)
            .build()
            .ok()?;
        let headers = claim.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let uri = format!("http://{host}/");
        let request = SignableRequest::new("POST", uri, headers, SignableBody::Bytes(body)).ok()?;
        let (_, signature) = sign(request, &params.into()).ok()?.into_parts();
        Some(signature)
    }
}

//! Signed Slack events as API Gateway would pass them on: a signature must be fresh, so a signed event cannot lie in a
//! file.

#![expect(clippy::indexing_slicing, reason = "the values are JSON objects that are built here")]

use jiff::Timestamp;
use portcullis_auth::{
    SigningSecret,
    slack_signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use serde_json::{Value, json};

/// Path of Slack's events.
pub const EVENTS_PATH: &str = "/api/slack/events";

/// Signs `body` at `now`; returns the two headers.
#[must_use]
pub fn headers(body: &[u8], secret: &SigningSecret, now: Timestamp) -> [(&'static str, String); 2] {
    let timestamp = now.as_second().to_string();
    let signature = secret.sign(&timestamp, body);
    [(TIMESTAMP_HEADER, timestamp), (SIGNATURE_HEADER, signature)]
}

/// Event of an HTTP API in API Gateway's payload format 2.0 that carries `body`, signed at `now`.
///
/// Source: Amazon API Gateway, "Working with AWS Lambda proxy integrations for HTTP APIs".
#[must_use]
pub fn event(body: &str, secret: &SigningSecret, now: Timestamp) -> Value {
    let mut headers_by_name = json!({
        "content-type": "application/json",
        "host": "api.example.com",
        "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
    });
    for (name, value) in headers(body.as_bytes(), secret, now) {
        headers_by_name[name] = value.into();
    }
    let route = format!("ANY {EVENTS_PATH}");
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": EVENTS_PATH,
        "rawQueryString": "",
        "headers": headers_by_name,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "local",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": EVENTS_PATH,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            },
            "requestId": "local",
            "routeKey": route,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

#[cfg(test)]
mod tests {
    use portcullis_auth::SignedHeaders;

    use super::*;

    #[test]
    fn a_signed_event_verifies_now_and_not_under_another_secret() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let secret = SigningSecret::new("one".into());
        let event = event(r#"{"a":"é"}"#, &secret, now);
        let header = |name: &str| event["headers"][name].as_str().unwrap().as_bytes();
        let signed = SignedHeaders::parse(Some(header(TIMESTAMP_HEADER)), Some(header(SIGNATURE_HEADER)), now).unwrap();
        let body = event["body"].as_str().unwrap().as_bytes();
        assert!(signed.verify(&secret, body).is_ok());
        assert!(signed.verify(&SigningSecret::new("other".into()), body).is_err());
        assert_eq!(event["requestContext"]["time"], "15/Jan/2027:08:00:00 +0000");
    }
}

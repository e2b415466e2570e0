//! Fuzzes Slack's two headers: nothing panics, only a plain and fresh integer timestamp is accepted, and only the
//! signature made with the secret verifies.
//!
//! Input: the timestamp up to the first NUL, the signature up to the second, then the body.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use portcullis_auth::{SignedHeaders, SigningSecret};

const NOW: i64 = 1_531_420_618;

fuzz_target!(|input: &[u8]| {
    let now = Timestamp::from_second(NOW).expect("a time");
    let mut parts = input.splitn(3, |&byte| byte == 0);
    let (timestamp, signature) = (parts.next(), parts.next());
    let body = parts.next().unwrap_or_default();
    let Ok(headers) = SignedHeaders::parse(timestamp, signature, now) else { return };

    let text = std::str::from_utf8(timestamp.unwrap_or_default()).expect("a number is text");
    let seconds: i64 = text.parse().expect("a plain integer");
    assert_eq!(seconds.to_string(), text);
    assert!(seconds.abs_diff(NOW) <= 300);

    let secret = SigningSecret::new("not-a-secret".into());
    let genuine = secret.sign(text, body);
    assert_eq!(headers.verify(&secret, body).is_ok(), signature == Some(genuine.as_bytes()));
    let headers = SignedHeaders::parse(timestamp, Some(genuine.as_bytes()), now).expect("as before");
    assert!(headers.verify(&secret, body).is_ok());
});

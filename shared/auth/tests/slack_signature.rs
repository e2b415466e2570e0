//! Tests of Slack's signatures: genuine requests and forgeries.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use jiff::Timestamp;
use portcullis_auth::{SignatureError, SignedHeaders, SigningSecret};
use proptest::prelude::*;

// Slack's worked example, from its page "Verifying requests from Slack".
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const SIGNED_AT: i64 = 1_531_420_618;
const TIMESTAMP: &[u8] = b"1531420618";
const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
const BODY: &[u8] = include_bytes!("data/slack-example.body");

fn secret() -> SigningSecret {
    SigningSecret::new(SECRET.into())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Checks a request that arrives in the second of its signing.
fn check(signature: &[u8], body: &[u8]) -> Result<(), SignatureError> {
    SignedHeaders::parse(Some(TIMESTAMP), Some(signature), at(SIGNED_AT))?.verify(&secret(), body)
}

/// Parses the headers of a request with this timestamp at `now`.
fn parse(timestamp: &[u8], now: i64) -> Result<(), SignatureError> {
    SignedHeaders::parse(Some(timestamp), Some(SIGNATURE.as_bytes()), at(now)).map(drop)
}

#[test]
fn slacks_own_example_verifies() {
    assert_eq!(BODY.len(), 362);
    assert_eq!(check(SIGNATURE.as_bytes(), BODY), Ok(()));
    assert_eq!(secret().sign("1531420618", BODY), SIGNATURE);
}

#[test]
fn a_request_300_seconds_off_either_way_is_taken_and_301_is_not() {
    assert_eq!(parse(TIMESTAMP, SIGNED_AT + 300), Ok(()));
    assert_eq!(parse(TIMESTAMP, SIGNED_AT - 300), Ok(()));
    assert_eq!(parse(TIMESTAMP, SIGNED_AT + 301), Err(SignatureError::Stale));
    assert_eq!(parse(TIMESTAMP, SIGNED_AT - 301), Err(SignatureError::Stale));
    assert_eq!(parse(b"0", SIGNED_AT), Err(SignatureError::Stale));
    assert_eq!(parse(b"0", 300), Ok(()));
    assert_eq!(parse(b"999999999999", SIGNED_AT), Err(SignatureError::Stale));
    let extremes = [Timestamp::MIN, Timestamp::MAX];
    assert!(extremes.iter().all(|now| SignedHeaders::parse(Some(TIMESTAMP), Some(b""), *now).is_err()));
}

#[test]
fn a_timestamp_that_is_not_a_plain_integer_is_refused() {
    let malformed: [&[u8]; 22] = [
        b"",
        b" ",
        b"+1531420618",
        b"-1531420618",
        b" 1531420618",
        b"1531420618 ",
        b"1531420618\n",
        b"1531420618\0",
        b"1531420618.0",
        b"1_531_420_618",
        b"1e9",
        b"0x5b47a04a",
        b"01531420618",
        b"00",
        b"1531420618,1531420618",
        b"1531420618000",
        b"9223372036854775807",
        b"9223372036854775808",
        b"99999999999999999999999999",
        "１５３１４２０６１８".as_bytes(),
        "١٥٣١٤٢٠٦١٨".as_bytes(),
        b"153142061\xff",
    ];
    for timestamp in malformed {
        // Only the form is wrong: the meant number is fresh.
        let refusal = parse(timestamp, SIGNED_AT);
        assert_eq!(refusal, Err(SignatureError::MalformedTimestamp), "{}", timestamp.escape_ascii());
    }
}

#[test]
fn a_request_without_one_of_the_headers_is_refused() {
    let now = at(SIGNED_AT);
    for (timestamp, signature) in [(None, None), (Some(TIMESTAMP), None), (None, Some(SIGNATURE.as_bytes()))] {
        assert_eq!(SignedHeaders::parse(timestamp, signature, now).map(drop), Err(SignatureError::Missing));
    }
}

#[test]
fn a_signature_in_any_other_spelling_is_refused() {
    let digits = &SIGNATURE["v0=".len()..];
    let spellings = [
        String::new(),
        "v0=".to_owned(),
        digits.to_owned(),
        format!("{SIGNATURE} "),
        format!(" {SIGNATURE}"),
        format!("{SIGNATURE}\n"),
        format!("{SIGNATURE}\0"),
        format!("V0={digits}"),
        format!("v1={digits}"),
        format!("v0={}", digits.to_uppercase()),
        format!("v0={}", &digits[1..]),
        format!("v0={}", &digits[..63]),
        format!("v0={digits}0"),
        format!("{SIGNATURE},{SIGNATURE}"),
        format!("v0={}", "é".repeat(64)),
        format!("v0={}", "é".repeat(32)),
        "\u{1d7d8}".repeat(64),
        "0".repeat(67),
        "v0=".to_owned() + &"0".repeat(64),
        "x".repeat(100_000),
    ];
    for signature in spellings {
        assert_eq!(check(signature.as_bytes(), BODY), Err(SignatureError::Mismatch), "{signature:.80}");
    }
    assert_eq!(check(&[0xff; 67], BODY), Err(SignatureError::Mismatch), "not even text");
}

#[test]
fn a_body_with_any_one_bit_flipped_or_cut_or_continued_is_refused() {
    for bit in 0..BODY.len() * 8 {
        let mut flipped = BODY.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(SIGNATURE.as_bytes(), &flipped), Err(SignatureError::Mismatch), "bit {bit}");
    }
    assert!(check(SIGNATURE.as_bytes(), &BODY[..361]).is_err());
    assert!(check(SIGNATURE.as_bytes(), &[BODY, b"\n"].concat()).is_err());
}

#[test]
fn a_body_is_verified_as_the_bytes_that_came_be_they_text_or_not() {
    for body in [&b"\xff\xfe\x00\x80{"[..], b"", "{\"text\":\"é\"}".as_bytes(), b"{\"text\":\"\xe9\"}"] {
        let signature = secret().sign("1531420618", body);
        assert_eq!(check(signature.as_bytes(), body), Ok(()), "{}", body.escape_ascii());
        // Lossy decoding would make another body.
        let lossy = String::from_utf8_lossy(body);
        assert_eq!(check(signature.as_bytes(), lossy.as_bytes()).is_ok(), lossy.as_bytes() == body);
    }
}

#[test]
fn the_signature_of_another_time_or_another_secret_is_refused() {
    let other_time = secret().sign("1531420619", BODY);
    assert_eq!(check(other_time.as_bytes(), BODY), Err(SignatureError::Mismatch));
    let other_secret = SigningSecret::new("another-secret".into()).sign("1531420618", BODY);
    assert_eq!(check(other_secret.as_bytes(), BODY), Err(SignatureError::Mismatch));
}

/// The colon between them cannot be part of a timestamp.
#[test]
fn a_byte_that_is_moved_between_timestamp_and_body_is_refused() {
    let signature = secret().sign("153142061", b"8:rest");
    let headers = SignedHeaders::parse(Some(b"1531420618"), Some(signature.as_bytes()), at(SIGNED_AT)).unwrap();
    assert_eq!(headers.verify(&secret(), b"rest"), Err(SignatureError::Mismatch));
}

#[test]
fn nothing_verifies_under_an_empty_secret() {
    let empty = SigningSecret::new(String::new().into());
    let signature = empty.sign("1531420618", BODY);
    let headers = SignedHeaders::parse(Some(TIMESTAMP), Some(signature.as_bytes()), at(SIGNED_AT)).unwrap();
    assert_eq!(headers.verify(&empty, BODY), Err(SignatureError::Mismatch));
}

#[test]
fn a_signing_secret_does_not_print_itself() {
    assert_eq!(format!("{:?}", secret()), "SigningSecret(..)");
}

proptest! {
    #[test]
    fn no_headers_make_it_panic(
        timestamp in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        signature in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..100)),
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let headers = SignedHeaders::parse(timestamp.as_deref(), signature.as_deref(), at(SIGNED_AT));
        prop_assert!(headers.and_then(|headers| headers.verify(&secret(), &body)).is_err());
    }

    #[test]
    fn a_signature_verifies_for_300_seconds_and_no_longer(
        signed_at in 1_000..4_000_000_000_i64,
        off in -1_000..1_000_i64,
        body in proptest::collection::vec(any::<u8>(), 0..1000),
    ) {
        let timestamp = signed_at.to_string();
        let signature = secret().sign(&timestamp, &body);
        let headers = SignedHeaders::parse(Some(timestamp.as_bytes()), Some(signature.as_bytes()), at(signed_at + off));
        let verified = headers.and_then(|headers| headers.verify(&secret(), &body));
        prop_assert_eq!(verified, if off.abs() <= 300 { Ok(()) } else { Err(SignatureError::Stale) });
    }
}

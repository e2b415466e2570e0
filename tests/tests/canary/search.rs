//! Searches texts for a secret in any encoding that it may have taken.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use base64::{Engine as _, engine::GeneralPurpose, engine::general_purpose};

/// A secret that must not appear, with a printable name.
pub struct Canary {
    /// Name that a report prints.
    pub name: String,
    forms: Vec<(&'static str, String)>,
}

impl Canary {
    /// A canary of a text.
    pub fn new(name: impl Into<String>, secret: &str) -> Self {
        Self::of_bytes(name, secret.as_bytes())
    }

    /// A canary of bytes.
    pub fn of_bytes(name: impl Into<String>, secret: &[u8]) -> Self {
        assert!(secret.len() >= 8, "a shorter one would be found by accident");
        let raw = String::from_utf8_lossy(secret).into_owned();
        let mut forms = vec![
            ("raw", raw.clone()),
            ("upper case", raw.to_uppercase()),
            ("lower case", raw.to_lowercase()),
            ("hex", hex::encode(secret)),
            ("upper-case hex", hex::encode_upper(secret)),
        ];
        for offset in 0..3 {
            forms.push(("base64", base64_inside(&general_purpose::STANDARD_NO_PAD, secret, offset)));
            forms.push(("url-safe base64", base64_inside(&general_purpose::URL_SAFE_NO_PAD, secret, offset)));
        }
        let percent = |keep: fn(u8) -> bool| {
            let encode = |byte: &u8| if keep(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
            secret.iter().map(encode).collect::<String>()
        };
        forms.push(("percent-encoded", percent(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))));
        forms.push(("percent-encoded throughout", percent(|_| false)));
        let decimal: Vec<String> = secret.iter().map(u8::to_string).collect();
        forms.push(("a list of bytes", decimal.join(", ")));
        forms.push(("a JSON list of bytes", decimal.join(",")));
        let inner = |quoted: String| quoted[1..quoted.len() - 1].to_owned();
        let json = |text: &str| inner(serde_json::to_string(text).unwrap());
        let debug = inner(format!("{raw:?}"));
        forms.push(("JSON", json(&raw)));
        forms.push(("JSON in JSON", json(&json(&raw))));
        forms.push(("Debug in JSON", json(&debug)));
        forms.push(("Debug", debug));
        Self { name: name.into(), forms }
    }

    /// Encoding in which the secret appears in `haystack`, if it does.
    pub fn found_in(&self, haystack: &str) -> Option<&'static str> {
        self.forms.iter().find(|(_, form)| haystack.contains(form)).map(|(name, _)| *name)
    }

    /// All encodings, by name.
    pub fn forms(&self) -> &[(&'static str, String)] {
        &self.forms
    }
}

/// Searches a text for all encodings of many secrets in one pass; one pass per secret would take minutes.
pub struct Searcher {
    forms: AhoCorasick,
    /// Index of the secret and name of the encoding, for each pattern.
    of_forms: Vec<(usize, &'static str)>,
}

impl Searcher {
    /// A searcher for these canaries.
    pub fn new(canaries: &[Canary]) -> Self {
        let forms = canaries
            .iter()
            .enumerate()
            .flat_map(|(place, canary)| canary.forms.iter().map(move |(name, form)| ((place, *name), form.as_str())));
        let (of_forms, texts): (Vec<_>, Vec<_>) = forms.unzip();
        Self { forms: AhoCorasick::new(texts).expect("the forms fit an automaton"), of_forms }
    }

    /// Indexes of the secrets that appear in a text, each with an encoding that was found.
    pub fn found_in(&self, text: &str) -> BTreeMap<usize, &'static str> {
        self.forms.find_overlapping_iter(text).map(|found| self.of_forms[found.pattern().as_usize()]).collect()
    }
}

/// Base64 digits that depend on the secret alone, if it follows `offset` other bytes.
fn base64_inside(engine: &GeneralPurpose, secret: &[u8], offset: usize) -> String {
    let mut encoded = engine.encode([&vec![0; offset][..], secret].concat());
    if !(offset + secret.len()).is_multiple_of(3) {
        encoded.pop();
    }
    encoded.split_off((offset * 8).div_ceil(6))
}

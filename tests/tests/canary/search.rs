//! Looking for a secret in whatever form it may have got somewhere.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use base64::{Engine as _, engine::GeneralPurpose, engine::general_purpose};

/// A secret that must not be found, under a name that may be printed.
pub struct Canary {
    /// What it is.
    pub name: String,
    forms: Vec<(&'static str, String)>,
}

impl Canary {
    /// Looks for this text.
    pub fn new(name: impl Into<String>, secret: &str) -> Self {
        Self::of_bytes(name, secret.as_bytes())
    }

    /// Looks for these bytes.
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

    /// The form in which it stands in there, if it does.
    pub fn found_in(&self, haystack: &str) -> Option<&'static str> {
        self.forms.iter().find(|(_, form)| haystack.contains(form)).map(|(name, _)| *name)
    }

    /// Each form.
    pub fn forms(&self) -> &[(&'static str, String)] {
        &self.forms
    }
}

/// Searches for all forms of many secrets in one pass over a text: one after another would take minutes.
pub struct Searcher {
    forms: AhoCorasick,
    /// The secret, by its place, and the name of each form.
    of_forms: Vec<(usize, &'static str)>,
}

impl Searcher {
    /// Searches for these.
    pub fn new(canaries: &[Canary]) -> Self {
        let forms = canaries
            .iter()
            .enumerate()
            .flat_map(|(place, canary)| canary.forms.iter().map(move |(name, form)| ((place, *name), form.as_str())));
        let (of_forms, texts): (Vec<_>, Vec<_>) = forms.unzip();
        Self { forms: AhoCorasick::new(texts).expect("the forms fit an automaton"), of_forms }
    }

    /// The secrets that stand in a text, by their place, each with a form of it that does.
    pub fn found_in(&self, text: &str) -> BTreeMap<usize, &'static str> {
        self.forms.find_overlapping_iter(text).map(|found| self.of_forms[found.pattern().as_usize()]).collect()
    }
}

/// What base64 makes of a secret that stands behind `offset` other bytes: the digits that depend on it alone.
fn base64_inside(engine: &GeneralPurpose, secret: &[u8], offset: usize) -> String {
    let mut encoded = engine.encode([&vec![0; offset][..], secret].concat());
    if !(offset + secret.len()).is_multiple_of(3) {
        encoded.pop();
    }
    encoded.split_off((offset * 8).div_ceil(6))
}

//! Static pages of a function: files that are compiled into the binary, and sent compressed if the browser accepts
//! gzip.

use std::{io::Write, sync::OnceLock};

use axum::response::{IntoResponse, Response};
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY},
};

use crate::ApiError;

/// Content security policy of the pages. They load their own files, call their own API and show pictures; a page
/// contains no inline script, style or event handler.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// A static file.
pub struct File {
    name: &'static str,
    text: &'static str,
    /// Compressed on first use, so that the start does not wait for it.
    compressed: OnceLock<Vec<u8>>,
}

/// A page and the files that it loads.
pub struct Pages {
    /// The HTML page.
    pub page: File,
    /// Paths at which the page is served.
    pub page_paths: &'static [&'static str],
    /// Files that the page loads.
    pub files: Vec<File>,
    /// Route of the files, with `{file}` for their name.
    pub files_route: &'static str,
}

impl File {
    /// Creates a file; the extension of `name` determines its content type.
    #[must_use]
    pub fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, compressed: OnceLock::new() }
    }

    fn content_type(&self) -> &'static str {
        match self.name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        }
    }

    fn compressed(&self) -> &[u8] {
        self.compressed.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            let written = encoder.write_all(self.text.as_bytes()).and_then(|()| encoder.finish());
            written.unwrap_or_else(|error| unreachable!("memory takes what is written: {error}"))
        })
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let headers =
            [(CONTENT_TYPE, self.content_type()), (CONTENT_SECURITY_POLICY, POLICY), (VARY, ACCEPT_ENCODING.as_str())];
        if takes_gzip(request) {
            (headers, [(CONTENT_ENCODING, "gzip")], self.compressed().to_vec()).into_response()
        } else {
            (headers, self.text).into_response()
        }
    }
}

impl Pages {
    pub(crate) fn page(&self, request: &HeaderMap) -> Response {
        self.page.answer(request)
    }

    pub(crate) fn file(&self, name: &str, request: &HeaderMap) -> Response {
        match self.files.iter().find(|file| file.name == name) {
            Some(file) => file.answer(request),
            None => ApiError::not_found("Not found").into_response(),
        }
    }
}

/// Returns whether a browser accepts gzip. Source: RFC 9110 §12.5.3; a weight of 0 refuses it.
fn takes_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=");
        let is_refused = !weight.is_empty() && weight.chars().all(|digit| matches!(digit, '0' | '.'));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_file_is_compressed_only_for_those_who_take_it() {
        let takes = |value: &str| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap())]);
            takes_gzip(&headers)
        };
        for good in ["gzip", "gzip, deflate, br", "br;q=1.0, GZIP;q=0.2", "deflate,gzip;q=1"] {
            assert!(takes(good), "{good}");
        }
        for bad in ["", "br", "gzip;q=0", "gzip;q=0.000", "identity", "x-gzipped"] {
            assert!(!takes(bad), "{bad}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_files_name_says_its_type() {
        let type_of = |name| File::new(name, "").content_type();
        assert_eq!(type_of("index.html"), "text/html; charset=utf-8");
        assert_eq!(type_of("a.css"), "text/css; charset=utf-8");
        assert_eq!(type_of("a.js"), "text/javascript; charset=utf-8");
    }
}

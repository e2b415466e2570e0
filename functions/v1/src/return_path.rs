//! Validation of the paths of the front end to which a browser returns.

use portcullis_runtime::origins::Origins;

/// Longest path to return to, in bytes.
const MAXIMUM_PATH_LENGTH: usize = 2048;

/// Returns a path of the front end, normalized as browsers read it; `None` for any text that leads elsewhere (open
/// redirect).
pub(crate) fn front_end_path(origins: &Origins, text: &str) -> Option<String> {
    if !text.starts_with('/') || text.len() > MAXIMUM_PATH_LENGTH {
        return None;
    }
    let url = origins.redirect_target(text).filter(|url| url.origin() == origins.web().url().origin())?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
    Some(format!("{}{query}{fragment}", url.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_returns_to_a_path_of_the_front_end_alone() {
        let origin = |text: &str| text.parse().unwrap();
        let origins = Origins::new(
            origin("https://api.example.com"),
            origin("https://web.example.com"),
            &"https://o.test".parse().unwrap(),
        );
        let path = |text: &str| front_end_path(&origins, text);
        assert_eq!(path("/").as_deref(), Some("/"));
        assert_eq!(path("/a/../b?c=d#e").as_deref(), Some("/b?c=d#e"));
        for bad in [
            "//evil.test",
            "/\\evil.test",
            "/\t/evil.test",
            "javascript:alert(1)",
            "https://evil.test",
            "https://web.example.com/a",
            "https://o.test/",
            "//o.test/",
            "a",
            &format!("/{}", "a".repeat(2048)),
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }
}

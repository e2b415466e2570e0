//! Routing of a path to a function, by API Gateway's rules for an HTTP API.
//!
//! Source: Amazon API Gateway, "Create routes for HTTP APIs": a full match wins over a greedy variable, and a route
//! that names the method wins over `ANY`. A static segment wins over a variable one.

use http::Method;

use crate::template::Route;

/// Routing table of the gateway.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    // Sorted, the most specific first, so that the first match wins.
    entries: Vec<Entry>,
    /// Function of `$default`.
    default: Option<String>,
}

#[derive(Clone, Debug)]
struct Entry {
    segments: Vec<Segment>,
    /// `None` matches any method.
    method: Option<Method>,
    function: String,
}

/// API Gateway's name of the route that takes all unmatched requests.
pub const DEFAULT_ROUTE: &str = "$default";

/// Segment of a path; the order goes from the most to the least specific.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Static(String),
    /// `{name}`: one segment, not empty.
    Variable,
    /// `{name+}`: the rest of the path, not empty.
    Greedy,
}

/// Reason why a route cannot be served. It holds the template's pattern, not a caller's data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("route {path}: {problem}")]
pub struct InvalidRoute {
    path: String,
    problem: &'static str,
}

impl RoutingTable {
    /// Builds the table from the template's routes.
    ///
    /// # Errors
    /// [`InvalidRoute`].
    pub fn new(routes: &[Route]) -> Result<Self, InvalidRoute> {
        let (defaults, routes): (Vec<_>, Vec<_>) = routes.iter().partition(|route| route.path == DEFAULT_ROUTE);
        let mut entries = routes
            .iter()
            .copied()
            .map(|route| entry(route).map_err(|problem| InvalidRoute { path: route.path.clone(), problem }))
            .collect::<Result<Vec<_>, _>>()?;
        entries.sort_by(|one, other| {
            one.segments.cmp(&other.segments).then_with(|| one.method.is_none().cmp(&other.method.is_none()))
        });
        Ok(Self { entries, default: defaults.first().map(|route| route.function.clone()) })
    }

    /// Function that answers this method and path, if any does.
    #[must_use]
    pub fn function(&self, method: &Method, path: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.matches(method, path));
        entry.map(|entry| entry.function.as_str()).or(self.default.as_deref())
    }
}

fn entry(route: &Route) -> Result<Entry, &'static str> {
    let path = route.path.strip_prefix('/').ok_or("it does not begin with /")?;
    let segments: Vec<Segment> = path.split('/').map(segment).collect::<Result<_, _>>()?;
    let greedy = segments.iter().position(|segment| *segment == Segment::Greedy);
    if greedy.is_some_and(|position| position + 1 != segments.len()) {
        return Err("a greedy variable is not its last segment");
    }
    let method = match route.method.to_ascii_uppercase().as_str() {
        "ANY" => None,
        method => Some(Method::from_bytes(method.as_bytes()).map_err(|_| "its method is none")?),
    };
    Ok(Entry { segments, method, function: route.function.clone() })
}

fn segment(text: &str) -> Result<Segment, &'static str> {
    match text.strip_prefix('{').map(|rest| rest.strip_suffix('}')) {
        None if text.contains(['{', '}']) => Err("a variable is not a whole segment"),
        None => Ok(Segment::Static(text.to_owned())),
        Some(Some(name)) if name.ends_with('+') => Ok(Segment::Greedy),
        Some(Some(name)) if !name.is_empty() => Ok(Segment::Variable),
        Some(_) => Err("a variable has no name or no end"),
    }
}

impl Entry {
    fn matches(&self, method: &Method, path: &str) -> bool {
        if self.method.as_ref().is_some_and(|own| own != method) {
            return false;
        }
        let Some(path) = path.strip_prefix('/') else { return false };
        let mut parts = path.split('/');
        for segment in &self.segments {
            let Some(part) = parts.next() else { return false };
            match segment {
                Segment::Static(text) if text == part => {}
                Segment::Variable if !part.is_empty() => {}
                Segment::Greedy => return !part.is_empty(),
                _ => return false,
            }
        }
        parts.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str, function: &str) -> Route {
        Route { path: path.to_owned(), method: method.to_owned(), function: function.to_owned() }
    }

    #[test]
    fn the_most_specific_route_answers_in_whatever_order_they_are_written() {
        let mut routes = vec![
            route("ANY", "/{rest+}", "rest"),
            route("ANY", "/pools/{id}", "one"),
            route("ANY", "/pools/register", "register"),
            route("POST", "/pools/{id}", "post"),
            route("ANY", "/pools/{id}/secrets", "secrets"),
            route("ANY", "/pools/{id}/{rest+}", "below"),
        ];
        for _ in 0..routes.len() {
            routes.rotate_left(1);
            let table = RoutingTable::new(&routes).unwrap();
            for (method, path, function) in [
                (Method::GET, "/pools/register", Some("register")),
                (Method::GET, "/pools/p1", Some("one")),
                (Method::POST, "/pools/p1", Some("post")),
                (Method::GET, "/pools/p1/secrets", Some("secrets")),
                (Method::GET, "/pools/p1/secrets/x", Some("below")),
                (Method::GET, "/pools/p1/a/b", Some("below")),
                (Method::GET, "/elsewhere", Some("rest")),
                (Method::GET, "/a/b/c", Some("rest")),
                (Method::GET, "/", None),
            ] {
                assert_eq!(table.function(&method, path), function, "{method} {path}");
            }
        }
    }

    #[test]
    fn a_variable_is_one_segment_that_is_not_empty() {
        let table = RoutingTable::new(&[route("ANY", "/events/{channelId}", "slack")]).unwrap();
        let function = |path| table.function(&Method::POST, path);
        assert_eq!(function("/events/c1"), Some("slack"));
        assert_eq!(function("/events/%2F..%2f"), Some("slack"), "what is encoded stays in its segment");
        for path in ["/events", "/events/", "/events/c1/", "/events/c1/x", "/Events/c1", "//events/c1", "events/c1", ""]
        {
            assert_eq!(function(path), None, "{path}");
        }
    }

    #[test]
    fn a_route_that_cannot_be_served_is_named() {
        for (method, path) in [
            ("ANY", "events"),
            ("ANY", "/a/{rest+}/b"),
            ("ANY", "/a/x{id}"),
            ("ANY", "/a/{}"),
            ("ANY", "/a/{id"),
            ("GE T", "/a"),
        ] {
            let error = RoutingTable::new(&[route(method, path, "f")]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("route {path}: ")), "{error}");
        }
    }
}

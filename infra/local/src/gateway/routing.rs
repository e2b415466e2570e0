//! Routing of a path to a function, by API Gateway's rules for an HTTP API.
//!
//! Source: Amazon API Gateway, "Create routes for HTTP APIs". Every route of the template takes any method and no route
//! has a greedy variable; `infra/template_check/rules.py` rejects others.

use crate::template::Route;

/// Routing table of the gateway.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    /// Functions by pattern. As in API Gateway, a static segment wins over a variable.
    functions: matchit::Router<String>,
    /// Function of `$default`.
    default: Option<String>,
}

/// API Gateway's name of the route that takes all unmatched requests.
pub const DEFAULT_ROUTE: &str = "$default";

/// Reason why a route cannot be served. It holds the template's pattern, not a caller's data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("route {path}: {problem}")]
pub struct InvalidRoute {
    path: String,
    problem: String,
}

impl RoutingTable {
    /// Builds the table from the template's routes.
    ///
    /// # Errors
    /// [`InvalidRoute`].
    pub fn new(routes: &[Route]) -> Result<Self, InvalidRoute> {
        let mut table = Self { functions: matchit::Router::new(), default: None };
        for Route { path, function } in routes {
            if path == DEFAULT_ROUTE {
                table.default = Some(function.clone());
                continue;
            }
            let invalid = |problem: String| InvalidRoute { path: path.clone(), problem };
            check(path).map_err(|problem| invalid(problem.to_owned()))?;
            table.functions.insert(path, function.clone()).map_err(|error| invalid(error.to_string()))?;
        }
        Ok(table)
    }

    /// Function that answers this path, if any does.
    #[must_use]
    pub fn function(&self, path: &str) -> Option<&str> {
        // API Gateway matches no empty segment to a variable; `matchit` does so in the middle of a path.
        let is_full = |found: &matchit::Match<&String>| found.params.iter().all(|(_, value)| !value.is_empty());
        let found = self.functions.at(path).ok().filter(is_full);
        found.map(|found| found.value.as_str()).or(self.default.as_deref())
    }
}

/// Rejects patterns that `matchit` would read otherwise than API Gateway.
fn check(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("it does not begin with /");
    }
    if path.contains("+}") {
        return Err("a variable is greedy");
    }
    if path.split('/').any(|segment| segment.find('{').is_some_and(|position| position > 0)) {
        return Err("a variable is not a whole segment");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str, function: &str) -> Route {
        Route { path: path.to_owned(), function: function.to_owned() }
    }

    #[test]
    fn the_most_specific_route_answers_in_whatever_order_they_are_written() {
        let mut routes = vec![
            route("/pools/{id}", "one"),
            route("/pools/register", "register"),
            route("/pools/{id}/secrets", "secrets"),
            route("/pools/{id}/{part}", "part"),
        ];
        for _ in 0..routes.len() {
            routes.rotate_left(1);
            let table = RoutingTable::new(&routes).unwrap();
            for (path, function) in [
                ("/pools/register", Some("register")),
                ("/pools/p1", Some("one")),
                ("/pools/registered", Some("one")),
                ("/pools/p1/secrets", Some("secrets")),
                ("/pools/register/secrets", Some("secrets")),
                ("/pools/p1/a", Some("part")),
                ("/pools/p1/a/b", None),
                ("/elsewhere", None),
                ("/", None),
            ] {
                assert_eq!(table.function(path), function, "{path}");
            }
        }
    }

    #[test]
    fn the_default_route_answers_only_what_no_other_route_answers() {
        let table = RoutingTable::new(&[route(DEFAULT_ROUTE, "rest"), route("/pools/{id}", "one")]).unwrap();
        assert_eq!(table.function("/pools/p1"), Some("one"));
        for path in ["/", "/pools/", "/elsewhere", "*", ""] {
            assert_eq!(table.function(path), Some("rest"), "{path}");
        }
    }

    #[test]
    fn a_variable_is_one_segment_that_is_not_empty() {
        let table =
            RoutingTable::new(&[route("/events/{channelId}", "slack"), route("/pools/{id}/secrets", "pool")]).unwrap();
        let function = |path| table.function(path);
        assert_eq!(function("/events/c1"), Some("slack"));
        assert_eq!(function("/events/%2F..%2f"), Some("slack"), "what is encoded stays in its segment");
        for path in [
            "/events",
            "/events/",
            "/events/c1/",
            "/events/c1/x",
            "/Events/c1",
            "//events/c1",
            "events/c1",
            "/pools//secrets",
            "",
        ] {
            assert_eq!(function(path), None, "{path}");
        }
    }

    #[test]
    fn a_route_that_cannot_be_served_is_named() {
        for path in ["events", "/a/{rest+}", "/a/{rest+}/b", "/a/x{id}", "/a/{id}x", "/a/{}", "/a/{id", "/a/id}"] {
            let error = RoutingTable::new(&[route(path, "f")]).err().unwrap().to_string();
            assert!(error.starts_with(&format!("route {path}: ")), "{error}");
        }
        let twice = [route("/a/{id}", "f"), route("/a/{name}", "g")];
        assert!(RoutingTable::new(&twice).is_err(), "two routes answer the same paths");
    }
}

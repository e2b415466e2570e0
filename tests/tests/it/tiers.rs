//! Tiers: each route accepts only its own callers and reveals nothing to others.

mod credentials;
mod ends;
mod modes;

use std::collections::BTreeSet;

use portcullis_local::{
    gateway::DEFAULT_ROUTE,
    template::{TEMPLATE, Template},
};
use portcullis_tests::{
    Answer, System,
    routes::{Prepared, ROUTES, Tier, calls},
    system::send,
};
use reqwest::Method;

use credentials::{Tokens, foreign_to};

/// A request id chosen by the caller, so that two refusals can be compared byte for byte.
const SAME_ID: &str = "the-same-id";

/// Paths that axum mounts for a router's 404.
const AXUMS_FALLBACK: [&str; 2] = ["/", "/{*__private__axum_fallback}"];

async fn prepared() -> Prepared {
    Prepared::new(System::start().await).await
}

fn assert_refused(answer: &Answer, status: u16, message: &str, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (status, message), "{what}");
    let code = match status {
        401 => "unauthorized",
        404 => "not_found",
        _ => "forbidden",
    };
    // Accounts' codes are in capitals, as better-auth's clients know them.
    assert_eq!(answer.json()["code"].as_str().unwrap_or_default().to_lowercase(), code, "{what}");
}

#[tokio::test]
async fn the_template_the_functions_and_this_suite_know_the_same_routes() {
    let system = System::start().await;
    let environment = system.stack.environment();
    let functions = [
        ("auth", auth::start(environment).await.unwrap()),
        ("v1", v1::start(environment).await.unwrap()),
        ("internal", internal::start(environment).await.unwrap()),
        ("skills", skills::start(environment).await.unwrap()),
        ("slack", slack::start(environment).await.unwrap()),
    ];
    // axum shows a router's routes only in its `Debug` output. If the format changes, no routes are found and the test
    // fails.
    let mounted: BTreeSet<(&str, String)> = functions
        .iter()
        .flat_map(|(function, router)| {
            let shown = format!("{router:?}");
            let paths = shown.split('"').filter(|part| part.starts_with('/') && !AXUMS_FALLBACK.contains(part));
            paths.map(|path| (*function, path.to_owned())).collect::<Vec<_>>()
        })
        .collect();
    let mut template = Template::parse(TEMPLATE).unwrap();
    for route in template.routes.iter_mut().filter(|route| route.path == DEFAULT_ROUTE) {
        // Requests to `/` arrive by the default route; `/` is mounted like axum's own fallback.
        "/".clone_into(&mut route.path);
    }
    let in_template: BTreeSet<(&str, String)> =
        template.routes.iter().map(|route| (route.function.as_str(), route.path.clone())).collect();
    let mounted_and_routed = |set: &BTreeSet<(&str, String)>| {
        // Every function has `/health`, so that it can run alone; the gateway sends the path to one of them.
        set.iter()
            .filter(|(_, path)| path != "/health" && path != "/")
            .cloned()
            .map(|(function, path)| (function.to_owned(), path))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(mounted_and_routed(&mounted), mounted_and_routed(&in_template));

    let known: BTreeSet<&str> = ROUTES.iter().map(|route| route.pattern).collect();
    let in_template: BTreeSet<&str> = template.routes.iter().map(|route| route.path.as_str()).collect();
    assert_eq!(known, in_template);
}

#[tokio::test]
async fn each_call_works_with_each_credential_that_counts() {
    let prepared = prepared().await;
    let settings = &prepared.system.settings;
    for (route, call) in calls() {
        let answer = send(prepared.authorized(route, call)).await;
        assert_eq!(answer.status, call.status, "{call:?} {answer:?}");
        if !route.tier.takes_tokens() {
            continue;
        }
        let mut counting = vec![settings.internal_token.clone()];
        match route.tier {
            Tier::Skill => {
                counting.push(settings.skill_token.clone());
                counting.push(credentials::issue_skill_token(&prepared.system, "pool-1", &["maps"], 60).await);
            }
            Tier::Runtime | Tier::Registration => {
                counting.push(credentials::issue_runtime_token(&prepared.system, "pool-1", 60).await);
            }
            Tier::Operator | Tier::Public | Tier::Browser | Tier::User | Tier::Slack | Tier::Feishu => {}
        }
        for token in counting {
            let bearers = ["Bearer", "bearer", "BEARER"].map(|scheme| ("authorization", format!("{scheme} {token}")));
            for (name, value) in [("x-internal-token", token.clone())].into_iter().chain(bearers) {
                let answer = send(prepared.anonymous(call).header(name, value)).await;
                assert_eq!(answer.status, call.status, "{call:?} with {name}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_else_is_let_in() {
    let prepared = prepared().await;
    let tokens = Tokens::issue(&prepared.system).await;
    let mut refused = 0;
    for (route, call) in calls() {
        for credential in foreign_to(&prepared, &tokens, route, call) {
            let answer = send(credential.put_on(prepared.anonymous(call))).await;
            let what = format!("{} {} with {}", call.method, call.path, credential.what);
            assert_refused(&answer, credential.status, credential.message, &what);
            refused += 1;
        }
    }
    assert!(refused > 250, "only {refused} were tried");
    // No request had an effect: the pool's tokens were not revoked, and no secret was written.
    let secrets = prepared.system.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1");
    assert_eq!(send(secrets).await.json(), serde_json::json!({}));
}

#[tokio::test]
async fn a_bound_token_that_is_changed_anywhere_is_refused() {
    let prepared = prepared().await;
    let runtime = credentials::issue_runtime_token(&prepared.system, "pool-1", 3600).await;
    let skill = credentials::issue_skill_token(&prepared.system, "pool-1", &["maps"], 3600).await;
    for (token, pattern) in [(runtime, "/api/internal/pools/heartbeat"), (skill, "/api/internal/secrets/{skillName}")] {
        let (route, call) = calls().find(|(route, _)| route.pattern == pattern).unwrap();
        let present = |token: &str| send(prepared.anonymous(call).header("x-internal-token", token));
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let answer = present(std::str::from_utf8(&changed).unwrap()).await;
            assert_refused(&answer, 401, route.tier.refusal(), &format!("changed at {place}"));
            assert_refused(&present(&token[..place]).await, 401, route.tier.refusal(), &format!("cut at {place}"));
        }
        assert_eq!(present(&token).await.status, 200);
    }
}

#[tokio::test]
async fn the_internal_header_wins_over_authorization() {
    let prepared = prepared().await;
    let settings = &prepared.system.settings;
    for (route, call) in calls().filter(|(route, _)| route.tier.takes_tokens()) {
        let (right, wrong) = (&settings.internal_token, "wrong-".repeat(8));
        let both = |internal: &str, bearer: &str| {
            let request = prepared.anonymous(call).header("x-internal-token", internal);
            send(request.header("authorization", format!("Bearer {bearer}")))
        };
        assert_refused(&both(&wrong, right).await, 401, route.tier.refusal(), call.path);
        assert_refused(&both("", right).await, 401, route.tier.refusal(), call.path);
        assert_eq!(both(right, &wrong).await.status, call.status, "{call:?}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_refused_like_any_request_and_with_a_credential_is_a_405() {
    let prepared = prepared().await;
    for route in ROUTES {
        let own: Vec<&str> = route.calls.iter().map(|call| call.method).collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            // A preflight to the front end's routes is answered without the handler.
            let is_preflight = method == "OPTIONS" && matches!(route.tier, Tier::Browser | Tier::User);
            if own.contains(&method) || is_preflight {
                continue;
            }
            let call = &route.calls[0];
            let method: Method = method.parse().unwrap();
            let what = format!("{method} {}", call.path);
            if !route.tier.is_open() {
                let answer = send(prepared.with_method(call, method.clone())).await;
                assert_refused(&answer, 401, route.tier.refusal(), &what);
            }
            let answer = send(prepared.authorized_with_method(route, call, method)).await;
            assert_eq!((answer.status.as_u16(), answer.message().as_str()), (405, "Method not allowed"), "{what}");
            assert_eq!(answer.json()["code"].as_str().unwrap().to_lowercase(), "method_not_allowed", "{what}");
            // RFC 9110 §15.5.6 requires `allow`.
            for method in &own {
                assert!(answer.header("allow").split(',').any(|allowed| allowed == *method), "{what}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_refused_caller_learns_nothing_by_any_request() {
    let prepared = prepared().await;
    let deep = "[".repeat(10_000);
    for (route, call) in calls().filter(|(route, _)| !route.tier.is_open()) {
        let method: Method = call.method.parse().unwrap();
        let same = |request: reqwest::RequestBuilder| send(request.header("x-request-id", SAME_ID));
        let expected = same(prepared.anonymous(call)).await;
        assert_refused(&expected, 401, route.tier.refusal(), call.path);
        let bare = || prepared.system.request(method.clone(), call.path);
        let mut attempts = vec![
            ("nothing", bare()),
            ("no content type", bare().body("{}")),
            ("a form", bare().header("content-type", "application/x-www-form-urlencoded").body("a=b")),
            ("garbage", bare().header("content-type", "application/json").body(vec![0xFF, 0x00, b'{'])),
            ("depth", bare().header("content-type", "application/json").body(deep.clone())),
            ("an unknown query", prepared.system.request(method.clone(), &format!("{}?x=%FF", path(call.path)))),
        ];
        // Slack's signature covers the body, so a body that is too large is refused before authentication.
        if !call.body.is_signed() {
            attempts.push(("2 MiB", bare().header("content-type", "application/json").body(vec![b' '; 2 << 20])));
        }
        let parameters = ["%FF", "%00", "no-such-id", &"x".repeat(4_000)].map(|id| {
            let path = path(call.path).replace("pool-1", id).replace("maps", id).replace("channel-1", id);
            prepared.system.request(method.clone(), &path)
        });
        attempts.extend(parameters.map(|request| ("another id", request)));
        for (what, request) in attempts {
            let answer = same(request).await;
            assert_eq!(answer.status, 401, "{what}");
            assert_eq!(String::from_utf8_lossy(&answer.body), String::from_utf8_lossy(&expected.body), "{what}");
            let headers = |answer: &Answer| {
                let names = answer.headers.iter().filter(|(name, _)| *name != "date");
                names.map(|(name, value)| (name.to_string(), value.clone())).collect::<BTreeSet<_>>()
            };
            assert_eq!(headers(&answer), headers(&expected), "{what}");
        }
    }
}

fn path(path_and_query: &str) -> &str {
    path_and_query.split('?').next().unwrap()
}

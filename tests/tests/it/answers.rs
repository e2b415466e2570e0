//! Properties of every answer: its security headers, its request id, and the shape of an error.

use std::collections::BTreeSet;

use portcullis_tests::{
    Answer, Fault, FaultProxy, System,
    routes::{Prepared, Tier, calls},
    system::{Settings, send},
};
use reqwest::Method;

const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ("content-security-policy", "default-src 'none'"),
    ("referrer-policy", "no-referrer"),
];

fn assert_common(answer: &Answer, what: &str) {
    for (name, value) in SECURITY_HEADERS {
        let values: Vec<&str> = answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        // Cut the policy at its styles: the documentation page has its own style, and the console loads its own files.
        let values: Vec<&str> = values.into_iter().map(|value| value.split("; s").next().unwrap()).collect();
        assert_eq!(values, [value], "{name} of {what}: {answer:?}");
    }
    let id = answer.header("x-request-id");
    assert!(!id.is_empty(), "{what}: {answer:?}");
    let is_console = what == "/"
        || ["GET / ", "/console/", "/workspace/channels/slack/callback", "/workspace/integrations/callback"]
            .iter()
            .any(|path| what.contains(path));
    let is_text =
        ["text/html; charset=utf-8", "text/javascript; charset=utf-8"].contains(&answer.header("content-type"));
    let is_page = is_text && (is_console || what.contains("/docs"));
    // Slack shows any text of such an answer to the user, so the body is empty.
    let is_for_slack = ["/api/slack/interactions", "/api/slack/commands"].iter().any(|path| what.contains(path));
    let is_empty = is_for_slack && answer.status == 200 && answer.body.is_empty();
    // Redirects have no body either.
    let is_empty = is_empty || answer.status == 302 && answer.body.is_empty();
    let has_no_type = !answer.headers.contains_key("content-type");
    assert!(is_page || is_empty && has_no_type || answer.header("content-type") == "application/json", "{what}");
    if answer.status.is_success() || answer.status.is_redirection() {
        return;
    }
    let body = answer.json();
    assert_eq!(body["requestId"], id, "{what}");
    let fields: BTreeSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let known = BTreeSet::from(["message", "code", "requestId", "fields"]);
    assert!(fields.is_subset(&known) && fields.len() >= 3, "{what}: {body}");
    let code = body["code"].as_str().unwrap();
    // Accounts' codes are in capitals, as better-auth's clients know them.
    let is_code = code == code.to_lowercase() || code == code.to_uppercase();
    assert!(is_code && code.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_'), "{what}: {code}");
    assert!(!code.is_empty(), "{what}");
    assert!(!body["message"].as_str().unwrap().is_empty(), "{what}");
    assert!(answer.status != 503 || answer.header("retry-after").parse::<u32>().is_ok(), "{what}: {answer:?}");
}

#[tokio::test]
async fn every_answer_of_a_function_has_the_security_headers_and_its_id() {
    let database = System::start().await;
    let proxy = FaultProxy::start(database.database()).await;
    let mut settings = Settings::random();
    settings.database = Some(proxy.sdk_config());
    let prepared = Prepared::new(System::start_with(settings).await).await;
    let mut seen = BTreeSet::new();
    let mut check = |answer: &Answer, what: &str| {
        assert_common(answer, what);
        seen.insert(answer.status.as_u16());
    };
    for (route, call) in calls() {
        let what = |why: &str| format!("{} {} {why}", call.method, call.path);
        check(&send(prepared.authorized(route, call)).await, &what("as it should be"));
        check(&send(prepared.anonymous(call)).await, &what("without a credential"));
        check(&send(prepared.authorized_with_method(route, call, Method::PATCH)).await, &what("by PATCH"));
        let bare = || {
            let request = prepared.system.internal(call.method.parse().unwrap(), call.path);
            request.header("content-type", "application/json")
        };
        check(&send(bare().body("{")).await, &what("with half a body"));
        check(&send(bare().body("{}")).await, &what("with no fields"));
        check(&send(bare().body(vec![b' '; 2 << 20])).await, &what("with 2 MiB"));
        let form = prepared.system.internal(call.method.parse().unwrap(), call.path);
        check(&send(form.header("content-type", "text/plain").body("{}")).await, &what("with text"));
        let elsewhere = call.path.replace("pool-1", "nowhere");
        check(&send(prepared.system.internal(call.method.parse().unwrap(), &elsewhere).body("")).await, &elsewhere);
        if !route.tier.is_open() {
            proxy.rule(|_| Fault::Code("ValidationException"));
            // Expire cached channels, which would otherwise keep the request from the store.
            prepared.system.clock.advance(std::time::Duration::from_mins(2));
            check(&send(prepared.authorized(route, call)).await, &what("with a store that refuses"));
            proxy.rule(|_| Fault::Code("AccessDeniedException"));
            check(&send(prepared.authorized(route, call)).await, &what("with a store that denies"));
            proxy.heal();
        }
    }
    let unknown = [200, 201, 400, 401, 404, 405, 413, 415, 500];
    assert!(unknown.iter().all(|status| seen.contains(status)), "not each status was seen: {seen:?}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_503_that_says_when_to_come_again() {
    let database = System::start().await;
    let proxy = FaultProxy::start(database.database()).await;
    let mut settings = Settings::random();
    settings.database = Some(proxy.sdk_config());
    let prepared = Prepared::new(System::start_with(settings).await).await;
    proxy.rule(|_| Fault::Code("ThrottlingException"));
    let (route, call) = calls().find(|(route, _)| route.tier == Tier::Skill).unwrap();
    let answer = send(prepared.authorized(route, call)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str().unwrap()), (503, "unavailable"));
    assert_common(&answer, "throttled");
}

#[tokio::test]
async fn a_heads_answer_has_a_gets_headers_and_no_body() {
    let prepared = Prepared::new(System::start().await).await;
    for (route, call) in calls().filter(|(_, call)| call.method == "GET" && call.status == 200) {
        let answer = send(prepared.authorized_with_method(route, call, Method::HEAD)).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{call:?}");
        assert_common(&answer, call.path);
        if !route.tier.is_open() {
            let refused = send(prepared.with_method(call, Method::HEAD)).await;
            assert_eq!((refused.status.as_u16(), refused.body.len()), (401, 0), "{call:?}");
        }
    }
}

#[tokio::test]
async fn a_callers_request_id_is_kept_where_it_is_well_formed_and_else_a_new_one_is_made() {
    let system = System::start().await;
    let ask = |id: &[u8]| {
        let id = reqwest::header::HeaderValue::from_bytes(id).unwrap();
        send(system.request(Method::GET, "/api/internal/secrets/maps").header("x-request-id", id))
    };
    let longest = "x".repeat(64);
    for kept in ["a", "0", "-", "_", ".", "A.b_c-9", longest.as_str()] {
        let answer = ask(kept.as_bytes()).await;
        assert_eq!((answer.header("x-request-id"), answer.json()["requestId"].as_str().unwrap()), (kept, kept));
    }
    let too_long = "x".repeat(65);
    let mut made = BTreeSet::new();
    for refused in ["", "a b", "a/b", "a,b", "a:b", "a\tb", "\"a\"", "é", "a;b", "{}", "a%20", too_long.as_str()] {
        let answer = ask(refused.as_bytes()).await;
        let id = answer.header("x-request-id").to_owned();
        assert!(id != refused && id.len() == 36, "{refused:?} became {id}");
        assert_eq!(answer.json()["requestId"], id);
        assert!(made.insert(id), "each is made once");
    }
    assert_eq!(ask(&[0xFF, 0xFE]).await.header("x-request-id").len(), 36);
    let none = send(system.request(Method::GET, "/health")).await;
    assert_eq!(none.header("x-request-id").len(), 36);
    let twice = system.request(Method::GET, "/health").header("x-request-id", "one").header("x-request-id", "two");
    let ids = send(twice).await.headers.get_all("x-request-id").iter().count();
    assert_eq!(ids, 1, "an answer has one id");
}

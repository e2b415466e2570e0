//! Truth tables of the tiers: the caller that each credential yields in each mode.

use std::sync::Arc;

use axum::{body::Body, extract::Request, routing};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use portcullis_auth::{Clock, Generation, PoolId, RuntimeGrant, SessionCookie, SkillGrant, SkillName, SkillSet};
use portcullis_crypto::{Domain, Keyring, Randomness};
use portcullis_store::{BotAccessError, BotReach, FixedKeys, PoolReach, Store};
use secrecy::ExposeSecret;
use tower::ServiceExt;

use super::*;
use crate::{
    ErrorCode,
    error::Refusal,
    metrics::Metrics,
    origins::{OriginList, Origins},
    rotating::Rotating,
    secrets::{FromSecret, SecretId, SecretSource},
};

const OPERATOR: &str = "the-operators-token-of-32-characters";
const SKILL: &str = "the-shared-skill-token-of-32-chars";
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

struct Zeros;

impl Randomness for Zeros {
    fn fill(&self, destination: &mut [u8]) {
        destination.fill(0);
    }
}

async fn secret<T: FromSecret>(id: SecretId) -> Rotating<T> {
    let values = [
        ("INTERNAL_API_TOKEN", OPERATOR.to_owned()),
        ("SKILL_API_TOKEN", SKILL.to_owned()),
        ("ENCRYPTION_KEY", "01".repeat(32)),
        ("BETTER_AUTH_SECRET", "s".repeat(32)),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value.into())).into();
    let source = Arc::new(SecretSource::Environment(values));
    Rotating::start(source, id, Arc::new(Still), Metrics::new("tests", Arc::new(Still), None)).await.unwrap()
}

async fn internal_gate(mode: TokenMode) -> InternalGate {
    InternalGate {
        token: secret(SecretId::InternalToken).await,
        mode,
        keyring: secret(SecretId::Keys(Domain::RuntimeTokens)).await,
        clock: Arc::new(Still),
    }
}

async fn skill_gate(mode: TokenMode, internal_mode: TokenMode) -> SkillGate {
    SkillGate {
        token: secret(SecretId::SkillToken).await,
        mode,
        internal_token: secret(SecretId::InternalToken).await,
        internal_mode,
        keyring: secret(SecretId::Keys(Domain::SkillTokens)).await,
        clock: Arc::new(Still),
    }
}

fn pool(id: &str) -> PoolId {
    id.parse().unwrap()
}

fn later() -> Timestamp {
    NOW + SignedDuration::from_hours(1)
}

fn runtime_grant() -> RuntimeGrant {
    RuntimeGrant { pool: pool("pool-1"), generation: Generation(7), expires_at: later() }
}

fn skill_grant() -> SkillGrant {
    let skills = SkillSet::only(["maps".parse::<SkillName>().unwrap()]).unwrap();
    SkillGrant { pool: pool("pool-1"), skills, generation: Generation(7), expires_at: later() }
}

/// Returns the status and the code of a refusal; `None` if the request was accepted.
async fn answer(mounted: Mounted, headers: HeaderMap) -> (StatusCode, Option<ErrorCode>) {
    let mut request = Request::builder().uri("/x").body(Body::empty()).unwrap();
    *request.headers_mut() = headers;
    let response = mounted.router.oneshot(request).await.unwrap();
    (response.status(), response.extensions().get::<Refusal>().map(|refusal| refusal.code))
}

fn with(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    pairs.iter().map(pair).collect()
}

fn token(value: &str) -> HeaderMap {
    with(&[("x-internal-token", value)])
}

#[test]
fn a_token_mode_is_one_of_two_words() {
    assert_eq!("any".parse(), Ok(TokenMode::Any));
    assert_eq!("bound".parse(), Ok(TokenMode::Bound));
    for bad in ["", "Any", "all"] {
        assert_eq!(bad.parse::<TokenMode>(), Err(InvalidTokenMode), "{bad}");
    }
}

#[tokio::test]
async fn a_mounted_route_has_its_tier_and_refuses_other_methods_behind_it() {
    let routes = || Routes::new().at("/x", routing::get(async || "x")).at("/y", routing::get(async || "y"));
    let mounted = operator(&internal_gate(TokenMode::Any).await, (), routes());
    assert_eq!(mounted.paths(), [("/x", "operator"), ("/y", "operator")]);
    let put = |headers: HeaderMap| {
        let mut request = Request::builder().method(Method::PUT).uri("/x").body(Body::empty()).unwrap();
        *request.headers_mut() = headers;
        request
    };
    let status = async |headers| mounted.router.clone().oneshot(put(headers)).await.unwrap().status();
    assert_eq!(status(token(OPERATOR)).await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        status(token("wrong")).await,
        StatusCode::UNAUTHORIZED,
        "a stranger does not learn which methods there are"
    );
}

#[tokio::test]
async fn each_internal_tier_takes_its_own_callers() {
    use ErrorCode::{Forbidden, Unauthorized};
    let keyring = Keyring::from_single_key(&"01".repeat(32)).unwrap().for_domain(Domain::RuntimeTokens);
    let bound = runtime_grant().issue(&keyring);
    let of_skill = {
        let keyring = Keyring::from_single_key(&"01".repeat(32)).unwrap().for_domain(Domain::SkillTokens);
        skill_grant().issue(&keyring)
    };
    let (bound, of_skill) = (bound.expose_secret(), of_skill.expose_secret());
    let ok = (StatusCode::OK, None);
    let forbidden = (StatusCode::FORBIDDEN, Some(Forbidden));
    let unauthorized = (StatusCode::UNAUTHORIZED, Some(Unauthorized));
    for (mode, presented, of_runtime, of_registration, of_operator) in [
        (TokenMode::Any, OPERATOR, ok, ok, ok),
        (TokenMode::Bound, OPERATOR, forbidden, ok, ok),
        (TokenMode::Any, bound, ok, ok, forbidden),
        (TokenMode::Bound, bound, ok, ok, forbidden),
        (TokenMode::Any, SKILL, unauthorized, unauthorized, unauthorized),
        (TokenMode::Any, of_skill, unauthorized, unauthorized, unauthorized),
        (TokenMode::Any, "", unauthorized, unauthorized, unauthorized),
    ] {
        let gate = internal_gate(mode).await;
        let routes = || Routes::new().at("/x", routing::get(async || "x"));
        assert_eq!(answer(internal(&gate, (), routes()), token(presented)).await, of_runtime, "{mode:?}");
        assert_eq!(answer(registration(&gate, (), routes()), token(presented)).await, of_registration, "{mode:?}");
        assert_eq!(answer(operator(&gate, (), routes()), token(presented)).await, of_operator, "{mode:?}");
    }
}

#[tokio::test]
async fn the_skill_tier_takes_each_token_as_its_mode_says() {
    use TokenMode::{Any, Bound};
    let keyring = Keyring::from_single_key(&"01".repeat(32)).unwrap().for_domain(Domain::SkillTokens);
    let bound = skill_grant().issue(&keyring);
    let (ok, forbidden, unauthorized) = (StatusCode::OK, StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED);
    for (mode, internal_mode, of_skill, of_operator) in [
        (Any, Any, ok, ok),
        (Bound, Any, unauthorized, ok),
        (Any, Bound, ok, forbidden),
        (Bound, Bound, unauthorized, forbidden),
    ] {
        let gate = skill_gate(mode, internal_mode).await;
        let status = async |presented: &str| {
            let routes = Routes::new().at("/x", routing::get(async || "x"));
            answer(skill(&gate, (), routes), token(presented)).await.0
        };
        assert_eq!(status(SKILL).await, of_skill, "{mode:?} {internal_mode:?}");
        assert_eq!(status(OPERATOR).await, of_operator, "{mode:?} {internal_mode:?}");
        assert_eq!(status(bound.expose_secret()).await, ok, "{mode:?} {internal_mode:?}");
        assert_eq!(status("another token").await, unauthorized);
    }
}

#[test]
fn a_bound_caller_reaches_its_own_pool_skills_and_bots() {
    let (own, other) = (pool("pool-1"), pool("pool-2"));
    let (maps, mail) = ("maps".parse().unwrap(), "mail".parse().unwrap());
    let bound = PoolMachine::Bound(runtime_grant());
    assert_eq!(bound.reach(&own).unwrap(), PoolReach::While(Generation(7)));
    assert!(bound.reach(&other).is_err());
    assert_eq!(PoolMachine::Operator.reach(&other).unwrap(), PoolReach::Any);
    assert_eq!((bound.ends_at(), PoolMachine::Operator.ends_at()), (Some(later()), None));
    assert_eq!(
        (bound.bots(), PoolMachine::Operator.bots()),
        (BotReach::PoolMachine(&own, Generation(7)), BotReach::Any)
    );

    let bound = Skill::Bound(skill_grant());
    let shared = Skill::Static;
    assert_eq!(bound.reach(&own, &maps).unwrap(), PoolReach::While(Generation(7)));
    assert!(bound.reach(&own, &mail).is_err() && bound.reach(&other, &maps).is_err());
    assert_eq!(shared.reach(&other, &mail).unwrap(), PoolReach::Any);
    assert_eq!((bound.pool(), shared.pool()), (Some(&own), None));
    assert_eq!((bound.bots(), shared.bots()), (BotReach::Skill(&own, Generation(7)), BotReach::Any));
}

#[test]
fn each_refusal_of_a_bot_has_a_status_of_its_own() {
    let status = |error: ApiError| error.into_response().status();
    for (error, wanted) in [
        (BotAccessError::NotFound, StatusCode::BAD_REQUEST),
        (BotAccessError::NotOfPool, StatusCode::FORBIDDEN),
        (BotAccessError::Revoked, StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(status(PoolMachine::refuse_bot(error.clone())), wanted);
        assert_eq!(status(Skill::refuse_bot(error)), wanted);
    }
    assert_eq!(status(PoolMachine::revoked()), StatusCode::UNAUTHORIZED);
    assert_eq!(status(Skill::revoked()), StatusCode::UNAUTHORIZED);
}

/// A gate that accepts only the body "good".
struct Word;

impl WebhookGate for Word {
    const TIER: &'static str = "slack";

    type Event = String;

    async fn verify(&self, request: SignedRequest) -> Result<String, ApiError> {
        let channel = request.channel.unwrap_or_else(|| "none".to_owned());
        if request.body == "good" { Ok(channel) } else { Err(ApiError::unauthenticated("Invalid signature")) }
    }
}

#[tokio::test]
async fn the_slack_tier_verifies_before_anything_and_takes_the_body() {
    let handler = async |Verified(event): Verified<String>, request: Request| {
        let body = axum::body::to_bytes(request.into_body(), 10).await.unwrap();
        format!("{event} {}", body.len())
    };
    let routes = Routes::new().at("/x", routing::post(handler)).at("/x/{channelId}", routing::post(handler));
    let mounted = webhook(Arc::new(Word), (), routes.at("/z/{other}", routing::post(handler)));
    let send = async |path: &str, body: &'static str| {
        let request = Request::builder().method(Method::POST).uri(path).body(Body::from(body)).unwrap();
        let response = mounted.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(send("/x", "good").await, (200, "none 0".to_owned()));
    assert_eq!(send("/x/channel-1", "good").await, (200, "channel-1 0".to_owned()));
    assert_eq!(send("/z/channel-1", "good").await, (200, "none 0".to_owned()));
    assert_eq!(send("/x", "bad").await.0, 401);
    assert_eq!(send("/x/%ff", "good").await, (200, " 0".to_owned()), "it names a channel that is none");
}

/// Builds a gate for an API at `https://api.example.com` with pages at `https://web.example.com`.
async fn browser_gate() -> BrowserGate {
    let origin = |text: &str| text.parse().unwrap();
    let keyring = Keyring::from_single_key(&"01".repeat(32)).unwrap();
    // No call reaches AWS.
    let aws = aws_types::SdkConfig::builder().behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest()).build();
    let keys = Arc::new(FixedKeys::derived_from(&keyring));
    BrowserGate {
        secret: secret(SecretId::Session).await,
        cookie: SessionCookie::new(true, None),
        origins: Arc::new(Origins::new(
            origin("https://api.example.com"),
            origin("https://web.example.com"),
            &OriginList::default(),
        )),
        store: Store::new(portcullis_store::client(&aws), "tests-", keys, Arc::new(Still), Arc::new(Zeros)),
        clock: Arc::new(Still),
    }
}

#[tokio::test]
async fn a_change_is_taken_from_pages_of_trusted_origins_and_from_scripts_without_a_cookie() {
    use ErrorCode::{InvalidOrigin, MissingOrNullOrigin};
    const COOKIE: (&str, &str) = ("cookie", "__Secure-better-auth.session_token=not.genuine");
    let gate = browser_gate().await;
    let send = async |method: Method, headers: HeaderMap| {
        let routes = Routes::new().at("/x", routing::get(async || "x").post(async || "x"));
        let mut request = Request::builder().method(method).uri("/x").body(Body::empty()).unwrap();
        *request.headers_mut() = headers;
        let response = browser(&gate, (), routes).router.oneshot(request).await.unwrap();
        (response.status().as_u16(), response.extensions().get::<Refusal>().map(|refusal| refusal.code))
    };
    let (ok, invalid, missing) = ((200, None), (403, Some(InvalidOrigin)), (403, Some(MissingOrNullOrigin)));
    for (headers, outcome) in [
        (&[][..], ok),
        (&[("origin", "https://web.example.com")], ok),
        (&[("origin", "https://api.example.com"), COOKIE], ok),
        (&[("origin", "https://evil.test")], invalid),
        (&[("origin", "https://evil.test"), COOKIE], invalid),
        (&[("origin", "https://web.example.com.evil.test"), COOKIE], invalid),
        (&[("origin", "http://web.example.com"), COOKIE], invalid),
        (&[("origin", "")], missing),
        (&[("origin", "null")], missing),
        (&[("origin", "null"), COOKIE], missing),
        (&[COOKIE], missing),
        (&[("referer", "https://evil.test/")], missing),
        (&[("sec-fetch-site", "cross-site")], missing),
        (&[("sec-fetch-site", "same-site")], missing),
        (&[("sec-fetch-site", "same-origin")], ok),
        (&[("sec-fetch-site", "none")], ok),
    ] {
        assert_eq!(send(Method::POST, with(headers)).await, outcome, "{headers:?}");
        assert_eq!(send(Method::GET, with(headers)).await, ok, "a read from anywhere: {headers:?}");
    }
    let mut twice = with(&[("origin", "https://web.example.com")]);
    twice.append("origin", HeaderValue::from_static("https://web.example.com"));
    assert_eq!(send(Method::POST, twice).await, invalid);
}

#[tokio::test]
async fn a_person_is_whoever_shows_a_genuine_cookie_alone() {
    let gate = browser_gate().await;
    let token = portcullis_auth::SessionToken::generate(&Zeros);
    let secret = portcullis_auth::SessionSecret::new(&"s".repeat(32)).unwrap();
    let issued = gate.cookie.issue(&token, &secret, None);
    let genuine = issued.split(';').next().unwrap();
    let tokens = async |headers: HeaderMap| {
        let handler = async |browser: Browser| match browser.token {
            Some(token) => format!("{} {}", token.id(), browser.user_agent.unwrap_or_default()),
            None => "nobody".to_owned(),
        };
        let routes = Routes::new().at("/x", routing::get(handler));
        let mut request = Request::builder().uri("/x").body(Body::empty()).unwrap();
        *request.headers_mut() = headers;
        let response = browser(&gate, (), routes).router.oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let long = "u".repeat(300);
    let shown = tokens(with(&[("cookie", genuine), ("user-agent", &long)])).await;
    assert_eq!(shown, format!("{} {}", token.id(), "u".repeat(256)));
    for cookie in ["x=1", "__Secure-better-auth.session_token=not.genuine", &genuine.replace("__Secure-", "")] {
        assert_eq!(tokens(with(&[("cookie", cookie)])).await, "nobody", "{cookie}");
    }
    // Without a cookie of a valid signature, the store is not called.
    let routes = Routes::new().at("/x", routing::get(async |_: User| "x"));
    assert_eq!(answer(user(&gate, (), routes), with(&[("cookie", "x=1")])).await.0, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_clients_address_is_the_gateways_or_the_peers() {
    let mut extensions = http::Extensions::new();
    assert_eq!(client_address(&extensions), None);
    let peer: std::net::SocketAddr = "192.0.2.7:443".parse().unwrap();
    extensions.insert(axum::extract::ConnectInfo(peer));
    assert_eq!(client_address(&extensions), Some(peer.ip()));
}

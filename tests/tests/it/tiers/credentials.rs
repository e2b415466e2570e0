//! Invalid credentials for each tier, with the expected refusal.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis_auth::{Clock, Generation, RuntimeGrant, SkillGrant, SkillSet};
use portcullis_crypto::Keyring;
use portcullis_tests::{
    System, feishu,
    routes::{Call, Prepared, Route, Tier},
    seed, slack,
    system::{random_hex, send},
};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const OF_ANOTHER_SKILL: (u16, &str) = (403, "Token is not valid for this skill");
const OPERATORS_ALONE: (u16, &str) = (403, "This needs the operator's token");

/// Issues a runtime token.
pub async fn issue_runtime_token(system: &System, pool: &str, ttl: u64) -> String {
    issue(system, &format!("/api/internal/pools/{pool}/runtime-tokens"), json!({ "ttlSeconds": ttl })).await
}

/// Issues a skill token for these skills.
pub async fn issue_skill_token(system: &System, pool: &str, skills: &[&str], ttl: u64) -> String {
    let body = json!({ "ttlSeconds": ttl, "skills": skills });
    issue(system, &format!("/api/internal/pools/{pool}/skill-tokens"), body).await
}

async fn issue(system: &System, path: &str, body: Value) -> String {
    let answer = send(system.internal(Method::POST, path).json(&body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// Bound tokens that are valid somewhere, or were.
pub struct Tokens {
    runtime: Kind,
    skill: Kind,
    of_another_skill: String,
    of_no_skill: String,
}

/// Tokens of one kind.
struct Kind {
    own: String,
    expired: String,
    revoked: String,
    of_another_pool: String,
    under_another_key: String,
}

impl Tokens {
    /// Issues the tokens and advances the clock by a minute.
    pub async fn issue(system: &System) -> Self {
        seed::pool(system, "pool-2", None).await;
        let runtime = async |pool, ttl| issue_runtime_token(system, pool, ttl).await;
        let skill = async |pool, ttl| issue_skill_token(system, pool, &["maps"], ttl).await;
        let expired = (runtime("pool-1", 60).await, skill("pool-1", 60).await);
        system.clock.advance(Duration::from_mins(1));
        let revoked = (runtime("pool-1", 3600).await, skill("pool-1", 3600).await);
        for kind in ["runtime-tokens", "skill-tokens"] {
            let path = format!("/api/internal/pools/pool-1/{kind}");
            assert_eq!(send(system.internal(Method::DELETE, &path)).await.status, 200);
        }
        let foreign = under_another_key(system);
        Self {
            runtime: Kind {
                own: runtime("pool-1", 3600).await,
                expired: expired.0,
                revoked: revoked.0,
                of_another_pool: runtime("pool-2", 3600).await,
                under_another_key: foreign.0,
            },
            skill: Kind {
                own: skill("pool-1", 3600).await,
                expired: expired.1,
                revoked: revoked.1,
                of_another_pool: skill("pool-2", 3600).await,
                under_another_key: foreign.1,
            },
            of_another_skill: issue_skill_token(system, "pool-1", &["mail"], 3600).await,
            of_no_skill: issue_skill_token(system, "pool-1", &[], 3600).await,
        }
    }
}

/// A runtime and a skill token with valid contents, issued under another system's key.
fn under_another_key(system: &System) -> (String, String) {
    let keyring = Keyring::from_single_key(&random_hex(32)).unwrap();
    let (pool, generation) = ("pool-1".parse().unwrap(), Generation(1));
    let expires_at = system.clock.now() + Duration::from_hours(1);
    let runtime = RuntimeGrant { pool, generation, expires_at };
    let skill = SkillGrant { pool: runtime.pool.clone(), skills: SkillSet::All, generation, expires_at };
    let text = |token: secrecy::SecretString| token.expose_secret().to_owned();
    (text(runtime.issue(&keyring)), text(skill.issue(&keyring)))
}

/// A credential that a tier must refuse.
pub struct Foreign {
    /// Description for messages of the test.
    pub what: String,
    headers: Vec<(&'static str, String)>,
    /// Expected status.
    pub status: u16,
    /// Expected error message.
    pub message: &'static str,
}

impl Foreign {
    /// Adds the credential to a request.
    pub fn put_on(&self, request: RequestBuilder) -> RequestBuilder {
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }
}

/// All credentials that a tier's routes must refuse.
pub fn foreign_to(prepared: &Prepared, tokens: &Tokens, route: &Route, call: &Call) -> Vec<Foreign> {
    let tier = route.tier;
    match tier {
        Tier::Public | Tier::Browser => Vec::new(),
        Tier::User => {
            let tokens = malformed(&prepared.system, tier).into_iter();
            let refused = |(what, headers)| Foreign { what, headers, status: 401, message: tier.refusal() };
            tokens.chain(malformed_cookies(prepared)).map(refused).collect()
        }
        Tier::Slack => foreign_to_slack(prepared, tokens, call),
        Tier::Feishu => foreign_to_feishu(prepared, tokens, call),
        _ => {
            let mut all = Vec::new();
            for (what, headers) in malformed(&prepared.system, tier) {
                all.push(Foreign { what, headers, status: 401, message: tier.refusal() });
            }
            for (what, token, (status, message)) in well_formed(&prepared.system, tokens, route) {
                for headers in
                    [vec![("x-internal-token", token.to_owned())], vec![("authorization", format!("Bearer {token}"))]]
                {
                    all.push(Foreign { what: format!("{what} in {}", headers[0].0), headers, status, message });
                }
            }
            all
        }
    }
}

/// Malformed session cookies: each gets a 401.
fn malformed_cookies(prepared: &Prepared) -> Vec<(String, Vec<(&'static str, String)>)> {
    let right = &prepared.cookie;
    let (name, value) = right.split_once('=').unwrap();
    let (token, _) = value.split_once('.').unwrap();
    let cookies = [
        ("an empty cookie", format!("{name}=")),
        ("a token without its signature", format!("{name}={token}")),
        ("a token with an empty signature", format!("{name}={token}.")),
        ("a cut cookie", right[..right.len() - 1].to_owned()),
        ("a cookie of another name", format!("other.session_token={value}")),
        ("a cookie of the other scheme", format!("__Secure-{right}")),
        ("two cookies of the name", format!("{right}; {name}=x.y")),
    ];
    let origin = prepared.system.stack.base_url();
    cookies.map(|(what, cookie)| (what.to_owned(), vec![("cookie", cookie), ("origin", origin.clone())])).into()
}

/// Malformed tokens and near misses of the valid one: each gets a 401.
fn malformed(system: &System, tier: Tier) -> Vec<(String, Vec<(&'static str, String)>)> {
    let right = if tier == Tier::Skill { &system.settings.skill_token } else { &system.settings.internal_token };
    let (start, end) = right.split_at(right.len() / 2);
    let (x, bearer) = ("x-internal-token", "authorization");
    let mut all = vec![("nothing".to_owned(), vec![])];
    let near = [
        ("an empty one", String::new()),
        ("a wrong one", "wrong-".repeat(8)),
        ("one of the same length", "0".repeat(right.len())),
        ("one with a space in it", format!("{start} {end}")),
        ("one with a tab in it", format!("{start}\t{end}")),
        ("one with an encoded space", format!("{right}%20")),
        ("one with a NUL's name", format!("{right}\\0")),
        ("one that is cut", right[..right.len() - 1].to_owned()),
        ("one without its beginning", right[1..].to_owned()),
        ("one and more", format!("{right}0")),
        ("one with more before it", format!("0{right}")),
        ("one of other case", right.to_uppercase()),
        ("one in quotes", format!("\"{right}\"")),
        ("one twice in a line", format!("{right},{right}")),
        ("a very long one", "0".repeat(8 * 1024)),
        ("the claim to be a runtime token", format!("prt_{right}")),
        ("the claim to be a skill token", format!("pst_{right}.{right}")),
        ("the beginning of a bound token", "pst_".to_owned()),
    ];
    for (what, token) in near {
        all.push((format!("{what} as it is"), vec![(x, token.clone())]));
        all.push((format!("{what} as a bearer"), vec![(bearer, format!("Bearer {token}"))]));
    }
    let basic = STANDARD.encode(format!("user:{right}"));
    for (what, value) in [
        ("Basic", format!("Basic {right}")),
        ("Basic, as it should be", format!("Basic {basic}")),
        ("no scheme", right.clone()),
        ("a scheme that runs into it", format!("Bearer{right}")),
        ("two spaces", format!("Bearer  {right}")),
        ("a tab", format!("Bearer\t{right}")),
        ("another word", format!("Token {right}")),
        ("two schemes", format!("Bearer Bearer {right}")),
    ] {
        all.push((what.to_owned(), vec![(bearer, value)]));
    }
    all.push(("the scheme in our own header".to_owned(), vec![(x, format!("Bearer {right}"))]));
    all.push(("the right one twice".to_owned(), vec![(x, right.clone()), (x, right.clone())]));
    let bearers = vec![(bearer, format!("Bearer {right}")), (bearer, format!("Bearer {right}"))];
    all.push(("the right bearer twice".to_owned(), bearers));
    all.push(("another header".to_owned(), vec![("x-api-key", right.clone()), ("cookie", right.clone())]));
    all
}

/// Well-formed tokens that are valid elsewhere or have expired.
fn well_formed<'a>(
    system: &'a System,
    tokens: &'a Tokens,
    route: &Route,
) -> Vec<(&'static str, &'a str, (u16, &'static str))> {
    let refused = (401, route.tier.refusal());
    let of_another_pool = route.of_another_pool;
    let Tokens { runtime, skill, of_another_skill, of_no_skill } = tokens;
    if route.tier == Tier::Skill {
        let mut all = vec![
            ("a runtime token", runtime.own.as_str(), refused),
            ("an expired runtime token", &runtime.expired, refused),
            ("an expired token", &skill.expired, refused),
            ("a revoked token", &skill.revoked, refused),
            ("a token under another key", &skill.under_another_key, refused),
        ];
        all.extend(of_another_pool.map(|refusal| ("another pool's token", skill.of_another_pool.as_str(), refusal)));
        // Routes about a bot accept every skill of its pool.
        if route.pattern.contains("{skillName}") {
            all.push(("another skill's token", of_another_skill, OF_ANOTHER_SKILL));
            all.push(("a token for no skill", of_no_skill, OF_ANOTHER_SKILL));
        }
        return all;
    }
    // Routes that accept no runtime token do not check whether one was revoked.
    let is_operators = route.tier == Tier::Operator;
    let or_operators = |refusal| if is_operators { OPERATORS_ALONE } else { refusal };
    let mut all = vec![
        ("the skill token", system.settings.skill_token.as_str(), refused),
        ("a bound skill token", &skill.own, refused),
        ("an expired skill token", &skill.expired, refused),
        ("an expired token", &runtime.expired, refused),
        ("a token under another key", &runtime.under_another_key, refused),
        ("a revoked token", &runtime.revoked, or_operators(refused)),
    ];
    let of_another_pool = of_another_pool.map(or_operators);
    all.extend(of_another_pool.map(|refusal| ("another pool's token", runtime.of_another_pool.as_str(), refusal)));
    if is_operators {
        all.push(("the pool's own token", &runtime.own, OPERATORS_ALONE));
    }
    all
}

/// Invalid proofs of a Feishu request; the suite `feishu` covers invalid bodies.
fn foreign_to_feishu(prepared: &Prepared, tokens: &Tokens, call: &Call) -> Vec<Foreign> {
    let settings = &prepared.system.settings;
    let now = prepared.system.clock.now().as_second();
    let body = prepared.feishu_body(call, false);
    let sign = |key: &str, at: i64| {
        let at = at.to_string();
        let signature = feishu::signature(key, &at, "nonce", body.as_bytes());
        let nonce = ("x-lark-request-nonce", "nonce".to_owned());
        vec![("x-lark-signature", signature), ("x-lark-request-timestamp", at), nonce]
    };
    let own = prepared.feishu.encrypt_key.as_deref().unwrap_or_default();
    let internal = |token: &str| vec![("x-internal-token", token.to_owned())];
    [
        ("nothing", vec![]),
        ("the internal token", internal(&settings.internal_token)),
        ("the skill token", internal(&settings.skill_token)),
        ("a runtime token", internal(&tokens.runtime.own)),
        ("the right signature over a body with another token", sign(own, now)),
        ("a signature alone", sign(own, now)[..1].to_vec()),
        ("a signature twice", [sign(own, now), sign(own, now)].concat()),
        ("another key's signature", sign(&random_hex(16), now)),
        ("Slack's signing secret's signature", sign(&settings.slack_signing_secret, now)),
        ("a signature of 301 s ago", sign(own, now - 301)),
        ("a signature of 301 s ahead", sign(own, now + 301)),
    ]
    .into_iter()
    .map(|(what, headers)| Foreign { what: what.to_owned(), headers, status: 401, message: Tier::Feishu.refusal() })
    .collect()
}

/// Invalid proofs of a Slack request; the suite `slack_ingress` covers invalid signatures.
fn foreign_to_slack(prepared: &Prepared, tokens: &Tokens, call: &Call) -> Vec<Foreign> {
    let settings = &prepared.system.settings;
    let now = prepared.system.clock.now().as_second();
    let sign = |secret: &str, at: i64| {
        let signature = slack::signature(secret, &at.to_string(), prepared.signed_body(call).as_bytes());
        vec![("x-slack-signature", signature), ("x-slack-request-timestamp", at.to_string())]
    };
    let own = &prepared.connected.signing_secret;
    let twice = [sign(own, now), sign(own, now)].concat();
    let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
    let internal = |token: &str| vec![("x-internal-token", token.to_owned())];
    [
        ("nothing", vec![]),
        ("the internal token", internal(&settings.internal_token)),
        ("the internal token as a bearer", bearer(&settings.internal_token)),
        ("the skill token", internal(&settings.skill_token)),
        ("a runtime token", internal(&tokens.runtime.own)),
        ("a skill token", internal(&tokens.skill.own)),
        ("a signature alone", sign(own, now)[..1].to_vec()),
        ("a timestamp alone", sign(own, now)[1..].to_vec()),
        ("a signature twice", twice),
        ("an empty signature", vec![("x-slack-signature", String::new()), sign(own, now)[1].clone()]),
        ("another secret's signature", sign(&random_hex(16), now)),
        ("the platform's signature on a customer's app", sign(&settings.slack_signing_secret, now)),
        ("the delivery secret's signature", sign(&prepared.connected.delivery_secret, now)),
        ("a signature of 301 s ago", sign(own, now - 301)),
        ("a signature of 301 s ahead", sign(own, now + 301)),
    ]
    .into_iter()
    .map(|(what, headers)| Foreign { what: what.to_owned(), headers, status: 401, message: Tier::Slack.refusal() })
    .collect()
}

//! Every route, the tier that it is behind, and a request that it carries out.

use portcullis_auth::Clock;
use reqwest::{Method, RequestBuilder};

use crate::{
    StandInPool, System,
    seed::{self, Connected},
    slack,
};

/// The pool that the requests are about.
pub const POOL: &str = "pool-1";

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Nothing.
    Public,
    /// A signature over the body.
    Slack,
    /// The internal token, in either mode, or the pool's runtime token.
    Registration,
    /// The internal token, in either mode.
    Operator,
    /// The internal token, or the pool's runtime token.
    Runtime,
    /// The skill token, the internal token, or the pool's skill token.
    Skill,
}

impl Tier {
    /// What a caller without the right credential is told; the contract's words.
    #[must_use]
    pub fn refusal(self) -> &'static str {
        match self {
            Self::Public => unreachable!("nobody is refused"),
            Self::Slack => "Invalid signature",
            Self::Registration | Self::Operator | Self::Runtime => "Unauthorized internal request",
            Self::Skill => "Unauthorized skill request",
        }
    }

    /// Whether a token in a header is what it asks for.
    #[must_use]
    pub fn takes_tokens(self) -> bool {
        !matches!(self, Self::Public | Self::Slack)
    }
}

/// A route of the template.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The template's pattern.
    pub pattern: &'static str,
    /// Who may call it.
    pub tier: Tier,
    /// What it can be asked.
    pub calls: &'static [Call],
}

/// A request that a route carries out.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// The path, of [`POOL`].
    pub path: &'static str,
    /// What it is sent.
    pub body: Body,
    /// What it answers.
    pub status: u16,
}

/// What a route is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// This JSON.
    Json(&'static str),
    /// A Slack event.
    Event,
}

const HEALTH: Body = Body::None;
const EVENTS: Body = Body::Event;
const TTL: Body = Body::Json(r#"{"ttlSeconds":3600}"#);
const POOL_ALONE: Body = Body::Json(r#"{"poolId":"pool-1"}"#);
const SECRET: Body = Body::Json(r#"{"secrets":{"A_KEY":"a value"}}"#);

const fn call(method: &'static str, path: &'static str, body: Body, status: u16) -> Call {
    Call { method, path, body, status }
}

/// Every route. What the template has and this list lacks, or the other way round, fails the suite `tiers`.
pub const ROUTES: &[Route] = &[
    Route { pattern: "/health", tier: Tier::Public, calls: &[call("GET", "/health", HEALTH, 200)] },
    Route { pattern: "/health/internal", tier: Tier::Public, calls: &[call("GET", "/health/internal", HEALTH, 200)] },
    Route { pattern: "/health/skills", tier: Tier::Public, calls: &[call("GET", "/health/skills", HEALTH, 200)] },
    Route { pattern: "/health/slack", tier: Tier::Public, calls: &[call("GET", "/health/slack", HEALTH, 200)] },
    Route { pattern: "/api/slack/events", tier: Tier::Slack, calls: &[call("POST", "/api/slack/events", EVENTS, 200)] },
    Route {
        pattern: "/api/slack/events/{channelId}",
        tier: Tier::Slack,
        calls: &[call("POST", "/api/slack/events/channel-1", EVENTS, 200)],
    },
    Route {
        pattern: "/api/internal/pools/register",
        tier: Tier::Registration,
        calls: &[call("POST", "/api/internal/pools/register", POOL_ALONE, 200)],
    },
    Route {
        pattern: "/api/internal/pools/heartbeat",
        tier: Tier::Runtime,
        calls: &[call("POST", "/api/internal/pools/heartbeat", POOL_ALONE, 200)],
    },
    Route {
        pattern: "/api/internal/pools/{poolId}/secrets",
        tier: Tier::Operator,
        calls: &[call("PUT", "/api/internal/pools/pool-1/secrets", SECRET, 200)],
    },
    Route {
        pattern: "/api/internal/pools/{poolId}/skill-tokens",
        tier: Tier::Runtime,
        calls: &[
            call("POST", "/api/internal/pools/pool-1/skill-tokens", TTL, 201),
            call("DELETE", "/api/internal/pools/pool-1/skill-tokens", Body::None, 200),
        ],
    },
    Route {
        pattern: "/api/internal/pools/{poolId}/runtime-tokens",
        tier: Tier::Operator,
        calls: &[
            call("POST", "/api/internal/pools/pool-1/runtime-tokens", TTL, 201),
            call("DELETE", "/api/internal/pools/pool-1/runtime-tokens", Body::None, 200),
        ],
    },
    Route {
        pattern: "/api/internal/secrets/{skillName}",
        tier: Tier::Skill,
        calls: &[call("GET", "/api/internal/secrets/maps?poolId=pool-1", Body::None, 200)],
    },
];

/// Each call with its route.
pub fn calls() -> impl Iterator<Item = (&'static Route, &'static Call)> {
    ROUTES.iter().flat_map(|route| route.calls.iter().map(move |call| (route, call)))
}

/// A system with all that the calls are about: [`POOL`], a bot, and a channel.
pub struct Prepared {
    /// The system.
    pub system: System,
    /// Its channel.
    pub connected: Connected,
    /// Its pool.
    pub stand_in: StandInPool,
}

impl Prepared {
    /// Prepares a system.
    pub async fn new(system: System) -> Self {
        let (connected, stand_in) = seed::connected(&system).await;
        Self { system, connected, stand_in }
    }

    /// The call with no credential, by another method.
    pub fn with_method(&self, call: &Call, method: Method) -> RequestBuilder {
        let request = self.system.request(method, call.path);
        let request = request.header("content-type", "application/json");
        match call.body {
            Body::None => request,
            Body::Json(text) => request.body(text),
            Body::Event => request.body(self.event()),
        }
    }

    /// The call with no credential.
    ///
    /// # Panics
    /// Never: the methods of the table are methods.
    pub fn anonymous(&self, call: &Call) -> RequestBuilder {
        self.with_method(call, call.method.parse().expect("the table's methods are methods"))
    }

    /// The call with a credential that counts, by another method.
    pub fn authorized_with_method(&self, route: &Route, call: &Call, method: Method) -> RequestBuilder {
        let settings = &self.system.settings;
        match route.tier {
            Tier::Public => self.with_method(call, method),
            Tier::Slack => self.sign(self.with_method(call, method), &self.connected.signing_secret),
            Tier::Skill => self.with_method(call, method).header("x-internal-token", &settings.skill_token),
            Tier::Registration | Tier::Operator | Tier::Runtime => {
                self.with_method(call, method).header("x-internal-token", &settings.internal_token)
            }
        }
    }

    /// The call with a credential that counts.
    ///
    /// # Panics
    /// Never: the methods of the table are methods.
    pub fn authorized(&self, route: &Route, call: &Call) -> RequestBuilder {
        self.authorized_with_method(route, call, call.method.parse().expect("the table's methods are methods"))
    }

    /// Signs the event of [`Body::Event`].
    pub fn sign(&self, request: RequestBuilder, secret: &str) -> RequestBuilder {
        let timestamp = self.system.clock.now().as_second().to_string();
        request
            .header("x-slack-signature", slack::signature(secret, &timestamp, self.event().as_bytes()))
            .header("x-slack-request-timestamp", timestamp)
    }

    /// The event of [`Body::Event`].
    #[must_use]
    pub fn event(&self) -> String {
        slack::message(&self.connected.team, &self.connected.app, "C0GENERAL", 1).to_string()
    }
}

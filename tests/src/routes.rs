//! Table of all routes: the tier of each, and requests that it carries out.

use portcullis_auth::Clock;
use reqwest::{Method, RequestBuilder};

use crate::{
    Person, StandInPool, System,
    feishu::{self, FeishuApp},
    seed::{self, Connected},
    slack,
    system::random_hex,
};

/// Pool that the requests name.
pub const POOL: &str = "pool-1";

/// Credential that a route demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// No credential.
    Public,
    /// No credential, but pages of another origin are refused.
    Browser,
    /// The session cookie of a signed-in person.
    User,
    /// Slack's signature over the body.
    Slack,
    /// Feishu's signature over the body, or a verification token in it.
    Feishu,
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
    /// Error message for a caller without the right credential, in the contract's words.
    #[must_use]
    pub fn refusal(self) -> &'static str {
        match self {
            Self::Public | Self::Browser => unreachable!("nobody is refused"),
            Self::User => "Unauthorized",
            Self::Slack | Self::Feishu => "Invalid signature",
            Self::Registration | Self::Operator | Self::Runtime => "Unauthorized internal request",
            Self::Skill => "Unauthorized skill request",
        }
    }

    /// Whether the route demands no credential.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Public | Self::Browser)
    }

    /// Whether the credential is a token in a header.
    #[must_use]
    pub fn takes_tokens(self) -> bool {
        !matches!(self, Self::Public | Self::Browser | Self::User | Self::Slack | Self::Feishu)
    }
}

/// A route of the template.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Path pattern in the template.
    pub pattern: &'static str,
    /// Credential that it demands.
    pub tier: Tier,
    /// Example requests.
    pub calls: &'static [Call],
    /// Status and error message for a bound token of another pool, in the contract's words; `None` if the route is not
    /// about a pool.
    pub of_another_pool: Option<(u16, &'static str)>,
    /// Largest accepted body, in bytes.
    pub body_limit: usize,
}

/// An example request that a route carries out.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// The path, with [`POOL`] for the pool.
    pub path: &'static str,
    /// The request body.
    pub body: Body,
    /// Expected status.
    pub status: u16,
}

/// The request body of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// This JSON.
    Json(&'static str),
    /// A Slack event.
    Event,
    /// A click on a button in Slack.
    Interaction,
    /// A slash command of Slack.
    Command,
    /// A message in Feishu.
    FeishuMessage,
    /// A click on a card's button in Feishu.
    FeishuClick,
}

impl Body {
    /// Whether a platform signs the request.
    #[must_use]
    pub fn is_signed(self) -> bool {
        !matches!(self, Self::None | Self::Json(_))
    }
}

const HEALTH: Body = Body::None;
const EVENTS: Body = Body::Event;
const TTL: Body = Body::Json(r#"{"ttlSeconds":3600}"#);
const POOL_ALONE: Body = Body::Json(r#"{"poolId":"pool-1"}"#);
const SECRET: Body = Body::Json(r#"{"secrets":{"A_KEY":"a value"}}"#);

const SESSION: Body = Body::Json(r#"{"botId":"bot-1","sessionKey":"agent:bot-1:main","title":"A conversation"}"#);
const NEW_TITLE: Body = Body::Json(r#"{"title":"Another title"}"#);
const ARTIFACT: Body = Body::Json(r#"{"botId":"bot-1","sessionKey":"agent:bot-1:main","title":"A page"}"#);
const PREVIEW: Body =
    Body::Json(r#"{"botId":"bot-1","sessionKey":"agent:bot-1:main","previewUrl":"https://example.com/"}"#);
const ACTION: Body = Body::Json(r#"{"botId":"bot-1","action":"TELEX_SEND","params":{}}"#);
const TOOLKIT: Body = Body::Json(r#"{"botId":"bot-1","toolkitSlug":"gmail"}"#);
const FEEDBACK: Body = Body::Json(r#"{"content":"Well done","agentId":"bot-1"}"#);

const SIGN_UP: Body = Body::Json(r#"{"name":"Bob","email":"bob@example.com","password":"correct horse battery"}"#);
// Credentials of the prepared system's person.
const SIGN_IN: Body = Body::Json(r#"{"email":"ada@example.com","password":"correct horse battery"}"#);
// An address of its own for each route: one address gets at most ten mails an hour.
const RESET_EMAIL: Body = Body::Json(r#"{"email":"reset@example.com"}"#);
const VERIFY_EMAIL: Body = Body::Json(r#"{"email":"verify@example.com"}"#);
const RESET: Body = Body::Json(r#"{"token":"no-token","newPassword":"correct horse battery"}"#);
const SEND_CODE: Body = Body::Json(r#"{"email":"code@example.com","type":"email-verification"}"#);
const CODE: Body = Body::Json(r#"{"email":"nobody@example.com","otp":"000000"}"#);
const SESSION_ID: Body = Body::Json(r#"{"token":"no-session"}"#);
// An invalid new password and not a wrong current one: wrong passwords would lock the person out.
const CHANGE: Body = Body::Json(r#"{"currentPassword":"correct horse battery","newPassword":"short"}"#);
const NEW_NAME: Body = Body::Json(r#"{"name":"Ada"}"#);
const LONG_PASSWORD: Body = Body::Json(concat!(
    r#"{"password":""#,
    "a password of more than 128 characters, which nobody has, and which is refused before it is compared, so that no try is ",
    "counted of it",
    r#""}"#
));
const TAKEN_SLUG: Body = Body::Json(r#"{"name":"A bot","slug":"ada","modelId":"a-model"}"#);
const NEW_BOT_NAME: Body = Body::Json(r#"{"name":"Another name"}"#);
const CONNECT_NO_BOT: Body =
    Body::Json(r#"{"botId":"no-bot","botToken":"xoxb-not-a-token","signingSecret":"not-a-secret-of-slack"}"#);
const CONNECT_DISCORD_TO_NO_BOT: Body =
    Body::Json(r#"{"botId":"no-bot","botToken":"not-a-token-of-discord","appId":"1234567890"}"#);
const CONNECT_FEISHU_TO_NO_BOT: Body =
    Body::Json(r#"{"botId":"no-bot","appId":"cli_none","appSecret":"not-a-secret-of-feishu"}"#);
const CONNECT_NOTHING: Body = Body::Json(r#"{"toolkitSlug":"sendgrid","credentials":{}}"#);
const NO_STATE: Body = Body::Json(r#"{"state":""}"#);
const POLICY: Body = Body::Json(r#"{"deny":["stripe"]}"#);
const TOOLKIT_ON: Body = Body::Json(r#"{"enabled":true}"#);
const SKILL: Body = Body::Json(r##"{"content":"# Maps","files":{"run.sh":"echo"}}"##);
const TEMPLATE: Body = Body::Json(r##"{"content":"# Agents","writeMode":"seed"}"##);
const BOT: Body = Body::Json(r#"{"name":"Another bot","poolId":"pool-1","modelId":"a-model"}"#);
const CHANNEL: Body = Body::Json(
    r#"{"botId":"bot-1","channelType":"slack","teamId":"T0PUT","appId":"A0PUT","signingSecret":"not-a-secret-of-slack"}"#,
);
const LIBRARY_LIMIT: usize = 4 * 1024 * 1024;

const fn call(method: &'static str, path: &'static str, body: Body, status: u16) -> Call {
    Call { method, path, body, status }
}

const fn route(pattern: &'static str, tier: Tier, calls: &'static [Call]) -> Route {
    let of_another_pool = Some((403, "Token is not valid for this pool"));
    Route { pattern, tier, calls, of_another_pool, body_limit: 1024 * 1024 }
}

impl Route {
    const fn tells_another_pool(mut self, status: u16, message: &'static str) -> Self {
        self.of_another_pool = Some((status, message));
        self
    }

    const fn serves_every_pool(mut self) -> Self {
        self.of_another_pool = None;
        self
    }

    const fn takes(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }
}

/// One route of signed-in people, with its calls.
macro_rules! people_route {
    ($prefix:literal, $pattern:literal, $path:literal, [$(($method:literal, $body:expr, $status:literal)),+]) => {
        route(
            concat!($prefix, $pattern),
            Tier::User,
            &[$(call($method, concat!($prefix, $path), $body, $status)),+],
        )
    };
}

/// Routes of signed-in people under one of their prefixes. The prepared system's person owns a bot and a channel.
macro_rules! people_routes {
    ($prefix:literal) => {
        &[
            people_route!($prefix, "/me", "/me", [("GET", Body::None, 200), ("PATCH", NEW_NAME, 200)]),
            people_route!($prefix, "/models", "/models", [("GET", Body::None, 200)]),
            people_route!($prefix, "/bots", "/bots", [("GET", Body::None, 200), ("POST", TAKEN_SLUG, 409)]),
            route(
                concat!($prefix, "/bots/{id}"),
                Tier::User,
                &[
                    call("GET", concat!($prefix, "/bots/bot-ada"), Body::None, 200),
                    call("PATCH", concat!($prefix, "/bots/bot-ada"), NEW_BOT_NAME, 200),
                    call("DELETE", concat!($prefix, "/bots/no-bot"), Body::None, 404),
                ],
            ),
            people_route!($prefix, "/bots/{id}/pause", "/bots/bot-ada/pause", [("POST", Body::None, 200)]),
            people_route!($prefix, "/bots/{id}/resume", "/bots/bot-ada/resume", [("POST", Body::None, 200)]),
            people_route!($prefix, "/channels", "/channels", [("GET", Body::None, 200)]),
            people_route!($prefix, "/channels/{id}", "/channels/no-channel", [("DELETE", Body::None, 404)]),
            people_route!($prefix, "/channels/{id}/status", "/channels/channel-ada/status", [("GET", Body::None, 200)]),
            people_route!(
                $prefix,
                "/channels/{id}/readiness",
                "/channels/channel-ada/readiness",
                [("GET", Body::None, 200)]
            ),
            people_route!(
                $prefix,
                "/channels/discord/connect",
                "/channels/discord/connect",
                [("POST", CONNECT_DISCORD_TO_NO_BOT, 404)]
            ),
            people_route!(
                $prefix,
                "/channels/feishu/connect",
                "/channels/feishu/connect",
                [("POST", CONNECT_FEISHU_TO_NO_BOT, 404)]
            ),
            people_route!(
                $prefix,
                "/channels/slack/connect",
                "/channels/slack/connect",
                [("POST", CONNECT_NO_BOT, 404)]
            ),
            people_route!(
                $prefix,
                "/channels/slack/redirect-uri",
                "/channels/slack/redirect-uri",
                [("GET", Body::None, 200)]
            ),
            people_route!(
                $prefix,
                "/channels/slack/oauth-url",
                "/channels/slack/oauth-url?returnTo=x",
                [("GET", Body::None, 400)]
            ),
            people_route!($prefix, "/integrations", "/integrations", [("GET", Body::None, 200)]),
            people_route!($prefix, "/integrations/connect", "/integrations/connect", [("POST", CONNECT_NOTHING, 400)]),
            people_route!($prefix, "/integrations/{id}", "/integrations/none", [("DELETE", Body::None, 404)]),
            people_route!(
                $prefix,
                "/integrations/{id}/refresh",
                "/integrations/none/refresh",
                [("POST", NO_STATE, 404)]
            ),
            route(
                concat!($prefix, "/integrations/connect/{linkId}"),
                Tier::Browser,
                &[call("GET", concat!($prefix, "/integrations/connect/no-link"), Body::None, 302)],
            ),
            people_route!($prefix, "/sessions", "/sessions", [("GET", Body::None, 200)]),
            people_route!($prefix, "/sessions/{id}", "/sessions/no-session", [("GET", Body::None, 404)]),
            people_route!($prefix, "/artifacts", "/artifacts", [("GET", Body::None, 200)]),
            people_route!($prefix, "/artifacts/stats", "/artifacts/stats", [("GET", Body::None, 200)]),
            people_route!(
                $prefix,
                "/artifacts/{id}",
                "/artifacts/no-artifact",
                [("GET", Body::None, 404), ("PATCH", NEW_TITLE, 404), ("DELETE", Body::None, 404)]
            ),
        ]
    };
}

const PEOPLE: &[Route] = people_routes!("/v1");
const PEOPLE_OLDER_PREFIX: &[Route] = people_routes!("/api/v1");

/// Every route. The suite `tiers` fails if this list and the template differ.
pub const ROUTES: &[Route] =
    &joined::<{ PEOPLE.len() + PEOPLE_OLDER_PREFIX.len() + OTHERS.len() }>(&[PEOPLE, PEOPLE_OLDER_PREFIX, OTHERS]);

/// Concatenates lists of routes; `N` is the total number.
const fn joined<const N: usize>(lists: &[&[Route]]) -> [Route; N] {
    let mut routes = [route("", Tier::Public, &[]); N];
    let (mut list, mut next) = (0, 0);
    while list < lists.len() {
        let mut index = 0;
        while index < lists[list].len() {
            routes[next] = lists[list][index];
            next += 1;
            index += 1;
        }
        list += 1;
    }
    routes
}

const OTHERS: &[Route] = &[
    route("/api/oauth/slack/callback", Tier::Browser, &[call("GET", "/api/oauth/slack/callback", Body::None, 302)]),
    route("/health/v1", Tier::Public, &[call("GET", "/health/v1", HEALTH, 200)]),
    route("/", Tier::Public, &[call("GET", "/", Body::None, 200)]),
    route(
        "/workspace/channels/slack/callback",
        Tier::Public,
        &[call("GET", "/workspace/channels/slack/callback", Body::None, 200)],
    ),
    route(
        "/workspace/integrations/callback",
        Tier::Public,
        &[call("GET", "/workspace/integrations/callback", Body::None, 200)],
    ),
    route("/console/{file}", Tier::Public, &[call("GET", "/console/main.js", Body::None, 200)]),
    route("/health", Tier::Public, &[call("GET", "/health", HEALTH, 200)]),
    route("/openapi.json", Tier::Public, &[call("GET", "/openapi.json", HEALTH, 200)]),
    route("/docs", Tier::Public, &[call("GET", "/docs", HEALTH, 200)]),
    route("/health/internal", Tier::Public, &[call("GET", "/health/internal", HEALTH, 200)]),
    route("/health/skills", Tier::Public, &[call("GET", "/health/skills", HEALTH, 200)]),
    route("/health/slack", Tier::Public, &[call("GET", "/health/slack", HEALTH, 200)]),
    route("/api/feishu/events", Tier::Feishu, &[call("POST", "/api/feishu/events", Body::FeishuMessage, 200)]),
    route(
        "/api/feishu/events/{channelId}",
        Tier::Feishu,
        &[call("POST", "/api/feishu/events/channel-feishu", Body::FeishuMessage, 200)],
    ),
    route("/api/feishu/card-action", Tier::Feishu, &[call("POST", "/api/feishu/card-action", Body::FeishuClick, 200)]),
    route(
        "/api/feishu/card-action/{channelId}",
        Tier::Feishu,
        &[call("POST", "/api/feishu/card-action/channel-feishu", Body::FeishuClick, 200)],
    ),
    route("/api/slack/events", Tier::Slack, &[call("POST", "/api/slack/events", EVENTS, 200)]),
    route("/api/slack/events/{channelId}", Tier::Slack, &[call("POST", "/api/slack/events/channel-1", EVENTS, 200)]),
    route("/api/slack/interactions", Tier::Slack, &[call("POST", "/api/slack/interactions", Body::Interaction, 200)]),
    route(
        "/api/slack/interactions/{channelId}",
        Tier::Slack,
        &[call("POST", "/api/slack/interactions/channel-1", Body::Interaction, 200)],
    ),
    route("/api/slack/commands", Tier::Slack, &[call("POST", "/api/slack/commands", Body::Command, 200)]),
    route(
        "/api/slack/commands/{channelId}",
        Tier::Slack,
        &[call("POST", "/api/slack/commands/channel-1", Body::Command, 200)],
    ),
    route(
        "/api/internal/pools/register",
        Tier::Registration,
        &[call("POST", "/api/internal/pools/register", POOL_ALONE, 200)],
    ),
    route(
        "/api/internal/pools/heartbeat",
        Tier::Runtime,
        &[call("POST", "/api/internal/pools/heartbeat", POOL_ALONE, 200)],
    ),
    route(
        "/api/internal/pools/{poolId}/secrets",
        Tier::Operator,
        &[
            call("PUT", "/api/internal/pools/pool-1/secrets", SECRET, 200),
            call("GET", "/api/internal/pools/pool-1/secrets", Body::None, 200),
        ],
    ),
    route(
        "/api/internal/pools/{poolId}/skill-tokens",
        Tier::Runtime,
        &[
            call("POST", "/api/internal/pools/pool-1/skill-tokens", TTL, 201),
            call("DELETE", "/api/internal/pools/pool-1/skill-tokens", Body::None, 200),
        ],
    ),
    route(
        "/api/internal/pools/{poolId}/runtime-tokens",
        Tier::Operator,
        &[
            call("POST", "/api/internal/pools/pool-1/runtime-tokens", TTL, 201),
            call("DELETE", "/api/internal/pools/pool-1/runtime-tokens", Body::None, 200),
        ],
    ),
    route(
        "/api/internal/pools/{poolId}/config",
        Tier::Runtime,
        &[call("GET", "/api/internal/pools/pool-1/config", Body::None, 200)],
    ),
    route(
        "/api/internal/pools/{poolId}/config/latest",
        Tier::Runtime,
        &[call("GET", "/api/internal/pools/pool-1/config/latest", Body::None, 200)],
    ),
    // The polls above have built version 1.
    route(
        "/api/internal/pools/{poolId}/config/versions/{version}",
        Tier::Runtime,
        &[call("GET", "/api/internal/pools/pool-1/config/versions/1", Body::None, 200)],
    ),
    route(
        "/api/internal/secrets/{skillName}",
        Tier::Skill,
        &[call("GET", "/api/internal/secrets/maps?poolId=pool-1", Body::None, 200)],
    ),
    route(
        "/api/internal/pools/{poolId}/check-slack-tokens",
        Tier::Runtime,
        &[call("POST", "/api/internal/pools/pool-1/check-slack-tokens", Body::None, 200)],
    ),
    route(
        "/api/internal/skills/{name}",
        Tier::Operator,
        &[
            call("PUT", "/api/internal/skills/maps", SKILL, 200),
            call("DELETE", "/api/internal/skills/no-skill", Body::None, 404),
        ],
    )
    .takes(LIBRARY_LIMIT),
    route("/api/internal/skills", Tier::Operator, &[call("GET", "/api/internal/skills", Body::None, 200)]),
    route("/api/internal/skills/latest", Tier::Runtime, &[call("GET", "/api/internal/skills/latest", Body::None, 200)])
        .serves_every_pool(),
    route(
        "/api/internal/workspace-templates/{name}",
        Tier::Operator,
        &[
            call("PUT", "/api/internal/workspace-templates/AGENTS.md", TEMPLATE, 200),
            call("DELETE", "/api/internal/workspace-templates/NONE.md", Body::None, 404),
        ],
    )
    .takes(LIBRARY_LIMIT),
    route(
        "/api/internal/workspace-templates",
        Tier::Operator,
        &[call("GET", "/api/internal/workspace-templates", Body::None, 200)],
    ),
    route(
        "/api/internal/pools/{poolId}/tool-policy",
        Tier::Operator,
        &[
            call("PUT", "/api/internal/pools/pool-1/tool-policy", POLICY, 200),
            call("GET", "/api/internal/pools/pool-1/tool-policy", Body::None, 200),
        ],
    ),
    route("/api/internal/toolkits", Tier::Operator, &[call("GET", "/api/internal/toolkits", Body::None, 200)]),
    route(
        "/api/internal/toolkits/{slug}",
        Tier::Operator,
        &[
            call("PUT", "/api/internal/toolkits/gmail", TOOLKIT_ON, 200),
            call("DELETE", "/api/internal/toolkits/gmail", Body::None, 200),
        ],
    ),
    route("/api/internal/pools", Tier::Operator, &[call("GET", "/api/internal/pools", Body::None, 200)]),
    route(
        "/api/internal/pools/{poolId}",
        Tier::Operator,
        &[call("GET", "/api/internal/pools/pool-1", Body::None, 200)],
    ),
    route("/api/internal/bots", Tier::Operator, &[call("GET", "/api/internal/bots", Body::None, 200)]),
    route(
        "/api/internal/bots/{botId}",
        Tier::Operator,
        &[
            call("PUT", "/api/internal/bots/bot-2", BOT, 200),
            call("GET", "/api/internal/bots/bot-1", Body::None, 200),
            call("DELETE", "/api/internal/bots/no-bot", Body::None, 404),
        ],
    ),
    route("/api/internal/channels", Tier::Operator, &[call("GET", "/api/internal/channels", Body::None, 200)]),
    route(
        "/api/internal/channels/{channelId}",
        Tier::Operator,
        &[
            call("PUT", "/api/internal/channels/channel-put", CHANNEL, 200),
            call("GET", "/api/internal/channels/channel-1", Body::None, 200),
            call("DELETE", "/api/internal/channels/no-channel", Body::None, 404),
        ],
    ),
    route(
        "/api/internal/workspace-templates/latest",
        Tier::Runtime,
        &[call("GET", "/api/internal/workspace-templates/latest", Body::None, 200)],
    )
    .serves_every_pool(),
    route("/api/internal/sessions", Tier::Runtime, &[call("POST", "/api/internal/sessions", SESSION, 201)]),
    route(
        "/api/internal/sessions/{id}",
        Tier::Runtime,
        &[call("PATCH", "/api/internal/sessions/no-session", NEW_TITLE, 404)],
    )
    .tells_another_pool(404, "Session not found"),
    route(
        "/api/internal/sessions/sync-discord",
        Tier::Runtime,
        &[call("POST", "/api/internal/sessions/sync-discord", POOL_ALONE, 200)],
    ),
    route(
        "/api/internal/sessions/sync-feishu",
        Tier::Runtime,
        &[call("POST", "/api/internal/sessions/sync-feishu", POOL_ALONE, 200)],
    ),
    route(
        "/api/internal/composio/execute",
        Tier::Skill,
        &[call("POST", "/api/internal/composio/execute", ACTION, 400)],
    )
    .tells_another_pool(403, "Token is not valid for this bot"),
    route(
        "/api/internal/composio/disconnect",
        Tier::Skill,
        &[call("POST", "/api/internal/composio/disconnect", TOOLKIT, 404)],
    )
    .tells_another_pool(403, "Token is not valid for this bot"),
    route("/api/internal/artifacts", Tier::Skill, &[call("POST", "/api/internal/artifacts", ARTIFACT, 201)])
        .tells_another_pool(403, "Token is not valid for this bot"),
    route(
        "/api/internal/artifacts/{id}",
        Tier::Skill,
        &[call("PATCH", "/api/internal/artifacts/no-artifact", NEW_TITLE, 404)],
    )
    .tells_another_pool(404, "Artifact not found"),
    route(
        "/api/internal/artifacts/check-domain",
        Tier::Skill,
        &[call("POST", "/api/internal/artifacts/check-domain", PREVIEW, 200)],
    )
    .tells_another_pool(403, "Token is not valid for this bot"),
    route("/api/internal/feedback", Tier::Skill, &[call("POST", "/api/internal/feedback", FEEDBACK, 200)])
        .serves_every_pool()
        .takes(5 * 1024 * 1024),
    route("/health/auth", Tier::Public, &[call("GET", "/health/auth", HEALTH, 200)]),
    route("/api/auth/ok", Tier::Browser, &[call("GET", "/api/auth/ok", Body::None, 200)]),
    route("/api/auth/sign-up/email", Tier::Browser, &[call("POST", "/api/auth/sign-up/email", SIGN_UP, 200)]),
    route("/api/auth/sign-in/email", Tier::Browser, &[call("POST", "/api/auth/sign-in/email", SIGN_IN, 200)]),
    route("/api/auth/sign-out", Tier::Browser, &[call("POST", "/api/auth/sign-out", Body::None, 200)]),
    route("/api/auth/get-session", Tier::Browser, &[call("GET", "/api/auth/get-session", Body::None, 200)]),
    route(
        "/api/auth/request-password-reset",
        Tier::Browser,
        &[call("POST", "/api/auth/request-password-reset", RESET_EMAIL, 200)],
    ),
    route("/api/auth/reset-password", Tier::Browser, &[call("POST", "/api/auth/reset-password", RESET, 400)]),
    route(
        "/api/auth/send-verification-email",
        Tier::Browser,
        &[call("POST", "/api/auth/send-verification-email", VERIFY_EMAIL, 200)],
    ),
    route("/api/auth/verify-email", Tier::Browser, &[call("GET", "/api/auth/verify-email?token=x", Body::None, 401)]),
    route(
        "/api/auth/email-otp/send-verification-otp",
        Tier::Browser,
        &[call("POST", "/api/auth/email-otp/send-verification-otp", SEND_CODE, 200)],
    ),
    route(
        "/api/auth/email-otp/verify-email",
        Tier::Browser,
        &[call("POST", "/api/auth/email-otp/verify-email", CODE, 400)],
    ),
    route("/api/auth/list-sessions", Tier::User, &[call("GET", "/api/auth/list-sessions", Body::None, 200)]),
    route("/api/auth/revoke-session", Tier::User, &[call("POST", "/api/auth/revoke-session", SESSION_ID, 200)]),
    route(
        "/api/auth/revoke-other-sessions",
        Tier::User,
        &[call("POST", "/api/auth/revoke-other-sessions", Body::None, 200)],
    ),
    route("/api/auth/change-password", Tier::User, &[call("POST", "/api/auth/change-password", CHANGE, 400)]),
    route("/api/auth/update-user", Tier::User, &[call("POST", "/api/auth/update-user", NEW_NAME, 200)]),
    route("/api/auth/delete-user", Tier::User, &[call("POST", "/api/auth/delete-user", LONG_PASSWORD, 400)]),
    // Last, because it ends the person's sessions.
    route("/api/auth/revoke-sessions", Tier::User, &[call("POST", "/api/auth/revoke-sessions", Body::None, 200)]),
];

/// Each call with its route.
pub fn calls() -> impl Iterator<Item = (&'static Route, &'static Call)> {
    ROUTES.iter().flat_map(|route| route.calls.iter().map(move |call| (route, call)))
}

/// A system with everything that the calls need: [`POOL`], a bot, a channel and a signed-in person.
pub struct Prepared {
    /// The system.
    pub system: System,
    /// Its connected Slack channel.
    pub connected: Connected,
    /// Its stand-in pool.
    pub stand_in: StandInPool,
    /// Session cookie of a signed-in person.
    pub cookie: String,
    /// A Feishu app with an encrypt key; its channel is `channel-feishu`.
    pub feishu: FeishuApp,
    /// A Feishu app without an encrypt key.
    pub plain_feishu: FeishuApp,
}

impl Prepared {
    /// Prepares a system.
    pub async fn new(system: System) -> Self {
        let (connected, stand_in) = seed::connected(&system).await;
        let ada = Person::new(&system, "ada@example.com").registered("correct horse battery").await;
        seed::own_bot(&system, &ada.id().await).await;
        let cookie = ada.cookie();
        // In a pool of its own, so that calls about the other pool send no request to Feishu.
        let pool = seed::pool(&system, "pool-feishu", None).await;
        let bot = &seed::bot(&system, "bot-feishu", &pool).await;
        let feishu = feishu::channel(&system, "channel-feishu", bot, "cli_one", Some(random_hex(16))).await;
        let plain_feishu = feishu::channel(&system, "channel-plain-feishu", bot, "cli_plain", None).await;
        Self { system, connected, stand_in, cookie, feishu, plain_feishu }
    }

    /// The call without a credential, with another method.
    pub fn with_method(&self, call: &Call, method: Method) -> RequestBuilder {
        let request = self.system.request(method, call.path);
        let is_form = matches!(call.body, Body::Interaction | Body::Command);
        let content_type = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
        let request = request.header("content-type", content_type);
        match call.body {
            Body::None => request,
            Body::Json(text) => request.body(text),
            Body::Event | Body::Interaction | Body::Command => request.body(self.signed_body(call)),
            Body::FeishuMessage | Body::FeishuClick => request.body(self.feishu_body(call, false)),
        }
    }

    /// The call without a credential.
    ///
    /// # Panics
    /// Never: the table's methods are valid.
    pub fn anonymous(&self, call: &Call) -> RequestBuilder {
        self.with_method(call, call.method.parse().expect("the table's methods are methods"))
    }

    /// The call with a valid credential, with another method.
    pub fn authorized_with_method(&self, route: &Route, call: &Call, method: Method) -> RequestBuilder {
        let settings = &self.system.settings;
        match route.tier {
            Tier::Public | Tier::Browser => self.with_method(call, method),
            Tier::User => {
                let request = self.with_method(call, method).header("origin", self.system.stack.base_url());
                request.header("cookie", &self.cookie)
            }
            Tier::Feishu => self.sign_for_feishu(self.with_method(call, method), call),
            Tier::Slack => self.sign(self.with_method(call, method), call, &self.connected.signing_secret),
            Tier::Skill => self.with_method(call, method).header("x-internal-token", &settings.skill_token),
            Tier::Registration | Tier::Operator | Tier::Runtime => {
                self.with_method(call, method).header("x-internal-token", &settings.internal_token)
            }
        }
    }

    /// The call with a valid credential.
    ///
    /// # Panics
    /// Never: the table's methods are valid.
    pub fn authorized(&self, route: &Route, call: &Call) -> RequestBuilder {
        self.authorized_with_method(route, call, call.method.parse().expect("the table's methods are methods"))
    }

    /// Signs a call's body as Slack does.
    pub fn sign(&self, request: RequestBuilder, call: &Call, secret: &str) -> RequestBuilder {
        let timestamp = self.system.clock.now().as_second().to_string();
        request
            .header("x-slack-signature", slack::signature(secret, &timestamp, self.signed_body(call).as_bytes()))
            .header("x-slack-request-timestamp", timestamp)
    }

    /// Body of a Slack call.
    ///
    /// # Panics
    /// If the call is not Slack's.
    #[must_use]
    pub fn signed_body(&self, call: &Call) -> String {
        let (team, app) = (&self.connected.team, &self.connected.app);
        match call.body {
            Body::Event => slack::message(team, app, "C0GENERAL", 1).to_string(),
            Body::Interaction => slack::payload_form(&slack::click(team, app, "C0GENERAL", 1)),
            Body::Command => slack::command(team, app, "C0GENERAL", 1),
            Body::None | Body::Json(_) | Body::FeishuMessage | Body::FeishuClick => {
                unreachable!("{} is not Slack's", call.path)
            }
        }
    }

    /// Authenticates a Feishu call: by headers on a channel's own path, by the token in the body elsewhere.
    fn sign_for_feishu(&self, request: RequestBuilder, call: &Call) -> RequestBuilder {
        let body = self.feishu_body(call, true);
        let request = match self.feishu.encrypt_key.as_ref().filter(|_| call.path.ends_with("/channel-feishu")) {
            Some(key) => feishu::signed(request, key, &body, self.system.clock.now()),
            None => request,
        };
        request.body(body)
    }

    /// Body of a Feishu call.
    ///
    /// # Panics
    /// If the call is not Feishu's.
    #[must_use]
    pub fn feishu_body(&self, call: &Call, is_genuine: bool) -> String {
        let is_of_channel = call.path.ends_with("/channel-feishu");
        let app = if is_of_channel { &self.feishu } else { &self.plain_feishu };
        let mut body = match call.body {
            Body::FeishuMessage => app.message("oc_general", 1),
            Body::FeishuClick => app.click("oc_general", 1),
            _ => unreachable!("{} is not Feishu's", call.path),
        };
        if !is_genuine {
            body["header"]["token"] = "another-token".into();
        }
        match &app.encrypt_key {
            Some(key) => feishu::encrypted(key, &body.to_string()),
            None => body.to_string(),
        }
    }
}

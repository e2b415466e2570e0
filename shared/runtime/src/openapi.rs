//! What the `OpenAPI` document says of types that are not described where they are defined, and of what every route can answer.
//!
//! The document is made of the handlers' own annotations; `openapi.json` is what it was when it was last committed, and what
//! is served.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, ToSchema,
    openapi::{Content, RefOr, Response, ResponseBuilder, schema},
};

/// The id of a pool, a bot or a channel: 1 to 128 characters, none of them a control character.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$", example = "pool-1")]
pub struct Id(pub String);

/// A version of `OpenClaw`.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    max_length = 64,
    pattern = r"^((0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){2}([-+][0-9A-Za-z-]+([.+][0-9A-Za-z-]+)*)?)?$",
    example = "2026.9.6"
)]
pub struct OpenClawVersion(pub String);

/// The name of a skill, where its secrets are read: 1 to 64 of a-z, 0-9, - and _.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9_-]{1,64}$", example = "maps")]
pub struct SkillName(pub String);

/// The name of a skill's folder: 1 to 64 of a-z, 0-9 and -, the first of them not -.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9-]{0,63}$", example = "maps")]
pub struct SkillFolder(pub String);

/// The name of a workspace template, which is its file's.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = r"^[A-Z][A-Z0-9_-]{0,59}\.md$", example = "AGENTS.md")]
pub struct TemplateName(pub String);

/// A time: ISO-8601.
#[derive(ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-02T03:04:05.678Z")]
pub struct Time(pub String);

/// An http or https URL.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 2048, pattern = "^https?://", example = "https://example.com/")]
pub struct WebUrl(pub String);

/// A SHA-256 as 64 hex digits.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub struct Sha256(pub String);

/// How a pool is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum PoolStatus {
    Pending,
    Active,
    Degraded,
    Unhealthy,
    Draining,
    Terminated,
}

/// Whether a bot answers.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum BotStatus {
    Active,
    Paused,
    Deleted,
}

/// Whether a channel works.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ChannelStatus {
    Pending,
    Connected,
    Disconnected,
    Error,
}

/// A toolkit.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,63}$", example = "gmail")]
pub struct ToolkitSlug(pub String);

/// How a toolkit's calls are authorized.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum AuthScheme {
    Oauth2,
    ApiKeyGlobal,
    ApiKeyUser,
}

/// Whether a form shows what is typed.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum FieldType {
    Text,
    Secret,
}

/// How far the connection of an account is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum IntegrationStatus {
    Pending,
    Initiated,
    Active,
    Failed,
    Expired,
    Disconnected,
}

/// Where a connection was begun.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum IntegrationSource {
    Page,
    Chat,
}

/// A chat platform.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ChatPlatform {
    Slack,
    Discord,
    Feishu,
}

/// The way in which a channel's events reach its bot: the platform posts them here, or the bot's pool opens a connection.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ConnectionMode {
    Webhook,
    Websocket,
}

/// An id that a chat platform gave out.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$", example = "T0123456789")]
pub struct PlatformId(pub String);

/// Whether a conversation goes on.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum SessionStatus {
    Active,
    Ended,
}

/// What kind of thing was made.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ArtifactType {
    Code,
    Content,
    Deployment,
}

/// How a thing was made.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ArtifactSource {
    Coding,
    Content,
}

/// How a thing is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ArtifactStatus {
    Building,
    Live,
    Failed,
    Stopped,
}

/// What a secret's name is set to.
#[derive(ToSchema)]
#[schema(no_recursion)]
#[serde(untagged)]
pub enum SecretSetting {
    /// A value for the whole pool; null deletes it.
    ForThePool(Option<String>),
    /// A value in a scope.
    Scoped {
        /// The value, at most 64 KiB; null deletes the name in this scope.
        #[schema(required)]
        value: Option<String>,
        /// `pool`, or `skill:` and a skill's name.
        #[schema(pattern = "^(pool|skill:[a-z0-9_-]{1,64})$")]
        scope: Option<String>,
    },
}

/// A workspace template as it is read.
#[derive(ToSchema)]
#[schema(as = StoredTemplate, rename_all = "camelCase")]
pub struct Template {
    /// Its text.
    pub content: String,
    /// `seed` or `inject`.
    #[schema(pattern = "^(seed|inject)$")]
    pub write_mode: String,
}

/// An error.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Error {
    /// What is wrong, for people.
    pub message: String,
    /// What is wrong, for programs.
    pub code: String,
    /// Where one does not validate: each field's path, and what it must be.
    pub fields: Option<BTreeMap<String, String>>,
    /// The request, as in the log.
    pub request_id: String,
}

/// What every route can answer beside its own.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let refusals = [
            ("400", "the request is malformed, or cannot be carried out as it is"),
            ("401", "without a credential that counts here"),
            ("403", "the credential is not valid for this"),
            ("404", "what it is about is not known"),
            ("405", "the path has no such method"),
            ("409", "another has what is asked for"),
            ("413", "the body is too large"),
            ("415", "the body is not JSON"),
            ("500", "a mistake of the control plane's"),
            ("503", "something that is needed is away: try again"),
        ];
        let error = || Content::builder().schema(Some(schema::Ref::from_schema_name("Error"))).build();
        let response =
            |description: &str| ResponseBuilder::new().description(description).content("application/json", error());
        let responses =
            refusals.into_iter().map(|(status, description)| (status.to_owned(), response(description).build().into()));
        responses.collect()
    }
}

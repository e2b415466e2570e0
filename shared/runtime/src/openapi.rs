//! Schemas of the `OpenAPI` document for types of other crates, and the error responses of every route.
//!
//! The document is generated from the handlers' annotations; the committed `openapi.json` is what is served.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, ToSchema,
    openapi::{Content, RefOr, Response, ResponseBuilder, schema},
};

/// Id of a pool, a bot or a channel: 1 to 128 characters without control characters.
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

/// Name of a skill that reads its secrets: 1 to 64 characters of a-z, 0-9, - and _.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9_-]{1,64}$", example = "maps")]
pub struct SkillName(pub String);

/// Name of a skill's folder: 1 to 64 characters of a-z, 0-9 and -, not beginning with -.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9-]{0,63}$", example = "maps")]
pub struct SkillFolder(pub String);

/// Name of a workspace template, which is its file's name.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = r"^[A-Z][A-Z0-9_-]{0,59}\.md$", example = "AGENTS.md")]
pub struct TemplateName(pub String);

/// A time in ISO 8601.
#[derive(ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-02T03:04:05.678Z")]
pub struct Time(pub String);

/// An http or https URL.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 2048, pattern = "^https?://", example = "https://example.com/")]
pub struct WebUrl(pub String);

/// A SHA-256 digest as 64 hex digits.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub struct Sha256(pub String);

/// Status of a pool.
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

/// Status of a bot.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum BotStatus {
    Active,
    Paused,
    Deleted,
}

/// Status of a channel.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ChannelStatus {
    Pending,
    Connected,
    Disconnected,
    Error,
}

/// Slug of a toolkit.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,63}$", example = "gmail")]
pub struct ToolkitSlug(pub String);

/// Authorization scheme of a toolkit's calls.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum AuthScheme {
    Oauth2,
    ApiKeyGlobal,
    ApiKeyUser,
}

/// Whether a form shows the entered text.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum FieldType {
    Text,
    Secret,
}

/// Status of an account's connection.
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

/// Place where a connection was begun.
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

/// Connection mode of a channel: the platform posts events to a webhook, or the bot's pool opens a connection.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ConnectionMode {
    Webhook,
    Websocket,
}

/// An id issued by a chat platform.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$", example = "T0123456789")]
pub struct PlatformId(pub String);

/// Status of a conversation.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum SessionStatus {
    Active,
    Ended,
}

/// Type of an artifact.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ArtifactType {
    Code,
    Content,
    Deployment,
}

/// Source of an artifact.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ArtifactSource {
    Coding,
    Content,
}

/// Status of an artifact.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ArtifactStatus {
    Building,
    Live,
    Failed,
    Stopped,
}

/// New value of a secret.
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

/// A stored workspace template.
#[derive(ToSchema)]
#[schema(as = StoredTemplate, rename_all = "camelCase")]
pub struct Template {
    /// The template's text.
    pub content: String,
    /// `seed` or `inject`.
    #[schema(pattern = "^(seed|inject)$")]
    pub write_mode: String,
}

/// Body of an error response.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Error {
    /// Message for people.
    pub message: String,
    /// Stable code for programs.
    pub code: String,
    /// Rule that each invalid field breaks, by the field's path.
    pub fields: Option<BTreeMap<String, String>>,
    /// Id of the request, as in the log.
    pub request_id: String,
}

/// Error responses that every route can give.
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

//! Schemas of the `OpenAPI` document for types of other crates, and the error responses of every route.
//!
//! The document is generated from the handlers' annotations; the committed `openapi.json` is what is served.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, ToSchema,
    openapi::{Content, RefOr, Response, ResponseBuilder, schema},
};

/// A version of `OpenClaw`.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    max_length = 64,
    pattern = r"^((0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){2}([-+][0-9A-Za-z-]+([.+][0-9A-Za-z-]+)*)?)?$",
    example = "2026.9.6"
)]
pub struct OpenClawVersion(pub String);

/// The id of a pool, a bot, a channel or a person, as a parameter.
pub use portcullis_auth::PoolId as Id;
pub use portcullis_auth::{SkillFolder, SkillName, TemplateName};

/// A SHA-256 digest as 64 hex digits.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub struct Sha256(pub String);

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

//! Toolkits of people's accounts, and the operator's policy for their use by each pool.

pub mod delete_toolkit;
pub mod get_policy;
pub mod list_toolkits;
pub mod put_policy;
pub mod put_toolkit;

use axum::extract::FromRequestParts;
use http::request::Parts;
use portcullis_runtime::{ApiError, params};
use portcullis_toolkits::{AuthField, AuthScheme, FieldType, Rule, ToolPolicy, Toolkit, ToolkitSlug};
use serde::{Deserialize, Serialize};

/// The toolkit slug of the path.
pub struct ToolkitPath(ToolkitSlug);

impl<S: Sync> FromRequestParts<S> for ToolkitPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        params::path(parts, "slug").await.map(Self)
    }
}

/// A credential that a person enters for a toolkit of `api_key_user`.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ToolkitAuthField)]
pub struct AuthFieldBody {
    key: String,
    label: String,
    #[serde(rename = "type")]
    kind: FieldType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    placeholder: Option<String>,
}

impl From<AuthField> for AuthFieldBody {
    fn from(field: AuthField) -> Self {
        Self { key: field.key, label: field.label, kind: field.kind, placeholder: field.placeholder }
    }
}

impl From<AuthFieldBody> for AuthField {
    fn from(field: AuthFieldBody) -> Self {
        Self { key: field.key, label: field.label, kind: field.kind, placeholder: field.placeholder }
    }
}

/// A toolkit.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Toolkit)]
pub struct ToolkitBody {
    slug: ToolkitSlug,
    display_name: String,
    description: String,
    domain: String,
    category: String,
    auth_scheme: AuthScheme,
    auth_fields: Vec<AuthFieldBody>,
    action_prefixes: Vec<String>,
    enabled: bool,
    order: u16,
}

impl From<Toolkit> for ToolkitBody {
    fn from(toolkit: Toolkit) -> Self {
        Self {
            slug: toolkit.slug,
            display_name: toolkit.display_name,
            description: toolkit.description,
            domain: toolkit.domain,
            category: toolkit.category,
            auth_scheme: toolkit.auth_scheme,
            auth_fields: toolkit.auth_fields.into_iter().map(AuthFieldBody::from).collect(),
            action_prefixes: toolkit.action_prefixes,
            enabled: toolkit.enabled,
            order: toolkit.order,
        }
    }
}

/// Toolkits (`gmail`, `gmail:*`) and actions (`GITHUB_CREATE_ISSUE`) that a pool may use. An absent `allow` allows
/// all, an empty one nothing; an entry of both lists is denied. Each list has at most 200 rules.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ToolPolicy)]
pub struct PolicyBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, max_items = 200)]
    allow: Option<Vec<Rule>>,
    #[schema(value_type = Option<Vec<String>>, max_items = 200)]
    deny: Option<Vec<Rule>>,
}

impl From<ToolPolicy> for PolicyBody {
    fn from(policy: ToolPolicy) -> Self {
        Self { allow: policy.allow, deny: Some(policy.deny) }
    }
}

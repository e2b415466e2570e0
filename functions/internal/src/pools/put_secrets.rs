//! `PUT /api/internal/pools/{poolId}/secrets`: sets or deletes a pool's secrets, all or none.

use std::{collections::BTreeMap, fmt, sync::Arc};

use axum::extract::State;
use portcullis_auth::PoolId;
use portcullis_runtime::{ApiError, ErrorCode, json::StrictJson, openapi, tier::Operator};
use portcullis_store::{PutSecretsError, Scope, SecretChange, SecretName};
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor},
};

use crate::{
    app::{App, pool_not_found},
    pool_path::PoolPath,
};

/// Secrets to set or delete, by name.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = PoolSecrets)]
pub struct Request {
    #[schema(value_type = BTreeMap<String, openapi::SecretSetting>)]
    secrets: BTreeMap<SecretName, Setting>,
}

/// New value of a secret, or `None` to delete the secret in this scope.
struct Setting {
    scope: Scope,
    value: Option<SecretString>,
}

/// Number of names that were written or deleted.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = WrittenSecrets)]
pub struct Response {
    ok: bool,
    count: usize,
}

#[utoipa::path(
    put,
    path = "/api/internal/pools/{poolId}/secrets",
    tag = "operator",
    params(("poolId" = openapi::Id, Path)),
    request_body = Request,
    responses(
        (status = 200, description = "The number of written or deleted names", body = Response),
        openapi::Refusals
    ),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    PoolPath(pool): PoolPath,
    StrictJson(Request { secrets }): StrictJson<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    let changes: Vec<_> =
        secrets.into_iter().map(|(name, Setting { scope, value })| SecretChange { scope, name, value }).collect();
    app.store.put_secrets(&pool, &changes).await.map_err(|error| to_api_error(error, &pool))?;
    // Deleted names that did not exist count as well, so that a repeated call gets the same response.
    Ok(axum::Json(Response { ok: true, count: changes.len() }))
}

fn to_api_error(error: PutSecretsError, pool: &PoolId) -> ApiError {
    match error {
        PutSecretsError::NotFound => pool_not_found(pool),
        PutSecretsError::TooManyChanges => ApiError::invalid_field("secrets", error.to_string()),
        PutSecretsError::ValueTooLong { ref name, .. } | PutSecretsError::NamedTwice { ref name, .. } => {
            ApiError::invalid_field(format!("secrets.{name}"), error.to_string())
        }
        PutSecretsError::TooManyNames { .. }
        | PutSecretsError::TooManyBytes { .. }
        | PutSecretsError::TooManyScopes => ApiError::bad_request(ErrorCode::ScopeLimitExceeded, error.to_string()),
        PutSecretsError::Store(error) => error.into(),
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}

struct SettingVisitor;

impl<'de> Visitor<'de> for SettingVisitor {
    type Value = Setting;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, null, or an object with value and scope")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Setting, E> {
        Ok(Setting { scope: Scope::Pool, value: Some(value.into()) })
    }

    fn visit_unit<E: de::Error>(self) -> Result<Setting, E> {
        Ok(Setting { scope: Scope::Pool, value: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Setting, A::Error> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(deserialize_with = "value_or_null")]
            value: Option<SecretString>,
            #[serde(default)]
            scope: Option<Scope>,
        }
        let fields = Fields::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Setting { scope: fields.scope.unwrap_or(Scope::Pool), value: fields.value })
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Setting, E> {
        Err(wrong_type(&self))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Setting, E> {
        Err(wrong_type(&self))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Setting, E> {
        Err(wrong_type(&self))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Setting, E> {
        Err(wrong_type(&self))
    }
}

/// Reports a wrong type without the value: serde's own message would repeat it, and it may be a misplaced secret.
fn wrong_type<E: de::Error>(visitor: &SettingVisitor) -> E {
    E::custom(format_args!("must be {}", visitor as &dyn de::Expected))
}

/// Reads a required `value` that may be `null`. Without `deserialize_with`, serde would read an absent `value` as
/// `null`, and delete the secret.
fn value_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Option::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn setting(json: &str) -> Result<Setting, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_setting_is_a_string_null_or_an_object_with_a_scope() {
        let plain = setting(r#""v""#).unwrap();
        assert_eq!((plain.scope, plain.value.unwrap().expose_secret()), (Scope::Pool, "v"));
        let deleted = setting("null").unwrap();
        assert!(deleted.scope == Scope::Pool && deleted.value.is_none());
        let scoped = setting(r#"{"value":null,"scope":"skill:maps"}"#).unwrap();
        assert!(scoped.scope.to_string() == "skill:maps" && scoped.value.is_none());
        assert!(setting(r#"{"value":"v"}"#).unwrap().scope == Scope::Pool);
    }

    #[test]
    fn an_object_without_a_value_deletes_nothing() {
        assert!(setting(r#"{"scope":"pool"}"#).is_err());
    }

    #[test]
    fn a_refused_setting_is_not_repeated() {
        for setting in
            ["918273", "918273.5", "true", r#"["918273"]"#, r#"{"value":918273}"#, r#"{"value":"v","scope":"918273"}"#]
        {
            let body = format!(r#"{{"secrets":{{"NAME":{setting}}}}}"#);
            let error = portcullis_runtime::json::parse::<Request>(body.as_bytes()).err().expect(setting);
            let told = format!("{error:?}");
            assert!(told.contains("ValidationFailed") && !told.contains("918273"), "{told}");
        }
    }
}

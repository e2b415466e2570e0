//! AWS client configuration: region, credentials, endpoints and trusted TLS roots.
//!
//! Lambda passes a function its region and credentials in the environment, so nothing else is read. `aws-config`'s
//! chain of other sources (profiles, STS, SSO, instance metadata) would add much to a function's size and start time,
//! and could pick up another identity by mistake.

use std::{collections::BTreeMap, fmt};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{behavior_version::BehaviorVersion, http::SharedHttpClient};
use aws_types::{
    SdkConfig,
    region::Region,
    service_config::{LoadServiceConfig, ServiceConfigKey},
};
use secrecy::{ExposeSecret, SecretString};

/// Root certificates of Amazon Trust Services.
const AMAZON_ROOTS: &str = include_str!("aws/amazon-trust-services.pem");

/// Variables from which OpenSSL and similar libraries take other root certificates.
const OTHER_ROOTS: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Builds the configuration of AWS clients from the variables that Lambda sets: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; and for a substitute of AWS `AWS_ENDPOINT_URL` or
/// `AWS_ENDPOINT_URL_<SERVICE>`. A missing variable leaves its part unset; `missing` names it.
///
/// Source: AWS Lambda, "Using Lambda environment variables"; AWS SDKs and Tools, "Service-specific endpoints".
#[must_use]
pub fn config(environment: &BTreeMap<String, SecretString>) -> SdkConfig {
    let get = |name: &str| environment.get(name).map(ExposeSecret::expose_secret).filter(|value| !value.is_empty());
    let credentials = get(ACCESS_KEY).zip(get(SECRET_KEY)).map(|(id, secret)| {
        let session = get("AWS_SESSION_TOKEN").map(str::to_owned);
        SharedCredentialsProvider::new(Credentials::new(id, secret, session, None, "environment"))
    });
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(get(REGION).map(|region| Region::new(region.to_owned())))
        .service_config(Endpoints::of(environment))
        .http_client(https_client(environment));
    config.set_endpoint_url(get(ENDPOINT_URL).map(str::to_owned));
    config.set_credentials_provider(credentials);
    config.build()
}

const REGION: &str = "AWS_REGION";
const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";

/// Returns the names of missing variables without which every call to AWS fails.
pub(crate) fn missing(config: &SdkConfig) -> impl Iterator<Item = &'static str> {
    let region = config.region().is_none().then_some(REGION);
    let credentials = config.credentials_provider().is_none().then_some("AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY");
    region.into_iter().chain(credentials)
}

/// Builds an HTTPS client that trusts Amazon's own root certificates only, or those that the environment names
/// instead: for an AWS partition with its own roots, or a proxy that inspects TLS.
///
/// Loading the system's more than a hundred roots would take longer than the rest of the start.
fn https_client(environment: &BTreeMap<String, SecretString>) -> SharedHttpClient {
    let builder = Builder::new().tls_provider(Provider::rustls(CryptoMode::AwsLc));
    if OTHER_ROOTS.iter().any(|name| environment.contains_key(*name)) {
        return builder.build_https();
    }
    let roots = TrustStore::empty().with_pem_certificate(AMAZON_ROOTS.as_bytes());
    match TlsContext::builder().with_trust_store(roots).build() {
        Ok(context) => builder.tls_context(context).build_https(),
        // A context of root certificates alone cannot be invalid.
        Err(_) => unreachable!("a context of roots alone is whole"),
    }
}

/// Endpoints of single services, by variable.
struct Endpoints(BTreeMap<String, String>);

impl fmt::Debug for Endpoints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: a URL can contain a password.
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Endpoints {
    fn of(environment: &BTreeMap<String, SecretString>) -> Self {
        let named = environment.iter().filter(|(name, _)| name.starts_with(ENDPOINT_URL));
        Self(named.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect())
    }
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        self.0.get(&format!("{}_{service}", key.env())).filter(|value| !value.is_empty()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use portcullis_crypto::Digest;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
    }

    #[test]
    fn the_roots_are_those_that_amazon_publishes() {
        let mut found = Vec::new();
        for part in AMAZON_ROOTS.split("-----BEGIN CERTIFICATE-----").skip(1) {
            let body = part.split("-----END CERTIFICATE-----").next().unwrap();
            let der = BASE64_STANDARD.decode(body.split_whitespace().collect::<String>()).unwrap();
            found.push(Digest::of(&der).to_hex());
        }
        let published = [
            "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
            "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
            "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
            "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
            "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
        ];
        assert_eq!(found, published);
    }

    #[test]
    fn variables_of_lambda_are_taken_and_missing_ones_are_named() {
        let whole = config(&environment(&[
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]));
        assert_eq!(whole.region().map(AsRef::as_ref), Some("eu-central-1"));
        assert_eq!(missing(&whole).count(), 0);
        let half = config(&environment(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "")]));
        let named: Vec<_> = missing(&half).collect();
        assert_eq!(named, ["AWS_REGION", "AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY"]);
    }

    #[test]
    fn a_services_own_endpoint_wins_over_the_general_one() {
        let config = config(&environment(&[
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ENDPOINT_URL", "http://general.invalid"),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://secrets.invalid"),
            ("AWS_ENDPOINT_URL_SQS", ""),
        ]));
        let url = |service: &'static str| {
            let key = ServiceConfigKey::builder().service_id(service).env(ENDPOINT_URL).profile("endpoint_url").build();
            config.service_config().unwrap().load_config(key.unwrap())
        };
        assert_eq!(url("Secrets Manager").as_deref(), Some("http://secrets.invalid"));
        assert_eq!(url("SQS"), None);
        assert_eq!(url("DynamoDB"), None);
        assert_eq!(config.endpoint_url(), Some("http://general.invalid"));
    }
}

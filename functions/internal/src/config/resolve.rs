//! Replaces a snapshot's references by credentials.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_openclaw::Reference;
use portcullis_runtime::ApiError;
use portcullis_store::{CredentialId, PoolConfiguration, SecretName};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    PoolSnapshot, ResolvedCredentials,
    translate::{credentials_by_reference, stored_kind},
};
use crate::{app::App, build_inputs::BuildInputs, models_keys::reference_to};

impl App {
    /// Returns `openclaw.json` with its credentials filled in, and the pool's secrets. Reads them in one round of
    /// calls unless the build has read them. `None` if a credential has another revision by now.
    pub(super) async fn resolve(
        &self,
        current: &mut PoolSnapshot,
        inputs: &BuildInputs,
    ) -> Result<Option<(Value, BTreeMap<SecretName, SecretString>)>, ApiError> {
        let resolved = match current.credentials.take() {
            Some(resolved) => resolved,
            None => match self.read_credentials(current, inputs).await? {
                Some(resolved) => resolved,
                None => return Ok(None),
            },
        };
        let credential = |reference: &Reference| match reference {
            Reference::LiteLlm { revision } if inputs.models_of_each_pool().is_none() => inputs.shared_key(*revision),
            _ => resolved.by_reference.get(reference).map(SecretString::expose_secret),
        };
        let config = current.configuration.fill(&credential).ok();
        Ok(config.map(|config| (config, resolved.secrets)))
    }

    /// Reads the credentials that the pool may have today, whatever its configurations reference: those of connected
    /// channels of the pool's own active bots. Takes two rounds of calls.
    pub(super) async fn credentials_of_today(
        &self,
        read: &PoolConfiguration,
        inputs: &BuildInputs,
    ) -> Result<ResolvedCredentials, ApiError> {
        let (records, secrets, gateway_token, models_key) = tokio::try_join!(
            self.store.pool_records(&read.pool),
            self.store.secrets_of_pool(&read.pool.id),
            self.store.gateway_token(read),
            self.own_models_key(read, inputs)
        )?;
        let mut credentials = credentials_by_reference(records);
        credentials.extend(gateway_token.map(|token| (Reference::Gateway, token)));
        credentials.extend(models_key.map(|key| (reference_to(&key), key.key)));
        Ok(ResolvedCredentials { by_reference: credentials, secrets })
    }

    async fn read_credentials(
        &self,
        current: &PoolSnapshot,
        inputs: &BuildInputs,
    ) -> Result<Option<ResolvedCredentials>, ApiError> {
        let (ids, references) = channel_references(current.configuration.references());
        let (found, secrets, gateway_token, models_key) = tokio::try_join!(
            self.store.credentials(&ids),
            self.store.secrets_of_pool(&current.read.pool.id),
            self.store.gateway_token(&current.read),
            self.own_models_key(&current.read, inputs)
        )?;
        let mut credentials = BTreeMap::new();
        for ((reference, revision), credential) in references.into_iter().zip(found) {
            let Some(credential) = credential.filter(|credential| credential.revision == revision) else {
                return Ok(None);
            };
            credentials.insert(reference, credential.value);
        }
        credentials.extend(gateway_token.map(|token| (Reference::Gateway, token)));
        credentials.extend(models_key.map(|key| (reference_to(&key), key.key)));
        Ok(Some(ResolvedCredentials { by_reference: credentials, secrets }))
    }
}

/// Returns the referenced channel credentials, and each reference with the revision that its credential must have.
fn channel_references(references: BTreeSet<Reference>) -> (Vec<CredentialId>, Vec<(Reference, u64)>) {
    let channels = references.into_iter().filter_map(|reference| match &reference {
        Reference::Channel { channel, kind, revision } => {
            let id = CredentialId { channel: channel.clone(), kind: stored_kind(*kind) };
            let revision = *revision;
            Some((id, (reference, revision)))
        }
        Reference::Gateway | Reference::LiteLlm { .. } => None,
    });
    channels.unzip()
}

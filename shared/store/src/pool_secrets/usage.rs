//! Usage of each scope of a pool.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{MAXIMUM_BYTES_A_SCOPE, MAXIMUM_NAMES_A_SCOPE, MAXIMUM_SCOPES, PutSecretsError, Scope, TABLE};
use crate::{
    StoreError,
    attribute::{Item, SCHEMA, attributes, schema, size},
    row::Row,
};

/// Sort key of a pool's usage row; no scope's prefix begins so.
pub(super) const SORT_KEY: &str = "#usage";

/// Attribute that maps a scope to its names and bytes. [`MAXIMUM_SCOPES`] of about 100 B each stay well under
/// DynamoDB's 400 KB a row.
const SCOPES: &str = "scopes";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    names: usize,
    bytes: usize,
}

/// Number of names and bytes of values of each scope of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage(BTreeMap<Scope, Amount>);

impl Usage {
    pub(super) fn from_item(item: Option<&Item>) -> Result<Self, StoreError> {
        let Some(item) = item else { return Ok(Self::default()) };
        let row = Row::new(TABLE, item)?;
        let malformed = || row.malformed(SCOPES);
        let amount = |amount: &Item, part: &str| amount.get(part)?.as_n().ok()?.parse().ok();
        let scopes = row.map(SCOPES)?.iter().map(|(scope, held)| {
            let held = held.as_m().map_err(|_| malformed())?;
            let names = amount(held, "names").ok_or_else(malformed)?;
            let bytes = amount(held, "bytes").ok_or_else(malformed)?;
            Ok((scope.parse().map_err(|_| malformed())?, Amount { names, bytes }))
        });
        scopes.collect::<Result<_, StoreError>>().map(Self)
    }

    /// Attributes of the row, without its key.
    pub(super) fn to_item(&self) -> Item {
        let scope = |(scope, amount): (&Scope, &Amount)| {
            let amount = attributes([("names", size(amount.names)), ("bytes", size(amount.bytes))]);
            (scope.to_string(), AttributeValue::M(amount))
        };
        attributes([(SCHEMA, schema()), (SCOPES, AttributeValue::M(self.0.iter().map(scope).collect()))])
    }

    /// Changes the size of one name of `scope` from `before` bytes to `after`; `None` for an absent name.
    ///
    /// Returns `None` where the stored count is too low: another version of this program wrote it.
    #[must_use]
    pub(super) fn change(&mut self, scope: &Scope, before: Option<usize>, after: Option<usize>) -> Option<()> {
        let held = self.0.entry(scope.clone()).or_default();
        held.names = (held.names + usize::from(after.is_some())).checked_sub(usize::from(before.is_some()))?;
        held.bytes = (held.bytes + after.unwrap_or(0)).checked_sub(before.unwrap_or(0))?;
        if held.names == 0 {
            self.0.remove(scope);
        }
        Some(())
    }

    /// Rejects a scope over a limit, unless it has not grown since `before`: an oversized scope must stay deletable.
    pub(super) fn check(&self, before: &Self) -> Result<(), PutSecretsError> {
        if self.0.len() > MAXIMUM_SCOPES && self.0.len() > before.0.len() {
            return Err(PutSecretsError::TooManyScopes);
        }
        for (scope, held) in &self.0 {
            let had = before.0.get(scope).copied().unwrap_or_default();
            if held.names > MAXIMUM_NAMES_A_SCOPE && held.names > had.names {
                return Err(PutSecretsError::TooManyNames { scope: scope.clone() });
            }
            if held.bytes > MAXIMUM_BYTES_A_SCOPE && held.bytes > had.bytes {
                return Err(PutSecretsError::TooManyBytes { scope: scope.clone() });
            }
        }
        Ok(())
    }
}

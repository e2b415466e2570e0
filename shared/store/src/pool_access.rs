//! Authorization of callers for a pool.

use portcullis_auth::Generation;

use crate::{PoolError, PoolStatus, Table, attribute::Item, row::Row};

/// Rights of a caller over one pool, decided by the tier that authenticated it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolReach {
    /// Anything: the caller holds a static token.
    Any,
    /// Anything while tokens of this generation are valid: the caller holds a token that is bound to the pool.
    While(Generation),
}

impl PoolReach {
    /// Admits the caller to a live pool whose tokens of the caller's kind are of generation `held` now.
    ///
    /// # Errors
    /// [`PoolError::Revoked`].
    pub(crate) fn admit(self, held: Generation) -> Result<(), PoolError> {
        match self {
            Self::While(generation) if held != generation => Err(PoolError::Revoked),
            Self::Any | Self::While(_) => Ok(()),
        }
    }

    /// Admits the caller to a pool by its row, whose `attribute` is the generation of tokens of the caller's kind, and
    /// returns the row.
    ///
    /// # Errors
    /// [`PoolError`]: a terminated pool counts as unknown, since its tokens have ended with it.
    pub(crate) fn admit_to<'row>(
        self,
        pool: Option<&'row Item>,
        attribute: &'static str,
    ) -> Result<Row<'row>, PoolError> {
        let row = Row::new(Table::Pools, pool.ok_or_else(|| self.unknown())?)?;
        if row.parsed::<PoolStatus>("status")? == PoolStatus::Terminated {
            return Err(self.unknown());
        }
        self.admit(Generation(row.parsed(attribute)?)).map(|()| row)
    }

    /// The error of a pool that is unknown or terminated.
    pub(crate) fn unknown(self) -> PoolError {
        match self {
            Self::Any => PoolError::NotFound,
            Self::While(_) => PoolError::Revoked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::{SCHEMA, attributes, number, schema, text};

    #[test]
    fn a_bound_token_counts_for_a_live_pool_of_its_generation_alone() {
        let (old, new) = (Generation(1), Generation(2));
        for (reach, held, expected) in [
            (PoolReach::Any, None, Err(PoolError::NotFound)),
            (PoolReach::Any, Some((PoolStatus::Terminated, old)), Err(PoolError::NotFound)),
            (PoolReach::Any, Some((PoolStatus::Active, old)), Ok(())),
            (PoolReach::Any, Some((PoolStatus::Active, new)), Ok(())),
            (PoolReach::While(old), None, Err(PoolError::Revoked)),
            (PoolReach::While(old), Some((PoolStatus::Terminated, old)), Err(PoolError::Revoked)),
            (PoolReach::While(old), Some((PoolStatus::Active, old)), Ok(())),
            (PoolReach::While(old), Some((PoolStatus::Active, new)), Err(PoolError::Revoked)),
            (PoolReach::While(new), Some((PoolStatus::Active, old)), Err(PoolError::Revoked)),
        ] {
            let row = held.map(|(status, generation)| {
                attributes([
                    (SCHEMA, schema()),
                    ("status", text(status)),
                    ("skillGeneration", number(generation.0)),
                    ("runtimeGeneration", number(3)),
                ])
            });
            let admitted = reach.admit_to(row.as_ref(), "skillGeneration").map(drop);
            assert_eq!(admitted, expected, "{reach:?} {held:?}");
        }
    }
}

//! Purposes of keys.

use std::fmt;

/// Purpose of a key that seals or signs. Each function holds only the keys of the domains that it works with, so that a
/// compromised function opens nothing of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// Secrets that customers' own apps sign their events with.
    SigningSecrets,
    /// Secrets that deliveries to pools are signed with.
    DeliverySecrets,
    /// Bot tokens and gateway tokens, which are filled into a pool's configuration.
    Configuration,
    /// Secrets of pools.
    PoolSecrets,
    /// People's credentials for third parties.
    Integrations,
    /// Tokens bound to a pool's machine.
    RuntimeTokens,
    /// Tokens bound to a pool's skills.
    SkillTokens,
}

impl Domain {
    /// All domains.
    pub const ALL: [Self; 7] = [
        Self::SigningSecrets,
        Self::DeliverySecrets,
        Self::Configuration,
        Self::PoolSecrets,
        Self::Integrations,
        Self::RuntimeTokens,
        Self::SkillTokens,
    ];

    /// Unique name of the domain.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SigningSecrets => "signing-secrets",
            Self::DeliverySecrets => "delivery-secrets",
            Self::Configuration => "configuration",
            Self::PoolSecrets => "pool-secrets",
            Self::Integrations => "integrations",
            Self::RuntimeTokens => "runtime-tokens",
            Self::SkillTokens => "skill-tokens",
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

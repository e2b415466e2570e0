//! What a key is for.

use std::fmt;

/// What a key seals or signs. A function holds the keys of those domains alone that it works with, so that a hole in it opens
/// nothing of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// What customers' own apps sign their events with.
    SigningSecrets,
    /// What deliveries to pools are signed with.
    DeliverySecrets,
    /// Bot tokens and gateway tokens: what is filled into a pool's configuration.
    Configuration,
    /// Pools' secrets.
    PoolSecrets,
    /// People's credentials for third parties.
    Integrations,
    /// Tokens bound to a pool's machine.
    RuntimeTokens,
    /// Tokens bound to a pool's skills.
    SkillTokens,
}

impl Domain {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SigningSecrets,
        Self::DeliverySecrets,
        Self::Configuration,
        Self::PoolSecrets,
        Self::Integrations,
        Self::RuntimeTokens,
        Self::SkillTokens,
    ];

    /// The domain's name, which no other has.
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

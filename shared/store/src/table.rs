//! The tables' names and keys.

use std::fmt;

/// A table by its logical name. The physical name has the deployment's prefix before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "each is described by the module of its name, `skills` and `workspace_templates` by `library`, the integrations' by `integrations`"
)]
pub enum Table {
    Pools,
    PoolConfigSnapshots,
    PoolSecrets,
    Skills,
    WorkspaceTemplates,
    Bots,
    Channels,
    ChannelCredentials,
    WebhookRoutes,
    ChatSessions,
    Artifacts,
    Feedback,
    EventLog,
    Users,
    AuthSessions,
    Verifications,
    Throttles,
    OauthStates,
    UserIntegrations,
    IntegrationCredentials,
    ToolSettings,
}

impl Table {
    /// Logical name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pools => "pools",
            Self::PoolConfigSnapshots => "pool_config_snapshots",
            Self::PoolSecrets => "pool_secrets",
            Self::Skills => "skills",
            Self::WorkspaceTemplates => "workspace_templates",
            Self::Bots => "bots",
            Self::Channels => "channels",
            Self::ChannelCredentials => "channel_credentials",
            Self::WebhookRoutes => "webhook_routes",
            Self::ChatSessions => "chat_sessions",
            Self::Artifacts => "artifacts",
            Self::Feedback => "feedback",
            Self::EventLog => "event_log",
            Self::Users => "users",
            Self::AuthSessions => "auth_sessions",
            Self::Verifications => "verifications",
            Self::Throttles => "throttles",
            Self::OauthStates => "oauth_states",
            Self::UserIntegrations => "user_integrations",
            Self::IntegrationCredentials => "integration_credentials",
            Self::ToolSettings => "tool_settings",
        }
    }

    /// Attributes of the key: the partition key, then the sort key where the table has one.
    pub(crate) const fn key(self) -> &'static [&'static str] {
        match self {
            Self::Pools
            | Self::Bots
            | Self::Channels
            | Self::ChatSessions
            | Self::Artifacts
            | Self::AuthSessions
            | Self::Verifications
            | Self::OauthStates => &["id"],
            Self::Users => &["key"],
            Self::Throttles => &["subject"],
            Self::Feedback => &["bot", "time"],
            Self::PoolConfigSnapshots => &["pool", "version"],
            Self::PoolSecrets => &["pool", "scopeName"],
            Self::Skills | Self::WorkspaceTemplates => &["name", "part"],
            Self::ChannelCredentials => &["channel", "kind"],
            Self::WebhookRoutes => &["route"],
            Self::EventLog => &["identity"],
            Self::UserIntegrations => &["user", "toolkit"],
            Self::IntegrationCredentials => &["integration", "key"],
            Self::ToolSettings => &["scope", "name"],
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

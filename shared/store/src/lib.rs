//! DynamoDB: one module a table, typed records, sealed columns, conditional writes.
//!
//! A condition decides a race, never an earlier read; a change that spans rows is one transaction; reads that decide
//! are consistent ones of base tables. Secrets are sealed for their own cell before they leave this crate and are
//! opened only here. This crate never reports a value as absent when it could not be opened, never retries past an
//! operation's budget, and never puts a value or a request's body into an error.

mod artifacts;
mod attribute;
mod auth_sessions;
mod backoff;
mod batch;
mod bot_access;
mod bot_token_refresh;
mod bots;
mod channel_credentials;
mod channels;
mod chat_platform;
mod chat_sessions;
mod client;
mod configuration;
mod delivery_target;
mod error;
mod event_log;
mod feedback;
mod integrations;
mod keys;
mod library;
mod oauth_states;
mod page;
mod platform_id;
mod pool_access;
mod pool_secrets;
mod pools;
mod revision;
pub mod round_trips;
mod row;
mod stalled_pools;
mod store;
mod table;
mod throttles;
mod tool_settings;
mod users;
mod verifications;
mod webhook_routes;

pub use artifacts::{
    Artifact, ArtifactChange, ArtifactError, ArtifactFilter, ArtifactSource, ArtifactStats, ArtifactStatus,
    ArtifactType, DomainCheck, InvalidPreviewUrl, NewArtifact, PreviewOwner, PreviewUrl, PutArtifactError, SessionRef,
};
pub use auth_sessions::{
    AuthSession, MAXIMUM_SESSIONS, NewAuthSession, OpenSessionError, SESSION_LIFETIME, SESSION_LIFETIME_AT_MOST,
    SESSION_SLIDES_EVERY,
};
pub use bot_access::{BotAccessError, BotReach};
pub use bot_token_refresh::{DueToken, REFRESH_BEFORE, REFRESH_CLAIM};
pub use bots::{
    Belongings, Bot, BotStatus, BotUpdate, Change, CreateBotError, DeleteBotError, MAXIMUM_BOTS, MAXIMUM_OWNED_BOTS,
    NewBot, SetBotStatusError, UpdateBotError,
};
pub use channel_credentials::{BotToken, Rotation};
pub use channels::{
    Channel, ChannelEnd, ChannelError, ChannelState, ChannelStatus, ConnectError, ENDED_SECRET_RETENTION, EndOutcome,
    JoinError, MAXIMUM_CHANNELS, MAXIMUM_JOINED_CHANNELS, MAXIMUM_MEMBERS, NewChannel, NewDiscordChannel,
    NewFeishuChannel, NewSlackChannel, SigningSource,
};
pub use chat_platform::{ChatPlatform, ConnectionMode};
pub use chat_sessions::{
    ChatId, InvalidChatId, MessageSeen, NewSession, Resolution, SESSION_RETENTION, Session, SessionChange,
    SessionError, SessionFilter, SessionStatus, session_id,
};
pub use client::{
    ATTEMPT_TIMEOUT, CONNECT_TIMEOUT, ClientOptions, INITIAL_BACKOFF, MAXIMUM_ATTEMPTS, MAXIMUM_BACKOFF,
    OPERATION_TIMEOUT, client, client_with,
};
pub use configuration::{
    BotRecords, ChannelRecords, Credential, CredentialId, CredentialKind, ModelsKey, ModelsKeyChange,
    PoolConfiguration, Publication, PublishError, Published, Snapshot,
};
pub use delivery_target::{DeliveryTarget, PoolGuesses};
pub use error::StoreError;
pub use event_log::{EVENT_RETENTION, Lease};
pub use feedback::{FEEDBACK_RETENTION, NewFeedback};
pub use integrations::{
    CONNECT_LINK_LIFETIME, CONNECTION_LIFETIME, ConnectionProof, Integration, IntegrationError, IntegrationSource,
    IntegrationStatus, MAXIMUM_CONNECT_LINKS, NewConnection, connect_link_digest,
};
pub use keys::{FixedKeys, KeySource, KeyringFuture};
pub use library::{
    Contents, DeleteDocumentError, Document, DocumentSummary, Library, MAXIMUM_ACTIVE_BYTES, MAXIMUM_ANSWER_BYTES,
    MAXIMUM_DOCUMENTS, PutDocumentError,
};
pub use oauth_states::{NewOauthState, OAUTH_STATE_LIFETIME, OauthState, OauthStateError};
pub use page::{Page, Slice, Window};
pub use platform_id::{InvalidPlatformId, PlatformId};
pub use pool_access::PoolReach;
pub use pool_secrets::{
    InvalidScope, InvalidSecretName, MAXIMUM_BYTES_A_SCOPE, MAXIMUM_CHANGES, MAXIMUM_NAMES_A_SCOPE, MAXIMUM_SCOPES,
    MAXIMUM_VALUE_LENGTH, PutSecretsError, Scope, SealedSecrets, SecretChange, SecretEntry, SecretName,
};
pub use pools::{
    DEFAULT_PORT, Generations, Heartbeat, InvalidPoolAddress, OpenClawReport, PlaceBotError, Pool, PoolAddress,
    PoolError, PoolReport, PoolStatus,
};
pub use stalled_pools::Stall;
pub use store::Store;
pub use table::Table;
pub use throttles::{
    Counted, FAILURES_ARE_KEPT_FOR, FIRST_WAIT, FREE_FAILURES, Failures, LONGEST_WAIT, ThrottleSubject,
};
pub use users::{ImportedUser, Login, NewUser, ProfileChange, SignInAttempt, SignedUp, User, UserError};
pub use verifications::{CODE_TRIES, NewVerification, Verification, VerificationError};
pub use webhook_routes::WebhookRoute;

//! `/v1/me`: the caller's own profile.

pub(crate) mod get;
pub(crate) mod update;

use portcullis_auth::UserId;
use portcullis_store::User;
use serde::Serialize;

/// A profile.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Profile)]
pub(crate) struct Profile {
    id: UserId,
    email: String,
    name: String,
    #[schema(required)]
    image: Option<String>,
    plan: Plan,
    invite_accepted: bool,
    onboarding_completed: bool,
    auth_source: AuthSource,
}

/// Plan of an account. There is only one plan.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Plan {
    Free,
}

/// Way in which an account authenticates. There is only one way.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum AuthSource {
    Email,
}

impl Profile {
    /// Builds a profile. Invitations do not exist, so each account counts as invited. The onboarding is complete once
    /// a bot of the person has a channel.
    fn new(user: User, has_channel: bool) -> Self {
        Self {
            id: user.id,
            email: user.email.into(),
            name: user.name,
            image: user.image,
            plan: Plan::Free,
            invite_accepted: true,
            onboarding_completed: has_channel,
            auth_source: AuthSource::Email,
        }
    }
}

//! Links that an agent hands out in a chat.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use portcullis_auth::UserId;
use portcullis_crypto::{Digest, constant_time_eq};
use portcullis_toolkits::ToolkitSlug;

use super::{Integration, IntegrationError, IntegrationStatus, connect::NOT_ACTIVE};
use crate::{
    Store, StoreError,
    attribute::{attributes, number, schema, size, text, text_set, time},
};

/// Lifetime of a link: a person reads a chat later than a page.
pub const CONNECT_LINK_LIFETIME: Duration = Duration::from_hours(24);

/// Most valid links of one person and toolkit. A further one replaces all of them: a person opens the latest link, and
/// an agent that asks again and again does not fill the row.
pub const MAXIMUM_CONNECT_LINKS: usize = 8;

/// Digest of a link, with its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectLink {
    /// Seconds since 1970.
    ends_at: i64,
    digest: [u8; 32],
}

impl fmt::Display for ConnectLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.ends_at, hex::encode(self.digest))
    }
}

/// Error: not a link as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a connect link")]
pub(super) struct InvalidConnectLink;

impl FromStr for ConnectLink {
    type Err = InvalidConnectLink;

    fn from_str(text: &str) -> Result<Self, InvalidConnectLink> {
        let (ends_at, digits) = text.split_once(':').ok_or(InvalidConnectLink)?;
        let digest = Digest::from_hex(digits).ok_or(InvalidConnectLink)?;
        Ok(Self { ends_at: ends_at.parse().map_err(|_| InvalidConnectLink)?, digest: *digest.as_bytes() })
    }
}

/// Returns the digest under which a link's id is stored.
#[must_use]
pub fn connect_link_digest(id: &str) -> Digest {
    Digest::of_parts(&[b"connect-link", id.as_bytes()])
}

impl Store {
    /// Stores the digest of a link by which a person connects a toolkit: one call, and one more where
    /// [`MAXIMUM_CONNECT_LINKS`] are stored already, all of which it replaces.
    ///
    /// # Errors
    /// [`IntegrationError::AlreadyActive`] and [`IntegrationError::Store`].
    pub async fn keep_connect_link(
        &self,
        user: &UserId,
        toolkit: &ToolkitSlug,
        new_id: &str,
        link: Digest,
    ) -> Result<(), IntegrationError> {
        let now = self.now();
        let ends_at = now.saturating_add(CONNECT_LINK_LIFETIME).unwrap_or(Timestamp::MAX).as_second();
        let values = attributes([
            (":schema", schema()),
            (":id", text(new_id)),
            (":pending", text(IntegrationStatus::Pending)),
            (":active", text(IntegrationStatus::Active)),
            (":links", text_set([ConnectLink { ends_at, digest: *link.as_bytes() }])),
            (":now", time(now)),
            (":zero", number(0)),
            (":one", number(1)),
        ]);
        let mut bounded = values.clone();
        bounded.extend(attributes([(":maximum", size(MAXIMUM_CONNECT_LINKS))]));
        let has_room = format!("({NOT_ACTIVE}) AND (attribute_not_exists(#links) OR size(#links) < :maximum)");
        match self.change_integration(user, toolkit, &format!("{ROW} ADD #links :links"), &has_room, bounded).await {
            Ok(_) => return Ok(()),
            Err(IntegrationError::Changed) => {}
            Err(error) => return Err(error),
        }
        // Either connected, or at the limit of links.
        match self.change_integration(user, toolkit, &format!("{ROW}, #links = :links"), NOT_ACTIVE, values).await {
            Ok(_) => Ok(()),
            Err(IntegrationError::Changed) => Err(IntegrationError::AlreadyActive),
            Err(error) => Err(error),
        }
    }

    /// Returns the person's integration that a link is for; `None` for another person's link, or an expired one: one
    /// call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn integration_of_link(&self, user: &UserId, link: Digest) -> Result<Option<Integration>, StoreError> {
        let now = self.now().as_second();
        let is_the_one = |integration: &Integration| {
            let mut links = integration.links.iter().filter(|known| now < known.ends_at);
            links.any(|known| constant_time_eq(&known.digest, link.as_bytes()))
        };
        Ok(self.integrations_of(user).await?.into_iter().find(is_the_one))
    }
}

/// Assignments that also create a missing row.
const ROW: &str = "SET #schema = :schema, #id = if_not_exists(#id, :id), #status = if_not_exists(#status, :pending), \
    #updatedAt = :now, #createdAt = if_not_exists(#createdAt, :now), #revision = if_not_exists(#revision, :zero) + :one";

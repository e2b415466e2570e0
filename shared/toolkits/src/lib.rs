//! Third-party toolkits: the catalogue, lookup of an action's toolkit, pools' policies, people's keys, and cards for
//! chats.
//!
//! Pure: no I/O and no clock.

mod action;
mod card;
mod catalogue;
mod credentials;
mod policy;
mod toolkit;

pub use action::{Action, InvalidAction};
pub use card::AuthCard;
pub use catalogue::{Catalogue, Resolved};
pub use credentials::{CredentialProblem, Credentials, MAXIMUM_CREDENTIAL_BYTES, hint};
pub use policy::{InvalidRule, MAXIMUM_RULES, Permission, Rule, ToolPolicy};
pub use toolkit::{
    AuthField, AuthScheme, FieldType, IncompleteToolkit, InvalidToolkitSlug, Toolkit, ToolkitChange, ToolkitSlug,
};

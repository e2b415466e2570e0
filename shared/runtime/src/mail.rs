//! Mail to people: SES on AWS, a mailbox folder on a developer's machine.

mod ses;

use std::{fmt, future::Future, pin::Pin};

use portcullis_auth::Email;

pub use ses::SesMailer;

/// A mail to one person, as plain text and as HTML. Neither loads external content.
#[derive(Clone)]
pub struct Message {
    /// The recipient's address.
    pub to: Email,
    /// The subject, a single line.
    pub subject: &'static str,
    /// The plain text.
    pub text: String,
    /// The same content as an HTML document.
    pub html: String,
}

impl fmt::Debug for Message {
    // Nothing of the text: it contains a code or a link that grants access.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Message").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Reason for which a mail was not accepted. It contains no part of the mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mail could not be sent: {0}")]
pub struct MailError(pub String);

/// The future of [`Mailer::send`].
pub type MailFuture<'a> = Pin<Box<dyn Future<Output = Result<(), MailError>> + Send + 'a>>;

/// Accepts mail for delivery.
pub trait Mailer: Send + Sync {
    /// Accepts one mail. Once this returns, the mail service delivers it.
    fn send<'a>(&'a self, message: &'a Message) -> MailFuture<'a>;
}

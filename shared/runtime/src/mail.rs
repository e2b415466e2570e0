//! Mail to people: SES on AWS, a mailbox folder on this machine.

mod ses;

use std::{fmt, future::Future, pin::Pin};

use portcullis_auth::Email;

pub use ses::SesMailer;

/// A mail to one person, as plain text and as HTML. Neither loads anything from anywhere.
#[derive(Clone)]
pub struct Message {
    /// The recipient.
    pub to: Email,
    /// The subject: one line.
    pub subject: &'static str,
    /// The plain text.
    pub text: String,
    /// The same as an HTML document.
    pub html: String,
}

impl fmt::Debug for Message {
    // Its text holds a code or a link that lets somebody in.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Message").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Reason why a mail was not taken for delivery. It holds nothing of the mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mail could not be sent: {0}")]
pub struct MailError(pub String);

/// The future of [`Mailer::send`].
pub type MailFuture<'a> = Pin<Box<dyn Future<Output = Result<(), MailError>> + Send + 'a>>;

/// Takes mail for delivery.
pub trait Mailer: Send + Sync {
    /// Takes one mail. Once this returns it is the mail service's to deliver.
    fn send<'a>(&'a self, message: &'a Message) -> MailFuture<'a>;
}

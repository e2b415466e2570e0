//! Mail through Amazon SES.

use std::time::Duration;

use aws_sdk_sesv2::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    types::{Body, Content, Destination, EmailContent, Message as SesMessage},
};
use aws_types::SdkConfig;
use portcullis_auth::Email;

use super::{MailError, MailFuture, Mailer, Message};
use crate::causes::causes;

/// Connect time-out: within a region, a slower connection is lost.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time-out of an attempt. SES accepts a mail within about 100 ms.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time-out of all attempts together, so that the person gets a response before the function's own deadline.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(8);
const ATTEMPTS: u32 = 3;

/// Sends mail through SES, from one verified address.
pub struct SesMailer {
    client: Client,
    from: Email,
}

impl SesMailer {
    /// Creates a sender of mail from this address.
    #[must_use]
    pub fn new(config: &SdkConfig, from: Email) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let config = aws_sdk_sesv2::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build();
        Self { client: Client::from_conf(config), from }
    }

    async fn send_now(&self, message: &Message) -> Result<(), MailError> {
        let failed = |what: String| MailError(what);
        let content = |text: &str| {
            Content::builder().data(text).charset("UTF-8").build().map_err(|error| failed(error.to_string()))
        };
        let body = Body::builder().text(content(&message.text)?).html(content(&message.html)?).build();
        let simple = SesMessage::builder().subject(content(message.subject)?).body(body).build();
        let request = self
            .client
            .send_email()
            .from_email_address(self.from.as_str())
            .destination(Destination::builder().to_addresses(message.to.as_str()).build())
            .content(EmailContent::builder().simple(simple).build());
        request.send().await.map_err(|error| failed(causes(&error)))?;
        Ok(())
    }
}

impl Mailer for SesMailer {
    fn send<'a>(&'a self, message: &'a Message) -> MailFuture<'a> {
        Box::pin(self.send_now(message))
    }
}

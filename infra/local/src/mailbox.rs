//! Mailbox of this machine: keeps the mail that SES would send.
//!
//! `/dev/mailbox` shows the mail and `/dev/mailbox.json` gives it to scripts. Neither exists on AWS.

use std::{
    collections::VecDeque,
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use axum::response::{Html, IntoResponse, Response};
use http::{Method, Request, StatusCode, header::CONTENT_SECURITY_POLICY};
use mail_builder::MessageBuilder;
use portcullis_auth::Clock;
use portcullis_runtime::mail::{MailError, MailFuture, Mailer, Message};
use serde::Serialize;

/// Most mails that are shown; older ones stay only in the folder.
const SHOWN: usize = 200;
/// Sender of the mails, which accepts no answers.
const FROM: &str = "portcullis@localhost";

/// A mail in its displayed form.
#[derive(Clone, Serialize)]
struct Shown {
    to: String,
    subject: String,
    text: String,
    html: String,
    at: String,
}

/// Mailbox of everybody who signs up on this machine.
pub struct Mailbox {
    folder: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    mails: Mutex<VecDeque<Shown>>,
}

impl Mailbox {
    /// Creates an empty mailbox. With a folder, each mail is also an owner-only file `….eml` in it.
    #[must_use]
    pub fn new(folder: Option<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self { folder, clock, mails: Mutex::default() }
    }

    /// Answers a request to `/dev/mailbox`; `None` for any other path.
    #[must_use]
    pub fn answer<B>(&self, request: &Request<B>) -> Option<Response> {
        let is_page = match request.uri().path() {
            "/dev/mailbox" => true,
            "/dev/mailbox.json" => false,
            _ => return None,
        };
        if request.method() != Method::GET {
            return Some(StatusCode::METHOD_NOT_ALLOWED.into_response());
        }
        // DNS rebinding: a page whose own name resolves to this machine could otherwise read codes and links.
        if !crate::gateway::is_of_this_machine(request) {
            return Some(
                (StatusCode::FORBIDDEN, "the mailbox answers to 127.0.0.1 and localhost alone\n").into_response(),
            );
        }
        let mails: Vec<Shown> = self.mails.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        let content = if is_page { Html(page(&mails)).into_response() } else { axum::Json(mails).into_response() };
        Some(([(CONTENT_SECURITY_POLICY, "default-src 'none'")], content).into_response())
    }

    fn keep(&self, message: &Message) -> io::Result<()> {
        let at = self.clock.now();
        let mut mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &self.folder {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let eml = MessageBuilder::new()
                .from(FROM)
                .to(message.to.as_str())
                .subject(message.subject)
                .date(at.as_second())
                .text_body(&message.text)
                .html_body(&message.html)
                .write_to_vec()?;
            // The number keeps the names of two mails of one millisecond apart.
            for number in 0.. {
                let file = folder.join(format!("{}-{number}.eml", at.as_millisecond()));
                match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
                    Ok(mut file) => {
                        file.write_all(&eml)?;
                        break;
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if mails.len() == SHOWN {
            mails.pop_front();
        }
        mails.push_back(Shown {
            to: message.to.to_string(),
            subject: message.subject.to_owned(),
            text: message.text.clone(),
            html: message.html.clone(),
            at: format!("{at:.3}"),
        });
        Ok(())
    }
}

impl Mailer for Mailbox {
    fn send<'a>(&'a self, message: &'a Message) -> MailFuture<'a> {
        let kept = self.keep(message).map_err(|error| MailError(error.to_string()));
        Box::pin(std::future::ready(kept))
    }
}

fn page(mails: &[Shown]) -> String {
    let mut page =
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Mailbox</title><h1>Mailbox</h1>".to_owned();
    if mails.is_empty() {
        page.push_str("<p>There is no mail yet.");
    }
    for mail in mails.iter().rev() {
        let (subject, to, at) = (escape(&mail.subject), escape(&mail.to), escape(&mail.at));
        let text = linked(&mail.text);
        page = format!("{page}<article><h2>{subject}</h2><p>To {to}, {at}<pre>{text}</pre></article>");
    }
    page
}

/// Text as HTML with clickable links.
fn linked(text: &str) -> String {
    let line = |line: &str| {
        let escaped = escape(line);
        let is_link = line.starts_with("http://") || line.starts_with("https://");
        if is_link { format!("<a href=\"{escaped}\">{escaped}</a>") } else { escaped }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use http::header::HOST;
    use portcullis_runtime::SystemClock;

    use super::*;

    fn message(text: &str) -> Message {
        let to = "ada@example.com".parse().unwrap();
        Message { to, subject: "A subject", text: text.to_owned(), html: "<p>x</p>".to_owned() }
    }

    fn get(host: &str, path: &str) -> Request<()> {
        Request::get(path).header(HOST, host).body(()).unwrap()
    }

    #[tokio::test]
    async fn a_mail_is_shown_given_to_scripts_and_kept_as_a_file_of_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("mailbox");
        let mailbox = Mailbox::new(Some(at.clone()), Arc::new(SystemClock));
        for text in ["<b>first</b>", "https://127.0.0.1/?a=1&b=2"] {
            mailbox.send(&message(text)).await.unwrap();
        }
        let body = async |response: Response| {
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            String::from_utf8(body.to_vec()).unwrap()
        };
        let page = body(mailbox.answer(&get("127.0.0.1:8787", "/dev/mailbox")).unwrap()).await;
        assert!(
            page.contains("&lt;b&gt;first") && page.contains("<a href=\"https://127.0.0.1/?a=1&amp;b=2\">"),
            "{page}"
        );
        let json = body(mailbox.answer(&get("localhost", "/dev/mailbox.json")).unwrap()).await;
        let mails: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(mails[0]["text"], "<b>first</b>");
        assert_eq!((&mails[1]["to"], &mails[1]["subject"]), (&"ada@example.com".into(), &"A subject".into()));
        let files: Vec<_> = std::fs::read_dir(&at).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 2);
        for file in files {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert!(std::fs::read_to_string(file.path()).unwrap().contains("To: <ada@example.com>"));
        }
    }

    #[test]
    fn another_host_another_method_and_another_path_get_nothing() {
        let mailbox = Mailbox::new(None, Arc::new(SystemClock));
        for host in ["evil.test", "127.0.0.1.evil.test:8787", "", "localhost.evil.test"] {
            let response = mailbox.answer(&get(host, "/dev/mailbox.json")).unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{host}");
        }
        let post = Request::post("/dev/mailbox").header(HOST, "127.0.0.1").body(()).unwrap();
        assert_eq!(mailbox.answer(&post).unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(mailbox.answer(&get("127.0.0.1", "/dev/mailboxes")).is_none());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_an_error_and_shows_nothing() {
        let mailbox = Mailbox::new(Some("/dev/null/mailbox".into()), Arc::new(SystemClock));
        assert!(mailbox.send(&message("x")).await.is_err());
        let shown = mailbox.mails.lock().unwrap().len();
        assert_eq!(shown, 0);
    }
}

//! Texts of the mails, as plain text and HTML. They contain no images, no tracking, and no link but the necessary one.

use std::time::Duration;

use portcullis_auth::Email;
use portcullis_runtime::mail::Message;

/// Life of a code in minutes, for the mails' texts.
pub(crate) const CODE_MINUTES: u64 = 10;
/// Life of a link in minutes, for the mails' texts.
pub(crate) const LINK_MINUTES: u64 = 60;

/// Life of a mailed link.
pub(crate) const LINK_LIFETIME: Duration = Duration::from_mins(LINK_MINUTES);

/// Builds the mail that verifies an address by a code or a link.
pub(crate) fn verification(to: Email, code: &str, link: &str) -> Message {
    message(
        to,
        "Verify your e-mail address",
        &[
            Part::Text("Enter this code to verify your e-mail address:"),
            Part::Code(code),
            Part::Text("or open this link:"),
            Part::Link(link),
            Part::Text("The code is valid for 10 minutes, the link for an hour."),
            Part::Text("If you did not sign up, ignore this mail: nobody can use the account without it."),
        ],
    )
}

/// Builds the mail with a code alone.
pub(crate) fn code(to: Email, code: &str) -> Message {
    message(
        to,
        "Your verification code",
        &[
            Part::Text("Enter this code to verify your e-mail address:"),
            Part::Code(code),
            Part::Text("It is valid for 10 minutes. If you did not ask for it, ignore this mail."),
        ],
    )
}

/// Builds the mail to the owner of an address with which somebody has signed up again.
pub(crate) fn already_signed_up(to: Email, sign_in: &str) -> Message {
    message(
        to,
        "You have an account already",
        &[
            Part::Text("Somebody signed up with this address, which has an account already. Sign in here:"),
            Part::Link(sign_in),
            Part::Text("If it was not you, nothing has changed and there is nothing to do."),
        ],
    )
}

/// Builds the mail with a link that sets a new password.
pub(crate) fn password_reset(to: Email, link: &str) -> Message {
    message(
        to,
        "Set a new password",
        &[
            Part::Text("Open this link to set a new password:"),
            Part::Link(link),
            Part::Text("It is valid for an hour and works once. If you did not ask for it, ignore this mail."),
        ],
    )
}

/// Builds the mail that reports a changed password.
pub(crate) fn password_changed(to: Email, reset: &str) -> Message {
    message(
        to,
        "Your password has changed",
        &[
            Part::Text("The password of your account has changed, and all devices are signed out."),
            Part::Text("If it was not you, set a new one here:"),
            Part::Link(reset),
        ],
    )
}

enum Part<'a> {
    Text(&'a str),
    Code(&'a str),
    Link(&'a str),
}

fn message(to: Email, subject: &'static str, parts: &[Part<'_>]) -> Message {
    let mut text = String::new();
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{subject}</title></head>\
         <body style=\"font-family:sans-serif;line-height:1.5\">"
    );
    for part in parts {
        let (plain, marked) = match part {
            Part::Text(words) => ((*words).to_owned(), format!("<p>{}</p>", escape(words))),
            Part::Code(code) => {
                let style = "font-size:1.5em;letter-spacing:.2em;font-family:monospace";
                (format!("    {code}"), format!("<p style=\"{style}\">{}</p>", escape(code)))
            }
            Part::Link(link) => {
                let escaped = escape(link);
                ((*link).to_owned(), format!("<p><a href=\"{escaped}\">{escaped}</a></p>"))
            }
        };
        text.push_str(&plain);
        text.push_str("\n\n");
        html.push_str(&marked);
    }
    html.push_str("</body></html>\n");
    Message { to, subject, text, html }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stands_in_both_forms_and_markup_in_it_is_text() {
        let mail = password_reset("a@example.com".parse().unwrap(), "https://x.example.com/?a=1&b=\"><script>");
        assert!(mail.text.contains("https://x.example.com/?a=1&b=\"><script>\n"));
        assert!(mail.html.contains("href=\"https://x.example.com/?a=1&amp;b=&quot;&gt;&lt;script&gt;\""));
        assert!(!mail.html.contains("<script>"));
    }

    #[test]
    fn a_mail_loads_nothing() {
        let to = || "a@example.com".parse().unwrap();
        for mail in [
            verification(to(), "123456", "https://x"),
            code(to(), "123456"),
            already_signed_up(to(), "https://x"),
            password_reset(to(), "https://x"),
            password_changed(to(), "https://x"),
        ] {
            assert!(!["<img", "src=", "<link", "url(", "@import"].iter().any(|loading| mail.html.contains(loading)));
            assert!(!mail.subject.contains(['\r', '\n']));
            assert!(!format!("{mail:?}").contains("123456"));
        }
    }
}

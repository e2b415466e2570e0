//! Pages of the stand-in; none has a script.

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Stand-in for Composio</title>\
    <h1>Stand-in for Composio</h1>";

/// Consent page for an account.
pub(super) fn consent(link: &str, toolkit: &str, user: &str) -> String {
    let (link, toolkit, user) = (escape(link), escape(toolkit), escape(user));
    format!(
        "{HEAD}<p>May {user} use this machine's account at {toolkit}?\
         <form method=\"post\" action=\"/dev/composio/link/{link}\">\
         <button name=\"decision\" value=\"allow\">Allow</button> \
         <button name=\"decision\" value=\"refuse\">Refuse</button></form>"
    )
}

/// Page at the end of a link without a callback.
pub(super) fn done() -> String {
    format!("{HEAD}<p>You can close this page.")
}

/// Page of an invalid link.
pub(super) fn gone() -> String {
    format!("{HEAD}<p>This link does not count any more.")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

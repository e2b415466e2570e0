//! Pages of the stand-in: the conversation, and the consent page. Neither has a script.

use super::Known;

/// Conversation of the person with the app.
pub(super) fn conversation(known: &Known) -> String {
    let mut page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Stand-in for Slack</title>\
        <h1>Stand-in for Slack</h1>"
        .to_owned();
    if known.tokens.is_empty() {
        page.push_str("<p>The app is not installed here yet: press \"Add to Slack\" in the <a href=\"/\">console</a>.");
    } else {
        page.push_str(
            "<form method=\"post\" action=\"/dev/slack/messages\"><label>Write to the app \
             <input name=\"text\" required autofocus autocomplete=\"off\" maxlength=\"4000\"></label> \
             <button>Send</button></form>",
        );
    }
    for message in known.messages.iter().rev() {
        page = format!("{page}<article><h2>{}</h2><p>{}</article>", message.from, escape(&message.text));
    }
    page
}

/// Consent page for the app's install, with a link for each outcome.
pub(super) fn consent(scopes: &str, outcomes: &[(&str, String)]) -> String {
    let scopes = scopes.split(',').map(escape).collect::<Vec<_>>().join("<li>");
    let links = outcomes.iter().map(|(text, url)| format!("<p><a href=\"{}\">{text}</a>", escape(url)));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Stand-in for Slack</title>\
         <h1>Portcullis asks to be installed</h1><p>In the workspace of this machine's stand-in for Slack, it may:\
         <ul><li>{scopes}</ul>{}",
        links.collect::<String>(),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

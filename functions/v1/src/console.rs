//! The web console: a page and the files that it loads, compiled into the binary.

use portcullis_runtime::pages::{File, Pages};

/// A file of the folder `console`.
macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../console/", $name)))
    };
}

/// Files that the page loads.
const FILES: [(&str, &str); 22] = [
    file!("account.js"),
    file!("api.js"),
    file!("artifacts.js"),
    file!("bots.js"),
    file!("channels.js"),
    file!("connect_discord.js"),
    file!("connect_feishu.js"),
    file!("connect_slack.js"),
    file!("console.css"),
    file!("conversations.js"),
    file!("dom.js"),
    file!("failure.js"),
    file!("form.js"),
    file!("frame.js"),
    file!("integrations.js"),
    file!("main.js"),
    file!("parts.js"),
    file!("router.js"),
    file!("session.js"),
    file!("sign_in.js"),
    file!("start.js"),
    file!("words.js"),
];

/// Returns the console. It is served at `/` and at the pages where installs of the Slack app and connections of
/// accounts end; its other addresses are behind a `#`.
pub(crate) fn pages() -> Pages {
    let (name, text) = file!("index.html");
    Pages {
        page: File::new(name, text),
        page_paths: &["/", "/workspace/channels/slack/callback", "/workspace/integrations/callback"],
        files: FILES.iter().map(|(name, text)| File::new(name, text)).collect(),
        files_route: "/console/{file}",
    }
}

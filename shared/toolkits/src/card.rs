//! Chat messages that ask a person to connect an account, in each platform's markup.
//!
//! An operator writes a toolkit's texts, and they are read back from the store: their characters must not become
//! markup, a mention or a link.

use serde::Serialize;
use url::Url;

use crate::Toolkit;

/// A request to connect an account with its link, for each platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthCard {
    /// Text in Slack's `mrkdwn`. Source: Slack, "Formatting message text".
    pub slack: String,
    /// Text in Discord's Markdown. Source: Discord, "Markdown Text 101".
    pub discord: String,
    /// Text in Feishu's Markdown of cards. Source: Feishu, "Rich text component of a card" (`lark_md`, HTML entities).
    pub feishu: String,
}

impl AuthCard {
    /// Creates the card of a toolkit whose account is connected at the URL `connect`.
    #[must_use]
    pub fn new(toolkit: &Toolkit, connect: &Url) -> Self {
        let (name, does) = (one_line(&toolkit.display_name), one_line(&toolkit.description));
        // Percent-encodes the characters that end a link and that a URL may hold unencoded.
        let url = connect.as_str().replace('|', "%7C").replace('(', "%28").replace(')', "%29").replace('*', "%2A");
        let (slack, discord, feishu) = (of_slack(&name), of_discord(&name), of_feishu(&name));
        Self {
            slack: card(
                &format!("*{slack} is not connected.*"),
                &of_slack(&does),
                &format!("<{}|Connect {slack}>", url.replace('&', "&amp;")),
            ),
            discord: card(
                &format!("**{discord} is not connected.**"),
                &of_discord(&does),
                &format!("[Connect {discord}](<{url}>)"),
            ),
            feishu: card(
                &format!("**{feishu} is not connected.**"),
                &of_feishu(&does),
                &format!("[Connect {feishu}]({url})"),
            ),
        }
    }
}

fn card(title: &str, description: &str, link: &str) -> String {
    let description = if description.is_empty() { String::new() } else { format!("{description}\n") };
    format!("{title}\n{description}{link}\nThe link is yours alone: sign in as yourself to use it.")
}

/// Joins a text's lines, so that it cannot begin a list, quotation or table.
fn one_line(text: &str) -> String {
    text.split(char::is_control).flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// Slack has escapes for three characters. Its other markup characters are replaced by look-alikes.
fn of_slack(text: &str) -> String {
    let escape = |character| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '*' => "\u{2217}".to_owned(),
        '_' => "\u{ff3f}".to_owned(),
        '~' => "\u{223c}".to_owned(),
        '`' => "\u{2cb}".to_owned(),
        '|' => "\u{2223}".to_owned(),
        '@' => "@\u{2060}".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Discord's markup characters are escaped by a backslash; an invisible character breaks mentions.
fn of_discord(text: &str) -> String {
    let escape = |character| match character {
        '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '>' | '#' | '[' | ']' | '(' | ')' | '-' | ':' => {
            format!("\\{character}")
        }
        '@' => "@\u{2060}".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Feishu's markup characters are replaced by HTML entities.
fn of_feishu(text: &str) -> String {
    let escape = |character| match character {
        '&' | '<' | '>' | '*' | '_' | '~' | '`' | '|' | '#' | '[' | ']' | '(' | ')' | '-' | ':' | '@' | '\\' | '!'
        | '+' => {
            format!("&#{};", u32::from(character))
        }
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ToolkitChange, ToolkitSlug};

    fn toolkit(name: &str, description: &str) -> Toolkit {
        let change: ToolkitChange = serde_json::from_value(serde_json::json!({
            "displayName": "Acme", "domain": "acme.example", "category": "Other", "authScheme": "oauth2",
        }))
        .unwrap();
        let toolkit = change.apply(&"acme".parse::<ToolkitSlug>().unwrap(), None).unwrap();
        Toolkit { display_name: name.to_owned(), description: description.to_owned(), ..toolkit }
    }

    fn link() -> Url {
        "https://api.example.com/v1/integrations/connect/AbC-_9".parse().unwrap()
    }

    #[test]
    fn a_card_names_the_toolkit_and_has_its_link() {
        let card = AuthCard::new(&toolkit("Gmail", "Read mail."), &link());
        let last = "The link is yours alone: sign in as yourself to use it.";
        assert_eq!(card.slack, format!("*Gmail is not connected.*\nRead mail.\n<{}|Connect Gmail>\n{last}", link()));
        assert_eq!(
            card.discord,
            format!("**Gmail is not connected.**\nRead mail.\n[Connect Gmail](<{}>)\n{last}", link())
        );
        assert_eq!(
            card.feishu,
            format!("**Gmail is not connected.**\nRead mail.\n[Connect Gmail]({})\n{last}", link())
        );
    }

    #[test]
    fn no_value_is_markup_a_mention_or_a_table() {
        let hostile = "<!channel> <https://evil.test|Connect> ``` @everyone\n| a | b |\n|---|---|\n[x](https://evil.test) <at id=all></at>";
        let card = AuthCard::new(&toolkit(hostile, hostile), &link());
        for (text, forbidden) in [
            (&card.slack, &["<!", "<https://evil", "```", "@everyone", "| a |"][..]),
            (&card.discord, &["@everyone", "](https", "\n|", " | "][..]),
            (&card.feishu, &["<at", "](https://evil", "```", "|", "@"][..]),
        ] {
            assert_eq!(text.lines().count(), 4, "{text}");
            for part in forbidden {
                assert!(!text.contains(part), "{part} in {text}");
            }
        }
        assert_eq!(card.slack.matches('<').count(), 1, "{}", card.slack);
    }

    proptest! {
        #[test]
        fn a_slack_card_has_one_link_whatever_the_words(name in "\\PC{1,40}", description in "\\PC{0,80}") {
            let card = AuthCard::new(&toolkit(&name, &description), &link());
            prop_assert_eq!(card.slack.matches('<').count(), 1);
            prop_assert_eq!(card.slack.matches('>').count(), 1);
            prop_assert_eq!(card.slack.matches('|').count(), 1);
            prop_assert_eq!(card.discord.matches("](<").count(), 1);
            prop_assert_eq!(card.feishu.matches("](").count(), 1);
        }
    }
}

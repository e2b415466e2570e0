//! Parser of a Slack event's body. It reads the fields that find the channel and those that name the event and its
//! conversation; all others are passed on unread.
//!
//! Source: Slack, "The Events API", "Event callback" and "Authorizations", <https://docs.slack.dev/apis/events-api/>.

use jiff::Timestamp;
use portcullis_store::{ChannelEnd, PlatformId};
use serde::Deserialize;

use crate::lenient::{Object, Text, are_bounded, has_elements, is_true, object, objects, string, whole_number};

/// The outer event. A repeated key among the fields below makes the body malformed.
#[derive(Debug, Deserialize)]
pub struct Body<'a> {
    #[serde(borrow, rename = "type", default, deserialize_with = "string")]
    pub kind: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    pub challenge: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    team_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    context_team_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    api_app_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    pub event_id: Text<'a>,
    #[serde(default, deserialize_with = "whole_number")]
    event_time: Option<i64>,
    #[serde(borrow, default, deserialize_with = "objects")]
    authorizations: Vec<Authorization<'a>>,
    #[serde(borrow, default)]
    event: Option<Object<Event<'a>>>,
}

/// An installation that the event is visible to.
#[derive(Debug, Deserialize)]
struct Authorization<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    team_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    enterprise_id: Text<'a>,
    #[serde(default, deserialize_with = "is_true")]
    is_enterprise_install: bool,
}

/// The inner event.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are Slack's")]
pub struct Event<'a> {
    #[serde(borrow, rename = "type", default, deserialize_with = "string")]
    pub kind: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    pub subtype: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    channel: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    channel_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    pub channel_type: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    pub user: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    bot_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    pub ts: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    pub event_ts: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    thread_ts: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    parent_user_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    edited: Option<Edited<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    item: Option<Item<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    message: Option<Nested<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    previous_message: Option<Nested<'a>>,
    #[serde(default, deserialize_with = "object")]
    tokens: Option<RevokedTokens>,
}

/// Token types that a `tokens_revoked` event lists. Each holds a list of user ids.
#[derive(Debug, Deserialize)]
struct RevokedTokens {
    #[serde(default, deserialize_with = "has_elements")]
    bot: bool,
}

/// The last edit of a message.
#[derive(Debug, Deserialize)]
struct Edited<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    ts: Text<'a>,
}

/// The subject of a reaction or a pin.
#[derive(Debug, Deserialize)]
struct Item<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    channel: Text<'a>,
}

/// The message within `message_changed` and `message_deleted`.
#[derive(Debug, Deserialize)]
struct Nested<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    user: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    bot_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    ts: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    thread_ts: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    parent_user_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    edited: Option<Edited<'a>>,
}

/// The team and the app that an event is addressed to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Installation {
    /// The workspace, or the organisation of an org-wide install.
    pub team: PlatformId,
    pub app: PlatformId,
}

impl<'a> Body<'a> {
    /// Parses a body; `None` if it is not the JSON object that Slack sends.
    pub fn parse(body: &'a str) -> Option<Self> {
        // A single pass, since the body is parsed before its sender is verified. serde's derive refuses a repeated
        // key, so nobody can show one team to this function and another to the pool.
        let Object(body) = serde_json::from_str(body).ok()?;
        Some(body)
    }

    /// Returns the inner event.
    pub fn event(&self) -> Option<&Event<'a>> {
        self.event.as_ref().map(|Object(event)| event)
    }

    pub fn is_url_verification(&self) -> bool {
        self.kind.as_deref() == Some("url_verification")
    }

    /// Returns whether the body is Slack's notice that it holds events back because the app exceeded its rate limit.
    pub fn is_rate_limit_notice(&self) -> bool {
        self.kind.as_deref() == Some("app_rate_limited")
    }

    /// Returns the time of the event.
    pub fn happened_at(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.event_time?).ok()
    }

    /// Returns whether the body names the workspace and the app that it comes from.
    pub fn names_its_origin(&self) -> bool {
        self.team_id.is_some() && self.api_app_id.is_some()
    }

    /// Returns the installations that the event may be for, the likeliest first, without repeats. In a shared channel,
    /// Slack names one of the installed workspaces in `authorizations`, which need not be one that is connected here.
    /// Malformed ids are skipped.
    pub fn installations(&self) -> Vec<Installation> {
        let authorized = match self.authorizations.first() {
            Some(one) if one.is_enterprise_install => one.enterprise_id.as_deref(),
            Some(one) => one.team_id.as_deref(),
            None => None,
        };
        let Some(Ok(app)) = self.api_app_id.as_deref().map(str::parse::<PlatformId>) else { return Vec::new() };
        let mut installations: Vec<Installation> = Vec::new();
        for team in [authorized, self.team_id.as_deref(), self.context_team_id.as_deref()] {
            let Some(Ok(team)) = team.map(str::parse) else { continue };
            let installation = Installation { team, app: app.clone() };
            if !installations.contains(&installation) {
                installations.push(installation);
            }
        }
        installations
    }

    /// Returns whether every id is short enough for the store.
    pub fn has_bounded_ids(&self) -> bool {
        let own = [&self.kind, &self.team_id, &self.context_team_id, &self.api_app_id, &self.event_id];
        let mut ids: Vec<&Text<'a>> = own.to_vec();
        ids.extend(self.authorizations.iter().flat_map(|one| [&one.team_id, &one.enterprise_id]));
        if let Some(event) = self.event() {
            ids.extend(event.ids());
        }
        are_bounded(ids.into_iter().map(|id| id.as_deref()))
    }
}

impl<'a> Event<'a> {
    /// Returns whether the event concerns the app's tokens or its installation. The control plane handles such events;
    /// pools do not get them.
    pub fn is_about_the_installation(&self) -> bool {
        matches!(self.kind.as_deref(), Some("app_uninstalled" | "tokens_revoked"))
    }

    /// Returns how the channel ends with this event; `None` if it goes on. Only bot tokens matter: this system holds
    /// no user tokens (`oauth`).
    pub fn channel_end(&self) -> Option<ChannelEnd> {
        match self.kind.as_deref()? {
            "app_uninstalled" => Some(ChannelEnd::Uninstalled),
            "tokens_revoked" if self.tokens.as_ref().is_some_and(|tokens| tokens.bot) => Some(ChannelEnd::TokenRevoked),
            _ => None,
        }
    }

    fn nested(&self) -> impl Iterator<Item = &Nested<'a>> {
        self.message.iter().chain(&self.previous_message)
    }

    fn ids(&self) -> Vec<&Text<'a>> {
        let mut ids = vec![
            &self.kind,
            &self.subtype,
            &self.channel,
            &self.channel_id,
            &self.channel_type,
            &self.user,
            &self.bot_id,
            &self.ts,
            &self.event_ts,
            &self.thread_ts,
        ];
        ids.extend(self.edited.iter().map(|edited| &edited.ts));
        ids.extend(self.item.iter().map(|item| &item.channel));
        for nested in self.nested() {
            ids.extend([&nested.user, &nested.bot_id, &nested.thread_ts]);
            ids.extend(nested.edited.iter().map(|edited| &edited.ts));
        }
        ids
    }

    /// Returns the Slack channel in which the event happened.
    pub fn slack_channel(&self) -> Option<&str> {
        let of_item = || self.item.as_ref().and_then(|item| item.channel.as_deref());
        self.channel.as_deref().or_else(of_item).or(self.channel_id.as_deref())
    }

    /// Returns the thread of the event; an edit or a deletion names it in the nested message.
    pub fn thread(&self) -> Option<&str> {
        self.thread_ts.as_deref().or_else(|| self.nested().find_map(|nested| nested.thread_ts.as_deref()))
    }

    /// Returns the thread that the message replies in; `None` for the first message of a thread, which names itself as
    /// its thread.
    pub fn replied_thread(&self) -> Option<&str> {
        let own = reply(&self.ts, &self.thread_ts, &self.parent_user_id);
        own.or_else(|| self.nested().find_map(|it| reply(&it.ts, &it.thread_ts, &it.parent_user_id)))
    }

    /// Returns the author of the message; an edit or a deletion names the author in the nested message.
    pub fn author(&self) -> Option<&str> {
        self.user.as_deref().or_else(|| self.nested().find_map(|nested| nested.user.as_deref()))
    }

    /// Returns whether the event happened in a direct message. Like OpenClaw, looks at the first letter of the
    /// channel's id before its type.
    pub fn is_direct(&self) -> bool {
        self.slack_channel().is_some_and(|id| id.starts_with('D')) || self.channel_type.as_deref() == Some("im")
    }

    /// Returns whether a bot wrote the message.
    pub fn is_by_a_bot(&self) -> bool {
        self.bot_id.is_some() || self.nested().any(|nested| nested.bot_id.is_some())
    }

    /// Returns the time of the message's last edit: each edit is an event of its own.
    pub fn edited_at(&self) -> Option<&str> {
        let own = self.edited.as_ref();
        own.or_else(|| self.nested().find_map(|nested| nested.edited.as_ref())).and_then(|edited| edited.ts.as_deref())
    }
}

fn reply<'b>(ts: &Text<'_>, thread_ts: &'b Text<'_>, parent_user_id: &Text<'_>) -> Option<&'b str> {
    thread_ts.as_deref().filter(|thread| parent_user_id.is_some() || ts.as_deref() != Some(*thread))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns `team:app` of each candidate, joined by spaces.
    fn installations(json: &str) -> String {
        let found = Body::parse(json).map(|body| body.installations()).unwrap_or_default();
        found.iter().map(|found| format!("{}:{}", found.team, found.app)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_authorized_installation_comes_before_those_of_the_teams() {
        assert_eq!(installations(r#"{"team_id":"T1","api_app_id":"A1"}"#), "T1:A1");
        let shared = r#"{"team_id":"T1","context_team_id":"T3","api_app_id":"A1",
            "authorizations":[{"team_id":"T2","enterprise_id":null}]}"#;
        assert_eq!(installations(shared), "T2:A1 T1:A1 T3:A1");
        let org_wide = r#"{"team_id":"T1","context_team_id":"T1","api_app_id":"A1",
            "authorizations":[{"team_id":"T1","enterprise_id":"E1","is_enterprise_install":true}]}"#;
        assert_eq!(installations(org_wide), "E1:A1 T1:A1");
        assert_eq!(installations(r#"{"team_id":"T1","api_app_id":"A1","authorizations":[]}"#), "T1:A1");
        for other in
            ["null", "7", "1e400", "{}", r#""x""#, r#"[null,7,["T2"]]"#, r#"[{"is_enterprise_install":"yes"}]"#]
        {
            let json = format!(r#"{{"team_id":"T1","api_app_id":"A1","authorizations":{other}}}"#);
            assert_eq!(installations(&json), "T1:A1", "{other}");
        }
    }

    #[test]
    fn ids_that_slack_would_not_make_find_nothing() {
        assert_eq!(installations(r#"{"team_id":"T1"}"#), "");
        assert_eq!(installations(r#"{"team_id":"","api_app_id":"A1"}"#), "");
        assert_eq!(installations(r#"{"team_id":"T1#","api_app_id":"A1"}"#), "");
        assert_eq!(installations(&format!(r#"{{"team_id":"{}","api_app_id":"A1"}}"#, "T".repeat(65))), "");
    }

    #[test]
    fn a_body_with_two_teams_is_malformed() {
        assert!(Body::parse(r#"{"team_id":"T1","api_app_id":"A1","team_id":"T2"}"#).is_none());
        assert!(Body::parse(r#"{"event":{"channel":"C1","channel":"C2"}}"#).is_none());
        assert!(Body::parse(r#"{"event":{"item":{"channel":"C1","channel":"C2"}}}"#).is_none());
    }

    #[test]
    fn a_value_of_another_type_counts_as_absent() {
        for other in [r#"{"id":"C1"}"#, "7", "1e400", "null", "true", r#"["C1"]"#] {
            let json = format!(r#"{{"event":{{"type":"channel_created","channel":{other},"item":{other}}}}}"#);
            let body = Body::parse(&json).unwrap();
            let event = body.event().unwrap();
            assert_eq!((event.slack_channel(), event.kind.as_deref()), (None, Some("channel_created")), "{other}");
        }
    }

    #[test]
    fn the_slack_channel_is_that_of_the_event_else_of_its_item_else_channel_id() {
        let channel = |event: &str| {
            let json = format!(r#"{{"event":{event}}}"#);
            Body::parse(&json).unwrap().event().unwrap().slack_channel().map(ToOwned::to_owned)
        };
        assert_eq!(channel(r#"{"channel":"C1","item":{"channel":"C2"},"channel_id":"C3"}"#).as_deref(), Some("C1"));
        assert_eq!(channel(r#"{"item":{"channel":"C2"},"channel_id":"C3"}"#).as_deref(), Some("C2"));
        assert_eq!(channel(r#"{"item":"x","channel_id":"C3"}"#).as_deref(), Some("C3"));
        assert_eq!(channel("{}"), None);
    }

    #[test]
    fn an_id_of_more_than_255_characters_is_found_wherever_it_is_read() {
        for place in [
            r#"{"team_id":"@"}"#,
            r#"{"api_app_id":"@"}"#,
            r#"{"event_id":"@"}"#,
            r#"{"context_team_id":"@"}"#,
            r#"{"authorizations":[{},{"team_id":"@"}]}"#,
            r#"{"event":{"channel":"@"}}"#,
            r#"{"event":{"item":{"channel":"@"}}}"#,
            r#"{"event":{"thread_ts":"@"}}"#,
            r#"{"event":{"previous_message":{"thread_ts":"@"}}}"#,
            r#"{"event":{"message":{"edited":{"ts":"@"}}}}"#,
            r#"{"event":{"subtype":"@"}}"#,
        ] {
            let of = |length: usize| place.replace('@', &"é".repeat(length));
            assert!(Body::parse(&of(255)).unwrap().has_bounded_ids(), "{place}");
            assert!(!Body::parse(&of(256)).unwrap().has_bounded_ids(), "{place}");
        }
    }

    #[test]
    fn text_that_is_not_one_object_is_not_a_body() {
        for bad in ["", "[]", r#"["event_callback","","T1","A1"]"#, "7", "{", "\u{feff}{}", "payload=%7B%7D"] {
            assert!(Body::parse(bad).is_none(), "{bad}");
        }
        let in_the_order_of_our_fields = [
            r#"["event_callback", null, "T1", "A1", "Ev1", null, {}]"#,
            r#"{"event": ["message", "C1", "channel", "U1", "1.1", null]}"#,
        ];
        for bad in in_the_order_of_our_fields {
            assert!(Body::parse(bad).is_none(), "{bad}");
        }
    }
}

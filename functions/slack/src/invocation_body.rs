//! Parser of an app's invocation by a user: an interaction (a button, a modal, a shortcut) or a slash command. Slack
//! sends both as forms; an interaction's only field is JSON.
//!
//! Source: Slack, "Handling user interaction", <https://docs.slack.dev/interactivity/handling-user-interaction>, and
//! "Implementing slash commands", <https://docs.slack.dev/interactivity/implementing-slash-commands>.

use std::borrow::Cow;

use portcullis_runtime::json::text;
use portcullis_store::{Channel, PlatformId};
use serde::Deserialize;

use crate::{
    body::Installation,
    form::Form,
    lenient::{Object, Text, are_bounded, is_true, object, string},
};

/// The fields of an invocation that this function reads; all others are passed on unread.
#[derive(Debug)]
pub struct Invocation {
    /// Teams and enterprises that the app may be installed in, the likeliest first.
    teams: Vec<String>,
    app: Option<String>,
    slack_channel: Option<String>,
    thread: Option<String>,
    trigger: Option<String>,
}

/// The outcome of parsing a form.
#[derive(Debug)]
pub enum FormBody {
    /// Slack's check of the endpoint's certificate, which names no team and needs no action.
    SslCheck,
    /// An interaction or a slash command.
    Invocation(Invocation),
    /// A body that is not a form of Slack's.
    Malformed,
}

impl FormBody {
    /// Parses the form of an interaction, whose field `payload` is JSON.
    pub fn of_interaction(raw: &[u8]) -> Self {
        Self::read(raw, |form| {
            let payload = text::readable(form.get("payload")?.as_bytes())?.into_owned();
            Payload::parse(&payload).map(Payload::into_invocation)
        })
    }

    /// Parses the form of a slash command.
    pub fn of_command(raw: &[u8]) -> Self {
        Self::read(raw, |form| form.get("command").map(|_| of_command(form)))
    }

    fn read(raw: &[u8], invocation: impl FnOnce(&Form<'_>) -> Option<Invocation>) -> Self {
        let Some(form) = Form::parse(raw) else { return Self::Malformed };
        if form.get("ssl_check") == Some("1") {
            return Self::SslCheck;
        }
        invocation(&form).map_or(Self::Malformed, Self::Invocation)
    }

    /// Returns the installations that the invocation may belong to, the likeliest first.
    pub fn installations(&self) -> Vec<Installation> {
        match self {
            Self::Invocation(invocation) => invocation.installations(),
            Self::SslCheck | Self::Malformed => Vec::new(),
        }
    }
}

impl Invocation {
    fn installations(&self) -> Vec<Installation> {
        let Some(Ok(app)) = self.app.as_deref().map(str::parse::<PlatformId>) else { return Vec::new() };
        let mut installations: Vec<Installation> = Vec::new();
        for team in self.teams.iter().filter_map(|team| team.parse().ok()) {
            let installation = Installation { team, app: app.clone() };
            if !installations.contains(&installation) {
                installations.push(installation);
            }
        }
        installations
    }

    /// Returns whether the invocation names the app and a team.
    pub fn names_its_origin(&self) -> bool {
        self.app.is_some() && !self.teams.is_empty()
    }

    /// Returns whether the invocation belongs to the channel's app and team. Slack names no app in the payloads of
    /// shortcuts, so a missing app passes.
    pub fn is_of(&self, channel: &Channel) -> bool {
        let is_app = self.app.as_deref().is_none_or(|app| app == channel.app_id.as_str());
        is_app && self.teams.iter().any(|team| channel.team_id.as_ref().is_some_and(|own| team == own.as_str()))
    }

    /// Returns the Slack channel in which the invocation happened.
    pub fn slack_channel(&self) -> Option<&str> {
        self.slack_channel.as_deref()
    }

    /// Returns the thread in which the invocation happened.
    pub fn thread(&self) -> Option<&str> {
        self.thread.as_deref()
    }

    /// Returns Slack's id of the invocation, unique for each.
    pub fn trigger(&self) -> Option<&str> {
        self.trigger.as_deref()
    }

    /// Returns whether every id is short enough for the store.
    pub fn has_bounded_ids(&self) -> bool {
        let own = [&self.app, &self.slack_channel, &self.thread, &self.trigger].map(|id| id.as_deref());
        are_bounded(own.into_iter().chain(self.teams.iter().map(|team| Some(team.as_str()))))
    }
}

fn of_command(form: &Form<'_>) -> Invocation {
    // Slack sends an absent field as an empty one.
    let field = |name: &str| form.get(name).filter(|value| !value.is_empty()).map(ToOwned::to_owned);
    let is_org_wide = form.get("is_enterprise_install") == Some("true");
    let enterprise = field("enterprise_id").filter(|_| is_org_wide);
    Invocation {
        teams: enterprise.into_iter().chain(field("team_id")).collect(),
        app: field("api_app_id"),
        slack_channel: field("channel_id"),
        thread: field("thread_ts"),
        trigger: field("trigger_id"),
    }
}

/// The JSON of an interaction. A repeated key among the fields below makes it malformed.
#[derive(Debug, Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    api_app_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    trigger_id: Text<'a>,
    #[serde(default, deserialize_with = "is_true")]
    is_enterprise_install: bool,
    #[serde(borrow, default, deserialize_with = "object")]
    enterprise: Option<Named<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    team: Option<Named<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    user: Option<User<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    channel: Option<Named<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    container: Option<Container<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    message: Option<Message<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    view: Option<View<'a>>,
}

/// A team, an enterprise or a channel.
#[derive(Debug, Deserialize)]
struct Named<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    id: Text<'a>,
}

/// The user who interacts.
#[derive(Debug, Deserialize)]
struct User<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    team_id: Text<'a>,
}

/// The surface that holds the interactive element.
#[derive(Debug, Deserialize)]
struct Container<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    channel_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    thread_ts: Text<'a>,
}

/// The message that holds the interactive element.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    thread_ts: Text<'a>,
}

/// The modal or home tab that holds the interactive element.
#[derive(Debug, Deserialize)]
struct View<'a> {
    /// The team in which the app is installed, if the modal was opened in another team of a shared channel.
    #[serde(borrow, default, deserialize_with = "string")]
    app_installed_team_id: Text<'a>,
}

impl<'a> Payload<'a> {
    /// Parses a payload; `None` if it is not a single JSON object, or if any object in it has a repeated key, since
    /// the pool may read the other value.
    fn parse(payload: &'a str) -> Option<Self> {
        let Object(read) = serde_json::from_str(payload).ok()?;
        if text::has_duplicate_key(payload) { None } else { Some(read) }
    }

    fn into_invocation(self) -> Invocation {
        let enterprise = self.enterprise.filter(|_| self.is_enterprise_install).and_then(|enterprise| enterprise.id);
        // The team is null if the app is installed org-wide. The user's own team counts only then: in a shared channel
        // it may be another tenant's.
        let team = self.team.and_then(|team| team.id).or_else(|| self.user.and_then(|user| user.team_id));
        let teams = [enterprise, self.view.and_then(|view| view.app_installed_team_id), team];
        let (container_channel, container_thread) =
            self.container.map_or((None, None), |container| (container.channel_id, container.thread_ts));
        let slack_channel = self.channel.and_then(|channel| channel.id).or(container_channel);
        let thread = container_thread.or_else(|| self.message.and_then(|message| message.thread_ts));
        Invocation {
            teams: teams.into_iter().flatten().map(Cow::into_owned).collect(),
            app: self.api_app_id.map(Cow::into_owned),
            slack_channel: slack_channel.map(Cow::into_owned),
            thread: thread.map(Cow::into_owned),
            trigger: self.trigger_id.map(Cow::into_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interaction(json: &str) -> FormBody {
        let encoded: Vec<String> = json.bytes().map(|byte| format!("%{byte:02X}")).collect();
        FormBody::of_interaction(format!("payload={}", encoded.concat()).as_bytes())
    }

    fn command(form: &str) -> FormBody {
        FormBody::of_command(form.as_bytes())
    }

    /// Returns `team:app` of each candidate, joined by spaces.
    fn installations(body: &FormBody) -> String {
        let found = body.installations();
        found.iter().map(|found| format!("{}:{}", found.team, found.app)).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn read(body: FormBody) -> Invocation {
        let FormBody::Invocation(invocation) = body else { panic!("{body:?}") };
        invocation
    }

    #[test]
    fn an_interaction_is_of_its_team_or_of_the_enterprise_where_the_app_is_installed_org_wide() {
        let of = |rest: &str| installations(&interaction(&format!(r#"{{"type":"x","api_app_id":"A1",{rest}}}"#)));
        assert_eq!(of(r#""team":{"id":"T1","domain":"d"},"user":{"id":"U1","team_id":"T1"}"#), "T1:A1");
        assert_eq!(of(r#""team":{"id":"T1"},"enterprise":{"id":"E1"},"is_enterprise_install":true"#), "E1:A1 T1:A1");
        assert_eq!(of(r#""team":{"id":"T1"},"enterprise":{"id":"E1"},"is_enterprise_install":false"#), "T1:A1");
        assert_eq!(of(r#""team":null,"enterprise":{"id":"E1"},"is_enterprise_install":true"#), "E1:A1");
        assert_eq!(of(r#""team":{"id":"T1"},"user":{"team_id":"T2"}"#), "T1:A1", "a user of a shared channel");
        assert_eq!(of(r#""team":null,"user":{"team_id":"T2"}"#), "T2:A1");
        assert_eq!(of(r#""team":{"id":"T1"},"view":{"app_installed_team_id":"T3"}"#), "T3:A1 T1:A1");
        assert_eq!(of(r#""team":{"id":"T1:A2"}"#), "", "no id that Slack would make");
    }

    #[test]
    fn a_command_is_of_its_team_or_of_the_enterprise_where_the_app_is_installed_org_wide() {
        let of = |rest: &str| installations(&command(&format!("command=%2Fx&api_app_id=A1&{rest}")));
        assert_eq!(of("team_id=T1&enterprise_id=E1"), "T1:A1");
        assert_eq!(of("team_id=T1&enterprise_id=E1&is_enterprise_install=false"), "T1:A1");
        assert_eq!(of("team_id=T1&enterprise_id=E1&is_enterprise_install=true"), "E1:A1 T1:A1");
        assert_eq!(of("team_id=&enterprise_id=E1&is_enterprise_install=true"), "E1:A1");
    }

    #[test]
    fn the_thread_is_that_of_the_container_else_of_the_message() {
        let of = |json: &str| {
            let read = read(interaction(json));
            (read.slack_channel().map(str::to_owned), read.thread().map(str::to_owned))
        };
        let some = |text: &str| Some(text.to_owned());
        let both = r#"{"channel":{"id":"C1"},"container":{"channel_id":"C2","thread_ts":"1.1"},
            "message":{"thread_ts":"2.2"}}"#;
        assert_eq!(of(both), (some("C1"), some("1.1")));
        assert_eq!(of(r#"{"container":{"channel_id":"C2"},"message":{"thread_ts":"2.2"}}"#), (some("C2"), some("2.2")));
        assert_eq!(of(r#"{"channel":null,"container":[],"message":7}"#), (None, None));
    }

    #[test]
    fn a_form_without_its_field_is_malformed() {
        for bad in ["", "x=1", "payload", "payload=", "payload=x", "payload=7", "payload=[]", "payload=%7B", "{}"] {
            assert!(matches!(FormBody::of_interaction(bad.as_bytes()), FormBody::Malformed), "{bad}");
        }
        for bad in ["", "team_id=T1&api_app_id=A1", "payload=%7B%7D", "command=%2Fx&command=%2Fy", "command=%ff"] {
            assert!(matches!(command(bad), FormBody::Malformed), "{bad}");
        }
        for twice in [r#"{"team":{"id":"T1"},"team":{"id":"T2"}}"#, r#"{"actions":[{"a":1,"\u0061":2}]}"#] {
            assert!(matches!(interaction(twice), FormBody::Malformed), "{twice}");
        }
    }

    #[test]
    fn an_ssl_check_is_told_by_its_field_whatever_stands_beside_it() {
        for check in ["ssl_check=1&token=x", "ssl_check=1&payload=%7B%7D", "command=%2Fx&ssl_check=1"] {
            assert!(matches!(command(check), FormBody::SslCheck), "{check}");
            assert!(matches!(FormBody::of_interaction(check.as_bytes()), FormBody::SslCheck), "{check}");
        }
        assert!(matches!(command("ssl_check=0"), FormBody::Malformed));
    }

    #[test]
    fn an_id_of_more_than_255_characters_is_found_wherever_it_is_read() {
        for place in [
            r#"{"api_app_id":"@"}"#,
            r#"{"trigger_id":"@"}"#,
            r#"{"team":{"id":"@"}}"#,
            r#"{"user":{"team_id":"@"}}"#,
            r#"{"is_enterprise_install":true,"enterprise":{"id":"@"}}"#,
            r#"{"view":{"app_installed_team_id":"@"}}"#,
            r#"{"channel":{"id":"@"}}"#,
            r#"{"container":{"channel_id":"@"}}"#,
            r#"{"container":{"thread_ts":"@"}}"#,
            r#"{"message":{"thread_ts":"@"}}"#,
        ] {
            let of = |length: usize| read(interaction(&place.replace('@', &"é".repeat(length))));
            assert!(of(255).has_bounded_ids() && !of(256).has_bounded_ids(), "{place}");
        }
        for field in ["team_id", "api_app_id", "channel_id", "trigger_id", "thread_ts"] {
            let of = |length: usize| read(command(&format!("command=%2Fx&{field}={}", "c".repeat(length))));
            assert!(of(255).has_bounded_ids() && !of(256).has_bounded_ids(), "{field}");
        }
    }
}

//! What is read of a request's body: what finds the channel, and what names the event. Everything else goes on unread.
//!
//! Source: Slack, "The Events API", "Event callback" and "Authorizations",
//! <https://docs.slack.dev/apis/events-api/>.

use std::{borrow::Cow, fmt, marker::PhantomData};

use portcullis_runtime::json::NoDuplicates;
use portcullis_store::SlackId;
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, Visitor},
};

/// The outer event. A key that is read and stands there twice makes the body malformed.
#[derive(Debug, Deserialize)]
pub struct Body<'a> {
    #[serde(borrow, rename = "type", default, deserialize_with = "text")]
    pub kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub challenge: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    team_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    api_app_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    authorizations: Option<Vec<Object<Authorization<'a>>>>,
    #[serde(borrow, default)]
    event: Option<Object<Event<'a>>>,
}

/// An installation that the event is visible to.
#[derive(Debug, Deserialize)]
struct Authorization<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    team_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    enterprise_id: Option<Cow<'a, str>>,
    #[serde(default)]
    is_enterprise_install: Option<bool>,
}

/// The inner event. Some types have objects where others have ids; those are as good as absent here.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are Slack's")]
pub struct Event<'a> {
    #[serde(borrow, rename = "type", default, deserialize_with = "text")]
    pub kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub channel: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub channel_type: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub user: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub event_ts: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub thread_ts: Option<Cow<'a, str>>,
}

/// The installation that an event is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Installation {
    /// The workspace, or the organisation of an org-wide install.
    pub team: SlackId,
    pub app: SlackId,
}

impl<'a> Body<'a> {
    /// Reads a body; `None` where it is not the JSON object that Slack sends.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        // A single pass, since a body is read before anybody knows whose it is; serde's derive refuses a key that is read
        // twice, so that nobody can show one team to us and another to the pool. What is passed over must be text as well.
        let Object(body) = serde_json::from_str(std::str::from_utf8(body).ok()?).ok()?;
        Some(body)
    }

    /// Whether every other parser reads the same in a body: no object in it has a key twice, also where we don't look, and
    /// it is no deeper than `serde_json` follows (128). A second pass, for what is known to be genuine.
    pub fn is_unambiguous(body: &[u8]) -> bool {
        serde_json::from_slice::<NoDuplicates>(body).is_ok()
    }

    /// The inner event.
    pub fn event(&self) -> Option<&Event<'a>> {
        self.event.as_ref().map(|Object(event)| event)
    }

    pub fn is_url_verification(&self) -> bool {
        self.kind.as_deref() == Some("url_verification")
    }

    /// Whether the body names the workspace and the app that it comes from.
    pub fn names_its_origin(&self) -> bool {
        self.team_id.is_some() && self.api_app_id.is_some()
    }

    /// The installation that counts: the one that `authorizations` names, since in a shared channel `team_id` may be
    /// another workspace's, else `team_id`'s. `None` where an id is none that Slack would make: a stranger's could be as
    /// long as the body.
    pub fn installation(&self) -> Option<Installation> {
        let authorized = self.authorizations.as_ref().and_then(|all| all.first()).map(|Object(first)| first);
        let team = match authorized {
            Some(one) if one.is_enterprise_install == Some(true) => one.enterprise_id.as_deref(),
            Some(one) => one.team_id.as_deref(),
            None => None,
        };
        let team = team.or(self.team_id.as_deref())?;
        let app = self.api_app_id.as_deref()?;
        Some(Installation { team: team.parse().ok()?, app: app.parse().ok()? })
    }
}

/// A JSON object, and nothing else: serde's derive alone would take an array for a struct, by the order of its fields.
#[derive(Debug)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map))
    }
}

/// A string as it is; anything else as absent.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    struct TextVisitor;
    impl<'de> Visitor<'de> for TextVisitor {
        type Value = Option<Cow<'de, str>>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("anything")
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Borrowed(text)))
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(text.to_owned())))
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }

        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }
    deserializer.deserialize_any(TextVisitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `team:app`, or nothing.
    fn installation(json: &str) -> String {
        let found = Body::parse(json.as_bytes()).and_then(|body| body.installation());
        found.map(|found| format!("{}:{}", found.team, found.app)).unwrap_or_default()
    }

    #[test]
    fn the_installation_is_the_authorized_one_and_else_the_teams() {
        assert_eq!(installation(r#"{"team_id":"T1","api_app_id":"A1"}"#), "T1:A1");
        let shared = r#"{"team_id":"T1","api_app_id":"A1","authorizations":[{"team_id":"T2","enterprise_id":null}]}"#;
        assert_eq!(installation(shared), "T2:A1");
        let org_wide = r#"{"team_id":"T1","api_app_id":"A1",
            "authorizations":[{"team_id":"T1","enterprise_id":"E1","is_enterprise_install":true}]}"#;
        assert_eq!(installation(org_wide), "E1:A1");
        assert_eq!(installation(r#"{"team_id":"T1","api_app_id":"A1","authorizations":[]}"#), "T1:A1");
        assert_eq!(installation(r#"{"team_id":"T1","api_app_id":"A1","authorizations":null}"#), "T1:A1");
    }

    #[test]
    fn ids_that_slack_would_not_make_find_nothing() {
        assert_eq!(installation(r#"{"team_id":"T1"}"#), "");
        assert_eq!(installation(r#"{"team_id":"","api_app_id":"A1"}"#), "");
        assert_eq!(installation(r#"{"team_id":"T1#","api_app_id":"A1"}"#), "");
        assert_eq!(installation(&format!(r#"{{"team_id":"{}","api_app_id":"A1"}}"#, "T".repeat(65))), "");
    }

    #[test]
    fn a_body_with_two_teams_is_malformed() {
        assert!(Body::parse(br#"{"team_id":"T1","api_app_id":"A1","team_id":"T2"}"#).is_none());
        assert!(Body::parse(br#"{"event":{"channel":"C1","channel":"C2"}}"#).is_none());
    }

    #[test]
    fn what_is_no_text_is_as_good_as_absent() {
        let body = Body::parse(br#"{"event":{"type":"channel_created","channel":{"id":"C1"},"user":7}}"#).unwrap();
        let event = body.event().unwrap();
        assert!(event.channel.is_none() && event.user.is_none());
        assert_eq!(event.kind.as_deref(), Some("channel_created"));
    }

    #[test]
    fn what_is_no_object_is_no_body() {
        for bad in ["", "[]", r#"["event_callback","","T1","A1"]"#, "7", "{", "\u{feff}{}", "payload=%7B%7D"] {
            assert!(Body::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        let in_the_order_of_our_fields = [
            r#"["event_callback", null, "T1", "A1", "Ev1", null, {}]"#,
            r#"{"event": ["message", "C1", "channel", "U1", "1.1", null]}"#,
            r#"{"authorizations": [["T1", null, false]]}"#,
        ];
        for bad in in_the_order_of_our_fields {
            assert!(Body::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_another_parser_could_read_otherwise_is_ambiguous() {
        for bad in [r#"{"x":{"a":1,"a":2}}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#, "{"] {
            assert!(!Body::is_unambiguous(bad.as_bytes()), "{bad}");
        }
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(!Body::is_unambiguous(deep.as_bytes()));
        assert!(Body::is_unambiguous(br#"{"a":{"a":1},"b":[{"a":1},{"a":1}],"c":18446744073709551616}"#));
    }
}

//! Sessions of the tool router, and their links.

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

use axum::response::Response;
use http::Method;
use serde_json::{Value, json};

use super::{
    Call, DevComposio,
    accounts::{Account, Link, Status},
    answers::{self, Failure},
    catalogue,
};

/// A session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    user: String,
    toolkits: Toolkits,
    manages_connections: bool,
}

/// Toolkits of a session.
#[derive(Clone, Debug)]
enum Toolkits {
    All,
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl Toolkits {
    /// Parses the requested toolkits: `{"enable": [...]}` or `{"disable": [...]}`.
    fn read(given: &Value) -> Result<Self, Failure> {
        let Value::Object(fields) = given else {
            return if given.is_null() { Ok(Self::All) } else { Err(answers::bad_request("toolkits is no object")) };
        };
        let mut fields = fields.iter();
        let (Some((field, list)), None) = (fields.next(), fields.next()) else {
            return Err(answers::bad_request("toolkits has either enable or disable"));
        };
        let entries = list.as_array().ok_or_else(|| answers::bad_request("toolkits is no list"))?;
        let slugs = entries.iter().map(|entry| {
            let slug = entry.as_str().filter(|slug| is_toolkit(slug));
            slug.map(str::to_owned).ok_or_else(|| answers::bad_request("a toolkit is not known"))
        });
        let slugs = slugs.collect::<Result<_, _>>()?;
        match field.as_str() {
            "enable" => Ok(Self::Only(slugs)),
            "disable" => Ok(Self::AllBut(slugs)),
            _ => Err(answers::bad_request("toolkits has either enable or disable")),
        }
    }

    fn allow(&self, toolkit: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(slugs) => slugs.iter().any(|slug| slug == toolkit),
            Self::AllBut(slugs) => !slugs.iter().any(|slug| slug == toolkit),
        }
    }
}

impl DevComposio {
    pub(super) fn session_call(&self, call: &Call<'_>) -> Result<Response, Failure> {
        match (call.method, call.path.as_slice()) {
            (&Method::POST, ["tool_router", "session"]) => self.new_session(call),
            (&Method::GET, ["tool_router", "session", id]) => Ok(answers::ok(self.described(id, &self.session(id)?))),
            (&Method::POST, ["tool_router", "session", id, "link"]) => self.new_link(call, &self.session(id)?),
            (&Method::GET, ["tool_router", "session", id, "toolkits"]) => {
                Ok(self.session_toolkits(call, &self.session(id)?))
            }
            (&Method::GET, ["tool_router", "session", id, "tools"]) => {
                self.session(id).map(|_| answers::list(std::iter::empty()))
            }
            _ => Err(answers::NO_SUCH_PATH),
        }
    }

    fn session(&self, id: &str) -> Result<Session, Failure> {
        self.known().sessions.get(id).cloned().ok_or(answers::NO_SUCH_SESSION)
    }

    fn new_session(&self, call: &Call<'_>) -> Result<Response, Failure> {
        call.only(&[
            "user_id",
            "toolkits",
            "tools",
            "tags",
            "auth_configs",
            "connected_accounts",
            "manage_connections",
            "workbench",
            "preload",
            "search",
            "execute",
        ])?;
        let session = Session {
            user: call.text("user_id")?.to_owned(),
            toolkits: Toolkits::read(&call.body["toolkits"])?,
            manages_connections: call.body["manage_connections"]["enable"].as_bool().unwrap_or(true),
        };
        let id = self.new_id("trs");
        let described = self.described(&id, &session);
        self.known().sessions.insert(id, session);
        Ok(answers::created(described))
    }

    fn described(&self, id: &str, session: &Session) -> Value {
        let mut config = json!({
            "user_id": session.user, "preload": { "tools": [] }, "search": {}, "execute": {},
            "manage_connections": { "enabled": session.manages_connections },
        });
        match &session.toolkits {
            Toolkits::All => {}
            Toolkits::Only(slugs) => config["toolkits"] = json!({ "enabled": slugs }),
            Toolkits::AllBut(slugs) => config["toolkits"] = json!({ "disabled": slugs }),
        }
        json!({
            "session_id": id,
            "mcp": { "type": "http", "url": format!("{}/dev/composio/tool_router/{id}/mcp", self.base_url) },
            "config": config,
            "config_version": 1,
            "tool_router_tools": [],
        })
    }

    fn new_link(&self, call: &Call<'_>, session: &Session) -> Result<Response, Failure> {
        call.only(&["toolkit", "callback_url", "alias"])?;
        let toolkit = call.text("toolkit")?;
        if !is_toolkit(toolkit) || !session.toolkits.allow(toolkit) {
            return Err(answers::bad_request("toolkit slug is invalid"));
        }
        let callback = match &call.body["callback_url"] {
            Value::Null => None,
            url => {
                let url = url.as_str().and_then(|url| reqwest::Url::parse(url).ok());
                Some(url.ok_or_else(|| answers::bad_request("callback_url is no URI"))?)
            }
        };
        let (link, id) = (self.new_id("lk"), self.new_id("ca"));
        let account = Account::new(&session.user, toolkit, self.clock.now());
        let answer = json!({
            "link_token": link,
            "redirect_url": format!("{}/dev/composio/link/{link}", self.base_url),
            "connected_account_id": id,
        });
        let mut known = self.known();
        known.accounts.insert(id.clone(), account);
        known.links.insert(link, Link { account: id, callback });
        Ok(answers::created(answer))
    }

    fn session_toolkits(&self, call: &Call<'_>, session: &Session) -> Response {
        let asked = call.query.get("toolkits").map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
        let known = self.known();
        let catalogue = catalogue();
        let shown = catalogue.in_order().into_iter().filter(|toolkit| {
            let slug = toolkit.slug.as_str();
            session.toolkits.allow(slug) && asked.as_ref().is_none_or(|asked| asked.iter().any(|one| one == slug))
        });
        let items = shown.map(|toolkit| {
            let slug = toolkit.slug.as_str();
            let account = known.accounts.iter().find(|(_, account)| {
                account.user == session.user && account.toolkit == slug && account.status == Status::Active
            });
            let connected = account.map(|(id, account)| {
                json!({
                    "id": id, "user_id": account.user, "status": account.status.as_str(),
                    "created_at": format!("{:.3}", account.created_at),
                    "auth_config": { "id": "ac_dev", "auth_scheme": "OAUTH2", "is_composio_managed": true },
                })
            });
            json!({
                "slug": slug, "name": toolkit.display_name, "enabled": true, "is_no_auth": false,
                "composio_managed_auth_schemes": ["OAUTH2"],
                "meta": { "logo": toolkit.icon_url(), "description": toolkit.description },
                "connected_account": connected,
            })
        });
        answers::list(items)
    }
}

fn is_toolkit(slug: &str) -> bool {
    slug.parse().is_ok_and(|slug| catalogue().get(&slug).is_some())
}

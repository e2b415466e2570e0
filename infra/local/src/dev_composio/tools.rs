//! Toolkits and tools: an action of a known toolkit is recorded, and answered.

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

use axum::response::Response;
use http::Method;
use portcullis_toolkits::{Action, AuthScheme, Toolkit};
use serde_json::{Value, json};

use super::{
    Call, DevComposio, EXECUTED_KEPT, Executed,
    accounts::Status,
    answers::{self, Failure},
    catalogue,
};

/// Version of all toolkits.
const VERSION: &str = "20260101_00";

/// Actions that the list names for each toolkit; any other with its prefix can be executed too.
const LISTED: [&str; 2] = ["LIST_ITEMS", "CREATE_ITEM"];

impl DevComposio {
    pub(super) fn toolkit_call(call: &Call<'_>) -> Result<Response, Failure> {
        let catalogue = catalogue();
        match (call.method, call.path.as_slice()) {
            (&Method::GET, ["toolkits"]) => {
                Ok(answers::list(catalogue.in_order().into_iter().map(|toolkit| described_toolkit(toolkit, "id"))))
            }
            (&Method::GET, ["toolkits", slug]) => {
                let slug = slug.parse().map_err(|_| answers::NO_SUCH_TOOLKIT)?;
                let toolkit = catalogue.get(&slug).ok_or(answers::NO_SUCH_TOOLKIT)?;
                Ok(answers::ok(described_toolkit(toolkit, "slug")))
            }
            _ => Err(answers::NO_SUCH_PATH),
        }
    }

    pub(super) fn tool_call(&self, call: &Call<'_>) -> Result<Response, Failure> {
        match (call.method, call.path.as_slice()) {
            (&Method::GET, ["tools"]) => Ok(tools(call)),
            (&Method::GET, ["tools", tool]) => {
                check_version(call.query.get("version").map(String::as_str))?;
                described_tool(tool).map(answers::ok)
            }
            (&Method::POST, ["tools", "execute", tool]) => self.execute(call, tool),
            _ => Err(answers::NO_SUCH_PATH),
        }
    }

    fn execute(&self, call: &Call<'_>, tool: &str) -> Result<Response, Failure> {
        call.only(&[
            "arguments",
            "user_id",
            "version",
            "connected_account_id",
            "custom_auth_params",
            "custom_connection_data",
            "allow_tracing",
        ])?;
        described_tool(tool)?;
        if call.body["user_id"].is_null() && call.body["connected_account_id"].is_string() {
            return Err(answers::ACCOUNT_WITHOUT_USER);
        }
        let user = call.text("user_id")?;
        check_version(Some(call.text("version")?))?;
        let arguments = call.body["arguments"].clone();
        if !arguments.is_object() {
            return Err(answers::bad_request("arguments must be an object"));
        }
        let action: Action = tool.parse().map_err(|_| answers::NO_SUCH_TOOL)?;
        let catalogue = catalogue();
        let toolkit = catalogue.resolve(&action).ok_or(answers::NO_SUCH_TOOL)?.toolkit;
        let account = self.account_for(call, user, toolkit)?;
        let mut known = self.known();
        known.executed.push(Executed {
            action: tool.to_owned(),
            user: user.to_owned(),
            account,
            arguments: arguments.clone(),
        });
        if known.executed.len() > EXECUTED_KEPT {
            known.executed.remove(0);
        }
        let number = known.executed.len();
        drop(known);
        // A toolkit's refusal is not an error of Composio's own.
        let error = tool.ends_with("_FAIL").then_some("the toolkit refused");
        let data = if error.is_some() { json!({}) } else { json!({ "executed": tool, "arguments": arguments }) };
        Ok(answers::ok(json!({
            "data": data, "error": error, "successful": error.is_none(), "log_id": format!("log_{number}"),
            "session_info": null,
        })))
    }

    /// Account that is used; `None` where the call brings the person's own keys, or the toolkit needs none.
    fn account_for(&self, call: &Call<'_>, user: &str, toolkit: &Toolkit) -> Result<Option<String>, Failure> {
        let slug = toolkit.slug.as_str();
        let own = &call.body["custom_connection_data"];
        if own.is_object() {
            let is_whole = own["authScheme"] == "API_KEY" && own["toolkitSlug"] == slug && own["val"].is_object();
            return if is_whole { Ok(None) } else { Err(answers::bad_request("custom_connection_data is malformed")) };
        }
        if toolkit.auth_scheme == AuthScheme::ApiKeyGlobal {
            return Ok(None);
        }
        let known = self.known();
        let (id, account) = match &call.body["connected_account_id"] {
            Value::Null => {
                let found = known.accounts.iter().find(|(_, account)| {
                    account.user == user && account.toolkit == slug && account.status == Status::Active
                });
                found.ok_or(answers::NOT_CONNECTED)?
            }
            given => {
                let id = given.as_str().unwrap_or_default();
                known.accounts.get_key_value(id).ok_or(answers::NOT_CONNECTED)?
            }
        };
        match account.status {
            _ if account.user != user || account.toolkit != slug => Err(answers::ANOTHERS_ACCOUNT),
            Status::Active => Ok(Some(id.clone())),
            Status::Expired => Err(answers::EXPIRED),
            Status::Initiated | Status::Failed | Status::Revoked => Err(answers::NOT_CONNECTED),
        }
    }
}

fn check_version(version: Option<&str>) -> Result<(), Failure> {
    match version {
        None | Some("latest" | VERSION) => Ok(()),
        Some(_) => Err(answers::NO_SUCH_TOOL),
    }
}

fn tools(call: &Call<'_>) -> Response {
    let of_list = |name: &str| call.query.get(name).map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
    if let Some(slugs) = of_list("tool_slugs") {
        return answers::list(slugs.iter().filter_map(|slug| described_tool(slug).ok()));
    }
    let toolkits = of_list("toolkit_slug").unwrap_or_default();
    let names = toolkits.iter().flat_map(|slug| LISTED.map(|name| format!("{}_{name}", slug.to_ascii_uppercase())));
    answers::list(names.filter_map(|name| described_tool(&name).ok()))
}

fn described_tool(name: &str) -> Result<Value, Failure> {
    let action: Action = name.parse().map_err(|_| answers::NO_SUCH_TOOL)?;
    let catalogue = catalogue();
    let resolved = catalogue.resolve(&action).filter(|found| found.action() == name).ok_or(answers::NO_SUCH_TOOL)?;
    let toolkit = resolved.toolkit;
    let object = json!({ "type": "object", "properties": {} });
    let described = json!({ "slug": toolkit.slug, "name": toolkit.display_name, "logo": toolkit.icon_url() });
    Ok(json!({
        "slug": name, "name": name.to_ascii_lowercase(), "description": format!("{name} of {}", toolkit.display_name),
        "toolkit": described, "input_parameters": object, "output_parameters": object, "no_auth": false,
        "available_versions": [VERSION], "version": VERSION, "scopes": [], "scope_requirements": null,
        "tags": ["important"], "is_deprecated": false,
        "deprecated": {
            "displayName": name, "version": VERSION, "available_versions": [VERSION], "is_deprecated": false,
            "toolkit": { "logo": toolkit.icon_url() },
        },
    }))
}

/// Description of a toolkit; `category` is the answer's field name for a category's id.
fn described_toolkit(toolkit: &Toolkit, category: &str) -> Value {
    let scheme = match toolkit.auth_scheme {
        AuthScheme::Oauth2 => "OAUTH2",
        AuthScheme::ApiKeyGlobal | AuthScheme::ApiKeyUser => "API_KEY",
    };
    json!({
        "slug": toolkit.slug, "name": toolkit.display_name, "type": "native", "enabled": true, "is_local_toolkit": false,
        "no_auth": false, "auth_schemes": [scheme], "composio_managed_auth_schemes": [scheme],
        "deprecated": { "toolkitId": toolkit.slug },
        "meta": {
            "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
            "description": toolkit.description, "logo": toolkit.icon_url(), "app_url": null,
            "categories": [{ category: toolkit.category.to_lowercase(), "name": toolkit.category }],
            "triggers_count": 0, "tools_count": LISTED.len(), "version": VERSION, "available_versions": [VERSION],
        },
    })
}

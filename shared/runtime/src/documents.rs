//! The API's documentation: the `OpenAPI` document, and an HTML page of it that works without scripts and without
//! other servers.

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use portcullis_crypto::Digest;
use serde_json::Value;

/// Style sheet of the page.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1b1b1f;background:#fff}code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f6;padding:.8rem;\
overflow:auto;border-radius:.4rem}summary{cursor:pointer;padding:.4rem 0}details{border-bottom:1px solid #e4e4e8}\
b{display:inline-block;min-width:4.5rem}h2{margin-top:2rem}td{padding:.1rem .8rem .1rem 0;vertical-align:top}\
@media(prefers-color-scheme:dark){body{color:#e6e6ea;background:#18181b}pre{background:#26262b}details{border-color:#333}}";

/// The `OpenAPI` document and its HTML page.
#[derive(Debug)]
pub struct Documents {
    document: &'static str,
    /// Rendered on first use, so that the start does not wait for it.
    page: OnceLock<String>,
}

impl Documents {
    /// Documents the API with this `OpenAPI` document.
    #[must_use]
    pub fn new(document: &'static str) -> Self {
        Self { document, page: OnceLock::new() }
    }

    /// Returns the document.
    #[must_use]
    pub fn document(&self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.document).into_response()
    }

    /// Returns the page.
    #[must_use]
    pub fn page(&self) -> Response {
        let page = self.page.get_or_init(|| page(&serde_json::from_str(self.document).unwrap_or_default()));
        let style = STANDARD.encode(Digest::of(STYLE.as_bytes()).as_bytes());
        let policy = format!("default-src 'none'; style-src 'sha256-{style}'");
        let headers = [(CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (CONTENT_SECURITY_POLICY, policy)];
        (headers, page.clone()).into_response()
    }
}

fn page(document: &Value) -> String {
    let title = escaped(document["info"]["title"].as_str().unwrap_or_default());
    let about = escaped(document["info"]["description"].as_str().unwrap_or_default());
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1><p>{about}</p>\
         <p>As a document for programs: <a href=\"openapi.json\">openapi.json</a></p>"
    );
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = tag["name"].as_str().unwrap_or_default();
        let about = escaped(tag["description"].as_str().unwrap_or_default());
        page.extend(["<h2>", &escaped(name), "</h2><p>", &about, "</p>"]);
        for (path, methods) in document["paths"].as_object().into_iter().flatten() {
            let of_tag =
                |operation: &&Value| operation["tags"].as_array().is_some_and(|tags| tags.contains(&name.into()));
            for (method, operation) in methods.as_object().into_iter().flatten() {
                if of_tag(&operation) {
                    page.push_str(&one(document, path, method, operation));
                }
            }
        }
    }
    page.push_str("</html>\n");
    page
}

/// Renders one operation.
fn one(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let (method, path) = (method.to_uppercase(), escaped(path));
    let summary = escaped(operation["summary"].as_str().unwrap_or_default());
    let id = escaped(operation["operationId"].as_str().unwrap_or_default());
    let mut html = format!(
        "<details id=\"{id}\"><summary><b>{method}</b> <code>{path}</code> — {summary} <a href=\"#{id}\">#</a></summary>"
    );
    let about = escaped(operation["description"].as_str().unwrap_or_default());
    html.extend(["<p>", &about, "</p><pre>", &escaped(&curl(&method, &path, operation)), "</pre>"]);
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        html.push_str("<h4>Parameters</h4><table>");
        for parameter in parameters {
            let text = |name: &str| escaped(parameter[name].as_str().unwrap_or_default());
            html.extend(["<tr><td><code>", &text("name"), "</code><td>", &text("in"), "<td>", &text("description")]);
        }
        html.push_str("</table>");
    }
    let schema = |holder: &Value| {
        let schema = &holder["content"]["application/json"]["schema"];
        (!schema.is_null()).then(|| format!("<pre>{}</pre>", escaped(&pretty(&resolved(document, schema, 0)))))
    };
    html.extend(schema(&operation["requestBody"]).map(|schema| format!("<h4>Body</h4>{schema}")));
    html.push_str("<h4>Answers</h4>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let about = escaped(response["description"].as_str().unwrap_or_default());
        html.extend(["<p><b>", &escaped(status), "</b> ", &about, "</p>"]);
        if status.starts_with('2') {
            html.extend(schema(response));
        }
    }
    html + "</details>"
}

/// Returns a shell command that makes the call, with the example of its body. `$api` is the server's address.
fn curl(method: &str, path: &str, operation: &Value) -> String {
    let mut line = "curl".to_owned();
    if method != "GET" {
        line = format!("{line} -X {method}");
    }
    line = format!("{line} \"$api{path}\"");
    let schemes = operation["security"].as_array().into_iter().flatten();
    let mut schemes = schemes.filter_map(|scheme| scheme.as_object()?.keys().next());
    line += match schemes.next().map(String::as_str) {
        Some("internalToken") => " -H \"x-internal-token: $INTERNAL_API_TOKEN\"",
        Some("skillToken") => " -H \"x-internal-token: $SKILL_API_TOKEN\"",
        _ => "",
    };
    let example = &operation["requestBody"]["content"]["application/json"]["example"];
    if !example.is_null() {
        let body = example.to_string().replace('\'', r"'\''");
        line = format!("{line} -H 'content-type: application/json' -d '{body}'");
    }
    line
}

/// Limit of nested schemas; the API's own are not deeper.
const DEPTH: usize = 8;

/// Returns a schema with its references replaced by their targets.
fn resolved(document: &Value, schema: &Value, depth: usize) -> Value {
    if depth > DEPTH {
        return schema.clone();
    }
    let inner = |value: &Value| resolved(document, value, depth + 1);
    match schema {
        Value::Object(fields) => match fields.get("$ref").and_then(Value::as_str) {
            Some(reference) => document.pointer(reference.trim_start_matches('#')).map_or(Value::Null, inner),
            None => fields.iter().map(|(name, value)| (name.clone(), inner(value))).collect(),
        },
        Value::Array(values) => values.iter().map(inner).collect(),
        other => other.clone(),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_shows_each_operation_and_escapes_what_it_shows() {
        let page = page(&json!({
            "info": { "title": "<script>", "description": "a & b" },
            "tags": [{ "name": "t", "description": "about" }],
            "paths": { "/x/{id}": { "get": {
                "tags": ["t"], "operationId": "readIt", "summary": "\"reads\" <it>", "description": "It's <read>.",
                "security": [{ "internalToken": [] }],
                "parameters": [{ "name": "id", "in": "path" }],
                "responses": { "200": { "description": "done", "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/X" } } } } },
            } } },
            "components": { "schemas": { "X": { "type": "object", "title": "</pre>" } } },
        }));
        for part in [
            "<details id=\"readIt\">",
            "It's &lt;read&gt;.",
            "curl &quot;$api/x/{id}&quot;",
            "&lt;script&gt;",
            "a &amp; b",
            "<b>GET</b>",
            "/x/{id}",
            "&quot;reads&quot; &lt;it&gt;",
            "&lt;/pre&gt;",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<script"));
    }
}

//! The API's description, made of what the functions say of themselves.

use serde_json::{Value, json};
use utoipa::OpenApi;

/// The `OpenAPI` 3.1 document of all functions.
#[must_use]
pub fn document() -> Value {
    let mut described = internal::Described::openapi();
    described.merge(skills::Described::openapi());
    described.merge(slack::Described::openapi());
    let mut document = serde_json::to_value(described).expect("a document is JSON");
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Portcullis",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "The control plane of pools of OpenClaw agents: it holds what agents must not.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["tags"] = json!([
        { "name": "slack", "description": "What Slack sends, signed." },
        { "name": "runtime", "description": "What a pool's machine does, with the internal token or a token bound to the pool." },
        { "name": "operator", "description": "What the operator alone does, with the internal token." },
        { "name": "skill", "description": "What a skill does, with the skill token or one bound to its pool." },
        { "name": "public", "description": "What anybody may ask." },
    ]);
    let header = |description: &str| {
        json!({
            "type": "apiKey", "in": "header", "name": "x-internal-token", "description": description,
        })
    };
    document["components"]["securitySchemes"] = json!({
        "internalToken": header("The internal token, or a pool's runtime token; as Authorization: Bearer too."),
        "skillToken": header("The skill token, or a pool's skill token; as Authorization: Bearer too."),
        "slackSignature": {
            "type": "apiKey", "in": "header", "name": "x-slack-signature",
            "description": "Slack's signature over the timestamp and the raw body.",
        },
    });
    let mut of_channel = document["paths"]["/api/slack/events"].clone();
    let operation = &mut of_channel["post"];
    operation["summary"] = json!("An event of the app that one channel of ours was connected with");
    operation["operationId"] = json!("channel_events");
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters
            .insert(0, json!({ "name": "channelId", "in": "path", "required": true, "schema": { "type": "string" } }));
    }
    document["paths"]["/api/slack/events/{channelId}"] = of_channel;
    for (path, id, summary, media_type) in [
        ("/health", "health", "Whether the API answers", "application/json"),
        ("/health/internal", "health_internal", "Whether the function internal answers", "application/json"),
        ("/health/skills", "health_skills", "Whether the function skills answers", "application/json"),
        ("/health/slack", "health_slack", "Whether the function slack answers", "application/json"),
        ("/openapi.json", "openapi", "This document", "application/json"),
        ("/docs", "docs", "This document as a page", "text/html"),
    ] {
        let schema = if media_type == "text/html" { json!({ "type": "string" }) } else { json!({ "type": "object" }) };
        document["paths"][path]["get"] = json!({
            "tags": ["public"], "operationId": id, "summary": summary,
            "responses": { "200": { "description": "done", "content": { media_type: { "schema": schema } } } },
        });
    }
    name_operations(&mut document);
    document
}

/// Gives each operation an id of its own: handlers are called alike.
fn name_operations(document: &mut Value) {
    for (path, methods) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in methods.as_object_mut().into_iter().flatten() {
            let path =
                path.strip_prefix("/api").map_or(path.as_str(), |rest| rest.strip_prefix("/internal").unwrap_or(rest));
            let words = path.split(['/', '{', '}', '.', '-']).filter(|word| !word.is_empty());
            let words: Vec<&str> = std::iter::once(method.as_str()).chain(words).collect();
            operation["operationId"] = json!(words.join("_"));
        }
    }
}

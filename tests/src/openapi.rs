//! The API's `OpenAPI` document: the functions' annotations, completed with the descriptions and examples of
//! `operations`.

mod operations;

use operations::{OPERATIONS, Operation, PROPERTIES};
use portcullis_runtime::ErrorCode;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

/// The `OpenAPI` 3.1 document of all functions.
///
/// # Panics
/// If an operation or a property of the functions has no description in `operations`.
#[must_use]
pub fn document() -> Value {
    let mut described = internal::ApiDoc::openapi();
    described.merge(auth::ApiDoc::openapi());
    described.merge(v1::ApiDoc::openapi());
    described.merge(skills::ApiDoc::openapi());
    described.merge(slack::ApiDoc::openapi());
    let mut document = serde_json::to_value(described).expect("a document is JSON");
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Portcullis",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "The control plane of pools of OpenClaw agents: it holds what agents must not.",
        "contact": { "name": "The operator of this server" },
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/", "description": "The server that this document comes from" }]);
    document["tags"] = json!([
        { "name": "slack", "description": "Slack's webhooks, signed." },
        { "name": "feishu", "description": "Feishu's webhooks, signed or with the app's verification token." },
        { "name": "runtime", "description": "A pool's machine, with the internal token or a token bound to the pool." },
        { "name": "operator", "description": "The operator, with the internal token." },
        { "name": "skill", "description": "A skill, with the skill token, one bound to its pool, or the internal token." },
        { "name": "browser", "description": "A browser, signed in or not; a request that changes something comes from a trusted origin." },
        { "name": "user", "description": "A signed-in person, with the session cookie." },
        { "name": "public", "description": "Anybody." },
    ]);
    document["components"]["securitySchemes"] = security_schemes();
    add_other_routes_of_platforms(&mut document);
    add_public_routes(&mut document);
    document["components"]["headers"] = json!({
        "RequestId": { "description": "The request's id, as in the log.", "schema": { "type": "string" } },
        "EntityTag": { "description": "The entity tag, for `if-none-match`.", "schema": { "type": "string" } },
        "RetryAfter": { "description": "Seconds to wait before another try.", "schema": { "type": "integer" } },
    });
    describe_errors(&mut document);
    let schemas = document["components"]["schemas"].as_object_mut().expect("there are schemas");
    refer_to_items(schemas);
    for schema in schemas.values_mut() {
        describe_properties(schema);
    }
    for name in [
        "ArtifactChange",
        "BotSettings",
        "ChannelSettings",
        "DomainQuestion",
        "Feedback",
        "Heartbeat",
        "NewArtifact",
        "NewSession",
        "Registration",
        "SessionChange",
    ] {
        let texts: Vec<String> =
            schemas.iter().filter(|(_, schema)| schema["type"] == "string").map(|(name, _)| name.clone()).collect();
        allow_empty_texts(&mut schemas[name], &texts);
    }
    // Only `message` is required: a gateway in front of the functions answers with `message` alone.
    schemas["Error"]["required"] = json!(["message"]);
    schemas["Error"]["properties"]["code"]["enum"] = json!(codes());
    // A separate schema for accounts: in a shared one, a client's enum would have names that differ only in case.
    let mut of_accounts = schemas["Error"].clone();
    of_accounts["description"] =
        json!("An error of an account's endpoint, with a code as better-auth's clients know it.");
    of_accounts["properties"]["code"]["enum"] = json!(account_codes());
    of_accounts["properties"]["code"]["example"] = json!("VALIDATION_FAILED");
    schemas.insert("AccountError".to_owned(), of_accounts);
    for (path, methods) in document["paths"].as_object_mut().expect("there are paths") {
        for (method, operation) in methods.as_object_mut().expect("a path has methods") {
            let words = OPERATIONS.iter().find(|words| words.path == path && words.method == method);
            describe(operation, words.unwrap_or_else(|| panic!("{method} {path} has no words")));
        }
    }
    let paths = document["paths"].to_string();
    let responses = document["components"]["responses"].as_object_mut().expect("there are responses");
    responses.retain(|name, _| paths.contains(&format!("\"#/components/responses/{name}\"")));
    document
}

fn security_schemes() -> Value {
    let header = |description: &str| json!({ "type": "apiKey", "in": "header", "name": "x-internal-token", "description": description });
    let bearer = |description: &str| json!({ "type": "http", "scheme": "bearer", "description": description });
    json!({
        "internalToken": header("The internal token, or a pool's runtime token."),
        "internalBearer": bearer("The internal token, or a pool's runtime token."),
        "skillToken": header("The skill token, or a pool's skill token."),
        "skillBearer": bearer("The skill token, or a pool's skill token."),
        "sessionCookie": {
            "type": "apiKey", "in": "cookie", "name": "better-auth.session_token",
            "description": "The session cookie; over https its name begins `__Secure-`.",
        },
        "slackSignature": {
            "type": "apiKey", "in": "header", "name": "x-slack-signature",
            "description": "Slack's signature over the timestamp and the raw body.",
        },
        "feishuSignature": {
            "type": "apiKey", "in": "header", "name": "x-lark-signature",
            "description": "Feishu's signature over timestamp, nonce, encrypt key and body. An app without an encrypt key sends its verification token in the body instead.",
        },
    })
}

/// Adds the routes that share a handler: slash commands with interactions, Feishu's card actions with its events, and
/// each platform route's variant with the channel in its path.
fn add_other_routes_of_platforms(document: &mut Value) {
    document["paths"]["/api/slack/commands"] = document["paths"]["/api/slack/interactions"].clone();
    document["paths"]["/api/feishu/card-action"] = document["paths"]["/api/feishu/events"].clone();
    for path in [
        "/api/slack/events",
        "/api/slack/interactions",
        "/api/slack/commands",
        "/api/feishu/events",
        "/api/feishu/card-action",
    ] {
        let mut of_channel = document["paths"][path].clone();
        if let Some(parameters) = of_channel["post"].get_mut("parameters").and_then(Value::as_array_mut) {
            let id = json!({ "name": "channelId", "in": "path", "required": true, "schema": { "type": "string" } });
            parameters.insert(0, id);
        }
        document["paths"][format!("{path}/{{channelId}}")] = of_channel;
    }
}

fn add_public_routes(document: &mut Value) {
    let text = json!({ "type": "string" });
    let health = json!({
        "type": "object", "required": ["status", "metadata"],
        "properties": {
            "status": { "type": "string", "const": "ok" },
            "metadata": {
                "type": "object", "required": ["commitHash"],
                "properties": { "commitHash": { "type": ["string", "null"] } },
            },
        },
    });
    let any = json!({ "type": "object" });
    for (path, media_type, schema) in [
        ("/", "text/html", &text),
        ("/workspace/channels/slack/callback", "text/html", &text),
        ("/workspace/integrations/callback", "text/html", &text),
        ("/console/{file}", "text/javascript", &text),
        ("/health", "application/json", &health),
        ("/health/auth", "application/json", &health),
        ("/health/v1", "application/json", &health),
        ("/health/internal", "application/json", &health),
        ("/health/skills", "application/json", &health),
        ("/health/slack", "application/json", &health),
        ("/openapi.json", "application/json", &any),
        ("/docs", "text/html", &text),
    ] {
        document["paths"][path]["get"] = json!({
            "tags": ["public"], "security": [],
            "responses": { "200": { "description": "", "content": { media_type: { "schema": schema } } } },
        });
    }
    let file = &mut document["paths"]["/console/{file}"]["get"];
    let name = json!({ "type": "string", "pattern": r"^[a-z_]+\.(js|css)$" });
    file["parameters"] = json!([{ "name": "file", "in": "path", "required": true, "schema": name }]);
    file["responses"]["200"]["content"]["text/css"] = json!({ "schema": text });
}

/// Moves the responses that several operations share into components.
fn describe_errors(document: &mut Value) {
    let errors = [
        ("400", "BadRequest", "The request is malformed, or a field does not validate"),
        ("401", "Unauthorized", "The credential is missing or does not count here"),
        ("403", "Forbidden", "The credential is not valid for this pool, bot or skill"),
        ("404", "NotFound", "There is no such thing, or it is not the caller's"),
        ("405", "MethodNotAllowed", "The path does not take this method"),
        ("409", "Conflict", "Another has what is asked for"),
        ("413", "TooLarge", "The body is too large"),
        ("415", "NotJson", "The body is not JSON"),
        ("429", "TooManyRequests", "The gateway holds the caller back"),
        ("500", "Internal", "The server failed"),
        ("502", "UpstreamFailed", "A service that the server calls failed"),
        ("503", "Unavailable", "A dependency did not answer, or the server does not offer this"),
    ];
    let mut responses = Map::new();
    for (status, name, description) in errors {
        let mut headers = json!({ "x-request-id": { "$ref": "#/components/headers/RequestId" } });
        if matches!(status, "429" | "503") {
            headers["retry-after"] = json!({ "$ref": "#/components/headers/RetryAfter" });
        }
        for (prefix, schema) in [("", "Error"), (ACCOUNT, "AccountError")] {
            let error = json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } });
            let response =
                json!({ "description": description, "headers": headers, "content": { "application/json": error } });
            responses.insert(format!("{prefix}{name}"), response);
        }
    }
    document["components"]["responses"] = Value::Object(responses);
}

/// Replaces the item schema inlined in each list page by a reference to the component, which would otherwise be unused.
fn refer_to_items(schemas: &mut Map<String, Value>) {
    let names: Vec<String> = schemas.keys().cloned().collect();
    for page in names.iter().filter(|name| name.starts_with("PageOf_")) {
        let item = page.trim_start_matches("PageOf_");
        if names.iter().any(|name| name == item) {
            schemas[page]["properties"]["items"]["items"] = json!({ "$ref": format!("#/components/schemas/{item}") });
        }
    }
}

/// Name prefix of the accounts' responses.
const ACCOUNT: &str = "Account";

fn error_response(path: &str, status: &str) -> Value {
    let name = match status {
        "400" => "BadRequest",
        "401" => "Unauthorized",
        "403" => "Forbidden",
        "404" => "NotFound",
        "405" => "MethodNotAllowed",
        "409" => "Conflict",
        "413" => "TooLarge",
        "415" => "NotJson",
        "429" => "TooManyRequests",
        "500" => "Internal",
        "502" => "UpstreamFailed",
        _ => "Unavailable",
    };
    let prefix = if path.starts_with("/api/auth/") { ACCOUNT } else { "" };
    json!({ "$ref": format!("#/components/responses/{prefix}{name}") })
}

/// Error codes of all endpoints except the codes that only accounts have.
fn codes() -> Vec<&'static str> {
    let everywhere = [ErrorCode::InvalidOrigin, ErrorCode::MissingOrNullOrigin, ErrorCode::TooManyRequests];
    let codes = ErrorCode::ALL.iter().filter(|code| !code.is_of_accounts() || everywhere.contains(code));
    codes.map(|code| code.as_str()).collect()
}

/// Error codes of accounts, in upper case there.
fn account_codes() -> Vec<String> {
    ErrorCode::ALL.iter().map(|code| code.as_str().to_ascii_uppercase()).collect()
}

fn words_of(name: &str) -> Option<(&'static str, Value)> {
    let (_, description, example) = PROPERTIES.iter().find(|(known, _, _)| *known == name)?;
    Some((description, serde_json::from_str(example).unwrap_or_else(|error| panic!("{name}: {error}"))))
}

fn describe_properties(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                for (name, property) in properties {
                    let (description, example) = words_of(name).unwrap_or_else(|| panic!("{name} has no words"));
                    let Some(property) = property.as_object_mut() else { continue };
                    // The description beside a reference is the property's own; the example comes from the referenced
                    // type.
                    property.insert("description".to_owned(), description.into());
                    let is_reference = property.contains_key("$ref")
                        || property.contains_key("oneOf")
                        || property.contains_key("enum")
                        || property.contains_key("additionalProperties");
                    if !is_reference && !property.contains_key("example") {
                        // `status` is a string in most schemas and a boolean in better-auth's.
                        let is_truth = property.get("type") == Some(&json!("boolean"));
                        let example = if is_truth && !example.is_boolean() { json!(true) } else { example };
                        property.insert("example".to_owned(), example);
                    }
                }
            }
            fields.values_mut().for_each(describe_properties);
        }
        Value::Array(values) => values.iter_mut().for_each(describe_properties),
        _ => {}
    }
}

/// Allows the empty string for optional strings, where it counts as absent. `texts` are the schemas that are strings.
fn allow_empty_texts(schema: &mut Value, texts: &[String]) {
    let required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object_mut().into_iter().flatten() {
        if required.contains(&json!(name)) || name == "status" && property.get("default").is_some() {
            continue;
        }
        if property.get("minLength").is_some() {
            property["minLength"] = json!(0);
        }
        if let Some(choices) = property.get_mut("oneOf").and_then(Value::as_array_mut) {
            let is_text = |choice: &Value| {
                choice["$ref"].as_str().is_some_and(|it| texts.iter().any(|text| it.ends_with(&format!("/{text}"))))
            };
            if choices.iter().any(is_text) {
                choices.push(json!({ "type": "string", "maxLength": 0 }));
            }
        }
    }
}

fn describe(operation: &mut Value, words: &Operation) {
    operation["operationId"] = json!(words.id);
    operation["summary"] = json!(words.summary);
    operation["description"] = json!(words.description);
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a parameter has a name").to_owned();
        // Elsewhere `code` is an error code.
        let key = if words.id == "finishSlackInstall" && name == "code" { "oauthCode" } else { &name };
        let (description, example) = words_of(key).unwrap_or_else(|| panic!("parameter {name} has no words"));
        parameter["description"] = json!(description);
        let is_template = name == "name" && words.path.contains("workspace-templates");
        // Elsewhere `status` is that of a conversation.
        let is_of_artifacts = name == "status" && words.path.ends_with("/artifacts");
        parameter["example"] = match () {
            () if is_template => json!("AGENTS.md"),
            () if is_of_artifacts => json!("live"),
            () => example,
        };
    }
    if !words.request.is_empty() {
        let example: Value = serde_json::from_str(&words.request.replace("\\#", "#"))
            .unwrap_or_else(|error| panic!("the example of {}: {error}", words.id));
        let contents = operation["requestBody"]["content"].as_object_mut();
        let media_type = contents.and_then(|contents| contents.values_mut().next()).expect("a body has a media type");
        media_type["example"] = example;
    }
    let tier = operation["tags"][0].as_str().expect("an operation has a tier").to_owned();
    operation["security"] = match tier.as_str() {
        "slack" => json!([{ "slackSignature": [] }]),
        "feishu" => json!([{ "feishuSignature": [] }]),
        "skill" => json!([
            { "skillToken": [] }, { "skillBearer": [] }, { "internalToken": [] }, { "internalBearer": [] },
        ]),
        "public" | "browser" => json!([]),
        "user" => json!([{ "sessionCookie": [] }]),
        _ => json!([{ "internalToken": [] }, { "internalBearer": [] }]),
    };
    let mut responses = Map::new();
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        if !status.starts_with('2') && !status.starts_with('3') {
            continue;
        }
        let mut response = response.clone();
        let is_kept = status == "304";
        response["description"] = json!(if is_kept { "The caller's copy is the newest" } else { words.answer });
        response["headers"] = json!({ "x-request-id": { "$ref": "#/components/headers/RequestId" } });
        if operation["responses"]["304"].is_object() {
            response["headers"]["etag"] = json!({ "$ref": "#/components/headers/EntityTag" });
        }
        responses.insert(status.clone(), response);
    }
    let of_every: &[&str] = if tier == "public" { &["405", "429"] } else { &["401", "405", "429", "500", "503"] };
    for status in of_every.iter().chain(words.statuses) {
        responses.insert((*status).to_owned(), error_response(words.path, status));
    }
    operation["responses"] = Value::Object(responses);
}

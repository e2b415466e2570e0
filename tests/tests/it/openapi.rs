//! The `OpenAPI` document: committed, served, and consistent with the functions.

use std::{collections::BTreeSet, path::Path};

use portcullis_local::template::{TEMPLATE, Template};
use portcullis_tests::{System, openapi, system::send};
use reqwest::Method;
use serde_json::Value;

fn committed() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi.json")).expect("it is committed")
}

/// Makes a change of the contract visible in review. To regenerate: `cargo run -p portcullis-tests --bin openapi >
/// openapi.json`.
#[test]
fn the_committed_document_is_what_the_code_says() {
    let expected = serde_json::to_string_pretty(&openapi::document()).unwrap() + "\n";
    assert!(
        committed() == expected,
        "openapi.json is out of date: cargo run -p portcullis-tests --bin openapi > openapi.json"
    );
}

#[test]
fn the_document_has_the_templates_routes_and_each_operation_is_of_a_tier() {
    let document: Value = serde_json::from_str(&committed()).unwrap();
    let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let template = Template::parse(TEMPLATE).unwrap();
    // `/api/v1` is an older prefix of the same operations.
    let is_described = |path: &String| !path.starts_with("/api/v1/");
    // `/` belongs to the default route.
    let path =
        |route: portcullis_local::template::Route| if route.path == "$default" { "/".to_owned() } else { route.path };
    let routes: BTreeSet<String> = template.routes.into_iter().map(path).filter(is_described).collect();
    assert_eq!(described, routes);
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let is_public = operation["tags"][0] == "public" || operation["tags"][0] == "browser";
            assert_eq!(operation["security"] == serde_json::json!([]), is_public, "{method} {path}");
        }
    }
    let ids: Vec<&str> = (document["paths"].as_object().unwrap().values())
        .flat_map(|methods| methods.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each operation has an id of its own");
}

#[tokio::test]
async fn every_operation_of_the_document_asks_for_its_credential() {
    let system = System::start().await;
    let document: Value = send(system.request(Method::GET, "/openapi.json")).await.json();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path.replace("{version}", "1").replace("{file}", "main.js").replace(['{', '}'], "");
            let request = || system.request(method.to_uppercase().parse().unwrap(), &path);
            // Routes of browsers need no session; their outcome depends on the request.
            if operation["tags"][0] == "browser" {
                let answer = send(request()).await;
                let is_sent_on = answer.status == 302 && answer.body.is_empty();
                assert!(is_sent_on || answer.json()["code"] != "UNAUTHORIZED", "{method} {path}");
                continue;
            }
            let expected = if operation["tags"][0] == "public" { 200 } else { 401 };
            assert_eq!(send(request()).await.status, expected, "{method} {path} with nothing");
            let garbage = request().header("x-internal-token", "garbage").header("x-slack-signature", "v0=garbage");
            assert_eq!(send(garbage).await.status, expected, "{method} {path} with garbage");
            asked += 1;
        }
    }
    assert!(asked >= 30, "{asked}");
}

#[tokio::test]
async fn the_page_shows_the_document_and_loads_nothing() {
    let system = System::start().await;
    let page = send(system.request(Method::GET, "/docs")).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let text = String::from_utf8(page.body.clone()).unwrap();
    for path in openapi::document()["paths"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for loaded in ["<script", "src=", "url(", "http://", "@import"] {
        assert!(!text.contains(loaded), "{loaded}");
    }
    assert_eq!(send(system.request(Method::POST, "/docs")).await.status, 405);
}

//! Prints the API's `OpenAPI` document, the content of `openapi.json`.

#![expect(clippy::print_stdout, reason = "it prints a document")]

fn main() -> Result<(), serde_json::Error> {
    println!("{}", serde_json::to_string_pretty(&portcullis_tests::openapi::document())?);
    Ok(())
}

//! Prints the API's description, as it is committed in `openapi.json`.

#![expect(clippy::print_stdout, reason = "it prints a document")]

fn main() -> Result<(), serde_json::Error> {
    println!("{}", serde_json::to_string_pretty(&portcullis_tests::openapi::document())?);
    Ok(())
}

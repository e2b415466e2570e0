//! Writes or checks `openapi.json`, the API's `OpenAPI` document: `openapi --write | --check`. Without an argument it prints it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints its document and its errors")]

use std::{fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi.json");
    let document = serde_json::to_string_pretty(&portcullis_tests::openapi::document()).map(|text| text + "\n");
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match (document, arguments.as_slice()) {
        (Err(error), _) => Err(format!("the document is not JSON: {error}")),
        (Ok(document), []) => {
            print!("{document}");
            Ok(())
        }
        (Ok(document), ["--write"]) => fs::write(file, document).map_err(|error| format!("openapi.json: {error}")),
        (Ok(document), ["--check"]) => match fs::read_to_string(file) {
            Ok(committed) if committed == document => Ok(()),
            Ok(_) => Err("openapi.json differs from the code: run it with --write".to_owned()),
            Err(error) => Err(format!("openapi.json: {error}")),
        },
        _ => Err("usage: openapi [--write | --check]".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

//! Texts that are printed: addresses, files, and commands to try.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use portcullis_demo::Step;
use portcullis_local::{
    import::Report,
    queue::DeadLetter,
    secrets::{GENERATED_FILE, Sources},
};
use serde_json::json;

use crate::cli::Arguments;

/// Addresses and files of a running stack; never a token.
pub(crate) struct Greeting {
    /// Base URL of the stack.
    pub base_url: String,
    /// Folder of `--data`.
    pub data: Option<PathBuf>,
    /// Folder of the generated secrets.
    pub folder: PathBuf,
}

impl Greeting {
    /// Formats the greeting as requested. `--quiet` prints only the address, which `--port 0` makes unpredictable.
    pub(crate) fn text(&self, arguments: &Arguments) -> String {
        let Self { base_url, data, folder } = self;
        let file = folder.join(GENERATED_FILE);
        match (arguments.json, arguments.quiet) {
            (true, true) => format!("{}\n", json!({ "api": base_url })),
            (true, false) => {
                format!("{}\n", json!({ "api": base_url, "data": data.as_deref().map(shown), "tokens": shown(&file) }))
            }
            (false, true) => format!("{base_url}\n"),
            (false, false) => self.in_words(),
        }
    }

    fn in_words(&self) -> String {
        let base_url = &self.base_url;
        let file = quoted(&self.folder.join(GENERATED_FILE));
        let data = self.data.as_ref().map_or("in memory, gone at the end".to_owned(), |data| quoted(data));
        format!(
            "
  API       {base_url}
  Data      {data}
  Tokens    {file}, where neither the environment nor .env has them

  To try, in another terminal:

    set -a; . {file}; set +a
    curl {base_url}/health
    curl {base_url}/api/internal/pools/register -H \"x-internal-token: $INTERNAL_API_TOKEN\" \\
      -H 'content-type: application/json' -d '{{\"poolId\":\"pool-1\",\"podIp\":\"127.0.0.1\"}}'
    curl -X PUT {base_url}/api/internal/pools/pool-1/secrets -H \"x-internal-token: $INTERNAL_API_TOKEN\" \\
      -H 'content-type: application/json' -d '{{\"secrets\":{{\"MAPS_KEY\":{{\"value\":\"not-a-real-key\",\"scope\":\"skill:maps\"}}}}}}'

  Ctrl-C ends it.

"
        )
    }
}

/// Formats the address of the database of `--database-only` for `cargo lambda watch`. Its credentials are in `file`.
pub(crate) fn database(url: &str, folder: &Path, file: &Path, json: bool) -> String {
    let generated = folder.join(GENERATED_FILE);
    if json {
        return format!("{}\n", json!({ "database": url, "environment": [shown(&generated), shown(file)] }));
    }
    format!(
        "
  Database  {url}

  In another terminal:

    set -a; . {generated}; . {file}; set +a
    export EVENT_QUEUE_URL=http://127.0.0.1:9/no-queue.fifo   # no SQS here: a Slack event gets a 503
    cargo lambda watch -A 127.0.0.1

  Ctrl-C ends it.

",
        generated = quoted(&generated),
        file = quoted(file),
    )
}

/// Formats one line of the demonstration.
pub(crate) fn step(step: &Step, json: bool) -> String {
    if json {
        return format!("{}\n", json!({ "place": step.place, "what": step.what }));
    }
    format!("  {:<9} {}\n", step.place, step.what)
}

/// Formats the events that were given up on, one a line.
pub(crate) fn dead_letters(letters: &[DeadLetter], json: bool) -> String {
    if letters.is_empty() && !json {
        return "No event was given up on.\n".to_owned();
    }
    let line = |text: &mut String, letter: &DeadLetter| {
        let id = letter.deduplication.get(..12).unwrap_or_default();
        let DeadLetter { sent_at, receive_count, bytes, .. } = letter;
        if json {
            let letter = json!({ "id": id, "sentAt": sent_at, "tries": receive_count, "bytes": bytes });
            writeln!(text, "{letter}")
        } else {
            writeln!(text, "{id}  sent {sent_at:.0}  tried {receive_count} times  {bytes} bytes")
        }
    };
    let mut text = String::new();
    for letter in letters {
        // Writing to a string does not fail.
        let _ = line(&mut text, letter);
    }
    text
}

/// Formats the number of events that were queued again.
pub(crate) fn redriven(count: usize, json: bool) -> String {
    if json {
        return format!("{}\n", json!({ "queuedAgain": count }));
    }
    format!("{count} events were queued again.\n")
}

/// Formats the outcome of an import of people, with a line for each rejected row.
pub(crate) fn imported(report: &Report, json: bool) -> String {
    let Report { imported, already_there, refused } = report;
    if json {
        let refused: Vec<_> = refused.iter().map(|(line, reason)| json!({ "line": line, "reason": reason })).collect();
        return format!("{}\n", json!({ "imported": imported, "alreadyThere": already_there, "refused": refused }));
    }
    let mut text = format!("{imported} people were imported, {already_there} were there already.\n");
    for (line, reason) in refused {
        // Writing to a string does not fail.
        let _ = writeln!(text, "line {line} was left out: {reason}");
    }
    text
}

/// Formats a token, bare unless JSON was asked for.
pub(crate) fn token(token: &str, json: bool) -> String {
    if json {
        return format!("{}\n", json!({ "token": token }));
    }
    format!("{token}\n")
}

/// Formats one line for each settings problem, with the setting's source.
pub(crate) fn settings_problems(problems: &[String], sources: &Sources) -> String {
    let mut text = "invalid settings:".to_owned();
    for problem in problems {
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let mut words = problem.split(|letter: char| !u8::try_from(letter).is_ok_and(is_name));
        let source = words.find_map(|word| sources.get(word));
        let source =
            source.map_or("not in the environment, .env or dev.env".to_owned(), |source| format!("from {source}"));
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {problem} ({source})");
    }
    text
}

/// A path as text; a path that is not UTF-8 has no exact form in JSON.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A path, quoted for a shell.
fn quoted(path: &Path) -> String {
    let path = shown(path);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte);
    if path.bytes().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    use clap::Parser;

    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        for (path, shown) in [
            (".local/dev.env", ".local/dev.env"),
            ("my data/dev.env", "'my data/dev.env'"),
            ("it's/$HOME", r"'it'\''s/$HOME'"),
            ("ö", "'ö'"),
        ] {
            assert_eq!(quoted(Path::new(path)), shown);
        }
        let folder = PathBuf::from("my data");
        let greeting = Greeting { base_url: "http://127.0.0.1:1".to_owned(), data: Some(folder.clone()), folder };
        let text = greeting.text(&Arguments::parse_from(["cargo local"]));
        assert!(text.contains("set -a; . 'my data/dev.env'; set +a"), "{text}");
    }

    #[test]
    fn the_address_is_told_in_every_form_and_json_is_one_line_of_json() {
        let greeting = Greeting { base_url: "http://127.0.0.1:1".to_owned(), data: None, folder: ".local".into() };
        let text = |arguments: &[&str]| greeting.text(&Arguments::parse_from([&["cargo local"], arguments].concat()));
        assert_eq!(text(&["--quiet", "--port", "0"]), "http://127.0.0.1:1\n");
        assert_eq!(text(&["--quiet", "--json"]), "{\"api\":\"http://127.0.0.1:1\"}\n");
        let json: serde_json::Value = serde_json::from_str(text(&["--json"]).strip_suffix('\n').unwrap()).unwrap();
        assert_eq!(json, json!({ "api": "http://127.0.0.1:1", "data": null, "tokens": ".local/dev.env" }));
        assert!(text(&[]).contains("curl http://127.0.0.1:1/health"));
        let not_text = PathBuf::from(OsString::from_vec(vec![b'a', 0xff]));
        let greeting = Greeting { data: Some(not_text.clone()), folder: not_text, ..greeting };
        assert!(greeting.text(&Arguments::parse_from(["cargo local", "--json"])).starts_with('{'));
    }

    #[test]
    fn each_problem_of_the_settings_has_its_line_and_its_source() {
        let sources = Sources::from([("SKILL_API_TOKEN".to_owned(), "/x/.env".to_owned())]);
        let problems = ["SKILL_API_TOKEN: too short".to_owned(), "POOL_CIDRS is not set".to_owned()];
        assert_eq!(
            settings_problems(&problems, &sources),
            "invalid settings:\n  SKILL_API_TOKEN: too short (from /x/.env)\n  POOL_CIDRS is not set \
             (not in the environment, .env or dev.env)"
        );
    }

    #[test]
    fn an_empty_list_of_dead_letters_says_so() {
        assert_eq!(dead_letters(&[], false), "No event was given up on.\n");
        assert_eq!(dead_letters(&[], true), "", "no line is an empty list of lines");
    }
}

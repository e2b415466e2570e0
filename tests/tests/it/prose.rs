//! Comments are in plain words: a sentence opens with the thing that it is about, not with a riddle. docs/CONTRIBUTING.md says more.

use std::{fs, path::Path};

/// Words that open a sentence whose subject comes later, or never.
const RIDDLES: [&str; 5] = ["What ", "Whose ", "Whoever ", "That ", "Of "];

/// Folders with our own Rust code.
const FOLDERS: [&str; 6] = ["functions", "fuzz", "infra", "shared", "sidecar", "tests"];

/// Folders of installed and built things.
const FOREIGN: [&str; 3] = ["node_modules", "target", ".venv"];

/// Each paragraph of comments, with the number of its first line.
fn comments(source: &str) -> Vec<(usize, String)> {
    let mut paragraphs: Vec<(usize, String)> = Vec::new();
    let mut is_in_paragraph = false;
    for (number, line) in source.lines().enumerate() {
        let comment = line.trim_start().strip_prefix("//").map(|comment| comment.trim_start_matches(['/', '!']).trim());
        let Some(text) = comment.filter(|text| !text.is_empty()) else {
            is_in_paragraph = false;
            continue;
        };
        match paragraphs.last_mut().filter(|_| is_in_paragraph) {
            Some((_, paragraph)) => *paragraph = format!("{paragraph} {text}"),
            None => paragraphs.push((number + 1, text.to_owned())),
        }
        is_in_paragraph = true;
    }
    paragraphs
}

fn opens_with_a_riddle(comment: &str) -> bool {
    let starts = [". ", ": ", "; ", "! ", "? "];
    let after_each =
        |start: &str| comment.split(start).skip(1).any(|rest| RIDDLES.iter().any(|word| rest.starts_with(word)));
    RIDDLES.iter().any(|word| comment.starts_with(word)) || starts.iter().any(|start| after_each(start))
}

fn search(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !FOREIGN.contains(&name.as_str()) {
            search(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for (line, comment) in comments(&fs::read_to_string(&path).unwrap()) {
                if opens_with_a_riddle(&comment) {
                    found.push(format!("{}:{line}: {comment}", path.display()));
                }
            }
        }
    }
}

#[test]
fn no_sentence_of_a_comment_opens_with_a_riddle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for folder in FOLDERS {
        search(&root.join(folder), &mut found);
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_riddle_is_found_at_the_start_of_a_paragraph_and_of_each_sentence() {
    let source = "/// A thing. What\n/// it is.\n///\n/// Of two, one.\nlet x = 1;\n// Whose it is\n// A lease: the event's own.\n";
    let found: Vec<_> = comments(source).into_iter().filter(|(_, text)| opens_with_a_riddle(text)).collect();
    assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 4, 6]);
}

//! The documents for people: every file and every link in them leads to something in the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Beginnings of a repository path.
const FOLDERS: [&str; 10] =
    ["functions/", "shared/", "sidecar/", "infra/", "tests/", "events/", "docs/", "fuzz/", ".ci/", ".cargo/"];

/// Parts of a command, a pattern or a placeholder, which no path of a file has.
const NOT_IN_A_PATH: [&str; 7] = ["*", "{", "…", " ", "\n", "NAME", "<"];

struct Document {
    path: PathBuf,
    /// Text without fenced blocks, whose lines are code.
    prose: String,
}

impl Document {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).expect("a document");
        let mut is_code = false;
        let mut prose = String::new();
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            } else if !is_code {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        assert!(!is_code, "{}: a fenced block has no end", path.display());
        assert_eq!(prose.matches('`').count() % 2, 0, "{}: a backtick has no partner", path.display());
        Self { path, prose }
    }

    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    /// Repository paths in backticks, without a line, an item or an anchor behind them.
    fn paths(&self) -> impl Iterator<Item = &str> {
        self.prose.split('`').skip(1).step_by(2).filter_map(path_of)
    }

    /// Targets of the links to files and headings of the repository: path and anchor, one of which may be empty.
    fn links(&self) -> Vec<(String, String)> {
        let without_code: String = self.prose.split('`').step_by(2).collect();
        let targets = without_code.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let relative = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
        relative
            .map(|target| target.split_once('#').unwrap_or((target, "")))
            .map(|(path, anchor)| (path.to_owned(), anchor.to_owned()))
            .collect()
    }

    /// File that a link of this document leads to.
    fn target(&self, link: &str) -> PathBuf {
        if link.is_empty() { self.path.clone() } else { self.path.parent().unwrap_or(Path::new("")).join(link) }
    }

    fn has_heading(&self, anchor: &str) -> bool {
        let headings = self.prose.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| anchor_of(line.trim_start_matches('#').trim())).any(|of| of == anchor)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository's root").to_owned()
}

/// README.md, SECURITY.md and each document of `docs/`.
fn documents() -> Vec<Document> {
    let mut paths = vec![root().join("README.md"), root().join("SECURITY.md")];
    for entry in fs::read_dir(root().join("docs")).expect("the folder of documents") {
        let path = entry.expect("an entry of the folder").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    paths.into_iter().map(Document::read).collect()
}

/// Repository path that a text in backticks names; `None` for other texts.
fn path_of(token: &str) -> Option<&str> {
    let looks_like_one = FOLDERS.iter().any(|folder| token.starts_with(folder))
        && !NOT_IN_A_PATH.iter().any(|part| token.contains(part));
    token.split([':', '#']).next().filter(|_| looks_like_one)
}

/// Anchor of a heading, as GitHub makes it: lower case, without punctuation, with hyphens in the places of spaces.
fn anchor_of(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn each_file_that_a_document_names_exists() {
    let mut count = 0;
    for document in documents() {
        for path in document.paths() {
            assert!(root().join(path).exists(), "{} names {path}, which is not there", document.name());
            count += 1;
        }
    }
    assert!(count > 100, "the documents are read: {count}");
}

#[test]
fn each_link_of_a_document_leads_to_a_file_and_a_heading_that_exist() {
    let mut count = 0;
    for document in documents() {
        for (path, anchor) in document.links() {
            let target = document.target(&path);
            assert!(target.exists(), "{} links to {path}, which is not there", document.name());
            if !anchor.is_empty() {
                let has_heading = Document::read(target).has_heading(&anchor);
                assert!(has_heading, "{} links to {path}#{anchor}, a heading that is not there", document.name());
            }
            count += 1;
        }
    }
    assert!(count > 30, "the links are read: {count}");
}

#[test]
fn a_command_a_pattern_or_a_word_is_no_path() {
    for (token, expected) in [
        ("shared/store/src/row.rs", Some("shared/store/src/row.rs")),
        ("shared/store/src/row.rs:12", Some("shared/store/src/row.rs")),
        ("tests/tests/it/tiers.rs::nobody_else_is_let_in", Some("tests/tests/it/tiers.rs")),
        ("docs/API.md#errors", Some("docs/API.md")),
        ("infra/local", Some("infra/local")),
        ("fuzz/run SECONDS", None),
        ("tests/*/run", None),
        ("functions/NAME/src", None),
        ("shared/<crate>", None),
        ("pools", None),
        ("/api/internal/pools", None),
    ] {
        assert_eq!(path_of(token), expected, "{token}");
    }
}

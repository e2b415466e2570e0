//! SECURITY.md's promises: every test and file named as evidence exists.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const DOCUMENT: &str = include_str!("../../../SECURITY.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository's root").to_owned()
}

/// Texts in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Rows of the tables whose last column is headed `Held by`: promise and evidence.
fn promises() -> Vec<(&'static str, &'static str)> {
    let mut rows = Vec::new();
    let mut in_table = false;
    for line in DOCUMENT.lines() {
        if !line.starts_with('|') {
            in_table = false;
        } else if line.ends_with("| Held by |") && line.starts_with("| Promise |") {
            in_table = true;
        } else if in_table && !line.starts_with("|---") {
            let (promise, evidence) = line.trim_matches('|').rsplit_once(" | ").expect("two columns");
            rows.push((promise.trim(), evidence.trim()));
        }
    }
    rows
}

/// File that the evidence names: a whole path, the end of an earlier path (`…/name.rs`), or the previous file
/// (`::test`).
fn file_of<'a>(
    evidence: &'a str,
    known: &mut BTreeMap<String, String>,
    last: &mut String,
) -> (String, Option<&'a str>) {
    let (path, test) = evidence.split_once("::").map_or((evidence, None), |(path, test)| (path, Some(test)));
    let path = match path.strip_prefix("…/") {
        Some(name) => known.get(name).cloned().unwrap_or_else(|| panic!("no path before ends with {name}")),
        None if path.is_empty() => last.clone(),
        None => path.to_owned(),
    };
    if let Some(name) = path.rsplit('/').next() {
        known.insert(name.to_owned(), path.clone());
    }
    last.clone_from(&path);
    (path, test)
}

#[test]
fn each_promise_names_evidence_that_is_there() {
    let (mut known, mut last) = (BTreeMap::new(), String::new());
    let promises = promises();
    assert!(promises.len() > 40, "the tables are read: {}", promises.len());
    for (promise, evidence) in promises {
        let named: Vec<&str> = quoted(evidence).collect();
        assert!(!named.is_empty(), "nothing holds: {promise}");
        for evidence in named {
            let (path, test) = file_of(evidence, &mut known, &mut last);
            let whole = root().join(&path);
            assert!(whole.exists(), "{path} is not there, which holds: {promise}");
            let Some(test) = test else { continue };
            let content = fs::read_to_string(&whole).expect("a file of tests");
            let is_test =
                content.contains(&format!("fn {test}(")) && content.contains("#[test]") | content.contains("::test]");
            assert!(is_test, "{path} has no test {test}, which holds: {promise}");
        }
    }
}

#[test]
fn a_whole_file_of_evidence_holds_tests() {
    let (mut known, mut last) = (BTreeMap::new(), String::new());
    for (promise, evidence) in promises() {
        for evidence in quoted(evidence) {
            let (path, test) = file_of(evidence, &mut known, &mut last);
            let is_rust = Path::new(&path).extension().is_some_and(|extension| extension == "rs");
            if test.is_some() || !is_rust || path.starts_with("fuzz/") {
                continue;
            }
            let content = fs::read_to_string(root().join(&path)).expect("a file");
            assert!(
                content.contains("#[test]") || content.contains("#[tokio::test"),
                "{path} has no test, and holds: {promise}"
            );
        }
    }
}

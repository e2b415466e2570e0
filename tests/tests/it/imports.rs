//! Imports within a function point down: an endpoint uses what its own folder or the function's base modules define, and nothing
//! of another resource; a base module uses nothing of a resource.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn functions() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path().join("src"));
    entries.filter(|source| source.is_dir()).collect()
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The first segment of each path below `crate::`, of imports in braces too.
fn imported(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in source.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(first_name(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    names.insert(first_name(&group[start..at]));
                    start = at + 1;
                    if character == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    names.remove("");
    names
}

fn first_name(path: &str) -> String {
    path.trim_start().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

#[test]
fn no_import_of_a_function_points_up_or_to_another_resource() {
    let mut wrong = Vec::new();
    for source in functions() {
        let entries: Vec<PathBuf> = fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().path()).collect();
        let stem = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        let resources: BTreeSet<String> = entries.iter().filter(|path| path.is_dir()).map(stem).collect();
        // A function without resources is one flow of modules.
        if resources.is_empty() {
            continue;
        }
        let base: BTreeSet<String> = entries.iter().filter(|path| path.is_file()).map(stem).collect();
        let base: BTreeSet<&String> = base.iter().filter(|name| !resources.contains(*name) && *name != "lib").collect();
        let mut files = Vec::new();
        files_below(&source, &mut files);
        for file in files.iter().filter(|file| !file.ends_with("lib.rs") && !file.ends_with("main.rs")) {
            for name in imported(&fs::read_to_string(file).unwrap()) {
                if !base.contains(&name) {
                    wrong.push(format!("{} imports crate::{name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_names_of_an_import_are_found_in_braces_and_out_of_them() {
    let source = "use crate::{app::{App, gone}, budget::Budget};\nuse crate::pool_path::PoolPath;\ncrate::error::why()";
    assert_eq!(imported(source).into_iter().collect::<Vec<_>>(), ["app", "budget", "error", "pool_path"]);
}

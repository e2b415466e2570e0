//! Checks the front matter of a skill, without which `OpenClaw` ignores the skill.
//!
//! Source: `OpenClaw`, "Skills": `SKILL.md` begins with YAML between two lines `---` that has `name` and
//! `description`.

/// Returns the front matter's faults; empty if `OpenClaw` will use the skill.
pub fn warnings(content: &str) -> Vec<String> {
    let Some(front_matter) = front_matter(content) else {
        return vec![
            "SKILL.md has no front matter (name and description between two lines ---): OpenClaw will not use \
            the skill"
                .to_owned(),
        ];
    };
    let lacks = |field: &&str| !front_matter.lines().any(|line| has_value(line, field));
    let missing = ["name", "description"].into_iter().filter(lacks);
    missing
        .map(|field| format!("The front matter of SKILL.md lacks {field}: OpenClaw will not use the skill"))
        .collect()
}

fn front_matter(content: &str) -> Option<&str> {
    let text = content.strip_prefix('\u{feff}').unwrap_or(content);
    let (first, rest) = text.split_once('\n')?;
    if first.trim_end() != "---" {
        return None;
    }
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return rest.get(..end);
        }
        end += line.len();
    }
    None
}

/// Returns whether a line gives a top-level field a value that is not empty.
fn has_value(line: &str, field: &str) -> bool {
    let value = line.strip_prefix(field).and_then(|rest| rest.trim_start().strip_prefix(':'));
    value.is_some_and(|value| !matches!(value.trim(), "" | "\"\"" | "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skill_with_a_name_and_a_description_has_no_warning() {
        for good in [
            "---\nname: maps\ndescription: Finds the way\n---\n# Maps",
            "---\r\nname: maps\r\ndescription: >\r\n  Finds the way\r\nmetadata: {}\r\n---\r\n",
            "\u{feff}---\nname : maps\ndescription: x\n---",
        ] {
            assert_eq!(warnings(good), [""; 0], "{good:?}");
        }
    }

    #[test]
    fn each_part_that_lacks_is_named() {
        for bad in ["# Maps", "", "---\nname: maps\ndescription: x\n", "\n---\nname: maps\ndescription: x\n---\n"] {
            let warnings = warnings(bad);
            assert!(warnings.len() == 1 && warnings[0].contains("no front matter"), "{bad:?}: {warnings:?}");
        }
        assert_eq!(warnings("---\nname: maps\n---\n").len(), 1);
        assert_eq!(warnings("---\nmetadata:\n  name: maps\ndescription: \"\"\n---\n").len(), 2);
    }
}

//! A managed block in a text file that an agent writes: only the text between two marker lines is replaced.

/// Marker line before the block.
pub const BEGIN: &str =
    "<!-- portcullis:begin - kept by the control plane, changes up to the end line are overwritten -->";

/// Marker line after the block.
pub const END: &str = "<!-- portcullis:end -->";

/// Splits a text into lines that keep their breaks.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

fn is_marker(line: &[u8], marker: &str) -> bool {
    line.trim_ascii() == marker.as_bytes()
}

/// A text split around its block. A marker line without its other half is removed from both parts, so that a broken
/// block is replaced by a whole one and the agent's text is kept.
struct Around {
    before: Vec<u8>,
    after: Vec<u8>,
    has_block: bool,
}

impl Around {
    fn of(text: &[u8]) -> Self {
        let all: Vec<&[u8]> = lines(text).collect();
        // The block ends at the first end marker that follows a begin marker, and begins at the nearest one before it.
        let (mut begin, mut found) = (None, None);
        for (index, line) in all.iter().enumerate() {
            if is_marker(line, BEGIN) {
                begin = Some(index);
            } else if let (true, Some(begin)) = (is_marker(line, END), begin) {
                found = Some((begin, index));
                break;
            }
        }
        let kept = |part: &[&[u8]]| {
            let lines = part.iter().filter(|line| !is_marker(line, BEGIN) && !is_marker(line, END));
            lines.flat_map(|line| line.iter().copied()).collect()
        };
        match found {
            Some((begin, end)) => Self {
                before: kept(all.get(..begin).unwrap_or_default()),
                after: kept(all.get(end + 1..).unwrap_or_default()),
                has_block: true,
            },
            None => Self { before: kept(&all), after: Vec::new(), has_block: false },
        }
    }
}

/// Replaces the block in `text`, or appends one.
#[must_use]
pub fn with_block(text: &[u8], content: &str) -> Vec<u8> {
    let around = Around::of(text);
    let mut result = around.before;
    if !result.is_empty() && !result.ends_with(b"\n") {
        result.push(b'\n');
    }
    if !around.has_block && !result.is_empty() {
        result.push(b'\n');
    }
    result.extend_from_slice(BEGIN.as_bytes());
    result.push(b'\n');
    // A marker line within the content would end the block early, and the remainder would count as the agent's text.
    for line in lines(content.as_bytes()).filter(|line| !is_marker(line, BEGIN) && !is_marker(line, END)) {
        result.extend_from_slice(line);
    }
    if !result.ends_with(b"\n") {
        result.push(b'\n');
    }
    result.extend_from_slice(END.as_bytes());
    result.push(b'\n');
    result.extend_from_slice(&around.after);
    result
}

/// Removes the block from `text`. Returns `None` if only white space is left.
#[must_use]
pub fn without_block(text: &[u8]) -> Option<Vec<u8>> {
    let around = Around::of(text);
    let rest = [around.before, around.after].concat();
    (!rest.trim_ascii().is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(text: &str, content: &str) -> String {
        String::from_utf8(with_block(text.as_bytes(), content)).unwrap()
    }

    fn block(content: &str) -> String {
        format!("{BEGIN}\n{content}\n{END}\n")
    }

    #[test]
    fn a_block_is_put_in_the_place_of_the_one_before_and_the_rest_is_left_alone() {
        let one = block("one");
        assert_eq!(with("", "one"), one);
        assert_eq!(with("# Mine", "one"), format!("# Mine\n\n{one}"));
        assert_eq!(with("# Mine\n", "one\n"), format!("# Mine\n\n{one}"));
        let around = format!("before\n\n{one}\nafter, without a break");
        assert_eq!(with(&around, "two"), around.replace("one", "two"));
        assert_eq!(with(&around, "one"), around);
        // Indented and with CRLF, as other editors write it.
        let foreign = format!("before\r\n  {BEGIN}\r\nold\r\n{END} \r\nafter\r\n");
        assert_eq!(with(&foreign, "one"), format!("before\r\n{one}after\r\n"));
    }

    #[test]
    fn a_broken_block_costs_the_agent_nothing() {
        for broken in [format!("a\n{BEGIN}\nb\n"), format!("a\n{END}\nb\n"), format!("{END}\na\n{BEGIN}\nb\n")] {
            assert_eq!(with(&broken, "one"), format!("a\nb\n\n{}", block("one")), "{broken}");
        }
        let two_begins = format!("a\n{BEGIN}\nb\n{BEGIN}\nold\n{END}\nc\n");
        assert_eq!(with(&two_begins, "one"), format!("a\nb\n{}c\n", block("one")));
    }

    #[test]
    fn a_marker_in_the_content_does_not_end_the_block() {
        let once = with("mine\n", &format!("x\n{END}\ny\n{BEGIN}\nz"));
        assert_eq!(once, format!("mine\n\n{}", block("x\ny\nz")));
        assert_eq!(with(&once, "w"), format!("mine\n\n{}", block("w")));
    }

    #[test]
    fn without_its_block_a_file_is_what_the_agent_wrote() {
        let without = |text: &str| without_block(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(without(&block("one")), None);
        assert_eq!(without(&format!("\n{}\n", block("one"))), None);
        assert_eq!(without(&format!("a\n{}b", block("one"))).as_deref(), Some("a\nb"));
        assert_eq!(without("a").as_deref(), Some("a"));
    }

    proptest! {
        #[test]
        fn the_agents_lines_stay_whatever_they_are(
            before in "([a-z#<!\\- ]{0,12}\n){0,4}",
            after in "([a-z#<!\\- ]{0,12}\n){0,4}",
            one in "[a-z\n]{0,20}",
            two in "[a-z\n]{0,20}",
        ) {
            let first = with(&format!("{before}{}{after}", block("x")), &one);
            let second = with(&first, &two);
            prop_assert!(second.starts_with(&before) && second.ends_with(&after));
            prop_assert_eq!(with(&second, &two), second.clone());
            let rest = without_block(second.as_bytes()).map(|rest| String::from_utf8(rest).unwrap());
            let (rest, expected) = (rest.unwrap_or_default(), format!("{before}{after}"));
            prop_assert_eq!(rest.trim(), expected.trim());
        }

        #[test]
        fn any_bytes_are_taken(text: Vec<u8>) {
            let once = with_block(&text, "x");
            prop_assert_eq!(with_block(&once, "x"), once.clone());
        }
    }
}

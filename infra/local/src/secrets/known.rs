//! The known settings, and the closest one to a misspelt name.

/// Every setting that a function or this program reads.
const KNOWN: [&str; 43] = [
    "AWS_REGION",
    "COMMIT_HASH",
    "DEAD_LETTER_QUEUE_URL",
    "DEMO_COMPOSIO_API_KEY",
    "DEMO_DELIVERY_SECRET",
    "DEMO_DISCORD_BOT_TOKEN",
    "DEMO_FEISHU_APP_SECRET",
    "DEMO_PASSWORD",
    "DEMO_SLACK_CLIENT_SECRET",
    "DEMO_SLACK_SIGNING_SECRET",
    "BETTER_AUTH_SECRET",
    "BETTER_AUTH_SECRET_PREVIOUS",
    "BETTER_AUTH_URL",
    "COMPOSIO_API_KEY",
    "COMPOSIO_API_URL",
    "COOKIE_DOMAIN",
    "DISCORD_API_URL",
    "ENCRYPTION_KEY",
    "ENCRYPTION_KEYS",
    "EVENT_QUEUE_URL",
    "FEISHU_API_URL",
    "INTERNAL_API_TOKEN",
    "INTERNAL_API_TOKEN_PREVIOUS",
    "INTERNAL_TOKEN_MODE",
    "LITELLM_API_KEY",
    "LITELLM_BASE_URL",
    "LITELLM_MASTER_KEY",
    "MAIL_FROM",
    "POOL_CIDRS",
    "POOL_STATE_DIR",
    "RUST_LOG",
    "SECRETS_PREFIX",
    "SKILL_API_TOKEN",
    "SKILL_API_TOKEN_PREVIOUS",
    "SKILL_TOKEN_MODE",
    "SLACK_API_URL",
    "SLACK_CLIENT_ID",
    "SLACK_CLIENT_SECRET",
    "SLACK_SIGNING_SECRET",
    "SLACK_SIGNING_SECRET_PREVIOUS",
    "TABLE_PREFIX",
    "TRUSTED_ORIGINS",
    "WEB_URL",
];
/// Maximum edit distance.
const DISTANCE: usize = 3;

/// Returns the known setting closest to `name`; `None` for a known name, or where none is close.
pub(super) fn near(name: &str) -> Option<&'static str> {
    if KNOWN.contains(&name) {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let candidates = KNOWN.iter().copied().filter_map(|known| {
        let distance = distance(upper.as_bytes(), known.as_bytes());
        let is_near = distance <= DISTANCE && distance * 4 <= known.len();
        (is_near || lacks_words_of(&upper, known)).then_some((distance, known))
    });
    candidates.min().map(|(_, known)| known)
}

/// Returns whether `name` has several words that are all among those of `known`: `INTERNAL_TOKEN`.
fn lacks_words_of(name: &str, known: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let known: Vec<&str> = known.split('_').collect();
    // The first word must agree: otherwise `API_TOKEN` of another program would match.
    words.len() > 1 && words.first() == known.first() && words.iter().all(|word| known.contains(word))
}

/// Edit distance (optimal string alignment): insertions, deletions, substitutions and swaps of neighbours.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.iter().enumerate() {
        let mut next = vec![place + 1];
        for (column, wanted) in other.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut cheapest = (at(&row, column) + usize::from(letter != wanted))
                .min(at(&row, column + 1) + 1)
                .min(at(&next, column) + 1);
            let swapped = place.checked_sub(1).zip(column.checked_sub(1));
            if let Some((previous, column_before)) = swapped
                && one.get(previous) == Some(wanted)
                && other.get(column_before) == Some(letter)
            {
                cheapest = cheapest.min(at(&before, column_before) + 1);
            }
            next.push(cheapest);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(one.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_near_the_setting_that_was_meant() {
        for (misspelt, meant) in [
            ("SLACK_SINGING_SECRET", "SLACK_SIGNING_SECRET"),
            ("SLACK_SIGNING_SECERT", "SLACK_SIGNING_SECRET"),
            ("SLACK_CLIENTSECRET", "SLACK_CLIENT_SECRET"),
            ("slack_signing_secret", "SLACK_SIGNING_SECRET"),
            ("INTERNAL_API_TOKENS", "INTERNAL_API_TOKEN"),
            ("INTERNAL_TOKEN", "INTERNAL_API_TOKEN"),
            ("INTERNAL_APITOKEN", "INTERNAL_API_TOKEN"),
            ("SKILLS_API_TOKEN", "SKILL_API_TOKEN"),
            ("ENCRIPTION_KEY", "ENCRYPTION_KEY"),
            ("POOL_CIDR", "POOL_CIDRS"),
        ] {
            assert_eq!(near(misspelt), Some(meant), "{misspelt}");
        }
    }

    #[test]
    fn every_setting_of_the_example_is_known() {
        let example = include_str!("../../../../.env.example");
        let names = example.lines().filter_map(|line| line.trim_start_matches('#').trim().split_once('='));
        let unknown: Vec<&str> = names.map(|(name, _)| name).filter(|name| !KNOWN.contains(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn a_setting_and_a_name_of_something_else_are_near_none() {
        for name in KNOWN.into_iter().chain(["PATH", "DATABASE_URL", "API_TOKEN", "OPENAI_API_KEY", "PORT"]) {
            assert_eq!(near(name), None, "{name}");
        }
    }
}

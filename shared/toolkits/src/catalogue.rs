//! Catalogue of toolkits: the standard ones with an operator's changes.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use serde::Deserialize;

use crate::{Action, Toolkit, ToolkitChange, ToolkitSlug};

/// Standard toolkits, in the order of the file.
static STANDARD: LazyLock<Vec<Toolkit>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Entry {
        slug: ToolkitSlug,
        #[serde(flatten)]
        whole: serde_json::Map<String, serde_json::Value>,
    }
    let entries: Vec<Entry> = serde_json::from_str(include_str!("catalogue/toolkits.json"))
        .unwrap_or_else(|error| unreachable!("a test reads the file: {error}"));
    let toolkits = entries.into_iter().zip(0u16..).map(|(entry, order)| {
        let change: ToolkitChange = serde_json::from_value(entry.whole.into())
            .unwrap_or_else(|error| unreachable!("a test reads the file: {error}"));
        let change = ToolkitChange { order: Some(order), ..change };
        change.apply(&entry.slug, None).unwrap_or_else(|error| unreachable!("a test reads the file: {error}"))
    });
    toolkits.collect()
});

/// All toolkits of an installation.
#[derive(Clone, Debug)]
pub struct Catalogue(Arc<BTreeMap<ToolkitSlug, Toolkit>>);

/// An action with its toolkit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// Toolkit of the action.
    pub toolkit: &'a Toolkit,
    /// Name of the action without the toolkit's prefix.
    rest: &'a str,
}

impl Catalogue {
    /// Applies an operator's changes to the standard catalogue. A change of a toolkit that has left the standard, and
    /// that is incomplete without it, is skipped.
    #[must_use]
    pub fn with<'a>(changes: impl IntoIterator<Item = (&'a ToolkitSlug, &'a ToolkitChange)>) -> Self {
        let standard = STANDARD.iter().map(|toolkit| (toolkit.slug.clone(), toolkit.clone()));
        let mut toolkits: BTreeMap<_, _> = standard.collect();
        for (slug, change) in changes {
            if let Ok(toolkit) = change.apply(slug, toolkits.get(slug)) {
                toolkits.insert(slug.clone(), toolkit);
            }
        }
        Self(Arc::new(toolkits))
    }

    /// Toolkit of the standard catalogue, without an operator's changes.
    #[must_use]
    pub fn standard(slug: &ToolkitSlug) -> Option<&'static Toolkit> {
        STANDARD.iter().find(|toolkit| toolkit.slug == *slug)
    }

    /// Toolkit with this slug, enabled or not.
    #[must_use]
    pub fn get(&self, slug: &ToolkitSlug) -> Option<&Toolkit> {
        self.0.get(slug)
    }

    /// All toolkits in display order.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Toolkit> {
        let mut toolkits: Vec<_> = self.0.values().collect();
        toolkits.sort_by(|a, b| (a.order, &a.slug).cmp(&(b.order, &b.slug)));
        toolkits
    }

    /// Finds an action's toolkit, enabled or not: the one with the longest prefix of the action's name.
    #[must_use]
    pub fn resolve<'a>(&'a self, action: &'a Action) -> Option<Resolved<'a>> {
        let prefixes = self.0.values().flat_map(|toolkit| {
            let own = prefix_of(&toolkit.slug);
            let others = toolkit.action_prefixes.iter().cloned();
            std::iter::once(own).chain(others).map(move |prefix| (prefix, toolkit))
        });
        let matching = prefixes.filter_map(|(prefix, toolkit)| {
            let rest = action.as_str().strip_prefix(&prefix)?.strip_prefix('_').filter(|rest| !rest.is_empty())?;
            Some((prefix.len(), Resolved { toolkit, rest }))
        });
        // The first of equal prefixes wins: `max_by_key` would return the last.
        matching.min_by_key(|(length, _)| Reverse(*length)).map(|(_, resolved)| resolved)
    }
}

impl Resolved<'_> {
    /// Composio's name of the action: `GOOGLECALENDAR_CREATE_EVENT` for `GOOGLE_CALENDAR_CREATE_EVENT`.
    #[must_use]
    pub fn action(&self) -> String {
        format!("{}_{}", prefix_of(&self.toolkit.slug), self.rest)
    }

    /// Whether `name` means this action: any of the toolkit's prefixes with the same rest.
    pub(crate) fn is_named(&self, name: &Action) -> bool {
        let own = prefix_of(&self.toolkit.slug);
        let mut prefixes = std::iter::once(&own).chain(&self.toolkit.action_prefixes);
        prefixes.any(|prefix| {
            let rest = name.as_str().strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('_'));
            rest == Some(self.rest)
        })
    }
}

/// Prefix of the names of a toolkit's actions.
fn prefix_of(slug: &ToolkitSlug) -> String {
    slug.as_str().to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::AuthScheme;

    fn slug(text: &str) -> ToolkitSlug {
        text.parse().unwrap()
    }

    fn resolved(catalogue: &Catalogue, action: &str) -> Option<(String, String)> {
        let action: Action = action.parse().unwrap();
        let resolved = catalogue.resolve(&action)?;
        Some((resolved.toolkit.slug.to_string(), resolved.action()))
    }

    #[test]
    fn the_file_has_the_27_toolkits_that_the_actions_name() {
        let catalogue = Catalogue::with([]);
        let slugs: Vec<_> = catalogue.in_order().iter().map(|toolkit| toolkit.slug.to_string()).collect();
        let wanted = "gmail googlecalendar slack googledocs googlesheets googledrive github notion linear jira asana trello \
            airtable hubspot salesforce stripe sendgrid mailchimp zoom dropbox figma clickup monday zendesk googlemeet \
            googleslides googletasks";
        assert_eq!(slugs, wanted.split_whitespace().collect::<Vec<_>>());
        for toolkit in catalogue.in_order() {
            assert!(toolkit.enabled && !toolkit.description.is_empty(), "{}", toolkit.slug);
            let action = format!("{}_DO_IT", toolkit.slug.as_str().to_uppercase());
            assert_eq!(resolved(&catalogue, &action), Some((toolkit.slug.to_string(), action)));
        }
    }

    #[test]
    fn an_action_belongs_to_the_longest_prefix() {
        let change = |json| serde_json::from_value::<ToolkitChange>(json).unwrap();
        let whole = |prefixes: serde_json::Value| {
            change(json!({
                "displayName": "G", "domain": "g.example", "category": "Other", "authScheme": "oauth2",
                "actionPrefixes": prefixes,
            }))
        };
        let (google, tasks) = (slug("google"), slug("google-tasks-pro"));
        let (of_google, of_tasks) = (whole(json!([])), whole(json!(["GOOGLE_TASKS_PRO_PLUS"])));
        let catalogue = Catalogue::with([(&google, &of_google), (&tasks, &of_tasks)]);
        for (action, toolkit, canonical) in [
            ("GOOGLECALENDAR_CREATE_EVENT", "googlecalendar", "GOOGLECALENDAR_CREATE_EVENT"),
            ("GOOGLE_CALENDAR_CREATE_EVENT", "googlecalendar", "GOOGLECALENDAR_CREATE_EVENT"),
            ("GOOGLE_TASKS_LIST", "googletasks", "GOOGLETASKS_LIST"),
            ("GOOGLE_TASKS_PRO_LIST", "google-tasks-pro", "GOOGLE_TASKS_PRO_LIST"),
            ("GOOGLE_TASKS_PRO_PLUS_LIST", "google-tasks-pro", "GOOGLE_TASKS_PRO_LIST"),
            ("GOOGLE_SEARCH", "google", "GOOGLE_SEARCH"),
            ("GMAIL_GMAIL_SEND", "gmail", "GMAIL_GMAIL_SEND"),
        ] {
            let found = resolved(&catalogue, action);
            assert_eq!(found, Some((toolkit.to_owned(), canonical.to_owned())), "{action}");
        }
        for unknown in ["GMAIL", "GMAIL_", "GMAILSEND", "XGMAIL_SEND", "UNKNOWN_DO_IT"] {
            assert_eq!(resolved(&catalogue, unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_operator_switches_one_off_adds_one_and_orders_them() {
        let (gmail, acme, gone) = (slug("gmail"), slug("acme"), slug("gone"));
        let off = ToolkitChange { enabled: Some(false), order: Some(500), ..ToolkitChange::default() };
        let new: ToolkitChange = serde_json::from_value(json!({
            "displayName": "Acme", "domain": "acme.example", "category": "Other", "authScheme": "api_key_global", "order": 0,
        }))
        .unwrap();
        let catalogue = Catalogue::with([(&gmail, &off), (&acme, &new), (&gone, &off)]);
        let order: Vec<_> = catalogue.in_order().iter().map(|toolkit| toolkit.slug.as_str().to_owned()).collect();
        assert_eq!((order[0].as_str(), order.last().unwrap().as_str(), order.len()), ("acme", "gmail", 28));
        assert!(!catalogue.get(&gmail).unwrap().enabled && Catalogue::standard(&gmail).unwrap().enabled);
        assert_eq!(catalogue.get(&acme).unwrap().auth_scheme, AuthScheme::ApiKeyGlobal);
        assert!(catalogue.get(&gone).is_none());
        assert!(resolved(&catalogue, "GMAIL_SEND_EMAIL").is_some(), "whether it may be used is another question");
    }
}

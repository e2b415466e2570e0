//! Policies: toolkits and actions that a pool may use.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Action, Catalogue, Resolved, ToolkitSlug};

/// Maximum number of rules in each list.
pub const MAXIMUM_RULES: usize = 200;

/// A rule: a toolkit (`gmail`, or `gmail:*`), or one of its actions (`GITHUB_CREATE_ISSUE`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rule {
    /// All actions of a toolkit.
    Toolkit(ToolkitSlug),
    /// One action.
    Action(Action),
}

/// Error of parsing a rule. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a toolkit such as gmail or gmail:*, or an action such as GMAIL_SEND_EMAIL")]
pub struct InvalidRule;

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        if let Ok(action) = text.parse() {
            return Ok(Self::Action(action));
        }
        text.strip_suffix(":*").unwrap_or(text).parse().map(Self::Toolkit).map_err(|_| InvalidRule)
    }
}

impl TryFrom<String> for Rule {
    type Error = InvalidRule;

    fn try_from(text: String) -> Result<Self, InvalidRule> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toolkit(slug) => slug.fmt(formatter),
            Self::Action(action) => action.fmt(formatter),
        }
    }
}

impl Rule {
    /// Whether the rule matches an action, which has several names if its toolkit has several prefixes.
    fn names(&self, action: &Resolved<'_>, asked: &Action) -> bool {
        match self {
            Self::Toolkit(slug) => *slug == action.toolkit.slug,
            Self::Action(named) => named == asked || action.is_named(named),
        }
    }
}

/// Extent to which a policy lets a pool use a toolkit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Every action.
    All,
    /// Some actions.
    Some,
    /// No action.
    None,
}

/// Toolkits and actions that a pool may and may not use. Denial takes precedence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolPolicy {
    /// Rules of allowed actions. Without the list everything is allowed, with an empty one nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Rule>>,
    /// Rules of denied actions.
    #[serde(default)]
    pub deny: Vec<Rule>,
}

impl ToolPolicy {
    /// Whether an action may be used.
    #[must_use]
    pub fn allows(&self, action: &Resolved<'_>, asked: &Action) -> bool {
        let is_in = |rules: &[Rule]| rules.iter().any(|rule| rule.names(action, asked));
        self.allow.as_deref().is_none_or(is_in) && !is_in(&self.deny)
    }

    /// Extent to which a toolkit may be used.
    #[must_use]
    pub fn permission(&self, toolkit: &ToolkitSlug, catalogue: &Catalogue) -> Permission {
        let is_of_toolkit = |rule: &Rule| match rule {
            Rule::Toolkit(slug) => slug == toolkit,
            Rule::Action(action) => catalogue.resolve(action).is_some_and(|resolved| resolved.toolkit.slug == *toolkit),
        };
        let whole = Rule::Toolkit(toolkit.clone());
        let denied: Vec<_> = self.deny.iter().filter(|rule| is_of_toolkit(rule)).collect();
        let allowed: Option<Vec<_>> =
            self.allow.as_ref().map(|rules| rules.iter().filter(|rule| is_of_toolkit(rule)).collect());
        match allowed {
            _ if denied.contains(&&whole) => Permission::None,
            None if denied.is_empty() => Permission::All,
            Some(allowed) if allowed.iter().all(|rule| denied.contains(rule)) => Permission::None,
            Some(allowed) if allowed.contains(&&whole) && denied.is_empty() => Permission::All,
            None | Some(_) => Permission::Some,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: Option<&[&str]>, deny: &[&str]) -> ToolPolicy {
        let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        ToolPolicy { allow: allow.map(rules), deny: rules(deny) }
    }

    fn allows(policy: &ToolPolicy, action: &str) -> bool {
        let catalogue = Catalogue::with([]);
        let action: Action = action.parse().unwrap();
        policy.allows(&catalogue.resolve(&action).unwrap(), &action)
    }

    #[test]
    fn the_permission_of_a_toolkit_is_what_its_rules_leave() {
        let catalogue = Catalogue::with([]);
        for (allow, deny, permission) in [
            (None, &[][..], Permission::All),
            (None, &["gmail"], Permission::None),
            (None, &["gmail:*", "GMAIL_SEND_EMAIL"], Permission::None),
            (None, &["GMAIL_SEND_EMAIL"], Permission::Some),
            (None, &["github", "GITHUB_CREATE_ISSUE"], Permission::All),
            (Some(&[][..]), &[], Permission::None),
            (Some(&["github"]), &[], Permission::None),
            (Some(&["gmail"]), &[], Permission::All),
            (Some(&["gmail"]), &["gmail"], Permission::None),
            (Some(&["gmail"]), &["GMAIL_SEND_EMAIL"], Permission::Some),
            (Some(&["GMAIL_SEND_EMAIL"]), &[], Permission::Some),
            (Some(&["GMAIL_SEND_EMAIL"]), &["GMAIL_SEND_EMAIL"], Permission::None),
        ] {
            let policy = policy(allow, deny);
            assert_eq!(policy.permission(&"gmail".parse().unwrap(), &catalogue), permission, "{policy:?}");
        }
    }

    #[test]
    fn without_a_list_all_is_allowed_and_with_an_empty_one_nothing() {
        assert!(allows(&ToolPolicy::default(), "GMAIL_SEND_EMAIL"));
        assert!(!allows(&policy(Some(&[]), &[]), "GMAIL_SEND_EMAIL"));
    }

    #[test]
    fn a_toolkit_or_an_action_is_allowed_and_a_denial_wins() {
        let of_issue = policy(Some(&["gmail", "GITHUB_CREATE_ISSUE", "slack:*"]), &["GMAIL_DELETE_MESSAGE"]);
        for (action, is_allowed) in [
            ("GMAIL_SEND_EMAIL", true),
            ("GMAIL_DELETE_MESSAGE", false),
            ("GITHUB_CREATE_ISSUE", true),
            ("GITHUB_CREATE_ISSUE_COMMENT", false),
            ("SLACK_SEND_MESSAGE", true),
            ("NOTION_SEARCH", false),
        ] {
            assert_eq!(allows(&of_issue, action), is_allowed, "{action}");
        }
        assert!(!allows(&policy(Some(&["gmail"]), &["gmail:*"]), "GMAIL_SEND_EMAIL"));
    }

    #[test]
    fn an_action_is_denied_under_each_of_its_names() {
        for denied in ["GOOGLECALENDAR_DELETE_EVENT", "GOOGLE_CALENDAR_DELETE_EVENT"] {
            for asked in ["GOOGLECALENDAR_DELETE_EVENT", "GOOGLE_CALENDAR_DELETE_EVENT"] {
                assert!(!allows(&policy(None, &[denied]), asked), "{denied} {asked}");
                assert!(allows(&policy(Some(&[denied]), &[]), asked), "{denied} {asked}");
            }
        }
    }

    #[test]
    fn text_that_is_not_a_rule_is_refused() {
        for bad in ["", "*", ":*", "Gmail", "gmail:SEND", "gmail:**", "GMAIL-SEND", "a b"] {
            assert_eq!(bad.parse::<Rule>(), Err(InvalidRule), "{bad}");
        }
        let json = serde_json::json!({ "allow": ["gmail", "SLACK_SEND"], "deny": [] });
        let read: ToolPolicy = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), json);
        assert!(serde_json::from_str::<ToolPolicy>(r#"{"alow":[]}"#).is_err());
    }
}

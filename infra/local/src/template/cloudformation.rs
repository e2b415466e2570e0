//! The parts of a CloudFormation template that this machine reads: resources, their properties, and intrinsic
//! functions.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;
use serde_json::Value;

/// Prefix of every table's name in the template.
const TABLE_PREFIX_REFERENCE: &str = "${TablePrefix}";
/// Folder of cargo-lambda's binaries, relative to the template; the next folder has the function's name.
const BINARY_FOLDER: &str = "../target/lambda/";
const BINARY_FILE: &str = "/bootstrap.zip";

/// Type of a table's resource.
pub(super) const TABLE: &str = "AWS::DynamoDB::Table";
/// Type of a function's resource.
pub(super) const FUNCTION: &str = "AWS::Serverless::Function";

/// Problem of a resource.
pub(super) struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Returns a problem with this text.
pub(super) fn problem<T>(text: impl Into<String>) -> Result<T, Problem> {
    Err(Problem(text.into()))
}

/// A template, with its resources by their logical names.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Document {
    pub resources: BTreeMap<String, Resource>,
}

impl Document {
    /// Parses a template's YAML.
    ///
    /// # Errors
    /// The parser's message.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // Without it DynamoDB's type `N` is read as YAML 1.1's "no".
        let options = serde_saphyr::options! { strict_booleans: true };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
    }

    /// Table and index of an ARN: `Table.Arn`, or `${Table.Arn}/index/name`.
    pub(super) fn table_of_arn<'a>(&self, arn: &'a str) -> Result<(TableProperties, Option<&'a str>), Problem> {
        let (table, index) = match arn.strip_prefix("${").and_then(|rest| rest.split_once("}/index/")) {
            Some((table, index)) => (table, Some(index)),
            None => (arn, None),
        };
        match self.of_arn(table).filter(|table| table.kind == TABLE) {
            Some(table) => Ok((table.read()?, index)),
            None => problem(format!("{arn} is no table")),
        }
    }

    /// Resource of `Name.Arn`, the argument of `!GetAtt`.
    pub(super) fn of_arn(&self, arn: &str) -> Option<&Resource> {
        arn.strip_suffix(".Arn").and_then(|name| self.resources.get(name))
    }
}

/// A resource, with its properties unread.
#[derive(Deserialize)]
pub(super) struct Resource {
    #[serde(rename = "Type")]
    pub kind: String,
    /// CloudFormation functions such as `!Sub` are replaced by their arguments, from which the needed part is read.
    #[serde(rename = "Properties", default)]
    properties: Value,
}

impl Resource {
    /// Reads the properties.
    pub(super) fn read<T: for<'de> Deserialize<'de>>(&self) -> Result<T, Problem> {
        serde_json::from_value(self.properties.clone()).map_err(|error| Problem(error.to_string()))
    }
}

/// Properties of a function.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FunctionProperties {
    code_uri: String,
    /// `!GetAtt Role.Arn`
    pub role: Option<String>,
    /// The events that call it. Each has the form of a resource.
    #[serde(default)]
    pub events: BTreeMap<String, Resource>,
}

impl FunctionProperties {
    /// Name of the function's binary, from `CodeUri`.
    pub(super) fn name(&self) -> Result<String, Problem> {
        let name = self.code_uri.strip_prefix(BINARY_FOLDER).and_then(|rest| rest.strip_suffix(BINARY_FILE));
        match name {
            Some(name) if !name.is_empty() && !name.contains('/') => Ok(name.to_owned()),
            _ => problem(format!("CodeUri is not {BINARY_FOLDER}NAME{BINARY_FILE}")),
        }
    }
}

/// Properties of an `HttpApi` event.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RouteProperties {
    pub path: String,
    pub method: String,
}

/// Properties of a role.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RoleProperties {
    policies: Vec<Policy>,
}

impl RoleProperties {
    /// Statements of all policies.
    pub(super) fn into_statements(self) -> impl Iterator<Item = Statement> {
        self.policies.into_iter().flat_map(|policy| policy.policy_document.statement)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    policy_document: PolicyDocument,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDocument {
    statement: Vec<Statement>,
}

/// Statement of a policy.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Statement {
    effect: String,
    pub action: OneOrMany,
    pub resource: OneOrMany,
    #[serde(default)]
    condition: Value,
}

impl Statement {
    /// Returns whether it allows its actions without a condition.
    pub(super) fn is_plain_permission(&self) -> bool {
        self.effect == "Allow" && self.condition.is_null()
    }
}

/// A text, or a list of texts.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Many(many) => many.iter(),
        }
        .map(String::as_str)
    }
}

/// Properties of a table.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableProperties {
    table_name: Value,
    pub attribute_definitions: Vec<AttributeDefinition>,
    pub key_schema: Vec<KeyElement>,
    #[serde(default)]
    pub global_secondary_indexes: Vec<IndexProperties>,
    pub time_to_live_specification: Option<TimeToLive>,
}

impl TableProperties {
    /// Table name from `!Sub "${TablePrefix}pools"`, or from the list form of `!Sub` that also defines the prefix.
    pub(super) fn name(&self) -> Result<String, Problem> {
        let text = match &self.table_name {
            Value::Array(arguments) => arguments.first().and_then(Value::as_str),
            other => other.as_str(),
        };
        match text.and_then(|text| text.strip_prefix(TABLE_PREFIX_REFERENCE)) {
            Some(name) if !name.is_empty() && !name.contains('$') => Ok(name.to_owned()),
            _ => problem(format!("TableName is not {TABLE_PREFIX_REFERENCE}NAME")),
        }
    }
}

/// Type of an attribute that is part of a key.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AttributeDefinition {
    pub attribute_name: String,
    pub attribute_type: String,
}

/// Attribute of a key, and its role there: `HASH` or `RANGE`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeyElement {
    pub attribute_name: String,
    pub key_type: String,
}

/// A global secondary index.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IndexProperties {
    pub index_name: String,
    pub key_schema: Vec<KeyElement>,
    pub projection: Projection,
}

/// Attributes that an index holds.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Projection {
    pub projection_type: String,
    #[serde(default)]
    pub non_key_attributes: Vec<String>,
}

/// TTL of a table's rows.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TimeToLive {
    pub attribute_name: String,
    pub enabled: bool,
}

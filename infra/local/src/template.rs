//! Parser of `infra/template.yaml`: the tables, the functions, their grants and their routes.
//!
//! The same file deploys the whole to AWS, so a route or table that exists here exists there too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Deserialize;
use serde_json::Value;

use crate::access::Grant;

/// Template at build time; the binary contains it.
pub const TEMPLATE: &str = include_str!("../../template.yaml");

/// Prefix of every table's name in the template.
const TABLE_PREFIX_REFERENCE: &str = "${TablePrefix}";
/// Folder of cargo-lambda's binaries, relative to the template; the next folder has the function's name.
const BINARY_FOLDER: &str = "../target/lambda/";
const BINARY_FILE: &str = "/bootstrap.zip";

/// Reason why a template cannot be used here.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The text is not YAML, or not a template.
    #[error("the template cannot be read: {0}")]
    Unreadable(String),
    /// A resource has a property that this machine does not support.
    #[error("resource {resource} of the template: {problem}")]
    Resource {
        /// Logical name of the resource.
        resource: String,
        /// Problem of the resource.
        problem: String,
    },
}

/// The parsed parts of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Tables, in the order of their logical names.
    pub tables: Vec<Table>,
    /// Names of the functions in order, those without a route among them.
    pub functions: Vec<String>,
    /// The routes.
    pub routes: Vec<Route>,
    /// Grants of each function's role to the tables.
    pub grants: BTreeMap<String, BTreeSet<Grant>>,
}

/// A table of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Name without its prefix, such as `pools`.
    pub name: String,
    /// Key of the table itself.
    pub key: Key,
    /// Global secondary indexes.
    pub indexes: Vec<Index>,
    /// TTL attribute.
    pub ttl_attribute: Option<String>,
}

/// A key: a partition key and, where items are sorted within a partition, a sort key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Partition key.
    pub partition: KeyAttribute,
    /// Sort key.
    pub sort: Option<KeyAttribute>,
}

/// An attribute that is part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    /// Name of the attribute.
    pub name: String,
    /// DynamoDB's type: `S`, `N` or `B`.
    pub kind: String,
}

/// A global secondary index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Name of the index.
    pub name: String,
    /// Key of the index.
    pub key: Key,
    /// DynamoDB's `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection: String,
    /// Further attributes that an `INCLUDE` holds.
    pub attributes: Vec<String>,
}

/// A route of the HTTP API, for any method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// API Gateway's pattern, such as `/api/slack/events/{channelId}`.
    pub path: String,
    /// Function that answers it.
    pub function: String,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// [`TemplateError`], with the name of the resource.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        // Without it DynamoDB's type `N` is read as YAML 1.1's "no".
        let options = serde_saphyr::options! { strict_booleans: true };
        let document: Document = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| TemplateError::Unreadable(error.to_string()))?;
        let mut template =
            Self { tables: Vec::new(), functions: Vec::new(), routes: Vec::new(), grants: BTreeMap::new() };
        for (name, resource) in &document.resources {
            template
                .add(resource)
                .and_then(|()| template.add_grants(resource, &document.resources))
                .map_err(|problem| TemplateError::Resource { resource: name.clone(), problem: problem.to_string() })?;
        }
        Ok(template)
    }

    /// Adds the grants of a function's role to tables.
    fn add_grants(&mut self, resource: &Resource, resources: &BTreeMap<String, Resource>) -> Result<(), Problem> {
        if resource.kind != "AWS::Serverless::Function" {
            return Ok(());
        }
        let function: FunctionProperties = read(resource)?;
        let name = function.name()?;
        let role = function.role.as_deref().and_then(|role| role.strip_suffix(".Arn"));
        let Some(role) = role.and_then(|role| resources.get(role)) else { return Ok(()) };
        let role: RoleProperties = read(role)?;
        let mut grants = BTreeSet::new();
        for statement in role.policies.into_iter().flat_map(|policy| policy.policy_document.statement) {
            for action in statement.action.iter().filter_map(|action| action.strip_prefix("dynamodb:")) {
                if statement.effect != "Allow" || !statement.condition.is_null() {
                    return problem("a statement about tables that is not a plain permission is not understood here");
                }
                for arn in statement.resource.iter() {
                    let (table, index) = of_arn(arn, resources)?;
                    grants.insert(Grant { table, index, action: action.to_owned() });
                }
            }
        }
        self.grants.insert(name, grants);
        Ok(())
    }

    fn add(&mut self, resource: &Resource) -> Result<(), Problem> {
        match resource.kind.as_str() {
            "AWS::DynamoDB::Table" => self.tables.push(read::<TableProperties>(resource)?.into_table()?),
            "AWS::Serverless::Function" => {
                let function: FunctionProperties = read(resource)?;
                let name = function.name()?;
                for event in function.events.into_values().filter(|event| event.kind == "HttpApi") {
                    let route: RouteProperties = from_value(event.properties)?;
                    // Otherwise API Gateway would answer a wrong method in place of the function's own 405.
                    if route.method != "ANY" {
                        return problem(format!("route {} is for {} instead of ANY", route.path, route.method));
                    }
                    self.routes.push(Route { path: route.path, function: name.clone() });
                }
                self.functions.push(name);
            }
            // Queues, roles, alarms and the like exist only on AWS, or this machine has its own.
            _ => {}
        }
        Ok(())
    }
}

/// Problem of a resource.
struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn problem<T>(text: impl Into<String>) -> Result<T, Problem> {
    Err(Problem(text.into()))
}

fn from_value<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(|error| Problem(error.to_string()))
}

fn read<T: for<'de> Deserialize<'de>>(resource: &Resource) -> Result<T, Problem> {
    from_value(resource.properties.clone())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "Type")]
    kind: String,
    /// CloudFormation functions such as `!Sub` are replaced by their arguments, from which the needed part is read.
    #[serde(rename = "Properties", default)]
    properties: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FunctionProperties {
    code_uri: String,
    /// `!GetAtt Role.Arn`
    role: Option<String>,
    #[serde(default)]
    events: BTreeMap<String, Event>,
}

impl FunctionProperties {
    fn name(&self) -> Result<String, Problem> {
        let name = self.code_uri.strip_prefix(BINARY_FOLDER).and_then(|rest| rest.strip_suffix(BINARY_FILE));
        match name {
            Some(name) if !name.is_empty() && !name.contains('/') => Ok(name.to_owned()),
            _ => problem(format!("CodeUri is not {BINARY_FOLDER}NAME{BINARY_FILE}")),
        }
    }
}

/// Parses the table and the index of an ARN: `Table.Arn`, or `${Table.Arn}/index/name`.
fn of_arn(arn: &str, resources: &BTreeMap<String, Resource>) -> Result<(String, Option<String>), Problem> {
    let (table, index) = match arn.strip_prefix("${").and_then(|rest| rest.split_once("}/index/")) {
        Some((table, index)) => (table, Some(index.to_owned())),
        None => (arn, None),
    };
    let table = table.strip_suffix(".Arn").and_then(|table| resources.get(table));
    match table.filter(|table| table.kind == "AWS::DynamoDB::Table") {
        Some(table) => Ok((read::<TableProperties>(table)?.name()?, index)),
        None => problem(format!("{arn} is no table")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleProperties {
    policies: Vec<Policy>,
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: String,
    action: OneOrMany,
    resource: OneOrMany,
    #[serde(default)]
    condition: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Many(many) => many.iter(),
        }
        .map(String::as_str)
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Properties", default)]
    properties: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RouteProperties {
    path: String,
    method: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableProperties {
    table_name: Value,
    attribute_definitions: Vec<AttributeDefinition>,
    key_schema: Vec<KeyElement>,
    #[serde(default)]
    global_secondary_indexes: Vec<IndexProperties>,
    time_to_live_specification: Option<TimeToLive>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyElement {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexProperties {
    index_name: String,
    key_schema: Vec<KeyElement>,
    projection: Projection,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Projection {
    projection_type: String,
    #[serde(default)]
    non_key_attributes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLive {
    attribute_name: String,
    enabled: bool,
}

impl TableProperties {
    fn into_table(self) -> Result<Table, Problem> {
        let key = |schema: &[KeyElement]| {
            let partition = self.attribute(schema, "HASH")?;
            let partition = partition.ok_or_else(|| Problem("a key has no partition key".to_owned()))?;
            Ok(Key { partition, sort: self.attribute(schema, "RANGE")? })
        };
        let indexes =
            self.global_secondary_indexes.iter().map(|index| match index.projection.projection_type.as_str() {
                projection @ ("ALL" | "KEYS_ONLY" | "INCLUDE") => Ok(Index {
                    name: index.index_name.clone(),
                    key: key(&index.key_schema)?,
                    projection: projection.to_owned(),
                    attributes: index.projection.non_key_attributes.clone(),
                }),
                other => problem(format!(
                    "index {} has projection {other}; ALL, KEYS_ONLY and INCLUDE are known here",
                    index.index_name
                )),
            });
        Ok(Table {
            name: self.name()?,
            key: key(&self.key_schema)?,
            indexes: indexes.collect::<Result<_, Problem>>()?,
            ttl_attribute: self.time_to_live_specification.filter(|ttl| ttl.enabled).map(|ttl| ttl.attribute_name),
        })
    }

    /// Table name from `!Sub "${TablePrefix}pools"`, or from the list form of `!Sub` that also defines the prefix.
    fn name(&self) -> Result<String, Problem> {
        let text = match &self.table_name {
            Value::Array(arguments) => arguments.first().and_then(Value::as_str),
            other => other.as_str(),
        };
        match text.and_then(|text| text.strip_prefix(TABLE_PREFIX_REFERENCE)) {
            Some(name) if !name.is_empty() && !name.contains('$') => Ok(name.to_owned()),
            _ => problem(format!("TableName is not {TABLE_PREFIX_REFERENCE}NAME")),
        }
    }

    fn attribute(&self, schema: &[KeyElement], role: &str) -> Result<Option<KeyAttribute>, Problem> {
        let Some(element) = schema.iter().find(|element| element.key_type == role) else { return Ok(None) };
        let name = element.attribute_name.clone();
        match self.attribute_definitions.iter().find(|definition| definition.attribute_name == name) {
            Some(definition) => Ok(Some(KeyAttribute { name, kind: definition.attribute_type.clone() })),
            None => problem(format!("attribute {name} has no definition")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
Transform: AWS::Serverless-2016-10-31
Parameters: { Stage: { Type: String } }
Conditions:
  HasOwn: !Not [!Equals [!Ref Stage, ""]]
Resources:
  NotesTable:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub
        - "${TablePrefix}notes"
        - TablePrefix: !If [HasOwn, !Ref Own, !Sub "portcullis-${Stage}-"]
      AttributeDefinitions:
        - { AttributeName: owner, AttributeType: S }
        - { AttributeName: number, AttributeType: N }
      KeySchema:
        - { AttributeName: owner, KeyType: HASH }
        - { AttributeName: number, KeyType: RANGE }
      GlobalSecondaryIndexes:
        - IndexName: byNumber
          KeySchema: [{ AttributeName: number, KeyType: HASH }]
          Projection: { ProjectionType: ALL }
      TimeToLiveSpecification: { AttributeName: expiresAt, Enabled: true }
  NotesFunction:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "portcullis-${Stage}-notes"
      CodeUri: ../target/lambda/notes/bootstrap.zip
      Role: !GetAtt NotesRole.Arn
      Events:
        One:
          Type: HttpApi
          Properties: { ApiId: !Ref Api, Method: ANY, Path: "/notes/{id}" }
        Queue:
          Type: SQS
          Properties: { Queue: !GetAtt EventQueue.Arn }
  Topic:
    Type: AWS::SNS::Topic
"#;

    #[test]
    fn tables_and_routes_are_read_through_cloudformations_own_tags() {
        let attribute = |name: &str, kind: &str| KeyAttribute { name: name.to_owned(), kind: kind.to_owned() };
        let expected = Template {
            grants: BTreeMap::new(),
            tables: vec![Table {
                name: "notes".to_owned(),
                key: Key { partition: attribute("owner", "S"), sort: Some(attribute("number", "N")) },
                indexes: vec![Index {
                    name: "byNumber".to_owned(),
                    key: Key { partition: attribute("number", "N"), sort: None },
                    projection: "ALL".to_owned(),
                    attributes: Vec::new(),
                }],
                ttl_attribute: Some("expiresAt".to_owned()),
            }],
            functions: vec!["notes".to_owned()],
            routes: vec![Route { path: "/notes/{id}".to_owned(), function: "notes".to_owned() }],
        };
        assert_eq!(Template::parse(SMALL).unwrap(), expected);
    }

    #[test]
    fn an_error_names_the_resource_that_is_not_understood() {
        for (part, other, expected) in [
            (
                "${TablePrefix}notes",
                "notes",
                "resource NotesTable of the template: TableName is not ${TablePrefix}NAME",
            ),
            ("ProjectionType: ALL", "ProjectionType: SOME", "resource NotesTable of the template: index byNumber"),
            (
                "AttributeName: owner, AttributeType",
                "AttributeName: o, AttributeType",
                "attribute owner has no definition",
            ),
            ("lambda/notes/", "elsewhere/notes/", "resource NotesFunction of the template: CodeUri is not"),
            ("Method: ANY", "Method: GET", "resource NotesFunction of the template: route /notes/{id} is for GET"),
            (", Path: \"/notes/{id}\"", "", "resource NotesFunction of the template: missing field `Path`"),
            ("Resources:", "Things:", "the template cannot be read"),
        ] {
            assert!(SMALL.contains(part), "{part}");
            let error = Template::parse(&SMALL.replacen(part, other, 1)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_real_template_has_the_tables_functions_and_routes_of_the_design() {
        let template = Template::parse(TEMPLATE).unwrap();
        let tables: Vec<_> = template.tables.iter().map(|table| table.name.as_str()).collect();
        for name in [
            "artifacts",
            "auth_sessions",
            "bots",
            "channel_credentials",
            "channels",
            "chat_sessions",
            "event_log",
            "feedback",
            "oauth_states",
            "pool_config_snapshots",
            "pool_secrets",
            "pools",
            "skills",
            "throttles",
            "users",
            "verifications",
            "webhook_routes",
            "workspace_templates",
        ] {
            assert!(tables.contains(&name), "{name} in {tables:?}");
        }
        let expiring: Vec<_> = template.tables.iter().filter(|table| table.ttl_attribute.is_some()).collect();
        assert!(expiring.iter().any(|table| table.name == "event_log"));
        assert_eq!(template.functions.len(), 6, "{:?}", template.functions);
        for (path, function) in [
            ("/api/slack/events", "slack"),
            ("/api/slack/events/{channelId}", "slack"),
            ("/api/slack/commands", "slack"),
            ("/api/internal/pools/register", "internal"),
            ("/api/internal/secrets/{skillName}", "skills"),
            ("/health", "internal"),
            ("/api/auth/sign-in/email", "auth"),
            ("/v1/me", "v1"),
            ("/api/v1/me", "v1"),
            ("/", "v1"),
        ] {
            let route = template.routes.iter().find(|route| route.path == path);
            assert_eq!(route.map(|route| route.function.as_str()), Some(function), "{path}");
        }
    }
}

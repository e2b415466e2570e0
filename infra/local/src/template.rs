//! Parser of `infra/template.yaml`: the tables, the functions, their grants and their routes.
//!
//! The same file deploys the whole to AWS, so a route or table that exists here exists there too.

mod cloudformation;

use std::collections::{BTreeMap, BTreeSet};

use crate::access::Grant;

use cloudformation::{
    Document, FUNCTION, FunctionProperties, KeyElement, Problem, Resource, RoleProperties, RouteProperties, TABLE,
    TableProperties, problem,
};

/// Template at build time; the binary contains it.
pub const TEMPLATE: &str = include_str!("../../template.yaml");

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
        let document = Document::parse(text).map_err(TemplateError::Unreadable)?;
        let mut template =
            Self { tables: Vec::new(), functions: Vec::new(), routes: Vec::new(), grants: BTreeMap::new() };
        for (name, resource) in &document.resources {
            template
                .add(resource, &document)
                .map_err(|problem| TemplateError::Resource { resource: name.clone(), problem: problem.to_string() })?;
        }
        Ok(template)
    }

    fn add(&mut self, resource: &Resource, document: &Document) -> Result<(), Problem> {
        match resource.kind.as_str() {
            TABLE => self.tables.push(Table::of(&resource.read()?)?),
            FUNCTION => self.add_function(resource.read()?, document)?,
            // Queues, roles, alarms and the like exist only on AWS, or this machine has its own.
            _ => {}
        }
        Ok(())
    }

    /// Adds a function with its routes and its role's grants to tables.
    fn add_function(&mut self, function: FunctionProperties, document: &Document) -> Result<(), Problem> {
        let name = function.name()?;
        for event in function.events.into_values().filter(|event| event.kind == "HttpApi") {
            let RouteProperties { path, method } = event.read()?;
            // Otherwise API Gateway would answer a wrong method in place of the function's own 405.
            if method != "ANY" {
                return problem(format!("route {path} is for {method} instead of ANY"));
            }
            self.routes.push(Route { path, function: name.clone() });
        }
        if let Some(role) = function.role.and_then(|role| document.of_arn(&role)) {
            self.grants.insert(name.clone(), grants(role.read()?, document)?);
        }
        self.functions.push(name);
        Ok(())
    }
}

/// Grants of a role to tables.
fn grants(role: RoleProperties, document: &Document) -> Result<BTreeSet<Grant>, Problem> {
    let mut grants = BTreeSet::new();
    for statement in role.into_statements() {
        for action in statement.action.iter().filter_map(|action| action.strip_prefix("dynamodb:")) {
            if !statement.is_plain_permission() {
                return problem("a statement about tables that is not a plain permission is not understood here");
            }
            for arn in statement.resource.iter() {
                let (table, index) = document.table_of_arn(arn)?;
                let index = index.map(str::to_owned);
                grants.insert(Grant { table: table.name()?, index, action: action.to_owned() });
            }
        }
    }
    Ok(grants)
}

impl Table {
    fn of(properties: &TableProperties) -> Result<Self, Problem> {
        let indexes =
            properties.global_secondary_indexes.iter().map(|index| match index.projection.projection_type.as_str() {
                projection @ ("ALL" | "KEYS_ONLY" | "INCLUDE") => Ok(Index {
                    name: index.index_name.clone(),
                    key: Key::of(&index.key_schema, properties)?,
                    projection: projection.to_owned(),
                    attributes: index.projection.non_key_attributes.clone(),
                }),
                other => problem(format!(
                    "index {} has projection {other}; ALL, KEYS_ONLY and INCLUDE are known here",
                    index.index_name
                )),
            });
        let ttl = properties.time_to_live_specification.as_ref().filter(|ttl| ttl.enabled);
        Ok(Self {
            name: properties.name()?,
            key: Key::of(&properties.key_schema, properties)?,
            indexes: indexes.collect::<Result<_, Problem>>()?,
            ttl_attribute: ttl.map(|ttl| ttl.attribute_name.clone()),
        })
    }
}

impl Key {
    fn of(schema: &[KeyElement], table: &TableProperties) -> Result<Self, Problem> {
        let Some(partition) = KeyAttribute::of(schema, "HASH", table)? else {
            return problem("a key has no partition key");
        };
        Ok(Self { partition, sort: KeyAttribute::of(schema, "RANGE", table)? })
    }
}

impl KeyAttribute {
    /// The key's attribute of this role.
    fn of(schema: &[KeyElement], role: &str, table: &TableProperties) -> Result<Option<Self>, Problem> {
        let Some(element) = schema.iter().find(|element| element.key_type == role) else { return Ok(None) };
        let name = element.attribute_name.clone();
        match table.attribute_definitions.iter().find(|definition| definition.attribute_name == name) {
            Some(definition) => Ok(Some(Self { name, kind: definition.attribute_type.clone() })),
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

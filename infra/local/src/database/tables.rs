//! Creation of the template's tables in the embedded database.

use aws_sdk_dynamodb::{
    Client,
    error::{DisplayErrorContext, SdkError},
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType, TableDescription, TimeToLiveSpecification, TimeToLiveStatus,
    },
};

use super::DatabaseError;
use crate::template::{Key, KeyAttribute, Table};

/// Creates the missing tables, each named by `prefix` and its name.
///
/// # Errors
/// [`DatabaseError::Table`], also where an existing table's key differs from the template's.
pub async fn create_tables(client: &Client, prefix: &str, tables: &[Table]) -> Result<(), DatabaseError> {
    for table in tables {
        let name = format!("{prefix}{}", table.name);
        let failed = |problem| DatabaseError::Table { table: name.clone(), problem };
        create(client, &name, table).await.map_err(failed)?;
        expire(client, &name, table).await.map_err(failed)?;
    }
    Ok(())
}

async fn create(client: &Client, name: &str, table: &Table) -> Result<(), String> {
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(definitions(table)?))
        .set_key_schema(Some(schema(&table.key)?));
    for index in &table.indexes {
        let included = Some(&index.attributes).filter(|attributes| !attributes.is_empty()).cloned();
        let projection = Projection::builder()
            .projection_type(ProjectionType::from(index.projection.as_str()))
            .set_non_key_attributes(included)
            .build();
        let index = GlobalSecondaryIndex::builder()
            .index_name(&index.name)
            .set_key_schema(Some(schema(&index.key)?))
            .projection(projection)
            .build();
        request = request.global_secondary_indexes(index.map_err(|error| error.to_string())?);
    }
    match request.send().await {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(error)) if matches!(error.err(), CreateTableError::ResourceInUseException(_)) => {
            check(client, name, table).await
        }
        Err(error) => Err(DisplayErrorContext(error).to_string()),
    }
}

/// Rejects a table of another shape, which another version created: going on would fail later, and less clearly.
async fn check(client: &Client, name: &str, table: &Table) -> Result<(), String> {
    let output = client.describe_table().table_name(name).send().await;
    let output = output.map_err(|error| DisplayErrorContext(error).to_string())?;
    let there = output.table.as_ref().map(TableDescription::key_schema).unwrap_or_default();
    if there == schema(&table.key)? { Ok(()) } else { Err("it is there already, with another key".to_owned()) }
}

async fn expire(client: &Client, name: &str, table: &Table) -> Result<(), String> {
    let Some(attribute) = &table.ttl_attribute else { return Ok(()) };
    let there = client.describe_time_to_live().table_name(name).send().await;
    let there = there.map_err(|error| DisplayErrorContext(error).to_string())?;
    let status = there.time_to_live_description.and_then(|description| description.time_to_live_status);
    if status == Some(TimeToLiveStatus::Enabled) {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true).build();
    let specification = specification.map_err(|error| error.to_string())?;
    let request = client.update_time_to_live().table_name(name).time_to_live_specification(specification);
    request.send().await.map(drop).map_err(|error| DisplayErrorContext(error).to_string())
}

fn attributes(key: &Key) -> impl Iterator<Item = (&KeyAttribute, KeyType)> {
    let sort = key.sort.iter().map(|sort| (sort, KeyType::Range));
    std::iter::once((&key.partition, KeyType::Hash)).chain(sort)
}

fn schema(key: &Key) -> Result<Vec<KeySchemaElement>, String> {
    let element = |(attribute, role): (&KeyAttribute, _)| {
        KeySchemaElement::builder().attribute_name(&attribute.name).key_type(role).build()
    };
    attributes(key).map(element).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Definitions of the keys' attributes, without duplicates where several keys share one.
fn definitions(table: &Table) -> Result<Vec<AttributeDefinition>, String> {
    let keys = std::iter::once(&table.key).chain(table.indexes.iter().map(|index| &index.key));
    let mut all: Vec<&KeyAttribute> = keys.flat_map(attributes).map(|(attribute, _)| attribute).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all.dedup();
    let definition = |attribute: &KeyAttribute| {
        let kind = ScalarAttributeType::from(attribute.kind.as_str());
        AttributeDefinition::builder().attribute_name(&attribute.name).attribute_type(kind).build()
    };
    all.into_iter().map(definition).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

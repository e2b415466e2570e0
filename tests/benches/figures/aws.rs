//! The AWS calls of each kind of request, made by the AWS client alone.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure::AllOld},
};

use crate::{Failure, seed::POOL, stack::TABLE_PREFIX, traffic::Call};

/// Makes the AWS calls of one kind of request.
pub struct Calls {
    client: Client,
    call: Call,
    made: u64,
}

impl Calls {
    pub fn new(client: Client, call: Call) -> Self {
        Self { client, call, made: 0 }
    }

    /// Makes the calls once.
    pub async fn make(&mut self) -> Result<(), Failure> {
        self.made += 1;
        match self.call {
            Call::Secrets => self.secrets().await,
            Call::Heartbeat => self.heartbeat().await,
            other => Err(format!("{} is not DynamoDB's alone", other.name()).into()),
        }
    }

    /// Reads the secrets' attributes of the pool's row.
    async fn secrets(&self) -> Result<(), Failure> {
        let get = self
            .client
            .get_item()
            .table_name(format!("{TABLE_PREFIX}pools"))
            .consistent_read(true)
            .key("id", AttributeValue::S(POOL.to_owned()))
            .projection_expression("#schema, #status, #secretsRevision, #skillGeneration, #purging")
            .set_expression_attribute_names(Some(names(&[
                "schema",
                "status",
                "secretsRevision",
                "skillGeneration",
                "purging",
            ])));
        Box::pin(get.send()).await?.item.ok_or("the pool is not there")?;
        Ok(())
    }

    /// One conditional update that returns the row.
    async fn heartbeat(&self) -> Result<(), Failure> {
        let update = self.client.update_item().table_name(format!("{TABLE_PREFIX}pools"));
        let update = update
            .key("id", AttributeValue::S(POOL.to_owned()))
            .update_expression("SET #figures = :made, #status = :status")
            .condition_expression("attribute_exists(#id) AND #status <> :terminated")
            .set_expression_attribute_names(Some(names(&["figures", "status", "id"])))
            .expression_attribute_values(":made", AttributeValue::N(self.made.to_string()))
            .expression_attribute_values(":status", AttributeValue::S("active".to_owned()))
            .expression_attribute_values(":terminated", AttributeValue::S("terminated".to_owned()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(AllOld);
        Box::pin(update.send()).await?;
        Ok(())
    }
}

fn names(attributes: &[&str]) -> HashMap<String, String> {
    attributes.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect()
}

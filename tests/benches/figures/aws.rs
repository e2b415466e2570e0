//! The calls that a request makes of AWS, made by the AWS client alone.

use std::{collections::HashMap, future::Future, pin::Pin};

use aws_sdk_dynamodb::{
    Client,
    operation::query::builders::QueryFluentBuilder,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure::AllOld},
};

use crate::{
    Failure, load,
    seed::{POOL, SKILL},
    stack::TABLE_PREFIX,
    traffic::Call,
};

/// The table of `cargo local`'s queue, which has no prefix.
const QUEUE_TABLE: &str = "local_event_queue";
/// About as long as a queued message.
const BODY_LENGTH: usize = 1_000;

/// Makes the calls of one kind of request.
pub struct Calls {
    client: Client,
    call: Call,
    /// What tells this one's rows in the queue's table from those of others.
    name: String,
    made: u64,
}

impl Calls {
    pub fn new(client: Client, call: Call, name: String) -> Self {
        Self { client, call, name, made: 0 }
    }

    /// Makes the calls once.
    pub async fn make(&mut self) -> Result<(), Failure> {
        self.made += 1;
        match self.call {
            Call::Secrets => self.secrets().await,
            Call::Heartbeat => self.heartbeat().await,
            Call::Slack => self.queue_row().await,
        }
    }

    /// Two queries side by side, of five rows each.
    async fn secrets(&self) -> Result<(), Failure> {
        let scopes = ["pool#".to_owned(), format!("skill:{SKILL}#")];
        let [pool, skill] = scopes.map(|scope| Box::pin(self.scope(&scope).send()));
        let (pool, skill) = tokio::try_join!(pool, skill)?;
        match pool.count() + skill.count() {
            10 => Ok(()),
            other => Err(format!("there are {other} secrets").into()),
        }
    }

    fn scope(&self, prefix: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(format!("{TABLE_PREFIX}pool_secrets"))
            .consistent_read(true)
            .key_condition_expression("#pool = :pool AND begins_with(#scopeName, :prefix)")
            .projection_expression("#schema, #scopeName, #value")
            .set_expression_attribute_names(Some(names(&["pool", "schema", "scopeName", "value"])))
            .expression_attribute_values(":pool", AttributeValue::S(POOL.to_owned()))
            .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
    }

    /// One conditional update that gives the row back.
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

    /// One conditional write of a row that is new.
    async fn queue_row(&self) -> Result<(), Failure> {
        let put = self.client.put_item().table_name(QUEUE_TABLE);
        let put = put
            .item("id", AttributeValue::S(format!("{}/{}", self.name, self.made)))
            .item("part", AttributeValue::N("0".to_owned()))
            .item("parts", AttributeValue::N("1".to_owned()))
            .item("sequence", AttributeValue::N(self.made.to_string()))
            .item("body", AttributeValue::S("x".repeat(BODY_LENGTH)))
            .condition_expression("attribute_not_exists(#id)")
            .expression_attribute_names("#id", "id")
            .return_values_on_condition_check_failure(AllOld);
        Box::pin(put.send()).await?;
        Ok(())
    }
}

impl load::Client for Calls {
    fn ask(&mut self) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + '_>> {
        Box::pin(self.make())
    }
}

fn names(attributes: &[&str]) -> HashMap<String, String> {
    attributes.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect()
}

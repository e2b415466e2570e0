//! People's own keys, sealed.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use portcullis_crypto::{Cell, Domain};
use portcullis_toolkits::Credentials;
use secrecy::SecretString;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, names, schema, text, time},
    row::Row,
    store::built,
};

const TABLE: Table = Table::IntegrationCredentials;

fn cell<'a>(integration: &'a str, field: &'a str) -> Cell<'a> {
    Cell { table: TABLE.name(), partition_key: integration, sort_key: Some(field), attribute: "value" }
}

impl Store {
    /// Opens the keys of an integration: one call.
    ///
    /// # Errors
    /// [`StoreError`], also where one of them does not open.
    pub async fn integration_credentials(&self, integration: &str) -> Result<Credentials, StoreError> {
        let mut opener = self.opener();
        let mut credentials = Credentials::new();
        for item in self.integration_credential_rows(integration).await? {
            let row = Row::new(TABLE, &item)?;
            let field = row.text("key")?;
            let place = cell(integration, field);
            let value = opener.open(Domain::Integrations, TABLE.name(), &place, row.bytes("value")?).await?;
            credentials.insert(field.to_owned(), value);
        }
        Ok(credentials)
    }

    pub(super) async fn integration_credential_rows(&self, integration: &str) -> Result<Vec<Item>, StoreError> {
        let condition = "#integration = :integration";
        let request = self
            .client()
            .query()
            .table_name(self.table_name(TABLE))
            .consistent_read(true)
            .key_condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":integration", text(integration));
        self.query_all(request).await
    }

    /// Action that seals a key.
    pub(super) fn seal_integration_credential(
        &self,
        integration: &str,
        field: &str,
        value: &SecretString,
    ) -> Result<TransactWriteItem, StoreError> {
        let row = attributes([
            ("integration", text(integration)),
            ("key", text(field)),
            (SCHEMA, schema()),
            ("value", self.seal(Domain::Integrations, &cell(integration, field), value)?),
            ("updatedAt", time(self.now())),
        ]);
        let put = Put::builder().table_name(self.table_name(TABLE)).set_item(Some(row));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    /// Action that deletes a key, by its row.
    pub(super) fn delete_integration_credential(&self, row: &Item) -> Result<TransactWriteItem, StoreError> {
        let row = Row::new(TABLE, row)?;
        let delete = Delete::builder()
            .table_name(self.table_name(TABLE))
            .key("integration", text(row.text("integration")?))
            .key("key", text(row.text("key")?));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }
}

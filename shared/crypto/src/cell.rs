//! The place in the store that a sealed value is bound to.

/// A cell: one attribute of one row, which a sealed value is bound to.
///
/// A value sealed for one cell does not open in another, so a writer to the table cannot move a secret to a row that
/// its owner may read. **Not** promised: a cell that is reset to its own older value goes unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// Logical name of the table, without the deployment's prefix, so that values in a restored or renamed table still
    /// open.
    pub table: &'a str,
    /// Partition key of the row.
    pub partition_key: &'a str,
    /// Sort key of the row; `None` if the table has none. The store has no empty keys, so `None` and `Some("")` are the
    /// same cell.
    pub sort_key: Option<&'a str>,
    /// Name of the attribute.
    pub attribute: &'a str,
}

impl Cell<'_> {
    /// Additional data of the AEAD: the value's header, then each part of the cell after its length.
    ///
    /// The lengths keep `("ab", "c")` and `("a", "bc")` apart.
    pub(crate) fn additional_data(&self, header: &[u8]) -> Vec<u8> {
        let parts = [self.table, self.partition_key, self.sort_key.unwrap_or_default(), self.attribute];
        let mut data = header.to_vec();
        for part in parts {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

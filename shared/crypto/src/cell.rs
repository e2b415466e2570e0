//! The place that a sealed value belongs to.

/// One attribute of one row: what a sealed value is bound to.
///
/// A value sealed for one cell does not open in another, so a writer to the table cannot move a secret to a row that
/// its owner may read. What is **not** promised: that a cell put back to its own older value is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// The table's logical name, without the deployment's prefix, so that a restored or renamed table still opens.
    pub table: &'a str,
    /// The row's partition key.
    pub partition_key: &'a str,
    /// The row's sort key; `None` where the table has none. The store has no empty keys, so `None` and `Some("")` are
    /// the same cell.
    pub sort_key: Option<&'a str>,
    /// The attribute's name.
    pub attribute: &'a str,
}

impl Cell<'_> {
    /// The AEAD's additional data: the value's header, then each part of the place behind its length.
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

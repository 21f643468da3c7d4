use super::{BatchHeader, HEADER_LEN, Magic};

/// One whole batch of magic 2 in two pieces: its header as a value, and its records where they happen to lie. A leader
/// gives a produced batch another header; the records go from the request's buffer to the file as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchParts<'a> {
    header: BatchHeader,
    body: &'a [u8],
}

impl<'a> BatchParts<'a> {
    pub(crate) fn new(header: BatchHeader, body: &'a [u8]) -> BatchParts<'a> {
        debug_assert!(header.magic == Magic::V2 && header.size() == HEADER_LEN + body.len());
        BatchParts { header, body }
    }

    /// The header; [`BatchHeader::encode`] gives the bytes before the body.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records, compressed as the header says.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

impl std::ops::Deref for BatchParts<'_> {
    type Target = BatchHeader;

    fn deref(&self) -> &BatchHeader {
        &self.header
    }
}

//! Transaction markers: the one record of a control batch.

use ottla_records::BatchView;
use ottla_records::batch::BatchParts;
use ottla_records::open::OpenBatch;
use ottla_records::record::EndTransactionMarker;

/// Bytes that a compressed control batch may open to; none in the field is compressed.
const LIMIT: usize = 4096;

/// The marker in a control batch; `None` for other batches, other control records and malformed ones.
pub(crate) fn end_transaction_marker(batch: &BatchView<'_>) -> Option<EndTransactionMarker> {
    end_transaction_marker_of_parts(&batch.parts()?)
}

/// The same for a batch in two pieces.
pub(crate) fn end_transaction_marker_of_parts(batch: &BatchParts<'_>) -> Option<EndTransactionMarker> {
    if !batch.is_control() {
        return None;
    }
    let open = OpenBatch::open_parts(batch, LIMIT).ok()?;
    let record = open.records().next()?.ok()?;
    EndTransactionMarker::parse(&record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_markers() {
        let log = include_bytes!("testdata/v2/transactions-0/00000000000000000003.log");
        let markers: Vec<_> = ottla_records::batches(log)
            .map(|b| b.unwrap())
            .filter_map(|b| end_transaction_marker(&b).map(|m| (b.base_offset, m.committed, m.coordinator_epoch)))
            .collect();
        assert_eq!(markers, [(3, true, 0), (7, false, 0), (11, true, 0), (12, false, 0), (14, true, 0)]);
    }
}

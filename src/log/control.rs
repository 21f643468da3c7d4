//! Transaction markers: the one record of a control batch.

use ottla_records::BatchView;

/// How a transaction ended, and which life of its coordinator said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Committed rather than aborted.
    pub committed: bool,
    /// Epoch of the `__transaction_state` partition's leader.
    pub coordinator_epoch: i32,
}

/// The marker in a control batch; `None` for other batches, other control records and malformed ones.
pub fn end_txn_marker(batch: &BatchView<'_>) -> Option<EndTxnMarker> {
    if !batch.is_control() || batch.is_compressed() {
        return None;
    }
    let mut bytes = batch.body();
    let _length = varint(&mut bytes)?;
    take(&mut bytes, 1)?;
    let _timestamp_delta = varint(&mut bytes)?;
    let _offset_delta = varint(&mut bytes)?;
    let key_len = usize::try_from(varint(&mut bytes)?).ok()?;
    let key = take(&mut bytes, key_len)?;
    let value_len = usize::try_from(varint(&mut bytes)?).ok()?;
    let value = take(&mut bytes, value_len)?;
    let committed = match key.get(..4)? {
        [_, _, 0, 0] => false,
        [_, _, 0, 1] => true,
        _ => return None,
    };
    let epoch = value.get(2..6)?.try_into().ok()?;
    Some(EndTxnMarker { committed, coordinator_epoch: i32::from_be_bytes(epoch) })
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_markers() {
        let log = include_bytes!("testdata/v2/transactions-0/00000000000000000003.log");
        let markers: Vec<_> = ottla_records::batches(log)
            .map(|b| b.unwrap())
            .filter_map(|b| end_txn_marker(&b).map(|m| (b.base_offset, m.committed, m.coordinator_epoch)))
            .collect();
        assert_eq!(markers, [(3, true, 0), (7, false, 0), (11, true, 0), (12, false, 0), (14, true, 0)]);
    }
}

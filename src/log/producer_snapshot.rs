//! `<offset>.snapshot`: the producers as they were when the log ended at that offset, version 1 of Kafka's format. Only
//! the last batch of each is stored, so the window of five shrinks to one over a restart.

use std::path::Path;

use ottla_types::Offset;

use crate::disk::{Disk, FileRef, StorageError, read_file};
use crate::producer_state::{BatchMetadata, ProducerEntry, ProducerStates};

const VERSION: i16 = 1;
const HEADER: usize = 10;
const ENTRY: usize = 46;
/// Twenty million producers.
const LIMIT: u64 = 1 << 30;

/// The bytes of a snapshot file.
pub(crate) fn encode(states: &ProducerStates) -> Vec<u8> {
    let entries = states.entries();
    let mut bytes = Vec::with_capacity(HEADER + entries.len() * ENTRY);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(entries.len() as i32).to_be_bytes());
    for (producer_id, entry) in entries {
        let last = entry.last_batch();
        bytes.extend_from_slice(&producer_id.to_be_bytes());
        bytes.extend_from_slice(&entry.epoch.to_be_bytes());
        bytes.extend_from_slice(&last.map_or(-1, |b| b.last_sequence).to_be_bytes());
        bytes.extend_from_slice(&last.map_or(-1, |b| b.last_offset).to_be_bytes());
        bytes.extend_from_slice(&last.map_or(0, |b| b.offset_delta).to_be_bytes());
        bytes.extend_from_slice(&entry.last_timestamp.to_be_bytes());
        bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        bytes.extend_from_slice(&entry.txn_first_offset.unwrap_or(-1).to_be_bytes());
    }
    let crc = crc32c::crc32c(&bytes[6..]);
    bytes[2..6].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Reads the bytes of a snapshot file; `None` if they are damaged or of another version.
pub(crate) fn decode(bytes: &[u8]) -> Option<ProducerStates> {
    let mut reader = Reader(bytes);
    if i16::from_be_bytes(reader.take()?) != VERSION || u32::from_be_bytes(reader.take()?) != crc32c::crc32c(reader.0) {
        return None;
    }
    let count = usize::try_from(i32::from_be_bytes(reader.take()?)).ok()?;
    if reader.0.len() != count.checked_mul(ENTRY)? {
        return None;
    }
    let mut states = ProducerStates::default();
    for _ in 0..count {
        let producer_id = i64::from_be_bytes(reader.take()?);
        let epoch = i16::from_be_bytes(reader.take()?);
        let last_sequence = i32::from_be_bytes(reader.take()?);
        let last_offset = i64::from_be_bytes(reader.take()?);
        let offset_delta = i32::from_be_bytes(reader.take()?);
        let timestamp = i64::from_be_bytes(reader.take()?);
        let coordinator_epoch = i32::from_be_bytes(reader.take()?);
        let txn_first_offset = i64::from_be_bytes(reader.take()?);
        let mut entry = ProducerEntry::restored(epoch, coordinator_epoch, timestamp);
        entry.txn_first_offset = (txn_first_offset >= 0).then_some(txn_first_offset);
        if last_offset >= 0 {
            entry.push(BatchMetadata { last_sequence, last_offset, offset_delta, timestamp });
        }
        states.restore(producer_id, entry);
    }
    Some(states)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

/// The name of the snapshot that is valid up to `offset`.
pub(crate) fn file_name(offset: Offset) -> String {
    format!("{offset:020}.snapshot")
}

/// The offset in a snapshot's file name.
pub(crate) fn offset_of(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".snapshot")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// Makes sure that there is a snapshot for `offset`, and returns its file: the caller has it synced. A torn one is seen
/// by its checksum, and an older one counts.
pub(crate) fn write_unsynced(
    disk: &dyn Disk,
    partition_dir: &Path,
    offset: Offset,
    states: &ProducerStates,
) -> Result<FileRef, StorageError> {
    let path = partition_dir.join(file_name(offset));
    let bytes = encode(states);
    let file = disk.create(&path)?;
    let mut present = vec![0; bytes.len() + 1];
    let len = file.read_full_at(&mut present, 0).map_err(StorageError::of("read", &path))?;
    if present[..len] != bytes {
        if len > 0 {
            file.set_len(0).map_err(StorageError::of("truncate", &path))?;
        }
        file.write_all_at(&bytes, 0).map_err(StorageError::of("write", &path))?;
    }
    Ok(file)
}

/// The offsets of the snapshots in a partition's folder, ascending.
pub(crate) fn list(disk: &dyn Disk, partition_dir: &Path) -> Result<Vec<Offset>, StorageError> {
    Ok(disk.list(partition_dir)?.iter().filter_map(|e| offset_of(&e.name)).collect())
}

/// The newest readable snapshot at or below `offset`. Damaged ones are removed.
pub(crate) fn newest(
    disk: &dyn Disk,
    partition_dir: &Path,
    offset: Offset,
) -> Result<Option<(Offset, ProducerStates)>, StorageError> {
    for at in list(disk, partition_dir)?.into_iter().rev().filter(|at| *at <= offset) {
        let path = partition_dir.join(file_name(at));
        if let Some(states) = decode(&read_file(disk, &path, LIMIT)?) {
            return Ok(Some((at, states)));
        }
        tracing::warn!("{}: a damaged producer snapshot, removed", path.display());
        disk.remove(&path)?;
    }
    Ok(None)
}

/// Removes the snapshots that `keep` does not hold for.
pub(crate) fn retain(disk: &dyn Disk, partition_dir: &Path, keep: impl Fn(Offset) -> bool) -> Result<(), StorageError> {
    for at in list(disk, partition_dir)?.into_iter().filter(|at| !keep(*at)) {
        disk.remove(&partition_dir.join(file_name(at)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_snapshots_come_back_byte_for_byte() {
        for golden in [
            &include_bytes!("testdata/v2/transactions-0/00000000000000000017.snapshot")[..],
            include_bytes!("testdata/v2/transactions-0/00000000000000000003.snapshot"),
            include_bytes!("testdata/v2/idempotent-0/00000000000000000012.snapshot"),
            include_bytes!("testdata/v2/gzip-0/00000000000000000020.snapshot"),
        ] {
            assert_eq!(encode(&decode(golden).unwrap()), golden);
        }
        let states = decode(include_bytes!("testdata/v2/transactions-0/00000000000000000017.snapshot")).unwrap();
        assert_eq!(states.first_unstable_offset(17), Some(16));
        assert_eq!(states.last_sequence(2), Some((0, 8)));
    }

    #[test]
    fn every_damaged_byte_is_seen() {
        let golden = include_bytes!("testdata/v2/transactions-0/00000000000000000017.snapshot");
        for at in 0..golden.len() {
            let mut bytes = golden.to_vec();
            bytes[at] ^= 1;
            assert!(decode(&bytes).is_none(), "byte {at}");
            assert!(decode(&golden[..at]).is_none(), "cut at {at}");
        }
    }
}

//! `.txnindex`: the aborted transactions that ended in a segment (`TransactionIndex.java`, `AbortedTxn.java`), from which
//! read_committed fetches learn what to leave out. Absent for a segment without any.

use std::path::PathBuf;

use ottla_types::Offset;

use crate::disk::{Disk, StorageError, read_file};
use crate::producer_state::CompletedTxn;

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTxn {
    /// The producer.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: Offset,
    /// Offset of the marker that ended it.
    pub last_offset: Offset,
    /// The last stable offset once it had ended: a reader that goes no further than this need look no further.
    pub last_stable_offset: Offset,
}

impl From<&CompletedTxn> for AbortedTxn {
    fn from(completed: &CompletedTxn) -> AbortedTxn {
        AbortedTxn {
            producer_id: completed.producer_id,
            first_offset: completed.first_offset,
            last_offset: completed.last_offset,
            last_stable_offset: completed.last_stable_offset,
        }
    }
}

const ENTRY: usize = 34;
/// 2 GiB of markers alone are fewer than this many bytes of entries.
const LIMIT: u64 = 1 << 30;

impl AbortedTxn {
    fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        let fields = [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset];
        for (field, chunk) in fields.iter().zip(bytes[2..].chunks_exact_mut(8)) {
            chunk.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<AbortedTxn> {
        let mut fields = bytes.get(2..ENTRY)?.chunks_exact(8).map(|chunk| {
            let mut field = [0; 8];
            field.copy_from_slice(chunk);
            i64::from_be_bytes(field)
        });
        let mut next = || fields.next();
        let txn = AbortedTxn {
            producer_id: next()?,
            first_offset: next()?,
            last_offset: next()?,
            last_stable_offset: next()?,
        };
        (bytes[..2] == [0, 0]).then_some(txn)
    }
}

/// The index of one segment. Aborts are rare: entries are read when asked for and written at once.
#[derive(Debug)]
pub(crate) struct TxnIndex {
    path: PathBuf,
    len: u64,
    /// The file has changes that were not synced.
    unsynced: bool,
}

impl TxnIndex {
    /// Opens the index; `Err(None)` inside: the file is damaged and must be rebuilt.
    pub(crate) fn open(disk: &dyn Disk, path: PathBuf, base_offset: Offset) -> Result<Option<TxnIndex>, StorageError> {
        let index = TxnIndex { path, len: 0, unsynced: false };
        if !disk.exists(&index.path) {
            return Ok(Some(index));
        }
        let content = read_file(disk, &index.path, LIMIT)?;
        let sound = content.len() % ENTRY == 0
            && content.chunks_exact(ENTRY).all(|e| AbortedTxn::decode(e).is_some_and(|t| t.last_offset >= base_offset));
        Ok(sound.then_some(TxnIndex { len: content.len() as u64, ..index }))
    }

    /// Empties the index.
    pub(crate) fn reset(disk: &dyn Disk, path: PathBuf) -> Result<TxnIndex, StorageError> {
        disk.remove(&path)?;
        Ok(TxnIndex { path, len: 0, unsynced: false })
    }

    /// The file, which exists once there is an entry.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Whether there is a file with changes that were not synced.
    pub(crate) fn unsynced(&self) -> bool {
        self.unsynced && self.len > 0
    }

    /// Notes that the file was synced, or that it is to be synced again.
    pub(crate) fn set_unsynced(&mut self, unsynced: bool) {
        self.unsynced = unsynced;
    }

    /// Adds a transaction; `last_offset`s ascend.
    pub(crate) fn push(&mut self, disk: &dyn Disk, txn: &AbortedTxn) -> Result<(), StorageError> {
        let file = disk.create(&self.path)?;
        file.write_all_at(&txn.encode(), self.len).map_err(StorageError::of("write", &self.path))?;
        self.len += ENTRY as u64;
        self.unsynced = true;
        Ok(())
    }

    /// Drops transactions that ended at or after `offset`.
    pub(crate) fn truncate(&mut self, disk: &dyn Disk, offset: Offset) -> Result<(), StorageError> {
        let kept = self.all(disk)?.iter().take_while(|t| t.last_offset < offset).count() * ENTRY;
        if kept as u64 == self.len {
            return Ok(());
        }
        if kept == 0 {
            disk.remove(&self.path)?;
        } else {
            disk.open(&self.path)?.set_len(kept as u64).map_err(StorageError::of("truncate", &self.path))?;
        }
        self.len = kept as u64;
        self.unsynced = true;
        Ok(())
    }

    /// Collects the transactions that touch `from..to`; true if later segments cannot hold more of them.
    pub(crate) fn collect(
        &self,
        disk: &dyn Disk,
        from: Offset,
        to: Offset,
        found: &mut Vec<AbortedTxn>,
    ) -> Result<bool, StorageError> {
        for txn in self.all(disk)? {
            if txn.last_offset >= from && txn.first_offset < to {
                found.push(txn);
            }
            if txn.last_stable_offset >= to {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn all(&self, disk: &dyn Disk) -> Result<Vec<AbortedTxn>, StorageError> {
        if self.len == 0 {
            return Ok(Vec::new());
        }
        Ok(read_file(disk, &self.path, LIMIT)?.chunks_exact(ENTRY).filter_map(AbortedTxn::decode).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;
    use std::path::Path;

    #[test]
    fn the_file_is_kafkas() {
        let disk = MemoryDisk::new();
        disk.create_dir(Path::new("/p")).unwrap();
        let golden = include_bytes!("testdata/v2/transactions-0/00000000000000000003.txnindex");
        let path = PathBuf::from("/p/00000000000000000003.txnindex");
        disk.create(&path).unwrap().write_all_at(golden, 0).unwrap();
        let index = TxnIndex::open(&disk, path.clone(), 3).unwrap().unwrap();
        let mut all = Vec::new();
        index.collect(&disk, 0, 100, &mut all).unwrap();
        let first = AbortedTxn { producer_id: 2, first_offset: 4, last_offset: 7, last_stable_offset: 8 };
        let second = AbortedTxn { producer_id: 2, first_offset: 8, last_offset: 12, last_stable_offset: 13 };
        assert_eq!(all, [first, second]);

        let mut found = Vec::new();
        assert!(index.collect(&disk, 4, 8, &mut found).unwrap());
        assert_eq!(found, [first]);
        found.clear();
        assert!(!index.collect(&disk, 8, 17, &mut found).unwrap());
        assert_eq!(found, [second]);

        let mut again = TxnIndex::reset(&disk, path.clone()).unwrap();
        again.push(&disk, &first).unwrap();
        again.push(&disk, &second).unwrap();
        assert_eq!(read_file(&disk, &path, 100).unwrap(), golden);
        again.truncate(&disk, 12).unwrap();
        assert_eq!(read_file(&disk, &path, 100).unwrap(), golden[..ENTRY]);
        again.truncate(&disk, 7).unwrap();
        assert!(again.len == 0 && !disk.exists(&path));
    }

    #[test]
    fn damage_is_seen() {
        let disk = MemoryDisk::new();
        let path = Path::new("/p/x.txnindex");
        for bad in [&[0; 33][..], &[1; 34], &[0; 34]] {
            crate::disk::replace_file(&disk, path, bad).unwrap();
            assert!(TxnIndex::open(&disk, path.to_path_buf(), 5).unwrap().is_none());
        }
    }
}

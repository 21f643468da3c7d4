use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::{FallocateFlags, FlockOperation};

use super::{DirEntry, Disk, DiskFile, FileRef, StorageError};

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileDisk;

fn open(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Disk for FileDisk {
    fn open(&self, path: &Path) -> Result<FileRef, StorageError> {
        Ok(Arc::new(open(path, false).map_err(StorageError::of("open", path))?))
    }

    fn create(&self, path: &Path) -> Result<FileRef, StorageError> {
        Ok(Arc::new(open(path, true).map_err(StorageError::of("create", path))?))
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn modified_ms(&self, path: &Path) -> Result<i64, StorageError> {
        let modified = fs::metadata(path).and_then(|m| m.modified()).map_err(StorageError::of("look at", path))?;
        Ok(modified.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64))
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, StorageError> {
        let failed = |e| StorageError::of("list", dir)(e);
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // A file may vanish between the two calls: then it is as if it had not been there.
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            let len = if metadata.is_dir() { 0 } else { metadata.len() };
            entries.push(DirEntry { name, is_dir: metadata.is_dir(), len });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        fs::rename(from, to).map_err(StorageError::of("rename", from))
    }

    fn remove(&self, path: &Path) -> Result<(), StorageError> {
        absent_is_fine(fs::remove_file(path)).map_err(StorageError::of("remove", path))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), StorageError> {
        absent_is_fine(fs::remove_dir_all(path)).map_err(StorageError::of("remove", path))
    }

    fn create_dir(&self, path: &Path) -> Result<(), StorageError> {
        fs::create_dir_all(path).map_err(StorageError::of("create", path))
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        File::open(dir).and_then(|d| d.sync_all()).map_err(StorageError::of("sync", dir))
    }

    fn lock(&self, path: &Path) -> Result<Option<FileRef>, StorageError> {
        let file = open(path, true).map_err(StorageError::of("create", path))?;
        // Java's FileChannel.lock is a POSIX record lock, which flock does not see on Linux; we take both, so that
        // neither a broker of ours nor one of Kafka's opens a folder in use. Record locks belong to the process, so
        // the flock is the one that holds between two brokers in a process (and in tests).
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(e) => return Err(StorageError::of("lock", path)(e.into())),
        }
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Arc::new(file))),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(None),
            Err(e) => Err(StorageError::of("lock", path)(e.into())),
        }
    }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, position)
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(self, pieces, position)?)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(self, FallocateFlags::KEEP_SIZE, position, len)?)
    }

    fn release(&self) -> io::Result<()> {
        File::set_len(self, DiskFile::len(self)?)
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(AsFd::as_fd(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_refused_and_released_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let held = FileDisk.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(FileDisk.lock(&path).unwrap().is_none());
        drop(held);
        assert!(FileDisk.lock(&path).unwrap().is_some());
    }

    #[test]
    fn create_keeps_content_and_remove_forgives_absence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        FileDisk.create(&path).unwrap().write_all_at(b"kept", 0).unwrap();
        assert_eq!(FileDisk.create(&path).unwrap().len().unwrap(), 4);
        FileDisk.remove(&path).unwrap();
        FileDisk.remove(&path).unwrap();
        assert!(FileDisk.open(&path).unwrap_err().is_not_found());
    }
}

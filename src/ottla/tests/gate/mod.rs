//! The operating system's disk with a gate in front of one partition's log files.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ottla_log::disk::{DirEntry, Disk, DiskFile, FileDisk, FileRef, StorageError};

/// What does not come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Shut {
    #[default]
    Nothing,
    Writes,
    Syncs,
    Both,
}

/// Stops those who come until it is opened.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// What is shut, and how many stand before it.
    state: Mutex<(Shut, usize)>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn shut(&self, what: Shut) {
        self.state.lock().unwrap().0 = what;
        self.changed.notify_all();
    }

    pub(crate) fn open(&self) {
        self.shut(Shut::Nothing);
    }

    /// Returns when so many stand before the gate.
    pub(crate) fn waits(&self, count: usize, patience: Duration) {
        let state = self.state.lock().unwrap();
        let (_state, waited) = self.changed.wait_timeout_while(state, patience, |state| state.1 < count).unwrap();
        assert!(!waited.timed_out(), "nobody came to the gate");
    }

    fn pass(&self, with: Shut) {
        let mut state = self.state.lock().unwrap();
        if state.0 == with || state.0 == Shut::Both {
            state.1 += 1;
            self.changed.notify_all();
            state = self.changed.wait_while(state, |state| state.0 == with || state.0 == Shut::Both).unwrap();
            state.1 -= 1;
        }
    }
}

/// A disk whose files in the folder `behind_it` are behind the gate.
#[derive(Debug)]
pub(crate) struct GatedDisk {
    pub(crate) gate: Arc<Gate>,
    pub(crate) behind_it: String,
}

impl GatedDisk {
    fn gated(&self, path: &Path, file: FileRef) -> FileRef {
        let is_behind = path.extension().is_some_and(|extension| extension == "log")
            && path.parent().is_some_and(|folder| folder.ends_with(&self.behind_it));
        match is_behind {
            true => Arc::new(GatedFile { gate: self.gate.clone(), file }),
            false => file,
        }
    }
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path) -> Result<FileRef, StorageError> {
        Ok(self.gated(path, FileDisk.open(path)?))
    }

    fn create(&self, path: &Path) -> Result<FileRef, StorageError> {
        Ok(self.gated(path, FileDisk.create(path)?))
    }

    fn exists(&self, path: &Path) -> bool {
        FileDisk.exists(path)
    }

    fn modified_ms(&self, path: &Path) -> Result<i64, StorageError> {
        FileDisk.modified_ms(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, StorageError> {
        FileDisk.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        FileDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<(), StorageError> {
        FileDisk.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<(), StorageError> {
        FileDisk.remove_dir(path)
    }

    fn create_dir(&self, path: &Path) -> Result<(), StorageError> {
        FileDisk.create_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        FileDisk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Option<FileRef>, StorageError> {
        FileDisk.lock(path)
    }
}

#[derive(Debug)]
struct GatedFile {
    gate: Arc<Gate>,
    file: FileRef,
}

impl DiskFile for GatedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.gate.pass(Shut::Writes);
        self.file.write_vectored_at(pieces, position)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.pass(Shut::Syncs);
        self.file.sync()
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.reserve(position, len)
    }

    fn release(&self) -> io::Result<()> {
        self.file.release()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_fd()
    }
}

//! The seam to the file system: what a log asks of a disk, and no more.
//!
//! Two disks stand behind it: [`FileDisk`], the operating system's, and [`MemoryDisk`], which forgets on
//! [`MemoryDisk::crash`] whatever was not synced, as a power cut would. Nothing here maps memory: a truncated file under
//! a map is a SIGBUS, and mapped pages count as resident.

mod file;
mod memory;

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use file::FileDisk;
pub use memory::MemoryDisk;

/// A disk, shared by everything that stores on it.
pub type DiskRef = Arc<dyn Disk>;

/// An open file, shared with responses that still send from it: deleting or rolling a segment does not close it.
pub type FileRef = Arc<dyn DiskFile>;

/// A file system operation that failed, with the file it failed on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct StorageError {
    /// What was tried, a verb for the message.
    pub operation: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl StorageError {
    /// For `map_err`: names the operation and the file.
    pub fn of(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
        let path = path.to_path_buf();
        move |source| StorageError { operation, path, source }
    }

    /// A file whose content is not what its format says.
    pub(crate) fn malformed(path: &Path, what: impl Into<String>) -> StorageError {
        StorageError {
            operation: "read",
            path: path.to_path_buf(),
            source: io::Error::new(io::ErrorKind::InvalidData, what.into()),
        }
    }

    /// The file or folder was not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The bare name. Names that are not UTF-8 are never ours and are left out of listings.
    pub name: String,
    /// A folder rather than a file.
    pub is_dir: bool,
    /// Bytes, 0 for folders.
    pub len: u64,
}

/// Where files lie.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> Result<FileRef, StorageError>;
    /// Opens a file for reading and writing, an empty new one if there is none. An existing one keeps its content.
    fn create(&self, path: &Path) -> Result<FileRef, StorageError>;
    /// Whether there is a file or folder of that name.
    fn exists(&self, path: &Path) -> bool;
    /// When a file was last written, in milliseconds since 1970.
    fn modified_ms(&self, path: &Path) -> Result<i64, StorageError>;
    /// The names in a folder, sorted.
    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, StorageError>;
    /// Renames a file or folder, replacing a file of the new name.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError>;
    /// Removes a file; one that is not there is no error.
    fn remove(&self, path: &Path) -> Result<(), StorageError>;
    /// Removes a folder and what is in it; one that is not there is no error.
    fn remove_dir(&self, path: &Path) -> Result<(), StorageError>;
    /// Creates a folder and those above it; an existing one is no error.
    fn create_dir(&self, path: &Path) -> Result<(), StorageError>;
    /// Makes the names in a folder durable: fsync of the folder.
    fn sync_dir(&self, dir: &Path) -> Result<(), StorageError>;
    /// Takes the exclusive lock on a file, made if absent; `None` if another holds it. Dropping the file releases it.
    fn lock(&self, path: &Path) -> Result<Option<FileRef>, StorageError>;
}

/// An open file. Reads and writes name their position, so that one handle serves many readers.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads up to `buffer.len()` bytes; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes the pieces one behind the other with one call; may write less than asked.
    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize>;
    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;
    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the content and length durable: fdatasync.
    fn sync(&self) -> io::Result<()>;
    /// Takes blocks for a range that may lie behind the file's end, without a change of its length. A hint: a disk that
    /// cannot do it refuses, or does nothing.
    fn reserve(&self, position: u64, len: u64) -> io::Result<()>;
    /// Gives back what is reserved behind the file's end.
    fn release(&self) -> io::Result<()>;
    /// The descriptor for sendfile and preadv2; `None` if the disk has none.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` as far as the file goes; the number of bytes read.
    fn read_full_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_at(&mut buffer[done..], position + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Writes all of `bytes`, usually with one call.
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write_all_vectored_at(&mut [IoSlice::new(bytes)], position)
    }

    /// Writes all pieces one behind the other, usually with one call. The slices themselves are used up.
    fn write_all_vectored_at(&self, mut pieces: &mut [IoSlice<'_>], mut position: u64) -> io::Result<()> {
        // Pieces without a byte at the front are stepped over.
        IoSlice::advance_slices(&mut pieces, 0);
        while !pieces.is_empty() {
            match self.write_vectored_at(pieces, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    IoSlice::advance_slices(&mut pieces, n);
                    position += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Reads a whole small file, of at most `limit` bytes.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path, limit: u64) -> Result<Vec<u8>, StorageError> {
    let file = disk.open(path)?;
    let len = file.len().map_err(StorageError::of("measure", path))?;
    if len > limit {
        return Err(StorageError::malformed(path, format!("{len} bytes, more than the {limit} such a file can have")));
    }
    let mut content = vec![0; len as usize];
    let read = file.read_full_at(&mut content, 0).map_err(StorageError::of("read", path))?;
    content.truncate(read);
    Ok(content)
}

/// Replaces a file atomically: `<name>.tmp`, fsync, rename, fsync of the folder. After a crash there is the old content
/// or the new one, never a part (KAFKA-16541).
pub(crate) fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let file = disk.create(&temporary)?;
    file.set_len(0).map_err(StorageError::of("truncate", &temporary))?;
    file.write_all_at(content, 0).map_err(StorageError::of("write", &temporary))?;
    file.sync().map_err(StorageError::of("sync", &temporary))?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{DirEntry, Disk, DiskFile, FileRef, StorageError};

/// A disk in memory for tests and simulation. [`MemoryDisk::crash`] does what a power cut does: of the writes since a
/// file's last sync any subset may be there, each perhaps in part, and of the changes to a folder's names since its
/// last sync only the first few. Folders themselves never vanish.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What running programs see.
    names: BTreeMap<PathBuf, Arc<MemoryFile>>,
    /// What a crash leaves: the names at each folder's last sync, and the changes after it, in order.
    durable_names: BTreeMap<PathBuf, Arc<MemoryFile>>,
    name_changes: Vec<NameChange>,
    dirs: std::collections::BTreeSet<PathBuf>,
    /// Bytes that may still be written before writes fail; `None` is no limit.
    room: Arc<Mutex<Faults>>,
}

#[derive(Debug, Default)]
struct Faults {
    room: Option<u64>,
    failing_syncs: bool,
    /// The most that one write takes.
    most_per_write: Option<usize>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Created(PathBuf, Arc<MemoryFile>),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

#[derive(Debug)]
struct MemoryFile {
    content: Mutex<Content>,
    faults: Arc<Mutex<Faults>>,
    locked: Mutex<bool>,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

/// A lock whose holder panicked guards a test that has failed already.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// xorshift64*: enough to choose what a crash loses, and the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound.max(1)
    }
}

fn write_into(bytes: &mut Vec<u8>, position: usize, written: &[u8]) {
    let end = position + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[position..end].copy_from_slice(written);
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// The power goes: files and names fall back to what was synced plus a part of what was not, chosen by `seed`.
    /// Handles that are still open belong to the dead process and must not be used.
    pub fn crash(&self, seed: u64) {
        let mut state = held(&self.state);
        let mut chance = Chance(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15) | 1);
        let changes = std::mem::take(&mut state.name_changes);
        let mut names = std::mem::take(&mut state.durable_names);
        let kept = chance.below(changes.len() as u64 + 1) as usize;
        for change in &changes[..kept] {
            apply(&mut names, change);
        }
        for file in names.values() {
            *held(&file.locked) = false;
            let mut content = held(&file.content);
            let mut bytes = content.durable.clone();
            // Seldom nothing is lost, as when only the process died.
            let all = chance.below(8) == 0;
            for change in std::mem::take(&mut content.unsynced) {
                if !all && chance.below(3) == 0 {
                    continue;
                }
                match change {
                    Change::Length(len) => bytes.resize(len as usize, 0),
                    Change::Write(position, written) => {
                        let torn = if !all && chance.below(3) == 0 {
                            chance.below(written.len() as u64) as usize
                        } else {
                            written.len()
                        };
                        write_into(&mut bytes, position as usize, &written[..torn]);
                    }
                }
            }
            content.durable.clone_from(&bytes);
            content.bytes = bytes;
        }
        state.durable_names.clone_from(&names);
        state.names = names;
    }

    /// From now on writes succeed for `bytes` more bytes, then one is cut short and the rest fail as a full disk does.
    /// `None` lifts the limit.
    pub fn set_room(&self, bytes: Option<u64>) {
        held(&held(&self.state).room).room = bytes;
    }

    /// From now on each write takes `bytes` bytes at most. `None` lifts the limit.
    pub fn set_most_per_write(&self, bytes: Option<usize>) {
        held(&held(&self.state).room).most_per_write = bytes;
    }

    /// Whether syncs of files fail.
    pub fn set_failing_syncs(&self, failing: bool) {
        held(&held(&self.state).room).failing_syncs = failing;
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Arc<MemoryFile>>, change: &NameChange) {
    match change {
        NameChange::Created(path, file) => {
            names.insert(path.clone(), file.clone());
        }
        NameChange::Removed(path) => {
            names.remove(path);
        }
        NameChange::Renamed(from, to) => {
            let moved: Vec<PathBuf> = names.keys().filter(|p| p.starts_with(from)).cloned().collect();
            for path in moved {
                if let Some(file) = names.remove(&path) {
                    names.insert(rebased(&path, from, to), file);
                }
            }
        }
    }
}

/// `path`, which lies at or below `from`, moved to `to`.
fn rebased(path: &Path, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.to_path_buf(),
        Ok(rest) => to.join(rest),
        Err(_) => path.to_path_buf(),
    }
}

impl State {
    fn change(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.name_changes.push(change);
    }

    fn file(&mut self, path: &Path) -> Arc<MemoryFile> {
        if let Some(file) = self.names.get(path) {
            return file.clone();
        }
        let file =
            Arc::new(MemoryFile { content: Mutex::default(), faults: self.room.clone(), locked: Mutex::new(false) });
        self.change(NameChange::Created(path.to_path_buf(), file.clone()));
        file
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path) -> Result<FileRef, StorageError> {
        match held(&self.state).names.get(path) {
            Some(file) => Ok(file.clone()),
            None => Err(StorageError::of("open", path)(io::ErrorKind::NotFound.into())),
        }
    }

    fn create(&self, path: &Path) -> Result<FileRef, StorageError> {
        Ok(held(&self.state).file(path))
    }

    fn exists(&self, path: &Path) -> bool {
        let state = held(&self.state);
        state.names.contains_key(path) || state.dirs.contains(path)
    }

    fn modified_ms(&self, _path: &Path) -> Result<i64, StorageError> {
        Ok(0)
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, StorageError> {
        let state = held(&self.state);
        if !state.dirs.contains(dir) {
            return Err(StorageError::of("list", dir)(io::ErrorKind::NotFound.into()));
        }
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files = state.names.iter().filter(|(path, _)| path.parent() == Some(dir)).map(|(path, file)| DirEntry {
            name: name(path),
            is_dir: false,
            len: held(&file.content).bytes.len() as u64,
        });
        let dirs = state.dirs.iter().filter(|path| path.parent() == Some(dir));
        let dirs = dirs.map(|path| DirEntry { name: name(path), is_dir: true, len: 0 });
        let mut entries: Vec<DirEntry> = files.chain(dirs).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        let mut state = held(&self.state);
        let moved: Vec<PathBuf> = state.dirs.iter().filter(|d| d.starts_with(from)).cloned().collect();
        if moved.is_empty() && !state.names.contains_key(from) {
            return Err(StorageError::of("rename", from)(io::ErrorKind::NotFound.into()));
        }
        for dir in moved {
            state.dirs.remove(&dir);
            state.dirs.insert(rebased(&dir, from, to));
        }
        state.change(NameChange::Renamed(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), StorageError> {
        held(&self.state).change(NameChange::Removed(path.to_path_buf()));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> Result<(), StorageError> {
        let mut state = held(&self.state);
        let files: Vec<PathBuf> = state.names.keys().filter(|p| p.starts_with(path)).cloned().collect();
        for file in files {
            state.change(NameChange::Removed(file));
        }
        state.dirs.retain(|d| !d.starts_with(path));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> Result<(), StorageError> {
        let mut state = held(&self.state);
        for dir in path.ancestors() {
            state.dirs.insert(dir.to_path_buf());
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        let mut state = held(&self.state);
        // This folder's changes become durable, another's do not.
        let touches = |change: &NameChange| match change {
            NameChange::Created(path, _) | NameChange::Removed(path) => path.parent() == Some(dir),
            NameChange::Renamed(_, to) => to.parent() == Some(dir),
        };
        let State { durable_names, name_changes, .. } = &mut *state;
        name_changes.retain(|change| {
            let durable = touches(change);
            if durable {
                apply(durable_names, change);
            }
            !durable
        });
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Option<FileRef>, StorageError> {
        let file = held(&self.state).file(path);
        let mut locked = held(&file.locked);
        if *locked {
            return Ok(None);
        }
        *locked = true;
        drop(locked);
        Ok(Some(Arc::new(LockedFile(file))))
    }
}

/// A file whose lock goes with its handle.
#[derive(Debug)]
struct LockedFile(Arc<MemoryFile>);

impl Drop for LockedFile {
    fn drop(&mut self) {
        *held(&self.0.locked) = false;
    }
}

impl DiskFile for LockedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }
    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.0.write_vectored_at(pieces, position)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let content = held(&self.content);
        let start = (position as usize).min(content.bytes.len());
        let n = buffer.len().min(content.bytes.len() - start);
        buffer[..n].copy_from_slice(&content.bytes[start..start + n]);
        Ok(n)
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let mut bytes = Vec::new();
        pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
        let mut faults = held(&self.faults);
        bytes.truncate(faults.most_per_write.unwrap_or(usize::MAX));
        let n = match &mut faults.room {
            None => bytes.len(),
            Some(0) if !bytes.is_empty() => return Err(io::ErrorKind::StorageFull.into()),
            Some(room) => {
                let n = bytes.len().min(*room as usize);
                *room -= n as u64;
                n
            }
        };
        bytes.truncate(n);
        let mut content = held(&self.content);
        write_into(&mut content.bytes, position as usize, &bytes);
        content.unsynced.push(Change::Write(position, bytes));
        Ok(n)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(held(&self.content).bytes.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut content = held(&self.content);
        content.bytes.resize(len as usize, 0);
        content.unsynced.push(Change::Length(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if held(&self.faults).failing_syncs {
            return Err(io::Error::other("a sync that was told to fail"));
        }
        let mut content = held(&self.content);
        let Content { bytes, durable, unsynced } = &mut *content;
        durable.clone_from(bytes);
        unsynced.clear();
        Ok(())
    }

    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_keeps_what_was_synced_and_nothing_that_was_not_is_certain() {
        let mut lost = 0;
        for seed in 0..64 {
            let disk = MemoryDisk::new();
            disk.create_dir(Path::new("/d")).unwrap();
            let file = disk.create(Path::new("/d/a")).unwrap();
            file.write_all_at(b"synced", 0).unwrap();
            file.sync().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.write_all_at(b" and not", 6).unwrap();
            disk.create(Path::new("/d/b")).unwrap();
            disk.crash(seed);
            let content = super::super::read_file(&disk, Path::new("/d/a"), 100).unwrap();
            assert_eq!(&content[..6], b"synced");
            lost += usize::from(content.len() < 14) + usize::from(!disk.exists(Path::new("/d/b")));
        }
        assert!(lost > 20, "a crash that loses nothing tests nothing: {lost}");
    }

    #[test]
    fn a_short_write_goes_on_where_it_ended_in_whichever_piece() {
        let whole: Vec<u8> = (0..40).collect();
        let (head, body) = whole.split_at(13);
        for most in 1..45 {
            let disk = MemoryDisk::new();
            disk.create_dir(Path::new("/d")).unwrap();
            let file = disk.create(Path::new("/d/a")).unwrap();
            disk.set_most_per_write(Some(most));
            let mut pieces = [&[], head, &[], body, &[]].map(IoSlice::new);
            file.write_all_vectored_at(&mut pieces, 5).unwrap();
            let content = super::super::read_file(&disk, Path::new("/d/a"), 100).unwrap();
            assert_eq!(content, [&[0; 5], &whole[..]].concat(), "{most}");
            disk.set_room(Some(20));
            let mut pieces = [head, body].map(IoSlice::new);
            let error = file.write_all_vectored_at(&mut pieces, 45).unwrap_err();
            assert_eq!((error.kind(), file.len().unwrap()), (io::ErrorKind::StorageFull, 65), "{most}");
        }
    }

    #[test]
    fn replaced_files_are_old_or_new_after_a_crash() {
        for seed in 0..64 {
            let disk = MemoryDisk::new();
            disk.create_dir(Path::new("/d")).unwrap();
            let path = Path::new("/d/c");
            super::super::replace_file(&disk, path, b"first").unwrap();
            disk.set_room(Some(3));
            assert!(super::super::replace_file(&disk, path, b"second").is_err());
            disk.crash(seed);
            assert_eq!(super::super::read_file(&disk, path, 100).unwrap(), b"first", "seed {seed}");
        }
    }
}

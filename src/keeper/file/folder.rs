//! The folder: which files there are, and that only one process uses them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::error::KeeperError;

/// The subfolder that ZooKeeper keeps its files in; 2 is the version of the format.
const SUBFOLDER: &str = "version-2";
/// ZooKeeper reads only names that begin with `log.` or `snapshot.`, so that this file does not disturb it.
const LOCK: &str = ".lock";
/// Names that ZooKeeper's administrators put beside version-2, or that come with a mounted disk.
const BESIDE: &[&str] = &["myid", "initialize", "lost+found", SUBFOLDER];

/// A file whose name carries a zxid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Numbered {
    pub(crate) zxid: i64,
    pub(crate) path: PathBuf,
}

/// The two `version-2` folders (often one), locked as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) snapshots: PathBuf,
    pub(crate) logs: PathBuf,
    _locks: Vec<File>,
}

impl Folder {
    /// Opens or creates the folders of `dataDir` and `dataLogDir`.
    pub(crate) fn open(data_dir: &Path, data_log_dir: &Path) -> Result<Self, KeeperError> {
        let mut locks = vec![lock(data_dir)?];
        let (snapshots, logs) = (data_dir.join(SUBFOLDER), data_log_dir.join(SUBFOLDER));
        if data_dir != data_log_dir {
            fs::create_dir_all(data_log_dir).map_err(KeeperError::io("create", data_log_dir))?;
            let same = fs::canonicalize(data_dir).ok() == fs::canonicalize(data_log_dir).ok();
            if !same {
                locks.push(lock(data_log_dir)?);
                refuse_strays(&snapshots, "log", "dataLogDir")?;
                refuse_strays(&logs, "snapshot", "dataDir")?;
            }
        }
        Ok(Self { snapshots, logs, _locks: locks })
    }

    /// The snapshots, oldest first. Compressed ones are not among them.
    pub(crate) fn snapshots(&self) -> Result<Vec<Numbered>, KeeperError> {
        numbered(&self.snapshots, "snapshot")
    }

    /// The logs, oldest first.
    pub(crate) fn logs(&self) -> Result<Vec<Numbered>, KeeperError> {
        numbered(&self.logs, "log")
    }

    /// Whether a snapshot was written with `zookeeper.snapshot.compression.method`.
    pub(crate) fn compressed_snapshot(&self) -> Result<Option<PathBuf>, KeeperError> {
        let compressed =
            |name: &str| name.starts_with("snapshot.") && (name.ends_with(".gz") || name.ends_with(".snappy"));
        Ok(names(&self.snapshots)?.into_iter().find(|name| compressed(name)).map(|name| self.snapshots.join(name)))
    }

    /// Removes what interrupted writes left.
    pub(crate) fn remove_unfinished(&self) -> Result<(), KeeperError> {
        for name in names(&self.snapshots)? {
            if name.starts_with(".snapshot.") {
                let path = self.snapshots.join(name);
                fs::remove_file(&path).map_err(KeeperError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// Keeps the newest `retain` of the snapshots, which the caller knows to be whole, and the logs from the one on that
/// holds the entry after the oldest kept snapshot (PurgeTxnLog.java).
pub(crate) fn purge(snapshots: &[Numbered], logs: &[Numbered], retain: usize) -> Vec<PathBuf> {
    let Some(oldest_kept) = snapshots.len().checked_sub(retain) else { return Vec::new() };
    let Some(zxid) = snapshots.get(oldest_kept).map(|snapshot| snapshot.zxid) else { return Vec::new() };
    let first_log = logs.iter().rposition(|log| log.zxid <= zxid).unwrap_or(0);
    let (snapshots, logs) = (&snapshots[..oldest_kept], &logs[..first_log]);
    snapshots.iter().chain(logs).map(|file| file.path.clone()).collect()
}

/// Makes a new name durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), KeeperError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(KeeperError::io("sync", dir))
}

fn lock(dir: &Path) -> Result<File, KeeperError> {
    let subfolder = dir.join(SUBFOLDER);
    if dir.exists() && !subfolder.exists() && names(dir)?.iter().any(|name| !BESIDE.contains(&name.as_str())) {
        return Err(KeeperError::Foreign { path: dir.to_owned() });
    }
    if !subfolder.exists() {
        fs::create_dir_all(&subfolder).map_err(KeeperError::io("create", &subfolder))?;
        // A log is only as durable as the folders in which it lies.
        sync_dir(dir)?;
        if let Some(parent) = fs::canonicalize(dir).ok().as_deref().and_then(Path::parent) {
            sync_dir(parent)?;
        }
    }
    let path = subfolder.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(KeeperError::io("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(KeeperError::Locked { path: dir.to_owned() }),
        Err(errno) => Err(KeeperError::io("lock", &path)(errno.into())),
    }
}

fn refuse_strays(dir: &Path, prefix: &str, key: &str) -> Result<(), KeeperError> {
    match numbered(dir, prefix)?.first() {
        None => Ok(()),
        Some(stray) => Err(KeeperError::Unrestorable {
            path: stray.path.clone(),
            what: format!("lies in the wrong folder of two: move it to version-2 of {key}"),
        }),
    }
}

fn names(dir: &Path) -> Result<Vec<String>, KeeperError> {
    let entries = fs::read_dir(dir).map_err(KeeperError::io("read", dir))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(KeeperError::io("read", dir))?;
        // A name that is not UTF-8 is no file of ZooKeeper's, but it is a file.
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

fn numbered(dir: &Path, prefix: &str) -> Result<Vec<Numbered>, KeeperError> {
    let mut files: Vec<Numbered> = names(dir)?
        .into_iter()
        .filter_map(|name| {
            let hex = name.strip_prefix(prefix)?.strip_prefix('.')?;
            Some(Numbered { zxid: i64::from_str_radix(hex, 16).ok()?, path: dir.join(&name) })
        })
        .collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(zxids: &[i64], prefix: &str) -> Vec<Numbered> {
        zxids.iter().map(|zxid| Numbered { zxid: *zxid, path: format!("{prefix}.{zxid:x}").into() }).collect()
    }

    fn purged(snapshots: &[i64], logs: &[i64]) -> String {
        let removed = purge(&files(snapshots, "snapshot"), &files(logs, "log"), 3);
        removed.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_purge_keeps_every_entry_after_the_oldest_kept_snapshot() {
        assert_eq!(purged(&[0, 7, 16], &[1, 9, 18]), "");
        assert_eq!(purged(&[0, 7, 16, 24], &[1, 9, 18, 26]), "snapshot.0");
        assert_eq!(purged(&[0, 7, 16, 24, 34], &[1, 9, 18, 26]), "snapshot.0 snapshot.7 log.1");
        assert_eq!(purged(&[5, 7, 16, 24], &[9]), "snapshot.5");
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers_and_others_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), dir.path()).unwrap();
        for name in ["log.10", "log.9", "log.x", "log.9.gz", "snapshot.1", ".snapshot.2.tmp", "currentEpoch"] {
            fs::write(folder.logs.join(name), "").unwrap();
        }
        let zxids: Vec<i64> = folder.logs().unwrap().iter().map(|log| log.zxid).collect();
        assert_eq!(zxids, [9, 16]);
        folder.remove_unfinished().unwrap();
        assert_eq!(folder.snapshots().unwrap().len(), 1);
        assert!(!folder.logs.join(".snapshot.2.tmp").exists());
    }

    #[test]
    fn a_folder_has_one_user_and_a_foreign_one_none() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::open(dir.path(), dir.path()).unwrap();
        assert!(matches!(Folder::open(dir.path(), dir.path()), Err(KeeperError::Locked { .. })));
        drop(first);
        Folder::open(dir.path(), dir.path()).unwrap();
        let foreign = tempfile::tempdir().unwrap();
        fs::write(foreign.path().join("thesis.txt"), "").unwrap();
        assert!(matches!(Folder::open(foreign.path(), foreign.path()), Err(KeeperError::Foreign { .. })));
        assert!(!foreign.path().join(SUBFOLDER).exists());
    }

    #[test]
    fn of_two_folders_each_holds_its_own_files() {
        let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(Folder::open(data.path(), logs.path()).unwrap());
        fs::write(data.path().join("version-2/log.1"), "").unwrap();
        let error = Folder::open(data.path(), logs.path()).unwrap_err().to_string();
        assert!(error.contains("log.1") && error.contains("dataLogDir"), "{error}");
    }
}

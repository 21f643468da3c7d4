//! Work on files that the commit loop does not wait for: writing a snapshot, purging. One piece at a time.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use crate::{
    error::KeeperError,
    file::folder::{self, Folder, sync_dir},
};

/// A thread for files, if there is one at the moment.
#[derive(Debug, Default)]
pub(crate) struct Background(Option<JoinHandle<()>>);

impl Background {
    pub(crate) fn is_busy(&self) -> bool {
        self.0.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Writes the snapshot's bytes. It may fail: the log holds everything.
    pub(crate) fn write_snapshot(&mut self, dir: PathBuf, zxid: i64, bytes: Vec<u8>) {
        self.start(move || {
            if let Err(error) = write_snapshot(&dir, zxid, &bytes) {
                tracing::warn!("keeper: no snapshot this time: {error}");
            }
        });
    }

    /// Removes what the newest snapshots do not need.
    pub(crate) fn purge(&mut self, folder: &Folder, retain: usize) -> Result<(), KeeperError> {
        let (mut snapshots, logs) = (folder.snapshots()?, folder.logs()?);
        snapshots.retain(|snapshot| is_whole(&snapshot.path));
        let removed = folder::purge(&snapshots, &logs, retain);
        self.start(move || {
            for path in removed {
                match fs::remove_file(&path) {
                    Ok(()) => tracing::info!("keeper: purged {}", path.display()),
                    Err(error) => tracing::warn!("keeper: cannot purge {}: {error}", path.display()),
                }
            }
        });
        Ok(())
    }

    fn start(&mut self, work: impl FnOnce() + Send + 'static) {
        self.finish();
        match thread::Builder::new().name("keeper-files".to_owned()).spawn(work) {
            Ok(thread) => self.0 = Some(thread),
            Err(error) => tracing::warn!("keeper: no thread for snapshots and purging: {error}"),
        }
    }

    /// Waits for what is under way.
    pub(crate) fn finish(&mut self) {
        if let Some(thread) = self.0.take()
            && thread.join().is_err()
        {
            tracing::warn!("keeper: writing a snapshot or purging ended in a panic");
        }
    }
}

/// Writes under another name first: there is never half a snapshot.
pub(crate) fn write_snapshot(dir: &Path, zxid: i64, bytes: &[u8]) -> Result<(), KeeperError> {
    let path = dir.join(format!("snapshot.{zxid:x}"));
    let unfinished = dir.join(format!(".snapshot.{zxid:x}.unfinished"));
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)
    };
    write().map_err(KeeperError::io("write", &path))?;
    sync_dir(dir)
}

/// ZooKeeper's own quick test: the last string is the end of a seal.
pub(crate) fn is_whole(path: &Path) -> bool {
    let end = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-5))?;
        let mut end = [0; 5];
        file.read_exact(&mut end)?;
        std::io::Result::Ok(end)
    };
    end().is_ok_and(|end| end == *b"\0\0\0\x01/")
}

//! From the folder's files to a tree: the newest whole snapshot, then the log (FileTxnSnapLog.java, `restore`).

use std::fs::{self, File};

use ottla_jute::{LogEntry, Record, Txn};
use ottla_tree::{Restore, Tree};

use crate::{
    error::KeeperError,
    file::{
        folder::{Folder, Numbered},
        log::{End, LogReader},
        snapshot::{Snapshot, SnapshotWriter},
    },
};

/// The tree that a folder holds, and how it was found.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) tree: Tree,
    /// Log entries since the snapshot.
    pub(crate) replayed: u64,
    /// The largest id of a session of a standalone server, closed ones included.
    pub(crate) newest_session: Option<i64>,
    /// A snapshot must be written before anything is logged: there is none, or the log alone does not say what the tree is.
    pub(crate) snapshot_needed: bool,
}

/// Restores, or begins with an empty tree in an empty folder. `longest`: see [`LogReader::open`].
pub(crate) fn restore(folder: &Folder, longest: usize) -> Result<Restored, KeeperError> {
    let (snapshots, logs) = (folder.snapshots()?, folder.logs()?);
    if let Some(path) = folder.compressed_snapshot()? {
        let what = "compressed snapshots are not read: start ZooKeeper once without snapshot.compression.method";
        return Err(KeeperError::Unrestorable { path, what: what.to_owned() });
    }
    if snapshots.is_empty() {
        // A log that ends before its first entry is what a crash in the very first write leaves.
        for log in &logs {
            if LogReader::open(&log.path, longest)?.next()?.is_some() {
                let what = "a log without any snapshot: the snapshots were lost; restore them from a copy";
                return Err(KeeperError::Unrestorable { path: log.path.clone(), what: what.to_owned() });
            }
        }
        return Ok(Restored { tree: Tree::new(), replayed: 0, newest_session: None, snapshot_needed: true });
    }
    let (tree, is_newest) = newest_whole(folder, &snapshots)?;
    let newest_session = tree.sessions().keys().copied().filter(is_standalone).max();
    let mut restored = Restored { tree, replayed: 0, newest_session, snapshot_needed: !is_newest };
    restored.replay(&logs, longest)?;
    if let Some(log) = logs.last() {
        // A process that was killed may have written without the time to sync; what clients see now must stay.
        File::open(&log.path).and_then(|file| file.sync_all()).map_err(KeeperError::io("sync", &log.path))?;
    }
    let orphans = restored.tree.drop_orphans();
    if orphans > 0 {
        tracing::info!("keeper: removed {orphans} ephemeral nodes whose sessions are not known");
        restored.snapshot_needed = true;
    }
    Ok(restored)
}

/// Server 1, as a standalone one calls itself.
fn is_standalone(session: &i64) -> bool {
    session >> 56 == 1
}

/// The tree of the newest snapshot that can be read, and whether there is no newer one.
fn newest_whole(folder: &Folder, snapshots: &[Numbered]) -> Result<(Tree, bool), KeeperError> {
    let mut is_newest = true;
    for snapshot in snapshots.iter().rev() {
        let bytes = fs::read(&snapshot.path).map_err(KeeperError::io("read", &snapshot.path))?;
        match tree(&bytes, snapshot.zxid) {
            Ok(tree) => return Ok((tree, is_newest)),
            Err(error) => tracing::warn!("keeper: passing over {}: {error}", snapshot.path.display()),
        }
        is_newest = false;
    }
    Err(KeeperError::Unrestorable {
        path: folder.snapshots.clone(),
        what: "none of the snapshots can be read: restore the folder from a copy".to_owned(),
    })
}

fn tree(bytes: &[u8], zxid: i64) -> Result<Tree, Box<dyn std::error::Error>> {
    let snapshot = Snapshot::decode(bytes)?;
    let mut restore = Restore::new(snapshot.sessions, snapshot.acls);
    for node in snapshot.nodes {
        restore.node(node.path, node.data, node.acl, node.stat)?;
    }
    Ok(restore.finish(zxid)?)
}

impl Restored {
    fn replay(&mut self, logs: &[Numbered], longest: usize) -> Result<(), KeeperError> {
        let first = logs.iter().rposition(|log| log.zxid <= self.tree.zxid()).unwrap_or(0);
        // What was passed over may have been the only place of what is missing.
        let mut suspicion = self.snapshot_needed.then_some("the newest snapshot cannot be read");
        for log in &logs[first..] {
            let mut reader = LogReader::open(&log.path, longest)?;
            while let Some(bytes) = reader.next()? {
                let entry = LogEntry::decode(&bytes).map_err(|error| reader.corrupt(&error.to_string()))?;
                let (last, zxid) = (self.tree.zxid(), entry.header.zxid);
                // An ensemble leaves a gap where its epoch, the upper half, changes.
                if zxid > last + 1 && zxid >> 32 == last >> 32 {
                    let gap = format!("entry {zxid:#x} follows {last:#x}");
                    if let Some(suspicion) = suspicion {
                        let what = format!("{gap}, and {suspicion}: restore the folder from a copy");
                        return Err(reader.corrupt(&what));
                    }
                    tracing::warn!("keeper: {}: {gap}", log.path.display());
                }
                if zxid > last {
                    self.apply(&entry);
                }
            }
            if reader.end() == Some(End::Torn) {
                let (path, position) = (log.path.display(), reader.position());
                tracing::warn!("keeper: {path} ends at byte {position} in an entry that a crash cut off");
                suspicion = Some("the log before it ends in the middle of an entry");
            }
        }
        Ok(())
    }

    fn apply(&mut self, entry: &LogEntry) {
        if matches!(entry.txn, Txn::CreateSession(_)) && is_standalone(&entry.header.client_id) {
            self.newest_session = self.newest_session.max(Some(entry.header.client_id));
        }
        self.tree.apply(&entry.header, &entry.txn);
        self.replayed += 1;
    }
}

/// The bytes of a snapshot of the tree as it is.
pub(crate) fn encode(tree: &Tree) -> Vec<u8> {
    let sessions: Vec<(i64, i32)> = tree.sessions().iter().map(|(id, timeout_ms)| (*id, *timeout_ms)).collect();
    let acls: Vec<_> = tree.acls().into_iter().map(|(id, list)| (id, list.to_vec())).collect();
    let mut writer = SnapshotWriter::new(&sessions, &acls);
    for (path, node) in tree.nodes() {
        writer.node(path, node.data().map(AsRef::as_ref), node.acl_id(), node.persisted());
    }
    let digest = if tree.zxid() == 0 { 0 } else { tree.digest() };
    writer.finish(Some((tree.zxid(), digest)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::file::snapshot;

    fn golden() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/version-2");
        fs::create_dir(dir.path().join("version-2")).unwrap();
        for entry in fs::read_dir(source).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join("version-2").join(entry.file_name())).unwrap();
        }
        dir
    }

    fn restored(dir: &Path) -> Restored {
        restore(&Folder::open(dir, dir).unwrap(), 1 << 21).unwrap()
    }

    #[test]
    fn from_every_snapshot_the_log_leads_to_the_same_tree() {
        let dir = golden();
        let whole = encode(&restored(dir.path()).tree);
        assert!(whole.len() > 1000);
        for newest in ["3f", "38", "31", "29", "22", "18", "10", "7"] {
            fs::remove_file(dir.path().join("version-2").join(format!("snapshot.{newest}"))).unwrap();
            let again = restored(dir.path());
            assert!(again.replayed > 0 && !again.snapshot_needed);
            let (ours, first) = (Snapshot::decode(&encode(&again.tree)).unwrap(), Snapshot::decode(&whole).unwrap());
            assert_eq!((&ours.sessions, ours.digest), (&first.sessions, first.digest), "without snapshot.{newest}");
            // ACL numbers may differ: a fresh table counts again.
            let nodes = |snapshot: &Snapshot| -> Vec<_> {
                snapshot.nodes.iter().map(|node| (node.path.clone(), node.data.clone(), node.stat.clone())).collect()
            };
            assert_eq!(nodes(&ours), nodes(&first), "without snapshot.{newest}");
        }
    }

    #[test]
    fn what_we_write_we_read_as_the_same() {
        let dir = golden();
        let bytes = encode(&restored(dir.path()).tree);
        let read = tree(&bytes, 0x47).unwrap();
        assert_eq!(Snapshot::decode(&encode(&read)).unwrap().nodes, Snapshot::decode(&bytes).unwrap().nodes);
    }

    #[test]
    fn a_fresh_trees_snapshot_is_apache_zookeepers() {
        let theirs = snapshot::Snapshot::decode(include_bytes!("../testdata/version-2/snapshot.0")).unwrap();
        let mut ours = Snapshot::decode(&encode(&Tree::new())).unwrap();
        let mut nodes = theirs.nodes.clone();
        nodes.sort_by(|a, b| a.path.cmp(&b.path));
        ours.nodes.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(ours, Snapshot { nodes, ..theirs });
    }

    #[test]
    fn a_gap_behind_an_unreadable_snapshot_is_refused() {
        let dir = golden();
        let version_2 = dir.path().join("version-2");
        fs::write(version_2.join("snapshot.3f"), "").unwrap();
        restored(dir.path());
        fs::remove_file(version_2.join("log.39")).unwrap();
        let error = restore(&Folder::open(dir.path(), dir.path()).unwrap(), 1 << 21).unwrap_err().to_string();
        assert!(error.contains("log.41") && error.contains("0x41 follows"), "{error}");
    }

    #[test]
    fn a_length_that_changed_in_an_older_log_is_noticed_by_what_is_missing() {
        let dir = golden();
        let version_2 = dir.path().join("version-2");
        for newest in ["3f", "38"] {
            fs::remove_file(version_2.join(format!("snapshot.{newest}"))).unwrap();
        }
        let mut log = fs::read(version_2.join("log.39")).unwrap();
        log[16 + 11] ^= 1;
        fs::write(version_2.join("log.39"), log).unwrap();
        let error = restore(&Folder::open(dir.path(), dir.path()).unwrap(), 1 << 21).unwrap_err().to_string();
        assert!(error.contains("0x41 follows 0x38"), "{error}");
    }
}

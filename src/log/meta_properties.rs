//! `meta.properties`: whose folder this is. A Java properties file, version 0 for brokers that live with ZooKeeper.

use std::path::{Path, PathBuf};

use ottla_types::BrokerId;

use crate::disk::{Disk, StorageError, read_file, replace_file};

/// The file's name in a log folder.
pub const META_PROPERTIES_FILE: &str = "meta.properties";

/// What a log folder says about its owner. Keys that we do not know (`directory.id` of 3.7) are kept as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetaProperties {
    /// `broker.id`; absent until one was given or generated.
    pub broker_id: Option<BrokerId>,
    /// `cluster.id`; absent before 0.10.1.
    pub cluster_id: Option<String>,
    /// Every other key, in the file's order.
    pub others: Vec<(String, String)>,
}

/// Why a folder cannot be this broker's. The messages name file, values and remedy.
#[derive(Debug, thiserror::Error)]
pub enum MetaPropertiesError {
    /// The file system failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A folder of KRaft (version 1), or of a future version.
    #[error(
        "{}: version={found} is not a folder of a ZooKeeper-mode broker (version=0); \
         1 is KRaft's: point log.dirs at another folder", path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: String,
    },
    /// A key holds what it cannot.
    #[error("{}: {key}={found} is not {expected}: correct the file, or restore it", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The folder belongs to another broker or cluster.
    #[error(
        "{}: {key}={found} in this folder, but this broker has {expected}: point log.dirs at its own folder, \
         or set {key}={found} if this folder is the right one", path.display()
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The key that differs.
        key: &'static str,
        /// The folder's value.
        found: String,
        /// The broker's value.
        expected: String,
    },
}

impl MetaProperties {
    /// Reads the file of a log folder; `None` if there is none (0.8, or a new folder).
    pub fn read(disk: &dyn Disk, log_dir: &Path) -> Result<Option<MetaProperties>, MetaPropertiesError> {
        let path = log_dir.join(META_PROPERTIES_FILE);
        let content = match read_file(disk, &path, 1 << 20) {
            Ok(content) => content,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        MetaProperties::parse(&path, &String::from_utf8_lossy(&content)).map(Some)
    }

    fn parse(path: &Path, text: &str) -> Result<MetaProperties, MetaPropertiesError> {
        let mut meta = MetaProperties::default();
        let mut version = None;
        for line in text.lines().map(str::trim_start).filter(|l| !l.is_empty() && !l.starts_with(['#', '!'])) {
            let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            let (key, value) = (key.trim().to_string(), value.trim().to_string());
            match key.as_str() {
                "version" => version = Some(value),
                "broker.id" => {
                    let id = value.parse().ok().filter(|id| *id >= 0).map(BrokerId);
                    meta.broker_id = Some(id.ok_or_else(|| MetaPropertiesError::Value {
                        path: path.to_path_buf(),
                        key: "broker.id",
                        found: value,
                        expected: "a number from 0",
                    })?);
                }
                "cluster.id" => meta.cluster_id = Some(value),
                _ => meta.others.push((key, value)),
            }
        }
        match version.as_deref() {
            Some("0") => Ok(meta),
            found => Err(MetaPropertiesError::Version {
                path: path.to_path_buf(),
                found: found.unwrap_or("(absent)").to_string(),
            }),
        }
    }

    /// Writes the file of a log folder.
    pub fn write(&self, disk: &dyn Disk, log_dir: &Path) -> Result<(), StorageError> {
        let mut text = String::from("#\n");
        let mut line = |key: &str, value: &str| {
            text.push_str(key);
            text.push('=');
            text.push_str(value);
            text.push('\n');
        };
        if let Some(id) = self.broker_id {
            line("broker.id", &id.to_string());
        }
        line("version", "0");
        if let Some(id) = &self.cluster_id {
            line("cluster.id", id);
        }
        for (key, value) in &self.others {
            line(key, value);
        }
        replace_file(disk, &log_dir.join(META_PROPERTIES_FILE), text.as_bytes())
    }

    /// Whether this folder may serve the broker; an absent value fits everything.
    ///
    /// # Errors
    /// `Mismatch`.
    pub fn check(
        &self,
        log_dir: &Path,
        broker_id: Option<BrokerId>,
        cluster_id: Option<&str>,
    ) -> Result<(), MetaPropertiesError> {
        let mismatch = |key, found: String, expected: String| {
            Err(MetaPropertiesError::Mismatch { path: log_dir.join(META_PROPERTIES_FILE), key, found, expected })
        };
        if let (Some(found), Some(expected)) = (self.broker_id, broker_id)
            && found != expected
        {
            return mismatch("broker.id", found.to_string(), expected.to_string());
        }
        if let (Some(found), Some(expected)) = (&self.cluster_id, cluster_id)
            && found != expected
        {
            return mismatch("cluster.id", found.clone(), expected.to_string());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    fn parse(text: &str) -> Result<MetaProperties, MetaPropertiesError> {
        MetaProperties::parse(Path::new("/d/meta.properties"), text)
    }

    #[test]
    fn kafkas_files_are_read_and_unknown_keys_survive() {
        let meta = parse(include_str!("testdata/v2/meta.properties")).unwrap();
        assert_eq!(meta.broker_id, Some(BrokerId(1)));
        assert_eq!(meta.cluster_id.as_deref(), Some("foBLt6fZSe-hiu2yWgKcKA"));
        assert_eq!(parse(include_str!("testdata/v1/meta.properties")).unwrap().broker_id, Some(BrokerId(1)));

        let meta = parse("version=0\nbroker.id=3\ndirectory.id=abc\n").unwrap();
        let disk = MemoryDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        assert_eq!(MetaProperties::read(&disk, Path::new("/d")).unwrap(), None);
        meta.write(&disk, Path::new("/d")).unwrap();
        let again = MetaProperties::read(&disk, Path::new("/d")).unwrap().unwrap();
        assert_eq!(again.others, [("directory.id".to_string(), "abc".to_string())]);
        assert_eq!(again, meta);
    }

    #[test]
    fn refusals_name_file_values_and_remedy() {
        let kraft = parse("version=1\nnode.id=1\ncluster.id=x\n").unwrap_err().to_string();
        assert!(kraft.contains("/d/meta.properties: version=1") && kraft.contains("KRaft"), "{kraft}");
        assert!(matches!(parse("broker.id=1\n"), Err(MetaPropertiesError::Version { .. })));
        assert!(matches!(parse("version=0\nbroker.id=-1\n"), Err(MetaPropertiesError::Value { .. })));
        let meta = parse("version=0\nbroker.id=1\ncluster.id=A\n").unwrap();
        assert!(meta.check(Path::new("/d"), Some(BrokerId(1)), Some("A")).is_ok());
        assert!(meta.check(Path::new("/d"), None, None).is_ok());
        let id = meta.check(Path::new("/d"), Some(BrokerId(2)), None).unwrap_err().to_string();
        assert!(id.contains("broker.id=1 in this folder, but this broker has 2"), "{id}");
        assert!(meta.check(Path::new("/d"), None, Some("B")).unwrap_err().to_string().contains("cluster.id=A"));
    }
}

//! The snapshot `snapshot.HEX` (FileSnap.java, SerializeUtils.java), as bytes.

use bytes::Bytes;
use ottla_jute::{Acl, DecodeError, Reader, Record, StatPersisted, write_buffer, write_text};

use crate::file::adler32::Adler32;

/// "ZKSN", version 2, database -1.
const HEADER: [u8; 16] = *b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff";
/// Stands where a node's path would: no node is called so, the root's path is empty.
const END_OF_NODES: &str = "/";
/// The version of the digest's algorithm.
const DIGEST_VERSION: i32 = 2;

/// One node as the snapshot has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotNode {
    /// Empty for the root.
    pub(crate) path: String,
    pub(crate) data: Option<Bytes>,
    /// -1 is open; else a key of the table.
    pub(crate) acl: i64,
    pub(crate) stat: StatPersisted,
}

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Session ids and their timeouts, ms.
    pub(crate) sessions: Vec<(i64, i32)>,
    pub(crate) acls: Vec<(i64, Vec<Acl>)>,
    /// A parent before its children.
    pub(crate) nodes: Vec<SnapshotNode>,
    /// The tree's digest after the entry with this zxid. Servers before 3.6 write none.
    pub(crate) digest: Option<(i64, i64)>,
}

/// Builds a snapshot's bytes.
#[derive(Debug)]
pub(crate) struct SnapshotWriter {
    bytes: Vec<u8>,
}

impl SnapshotWriter {
    pub(crate) fn new(sessions: &[(i64, i32)], acls: &[(i64, Vec<Acl>)]) -> Self {
        let mut bytes = HEADER.to_vec();
        count(sessions.len(), &mut bytes);
        for (id, timeout_ms) in sessions {
            id.write(&mut bytes);
            timeout_ms.write(&mut bytes);
        }
        count(acls.len(), &mut bytes);
        for (id, acl) in acls {
            id.write(&mut bytes);
            acl.write(&mut bytes);
        }
        Self { bytes }
    }

    /// A parent must come before its children.
    pub(crate) fn node(&mut self, path: &str, data: Option<&[u8]>, acl: i64, stat: &StatPersisted) {
        write_text(path, &mut self.bytes);
        match data {
            Some(data) => write_buffer(data, &mut self.bytes),
            None => (-1).write(&mut self.bytes),
        }
        acl.write(&mut self.bytes);
        stat.write(&mut self.bytes);
    }

    pub(crate) fn finish(mut self, digest: Option<(i64, i64)>) -> Vec<u8> {
        write_text(END_OF_NODES, &mut self.bytes);
        let mut checksum = Adler32::new();
        checksum.update(&self.bytes);
        let sealed = self.bytes.len();
        seal(checksum, &mut self.bytes);
        if let Some((zxid, digest)) = digest {
            zxid.write(&mut self.bytes);
            DIGEST_VERSION.write(&mut self.bytes);
            digest.write(&mut self.bytes);
            checksum.update(&self.bytes[sealed..]);
            seal(checksum, &mut self.bytes);
        }
        self.bytes
    }
}

fn count(elements: usize, bytes: &mut Vec<u8>) {
    i32::try_from(elements).expect("fewer than 2^31 sessions and access control lists").write(bytes);
}

fn seal(checksum: Adler32, bytes: &mut Vec<u8>) {
    i64::from(checksum.value()).write(bytes);
    write_text("/", bytes);
}

impl Snapshot {
    /// Reads a whole snapshot; what newer servers write behind the digest is ignored.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let header = reader.take(HEADER.len())?;
        if header[..4] != HEADER[..4] {
            return Err(reader.error("no ZKSN: not a snapshot"));
        }
        let mut sessions = Vec::new();
        for _ in 0..reader.read::<i32>()? {
            sessions.push((reader.read()?, reader.read()?));
        }
        let mut acls = Vec::new();
        for _ in 0..reader.read::<i32>()? {
            acls.push((reader.read()?, reader.read()?));
        }
        let mut nodes = Vec::new();
        loop {
            let path: String = reader.read()?;
            if path == END_OF_NODES {
                break;
            }
            nodes.push(SnapshotNode { path, data: reader.read()?, acl: reader.read()?, stat: reader.read()? });
        }
        let mut checksum = Adler32::new();
        let sealed = check_seal(&mut reader, bytes, &mut checksum, 0)?;
        let digest = if reader.remaining() == 0 { None } else { read_digest(&mut reader)? };
        if digest.is_some() {
            check_seal(&mut reader, bytes, &mut checksum, sealed)?;
        }
        Ok(Self { sessions, acls, nodes, digest: digest.filter(|(zxid, _)| *zxid != 0) })
    }
}

/// The first betas with a digest wrote it as text; no tree of ours can be compared with that.
fn read_digest(reader: &mut Reader<'_>) -> Result<Option<(i64, i64)>, DecodeError> {
    let (zxid, version) = (reader.read()?, reader.read::<i32>()?);
    if version < DIGEST_VERSION { Ok(None) } else { Ok(Some((zxid, reader.read()?))) }
}

/// Compares the checksum of everything before; returns how far it reached.
fn check_seal(
    reader: &mut Reader<'_>,
    bytes: &[u8],
    checksum: &mut Adler32,
    from: usize,
) -> Result<usize, DecodeError> {
    let sealed = reader.position();
    checksum.update(&bytes[from..sealed]);
    let wrong = reader.error("the checksum is wrong");
    let stored: i64 = reader.read()?;
    let end: String = reader.read()?;
    if stored == i64::from(checksum.value()) && end == "/" { Ok(sealed) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [&[u8]; 9] = [
        include_bytes!("../testdata/version-2/snapshot.0"),
        include_bytes!("../testdata/version-2/snapshot.7"),
        include_bytes!("../testdata/version-2/snapshot.10"),
        include_bytes!("../testdata/version-2/snapshot.18"),
        include_bytes!("../testdata/version-2/snapshot.22"),
        include_bytes!("../testdata/version-2/snapshot.29"),
        include_bytes!("../testdata/version-2/snapshot.31"),
        include_bytes!("../testdata/version-2/snapshot.38"),
        include_bytes!("../testdata/version-2/snapshot.3f"),
    ];

    fn encode(snapshot: &Snapshot) -> Vec<u8> {
        let mut writer = SnapshotWriter::new(&snapshot.sessions, &snapshot.acls);
        for node in &snapshot.nodes {
            writer.node(&node.path, node.data.as_deref(), node.acl, &node.stat);
        }
        // A fresh server's snapshot has the digest of nothing.
        writer.finish(Some(snapshot.digest.unwrap_or((0, 0))))
    }

    #[test]
    fn apache_zookeepers_snapshots_are_encoded_again_to_the_same_bytes() {
        for bytes in GOLDEN {
            assert_eq!(encode(&Snapshot::decode(bytes).unwrap()), bytes);
        }
    }

    #[test]
    fn a_changed_byte_or_a_missing_end_is_noticed() {
        let bytes = GOLDEN[1];
        // The version and the database's number are not looked at but are part of the checksum.
        for position in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[position] ^= 0x40;
            assert!(Snapshot::decode(&changed).is_err(), "byte {position}");
        }
        let without_digest = bytes.len() - 33;
        for length in 0..bytes.len() {
            let cut = Snapshot::decode(&bytes[..length]);
            assert_eq!(cut.is_ok(), length == without_digest, "{length} bytes");
        }
    }

    #[test]
    fn a_newer_servers_third_section_is_ignored() {
        let mut bytes = GOLDEN[1].to_vec();
        bytes.extend_from_slice(&[0; 21]);
        Snapshot::decode(&bytes).unwrap();
    }
}

//! The digest of a tree: a sum over its nodes, so that a change costs what the changed nodes cost.

use crate::node::Node;
use ottla_jute::Record;

/// The version of this calculation (`DigestCalculator.DIGEST_VERSION`).
pub const DIGEST_VERSION: i32 = 2;

/// A node's part: CRC-32 of path, data and metadata. What is below `/zookeeper` does not count.
pub(crate) fn node_digest(path: &str, node: &Node) -> u32 {
    if path.starts_with("/zookeeper/") {
        return 0;
    }
    let stat = &node.stat;
    let mut fields = Vec::with_capacity(60);
    for number in [stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime] {
        number.write(&mut fields);
    }
    for number in [stat.version, stat.cversion, stat.aversion] {
        number.write(&mut fields);
    }
    stat.ephemeral_owner.write(&mut fields);

    let mut crc = crc32fast::Hasher::new();
    crc.update(path.as_bytes());
    crc.update(node.data.as_deref().unwrap_or_default());
    crc.update(&fields);
    crc.finalize()
}

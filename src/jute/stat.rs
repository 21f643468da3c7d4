/// A node's metadata as clients see it (68 bytes on the wire, fields in this order).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// zxid of the creation.
    pub czxid: i64,
    /// zxid of the last change of data.
    pub mzxid: i64,
    /// Creation, ms since the epoch.
    pub ctime: i64,
    /// Last change of data, ms since the epoch.
    pub mtime: i64,
    /// Number of changes of data.
    pub version: i32,
    /// Number of changes of the list of children.
    pub cversion: i32,
    /// Number of changes of the ACL.
    pub aversion: i32,
    /// The session that an ephemeral node belongs to, 0 for others.
    pub ephemeral_owner: i64,
    /// Bytes of data.
    pub data_length: i32,
    /// Number of children.
    pub num_children: i32,
    /// zxid of the last change of the list of children.
    pub pzxid: i64,
}

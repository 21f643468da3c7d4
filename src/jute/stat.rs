use crate::{DecodeError, Reader, Record};

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

impl Record for Stat {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            czxid: reader.read()?,
            mzxid: reader.read()?,
            ctime: reader.read()?,
            mtime: reader.read()?,
            version: reader.read()?,
            cversion: reader.read()?,
            aversion: reader.read()?,
            ephemeral_owner: reader.read()?,
            data_length: reader.read()?,
            num_children: reader.read()?,
            pzxid: reader.read()?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.czxid.write(out);
        self.mzxid.write(out);
        self.ctime.write(out);
        self.mtime.write(out);
        self.version.write(out);
        self.cversion.write(out);
        self.aversion.write(out);
        self.ephemeral_owner.write(out);
        self.data_length.write(out);
        self.num_children.write(out);
        self.pzxid.write(out);
    }
}

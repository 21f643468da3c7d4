//! The plain records, as one table: fields in the order of the bytes (`zookeeper.jute`).

use crate::{DecodeError, Reader, Record, Stat};
use bytes::Bytes;

macro_rules! records {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the fields are ZooKeeper's own")]
        pub struct $name { $(pub $field: $type),* }

        impl Record for $name {
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self { $($field: reader.read()?),* })
            }

            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)*
            }
        }
    )*};
}

records! {
    /// Before each request but the first.
    RequestHeader { xid: i32, op_code: i32 }
    /// Before each answer but the first. `zxid`: the newest write that the server had applied.
    ReplyHeader { xid: i32, zxid: i64, err: i32 }

    /// One entry of an access control list: these bits for that identity.
    Acl { perms: i32, id: Id }

    /// create, create2, createContainer. `flags`: 0 persistent, 1 ephemeral, +2 sequential, 4 container, 5 and 6 TTL.
    CreateRequest { path: String, data: Option<Bytes>, acl: Vec<Acl>, flags: i32 }
    /// createTTL.
    CreateTtlRequest { path: String, data: Option<Bytes>, acl: Vec<Acl>, flags: i32, ttl: i64 }
    /// delete, and check inside a multi: `version` -1 means any.
    PathVersionRequest { path: String, version: i32 }
    /// exists, getData, getChildren, getChildren2.
    PathWatchRequest { path: String, watch: bool }
    /// setData.
    SetDataRequest { path: String, data: Option<Bytes>, version: i32 }
    /// getACL, sync, getAllChildrenNumber.
    PathRequest { path: String }
    /// setACL: `version` is that of the ACL.
    SetAclRequest { path: String, acl: Vec<Acl>, version: i32 }
    /// checkWatches, removeWatches: 1 children, 2 data, 3 any.
    WatchesRequest { path: String, watcher_type: i32 }
    /// addWatch: 0 persistent, 1 persistent recursive.
    AddWatchRequest { path: String, mode: i32 }
    /// setWatches: what a client had, and the newest zxid that it saw.
    SetWatchesRequest { relative_zxid: i64, data: Vec<String>, exist: Vec<String>, child: Vec<String> }
    /// setWatches2.
    SetWatches2Request {
        relative_zxid: i64, data: Vec<String>, exist: Vec<String>, child: Vec<String>,
        persistent: Vec<String>, persistent_recursive: Vec<String>,
    }
    /// auth.
    AuthRequest { auth_type: i32, scheme: Option<String>, auth: Option<Bytes> }
    /// getEphemerals: a null, blank or `/` prefix means all.
    GetEphemeralsRequest { prefix: Option<String> }
    /// sasl, both ways.
    SaslRequest { token: Option<Bytes> }
    /// reconfig.
    ReconfigRequest {
        joining: Option<String>, leaving: Option<String>, new_members: Option<String>, config_id: i64,
    }

    /// create2, createContainer, createTTL.
    Create2Response { path: String, stat: Stat }
    /// getData.
    GetDataResponse { data: Option<Bytes>, stat: Stat }
    /// getACL.
    GetAclResponse { acl: Vec<Acl>, stat: Stat }
    /// getChildren2.
    GetChildren2Response { children: Vec<String>, stat: Stat }
    /// whoAmI: one identity of the connection.
    ClientInfo { scheme: String, user: String }
    /// A notification, behind a reply header of xid -1, zxid -1, err 0.
    WatcherEvent { event_type: i32, state: i32, path: String }

    /// Stat as files hold it (60 bytes): `cversion` counts creations only, `ephemeral_owner` is not masked.
    StatPersisted {
        czxid: i64, mzxid: i64, ctime: i64, mtime: i64, version: i32, cversion: i32, aversion: i32,
        ephemeral_owner: i64, pzxid: i64,
    }

    /// create, create2 in the log: the final path, the fixed-up ACL, the parent's stored cversion after it.
    CreateTxn { path: String, data: Option<Bytes>, acl: Vec<Acl>, ephemeral: bool, parent_cversion: i32 }
    /// createTTL in the log.
    CreateTtlTxn { path: String, data: Option<Bytes>, acl: Vec<Acl>, parent_cversion: i32, ttl: i64 }
    /// createContainer in the log.
    CreateContainerTxn { path: String, data: Option<Bytes>, acl: Vec<Acl>, parent_cversion: i32 }
    /// setData, reconfig in the log: `version` is the new one.
    SetDataTxn { path: String, data: Option<Bytes>, version: i32 }
    /// setACL in the log: `version` is the new one.
    SetAclTxn { path: String, acl: Vec<Acl>, version: i32 }
    /// check in the log, inside a multi only: `version` is the one checked + 1.
    CheckTxn { path: String, version: i32 }
    /// Digest of the tree after a log entry. The version is 2.
    TxnDigest { version: i32, tree_digest: i64 }
}

/// Who: `world:anyone`, `digest:user:hash`, `ip:10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the fields are ZooKeeper's own")]
pub struct Id {
    pub scheme: String,
    pub id: String,
}

impl Record for Id {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // A null scheme is an ACL that nobody knows (INVALIDACL) and not a record that cannot be read.
        Ok(Self { scheme: reader.read::<Option<String>>()?.unwrap_or_default(), id: reader.read()? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.scheme.write(out);
        self.id.write(out);
    }
}

impl Acl {
    /// `world:anyone` with all bits: what nearly every node has.
    pub fn open() -> Self {
        Self { perms: 31, id: Id { scheme: "world".into(), id: "anyone".into() } }
    }
}

impl WatcherEvent {
    /// The event as a connected server sends it.
    pub fn new(event_type: crate::EventType, path: impl Into<String>) -> Self {
        Self { event_type: event_type.code(), state: 3, path: path.into() }
    }
}

impl ReplyHeader {
    /// What stands before every notification.
    pub const NOTIFICATION: Self = Self { xid: -1, zxid: -1, err: 0 };
}

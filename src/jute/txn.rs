//! Log entries: what happened, in a form that can be done again.

use crate::{
    CheckTxn, CreateContainerTxn, CreateTtlTxn, CreateTxn, DecodeError, OpCode, Reader, Record, SetAclTxn, SetDataTxn,
    TxnDigest, write_buffer,
};

/// Who did it and when. The type of the entry follows from the [`Txn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxnHeader {
    /// The session; 0 for the server itself.
    pub client_id: i64,
    /// The request's xid; 0 for createSession and expiry.
    pub cxid: i32,
    /// Its number.
    pub zxid: i64,
    /// Wall clock, ms since the epoch.
    pub time_ms: i64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Txn {
    /// create, old form: no stat in the answer.
    Create(CreateTxn),
    /// create with a stat in the answer.
    Create2(CreateTxn),
    /// A node that goes when unused for long.
    CreateTtl(CreateTtlTxn),
    /// A node that goes when its last child does.
    CreateContainer(CreateContainerTxn),
    /// The node of that path went.
    Delete(String),
    /// A container or TTL node went, by the server.
    DeleteContainer(String),
    /// New data.
    SetData(SetDataTxn),
    /// New configuration of an ensemble: new data of `/zookeeper/config`.
    Reconfig(SetDataTxn),
    /// New ACL.
    SetAcl(SetAclTxn),
    /// Inside a multi only.
    Check(CheckTxn),
    /// Several at once; if one is an [`Txn::Error`], nothing happened.
    Multi(Vec<Txn>),
    /// A request that failed with that code; it took a zxid all the same.
    Error(i32),
    /// A session with that timeout, ms.
    CreateSession(i32),
    /// The end of a session and these ephemeral nodes; `None`, as servers before 3.6 write, means all it has.
    CloseSession(Option<Vec<String>>),
}

impl Txn {
    /// The type for the header.
    pub fn op_code(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::Delete(_) => OpCode::Delete,
            Self::DeleteContainer(_) => OpCode::DeleteContainer,
            Self::SetData(_) => OpCode::SetData,
            Self::Reconfig(_) => OpCode::Reconfig,
            Self::SetAcl(_) => OpCode::SetAcl,
            Self::Check(_) => OpCode::Check,
            Self::Multi(_) => OpCode::Multi,
            Self::Error(_) => OpCode::Error,
            Self::CreateSession(_) => OpCode::CreateSession,
            Self::CloseSession(_) => OpCode::CloseSession,
        }
    }

    fn read_fields(op_code: i32, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match OpCode::from_code(op_code) {
            Some(OpCode::Create) => Self::Create(read_create(reader)?),
            Some(OpCode::Create2) => Self::Create2(reader.read()?),
            Some(OpCode::CreateTtl) => Self::CreateTtl(reader.read()?),
            Some(OpCode::CreateContainer) => Self::CreateContainer(reader.read()?),
            Some(OpCode::Delete) => Self::Delete(reader.read()?),
            Some(OpCode::DeleteContainer) => Self::DeleteContainer(reader.read()?),
            Some(OpCode::SetData) => Self::SetData(reader.read()?),
            Some(OpCode::Reconfig) => Self::Reconfig(reader.read()?),
            Some(OpCode::SetAcl) => Self::SetAcl(reader.read()?),
            Some(OpCode::Check) => Self::Check(reader.read()?),
            Some(OpCode::Error) => Self::Error(reader.read()?),
            Some(OpCode::CreateSession) => Self::CreateSession(reader.read()?),
            Some(OpCode::CloseSession) if reader.remaining() == 0 => Self::CloseSession(None),
            Some(OpCode::CloseSession) => Self::CloseSession(Some(reader.read()?)),
            Some(OpCode::Multi) => Self::Multi(reader.read()?),
            _ => return Err(reader.error("a log entry of an unknown type")),
        })
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        match self {
            Self::Create(txn) | Self::Create2(txn) => txn.write(out),
            Self::CreateTtl(txn) => txn.write(out),
            Self::CreateContainer(txn) => txn.write(out),
            Self::Delete(path) | Self::DeleteContainer(path) => path.write(out),
            Self::SetData(txn) | Self::Reconfig(txn) => txn.write(out),
            Self::SetAcl(txn) => txn.write(out),
            Self::Check(txn) => txn.write(out),
            Self::Error(number) | Self::CreateSession(number) => number.write(out),
            Self::CloseSession(paths) => {
                if let Some(paths) = paths {
                    paths.write(out);
                }
            }
            Self::Multi(txns) => txns.write(out),
        }
    }
}

/// Servers up to 3.3 wrote no parent's cversion: -1 then means "the parent's + 1".
fn read_create(reader: &mut Reader<'_>) -> Result<CreateTxn, DecodeError> {
    Ok(CreateTxn {
        path: reader.read()?,
        data: reader.read()?,
        acl: reader.read()?,
        ephemeral: reader.read()?,
        parent_cversion: if reader.remaining() == 0 { -1 } else { reader.read()? },
    })
}

/// As it stands inside a multi: its type and its record as a buffer.
impl Record for Txn {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let op_code = reader.read()?;
        let record = reader.buffer()?.unwrap_or_default();
        if op_code == OpCode::Multi.code() {
            return Err(reader.error("a multi inside a multi"));
        }
        Self::read_fields(op_code, &mut Reader::new(record))
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.op_code().code().write(out);
        let mut record = Vec::new();
        self.write_fields(&mut record);
        write_buffer(&record, out);
    }
}

/// The bytes of an entry of the log, without its checksum and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Who and when.
    pub header: TxnHeader,
    /// What.
    pub txn: Txn,
    /// Digest of the tree afterwards. Not behind a closeSession without paths: readers would take it for their count.
    pub digest: Option<TxnDigest>,
}

impl Record for LogEntry {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (client_id, cxid, zxid, time_ms) = (reader.read()?, reader.read()?, reader.read()?, reader.read()?);
        let op_code = reader.read()?;
        Ok(Self {
            header: TxnHeader { client_id, cxid, zxid, time_ms },
            txn: Txn::read_fields(op_code, reader)?,
            // Too short for a digest is none, as for ZooKeeper.
            digest: if reader.remaining() < 12 { None } else { Some(reader.read()?) },
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.header.client_id.write(out);
        self.header.cxid.write(out);
        self.header.zxid.write(out);
        self.header.time_ms.write(out);
        self.txn.op_code().code().write(out);
        self.txn.write_fields(out);
        if let Some(digest) = &self.digest {
            digest.write(out);
        }
    }
}

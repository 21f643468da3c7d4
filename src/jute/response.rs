//! The record behind a reply header, by the operation that was asked for.

use crate::{
    ClientInfo, Create2Response, DecodeError, GetAclResponse, GetChildren2Response, GetDataResponse, OpCode, OpResult,
    PathRequest, Reader, Record, SaslRequest, Stat,
};

/// The answer to an operation that did not fail. A failed one has no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// No record: ping, delete, check, setWatches, checkWatches, removeWatches, auth, closeSession, and all that failed.
    Empty,
    /// create: the final path.
    Create(String),
    /// create2, createContainer, createTTL.
    Create2(Create2Response),
    /// exists, setData, setACL.
    Stat(Stat),
    /// getData.
    GetData(GetDataResponse),
    /// getACL.
    GetAcl(GetAclResponse),
    /// getChildren, getEphemerals.
    Paths(Vec<String>),
    /// getChildren2.
    GetChildren2(GetChildren2Response),
    /// sync: the path that was sent.
    Sync(PathRequest),
    /// multi, multiRead.
    Multi(Vec<OpResult>),
    /// addWatch: an error code, 0.
    AddWatch(i32),
    /// getAllChildrenNumber.
    Number(i32),
    /// whoAmI.
    WhoAmI(Vec<ClientInfo>),
    /// sasl.
    Sasl(SaslRequest),
}

impl Response {
    /// Reads the answer to that operation; the reply header must have said 0.
    pub fn read(op_code: OpCode, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        use OpCode::*;
        Ok(match op_code {
            Create => Self::Create(reader.read()?),
            Create2 | CreateContainer | CreateTtl => Self::Create2(reader.read()?),
            Exists | SetData | SetAcl | Reconfig => Self::Stat(reader.read()?),
            GetData => Self::GetData(reader.read()?),
            GetAcl => Self::GetAcl(reader.read()?),
            GetChildren | GetEphemerals => Self::Paths(reader.read()?),
            GetChildren2 => Self::GetChildren2(reader.read()?),
            Sync => Self::Sync(reader.read()?),
            Multi | MultiRead => Self::Multi(reader.read()?),
            AddWatch => Self::AddWatch(reader.read()?),
            GetAllChildrenNumber => Self::Number(reader.read()?),
            WhoAmI => Self::WhoAmI(reader.read()?),
            Sasl => Self::Sasl(reader.read()?),
            Ping | Delete | Check | CheckWatches | RemoveWatches | SetWatches | SetWatches2 | Auth
            | DeleteContainer | CreateSession | CloseSession | Error => Self::Empty,
        })
    }

    /// Appends the record.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => {}
            Self::Create(path) => path.write(out),
            Self::Create2(response) => response.write(out),
            Self::Stat(stat) => stat.write(out),
            Self::GetData(response) => response.write(out),
            Self::GetAcl(response) => response.write(out),
            Self::Paths(paths) => paths.write(out),
            Self::GetChildren2(response) => response.write(out),
            Self::Sync(path) => path.write(out),
            Self::Multi(results) => results.write(out),
            Self::AddWatch(number) | Self::Number(number) => number.write(out),
            Self::WhoAmI(identities) => identities.write(out),
            Self::Sasl(token) => token.write(out),
        }
    }
}

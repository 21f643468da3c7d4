//! A request, by its operation.

use crate::{
    AddWatchRequest, AuthRequest, CreateRequest, CreateTtlRequest, DecodeError, GetEphemeralsRequest, Op, OpCode,
    PathRequest, PathVersionRequest, PathWatchRequest, ReadOp, Reader, ReconfigRequest, Record, SaslRequest,
    SetAclRequest, SetDataRequest, SetWatches2Request, SetWatchesRequest, WatchesRequest,
};

macro_rules! requests {
    ($($name:ident($record:ty),)* ; $($empty:ident,)*) => {
        /// What a client asks. The operation's number is in the header, not here.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are those of the operations")]
        pub enum Request { $($name($record),)* $($empty,)* }

        impl Request {
            /// The operation, for the header.
            pub fn op_code(&self) -> OpCode {
                match self {
                    $(Self::$name(_) => OpCode::$name,)*
                    $(Self::$empty => OpCode::$empty,)*
                }
            }

            /// Reads the record of that operation. `None`: clients cannot ask for it (answered with UNIMPLEMENTED).
            pub fn read(op_code: OpCode, reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
                Ok(Some(match op_code {
                    $(OpCode::$name => Self::$name(reader.read()?),)*
                    $(OpCode::$empty => Self::$empty,)*
                    OpCode::CreateSession | OpCode::Error => return Ok(None),
                }))
            }

            /// Appends the record.
            pub fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(record) => record.write(out),)*
                    $(Self::$empty => {})*
                }
            }
        }
    };
}

requests! {
    Create(CreateRequest),
    Create2(CreateRequest),
    CreateContainer(CreateRequest),
    CreateTtl(CreateTtlRequest),
    Delete(PathVersionRequest),
    Exists(PathWatchRequest),
    GetData(PathWatchRequest),
    SetData(SetDataRequest),
    GetAcl(PathRequest),
    SetAcl(SetAclRequest),
    GetChildren(PathWatchRequest),
    GetChildren2(PathWatchRequest),
    Sync(PathRequest),
    Check(PathVersionRequest),
    Multi(Vec<Op>),
    MultiRead(Vec<ReadOp>),
    Reconfig(ReconfigRequest),
    CheckWatches(WatchesRequest),
    RemoveWatches(WatchesRequest),
    AddWatch(AddWatchRequest),
    SetWatches(SetWatchesRequest),
    SetWatches2(SetWatches2Request),
    Auth(AuthRequest),
    Sasl(SaslRequest),
    GetEphemerals(GetEphemeralsRequest),
    GetAllChildrenNumber(PathRequest),
    ;
    Ping,
    WhoAmI,
    DeleteContainer,
    CloseSession,
}

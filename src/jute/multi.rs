//! multi and multiRead: a header before each operation and each result, and one at the end.

use crate::{
    Create2Response, CreateRequest, CreateTtlRequest, DecodeError, GetDataResponse, OpCode, PathVersionRequest,
    PathWatchRequest, Reader, Record, SetDataRequest, Stat,
};

struct MultiHeader {
    op_code: i32,
    done: bool,
    err: i32,
}

impl MultiHeader {
    const END: Self = Self { op_code: -1, done: true, err: -1 };

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { op_code: reader.read()?, done: reader.read()?, err: reader.read()? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.op_code.write(out);
        self.done.write(out);
        self.err.write(out);
    }
}

/// Reads elements behind headers until the last header.
fn read_list<T>(
    reader: &mut Reader<'_>,
    mut element: impl FnMut(&MultiHeader, &mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut list = Vec::new();
    loop {
        let header = MultiHeader::read(reader)?;
        if header.done {
            return Ok(list);
        }
        list.push(element(&header, reader)?);
    }
}

macro_rules! operations {
    ($(#[$doc:meta])* $list:ident { $($name:ident($record:ty),)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are those of the operations")]
        pub enum $list { $($name($record),)* }

        impl $list {
            /// The operation.
            pub fn op_code(&self) -> OpCode {
                match self { $(Self::$name(_) => OpCode::$name,)* }
            }

            fn read(op_code: i32, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let operation = match OpCode::from_code(op_code) {
                    $(Some(OpCode::$name) => Self::$name(reader.read()?),)*
                    _ => return Err(reader.error("an operation that a multi cannot hold")),
                };
                if operation.has_unknown_flags() {
                    return Err(reader.error("unknown flags of a create"));
                }
                Ok(operation)
            }
        }

        /// The operations of one request, ended by the last header.
        impl Record for Vec<$list> {
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                read_list(reader, |header, reader| $list::read(header.op_code, reader))
            }

            fn write(&self, out: &mut Vec<u8>) {
                for operation in self {
                    MultiHeader { op_code: operation.op_code().code(), done: false, err: -1 }.write(out);
                    match operation { $($list::$name(record) => record.write(out),)* }
                }
                MultiHeader::END.write(out);
            }
        }
    };
}

operations! {
    /// One operation of a multi: all of them happen or none.
    Op {
        Create(CreateRequest),
        Create2(CreateRequest),
        CreateContainer(CreateRequest),
        CreateTtl(CreateTtlRequest),
        Delete(PathVersionRequest),
        SetData(SetDataRequest),
        Check(PathVersionRequest),
    }
}

operations! {
    /// One operation of a multiRead: each succeeds or fails by itself. The watch flag means nothing here.
    ReadOp {
        GetChildren(PathWatchRequest),
        GetData(PathWatchRequest),
    }
}

impl Op {
    /// The server refuses the whole request for those.
    fn has_unknown_flags(&self) -> bool {
        let flags = match self {
            Self::Create(create) | Self::Create2(create) | Self::CreateContainer(create) => create.flags,
            Self::CreateTtl(create) => create.flags,
            Self::Delete(_) | Self::SetData(_) | Self::Check(_) => 0,
        };
        !(0..=6).contains(&flags)
    }
}

impl ReadOp {
    fn has_unknown_flags(&self) -> bool {
        false
    }
}

/// The result of one operation of a multi or multiRead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpResult {
    /// create: the final path.
    Create(String),
    /// create2, createContainer, createTTL.
    Create2(Create2Response),
    /// delete.
    Delete,
    /// setData.
    SetData(Stat),
    /// check.
    Check,
    /// getChildren.
    GetChildren(Vec<String>),
    /// getData.
    GetData(GetDataResponse),
    /// An error code; in a failed multi 0 for the operations before the one that failed, -2 for those after it.
    Error(i32),
}

/// The results of one request, ended by the last header.
impl Record for Vec<OpResult> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_list(reader, |header, reader| {
            Ok(match OpCode::from_code(header.op_code) {
                Some(OpCode::Create) => OpResult::Create(reader.read()?),
                Some(OpCode::Create2) => OpResult::Create2(reader.read()?),
                Some(OpCode::Delete) => OpResult::Delete,
                Some(OpCode::SetData) => OpResult::SetData(reader.read()?),
                Some(OpCode::Check) => OpResult::Check,
                Some(OpCode::GetChildren) => OpResult::GetChildren(reader.read()?),
                Some(OpCode::GetData) => OpResult::GetData(reader.read()?),
                Some(OpCode::Error) => OpResult::Error(reader.read()?),
                _ => return Err(reader.error("a result of an unknown operation")),
            })
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        for result in self {
            let (op_code, err) = match result {
                OpResult::Create(_) => (OpCode::Create, 0),
                OpResult::Create2(_) => (OpCode::Create2, 0),
                OpResult::Delete => (OpCode::Delete, 0),
                OpResult::SetData(_) => (OpCode::SetData, 0),
                OpResult::Check => (OpCode::Check, 0),
                OpResult::GetChildren(_) => (OpCode::GetChildren, 0),
                OpResult::GetData(_) => (OpCode::GetData, 0),
                OpResult::Error(err) => (OpCode::Error, *err),
            };
            MultiHeader { op_code: op_code.code(), done: false, err }.write(out);
            match result {
                OpResult::Create(path) => path.write(out),
                OpResult::Create2(response) => response.write(out),
                OpResult::Delete | OpResult::Check => {}
                OpResult::SetData(stat) => stat.write(out),
                OpResult::GetChildren(children) => children.write(out),
                OpResult::GetData(response) => response.write(out),
                OpResult::Error(err) => err.write(out),
            }
        }
        MultiHeader::END.write(out);
    }
}

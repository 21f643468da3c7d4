use bytes::{Buf, BufMut, Bytes};

use crate::Str;
use crate::api_key::ApiKey;
use crate::reader::{DecodeError, Fault, Read, Reader};
use crate::writer::{Write, Writer};

/// What stands before a request (`RequestHeader.json`). The client id keeps its two-byte length in all versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which API.
    pub api_key: ApiKey,
    /// In which version; whether the codec has it, `Message::decode` says.
    pub api_version: i16,
    /// Returned in the response.
    pub correlation_id: i32,
    /// What the client calls itself; null in ControlledShutdown version 0.
    pub client_id: Option<Str>,
}

impl RequestHeader {
    /// Reads the header from the front of `buf` and leaves the request's body.
    pub fn decode(buf: &mut Bytes) -> Result<RequestHeader, DecodeError> {
        let mut reader = Reader::new(buf, 0, false);
        match RequestHeader::read(&mut reader) {
            Ok(Ok(header)) => {
                let read = reader.position();
                buf.advance(read);
                Ok(header)
            }
            Ok(Err(key)) => Err(DecodeError::UnknownApi { key }),
            Err(fault) => Err(reader.error("RequestHeader", fault)),
        }
    }

    /// The outer result is about bytes, the inner error an unknown key.
    fn read(reader: &mut Reader<'_>) -> Result<Result<RequestHeader, i16>, Fault> {
        let key = i16::read(reader)?;
        let api_version = i16::read(reader)?;
        let correlation_id = i32::read(reader)?;
        let Some(api_key) = ApiKey::from_code(key) else { return Ok(Err(key)) };
        let header_version = api_key.request_header_version(api_version);
        let client_id = if header_version >= 1 { Read::read(reader)? } else { None };
        if header_version >= 2 {
            reader.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(Ok(RequestHeader { api_key, api_version, correlation_id, client_id }))
    }

    /// Writes the header. In version 0 the client id is left out.
    pub(crate) fn write(&self, writer: &mut Writer) {
        self.api_key.code().write(writer);
        self.api_version.write(writer);
        self.correlation_id.write(writer);
        let header_version = self.api_key.request_header_version(self.api_version);
        if header_version >= 1 {
            writer.inflexible(|writer| self.client_id.write(writer));
        }
        if header_version >= 2 {
            writer.unsigned_varint(0);
        }
    }
}

/// Reads a response's header from the front of `buf`, which leaves its body, and returns the correlation id.
pub fn decode_response_header(buf: &mut Bytes, key: ApiKey, version: i16) -> Result<i32, DecodeError> {
    let mut reader = Reader::new(buf, version, false);
    let read = |reader: &mut Reader<'_>| {
        let correlation_id = i32::read(reader)?;
        if key.response_header_version(version) >= 1 {
            reader.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(correlation_id)
    };
    match read(&mut reader) {
        Ok(correlation_id) => {
            let read = reader.position();
            buf.advance(read);
            Ok(correlation_id)
        }
        Err(fault) => Err(reader.error("ResponseHeader", fault)),
    }
}

pub(crate) fn write_response_header(writer: &mut Writer, key: ApiKey, correlation_id: i32) {
    writer.buf.put_i32(correlation_id);
    if key.response_header_version(writer.version()) >= 1 {
        writer.unsigned_varint(0);
    }
}

use std::ops::RangeInclusive;

use bytes::{Buf, Bytes, BytesMut};

use crate::api_key::ApiKey;
use crate::frame::{Frame, Payload};
use crate::reader::{DecodeError, Read, Reader};
use crate::writer::{EncodeError, Write, Writer};

/// A request or a response: what its description says, in all its versions.
pub trait Message: Write + Sized {
    /// Which API it belongs to.
    const KEY: ApiKey;
    /// The message's name, as Kafka spells it.
    const NAME: &'static str;
    /// The versions that the codec knows.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact lengths and tagged fields (KIP-482); `i16::MAX` if there is none.
    const FLEXIBLE_FROM: i16;
    /// What stands for record bytes.
    type Payload: Payload;

    /// Calls `visit` with the record bytes, in the order in which they are written.
    fn for_each_payload<'a>(&'a self, visit: &mut dyn FnMut(&'a Self::Payload)) {
        let _ = visit;
    }

    /// Reads the message from the front of `buf` and leaves what follows it (Kafka ignores it). Strings and record
    /// bytes share `buf`'s memory: what must outlive the request for long should be copied.
    fn decode(buf: &mut Bytes, version: i16) -> Result<Self, DecodeError>
    where
        Self: Read,
    {
        if !Self::VERSIONS.contains(&version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let mut reader = Reader::new(buf, version, version >= Self::FLEXIBLE_FROM);
        match Self::read(&mut reader) {
            Ok(message) => {
                let read = reader.position();
                buf.advance(read);
                Ok(message)
            }
            Err(fault) => Err(reader.error(Self::NAME, fault)),
        }
    }

    /// Appends the message, record bytes included, without a header.
    ///
    /// # Panics
    /// If the codec has no such version.
    fn encode(&self, buf: &mut BytesMut, version: i16) -> Result<(), EncodeError>
    where
        Self::Payload: AsRef<[u8]>,
    {
        let mut writer = self.writer(Vec::new(), version);
        self.write(&mut writer);
        for part in Frame::assemble(writer, self, false)?.parts {
            buf.extend_from_slice(part.as_ref());
        }
        Ok(())
    }

    /// A writer of this message that appends to `buf`.
    ///
    /// # Panics
    /// If the codec has no such version.
    fn writer(&self, buf: Vec<u8>, version: i16) -> Writer {
        assert!(Self::VERSIONS.contains(&version), "{} has no version {version}", Self::NAME);
        Writer::new(buf, version, version >= Self::FLEXIBLE_FROM)
    }
}

/// A message that asks.
pub trait Request: Message {
    /// The message that answers it, in the same version.
    type Response: Message + Read;
}

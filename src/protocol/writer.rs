use bytes::{BufMut, Bytes};

use crate::frame::Payload;
use crate::{Str, Uuid};

/// Why a message cannot be written: it holds more than its version can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string above 32,767 bytes in a version that is not flexible, or anything above 2^31-1.
    #[error("a length of {0} does not fit the message's version")]
    TooLong(usize),
}

/// Writes one message. Record bytes are not copied: the place where they belong is noted instead.
#[derive(Debug)]
pub struct Writer {
    pub(crate) buf: Vec<u8>,
    version: i16,
    flexible: bool,
    pub(crate) cuts: Vec<usize>,
    pub(crate) payload_len: usize,
    pub(crate) error: Option<EncodeError>,
}

impl Writer {
    /// Appends to `buf`.
    pub fn new(buf: Vec<u8>, version: i16, flexible: bool) -> Writer {
        Writer { buf, version, flexible, cuts: Vec::new(), payload_len: 0, error: None }
    }

    /// The version that is written.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Whether this version has compact lengths and tagged fields.
    pub fn flexible(&self) -> bool {
        self.flexible
    }

    /// An unsigned number of 1 to 5 bytes, the lowest 7 bits first.
    #[inline]
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buf.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buf.put_u8(value as u8);
    }

    #[inline]
    fn length(&mut self, length: Option<usize>, wide: bool) {
        let limit = if wide || self.flexible { i32::MAX as usize - 1 } else { i16::MAX as usize };
        if length.is_some_and(|length| length > limit) {
            self.error = length.map(EncodeError::TooLong);
        }
        if self.flexible {
            self.unsigned_varint(length.map_or(0, |length| length as u32 + 1));
        } else if wide {
            self.buf.put_i32(length.map_or(-1, |length| length as i32));
        } else {
            self.buf.put_i16(length.map_or(-1, |length| length as i16));
        }
    }

    /// Lets `write` write as versions do that are not flexible: the client id in a request's header.
    pub(crate) fn inflexible(&mut self, write: impl FnOnce(&mut Writer)) {
        let flexible = std::mem::replace(&mut self.flexible, false);
        write(self);
        self.flexible = flexible;
    }

    fn array<T: Write>(&mut self, elements: Option<&Vec<T>>) {
        self.length(elements.map(Vec::len), true);
        for element in elements.into_iter().flatten() {
            element.write(self);
        }
    }

    /// The length of record bytes, and a note that they belong here.
    pub(crate) fn records<P: Payload>(&mut self, records: &Option<P>) {
        let length = records.as_ref().map(Payload::len);
        self.length(length, true);
        if let Some(length @ 1..) = length {
            self.cuts.push(self.buf.len());
            self.payload_len += length;
        }
    }

    /// One tagged field: tag, size, value.
    pub(crate) fn tagged(&mut self, tag: u32, value: &impl Write) {
        self.unsigned_varint(tag);
        let start = self.buf.len();
        value.write(self);
        let size = self.buf.len() - start;
        self.unsigned_varint(size as u32);
        let prefix = self.buf.len() - start - size;
        self.buf[start..].rotate_right(prefix);
    }
}

/// Whether a tagged field must be written. (A function, so that the default gets the value's type.)
#[inline]
pub(crate) fn differs<T: PartialEq>(value: &T, default: &T) -> bool {
    value != default
}

/// What can be written into a message.
pub trait Write {
    /// Writes the value.
    fn write(&self, writer: &mut Writer);
}

macro_rules! write_number {
    ($($number:ty: $put:ident),*) => {$(
        impl Write for $number {
            #[inline]
            fn write(&self, writer: &mut Writer) {
                writer.buf.$put(*self);
            }
        }
    )*};
}
write_number!(i8: put_i8, i16: put_i16, u16: put_u16, i32: put_i32, i64: put_i64);

impl Write for bool {
    #[inline]
    fn write(&self, writer: &mut Writer) {
        writer.buf.put_u8(u8::from(*self));
    }
}

impl Write for Uuid {
    #[inline]
    fn write(&self, writer: &mut Writer) {
        writer.buf.put_slice(self);
    }
}

impl Write for Str {
    #[inline]
    fn write(&self, writer: &mut Writer) {
        writer.length(Some(self.len()), false);
        writer.buf.put_slice(self.as_bytes());
    }
}

impl Write for Bytes {
    #[inline]
    fn write(&self, writer: &mut Writer) {
        writer.length(Some(self.len()), true);
        writer.buf.put_slice(self);
    }
}

impl<T: Write> Write for Vec<T> {
    #[inline]
    fn write(&self, writer: &mut Writer) {
        writer.array(Some(self));
    }
}

impl Write for Option<Str> {
    #[inline]
    fn write(&self, writer: &mut Writer) {
        match self {
            Some(text) => text.write(writer),
            None => writer.length(None, false),
        }
    }
}

impl Write for Option<Bytes> {
    #[inline]
    fn write(&self, writer: &mut Writer) {
        match self {
            Some(bytes) => bytes.write(writer),
            None => writer.length(None, true),
        }
    }
}

impl<T: Write> Write for Option<Vec<T>> {
    #[inline]
    fn write(&self, writer: &mut Writer) {
        writer.array(self.as_ref());
    }
}

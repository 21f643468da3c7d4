//! The primitive types: how each is read from a slice and written to a buffer.

use bytes::Bytes;

/// Bytes that are not the record they should be. A server answers MARSHALLINGERROR; in a file it is damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of the record")]
pub struct DecodeError {
    /// What is wrong.
    pub what: &'static str,
    /// Where, in bytes from the start of the slice that was read.
    pub at: usize,
}

/// Reads from a slice. Every length is compared with what remains before anything is allocated.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the slice's first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// An error at the present position.
    pub fn error(&self, what: &'static str) -> DecodeError {
        DecodeError { what, at: self.position }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        if count > self.remaining() {
            return Err(self.error("a record that is cut off"));
        }
        let taken = &self.bytes[self.position..self.position + count];
        self.position += count;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Any record.
    pub fn read<T: Record>(&mut self) -> Result<T, DecodeError> {
        T::read(self)
    }

    /// A length: `None` is null (-1).
    fn length(&mut self) -> Result<Option<usize>, DecodeError> {
        match i32::read(self)? {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) if length <= self.remaining() => Ok(Some(length)),
                Ok(_) => Err(self.error("a length beyond the end of the record")),
                Err(_) => Err(self.error("a negative length")),
            },
        }
    }

    /// A buffer, borrowed.
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.length()? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }
}

/// Something that jute can write and read.
pub trait Record: Sized {
    /// Reads one from where the reader stands.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Appends one.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads one from the start of a slice. Bytes behind it are ignored, as ZooKeeper does.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(bytes))
    }

    /// The bytes of this one alone.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

impl Record for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(reader.array::<1>()? != [0])
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Record for i32 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self::from_be_bytes)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Record for i64 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self::from_be_bytes)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Record for Option<Bytes> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(reader.buffer()?.map(Bytes::copy_from_slice))
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(bytes) => write_buffer(bytes, out),
            None => (-1).write(out),
        }
    }
}

/// A string that may be null. Malformed UTF-8 becomes U+FFFD, as Java's decoder makes it.
impl Record for Option<String> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(reader.buffer()?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(text) => write_text(text, out),
            None => (-1).write(out),
        }
    }
}

/// A string that must not be null.
impl Record for String {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let null = reader.error("a null string");
        Option::<String>::read(reader)?.ok_or(null)
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_text(self, out);
    }
}

/// A vector; a null one is read as empty.
impl<T: Record> Record for Vec<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // An element has at least one byte, so the count is bounded like a length; the vector grows as elements are read.
        let count = reader.length()?.unwrap_or(0);
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(T::read(reader)?);
        }
        Ok(elements)
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_length(self.len(), out);
        for element in self {
            element.write(out);
        }
    }
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    i32::try_from(length).expect("a record of ours is smaller than 2 GiB").write(out);
}

/// Appends a buffer that is not null.
pub fn write_buffer(bytes: &[u8], out: &mut Vec<u8>) {
    write_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Appends a string as ZooKeeper's writer does: each UTF-16 unit by itself, so a character beyond U+FFFF takes 2 x 3 bytes.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|byte| byte < 0xf0) {
        return write_buffer(text.as_bytes(), out);
    }
    let mut encoded = Vec::with_capacity(text.len() * 3 / 2);
    for unit in text.encode_utf16() {
        match unit {
            0..=0x7f => encoded.push(unit as u8),
            0x80..=0x7ff => encoded.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
            _ => {
                encoded.extend([0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8])
            }
        }
    }
    write_buffer(&encoded, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_differ() {
        for value in [None, Some(Bytes::new()), Some(Bytes::from_static(b"x"))] {
            assert_eq!(Option::<Bytes>::decode(&value.encode()).unwrap(), value);
        }
        assert_eq!(Option::<String>::decode(&[0xff; 4]).unwrap(), None);
        assert!(String::decode(&[0xff; 4]).is_err());
        assert_eq!(Vec::<i32>::decode(&[0xff; 4]).unwrap(), Vec::<i32>::new());
    }

    #[test]
    fn lengths_are_compared_with_what_remains() {
        for length in [5, i32::MAX, -2, i32::MIN] {
            let mut bytes = length.encode();
            bytes.extend(*b"1234");
            assert!(Option::<Bytes>::decode(&bytes).is_err());
            assert!(Vec::<bool>::decode(&bytes).is_err());
            assert!(Vec::<i64>::decode(&bytes).is_err());
        }
    }

    #[test]
    fn malformed_text_is_replaced_and_units_are_written_one_by_one() {
        assert_eq!(String::decode(&[0, 0, 0, 2, b'a', 0xff]).unwrap(), "a\u{fffd}");
        assert_eq!("\u{10000}é".to_owned().encode(), [0, 0, 0, 8, 0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80, 0xc3, 0xa9]);
    }
}

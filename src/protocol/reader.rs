use bytes::Bytes;

use crate::{Str, Uuid};

/// Memory that the elements of all arrays of one message may take, besides what the body's length allows.
const FREE_MEMORY: usize = 1 << 20;
/// Memory that the elements of all arrays of one message may take for each byte of the body. The leanest honest
/// messages (Metadata v0 with topic names of two letters, a Fetch response of empty partitions) need 8 to 12.
const MEMORY_PER_BYTE: usize = 16;

/// Why a message's bytes are not that message. Whoever sent them cannot be answered: their connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The api key is none that Kafka 3.9 knows.
    #[error("unknown api key {key}")]
    UnknownApi {
        /// What stood in the header.
        key: i16,
    },
    /// The codec has no such version. An ApiVersions request is then answered with version 0 (KIP-511).
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// The message's name.
        message: &'static str,
        /// What was asked for.
        version: i16,
    },
    /// The bytes contradict the description.
    #[error("{message} version {version}, byte {at}: {fault}")]
    Malformed {
        /// The message's name.
        message: &'static str,
        /// The version it was read as.
        version: i16,
        /// How many bytes of the message had been read.
        at: usize,
        /// What is wrong there.
        fault: Fault,
    },
}

/// What is wrong with the bytes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The message ends within a field.
    #[error("cut short: {needed} bytes needed, {left} left")]
    Truncated {
        /// Bytes that the field takes at least.
        needed: u32,
        /// Bytes that are left.
        left: u32,
    },
    /// A length below -1.
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// Null where the version allows none.
    #[error("null where a value must stand")]
    Null,
    /// More elements than could be kept: a flood of tiny elements, not an honest message.
    #[error("{0} elements would take too much memory")]
    TooManyElements(u32),
    /// A string that is not UTF-8.
    #[error("string is not UTF-8")]
    NotUtf8,
    /// A variable-length number of more than 32 bits.
    #[error("variable-length number of more than 32 bits")]
    Varint,
    /// Tags of tagged fields that do not rise.
    #[error("tag {0} is out of order or repeated")]
    TagOrder(u32),
    /// A tagged field whose value is longer than its description.
    #[error("tagged field {0} has bytes left over")]
    TagSize(u32),
}

/// Reads one message. Nothing is allocated before its length was checked against the bytes that are left.
#[derive(Debug)]
pub struct Reader<'a> {
    message: &'a Bytes,
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    memory: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `message`; `flexible` versions have compact lengths and tagged fields (KIP-482).
    pub fn new(message: &'a Bytes, version: i16, flexible: bool) -> Reader<'a> {
        let memory = message.len().saturating_mul(MEMORY_PER_BYTE).saturating_add(FREE_MEMORY);
        Reader { message, rest: message, version, flexible, memory }
    }

    /// The version that is read.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Whether this version has compact lengths and tagged fields.
    pub fn flexible(&self) -> bool {
        self.flexible
    }

    /// Bytes that have been read.
    pub fn position(&self) -> usize {
        self.message.len() - self.rest.len()
    }

    /// The error of `message` at this place.
    #[cold]
    pub fn error(&self, message: &'static str, fault: Fault) -> DecodeError {
        DecodeError::Malformed { message, version: self.version, at: self.position(), fault }
    }

    #[cold]
    fn truncated(&self, needed: usize) -> Fault {
        let bounded = |len| u32::try_from(len).unwrap_or(u32::MAX);
        Fault::Truncated { needed: bounded(needed), left: bounded(self.rest.len()) }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.truncated(len));
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated(N));
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// An unsigned number of 1 to 5 bytes, the lowest 7 bits first.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, Fault> {
        let [first] = self.fixed()?;
        if first < 0x80 {
            return Ok(u32::from(first));
        }
        let mut value = u32::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if shift == 28 && byte > 0x0f { Err(Fault::Varint) } else { Ok(value) };
            }
        }
        Err(Fault::Varint)
    }

    /// A length or count that follows: `wide` says whether it takes four bytes or two where it is not compact.
    #[inline]
    fn length(&mut self, wide: bool) -> Result<Option<usize>, Fault> {
        if self.flexible {
            return Ok((self.unsigned_varint()? as usize).checked_sub(1));
        }
        let length = if wide { i32::from_be_bytes(self.fixed()?) } else { i16::from_be_bytes(self.fixed()?).into() };
        match length {
            -1 => Ok(None),
            ..-1 => Err(Fault::NegativeLength(length)),
            0.. => Ok(Some(length as usize)),
        }
    }

    fn str(&mut self, length: usize) -> Result<Str, Fault> {
        let bytes = self.bytes(length)?;
        Str::try_from(bytes).map_err(|_| Fault::NotUtf8)
    }

    fn bytes(&mut self, length: usize) -> Result<Bytes, Fault> {
        let taken = self.take(length)?;
        Ok(if taken.is_empty() { Bytes::new() } else { self.message.slice_ref(taken) })
    }

    fn array<T: Read>(&mut self, count: usize) -> Result<Vec<T>, Fault> {
        let needed = count.saturating_mul(T::MIN_SIZE);
        if needed > self.rest.len() {
            return Err(self.truncated(needed));
        }
        let memory = count.saturating_mul(size_of::<T>());
        self.memory = self.memory.checked_sub(memory).ok_or(Fault::TooManyElements(count as u32))?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(self)?);
        }
        Ok(elements)
    }

    /// The tagged fields at the end of a struct of a flexible version (KIP-482). `known` reads the value of the tags
    /// it knows and says whether it did; others are skipped.
    #[inline]
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader<'a>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let count = self.unsigned_varint()?;
        let mut lowest = 0;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            if tag < lowest {
                return Err(Fault::TagOrder(tag));
            }
            lowest = tag.checked_add(1).ok_or(Fault::TagOrder(tag))?;
            let size = self.unsigned_varint()? as usize;
            let value = self.take(size)?;
            let behind = std::mem::replace(&mut self.rest, value);
            if known(tag, self)? && !self.rest.is_empty() {
                return Err(Fault::TagSize(tag));
            }
            self.rest = behind;
        }
        Ok(())
    }
}

/// What can be read from a message.
pub trait Read: Sized {
    /// Bytes that a value takes at least, in any version.
    const MIN_SIZE: usize;

    /// Reads one value.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault>;
}

macro_rules! read_number {
    ($($number:ty),*) => {$(
        impl Read for $number {
            const MIN_SIZE: usize = size_of::<$number>();

            #[inline]
            fn read(reader: &mut Reader<'_>) -> Result<$number, Fault> {
                Ok(<$number>::from_be_bytes(reader.fixed()?))
            }
        }
    )*};
}
read_number!(i8, i16, u16, i32, i64);

impl Read for bool {
    const MIN_SIZE: usize = 1;

    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<bool, Fault> {
        Ok(reader.fixed::<1>()? != [0])
    }
}

impl Read for Uuid {
    const MIN_SIZE: usize = 16;

    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Uuid, Fault> {
        reader.fixed()
    }
}

impl Read for Option<Str> {
    const MIN_SIZE: usize = 1;

    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Option<Str>, Fault> {
        reader.length(false)?.map(|length| reader.str(length)).transpose()
    }
}

impl Read for Option<Bytes> {
    const MIN_SIZE: usize = 1;

    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Option<Bytes>, Fault> {
        reader.length(true)?.map(|length| reader.bytes(length)).transpose()
    }
}

impl<T: Read> Read for Option<Vec<T>> {
    const MIN_SIZE: usize = 1;

    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Option<Vec<T>>, Fault> {
        reader.length(true)?.map(|count| reader.array(count)).transpose()
    }
}

macro_rules! read_not_null {
    ($({$($generics:tt)*} $value:ty),*) => {$(
        impl $($generics)* Read for $value {
            const MIN_SIZE: usize = 1;

            #[inline]
            fn read(reader: &mut Reader<'_>) -> Result<$value, Fault> {
                Option::<$value>::read(reader)?.ok_or(Fault::Null)
            }
        }
    )*};
}
read_not_null!({} Str, {} Bytes, {<T: Read>} Vec<T>);

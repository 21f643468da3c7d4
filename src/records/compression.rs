//! The five codecs and their framings.

/// How the records of a batch are compressed. The discriminants are the ids in the attributes (`CompressionType.java`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy blocks in xerial's framing.
    Snappy = 2,
    /// An lz4 frame.
    Lz4 = 3,
    /// Zstandard, only in magic 2 (KIP-110).
    Zstd = 4,
}

impl Codec {
    /// From the low three bits of the attributes.
    pub fn from_id(id: u8) -> Option<Codec> {
        use Codec::*;
        [None, Gzip, Snappy, Lz4, Zstd].into_iter().find(|codec| *codec as u8 == id)
    }
}

//! The codecs and their framings, as Kafka's clients write and read them.
//!
//! One framing differs between formats: the lz4 frame of a message of magic 0 carries a header checksum computed over
//! the wrong bytes (KAFKA-3160). We write it so for magic 0, since old consumers check it, and do not look at it there.
//! Decompression grows with what really comes and stops at the caller's limit: a length that the data claims is never
//! allocated on its word.

use std::io::{Read, Write};

use crate::batch::Magic;
use crate::lz4::{self, FrameError};

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

    /// Kafka's name, as in `compression.type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// Whether records of this magic may be compressed so.
    pub fn allowed_in(self, magic: Magic) -> bool {
        self != Codec::Zstd || magic == Magic::V2
    }
}

/// Why bytes could not be decompressed, or compressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// They are not what the codec writes, end early, or go on behind the end.
    #[error("{} data is damaged: {why}", codec.as_str())]
    Damaged {
        /// The codec asked for.
        codec: Codec,
        /// What the codec says.
        why: String,
    },
    /// More comes out than the caller allows.
    #[error("{} data is larger than {limit} bytes when decompressed", codec.as_str())]
    OverLimit {
        /// The codec asked for.
        codec: Codec,
        /// The caller's limit, in bytes.
        limit: usize,
    },
    /// The record format has no such codec.
    #[error("{} does not exist in record format {magic}", codec.as_str())]
    NotAllowed {
        /// The codec asked for.
        codec: Codec,
        /// The record format.
        magic: Magic,
    },
}

/// The zstd level of Kafka's producers and brokers (`compression.zstd.level`).
const ZSTD_LEVEL: i32 = 3;
/// Zstandard's format asks every reader to support windows of 2^23 bytes (RFC 8878, 3.1.1.1.2); writers that stream do
/// not know the size of their content and declare their level's window, however little follows.
const ZSTD_WINDOW_LOG_LEAST: u32 = 23;
const ZSTD_WINDOW_LOG_MOST: u32 = 27;

/// The start of xerial's snappy stream: a magic and two version numbers (`SnappyCodec.java`).
const XERIAL_HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_MAGIC_LEN: usize = 8;
const XERIAL_BLOCK_LEN: usize = 32 * 1024;
/// The longest copy of snappy's format makes 64 bytes of 3.
const SNAPPY_MOST_EXPANSION: usize = 22;

/// Appends `input`, compressed for a batch of `magic`, to `output`.
///
/// # Errors
/// `NotAllowed`. (`Damaged` if the codec itself fails, which only want of memory could make it.)
pub fn compress(codec: Codec, magic: Magic, input: &[u8], output: &mut Vec<u8>) -> Result<(), CompressionError> {
    if !codec.allowed_in(magic) {
        return Err(CompressionError::NotAllowed { codec, magic });
    }
    let damaged = |error: &dyn std::fmt::Display| CompressionError::Damaged { codec, why: error.to_string() };
    match codec {
        Codec::None => output.extend_from_slice(input),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(output, flate2::Compression::default());
            encoder.write_all(input).and_then(|()| encoder.finish().map(drop)).map_err(|e| damaged(&e))?;
        }
        Codec::Snappy => compress_xerial(input, output).map_err(|e| damaged(&e))?,
        Codec::Lz4 => lz4::compress(magic, input, output).map_err(|e| damaged(&e))?,
        Codec::Zstd => {
            let compressed = zstd::bulk::compress(input, ZSTD_LEVEL).map_err(|e| damaged(&e))?;
            output.extend_from_slice(&compressed);
        }
    }
    Ok(())
}

/// Decompresses the records of a batch of `magic`, at most `limit` bytes.
///
/// # Errors
/// All of [`CompressionError`].
pub fn decompress(codec: Codec, magic: Magic, input: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    if !codec.allowed_in(magic) {
        return Err(CompressionError::NotAllowed { codec, magic });
    }
    let damaged = |why: &str| CompressionError::Damaged { codec, why: why.into() };
    match codec {
        Codec::None if input.len() > limit => Err(CompressionError::OverLimit { codec, limit }),
        Codec::None => Ok(input.to_vec()),
        Codec::Gzip => read_within(codec, &mut flate2::bufread::MultiGzDecoder::new(input), input.len(), limit),
        Codec::Snappy => decompress_snappy(input, limit),
        Codec::Lz4 => lz4::decompress(magic, input, limit).map_err(|error| match error {
            FrameError::Damaged(why) => damaged(why),
            FrameError::OverLimit => CompressionError::OverLimit { codec, limit },
        }),
        Codec::Zstd => {
            let window_log = limit.checked_ilog2().unwrap_or(0).clamp(ZSTD_WINDOW_LOG_LEAST, ZSTD_WINDOW_LOG_MOST);
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(input).map_err(|error| damaged(&error.to_string()))?;
            decoder.window_log_max(window_log).map_err(|error| damaged(&error.to_string()))?;
            if input.is_empty() {
                return Err(damaged("no frame"));
            }
            read_within(codec, &mut decoder, input.len(), limit)
        }
    }
}

/// Reads to the end, growing with what comes, and fails one byte past `limit`.
fn read_within(
    codec: Codec,
    reader: &mut dyn Read,
    input_len: usize,
    limit: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut output = Vec::with_capacity(input_len.saturating_mul(2).min(limit));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match reader.take(most).read_to_end(&mut output) {
        Ok(_) if output.len() > limit => Err(CompressionError::OverLimit { codec, limit }),
        Ok(_) => Ok(output),
        Err(error) => Err(CompressionError::Damaged { codec, why: error.to_string() }),
    }
}

fn compress_xerial(input: &[u8], output: &mut Vec<u8>) -> Result<(), snap::Error> {
    output.extend_from_slice(&XERIAL_HEADER);
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(XERIAL_BLOCK_LEN) {
        let length_at = output.len();
        let block_at = length_at + 4;
        output.resize(block_at + snap::raw::max_compress_len(block.len()), 0);
        let length = encoder.compress(block, &mut output[block_at..])?;
        output[length_at..block_at].copy_from_slice(&(length as u32).to_be_bytes());
        output.truncate(block_at + length);
    }
    Ok(())
}

/// Xerial's stream, or one raw block if its magic is missing. Streams may be concatenated (`SnappyInputStream.java`).
fn decompress_snappy(input: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut output = Vec::new();
    if !input.starts_with(&XERIAL_HEADER[..XERIAL_MAGIC_LEN]) {
        snappy_block(input, limit, &mut output)?;
        return Ok(output);
    }
    let cut_off = || CompressionError::Damaged { codec: Codec::Snappy, why: "it ends inside a block".into() };
    let mut rest = input;
    while !rest.is_empty() {
        if rest.starts_with(&XERIAL_HEADER[..XERIAL_MAGIC_LEN]) {
            rest = rest.get(XERIAL_HEADER.len()..).ok_or_else(cut_off)?;
            continue;
        }
        let (length, blocks) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let (block, behind) = blocks.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut_off)?;
        snappy_block(block, limit, &mut output)?;
        rest = behind;
    }
    Ok(output)
}

fn snappy_block(block: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CompressionError> {
    let codec = Codec::Snappy;
    let damaged = |why: String| CompressionError::Damaged { codec, why };
    let length = snap::raw::decompress_len(block).map_err(|error| damaged(error.to_string()))?;
    if length > block.len().saturating_mul(SNAPPY_MOST_EXPANSION) {
        return Err(damaged(format!("a block of {} bytes claims to hold {length}", block.len())));
    }
    let start = output.len();
    if length > limit.saturating_sub(start) {
        return Err(CompressionError::OverLimit { codec, limit });
    }
    output.resize(start + length, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut output[start..])
        .map_err(|error| damaged(error.to_string()))
        .map(drop)
}

//! The lz4 frame, as Kafka writes it and as other clients may (`Lz4BlockInputStream.java`, `Lz4BlockOutputStream.java`).
//!
//! Read here rather than by the codec's own reader, which makes room for the largest block a frame may announce, 4 MiB,
//! however little there is.

use std::io::Write;

use lz4_flex::block::{decompress_into, decompress_into_with_dict};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

use crate::batch::Magic;

const MAGIC: [u8; 4] = 0x184D_2204u32.to_le_bytes();
const FLAGS_VERSION: u8 = 0x40;
const FLAGS_RESERVED: u8 = 0x02;
const FLAGS_INDEPENDENT_BLOCKS: u8 = 0x20;
const FLAGS_BLOCK_CHECKSUM: u8 = 0x10;
const FLAGS_CONTENT_SIZE: u8 = 0x08;
const FLAGS_CONTENT_CHECKSUM: u8 = 0x04;
const FLAGS_DICTIONARY: u8 = 0x01;
const NOT_COMPRESSED: u32 = 1 << 31;
/// How far back a block may refer into those before it.
const WINDOW_LEN: usize = 64 * 1024;
/// One byte of a block makes at most so many.
const MOST_EXPANSION: usize = 255;

/// Why a frame cannot be read.
pub(crate) enum FrameError {
    Damaged(&'static str),
    OverLimit,
}

/// Appends `input` as a frame to `output`, in magic 0 with the broken checksum.
pub(crate) fn compress(magic: Magic, input: &[u8], output: &mut Vec<u8>) -> Result<(), lz4_flex::frame::Error> {
    let start = output.len();
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, &mut *output);
    encoder.write_all(input)?;
    encoder.finish()?;
    let checksum_at = start + MAGIC.len() + 2;
    if magic == Magic::V0 && output.len() > checksum_at {
        output[checksum_at] = header_checksum(&output[start..checksum_at]);
    }
    Ok(())
}

/// The content of one frame, which must be all of `input`, in at most `limit` bytes. In magic 0 the header's checksum is
/// not looked at; that of the content, which the batch's own covers, never is.
pub(crate) fn decompress(magic: Magic, input: &[u8], limit: usize) -> Result<Vec<u8>, FrameError> {
    let mut frame = Frame { rest: input };
    if frame.take(4)? != MAGIC {
        return Err(FrameError::Damaged("it does not begin with the magic number of a frame"));
    }
    let descriptor = frame.rest;
    let flags = frame.take(1)?[0];
    if flags & 0xc0 != FLAGS_VERSION || flags & (FLAGS_RESERVED | FLAGS_DICTIONARY) != 0 {
        return Err(FrameError::Damaged("the frame's flags are unknown or ask for a dictionary"));
    }
    let most_block_len = match frame.take(1)?[0] {
        0x40 => 64 << 10,
        0x50 => 256 << 10,
        0x60 => 1 << 20,
        0x70 => 4 << 20,
        _ => return Err(FrameError::Damaged("the frame's block size is unknown")),
    };
    if flags & FLAGS_CONTENT_SIZE != 0 {
        frame.take(8)?;
    }
    let descriptor = &descriptor[..descriptor.len() - frame.rest.len()];
    let checksum = frame.take(1)?[0];
    if magic != Magic::V0 && checksum != header_checksum(descriptor) {
        return Err(FrameError::Damaged("the checksum of the frame's header does not fit"));
    }
    let mut output = Vec::new();
    loop {
        let length = frame.length()?;
        if length == 0 {
            break;
        }
        let block = frame.take((length & !NOT_COMPRESSED) as usize)?;
        if block.len() > most_block_len {
            return Err(FrameError::Damaged("a block is larger than the frame allows"));
        }
        if flags & FLAGS_BLOCK_CHECKSUM != 0 && frame.length()? != XxHash32::oneshot(0, block) {
            return Err(FrameError::Damaged("the checksum of a block does not fit"));
        }
        let start = output.len();
        if length & NOT_COMPRESSED != 0 {
            output.extend_from_slice(block);
        } else {
            output.resize(start + block.len().saturating_mul(MOST_EXPANSION).min(most_block_len), 0);
            let (before, room) = output.split_at_mut(start);
            let decompressed = match flags & FLAGS_INDEPENDENT_BLOCKS != 0 {
                true => decompress_into(block, room),
                false => decompress_into_with_dict(block, room, &before[start.saturating_sub(WINDOW_LEN)..]),
            };
            let length = decompressed.map_err(|_| FrameError::Damaged("a block is damaged"))?;
            output.truncate(start + length);
        }
        if output.len() > limit {
            return Err(FrameError::OverLimit);
        }
    }
    if flags & FLAGS_CONTENT_CHECKSUM != 0 {
        frame.take(4)?;
    }
    match frame.rest {
        [] => Ok(output),
        _ => Err(FrameError::Damaged("bytes follow the end of the frame")),
    }
}

struct Frame<'a> {
    rest: &'a [u8],
}

impl<'a> Frame<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(FrameError::Damaged("the frame has no end"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn length(&mut self) -> Result<u32, FrameError> {
        let mut length = [0; 4];
        length.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(length))
    }
}

/// The second byte of the xxHash of `descriptor`: rightly of the frame descriptor, in magic 0 also of the magic number.
fn header_checksum(descriptor: &[u8]) -> u8 {
    (XxHash32::oneshot(0, descriptor) >> 8) as u8
}

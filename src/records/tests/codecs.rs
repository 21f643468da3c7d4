//! What compression gives back: what was put in, up to a limit, or a refusal.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use ottla_records::batch::Magic;
use ottla_records::compression::{Codec, CompressionError, compress, decompress};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const LIMIT: usize = 100_000;

#[test]
fn random_bytes_are_refused_by_every_codec_or_stay_small() {
    let mut rng = StdRng::seed_from_u64(7);
    for length in 0..200 {
        let mut bytes = vec![0u8; length];
        rng.fill(&mut bytes[..]);
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            if let Ok(output) = decompress(codec, Magic::V2, &bytes, LIMIT) {
                assert!(output.len() <= LIMIT);
            }
        }
    }
}

#[test]
fn what_was_compressed_comes_back_up_to_the_limit() {
    let mut rng = StdRng::seed_from_u64(11);
    for length in [0usize, 1, 100, 32 * 1024, 32 * 1024 + 1, 65 * 1024, 300_000] {
        let mut input = vec![0u8; length];
        rng.fill(&mut input[..length / 3]);
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            for magic in [Magic::V0, Magic::V1, Magic::V2].into_iter().filter(|magic| codec.allowed_in(*magic)) {
                let mut compressed = b"before".to_vec();
                compress(codec, magic, &input, &mut compressed).unwrap();
                let compressed = compressed.strip_prefix(b"before").unwrap();
                assert_eq!(decompress(codec, magic, compressed, length).unwrap(), input, "{codec:?} {length}");
                if length > 0 {
                    let error = decompress(codec, magic, compressed, length - 1).unwrap_err();
                    assert!(matches!(error, CompressionError::OverLimit { .. }), "{codec:?} {length}: {error}");
                    let cut_off = decompress(codec, magic, &compressed[..compressed.len() - 1], LIMIT * 10);
                    assert!(cut_off.is_err() || codec == Codec::None, "{codec:?} {length}");
                    let longer = decompress(codec, magic, &[compressed, b"\xff"].concat(), LIMIT * 10);
                    assert!(longer.is_err() || codec == Codec::None, "{codec:?} {length}");
                }
            }
        }
    }
}

#[test]
fn zstd_does_not_exist_before_magic_2() {
    for magic in [Magic::V0, Magic::V1] {
        let compressed = compress(Codec::Zstd, magic, b"x", &mut Vec::new());
        assert!(matches!(compressed, Err(CompressionError::NotAllowed { .. })));
        assert!(matches!(decompress(Codec::Zstd, magic, b"x", 9), Err(CompressionError::NotAllowed { .. })));
    }
}

/// A snappy block says how long it is going to be; believing it would be a gigabyte for six bytes (CVE-2023-34455).
#[test]
fn a_snappy_blocks_claim_is_not_believed() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x03, 0x00];
    let error = decompress(Codec::Snappy, Magic::V2, &claim, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("claims"), "{error}");
}

#[test]
fn snappy_streams_are_read_raw_framed_and_concatenated() {
    let raw = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    assert_eq!(decompress(Codec::Snappy, Magic::V1, &raw(b"raw block"), 100).unwrap(), b"raw block");
    let mut framed = Vec::new();
    compress(Codec::Snappy, Magic::V1, b"one ", &mut framed).unwrap();
    compress(Codec::Snappy, Magic::V1, b"two", &mut framed).unwrap();
    assert_eq!(decompress(Codec::Snappy, Magic::V1, &framed, 100).unwrap(), b"one two");
}

/// Other clients choose other frames than Kafka's: larger blocks, blocks that refer to each other, checksums, sizes.
#[test]
fn lz4_frames_of_any_make_are_read() {
    let input: Vec<u8> = (0..300_000u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
    for block_size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB] {
        for block_mode in [BlockMode::Independent, BlockMode::Linked] {
            for (checksums, size) in [(false, None), (true, Some(input.len() as u64))] {
                let info = FrameInfo::new()
                    .block_size(block_size)
                    .block_mode(block_mode)
                    .block_checksums(checksums)
                    .content_checksum(checksums)
                    .content_size(size);
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&input).unwrap();
                let mut frame = encoder.finish().unwrap();
                assert_eq!(decompress(Codec::Lz4, Magic::V2, &frame, input.len()).unwrap(), input);
                // The checksum of the header is looked at, but not in magic 0 (KAFKA-3160).
                frame[if size.is_some() { 14 } else { 6 }] ^= 1;
                assert!(decompress(Codec::Lz4, Magic::V1, &frame, input.len()).is_err());
                assert_eq!(decompress(Codec::Lz4, Magic::V0, &frame, input.len()).unwrap(), input);
            }
        }
    }
}

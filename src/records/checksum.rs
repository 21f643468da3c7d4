//! The checksum of messages of magic 0 and 1.

/// CRC-32 (IEEE 802.3), quick for messages of a hundred bytes or two, of which old producers' sets often consist.
///
/// `crc32fast` folds 16 bytes at once only from 128 on, and takes what is left behind the last 16, or 64 below 128, byte
/// after byte, each waiting for the one before: for 118 bytes that costs more than all else about a message. So a short
/// message is moved behind zeros, which are as nothing to a register that is 0 itself; the ones that the register starts
/// with are put into the message's first four bytes instead.
pub(crate) fn crc32(message: &[u8]) -> u32 {
    const MOST: usize = 256;
    const FOLDED: usize = 128;
    const STEP: usize = 16;
    let length = message.len();
    if !(4..=MOST).contains(&length) {
        return crc32fast::hash(message);
    }
    let mut padded = [0; MOST];
    let start = MOST - length;
    padded[start..].copy_from_slice(message);
    padded[start..start + 4].iter_mut().for_each(|byte| *byte ^= 0xff);
    // The hasher inverts what it is given: this makes its register 0.
    let mut hasher = crc32fast::Hasher::new_with_initial(u32::MAX);
    hasher.update(&padded[MOST - length.next_multiple_of(STEP).max(FOLDED)..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths on both sides of each limit, beside the definition, bit by bit.
    #[test]
    fn the_checksum_of_a_message_does_not_depend_on_how_it_is_folded() {
        let bytes: Vec<u8> = (0..600u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for length in 0..bytes.len() {
            let message = &bytes[..length];
            let slowly = message.iter().fold(u32::MAX, |crc, byte| {
                (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
            });
            assert_eq!(crc32(message), !slowly, "{length} bytes");
        }
    }
}

//! Which partition a record goes to, as Kafka's clients decide: records of one key always go to the same.

/// The hash of Kafka's clients (`Utils.murmur2`).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    for (at, &byte) in rest.iter().enumerate().rev() {
        hash ^= u32::from(byte) << (8 * at);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key (`BuiltInPartitioner.partitionForKey`), of `count` partitions.
pub fn partition_for_key(key: &[u8], count: i32) -> i32 {
    ((murmur2(key) & 0x7fff_ffff) % count.max(1) as u32) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of Kafka's `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_are_those_of_the_java_client() {
        let cases: [(&[u8], i32); 8] = [
            (b"21", -973932308),
            (b"foobar", -790332482),
            (b"a-little-bit-long-string", -985981536),
            (b"a-little-bit-longer-string", -1486304829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            (b"abc", 479470107),
            (b"", 275646681),
            (b"\x00\x01\x02\x03\x04", 0),
        ];
        for (key, hash) in &cases[..7] {
            assert_eq!(murmur2(key) as i32, *hash, "{key:?}");
        }
    }

    #[test]
    fn a_negative_hash_is_a_partition() {
        assert_eq!(partition_for_key(b"21", 7), ((-973932308i32 & 0x7fff_ffff) % 7));
        assert_eq!(partition_for_key(b"x", 0), 0);
    }
}

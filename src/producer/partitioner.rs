//! Which partition a key belongs to, as Kafka's clients decide: records of one key always go to the same.

use crate::KeyHash;

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

/// `String.hashCode`, over UTF-16; bytes that are not UTF-8 count as U+FFFD.
fn text_hash(key: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(key);
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

/// `Arrays.hashCode` of signed bytes.
fn bytes_hash(key: &[u8]) -> u32 {
    key.iter().fold(1, |hash: u32, &byte| hash.wrapping_mul(31).wrapping_add(byte as i8 as u32))
}

/// The partition of a key, of `count` partitions (`BuiltInPartitioner.partitionForKey`; 0.8: `DefaultPartitioner`,
/// `ByteArrayPartitioner`).
#[inline]
pub fn partition_for_key(hash: KeyHash, key: &[u8], count: i32) -> i32 {
    let hash = match hash {
        KeyHash::Murmur2 => murmur2(key),
        KeyHash::Text08 => text_hash(key),
        KeyHash::Bytes08 => bytes_hash(key),
    };
    ((hash & 0x7fff_ffff) % count.max(1) as u32) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of Kafka's `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_are_those_of_the_java_client() {
        let cases: [(&[u8], i32); 7] = [
            (b"21", -973932308),
            (b"foobar", -790332482),
            (b"a-little-bit-long-string", -985981536),
            (b"a-little-bit-longer-string", -1486304829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            (b"abc", 479470107),
            (b"", 275646681),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key) as i32, hash, "{key:?}");
        }
    }

    /// As jshell says: `"..".hashCode()`, `Arrays.hashCode("..".getBytes())`.
    #[test]
    fn hashes_of_0_8_are_those_of_java() {
        for (text, hash, of_bytes) in [("", 0, 1), ("a", 97, 128), ("abc", 96354, 126145), ("é", 233, -1017)] {
            assert_eq!(text_hash(text.as_bytes()) as i32, hash, "{text}");
            assert_eq!(bytes_hash(text.as_bytes()) as i32, of_bytes, "{text}");
        }
        // Beyond 16 bits a character is two units: 0xd83d * 31 + 0xde00.
        assert_eq!(text_hash("😀".as_bytes()), 0xd83d * 31 + 0xde00);
        assert_eq!(text_hash(b"\xff"), 0xfffd);
        assert_eq!(text_hash(b"polygenelubricants") as i32, i32::MIN);
    }

    #[test]
    fn a_negative_hash_is_a_partition() {
        assert_eq!(partition_for_key(KeyHash::Murmur2, b"21", 7), (-973932308i32 & 0x7fff_ffff) % 7);
        assert_eq!(partition_for_key(KeyHash::Text08, b"polygenelubricants", 7), 0);
        assert_eq!(partition_for_key(KeyHash::Bytes08, "é".as_bytes(), 10), (-1017i32 & 0x7fff_ffff) % 10);
        assert_eq!(partition_for_key(KeyHash::Murmur2, b"x", 0), 0);
    }
}

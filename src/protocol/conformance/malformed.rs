use bytes::Bytes;
use rand::RngExt;

use super::fill::{self, Fill};
use super::{encoded, for_all_requests, for_all_responses};
use crate::schema::{ApiVersionsRequest, DeleteTopicsRequest, DescribeConfigsRequest, MetadataRequest, ProduceRequest};
use crate::{DecodeError, Fault, Message, Read, RequestHeader, schema};

/// What one message may ask for at most: a free megabyte for arrays, 16 bytes for each of its own, and some that
/// `Bytes` needs.
fn allowed(len: usize) -> u64 {
    ((1 << 20) + 16 * len + 1024) as u64
}

/// Reads bytes that may be anything, and watches the memory that it takes.
fn read_hostile<M: Message + Read>(bytes: &[u8], version: i16) -> Result<M, DecodeError> {
    let mut bytes = Bytes::copy_from_slice(bytes);
    let len = bytes.len();
    let mut result = None;
    let used = allocation_counter::measure(|| result = Some(M::decode(&mut bytes, version)));
    assert!(used.bytes_max <= allowed(len), "{} version {version}: {used:?} for {len} bytes", M::NAME);
    result.unwrap()
}

fn survives<M: Message<Payload = Bytes> + Read + Fill>() {
    for version in M::VERSIONS {
        let rng = &mut fill::rng(version as u64);
        for _ in 0..4 {
            let bytes = encoded(&M::fill(rng, version), version);
            for len in 0..bytes.len() {
                let cut = read_hostile::<M>(&bytes[..len], version);
                assert!(
                    matches!(cut, Err(DecodeError::Malformed { .. })),
                    "{} version {version} cut at {len}",
                    M::NAME
                );
            }
            // ApiVersions before version 3 has no byte to flip.
            for _ in 0..if bytes.is_empty() { 0 } else { 400 } {
                let mut bytes = bytes.to_vec();
                for _ in 0..rng.random_range(1..4) {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] = match rng.random_range(0..4) {
                        0 => 0xff,
                        1 => 0x7f,
                        2 => bytes[at] ^ (1 << rng.random_range(0..8)),
                        _ => rng.random(),
                    };
                }
                let _ = read_hostile::<M>(&bytes, version);
            }
            let noise: Vec<u8> = (0..rng.random_range(0..200)).map(|_| rng.random::<u8>()).collect();
            let _ = read_hostile::<M>(&noise, version);
        }
    }
}

macro_rules! all_survive {
    ($($name:ident)*) => {$(
        survives::<schema::$name>();
    )*};
}

#[test]
fn cut_and_flipped_requests_are_errors_or_messages() {
    for_all_requests!(all_survive);
}

#[test]
fn cut_and_flipped_responses_are_errors_or_messages() {
    for_all_responses!(all_survive);
}

fn fault<M: Message + Read>(bytes: &[u8], version: i16) -> (usize, Fault) {
    match read_hostile::<M>(bytes, version) {
        Err(DecodeError::Malformed { at, fault, .. }) => (at, fault),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{} version {version} was read", M::NAME),
    }
}

#[test]
fn a_count_beyond_the_bytes_is_refused() {
    let flood = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(fault::<MetadataRequest>(&flood, 0), (4, Fault::Truncated { needed: i32::MAX as u32, left: 4 }));
    let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
    assert_eq!(fault::<MetadataRequest>(&compact, 12), (5, Fault::Truncated { needed: u32::MAX - 1, left: 3 }));
    // A count of scalars is measured in their bytes.
    let nodes =
        [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[0, 1, b't', 0, 0, 0, 1], &[0; 14], &[0, 0, 0, 3], &[0; 11]].concat();
    assert!(MetadataRequest::decode(&mut Bytes::from_static(&[0, 0, 0, 1, 0, 1, b't']), 0).is_ok());
    assert!(matches!(fault::<schema::LeaderAndIsrRequest>(&nodes, 0).1, Fault::Truncated { .. }));
}

#[test]
fn many_tiny_elements_are_refused() {
    // Empty strings are a byte in the message, 32 in memory.
    let keys = |resources: u8, keys_each: u16| {
        let mut bytes = vec![resources + 1];
        for _ in 0..resources {
            bytes.extend([2, 1]); // a topic without a name
            bytes.extend([(keys_each + 1) as u8 | 0x80, ((keys_each + 1) >> 7) as u8]);
            bytes.resize(bytes.len() + usize::from(keys_each), 1);
            bytes.push(0);
        }
        bytes.extend([0, 0, 0]);
        read_hostile::<DescribeConfigsRequest>(&bytes, 4)
    };
    assert_eq!(keys(1, 10_000).unwrap().resources[0].configuration_keys.as_ref().unwrap().len(), 10_000);
    // All arrays of a message share one allowance.
    let Err(DecodeError::Malformed { fault, at, .. }) = keys(40, 10_000) else { panic!("was read") };
    assert_eq!(fault, Fault::TooManyElements(10_000));
    assert!(at > 200_000, "{at}");
}

#[test]
fn negative_lengths_are_refused() {
    assert_eq!(fault::<MetadataRequest>(&[0xff, 0xff, 0xff, 0xfe], 1), (4, Fault::NegativeLength(-2)));
    assert_eq!(fault::<MetadataRequest>(&[0, 0, 0, 1, 0x80, 0], 0), (6, Fault::NegativeLength(-32768)));
}

#[test]
fn null_is_refused_where_it_has_no_place() {
    assert_eq!(fault::<MetadataRequest>(&[0xff; 4], 0), (4, Fault::Null));
    assert!(MetadataRequest::decode(&mut Bytes::from_static(&[0xff; 4]), 1).is_ok());
    assert_eq!(fault::<ApiVersionsRequest>(&[0, 1, 0], 3), (1, Fault::Null));
    assert_eq!(fault::<DeleteTopicsRequest>(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 0), (4, Fault::Null));
}

#[test]
fn strings_must_be_utf_8() {
    assert_eq!(fault::<MetadataRequest>(&[0, 0, 0, 1, 0, 2, 0xc3, 0x28], 0), (8, Fault::NotUtf8));
}

#[test]
fn variable_lengths_have_32_bits() {
    for bytes in [&[0xff, 0xff, 0xff, 0xff, 0x1f][..], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]] {
        assert_eq!(fault::<MetadataRequest>(bytes, 12), (5, Fault::Varint));
    }
}

#[test]
fn tagged_fields_rise_and_fit() {
    // Name, version, then the tagged fields.
    let read = |tags: &[u8]| read_hostile::<ApiVersionsRequest>(&[&[1, 1][..], tags].concat(), 3);
    let fault_of = |tags: &[u8]| fault::<ApiVersionsRequest>(&[&[1, 1][..], tags].concat(), 3).1;
    assert!(read(&[2, 0, 1, 9, 70, 0]).is_ok(), "unknown ones are skipped");
    assert_eq!(fault_of(&[2, 5, 0, 5, 0]), Fault::TagOrder(5));
    assert_eq!(fault_of(&[2, 5, 0, 4, 0]), Fault::TagOrder(4));
    assert_eq!(fault_of(&[1, 5, 2, 0]), Fault::Truncated { needed: 2, left: 1 });
    assert_eq!(fault_of(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Fault::Truncated { needed: 1, left: 0 });
    // Metadata has no known tag; Fetch's tag 0 is a string that must fill its size.
    let fetch = |size: u8, text: &[u8]| {
        let body = [&[0; 4 * 3 + 1 + 4 + 4][..], &[0, 0, 0, 0, 1, 1, 1], &[1, 0, size], text].concat();
        read_hostile::<schema::FetchRequest>(&body, 12)
    };
    assert_eq!(fetch(3, &[3, b'a', b'b']).unwrap().cluster_id.as_deref(), Some("ab"));
    assert!(matches!(fetch(4, &[3, b'a', b'b', 0]), Err(DecodeError::Malformed { fault: Fault::TagSize(0), .. })));
    assert!(matches!(fetch(2, &[3, b'a', b'b']), Err(DecodeError::Malformed { fault: Fault::Truncated { .. }, .. })));
}

#[test]
fn unknown_keys_and_versions_have_errors_of_their_own() {
    let header = |bytes: &'static [u8]| RequestHeader::decode(&mut Bytes::from_static(bytes));
    assert_eq!(header(&[0x7f, 0, 0, 0, 0, 0, 0, 1]), Err(DecodeError::UnknownApi { key: 0x7f00 }));
    assert!(header(&[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0]).is_ok());
    assert!(matches!(header(&[0, 3, 0, 0, 0, 0, 0]), Err(DecodeError::Malformed { .. })));
    for version in [-1, 12, i16::MAX] {
        assert_eq!(
            ProduceRequest::decode(&mut Bytes::new(), version),
            Err(DecodeError::UnsupportedVersion { message: "ProduceRequest", version })
        );
    }
}

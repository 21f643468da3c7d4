use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage, StrBytes};

use super::fill::{self, Fill};
use super::{encoded, for_all_requests, for_all_responses};
use crate::header::{RequestHeader, write_response_header};
use crate::writer::Writer;
use crate::{ApiKey, Message, Read, Str, schema};

/// Random messages of each version.
const ROUNDS: u64 = 60;

/// What we write, they read and write again to the same bytes; what they wrote, we read as the message we began with.
/// Versions after their last one (Fetch 17, ListOffsets 9, FindCoordinator 6, ApiVersions 4) differ from it in tagged
/// fields at most, and those they keep.
fn agree<Ours, Theirs>()
where
    Ours: Message<Payload = Bytes> + Read + Fill + Debug + PartialEq,
    Theirs: Decodable + Encodable + TheirMessage,
{
    let last = Theirs::VERSIONS.max;
    assert!(Ours::VERSIONS.end() - last <= 1, "{}", Ours::NAME);
    for version in Ours::VERSIONS {
        for seed in 0..ROUNDS {
            let message = Ours::fill(&mut fill::rng(seed), version);
            let bytes = encoded(&message, version);
            let context = || format!("{} version {version} seed {seed}: {message:?}", Ours::NAME);

            let mut rest = bytes.clone();
            let their = Theirs::decode(&mut rest, version.min(last)).unwrap_or_else(|e| panic!("{e}: {}", context()));
            assert!(rest.is_empty(), "{}", context());
            let mut their_bytes = BytesMut::new();
            their.encode(&mut their_bytes, version.min(last)).unwrap();
            assert_eq!(their_bytes, bytes, "{}", context());

            let mut rest = their_bytes.freeze();
            assert_eq!(Ours::decode(&mut rest, version).as_ref(), Ok(&message), "{}", context());
            assert!(rest.is_empty(), "{}", context());
        }
    }
}

macro_rules! agree_all {
    ($($name:ident)*) => {$(
        agree::<schema::$name, theirs::$name>();
    )*};
}

#[test]
fn every_message_in_every_version_is_theirs() {
    for_all_requests!(agree_all);
    for_all_responses!(agree_all);
}

/// What a message carries when nothing was set can be said in every version, null included.
macro_rules! defaults_agree {
    ($($name:ident)*) => {$({
        let last = <theirs::$name as TheirMessage>::VERSIONS.max;
        for version in <schema::$name>::VERSIONS {
            let ours = encoded(&<schema::$name>::default(), version);
            let mut bytes = BytesMut::new();
            let mut rest = ours.clone();
            let their = <theirs::$name>::decode(&mut rest, version.min(last)).unwrap();
            their.encode(&mut bytes, version.min(last)).unwrap();
            assert_eq!(bytes, ours, "{} version {version}", stringify!($name));
        }
    })*};
}

#[test]
fn defaults_can_be_written_in_every_version() {
    for_all_requests!(defaults_agree);
    for_all_responses!(defaults_agree);
}

#[test]
fn headers_are_theirs() {
    let mut compared = 0;
    for &key in ApiKey::ALL {
        let Ok(their_key) = theirs::ApiKey::try_from(key.code()) else { continue };
        let versions = their_key.valid_versions();
        for version in versions.min..=versions.max {
            assert_eq!(
                key.request_header_version(version),
                their_key.request_header_version(version),
                "{key} {version}"
            );
            assert_eq!(
                key.response_header_version(version),
                their_key.response_header_version(version),
                "{key} {version}"
            );
            for client_id in [None, Some("ü-client")] {
                let header = RequestHeader {
                    api_key: key,
                    api_version: version,
                    correlation_id: -7,
                    client_id: client_id.filter(|_| key.request_header_version(version) > 0).map(Str::from),
                };
                let mut writer = Writer::new(Vec::new(), version, key.is_flexible(version));
                header.write(&mut writer);
                let their = theirs::RequestHeader::default()
                    .with_request_api_key(key.code())
                    .with_request_api_version(version)
                    .with_correlation_id(-7)
                    .with_client_id(header.client_id.as_deref().map(|id| StrBytes::from(id.to_owned())));
                let mut bytes = BytesMut::new();
                their.encode(&mut bytes, their_key.request_header_version(version)).unwrap();
                assert_eq!(writer.buf, bytes[..], "{key} {version}");
                let mut rest = bytes.freeze();
                assert_eq!(RequestHeader::decode(&mut rest), Ok(header));
                assert!(rest.is_empty());
                compared += 1;
            }
            let mut writer = Writer::new(Vec::new(), version, key.is_flexible(version));
            write_response_header(&mut writer, key, 99);
            let mut bytes = BytesMut::new();
            let their = theirs::ResponseHeader::default().with_correlation_id(99);
            their.encode(&mut bytes, their_key.response_header_version(version)).unwrap();
            assert_eq!(writer.buf, bytes[..], "{key} {version}");
        }
    }
    assert!(compared > 300, "{compared}");
}

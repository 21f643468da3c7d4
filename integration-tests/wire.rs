//! The Kafka protocol over a plain socket: for requests that no client would send.

use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::{Frame, Message, Read as Decode, Request, decode_response_header};

/// A connection that gives up an answer after five seconds.
pub fn connect(bootstrap: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(bootstrap)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The bytes of a request, its length first.
pub fn encode<Q: Request<Payload = Bytes>>(request: &Q, version: i16) -> BytesMut {
    let frame = Frame::request(request, version, 7, Some("story".into())).unwrap();
    let mut bytes = BytesMut::new();
    for part in &frame.parts {
        bytes.extend_from_slice(part.as_ref());
    }
    bytes
}

/// The next answer, without its length.
pub fn next_answer(stream: &mut TcpStream) -> Result<Bytes> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body)?;
    Ok(body.into())
}

/// One request and its answer.
pub fn ask<Q>(stream: &mut TcpStream, request: &Q, version: i16) -> Result<Q::Response>
where
    Q: Request<Payload = Bytes>,
    Q::Response: Message + Decode,
{
    stream.write_all(&encode(request, version))?;
    let mut body = next_answer(stream)?;
    decode_response_header(&mut body, Q::KEY, version).unwrap();
    Ok(Q::Response::decode(&mut body, version).unwrap())
}

//! A connection to a broker: whole frames out, whole frames in, with as few system calls as the socket allows.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::{Frame, LENGTH_LEN, Message, Read as Decode, Request, decode_response_header, frame_length};

/// An answer that takes longer than this is an error, so that no measurement hangs for ever.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);
/// The largest frame that is believed.
const LARGEST_FRAME: usize = 256 << 20;
/// Room for small answers: many of them come in one read.
const FIRST_ROOM: usize = 64 << 10;
/// Where a request has its correlation id: behind length, key and version.
const CORRELATION_ID: Range<usize> = 8..12;

/// An error about what came over the wire.
pub(crate) fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.into())
}

/// Connects, without Nagle's delay, giving up an answer after a minute.
pub(crate) fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LONGEST_ANSWER))?;
    Ok(stream)
}

/// The bytes of a request, its length first, with correlation id 0.
pub(crate) fn frame<Q: Request<Payload = Bytes>>(request: &Q, version: i16) -> io::Result<Vec<u8>> {
    let frame =
        Frame::request(request, version, 0, Some("ottla-bench".into())).map_err(|error| invalid(error.to_string()))?;
    let mut bytes = Vec::with_capacity(frame.len());
    for part in &frame.parts {
        bytes.extend_from_slice(part.as_ref());
    }
    Ok(bytes)
}

/// Writes the correlation id into a frame that was made by [`frame`].
pub(crate) fn set_correlation_id(frame: &mut [u8], id: i32) {
    frame[CORRELATION_ID].copy_from_slice(&id.to_be_bytes());
}

/// One request and its answer.
///
/// # Errors
/// Of the socket; an answer that is none.
pub(crate) fn ask<Q>(stream: &TcpStream, request: &Q, version: i16) -> io::Result<Q::Response>
where
    Q: Request<Payload = Bytes>,
    Q::Response: Message + Decode,
{
    let mut writer = stream;
    writer.write_all(&frame(request, version)?)?;
    let mut answers = Answers::new(stream.try_clone()?);
    let mut body = Bytes::copy_from_slice(answers.next()?);
    decode_response_header(&mut body, Q::KEY, version).map_err(|error| invalid(error.to_string()))?;
    Q::Response::decode(&mut body, version).map_err(|error| invalid(error.to_string()))
}

/// The frames that come in on a connection, cut out of one buffer that is used again and again.
pub(crate) struct Answers<R = TcpStream> {
    from: R,
    buffer: Vec<u8>,
    /// What of the buffer was received and not yet handed out.
    received: Range<usize>,
}

impl<R: Read> Answers<R> {
    /// Reads from a connection or anything else.
    pub(crate) fn new(from: R) -> Answers<R> {
        Answers { from, buffer: vec![0; FIRST_ROOM], received: 0..0 }
    }

    /// The next frame without its length.
    ///
    /// # Errors
    /// `UnexpectedEof` if the other side closed, a length beyond all reason, and what the socket says.
    pub(crate) fn next(&mut self) -> io::Result<&[u8]> {
        let range = loop {
            let needed = match self.buffer[self.received.clone()].first_chunk::<LENGTH_LEN>() {
                None => LENGTH_LEN,
                Some(length) => {
                    let length = frame_length(*length, LARGEST_FRAME).map_err(|error| invalid(error.to_string()))?;
                    LENGTH_LEN + length
                }
            };
            if needed > LENGTH_LEN && self.received.len() >= needed {
                let start = self.received.start;
                self.received.start += needed;
                break start + LENGTH_LEN..start + needed;
            }
            self.make_room(needed);
            match self.from.read(&mut self.buffer[self.received.end..]) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the broker closed the connection")),
                Ok(read) => self.received.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let message = format!("no answer within {LONGEST_ANSWER:?}");
                    return Err(io::Error::new(ErrorKind::TimedOut, message));
                }
                Err(error) => return Err(error),
            }
        };
        Ok(&self.buffer[range])
    }

    /// Whether a read would find something in the buffer and not ask the socket.
    pub(crate) fn has_whole_frame(&self) -> bool {
        let received = &self.buffer[self.received.clone()];
        received.first_chunk::<LENGTH_LEN>().is_some_and(|length| {
            frame_length(*length, LARGEST_FRAME).is_ok_and(|length| received.len() >= LENGTH_LEN + length)
        })
    }

    /// Moves what is there to the front if `needed` bytes do not fit behind it, and grows if they still do not.
    fn make_room(&mut self, needed: usize) {
        if self.received.is_empty() {
            self.received = 0..0;
        }
        if self.received.start + needed > self.buffer.len() {
            self.buffer.copy_within(self.received.clone(), 0);
            self.received = 0..self.received.len();
        }
        if needed > self.buffer.len() {
            self.buffer.resize(needed, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out what it has in pieces of one size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(into.len());
            let (now, later) = self.0.split_at(length);
            into[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    /// Frames on both sides of the buffer's size, whatever pieces the socket makes of them.
    #[test]
    fn frames_are_cut_out_of_any_pieces() {
        let lengths = [1, 4, 100, FIRST_ROOM - 5, FIRST_ROOM - 4, FIRST_ROOM - 3, 3 * FIRST_ROOM, 2];
        let mut wire = Vec::new();
        for (n, length) in lengths.iter().enumerate() {
            wire.extend_from_slice(&(*length as u32).to_be_bytes());
            wire.extend(std::iter::repeat_n(n as u8, *length));
        }
        for piece in [1, 3, 4096, FIRST_ROOM, wire.len()] {
            let mut answers = Answers::new(Pieces(&wire, piece));
            for (n, length) in lengths.iter().enumerate() {
                let frame = answers.next().unwrap();
                assert!(frame.len() == *length && frame.iter().all(|byte| *byte == n as u8), "{n} by {piece}");
            }
            assert_eq!(answers.next().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_length_beyond_reason_is_an_error() {
        let wire = (LARGEST_FRAME as u32 + 1).to_be_bytes();
        assert_eq!(Answers::new(wire.as_slice()).next().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

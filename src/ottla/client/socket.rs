//! A socket to a broker and what is known of its other end: what connections and producers' lanes are made of.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::ops::RangeInclusive;

use bytes::{Buf, Bytes, BytesMut};
use ottla_protocol::schema::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{
    ApiKey, ErrorCode, Frame, LENGTH_LEN, Message, Part, Request, Str, decode_response_header, frame_length,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use super::{ClientError, ConnectionOptions};
use crate::net::without_pacing;

/// Room that is made for an answer before its bytes come: a length alone allocates no more.
pub(super) const READ_CHUNK: usize = 64 * 1024;
/// Pieces in one write.
const PIECES: usize = 32;

/// What every broker knows in version 0.
const BEFORE_API_VERSIONS: [ApiKey; 4] = [ApiKey::Produce, ApiKey::Fetch, ApiKey::ListOffsets, ApiKey::Metadata];

/// The versions that a broker knows, by API key.
pub(crate) type Versions = BTreeMap<i16, RangeInclusive<i16>>;

/// A socket to a broker that has said what it knows.
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    /// What was read and not looked at.
    pub(crate) buffer: BytesMut,
    pub(crate) versions: Versions,
}

/// The newest version of an API that both sides know, if any.
pub(crate) fn newest_version<R: Request>(versions: &Versions) -> Option<i16> {
    let theirs = versions.get(&R::KEY.code())?;
    let version = (*theirs.end()).min(*R::VERSIONS.end());
    (theirs.contains(&version) && R::VERSIONS.contains(&version)).then_some(version)
}

/// Connects to `host:port` and asks which versions the broker knows.
pub(crate) async fn open(address: &str, options: &ConnectionOptions) -> Result<Socket, ClientError> {
    let mut socket = connect(address, options).await?;
    let asked = timeout(options.request_timeout, socket.ask_versions(address, options)).await;
    let versions = asked.map_err(|_| ClientError::Timeout {
        address: address.into(),
        api: ApiKey::ApiVersions,
        after: options.request_timeout,
    })?;
    socket.versions = match versions {
        Err(ClientError::Closed { .. }) if options.before_api_versions => {
            socket = connect(address, options).await?;
            BEFORE_API_VERSIONS.iter().map(|key| (key.code(), 0..=0)).collect()
        }
        versions => versions?,
    };
    Ok(socket)
}

/// Connects and knows no version yet.
async fn connect(address: &str, options: &ConnectionOptions) -> Result<Socket, ClientError> {
    let failed = |why: String| ClientError::Connect { address: address.into(), why };
    let stream = timeout(options.connect_timeout, dial(address, options))
        .await
        .map_err(|_| failed(format!("no connection within {} ms", options.connect_timeout.as_millis())))?
        .map_err(|error| failed(error.to_string()))?;
    Ok(Socket { stream, buffer: BytesMut::new(), versions: Versions::new() })
}

/// A socket whose buffers have their size before it connects: TCP agrees on the window then.
async fn dial(address: &str, options: &ConnectionOptions) -> std::io::Result<TcpStream> {
    let mut failure = std::io::Error::other("the name has no address");
    let size = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
    for address in lookup_host(address).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = options.receive_buffer_bytes {
            socket.set_recv_buffer_size(size(bytes))?;
        }
        if let Some(bytes) = options.send_buffer_bytes {
            socket.set_send_buffer_size(size(bytes))?;
        }
        match socket.connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                without_pacing(&stream)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Socket {
    async fn ask_versions(&mut self, address: &str, options: &ConnectionOptions) -> Result<Versions, ClientError> {
        let newest = *ApiVersionsRequest::VERSIONS.end();
        // A broker that does not know the version says so in the format of version 0 (KIP-511).
        let mut response = self.exchange_versions(address, options, newest).await?;
        if response.error_code == ErrorCode::UnsupportedVersion.code() {
            response = self.exchange_versions(address, options, 0).await?;
        }
        ClientError::check(response.error_code, None)?;
        Ok(response.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version)).collect())
    }

    async fn exchange_versions(
        &mut self,
        address: &str,
        options: &ConnectionOptions,
        version: i16,
    ) -> Result<ApiVersionsResponse, ClientError> {
        let closed = |why: String| ClientError::Closed { address: address.into(), why };
        let malformed = |source| ClientError::Malformed { address: address.into(), source };
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("ottla"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
        };
        let client_id = Some(Str::from(options.client_id.as_str()));
        let frame = Frame::request(&request, version, version.into(), client_id)?;
        for piece in frame.parts.into_iter().map(Part::into_bytes) {
            self.stream.write_all(&piece).await.map_err(|error| closed(error.to_string()))?;
        }
        let limits = Limits { most: options.max_response_bytes, expected: options.expected_response_bytes };
        let read = read_frame(&mut self.stream, &mut self.buffer, limits).await;
        let frame = read.map_err(|error| closed(error.to_string()))?;
        let mut frame = frame.ok_or_else(|| closed("the broker closed it".into()))?;
        // The header of version 0 is that of all versions.
        let id = decode_response_header(&mut frame, ApiKey::ApiVersions, version).map_err(malformed)?;
        if id != i32::from(version) {
            return Err(closed(format!("answer {id} came where {version} was due")));
        }
        let refused = frame.starts_with(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
        ApiVersionsResponse::decode(&mut frame, if refused { 0 } else { version }).map_err(malformed)
    }
}

/// How long answers may be, and how long they are thought to be; in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) most: usize,
    pub(crate) expected: usize,
}

/// The next frame without its length; `None` at the end of the stream between two frames. May be dropped and called again:
/// what was read is in the buffer.
pub(crate) async fn read_frame(
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    limits: Limits,
) -> std::io::Result<Option<Bytes>> {
    let mut wanted = LENGTH_LEN;
    loop {
        if buffer.len() >= LENGTH_LEN {
            let mut prefix = [0; LENGTH_LEN];
            prefix.copy_from_slice(&buffer[..LENGTH_LEN]);
            wanted = LENGTH_LEN + frame_length(prefix, limits.most).map_err(std::io::Error::other)?;
            if buffer.len() >= wanted {
                let mut frame = buffer.split_to(wanted).freeze();
                frame.advance(LENGTH_LEN);
                return Ok(Some(frame));
            }
        }
        buffer.reserve((wanted - buffer.len()).min(if buffer.is_empty() { READ_CHUNK } else { limits.expected }));
        if socket.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Writes the first of the pieces, with one call of the system; how many bytes those were. Dropped, it has written none.
pub(crate) async fn write_pieces(
    socket: &mut (impl AsyncWrite + Unpin),
    pieces: &VecDeque<Bytes>,
) -> std::io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); PIECES];
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
    }
    match socket.write_vectored(&slices[..pieces.len().min(PIECES)]).await? {
        0 => Err(std::io::ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

/// Takes what was written off the pieces.
pub(crate) fn advance(pieces: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = pieces.front_mut() {
        if first.len() > written {
            return first.advance(written);
        }
        written -= first.len();
        pieces.pop_front();
    }
}

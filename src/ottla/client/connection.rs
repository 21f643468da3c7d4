use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::{ApiKey, Frame, LENGTH_LEN, Message, Part, Request, Str, decode_response_header};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::ClientError;
use super::socket::{self, Limits, READ_CHUNK, Socket, advance, newest_version, read_frame, write_pieces};

/// Requests that wait to be written before the next caller waits.
const QUEUED_REQUESTS: usize = 64;
/// How to speak to a broker.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// What this client calls itself.
    pub client_id: String,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for an answer, beyond what the request itself lets the broker wait.
    pub request_timeout: Duration,
    /// The largest answer, in bytes.
    pub max_response_bytes: usize,
    /// Room that is made at once for an answer that says it is so long, in bytes; what is longer is believed as it comes.
    pub expected_response_bytes: usize,
    /// SO_RCVBUF, in bytes; `None`: the system decides.
    pub receive_buffer_bytes: Option<usize>,
    /// SO_SNDBUF, in bytes; `None`: the system decides.
    pub send_buffer_bytes: Option<usize>,
    /// Whether a broker that closes the connection when it is asked for versions is taken for one before 0.10, which does
    /// so, and is then asked in version 0.
    pub before_api_versions: bool,
}

impl Default for ConnectionOptions {
    fn default() -> ConnectionOptions {
        ConnectionOptions {
            client_id: "ottla".into(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_response_bytes: 256 << 20,
            expected_response_bytes: READ_CHUNK,
            receive_buffer_bytes: None,
            send_buffer_bytes: None,
            before_api_versions: false,
        }
    }
}

/// A connection to one broker. Clones share it; it closes when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Connection {
    address: Arc<str>,
    options: Arc<ConnectionOptions>,
    versions: Arc<BTreeMap<i16, RangeInclusive<i16>>>,
    requests: mpsc::Sender<Outgoing>,
}

/// What the writing task is given.
#[derive(Debug)]
struct Outgoing {
    key: ApiKey,
    version: i16,
    /// The frame; the writer puts the correlation id in.
    frame: Frame<Bytes>,
    reply: oneshot::Sender<Result<Bytes, ClientError>>,
}

/// A request whose answer has not come.
#[derive(Debug)]
struct Unanswered {
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    reply: oneshot::Sender<Result<Bytes, ClientError>>,
}

/// What both tasks share: the requests without an answer in the order in which they were sent, and why there will be none.
#[derive(Debug, Default)]
struct Shared {
    unanswered: VecDeque<Unanswered>,
    ended: Option<ClientError>,
}

/// Bytes of the frame in front of the correlation id: length, API key, version.
const CORRELATION_ID_AT: usize = LENGTH_LEN + 4;

impl Connection {
    /// Connects to `host:port` and asks which versions the broker knows.
    pub async fn connect(address: &str, options: &ConnectionOptions) -> Result<Connection, ClientError> {
        let Socket { stream, buffer, versions } = socket::open(address, options).await?;
        let (read_half, write_half) = stream.into_split();
        let (requests, queue) = mpsc::channel(QUEUED_REQUESTS);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let address: Arc<str> = address.into();
        tokio::spawn(write(write_half, queue, Arc::clone(&shared), Arc::clone(&address)));
        let limits = Limits { most: options.max_response_bytes, expected: options.expected_response_bytes };
        tokio::spawn(read((read_half, buffer), limits, shared, Arc::clone(&address)));
        let options = Arc::new(options.clone());
        Ok(Connection { address, options, versions: Arc::new(versions), requests })
    }

    /// `host:port`, as it was connected to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether requests can still be sent.
    pub fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// The newest version of an API that both sides know, if any.
    pub fn version<R: Request>(&self) -> Option<i16> {
        newest_version::<R>(&self.versions)
    }

    /// Sends a request in the newest version that both sides know and waits for the answer.
    pub async fn send<R>(&self, request: &R) -> Result<R::Response, ClientError>
    where
        R: Request<Payload = Bytes>,
    {
        self.send_at_most(request, i16::MAX, Duration::ZERO).await
    }

    /// Sends a request in a version not above `most`, and gives the broker `patience` beyond the usual time: what the
    /// request itself lets it wait.
    pub async fn send_at_most<R>(&self, request: &R, most: i16, patience: Duration) -> Result<R::Response, ClientError>
    where
        R: Request<Payload = Bytes>,
    {
        let version = self.version::<R>().ok_or_else(|| self.unsupported(R::KEY))?.min(most);
        let supported = self.versions.get(&R::KEY.code()).is_some_and(|theirs| theirs.contains(&version));
        if !supported {
            return Err(self.unsupported(R::KEY));
        }
        self.exchange(request, version, patience).await
    }

    fn unsupported(&self, api: ApiKey) -> ClientError {
        ClientError::UnsupportedApi { address: self.address.to_string(), api }
    }

    async fn exchange<R>(&self, request: &R, version: i16, patience: Duration) -> Result<R::Response, ClientError>
    where
        R: Request<Payload = Bytes>,
    {
        let (reply, answer) = oneshot::channel();
        let after = self.options.request_timeout.saturating_add(patience);
        let exchange = async {
            self.enqueue(request, version, reply).await?;
            answer.await.unwrap_or_else(|_| Err(self.closed("it was given up")))
        };
        let mut body = timeout(after, exchange).await.map_err(|_| ClientError::Timeout {
            address: self.address.to_string(),
            api: R::KEY,
            after,
        })??;
        R::Response::decode(&mut body, version).map_err(|source| self.malformed(source))
    }

    async fn enqueue<R>(
        &self,
        request: &R,
        version: i16,
        reply: oneshot::Sender<Result<Bytes, ClientError>>,
    ) -> Result<(), ClientError>
    where
        R: Request<Payload = Bytes>,
    {
        let client_id = Some(Str::from(self.options.client_id.as_str()));
        let frame = Frame::request(request, version, 0, client_id)?;
        let outgoing = Outgoing { key: R::KEY, version, frame, reply };
        self.requests.send(outgoing).await.map_err(|_| self.closed("it is closed"))
    }

    fn closed(&self, why: &str) -> ClientError {
        ClientError::Closed { address: self.address.to_string(), why: why.into() }
    }

    fn malformed(&self, source: ottla_protocol::DecodeError) -> ClientError {
        ClientError::Malformed { address: self.address.to_string(), source }
    }
}

impl Shared {
    fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
        shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the reason to all who wait, and to all who will.
    fn end(shared: &Mutex<Shared>, reason: ClientError) {
        let waiting = {
            let mut shared = Shared::lock(shared);
            shared.ended.get_or_insert_with(|| reason.clone());
            std::mem::take(&mut shared.unanswered)
        };
        for request in waiting {
            // Whoever gave up waiting does not want to know.
            let _ = request.reply.send(Err(reason.clone()));
        }
    }
}

async fn write(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Outgoing>,
    shared: Arc<Mutex<Shared>>,
    address: Arc<str>,
) {
    let mut correlation_id = 0i32;
    while let Some(Outgoing { key, version, frame, reply }) = queue.recv().await {
        correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        {
            let mut shared = Shared::lock(&shared);
            if let Some(reason) = shared.ended.clone() {
                let _ = reply.send(Err(reason));
                break;
            }
            shared.unanswered.push_back(Unanswered { correlation_id, key, version, reply });
        }
        if let Err(error) = write_frame(&mut socket, frame, correlation_id).await {
            Shared::end(&shared, ClientError::Closed { address: address.to_string(), why: error.to_string() });
            break;
        }
    }
}

async fn write_frame(socket: &mut OwnedWriteHalf, frame: Frame<Bytes>, correlation_id: i32) -> std::io::Result<()> {
    let mut pieces: VecDeque<Bytes> = frame.parts.into_iter().map(Part::into_bytes).collect();
    if let Some(head) = pieces.front_mut().filter(|head| head.len() >= CORRELATION_ID_AT + 4) {
        let mut numbered = BytesMut::from(&head[..]);
        numbered[CORRELATION_ID_AT..CORRELATION_ID_AT + 4].copy_from_slice(&correlation_id.to_be_bytes());
        *head = numbered.freeze();
    }
    while !pieces.is_empty() {
        let written = write_pieces(socket, &pieces).await?;
        advance(&mut pieces, written);
    }
    Ok(())
}

async fn read(
    (mut socket, mut buffer): (OwnedReadHalf, BytesMut),
    limits: Limits,
    shared: Arc<Mutex<Shared>>,
    address: Arc<str>,
) {
    let closed = |why: String| ClientError::Closed { address: address.to_string(), why };
    let reason = loop {
        let mut frame = match read_frame(&mut socket, &mut buffer, limits).await {
            Ok(Some(frame)) => frame,
            Ok(None) => break closed("the broker closed it".into()),
            Err(error) => break closed(error.to_string()),
        };
        let Some(request) = Shared::lock(&shared).unanswered.pop_front() else {
            break closed("an answer came that nobody asked for".into());
        };
        match decode_response_header(&mut frame, request.key, request.version) {
            Ok(id) if id == request.correlation_id => {
                let _ = request.reply.send(Ok(frame));
            }
            Ok(id) => {
                let reason = closed(format!("answer {id} came where {} was due", request.correlation_id));
                let _ = request.reply.send(Err(reason.clone()));
                break reason;
            }
            Err(source) => {
                let reason = ClientError::Malformed { address: address.to_string(), source };
                let _ = request.reply.send(Err(reason.clone()));
                break reason;
            }
        }
    };
    Shared::end(&shared, reason);
}

#[cfg(test)]
mod tests {
    use ottla_protocol::schema::{MetadataRequest, MetadataResponse};
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::client::scripted::{Scripted, Step};

    fn options() -> ConnectionOptions {
        ConnectionOptions { request_timeout: Duration::from_millis(500), ..ConnectionOptions::default() }
    }

    fn answer(controller_id: i32) -> Step {
        Step::Answer(Box::new(MetadataResponse { controller_id, ..MetadataResponse::default() }))
    }

    async fn ask(connection: &Connection) -> Result<i32, ClientError> {
        connection.send(&MetadataRequest::default()).await.map(|response| response.controller_id)
    }

    #[tokio::test]
    async fn requests_are_pipelined_and_answers_find_their_request() {
        let server =
            Scripted::start(&[(ApiKey::Metadata, 0..=9)], vec![Step::Hold, Step::Hold, answer(7), answer(8)]).await;
        let connection = Connection::connect(&server.address, &options()).await.unwrap();
        // The server answers the first one when it has read both.
        let (first, second) = tokio::join!(ask(&connection), ask(&connection));
        assert_eq!((first, second), (Ok(7), Ok(8)));
        assert_eq!(server.versions_asked(ApiKey::Metadata), [9, 9]);
    }

    #[tokio::test]
    async fn an_old_broker_is_asked_again_in_its_own_version() {
        let server = Scripted::refusing_new_api_versions(&[(ApiKey::Metadata, 0..=1)], vec![answer(3)]).await;
        let connection = Connection::connect(&server.address, &options()).await.unwrap();
        assert_eq!(ask(&connection).await, Ok(3));
        assert_eq!(server.versions_asked(ApiKey::ApiVersions), [4, 0]);
    }

    #[tokio::test]
    async fn a_broker_that_hangs_up_on_the_question_for_versions_is_asked_in_version_0() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let mut asked = Vec::new();
            for _ in 0..2 {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = [0; 8];
                socket.read_exact(&mut head).await.unwrap();
                asked.push((head[5], head[7]));
            }
            asked
        });
        let options = ConnectionOptions { before_api_versions: true, ..options() };
        let connection = Connection::connect(&address, &options).await.unwrap();
        assert!(matches!(ask(&connection).await, Err(ClientError::Closed { .. })));
        assert_eq!(server.await.unwrap(), [(18, 4), (3, 0)], "ApiVersions, then Metadata");
    }

    #[tokio::test]
    async fn an_api_that_the_broker_lacks_is_not_asked() {
        let server = Scripted::start(&[(ApiKey::Fetch, 0..=1)], vec![]).await;
        let connection = Connection::connect(&server.address, &options()).await.unwrap();
        assert!(matches!(ask(&connection).await, Err(ClientError::UnsupportedApi { api: ApiKey::Metadata, .. })));
    }

    #[tokio::test]
    async fn silence_is_a_timeout_and_an_end_is_told_to_all() {
        let server = Scripted::start(&[(ApiKey::Metadata, 0..=9)], vec![Step::Hold, Step::Hold]).await;
        let connection = Connection::connect(&server.address, &options()).await.unwrap();
        let silence = ask(&connection).await.unwrap_err();
        assert!(silence.to_string().contains("no answer to Metadata within 500 ms"), "{silence}");

        let server = Scripted::start(&[(ApiKey::Metadata, 0..=9)], vec![Step::Hold, Step::Close]).await;
        let connection = Connection::connect(&server.address, &options()).await.unwrap();
        let (first, second) = tokio::join!(ask(&connection), ask(&connection));
        for end in [first, second] {
            assert!(matches!(end, Err(ClientError::Closed { .. })), "{end:?}");
        }
        let later = ask(&connection).await;
        assert!(matches!(later, Err(ClientError::Closed { .. })), "{later:?}");
    }

    #[tokio::test]
    async fn lies_end_the_connection_and_allocate_nothing() {
        let bad: [&'static [u8]; 4] = [
            &[0x7f, 0xff, 0xff, 0xff, 0],                // longer than any answer may be
            &[0xff, 0xff, 0xff, 0xff],                   // a negative length
            &[0, 0, 0, 8, 0, 0, 0x33, 0x33, 0, 0, 0, 0], // another correlation id
            &[0, 0, 0, 2, 0, 0],                         // a header cut off
        ];
        for bytes in bad {
            let server = Scripted::start(&[(ApiKey::Metadata, 0..=9)], vec![Step::Raw(bytes)]).await;
            let connection = Connection::connect(&server.address, &options()).await.unwrap();
            let error = ask(&connection).await.unwrap_err();
            assert!(matches!(error, ClientError::Closed { .. } | ClientError::Malformed { .. }), "{error:?}");
        }
    }

    #[tokio::test]
    async fn nobody_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = Connection::connect(&address, &options()).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{address}: cannot connect: ")), "{error}");
    }
}

//! A broker for tests: it reads requests and does what its script says.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use ottla_protocol::schema::ApiVersionsResponse;
use ottla_protocol::schema::api_versions::ApiVersion;
use ottla_protocol::{ApiKey, ErrorCode, Frame, Message, RequestHeader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A response whose type is forgotten.
pub(crate) trait Answer: Send + Sync {
    fn frame(&self, version: i16, correlation_id: i32) -> Bytes;
}

impl<M: Message<Payload = Bytes> + Send + Sync> Answer for M {
    fn frame(&self, version: i16, correlation_id: i32) -> Bytes {
        let frame = Frame::response(self, version, correlation_id).unwrap();
        frame.parts.iter().flat_map(|part| part.as_ref().iter().copied()).collect()
    }
}

/// What the broker does next.
pub(crate) enum Step {
    /// Answers the oldest request without an answer, reading one first if there is none.
    Answer(Box<dyn Answer>),
    /// The same with an answer that names the broker's own address.
    AnswerAt(Box<dyn Fn(SocketAddr) -> Box<dyn Answer> + Send>),
    /// Reads a request and answers it later.
    Hold,
    /// Reads a request and sends these bytes.
    Raw(&'static [u8]),
    /// Reads a request and closes the connection.
    Close,
}

pub(crate) struct Scripted {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<(ApiKey, i16)>>>,
}

impl Scripted {
    pub(crate) async fn start(versions: &[(ApiKey, RangeInclusive<i16>)], script: Vec<Step>) -> Scripted {
        Scripted::new(versions, script, 4).await
    }

    pub(crate) async fn refusing_new_api_versions(
        versions: &[(ApiKey, RangeInclusive<i16>)],
        script: Vec<Step>,
    ) -> Scripted {
        Scripted::new(versions, script, 2).await
    }

    /// The versions in which an API was asked, in order.
    pub(crate) fn versions_asked(&self, key: ApiKey) -> Vec<i16> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.0 == key).map(|asked| asked.1).collect()
    }

    async fn new(versions: &[(ApiKey, RangeInclusive<i16>)], script: Vec<Step>, newest: i16) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let api_keys = versions
            .iter()
            .map(|(key, range)| ApiVersion {
                api_key: key.code(),
                min_version: *range.start(),
                max_version: *range.end(),
            })
            .collect();
        let known = ApiVersionsResponse { api_keys, ..ApiVersionsResponse::default() };
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            play(&mut socket, known, script, newest, log).await;
        });
        Scripted { address, asked }
    }
}

async fn play(
    socket: &mut TcpStream,
    known: ApiVersionsResponse,
    script: Vec<Step>,
    newest: i16,
    log: Arc<Mutex<Vec<(ApiKey, i16)>>>,
) -> Option<()> {
    loop {
        let header = read_request(socket, &log).await?;
        assert_eq!(header.api_key, ApiKey::ApiVersions, "the first request asks for versions");
        if header.api_version <= newest {
            socket.write_all(&known.frame(header.api_version, header.correlation_id)).await.ok()?;
            break;
        }
        let error_code = ErrorCode::UnsupportedVersion.code();
        let refusal = ApiVersionsResponse { error_code, ..ApiVersionsResponse::default() };
        socket.write_all(&refusal.frame(0, header.correlation_id)).await.ok()?;
    }
    let mut held = Vec::new();
    for step in script {
        match step {
            Step::Hold => held.push(read_request(socket, &log).await?),
            Step::Answer(answer) => reply(socket, &log, &mut held, &*answer).await?,
            Step::AnswerAt(answer) => {
                let answer = answer(socket.local_addr().ok()?);
                reply(socket, &log, &mut held, &*answer).await?;
            }
            Step::Raw(bytes) => {
                read_request(socket, &log).await?;
                socket.write_all(bytes).await.ok()?;
            }
            Step::Close => {
                read_request(socket, &log).await?;
                return None;
            }
        }
    }
    std::future::pending().await
}

/// Answers the oldest request that has none, reading one if all have.
async fn reply(
    socket: &mut TcpStream,
    log: &Mutex<Vec<(ApiKey, i16)>>,
    held: &mut Vec<RequestHeader>,
    answer: &dyn Answer,
) -> Option<()> {
    if held.is_empty() {
        held.push(read_request(socket, log).await?);
    }
    let header = held.remove(0);
    socket.write_all(&answer.frame(header.api_version, header.correlation_id)).await.ok()
}

async fn read_request(socket: &mut TcpStream, log: &Mutex<Vec<(ApiKey, i16)>>) -> Option<RequestHeader> {
    let length = socket.read_i32().await.ok()?;
    let mut body = BytesMut::zeroed(length as usize);
    socket.read_exact(&mut body).await.ok()?;
    let header = RequestHeader::decode(&mut body.freeze()).unwrap();
    log.lock().unwrap().push((header.api_key, header.api_version));
    Some(header)
}

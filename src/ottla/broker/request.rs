//! One request on its way through the broker: who asks, what a handler may reply, and the frame that leaves.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ottla_protocol::{Frame, Message, Part, Read, Request, RequestHeader, Str};
use ottla_types::{ListenerName, SecurityProtocol};
use tracing::{debug, error};

use crate::metrics::Metrics;
use crate::net::{Answer, Records, Response};

/// Who asks, and how; every handler gets it, `authorize` and `quota` decide by it.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The listener that the request came in by.
    pub listener: ListenerName,
    /// That listener's protection.
    pub security_protocol: SecurityProtocol,
    /// The authenticated name in Kafka's form; `User:ANONYMOUS` where nobody is asked.
    pub principal: &'static str,
    /// The client's address.
    pub address: SocketAddr,
    /// What API, in what version, with what correlation id, by which client.
    pub header: RequestHeader,
}

impl RequestContext {
    /// Version of the request's API.
    pub fn version(&self) -> i16 {
        self.header.api_version
    }

    /// The client's own name for itself.
    pub fn client_id(&self) -> Option<&Str> {
        self.header.client_id.as_ref()
    }
}

/// A handler's word on one request.
pub enum Reply<R> {
    /// The answer.
    Now(R),
    /// The answer comes later.
    Later(Pin<Box<dyn Future<Output = R> + Send>>),
    /// Nothing was done yet: a partition is held by something slow. The request begins again when the future is done.
    NotYet(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// No answer is expected.
    Nothing,
    /// The connection is closed: the request asked for no answer and failed.
    Close,
}

impl<R> Reply<R> {
    /// A reply that is worked on while later requests begin.
    pub fn later(future: impl Future<Output = R> + Send + 'static) -> Reply<R> {
        Reply::Later(Box::pin(future))
    }
}

/// Decodes a request, lets a handler begin it and encodes what comes of it.
///
/// A body that cannot be read closes the connection, as Kafka does: what follows on it cannot be trusted.
pub(super) fn begin<Q, M>(
    context: RequestContext,
    mut body: Bytes,
    metrics: &Arc<Metrics>,
    handler: impl FnOnce(RequestContext, Q) -> Reply<M>,
) -> Answer
where
    Q: Request + Read,
    M: Message + 'static,
    M::Payload: Into<Records>,
{
    let (header, begun) = (context.header.clone(), Instant::now());
    let request = match Q::decode(&mut body, header.api_version) {
        Ok(request) => request,
        Err(e) => {
            debug!("{}: {e}; the connection is closed", context.address);
            return Answer::Close;
        }
    };
    match handler(context, request) {
        Reply::Now(response) => {
            metrics.answered(header.api_key, begun.elapsed());
            encode(&header, &response).map_or(Answer::Close, Answer::Now)
        }
        Reply::Later(future) => {
            let metrics = metrics.clone();
            Answer::Later(Box::pin(async move {
                let response = future.await;
                metrics.answered(header.api_key, begun.elapsed());
                encode(&header, &response)
            }))
        }
        Reply::NotYet(until) => Answer::NotYet(until),
        Reply::Nothing => Answer::Nothing,
        Reply::Close => Answer::Close,
    }
}

/// The frame of a response. `None`, after a line in the log, if it passes what a frame can say: our own mistake.
pub(super) fn encode<M: Message>(header: &RequestHeader, response: &M) -> Option<Response>
where
    M::Payload: Into<Records>,
{
    let frame = Frame::response(response, header.api_version, header.correlation_id)
        .inspect_err(|e| error!("a {} cannot be encoded: {e}", M::NAME))
        .ok()?;
    let parts = frame.parts.into_iter().map(|part| match part {
        Part::Bytes(bytes) => Part::Bytes(bytes),
        Part::Payload(records) => Part::Payload(records.into()),
    });
    Some(Frame { parts: parts.collect() })
}

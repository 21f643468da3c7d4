use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use ottla_types::Endpoint;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::connection::Connection;
use super::{ConnectionQuota, Peer, Service};

/// How long accepting rests when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes that wait in a socket's buffer unsent, at most: enough to keep any line busy, and no more than the processor's
/// cache holds. A reader that is slower than we are then costs neither memory nor a second trip to it.
const MOST_UNSENT: u32 = 256 << 10;

/// A socket that could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has the port.
    #[error("{endpoint}: the port is taken by another process; stop it, or set another port in `listeners`")]
    Taken {
        /// The listener as configured.
        endpoint: String,
    },
    /// Anything else: no such host or address, no permission.
    #[error("{endpoint}: cannot listen: {source}")]
    Other {
        /// The listener as configured.
        endpoint: String,
        /// Why.
        source: io::Error,
    },
}

/// What a listener allows each connection and all of them.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// `socket.request.max.bytes`.
    pub max_request_bytes: usize,
    /// `connections.max.idle.ms`.
    pub max_idle: Duration,
    /// How many connections; more are closed at accept. Shared by all listeners.
    pub quota: Arc<ConnectionQuota>,
    /// `socket.send.buffer.bytes`; `None`: the system decides, and adapts.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None`: the system decides, and adapts.
    pub receive_buffer_bytes: Option<usize>,
}

/// A bound socket. Binding comes early in the start, so that a taken port ends it before anything was changed; serving
/// comes last.
pub struct Listener {
    endpoint: Endpoint,
    socket: TcpListener,
}

impl Listener {
    /// Binds. An empty host means every interface; `backlog` connections may wait for accept.
    pub fn bind(endpoint: &Endpoint, backlog: i32) -> Result<Listener, BindError> {
        let bound = (|| {
            let host = if endpoint.host.is_empty() { "0.0.0.0" } else { &endpoint.host };
            let address = (host, endpoint.port)
                .to_socket_addrs()?
                .next()
                .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))?;
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(backlog)?;
            TcpListener::from_std(socket.into())
        })();
        match bound {
            Ok(socket) => Ok(Listener { endpoint: endpoint.clone(), socket }),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(BindError::Taken { endpoint: endpoint.to_string() }),
            Err(source) => Err(BindError::Other { endpoint: endpoint.to_string(), source }),
        }
    }

    /// The listener as configured.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The address it got; its port is real where 0 was asked.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts and serves until `stop` turns true; returns when its last connection has ended.
    pub async fn serve<S: Service>(self, service: Arc<S>, limits: ListenerLimits, mut stop: watch::Receiver<bool>) {
        let mut tasks = tokio::task::JoinSet::new();
        while !*stop.borrow() {
            let (stream, address) = tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(e) => {
                        warn!("{}: accept failed: {e}", self.endpoint);
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                _ = stop.changed() => break,
                Some(_) = tasks.join_next() => continue,
            };
            let permit = match limits.quota.admit(address.ip()) {
                Ok(permit) => permit,
                Err(e) => {
                    warn!("{address} is turned away: {e}");
                    continue;
                }
            };
            if let Err(e) = set_up(&stream, &limits) {
                debug!("{address}: {e}");
                continue;
            }
            let peer = Peer {
                listener: self.endpoint.listener.clone(),
                security_protocol: self.endpoint.security_protocol,
                address,
            };
            let connection = Connection {
                stream,
                peer,
                service: service.clone(),
                max_request_bytes: limits.max_request_bytes,
                max_idle: limits.max_idle,
                stop: stop.clone(),
            };
            tasks.spawn(async move {
                if let Err(e) = connection.serve().await {
                    debug!("connection from {address} closed: {e}");
                }
                drop(permit);
            });
        }
        drop(self.socket);
        while tasks.join_next().await.is_some() {}
    }
}

fn set_up(stream: &TcpStream, limits: &ListenerLimits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(MOST_UNSENT)?;
    without_pacing(stream)?;
    if let Some(bytes) = limits.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = limits.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    Ok(())
}

/// Takes what finds a line's speed away from a connection within the machine, where there is none to be found: BBR's pacing
/// costs more than half of the processor's time of a fetch. Where only the system's own choice is allowed, it stays.
pub(crate) fn without_pacing(stream: &TcpStream) -> io::Result<()> {
    if stream.peer_addr()?.ip() == stream.local_addr()?.ip() {
        let _ = SockRef::from(stream).set_tcp_congestion(b"reno");
    }
    Ok(())
}

//! Where clients are sent: `advertised.listeners`, with what only a running broker knows filled in.

use std::net::SocketAddr;

use ottla_types::Endpoint;

use crate::host;

/// The advertised endpoints. An empty host becomes this machine's name, port 0 the port that the listener of that name
/// was bound to.
pub fn resolve(advertised: &[Endpoint], bound: &[(Endpoint, SocketAddr)]) -> Vec<Endpoint> {
    let resolved = advertised.iter().cloned().map(|mut endpoint| {
        let address = bound.iter().find(|(listener, _)| listener.listener == endpoint.listener);
        if let (0, Some((_, address))) = (endpoint.port, address) {
            endpoint.port = address.port();
        }
        if endpoint.host.is_empty() {
            endpoint.host = host::name();
        }
        endpoint
    });
    resolved.collect()
}

#[cfg(test)]
mod tests {
    use ottla_types::{ListenerName, SecurityProtocol};

    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint {
            listener: ListenerName::new("PLAINTEXT"),
            security_protocol: SecurityProtocol::Plaintext,
            host: host.into(),
            port,
        }
    }

    #[test]
    fn what_is_not_said_comes_from_the_socket_and_the_machine() {
        let bound = [(endpoint("", 0), "0.0.0.0:4711".parse().unwrap())];
        let resolved = resolve(&[endpoint("", 0)], &bound);
        assert_eq!(resolved[0].port, 4711);
        assert!(!resolved[0].host.is_empty());
        assert_eq!(resolve(&[endpoint("h", 9)], &bound), [endpoint("h", 9)], "what is said stays");
    }
}

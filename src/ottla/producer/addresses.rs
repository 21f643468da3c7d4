//! Where a broker is reached.

use ottla_types::SecurityProtocol;
use ottla_view::Broker;

/// `host:port` of a broker's first listener without encryption; or why there is none.
pub(super) fn address_of(broker: &Broker) -> Result<String, String> {
    let plain = broker.endpoints.iter().find(|endpoint| endpoint.security_protocol == SecurityProtocol::Plaintext);
    match plain {
        Some(endpoint) if endpoint.host.contains(':') => Ok(format!("[{}]:{}", endpoint.host, endpoint.port)),
        Some(endpoint) => Ok(format!("{}:{}", endpoint.host, endpoint.port)),
        None => Err("it has no PLAINTEXT listener, and this producer speaks no other".into()),
    }
}

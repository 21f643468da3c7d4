use std::fmt;
use std::sync::Arc;

/// How a listener protects its connections. The discriminants are Kafka's wire ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext = 0,
    /// TLS.
    Ssl = 1,
    /// SASL over plain TCP.
    SaslPlaintext = 2,
    /// SASL over TLS.
    SaslSsl = 3,
}

impl SecurityProtocol {
    /// Kafka's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }

    /// Reads Kafka's spelling, in any case.
    pub fn parse(text: &str) -> Option<SecurityProtocol> {
        use SecurityProtocol::*;
        [Plaintext, Ssl, SaslPlaintext, SaslSsl].into_iter().find(|p| p.as_str().eq_ignore_ascii_case(text))
    }

    /// From the wire's number.
    pub fn from_id(id: i16) -> Option<SecurityProtocol> {
        use SecurityProtocol::*;
        [Plaintext, Ssl, SaslPlaintext, SaslSsl].into_iter().find(|p| *p as i16 == id)
    }
}

/// A listener's name (`PLAINTEXT`, `CLIENT`, ...), in capitals as Kafka keeps it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerName(Arc<str>);

impl ListenerName {
    /// Takes a name and makes it capitals.
    pub fn new(name: &str) -> ListenerName {
        ListenerName(name.to_ascii_uppercase().into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ListenerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a listener can be reached: `LISTENER://host:port`, IPv6 hosts in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The listener's name, the scheme of the text form.
    pub listener: ListenerName,
    /// Its security protocol; the text form does not carry it.
    pub security_protocol: SecurityProtocol,
    /// Host name or address, without brackets. Empty: all interfaces (only in `listeners`).
    pub host: String,
    /// TCP port, 0 asks the system for one.
    pub port: u16,
}

/// A text that is no `LISTENER://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an endpoint: LISTENER://host:port is expected")]
pub struct EndpointError(pub String);

impl Endpoint {
    /// Splits `LISTENER://host:port` into name, host and port. The protocol comes from `listener.security.protocol.map`,
    /// so the caller adds it.
    pub fn split(text: &str) -> Result<(ListenerName, String, u16), EndpointError> {
        let error = || EndpointError(text.into());
        let (name, rest) = text.trim().split_once("://").ok_or_else(error)?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(error)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(error)?,
            None if host.contains(':') => return Err(error()),
            None => host,
        };
        if name.is_empty() {
            return Err(error());
        }
        Ok((ListenerName::new(name), host.into(), port.parse().map_err(|_| error())?))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "{}://[{}]:{}", self.listener, self.host, self.port),
            false => write!(f, "{}://{}:{}", self.listener, self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_split() {
        let split = |t| Endpoint::split(t).map(|(n, h, p)| format!("{n} {h} {p}"));
        assert_eq!(split("client://h.example:9092").unwrap(), "CLIENT h.example 9092");
        assert_eq!(split("PLAINTEXT://[::1]:0").unwrap(), "PLAINTEXT ::1 0");
        assert_eq!(split("PLAINTEXT://:9092").unwrap(), "PLAINTEXT  9092");
        for bad in ["", "host:1", "A://h", "A://h:70000", "A://::1:9", "://h:1"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}

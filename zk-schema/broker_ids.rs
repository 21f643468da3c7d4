//! `/brokers/ids/<id>`: the registration of a live broker.

use std::collections::BTreeMap;

use ottla_types::{BrokerId, Endpoint, ListenerName, SecurityProtocol};
use serde_json::{Value, json};

use crate::document::{self, DecodeError, Document};

/// The folder of the registrations.
pub const PARENT: &str = "/brokers/ids";

const REMEDY: &str = "restart that broker: it writes the node anew";

/// The registration node of a broker.
pub fn path(id: BrokerId) -> String {
    format!("{PARENT}/{id}")
}

/// The id in a registration's path.
pub fn parse_path(path: &str) -> Option<BrokerId> {
    let id: i32 = path.strip_prefix(PARENT)?.strip_prefix('/')?.parse().ok()?;
    (id >= 0).then_some(BrokerId(id))
}

/// `/brokers/ids/<id>`, ephemeral: where a broker can be reached. Versions 1 to 5 are read, and any higher one as 5;
/// 5 is written (KIP-584; `ZkData.scala` BrokerIdZNode).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// The advertised listeners, in the order of `advertised.listeners`.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Port of the JVM's JMX server; -1: none.
    pub jmx_port: i32,
    /// When the broker registered, ms since the epoch. Some foreign writers leave it out.
    pub timestamp_ms: Option<i64>,
    /// Feature name to the (lowest, highest) level that the broker supports. No ZooKeeper-mode broker has any.
    pub features: BTreeMap<String, (i32, i32)>,
}

impl BrokerRegistration {
    /// Reads any version.
    pub fn decode(path: &str, data: &[u8]) -> Result<BrokerRegistration, DecodeError> {
        let document = Document::parse(path, REMEDY, data)?;
        let version = document.int("version")?;
        if version < 1 {
            return Err(document.error("version", "is below 1"));
        }
        let endpoints = match version {
            1 => vec![plaintext(&document)?],
            _ => endpoints(&document)?,
        };
        let mut features = BTreeMap::new();
        for (name, range) in document.optional_object("features")?.into_iter().flatten() {
            let level = |key| range.get(key).and_then(document::int);
            let range = level("min_version").zip(level("max_version"));
            let range =
                range.ok_or_else(|| document.error("features", "has a range without min_version or max_version"))?;
            features.insert(name.clone(), range);
        }
        Ok(BrokerRegistration {
            endpoints,
            rack: document.optional_text("rack")?.map(Into::into),
            jmx_port: document.int("jmx_port")?,
            timestamp_ms: document.optional_long("timestamp")?,
            features,
        })
    }

    /// Version 5, keys in the order of Kafka 3.9. `host` and `port` at top level are what clients of 0.8 read: the first
    /// PLAINTEXT endpoint, or else the first one (Kafka then writes null and -1, on which old readers fail).
    pub fn encode(&self) -> Vec<u8> {
        let features = self.features.iter();
        let features: serde_json::Map<String, Value> = features
            .map(|(name, (min, max))| (name.clone(), json!({"min_version": min, "max_version": max})))
            .collect();
        let protocols: serde_json::Map<String, Value> = self
            .endpoints
            .iter()
            .map(|e| (e.listener.as_str().into(), Value::from(e.security_protocol.as_str())))
            .collect();
        let plaintext = self.endpoints.iter().find(|e| e.security_protocol == SecurityProtocol::Plaintext);
        let old = plaintext.or(self.endpoints.first());
        let mut document = json!({
            "features": features,
            "listener_security_protocol_map": protocols,
            "endpoints": self.endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>(),
        });
        if let Some(rack) = &self.rack {
            document["rack"] = json!(rack);
        }
        document["jmx_port"] = json!(self.jmx_port);
        document["port"] = old.map_or(json!(-1), |endpoint| json!(endpoint.port));
        document["host"] = json!(old.map(|endpoint| &endpoint.host));
        document["version"] = json!(5);
        document["timestamp"] = json!(self.timestamp_ms.unwrap_or(-1).to_string());
        document::encode(&document)
    }
}

/// Version 1: one PLAINTEXT listener, `host` and `port` at top level.
fn plaintext(document: &Document) -> Result<Endpoint, DecodeError> {
    let port = document.int("port")?.try_into().map_err(|_| document.error("port", "is no TCP port"))?;
    Ok(Endpoint {
        listener: ListenerName::new(SecurityProtocol::Plaintext.as_str()),
        security_protocol: SecurityProtocol::Plaintext,
        host: document.text("host")?.into(),
        port,
    })
}

/// From version 2: `endpoints`, whose schemes are listener names if there is a map, else names of protocols.
fn endpoints(document: &Document) -> Result<Vec<Endpoint>, DecodeError> {
    let protocols = document.optional_object("listener_security_protocol_map")?;
    let endpoint = |text: &Value| {
        let (listener, host, port) = text.as_str().and_then(|text| Endpoint::split(text).ok())?;
        let protocol = match protocols {
            Some(protocols) => {
                protocols.iter().find(|(name, _)| name.eq_ignore_ascii_case(listener.as_str()))?.1.as_str()?
            }
            None => listener.as_str(),
        };
        Some(Endpoint { security_protocol: SecurityProtocol::parse(protocol)?, listener, host, port })
    };
    let broken = || document.error("endpoints", "holds what is no LISTENER://host:port with a known security protocol");
    document.list("endpoints")?.iter().map(|text| endpoint(text).ok_or_else(broken)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<BrokerRegistration, DecodeError> {
        BrokerRegistration::decode("/brokers/ids/7", text.as_bytes())
    }

    #[test]
    fn every_version_is_read() {
        let v1 = decode(r#"{"jmx_port":-1,"timestamp":"5","host":"h","version":1,"port":9092}"#).unwrap();
        assert_eq!(v1.endpoints[0].to_string(), "PLAINTEXT://h:9092");
        let v2 = decode(r#"{"jmx_port":9,"version":2,"host":null,"port":-1,"endpoints":["SSL://h:1"]}"#).unwrap();
        assert_eq!(v2.endpoints[0].security_protocol, SecurityProtocol::Ssl);
        let v4 = r#"{"jmx_port":9,"version":4,"endpoints":["IN://[::1]:1"],"listener_security_protocol_map":{"IN":"SASL_SSL"}}"#;
        let v4 = decode(v4).unwrap();
        assert_eq!(
            (v4.endpoints[0].host.as_str(), v4.endpoints[0].security_protocol),
            ("::1", SecurityProtocol::SaslSsl)
        );
        let v9 =
            r#"{"jmx_port":9,"version":9,"endpoints":[],"features":{"f":{"min_version":1,"max_version":3}},"new":{}}"#;
        assert_eq!(decode(v9).unwrap().features["f"], (1, 3));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = decode(r#"{"version":1,"host":"h","port":9092}"#).unwrap_err().to_string();
        assert_eq!(error, "/brokers/ids/7: key 'jmx_port' is missing; restart that broker: it writes the node anew");
        assert!(decode(r#"{"version":0,"jmx_port":1}"#).is_err());
        assert!(decode(r#"{"version":2,"jmx_port":1}"#).is_err());
        let unmapped = r#"{"version":4,"jmx_port":1,"endpoints":["A://h:1"],"listener_security_protocol_map":{}}"#;
        assert!(decode(unmapped).is_err());
    }

    #[test]
    fn old_readers_find_a_host_without_a_plaintext_listener() {
        let mut broker = decode(r#"{"version":2,"jmx_port":-1,"endpoints":["SSL://s:2"]}"#).unwrap();
        let text = String::from_utf8(broker.encode()).unwrap();
        assert!(text.contains(r#""port":2,"host":"s""#), "{text}");
        broker.endpoints.push(plaintext(&Document::parse("", "", br#"{"host":"p","port":1}"#).unwrap()).unwrap());
        let text = String::from_utf8(broker.encode()).unwrap();
        assert!(text.contains(r#""port":1,"host":"p""#), "{text}");
    }

    #[test]
    fn paths_read_back() {
        assert_eq!(parse_path(&path(BrokerId(1001))), Some(BrokerId(1001)));
        for other in ["/brokers/ids", "/brokers/ids/", "/brokers/ids/x", "/brokers/ids/-1", "/brokers/ids/1/x"] {
            assert_eq!(parse_path(other), None);
        }
    }
}

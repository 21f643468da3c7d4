use std::fmt;

use ottla_types::{BrokerId, TopicName};

/// The reserved name of the default entity.
const DEFAULT: &str = "<default>";

/// The name of a user, client id or address that has configs of its own, or the default for all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntityName {
    /// `<default>`.
    Default,
    /// The name in clear, not as paths spell it.
    Named(String),
}

/// What can have dynamic configs. Its text form is its path below `/config`, as change notifications spell it:
/// `topics/orders`, `users/alice%20smith/clients/<default>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigEntity {
    /// A topic.
    Topic(TopicName),
    /// One broker.
    Broker(BrokerId),
    /// All brokers.
    BrokerDefault,
    /// A client id (quotas).
    Client(EntityName),
    /// A user (quotas, SCRAM credentials).
    User(EntityName),
    /// A client id of a user (quotas).
    UserClient(EntityName, EntityName),
    /// An address (quotas).
    Ip(EntityName),
}

impl EntityName {
    fn parse(text: &str) -> Option<EntityName> {
        match text {
            "" => None,
            DEFAULT => Some(EntityName::Default),
            text => unescape(text).map(EntityName::Named),
        }
    }
}

impl fmt::Display for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntityName::Default => f.write_str(DEFAULT),
            EntityName::Named(name) => f.write_str(&escape(name)),
        }
    }
}

impl ConfigEntity {
    /// Reads the text form.
    pub fn parse(entity_path: &str) -> Option<ConfigEntity> {
        let (kind, name) = entity_path.split_once('/')?;
        Some(match kind {
            "topics" => ConfigEntity::Topic(TopicName::new(name).ok()?),
            "brokers" if name == DEFAULT => ConfigEntity::BrokerDefault,
            "brokers" => ConfigEntity::Broker(BrokerId(name.parse().ok().filter(|id| *id >= 0)?)),
            "clients" if !name.contains('/') => ConfigEntity::Client(EntityName::parse(name)?),
            "ips" if !name.contains('/') => ConfigEntity::Ip(EntityName::parse(name)?),
            "users" => match name.split_once('/') {
                None => ConfigEntity::User(EntityName::parse(name)?),
                Some((user, rest)) => {
                    let client = rest.strip_prefix("clients/").filter(|client| !client.contains('/'))?;
                    ConfigEntity::UserClient(EntityName::parse(user)?, EntityName::parse(client)?)
                }
            },
            _ => return None,
        })
    }
}

impl fmt::Display for ConfigEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigEntity::Topic(topic) => write!(f, "topics/{topic}"),
            ConfigEntity::Broker(id) => write!(f, "brokers/{id}"),
            ConfigEntity::BrokerDefault => write!(f, "brokers/{DEFAULT}"),
            ConfigEntity::Client(client) => write!(f, "clients/{client}"),
            ConfigEntity::User(user) => write!(f, "users/{user}"),
            ConfigEntity::UserClient(user, client) => write!(f, "users/{user}/clients/{client}"),
            ConfigEntity::Ip(ip) => write!(f, "ips/{ip}"),
        }
    }
}

/// Kafka's `Sanitizer.java`: URL encoding of the UTF-8 bytes, a blank as `%20` and `*` as `%2A`.
fn escape(name: &str) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => text.push(byte.into()),
            byte => write!(text, "%{byte:02X}").expect("writing to a String does not fail"),
        }
    }
    text
}

fn unescape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut name = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        match first {
            b'%' => {
                let hex = tail.get(..2).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))?;
                name.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
                rest = &tail[2..];
            }
            b'+' => {
                name.push(b' ');
                rest = tail;
            }
            byte => {
                name.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_paths_read_back() {
        for text in [
            "topics/a.b_c-d",
            "brokers/0",
            "brokers/<default>",
            "clients/client-a",
            "users/alice%20smith%2A",
            "users/alice%20smith%2A/clients/client%20a",
            "users/<default>/clients/<default>",
            "users/%C3%A9%2F%25%7E",
            "ips/10.0.0.1",
            "ips/<default>",
        ] {
            assert_eq!(ConfigEntity::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            ConfigEntity::parse("users/alice%20smith%2A"),
            Some(ConfigEntity::User(EntityName::Named("alice smith*".into())))
        );
    }

    #[test]
    fn what_is_no_entity_is_refused() {
        for text in ["", "topics", "topics/", "topics/a/b", "brokers/x", "brokers/-1", "users/a/b/c", "clients/a/b"] {
            assert_eq!(ConfigEntity::parse(text), None, "{text}");
        }
        for text in ["users/%", "users/%2", "users/%zz", "users/%FF", "users/%+1", "client-metrics/m"] {
            assert_eq!(ConfigEntity::parse(text), None, "{text}");
        }
    }
}

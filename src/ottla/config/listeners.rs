use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{Endpoint, ListenerName, SecurityProtocol};

use super::broker::Reader;
use super::{Problem, Settings, split_list};

/// The listeners of a broker, from `listeners`, `advertised.listeners`, `listener.security.protocol.map`,
/// `inter.broker.listener.name`, `security.inter.broker.protocol`, and from `host.name`, `port`, `advertised.host.name`,
/// `advertised.port` of brokers before 3.0. The checks are those of `KafkaConfig.scala`.
pub(super) struct Listeners {
    pub(super) bind: Vec<Endpoint>,
    pub(super) advertised: Vec<Endpoint>,
    pub(super) inter_broker: ListenerName,
}

type Protocols = BTreeMap<ListenerName, SecurityProtocol>;

impl Listeners {
    /// Reads and checks them; `None` with at least one problem.
    pub(super) fn new(settings: &Settings, problems: &mut Vec<Problem>) -> Option<Listeners> {
        let read = Reader { settings };
        let protocols = protocols(&read, problems)?;
        let (key, text) = bind_text(&read);
        let bind = endpoints(&read, key, &text, &protocols, problems)?;
        if bind.is_empty() {
            problems.push(settings.wrong(key, "at least one NAME://host:port"));
            return None;
        }
        check_bind(&read, key, &bind, problems)?;
        let advertised = match advertised_text(&read, &bind) {
            Some((key, text)) => {
                let advertised = endpoints(&read, key, &text, &protocols, problems)?;
                check_advertised(&read, key, &bind, &advertised, problems)?;
                advertised
            }
            None => {
                // An empty host becomes this machine's name; a bound 0.0.0.0 can be told to nobody.
                if let Some(all) = bind.iter().find(|endpoint| is_any_address(&endpoint.host)) {
                    let why = format!("advertised.listeners must say how clients reach {}", all.listener);
                    problems.push(settings.refused(key, &why));
                    return None;
                }
                bind.clone()
            }
        };
        let inter_broker = inter_broker(&read, &advertised, &protocols, problems)?;
        Some(Listeners { bind, advertised, inter_broker })
    }
}

/// `listeners`, unless it was not set and an old key was.
fn bind_text(read: &Reader<'_>) -> (&'static str, String) {
    let old = |key| read.settings.get(key).filter(|setting| !setting.value.is_empty());
    let is_given = read.settings.get("listeners").is_some_and(|setting| {
        // What holds without a file gives way to an old key, too.
        setting.source != super::Source::WithoutFile
    });
    if !is_given && (old("host.name").is_some() || old("port").is_some()) {
        let host = read.text("host.name").unwrap_or_default();
        let port = read.text("port").unwrap_or_else(|| "9092".into());
        return (
            if old("port").is_some() { "port" } else { "host.name" },
            format!("PLAINTEXT://{}:{port}", bracket(&host)),
        );
    }
    ("listeners", read.text("listeners").unwrap_or_default())
}

/// `advertised.listeners`, else the old keys if one is set.
fn advertised_text(read: &Reader<'_>, bind: &[Endpoint]) -> Option<(&'static str, String)> {
    if let Some(text) = read.text("advertised.listeners") {
        return Some(("advertised.listeners", text));
    }
    let host = read.text("advertised.host.name");
    let port = read.text("advertised.port");
    let first = bind.first()?;
    let key = if host.is_some() { "advertised.host.name" } else { "advertised.port" };
    (host.is_some() || port.is_some()).then(|| {
        let host = host.unwrap_or_else(|| first.host.clone());
        let port = port.unwrap_or_else(|| first.port.to_string());
        (key, format!("{}://{}:{port}", first.listener, bracket(&host)))
    })
}

fn bracket(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.into() }
}

fn protocols(read: &Reader<'_>, problems: &mut Vec<Problem>) -> Option<Protocols> {
    let key = "listener.security.protocol.map";
    let mut protocols = Protocols::new();
    for part in split_list(&read.text(key).unwrap_or_default()) {
        let parsed = part.split_once(':').and_then(|(name, protocol)| {
            let name = Some(name.trim()).filter(|name| !name.is_empty())?;
            Some((ListenerName::new(name), SecurityProtocol::parse(protocol.trim())?))
        });
        let is_new = parsed.is_some_and(|(name, protocol)| protocols.insert(name, protocol).is_none());
        if !is_new {
            let expected = "NAME:PROTOCOL,NAME:PROTOCOL, each name once, PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL";
            problems.push(read.settings.wrong(key, expected));
            return None;
        }
    }
    Some(protocols)
}

fn endpoints(
    read: &Reader<'_>,
    key: &str,
    text: &str,
    protocols: &Protocols,
    problems: &mut Vec<Problem>,
) -> Option<Vec<Endpoint>> {
    let mut endpoints = Vec::new();
    for part in split_list(text) {
        let Ok((listener, host, port)) = Endpoint::split(part) else {
            problems.push(read.settings.wrong(key, "NAME://host:port,NAME://host:port"));
            return None;
        };
        let Some(&security_protocol) = protocols.get(&listener) else {
            let why = format!("listener.security.protocol.map must say which protocol {listener} speaks");
            problems.push(read.settings.refused(key, &why));
            return None;
        };
        if security_protocol != SecurityProtocol::Plaintext {
            let why = format!(
                "listener {listener} speaks {}, which is not built yet; so far every listener must be PLAINTEXT",
                security_protocol.as_str()
            );
            problems.push(read.settings.refused(key, &why));
            return None;
        }
        endpoints.push(Endpoint { listener, security_protocol, host, port });
    }
    let names: BTreeSet<&ListenerName> = endpoints.iter().map(|endpoint| &endpoint.listener).collect();
    if names.len() != endpoints.len() {
        problems.push(read.settings.refused(key, "each listener needs a name of its own"));
        return None;
    }
    Some(endpoints)
}

fn check_bind(read: &Reader<'_>, key: &str, bind: &[Endpoint], problems: &mut Vec<Problem>) -> Option<()> {
    for (at, one) in bind.iter().enumerate() {
        // Two listeners share a port only as one IPv4 and one IPv6 address (KIP-797).
        let clash = bind[..at].iter().find(|other| {
            one.port != 0
                && other.port == one.port
                && one.host.contains(':') == other.host.contains(':')
                && (one.host == other.host || [one, other].iter().any(|e| e.host.is_empty() || is_any_address(&e.host)))
        });
        if let Some(other) = clash {
            let why = format!("{} and {} have the same port", other.listener, one.listener);
            problems.push(read.settings.refused(key, &why));
            return None;
        }
    }
    Some(())
}

fn check_advertised(
    read: &Reader<'_>,
    key: &str,
    bind: &[Endpoint],
    advertised: &[Endpoint],
    problems: &mut Vec<Problem>,
) -> Option<()> {
    let before = problems.len();
    for endpoint in advertised {
        if is_any_address(&endpoint.host) || endpoint.host.is_empty() && key == "advertised.listeners" {
            let why = format!("{endpoint} is no address that a client could reach");
            problems.push(read.settings.refused(key, &why));
        }
        if !bind.iter().any(|bound| bound.listener == endpoint.listener) {
            let why = format!("listeners has no {}", endpoint.listener);
            problems.push(read.settings.refused(key, &why));
        }
    }
    (problems.len() == before).then_some(())
}

fn is_any_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_unspecified())
}

fn inter_broker(
    read: &Reader<'_>,
    advertised: &[Endpoint],
    protocols: &Protocols,
    problems: &mut Vec<Problem>,
) -> Option<ListenerName> {
    let has = |name: &ListenerName| advertised.iter().any(|endpoint| endpoint.listener == *name);
    if let Some(name) = read.text("inter.broker.listener.name") {
        let key = "inter.broker.listener.name";
        if read.settings.get("security.inter.broker.protocol").is_some() {
            problems.push(read.settings.refused(key, "set only one of it and security.inter.broker.protocol"));
            return None;
        }
        let name = ListenerName::new(&name);
        if !protocols.contains_key(&name) || !has(&name) {
            problems
                .push(read.settings.refused(key, "advertised.listeners and the protocol map must have this listener"));
            return None;
        }
        return Some(name);
    }
    let key = "security.inter.broker.protocol";
    let name = ListenerName::new(&read.text(key).unwrap_or_default());
    if has(&name) {
        return Some(name);
    }
    // One listener leaves no choice; Kafka would refuse it under another name.
    match advertised {
        [only] if read.settings.get(key).is_none() => Some(only.listener.clone()),
        _ => {
            let why = format!("no advertised listener is called {name}; set inter.broker.listener.name");
            problems.push(read.settings.refused(key, &why));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{BrokerConfig, ConfigErrors};

    fn listeners(pairs: &[(&str, &str)]) -> Result<(String, String, String), ConfigErrors> {
        let config = BrokerConfig::from_pairs(pairs)?;
        let list = |endpoints: &[ottla_types::Endpoint]| {
            endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        Ok((list(&config.listeners), list(&config.advertised_listeners), config.inter_broker_listener.to_string()))
    }

    #[track_caller]
    fn is(pairs: &[(&str, &str)], bind: &str, advertised: &str, inter_broker: &str) {
        assert_eq!(listeners(pairs).unwrap(), (bind.into(), advertised.into(), inter_broker.into()));
    }

    #[track_caller]
    fn fails(pairs: &[(&str, &str)], message: &str) {
        let error = listeners(pairs).unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} does not say {message:?}");
    }

    #[test]
    fn without_a_file_only_this_machine() {
        is(&[], "PLAINTEXT://127.0.0.1:9092", "PLAINTEXT://127.0.0.1:9092", "PLAINTEXT");
    }

    #[test]
    fn several_listeners_with_a_map() {
        is(
            &[
                ("listeners", "client://:9092, INTERNAL://10.0.0.1:9093"),
                ("advertised.listeners", "CLIENT://kafka.example:19092,INTERNAL://10.0.0.1:9093"),
                ("listener.security.protocol.map", "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT"),
                ("inter.broker.listener.name", "INTERNAL"),
            ],
            "CLIENT://:9092,INTERNAL://10.0.0.1:9093",
            "CLIENT://kafka.example:19092,INTERNAL://10.0.0.1:9093",
            "INTERNAL",
        );
    }

    #[test]
    fn old_keys_count_when_the_new_ones_are_not_set() {
        let old = [("host.name", "h"), ("port", "9"), ("advertised.host.name", "pub"), ("advertised.port", "99")];
        is(&old, "PLAINTEXT://h:9", "PLAINTEXT://pub:99", "PLAINTEXT");
        is(&[("port", "9")], "PLAINTEXT://:9", "PLAINTEXT://:9", "PLAINTEXT");
        is(&[("listeners", "PLAINTEXT://n:1"), ("port", "9")], "PLAINTEXT://n:1", "PLAINTEXT://n:1", "PLAINTEXT");
    }

    #[test]
    fn one_listener_of_another_name_is_the_inter_broker_one() {
        let map = ("listener.security.protocol.map", "X:PLAINTEXT");
        is(&[("listeners", "X://h:1"), map], "X://h:1", "X://h:1", "X");
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_remedy() {
        fails(&[("listeners", "PLAINTEXT://h")], "--override: listeners=PLAINTEXT://h: NAME://host:port");
        fails(&[("listeners", "")], "at least one NAME://host:port is expected");
        fails(&[("listeners", "X://h:1")], "listener.security.protocol.map must say which protocol X speaks");
        fails(&[("listeners", "SSL://h:1")], "listener SSL speaks SSL, which is not built yet");
        fails(&[("listeners", "PLAINTEXT://0.0.0.0:1")], "advertised.listeners must say how clients reach PLAINTEXT");
        fails(&[("listeners", "PLAINTEXT://h:1,PLAINTEXT://h:2")], "each listener needs a name of its own");
        fails(&[("advertised.listeners", "PLAINTEXT://0.0.0.0:1")], "is no address that a client could reach");
        fails(&[("advertised.listeners", "PLAINTEXT://:1")], "is no address that a client could reach");
        let map = ("listener.security.protocol.map", "A:PLAINTEXT,B:PLAINTEXT");
        fails(&[("listeners", "A://h:1,B://h:1"), map], "A and B have the same port");
        fails(&[("listeners", "A://h:1,B://h:2"), map], "set inter.broker.listener.name");
        fails(&[("listeners", "A://h:1"), ("advertised.listeners", "B://h:1"), map], "listeners has no B");
        fails(&[("listeners", "A://h:1"), map, ("inter.broker.listener.name", "B")], "must have this listener");
        fails(&[("listener.security.protocol.map", "A:TLS")], "NAME:PROTOCOL");
        fails(&[("listener.security.protocol.map", "A:SSL,A:SSL")], "each name once");
    }
}

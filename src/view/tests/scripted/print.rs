//! Effects and answers as short lines. Paths are below `/brokers/`, `!` is a watch.

use ottla_view::{Broker, Change, Cluster, Effect, Leadership, Report, Topic};
use ottla_znodes::{Failure, Request};

pub(crate) fn request(request: &Request) -> String {
    let mark = |watch: &bool| if *watch { "!" } else { "" };
    short(&match request {
        Request::Get { path, watch } => format!("get{} {path}", mark(watch)),
        Request::Exists { path, watch } => format!("exists{} {path}", mark(watch)),
        Request::Children { path, watch } => format!("children{} {path}", mark(watch)),
        Request::Sync { .. } => "sync".into(),
        Request::Write(_) => panic!("a view writes nothing"),
    })
}

fn short(text: &str) -> String {
    text.replace("/brokers/", "")
}

pub(crate) fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Refused { why, .. } => format!("{why:?}"),
        other => format!("{other:?}"),
    }
}

pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { request: sent, .. } => request(sent),
        Effect::Changed(change) => changed(change),
        Effect::Report(Report::Unreadable { path, why }) => short(&format!("report: {path} is unreadable: {why}")),
        Effect::Report(Report::Refused { path, code }) => short(&format!("report: {path} is refused: {code}")),
        Effect::Report(Report::Current) => "report: current".into(),
    }
}

fn changed(change: &Change) -> String {
    match change {
        Change::BrokerCame { id, broker: of } => format!("BROKER {id} {}", broker(of)),
        Change::BrokerWent { id } => format!("BROKER {id} gone"),
        Change::Topic { name, topic: of } => format!("TOPIC {name} {}", topic(of)),
        Change::TopicForgotten { name } => format!("TOPIC {name} forgotten"),
        Change::Leader { partition, leadership: of } => format!("LEADER {partition} {}", leadership(of)),
        Change::TopicNames { added, removed } => {
            let added = added.iter().map(|name| format!(" +{name}"));
            let removed = removed.iter().map(|name| format!(" -{name}"));
            format!("NAMES{}", added.chain(removed).collect::<String>())
        }
    }
}

fn broker(broker: &Broker) -> String {
    let endpoints = broker.endpoints.iter().map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port));
    let endpoints = endpoints.collect::<Vec<_>>().join(",");
    let rack = broker.rack.as_ref().map_or(String::new(), |rack| format!(" in {rack}"));
    format!("{endpoints}{rack}, epoch {}", broker.epoch)
}

fn topic(topic: &Topic) -> String {
    match topic {
        Topic::Missing => "missing".into(),
        Topic::Partitions(partitions) => {
            let partitions = partitions.iter().map(|(index, of)| format!("{index}: {}", leadership(of)));
            format!("[{}]", partitions.collect::<Vec<_>>().join(", "))
        }
    }
}

fn leadership(leadership: &Leadership) -> String {
    match leadership.leader {
        Some(leader) => format!("{leader} in epoch {}", leadership.epoch),
        None if leadership.epoch.0 < 0 => "nobody".into(),
        None => format!("nobody in epoch {}", leadership.epoch),
    }
}

pub(crate) fn cluster(cluster: &Cluster) -> Vec<String> {
    let brokers = cluster.brokers.iter().map(|(id, of)| format!("broker {id} {}", broker(of)));
    let topics = cluster.topics.iter().map(|(name, of)| format!("topic {name} {}", topic(of)));
    let names = cluster.topic_names.iter().map(|names| format!("names {names:?}"));
    brokers.chain(topics).chain(names).collect()
}

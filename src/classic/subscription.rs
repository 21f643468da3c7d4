//! What a member wants: topics by name, or by pattern, each with a number of streams.
//!
//! Three ways to write it in a registration, and a fourth that foreign hands use. kafka-node's HighLevelConsumer lists its
//! topics under the pattern `white_list`, means them as names, and knows nothing of streams: it counts every member of a
//! group once and sorts the bare consumer ids. It is told apart by what no Java consumer writes, several keys under a list's
//! name or an id that ends in `_<uuid>`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_assignor::{Member, Topics};
use ottla_types::TopicName;
use zk_schema::consumers::Registration;

use crate::filter::{FilterError, TopicFilter};
use crate::identity::is_uuid;

/// Most streams of one member: each becomes a thread id in every plan of the group.
pub const MAX_STREAMS: i32 = 10_000;

/// A registration that says nothing usable, though it is well-formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// None, or too many.
    #[error("'{of}' is wanted with {streams} streams, 1 to {MAX_STREAMS} are allowed")]
    Streams {
        /// The topic or pattern.
        of: String,
        /// How many.
        streams: i32,
    },
    /// A pattern that cannot be used.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// What a member wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// Topics by name, whether they exist or not, with the number of streams of each.
    Static(BTreeMap<TopicName, usize>),
    /// Topics that match one of the patterns; several patterns for one topic: the most streams.
    WhiteList(Filters),
    /// Topics that match none of the patterns.
    BlackList(Filters),
    /// Topics by name of a kafka-node consumer, which has one stream and believes that of all others.
    KafkaNode(BTreeSet<TopicName>),
}

/// Patterns with their numbers of streams. Old members and ours write exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filters {
    /// The patterns.
    pub patterns: Vec<(TopicFilter, usize)>,
    /// `exclude.internal.topics` of the reader: it is not registered, each member applies its own to all.
    pub exclude_internal: bool,
}

impl Subscription {
    /// One pattern that names what is wanted.
    pub fn white_list(pattern: &str, streams: i32, exclude_internal: bool) -> Result<Subscription, SubscriptionError> {
        Ok(Subscription::WhiteList(Filters::new([(pattern, streams)], exclude_internal)?))
    }

    /// One pattern that names what is not wanted.
    pub fn black_list(pattern: &str, streams: i32, exclude_internal: bool) -> Result<Subscription, SubscriptionError> {
        Ok(Subscription::BlackList(Filters::new([(pattern, streams)], exclude_internal)?))
    }

    /// Topics by name, each with its number of streams.
    pub fn topics(topics: impl IntoIterator<Item = (TopicName, i32)>) -> Result<Subscription, SubscriptionError> {
        let checked = |(topic, count): (TopicName, i32)| {
            let count = streams(topic.as_str(), count)?;
            Ok((topic, count))
        };
        topics.into_iter().map(checked).collect::<Result<_, _>>().map(Subscription::Static)
    }

    /// What a registration says. As in Kafka everything is `static` that is neither list, and a list of nothing; names that
    /// cannot be a topic's name none.
    pub fn read(
        consumer_id: &str,
        registration: &Registration,
        exclude_internal: bool,
    ) -> Result<Subscription, SubscriptionError> {
        let wanted = &registration.subscription;
        let pairs = || wanted.iter().map(|(key, streams)| (key.as_str(), *streams));
        match registration.pattern.as_str() {
            _ if wanted.is_empty() => Ok(Subscription::Static(BTreeMap::new())),
            "white_list" => match kafka_node(consumer_id, registration) {
                Some(topics) => Ok(Subscription::KafkaNode(topics)),
                None => Ok(Subscription::WhiteList(Filters::new(pairs(), exclude_internal)?)),
            },
            "black_list" => Ok(Subscription::BlackList(Filters::new(pairs(), exclude_internal)?)),
            _ => {
                let mut topics = BTreeMap::new();
                for (name, count) in pairs() {
                    let count = streams(name, count)?;
                    if let Ok(name) = TopicName::new(name) {
                        topics.insert(name, count);
                    }
                }
                Ok(Subscription::Static(topics))
            }
        }
    }

    /// The registration that says so.
    pub fn registration(&self, timestamp_ms: i64, assignor: Option<&str>) -> Registration {
        let filters = |filters: &Filters| -> Vec<(String, i32)> {
            filters.patterns.iter().map(|(filter, streams)| (filter.pattern().into(), *streams as i32)).collect()
        };
        let (pattern, subscription) = match self {
            Subscription::Static(topics) => {
                ("static", topics.iter().map(|(topic, streams)| (topic.to_string(), *streams as i32)).collect())
            }
            Subscription::WhiteList(list) => ("white_list", filters(list)),
            Subscription::BlackList(list) => ("black_list", filters(list)),
            Subscription::KafkaNode(topics) => {
                ("white_list", topics.iter().map(|topic| (topic.to_string(), 1)).collect())
            }
        };
        Registration {
            subscription,
            pattern: pattern.into(),
            timestamp: Some(timestamp_ms),
            assignor: assignor.map(str::to_owned),
        }
    }

    /// Whether it is made of patterns, so that topics that come or go may change what it means.
    pub fn has_filter(&self) -> bool {
        matches!(self, Subscription::WhiteList(_) | Subscription::BlackList(_))
    }

    /// The topics it wants of those that exist, and those it names whether they exist or not, with their streams.
    pub fn wanted(&self, topics: &Topics) -> Result<BTreeMap<TopicName, usize>, FilterError> {
        let filtered = |streams: &dyn Fn(&TopicName) -> Result<Option<usize>, FilterError>| {
            let entry = |topic: &TopicName| Ok(streams(topic)?.map(|streams| (topic.clone(), streams)));
            topics.keys().filter_map(|topic| entry(topic).transpose()).collect()
        };
        match self {
            Subscription::Static(topics) => Ok(topics.clone()),
            Subscription::KafkaNode(topics) => Ok(topics.iter().map(|topic| (topic.clone(), 1)).collect()),
            Subscription::WhiteList(filters) => filtered(&|topic| match filters.hides(topic) {
                true => Ok(None),
                false => filters.matching(topic),
            }),
            Subscription::BlackList(filters) => {
                let most = filters.patterns.iter().map(|(_, streams)| *streams).max();
                filtered(&|topic| match filters.hides(topic) || filters.matching(topic)?.is_some() {
                    true => Ok(None),
                    false => Ok(most),
                })
            }
        }
    }

    /// The member's threads `<consumer id>-<n>`: as many as its topic with the most streams has, and each wants the topics
    /// that have so many.
    pub fn threads(&self, consumer_id: &str, topics: &Topics) -> Result<Vec<Member>, FilterError> {
        let wanted = self.wanted(topics)?;
        let mut threads: Vec<Member> = Vec::new();
        for stream in 0..wanted.values().copied().max().unwrap_or(0) {
            // Each wants what the one before wants, but for the topics that have no more streams.
            let fewer = wanted.values().any(|streams| *streams == stream);
            let topics = match threads.last().filter(|_| !fewer) {
                Some(previous) => Arc::clone(&previous.topics),
                None => {
                    let enough = wanted.iter().filter(|(_, streams)| **streams > stream);
                    Arc::new(enough.map(|(topic, _)| topic.clone()).collect())
                }
            };
            threads.push(Member { id: format!("{consumer_id}-{stream}"), topics });
        }
        Ok(threads)
    }
}

impl Filters {
    fn new<'a>(
        patterns: impl IntoIterator<Item = (&'a str, i32)>,
        exclude_internal: bool,
    ) -> Result<Filters, SubscriptionError> {
        let checked = |(pattern, count)| {
            let filter = TopicFilter::new(pattern)?;
            let count = streams(pattern, count)?;
            Ok((filter, count))
        };
        let patterns = patterns.into_iter().map(checked).collect::<Result<_, SubscriptionError>>()?;
        Ok(Filters { patterns, exclude_internal })
    }

    fn hides(&self, topic: &TopicName) -> bool {
        self.exclude_internal && topic.is_internal()
    }

    /// The most streams of the patterns that match.
    fn matching(&self, topic: &TopicName) -> Result<Option<usize>, FilterError> {
        let mut most = None;
        for (filter, streams) in &self.patterns {
            if filter.matches(topic)? {
                most = most.max(Some(*streams));
            }
        }
        Ok(most)
    }
}

fn streams(of: &str, streams: i32) -> Result<usize, SubscriptionError> {
    match usize::try_from(streams) {
        Ok(count) if (1..=MAX_STREAMS).contains(&streams) => Ok(count),
        _ => Err(SubscriptionError::Streams { of: of.into(), streams }),
    }
}

/// The topics of a kafka-node consumer, if it is one.
fn kafka_node(consumer_id: &str, registration: &Registration) -> Option<BTreeSet<TopicName>> {
    let foreign = registration.assignor.is_none()
        && registration.subscription.iter().all(|(_, streams)| *streams == 1)
        && (registration.subscription.len() > 1 || ends_in_uuid(consumer_id));
    let names = registration.subscription.iter().map(|(name, _)| TopicName::new(name).ok());
    foreign.then(|| names.collect())?
}

/// `<group>_<uuid>`.
fn ends_in_uuid(consumer_id: &str) -> bool {
    consumer_id.rsplit_once('_').is_some_and(|(_, tail)| is_uuid(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn topics(names: &[&str]) -> Topics {
        names.iter().map(|topic| (name(topic), vec![0, 1])).collect()
    }

    /// A registration as another program may write it.
    fn registration(subscription: &str, pattern: &str) -> Registration {
        let text = format!(r#"{{"version":1,"subscription":{subscription},"pattern":"{pattern}","timestamp":"1"}}"#);
        Registration::decode("/consumers/g/ids/m", text.as_bytes()).unwrap()
    }

    fn read(subscription: &str, pattern: &str) -> Result<Subscription, SubscriptionError> {
        Subscription::read("g_host-1-abcdef01", &registration(subscription, pattern), true)
    }

    /// Each thread with its topics.
    fn threads(subscription: &Subscription, topics: &Topics) -> Vec<(String, Vec<String>)> {
        let threads = subscription.threads("m", topics).unwrap();
        threads.into_iter().map(|t| (t.id, t.topics.iter().map(TopicName::to_string).collect())).collect()
    }

    fn thread(id: &str, topics: &[&str]) -> (String, Vec<String>) {
        (id.into(), topics.iter().map(|topic| (*topic).to_owned()).collect())
    }

    #[test]
    fn each_thread_wants_the_topics_with_enough_streams_existing_or_not() {
        let subscription = read(r#"{"a":3,"b":1,"gone":3}"#, "static").unwrap();
        assert_eq!(
            threads(&subscription, &topics(&["a", "b", "c"])),
            [thread("m-0", &["a", "b", "gone"]), thread("m-1", &["a", "gone"]), thread("m-2", &["a", "gone"])]
        );
        let shared = subscription.threads("m", &topics(&[])).unwrap();
        assert!(Arc::ptr_eq(&shared[1].topics, &shared[2].topics));
    }

    #[test]
    fn lists_want_what_matches_and_what_does_not() {
        let topics = topics(&["a", "ab", "b", "__consumer_offsets"]);
        let white = read(r#"{"a.*":2}"#, "white_list").unwrap();
        assert_eq!(threads(&white, &topics), [thread("m-0", &["a", "ab"]), thread("m-1", &["a", "ab"])]);
        let black = read(r#"{"a.*":1}"#, "black_list").unwrap();
        assert_eq!(threads(&black, &topics), [thread("m-0", &["b"])]);
        let all = Subscription::white_list(".*", 1, false).unwrap();
        assert_eq!(threads(&all, &topics), [thread("m-0", &["__consumer_offsets", "a", "ab", "b"])]);
        let none = Subscription::black_list("z", 1, false).unwrap();
        assert_eq!(threads(&none, &topics), threads(&all, &topics));
        assert_eq!(threads(&Subscription::white_list("z", 5, true).unwrap(), &topics), []);
    }

    #[test]
    fn several_patterns_are_a_union() {
        let topics = topics(&["a", "ab", "b", "c"]);
        let white = read(r#"{"a.*":1,"b|ab":2}"#, "white_list").unwrap();
        assert_eq!(threads(&white, &topics), [thread("m-0", &["a", "ab", "b"]), thread("m-1", &["ab", "b"])]);
        let black = read(r#"{"a.*":1,"b":2}"#, "black_list").unwrap();
        assert_eq!(threads(&black, &topics), [thread("m-0", &["c"]), thread("m-1", &["c"])]);
    }

    #[test]
    fn what_is_neither_list_or_empty_is_static() {
        let named = Subscription::Static([(name("a"), 1)].into());
        for pattern in ["static", "", "whitelist", "WHITE_LIST"] {
            assert_eq!(read(r#"{"a":1}"#, pattern).unwrap(), named, "{pattern}");
        }
        for pattern in ["static", "white_list", "black_list"] {
            assert_eq!(read("{}", pattern).unwrap(), Subscription::Static(BTreeMap::new()), "{pattern}");
        }
        assert_eq!(read(r#"{"a":1,"no topic/":1,"":1}"#, "static").unwrap(), named);
    }

    #[test]
    fn streams_are_one_to_ten_thousand() {
        for pattern in ["static", "white_list", "black_list"] {
            for streams in [0, -1, 10_001, i32::MAX] {
                let refused = SubscriptionError::Streams { of: "a".into(), streams };
                assert_eq!(read(&format!(r#"{{"a":{streams}}}"#), pattern), Err(refused));
            }
            assert!(read(r#"{"a":10000}"#, pattern).is_ok());
        }
        assert!(Subscription::topics([(name("a"), 0)]).is_err());
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        assert!(matches!(read(r#"{"*":1}"#, "white_list"), Err(SubscriptionError::Filter(_))));
        assert!(matches!(read(r#"{"a":1,"*":1}"#, "black_list"), Err(SubscriptionError::Filter(_))));
    }

    #[test]
    fn kafka_node_is_told_by_several_names_or_by_its_id_and_means_names() {
        let two = r#"{"a.b": 1, "c": 1}"#;
        let node = Subscription::KafkaNode([name("a.b"), name("c")].into());
        assert_eq!(read(two, "white_list").unwrap(), node);
        assert_eq!(threads(&node, &topics(&["a.b", "axb"])), [thread("m-0", &["a.b", "c"])]);

        let id = "kafka-node-group_0f8fad5b-d9cb-469f-a165-70867728950e";
        let one = registration(r#"{"a.b": 1}"#, "white_list");
        let read_as = |id, registration: &Registration| Subscription::read(id, registration, true).unwrap();
        assert_eq!(read_as(id, &one), Subscription::KafkaNode([name("a.b")].into()));
        for other in ["g_host-1700000000000-0f8fad5b", "host:0f8fad5b-d9cb-469f-a165-70867728950e", "g_x"] {
            assert!(matches!(read_as(other, &one), Subscription::WhiteList(_)), "{other}");
        }
        // Patterns, streams, or a member of ours.
        for other in [r#"{"a.b":1,"c.*":1}"#, r#"{"a.b":2,"c":1}"#] {
            assert!(matches!(read_as(id, &registration(other, "white_list")), Subscription::WhiteList(_)), "{other}");
        }
        let ours = Registration { assignor: Some("sticky".into()), ..registration(two, "white_list") };
        assert!(matches!(read_as(id, &ours), Subscription::WhiteList(_)));
    }

    #[test]
    fn what_is_registered_reads_back() {
        for subscription in [
            Subscription::topics([(name("a"), 2), (name("b.c"), 1)]).unwrap(),
            Subscription::white_list(r" 'a\.b/\d+, c' ", 3, true).unwrap(),
            Subscription::black_list("(?!a).*", 1, true).unwrap(),
            Subscription::KafkaNode([name("a"), name("b")].into()),
        ] {
            let ours = !matches!(subscription, Subscription::KafkaNode(_));
            let bytes = subscription.registration(7, ours.then_some("sticky")).encode();
            let registration = Registration::decode("/m", &bytes).unwrap();
            assert_eq!(registration.timestamp, Some(7));
            assert_eq!(Subscription::read("m", &registration, true).unwrap(), subscription);
        }
    }
}

use std::collections::BTreeMap;
use std::fmt;

use ottla_types::TopicName;

use super::ConsumerError;

/// Which topics a consumer reads, with how many streams.
///
/// A stream is read by one task; partitions are shared out among the streams of all members. All topics share the
/// streams: stream 0 reads some partitions of each topic, and there are as many streams as the topic with the most asks
/// for.
///
/// ```
/// use ottla::consumer::Subscription;
///
/// let two_topics = Subscription::topics([("orders", 4), ("returns", 1)])?;
/// assert_eq!(two_topics.streams(), 4);
/// let by_name = Subscription::white_list("orders.*,returns", 2)?;
/// let all_but = Subscription::black_list("test\\..*", 1)?;
/// # Ok::<(), ottla::consumer::ConsumerError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// These topics, each with its number of streams. One that does not exist yet is read as soon as it does.
    Topics(BTreeMap<TopicName, usize>),
    /// Every topic, also later ones, whose whole name fits the pattern.
    WhiteList {
        /// A regular expression; a comma means "or".
        pattern: String,
        /// The number of streams.
        streams: usize,
    },
    /// Every topic whose name does not fit.
    BlackList {
        /// The same.
        pattern: String,
        /// The number of streams.
        streams: usize,
    },
}

impl Subscription {
    /// Topics by name, each with its number of streams, 1 or more.
    pub fn topics<'a>(topics: impl IntoIterator<Item = (&'a str, usize)>) -> Result<Subscription, ConsumerError> {
        let named = |(name, streams)| match TopicName::new(name) {
            Ok(topic) => Ok((topic, streams)),
            Err(error) => Err(ConsumerError::Subscription { subscription: String::from(name), why: error.to_string() }),
        };
        Subscription::Topics(topics.into_iter().map(named).collect::<Result<_, _>>()?).checked()
    }

    /// Topics whose whole name fits a regular expression; a comma means "or".
    pub fn white_list(pattern: &str, streams: usize) -> Result<Subscription, ConsumerError> {
        Subscription::WhiteList { pattern: pattern.into(), streams }.checked()
    }

    /// Topics whose name does not fit.
    pub fn black_list(pattern: &str, streams: usize) -> Result<Subscription, ConsumerError> {
        Subscription::BlackList { pattern: pattern.into(), streams }.checked()
    }

    /// How many streams the consumer will have.
    pub fn streams(&self) -> usize {
        match self {
            Subscription::Topics(topics) => topics.values().copied().max().unwrap_or(0),
            Subscription::WhiteList { streams, .. } | Subscription::BlackList { streams, .. } => *streams,
        }
    }

    /// The same in the words of the core.
    pub(super) fn of_member(&self, exclude_internal: bool) -> Result<ottla_classic::Subscription, ConsumerError> {
        use ottla_classic::Subscription as Wanted;
        let wrong = |why: String| ConsumerError::Subscription { subscription: self.to_string(), why };
        let count = |streams: usize| i32::try_from(streams).unwrap_or(i32::MAX);
        let wanted = match self {
            Subscription::Topics(topics) if topics.is_empty() => {
                return Err(wrong("at least one topic is expected".into()));
            }
            Subscription::Topics(topics) => {
                Wanted::topics(topics.iter().map(|(topic, streams)| (topic.clone(), count(*streams))))
            }
            Subscription::WhiteList { pattern, streams } => {
                Wanted::white_list(pattern, count(*streams), exclude_internal)
            }
            Subscription::BlackList { pattern, streams } => {
                Wanted::black_list(pattern, count(*streams), exclude_internal)
            }
        };
        wanted.map_err(|error| wrong(error.to_string()))
    }

    fn checked(self) -> Result<Subscription, ConsumerError> {
        self.of_member(true).map(|_| self)
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subscription::Topics(topics) => {
                let names: Vec<&str> = topics.keys().map(TopicName::as_str).collect();
                f.write_str(&names.join(","))
            }
            Subscription::WhiteList { pattern, .. } => write!(f, "white list {pattern}"),
            Subscription::BlackList { pattern, .. } => write!(f, "black list {pattern}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_subscribed_to_says_why() {
        let says = |subscription: Result<Subscription, ConsumerError>| subscription.unwrap_err().to_string();
        assert!(says(Subscription::topics([("a/b", 1)])).starts_with("the subscription a/b: Topic name is invalid"));
        assert!(says(Subscription::topics([])).ends_with("at least one topic is expected"));
        assert!(says(Subscription::topics([("a", 0)])).contains("0 streams"));
        assert!(says(Subscription::white_list("a(", 1)).starts_with("the subscription white list a(: "));
        assert!(Subscription::black_list("a", 0).is_err());
    }
}

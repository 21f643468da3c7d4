//! The nodes that a view reads.

use ottla_types::{BrokerId, TopicName, TopicPartition};
use ottla_znodes::Request;
use zk_schema::{broker_ids, broker_topics, partition_state};

/// One of them. They are read in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    /// The list of brokers.
    Brokers,
    /// A broker's registration.
    Broker(BrokerId),
    /// A topic's assignment.
    Topic(TopicName),
    /// Who leads a partition.
    State(TopicPartition),
    /// The list of topics.
    TopicNames,
}

impl Node {
    /// The node of a path; none if a view never reads it.
    pub(crate) fn of(path: &str) -> Option<Node> {
        match path {
            broker_ids::PARENT => Some(Node::Brokers),
            broker_topics::PARENT => Some(Node::TopicNames),
            _ => None
                .or_else(|| broker_ids::parse_path(path).map(Node::Broker))
                .or_else(|| broker_topics::parse_path(path).map(Node::Topic))
                .or_else(|| partition_state::parse_path(path).map(Node::State))
                // There may be others of a like name: `/brokers/ids/+7`.
                .filter(|node| node.path() == path),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> String {
        match self {
            Node::Brokers => broker_ids::PARENT.into(),
            Node::Broker(id) => broker_ids::path(*id),
            Node::Topic(name) => broker_topics::path(name),
            Node::State(partition) => partition_state::path(partition),
            Node::TopicNames => broker_topics::PARENT.into(),
        }
    }

    /// The node that says that there is this one.
    pub(crate) fn named_by(&self) -> Option<Node> {
        match self {
            Node::Broker(_) => Some(Node::Brokers),
            Node::State(partition) => Some(Node::Topic(partition.topic.clone())),
            Node::Brokers | Node::Topic(_) | Node::TopicNames => None,
        }
    }

    /// How it is read and watched. One that was missing is looked at, since only that sets a watch on what is not there.
    pub(crate) fn request(&self, missing: bool) -> Request {
        let (path, watch) = (self.path(), true);
        match self {
            _ if missing => Request::Exists { path, watch },
            Node::Brokers | Node::TopicNames => Request::Children { path, watch },
            Node::Broker(_) | Node::Topic(_) | Node::State(_) => Request::Get { path, watch },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_path_is_the_node() {
        let topic = TopicName::new("ids").unwrap();
        let state = Node::State(TopicPartition::new(topic.clone(), 3));
        for node in [Node::Brokers, Node::TopicNames, Node::Broker(BrokerId(7)), Node::Topic(topic), state] {
            assert_eq!(Node::of(&node.path()), Some(node));
        }
        for other in [
            "",
            "/",
            "/brokers",
            "/brokers/ids/",
            "/brokers/ids/07",
            "/brokers/ids/+7",
            "/brokers/ids/-7",
            "/brokers/ids/2147483648",
            "/brokers/topics/",
            "/brokers/topics/a b",
            "/brokers/topics/a/partitions/01/state",
            "/brokers/topics/a/partitions/1",
        ] {
            assert_eq!(Node::of(other), None, "{other}");
        }
    }
}

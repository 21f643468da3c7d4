//! Names of the folders inside a log folder: `<topic>-<partition>`, with a suffix for those on their way in or out.

use ottla_types::{TopicName, TopicPartition};

/// What a folder's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionDir {
    /// `orders-3`: a partition in use.
    Current(TopicPartition),
    /// `orders-3.<uuid>-future`: a copy that will replace the current one (move between log folders).
    Future(TopicPartition),
    /// `orders-3.<uuid>-delete`: deleted, its files not yet removed.
    Deleted,
    /// `orders-3.<uuid>-stray`: found not to belong here, kept for a human.
    Stray,
}

impl PartitionDir {
    /// Reads a folder's name; `None` if it is no partition's.
    pub fn parse(name: &str) -> Option<PartitionDir> {
        let suffixed = |suffix: &str| {
            let (partition, uuid) = name.strip_suffix(suffix)?.rsplit_once('.')?;
            (uuid.len() == 32 && uuid.bytes().all(|b| b.is_ascii_hexdigit())).then_some(partition)
        };
        // The topic part of these may have been cut to fit, so it is not looked at.
        if suffixed("-delete").is_some() {
            return Some(PartitionDir::Deleted);
        }
        if suffixed("-stray").is_some() {
            return Some(PartitionDir::Stray);
        }
        match suffixed("-future") {
            Some(partition) => topic_partition(partition).map(PartitionDir::Future),
            None => topic_partition(name).map(PartitionDir::Current),
        }
    }

    /// The name that a partition's folder gets when it is deleted; `uuid` are 32 hex digits never used before.
    pub fn deleted_name(partition: &TopicPartition, uuid: &str) -> String {
        suffixed_name(partition, uuid, "-delete")
    }
}

/// `<topic>-<partition>.<uuid><suffix>` with the topic cut so that it fits the 255 bytes of a file name.
fn suffixed_name(partition: &TopicPartition, uuid: &str, suffix: &str) -> String {
    let rest = format!("-{}.{uuid}{suffix}", partition.partition);
    let topic = partition.topic.as_str();
    format!("{}{rest}", &topic[..topic.len().min(255 - rest.len())])
}

fn topic_partition(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    // `01` or `+1` would be a second name for a partition.
    let number = partition.parse::<i32>().ok().filter(|p| p.to_string() == partition)?;
    TopicName::new(topic).ok().map(|topic| TopicPartition::new(topic, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str, number: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new(topic).unwrap(), number)
    }

    const UUID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn names_are_read() {
        let parse = PartitionDir::parse;
        assert_eq!(parse("orders-3"), Some(PartitionDir::Current(partition("orders", 3))));
        assert_eq!(parse("a-b-0"), Some(PartitionDir::Current(partition("a-b", 0))));
        // A topic may be called so: only a uuid makes it a suffix.
        assert_eq!(parse("x-delete-0"), Some(PartitionDir::Current(partition("x-delete", 0))));
        assert_eq!(parse(&format!("orders-3.{UUID}-delete")), Some(PartitionDir::Deleted));
        assert_eq!(parse(&format!("orders-3.{UUID}-stray")), Some(PartitionDir::Stray));
        assert_eq!(parse(&format!("orders-3.{UUID}-future")), Some(PartitionDir::Future(partition("orders", 3))));
        for other in [
            "orders",
            "orders-",
            "orders-x",
            "orders-01",
            "-1",
            "lost+found",
            "remote-log-index-cache",
            "orders-3.12-delete",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn names_for_deletion_fit_and_are_recognised() {
        for topic in ["orders", &"x".repeat(249)] {
            let name = PartitionDir::deleted_name(&partition(topic, 12345), UUID);
            assert!(name.len() <= 255);
            assert_eq!(PartitionDir::parse(&name), Some(PartitionDir::Deleted));
        }
    }
}

//! `/admin/delete_topics/<topic>`: topics that are to be deleted.

use ottla_types::TopicName;

/// The folder of the requests to delete a topic.
pub const PARENT: &str = "/admin/delete_topics";

/// The request to delete a topic: its existence says it all, there is no data (`""` in old versions).
pub fn path(topic: &TopicName) -> String {
    format!("{PARENT}/{topic}")
}

/// The topic in the path of its request.
pub fn parse_path(path: &str) -> Option<TopicName> {
    TopicName::new(path.strip_prefix(PARENT)?.strip_prefix('/')?).ok()
}

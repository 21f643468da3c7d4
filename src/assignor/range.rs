//! Kafka's range: each topic's partitions in numeric order, cut into runs for the members in the order of their ids.

use ottla_types::TopicPartition;

use crate::{Assignment, Member, Topics, takers};

/// Shares each topic for itself (`kafka.consumer.RangeAssignor`, 0.7 to 1.1): of P partitions and C members the first
/// P mod C members by id take one more than the others. Every topic favours the same first members.
pub fn range(members: &[Member], topics: &Topics) -> Assignment {
    let mut assignment = Assignment::new();
    for (topic, takers) in takers(members, topics) {
        let partitions = &topics[topic];
        let (each, more) = (partitions.len() / takers.len(), partitions.len() % takers.len());
        for (position, member) in takers.into_iter().enumerate() {
            let start = each * position + position.min(more);
            let count = each + usize::from(position < more);
            for partition in &partitions[start..start + count] {
                assignment.insert(TopicPartition::new(topic.clone(), *partition), member);
            }
        }
    }
    assignment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{member, partition, topics};

    /// The ids of those who take a topic's partitions, in order.
    fn takers<'a>(members: &'a [Member], assignment: &Assignment, topic: &str) -> Vec<&'a str> {
        let of_topic = assignment.iter().filter(|(partition, _)| partition.topic.as_str() == topic);
        of_topic.map(|(_, member)| members[*member].id.as_str()).collect()
    }

    #[test]
    fn five_partitions_over_two_consumers_of_two_streams_are_2_1_1_1() {
        // The example in Kafka's own comment.
        let members = ["C2-1", "C1-0", "C2-0", "C1-1"].map(|id| member(id, &["t"]));
        let assignment = range(&members, &topics(&[("t", 5)]));
        assert_eq!(takers(&members, &assignment, "t"), ["C1-0", "C1-0", "C1-1", "C2-0", "C2-1"]);
    }

    #[test]
    fn each_topic_is_cut_for_those_who_want_it_and_the_first_have_more_of_every_one() {
        let members =
            [member("a-0", &["t", "u"]), member("b-0", &["t", "u"]), member("c-0", &["u"]), member("d-0", &["x"])];
        let assignment = range(&members, &topics(&[("t", 3), ("u", 4), ("v", 2), ("w", 0)]));
        assert_eq!(takers(&members, &assignment, "t"), ["a-0", "a-0", "b-0"]);
        assert_eq!(takers(&members, &assignment, "u"), ["a-0", "a-0", "b-0", "c-0"]);
        assert_eq!(assignment.len(), 7);
    }

    #[test]
    fn threads_are_in_the_order_of_their_text() {
        let members = ["g_h-2", "g_h-10", "g_h-0"].map(|id| member(id, &["t"]));
        let assignment = range(&members, &topics(&[("t", 2)]));
        assert_eq!(takers(&members, &assignment, "t"), ["g_h-0", "g_h-10"]);
    }

    #[test]
    fn text_is_in_the_order_of_utf16() {
        // U+1F980 is D83E DD80 in UTF-16 and so before U+FF21; in UTF-8 it is behind.
        let members = ["\u{ff21}", "\u{1f980}"].map(|id| member(id, &["t"]));
        assert_eq!(range(&members, &topics(&[("t", 1)])), Assignment::from([(partition("t", 0), 1)]));
    }

    #[test]
    fn nobody_and_nothing_give_nothing() {
        assert_eq!(range(&[], &topics(&[("t", 3)])), Assignment::new());
        assert_eq!(range(&[member("m", &["t"])], &Topics::new()), Assignment::new());
    }
}

//! Which brokers hold the replicas of new partitions: Kafka's `AdminUtils.assignReplicasToBrokers` (KIP-36 for racks).
//!
//! Leaders go round the brokers from a start; the other replicas follow at a distance that grows by one with each round,
//! so that the partitions of a broker that fails are led by many others afterwards. With racks the brokers are first
//! arranged so that neighbours are in different racks.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{BrokerId, PartitionIndex};

/// A placement that is impossible; the messages are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// No replica at all.
    #[error("Replication factor must be larger than 0.")]
    NoReplicas,
    /// Fewer brokers than replicas.
    #[error("Replication factor: {replication_factor} larger than available brokers: {brokers}.")]
    TooFewBrokers {
        /// The wish.
        replication_factor: usize,
        /// How many brokers there are.
        brokers: usize,
    },
}

/// Where to begin: Kafka draws both at random for a new topic. For partitions that are added both are the position of
/// partition 0's first replica among the sorted broker ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Index of the broker that leads partition 0.
    pub index: usize,
    /// Distance from a leader to its first follower, less one.
    pub shift: usize,
}

/// Replicas for `count` partitions from `first_partition` on, over brokers with their racks. Racks count only if every
/// broker has one, as in Kafka's broker ("safe" mode).
pub fn place(
    brokers: &BTreeMap<BrokerId, Option<String>>,
    first_partition: PartitionIndex,
    count: PartitionIndex,
    replication_factor: usize,
    start: Start,
) -> Result<BTreeMap<PartitionIndex, Vec<BrokerId>>, PlacementError> {
    if replication_factor == 0 {
        return Err(PlacementError::NoReplicas);
    }
    if replication_factor > brokers.len() {
        return Err(PlacementError::TooFewBrokers { replication_factor, brokers: brokers.len() });
    }
    let racks: Option<BTreeMap<BrokerId, &str>> =
        brokers.iter().map(|(id, rack)| Some((*id, rack.as_deref()?))).collect();
    let arranged = match &racks {
        Some(racks) => alternate_racks(racks),
        None => brokers.keys().copied().collect(),
    };
    let rack_count = racks.iter().flat_map(BTreeMap::values).collect::<BTreeSet<_>>().len();

    let mut shift = start.shift;
    let mut placed = BTreeMap::new();
    for partition in first_partition..first_partition.saturating_add(count) {
        let number = partition as usize;
        if number > 0 && number.is_multiple_of(arranged.len()) {
            shift += 1;
        }
        let first = (number + start.index) % arranged.len();
        // The position after the leader's, `step` further on, never the leader's own.
        let follower = |step: usize, shift: usize| {
            let distance = 1 + (shift + step) % (arranged.len() - 1);
            arranged[(first + distance) % arranged.len()]
        };
        let mut replicas = vec![arranged[first]];
        match &racks {
            None => replicas.extend((0..replication_factor - 1).map(|step| follower(step, shift))),
            Some(racks) => {
                let mut used_racks = BTreeSet::from([racks[&arranged[first]]]);
                let mut step = 0;
                while replicas.len() < replication_factor {
                    let broker = follower(step, shift * rack_count);
                    step += 1;
                    // A second replica in a rack only when every rack has one.
                    let rack_is_free = !used_racks.contains(racks[&broker]) || used_racks.len() == rack_count;
                    if rack_is_free && !replicas.contains(&broker) {
                        used_racks.insert(racks[&broker]);
                        replicas.push(broker);
                    }
                }
            }
        }
        placed.insert(partition, replicas);
    }
    Ok(placed)
}

/// One broker of each rack in turn, racks and ids in order.
fn alternate_racks(racks: &BTreeMap<BrokerId, &str>) -> Vec<BrokerId> {
    let mut by_rack: BTreeMap<&str, Vec<BrokerId>> = BTreeMap::new();
    for (id, rack) in racks {
        by_rack.entry(rack).or_default().push(*id);
    }
    let longest = by_rack.values().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|turn| by_rack.values().filter_map(move |ids| ids.get(turn)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Start = Start { index: 0, shift: 0 };

    fn brokers(racks: &[Option<&str>]) -> BTreeMap<BrokerId, Option<String>> {
        racks.iter().enumerate().map(|(id, rack)| (BrokerId(id as i32), rack.map(String::from))).collect()
    }

    fn text(placed: BTreeMap<PartitionIndex, Vec<BrokerId>>) -> Vec<String> {
        let ids = |r: &Vec<BrokerId>| r.iter().map(|b| b.to_string()).collect::<String>();
        placed.iter().map(|(p, r)| format!("{p}:{}", ids(r))).collect()
    }

    /// Kafka's AdminTest.testReplicaAssignment.
    #[test]
    fn without_racks() {
        let placed = place(&brokers(&[None; 5]), 0, 10, 3, ZERO).unwrap();
        let expected = ["0:012", "1:123", "2:234", "3:340", "4:401", "5:023", "6:134", "7:240", "8:301", "9:412"];
        assert_eq!(text(placed), expected);
    }

    /// The example in Kafka's AdminUtils.
    #[test]
    fn with_racks() {
        let racks = ["1", "3", "3", "2", "2", "1"].map(Some);
        let placed = place(&brokers(&racks), 0, 12, 3, ZERO).unwrap();
        let expected = [
            "0:031", "1:315", "2:154", "3:542", "4:420", "5:203", "6:042", "7:320", "8:103", "9:531", "10:415",
            "11:254",
        ];
        assert_eq!(text(placed), expected);
    }

    #[test]
    fn racks_count_only_if_all_have_one() {
        let racks = [Some("a"), Some("a"), None];
        assert_eq!(text(place(&brokers(&racks), 0, 1, 2, ZERO).unwrap()), ["0:01"]);
    }

    #[test]
    fn more_replicas_than_racks() {
        let racks = [Some("a"), Some("a"), Some("b")];
        assert_eq!(text(place(&brokers(&racks), 0, 1, 3, ZERO).unwrap()), ["0:021"]);
    }

    #[test]
    fn added_partitions_go_on_where_the_old_ones_ended() {
        let all = place(&brokers(&[None; 3]), 0, 6, 2, Start { index: 1, shift: 1 }).unwrap();
        // Kafka lets the shift begin anew, so only the leaders are those of one topic made at once.
        let added = place(&brokers(&[None; 3]), 4, 2, 2, Start { index: 1, shift: 1 }).unwrap();
        let leaders = |p: &BTreeMap<PartitionIndex, Vec<BrokerId>>| p.values().map(|r| r[0]).collect::<Vec<_>>();
        assert_eq!(leaders(&added), leaders(&all)[4..]);
    }

    #[test]
    fn impossible_wishes() {
        let error = place(&brokers(&[None]), 0, 1, 2, ZERO).unwrap_err();
        assert_eq!(error.to_string(), "Replication factor: 2 larger than available brokers: 1.");
        assert_eq!(place(&brokers(&[None]), 0, 1, 0, ZERO), Err(PlacementError::NoReplicas));
    }

    #[test]
    fn one_broker_holds_all() {
        assert_eq!(text(place(&brokers(&[None]), 0, 2, 1, Start { index: 5, shift: 9 }).unwrap()), ["0:0", "1:0"]);
    }
}

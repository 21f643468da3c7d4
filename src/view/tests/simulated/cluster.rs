//! What happens to the cluster: by brokers, by its controller, by hand.

use ottla_types::TopicPartition;
use rand::RngExt;
use zk_schema::{
    BrokerRegistration, Kind, PartitionState, TopicAssignment, broker_ids, broker_topics, partition_state,
};

use super::World;
use crate::zookeeper::{Fired, assignment, registration, state};

/// What makes no sense in any node.
const NONSENSE: &[&str] = &["", "{", "[]", "{\"version\":-1,\"partitions\":7}", "\u{0}"];

impl World {
    pub(super) fn change_cluster(&mut self) {
        let events = match self.random.random_range(0..20) {
            0..4 => self.start_broker(),
            4..7 => self.stop_broker(),
            7..9 => {
                // Before anybody can look.
                let mut events = self.stop_broker();
                events.extend(self.start_broker());
                events
            }
            9..12 => self.write_topic(),
            12 => self.remove_topic(),
            13 => {
                let mut events = self.remove_topic();
                events.extend(self.write_topic());
                events
            }
            14..19 => self.move_leader(),
            _ => self.remove_folder(),
        };
        self.fire(events);
    }

    fn start_broker(&mut self) -> Fired {
        let id = self.random.random_range(1..5);
        let host = ["a", "b", "c"][self.random.random_range(0..3)];
        let registration = match self.one_in(10) {
            true => self.nonsense(),
            false => registration(host, self.one_in(3).then_some("r")),
        };
        let zk = &mut self.zk;
        // If it is there, that is changed in place.
        let owner = *self.brokers.entry(id).or_insert_with(|| zk.begin());
        zk.put(Some(owner), &format!("{}/{id}", broker_ids::PARENT), registration.as_bytes())
    }

    fn stop_broker(&mut self) -> Fired {
        let id = self.random.random_range(1..5);
        self.brokers.remove(&id).map_or(vec![], |session| self.zk.end(session))
    }

    fn nonsense(&mut self) -> String {
        NONSENSE[self.random.random_range(0..NONSENSE.len())].into()
    }

    fn write_topic(&mut self) -> Fired {
        let path = broker_topics::path(&self.topic());
        let data = if self.one_in(10) { self.nonsense() } else { assignment(self.random.random_range(1..5)) };
        self.zk.put(None, &path, data.as_bytes())
    }

    /// At once, or only what is below it so far.
    fn remove_topic(&mut self) -> Fired {
        let name = self.topic();
        let path = match self.one_in(3) {
            true => partition_state::partitions_path(&name),
            false => broker_topics::path(&name),
        };
        self.zk.remove(&path)
    }

    fn move_leader(&mut self) -> Fired {
        let partition = TopicPartition::new(self.topic(), self.random.random_range(0..4));
        if self.zk.tree.node(&broker_topics::path(&partition.topic)).is_none() {
            return vec![];
        }
        let data = match self.one_in(10) {
            true => self.nonsense(),
            false => state(self.random.random_range(-1..5), self.random.random_range(0..100)),
        };
        self.zk.put(None, &partition_state::path(&partition), data.as_bytes())
    }

    fn remove_folder(&mut self) -> Fired {
        let path = ["/brokers", broker_ids::PARENT, broker_topics::PARENT][self.random.random_range(0..3)];
        match self.one_in(3) {
            true => self.zk.remove(path),
            false => vec![],
        }
    }

    /// What makes no sense is written anew.
    pub(super) fn mend(&mut self) {
        let nodes: Vec<_> = self.zk.tree.nodes().map(|(path, _)| path.to_owned()).collect();
        for path in nodes {
            let data = self.zk.tree.node(&path).and_then(|node| node.data()).map_or(vec![], |data| data.to_vec());
            let mended = match Kind::of(&path) {
                Kind::BrokerId(_) if BrokerRegistration::decode("", &data).is_err() => registration("mended", None),
                Kind::Topic(_) if TopicAssignment::decode("", &data).is_err() => assignment(2),
                Kind::PartitionState(_) if PartitionState::decode("", &data).is_err() => state(1, 1),
                _ => continue,
            };
            let events = self.zk.put(None, &path, mended.as_bytes());
            self.fire(events);
        }
    }
}

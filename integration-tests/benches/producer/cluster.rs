//! Two brokers of Kafka 3.9.1 and their ZooKeeper, and the changes of leader that they are put through.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ottla::zk::live::{LiveOptions, LiveZnodes};
use ottla::zk::znodes::{CreateMode, Znodes};
use ottla_integration_tests::free_port;
use ottla_integration_tests::process::Running;
use ottla_integration_tests::zookeeper::{ZooKeeper, peers};
use ottla_types::{BrokerId, TopicName, TopicPartition};
use tokio::runtime::Runtime;
use zk_schema::partition_state::{self, PartitionState};
use zk_schema::{admin_preferred_replica_election, admin_reassign_partitions, broker_ids};

use crate::failure::{During, Failure};
use crate::load::topic;

/// How often to ask.
const PAUSE: Duration = Duration::from_millis(2);
/// What never comes to be is an error.
const LIMIT: Duration = Duration::from_secs(60);
/// What is not the default: sessions as short as ZooKeeper grants with its usual ticks of 2 s; and a millisecond instead of a
/// second until a follower fetches again that asked before its leader knew that it leads. Nothing that is sent with acks=all
/// succeeds meanwhile, whoever sends it.
const SETTINGS: [&str; 2] = ["zookeeper.session.timeout.ms=4000", "replica.fetch.backoff.ms=1"];

/// The brokers' ids are 0 and 1.
pub(crate) struct Cluster {
    brokers: [Broker; 2],
    zk: LiveZnodes,
    runtime: Runtime,
    zookeeper: ZooKeeper,
}

struct Broker {
    bootstrap: String,
    command: Command,
    process: Running,
}

/// What the state node of a topic's one partition says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Led {
    /// The leader's id.
    leader: Option<BrokerId>,
    /// Raised with each election.
    pub(crate) epoch: i32,
    in_sync: usize,
    /// When the node was written, in ms since 1970 by this machine's clock.
    pub(crate) written_ms: i64,
}

impl Cluster {
    /// Starts them on a folder and waits until both are registered.
    pub(crate) fn start(folder: &Path) -> Result<Cluster, Failure> {
        let zookeeper = ZooKeeper::start(&folder.join("zookeeper"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let options = LiveOptions::new(&zookeeper.address);
        let zk = runtime.block_on(LiveZnodes::connect(options)).during("connecting to ZooKeeper")?;
        let brokers = [Broker::start(0, folder, &zookeeper.address)?, Broker::start(1, folder, &zookeeper.address)?];
        let cluster = Cluster { brokers, zk, runtime, zookeeper };
        for id in [0, 1] {
            cluster.wait("a broker registers", || cluster.exists(&broker_ids::path(BrokerId(id))))?;
        }
        Ok(cluster)
    }

    /// Where the cluster lives.
    pub(crate) fn connect(&self) -> &str {
        &self.zookeeper.address
    }

    /// The addresses of both brokers.
    pub(crate) fn bootstrap(&self) -> String {
        self.brokers.each_ref().map(|broker| broker.bootstrap.as_str()).join(",")
    }

    /// Makes a topic of one partition with a replica on each broker.
    pub(crate) fn create(&self, topic: &str) -> Result<(), Failure> {
        let mut last = String::new();
        let made = self.wait("a controller makes a topic", || {
            // Only the controller makes topics, and either may be it, once it is elected.
            Ok(self.brokers.iter().any(|broker| {
                let outcome = topic::create_replicated(&broker.bootstrap, topic, (1, 2), &[]);
                outcome.inspect_err(|error| last = error.to_string()).is_ok()
            }))
        });
        made.during(&last)?;
        self.wait_until_in_sync(&[topic])
    }

    /// The address of a topic's leader.
    pub(crate) fn leader(&self, topic: &str) -> Result<&str, Failure> {
        let leader = self.led(topic)?.leader.and_then(|leader| self.brokers.get(leader.0 as usize));
        Ok(&leader.ok_or_else(|| Failure::new(format!("{topic} has no leader")))?.bootstrap)
    }

    /// The address of the broker that does not lead the first of these topics.
    pub(crate) fn next_leader(&self, topics: &[&str]) -> Result<&str, Failure> {
        let leader = topics.first().and_then(|topic| self.led(topic).ok()?.leader);
        let next = leader.and_then(|leader| self.brokers.get(1 - leader.0 as usize));
        Ok(&next.ok_or_else(|| Failure::new(format!("{topics:?} have no leader")))?.bootstrap)
    }

    /// Lets the other replica of each topic be elected, as operators would; what the state nodes say then.
    pub(crate) fn elect(&self, topics: &[&str]) -> Result<Vec<Led>, Failure> {
        let before = self.leds(topics)?;
        self.elect_from(topics, &before)
    }

    /// Kills the broker that leads all these topics, as `kill -9` does; what the state nodes say after the election that
    /// follows.
    pub(crate) fn kill_leader(&mut self, topics: &[&str]) -> Result<Vec<Led>, Failure> {
        let before = self.leds(topics)?;
        let leader = before.first().and_then(|led| led.leader).ok_or_else(|| Failure::new("there is no leader"))?;
        if before.iter().any(|led| led.leader != Some(leader)) {
            return Err(Failure::new(format!("{topics:?} have different leaders")));
        }
        let broker = &mut self.brokers[leader.0 as usize];
        broker.process.signal("KILL");
        broker.process.ended(Duration::from_secs(10));
        self.wait_until_moved(topics, &before)
    }

    /// Lets the same broker lead all topics.
    pub(crate) fn unite(&self, topics: &[&str]) -> Result<(), Failure> {
        let (mut others, mut before) = (Vec::new(), Vec::new());
        for topic in topics {
            let led = self.led(topic)?;
            if led.leader != Some(BrokerId(0)) {
                others.push(*topic);
                before.push(led);
            }
        }
        if others.is_empty() { Ok(()) } else { self.elect_from(&others, &before).map(drop) }
    }

    /// Starts again who was killed, and waits until both replicas of each topic are in sync.
    pub(crate) fn revive(&mut self, topics: &[&str]) -> Result<(), Failure> {
        for broker in &mut self.brokers {
            if broker.process.child.try_wait()?.is_some() {
                broker.process = Running::start(&mut broker.command);
            }
        }
        self.wait_until_in_sync(topics)
    }

    fn elect_from(&self, topics: &[&str], before: &[Led]) -> Result<Vec<Led>, Failure> {
        let (mut assignment, mut partitions) = (Vec::new(), Vec::new());
        for (topic, led) in topics.iter().zip(before) {
            let leader = led.leader.ok_or_else(|| Failure::new(format!("{topic} has no leader")))?;
            let partition = partition(topic)?;
            assignment.push((partition.clone(), vec![BrokerId(1 - leader.0), leader]));
            partitions.push(partition);
        }
        self.ask(admin_reassign_partitions::PATH, &admin_reassign_partitions::encode(&assignment))?;
        self.ask(admin_preferred_replica_election::PATH, &admin_preferred_replica_election::encode(&partitions))?;
        self.wait_until_moved(topics, before)
    }

    /// Writes a wish for the controller, once there is no other.
    fn ask(&self, path: &str, data: &[u8]) -> Result<(), Failure> {
        for other in [admin_reassign_partitions::PATH, admin_preferred_replica_election::PATH] {
            self.wait("the controller does what it was asked", || Ok(!self.exists(other)?))?;
        }
        self.runtime.block_on(self.zk.create(path, data, CreateMode::Persistent)).during(path).map(drop)
    }

    fn wait_until_moved(&self, topics: &[&str], before: &[Led]) -> Result<Vec<Led>, Failure> {
        let mut moved: Vec<Option<Led>> = vec![None; topics.len()];
        self.wait("the leader moves", || {
            for ((topic, before), moved) in topics.iter().zip(before).zip(&mut moved) {
                if moved.is_none() {
                    let led = self.led(topic)?;
                    *moved = Some(led).filter(|led| led.leader.is_some() && led.leader != before.leader);
                }
            }
            Ok(moved.iter().all(Option::is_some))
        })?;
        Ok(moved.into_iter().flatten().collect())
    }

    fn wait_until_in_sync(&self, topics: &[&str]) -> Result<(), Failure> {
        self.wait("both replicas are in sync", || {
            topics.iter().try_fold(true, |all, topic| Ok(all && self.led(topic)?.in_sync == 2))
        })
    }

    fn leds(&self, topics: &[&str]) -> Result<Vec<Led>, Failure> {
        topics.iter().map(|topic| self.led(topic)).collect()
    }

    fn led(&self, topic: &str) -> Result<Led, Failure> {
        let path = partition_state::path(&partition(topic)?);
        let (data, stat) = self.runtime.block_on(self.zk.get(&path)).during(&path)?;
        let state = PartitionState::decode(&path, &data).during(&path)?;
        Ok(Led { leader: state.leader, epoch: state.leader_epoch.0, in_sync: state.isr.len(), written_ms: stat.mtime })
    }

    fn exists(&self, path: &str) -> Result<bool, Failure> {
        Ok(self.runtime.block_on(self.zk.exists(path)).during(path)?.is_some())
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
        let start = Instant::now();
        while !is_so()? {
            if start.elapsed() > LIMIT {
                let lines = self.brokers.each_ref().map(|broker| broker.process.lines().join("\n"));
                return Err(Failure::new(format!(
                    "not within {LIMIT:?}: {what}; the brokers say\n{}",
                    lines.join("\n")
                )));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

#[cfg(test)]
impl Led {
    /// Led since then in this epoch.
    pub(crate) fn since(epoch: i32, written_ms: i64) -> Led {
        Led { leader: Some(BrokerId(1)), epoch, in_sync: 2, written_ms }
    }
}

impl Broker {
    fn start(id: i32, folder: &Path, zookeeper: &str) -> Result<Broker, Failure> {
        let bootstrap = format!("127.0.0.1:{}", free_port());
        let properties = folder.join(format!("server-{id}.properties"));
        let logs = folder.join(format!("logs-{id}"));
        let text = format!(
            "broker.id={id}\nlisteners=PLAINTEXT://{bootstrap}\nzookeeper.connect={zookeeper}\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\nauto.leader.rebalance.enable=false\n{}\n",
            logs.display(),
            SETTINGS.join("\n")
        );
        fs::write(&properties, text).during(properties.display())?;
        let mut command = peers();
        command.args(["broker", "3.9.1"]).arg(&properties);
        let process = Running::start(&mut command);
        Ok(Broker { bootstrap, command, process })
    }
}

fn partition(topic: &str) -> Result<TopicPartition, Failure> {
    Ok(TopicPartition::new(TopicName::new(topic).during(topic)?, 0))
}

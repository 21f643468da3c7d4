//! ZooKeeper: the keeper's tree, spoken to in the core's requests; and what a view of it ought to be.

use std::collections::{BTreeMap, BTreeSet};

use ottla_jute as jute;
use ottla_tree::{Caller, Outcome, Tree};
use ottla_types::{BrokerId, LeaderEpoch, TopicName, TopicPartition};
use ottla_view::{Broker, Cluster, Event, Leadership, Topic};
use ottla_znodes::{CreateMode, Failure, Op, Reply, Request, wire};
use zk_schema::{BrokerRegistration, PartitionState, TopicAssignment};

/// A watch that fired: whose, and what it says.
pub(crate) type Fired = Vec<(i64, Event)>;

pub(crate) struct ZooKeeper {
    pub(crate) tree: Tree,
    /// Everything is written by hand, in this session.
    hand: i64,
    last_session: i64,
}

impl ZooKeeper {
    pub(crate) fn new() -> ZooKeeper {
        let mut zk = ZooKeeper { tree: Tree::new(), hand: 0, last_session: 0x100 };
        zk.hand = zk.begin();
        zk
    }

    pub(crate) fn begin(&mut self) -> i64 {
        self.last_session += 1;
        self.tree.create_session(0, self.last_session, 6_000);
        self.tree.connect(self.last_session, "127.0.0.1");
        self.last_session
    }

    pub(crate) fn end(&mut self, session: i64) -> Fired {
        fired(self.tree.expire_session(0, session))
    }

    pub(crate) fn ask(&mut self, session: i64, request: &Request) -> (Result<Reply, Failure>, Fired) {
        if !self.tree.sessions().contains_key(&session) {
            return (Err(Failure::Expired), vec![]);
        }
        let mut outcome = self.tree.step(0, Caller { session_id: session, xid: 1 }, &wire::encode(request));
        let reply = outcome.reply.take().expect("a session that lives is answered");
        (wire::decode(request, reply.header.err, reply.response), fired(outcome))
    }

    /// Creates a node and what is above it, or sets its data. It is ephemeral if it is somebody's.
    pub(crate) fn put(&mut self, owner: Option<i64>, path: &str, data: &[u8]) -> Fired {
        let mut events = vec![];
        for (at, _) in path.match_indices('/').skip(1) {
            if self.tree.node(&path[..at]).is_none() {
                let op = Op::Create { path: path[..at].into(), data: vec![], mode: CreateMode::Persistent };
                events.extend(self.write(self.hand, op));
            }
        }
        let (path, data) = (path.to_owned(), data.to_vec());
        let mode = if owner.is_some() { CreateMode::Ephemeral } else { CreateMode::Persistent };
        let op = match self.tree.node(&path) {
            Some(_) => Op::Set { path, data, version: None },
            None => Op::Create { path, data, mode },
        };
        events.extend(self.write(owner.unwrap_or(self.hand), op));
        events
    }

    /// Deletes a node with everything below, as tools do: from below.
    pub(crate) fn remove(&mut self, path: &str) -> Fired {
        let below = format!("{path}/");
        let inside = |found: &&str| *found == path || found.starts_with(&below);
        let mut paths: Vec<String> =
            self.tree.nodes().map(|(path, _)| path).filter(inside).map(str::to_owned).collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        paths.into_iter().flat_map(|path| self.write(self.hand, Op::Delete { path, version: None })).collect()
    }

    fn write(&mut self, session: i64, op: Op) -> Fired {
        let (outcome, events) = self.ask(session, &Request::Write(vec![op]));
        outcome.expect("a hand may write");
        events
    }

    /// What a view differs in from the tree. What cannot be read may be known as anything.
    pub(crate) fn differences(&self, known: &Cluster, used: &BTreeSet<TopicName>, names_wanted: bool) -> Vec<String> {
        let mut differences = vec![];
        let mut compare = |what: String, known: &dyn std::fmt::Debug, is: &dyn std::fmt::Debug| {
            let (known, is) = (format!("{known:?}"), format!("{is:?}"));
            if known != is {
                differences.push(format!("{what} is {is}, known as {known}"));
            }
        };
        let mut brokers = known.brokers.clone();
        for name in self.children("/brokers/ids") {
            let Some(id) = name.parse().ok().map(BrokerId).filter(|id| id.to_string() == name && id.0 >= 0) else {
                continue;
            };
            let (data, czxid) = self.node(&format!("/brokers/ids/{name}")).expect("it is a child");
            let known = brokers.remove(&id);
            if let Ok(registration) = BrokerRegistration::decode("", &data) {
                let is = Broker { endpoints: registration.endpoints, rack: registration.rack, epoch: czxid };
                compare(format!("broker {id}"), &known, &Some(is));
            }
        }
        compare("other brokers".into(), &brokers, &BTreeMap::<BrokerId, Broker>::new());
        for name in used {
            let known = known.topics.get(name);
            let Some((data, _)) = self.node(&format!("/brokers/topics/{name}")) else {
                compare(format!("topic {name}"), &known, &Some(Topic::Missing));
                continue;
            };
            let Ok(assignment) = TopicAssignment::decode("", &data) else { continue };
            let known = match known {
                Some(Topic::Partitions(known)) => known.clone(),
                _ => BTreeMap::new(),
            };
            let indices: Vec<_> = assignment.partitions.keys().collect();
            compare(format!("partitions of {name}"), &known.keys().collect::<Vec<_>>(), &indices);
            for (index, known) in &known {
                let partition = TopicPartition::new(name.clone(), *index);
                let is = match self.node(&zk_schema::partition_state::path(&partition)) {
                    None => Ok(Leadership { leader: None, epoch: LeaderEpoch(-1) }),
                    Some((data, _)) => PartitionState::decode("", &data)
                        .map(|state| Leadership { leader: state.leader, epoch: state.leader_epoch }),
                };
                if let Ok(is) = is {
                    compare(format!("leader of {partition}"), known, &is);
                }
            }
        }
        compare(
            "topics".into(),
            &known.topics.keys().filter(|name| !used.contains(*name)).collect::<Vec<_>>(),
            &[(); 0],
        );
        let valid = |name: String| TopicName::new(&name).ok();
        let names = names_wanted.then(|| self.children("/brokers/topics").into_iter().filter_map(valid).collect());
        compare("the list of topics".into(), &known.topic_names, &names as &Option<BTreeSet<TopicName>>);
        differences
    }

    fn node(&self, path: &str) -> Option<(Vec<u8>, i64)> {
        let node = self.tree.node(path)?;
        Some((node.data().map_or(vec![], |data| data.to_vec()), node.stat().czxid))
    }

    fn children(&self, path: &str) -> Vec<String> {
        self.tree.node(path).map_or(vec![], |node| node.children().map(str::to_owned).collect())
    }
}

fn fired(outcome: Outcome) -> Fired {
    let event = |(session, event): (i64, jute::WatcherEvent)| {
        let children = event.event_type == jute::EventType::NodeChildrenChanged.code();
        (session, Event::Changed { path: event.path, children })
    };
    outcome.events.into_iter().map(event).collect()
}

/// A registration, as brokers write it.
pub(crate) fn registration(host: &str, rack: Option<&str>) -> String {
    let rack = rack.map_or(String::new(), |rack| format!(r#""rack":"{rack}","#));
    format!(
        r#"{{"listener_security_protocol_map":{{"PLAINTEXT":"PLAINTEXT"}},"endpoints":["PLAINTEXT://{host}:9092"],{rack}"jmx_port":-1,"version":5}}"#
    )
}

/// A topic's node with so many partitions.
pub(crate) fn assignment(partitions: i32) -> String {
    let partitions: Vec<String> = (0..partitions).map(|index| format!(r#""{index}":[1]"#)).collect();
    format!(r#"{{"version":1,"partitions":{{{}}}}}"#, partitions.join(","))
}

/// A partition's state.
pub(crate) fn state(leader: i32, epoch: i32) -> String {
    format!(r#"{{"controller_epoch":1,"leader":{leader},"version":1,"leader_epoch":{epoch},"isr":[1]}}"#)
}

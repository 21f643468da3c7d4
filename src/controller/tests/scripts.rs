//! The golden scripts: each file in `testscripts/` is named after the fact that it shows. `UPDATE_GOLDENFILES=1` writes
//! their output anew.
//!
//! A command changes the world; unless it ends with `hold`, everything that follows from it happens at once. Output: the
//! effects that the controller asked for, in order.

mod world;

use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Command, Context};
use ottla_controller::{Event, PartitionState, Settings, UncleanElection};
use ottla_types::{BrokerId, ControllerEpoch, LeaderEpoch, TopicId};
use world::{Io, Mishap, Watch, World, ids, partition, print_state, topic};

struct Script(World);

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Result<String, Box<dyn Error>> {
        let world = &mut self.0;
        let mut args = command.consume_args();
        let id = args.take_key("id").unwrap_or("given") == "given";
        let isr = args.take_key("isr").map(ids);
        let (mut words, mut replicas) = (Vec::new(), Vec::new());
        while let Some(word) = args.next_pos() {
            words.push(word);
        }
        while let Some((_, value)) = args.next_key() {
            replicas.push(ids(value));
        }
        let hold = words.last() == Some(&"hold");
        if hold {
            words.pop();
        }
        let broker =
            |n: usize| -> Result<BrokerId, Box<dyn Error>> { Ok(BrokerId(words.get(n).ok_or("which?")?.parse()?)) };
        match (command.name.as_str(), words.as_slice()) {
            // elect: the broker becomes controller, whoever was it before.
            ("elect", _) => world.elect(),
            ("resign", _) => world.resign(),
            // deletion off: before anything else.
            ("deletion", ["off"]) => {
                *world = World::new(Settings { delete_topic_enable: false, ..Settings::default() })
            }
            // rebalance on: the same.
            ("rebalance", ["on"]) => *world = World::new(Settings::default()),
            ("up", ids) => {
                for id in ids.iter().map(|id| id.parse()) {
                    world.broker_up(BrokerId(id?), None);
                }
            }
            ("down", ids) => {
                for id in ids.iter().map(|id| id.parse()) {
                    world.broker_down(BrokerId(id?));
                }
            }
            // bounce B: restarts faster than its session ends.
            ("bounce", _) => {
                world.broker_down(broker(0)?);
                world.broker_up(broker(0)?, None);
            }
            ("failing", [_, on]) => world.brokers.get_mut(&broker(0)?).ok_or("it is down")?.failing = *on == "on",
            // create T 0=1/2 1=2/1 [id=none]: a tool writes the topic's node.
            ("create", [name]) => {
                let fresh = world.zk.fresh_id();
                world.zk.create_topic(topic(name), id.then_some(fresh), replicas);
                world.fired.insert(Watch::Topics);
            }
            // grow T 2=1/2 [id=none]: a tool adds a partition to the node.
            ("grow", [name]) => {
                let (node, _) = world.zk.topics.get_mut(&topic(name)).ok_or("no such topic")?;
                for replicas in replicas {
                    let index = node.assignment.len() as i32;
                    node.assignment.insert(index, ottla_controller::Assignment { replicas, ..Default::default() });
                }
                node.version += 1;
                node.id = node.id.filter(|_| id);
                world.fired.insert(Watch::Topic(topic(name)));
            }
            // replace T 0=1: removed and made anew before anybody looked.
            ("replace", [name]) => {
                world.zk.remove_topic(&topic(name));
                world.zk.create_topic(topic(name), Some(TopicId([9; 16])), replicas);
                world.fired.extend([Watch::Topics, Watch::Topic(topic(name))]);
            }
            // vanish T: somebody removes the nodes by hand.
            ("vanish", [name]) => {
                world.zk.remove_topic(&topic(name));
                world.fired.extend([Watch::Topics, Watch::Topic(topic(name))]);
            }
            ("mark", [name]) => {
                world.zk.marks.insert(topic(name));
                world.fired.insert(Watch::Marks);
            }
            // leader P isr=1/2: the leader writes the ISR itself.
            ("leader", [name]) => world.leader_writes_isr(&partition(name), isr.ok_or("which ISR?")?),
            // quietly P isr=1/2: the same, and the notification is not seen yet.
            ("quietly", [name]) => {
                world.leader_writes_isr(&partition(name), isr.ok_or("which ISR?")?);
                world.fired.remove(&Watch::Notifications);
            }
            // put P isr=2/1: a state that no controller here wrote, led by the first of the ISR.
            ("put", [name]) => {
                let isr = isr.ok_or("which ISR?")?;
                let (leader, leader_epoch, controller_epoch) =
                    (isr.first().copied(), LeaderEpoch(7), ControllerEpoch(0));
                let state = PartitionState { leader, leader_epoch, isr, controller_epoch, recovering: false };
                world.zk.write_state(&partition(name), &state, None).map_err(|()| "it exists")?;
            }
            ("lose-state", [name]) => {
                world.zk.states.remove(&partition(name)).ok_or("no such state")?;
                let name = partition(name);
                world.step(Event::IsrChangeNotified { notifications: vec![], partitions: [name].into() });
            }
            ("prefer", [name]) => {
                world.zk.preferred = Some([partition(name)].into());
                world.fired.insert(Watch::Preferred);
            }
            ("unclean", ["on"]) => {
                let unclean = UncleanElection { default: true, ..Default::default() };
                world.step(Event::UncleanElectionConfigured(unclean));
            }
            // Another broker wins an election while this one does not know.
            ("usurp", _) => world.zk.controller_epoch += 1,
            ("sleep", [ms]) => world.sleep(world.now_ms + ms.parse::<i64>()?),
            // The next reads and writes: done | answer-lost | request-lost.
            ("io", [how]) => {
                let mishap = match *how {
                    "answer-lost" => Mishap::AnswerLost,
                    "request-lost" => Mishap::RequestLost,
                    _ => Mishap::None,
                };
                for io in std::mem::take(&mut world.io) {
                    world.perform(Io { ..io }, || mishap);
                }
            }
            ("watches", _) => {
                for watch in std::mem::take(&mut world.fired) {
                    world.notice(watch);
                }
            }
            ("run", _) => {}
            // zk: what the state nodes hold.
            ("zk", _) => {
                for (name, node) in &world.zk.states {
                    world.trace.push(format!("{name} {} version={}", print_state(&node.state), node.version));
                }
                let topics: Vec<_> = world.zk.topics.keys().collect();
                world.trace.push(format!("topics {topics:?} marks {:?}", world.zk.marks));
            }
            (name, words) => return Err(format!("no such command: {name} {words:?}").into()),
        }
        if !hold {
            world.run();
        }
        let mut output = String::new();
        for line in std::mem::take(&mut world.trace) {
            writeln!(output, "{line}")?;
        }
        Ok(output)
    }
}

#[test]
fn scripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testscripts");
    let mut scripts: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    for script in scripts {
        let settings = Settings { auto_leader_rebalance_enable: false, ..Settings::default() };
        goldenscript::run(&mut Script(World::new(settings)), &script).unwrap();
    }
}

//! The golden scripts: each file in `testscripts/` is named after the fact that it shows. `UPDATE_GOLDENFILES=1` writes
//! their output anew.
//!
//! A command changes the world; unless it is tagged `[hold]`, everything that follows from it at this moment happens at
//! once. Output: what the view asks for and what it says is different, in order. Paths are below `/brokers/`, `!` is a watch.
//! After each command the changes that were told must give what the view knows, and that must be what the tree says,
//! as far as the view claims so.

mod scripted;
mod zookeeper;

use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Command, Context};
use ottla_types::{TopicName, TopicPartition};
use ottla_znodes::Failure;
use scripted::World;

struct Script(World);

/// `t-0`.
fn partition(text: &str) -> Result<TopicPartition, Box<dyn Error>> {
    let (topic, index) = text.rsplit_once('-').ok_or("no partition")?;
    Ok(TopicPartition::new(TopicName::new(topic)?, index.parse()?))
}

/// A path below `/brokers/`.
fn path(text: &str) -> String {
    format!("/brokers/{text}")
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let world = &mut self.0;
        let mut args = command.consume_args();
        let mut words = Vec::new();
        while let Some(word) = args.next_pos() {
            words.push(word);
        }
        match (command.name.as_str(), words.as_slice()) {
            // broker 1 h [rack=r]: it registers; if it is registered, somebody changes that by hand.
            ("broker", [id, host]) => {
                let registration = zookeeper::registration(host, args.take_key("rack"));
                world.register(id.parse()?, registration.as_bytes());
            }
            // stop 1: its session ends.
            ("stop", [id]) => world.stop(id.parse()?),
            // topic t 2: a topic with so many partitions, or the same with another number.
            ("topic", [name, count]) => {
                world.put(&path(&format!("topics/{name}")), zookeeper::assignment(count.parse()?).as_bytes());
            }
            // leader t-0 1 5: who leads, in which epoch.
            ("leader", [of, leader, epoch]) => {
                let state = zookeeper::state(leader.parse()?, epoch.parse()?);
                world.put(&zk_schema::partition_state::path(&partition(of)?), state.as_bytes());
            }
            ("put", [at, data]) => world.put(&path(at), data.as_bytes()),
            ("remove", [at]) => world.remove(path(at).trim_end_matches('/')),
            ("session", []) => world.start_session(),
            // expire: the server ends the session; the view learns of it, and requests under way are answered so.
            ("expire", []) => world.expire(),
            // deaf on: watches that fire meanwhile are never told.
            ("deaf", [on]) => world.deaf = *on == "on",
            ("reconnect", []) => world.reconnect(),
            // lose done|undone|expired [1]: the answers to the first requests that are held, or to all, never come.
            ("lose", [how, count @ ..]) => {
                let count = count.first().map_or(Ok(usize::MAX), |count| count.parse())?;
                let failure = if *how == "expired" { Failure::Expired } else { Failure::Unknown };
                world.lose(count, *how == "done", failure);
            }
            // refuse PATH [CODE]: ZooKeeper refuses to read it.
            ("refuse", [at, code @ ..]) => {
                world.refused.insert(path(at), code.first().unwrap_or(&"-102").parse()?);
            }
            ("allow", []) => world.refused.clear(),
            ("use", [name]) => world.use_topic(TopicName::new(name)?),
            ("forget", [name]) => world.forget_topic(TopicName::new(name)?),
            ("names", []) => world.want_names(),
            ("doubt", [of]) => world.doubt(partition(of)?),
            ("sleep", [ms]) => world.sleep(ms.parse()?),
            ("run", []) => {}
            // next: the request that was sent first is done and answered; last: the one that was sent last.
            ("next", []) => world.answer(true),
            ("last", []) => world.answer(false),
            // answer: the request that was sent first is done, and its answer is on its way until `run`.
            ("answer", []) => world.perform_first(),
            // cut on: there is no connection, every request is lost at once.
            ("cut", [on]) => world.cut = *on == "on",
            ("count", []) => world.count(),
            ("show", []) => world.show(),
            (name, words) => return Err(format!("no such command: {name} {words:?}").into()),
        }
        args.reject_next()?;
        match context.tags.contains("hold") {
            true => world.run_events(),
            false => world.run(),
        }
        world.check();
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
    let failed: Vec<_> = scripts
        .iter()
        .filter(|script| {
            let run = || goldenscript::run(&mut Script(World::new()), script).unwrap();
            std::panic::catch_unwind(run).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

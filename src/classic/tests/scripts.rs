//! The golden scripts: each file in `testscripts/` is named after the fact that it shows. `UPDATE_GOLDENFILES=1` writes
//! their output anew.
//!
//! A command changes the world; unless it is tagged `[hold]`, everything that follows from it at this moment happens at
//! once, and `[events]` holds back only what is asked of ZooKeeper. Output: what each member asks for, in order.

mod scripted;

use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Command, Context};
use ottla_classic::{Event, Position, Settings, Subscription};
use ottla_types::TopicName;
use scripted::{World, partition, print};

struct Script(World);

/// `t:1,u:2`.
fn topics(text: &str) -> Result<Subscription, Box<dyn Error>> {
    let topic = |entry: &str| -> Result<_, Box<dyn Error>> {
        let (name, streams) = entry.split_once(':').unwrap_or((entry, "1"));
        Ok((TopicName::new(name)?, streams.parse()?))
    };
    Ok(Subscription::topics(text.split(',').map(topic).collect::<Result<Vec<_>, _>>()?)?)
}

/// A path below the group's folder, or an absolute one; `#` stands for a member's UUID.
fn path(text: &str) -> String {
    let text = match text.split_once('#') {
        Some((name, rest)) => {
            let (number, rest) = rest.split_at(1);
            format!("{}{rest}", print::consumer_id(name, number.parse().expect("a session")))
        }
        None => text.to_owned(),
    };
    if text.starts_with('/') { text } else { format!("/consumers/g/{text}") }
}

/// The node of a topic with so many partitions.
fn topic_node(partitions: &str) -> Result<String, Box<dyn Error>> {
    let count: i32 = partitions.parse()?;
    let partitions: Vec<String> = (0..count).map(|index| format!("\"{index}\":[1]")).collect();
    Ok(format!("{{\"version\":1,\"partitions\":{{{}}}}}", partitions.join(",")))
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
            // topic T N: a topic with so many partitions, or the same with more.
            ("topic", [name, count]) => world.put(None, &format!("/brokers/topics/{name}"), &topic_node(count)?),
            // join A [topics=t:1] [white=regex] [streams=1] [assignor=range] [id=c] [interval=1000]
            ("join", [name]) => {
                let streams = args.take_key("streams").unwrap_or("1").parse()?;
                let subscription = match (args.take_key("white"), args.take_key("black"), args.take_key("topics")) {
                    (Some(pattern), _, _) => Subscription::white_list(pattern, streams, true)?,
                    (_, Some(pattern), _) => Subscription::black_list(pattern, streams, true)?,
                    (_, _, wanted) => topics(wanted.unwrap_or("t:1"))?,
                };
                let mut settings = Settings::new("g", subscription);
                settings.commit_interval_ms = args.take_key("interval").map(str::parse).transpose()?;
                if let Some(assignor) = args.take_key("assignor") {
                    settings.assignor = assignor.into();
                }
                world.join(name, settings, args.take_key("id").map(str::to_owned));
            }
            // old B t:2: a member of Kafka's consumer registers.
            ("old", [name, wanted]) => {
                let registration = topics(wanted)?.registration(0, None).encode();
                let session = world.other(name);
                world.put(Some(session), &path(&format!("ids/{name}")), &String::from_utf8(registration)?);
            }
            // put PATH [DATA] [by=B]: somebody writes a node, ephemeral if it is somebody with a session.
            ("put", [at, data @ ..]) => {
                let session = args.take_key("by").map(|name| world.other(name));
                world.put(session, &path(at), data.first().unwrap_or(&""));
            }
            ("remove", [at]) => world.remove(&path(at)),
            // late A PATH: a creation of A's whose answer was lost takes effect.
            ("late", [name, at]) => {
                let session = world.clients[*name].session;
                world.put(Some(session), &path(at), "late");
            }
            // expire A: the server ends the session, the member learns of it.
            ("expire", [name]) => world.expire(name, true),
            // kill A: the process died, and its session has ended.
            ("kill", [name]) => world.expire(name, false),
            ("session", [name]) => world.start_session(name),
            // at A t-0 5 [sought]: how far the application is.
            ("at", [name, of, offset, sought @ ..]) => {
                let position = Position { offset: offset.parse()?, sought: !sought.is_empty() };
                world.consume(name, partition(of), position);
            }
            ("commit", [name, token]) => world.event(name, Event::CommitAsked { token: token.parse()? }),
            ("close", [name]) => {
                let commit = args.take_key("commit") != Some("off");
                world.event(name, Event::CloseAsked { commit });
            }
            // slow A on: the application does not let go of a partition until `stopped`.
            ("slow", [name, on]) => world.clients.get_mut(*name).ok_or("who?")?.slow = *on == "on",
            ("stopped", [name, of]) => world.stopped(name, partition(of)),
            // start t-0 7: where the partition's leader says that it begins.
            ("start", [of, offset]) => drop(world.starts.insert(partition(of), offset.parse()?)),
            // leaderless A on: nobody says where partitions begin, until `found`.
            ("leaderless", [name, on]) => world.clients.get_mut(*name).ok_or("who?")?.lost_leader = *on == "on",
            ("found", [name, of, offset]) => {
                let event = Event::StartFound { partition: partition(of), offset: offset.parse()? };
                world.event(name, event);
            }
            // lose A done|undone: the requests that are held are lost with the connection.
            ("lose", [name, how]) => world.lose(name, *how == "done"),
            ("reconnect", [name]) => world.event(name, Event::Reconnected),
            // refuse PATH [CODE]: ZooKeeper refuses whatever names it; with a slash at the end: or anything below.
            ("refuse", [at, code @ ..]) => {
                world.zk.refused.push((path(at), code.first().unwrap_or(&"-102").parse()?));
            }
            ("allow", []) => world.zk.refused.clear(),
            ("leases", []) => world.show_leases = true,
            ("sleep", [ms]) => world.sleep(ms.parse()?, context.tags.contains("events")),
            ("run", []) => {}
            // rounds N: what is about to happen, then what follows from it, and so on.
            ("rounds", [count]) => (0..count.parse()?).for_each(|_| world.round()),
            // wipe PATH: somebody removes it with all that is below.
            ("wipe", [at]) => world.wipe(path(at).trim_end_matches('/')),
            ("count", []) => world.count(),
            ("tree", below) => world.show(&path(below.first().unwrap_or(&""))),
            (name, words) => return Err(format!("no such command: {name} {words:?}").into()),
        }
        args.reject_next()?;
        if command.name == "rounds" {
            // What follows waits for the next command.
        } else if context.tags.contains("events") {
            world.run_events();
        } else if !context.tags.contains("hold") {
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
    let failed: Vec<_> = scripts
        .iter()
        .filter(|script| {
            let run = || goldenscript::run(&mut Script(World::new()), script).unwrap();
            std::panic::catch_unwind(run).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

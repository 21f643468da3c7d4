//! The command line: one file for each subcommand, flags as in Kafka's own scripts, output in their format, so that a
//! script that calls `kafka-topics.sh` can call `ottla topics`.
//!
//! A tool writes to the output it is given and returns a [`ToolError`]; [`main`] prints that and chooses the exit code.

mod bootstrap;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod error;
mod get_offsets;
mod group_view;
mod keeper;
mod log_offsets;
mod start;
mod table;
mod time;
mod topics;
mod znodes;
mod zookeeper;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::BrokerConfig;

pub use error::ToolError;

/// The program's arguments.
#[derive(Debug, Parser)]
#[command(
    name = "ottla",
    version,
    about = "A Kafka-compatible message broker that keeps its cluster in ZooKeeper, and the tools for it",
    long_about = "A Kafka-compatible message broker that keeps its cluster in ZooKeeper, and the tools for it.\n\n\
        Without a subcommand a broker is started. Without a file it is one for this machine: broker 0 on 127.0.0.1:9092, \
        its own ZooKeeper-compatible keeper on 127.0.0.1:2181, data in ./ottla-data.",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: start::Arguments,
}

const EXAMPLES: &str = "\
Examples:
  ottla                                             a broker for this machine
  ottla config/server.properties                    a broker as a file says (Kafka's keys)
  ottla --override num.partitions=3 --data /srv/q   the first one with other settings
  ottla topics --create --topic orders --partitions 3
  echo hello | ottla console-producer --topic orders
  ottla console-consumer --topic orders --from-beginning
  ottla consumer-groups --describe --group billing --watch
  ottla znodes tree /brokers

`ottla SUBCOMMAND --help` says more. Every key of the file, with its default: `ottla sample-config`.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a broker (what happens without a subcommand)
    #[command(after_help = start::EXAMPLES)]
    Start(start::Arguments),
    /// Run the ZooKeeper-compatible keeper alone
    #[command(after_help = keeper::EXAMPLES)]
    Keeper(keeper::Arguments),
    /// Create, list, describe, alter and delete topics (kafka-topics.sh)
    #[command(after_help = topics::EXAMPLES)]
    Topics(topics::Arguments),
    /// Describe and alter the configs of topics and brokers (kafka-configs.sh)
    #[command(after_help = configs::EXAMPLES)]
    Configs(configs::Arguments),
    /// Send lines of the standard input as records (kafka-console-producer.sh)
    #[command(after_help = console_producer::EXAMPLES)]
    ConsoleProducer(console_producer::Arguments),
    /// Print the records of a topic (kafka-console-consumer.sh)
    #[command(after_help = console_consumer::EXAMPLES)]
    ConsoleConsumer(console_consumer::Arguments),
    /// Look at classic consumer groups, reset their offsets, delete them (kafka-consumer-groups.sh --zookeeper)
    #[command(after_help = consumer_groups::EXAMPLES)]
    ConsumerGroups(consumer_groups::Arguments),
    /// Print the offsets of partitions (kafka-get-offsets.sh)
    #[command(after_help = get_offsets::EXAMPLES)]
    GetOffsets(get_offsets::Arguments),
    /// Look at the nodes in ZooKeeper, decoded; find what is wrong with them; watch them change
    #[command(after_help = znodes::EXAMPLES)]
    Znodes(znodes::Arguments),
    /// Print a server.properties with every key, its default and what it is for
    SampleConfig,
}

/// Runs a broker until it is told to stop; the error is one line for the user.
pub type StartBroker = fn(BrokerConfig) -> Result<(), String>;

/// Sends log lines of this level and above to where the program wants them.
pub type StartLog = fn(level: &str);

/// Runs the program: the one entry of `main.rs`.
pub fn main(log: StartLog, broker: StartBroker) -> ExitCode {
    let arguments = CommandLine::parse();
    match arguments.command {
        None | Some(Command::Start(_) | Command::Keeper(_)) => log("info"),
        // What a tool has to say it prints; a warning from below it is worth a line.
        Some(_) => log("warn"),
    }
    let outcome = match arguments.command {
        None => start::run(&arguments.start, broker),
        Some(Command::Start(arguments)) => start::run(&arguments, broker),
        Some(Command::Keeper(arguments)) => keeper::run(&arguments),
        Some(Command::SampleConfig) => tool(async |out| Ok(out.write_all(crate::config::sample().as_bytes())?)),
        Some(Command::Topics(arguments)) => tool(async |out| topics::run(&arguments, out).await),
        Some(Command::Configs(arguments)) => tool(async |out| configs::run(&arguments, out).await),
        Some(Command::ConsoleProducer(arguments)) => console_producer::run(&arguments),
        Some(Command::ConsoleConsumer(arguments)) => tool(async |out| console_consumer::run(&arguments, out).await),
        Some(Command::ConsumerGroups(arguments)) => tool(async |out| consumer_groups::run(&arguments, out).await),
        Some(Command::GetOffsets(arguments)) => tool(async |out| get_offsets::run(&arguments, out).await),
        Some(Command::Znodes(arguments)) => tool(async |out| znodes::run(&arguments, out).await),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(ToolError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a tool on a runtime of its own with the standard output.
fn tool(run: impl AsyncFnOnce(&mut dyn Write) -> Result<(), ToolError>) -> Result<(), ToolError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ToolError::Output)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let outcome = runtime.block_on(run(&mut out));
    let flushed = out.flush();
    outcome?;
    Ok(flushed?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_file_without_a_subcommand_starts_a_broker() {
        let arguments = CommandLine::try_parse_from(["ottla", "server.properties", "--override", "a=b"]).unwrap();
        assert!(arguments.command.is_none());
        assert_eq!(arguments.start.file.unwrap().to_str(), Some("server.properties"));
        assert_eq!(arguments.start.overrides, ["a=b"]);
        let arguments = CommandLine::try_parse_from(["ottla", "start", "x", "--data", "/d"]).unwrap();
        assert!(matches!(arguments.command, Some(Command::Start(_))));
        let arguments = CommandLine::try_parse_from(["ottla"]).unwrap();
        assert!(arguments.command.is_none() && arguments.start.file.is_none());
    }
}

//! Ottla beside Apache Kafka 3.9.1 and beside the least that the machine itself asks for.
//!
//! `integration-tests/bench` builds this and runs `ottla-bench compare`: [`cases`] says what is measured and what has to
//! be reached, [`compare`] lets the systems take turns on it. [`load`] loads a broker, [`floor`] is what any broker must
//! pay at least; both can be run by hand.

mod bench;
mod cases;
mod compare;
mod failure;
mod figures;
mod floor;
mod floor_process;
mod groups;
mod journal;
mod load;
mod machine;
mod peer;
mod producer;
mod results;
mod run;
mod statistics;
mod table;
mod target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples, with a broker at 127.0.0.1:9092 of process 4711:
  ottla-bench load create-topic --topic t --partitions 6
  ottla-bench load produce --topic t --record-bytes 100 --megabytes 2000 --pid 4711
  ottla-bench load consume --topic t --pid 4711
  ottla-bench load rate --topic t --batch-bytes 1 --requests-per-second 5000 --pid 4711
  ottla-bench floor produce /tmp/floor.log     prints 127.0.0.1:PORT; beside it:
  ottla-bench load raw-send 127.0.0.1:PORT --record-bytes 100 --megabytes 2000";

/// Load a broker and measure what it costs, beside the least that it could cost
#[derive(Debug, Parser)]
#[command(name = "ottla-bench", after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run Ottla, Kafka 3.9.1 and the floor in turns and print a table: what integration-tests/bench calls
    Compare(compare::CompareOptions),
    /// Run classic consumer groups of Ottla and of Kafka 0.8.2.2 and print a table: what integration-tests/bench groups calls
    Groups(groups::GroupOptions),
    /// Run members of a classic group that are told over the standard input to join and to close
    GroupMembers(groups::member_process::MemberOptions),
    /// Run Ottla's producer library, librdkafka and Kafka's producer and print a table: what integration-tests/bench producer calls
    Producer(producer::ProducerOptions),
    /// Run a producer of Ottla's library that counts what it costs or how long it takes
    ProducerClient(producer::client_process::ClientOptions),
    /// Load a running broker by hand; the result is a line of JSON
    #[command(subcommand)]
    Load(load::command::Load),
    /// Run what any broker must pay at least
    #[command(subcommand)]
    Floor(floor::command::Floor),
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Groups(options) => groups::run(&options),
        Command::GroupMembers(options) => groups::member_process::run(&options),
        Command::Producer(options) => producer::run(&options),
        Command::ProducerClient(options) => producer::client_process::run(&options),
        Command::Load(load) => load::command::run(&load).map_err(Into::into),
        Command::Floor(floor) => floor::command::run(&floor).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

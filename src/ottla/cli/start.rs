use std::path::PathBuf;

use super::{StartBroker, ToolError};
use crate::config::{BrokerConfig, Problem, Settings};

pub(super) const EXAMPLES: &str = "\
Examples:
  ottla start                                          a broker for this machine, data in ./ottla-data
  ottla start config/server.properties                 as a file says; files of Apache Kafka work
  ottla start --override zookeeper.connect=zk1:2181/q  one key from the command line, before the file
  ottla start server.properties --allow-unsupported 'ssl.*'

A key that Kafka knows and Ottla does not is a warning, unless a protection would silently be missing: then the start
is refused until --allow-unsupported names it.";

/// What a broker starts with.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// server.properties: Kafka's format and keys
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Set a key, before what the file says; may be repeated
    #[arg(long = "override", value_name = "KEY=VALUE")]
    pub(super) overrides: Vec<String>,
    /// Put logs into DIR/logs and the own keeper into DIR/keeper
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Start although this key's protection is not supported; a * at the end stands for any rest; may be repeated
    #[arg(long, value_name = "KEY")]
    pub(super) allow_unsupported: Vec<String>,
}

impl Arguments {
    /// The configuration, and what is worth a warning.
    fn load(&self) -> Result<(BrokerConfig, Vec<Problem>), ToolError> {
        let file = self.file.as_deref();
        let loaded = Settings::load(file, self.data.as_deref(), &self.overrides, &self.allow_unsupported)?;
        Ok((BrokerConfig::new(loaded.settings)?, loaded.warnings))
    }
}

/// Reads the configuration and runs a broker of it until Ctrl-C or SIGTERM.
pub(super) fn run(arguments: &Arguments, broker: StartBroker) -> Result<(), ToolError> {
    let (config, warnings) = arguments.load()?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    broker(config).map_err(ToolError::Failed)
}

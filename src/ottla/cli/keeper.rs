use std::path::PathBuf;

use ottla_keeper::{Keeper, KeeperSettings};

use super::ToolError;
use crate::config::properties;

pub(super) const EXAMPLES: &str = "\
Examples:
  ottla keeper                        on 127.0.0.1:2181, data in ./ottla-data/keeper
  ottla keeper zoo.cfg                as a file of Apache ZooKeeper says
  ottla keeper --override clientPort=2182 --override dataDir=/srv/keeper

It speaks ZooKeeper's protocol and keeps ZooKeeper's files, as one server: for one machine and for tests. In production
point zookeeper.connect at an ensemble of Apache ZooKeeper.";

/// What the keeper starts with.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// zoo.cfg: ZooKeeper's format and keys
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Set a key, before what the file says; may be repeated
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl Arguments {
    fn pairs(&self) -> Result<Vec<(String, String)>, ToolError> {
        let mut pairs = vec![("dataDir".to_owned(), "ottla-data/keeper".to_owned())];
        if let Some(path) = &self.file {
            let failed = |why: &dyn std::fmt::Display| ToolError::Failed(format!("{}: {why}", path.display()));
            let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
            let file = properties::parse(&bytes).map_err(|error| failed(&error))?;
            pairs.extend(file.into_iter().map(|property| (property.key, property.value.trim().to_owned())));
        }
        for text in &self.overrides {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| ToolError::Usage(format!("--override {text}: key=value is expected")))?;
            pairs.push((key.trim().into(), value.trim().into()));
        }
        // The last one of a key counts.
        let last: std::collections::BTreeMap<String, String> = pairs.into_iter().collect();
        Ok(last.into_iter().collect())
    }
}

/// Runs the keeper until Ctrl-C or SIGTERM.
pub(super) fn run(arguments: &Arguments) -> Result<(), ToolError> {
    let (settings, warnings) =
        KeeperSettings::from_pairs(arguments.pairs()?).map_err(|error| ToolError::Failed(error.to_string()))?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    let data = settings.data_dir.display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut keeper = Keeper::start(settings).map_err(|error| ToolError::Failed(error.to_string()))?;
    println!("keeper: ZooKeeper protocol on {}, data in {data}; Ctrl-C stops it", keeper.local_addr());
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            error = keeper.stopped() => return Err(ToolError::Failed(error.to_string())),
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
        keeper.shutdown().await.map_err(|error| ToolError::Failed(error.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_go_before_the_file_before_the_default_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "clientPort=1\ntickTime=3\n").unwrap();
        let arguments = Arguments { file: Some(file.path().into()), overrides: vec!["clientPort = 2".into()] };
        let pairs: Vec<String> =
            arguments.pairs().unwrap().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(pairs, ["clientPort=2", "dataDir=ottla-data/keeper", "tickTime=3"]);
    }
}

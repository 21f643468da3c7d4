//! A floor as a process of its own, so that what it costs can be told from what its client costs.

use std::process::Command;
use std::time::Duration;

use ottla_integration_tests::process::Running;

use crate::failure::{During, Failure};

/// One of the servers of [`crate::floor`]; it ends with this value.
pub(crate) struct FloorProcess {
    process: Running,
    /// `host:port`.
    pub(crate) address: String,
}

impl FloorProcess {
    /// Starts `ottla-bench floor` with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Result<FloorProcess, Failure> {
        let program = std::env::current_exe().during("finding this program")?;
        let mut process = Running::start(Command::new(program).arg("floor").args(arguments));
        let address = process.line_with("127.0.0.1:", Duration::from_secs(10));
        Ok(FloorProcess { process, address })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }
}

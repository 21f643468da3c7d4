//! The program: parse the command line, call `cli`; and what only a program may decide: where the log goes, which signals
//! stop it, and that a panic ends it.

use std::io::IsTerminal;
use std::process::ExitCode;

use ottla::config::BrokerConfig;
use ottla::zk::live::CLIENT_LOG_TARGET;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    abort_on_panic();
    ottla::cli::main(log_to_stderr, run_broker)
}

/// A panic is a mistake of ours, met with locks held and work half done. The process ends; the next start recovers from
/// what is on disk, which never depends on a clean end.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Log lines of this level and above go to the standard error, unless `OTTLA_LOG` says otherwise.
fn log_to_stderr(level: &str) {
    let default = format!("{level},{CLIENT_LOG_TARGET}=error");
    let filter = EnvFilter::try_from_env("OTTLA_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}

fn run_broker(config: BrokerConfig) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(config.io_threads).enable_all().build();
    let runtime = runtime.map_err(|e| e.to_string())?;
    let outcome = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        ottla::broker::run(config, stop).await
    });
    outcome.map_err(|e| e.to_string())
}

//! A keeper alone: `keeper KEY=VALUE...`, the keys of zoo.cfg. Ctrl-C stops it.

use ottla_keeper::{Keeper, KeeperSettings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (settings, unknown) = KeeperSettings::from_pairs(arguments.iter().filter_map(|pair| pair.split_once('=')))?;
    if !unknown.is_empty() {
        eprintln!("unknown keys: {}", unknown.join(", "));
    }
    let started = std::time::Instant::now();
    let mut keeper = Keeper::start(settings)?;
    println!("listening on {} after {:?}", keeper.local_addr(), started.elapsed());
    tokio::select! {
        error = keeper.stopped() => return Err(error.into()),
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    keeper.shutdown().await?;
    Ok(())
}

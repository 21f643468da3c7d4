//! What happens by the clock: checkpoints, retention, expiry of producers, flushes that a topic asks for, removal of what
//! was deleted. Each job runs on the blocking pool, one run at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{error, info};

use super::clock::now_ms;
use super::current_config::CurrentConfig;
use super::partitions::{Checkpoint, Partitions};
use super::removals::Removal;

/// How often to look for partitions that `flush.ms` wants flushed, while there are any.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Starts every job; they end when the set is dropped. While there is nothing to do, nothing wakes but the checkpoints.
pub fn start(partitions: &Arc<Partitions>, config: &CurrentConfig) -> JoinSet<()> {
    let config = config.get();
    let mut jobs = JoinSet::new();
    let mut every = |interval: Duration, job: fn(&Partitions)| {
        let partitions = partitions.clone();
        jobs.spawn(async move {
            loop {
                sleep(interval).await;
                run(&partitions, job).await;
            }
        });
    };
    every(config.recovery_point_checkpoint_interval, |partitions| checkpoint(partitions, Checkpoint::RecoveryPoint));
    every(config.log_start_offset_checkpoint_interval, |partitions| checkpoint(partitions, Checkpoint::LogStart));
    every(config.high_watermark_checkpoint_interval, |partitions| checkpoint(partitions, Checkpoint::HighWatermark));
    every(config.log_retention_check_interval, retention);
    every(config.producer_id_expiration_check_interval, expire_producers);
    jobs.spawn(flush_old(partitions.clone()));
    jobs.spawn(remove_deleted(partitions.clone()));
    jobs
}

async fn run(partitions: &Arc<Partitions>, job: fn(&Partitions)) {
    let partitions = partitions.clone();
    if let Err(e) = tokio::task::spawn_blocking(move || job(&partitions)).await {
        error!("a housekeeping job failed: {e}");
    }
}

async fn flush_old(partitions: Arc<Partitions>) {
    loop {
        partitions.may_have_old().await;
        sleep(FLUSH_INTERVAL).await;
        run(&partitions, Partitions::flush_old).await;
    }
}

async fn remove_deleted(partitions: Arc<Partitions>) {
    loop {
        partitions.removals().due().await;
        run(&partitions, Partitions::remove_deleted).await;
    }
}

fn checkpoint(partitions: &Partitions, what: Checkpoint) {
    if let Err(e) = partitions.checkpoint(what) {
        error!("{e}; after a crash more is recovered than need be");
    }
}

fn retention(partitions: &Partitions) {
    for partition in partitions.all() {
        let high_watermark = partition.high_watermark();
        let (report, delay_ms) = partition
            .with_log(|log| (log.delete_old_segments(high_watermark, now_ms()), log.config().file_delete_delay_ms));
        match report {
            Ok(report) if report.segments > 0 => {
                let (id, segments, bytes) = (partition.id(), report.segments, report.bytes);
                info!("{id}: retention deletes {segments} segments, {bytes} bytes ({:?})", report.reason);
                let removal = Removal::Segments(partition.id().clone());
                partitions.removals().add(now_ms().saturating_add(delay_ms), removal);
            }
            Ok(_) => {}
            Err(e) => error!("{}: retention: {e}", partition.id()),
        }
    }
}

fn expire_producers(partitions: &Partitions) {
    for partition in partitions.all() {
        partition.with_log(|log| log.expire_producers(now_ms()));
    }
}

//! What happens by the clock: checkpoints, retention, expiry of producers, flushes that a topic asks for, removal of what
//! was deleted. Each job runs on the blocking pool, one run at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::{error, info};

use super::clock::now_ms;
use super::current_config::CurrentConfig;
use super::partitions::{Checkpoint, Partitions};

/// How often to look for deleted files and folders whose delay is over.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(2);

/// How often to look for partitions that `flush.ms` wants flushed.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Starts every job; they end when the set is dropped.
pub fn start(partitions: &Arc<Partitions>, config: &CurrentConfig) -> JoinSet<()> {
    let config = config.get();
    let mut jobs = JoinSet::new();
    let mut every_if = |interval: Duration, is_due: fn(&Partitions) -> bool, job: fn(&Partitions)| {
        let partitions = partitions.clone();
        jobs.spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                if !is_due(&partitions) {
                    continue;
                }
                let partitions = partitions.clone();
                if let Err(e) = tokio::task::spawn_blocking(move || job(&partitions)).await {
                    error!("a housekeeping job failed: {e}");
                }
            }
        });
    };
    every_if(FLUSH_INTERVAL, Partitions::may_have_old, Partitions::flush_old);
    let mut every = |interval: Duration, job: fn(&Partitions)| every_if(interval, |_| true, job);
    every(config.recovery_point_checkpoint_interval, |partitions| checkpoint(partitions, Checkpoint::RecoveryPoint));
    every(config.log_start_offset_checkpoint_interval, |partitions| checkpoint(partitions, Checkpoint::LogStart));
    every(config.high_watermark_checkpoint_interval, |partitions| checkpoint(partitions, Checkpoint::HighWatermark));
    every(config.log_retention_check_interval, retention);
    every(config.producer_id_expiration_check_interval, expire_producers);
    every(REMOVAL_INTERVAL, remove_deleted);
    jobs
}

fn checkpoint(partitions: &Partitions, what: Checkpoint) {
    if let Err(e) = partitions.checkpoint(what) {
        error!("{e}; after a crash more is recovered than need be");
    }
}

fn retention(partitions: &Partitions) {
    for partition in partitions.all() {
        let high_watermark = partition.high_watermark();
        match partition.with_log(|log| log.delete_old_segments(high_watermark, now_ms())) {
            Ok(report) if report.segments > 0 => {
                let (id, segments, bytes) = (partition.id(), report.segments, report.bytes);
                info!("{id}: retention deletes {segments} segments, {bytes} bytes ({:?})", report.reason);
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

fn remove_deleted(partitions: &Partitions) {
    for partition in partitions.all() {
        let (deletions, disk) = partition.with_log(|log| (log.take_deletions(now_ms()), log.disk().clone()));
        for deletion in deletions {
            if let Err(e) = deletion.run(&*disk) {
                error!("{}: {e}", partition.id());
            }
        }
    }
    partitions.remove_deleted();
}

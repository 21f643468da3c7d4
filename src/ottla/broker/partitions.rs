//! Every partition hosted here, and the log dirs that they lie in.
//!
//! Read by every request, changed by the controller's requests alone. All logs found at the start are here from the
//! beginning, without a role until the controller gives one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ottla_log::partition_metadata::{read_topic_id, write_topic_id, write_topic_id_of_new_log};
use ottla_log::{Log, LogConfig, LogDir, RecoveryReport, StorageError};
use ottla_protocol::ErrorCode;
use ottla_types::{Offset, PartitionIndex, TopicId, TopicName, TopicPartition};
use tracing::{error, warn};

use super::MetadataCache;
use super::clock::now_ms;
use super::flusher::Flusher;
use super::partition::{Partition, Settings};
use super::removals::{Removal, Removals};

/// Logs that are closed at once: what each waits for is a few fsyncs, and those of many share a disk's time.
const CLOSING_THREADS: usize = 16;

/// The registry.
pub struct Partitions {
    hosted: RwLock<BTreeMap<TopicName, BTreeMap<PartitionIndex, Hosted>>>,
    /// The log dirs of partitions that are being made.
    making: Mutex<BTreeMap<TopicPartition, usize>>,
    dirs: Vec<Mutex<LogDir>>,
    removals: Removals,
    cache: Arc<MetadataCache>,
    settings: Settings,
    flusher: Flusher,
}

#[derive(Clone)]
struct Hosted {
    partition: Arc<Partition>,
    /// Index of its log dir.
    dir: usize,
}

/// What the checkpoints of a log dir say of its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// Below it everything is flushed.
    RecoveryPoint,
    /// Where logs start that start inside their first segment.
    LogStart,
    /// How far consumers may read.
    HighWatermark,
}

impl Partitions {
    /// Over log dirs that are open, without a partition yet.
    pub fn new(dirs: Vec<LogDir>, cache: Arc<MetadataCache>, settings: Settings, flusher: Flusher) -> Partitions {
        let dirs = dirs.into_iter().map(Mutex::new).collect();
        let (hosted, making) = (RwLock::default(), Mutex::default());
        Partitions { hosted, making, dirs, removals: Removals::default(), cache, settings, flusher }
    }

    /// Opens every log found in the log dirs, `threads` at a time in each; `config` knows what each topic asks for. Blocks.
    ///
    /// # Errors
    /// A log that cannot be opened: the message names its file.
    pub fn load(
        &self,
        threads: usize,
        config: &(dyn Fn(&TopicName) -> Arc<LogConfig> + Sync),
    ) -> Result<(), StorageError> {
        for (index, dir) in self.dirs.iter().enumerate() {
            let dir = lock(dir);
            for path in dir.deleted_dirs()? {
                self.removals.add(0, Removal::Folder(dir.disk().clone(), path));
            }
            let found = dir.partitions()?;
            if !dir.was_clean() && !found.is_empty() {
                warn!("{} was not stopped cleanly: its logs are recovered", dir.path().display());
            }
            let found = Mutex::new(found.into_iter());
            let load_all = || -> Result<(), StorageError> {
                loop {
                    let Some(id) = found.lock().unwrap_or_else(PoisonError::into_inner).next() else { return Ok(()) };
                    let (log, report) = dir.open_log(&id, config(&id.topic), now_ms())?;
                    tell(&id, &report);
                    let topic_id = read_topic_id(&**dir.disk(), log.dir())?;
                    let high_watermark = dir.high_watermark(&id);
                    self.host(id, topic_id, log, high_watermark, index);
                }
            };
            side_by_side(threads, load_all)?;
        }
        Ok(())
    }

    fn host(
        &self,
        id: TopicPartition,
        topic_id: Option<TopicId>,
        log: Log,
        high_watermark: Option<Offset>,
        dir: usize,
    ) -> Arc<Partition> {
        let flusher = self.flusher.clone();
        let partition = Partition::new(id.clone(), topic_id, log, high_watermark, self.settings, flusher);
        let partition = Arc::new(partition);
        let hosted = Hosted { partition: partition.clone(), dir };
        let mut all = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(id.topic).or_default().insert(id.partition, hosted);
        partition
    }

    fn find(&self, topic: &str, partition: PartitionIndex) -> Option<Arc<Partition>> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        Some(hosted.get(topic)?.get(&partition)?.partition.clone())
    }

    /// A partition, in whatever role.
    pub fn get(&self, id: &TopicPartition) -> Option<Arc<Partition>> {
        self.find(id.topic.as_str(), id.partition)
    }

    /// All of them, in order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.hosted().into_iter().map(|hosted| hosted.partition).collect()
    }

    fn hosted(&self) -> Vec<Hosted> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        hosted.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Until some partition may have something older than its `flush.ms`.
    pub async fn may_have_old(&self) {
        self.flusher.flush_ms_hinted().await;
    }

    /// Asks for a flush of what is older than its `flush.ms`; looks at nothing while no topic has one.
    pub fn flush_old(&self) {
        if self.flusher.take_flush_ms_hint() {
            for partition in self.all() {
                partition.flush_if_older(now_ms());
            }
        }
    }

    /// The partitions of a topic, in order.
    pub fn of_topic(&self, topic: &TopicName) -> Vec<Arc<Partition>> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        hosted.get(topic).into_iter().flat_map(BTreeMap::values).map(|hosted| hosted.partition.clone()).collect()
    }

    /// The topics that have a partition here.
    pub fn topics(&self) -> BTreeSet<TopicName> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        hosted.keys().cloned().collect()
    }

    /// The topics that have a folder in a log dir, before they are loaded. Blocks.
    pub fn topics_on_disk(&self) -> Result<BTreeSet<TopicName>, StorageError> {
        let mut topics = BTreeSet::new();
        for dir in &self.dirs {
            topics.extend(lock(dir).partitions()?.into_iter().map(|id| id.topic));
        }
        Ok(topics)
    }

    /// A partition for a client: one whose topic exists.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER: another broker has it. UNKNOWN_TOPIC_OR_PARTITION: nobody that we know.
    pub fn for_client(&self, topic: &str, partition: PartitionIndex) -> Result<Arc<Partition>, ErrorCode> {
        if let Some(found) = self.find(topic, partition).filter(|found| found.has_role()) {
            return Ok(found);
        }
        match self.cache.snapshot().topics.get(topic) {
            Some(known) if known.partitions.contains_key(&partition) => Err(ErrorCode::NotLeaderOrFollower),
            _ => Err(ErrorCode::UnknownTopicOrPartition),
        }
    }

    /// Makes an empty partition in the log dir that holds the fewest. Blocks.
    pub fn create(
        &self,
        id: &TopicPartition,
        topic_id: Option<TopicId>,
        config: Arc<LogConfig>,
    ) -> Result<Arc<Partition>, StorageError> {
        let index = self.place(id);
        let made = self.make(id, topic_id, config, index);
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let hosted = made.map(|log| self.host(id.clone(), topic_id, log, None, index));
        making.remove(id);
        hosted
    }

    /// The log dir with the fewest partitions, counting those that are being made: they are made side by side.
    fn place(&self, id: &TopicPartition) -> usize {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = vec![0; self.dirs.len()];
        for hosted in self.hosted.read().unwrap_or_else(PoisonError::into_inner).values().flat_map(BTreeMap::values) {
            counts[hosted.dir] += 1;
        }
        for dir in making.values() {
            counts[*dir] += 1;
        }
        let index = (0..counts.len()).min_by_key(|index| counts[*index]).unwrap_or_default();
        making.insert(id.clone(), index);
        index
    }

    fn make(
        &self,
        id: &TopicPartition,
        topic_id: Option<TopicId>,
        config: Arc<LogConfig>,
        index: usize,
    ) -> Result<Log, StorageError> {
        let dir = lock(&self.dirs[index]);
        let is_new = !dir.disk().exists(&dir.partition_path(id));
        let (log, report) = dir.open_log(id, config, now_ms())?;
        tell(id, &report);
        if let Some(topic_id) = topic_id {
            let write = if is_new { write_topic_id_of_new_log } else { write_topic_id };
            write(&**dir.disk(), log.dir(), topic_id)?;
        }
        Ok(log)
    }

    /// Takes a partition away: nobody finds it any more, its folder gets the name of a deleted one and goes after
    /// `file.delete.delay.ms`. Blocks.
    pub fn delete(&self, id: &TopicPartition) -> Result<(), StorageError> {
        let Some(Hosted { partition, dir }) = self.remove(id) else { return Ok(()) };
        partition.drop_role();
        let delay_ms = partition.with_log(|log| {
            // What it has not written yet must not land in the folder of a new topic of that name.
            log.take_offline();
            log.config().file_delete_delay_ms
        });
        let mut dir = lock(&self.dirs[dir]);
        let path = dir.delete_partition(id, &format!("{:032x}", rand::random::<u128>()))?;
        self.removals.add(now_ms().saturating_add(delay_ms), Removal::Folder(dir.disk().clone(), path));
        Ok(())
    }

    fn remove(&self, id: &TopicPartition) -> Option<Hosted> {
        let mut hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        let of_topic = hosted.get_mut(&id.topic)?;
        let removed = of_topic.remove(&id.partition);
        if of_topic.is_empty() {
            hosted.remove(&id.topic);
        }
        removed
    }

    /// What was deleted and waits for its removal.
    pub fn removals(&self) -> &Removals {
        &self.removals
    }

    /// Removes the files and folders whose delay is over. Blocks.
    pub fn remove_deleted(&self) {
        let now_ms = now_ms();
        for removal in self.removals.take_due(now_ms) {
            match removal {
                Removal::Folder(disk, path) => {
                    if let Err(e) = disk.remove_dir(&path) {
                        error!("{e}; it is tried again at the next start");
                    }
                }
                // Of a partition that is gone the whole folder goes.
                Removal::Segments(id) => {
                    if let Some(partition) = self.get(&id) {
                        remove_segments(&partition, now_ms);
                    }
                }
            }
        }
    }

    /// Writes one of the checkpoints of every log dir. Blocks.
    pub fn checkpoint(&self, what: Checkpoint) -> Result<(), StorageError> {
        let mut offsets: Vec<BTreeMap<TopicPartition, Offset>> = vec![BTreeMap::new(); self.dirs.len()];
        // The registry is not held meanwhile: one partition's lock may take long.
        for Hosted { partition, dir } in self.hosted() {
            let offset = match what {
                Checkpoint::RecoveryPoint => Some(partition.with_log(|log| log.recovery_point())),
                Checkpoint::HighWatermark => Some(partition.high_watermark()),
                Checkpoint::LogStart => partition.with_log(|log| log.log_start_to_checkpoint()),
            };
            offsets[dir].extend(offset.map(|offset| (partition.id().clone(), offset)));
        }
        for (dir, offsets) in self.dirs.iter().zip(offsets) {
            let mut dir = lock(dir);
            match what {
                Checkpoint::RecoveryPoint => dir.write_recovery_points(offsets)?,
                Checkpoint::HighWatermark => dir.write_high_watermarks(offsets)?,
                Checkpoint::LogStart => dir.write_log_starts(offsets)?,
            }
        }
        Ok(())
    }

    /// The last act: closes every log, writes the checkpoints and marks the log dirs as cleanly stopped. Blocks.
    ///
    /// # Errors
    /// The disk failed; the log dirs count as not cleanly stopped, and the next start recovers them.
    pub fn close(&self, broker_epoch: i64) -> Result<(), StorageError> {
        let open = Mutex::new(self.all().into_iter());
        side_by_side(CLOSING_THREADS, || {
            loop {
                let Some(partition) = open.lock().unwrap_or_else(PoisonError::into_inner).next() else { return Ok(()) };
                partition.drop_role();
                partition.with_log(|log| log.close())?;
            }
        })?;
        for what in [Checkpoint::RecoveryPoint, Checkpoint::LogStart, Checkpoint::HighWatermark] {
            self.checkpoint(what)?;
        }
        self.dirs.iter().try_for_each(|dir| lock(dir).mark_clean(broker_epoch))
    }
}

fn remove_segments(partition: &Partition, now_ms: i64) {
    let (deletions, disk) = partition.with_log(|log| (log.take_deletions(now_ms), log.disk().clone()));
    for deletion in deletions {
        if let Err(e) = deletion.run(&*disk) {
            error!("{}: {e}", partition.id());
        }
    }
}

/// Runs `work` in as many threads; the first failure.
fn side_by_side(threads: usize, work: impl Fn() -> Result<(), StorageError> + Send + Sync) -> Result<(), StorageError> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(&work)).collect();
        // A panic aborts the process (`main.rs`).
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })
}

fn lock(dir: &Mutex<LogDir>) -> MutexGuard<'_, LogDir> {
    dir.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells an operator what a log's opening took and cost.
fn tell(id: &TopicPartition, report: &RecoveryReport) {
    if report.ends_below_recovery_point {
        error!("{id}: the log ends below what had been flushed: the disk has lost records");
    }
    if let Some(cut) = &report.cut {
        let what = format!(
            "{id}: {} bytes from position {} of {} on are removed ({}); the log ends at offset {}",
            cut.bytes,
            cut.position,
            cut.path.display(),
            cut.reason,
            cut.log_end_offset
        );
        match cut.below_recovery_point {
            true => error!("{what}; they had been flushed: the disk has lost them"),
            false => warn!("recovered {what}"),
        }
    }
}

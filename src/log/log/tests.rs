use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_records::batch::BatchParts;
use ottla_records::builder::{BatchBuilder, BatchFields, end_transaction_batch};
use ottla_records::record::EndTransactionMarker;
use ottla_records::{BatchView, Codec};
use ottla_types::{LeaderEpoch, Offset, TopicId};

use super::{AppendError, Appended, Log};
use crate::config::{CleanupPolicy, LogConfig};
use crate::disk::{Disk, DiskRef, MemoryDisk};
use crate::epoch_cache::EpochEntry;
use crate::partition_metadata::{read_topic_id, write_topic_id_of_new_log};
use crate::producer_state::{AppendOrigin, ProducerError};
use crate::recovery::LogOpening;

const DIR: &str = "/logs/t-0";

fn open_with(disk: &MemoryDisk, config: LogConfig, recovery_point: Offset, clean: bool) -> Log {
    let opening = LogOpening {
        dir: PathBuf::from(DIR),
        config: Arc::new(config),
        recovery_point,
        log_start_offset: 0,
        clean,
        now_ms: 0,
    };
    let disk: DiskRef = Arc::new(disk.clone());
    Log::open(disk, opening).unwrap().0
}

fn log(config: LogConfig) -> (MemoryDisk, Log) {
    let disk = MemoryDisk::new();
    disk.create_dir(Path::new("/logs")).unwrap();
    let log = open_with(&disk, config, 0, false);
    (disk, log)
}

fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 250, ..LogConfig::default() }
}

/// A batch of `count` records of 10 bytes in epoch 0; the timestamp is the offset.
fn batch(base_offset: Offset, count: i64) -> Vec<u8> {
    batch_of(BatchFields { leader_epoch: 0, ..BatchFields::new(base_offset, Codec::None) }, count)
}

fn batch_of(fields: BatchFields, count: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(fields);
    (0..count).for_each(|i| builder.append(fields.base_offset + i, None, Some(b"0123456789"), &[]));
    builder.finish().unwrap()
}

fn transactional(base_offset: Offset, producer_id: i64, base_sequence: i32) -> Vec<u8> {
    let fields = BatchFields::new(base_offset, Codec::None);
    let fields = BatchFields { producer_id, producer_epoch: 0, base_sequence, is_transactional: true, ..fields };
    batch_of(BatchFields { leader_epoch: 0, ..fields }, 1)
}

fn abort(offset: Offset, producer_id: i64, coordinator_epoch: i32) -> Vec<u8> {
    let marker = EndTransactionMarker { committed: false, coordinator_epoch };
    let mut bytes = end_transaction_batch(producer_id, 0, offset, marker).unwrap();
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes
}

fn parts(batch: &[u8]) -> BatchParts<'_> {
    BatchView::parse(batch).unwrap().parts().unwrap()
}

fn append(log: &mut Log, bytes: &[u8]) {
    let appended = log.append(&parts(bytes), AppendOrigin::Coordinator, 0).unwrap();
    assert!(matches!(appended, Appended::Written(_)));
}

#[test]
fn a_leader_appends_only_at_the_end_and_a_follower_only_whole_batches() {
    let (_, mut log) = log(LogConfig { segment_bytes: 1000, ..LogConfig::default() });
    append(&mut log, &batch(0, 3));
    let offset = |found| AppendError::Offset { found, expected: 3 }.to_string();
    for wrong in [2, 4] {
        let error = log.append(&parts(&batch(wrong, 1)), AppendOrigin::Client, 0).unwrap_err();
        assert_eq!(error.to_string(), offset(wrong));
    }
    let cut = &batch(3, 1)[..70];
    assert!(matches!(log.append_as_follower(cut, 0), Err(AppendError::Malformed(_))));
    assert!(matches!(log.append_as_follower(&[], 0), Err(AppendError::Malformed(_))));
    let large = batch(3, 100);
    assert!(matches!(log.append(&parts(&large), AppendOrigin::Client, 0), Err(AppendError::LargerThanSegment { .. })));
    assert!(!log.is_offline(), "refused bytes are no failure of the disk");
    append(&mut log, &batch(3, 1));
    assert_eq!(log.log_end_offset(), 4);
}

#[test]
fn a_follower_keeps_gaps_but_no_step_back() {
    let (disk, mut log) = log(small_segments());
    let mut bytes = batch(5, 2);
    bytes.extend(batch(9, 1));
    log.append_as_follower(&bytes, 0).unwrap();
    assert!(matches!(log.append_as_follower(&batch(9, 1), 0), Err(AppendError::Offset { .. })));
    let mut backwards = batch(12, 1);
    backwards.extend(batch(11, 1));
    assert!(matches!(log.append_as_follower(&backwards, 0), Err(AppendError::Offset { .. })));
    // The next batch does not fit: the new segment begins at the log end, so that recovery sees no gap between files.
    log.append_as_follower(&batch(20, 5), 0).unwrap();
    assert_eq!((log.segment_count(), log.active_base_offset()), (2, 10));
    let mut again = open_with(&disk, small_segments(), 0, false);
    assert_eq!(again.log_end_offset(), 25);
    let read = again.read(12, 1000, 25, true).unwrap();
    assert_eq!(read.range.unwrap().read().unwrap(), batch(20, 5), "the offset lies in a gap");
}

#[test]
fn segments_roll_with_the_time_of_their_messages() {
    let (_, mut log) = log(LogConfig { segment_ms: 100, ..LogConfig::default() });
    append(&mut log, &batch(0, 1));
    append(&mut log, &batch(1, 100));
    assert_eq!(log.segment_count(), 1);
    append(&mut log, &batch(101, 1));
    assert_eq!((log.segment_count(), log.active_base_offset()), (2, 101));
}

#[test]
fn transactions_hold_readers_and_aborted_ones_are_listed() {
    let (disk, mut log) = log(small_segments());
    append(&mut log, &transactional(0, 7, 0));
    append(&mut log, &transactional(1, 8, 0));
    assert_eq!(log.last_stable_offset(2), 0);
    append(&mut log, &abort(2, 7, 1));
    append(&mut log, &transactional(3, 7, 1));
    append(&mut log, &abort(4, 7, 1));
    log.advance_high_watermark(5);
    assert_eq!(log.last_stable_offset(5), 1, "producer 8 is still open");
    let fenced = log.append(&parts(&abort(5, 7, 0)), AppendOrigin::Coordinator, 0).unwrap_err();
    assert!(matches!(fenced, AppendError::Producer(ProducerError::TransactionCoordinatorFenced { .. })));
    append(&mut log, &abort(5, 8, 1));
    let expected = [(0, 2, 1), (3, 4, 1), (1, 5, 6)];
    let listed = |log: &Log, from, to| -> Vec<_> {
        let all = log.aborted_transactions(from, to).unwrap();
        all.iter().map(|t| (t.first_offset, t.last_offset, t.last_stable_offset)).collect()
    };
    assert!(log.segment_count() > 1);
    assert_eq!(listed(&log, 0, 6), expected);
    assert_eq!(listed(&log, 3, 4), expected[1..]);
    let again = open_with(&disk, small_segments(), 0, false);
    assert_eq!(listed(&again, 0, 6), expected, "recovery finds them again");
    log.truncate_to(4, 0).unwrap();
    assert_eq!(listed(&log, 0, 6), expected[..1]);
    assert_eq!(log.last_stable_offset(4), 1);
}

#[test]
fn epochs_come_with_the_batches_and_go_with_truncation() {
    let (disk, mut log) = log(LogConfig::default());
    let epoch = |base, leader_epoch| batch_of(BatchFields { leader_epoch, ..BatchFields::new(base, Codec::None) }, 1);
    for (offset, leader_epoch) in [(0, 0), (1, 2), (2, 2), (3, 5)] {
        append(&mut log, &epoch(offset, leader_epoch));
    }
    let end = |log: &Log, e| log.epochs().end_offset_for(LeaderEpoch(e), log.log_end_offset()).map(|(e, o)| (e.0, o));
    assert_eq!((end(&log, 2), end(&log, 4), end(&log, 5)), (Some((2, 3)), Some((2, 3)), Some((5, 4))));
    log.truncate_to(3, 0).unwrap();
    assert_eq!((end(&log, 2), end(&log, 5)), (Some((2, 3)), None));
    log.assign_epoch(LeaderEpoch(6), 3).unwrap();
    assert_eq!(end(&log, 6), Some((6, 3)), "a new leader has an epoch before it has a record");
    log.close().unwrap();
    let again = open_with(&disk, LogConfig::default(), 3, true);
    assert_eq!(end(&again, 2), Some((2, 3)));
}

#[test]
fn a_sync_that_fails_ends_the_log() {
    let (disk, mut log) = log(LogConfig::default());
    append(&mut log, &batch(0, 1));
    let work = log.flush_begin().unwrap().unwrap();
    disk.set_failing_syncs(true);
    assert!(work.run().is_err());
    log.flush_failed();
    disk.set_failing_syncs(false);
    assert!(log.is_offline() && log.flushed_offset() == 0);
    assert!(log.flush_begin().unwrap().is_none(), "a second sync proves nothing");
    assert!(matches!(log.append(&parts(&batch(1, 1)), AppendOrigin::Client, 0), Err(AppendError::Storage(_))));
}

#[test]
fn an_offline_log_writes_nothing() {
    let (disk, mut log) = log(LogConfig { retention_bytes: Some(0), ..small_segments() });
    for offset in 0..6 {
        append(&mut log, &batch(offset, 1));
    }
    log.flush_begin().unwrap().unwrap().run().unwrap();
    log.flush_done();
    log.take_offline();
    let before = disk.list(Path::new(DIR)).unwrap();
    assert!(log.roll(0).is_err());
    assert!(log.truncate_to(1, 0).is_err());
    assert!(log.truncate_fully_and_start_at(9, 0).is_err());
    assert!(log.delete_old_segments(6, 0).is_err());
    assert!(log.increment_log_start_offset(2).is_err());
    assert!(log.assign_epoch(LeaderEpoch(3), 6).is_err());
    assert!(log.append_as_follower(&batch(6, 1), 0).is_err());
    assert!(log.close().is_err());
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), before);
    assert!(log.read(0, 1000, 6, true).unwrap().range.is_some(), "what was flushed may still be read");
}

#[test]
fn a_finished_compaction_is_put_in_place_and_an_unfinished_one_dropped() {
    let path = |name: &str| Path::new(DIR).join(name);
    let compact = || LogConfig { cleanup_policy: CleanupPolicy { delete: false, compact: true }, ..small_segments() };
    for finished in [true, false] {
        let (disk, mut log) = log(compact());
        for offset in 0..6 {
            append(&mut log, &batch(offset * 2, 2));
        }
        let bases: Vec<Offset> = log.segments.iter().map(|s| s.base_offset).collect();
        assert_eq!(bases, [0, 4, 8]);
        log.close().unwrap();
        // Segments 0 and 4 were made one, without their first records.
        let mut cleaned = batch(2, 2);
        cleaned.extend(batch(6, 2));
        disk.create(&path("00000000000000000000.log.swap")).unwrap().write_all_at(&cleaned, 0).unwrap();
        disk.create(&path("00000000000000000000.timeindex.swap")).unwrap();
        if !finished {
            disk.create(&path("00000000000000000000.log.cleaned")).unwrap();
        }
        disk.create(&path("00000000000000000099.index.deleted")).unwrap();
        let mut log = open_with(&disk, compact(), 12, true);
        let first = log.read(0, 10, 12, true).unwrap().range.unwrap().read().unwrap();
        assert_eq!(first, if finished { batch(2, 2) } else { batch(0, 2) });
        assert_eq!((log.segment_count(), log.log_end_offset()), (if finished { 2 } else { 3 }, 12));
        let names = disk.list(Path::new(DIR)).unwrap();
        assert!(
            names.iter().all(|e| !e.name.contains("swap") && !e.name.contains("cleaned") && !e.name.contains("del"))
        );
    }
}

#[test]
fn old_list_offsets_counts_segments_back_from_the_end() {
    let (_, mut log) = log(small_segments());
    for offset in 0..6 {
        append(&mut log, &batch(offset * 2, 2));
    }
    let before = |time, max, bound| log.segment_offsets_before(time, max, bound, 1000).unwrap();
    assert_eq!(before(-1, 9, 12), [12, 8, 4, 0]);
    assert_eq!(before(-1, 1, 12), [12]);
    assert_eq!(before(-2, 9, 12), [0]);
    assert_eq!(before(-1, 9, 7), [7, 4, 0], "what the asker may not see counts as its bound");
    assert_eq!(before(5, 9, 12), [8, 4, 0], "the files are from time 0, the end is from now");
    assert_eq!(before(1000, 2, 12), [12, 8]);
}

#[test]
fn retention_renames_first_and_removes_later() {
    let config = || LogConfig { retention_bytes: Some(0), file_delete_delay_ms: 50, ..small_segments() };
    let (disk, mut log) = log(config());
    for offset in 0..6 {
        append(&mut log, &batch(offset * 2, 2));
    }
    let reader = log.read(0, 1000, 12, true).unwrap().range.unwrap();
    assert_eq!(log.delete_old_segments(12, 0).unwrap().segments, 0, "nothing is flushed");
    log.flush_begin().unwrap().unwrap().run().unwrap();
    log.flush_done();
    assert_eq!(log.delete_old_segments(9, 0).unwrap().segments, 2, "up to the high watermark");
    assert_eq!(log.log_start_offset(), 8);
    assert_eq!(log.delete_old_segments(12, 0).unwrap().segments, 1, "the active one too");
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.size()), (12, 12, 0));
    assert_eq!(reader.read().unwrap().len() as u32, reader.len, "a reader that has begun goes on");
    assert!(log.take_deletions(49).is_empty());
    for deletion in log.take_deletions(50) {
        assert!(deletion.paths.iter().all(|p| disk.exists(p)));
        deletion.run(&disk).unwrap();
    }
    assert!(disk.list(Path::new(DIR)).unwrap().iter().all(|e| !e.name.ends_with(".deleted")));
    append(&mut log, &batch(12, 1));
}

#[test]
fn what_a_new_log_is_made_of_is_durable_before_its_first_record() {
    let topic_id = TopicId::parse("wLkD1NTkTS2R0-3xrHPaoQ").unwrap();
    for seed in 0..200 {
        let (disk, mut log) = log(small_segments());
        disk.set_failing_syncs(true);
        write_topic_id_of_new_log(&disk, Path::new(DIR), topic_id).unwrap();
        log.assign_epoch(LeaderEpoch(0), 0).unwrap();
        for offset in 0..6 {
            append(&mut log, &batch(offset, 1));
        }
        disk.set_failing_syncs(false);
        if seed % 2 == 0 {
            log.flush_begin().unwrap().unwrap().run().unwrap();
            log.flush_done();
        }
        let (flushed, last) = (log.flushed_offset(), log.active_base_offset());
        drop(log);
        disk.crash(seed);
        // The recovery reads but the last segments, which do not tell where the epoch began.
        let log = open_with(&disk, small_segments(), flushed, false);
        let epochs = log.epochs().entries();
        if flushed > 0 {
            assert!(last > 0);
            assert_eq!(epochs, [EpochEntry { epoch: LeaderEpoch(0), start_offset: 0 }], "seed {seed}");
            assert_eq!(read_topic_id(&disk, Path::new(DIR)).unwrap(), Some(topic_id), "seed {seed}");
        } else {
            assert!(!epochs.is_empty() || log.log_end_offset() == 0, "seed {seed}");
        }
    }
}

#[test]
fn a_log_that_was_not_touched_is_closed_without_a_sync() {
    let (disk, mut log) = log(small_segments());
    for offset in 0..6 {
        append(&mut log, &batch(offset, 1));
    }
    log.close().unwrap();
    let open = || open_with(&disk, small_segments(), 6, true);
    disk.set_failing_syncs(true);
    open().close().unwrap();
    let changes: [fn(&mut Log); 2] = [|log| append(log, &batch(6, 1)), |log| log.roll(0).unwrap()];
    for change in changes {
        let mut log = open();
        change(&mut log);
        assert!(log.close().is_err(), "what changed is synced");
    }
    let mut log = open();
    assert!(log.assign_epoch(LeaderEpoch(1), 6).is_err() && log.is_offline());
}

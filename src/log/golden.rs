//! Folders that Kafka 0.8.2.2, 0.10.2.2 and 3.9.1 wrote, opened here; and what we write of the same batches, byte by byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_records::batches;
use ottla_records::open::OpenBatch;
use ottla_types::{BrokerId, Offset, TopicName, TopicPartition};

use crate::config::{CleanupPolicy, LogConfig};
use crate::disk::{DiskRef, FileDisk};
use crate::epoch_cache::EPOCH_CHECKPOINT_FILE;
use crate::log::{Log, OffsetQuery};
use crate::log_dir::LogDir;
use crate::producer_snapshot;
use crate::producer_state::ProducerEntry;
use crate::recovery::RecoveryReport;

/// Shortly after the last record, so that no producer has expired; some are from 1,700,000,000,000.
const NOW_MS: i64 = 1_700_000_100_000;

/// A copy of the folder of one version, which Kafka left cleanly.
struct Golden {
    dir: tempfile::TempDir,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => fs::write(to.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap(),
        }
    }
}

fn testdata(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(version)
}

impl Golden {
    fn new(version: &str) -> Golden {
        let dir = tempfile::tempdir().unwrap();
        copy(&testdata(version), dir.path());
        fs::remove_file(dir.path().join("records.jsonl")).unwrap();
        Golden { dir }
    }

    fn open(&self) -> LogDir {
        let disk: DiskRef = Arc::new(FileDisk);
        LogDir::open(disk, self.dir.path()).unwrap()
    }

    /// As if Kafka had been killed before it flushed or checkpointed anything.
    fn forget_the_clean_stop(&self) {
        for name in [".kafka_cleanshutdown", "recovery-point-offset-checkpoint"] {
            fs::remove_file(self.dir.path().join(name)).unwrap();
        }
        for partition in fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
            for file in fs::read_dir(partition).unwrap().map(|e| e.unwrap().path()) {
                let extension = file.extension().unwrap_or_default().to_str().unwrap();
                if ["index", "timeindex", "txnindex", "snapshot"].contains(&extension) {
                    fs::write(&file, [0; 1200]).unwrap();
                }
                if file.ends_with("leader-epoch-checkpoint") {
                    fs::remove_file(&file).unwrap();
                }
            }
        }
    }
}

fn config(partition: &TopicPartition) -> Arc<LogConfig> {
    let compact = ["compacted", "__consumer_offsets", "__transaction_state"].contains(&partition.topic.as_str());
    Arc::new(LogConfig {
        index_interval_bytes: 64,
        cleanup_policy: CleanupPolicy { compact, delete: !compact },
        ..LogConfig::default()
    })
}

fn end_offsets(version: &str) -> BTreeMap<TopicPartition, Offset> {
    let checkpoint = testdata(version).join("recovery-point-offset-checkpoint");
    crate::checkpoint::read_offsets(&FileDisk, &checkpoint).unwrap()
}

fn partition(topic: &str) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), 0)
}

type Row = (Offset, Option<String>, Option<String>);

/// Enough of a value to tell it from the others.
fn start(value: &[u8]) -> &[u8] {
    &value[..value.len().min(20)]
}

fn hex(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|b| b.iter().map(|b| format!("{b:02x}")).collect())
}

/// All user records from the log's start, read in pieces of at most `max_bytes`.
fn read_all(log: &mut Log, max_bytes: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let read = log.read(offset, max_bytes, log.log_end_offset(), true).unwrap();
        let Some(range) = read.range else { break };
        let bytes = range.read().unwrap();
        let mut whole = 0;
        for batch in batches(&bytes) {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            whole += 1;
            if !batch.is_control() {
                let open = OpenBatch::open(&batch, 1 << 20).unwrap();
                let records = open.records().map(Result::unwrap).filter(|r| r.offset >= offset);
                rows.extend(records.map(|r| (r.offset, hex(r.key), hex(r.value.map(start)))));
            }
        }
        assert!(bytes.len() <= max_bytes as usize || whole == 1);
        assert!(read.next_offset > offset);
        offset = read.next_offset;
    }
    rows
}

fn expected_rows(version: &str) -> BTreeMap<String, Vec<Row>> {
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for line in fs::read_to_string(testdata(version).join("records.jsonl")).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| row[key].as_str().map(String::from);
        let entry = rows.entry(text("topic").unwrap()).or_default();
        entry.push((row["offset"].as_i64().unwrap(), text("key"), text("value").map(|v| v.chars().take(40).collect())));
    }
    rows
}

#[test]
fn clean_folders_of_every_format_are_believed() {
    for version in ["v0", "v1", "v2"] {
        let golden = Golden::new(version);
        let dir = golden.open();
        assert!(dir.was_clean(), "{version}");
        dir.check_identity(Some(BrokerId(1)), None).unwrap();
        let (ends, mut rows) = (end_offsets(version), expected_rows(version));
        assert_eq!(dir.partitions().unwrap(), ends.keys().cloned().collect::<Vec<_>>());
        for (partition, end) in &ends {
            let (mut log, report) = dir.open_log(partition, config(partition), NOW_MS).unwrap();
            // 0.8 had no time index.
            let rebuilt_indexes = usize::from(version == "v0");
            assert_eq!(
                report,
                RecoveryReport { rebuilt_indexes, ..RecoveryReport::default() },
                "{version} {partition}"
            );
            assert_eq!((log.log_end_offset(), log.recovery_point()), (*end, *end), "{version} {partition}");
            let rows = rows.remove(partition.topic.as_str()).unwrap();
            for max_bytes in [1, 100, 300, 1 << 20] {
                assert_eq!(read_all(&mut log, max_bytes), rows, "{version} {partition} {max_bytes}");
            }
        }
        assert!(rows.is_empty(), "{version}: not in the checkpoint");
    }
}

#[test]
fn the_log_start_inside_a_segment_is_kept() {
    let golden = Golden::new("v2");
    let dir = golden.open();
    let (mut log, _) = dir.open_log(&partition("segments"), config(&partition("segments")), NOW_MS).unwrap();
    assert_eq!(log.log_start_offset(), 5);
    assert!(log.read(4, 1000, 13, true).is_err());
    let (log, _) = dir.open_log(&partition("transactions"), config(&partition("transactions")), NOW_MS).unwrap();
    assert_eq!(log.last_stable_offset(17), 16, "one transaction is open");
    let aborted = log.aborted_transactions(0, 17).unwrap();
    assert_eq!(aborted.iter().map(|t| (t.first_offset, t.last_offset)).collect::<Vec<_>>(), [(4, 7), (8, 12)]);
}

/// Index, snapshot and epoch files of a partition; the snapshot for the log's end alone.
fn derived_files(dir: &Path, end: Offset) -> BTreeMap<String, Vec<u8>> {
    let snapshot = producer_snapshot::file_name(end);
    let files = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name == snapshot || !name.ends_with(".snapshot") && name != "partition.metadata"
    });
    files.map(|p| (p.file_name().unwrap().to_str().unwrap().to_string(), fs::read(&p).unwrap())).collect()
}

/// A leader epoch file without the epochs that begin at or behind `end`.
fn with_records_below(end: Offset, bytes: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap();
    let starts_below = |line: &&str| line.split(' ').next_back().unwrap().parse::<Offset>().unwrap() < end;
    let lines: Vec<&str> = text.lines().skip(2).filter(starts_below).collect();
    format!("0\n{}\n{}\n", lines.len(), lines.join("\n")).into_bytes()
}

fn decoded(snapshot: &[u8]) -> BTreeMap<i64, ProducerEntry> {
    producer_snapshot::decode(snapshot).unwrap().entries().map(|(id, entry)| (*id, *entry)).collect()
}

#[test]
fn recovery_makes_the_same_files_anew() {
    for version in ["v0", "v1", "v2"] {
        let golden = Golden::new(version);
        golden.forget_the_clean_stop();
        let dir = golden.open();
        let mut rows = expected_rows(version);
        for (partition, end) in &end_offsets(version) {
            let (mut log, report) = dir.open_log(partition, config(partition), NOW_MS).unwrap();
            assert!(report.recovered_segments > 0 && report.cut.is_none(), "{version} {partition}: {report:?}");
            assert_eq!(log.log_end_offset(), *end, "{version} {partition}");
            let expected = rows.remove(partition.topic.as_str()).unwrap();
            assert_eq!(read_all(&mut log, 300), expected, "{version} {partition}");
            log.close().unwrap();
            // The old formats' indexes held first offsets, the cleaner writes entries by its own buffers, and of a
            // cleaned log the epochs of vanished records are known to the file alone.
            if version == "v2" && partition.topic.as_str() != "compacted" {
                let name = partition.to_string();
                let (ours, kafkas) = (golden.dir.path().join(&name), testdata(version).join(&name));
                let (ours, kafkas) = (derived_files(&ours, *end), derived_files(&kafkas, *end));
                for (file, bytes) in &kafkas {
                    // Epochs that no record has are known to the file alone.
                    let bytes = match file.as_str() {
                        EPOCH_CHECKPOINT_FILE => &with_records_below(*end, bytes),
                        _ => bytes,
                    };
                    let ours = &ours[file];
                    if file.ends_with(".snapshot") {
                        // Kafka's clock had let the idle ones expire, ours stands still.
                        let ours: BTreeMap<_, _> = decoded(ours);
                        assert!(decoded(bytes).iter().all(|(id, entry)| ours[id] == *entry), "{partition} {file}");
                        continue;
                    }
                    let entry = if file.ends_with(".timeindex") { 12 } else { 8 };
                    if file.ends_with("index") && !file.ends_with(".txnindex") && ours.len() == bytes.len() + entry {
                        // Kafka was restarted here twice, and counts the bytes to the next entry from 0 then.
                        let mut kafkas = bytes.chunks(entry).peekable();
                        let more = ours.chunks(entry).filter(|e| kafkas.next_if_eq(e).is_none()).count();
                        assert_eq!((more, kafkas.next()), (1, None), "{partition} {file}");
                        continue;
                    }
                    assert_eq!(ours, bytes, "{partition} {file}");
                }
                assert_eq!(ours.len(), kafkas.len(), "{partition}");
            }
        }
    }
}

#[test]
fn truncation_inside_a_compressed_message_takes_all_of_it() {
    let golden = Golden::new("v1");
    let dir = golden.open();
    // Messages of 1, 4, 3 and 12 records, the wrappers at offsets 0, 4, 7 and 19.
    for (to, end) in [(19, 8), (8, 8), (6, 5), (5, 5)] {
        let (mut log, _) = dir.open_log(&partition("gzip"), config(&partition("gzip")), NOW_MS).unwrap();
        log.truncate_to(to, NOW_MS).unwrap();
        assert_eq!(log.log_end_offset(), end, "truncated to {to}");
        assert_eq!(read_all(&mut log, 1 << 20).len() as Offset, end);
    }
}

#[test]
fn a_damaged_byte_cuts_there_and_no_later() {
    let golden = Golden::new("v2");
    golden.forget_the_clean_stop();
    let path = golden.dir.path().join("gzip-0/00000000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    let batch_starts: Vec<usize> = {
        let mut walk = batches(&bytes);
        std::iter::from_fn(|| Some((walk.position(), walk.next()?)).map(|(p, _)| p)).collect()
    };
    let last = *batch_starts.last().unwrap();
    bytes[last + 70] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let dir = golden.open();
    let (log, report) = dir.open_log(&partition("gzip"), config(&partition("gzip")), NOW_MS).unwrap();
    let cut = report.cut.unwrap();
    assert_eq!((cut.position, cut.bytes), (last as u64, (bytes.len() - last) as u64));
    assert!(cut.reason.contains("checksum") && !cut.below_recovery_point, "{cut:?}");
    assert_eq!(cut.log_end_offset, log.log_end_offset());
    assert_eq!(fs::metadata(&path).unwrap().len(), last as u64);
}

#[test]
fn offsets_by_time() {
    let golden = Golden::new("v2");
    let dir = golden.open();
    let (log, _) = dir.open_log(&partition("gzip"), config(&partition("gzip")), NOW_MS).unwrap();
    let rows: Vec<(i64, i64)> = fs::read_to_string(testdata("v2").join("records.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|row| row["topic"] == "gzip")
        .map(|row| (row["offset"].as_i64().unwrap(), row["timestamp"].as_i64().unwrap()))
        .collect();
    let times: Vec<i64> = rows.iter().flat_map(|(_, t)| [t - 1, *t, t + 1]).collect();
    for time in times {
        let expected = rows.iter().find(|(_, t)| *t >= time).map(|(offset, t)| (*offset, *t));
        let found = log.offset_for_timestamp(OffsetQuery::AtOrAfter(time), log.log_end_offset()).unwrap();
        assert_eq!(found.map(|f| (f.offset, f.timestamp)), expected, "{time}");
    }
    let largest = rows.iter().map(|r| r.1).max().unwrap();
    let first_of_largest = rows.iter().find(|r| r.1 == largest).copied();
    let found = log.offset_for_timestamp(OffsetQuery::MaxTimestamp, 20).unwrap();
    assert_eq!(found.map(|f| (f.offset, f.timestamp)), first_of_largest);
    let latest = log.offset_for_timestamp(OffsetQuery::Latest, 20).unwrap().unwrap();
    assert_eq!((latest.offset, latest.timestamp, latest.leader_epoch.unwrap().0), (20, -1, 0));
}

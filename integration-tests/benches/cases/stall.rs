//! The longest that any request waits in five minutes at half load, while something else writes as much as the disk takes
//! and the page cache is full of what is not yet on it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::latency::{BATCHED, Rate, UNBATCHED};
use super::produce::PARTITIONS;
use super::{BROKERS, Case, Figures, Metric, Row, When};
use crate::bench::Bench;
use crate::failure::{During, Failure};
use crate::load::rate::{self, RateOptions};
use crate::peer::System;
use crate::target::{Limit, Target};

/// How long.
const DURATION: Duration = Duration::from_secs(300);
/// How long the loads run before they count: whoever was just started has to find its pace.
const WARM_UP: Duration = Duration::from_secs(20);
/// Twice both loads of the latency cases at one time: with its clients Kafka needs about one of two processors for them.
const LOADS: [Rate; 2] =
    [Rate { per_second: 10_000.0, ..UNBATCHED }, Rate { per_second: 2.0 * BATCHED.per_second, ..BATCHED }];
/// What is kept of the topic: its files are deleted under the load, as in any topic that has reached its limit.
const SHORT_LIVED: &[(&str, &str)] = &[("segment.bytes", "134217728"), ("retention.bytes", "268435456")];
/// Bytes a second that are written beside the broker.
const DIRT_PER_SECOND: u64 = 200_000_000;
/// Size of the file into which they go, again and again.
const DIRT: u64 = 4 << 30;
/// The longest wait of a request with one record.
const UNBATCHED_MAX: Metric = "ms max, one record";
/// The longest wait of a request with a batch.
const BATCHED_MAX: Metric = "ms max, 64 KiB";

/// The longest waits of single records and of batches in the same partitions.
pub(super) fn cases() -> Vec<Case> {
    let target = Target::AtMost(Limit::Kafka(0.25));
    vec![Case {
        name: "stall",
        what: "longest wait in 5 minutes of 10,000 records/s and 100 MB/s in batches, 200 MB/s written beside it"
            .into(),
        when: When::AfterTurns,
        systems: BROKERS,
        takes: (DURATION + WARM_UP + Duration::from_secs(10)) * 2,
        only_in_full: true,
        disk_bytes: DIRT + 12_000_000_000,
        rows: vec![Row::new(UNBATCHED_MAX, target), Row::new(BATCHED_MAX, target)],
        measure: Box::new(measure),
    }]
}

fn measure(bench: &mut Bench, system: System) -> Result<Figures, Failure> {
    let (duration, warm_up, size) = (bench.duration(DURATION), bench.duration(WARM_UP), bench.bytes(DIRT));
    bench.settle()?;
    let ring = bench.folder.join("dirt");
    let maxima = bench.with_topic(system, (PARTITIONS, SHORT_LIVED), |peer, topic| {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let dirt = scope.spawn(|| write_dirt(&ring, size, &is_over));
            let loads = LOADS.map(|load| {
                let options = RateOptions { warm_up, ..load.on(&peer.bootstrap, topic, PARTITIONS, duration) };
                scope.spawn(move || rate::run(&options))
            });
            let done = loads.map(|load| load.join().expect("a load does not panic"));
            is_over.store(true, Ordering::Relaxed);
            dirt.join().expect("the writer does not panic").during("writing beside the broker")?;
            let [unbatched, batched] = done;
            let ms = |latencies: rate::Latencies| latencies.histogram.max() as f64 / 1e3;
            let unbatched = unbatched.during("sending single records")?;
            let batched = batched.during("sending batches")?;
            Ok(vec![(UNBATCHED_MAX, ms(unbatched)), (BATCHED_MAX, ms(batched))])
        })
    });
    std::fs::remove_file(ring)?;
    maxima
}

/// Overwrites a file of that size in a circle at the rate, or as fast as the disk lets it, until it is over.
fn write_dirt(path: &Path, size: u64, is_over: &AtomicBool) -> io::Result<()> {
    const BLOCK: u64 = 1 << 20;
    let block = vec![b'd'; BLOCK as usize];
    let mut file = File::create(path)?;
    let start = Instant::now();
    let mut written = 0;
    while !is_over.load(Ordering::Relaxed) {
        if written % size < BLOCK {
            file.seek(SeekFrom::Start(0))?;
        }
        file.write_all(&block)?;
        written += BLOCK;
        let due = Duration::from_secs_f64(written as f64 / DIRT_PER_SECOND as f64);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that grew would fill the disk in the end.
    #[test]
    fn the_file_beside_the_broker_stays_small() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("dirt");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| write_dirt(&path, 4 << 20, &is_over).unwrap());
            std::thread::sleep(Duration::from_millis(100));
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4 << 20);
    }
}

use ottla_records::open::OpenBatch;
use ottla_records::{BatchHeader, BatchView};
use ottla_types::{LeaderEpoch, Offset};

use crate::disk::StorageError;
use crate::log::Log;
use crate::scan::HeaderScan;
use crate::segment::Segment;

/// Bytes that one stored batch may open to. It was accepted by a leader under that leader's own limit, so this one only
/// keeps a damaged batch from taking all memory.
const DECOMPRESSED_LIMIT: usize = 1 << 30;

/// What ListOffsets asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetQuery {
    /// -1: the end, as far as the asker may see.
    Latest,
    /// -2: the log's start.
    Earliest,
    /// -3: the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// -4: the start of what lies on this disk (KIP-405); without tiered storage the log's start.
    EarliestLocal,
    /// The first record at or after this time, in ms since 1970.
    AtOrAfter(i64),
}

impl OffsetQuery {
    /// From the wire's timestamp; `None` for negative ones without a meaning here.
    pub fn from_wire(timestamp: i64) -> Option<OffsetQuery> {
        Some(match timestamp {
            -1 => OffsetQuery::Latest,
            -2 => OffsetQuery::Earliest,
            -3 => OffsetQuery::MaxTimestamp,
            -4 => OffsetQuery::EarliestLocal,
            0.. => OffsetQuery::AtOrAfter(timestamp),
            _ => return None,
        })
    }
}

/// An answer of ListOffsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp; -1 for the ends of the log.
    pub timestamp: i64,
    /// Its leader epoch.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl Log {
    /// Answers ListOffsets; `upper_bound` is what the asker may see (high watermark, last stable offset, log end for
    /// replicas). `None`: no such record below it.
    pub fn offset_for_timestamp(
        &self,
        query: OffsetQuery,
        upper_bound: Offset,
    ) -> Result<Option<ListedOffset>, StorageError> {
        let found = match query {
            OffsetQuery::Latest => {
                let leader_epoch = self.epochs.latest().map(|e| e.epoch);
                Some(ListedOffset { offset: upper_bound.min(self.log_end_offset), timestamp: -1, leader_epoch })
            }
            OffsetQuery::Earliest | OffsetQuery::EarliestLocal => {
                let leader_epoch = self.epochs.epoch_at(self.log_start_offset);
                Some(ListedOffset { offset: self.log_start_offset, timestamp: -1, leader_epoch })
            }
            OffsetQuery::MaxTimestamp => self.max_timestamp()?,
            OffsetQuery::AtOrAfter(timestamp) => self.first_at_or_after(timestamp)?,
        };
        let ends = matches!(query, OffsetQuery::Latest | OffsetQuery::Earliest | OffsetQuery::EarliestLocal);
        Ok(found.filter(|listed| ends || listed.offset < upper_bound))
    }

    fn max_timestamp(&self) -> Result<Option<ListedOffset>, StorageError> {
        // Of equal timestamps the first counts.
        let segments = self.segments.iter().filter(|s| s.size > 0 && s.largest.timestamp >= 0);
        let largest = segments.reduce(|a, b| if b.largest.timestamp > a.largest.timestamp { b } else { a });
        match largest {
            Some(segment) => self.first_at_or_after(segment.largest.timestamp),
            None => Ok(None),
        }
    }

    fn first_at_or_after(&self, timestamp: i64) -> Result<Option<ListedOffset>, StorageError> {
        let disk = &*self.disk;
        for segment in self.segments.iter().filter(|s| s.largest.timestamp >= timestamp) {
            // Everything up to the offset of the last entry below the target is below it too.
            let below = match u64::try_from(timestamp.saturating_sub(1)) {
                Ok(wanted) => segment.times.last_at_most(disk, wanted, |e| u64::try_from(e.timestamp).unwrap_or(0))?,
                Err(_) => None,
            };
            let from = below.map_or(segment.base_offset, |e| e.offset).max(self.log_start_offset);
            let near = segment.last_entry(disk, from)?;
            let start = near.map_or(0, |e| u64::from(e.position));
            let mut scan = HeaderScan::new(&**segment.file(disk)?, start, segment.size);
            while let Some((position, header)) = scan.next().map_err(|e| e.into_storage(segment.path()))? {
                if header.max_timestamp < timestamp || header.last_offset() < from {
                    continue;
                }
                if let Some((offset, found)) = self.record_in_batch(segment, position, &header, timestamp)? {
                    let leader_epoch = Some(LeaderEpoch(header.leader_epoch)).filter(|e| e.0 >= 0);
                    return Ok(Some(ListedOffset { offset, timestamp: found, leader_epoch }));
                }
            }
        }
        Ok(None)
    }

    /// The first record at or after `timestamp` in a batch, that is not below the log's start.
    pub(super) fn record_in_batch(
        &self,
        segment: &Segment,
        position: u64,
        header: &BatchHeader,
        timestamp: i64,
    ) -> Result<Option<(Offset, i64)>, StorageError> {
        let malformed = |e: String| StorageError::malformed(segment.path(), format!("position {position}: {e}"));
        let mut bytes = vec![0; header.size()];
        let read = segment.file(&*self.disk)?.read_full_at(&mut bytes, position);
        let read = read.map_err(StorageError::of("read", segment.path()))?;
        let batch = BatchView::parse(&bytes[..read]).map_err(|e| malformed(e.to_string()))?;
        let open = OpenBatch::open(&batch, DECOMPRESSED_LIMIT).map_err(|e| malformed(e.to_string()))?;
        for record in open.records() {
            let record = record.map_err(|e| malformed(e.to_string()))?;
            if record.timestamp >= timestamp && record.offset >= self.log_start_offset {
                return Ok(Some((record.offset, record.timestamp)));
            }
        }
        Ok(None)
    }

    /// ListOffsets v0: at most `max` offsets where segments begin, newest first, counted back from the newest segment last
    /// written at or before `time`; the log's end counts as a segment written now. -1 counts back from the end, -2
    /// is the start alone (`UnifiedLog.legacyFetchOffsetsBefore`).
    pub fn segment_offsets_before(
        &self,
        time: i64,
        max: usize,
        upper_bound: Offset,
        now_ms: i64,
    ) -> Result<Vec<Offset>, StorageError> {
        let mut places = Vec::with_capacity(self.segments.len() + 1);
        for segment in &self.segments {
            let written = if time < 0 { 0 } else { self.disk.modified_ms(segment.path())? };
            places.push((segment.base_offset.max(self.log_start_offset), written));
        }
        if self.active().size > 0 {
            places.push((self.log_end_offset, now_ms));
        }
        let count = match time {
            -1 => places.len(),
            -2 => 1,
            _ => places.iter().rposition(|(_, written)| *written <= time).map_or(0, |index| index + 1),
        };
        let newest_first = places[..count].iter().rev().map(|(offset, _)| *offset);
        let mut offsets: Vec<Offset> = newest_first.take(max).collect();
        let hidden = offsets.iter().take_while(|offset| **offset > upper_bound).count();
        if hidden > 0 {
            offsets.splice(..hidden, [upper_bound]);
        }
        Ok(offsets)
    }
}

use std::collections::VecDeque;
use std::io;

use ottla_records::BatchHeader;
use ottla_types::Offset;

use crate::disk::{FileRef, StorageError};
use crate::log::Log;
use crate::txn_index::AbortedTxn;

/// Bytes of a file: whole batches, to be sent or read after the log's lock is released. Truncation may cut the file
/// under a reader, which then finds fewer bytes; deletion does not, the open file stays.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The segment's file.
    pub file: FileRef,
    /// Where the range begins.
    pub position: u64,
    /// Bytes.
    pub len: u32,
}

impl FileRange {
    /// Reads the range; fewer bytes if the file was cut meanwhile.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.read_into(&mut bytes)?.len();
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Reads the range into `buffer`, which grows if it must; fewer bytes if the file was cut meanwhile.
    pub fn read_into<'b>(&self, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let len = self.len as usize;
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let read = self.file.read_full_at(&mut buffer[..len], self.position)?;
        Ok(&buffer[..read])
    }
}

/// What a read found.
#[derive(Debug, Clone)]
pub struct Read {
    /// Whole batches of one segment; the first holds the offset asked for, or is the next behind a gap. `None`: nothing
    /// below the bound, or nothing that fits.
    pub range: Option<FileRange>,
    /// The offset to read next.
    pub next_offset: Offset,
    /// Base offset of the segment that was read.
    pub segment_base_offset: Offset,
}

/// The offset lies outside the log (OFFSET_OUT_OF_RANGE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("offset {offset} is outside {log_start_offset}..{log_end_offset}")]
pub struct OffsetOutOfRange {
    /// What was asked for.
    pub offset: Offset,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// Where it ends.
    pub log_end_offset: Offset,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset lies outside the log.
    #[error(transparent)]
    OutOfRange(#[from] OffsetOutOfRange),
    /// The disk failed, or what it holds are no batches.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Batches remembered: enough for consumers that are a little behind, and for a high watermark that trails the end.
const TAIL: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Place {
    base_offset: Offset,
    last_offset: Offset,
    position: u64,
}

/// Where the last batches of the active segment begin: readers at the tail need no index and no scan.
#[derive(Debug, Default)]
pub(super) struct Tail {
    places: VecDeque<Place>,
}

impl Tail {
    pub(super) fn push(&mut self, header: &BatchHeader, position: u64) {
        if self.places.len() == TAIL {
            self.places.pop_front();
        }
        let (base_offset, last_offset) = (header.base_offset, header.last_offset());
        self.places.push_back(Place { base_offset, last_offset, position });
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
    }

    /// Position of the batch that holds `offset`, or the next behind it; `None` if it is not among the last ones.
    fn position_of(&self, offset: Offset) -> Option<u64> {
        let oldest = self.places.front()?;
        if offset < oldest.base_offset {
            return None;
        }
        let index = self.places.partition_point(|p| p.last_offset < offset);
        self.places.get(index).map(|p| p.position)
    }
}

/// Where the last reads ended: a reader that catches up goes on from there without a look into the index.
#[derive(Debug, Default)]
pub(super) struct Hints {
    places: [Option<(Offset, Offset, u64)>; 8],
    next: usize,
}

impl Hints {
    fn push(&mut self, offset: Offset, segment: Offset, position: u64) {
        self.places[self.next] = Some((offset, segment, position));
        self.next = (self.next + 1) % self.places.len();
    }

    fn position_of(&self, offset: Offset, segment: Offset) -> Option<u64> {
        let found = self.places.iter().flatten().find(|(o, s, _)| (*o, *s) == (offset, segment));
        found.map(|(_, _, position)| *position)
    }

    pub(super) fn clear(&mut self) {
        *self = Hints::default();
    }
}

/// A read whose first batch is found.
struct Wish {
    offset: Offset,
    /// Position of the first batch.
    start: u64,
    max_bytes: u32,
    bound: Offset,
    min_one: bool,
}

impl Log {
    /// Finds the batches from the one that holds `offset` on, at most `max_bytes` of them and none with an offset at or
    /// above `upper_bound` (high watermark, last stable offset or log end). With `min_one` the first batch is given
    /// whole even if it alone is larger than `max_bytes`. The data itself is not read; the answer is of one segment.
    pub fn read(
        &mut self,
        offset: Offset,
        max_bytes: u32,
        upper_bound: Offset,
        min_one: bool,
    ) -> Result<Read, ReadError> {
        let (log_start_offset, log_end_offset) = (self.log_start_offset, self.log_end_offset);
        if offset < log_start_offset || offset > log_end_offset {
            return Err(OffsetOutOfRange { offset, log_start_offset, log_end_offset }.into());
        }
        let bound = upper_bound.min(log_end_offset);
        let mut index = self.segment_index(offset);
        while offset < bound && index < self.segments.len() {
            let start = self.position_of(index, offset)?;
            // Behind the segment's last batch: compaction took what was there.
            if let Some(start) = start.filter(|start| *start < self.segments[index].size) {
                let wish = Wish { offset, start, max_bytes, bound, min_one };
                return Ok(self.range_from(index, &wish)?);
            }
            index += 1;
        }
        let segment_base_offset = self.segments[index.min(self.segments.len() - 1)].base_offset;
        Ok(Read { range: None, next_offset: offset, segment_base_offset })
    }

    fn range_from(&mut self, index: usize, wish: &Wish) -> Result<Read, StorageError> {
        let Wish { offset, start, max_bytes, bound, min_one } = *wish;
        let segment_base_offset = self.segments[index].base_offset;
        let nothing = Read { range: None, next_offset: offset, segment_base_offset };
        let segment_end = self.segment_end(index);
        let (mut end, mut next_offset) = match bound >= segment_end {
            true => (self.segments[index].size, segment_end),
            false => (self.position_of(index, bound)?.unwrap_or(self.segments[index].size), bound),
        };
        if end <= start {
            return Ok(nothing);
        }
        let segment = &self.segments[index];
        let limit = start + u64::from(max_bytes);
        if end > limit {
            let Some(first) = segment.header_at(&*self.disk, start)? else { return Ok(nothing) };
            let after_first = start + first.size() as u64;
            if after_first <= limit {
                (end, next_offset) = segment.end_of_whole_batches(&*self.disk, start, limit)?;
            } else if min_one && after_first <= end {
                (end, next_offset) = (after_first, first.next_offset());
            } else {
                return Ok(nothing);
            }
            self.hints.push(next_offset, segment_base_offset, end);
        }
        let len = u32::try_from(end - start).unwrap_or(u32::MAX);
        let file = self.segments[index].file(&*self.disk)?.clone();
        Ok(Read { range: Some(FileRange { file, position: start, len }), next_offset, segment_base_offset })
    }

    /// Where the batch that holds `offset` begins, or the next one behind it in this segment.
    fn position_of(&self, index: usize, offset: Offset) -> Result<Option<u64>, StorageError> {
        let segment = &self.segments[index];
        if offset == segment.base_offset {
            return Ok(Some(0));
        }
        if index + 1 == self.segments.len() {
            if offset == self.log_end_offset {
                return Ok(Some(segment.size));
            }
            if let Some(position) = self.tail.position_of(offset) {
                return Ok(Some(position));
            }
        }
        if let Some(position) = self.hints.position_of(offset, segment.base_offset) {
            return Ok(Some(position));
        }
        Ok(segment.find(&*self.disk, offset)?.map(|(position, _)| position))
    }

    /// The aborted transactions that touch `from..to`, as a read_committed answer lists them.
    pub fn aborted_transactions(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTxn>, StorageError> {
        let mut found = Vec::new();
        for segment in &self.segments[self.segment_index(from)..] {
            if segment.txns.collect(&*self.disk, from, to, &mut found)? {
                break;
            }
        }
        Ok(found)
    }
}

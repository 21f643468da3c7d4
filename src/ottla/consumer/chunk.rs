//! The record bytes of one partition out of one answer, and the walk through them.

use std::sync::Arc;

use bytes::Bytes;
use ottla_records::batch::PREFIX_LEN;
use ottla_records::message_set::lone_record;
use ottla_records::open::{OpenBatch, RecordCursor};
use ottla_records::record::Record;
use ottla_records::{BatchError, BatchHeader, BatchView, Magic, TimestampType, batches};
use ottla_types::Offset;

use super::delivery::Delivery;

/// Most that the records of one batch take when they are decompressed.
const OPEN_LIMIT: usize = 1 << 30;

/// What a fetch brought for a delivery.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) delivery: Arc<Delivery>,
    /// Records before this offset were not asked for.
    from: Offset,
    records: Bytes,
    /// Where in `records` the next batch begins.
    next: usize,
    open: Option<Open>,
    damaged: bool,
}

/// A batch, or a run of old messages that are not compressed, whose records lie open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) cursor: Cursor,
    /// Decompressed records; otherwise they lie in the chunk's own bytes from `start` to `end`.
    own: Option<Bytes>,
    start: usize,
    end: usize,
}

/// A place among open records.
#[derive(Debug, Clone)]
pub(super) enum Cursor {
    /// In a batch.
    Batch(RecordCursor, TimestampType),
    /// In messages of magic 0 and 1, one behind the other: how many of their bytes were read.
    Run(usize),
}

impl Chunk {
    pub(super) fn new(delivery: Arc<Delivery>, from: Offset, records: Bytes) -> Chunk {
        Chunk { delivery, from, records, next: 0, open: None, damaged: false }
    }

    /// One that holds no batch with records from the offset on, though it is not empty.
    pub(super) fn damaged(delivery: Arc<Delivery>, from: Offset, records: Bytes) -> Chunk {
        Chunk { damaged: true, ..Chunk::new(delivery, from, records) }
    }

    /// Bytes as they came.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Opens the next batch unless one is open; `false`: there is none any more.
    ///
    /// # Errors
    /// What is wrong with its bytes.
    pub(super) fn open(&mut self) -> Result<bool, String> {
        if self.damaged {
            return Err("what the broker sent holds no batch with it".into());
        }
        while self.open.is_none() {
            let rest = &self.records[self.next..];
            if rest.len() < PREFIX_LEN {
                return Ok(false);
            }
            let header = match BatchHeader::parse(rest) {
                Ok(header) if rest.len() >= header.size() => header,
                // A broker sends a range of its file, whose end may lie within a batch.
                Ok(_) | Err(BatchError::CutOff { .. }) => return Ok(false),
                Err(error) => return Err(error.to_string()),
            };
            let start = self.next;
            if header.magic != Magic::V2 && !header.is_compressed() {
                self.open = Some(Open { cursor: Cursor::Run(0), own: None, start, end: self.records.len() });
                break;
            }
            self.next += header.size();
            if header.is_control() || (header.magic == Magic::V2 && header.last_offset() < self.from) {
                continue;
            }
            let batch = BatchView::parse(rest).map_err(|error| error.to_string())?;
            batch.check_crc().map_err(|error| error.to_string())?;
            let opened = OpenBatch::open(&batch, OPEN_LIMIT).map_err(|error| error.to_string())?;
            opened.check_inner_crc().map_err(|error| error.to_string())?;
            let (cursor, body) = opened.into_cursor();
            let end = self.next;
            let (own, start) = match body {
                std::borrow::Cow::Owned(body) => (Some(Bytes::from(body)), start),
                std::borrow::Cow::Borrowed(body) => (None, end - body.len()),
            };
            self.open = Some(Open { cursor: Cursor::Batch(cursor, header.timestamp_type()), own, start, end });
        }
        Ok(true)
    }

    /// The open batch is read to its end.
    pub(super) fn close(&mut self) {
        if let Some(Open { cursor: Cursor::Run(read), start, .. }) = self.open.take() {
            self.next = start + read;
        }
    }

    /// The open batch, apart: its delivery, the first offset that was asked for, its bytes, the buffer in which they lie, and
    /// the place among them.
    #[inline]
    pub(super) fn parts(&mut self) -> Option<(&Arc<Delivery>, Offset, &Bytes, &[u8], &mut Cursor)> {
        let Chunk { delivery, from, records, open, .. } = self;
        let Open { cursor, own, start, end } = open.as_mut()?;
        let (buffer, body) = match own {
            Some(own) => (&*own, &own[..]),
            None => (&*records, &records[*start..*end]),
        };
        Some((delivery, *from, buffer, body, cursor))
    }

    /// Whether a record that was asked for is left in the open batch.
    pub(super) fn has_record(&mut self) -> Result<bool, String> {
        let Some((_, from, _, body, cursor)) = self.parts() else { return Ok(false) };
        let mut probe = cursor.clone();
        while let Some((record, _)) = probe.next(body)? {
            if record.offset >= from {
                return Ok(true);
            }
            cursor.clone_from(&probe);
        }
        Ok(false)
    }
}

impl Cursor {
    /// The next record of `body`, which belongs to this cursor.
    #[inline]
    pub(super) fn next<'b>(&mut self, body: &'b [u8]) -> Result<Option<(Record<'b>, TimestampType)>, String> {
        match self {
            Cursor::Batch(cursor, timestamp_type) => match cursor.next(body) {
                Ok(record) => Ok(record.map(|record| (record, *timestamp_type))),
                Err(error) => Err(error.to_string()),
            },
            Cursor::Run(read) => {
                let message = match BatchView::parse(body.get(*read..).unwrap_or_default()) {
                    Ok(message) if message.magic == Magic::V2 || message.is_compressed() => return Ok(None),
                    Ok(message) => message,
                    Err(BatchError::CutOff { .. }) => return Ok(None),
                    Err(error) => return Err(error.to_string()),
                };
                message.check_crc().map_err(|error| error.to_string())?;
                let record = lone_record(&message).map_err(|error| error.to_string())?;
                *read += message.size();
                Ok(Some((record, message.timestamp_type())))
            }
        }
    }
}

/// How far record bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// There are none.
    Nothing,
    /// To the end of the last whole batch: the offset after it.
    Upto(Offset),
    /// The first batch is not whole.
    CutOff {
        /// Bytes of all of it.
        needed: usize,
    },
    /// They do not begin with a batch.
    Damaged,
}

/// Walks the headers of what was fetched.
pub(super) fn extent(records: &[u8]) -> Extent {
    let mut extent = Extent::Nothing;
    for batch in batches(records) {
        match (batch, extent) {
            (Ok(batch), _) => extent = Extent::Upto(batch.next_offset()),
            (Err(_), Extent::Upto(_)) => break,
            (Err(BatchError::CutOff { needed, .. }), _) => return Extent::CutOff { needed },
            (Err(_), _) => return Extent::Damaged,
        }
    }
    extent
}

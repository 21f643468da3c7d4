//! Two ways to walk a segment file: by headers alone, in small reads, to find a place; by whole batches, in large
//! sequential reads, to check or replay them.

use std::io;
use std::path::Path;

use ottla_records::batch::BatchError;
use ottla_records::{BatchHeader, BatchView, HEADER_LEN};

use crate::disk::{DiskFile, StorageError};

/// Why a walk ended before the end of the file.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// The file could not be read.
    Io(io::Error),
    /// There is no sound batch where one must begin.
    Damaged(String),
}

impl ScanError {
    fn damaged(position: u64, error: BatchError) -> ScanError {
        ScanError::Damaged(error.moved(position as usize).to_string())
    }

    /// As a failure of the disk, for those who cannot go on without the batch.
    pub(crate) fn into_storage(self, path: &Path) -> StorageError {
        match self {
            ScanError::Io(source) => StorageError { operation: "read", path: path.to_path_buf(), source },
            ScanError::Damaged(reason) => StorageError::malformed(path, reason),
        }
    }
}

/// Bytes read at once by the header walk: an index interval, so that small batches cost one read and not sixty.
const BLOCK: usize = 4096;

/// Walks headers from a batch's start to `end`.
pub(crate) struct HeaderScan<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    end: u64,
    block: [u8; BLOCK],
    block_start: u64,
    block_len: usize,
}

impl<'a> HeaderScan<'a> {
    /// `position` must be where a batch begins.
    pub(crate) fn new(file: &'a dyn DiskFile, position: u64, end: u64) -> HeaderScan<'a> {
        HeaderScan { file, position, end, block: [0; BLOCK], block_start: 0, block_len: 0 }
    }

    /// The next header and its position; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, BatchHeader)>, ScanError> {
        let position = self.position;
        if position >= self.end {
            return Ok(None);
        }
        let wanted = HEADER_LEN.min((self.end - position) as usize);
        let inside =
            position >= self.block_start && position + wanted as u64 <= self.block_start + self.block_len as u64;
        if !inside {
            let len = BLOCK.min((self.end - position) as usize);
            self.block_len = self.file.read_full_at(&mut self.block[..len], position).map_err(ScanError::Io)?;
            self.block_start = position;
        }
        let from = (position - self.block_start) as usize;
        let header = &self.block[from..self.block_len.min(from + HEADER_LEN)];
        let header = BatchHeader::parse(header).map_err(|e| ScanError::damaged(position, e))?;
        let next = position + header.size() as u64;
        if next > self.end {
            let (needed, available) = (header.size(), (self.end - position) as usize);
            return Err(ScanError::damaged(position, BatchError::CutOff { position: 0, needed, available }));
        }
        self.position = next;
        Ok(Some((position, header)))
    }
}

/// Bytes read at once by the batch walk.
const CHUNK: usize = 1 << 20;

/// Walks whole batches from a batch's start to the end of the file.
pub(crate) struct BatchScan<'a> {
    file: &'a dyn DiskFile,
    /// Where `buffer` begins in the file.
    buffer_start: u64,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are read, and those of them that were yielded.
    filled: usize,
    used: usize,
    end: u64,
}

impl<'a> BatchScan<'a> {
    /// `position` must be where a batch begins.
    pub(crate) fn new(file: &'a dyn DiskFile, position: u64, end: u64) -> BatchScan<'a> {
        BatchScan { file, buffer_start: position, buffer: Vec::new(), filled: 0, used: 0, end }
    }

    /// Where the next batch begins.
    pub(crate) fn position(&self) -> u64 {
        self.buffer_start + self.used as u64
    }

    /// The next batch and its position; `None` at the end. Checksums are left to the caller.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, BatchView<'_>)>, ScanError> {
        let position = self.position();
        if position >= self.end {
            return Ok(None);
        }
        let left = self.end - position;
        self.fill(HEADER_LEN.min(left as usize))?;
        let header = BatchHeader::parse(&self.buffer[self.used..self.filled]);
        let size = header.map_err(|e| ScanError::damaged(position, e))?.size();
        if size as u64 > left {
            let error = BatchError::CutOff { position: 0, needed: size, available: left as usize };
            return Err(ScanError::damaged(position, error));
        }
        self.fill(size)?;
        let from = self.used;
        let batch = BatchView::parse(&self.buffer[from..self.filled]).map_err(|e| ScanError::damaged(position, e))?;
        self.used += size;
        Ok(Some((position, batch)))
    }

    /// Makes at least `wanted` bytes available behind `used`, as far as the file goes.
    fn fill(&mut self, wanted: usize) -> Result<(), ScanError> {
        if self.filled - self.used >= wanted {
            return Ok(());
        }
        self.buffer.copy_within(self.used..self.filled, 0);
        self.filled -= self.used;
        self.buffer_start += self.used as u64;
        self.used = 0;
        let len = wanted.max(CHUNK).min((self.end - self.buffer_start) as usize);
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        let at = self.buffer_start + self.filled as u64;
        self.filled += self.file.read_full_at(&mut self.buffer[self.filled..len], at).map_err(ScanError::Io)?;
        Ok(())
    }
}

//! Disk space ahead of the active segment's end.
//!
//! Without it each fdatasync finds blocks that are to be allocated first and journalled with the file's length, which
//! costs as much processor time as the write itself. The space lies behind the end of the file: its length, and with it
//! recovery and every reader, knows nothing of it. What is left over, unless it is little, is given back when the segment is rolled or closed;
//! after a crash it is found again by the next append, or given back by the next roll.

use crate::disk::DiskFile;

/// The most that is reserved at one time, in bytes: where larger steps gain nothing more.
const MOST: u64 = 16 << 20;
/// A segment smaller than this reserves nothing: many partitions are nearly empty.
const LEAST_SIZE: u64 = 1 << 20;

/// How far a segment's file has blocks, as far as is known.
#[derive(Debug, Default)]
pub(crate) struct Reservation {
    /// Position behind the last reserved byte; 0 if none is.
    end: u64,
    /// The file system cannot, or has no room; the append itself will tell if that matters.
    refused: bool,
}

impl Reservation {
    /// Sees that an append up to `end` finds its blocks, and some more for the next ones: as much as the segment has
    /// already, never beyond `limit`, the largest size of a segment.
    pub(crate) fn cover(&mut self, file: &dyn DiskFile, end: u64, limit: u64) {
        if end <= self.end || end < LEAST_SIZE || self.refused {
            return;
        }
        let reserved = (end + end.min(MOST)).min(limit).max(end);
        let from = self.end;
        match file.reserve(from, reserved - from) {
            Ok(()) => self.end = reserved,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => self.refused = true,
        }
    }

    /// Whether something may be left over behind `size`.
    pub(crate) fn exceeds(&self, size: u64) -> bool {
        self.end > size
    }

    /// Whether too little is left over behind `size` to give it back: cutting a file can wait long for a busy disk.
    pub(crate) fn is_used_up(&self, size: u64) -> bool {
        self.end > 0 && self.end < size + LEAST_SIZE
    }

    /// The file was cut at its end, and what was reserved behind it is gone.
    pub(crate) fn forget(&mut self) {
        self.end = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, IoSlice};
    use std::os::fd::BorrowedFd;
    use std::sync::Mutex;

    use super::*;

    /// Notes what is reserved; refuses after the first `room` bytes.
    #[derive(Debug)]
    struct Notes {
        reserved: Mutex<Vec<(u64, u64)>>,
        room: u64,
    }

    impl DiskFile for Notes {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            unreachable!()
        }
        fn write_vectored_at(&self, _: &[IoSlice<'_>], _: u64) -> io::Result<usize> {
            unreachable!()
        }
        fn len(&self) -> io::Result<u64> {
            unreachable!()
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            unreachable!()
        }
        fn sync(&self) -> io::Result<()> {
            unreachable!()
        }
        fn as_fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }
        fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
            self.reserved.lock().unwrap().push((position, len));
            if position + len > self.room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
        fn release(&self) -> io::Result<()> {
            unreachable!()
        }
    }

    fn notes(room: u64) -> Notes {
        Notes { reserved: Mutex::default(), room }
    }

    #[test]
    fn doubles_at_first_then_goes_in_steps_and_stops_at_the_limit() {
        let file = notes(u64::MAX);
        let limit = 40 << 20;
        let mut reservation = Reservation::default();
        for end in (1..=40 << 4).map(|n| n << 16) {
            reservation.cover(&file, end, limit);
        }
        let reserved = file.reserved.into_inner().unwrap();
        let ends: Vec<u64> = reserved.iter().map(|(position, len)| (position + len) >> 16).collect();
        // In pieces of 64 KiB: each step is asked for by the first piece that does not fit the one before.
        assert_eq!(ends, [32, 66, 134, 270, 527, 640]);
        assert!(reserved.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0), "no gap, nothing twice");
    }

    #[test]
    fn a_segment_that_ends_at_its_limit_has_nothing_to_give_back() {
        let mut reservation = Reservation::default();
        assert!(!reservation.is_used_up(9 << 20), "a process before this one may have reserved");
        reservation.cover(&notes(u64::MAX), 9 << 20, 10 << 20);
        assert!(reservation.is_used_up((9 << 20) + 1));
        assert!(!reservation.is_used_up(9 << 20));
    }

    #[test]
    fn a_disk_that_refuses_is_not_asked_again() {
        let file = notes(1);
        let mut reservation = Reservation::default();
        for end in [2 << 20, 3 << 20, 4 << 20] {
            reservation.cover(&file, end, 1 << 30);
        }
        assert_eq!(file.reserved.into_inner().unwrap().len(), 1);
        assert!(!reservation.exceeds(0));
    }
}

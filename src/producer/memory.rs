//! `buffer.memory`, and buffers that are used again.

use std::collections::VecDeque;

use ottla_records::builder::BatchBuilder;

/// Bytes in use, and buffers that wait to be used.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    used: usize,
    /// Each for a standard batch. The one that was sent longest ago is used first: the last one is in the cache of another processor,
    /// and to get it from there takes longer than to fill it.
    spares: VecDeque<Vec<u8>>,
    /// Bytes of a batch as most are.
    standard: usize,
    /// The least that somebody was refused.
    wanted: Option<usize>,
}

impl Memory {
    pub(crate) fn new(limit: usize, standard: usize) -> Memory {
        Memory { limit, used: 0, spares: VecDeque::new(), standard, wanted: None }
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes so many bytes, if there are as many; `false` is remembered until there is room.
    pub(crate) fn take(&mut self, size: usize) -> bool {
        if self.used + size > self.limit {
            self.wanted = Some(self.wanted.map_or(size, |wanted| wanted.min(size)));
            return false;
        }
        self.used += size;
        true
    }

    /// Gives them back.
    pub(crate) fn release(&mut self, size: usize) {
        debug_assert!(self.used >= size);
        self.used -= size;
    }

    /// Whether somebody was refused.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether there is room now for somebody who was refused; told once.
    pub(crate) fn has_room(&mut self) -> bool {
        let room = self.wanted.is_some_and(|wanted| self.used + wanted <= self.limit);
        if room {
            self.wanted = None;
        }
        room
    }

    /// A buffer for so many bytes, which were taken.
    pub(crate) fn buffer(&mut self, size: usize) -> Vec<u8> {
        let room = self.limit.saturating_sub(self.used).checked_div(self.standard).unwrap_or(0);
        let needed = usize::from(size == self.standard);
        self.spares.truncate(room + needed);
        match size == self.standard {
            true => self.spares.pop_front().unwrap_or_else(|| Vec::with_capacity(self.standard + BatchBuilder::SLACK)),
            false => Vec::with_capacity(size + BatchBuilder::SLACK),
        }
    }

    /// A buffer that is not needed any more. With those in use the spare ones do not exceed the limit.
    pub(crate) fn keep(&mut self, buffer: Vec<u8>) {
        let least = self.standard + BatchBuilder::SLACK;
        let fits = least..=2 * least;
        if fits.contains(&buffer.capacity()) && self.used + (self.spares.len() + 1) * self.standard <= self.limit {
            self.spares.push_back(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_was_refused_is_told_once() {
        let mut memory = Memory::new(100, 10);
        assert!(memory.take(95));
        assert!(!memory.take(50) && !memory.take(10));
        assert!(memory.is_wanted() && !memory.has_room());
        memory.release(5);
        assert_eq!((memory.has_room(), memory.is_wanted()), (true, false));
        memory.release(50);
        assert!(!memory.has_room());
    }

    #[test]
    fn buffers_are_used_again_within_the_limit() {
        let mut memory = Memory::new(100, 40);
        assert!(memory.take(40) && memory.take(40));
        let buffers = [memory.buffer(40), memory.buffer(40)];
        let addresses = buffers.each_ref().map(|buffer| buffer.as_ptr());
        memory.release(80);
        buffers.into_iter().for_each(|buffer| memory.keep(buffer));
        memory.keep(Vec::with_capacity(40 + BatchBuilder::SLACK));
        memory.keep(Vec::new());
        assert_eq!(memory.spares.len(), 2, "a third would be more than the limit, an empty one is none");
        assert!(memory.take(40));
        let again = memory.buffer(40);
        assert_eq!(addresses[0], again.as_ptr(), "the one that was given back first");
        // Batches of a topic that takes small ones alone are no larger than they have to be, and leave the spare one.
        assert!((10..40).contains(&(memory.buffer(10).capacity() - BatchBuilder::SLACK)) && memory.spares.len() == 1);
        // A large record takes the room of the other spare one.
        assert!(memory.take(60));
        assert!(memory.buffer(60).capacity() >= 60 && memory.spares.is_empty());
    }
}

//! `buffer.memory`, and buffers that are used again.

/// Bytes in use, and buffers that wait to be used.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    used: usize,
    /// Of [`Memory::standard`] bytes at least.
    spares: Vec<Vec<u8>>,
    /// What most buffers hold.
    standard: usize,
    /// The least that somebody was refused.
    wanted: Option<usize>,
}

impl Memory {
    pub(crate) fn new(limit: usize, standard: usize) -> Memory {
        Memory { limit, used: 0, spares: Vec::new(), standard, wanted: None }
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

    /// A buffer for so many bytes.
    pub(crate) fn buffer(&mut self, size: usize) -> Vec<u8> {
        match size <= self.standard {
            true => self.spares.pop().unwrap_or_else(|| Vec::with_capacity(self.standard)),
            false => Vec::with_capacity(size),
        }
    }

    /// A buffer that is not needed any more. With those in use the spare ones do not exceed the limit.
    pub(crate) fn keep(&mut self, buffer: Vec<u8>) {
        let fits = self.standard..=2 * self.standard;
        if fits.contains(&buffer.capacity()) && self.used + (self.spares.len() + 1) * self.standard <= self.limit {
            self.spares.push(buffer);
        }
    }
}

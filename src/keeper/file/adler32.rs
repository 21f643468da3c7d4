//! Adler-32 (RFC 1950), ZooKeeper's checksum of log entries and snapshots.

const MODULUS: u32 = 65521;
/// The longest run of bytes after which the sums still fit in 32 bits.
const RUN: usize = 5552;

/// A checksum that grows with what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Adler32 {
    a: u32,
    b: u32,
}

impl Adler32 {
    pub(crate) fn new() -> Self {
        Self { a: 1, b: 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for run in bytes.chunks(RUN) {
            for byte in run {
                self.a += u32::from(*byte);
                self.b += self.a;
            }
            self.a %= MODULUS;
            self.b %= MODULUS;
        }
    }

    pub(crate) fn value(self) -> u32 {
        self.b << 16 | self.a
    }

    pub(crate) fn of(bytes: &[u8]) -> u32 {
        let mut sum = Self::new();
        sum.update(bytes);
        sum.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_in_any_cut() {
        assert_eq!(Adler32::of(b""), 1);
        assert_eq!(Adler32::of(b"Wikipedia"), 0x11E6_0398);
        let long = vec![0xff; 100_000];
        let mut cut = Adler32::new();
        cut.update(&long[..7]);
        cut.update(&long[7..]);
        assert_eq!(cut.value(), Adler32::of(&long));
        assert_eq!(cut.value(), 0x149A_302C);
    }
}

//! The floor of converting gzip: inflate what an old client sent, deflate it anew.

use std::io::{self, Read, Write};

use super::thread_cpu;
use crate::load::connection::invalid;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Processor time of the bare codec, in seconds for each GB (10^9 bytes) that is not compressed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GzipCost {
    /// Of decompressing.
    pub(crate) inflate: f64,
    /// Of compressing, at the level that the broker uses.
    pub(crate) deflate: f64,
    /// Compressed bytes for each byte.
    pub(crate) ratio: f64,
}

/// Compresses and decompresses `plain`, a record set as large as those of the benchmark, until both have taken at least
/// `seconds`.
///
/// # Errors
/// Nothing to compress. (The codec has none.)
pub(crate) fn cost(plain: &[u8], seconds: f64) -> io::Result<GzipCost> {
    if plain.is_empty() {
        return Err(invalid("there is nothing to compress"));
    }
    let mut compressed = Vec::new();
    let deflate = for_each_byte(plain.len(), seconds, || {
        compressed.clear();
        let mut encoder = GzEncoder::new(&mut compressed, Compression::default());
        encoder.write_all(plain)?;
        encoder.finish().map(drop)
    })?;
    let mut output = Vec::with_capacity(plain.len());
    let inflate = for_each_byte(plain.len(), seconds, || {
        output.clear();
        MultiGzDecoder::new(compressed.as_slice()).read_to_end(&mut output).map(drop)
    })?;
    if output != plain {
        return Err(invalid("what was compressed does not come back"));
    }
    let ratio = compressed.len() as f64 / plain.len() as f64;
    Ok(GzipCost { inflate: inflate * 1e9, deflate: deflate * 1e9, ratio })
}

fn for_each_byte(bytes: usize, seconds: f64, mut round: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    // The first round pays for fresh memory.
    round()?;
    let start = thread_cpu();
    let used = || (thread_cpu() - start).as_secs_f64();
    let mut rounds = 0;
    while rounds == 0 || used() < seconds {
        round()?;
        rounds += 1;
    }
    Ok(used() / (f64::from(rounds) * bytes as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deflating_costs_more_than_inflating() {
        let plain: Vec<u8> = (0..65_536u32).map(|n| b'A' + (n.wrapping_mul(2_654_435_761) >> 27) as u8).collect();
        let cost = cost(&plain, 0.02).unwrap();
        assert!(cost.deflate > cost.inflate && cost.inflate > 0.0, "{cost:?}");
        assert!(cost.ratio > 0.0 && cost.ratio < 0.9, "{cost:?}");
    }
}

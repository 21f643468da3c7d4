use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{Str, Uuid};

/// Seeded randomness of the tests.
pub(crate) type Rng = StdRng;

/// The same content in every run.
pub(crate) fn rng(seed: u64) -> Rng {
    Rng::seed_from_u64(seed)
}

/// A value with random content. Structs fill the fields that `version` carries and leave the others at their defaults.
pub(crate) trait Fill {
    /// Makes one.
    fn fill(rng: &mut Rng, version: i16) -> Self;
}

macro_rules! fill_number {
    ($($number:ty),*) => {$(
        impl Fill for $number {
            fn fill(rng: &mut Rng, _: i16) -> $number {
                match rng.random_range(0..8) {
                    0 => <$number>::MIN,
                    1 => <$number>::MAX,
                    2 => 0,
                    _ => rng.random(),
                }
            }
        }
    )*};
}
fill_number!(i8, i16, i32, i64);

impl Fill for bool {
    fn fill(rng: &mut Rng, _: i16) -> bool {
        rng.random()
    }
}

impl Fill for Uuid {
    fn fill(rng: &mut Rng, _: i16) -> Uuid {
        rng.random()
    }
}

/// Mostly short, at times empty or longer than one byte of a compact length can say.
fn length(rng: &mut Rng) -> usize {
    match rng.random_range(0..8) {
        0 => 0,
        1 => rng.random_range(100..400),
        _ => rng.random_range(1..12),
    }
}

impl Fill for Str {
    fn fill(rng: &mut Rng, _: i16) -> Str {
        (0..length(rng))
            .map(|_| ['a', 'Z', '.', '_', 'ü', '語', '\u{1f980}'][rng.random_range(0..7)])
            .collect::<String>()
            .into()
    }
}

impl Fill for Bytes {
    fn fill(rng: &mut Rng, _: i16) -> Bytes {
        (0..length(rng)).map(|_| rng.random::<u8>()).collect()
    }
}

impl<T: Fill> Fill for Option<T> {
    fn fill(rng: &mut Rng, version: i16) -> Option<T> {
        (rng.random_range(0..4) > 0).then(|| T::fill(rng, version))
    }
}

impl<T: Fill> Fill for Vec<T> {
    fn fill(rng: &mut Rng, version: i16) -> Vec<T> {
        (0..rng.random_range(0..4)).map(|_| T::fill(rng, version)).collect()
    }
}

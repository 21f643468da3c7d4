//! Why a measurement could not be made.

use std::fmt::Display;
use std::io;

/// What was being done, what came in the way, and where there is something to do about it, what.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure in these words.
    pub(crate) fn new(text: impl Into<String>) -> Failure {
        Failure(text.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure(error.to_string())
    }
}

/// Says of an error during what it happened.
pub(crate) trait During<T> {
    /// `doing`: the cause.
    ///
    /// # Errors
    /// When there was one before.
    fn during(self, doing: impl Display) -> Result<T, Failure>;
}

impl<T, E: Display> During<T> for Result<T, E> {
    fn during(self, doing: impl Display) -> Result<T, Failure> {
        self.map_err(|cause| Failure(format!("{doing}: {cause}")))
    }
}

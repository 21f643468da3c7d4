//! A record on its way into a batch.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Delivery, ProducerError};

/// What [`Producer::send`](super::Producer::send) returns: resolves as soon as the record is in a batch, or cannot be.
///
/// # Errors
/// Those of [`Producer::send`](super::Producer::send).
#[must_use = "a record that found no room at once is sent only if this is awaited"]
pub struct Sending<'a>(State<'a>);

enum State<'a> {
    /// It was put into a batch at once, or can never be. None: that was told.
    Decided(Option<Result<Delivery, ProducerError>>),
    /// It waits for room, or for its topic.
    Waits(Pin<Box<dyn Future<Output = Result<Delivery, ProducerError>> + Send + 'a>>),
}

impl<'a> Sending<'a> {
    #[inline]
    pub(super) fn decided(outcome: Result<Delivery, ProducerError>) -> Sending<'a> {
        Sending(State::Decided(Some(outcome)))
    }

    pub(super) fn waits(place: impl Future<Output = Result<Delivery, ProducerError>> + Send + 'a) -> Sending<'a> {
        Sending(State::Waits(Box::pin(place)))
    }
}

impl Future for Sending<'_> {
    type Output = Result<Delivery, ProducerError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Decided(outcome) => Poll::Ready(outcome.take().expect("a future is not polled after it is ready")),
            State::Waits(place) => place.as_mut().poll(context),
        }
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}

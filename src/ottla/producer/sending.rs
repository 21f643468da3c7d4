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
    /// It was put into a batch at once.
    Placed(Delivery),
    /// It can never be.
    Refused(Box<ProducerError>),
    /// It waits for room, or for its topic.
    Waits(Pin<Box<dyn Future<Output = Result<Delivery, ProducerError>> + Send + 'a>>),
    /// It was told what has become of it.
    Told,
}

impl<'a> Sending<'a> {
    #[inline]
    pub(super) fn placed(delivery: Delivery) -> Sending<'a> {
        Sending(State::Placed(delivery))
    }

    #[cold]
    pub(super) fn refused(error: ProducerError) -> Sending<'a> {
        Sending(State::Refused(Box::new(error)))
    }

    #[cold]
    pub(super) fn waits(place: impl Future<Output = Result<Delivery, ProducerError>> + Send + 'a) -> Sending<'a> {
        Sending(State::Waits(Box::pin(place)))
    }
}

impl Future for Sending<'_> {
    type Output = Result<Delivery, ProducerError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Waits(place) = &mut self.0 {
            return place.as_mut().poll(context);
        }
        match std::mem::replace(&mut self.0, State::Told) {
            State::Placed(delivery) => Poll::Ready(Ok(delivery)),
            State::Refused(error) => Poll::Ready(Err(*error)),
            State::Waits(_) | State::Told => panic!("a future is not polled after it is ready"),
        }
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}

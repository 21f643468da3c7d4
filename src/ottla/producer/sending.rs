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

/// Two words, see [`Delivery`].
enum State<'a> {
    /// It was put into a batch at once.
    Placed(Delivery),
    /// It waits for room or for its topic, or can never be placed. None: it was told what has become of it.
    Not(Option<Box<Later<'a>>>),
}

type Later<'a> = Pin<Box<dyn Future<Output = Result<Delivery, ProducerError>> + Send + 'a>>;

impl<'a> Sending<'a> {
    #[inline]
    pub(super) fn placed(delivery: Delivery) -> Sending<'a> {
        Sending(State::Placed(delivery))
    }

    pub(super) fn later(place: impl Future<Output = Result<Delivery, ProducerError>> + Send + 'a) -> Sending<'a> {
        Sending(State::Not(Some(Box::new(Box::pin(place)))))
    }

    #[cold]
    fn poll_later(
        &mut self,
        later: Option<Box<Later<'a>>>,
        context: &mut Context<'_>,
    ) -> Poll<<Self as Future>::Output> {
        let mut later = later.expect("a future is not polled after it is ready");
        let polled = later.as_mut().as_mut().poll(context);
        if polled.is_pending() {
            self.0 = State::Not(Some(later));
        }
        polled
    }
}

impl Future for Sending<'_> {
    type Output = Result<Delivery, ProducerError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.0, State::Not(None)) {
            State::Placed(delivery) => Poll::Ready(Ok(delivery)),
            State::Not(later) => self.poll_later(later, context),
        }
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_send_returns_is_two_words() {
        assert_eq!([size_of::<Sending<'_>>(), size_of::<Delivery>()], [16; 2]);
    }
}

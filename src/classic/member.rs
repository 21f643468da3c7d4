//! A member as a value: one event in, effects out.

use crate::effect::Effect;
use crate::event::Event;
use crate::settings::Settings;

/// A member of a classic group.
#[derive(Debug)]
pub struct Member {
    settings: Settings,
}

impl Member {
    /// A member without a session: it waits for [`Event::SessionStarted`].
    pub fn new(settings: Settings) -> Member {
        Member { settings }
    }

    /// Takes in one event and appends what is to be done to `out`. `now_ms` is any clock that does not go back.
    ///
    /// [`Event::TimePassed`] is due at [`next_deadline`](Member::next_deadline); any other event does as well.
    pub fn step(&mut self, now_ms: u64, event: Event, out: &mut Vec<Effect>) {
        let _ = (now_ms, event, out, &self.settings);
    }

    /// When to call [`step`](Member::step) at the latest, on its clock, ms.
    pub fn next_deadline(&self) -> Option<u64> {
        None
    }
}

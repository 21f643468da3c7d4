//! What is known of a node that is read with a one-shot watch.

/// Unread, being read, or read and watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Watched {
    /// To be read.
    #[default]
    Unread,
    /// A read is under way.
    Reading {
        /// Something happened meanwhile: its answer may be old.
        again: bool,
    },
    /// What was read holds until the watch fires.
    Fresh,
}

impl Watched {
    /// Whether it is to be read now; if so, it counts as being read from here on.
    pub fn take_due(&mut self) -> bool {
        let due = *self == Watched::Unread;
        if due {
            *self = Watched::Reading { again: false };
        }
        due
    }

    /// The read was answered.
    pub fn answered(&mut self) {
        *self = match self {
            Watched::Reading { again: true } => Watched::Unread,
            _ => Watched::Fresh,
        };
    }

    /// The watch fired, or cannot be trusted.
    pub fn changed(&mut self) {
        *self = match self {
            Watched::Reading { .. } => Watched::Reading { again: true },
            _ => Watched::Unread,
        };
    }

    /// The read failed, or what it said is not enough: it is read again.
    pub fn failed(&mut self) {
        *self = Watched::Unread;
    }

    /// Whether what was read holds.
    pub fn is_fresh(self) -> bool {
        self == Watched::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let mut node = Watched::default();
        assert!(node.take_due());
        assert!(!node.take_due(), "one read at a time");
        node.changed();
        assert!(!node.take_due());
        node.answered();
        assert!(!node.is_fresh());
        assert!(node.take_due());
        node.answered();
        assert!(node.is_fresh());
    }
}

//! One partition's life with a member, and what is known of its offset.

use ottla_types::Offset;

use crate::batch::OffsetOp;
use crate::event::Position;
use ottla_znodes::Watched;

/// Where a partition stands, that is wanted or still held:
/// looking -> blocked -> free -> claiming -> held (fencing -> fenced -> delivering -> stopping -> leaving).
#[derive(Debug)]
pub(crate) enum Claim {
    /// Whose is it?
    Looking { epoch: u64, node: Watched },
    /// Somebody else's. The watch on the owner node tells when that ends; no timer does.
    Blocked { since_ms: u64, owner: i64, data: String },
    /// Nobody's, as far as is known: it is in the next claim.
    Free,
    /// The claim is under way.
    Claiming { epoch: u64 },
    /// The owner node is this session's.
    Held(Held),
}

/// A partition whose owner node is this session's.
#[derive(Debug)]
pub(crate) struct Held {
    /// Which life of the claim this is; answers to an earlier one are dropped.
    pub(crate) epoch: u64,
    /// The stream that the owner node names.
    pub(crate) stream: usize,
    /// The watch on the own owner node.
    pub(crate) owner: Watched,
    pub(crate) owner_version: i32,
    /// Whether `offset` holds.
    pub(crate) offset_read: Watched,
    /// What the offset node holds; none: there is none.
    pub(crate) offset: Option<OffsetNode>,
    pub(crate) stage: Stage,
    /// A write about it is under way.
    pub(crate) writing: bool,
    /// What is to be committed, and since which round.
    pub(crate) wish: Option<(Position, u64)>,
}

/// How far the delivery of a held partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The offset is read and written back, so that the owner before cannot commit any more.
    Fencing(Start),
    /// That is done; delivery begins here as soon as the owner node is known to be ours still.
    Fenced(Offset),
    Delivering,
    /// Delivery was asked to stop.
    Stopping,
    /// It has stopped; the position, if it is to be committed, and the owner node are written and deleted together.
    Leaving(Option<Position>),
}

/// Where to begin a partition that has no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    NotAsked,
    Asked,
    Found(Offset),
}

/// An offset node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetNode {
    pub(crate) version: i32,
    /// None: no number.
    pub(crate) value: Option<Offset>,
    pub(crate) mzxid: i64,
    /// Whether it was read with a watch.
    pub(crate) watched: bool,
}

/// What is to be done about a position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The node holds it.
    Nothing,
    Write(OffsetOp),
    /// The node is ahead, by somebody else's hand: it is left alone.
    Overtaken(Offset),
}

impl Held {
    pub(crate) fn new(epoch: u64, stream: usize) -> Held {
        Held {
            epoch,
            stream,
            owner: Watched::Unread,
            owner_version: 0,
            offset_read: Watched::Unread,
            offset: None,
            stage: Stage::Fencing(Start::NotAsked),
            writing: false,
            wish: None,
        }
    }

    /// Whether the application gets its records, or got them and has not yet been asked for the last position.
    pub(crate) fn is_delivered(&self) -> bool {
        matches!(self.stage, Stage::Delivering | Stage::Stopping)
    }

    /// A position that is to be committed. That the application sought stays true until a commit is done.
    pub(crate) fn wish(&mut self, mut position: Position, serial: u64) {
        position.sought |= self.sought();
        self.wish = Some((position, serial));
    }

    pub(crate) fn sought(&self) -> bool {
        self.wish.is_some_and(|(position, _)| position.sought)
    }

    /// What this position asks for, given what the node holds. Never backwards, unless the application sought.
    pub(crate) fn verdict(&self, position: Position) -> Verdict {
        match self.offset {
            None => Verdict::Write(OffsetOp::Create(position.offset)),
            Some(OffsetNode { value: Some(found), .. }) if found == position.offset => Verdict::Nothing,
            Some(OffsetNode { value: Some(found), .. }) if found > position.offset && !position.sought => {
                Verdict::Overtaken(found)
            }
            Some(node) => Verdict::Write(OffsetOp::Set(position.offset, node.version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_goes_backwards_only_after_a_seek() {
        let mut held = Held::new(0, 0);
        let at = |offset, sought| Position { offset, sought };
        assert_eq!(held.verdict(at(5, false)), Verdict::Write(OffsetOp::Create(5)));
        held.offset = Some(OffsetNode { version: 3, value: Some(7), mzxid: 0, watched: false });
        assert_eq!(held.verdict(at(5, false)), Verdict::Overtaken(7));
        assert_eq!(held.verdict(at(5, true)), Verdict::Write(OffsetOp::Set(5, 3)));
        assert_eq!(held.verdict(at(7, true)), Verdict::Nothing);
        assert_eq!(held.verdict(at(8, false)), Verdict::Write(OffsetOp::Set(8, 3)));
    }

    #[test]
    fn a_seek_is_remembered_until_it_is_committed() {
        let mut held = Held::new(0, 0);
        held.wish(Position { offset: 1, sought: true }, 1);
        held.wish(Position { offset: 2, sought: false }, 2);
        assert!(held.sought());
    }
}

use ottla_types::LeaderEpoch;

/// A client named a leader epoch that is not the partition's (KIP-320).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// The client knows an older one: it should refresh its metadata.
    #[error("leader epoch {named} is fenced: {current} is current")]
    Fenced {
        /// What the client said.
        named: LeaderEpoch,
        /// The partition's.
        current: LeaderEpoch,
    },
    /// The client knows a newer one: this broker has not heard of it yet.
    #[error("leader epoch {named} is unknown: {current} is current")]
    Unknown {
        /// What the client said.
        named: LeaderEpoch,
        /// The partition's.
        current: LeaderEpoch,
    },
}

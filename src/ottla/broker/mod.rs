//! The broker: requests and what they change.

pub mod api_error;
pub mod config_alteration;
pub mod config_changes;
pub mod current_config;
pub mod handlers;
pub mod metadata_cache;
pub mod metadata_wait;
pub mod topic_creation;
pub mod waiting;

/// Stands in for the room that is being finished.
pub mod request {
    use std::future::Future;
    use std::pin::Pin;

    /// A handler's word on one request.
    pub enum Reply<R> {
        /// The answer.
        Now(R),
        /// The answer comes later.
        Later(Pin<Box<dyn Future<Output = R> + Send>>),
    }

    impl<R> Reply<R> {
        /// A reply that is worked on while later requests begin.
        pub fn later(future: impl Future<Output = R> + Send + 'static) -> Reply<R> {
            Reply::Later(Box::pin(future))
        }
    }

    /// Who asks.
    pub struct RequestContext {
        /// Version of the request's API.
        pub version: i16,
    }

    impl RequestContext {
        /// Version of the request's API.
        pub fn version(&self) -> i16 {
            self.version
        }
    }
}

/// Stands in for the room that is being finished.
pub mod error_map {
    use ottla_protocol::ErrorCode;

    use crate::zk::znodes::ZkError;

    /// ZooKeeper did not do what a request needed.
    pub fn zookeeper(error: &ZkError) -> ErrorCode {
        match error {
            ZkError::NoNode => ErrorCode::UnknownTopicOrPartition,
            ZkError::NodeExists => ErrorCode::TopicAlreadyExists,
            ZkError::NoAuth => ErrorCode::ClusterAuthorizationFailed,
            ZkError::TooLarge(_) => ErrorCode::InvalidRequest,
            _ => ErrorCode::RequestTimedOut,
        }
    }
}

//! What is to be done: everything that a view asks for, in the imperative.

use ottla_znodes::{Request, RequestId};

use crate::Change;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a request to ZooKeeper, in the session that is current. Requests may be sent side by side: the view waits for an
    /// answer where order matters. Each is answered, if need be as lost; after the end of its session it need not be.
    Send {
        /// Its number.
        id: RequestId,
        /// What is asked.
        request: Request,
    },
    /// Something is different from what was known; [`View::cluster`](crate::View::cluster) has it already.
    Changed(Change),
    /// For logs and metrics.
    Report(Report),
}

/// What an operator may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A node cannot be read; what was known of it is kept until it changes.
    Unreadable {
        /// The node.
        path: String,
        /// Why, and what helps.
        why: String,
    },
    /// ZooKeeper refuses to let a node be read; it is tried again after a while.
    Refused {
        /// The node.
        path: String,
        /// ZooKeeper's code.
        code: i32,
    },
    /// After a doubt, a watch or a reconnection everything that was due has been read again.
    Current,
}

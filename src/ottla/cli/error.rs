use crate::client::ClientError;
use crate::config::ConfigErrors;

/// Why a tool did not do what was asked; its text is what the user sees.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The arguments do not fit together.
    #[error("{0}")]
    Usage(String),
    /// The cluster could not be asked, or refused.
    #[error("{doing} : {source}")]
    Cluster {
        /// "Error while executing topic command" and its like, as Kafka's scripts begin.
        doing: &'static str,
        /// Why.
        source: ClientError,
    },
    /// Something that was asked for is not so.
    #[error("{0}")]
    Failed(String),
    /// The configuration is wrong; each problem is a line.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The output is closed or full, or the input cannot be read.
    #[error("standard input or output: {0}")]
    Output(#[from] std::io::Error),
}

impl ToolError {
    /// For `map_err`: what was being done when the cluster refused.
    pub(super) fn while_doing(doing: &'static str) -> impl Fn(ClientError) -> ToolError {
        move |source| ToolError::Cluster { doing, source }
    }
}

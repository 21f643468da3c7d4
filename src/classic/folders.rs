//! Folders that are made when a write finds them missing.

use std::collections::BTreeMap;

use crate::effect::Fatal;
use crate::requests::{Ask, Step};
use ottla_znodes::{CreateMode, Failure, Op, Refusal, Reply, Request};

/// ZooKeeper's code for a node that is not there.
const NO_NODE: i32 = -101;

/// The folders that are being made. One that is not in here is taken to exist.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    /// Whether a request is under way.
    missing: BTreeMap<String, bool>,
}

impl Folders {
    /// A write said that this folder does not exist.
    pub(crate) fn missing(&mut self, path: String) {
        self.missing.entry(path).or_insert(false);
    }

    /// Whether a write into it has to wait.
    pub(crate) fn is_missing(&self, path: &str) -> bool {
        self.missing.contains_key(path)
    }

    /// Asks for those whose parents exist.
    pub(crate) fn settle(&mut self, step: &mut Step<'_>) {
        let ready: Vec<String> = (self.missing.iter())
            .filter(|(path, asked)| !**asked && !self.missing.contains_key(parent(path)))
            .map(|(path, _)| path.clone())
            .collect();
        for path in ready {
            let create = Op::Create { path: path.clone(), data: Vec::new(), mode: CreateMode::Persistent };
            step.send(Ask::Folder(path.clone()), Request::Write(vec![create]));
            self.missing.insert(path, true);
        }
    }

    /// The answer to a creation.
    pub(crate) fn answered(&mut self, path: String, outcome: Result<Reply, Failure>) -> Result<(), Fatal> {
        match outcome {
            Ok(_) | Err(Failure::Refused { why: Refusal::NodeExists, .. }) => {
                self.missing.remove(&path);
            }
            Err(Failure::Refused { why: Refusal::NoNode, .. }) if !parent(&path).is_empty() => {
                self.missing(parent(&path).into());
                self.missing.insert(path, false);
            }
            Err(Failure::Refused { why, .. }) => {
                let code = if let Refusal::Other(code) = why { code } else { NO_NODE };
                return Err(Fatal::Refused { path, code });
            }
            Err(Failure::Unknown | Failure::Expired) => {
                self.missing.insert(path, false);
            }
        }
        Ok(())
    }
}

/// The folder of a node; empty for what lies at the root.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
